"""A wooden fence on the ground before the character: it grows higher, and its boards wider."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart, grid_faces, linear, merge, smooth_normals
from torchmultiverse.engines.builtin.occlusion.family import Family
from torchmultiverse.engines.builtin.occlusion.target import Array, Target

_WOOD = Material("fence", roughness=0.75, specular=0.2)
_COLORS = ((0.46, 0.36, 0.25), (0.52, 0.46, 0.38), (0.78, 0.77, 0.73), (0.52, 0.33, 0.2))
_PITCH = (0.07, 0.34)
"""Least and greatest distance between the middles of two boards, metres."""
_PER_WIDTH = 9.0
"""Boards before the width of the character."""
_COVER = 0.55
"""Share of a board in its pitch at the start."""
_LOOSE = 0.07
"""Most that a board is away from where it should be, in the pitch: gaps of one width would beat with the pixels."""
_ACROSS, _ALONG = 4, 9
_MOST = 120
_HIGHEST = 3.0
"""How high a fence may always be, metres; before a taller character as high as `_TALLER` of it."""
_TALLER = 1.7


def fence(target: Target, rng: np.random.Generator) -> Family:
    """Return a fence across the picture.

    Raises:
        SpecError: there is no room for it.
    """
    right, forward = target.level
    up = np.array([0.0, 0.0, 1.0])
    gap = target.gap(forward)
    thick = float(np.clip(0.05 * gap.length, 0.015, 0.03))
    away = gap.end - float(np.clip(0.22 * gap.length, 0.06, 0.5))
    away = target.clear_of_others(gap, away, 2 * thick)
    low, high = target.extent(right, up, forward, away)
    reach = 1.1 * target.reach(away / max(float(target.view.rotation[2] @ forward), 0.3)) + 0.3
    pitch = float(np.clip((high[0] - low[0]) / _PER_WIDTH, max(_PITCH[0], 2 * reach / _MOST), _PITCH[1]))
    middle = (low[0] + high[0]) / 2
    # Boards are numbered from the character outwards, so that each is the same in all pictures of a clip.
    number = np.arange(_MOST + 1) - _MOST // 2
    number = number[np.abs(number) <= np.ceil(reach / pitch)]
    across = middle + pitch * (number + rng.uniform(-_LOOSE, _LOOSE, _MOST + 1)[number + _MOST // 2])
    feet = target.view.position * [1, 1, 0] + forward * away + right * across[:, None]
    limits = target.world.spec.camera
    inside = (feet[:, :2] > np.asarray(limits.low)[:2]).all(1) & (feet[:, :2] < np.asarray(limits.high)[:2]).all(1)
    across, feet, number = across[inside], feet[inside], number[inside] + _MOST // 2
    if len(feet) < 2:
        raise target.no_room()
    feet[:, 2] = [target.world.ground(float(x), float(y)) for x, y, _ in feet]
    # Boards that overlap do not lie in one plane.
    standing = feet - forward * (0.15 * thick * (number % 2))[:, None]
    # Heights above the ground at which the character's rays pass.
    scale = away / (target.rays @ forward)
    passing = target.view.position[2] + target.rays[:, 2] * scale
    passing = passing - np.interp(target.rays @ right * scale, across, feet[:, 2])
    bottom, top = max(float(passing.min()), 0.02), float(passing.max()) + 2 * pitch
    tall = float(target.character.vertices[:, 2].max()) - float(feet[:, 2].mean())
    ceiling = limits.high[2] - float(feet[:, 2].max()) - 0.02
    top = min(top, max(_HIGHEST, _TALLER * tall), ceiling)
    boards = _boards(rng, number, right, forward)
    lean = rng.normal(0, 0.025, _MOST + 1)[number]
    tones = linear(_COLORS[int(rng.integers(len(_COLORS)))]) * rng.uniform(0.75, 1.15, (_MOST + 1, 1))[number]

    def made(growth: float) -> list[MeshPart]:
        high = bottom + max(top - bottom, 0.0) * growth**0.85
        wide = pitch * (_COVER + (1 + 2.05 * _LOOSE - _COVER) * growth**1.5)
        sizes = np.stack([np.full(len(feet), wide), np.full(len(feet), thick), high * (1 + lean * (1 - growth))], -1)
        rails = [_rail(feet, forward, high * at, min(0.09, 0.16 * high), thick) for at in (0.22, 0.74)]
        rail = merge(rails).tinted(tones.mean(0) * 0.8)
        return [MeshPart(_WOOD, merge([boards(standing, sizes, tones), rail]))]

    return Family(made)


def _boards(
    rng: np.random.Generator, number: NDArray[np.int64], right: Array, forward: Array
) -> Callable[[Array, Array, Array], Mesh]:
    """Return a function of feet (N, 3), sizes (N, 3: wide, thick, high) and tones (N, 3) that makes pointed boards.

    Each has a front and a back of a grid of vertices with a grain of its own, and sides.
    """
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, _ACROSS + 1), np.linspace(0, 1, _ALONG + 1))
    grid = grid_faces(_ALONG + 1, _ACROSS + 1)
    n = u.size
    edge = [*range(0, n, _ACROSS + 1), *range(n - _ACROSS, n), *range(n - 1 - _ACROSS - 1, 0, -_ACROSS - 1)]
    ring = np.array([[a, b, b + n, a, b + n, a + n] for a, b in pairwise(edge)]).reshape(-1, 3)
    faces = np.concatenate([grid, grid[:, ::-1] + n, ring]).astype(np.uint32)
    count, every = len(number), _MOST + 1
    grain = 1 + rng.normal(0, 0.1, (every, 1, _ACROSS + 1)) + rng.normal(0, 0.05, (every, _ALONG + 1, _ACROSS + 1))
    grain = np.clip(grain[number].reshape(count, n), 0.6, 1.3)
    grain = np.concatenate([grain, grain * 0.85], 1)
    facing = np.concatenate([np.tile(-forward, (n, 1)), np.tile(forward, (n, 1))])

    def made(feet: Array, sizes: Array, tones: Array) -> Mesh:
        wide, thick, high = (sizes[:, k, None] for k in range(3))
        x = u.ravel() * wide
        # The upper end is a point: lower at both edges.
        z = v.ravel() * high - np.abs(u.ravel()) * 2 * np.minimum(0.45 * wide, 0.3 * high) * v.ravel() ** 6
        z = np.where(v.ravel() == 0, -0.05, z)
        front = feet[:, None] + right * x[..., None] + np.array([0, 0, 1.0]) * z[..., None]
        back = front + forward * thick[..., None]
        vertices = np.concatenate([front, back], 1).reshape(-1, 3)
        triangles = faces[None] + (np.arange(count) * 2 * n)[:, None, None].astype(np.uint32)
        colors = tones[:, None] * grain[..., None]
        return Mesh(
            vertices.astype(np.float32),
            triangles.reshape(-1, 3).astype(np.uint32),
            np.tile(facing, (count, 1)).astype(np.float32),
            None,
            colors.reshape(-1, 3).astype(np.float32),
        )

    return made


def _rail(feet: Array, forward: Array, at: float, tall: float, thick: float) -> Mesh:
    """Return a rail behind the boards that follows the ground."""
    corners = [(thick * 1.02, at), (thick * 1.02, at + tall), (thick * 2.2, at + tall), (thick * 2.2, at)]
    rows = [feet + forward * y + np.array([0, 0, z]) for y, z in [*corners, corners[0]]]
    mesh = Mesh(np.concatenate(rows).astype(np.float32), grid_faces(5, len(feet)))
    return Mesh(mesh.vertices, mesh.faces, smooth_normals(mesh))
