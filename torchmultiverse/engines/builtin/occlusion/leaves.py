"""Branches that hang into the picture before the character: they grow longer and denser."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart, linear, merge, tube
from torchmultiverse.engines.builtin.occlusion.coverage import covered, spans
from torchmultiverse.engines.builtin.occlusion.family import Family
from torchmultiverse.engines.builtin.occlusion.target import Array, Target

RGB = tuple[float, float, float]
_LEAF = Material("leaves", roughness=0.5, specular=0.35)
_BARK = Material("bark", roughness=0.85, specular=0.1)
_GREENS: tuple[tuple[RGB, RGB], ...] = (
    ((0.16, 0.36, 0.07), (0.36, 0.52, 0.13)), ((0.10, 0.30, 0.10), (0.24, 0.46, 0.16)),
    ((0.24, 0.38, 0.08), (0.50, 0.56, 0.18)),
)  # fmt: skip
_BROWN = (0.26, 0.18, 0.12)
_PER_WIDTH = 7.5
"""Lengths of a leaf before the width or height of the character, whichever is greater."""
_LEAST, _LONGEST = 0.045, 0.35
"""Shortest leaf in half the picture's diagonal, and longest leaf, metres."""
_DEPTH = 5.0
"""Layers of leaves that the region has where it is full."""
_MOST = 8000
_BRANCHES, _JOINTS = 9, 26
_SPREAD = 0.55
"""How much chance has to do with when a leaf comes, beside how far up it is."""
_SAG = 0.35
"""By how much of the region's height leaves at its sides come later than those in its middle."""
# Half of a leaf: from the middle rib outwards; along in lengths, across in half widths, and how far it is bent back.
_OUTLINE = np.array([[0.0, 0.0], [0.14, 0.62], [0.36, 1.0], [0.64, 0.8], [0.85, 0.38], [1.0, 0.0]])


@dataclass(frozen=True)
class _Region:
    """Where leaves may be: a box across the viewing axis, wider than the character, from below it to above the picture.

    Attributes:
        corner, size: its left lower front corner and its extents (3,) in metres: right, up, forward from the eye.
        axes: right, up and forward (3, 3) in world coordinates.
        eye: (3,).
        leaf: length of a leaf, metres.
    """

    corner: Array
    size: Array
    axes: Array
    eye: Array
    leaf: float

    def world(self, shares: Array) -> Array:
        """Return world coordinates (N, 3) of places in the box, each coordinate 0 to 1."""
        return np.asarray((self.corner + self.size * shares) @ self.axes + self.eye)


@dataclass(frozen=True)
class _Looks:
    """What leaves look like, by chance: standard normal numbers (N, 4) and numbers of 0 to 1 (N, 5)."""

    normal: Array
    even: Array

    @classmethod
    def of(cls, rng: np.random.Generator) -> _Looks:
        """Return those of all leaves that there can be."""
        return cls(rng.standard_normal((_MOST, 4)), rng.random((_MOST, 5)))

    def of_leaves(self, order: NDArray[np.int64]) -> _Looks:
        """Return those of some leaves, in this order."""
        return _Looks(self.normal[order], self.even[order])


def _region(target: Target) -> _Region:
    right, up, forward = target.upright
    gap = target.gap(forward)
    away = target.clear_of_others(gap, gap.start + 0.62 * gap.length, 0.1)
    low, high = target.extent(right, up, forward, away)
    wide = float((high - low).max())
    reach = target.reach(away)
    leaf = min(max(wide / _PER_WIDTH, _LEAST * reach), _LONGEST)
    deep = min(1.5 * leaf, 0.35 * (gap.end - away), 0.35 * (away - gap.start))
    margin = max(0.18 * wide + leaf, (0.75 * reach - float(high[0] - low[0])) / 2)
    bottom = low[1] - 0.12 * (high[1] - low[1])
    top = max(high[1] + leaf, reach * 0.9)
    corner = np.array([low[0] - margin, bottom, away - deep])
    size = np.array([high[0] - low[0] + 2 * margin, top - bottom, 2 * deep])
    return _Region(corner, size, np.stack([right, up, forward]), target.view.position, leaf)


def leaves(target: Target, rng: np.random.Generator) -> Family:
    """Return foliage across the viewing axis, hanging from above the picture whatever the camera's roll.

    Raises:
        SpecError: there is no room for it.
    """
    region = _region(target)
    count = int(min(_DEPTH * region.size[0] * region.size[1] / (0.36 * region.leaf**2), _MOST))
    # Drawn for as many as there can be, so that each is the same in all pictures of a clip.
    places, chance, looks = rng.random((_MOST, 3))[:count], rng.random(_MOST)[:count], _Looks.of(rng)
    # They come from above downwards, later at the sides and in some gaps, and with some chance.
    x = places[:, 0]
    late = 1 - places[:, 1] + _SAG * (2 * x - 1) ** 2 + 0.12 * np.sin(13 * x + rng.uniform(0, 6))
    order = np.argsort((1 - _SPREAD) * late + _SPREAD * chance, kind="stable")
    greens = _GREENS[int(rng.integers(len(_GREENS)))]
    foliage = _leaves(looks.of_leaves(order), region.world(places[order]), region, greens)
    branches = _branches(rng, region)
    corners, triangles = len(foliage.vertices) // count, len(foliage.faces) // count
    pixels, depth = target.view.project(foliage.vertices)
    rows = spans(pixels, depth, foliage.faces, target.view.size)

    def wood(growth: float) -> Mesh:
        """Return the branches as far as the leaves have come."""
        end = 2 + round((_JOINTS - 2) * min(1.15 * growth, 1.0))
        thin = np.linspace(1, 0.35, _JOINTS)[:end]
        return merge([tube(path[:end], thick * thin, 6) for path, thick in branches]).tinted(linear(_BROWN))

    def hides(growth: float) -> NDArray[np.bool_]:
        bark = wood(growth)
        return rows.mask(round(count * growth) * triangles) | covered(bark.vertices, bark.faces, target.view)

    def made(growth: float) -> list[MeshPart]:
        kept = round(count * growth)
        assert foliage.normals is not None
        assert foliage.colors is not None
        some = Mesh(
            foliage.vertices[: kept * corners],
            foliage.faces[: kept * triangles],
            foliage.normals[: kept * corners],
            None,
            foliage.colors[: kept * corners],
        )
        return [*([MeshPart(_LEAF, some)] if kept else []), MeshPart(_BARK, wood(growth))]

    return Family(made, hides)


def _leaves(looks: _Looks, places: Array, region: _Region, greens: tuple[RGB, RGB]) -> Mesh:
    """Return leaves, folded along their rib, that hang from their places (N, 3)."""
    n = len(places)
    size, bent, blend, tone, shade = looks.even.T
    swing, away, aside, rise = looks.normal.T
    # Each hangs down and outwards, and shows more or less of its face to the eye.
    along = np.stack([np.sin(0.7 * swing), -np.cos(0.7 * swing), 0.35 * away], -1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, np.stack([0.45 * aside, 0.25 + 0.4 * rise, -np.ones(n)], -1))
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    face = np.cross(across, along)
    scale = region.leaf * (0.65 + 0.55 * size)
    t, w = _OUTLINE.T
    rib = t[None, :, None] * along[:, None] - (0.3 * bent[:, None] * t**2)[..., None] * face[:, None]
    side = (w * 0.27)[None, :, None] * (across[:, None] + 0.35 * face[:, None])
    other = (w * 0.27)[None, :, None] * (-across[:, None] + 0.35 * face[:, None])
    points = np.concatenate([rib, rib + side, rib + other], 1) * scale[:, None, None] @ region.axes + places[:, None]
    k = len(t)
    a = np.arange(k - 1)
    first = np.concatenate([np.stack([a, a + 1, a + k + 1], 1), np.stack([a, a + k + 1, a + k], 1)])
    second = np.concatenate([np.stack([a, a + 2 * k + 1, a + 1], 1), np.stack([a, a + 2 * k, a + 2 * k + 1], 1)])
    faces = np.concatenate([first, second])
    every = (faces[None] + (np.arange(n) * 3 * k)[:, None, None]).reshape(-1, 3)
    one = np.concatenate([np.broadcast_to(face[:, None] + s * across[:, None], (n, k, 3)) for s in (0.0, 0.3, -0.3)], 1)
    one = one / np.linalg.norm(one, axis=-1, keepdims=True)
    mixed = (blend * (0.8 + 0.4 * tone))[:, None, None]
    dark, light = (linear(green) for green in greens)
    colors = (dark * (1 - mixed) + light * mixed) * (0.7 + 0.45 * shade)[:, None, None]
    colors = np.broadcast_to(colors, (n, 3 * k, 3)) * np.repeat([1.25, 0.95, 0.95], k)[None, :, None]
    return Mesh(
        points.reshape(-1, 3).astype(np.float32),
        every.astype(np.uint32),
        (one.reshape(-1, 3) @ region.axes).astype(np.float32),
        None,
        colors.reshape(-1, 3).astype(np.float32),
    )


def _branches(rng: np.random.Generator, region: _Region) -> list[tuple[Array, float]]:
    """Return paths (N, 3) of branches from the top of a region down, and how thick they are, metres."""
    found = []
    t = np.linspace(0, 1, _JOINTS)
    for k in range(_BRANCHES):
        start, swing, wave = (k + rng.uniform(0.2, 0.8)) / _BRANCHES, rng.normal(0, 0.09), rng.normal(0, 0.02)
        end, deep, thick = rng.uniform(0.0, 0.3), rng.uniform(0.15, 0.85), rng.uniform(0.7, 1.3)
        x = start + swing * t**1.5 + wave * np.sin(7 * t)
        path = region.world(np.stack([x, 1 + (end - 1) * t, np.full(_JOINTS, deep)], -1))
        found.append((path, float(0.0045 * region.size[0] * thick)))
    return found
