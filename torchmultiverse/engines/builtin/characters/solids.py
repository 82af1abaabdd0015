"""Smooth watertight meshes from implicit parts: round cones along splines and ellipsoids, blended and meshed.

A part's distance is evaluated only near it; the polynomial smooth minimum has compact support, so that this changes
nothing near the surface and costs a fraction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from skimage.measure import marching_cubes

Array = NDArray[np.float32]
VOXELS = 1_600_000


class Part(BaseModel):
    """One implicit part of a body, in the species' own units: x forward, y left, z up.

    Either ``tube`` with radii ``r`` along a spline, or ``ellipsoid`` (centre) with radii ``r``, turned by ``turn``
    (yaw, pitch, roll in degrees).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str = "body"
    tube: list[tuple[float, float, float]] | None = None
    ellipsoid: tuple[float, float, float] | None = None
    r: list[float]
    turn: tuple[float, float, float] = (0, 0, 0)
    blend: float = Field(default=0.06, ge=0)
    flat: float = Field(default=1.0, gt=0, description="width over height of a tube's section")
    mirror: bool = False
    above: float | None = Field(default=None, description="cut away what is below this height")


@dataclass(frozen=True)
class _Solid:
    part: Part
    sign: float  # -1 for the mirrored copy

    def points(self) -> Array:
        assert self.part.tube is not None
        return spline(np.asarray(self.part.tube, np.float32), 8)

    def bounds(self) -> tuple[Array, Array]:
        p = self.part
        if p.tube is not None:
            pts = np.asarray(p.tube, np.float32)
            pad = max(p.r) * max(1.0, p.flat)
        else:
            pts = np.asarray([p.ellipsoid], np.float32)
            pad = max(p.r)
        low, high = pts.min(0) - pad, pts.max(0) + pad
        if self.sign < 0:
            low[1], high[1] = -high[1], -low[1]
        return low, high

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        p = self.part
        y = y * np.float32(self.sign)
        if p.tube is not None:
            pts = self.points()
            radii = np.interp(np.linspace(0, 1, len(pts)), np.linspace(0, 1, len(p.r)), np.asarray(p.r)).astype(
                np.float32
            )
            best = np.full(np.broadcast(x, y, z).shape, np.inf, np.float32)
            squeeze = np.float32(1 / p.flat)
            for a, b, ra, rb in zip(pts[:-1], pts[1:], radii[:-1], radii[1:], strict=True):
                ab = b - a
                px, py, pz = x - a[0], (y - a[1]), z - a[2]
                t = (px * ab[0] + py * ab[1] + pz * ab[2]) / max(float(ab @ ab), 1e-9)
                t = np.clip(t, 0, 1)
                d = np.sqrt((px - t * ab[0]) ** 2 + ((py - t * ab[1]) * squeeze) ** 2 + (pz - t * ab[2]) ** 2)
                best = np.minimum(best, d - (ra + t * (rb - ra)))
            result = best * np.float32(min(1.0, p.flat))
        else:
            assert p.ellipsoid is not None
            m = rotation(p.turn)
            q = [x - p.ellipsoid[0], y - p.ellipsoid[1], z - p.ellipsoid[2]]
            u = [m[0, i] * q[0] + m[1, i] * q[1] + m[2, i] * q[2] for i in range(3)]
            k0 = np.sqrt(sum((u[i] / np.float32(p.r[i])) ** 2 for i in range(3)))
            k1 = np.sqrt(sum((u[i] / np.float32(p.r[i] ** 2)) ** 2 for i in range(3)))
            result = k0 * (k0 - 1) / np.maximum(k1, 1e-6)
        if p.above is not None:
            result = np.maximum(result, p.above - z)
        return np.asarray(result, np.float32)


def rotation(turn: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return the matrix of yaw about z, then pitch about y (positive: nose down), then roll about x, in degrees."""
    yaw, pitch, roll = np.radians(turn)
    cz, sz, cy, sy, cx, sx = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return (rz @ ry @ rx).astype(np.float32)


def spline(points: Array, steps: int) -> Array:
    """Return a Catmull-Rom curve through points (N, 3) with ``steps`` segments between two of them."""
    if len(points) == 2:
        return points
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False, dtype=np.float32)[:, None]
    pieces = []
    for p0, p1, p2, p3 in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        pieces.append(
            0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
        )
    return np.concatenate([*pieces, points[-1:]]).astype(np.float32)


def solids(parts: list[Part]) -> list[_Solid]:
    """Return the parts with their mirror images."""
    return [_Solid(p, s) for p in parts for s in ((1.0, -1.0) if p.mirror else (1.0,))]


def mesh(parts: list[Part], voxels: int = VOXELS) -> tuple[Array, NDArray[np.uint32], Array, list[str], Array]:
    """Mesh the union of parts.

    Returns:
        vertices (V, 3), faces (F, 3), outward unit normals (V, 3), the labels, and each vertex's weight of each
        label (V, L), which sum to 1.
    """
    all_solids = solids(parts)
    lows, highs = zip(*(s.bounds() for s in all_solids), strict=True)
    low, high = np.min(lows, 0) - 0.02, np.max(highs, 0) + 0.02
    step = float((np.prod(high - low) / voxels) ** (1 / 3))
    counts = np.ceil((high - low) / step).astype(int) + 1
    axes = [np.float32(low[i]) + np.float32(step) * np.arange(counts[i], dtype=np.float32) for i in range(3)]
    field = np.full(tuple(counts), np.float32(4 * step))
    for solid, a, b in zip(all_solids, lows, highs, strict=True):
        margin = solid.part.blend + 3 * step
        window = tuple(
            slice(
                max(0, int((a[i] - margin - low[i]) / step)), min(counts[i], int((b[i] + margin - low[i]) / step) + 2)
            )
            for i in range(3)
        )
        x, y, z = (axes[i][window[i]] for i in range(3))
        d = solid.distance(x[:, None, None], y[None, :, None], z[None, None, :])
        field[window] = smooth_min(field[window], d, solid.part.blend)
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=(step, step, step), gradient_direction="descent")
    vertices = (vertices + low).astype(np.float32)
    # Weights by nearness to each label's parts.
    labels = sorted({p.label for p in parts})
    nearest = np.full((len(vertices), len(labels)), np.float32(1e3))
    for solid in all_solids:
        d = solid.distance(vertices[:, 0], vertices[:, 1], vertices[:, 2])
        column = labels.index(solid.part.label)
        nearest[:, column] = np.minimum(nearest[:, column], d)
    sharp = np.exp(-(nearest - nearest.min(1, keepdims=True)) / np.float32(0.35 * step))
    weights = sharp / sharp.sum(1, keepdims=True)
    normals = vertex_normals(vertices, faces.astype(np.uint32))
    return vertices, faces.astype(np.uint32), normals, labels, weights.astype(np.float32)


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
