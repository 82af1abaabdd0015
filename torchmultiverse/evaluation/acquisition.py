"""Which pictures would tell two models apart? A plan of cells to render, from what is known of the difference so far.

Rendering ``n_c`` more pictures in cell ``c`` of weight ``w_c``, where the paired difference spreads by ``σ_c``, the
variance of the weighted difference is ``Σ w_c² σ_c² / n_c``. It is least for ``n_c ∝ w_c σ_c`` (J. Neyman, JRSS 1934):
cells in which the two models disagree more get more pictures. How many in all follows from the difference to be
shown. Pictures are taken as independent: where new ones show the same few animals, more are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.paired import RowView, not_asked
from torchmultiverse.evaluation.result import Result
from torchmultiverse.stats import LEVEL, POWER


@dataclass(frozen=True)
class AcquisitionCell:
    """Pictures of one combination of levels.

    Attributes:
        levels: factor to level.
        n: pictures there so far.
        difference: accuracy of the second model minus that of the first, there.
        disagreement: fraction of pictures that exactly one of the two got right.
        to_render: pictures to render there.
    """

    levels: dict[str, str]
    n: int
    difference: float
    disagreement: float
    to_render: int


@dataclass(frozen=True)
class AcquisitionPlan:
    """What to render to tell two models apart.

    Attributes:
        first, second, task, metric: who and what.
        difference: so far, second minus first.
        power: probability that a test at 5 % would find such a difference with the pictures so far.
        needed: pictures in all, spread as proposed, for a probability of 80 %; 0 where the difference is zero.
        needed_uniform: the same, spread evenly.
        cells: where, most pictures first.
    """

    first: str
    second: str
    task: str
    metric: str
    difference: float
    power: float
    needed: int
    needed_uniform: int
    cells: list[AcquisitionCell]
    setting: str = ""

    def filters(self) -> list[str]:
        """Return the cells as filters of a design, ``--where`` and ``only``."""
        return [
            ", ".join(f"{factor} = {level}" for factor, level in c.levels.items()) for c in self.cells if c.to_render
        ]


def next_renders(
    result: Result,
    first: str,
    second: str,
    *,
    task: str | None = None,
    metric: str | None = None,
    setting: str | None = None,
    factors: Sequence[str] | None = None,
    difference: float | None = None,
) -> AcquisitionPlan:
    """Return which cells to render to show a difference between two models.

    Args:
        result: holds both.
        first, second: names of models.
        task, metric, setting: the question; by default the first of the leaderboard that both were asked, and all of
            its settings.
        factors: whose levels make the cells; by default the one over whose levels the models differ most.
        difference: to be shown; by default the one seen so far.

    Raises:
        DatasetError: no such model, task or factor, or nothing varies.
    """
    from scipy.stats import norm

    result.facts(first), result.facts(second)
    view = RowView(result)
    fits = view.fitting(task, metric, setting)
    asked = ((line, both) for line in fits if (both := view.pair(first, second, line)) is not None)
    line, both = next(asked, (None, None))
    if line is None or both is None:
        raise not_asked((first, second), view.title(fits[0]) if len(fits) == 1 else None)
    gap = both[1].correct - both[0].correct
    columns = view.levels(both[0].index, factors)
    if not columns:
        raise DatasetError("no factor varies whose levels could make cells")
    if factors is None:
        columns = _most_variable(columns, gap)
    levels = np.array([" | ".join(v) for v in zip(*columns.values(), strict=True)], object)
    names, inverse, sizes = np.unique(levels, return_inverse=True, return_counts=True)
    weights = np.full(len(names), 1 / len(names))
    means = np.bincount(inverse, gap) / sizes
    # One disagreement and one agreement more than seen: a cell with three pictures is not known to be certain.
    squares = (np.bincount(inverse, gap**2) + 1) / (sizes + 2)
    std = np.sqrt(np.maximum(squares - means**2, squares * 0.1))
    seen = float((weights * means).sum())
    wanted = abs(seen if difference is None else difference)
    error = float(np.sqrt((weights**2 * std**2 / sizes).sum()))
    quantile = float(norm.isf((1 - LEVEL) / 2))
    needed, needed_uniform, target = _needed(weights, std, wanted, quantile)
    to_render = np.maximum(0, np.ceil(target - sizes)).astype(int)
    if wanted > 1e-9 and not to_render.any():
        needed = min(needed, int(sizes.sum()))
    cells = [
        AcquisitionCell(
            dict(zip(columns, str(names[i]).split(" | "), strict=True)),
            int(sizes[i]),
            float(means[i]),
            float((np.abs(gap[inverse == i]) > 0.5).mean()),
            int(to_render[i]),
        )
        for i in np.argsort(-to_render, kind="stable")
    ]
    power = float(norm.cdf(wanted / error - quantile)) if error > 0 else 1.0
    return AcquisitionPlan(
        first, second, line.task, line.metric, seen, power, needed, needed_uniform, cells, line.setting
    )


def _most_variable(columns: Mapping[str, NDArray[Any]], gap: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """Return the factor over whose levels the mean gap varies most."""
    variances = {}
    for name, values in columns.items():
        inverse = np.unique(values, return_inverse=True)[1]
        means = np.bincount(inverse, gap) / np.bincount(inverse)
        variances[name] = float(np.var(means[inverse]))
    best = max(variances, key=lambda name: variances[name])
    return {best: columns[best]}


def _needed(
    weights: NDArray[np.float64], std: NDArray[np.float64], difference: float, quantile: float
) -> tuple[int, int, NDArray[np.float64]]:
    """Return how many pictures show a difference, allocated best and evenly, and the best number of each cell, (C,)."""
    from scipy.stats import norm

    if difference <= 1e-9:
        return 0, 0, np.zeros(len(weights))
    factor = (quantile + float(norm.isf(1 - POWER))) ** 2 / difference**2
    needed = int(np.ceil(factor * float((weights * std).sum()) ** 2))
    uniform = int(np.ceil(factor * float((weights**2 * std**2).sum()) * len(weights)))
    return needed, uniform, needed * weights * std / (weights * std).sum()
