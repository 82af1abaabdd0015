"""Meshes seen from above and from below: heights over a grid, where one comes to rest on another, the volume's middle.

All of it is geometry of two meshes, metres, z up; nothing is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CELLS = 256
"""Cells of a height field along the longest side of what it covers."""
_POOL = 8
_CONTACT = 0.03
"""Share of the lower body's height by which what still counts as support may be lower than the highest contact."""


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


def _pooled(values: NDArray[np.float64], first: tuple[int, int], highest: bool) -> tuple[Array, tuple[int, int]]:
    """Return the highest (or lowest) of each square of cells, squares aligned with the grid's origin."""
    empty = -np.inf if highest else np.inf
    (column, row), (rows, columns) = first, values.shape
    before = row % _POOL, column % _POOL
    after = -(rows + before[0]) % _POOL, -(columns + before[1]) % _POOL
    padded = np.pad(values, ((before[0], after[0]), (before[1], after[1])), constant_values=empty)
    squares = padded.reshape(padded.shape[0] // _POOL, _POOL, padded.shape[1] // _POOL, _POOL)
    return (squares.max((1, 3)) if highest else squares.min((1, 3))), (column // _POOL, row // _POOL)


def _gaps(top: Array, bottom: Array, row: int, column: int) -> tuple[Array, int, int]:
    """Return how far the upper body (its bottom, its first cell at this row and column of the lower's top) reaches
    into the lower one, over the cells that both cover, and the first of these rows and columns."""
    r0, c0 = max(row, 0), max(column, 0)
    r1, c1 = min(row + bottom.shape[0], top.shape[0]), min(column + bottom.shape[1], top.shape[1])
    if r1 <= r0 or c1 <= c0:
        return np.empty((0, 0)), r0, c0
    return top[r0:r1, c0:c1] - bottom[r0 - row : r1 - row, c0 - column : c1 - column], r0, c0


def rest(
    lower: tuple[Array, Array], upper: tuple[Array, Array], lower_middle: Array, upper_middle: Array
) -> NDArray[np.float64]:
    """Return the move (3,) of the upper mesh after which it lies on the lower one, touching it from above.

    Of the places where its middle is over the lower mesh, one is taken that is low, central, and where what it touches
    is near its middle. Height is exact to what a cell hides (`CELLS`).

    Args:
        lower, upper: vertices (V, 3) and faces (F, 3).
        lower_middle, upper_middle: points (3,) whose x and y are the middles of their volumes.
    """
    sizes = [np.ptp(np.asarray(mesh[0], float), axis=0) for mesh in (lower, upper)]
    cell = max(float(max(size[:2].max() for size in sizes)) / CELLS, 1e-4)
    over, under = field(*lower, cell), field(*upper, cell)
    top, first_low = _pooled(over.top, over.first, True)
    bottom, first_up = _pooled(under.bottom, under.first, False)
    step = cell * _POOL
    home = np.floor(np.asarray(lower_middle)[:2] / step).astype(int)  # column, row
    mine = np.floor(np.asarray(upper_middle)[:2] / step).astype(int)
    spread = max(float(sizes[0][:2].max()), 1e-6)
    rows, columns = np.nonzero(np.isfinite(top))
    best: tuple[float, int, int] | None = None
    for row, column in zip((rows + first_low[1]).tolist(), (columns + first_low[0]).tolist(), strict=True):
        # The upper's middle comes to this cell of the lower.
        shift = (row - int(mine[1]), column - int(mine[0]))
        gaps, r0, c0 = _gaps(top, bottom, first_up[1] + shift[0] - first_low[1], first_up[0] + shift[1] - first_low[0])
        known = np.isfinite(gaps)
        if not known.any():
            continue
        height = float(gaps[known].max())
        near = np.argwhere(known & (gaps > height - _CONTACT * max(float(sizes[0][2]), step)))
        contact = near.mean(0) + np.array([r0 + first_low[1], c0 + first_low[0]])
        lean = float(np.hypot(contact[0] - row, contact[1] - column)) * step
        away = float(np.hypot(row - home[1], column - home[0])) * step
        score = height + 1.5 * lean + 0.5 * away * (1 + away / spread)
        if best is None or score < best[0]:
            best = score, shift[1], shift[0]
    across = np.zeros(2, int) if best is None else np.array(best[1:]) * _POOL
    if best is None:  # nothing of the lower is wide enough for a cell: middle over middle
        across = np.round((np.asarray(lower_middle) - upper_middle)[:2] / cell).astype(int)
    gaps, _, _ = _gaps(
        over.top, under.bottom, under.first[1] + int(across[1]) - over.first[1],
        under.first[0] + int(across[0]) - over.first[0],
    )  # fmt: skip
    known = np.isfinite(gaps)
    height = float(gaps[known].max()) if known.any() else float(lower[0][:, 2].max() - upper[0][:, 2].min())
    return np.array([across[0] * cell, across[1] * cell, height])
