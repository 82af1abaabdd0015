"""Balls sewn from panels."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin.mesh import Mesh, grid_faces, smooth_normals
from torchmultiverse.engines.builtin.objects.builders import Shape, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, join, wound


class Panels(Shape):
    """The panels of a ball of radius ``r`` about the origin, each a little lower at its seams.

    Attributes:
        of: ``pentagons`` or ``hexagons`` of a truncated icosahedron, or the ``strips`` of a cube's six faces.
        strips: of each face; ``which`` of them (counted from 0) are made, by default all.
        groove: how deep the seams are, a share of the radius. ``swirl`` twists each face's strips, degrees.
        fine: segments of a panel's side.
    """

    r: float = Field(default=0.5, gt=0)
    of: Literal["pentagons", "hexagons", "strips"]
    strips: int = Field(default=3, ge=1, le=9)
    which: list[int] | None = None
    groove: float = Field(default=0.02, ge=0, le=0.3)
    swirl: float = 0.0
    fine: int = Field(default=10, ge=2, le=60)


def _icosahedron() -> Array:
    golden = (1 + 5**0.5) / 2
    points: list[tuple[float, float, float]] = [(0.0, a, b * golden) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    points += [(a, b * golden, 0.0) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    points += [(b * golden, 0.0, a) for a in (-1.0, 1.0) for b in (-1.0, 1.0)]
    corners = np.asarray(points)
    return np.asarray(corners / np.linalg.norm(corners[0]))


def _polygons(pentagons: bool) -> list[Array]:
    """Return the corners of the pentagons, or of the hexagons, of a truncated icosahedron."""
    corners = _icosahedron()
    far = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    near = (far > 0) & (far < 1.2)
    found = []
    if pentagons:
        for k, corner in enumerate(corners):
            found.append(np.stack([(2 * corner + corners[j]) / 3 for j in np.flatnonzero(near[k])]))
    else:
        for i in range(12):
            for j in range(i + 1, 12):
                for k in range(j + 1, 12):
                    if near[i, j] and near[j, k] and near[i, k]:
                        trio = (i, j, k)
                        found.append(
                            np.stack([(2 * corners[p] + corners[q]) / 3 for p in trio for q in trio if p != q])
                        )
    ordered = []
    for polygon in found:
        middle = polygon.mean(0)
        x = polygon[0] - middle
        y = np.cross(middle, x)
        y *= np.linalg.norm(x) / np.linalg.norm(y)
        ordered.append(polygon[np.argsort(np.arctan2((polygon - middle) @ y, (polygon - middle) @ x))])
    return ordered


def _panel(points: Array, edge: Array, s: Panels, rows: int) -> Built:
    """Return a grid of directions (N, 3) as a piece of the ball; ``edge`` (N,) is 0 in its middle and 1 at its seam."""
    out = points / np.linalg.norm(points, axis=-1, keepdims=True)
    vertices = out * (s.r * (1 - s.groove * edge**10))[:, None]
    mesh = Mesh(vertices.astype(np.float32), grid_faces(rows, len(points) // rows), out.astype(np.float32))
    mesh = wound(mesh)
    normals = smooth_normals(mesh)
    uv = np.stack([np.arctan2(out[:, 1], out[:, 0]), np.arcsin(np.clip(out[:, 2], -1, 1))], -1) * s.r
    return Built(Mesh(mesh.vertices, mesh.faces, normals, uv.astype(np.float32)))


@builder("panels", Panels)
def panels(s: Panels) -> Built:
    """Return the panels as one mesh."""
    pieces = []
    t = np.linspace(0, 1, s.fine + 1)
    if s.of != "strips":
        for polygon in _polygons(s.of == "pentagons"):
            middle = polygon.mean(0)
            for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
                side = a + (b - a) * t[:, None]
                grid = middle + (side - middle)[None] * np.maximum(t, 1e-4)[:, None, None]
                pieces.append(_panel(grid.reshape(-1, 3), np.repeat(t, s.fine + 1), s, s.fine + 1))
        return join(pieces)
    across = np.linspace(-1, 1, 2 * s.fine + 1)
    for axis in range(3):
        for sign in (-1.0, 1.0):
            for k in range(s.strips) if s.which is None else s.which:
                own = np.linspace(-1, 1, s.fine + 1)
                v = -1 + 2 * (k + (own + 1) / 2) / s.strips
                u, w = np.meshgrid(across, v, indexing="ij")
                edge = np.maximum(np.abs(u), np.abs(own)[None])
                turn = np.radians(s.swirl) * (1 - np.maximum(np.abs(u), np.abs(w)) ** 2)
                u, w = u * np.cos(turn) - w * np.sin(turn), u * np.sin(turn) + w * np.cos(turn)
                p = np.zeros((*u.shape, 3))
                p[..., axis] = sign
                p[..., (axis + 1) % 3], p[..., (axis + 2) % 3] = np.tan(np.pi / 4 * u), np.tan(np.pi / 4 * w)
                pieces.append(_panel(p.reshape(-1, 3), edge.ravel(), s, len(across)))
    return join(pieces)
