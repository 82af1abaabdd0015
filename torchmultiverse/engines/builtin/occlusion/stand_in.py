"""Another object of the package before the character, of none of the scene's classes: it comes in from one side."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.characters import CharacterMesh
from torchmultiverse.engines.builtin.mesh import MeshPart
from torchmultiverse.engines.builtin.objects import load_object
from torchmultiverse.engines.builtin.occlusion.coverage import covered
from torchmultiverse.engines.builtin.occlusion.family import Family
from torchmultiverse.engines.builtin.occlusion.target import Array, Target
from torchmultiverse.engines.builtin.placement import rotation
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import class_of

BULKY = (
    "Barrel_1", "Washer_1", "Crate_5", "Safe_4", "Carton_4", "Barrel_5", "Dishwasher_4", "Chest_5", "Washer_2",
    "Refrigerator_3", "Barrel_3",
)  # fmt: skip
"""Objects that hide what is behind them whatever side they show, and that have few faces."""
_SCALES = (0.1, 0.15, 0.22, 0.33, 0.5, 0.7, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2)
_ENOUGH = 0.97
"""Share that the object has to hide where it stands right before the character."""
_STEPS = 5
_APART = 0.04
"""Distance to the character and to where the eye begins to see, in the room between them."""


@lru_cache(maxsize=4)
def _loaded(name: str) -> CharacterMesh:
    return load_object(name)


def candidate(classes: Collection[int], rng: np.random.Generator) -> str:
    """Return an object that may stand before characters of some classes, by their numbers in masks.

    Raises:
        SpecError: each is of one of them.
    """
    pool = [name for name in BULKY if (kind := class_of(name)) is None or kind.id not in classes]
    if not pool:
        raise SpecError(
            "Occluder = 'object': the scene has characters of each class that can stand before others "
            f"({', '.join(BULKY)}); take another Occluder, or leave one of them out"
        )
    return pool[int(rng.integers(len(pool)))]


def stand_in(target: Target, rng: np.random.Generator, name: str) -> Family:
    """Return an object on the ground that comes from one side until it is right before the character.

    It is as small as it can be and yet hide nearly all of the character, or else as large as there is room for.

    Raises:
        SpecError: there is no room for it.
    """
    right, forward = target.level
    gap = target.gap(forward)
    mesh = _loaded(name)
    # Objects show their front to the camera at yaw 0, which looks along +y.
    towards = float(np.degrees(np.arctan2(forward[0], forward[1])))
    turn = rotation(towards + float(rng.uniform(-28, 28)), 0, 0)
    side = _side(target, right, rng)
    end = gap.end
    for other in target.others:
        near = float(((other.vertices - target.view.position) @ forward).min())
        end = near if gap.start + 0.6 * gap.length < near < end else end
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)).astype(float) / 2
    turned = (mesh.vertices - middle) @ turn.T
    normals = (mesh.normals @ turn.T).astype(np.float32)

    def at(scale: float) -> tuple[Array, float, float] | None:
        found = _placed(target, turned * scale, gap.start, end, right, forward)
        return found and (*found, target.share(covered(found[0], mesh.faces, target.view)))

    vertices, away, _ = _smallest(target, at)

    def offset(growth: float) -> float:
        return side * away * (1 - growth)

    def hides(growth: float) -> NDArray[np.bool_]:
        return covered(vertices + right * offset(growth), mesh.faces, target.view)

    def made(growth: float) -> list[MeshPart]:
        moved = (vertices + right * offset(growth)).astype(np.float32)
        ends = np.cumsum([len(part.mesh.vertices) for part in mesh.parts])
        spots = [slice(end - len(part.mesh.vertices), end) for part, end in zip(mesh.parts, ends, strict=True)]
        return [
            replace(part, mesh=replace(part.mesh, vertices=moved[spot], normals=normals[spot]))
            for part, spot in zip(mesh.parts, spots, strict=True)
        ]

    return Family(made, hides, mesh.roughness)


def _smallest(target: Target, at: Callable[[float], tuple[Array, float, float] | None]) -> tuple[Array, float, float]:
    """Return what ``at`` gives for the least scale at which it hides enough, or for the one at which it hides most.

    Raises:
        SpecError: there is room for none.
    """
    best: tuple[Array, float, float] | None = None
    low = 0.0
    for scale in _SCALES:
        found = at(scale)
        if found is None:
            break
        if found[2] >= _ENOUGH:
            high = scale
            for _ in range(_STEPS if low else 0):  # finely, so that it is the same size in all pictures of a clip
                middle = (low + high) / 2
                half = at(middle)
                if half is not None and half[2] >= _ENOUGH:
                    high, found = middle, half
                else:
                    low = middle
            return found
        low = scale
        if best is None or found[2] > best[2]:
            best = found
    if best is None:
        raise target.no_room()
    return best


def _side(target: Target, right: Array, rng: np.random.Generator) -> float:
    """Return the side from which an object comes, 1 for the right: where no other character is, or by chance."""
    chance = 1.0 if rng.random() < 0.5 else -1.0
    own, *others = (float((one.vertices @ right).mean()) for one in (target.character, *target.others))
    lean = own - float(np.mean(others)) if others else 0.0
    return float(np.sign(lean)) if abs(lean) > 0.3 else chance


def _placed(
    target: Target, turned: Array, start: float, end: float, right: Array, forward: Array
) -> tuple[Array, float] | None:
    """Return a turned object right before the character, and how far to the side it hides nothing; or none."""
    along, across = turned @ forward, turned @ right
    deep = float(np.ptp(along))
    if deep + 2 * _APART > end - start:
        return None
    away = end - _APART - min(0.1, 0.1 * (end - start - deep)) - float(along.max())
    away = max(away, start + _APART - float(along.min()))
    low, high = target.extent(right, np.array([0, 0, 1.0]), forward, away)
    foot = target.view.position * [1, 1, 0] + forward * away + right * (low[0] + high[0]) / 2
    camera = target.world.spec.camera
    ground = target.world.ground(float(foot[0]), float(foot[1]))
    placed = turned + foot + [0, 0, ground - float(turned[:, 2].min())]
    if float(placed[:, 2].max()) > camera.high[2] - 0.02:
        return None
    # The nearest of it is as wide as anything; a little more than what the character's rays need.
    near = away + float(along.min())
    wide = (float(high[0] - low[0]) + float(np.ptp(across)) * away / max(near, 0.1)) / 2
    return placed, 1.1 * wide + 0.05
