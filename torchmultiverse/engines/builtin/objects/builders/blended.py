"""Implicit bodies: simple solids added, blended, or carved from one another, and meshed: soft, organic, cast things."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from skimage.measure import marching_cubes

from torchmultiverse.engines.builtin.characters import polygon_distance, smooth_min, spline
from torchmultiverse.engines.builtin.mesh import Mesh, smooth_normals
from torchmultiverse.engines.builtin.objects.builders import Point, Shape, Vector, builder
from torchmultiverse.engines.builtin.objects.geometry import Built, curve
from torchmultiverse.engines.builtin.shapes import turn

Array = NDArray[np.float32]


class Solid(BaseModel):
    """A solid of one kind, moved to ``at`` and turned by ``turn`` (yaw, tilt, roll, degrees).

    ``ball``: radii; ``box``: half sizes, edges of radius ``round``; ``cylinder``: radius and half height along z,
    ``round``; ``cone``: radii at the bottom and the top, half height; ``torus``: radius and thickness about z;
    ``tube``: points of a spline with radii ``r`` (one, or one each); ``plate``: a closed outline in x and z, half
    ``depth`` along y, ``round``; ``turned``: an outline of (radius, height) about z.

    ``blend``: over what distance it melts into what is there; ``carve`` takes it away, ``keep`` leaves only what is
    within it. ``mirror``: a twin at -x or -y. ``ring``: so many copies about z.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    ball: float | Vector | None = None
    box: Vector | None = None
    cylinder: Point | None = None
    cone: Vector | None = None
    torus: Point | None = None
    tube: list[Vector] | None = None
    r: list[float] = [0.1]
    plate: list[Point] | None = None
    smooth: int = Field(default=4, ge=0, le=16)
    depth: float = 0.1
    turned: list[Point] | None = None
    round: float = Field(default=0.0, ge=0)
    at: Vector = (0.0, 0.0, 0.0)
    turn: Vector = (0.0, 0.0, 0.0)
    blend: float = Field(default=0.03, ge=0)
    carve: bool = False
    keep: bool = False
    mirror: str | None = Field(default=None, pattern="^[xy]$")
    ring: int = Field(default=1, ge=1, le=64)

    @model_validator(mode="after")
    def _one(self) -> Solid:
        kinds = (self.ball, self.box, self.cylinder, self.cone, self.torus, self.tube, self.plate, self.turned)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a solid is one of ball, box, cylinder, cone, torus, tube, plate, turned")
        if self.tube is not None and len(self.r) not in (1, len(self.tube)):
            raise ValueError(f"a tube of {len(self.tube)} points needs 1 or as many of 'r'")
        return self


class Blend(Shape):
    """Solids in their order. ``cells``: grid cells on the longest side; fine details need more (the time grows with
    its cube: 96 takes 0.2 s, 160 a second). ``soften`` blurs all edges by so many cells."""

    solids: list[Solid] = Field(min_length=1)
    cells: int = Field(default=96, ge=16, le=220)
    soften: float = Field(default=0.0, ge=0, le=6)


def _distance(s: Solid, p: list[Array]) -> Array:
    """Return the distance (negative inside) at points whose coordinates are given."""
    x, y, z = p
    if s.ball is not None:
        r = np.broadcast_to(np.asarray(s.ball, np.float32), 3)
        k0 = np.sqrt((x / r[0]) ** 2 + (y / r[1]) ** 2 + (z / r[2]) ** 2)
        k1 = np.sqrt((x / r[0] ** 2) ** 2 + (y / r[1] ** 2) ** 2 + (z / r[2] ** 2) ** 2)
        return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-6), np.float32)
    if s.box is not None:
        return _rounded([np.abs(v) - np.float32(h - s.round) for v, h in zip(p, s.box, strict=True)], s.round)
    if s.cylinder is not None:
        radius, half = s.cylinder
        return _rounded(
            [np.hypot(x, y) - np.float32(radius - s.round), np.abs(z) - np.float32(half - s.round)], s.round
        )
    if s.cone is not None:
        low, high, half = s.cone
        t = np.clip((z + half) / (2 * half), 0, 1)
        slope = 1 / np.sqrt(1 + ((high - low) / (2 * half)) ** 2)
        side = (np.hypot(x, y) - (low + (high - low) * t)) * np.float32(slope)
        return _rounded([side + np.float32(s.round), np.abs(z) - np.float32(half - s.round)], s.round)
    if s.torus is not None:
        return np.asarray(np.hypot(np.hypot(x, y) - s.torus[0], z) - s.torus[1], np.float32)
    if s.tube is not None:
        return _tube(s, p)
    if s.plate is not None:
        flat = polygon_distance(x, z, curve(s.plate, s.smooth, closed=True).astype(np.float32))
        return _rounded([flat + np.float32(s.round), np.abs(y) - np.float32(s.depth - s.round)], s.round)
    assert s.turned is not None
    line = curve(s.turned, s.smooth)
    whole = np.concatenate([line, line[::-1] * [-1, 1]])
    return polygon_distance(
        np.hypot(x, y), np.broadcast_to(z, np.broadcast_shapes(x.shape, y.shape, z.shape)), whole.astype(np.float32)
    )


def _rounded(sides: list[Any], r: float) -> Array:
    sides = [np.asarray(side, np.float32) for side in sides]
    outside = np.sqrt(sum(np.maximum(side, 0) ** 2 for side in sides))
    inside = sides[0]
    for side in sides[1:]:
        inside = np.maximum(inside, side)
    return np.asarray(outside + np.minimum(inside, 0) - np.float32(r), np.float32)


def _tube(s: Solid, p: list[Array]) -> Array:
    points = np.asarray(s.tube, np.float32)
    r = np.broadcast_to(np.asarray(s.r, np.float32), len(points))
    line = spline(np.concatenate([points, r[:, None]], 1), max(s.smooth, 1))
    best: Array | None = None
    for a, b in itertools.pairwise(line):
        way = b[:3] - a[:3]
        q = [p[k] - a[k] for k in range(3)]
        t = np.clip(sum(q[k] * way[k] for k in range(3)) / max(float(way @ way), 1e-9), 0, 1)
        d = np.sqrt(sum((q[k] - t * way[k]) ** 2 for k in range(3))) - (a[3] + t * (b[3] - a[3]))
        best = d if best is None else np.minimum(best, d)
    return np.asarray(best, np.float32)


def _reach(s: Solid) -> float:
    """Return a radius about ``at`` that the solid is within."""
    if s.ball is not None:
        return float(np.max(s.ball))
    if s.box is not None:
        return float(np.linalg.norm(s.box))
    if s.cylinder is not None:
        return float(np.hypot(*s.cylinder))
    if s.cone is not None:
        return float(np.hypot(max(s.cone[:2]), s.cone[2]))
    if s.torus is not None:
        return float(sum(s.torus))
    if s.tube is not None:
        return float((np.linalg.norm(s.tube, axis=1)).max() + max(s.r)) * 1.1
    if s.plate is not None:
        return float(np.hypot(np.linalg.norm(s.plate, axis=1).max(), s.depth)) * 1.1
    return float(np.linalg.norm(s.turned, axis=1).max()) * 1.1  # type: ignore[arg-type]


def _placed(s: Solid) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return of each copy the inverse rotation (3, 3) and the place (3,)."""
    matrix, at = turn(*s.turn), np.asarray(s.at, float)
    found = [(matrix, at)]
    if s.mirror is not None:
        flip = np.diag([-1.0, 1, 1]) if s.mirror == "x" else np.diag([1.0, -1, 1])
        found.append((flip @ matrix, flip @ at))
    if s.ring > 1:
        turns = [turn(360 * k / s.ring, 0, 0) for k in range(s.ring)]
        found = [(q @ m, q @ o) for q in turns for m, o in found]
    return [(np.asarray(np.linalg.inv(m), float), np.asarray(o, float)) for m, o in found]


@builder("blend", Blend)
def blend(s: Blend) -> Built:
    """Return the body's surface; texture coordinates are the two along which it lies most."""
    added = [solid for solid in s.solids if not solid.carve and not solid.keep]
    if not added:
        raise ValueError("all solids are carved or kept: there is nothing to carve from")
    corners = [(o - _reach(q), o + _reach(q)) for q in added for _, o in _placed(q)]
    low = np.min([a for a, _ in corners], 0)
    high = np.max([b for _, b in corners], 0)
    low, high = _tight(s, low, high)
    step = float((high - low).max()) / s.cells
    low, high = low - 3 * step, high + 3 * step
    field = _field(s, [np.arange(a, b + step, step, dtype=np.float32) for a, b in zip(low, high, strict=True)])
    if s.soften:
        from scipy.ndimage import gaussian_filter

        field = gaussian_filter(field, s.soften)
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=(step,) * 3, gradient_direction="descent")
    mesh = Mesh((vertices + low).astype(np.float32), faces.astype(np.uint32))
    normals = smooth_normals(mesh)
    lies, p = np.abs(normals).argmax(1)[:, None], mesh.vertices
    uv = np.where(lies == 0, p[:, [1, 2]], np.where(lies == 1, p[:, [0, 2]], p[:, [0, 1]]))
    return Built(Mesh(mesh.vertices, mesh.faces, normals, uv.astype(np.float32)))


def _tight(s: Blend, low: NDArray[Any], high: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the corners of what a coarse grid finds within."""
    step = float((high - low).max()) / 40
    axes = [np.arange(a - step, b + 2 * step, step, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    near = np.argwhere(_field(s, axes) < 1.8 * step)
    if not len(near):
        raise ValueError("nothing is left of the solids")
    found = [axis[near[:, k]] for k, axis in enumerate(axes)]
    return np.array([f.min() for f in found], float), np.array([f.max() for f in found], float)


def _field(s: Blend, axes: list[Array]) -> Array:
    grid = [axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]]
    shape = tuple(len(axis) for axis in axes)
    field: Array | None = None
    for solid in s.solids:
        own: Array | None = None
        for matrix, at in _placed(solid):
            q = [g - np.float32(o) for g, o in zip(grid, at, strict=True)]
            p = [
                np.asarray(sum(np.float32(matrix[k, i]) * q[i] for i in range(3) if abs(matrix[k, i]) > 1e-7))
                for k in range(3)
            ]
            d = np.broadcast_to(_distance(solid, p), shape)
            own = d if own is None else np.minimum(own, d)
        assert own is not None
        if field is None:
            field = np.array(own, np.float32)  # a copy: what is broadcast cannot be written
        elif solid.carve:
            field = -smooth_min(-field, own, solid.blend)
        elif solid.keep:
            field = -smooth_min(-field, -own, solid.blend)
        else:
            field = smooth_min(field, own, solid.blend)
    assert field is not None
    return np.ascontiguousarray(field)
