"""Characters that move while the shutter is open: nose first, by speed times time; labels are of the middle of it.

The LLVM variant gives each path a time of its own. Where world and characters are one ray-tracing scene (CUDA), and in
the scalar variant, the time is cut into slices instead, in each of which the characters stand still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from torchmultiverse.engines.builtin.part_arrays import placed_parts
from torchmultiverse.engines.builtin.placement import Actor, rotation
from torchmultiverse.engines.builtin.tracer import Array, CharacterInstance, RenderBuffers
from torchmultiverse.scenes import Scene

SLICES = 16
"""Most slices of time; a picture of fewer samples has one for each sample."""


def set_off(scene: Scene, actors: list[Actor]) -> list[Actor]:
    """Return the characters with how far they go while the shutter is open, metres."""
    way = scene.get_float("Character_Speed") * scene.get_float("Camera_Shutter") / 1000
    return [replace(actor, travel=way) for actor in actors] if way else actors


def motion_of(actor: Actor) -> tuple[float, float, float]:
    """Return how far a character goes while the shutter is open: along its nose, world metres."""
    if not actor.travel:
        return (0.0, 0.0, 0.0)
    x, y, z = rotation(actor.yaw, actor.pitch, actor.roll)[:, 0] * actor.travel
    return (float(x), float(y), float(z))


def moved(character: CharacterInstance | None, time: float) -> CharacterInstance | None:
    """Return a character where it is at a time of -1/2 to 1/2 while the shutter is open, standing still."""
    if character is None or not any(character.motion):
        return character
    vertices = character.vertices + np.float32(time) * np.asarray(character.motion, np.float32)
    parts = placed_parts(character.parts, vertices, character.normals)
    return replace(character, vertices=vertices, parts=parts, motion=(0.0, 0.0, 0.0))


def in_slices(
    characters: Sequence[CharacterInstance | None],
    samples: int,
    put: Callable[[list[CharacterInstance | None]], None],
    take: Callable[[int, int, bool], RenderBuffers],
) -> RenderBuffers:
    """Return the mean of pictures of characters that stand still at evenly spaced times; labels are of the middle.

    Args:
        characters: with their motion; they are put where they are in the middle in the end.
        samples: per pixel, of all pictures together; each has the same number, so they may be a few more.
        put: puts characters into the slots.
        take: renders a number of samples, as the picture of a number; of the last, what is at the pixels' centres is
            wanted.
    """
    slices = min(SLICES, samples)
    each = -(-samples // slices)
    taken = []
    for k in range(slices):
        put([moved(c, (k + 0.5) / slices - 0.5) for c in characters])
        taken.append(take(each, k, False))
    put([moved(c, 0.0) for c in characters])

    def mean(name: str) -> Array:
        return np.asarray(np.mean([getattr(buffers, name) for buffers in taken], 0), np.float32)

    middle = take(1, slices, True)
    return replace(
        middle,
        color=mean("color"),
        albedo=mean("albedo"),
        normal=mean("normal"),
        transmittance=mean("transmittance"),
        noisy_maps=True,
    )
