"""Where and how one body comes to rest on another, so that it truly lies on it.

Geometry of two meshes, metres, z up; nothing is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from torchmultiverse.engines.builtin.footprint import Field, field, flooded
from torchmultiverse.engines.builtin.stances import Array, Body, beside, laid, stands

SAG = 0.12
"""Share of the upper body's height that may hang down beside the other, below where it rests."""
_CELLS = 160
"""Cells of a height field along the longer of two bodies."""
_POOL = 5
_TRIED = 6
_LAID = 0.15
"""What it costs to lay the upper body, in metres of hanging down."""
_CARRIER_LAID = 0.8
"""What it costs to lay a lower body that stands by itself."""
_QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class _Grid:
    """A body's heights: exact, and the highest (top) and lowest (bottom) of squares of cells."""

    body: Body
    exact: Field
    top: Array
    bottom: Array
    first: tuple[int, int]
    stable: bool

    @cached_property
    def hollow(self) -> Array:
        """Which of the exact cells lie in a hollow."""
        return _hollows(self.exact.top)

    @cached_property
    def hollow_squares(self) -> Array:
        """Which of the squares of cells lie in a hollow."""
        return _hollows(self.top)


@dataclass(frozen=True)
class _Rest:
    """A place of the upper body: the move (3,) to it, how bad it is, and whether it is good enough."""

    move: Array
    score: float
    good: bool


def rest(upper: Body, lower: Body, ground: float) -> tuple[Body, Body]:
    """Return the upper and the lower body after the upper was laid on the lower, which stands on the ground.

    Both keep their stance where the upper can rest so: on what stands by itself, touching it from above, its middle
    over what it touches, nothing of it hanging down beside (hollows of the lower aside) and nothing in the ground.
    Otherwise one or both are laid down, as each lies stably, and the best of these is taken.

    Args:
        upper, lower: where their own coordinates put them. ground: height of the ground.
    """
    # Of the longest diagonal, so that bodies may be turned and still have fields of one grid.
    cell = max(*(float(np.linalg.norm(b.high - b.low)) / 1.4 / _CELLS for b in (upper, lower)), 1e-4)
    own, carrier = _grid(upper, cell), _grid(lower.grounded(ground), cell)
    best, chosen = _settled(own, carrier, ground), (own, carrier)

    def attempt(uppers: list[_Grid], lowers: list[_Grid], cost: float) -> None:
        nonlocal best, chosen
        for above, below in product(uppers, lowers):
            found = _settled(above, below, ground)
            if (not found.good, found.score + cost) < (not best.good, best.score):
                best, chosen = _Rest(found.move, found.score + cost, found.good), (above, below)

    if not best.good:
        lying = [_grid(one, cell) for one in laid(upper)]
        attempt(lying, [carrier], _LAID)
        if not best.good:  # across a hollow, or a thing that is long and narrow
            attempt([_grid(one.body.turned(_QUARTER), cell) for one in lying], [carrier], _LAID)
        if not best.good:
            lowers = [_grid(one.grounded(ground), cell) for one in laid(lower)]
            attempt([own], lowers, _CARRIER_LAID * carrier.stable)
            attempt(lying, lowers, _LAID + _CARRIER_LAID * carrier.stable)
    found = chosen[0].body.moved(best.move)
    # What may not be turned and fits nowhere is held above the ground.
    return found.moved(np.array([0, 0, max(0.0, ground - float(found.low[2]))])), chosen[1].body


def _grid(body: Body, cell: float) -> _Grid:
    exact = field(body.vertices, body.faces, cell)
    top, first = _pooled(exact.top, exact.first, True)
    bottom, _ = _pooled(exact.bottom, exact.first, False)
    top, bottom = top.astype(np.float32), bottom.astype(np.float32)
    return _Grid(body, exact, top, bottom, first, stands(body.vertices, body.middle))


def _pooled(values: Array, first: tuple[int, int], highest: bool) -> tuple[Array, tuple[int, int]]:
    """Return the highest (or lowest) of each square of cells, squares aligned with the grid's origin."""
    empty = -np.inf if highest else np.inf
    (column, row), (rows, columns) = first, values.shape
    before = row % _POOL, column % _POOL
    after = -(rows + before[0]) % _POOL, -(columns + before[1]) % _POOL
    padded = np.pad(values, ((before[0], after[0]), (before[1], after[1])), constant_values=empty)
    squares = padded.reshape(padded.shape[0] // _POOL, _POOL, padded.shape[1] // _POOL, _POOL)
    return (squares.max((1, 3)) if highest else squares.min((1, 3))), (column // _POOL, row // _POOL)


def _hollows(top: Array) -> Array:
    """Return which squares lie in a hollow, as water would stand in it, a border of one square included."""
    known = np.isfinite(top)
    floor = float(top[known].min())
    heights = np.pad(np.where(known, top, floor), 1, constant_values=floor)
    return np.asarray((flooded(heights) - heights > 0.02)[1:-1, 1:-1] & known)


def _settled(upper: _Grid, lower: _Grid, ground: float) -> _Rest:
    """Return the best place of one body on the other, both in the stances that they have.

    Of the places where its middle is over the lower body. Height is exact to what a cell hides.
    """
    step = upper.exact.cell * _POOL
    top, bottom = lower.top, upper.bottom
    rows, columns = np.nonzero(np.isfinite(top))
    home = lower.body.middle[:2] / step - np.array(lower.first) - 0.5  # column, row
    mine = np.floor(upper.body.middle[:2] / step).astype(int) - np.array(upper.first)
    size, tall = upper.body.high - upper.body.low, float(np.ptp(lower.body.vertices[:, 2]))
    height, width = bottom.shape
    margin = ((height, height), (width, width))
    at = rows + height - mine[1], columns + width - mine[0]
    # (places, rows of the upper, its columns)
    under = sliding_window_view(np.pad(top, margin, constant_values=-np.inf), bottom.shape)[at]
    hollow = sliding_window_view(np.pad(lower.hollow_squares, margin), bottom.shape)[at]
    gaps = under - bottom
    up = gaps.max((1, 2))
    if not (known := np.isfinite(up)).any():
        return _Rest(np.array([0, 0, float(top.max() - bottom.min())]), np.inf, False)
    gaps, under, hollow, up, rows, columns = (one[known] for one in (gaps, under, hollow, up, rows, columns))
    touching = gaps > (up - step)[:, None, None]
    count = np.maximum(touching.sum((1, 2)), 1)
    contact = np.where(touching, under, -np.inf).max((1, 2))
    sag = np.maximum(contact - np.where(hollow, np.inf, bottom).min((1, 2)) - up, 0)
    lines, across = np.arange(height), np.arange(width)
    y, x = touching.sum(2) @ lines / count, touching.sum(1) @ across / count
    lean = np.hypot(x - mine[0], y - mine[1]) * step
    moments = touching.sum(2) @ lines**2 / count - y**2 + touching.sum(1) @ across**2 / count - x**2
    # How wide it is supported, of what could be: by all of the smaller of the two.
    needed = 0.12 * min(float(np.hypot(*size[:2])), float(np.hypot(*np.ptp(lower.body.vertices[:, :2], axis=0))))
    narrow = np.maximum(needed - np.sqrt(np.maximum(moments, 0)) * step, 0)
    lowest = up + float(bottom.min())
    sunk = np.maximum(ground - lowest, 0)
    away = np.hypot(columns - home[0], rows - home[1]) * step
    spread = max(top.shape) * step
    overlap = np.maximum(ground + tall - lowest, 0)
    hangs = np.maximum(sag - SAG * float(size[2]) - step / 2, 0)
    score = 6 * sunk + 3 * hangs + 0.5 * sag + 1.5 * lean + 2 * narrow + 0.5 * away * (1 + away / spread)
    score += 0.3 * (lowest - ground) + 0.5 * overlap + 0.5 * (not upper.stable) + 0.5 * (not lower.stable)
    most = max(0.03, 1.2 * SAG * float(size[2]))
    best: _Rest | None = None
    for k in np.argsort(score)[:_TRIED].tolist():
        shift = np.array([columns[k] - mine[0] + lower.first[0] - upper.first[0],
                          rows[k] - mine[1] + lower.first[1] - upper.first[1]]) * _POOL  # fmt: skip
        lifted, off, patch, down = _contact(lower, upper, shift, step / 2)
        whole = float(score[k]) + 4 * max(off, 0.0) + 2 * max(1 - patch / needed, 0.0) + 3 * max(down - most, 0.0)
        good = bool(
            sunk[k] <= 0 and down <= most and patch >= needed and off <= 0.02 * float(size[:2].max())
            and upper.stable and lower.stable and overlap[k] <= 0.5 * tall
        )  # fmt: skip
        if best is None or (not good, whole) < (not best.good, best.score):
            best = _Rest(np.array([*(shift * upper.exact.cell), lifted]), whole, good)
        if good:
            break
    assert best is not None
    return best


def _contact(lower: _Grid, upper: _Grid, shift: Array, slack: float) -> tuple[float, float, float, float]:
    """Return how the upper body, moved by so many cells, touches the lower one.

    How far it has to rise for that, how far its middle is beside what it then touches, give or take a slack in height,
    how wide that is, and how far it hangs down beside or below that, but in a hollow; all in metres.
    """
    low, up = lower.exact, upper.exact
    rows, columns = np.nonzero(np.isfinite(up.bottom))
    at = rows + up.first[1] + shift[1] - low.first[1], columns + up.first[0] + shift[0] - low.first[0]
    known = (at[0] >= 0) & (at[1] >= 0) & (at[0] < low.top.shape[0]) & (at[1] < low.top.shape[1])
    free = np.ones(len(rows), bool)
    free[known] = ~lower.hollow[at[0][known], at[1][known]]
    lowest = float(up.bottom[rows, columns][free].min(initial=np.inf))
    rows, columns = rows[known], columns[known]
    gaps = low.top[at[0][known], at[1][known]] - up.bottom[rows, columns]
    if not np.isfinite(gaps).any():  # side by side, but for what a square hides
        return float(lower.top.max() - upper.bottom.min()), np.inf, 0.0, np.inf
    lifted = float(gaps.max())
    touching = gaps > lifted - slack
    points = (np.stack([columns, rows], 1)[touching] + up.first + np.array([0.5, 0.5])) * up.cell
    down = max(float(low.top[at[0][known], at[1][known]][touching].max()) - lowest - lifted, 0.0)
    return lifted, beside(points, upper.body.middle[:2]), float(np.hypot(*np.ptp(points, axis=0))), down
