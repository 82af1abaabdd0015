"""Shells: a side outline with a width by height: bodies of cars, cabs, hoods, housings of machines."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin.objects.builders import Point, Shape, Vector, builder
from torchmultiverse.engines.builtin.objects.builders.plates import Outline
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, Faces, area, creased, triangulated


class Shell(Shape):
    """A body seen from its side (x, z), as wide along y as its height and its length say.

    Attributes:
        outline: of the side; corners are rounded by ``round``. ``arches``: circles (x, z, radius) cut out (wheels).
        width: half widths (z, half width) by height, ``smooth`` or straight between; ``plan``: factors of the width
            (x, factor) along x.
        bevel: radius of the edges between sides and top, ``seg`` segments.
        bow: how far the middle of the left (-x) and of the right (+x) end stand out over their corners, over the
            outermost ``reach`` of the length. ``crown``: how far the middle of the top is above its edges.
        fine: longest edge of triangles. ``crease``: edges sharper than this (degrees) show.
    """

    outline: list[Point] = Field(min_length=3)
    smooth: int = Field(default=0, ge=0, le=32)
    round: float = Field(default=0.0, ge=0)
    arches: list[Vector] = Field(default=[])
    width: list[Point] = Field(min_length=1)
    soft: bool = True
    plan: list[Point] = Field(default=[(0.0, 1.0)])
    bevel: float = Field(default=0.06, ge=0)
    seg: int = Field(default=4, ge=1, le=8)
    bow: Point = (0.0, 0.0)
    reach: float = Field(default=0.25, gt=0, le=1)
    crown: float = 0.0
    fine: float = Field(default=0.1, gt=0)
    crease: float = 30.0


@builder("shell", Shell)
def shell(s: Shell) -> Built:
    """Return the body, closed; a picture lies over its side, left and right."""
    flat = _side(s)
    corners = np.concatenate([np.asarray(p) for p in flat.to_polygons()])
    low, high = corners.min(0), corners.max(0)
    if float((high - low).max()) / s.fine > 400:
        raise ValueError(f"fine = {s.fine} for a body of {(high - low).max():.3g}: at least a 400th of it is needed")
    lines = [_levels(low[0], high[0], s.fine, []), _levels(low[1], high[1], s.fine, [z for z, _ in s.width])]
    half = max(w for _, w in s.width)
    vertices, faces = _walls(flat, s, half, lines)
    vertices = _warped(vertices, s, half, low, high)
    mesh = creased(vertices, faces, s.crease)
    assert mesh.normals is not None
    unit = (mesh.vertices[:, [0, 2]] - low) / np.maximum(high - low, 1e-9)
    unit[:, 0] = np.where(mesh.normals[:, 1] > 0, 1 - unit[:, 0], unit[:, 0])
    return Built(mesh, unit.clip(0, 1).astype(np.float32))


def _side(s: Shell) -> Any:
    """Return the outline with rounded corners and arches as a cross-section."""
    import manifold3d

    p = Outline(points=s.outline, smooth=s.smooth).curve()
    flat = manifold3d.CrossSection([np.ascontiguousarray(p)], manifold3d.FillRule.NonZero)
    for x, z, r in s.arches:
        flat = flat - manifold3d.CrossSection.circle(r, 48).translate((x, z))
    if s.round:
        for offset in (-s.round, 2 * s.round, -s.round):
            flat = flat.offset(offset, manifold3d.JoinType.Round, 2.0, 40)
    if flat.is_empty():
        raise ValueError("nothing is left of the outline; 'round' must be less than half of its narrowest place")
    return flat


def _levels(low: float, high: float, step: float, more: list[float]) -> Array:
    """Return even cuts between two ends, those next to one of ``more`` moved onto it."""
    even = np.linspace(low, high, max(2, int(np.ceil((high - low) / step))) + 1)[1:-1]
    for value in more:
        if low < value < high and len(even):
            even[np.abs(even - value).argmin()] = value
    return np.unique(even)


def _divided(loop: Array, lines: list[Array]) -> Array:
    """Return a closed outline with points added where it crosses upright and level lines."""
    out = []
    for a, b in zip(loop, np.roll(loop, -1, 0), strict=True):
        at = [0.0]
        for k in (0, 1):
            if abs(b[k] - a[k]) > 1e-9:
                t = (lines[k] - a[k]) / (b[k] - a[k])
                at += list(t[(t > 1e-6) & (t < 1 - 1e-6)])
        t = np.unique(np.round(at, 7))[:, None]
        out.append(a + (b - a) * t)
    return np.concatenate(out)


def _walls(flat: Any, s: Shell, half: float, lines: list[Array]) -> tuple[Array, Faces]:
    """Return the body as wide as ``half`` everywhere: both sides in cells, their rounded edges, and what joins them."""
    import manifold3d

    bevel = min(s.bevel, half * 0.9)
    t = np.linspace(0, np.pi / 2, s.seg + 1) if bevel else np.zeros(1)
    insets, heights = bevel * (1 - np.cos(t)), half - bevel * (1 - np.sin(t))
    shrunk = [flat.offset(-float(i), manifold3d.JoinType.Round, 2.0, 40) if i > 1e-9 else flat for i in insets]
    loops = [[_divided(np.asarray(p, float), lines) for p in section.to_polygons()] for section in shrunk]
    if not all(loops):
        raise ValueError(f"bevel = {bevel:.3g} is more than half of the outline's narrowest place")
    vertices: list[Array] = []
    faces: list[Faces] = []
    count = 0

    def add(points: Array, triangles: Faces) -> None:
        nonlocal count
        vertices.append(points)
        faces.append(triangles + count)
        count += len(points)

    for k in range(len(loops) - 1):
        outlines = [*loops[k], *(p[::-1] for p in loops[k + 1])]
        y = [heights[k]] * len(loops[k]) + [heights[k + 1]] * len(loops[k + 1])
        points = [np.column_stack([o[:, 0], np.full(len(o), -h), o[:, 1]]) for o, h in zip(outlines, y, strict=True)]
        add(np.concatenate(points), triangulated(outlines))
    for cell in _cells(shrunk[-1], lines):
        add(np.column_stack([cell[:, 0], np.full(len(cell), -heights[-1]), cell[:, 1]]), triangulated([cell]))
    near, near_faces = np.concatenate(vertices), np.concatenate(faces)
    vertices, faces = [near, near * [1, -1, 1]], [near_faces, near_faces[:, ::-1] + len(near)]
    count = 2 * len(near)
    rows = max(2, int(np.ceil(2 * heights[0] / s.fine)))
    for loop in loops[0]:
        n = len(loop)
        across = np.linspace(-heights[0], heights[0], rows + 1)
        wall = np.stack([np.column_stack([loop[:, 0], np.full(n, y), loop[:, 1]]) for y in across])
        i, j = np.arange(n), (np.arange(n) + 1) % n
        quads = [
            np.concatenate([np.stack([i, i + n, j + n], 1), np.stack([i, j + n, j], 1)]) + k * n for k in range(rows)
        ]
        add(wall.reshape(-1, 3), np.concatenate(quads))
    return np.concatenate(vertices), np.concatenate(faces)


def _cells(flat: Any, lines: list[Array]) -> list[Array]:
    """Return the outlines of a cross-section cut along upright and level lines, counter-clockwise."""
    import manifold3d

    (x0, z0), (x1, z1) = flat.bounds()[:2], flat.bounds()[2:]
    xs = [x0 - 1, *[x for x in lines[0] if x0 < x < x1], x1 + 1]
    zs = [z0 - 1, *[z for z in lines[1] if z0 < z < z1], z1 + 1]
    found = []
    for a, b in itertools.pairwise(xs):
        column = flat ^ manifold3d.CrossSection.square((b - a, z1 - z0 + 4)).translate((a, z0 - 2))
        for c, d in itertools.pairwise(zs):
            cell = column ^ manifold3d.CrossSection.square((b - a, d - c)).translate((a, c))
            found += [p for q in cell.to_polygons() if area(p := np.asarray(q, float)) > 1e-9]
    return found


def _warped(vertices: Array, s: Shell, half: float, low: Array, high: Array) -> Array:
    x, y, z = vertices.T
    across = y / half
    width = _between(s.width, z, s.soft) * _between(s.plan, x, s.soft)
    reach = s.reach * (high[0] - low[0])
    right, left = np.clip(1 - (high[0] - x) / reach, 0, 1) ** 2, np.clip(1 - (x - low[0]) / reach, 0, 1) ** 2
    shift = (s.bow[0] * left - s.bow[1] * right) * across**2
    rise = s.crown * (1 - across**2) * np.clip((z - low[1]) / max(high[1] - low[1], 1e-9), 0, 1)
    return np.column_stack([x + shift, across * width, z + rise])


def _between(points: list[Point], at: Array, soft: bool) -> Array:
    """Return values between points (place, value), constant beyond the ends."""
    p = np.asarray(sorted(points), float)
    if len(p) < 3 or not soft:
        return np.asarray(np.interp(at, p[:, 0], p[:, 1]))
    from scipy.interpolate import PchipInterpolator

    return np.asarray(PchipInterpolator(p[:, 0], p[:, 1])(np.clip(at, p[0, 0], p[-1, 0])))
