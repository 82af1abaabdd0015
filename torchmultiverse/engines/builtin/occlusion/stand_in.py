"""Another object of the package before the character, of none of the scene's classes: it comes in from one side."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.characters import CharacterMesh
from torchmultiverse.engines.builtin.mesh import MeshPart
from torchmultiverse.engines.builtin.objects import load_object, object_class
from torchmultiverse.engines.builtin.occlusion.coverage import covered, spans
from torchmultiverse.engines.builtin.occlusion.family import Family
from torchmultiverse.engines.builtin.occlusion.target import Array, Target
from torchmultiverse.engines.builtin.placement import rotation

BULKY = (
    "Barrel_1", "Washer_1", "Crate_5", "Safe_4", "Carton_4", "Barrel_5", "Dishwasher_4", "Chest_5", "Washer_2",
    "Refrigerator_3", "Barrel_3",
)  # fmt: skip
"""Objects that hide what is behind them whatever side they show, and that have few faces."""
_SCALES = (0.1, 0.15, 0.22, 0.33, 0.5, 0.7, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2)
_ENOUGH = 0.97
"""Share that the object has to hide where it stands right before the character."""
_APART = 0.04
"""Distance to the character and to where the eye begins to see, in the room between them."""


@lru_cache(maxsize=4)
def _loaded(name: str) -> CharacterMesh:
    return load_object(name)


def candidates(classes: Collection[str]) -> list[str]:
    """Return the objects that may stand before characters of some classes (as `object_class` names them)."""
    return [name for name in BULKY if object_class(name) not in classes]


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
    side = -1.0 if rng.random() < 0.5 else 1.0
    middle = (mesh.vertices.min(0) + mesh.vertices.max(0)).astype(float) / 2
    turned = (mesh.vertices - middle) @ turn.T
    normals = (mesh.normals @ turn.T).astype(np.float32)
    best: tuple[Array, float, float] | None = None
    for scale in _SCALES:
        found = _placed(target, turned * scale, gap.start, gap.end, right, forward)
        if found is None:
            break
        share = target.share(covered(found[0], mesh.faces, target.view))
        if best is None or share > best[2]:
            best = (*found, share)
        if share >= _ENOUGH:
            break
    if best is None:
        raise target.no_room()
    vertices, away, _ = best
    pixels, depth = target.view.project(vertices)
    step = target.view.focal * (target.view.rotation[:2] @ right) / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[:, None]

    def offset(growth: float) -> float:
        return side * away * (1 - growth)

    def hides(growth: float) -> NDArray[np.bool_]:
        # Along the ground and across the view no depth changes: pixels move by the offset over the depth.
        return spans(pixels + step * offset(growth), depth, mesh.faces, target.view.size).mask()

    def made(growth: float) -> list[MeshPart]:
        moved = (vertices + right * offset(growth)).astype(np.float32)
        ends = np.cumsum([len(part.mesh.vertices) for part in mesh.parts])
        spots = [slice(end - len(part.mesh.vertices), end) for part, end in zip(mesh.parts, ends, strict=True)]
        return [
            replace(part, mesh=replace(part.mesh, vertices=moved[spot], normals=normals[spot]))
            for part, spot in zip(mesh.parts, spots, strict=True)
        ]

    return Family(made, hides, mesh.roughness)


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
