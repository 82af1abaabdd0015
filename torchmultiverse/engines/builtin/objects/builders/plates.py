"""Plates: flat outlines with holes, given a depth, bevelled edges and a bend."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field, model_validator

from torchmultiverse.engines.builtin.objects.builders import Point, Shape, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, Faces, area, creased, curve, triangulated


class Outline(Shape):
    """A closed outline in x (right) and z (up). One of:

    ``points``, as they are, with corners of radius ``r``, or ``smooth`` (segments of a curve between two); ``circle``
    (radius); ``ellipse`` (radii); ``rect`` (width, height) with corners of radius ``r``; ``star``: outer and inner
    radius and number of points; ``gear``: radius, depth and number of teeth; ``polygon``: radius and number of corners.
    ``at`` moves it, ``turn`` turns it (degrees, counter-clockwise). ``ring`` with ``count`` puts copies around the
    origin at that radius,
    ``step`` with ``count`` (or two numbers ``grid``: columns and rows) puts them in a row or a grid around ``at``.
    """

    points: list[Point] | None = None
    smooth: int = Field(default=0, ge=0, le=32)
    circle: float | None = None
    ellipse: Point | None = None
    rect: Point | None = None
    r: float = 0.0
    star: tuple[float, float, int] | None = None
    gear: tuple[float, float, int] | None = None
    polygon: tuple[float, int] | None = None
    at: Point = (0.0, 0.0)
    turn: float = 0.0
    ring: float | None = None
    step: Point | None = None
    count: int = Field(default=1, ge=1, le=600)
    grid: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _one(self) -> Outline:
        kinds = (self.points, self.circle, self.ellipse, self.rect, self.star, self.gear, self.polygon)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("an outline has one of points, circle, ellipse, rect, star, gear, polygon")
        return self

    def curve(self) -> Array:
        """Return one copy at the origin (N, 2), counter-clockwise."""
        t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        if self.points is not None:
            p = curve(self.points, self.smooth, closed=True)
            p = _rounded(p, self.r) if self.r and self.smooth <= 1 else p
        elif self.circle is not None:
            p = self.circle * np.stack([np.cos(t), np.sin(t)], -1)
        elif self.ellipse is not None:
            p = np.asarray(self.ellipse) * np.stack([np.cos(t), np.sin(t)], -1)
        elif self.rect is not None:
            p = _rectangle(*self.rect, self.r)
        elif self.star is not None:
            outer, inner, count = self.star
            t = np.pi / 2 + np.arange(2 * count) * np.pi / count
            p = np.where(np.arange(2 * count) % 2, inner, outer)[:, None] * np.stack([np.cos(t), np.sin(t)], -1)
        elif self.gear is not None:
            radius, depth, teeth = self.gear
            k = np.arange(4 * teeth)
            t = (k + np.array([0.15, -0.15, 0.15, -0.15])[k % 4] * (k % 2)) * 2 * np.pi / len(k)
            p = (radius - depth * (k % 4 > 1))[:, None] * np.stack([np.cos(t), np.sin(t)], -1)
        else:
            assert self.polygon is not None
            radius, corners = self.polygon
            t = np.pi / 2 + (np.arange(corners) + 0.5) * 2 * np.pi / corners
            p = radius * np.stack([np.cos(t), np.sin(t)], -1)
        return p if area(p) > 0 else p[::-1]

    def copies(self) -> list[Array]:
        """Return all copies in their places."""
        p = self.curve() @ _turn(self.turn).T
        at = np.asarray(self.at)
        if self.ring is not None:
            turns = [_turn(360 * k / self.count) for k in range(self.count)]
            return [(p + at + np.array([self.ring, 0])) @ m.T for m in turns]
        if self.step is not None:
            columns, rows = self.grid or (self.count, 1)
            dx, dz = self.step
            if self.grid is None:
                return [p + at + (k - (columns - 1) / 2) * np.array([dx, dz]) for k in range(columns)]
            return [
                p + at + np.array([(i - (columns - 1) / 2) * dx, (j - (rows - 1) / 2) * dz])
                for j in range(rows)
                for i in range(columns)
            ]
        return [p + at]


def _turn(degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def _rounded(corners: Array, r: float) -> Array:
    """Return a polygon whose corners are arcs of radius ``r``, of less where its sides are short."""
    t = np.linspace(0, 1, 7)[:, None]
    out = []
    for a, p, b in zip(np.roll(corners, 1, 0), corners, np.roll(corners, -1, 0), strict=True):
        back, on = a - p, b - p
        lengths = np.linalg.norm(back), np.linalg.norm(on)
        if min(lengths) < 1e-9:
            continue
        back, on = back / lengths[0], on / lengths[1]
        half = np.arccos(np.clip(back @ on, -1, 1)) / 2
        cut = min(r / max(np.tan(half), 1e-6), 0.48 * min(lengths))
        start, end = p + back * cut, p + on * cut
        out.append((1 - t) ** 2 * start + 2 * t * (1 - t) * p + t**2 * end)
    return np.concatenate(out)


def _rectangle(width: float, height: float, r: float) -> Array:
    x, z = width / 2, height / 2
    r = min(r, x * 0.999, z * 0.999)
    if r <= 0:
        return np.array([[-x, -z], [x, -z], [x, z], [-x, z]])
    t = np.linspace(0, np.pi / 2, 9)
    corners = [(x - r, z - r, 0), (-x + r, z - r, 1), (-x + r, -z + r, 2), (x - r, -z + r, 3)]
    return np.concatenate(
        [
            np.stack([cx + r * np.cos(t + k * np.pi / 2), cz + r * np.sin(t + k * np.pi / 2)], -1)
            for cx, cz, k in corners
        ]
    )


class Plate(Shape):
    """An outline with holes, ``depth`` along y with its middle at y = 0.

    Attributes:
        outline: one, or several that are united. ``holes``: outlines that are taken away.
        rim: above 0 only so wide a rim of it is left (seams, frames).
        bevel: width of the rounded edges, ``seg`` segments each. ``crease``: edges sharper than this (degrees) show.
        bend: radius of a bend about a vertical axis (the middle comes towards the viewer where positive, goes away
            where negative; 0: flat); ``bend_up`` the same about a horizontal one. ``fine``: longest edge of triangles
            where it is bent, and for paint by noise.
    """

    outline: Outline | list[Outline]
    holes: list[Outline] = Field(default=[])
    depth: float = Field(default=0.05, gt=0)
    rim: float = Field(default=0.0, ge=0)
    bevel: float = Field(default=0.0, ge=0)
    seg: int = Field(default=3, ge=1, le=8)
    crease: float = 35.0
    bend: float = 0.0
    bend_up: float = 0.0
    fine: float | None = Field(default=None, gt=0)


@builder("plate", Plate)
def plate(s: Plate) -> Built:
    """Return the plate; a picture lies over its outline's bounding box, front and back."""
    import manifold3d

    def united(outlines: list[Outline]) -> Any:
        curves = [p for o in outlines for p in o.copies()]
        return manifold3d.CrossSection([np.ascontiguousarray(p) for p in curves], manifold3d.FillRule.NonZero)

    flat = united(s.outline if isinstance(s.outline, list) else [s.outline])
    if s.holes:
        flat = flat - united(s.holes)
    if s.rim:
        flat = flat - flat.offset(-s.rim, manifold3d.JoinType.Round, 2.0, 32)
    if flat.is_empty():
        raise ValueError("nothing is left of the outline")
    vertices, faces = _body(flat, s)
    if s.fine is not None or s.bend or s.bend_up:
        extent = float(np.ptp(vertices, axis=0).max())
        vertices, faces = _refined(vertices, faces, s.fine or extent / 40)
    for axis, radius in ((0, s.bend), (2, s.bend_up)):
        if radius:
            vertices = _bent(vertices, axis, radius)
    mesh = creased(vertices, faces, s.crease)
    low, span = vertices.min(0), np.maximum(np.ptp(vertices, axis=0), 1e-9)
    unit = ((mesh.vertices - low) / span)[:, [0, 2]]
    assert mesh.normals is not None
    unit[:, 0] = np.where(mesh.normals[:, 1] > 0.05, 1 - unit[:, 0], unit[:, 0])
    return Built(mesh, unit.astype(np.float32))


def _polygons(flat: Any) -> list[Array]:
    return [np.asarray(p, float) for p in flat.to_polygons()]


def _body(flat: Any, s: Plate) -> tuple[Array, Faces]:
    """Return vertices and faces: the front from its edge inward, the wall, and the back as the front's mirror image."""
    import manifold3d

    bevel = min(s.bevel, s.depth / 2 * 0.98)
    t = np.linspace(0, np.pi / 2, s.seg + 1) if bevel else np.zeros(1)
    insets, heights = bevel * (1 - np.cos(t)), s.depth / 2 - bevel * (1 - np.sin(t))
    loops = [
        _polygons(flat.offset(-float(i), manifold3d.JoinType.Round, 2.0, 32) if i > 1e-9 else flat) for i in insets
    ]
    kept = next((k for k, loop in enumerate(loops) if not loop), len(loops))  # a bevel wider than a thin place
    vertices, faces, start = [], [], 0

    def add(outlines: list[Array], height: list[float]) -> None:
        nonlocal start
        triangles = triangulated(outlines)
        at = np.concatenate(
            [np.column_stack([o[:, 0], np.full(len(o), -h), o[:, 1]]) for o, h in zip(outlines, height, strict=True)]
        )
        vertices.append(at)
        faces.append(triangles + start)
        start += len(at)

    for k in range(kept - 1):
        outer, inner = loops[k], loops[k + 1]
        add([*outer, *(p[::-1] for p in inner)], [heights[k]] * len(outer) + [heights[k + 1]] * len(inner))
    add(loops[kept - 1], [heights[kept - 1]] * len(loops[kept - 1]))
    front_v, front_f = np.concatenate(vertices), np.concatenate(faces)
    walls_v: list[Array] = []
    walls_f: list[Faces] = []
    for p in loops[0]:
        n = len(p)
        front = np.column_stack([p[:, 0], np.full(n, -heights[0]), p[:, 1]])
        back = front * [1, -1, 1]
        i, j = np.arange(n), (np.arange(n) + 1) % n
        base = 2 * len(front_v) + sum(map(len, walls_v))
        walls_v.append(np.concatenate([front, back]))
        walls_f.append(base + np.concatenate([np.stack([i, n + i, n + j], 1), np.stack([i, n + j, j], 1)]))
    vertices_all = np.concatenate([front_v, front_v * [1, -1, 1], *walls_v])
    # x, z counter-clockwise faces -y; the wall and the back follow.
    faces_all = np.concatenate([front_f, front_f[:, ::-1] + len(front_v), *walls_f])
    return vertices_all, faces_all


def _refined(vertices: Array, faces: Faces, longest: float) -> tuple[Array, Faces]:
    """Return them with edges longer than ``longest`` halved until none is; neighbours halve the same edges."""
    from torchmultiverse.engines.builtin.objects.geometry import welded

    vertices, faces = welded(vertices, faces)
    for _ in range(9):
        edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
        unique, index = np.unique(edges, axis=0, return_inverse=True)
        long = np.linalg.norm(vertices[unique[:, 0]] - vertices[unique[:, 1]], axis=1) > longest
        if not long.any():
            break
        middle = np.full(len(unique), -1)
        middle[long] = len(vertices) + np.arange(int(long.sum()))
        vertices = np.concatenate([vertices, vertices[unique[long]].mean(1)])
        faces = _split(faces, middle[index.reshape(-1, 3)])
    return vertices, faces


def _split(faces: Faces, middle: Faces) -> Faces:
    """Return faces cut at the middles (F, 3) of their edges, -1 where an edge stays."""
    out = []
    count = (middle >= 0).sum(1)
    out.append(faces[count == 0])
    for k in range(3):  # turned so that the edges that are cut come first
        f, m = np.roll(faces, -k, 1), np.roll(middle, -k, 1)
        one = (count == 1) & (m[:, 0] >= 0)
        a, b, c, ab = f[one, 0], f[one, 1], f[one, 2], m[one, 0]
        out += [np.stack([a, ab, c], 1), np.stack([ab, b, c], 1)]
        two = (count == 2) & (m[:, 0] >= 0) & (m[:, 1] >= 0)
        a, b, c, ab, bc = f[two, 0], f[two, 1], f[two, 2], m[two, 0], m[two, 1]
        out += [np.stack([a, ab, c], 1), np.stack([ab, bc, c], 1), np.stack([ab, b, bc], 1)]
    a, b, c = faces[count == 3].T
    ab, bc, ca = middle[count == 3].T
    out += [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.concatenate(out)


def _bent(vertices: Array, axis: int, radius: float) -> Array:
    """Return points bent about an axis behind the plate (in front of it where ``radius`` is negative)."""
    out = vertices.copy()
    angle = vertices[:, axis] / abs(radius)
    far = abs(radius) - np.sign(radius) * vertices[:, 1]
    out[:, axis] = far * np.sin(angle)
    out[:, 1] = np.sign(radius) * (abs(radius) - far * np.cos(angle))
    return out
