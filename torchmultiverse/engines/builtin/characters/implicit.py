"""Smooth watertight meshes from implicit parts: tubes along splines, ellipsoids and bent plates, blended and meshed.

A part's distance is evaluated only near it; the polynomial smooth minimum has compact support, so that this changes
nothing near the surface and costs a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

Array = NDArray[np.float32]
Vector = tuple[float, float, float]
VOXELS = 4_000_000
FAR = np.float32(0.5)
STEPS = 6


class ImplicitPart(BaseModel):
    """One implicit part of a body, in the species' own units: x forward, y left, z up.

    One of ``tube`` (points of a spline, radii ``r`` and widths ``w`` at them), ``ellipsoid`` (centre, with radii
    ``r``, turned by ``turn``) or ``plate`` (a closed outline in the plane of x forward and z up, moved to ``at``,
    turned by ``turn``, thick ``r`` in the middle and thin at the edge, bent by ``bend``). ``turn`` is yaw, pitch
    (positive: nose down) and roll in degrees. A mirrored part has a twin on the other side.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str = "body"
    tube: list[Vector] | None = None
    ellipsoid: Vector | None = None
    plate: list[tuple[float, float]] | None = None
    at: Vector = (0, 0, 0)
    r: list[float]
    w: list[float] = Field(default=[1.0], description="width over height of a tube's section")
    turn: Vector = (0, 0, 0)
    bend: tuple[float, float] = Field(default=(0, 0), description="curvature of a plate along its x and its z")
    ripple: tuple[float, int] = Field(
        default=(0, 0), description="waves of a plate: height over the distance from its origin, number in a full turn"
    )
    blend: float = Field(default=0.06, ge=0)
    mirror: bool = False
    swing: tuple[float, float] | None = Field(
        default=None, description="shift forward at the ground (backward on the right side), and height of the joint"
    )
    carve: bool = Field(default=False, description="taken away instead of added")
    above: float | None = Field(default=None, description="cut away what is below this height")

    @model_validator(mode="after")
    def _one_shape(self) -> ImplicitPart:
        if sum(shape is not None for shape in (self.tube, self.ellipsoid, self.plate)) != 1:
            raise ValueError("a part has one of tube, ellipsoid, plate")
        if self.tube is not None:
            for name, values in (("r", self.r), ("w", self.w)):
                if len(values) not in (1, len(self.tube)):
                    raise ValueError(f"a tube of {len(self.tube)} points needs 1 or as many of '{name}'")
        elif len(self.r) != (3 if self.ellipsoid is not None else 1):
            raise ValueError("an ellipsoid needs three radii, a plate one thickness")
        return self


@dataclass(frozen=True)
class Solid:
    """A part, or its mirrored twin, ready to be evaluated."""

    part: ImplicitPart
    sign: float

    def _swung(self, points: Array) -> Array:
        points = points.astype(np.float32).copy()
        if self.part.swing is not None:
            amount, top = self.part.swing
            points[:, 0] += np.float32(self.sign * amount) * np.clip(1 - points[:, 2] / np.float32(top), 0, 1)
        return points

    @cached_property
    def stations(self) -> Array:
        """Points, radius and width (N, 5) along the tube's spline."""
        p = self.part
        assert p.tube is not None
        pts = self._swung(np.asarray(p.tube))
        r, w = (np.broadcast_to(np.asarray(v, np.float32), (len(pts),)) for v in (p.r, p.w))
        curve = spline(np.concatenate([pts, r[:, None], w[:, None]], 1), STEPS)
        curve[:, 3:] = np.maximum(curve[:, 3:], 1e-3)
        return curve

    @cached_property
    def center(self) -> Array:
        """Where an ellipsoid or a plate is, (3,)."""
        p = self.part
        middle = p.ellipsoid if p.ellipsoid is not None else p.at
        return self._swung(np.asarray([middle], np.float32)).reshape(3)

    @cached_property
    def outline(self) -> Array:
        """The smoothed closed outline of a plate, (N, 2)."""
        assert self.part.plate is not None
        pts = np.asarray(self.part.plate, np.float32)
        return spline(np.concatenate([pts[-1:], pts, pts[:2]]), 4)[4:-4]

    def bounds(self) -> tuple[Array, Array]:
        """Return the corners of a box around it."""
        p = self.part
        if p.tube is not None:
            pad = (self.stations[:, 3] * np.maximum(1, self.stations[:, 4]))[:, None]
            low, high = (self.stations[:, :3] - pad).min(0), (self.stations[:, :3] + pad).max(0)
        elif p.plate is not None:
            o = self.outline
            n = p.bend[0] * o[:, 0] ** 2 + p.bend[1] * o[:, 1] ** 2
            wave = p.ripple[0] * np.hypot(o[:, 0], o[:, 1])
            sheets = [np.stack([o[:, 0], n + side * wave, o[:, 1]], 1) for side in (-1, 1)]
            pts = np.concatenate(sheets) @ rotation(p.turn).T + self.center
            low, high = pts.min(0) - 2 * p.r[0], pts.max(0) + 2 * p.r[0]
        else:
            half = np.sqrt(((rotation(p.turn) * np.asarray(p.r, np.float32)) ** 2).sum(1))
            low, high = self.center - half, self.center + half
        low, high = low.astype(np.float32), high.astype(np.float32)
        if self.sign < 0:
            low[1], high[1] = -high[1], -low[1]
        return low, high

    def distance(self, x: Array, y: Array, z: Array, margin: float) -> Array:
        """Return the distance at a grid (of three axes' coordinates) or at points, right within ``margin``."""
        p = self.part
        y = y * np.float32(self.sign)
        if p.tube is not None:
            result = self._tube(x, y, z, margin)
        else:
            m = rotation(p.turn)
            q = [x - self.center[0], y - self.center[1], z - self.center[2]]
            # Terms of nothing are left out, so that a part that is not turned stays thin along the axes it is free of.
            u = [np.asarray(sum(m[k, i] * q[k] for k in range(3) if m[k, i]), np.float32) for i in range(3)]
            result = self._plate(u) if p.plate is not None else self._ellipsoid(u)
        if p.above is not None:
            result = np.maximum(result, np.float32(p.above) - z)
        return np.asarray(result, np.float32)

    def _ellipsoid(self, u: list[Array]) -> Array:
        r = np.asarray(self.part.r, np.float32)
        k0 = np.sqrt((u[0] / r[0]) ** 2 + (u[1] / r[1]) ** 2 + (u[2] / r[2]) ** 2)
        k1 = np.sqrt((u[0] / r[0] ** 2) ** 2 + (u[1] / r[1] ** 2) ** 2 + (u[2] / r[2] ** 2) ** 2)
        return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-6), np.float32)

    def _plate(self, u: list[Array]) -> Array:
        thick = np.float32(self.part.r[0])
        bx, bz = (np.float32(b) for b in self.part.bend)
        middle, gx, gz = bx * u[0] ** 2 + bz * u[2] ** 2, 2 * bx * u[0], 2 * bz * u[2]
        if self.part.ripple[0]:
            lift, slope = _ripple(*self.part.ripple, u[0], u[2])
            middle, gx, gz = middle + lift, gx + slope[0], gz + slope[1]
        d2 = polygon_distance(u[0], u[2], self.outline)
        # A lens: thick inside, thin at the edge, so that fins and ears do not end in a wall.
        half = thick * (np.float32(0.45) + np.float32(0.55) * np.clip(-d2 / (6 * thick), 0, 1))
        flat = (np.abs(u[1] - middle) - half) / np.sqrt(1 + gx**2 + gz**2)
        edge = d2 + np.float32(0.3) * thick
        outside = np.sqrt(np.maximum(flat, 0) ** 2 + np.maximum(edge, 0) ** 2)
        return np.asarray(outside + np.minimum(np.maximum(flat, edge), 0), np.float32)

    def _tube(self, x: Array, y: Array, z: Array, margin: float) -> Array:
        best = np.full(np.broadcast(x, y, z).shape, FAR, np.float32)
        grid = x.ndim == 3
        for a, b in zip(self.stations[:-1], self.stations[1:], strict=True):
            if grid:
                pad = max(a[3] * max(1, a[4]), b[3] * max(1, b[4])) + margin
                box = []
                for i, axis in enumerate((x, y, z)):
                    inside = np.flatnonzero((axis >= min(a[i], b[i]) - pad) & (axis <= max(a[i], b[i]) + pad))
                    box.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0))
                d = _segment(a, b, x[box[0]], y[:, box[1]], z[:, :, box[2]])[0]
                best[tuple(box)] = np.minimum(best[tuple(box)], d)
            else:
                best = np.minimum(best, _segment(a, b, x, y, z)[0])
        return best

    def coordinates(self, points: Array) -> tuple[Array, Array]:
        """Return for points (N, 3) the length along the part and the angle about it (0 is up, or forward on a leg)."""
        if self.part.tube is None:
            q = (points * np.array([1, self.sign, 1], np.float32) - self.center) @ rotation(self.part.turn)
            if self.part.plate is not None:  # polar about its origin, so that rays of a fin spread from there
                return np.hypot(q[:, 0], q[:, 2]).astype(np.float32), np.arctan2(q[:, 2], -q[:, 0]).astype(np.float32)
            return q[:, 0].astype(np.float32), np.arctan2(q[:, 1], q[:, 2]).astype(np.float32)
        x, y, z = points[:, 0], points[:, 1] * np.float32(self.sign), points[:, 2]
        best = np.full(len(points), np.inf, np.float32)
        along, around = np.zeros_like(best), np.zeros_like(best)
        start = 0.0
        for number, (a, b) in enumerate(zip(self.stations[:-1], self.stations[1:], strict=True)):
            d, t = _segment(a, b, x, y, z)
            tangent = (b - a)[:3]
            length = float(np.linalg.norm(tangent))
            tangent = tangent / max(length, 1e-6)
            up = np.array([1.0, 0, 0]) if abs(tangent[2]) > 0.8 else np.array([0, 0, 1.0])
            up = up - tangent * (up @ tangent)
            up /= np.linalg.norm(up)
            side = np.cross(up, tangent)
            rel = np.stack([x, y, z], 1) - a[:3] - t[:, None] * (b - a)[:3]
            nearer = d < best
            best = np.where(nearer, d, best)
            # Past the ends of the tube the length goes on, so that rings do not end in a cap of one colour.
            free = ((np.stack([x, y, z], 1) - a[:3]) @ tangent) / max(length, 1e-6)
            first, last = number == 0, number == len(self.stations) - 2
            reach = np.clip(free, -np.inf if first else 0, np.inf if last else 1)
            along = np.where(nearer, start + reach * length, along)
            around = np.where(nearer, np.arctan2(rel @ side, rel @ up), around)
            start += length
        return along.astype(np.float32), around.astype(np.float32)


def _segment(a: Array, b: Array, x: Array, y: Array, z: Array) -> tuple[Array, Array]:
    """Return the distance to one piece of a tube and where along it (0..1) the nearest point is."""
    ab = b - a
    px, py, pz = x - a[0], y - a[1], z - a[2]
    t = (px * ab[0] + py * ab[1] + pz * ab[2]) / max(float(ab[:3] @ ab[:3]), 1e-9)
    t = np.clip(t, 0, 1)
    w = a[4] + t * ab[4]
    d = np.sqrt((px - t * ab[0]) ** 2 + ((py - t * ab[1]) / w) ** 2 + (pz - t * ab[2]) ** 2)
    return np.asarray((d - (a[3] + t * ab[3])) * np.minimum(1, w), np.float32), np.asarray(t, np.float32)


def _ripple(height: float, waves: int, x: Array, z: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return how far a plate's waves lift it at points of its plane, and the gradient of that along x and z."""
    far, angle = np.maximum(np.hypot(x, z), np.float32(1e-6)), np.arctan2(z, -x) * np.float32(waves)
    s, c = np.float32(height) * np.sin(angle), np.float32(height * waves) * np.cos(angle)
    gx, gz = (np.asarray(g / far, np.float32) for g in (x * s + z * c, z * s - x * c))
    return far * s, (gx, gz)


def polygon_distance(u: Array, v: Array, outline: Array) -> Array:
    """Return the signed distance (negative inside) in the plane to a closed outline (N, 2)."""
    u, v = np.broadcast_arrays(u, v)
    best = np.full(u.shape, np.inf, np.float32)
    inside = np.zeros(u.shape, bool)
    for a, b in zip(outline, np.roll(outline, -1, 0), strict=True):
        e = b - a
        pu, pv = u - a[0], v - a[1]
        t = np.clip((pu * e[0] + pv * e[1]) / max(float(e @ e), 1e-12), 0, 1)
        best = np.minimum(best, (pu - t * e[0]) ** 2 + (pv - t * e[1]) ** 2)
        crosses = (a[1] > v) != (b[1] > v)
        inside ^= crosses & (pu < e[0] * pv / np.where(e[1] == 0, np.float32(1e-12), e[1]))
    return np.asarray(np.where(inside, -1, 1) * np.sqrt(best), np.float32)


def rotation(turn: Vector) -> NDArray[np.float32]:
    """Return the matrix of yaw about z, then pitch about y (positive: nose down), then roll about x, in degrees."""
    yaw, pitch, roll = np.radians(turn)
    cz, sz, cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return np.asarray(rz @ ry @ rx, np.float32)


def spline(points: Array, steps: int) -> Array:
    """Return a Catmull-Rom curve through points (N, D) with ``steps`` segments between two of them."""
    if len(points) == 2:
        return np.array(points, np.float32)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        pieces.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.concatenate([*pieces, points[-1:]]).astype(np.float32)


@dataclass(frozen=True)
class BodySurface:
    """What a mesh of parts is: ``weights`` (V, L) of each of the ``labels`` sum to 1; ``along`` and ``around``
    (V, L) are coordinates on the nearest part of each label (species units, radians)."""

    vertices: Array
    faces: NDArray[np.uint32]
    normals: Array
    labels: list[str]
    weights: Array
    along: Array
    around: Array


def mesh(parts: list[ImplicitPart], voxels: int = VOXELS) -> BodySurface:
    """Mesh the union of parts, in their order; carving parts take away from those before them."""
    solids = [Solid(p, s) for p in parts for s in ((1.0, -1.0) if p.mirror else (1.0,))]
    boxes = [s.bounds() for s in solids]
    added = [b for s, b in zip(solids, boxes, strict=True) if not s.part.carve]
    low = np.min([a for a, _ in added], 0) - np.float32(0.03)
    high = np.max([b for _, b in added], 0) + np.float32(0.03)
    step = float((np.prod(high - low) / voxels) ** (1 / 3))
    counts = np.ceil((high - low) / step).astype(int) + 1
    axes = [np.float32(low[i]) + np.float32(step) * np.arange(counts[i], dtype=np.float32) for i in range(3)]
    field = np.full(tuple(counts), FAR)
    for solid, (a, b) in zip(solids, boxes, strict=True):
        margin = solid.part.blend + 3 * step
        first = np.maximum(0, ((a - margin - low) / step).astype(int))
        last = np.minimum(counts, ((b + margin - low) / step).astype(int) + 2)
        window = tuple(slice(int(f), max(int(f), int(e))) for f, e in zip(first, last, strict=True))
        if any(w.start >= w.stop for w in window):
            continue
        x, y, z = (axes[i][window[i]] for i in range(3))
        d = solid.distance(x[:, None, None], y[None, :, None], z[None, None, :], margin)
        if solid.part.carve:
            field[window] = -smooth_min(-field[window], d, solid.part.blend)
        else:
            field[window] = smooth_min(field[window], d, solid.part.blend)
    field = gaussian_filter(field, 0.6, truncate=3.0)
    raw, faces, _, _ = marching_cubes(field, 0.0, spacing=(step, step, step), gradient_direction="descent")
    vertices = (raw + low).astype(np.float32)
    weights, along, around, labels = _labelling(solids, boxes, vertices, step)
    faces = faces.astype(np.uint32)
    return BodySurface(vertices, faces, vertex_normals(vertices, faces), labels, weights, along, around)


def _labelling(
    solids: list[Solid], boxes: list[tuple[Array, Array]], vertices: Array, step: float
) -> tuple[Array, Array, Array, list[str]]:
    labels = sorted({s.part.label for s in solids})
    nearest = np.full((len(vertices), len(labels)), np.float32(10), np.float32)
    along, around = np.zeros_like(nearest), np.zeros_like(nearest)
    for solid, (a, b) in zip(solids, boxes, strict=True):
        column = labels.index(solid.part.label)
        reach = solid.part.blend + 4 * step
        near = np.flatnonzero(((vertices >= a - reach) & (vertices <= b + reach)).all(1))
        p = vertices[near]
        if not len(p):
            continue
        d = solid.distance(p[:, 0], p[:, 1], p[:, 2], reach)
        if solid.part.carve:  # its wall belongs to it, nothing else
            d = np.where(np.abs(d) < 1.1 * step, np.float32(-3 * step), np.float32(10))
        closer = d < nearest[near, column]
        s, angle = solid.coordinates(p[closer])
        nearest[near[closer], column] = d[closer]
        along[near[closer], column], around[near[closer], column] = s, angle
    sharp = np.exp(-(nearest - nearest.min(1, keepdims=True)) / np.float32(0.6 * step))
    return (sharp / sharp.sum(1, keepdims=True)).astype(np.float32), along, around, labels


def smooth_min(a: Array, b: Array, k: float) -> Array:
    """Return the polynomial smooth minimum; equal to the minimum where the two differ by more than ``k``."""
    if k <= 0:
        return np.minimum(a, b)
    h = np.maximum(k - np.abs(a - b), 0) / np.float32(k)
    return np.asarray(np.minimum(a, b) - h * h * np.float32(k / 4), np.float32)


def vertex_normals(vertices: Array, faces: NDArray[Any]) -> Array:
    """Return area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(faces[:, i], face[:, axis], len(vertices)).astype(np.float32)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(normals / np.maximum(length, 1e-12), np.float32)
