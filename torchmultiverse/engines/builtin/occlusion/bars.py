"""A grille of iron bars between the eye and the character, across the whole picture: its bars grow thicker."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart, grid_faces, merge, tube
from torchmultiverse.engines.builtin.occlusion.family import Family
from torchmultiverse.engines.builtin.occlusion.target import Array, Target

_IRON = Material("bars", roughness=0.42, specular=0.5)
_COLOR = (0.035, 0.037, 0.042)
_PER_WIDTH = 6.0
"""Upright bars before the width or height of the character, whichever is greater."""
_CROSS = 2.4
"""Distance between cross bars in that between upright ones."""
_MOST = 60
"""Most upright bars from one side of the picture to the other."""


def bars(target: Target, rng: np.random.Generator) -> Family:
    """Return a grille that stands across the viewing axis, upright whatever the camera's roll.

    Raises:
        SpecError: there is no room for it.
    """
    right, up, forward = target.upright
    gap = target.gap(forward)
    away = target.clear_of_others(gap, gap.start + 0.6 * gap.length, 0.1)
    low, high = target.extent(right, up, forward, away)
    reach = 1.08 * target.reach(away)
    pitch = max(float((high - low).max()) / _PER_WIDTH, 2 * reach / _MOST)
    pitch = min(pitch, 1.6 * (gap.end - away), 1.6 * (away - gap.start))
    middle = (low + high) / 2
    shift = rng.uniform(0.2, 0.8, 2)
    centre = target.view.position + forward * away

    def places(step: float, axis: int) -> Array:
        count = int(np.ceil(reach / step)) + 1
        found = middle[axis] + step * (np.arange(-count, count + 1) + shift[axis])
        return np.asarray(found[np.abs(found) < reach + step / 2])

    # A lens that distorts bends them in the picture.
    ends = np.linspace(-reach, reach, 33 if target.view.lens.distortion else 2)[:, None]
    upright, cross = places(pitch, 0), places(pitch * _CROSS, 1)

    def made(growth: float) -> list[MeshPart]:
        radius = max(pitch / 2 * growth * 1.004, 1e-5)
        tall = pitch * _CROSS * 0.4 * growth
        poles = [tube(centre + right * x + up * ends, radius, 14) for x in upright]
        flats = [_flat(centre + up * y - forward * radius, right * ends, up * tall / 2, forward, radius) for y in cross]
        return [MeshPart(_IRON, merge([*poles, *flats]).tinted(_COLOR))]

    return Family(made)


def _flat(centre: Array, ends: Array, rise: Array, forward: Array, deep: float) -> Mesh:
    """Return a flat bar: its front, its upper and its lower side."""
    back = forward * deep * 0.6
    parts = []
    for first, second, normal in (
        (-rise, rise, -forward), (rise, rise + back, rise), (-rise + back, -rise, -rise),
    ):  # fmt: skip
        rows = np.concatenate([centre + ends + first, centre + ends + second])
        normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
        faces = grid_faces(2, len(ends))
        parts.append(Mesh(rows.astype(np.float32), faces, np.tile(normal, (len(rows), 1)).astype(np.float32)))
    return merge(parts)
