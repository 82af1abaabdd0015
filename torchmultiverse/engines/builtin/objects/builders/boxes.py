"""Boxes with rounded edges."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin.mesh import Mesh, grid_faces, smooth_normals
from torchmultiverse.engines.builtin.objects.builders import Point, Shape, Vector, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, join, wound


class Box(Shape):
    """A box standing on z = 0.

    Attributes:
        size: along x, y, z. ``r``: radius of all edges. ``seg``: segments of a rounded edge.
        taper: size of the top over that of the bottom, along x and y. ``bulge``: how far each side swells in its
            middle (a cushion, an old fridge), in the object's units. ``fine``: segments of a flat side, for bulges.
    """

    size: Vector
    r: float = Field(default=0.01, ge=0)
    seg: int = Field(default=3, ge=1, le=16)
    taper: Point = (1.0, 1.0)
    bulge: float | Vector = 0.0
    fine: int = Field(default=1, ge=1, le=64)


@builder("box", Box)
def rounded_box(s: Box) -> Built:
    """Return the box; a picture is on each of its sides whole."""
    half = np.asarray(s.size, float) / 2
    if half.min() <= 0:
        raise ValueError(f"size = {s.size}; each must be above 0")
    r = min(s.r, half.min() * 0.999)
    bulge = np.broadcast_to(np.asarray(s.bulge, float), 3)
    fine = max(s.fine, 8) if bulge.any() else s.fine
    corner = np.tan(np.linspace(0, np.pi / 4, s.seg + 1))  # of 0 to 1, even angles
    axes = []
    for h in half:
        flat = np.linspace(-h + r, h - r, fine + 1)[1:-1]
        axes.append(np.concatenate([-h + r - r * corner[::-1], flat, h - r + r * corner]))
    pieces = []
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        for sign in (-1, 1):
            u, w = np.meshgrid(axes[j], axes[k], indexing="ij")
            p = np.zeros((*u.shape, 3))
            p[..., i], p[..., j], p[..., k] = sign * half[i], u, w
            inner = np.clip(p, -(half - r), half - r)
            normal = p - inner
            length = np.linalg.norm(normal, axis=-1, keepdims=True)
            facing = np.eye(3)[i] * sign
            normal = np.where(length > 1e-12, normal / np.maximum(length, 1e-12), facing)
            x = inner + r * normal
            if bulge.any():
                x = x * (1 + bulge / half * _dome(x / half))
            z = (x[..., 2:] + half[2]) / (2 * half[2])
            x[..., :2] *= 1 + (np.asarray(s.taper) - 1) * z
            # To the right and up as it is seen from outside.
            right, up = {0: (sign * x[..., 1], x[..., 2]), 1: (-sign * x[..., 0], x[..., 2])}.get(
                i, (x[..., 0], sign * x[..., 1])
            )
            uv = np.stack([right, up], -1)
            span = np.maximum(np.ptp(uv.reshape(-1, 2), axis=0), 1e-9)
            unit = (uv - uv.reshape(-1, 2).min(0)) / span
            mesh = Mesh(
                (x + np.array([0, 0, half[2]])).reshape(-1, 3).astype(np.float32),
                grid_faces(*u.shape),
                normal.reshape(-1, 3).astype(np.float32),
                uv.reshape(-1, 2).astype(np.float32),
            )
            mesh = wound(mesh)
            assert mesh.normals is not None
            if bulge.any() or s.taper != (1.0, 1.0):
                smooth = smooth_normals(mesh)
                edge = np.abs(normal.reshape(-1, 3) - facing).max(1) > 1e-6
                normals = np.where(edge[:, None], mesh.normals, smooth).astype(np.float32)
                mesh = Mesh(mesh.vertices, mesh.faces, normals, mesh.uv)
            pieces.append(Built(mesh, unit.reshape(-1, 2).astype(np.float32)))
    return join(pieces)


def _dome(q: Array) -> Array:
    """Return for points of the cube from -1 to 1 how far along each axis a side has swollen: 1 at its middle."""
    rest = np.clip(1 - q**2, 0, 1)
    return np.asarray(np.stack([rest[..., (i + 1) % 3] * rest[..., (i + 2) % 3] for i in range(3)], -1))
