"""Branches that hang into the picture before the character: they grow longer and denser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Floats, Material, Mesh, MeshPart, linear, merge, tube
from torchmultiverse.engines.builtin.occlusion.coverage import spans
from torchmultiverse.engines.builtin.occlusion.family import Family
from torchmultiverse.engines.builtin.occlusion.target import Array, Target

_LEAF = Material("leaves", roughness=0.5, specular=0.35)
_BARK = Material("bark", roughness=0.85, specular=0.1)
_GREENS = (((0.16, 0.36, 0.07), (0.36, 0.52, 0.13)), ((0.10, 0.30, 0.10), (0.24, 0.46, 0.16)),
           ((0.24, 0.38, 0.08), (0.50, 0.56, 0.18)))  # fmt: skip
_BROWN = (0.26, 0.18, 0.12)
_PER_WIDTH = 7.5
"""Lengths of a leaf before the width or height of the character, whichever is greater."""
_LEAVES = (0.012, 0.35)
"""Shortest and longest leaf, metres."""
_DEPTH = 5.0
"""Layers of leaves that the region has where it is full."""
_MOST = 6000
_BRANCHES = 9
_SPREAD = 0.55
"""How much chance has to do with when a leaf comes, beside how far up it is."""
_SAG = 0.35
"""By how much of the region's height leaves at its sides come later than those in its middle."""
# Half of a leaf: from the middle rib outwards; along in lengths, across in half widths, and how far it is bent back.
_OUTLINE = np.array([[0.0, 0.0], [0.14, 0.62], [0.36, 1.0], [0.64, 0.8], [0.85, 0.38], [1.0, 0.0]])


def leaves(target: Target, rng: np.random.Generator) -> Family:
    """Return foliage across the viewing axis, hanging from above the picture whatever the camera's roll.

    Raises:
        SpecError: there is no room for it.
    """
    right, up, forward = target.upright
    gap = target.gap(forward)
    away = target.clear_of_others(gap, gap.start + 0.62 * gap.length, 0.1)
    low, high = target.extent(right, up, forward, away)
    size = high - low
    long = float(np.clip(float(size.max()) / _PER_WIDTH, *_LEAVES))
    deep = min(1.5 * long, 0.35 * (gap.end - away), 0.35 * (away - gap.start))
    # The region: wider than the character, from below it to above the picture.
    margin = 0.18 * size.max() + long
    left, bottom = low[0] - margin, low[1] - 0.12 * size[1]
    width, top = size[0] + 2 * margin, max(high[1] + margin, target.reach(away) * 0.9)
    height = min(top - bottom, 2.4 * size[1] + 4 * margin)
    count = int(min(_DEPTH * width * height / (0.36 * long**2), _MOST))
    origin = target.view.position + forward * away
    axes = np.stack([right, up, forward])
    place, hung = rng.random((count, 3)), rng.random(count)
    places = np.stack([left + width * place[:, 0], bottom + height * place[:, 1], deep * (2 * place[:, 2] - 1)], -1)
    # They hang lower in the middle, and come from above downwards with some chance.
    low_down = 1 - place[:, 1] + _SAG * (2 * place[:, 0] - 1) ** 2 + 0.12 * np.sin(13 * place[:, 0] + 6 * hung.mean())
    order = np.argsort((1 - _SPREAD) * low_down + _SPREAD * hung, kind="stable")
    places = places[order]
    foliage = _leaves(rng, places, long, _GREENS[int(rng.integers(len(_GREENS)))], axes)
    foliage_world = Mesh(
        (foliage.vertices @ axes + origin).astype(np.float32), foliage.faces, foliage.normals, None, foliage.colors
    )
    per_leaf = len(foliage.faces) // count
    pixels, depth = target.view.project(foliage_world.vertices)
    rows = spans(pixels, depth, foliage.faces, target.view.size)
    branches = _branches(rng, (left, bottom, width, height), deep)

    def some(growth: float) -> int:
        return round(count * growth)

    def wood(growth: float) -> Mesh | None:
        """Return the branches as far as the leaves have come."""
        made = []
        for path, thick in branches:
            kept = path[: max(int(np.ceil(len(path) * min(growth * 1.15, 1.0))), 0)]
            if len(kept) > 1:
                world = kept @ axes + origin
                made.append(tube(world, thick * np.linspace(1, 0.35, len(path))[: len(kept)], 6))
        return merge(made).tinted(linear(_BROWN)) if made else None

    def hides(growth: float) -> NDArray[np.bool_]:
        mask = rows.mask(some(growth) * per_leaf)
        bark = wood(growth)
        if bark is not None:
            at, far = target.view.project(bark.vertices)
            mask = mask | spans(at, far, bark.faces, target.view.size).mask()
        return mask

    def made(growth: float) -> list[MeshPart]:
        vertices, faces = some(growth) * (len(foliage.vertices) // count), some(growth) * per_leaf
        kept = Mesh(*(_first(a, n) for a, n in (
            (foliage_world.vertices, vertices), (foliage_world.faces, faces), (foliage_world.normals, vertices),
        )), None, _first(foliage_world.colors, vertices))  # fmt: skip
        bark = wood(growth)
        return ([MeshPart(_LEAF, kept)] if faces else []) + ([MeshPart(_BARK, bark)] if bark is not None else [])

    return Family(made, hides)


def _first(array: NDArray[Floats] | None, count: int) -> NDArray[Floats]:  # type: ignore[type-var]
    assert array is not None
    return array[:count]


def _leaves(rng: np.random.Generator, places: Array, long: float, greens: tuple[Array, ...], axes: Array) -> Mesh:
    """Return leaves, folded along their rib, that hang from their places; coordinates right, up, forward."""
    n = len(places)
    # Each hangs down and outwards, and shows more or less of its face to the eye.
    angle = rng.normal(0, 0.7, n)
    along = np.stack([np.sin(angle), -np.cos(angle), rng.normal(0, 0.35, n)], -1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    facing = np.stack([rng.normal(0, 0.45, n), rng.normal(0.25, 0.4, n), -np.ones(n)], -1)
    across = np.cross(along, facing)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    face = np.cross(across, along)
    scale = long * rng.uniform(0.65, 1.2, n)
    t, w = _OUTLINE.T
    bend = rng.uniform(0.0, 0.3, n)[:, None] * t**2
    rib = t[None, :, None] * along[:, None] - bend[..., None] * face[:, None]
    side = (w * 0.27)[None, :, None] * (across[:, None] + 0.35 * face[:, None])
    other = (w * 0.27)[None, :, None] * (-across[:, None] + 0.35 * face[:, None])
    points = np.concatenate([rib, rib + side, rib + other], 1) * scale[:, None, None] + places[:, None]
    k = len(t)
    a = np.arange(k - 1)
    first = np.concatenate([np.stack([a, a + 1, a + k + 1], 1), np.stack([a, a + k + 1, a + k], 1)])
    second = np.concatenate([np.stack([a, a + 2 * k + 1, a + 1], 1), np.stack([a, a + 2 * k, a + 2 * k + 1], 1)])
    faces = np.concatenate([first, second])
    every = (faces[None] + (np.arange(n) * 3 * k)[:, None, None]).reshape(-1, 3)
    one = np.concatenate([np.broadcast_to(face[:, None] + s * across[:, None], (n, k, 3)) for s in (0.0, 0.3, -0.3)], 1)
    one = one / np.linalg.norm(one, axis=-1, keepdims=True)
    tone = rng.random((n, 1, 1)) * rng.uniform(0.8, 1.2, (n, 1, 1))
    dark, light = (linear(green) for green in greens)
    colors = (dark * (1 - tone) + light * tone) * rng.uniform(0.7, 1.15, (n, 1, 1))
    colors = np.broadcast_to(colors, (n, 3 * k, 3)) * np.repeat([1.25, 0.95, 0.95], k)[None, :, None]
    return Mesh(
        points.reshape(-1, 3).astype(np.float32),
        every.astype(np.uint32),
        (one.reshape(-1, 3) @ axes).astype(np.float32),
        None,
        colors.reshape(-1, 3).astype(np.float32),
    )


def _branches(
    rng: np.random.Generator, region: tuple[float, float, float, float], deep: float
) -> list[tuple[Array, float]]:
    """Return paths (N, 3: right, up, forward) of branches from the top of a region down, and how thick they are."""
    left, bottom, width, height = region
    found = []
    t = np.linspace(0, 1, 26)
    for k in range(_BRANCHES):
        x = left + width * (k + rng.uniform(0.2, 0.8)) / _BRANCHES
        swing, wave = rng.normal(0, 0.09 * width), rng.normal(0, 0.02 * width)
        end = bottom + height * rng.uniform(0.0, 0.3)
        path = np.stack(
            [x + swing * t**1.5 + wave * np.sin(7 * t), bottom + height + (end - bottom - height) * t,
             np.full(len(t), deep * rng.uniform(-0.7, 0.7))], -1,
        )  # fmt: skip
        found.append((path, 0.0045 * width * rng.uniform(0.7, 1.3)))
    return found
