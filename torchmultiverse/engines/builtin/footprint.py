"""Meshes seen from above and from below: heights over a grid, and the middle of the volume.

All of it is geometry of two meshes, metres, z up; nothing is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Field:
    """The highest (``top``) and the lowest (``bottom``) point of a mesh over each cell of a grid in x and y.

    Attributes:
        top, bottom: (rows along +y, columns along +x), metres; -inf and +inf where there is nothing.
        first: numbers of the first column and the first row; cell k has its middle at ``(k + 0.5) * cell``.
        cell: side of a cell, metres.
    """

    top: NDArray[np.float64]
    bottom: NDArray[np.float64]
    first: tuple[int, int]
    cell: float


def field(vertices: Array, faces: Array, cell: float) -> Field:
    """Return the height field of a mesh.

    Args:
        vertices: (V, 3). faces: (F, 3). cell: side of a cell, metres.
    """
    points = np.asarray(vertices, float)
    flat = points[:, :2] / cell
    low = np.floor(flat.min(0)).astype(int)
    columns, rows = (np.floor(flat.max(0)).astype(int) - low + 1).tolist()
    top, bottom = np.full(rows * columns, -np.inf), np.full(rows * columns, np.inf)
    corners = points[faces]
    plane = corners[..., :2] / cell - low
    start = np.ceil(plane.min(1) - 0.5).astype(np.int64)
    span = np.maximum(np.floor(plane.max(1) - 0.5).astype(np.int64) - start + 1, 0)
    count = span[:, 0] * span[:, 1]
    which = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    x = start[which, 0] + within % span[which, 0]
    y = start[which, 1] + within // span[which, 0]
    a, b, c = (plane[which, k] for k in range(3))
    u, v = b - a, c - a
    p = np.stack([x + 0.5, y + 0.5], 1) - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    area = np.where(np.abs(area) < 1e-12, np.inf, area)
    s = (p[:, 0] * v[:, 1] - p[:, 1] * v[:, 0]) / area
    t = (u[:, 0] * p[:, 1] - u[:, 1] * p[:, 0]) / area
    hit = (s >= -1e-9) & (t >= -1e-9) & (s + t <= 1 + 1e-9) & np.isfinite(area)
    which, s, t, at = which[hit], s[hit], t[hit], (y * columns + x)[hit]
    z = corners[..., 2]
    height = z[which, 0] * (1 - s - t) + z[which, 1] * s + z[which, 2] * t
    np.maximum.at(top, at, height)
    np.minimum.at(bottom, at, height)
    return Field(top.reshape(rows, columns), bottom.reshape(rows, columns), (int(low[0]), int(low[1])), cell)


def centre_of_mass(vertices: Array, faces: Array) -> NDArray[np.float64]:
    """Return the middle (3,) of a body of even density that fills all between its lowest and its highest surface.

    So no mesh needs to be closed; a handle, a cable or a tail weighs little, and a vessel is as if it were full.

    Args:
        vertices: (V, 3). faces: (F, 3).
    """
    points = np.asarray(vertices, float)
    low, high = points.min(0), points.max(0)
    cell = max(float((high - low)[:2].max()) / 128, 1e-4)
    found = field(points, faces, cell)
    rows, columns = np.nonzero(np.isfinite(found.top))
    if not len(rows):
        return np.asarray((low + high) / 2)
    top, bottom = found.top[rows, columns], found.bottom[rows, columns]
    weight = top - bottom + cell / 8  # a sheet weighs something, too
    places = np.stack(
        [(columns + found.first[0] + 0.5) * cell, (rows + found.first[1] + 0.5) * cell, (top + bottom) / 2]
    )
    return np.asarray((places * weight).sum(1) / weight.sum())


def flooded(heights: Array) -> Array:
    """Return the level up to which water would stand over each cell of heights (R, C), at most, without running off."""
    from skimage.morphology import reconstruction

    seed = np.full_like(heights, heights.max())
    seed[0], seed[-1], seed[:, 0], seed[:, -1] = heights[0], heights[-1], heights[:, 0], heights[:, -1]
    return np.asarray(reconstruction(seed, heights, method="erosion"))
