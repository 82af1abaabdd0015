"""Where does a model fail? A search over combinations of factor levels for accuracy that is too low to be chance.

Every level of every factor, and every combination of levels of up to ``depth`` factors, is a slice. A slice is tested
against all other pictures: Fisher's exact test where pictures are independent; where they share clusters, Welch's t
over the sums of clusters. P-values are corrected for the whole search so that the expected share of false findings
stays below ``rate`` (Y. Benjamini and Y. Hochberg, JRSS B 1995). A combination is reported only where it is worse than
each of the slices that it refines: "Zebra in the Arena" is no finding of its own where all zebras fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.paired import RowView
from torchmultiverse.evaluation.ranking import LeaderboardRow
from torchmultiverse.evaluation.result import Result
from torchmultiverse.scenes import level_name
from torchmultiverse.stats import Intervals, LowerTailTest

RATE = 0.05
_LEAST = 8  # pictures in a slice


@dataclass(frozen=True)
class Slice:
    """Pictures that share some levels, and how the model does there.

    Attributes:
        model, task, metric: whose answers to what.
        levels: factor to level.
        n, clusters: pictures, and independent groups of them.
        accuracy, low, high: with a 95 % interval.
        rest: accuracy on all other pictures.
        p, corrected: of the slice being no worse than the rest, before and after correction.
        examples: indices of failures, at most eight, the worst first, from all over the slice.
    """

    model: str
    task: str
    metric: str
    levels: dict[str, str]
    n: int
    clusters: int
    accuracy: float
    low: float
    high: float
    rest: float
    p: float
    corrected: float
    examples: tuple[int, ...]

    def __str__(self) -> str:
        return ", ".join(f"{factor} = {level_name(level, factor)}" for factor, level in self.levels.items())


def worst_slices(
    result: Result,
    model: str,
    *,
    task: str | None = None,
    metric: str | None = None,
    setting: str | None = None,
    factors: Sequence[str] | None = None,
    depth: int = 2,
    rate: float = RATE,
    seed: int = 0,
) -> list[Slice]:
    """Return the slices where a model is significantly worse, the costliest first: most failures beyond the rest's.

    Args:
        result: of an evaluation.
        model: its name.
        task, metric, setting: the question; by default the first of the leaderboard that the model was asked, and all
            of its settings.
        factors: columns to search; by default all that vary and have no more than 200 levels.
        depth: how many factors a slice may combine.
        rate: expected share of false findings among those returned.
        seed: of the intervals.

    Raises:
        DatasetError: no such model, task or factor, or nothing to search.
    """
    result.facts(model)
    view = RowView(result)
    return slices_of(view, model, view.question(task, metric, setting, [model]), factors, depth, rate, seed)


def slices_of(
    view: RowView,
    model: str,
    line: LeaderboardRow,
    factors: Sequence[str] | None = None,
    depth: int = 2,
    rate: float = RATE,
    seed: int = 0,
) -> list[Slice]:
    """Return the slices of one question where a model is significantly worse, as `worst_slices`.

    Raises:
        DatasetError: the model was not asked, no such factor, or nothing to search.
    """
    from scipy.stats import false_discovery_control

    rows = view.rows(model, line)
    if rows is None:
        raise DatasetError(f"'{model}' was not asked '{line.task}'")
    columns = view.levels(rows.index, factors)
    if not columns:
        raise DatasetError("no factor varies that could be searched")
    clusters = rows.clusters if rows.clustered else None
    found = list(search(rows.correct, columns, clusters, depth))
    adjusted = false_discovery_control(np.array([f.p for f in found]))
    intervals = Intervals(seed)
    kept = []
    for candidate, p in zip(found, adjusted, strict=True):
        if p > rate or not candidate.beyond_parents:
            continue
        inside = candidate.mask(columns)
        values = rows.correct[inside]
        low, high, _ = intervals.of_mean(values, None if clusters is None else clusters[inside])
        at = np.flatnonzero(inside)
        wrong = at[np.argsort(rows.correct[at], kind="stable")][: int((values < 0.5).sum())]
        kept.append(
            Slice(
                model,
                line.task,
                line.metric,
                candidate.names(columns),
                len(values),
                len(values) if clusters is None else len(np.unique(clusters[inside])),
                float(values.mean()),
                low,
                high,
                float(rows.correct[~inside].mean()),
                candidate.p,
                float(p),
                tuple(int(i) for i in rows.index[wrong[:: max(1, len(wrong) // 8)]][:8]),
            )
        )
    return sorted(kept, key=lambda s: -(s.rest - s.accuracy) * s.n)


@dataclass(frozen=True)
class _TestedSlice:
    """A slice that was tested; levels are codes."""

    factors: tuple[str, ...]
    codes: tuple[int, ...]
    p: float
    beyond_parents: bool

    def names(self, columns: dict[str, NDArray[Any]]) -> dict[str, str]:
        return {f: str(np.unique(columns[f])[c]) for f, c in zip(self.factors, self.codes, strict=True)}

    def mask(self, columns: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
        names = self.names(columns)
        return np.asarray(np.all([columns[factor] == level for factor, level in names.items()], axis=0))


def search(
    correct: NDArray[np.float64],
    columns: dict[str, NDArray[Any]],
    clusters: NDArray[np.int64] | None = None,
    depth: int = 2,
) -> Iterator[_TestedSlice]:
    """Yield every slice that is large enough, with its p-value and whether it is worse than what it refines.

    Args:
        correct: outcomes in [0, 1], (N,).
        columns: levels of each factor as words, (N,) each.
        clusters: of the rows; ``None`` where they are independent.
        depth: how many factors a slice may combine.
    """
    codes = {name: np.unique(values, return_inverse=True) for name, values in columns.items()}
    n = len(correct)
    groups = None if clusters is None else np.unique(clusters, return_inverse=True)[1]
    test = LowerTailTest(correct, groups)
    for size in range(1, min(depth, len(codes)) + 1):
        for names in combinations(codes, size):
            shape = tuple(len(codes[name][0]) for name in names)
            if np.prod(shape) > 200_000:
                continue
            flat = np.ravel_multi_index(tuple(codes[name][1] for name in names), shape)
            sizes = np.bincount(flat, minlength=int(np.prod(shape)))
            cells = np.flatnonzero((sizes >= _LEAST) & (sizes < n))
            p = test.lower(flat, cells, np.ones(n, bool))
            for cell, value in zip(cells, p, strict=True):
                if not np.isfinite(value):
                    continue
                levels = tuple(int(i) for i in np.unravel_index(cell, shape))
                beyond_parents = (
                    size == 1 or value > 0.05 or _beyond_its_parts(test, codes, names, levels, flat == cell)
                )
                yield _TestedSlice(names, levels, float(value), beyond_parents)


def _beyond_its_parts(
    test: LowerTailTest, codes: dict[str, Any], names: Sequence[str], levels: Sequence[int], inside: NDArray[np.bool_]
) -> bool:
    """Return whether a combination is worse than the rest of every slice that it refines by one factor."""
    for left in range(len(names)):
        parent = np.ones(len(inside), bool)
        for i, (name, level) in enumerate(zip(names, levels, strict=True)):
            if i != left:
                parent &= codes[name][1] == level
        if (parent & ~inside).sum() == 0:
            return False
        p = test.lower(inside.astype(np.int64), np.array([1]), parent)[0]
        if not p < 0.05 / len(names):
            return False
    return True
