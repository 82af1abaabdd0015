"""Which pictures would tell two models apart? A plan of cells to render, from what is known of the difference so far.

Rendering ``n_c`` more pictures in cell ``c`` of weight ``w_c``, where the paired difference spreads by ``σ_c``, the
variance of the weighted difference is ``Σ w_c² σ_c² / n_c``. It is least for ``n_c ∝ w_c σ_c`` (J. Neyman, JRSS 1934):
cells in which the two models disagree more get more pictures. How many in all follows from the difference to be shown.
Pictures are taken as independent: where new ones show the same few animals, more are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluate.paired import RowView
from torchmultiverse.evaluate.result import Result
from torchmultiverse.stats import LEVEL, POWER


@dataclass(frozen=True)
class Cell:
    """Pictures of one combination of levels.

    Attributes:
        levels: factor to level.
        n: pictures there so far.
        difference: accuracy of the second model minus that of the first, there.
        disagree: share of pictures that exactly one of the two got right.
        more: pictures to render there.
    """

    levels: dict[str, str]
    n: int
    difference: float
    disagree: float
    more: int


@dataclass(frozen=True)
class Plan:
    """What to render to tell two models apart.

    Attributes:
        first, second, task, metric: who and what.
        difference: so far, second minus first.
        p_now: probability that a test at 5 % would find such a difference with the pictures so far.
        needed: pictures in all, spread as proposed, for a probability of 80 %; 0 where the difference is zero.
        needed_evenly: the same, spread evenly.
        cells: where, most pictures first.
    """

    first: str
    second: str
    task: str
    metric: str
    difference: float
    p_now: float
    needed: int
    needed_evenly: int
    cells: list[Cell]

    def filters(self) -> list[str]:
        """Return the cells as filters of a design, ``--where`` and ``only``."""
        return [", ".join(f"{factor} = {level}" for factor, level in c.levels.items()) for c in self.cells if c.more]


def next_renders(
    result: Result,
    first: str,
    second: str,
    task: str | None = None,
    metric: str | None = None,
    factors: Sequence[str] | None = None,
    difference: float | None = None,
) -> Plan:
    """Return which cells to render to show a difference between two models.

    Args:
        result: holds both.
        first, second: names of models.
        task, metric: the question; by default the first of the leaderboard.
        factors: whose levels make the cells; by default the one over whose levels the models differ most.
        difference: to be shown; by default the one seen so far.

    Raises:
        DatasetError: no such model, task or factor, or nothing varies.
    """
    result.facts(first), result.facts(second)
    view = RowView(result)
    line = view.question(task, metric)
    both = view.pair(first, second, line)
    if both is None:
        raise DatasetError(f"'{first}' and '{second}' were not both asked '{view.title(line)}'")
    gap = both[1].correct - both[0].correct
    columns = view.levels(both[0].index, factors)
    if not columns:
        raise DatasetError("no factor varies whose levels could make cells")
    if factors is None:
        spread = {}
        for name, values in columns.items():
            inverse = np.unique(values, return_inverse=True)[1]
            means = np.bincount(inverse, gap) / np.bincount(inverse)
            spread[name] = float(np.var(means[inverse]))
        columns = {name: columns[name] for name in sorted(spread, key=lambda n: -spread[n])[:1]}
    levels = np.array([" | ".join(v) for v in zip(*columns.values(), strict=True)], object)
    names, inverse, sizes = np.unique(levels, return_inverse=True, return_counts=True)
    weights = np.full(len(names), 1 / len(names))
    means = np.bincount(inverse, gap) / sizes
    # One disagreement and one agreement more than seen: a cell with three pictures is not known to be certain.
    squares = (np.bincount(inverse, gap**2) + 1) / (sizes + 2)
    sigma = np.sqrt(np.maximum(squares - means**2, squares * 0.1))
    seen = float((weights * means).sum())
    wanted = abs(seen if difference is None else difference)
    now = float(np.sqrt((weights**2 * sigma**2 / sizes).sum()))
    best, evenly = float((weights * sigma).sum()) ** 2, float((weights**2 * sigma**2).sum()) * len(names)
    factor = (_z(1 - (1 - LEVEL) / 2) + _z(POWER)) ** 2
    needed = int(np.ceil(factor * best / wanted**2)) if wanted > 1e-9 else 0
    evenly_needed = int(np.ceil(factor * evenly / wanted**2)) if wanted > 1e-9 else 0
    target = needed * weights * sigma / (weights * sigma).sum()
    more = np.maximum(0, np.ceil(target - sizes)).astype(int)
    if wanted > 1e-9 and not more.any():
        needed = min(needed, int(sizes.sum()))
    cells = [
        Cell(
            dict(zip(columns, str(names[i]).split(" | "), strict=True)),
            int(sizes[i]),
            float(means[i]),
            float((np.abs(gap[inverse == i]) > 0.5).mean()),
            int(more[i]),
        )
        for i in np.argsort(-more, kind="stable")
    ]
    power = _phi(wanted / now - _z(1 - (1 - LEVEL) / 2)) if now > 0 else 1.0
    return Plan(first, second, line.task, line.metric, seen, power, needed, evenly_needed, cells)


def _z(p: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(p))


def _phi(z: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(z))
