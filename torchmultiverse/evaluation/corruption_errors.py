"""Errors of a model under corruptions, and what follows from them: means, rises, and errors relative to another model.

Pictures of one group (asset, class) are resampled together, the same for plain and corrupted pictures and for all
models, so that a rise or a ratio has the interval of what is paired. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.paired import RowView
from torchmultiverse.evaluation.ranking import LeaderboardRow
from torchmultiverse.evaluation.result import AVERAGE, Result
from torchmultiverse.stats import MIN_CLUSTERS, Intervals, coded, expanded_tail, wilson

PLAIN = ("", 0)
"""The condition of pictures that are not corrupted."""
Condition = tuple[str, int]
"""Name of a corruption and severity."""


class Estimate(NamedTuple):
    """A number with its 95 % interval; ``None`` where too few groups say nothing."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ModelErrors:
    """What became of one model.

    Attributes:
        model, question: name of the model, and what it was asked.
        chance: error of a blind guess.
        n: pictures, of all tasks.
        conditions: what was asked under, K of them; `PLAIN` first where plain pictures were asked.
        cells: error under each, with the interval of its own.
        wrong: errors by condition, task and group, summed, (K, T, G).
        sizes: pictures by task and group, (T, G).
    """

    model: str
    question: str
    chance: float
    n: int
    conditions: tuple[Condition, ...]
    cells: Mapping[Condition, Estimate]
    wrong: NDArray[np.float64]
    sizes: NDArray[np.float64]

    @property
    def groups(self) -> int:
        """Number of independent groups."""
        return int(self.sizes.shape[1])

    @property
    def names(self) -> tuple[str, ...]:
        """Corruptions, in their order."""
        return tuple(dict.fromkeys(name for name, _ in self.conditions if name))

    @property
    def severities(self) -> tuple[int, ...]:
        """Severities, rising."""
        return tuple(sorted({severity for name, severity in self.conditions if name}))

    def errors(self) -> dict[Condition, float]:
        """Return the error under every condition: the mean over tasks."""
        points = (self.wrong.sum(2) / self.sizes.sum(1)).mean(1)
        return dict(zip(self.conditions, points.tolist(), strict=True))

    def draws(self, intervals: Intervals) -> dict[Condition, NDArray[np.float64]]:
        """Return the error under every condition in each resample of groups, (R,) each."""
        weights = intervals.weights(self.groups)
        sizes = weights @ self.sizes.T
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = [((weights @ wrong.T) / sizes).mean(1) for wrong in self.wrong]
        return dict(zip(self.conditions, drawn, strict=True))


Statistic = Callable[[Mapping[Condition, Any]], Any]
"""From errors by condition, numbers or arrays of resamples, to a number or an array."""


def estimate(errors: ModelErrors, intervals: Intervals, statistic: Statistic, bounded: bool = True) -> Estimate:
    """Return a statistic of the errors of a model with its interval over groups.

    Args:
        errors: of the model.
        intervals: of the run.
        statistic: of errors by condition.
        bounded: whether it is a share from 0 to 1, for which agreement of all groups leaves Wilson's interval.
    """
    value = float(statistic(errors.errors()))
    return _with_ends(value, statistic(errors.draws(intervals)), errors.groups, bounded, intervals.level)


def relative(first: ModelErrors, second: ModelErrors, intervals: Intervals, statistic: Statistic) -> Estimate | None:
    """Return the ratio of a statistic of two models, with its interval where both were asked the same groups.

    ``None`` where that of the second is 0: nothing can be so many times nothing.
    """
    below = float(statistic(second.errors()))
    if below <= 0:
        return None
    value = float(statistic(first.errors())) / below
    if first.sizes.shape != second.sizes.shape or not np.array_equal(first.sizes, second.sizes):
        return Estimate(value, None, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = statistic(first.draws(intervals)) / statistic(second.draws(intervals))
    return _with_ends(value, drawn, first.groups, False, intervals.level)


def mean_error(names: Sequence[str], severities: Sequence[int]) -> Statistic:
    """Return the statistic that is the mean error over corruptions and severities."""
    return lambda errors: (
        sum(errors[name, severity] for name in names for severity in severities) / (len(names) * len(severities))
    )


def rise(names: Sequence[str], severities: Sequence[int]) -> Statistic:
    """Return the statistic that is the mean error under corruptions minus that of plain pictures."""
    under = mean_error(names, severities)
    return lambda errors: under(errors) - errors[PLAIN]


def corruption_error(
    errors: Mapping[Condition, Any], baseline: Mapping[Condition, Any], names: Sequence[str], severities: Sequence[int]
) -> Any:
    """Return the mean corruption error (mCE) relative to a baseline, 1 where both are alike.

    CE of a corruption is the sum of errors over severities over that of the baseline; mCE its mean over corruptions.

    Args:
        errors, baseline: by name and severity; numbers, or arrays of resamples.
        names, severities: which.

    Source: Hendrycks and Dietterich 2019, section 3.2.

    >>> errors = {("fog", 1): 0.2, ("fog", 2): 0.4, ("snow", 1): 0.5, ("snow", 2): 0.5}
    >>> twice = {key: 2 * value for key, value in errors.items()}
    >>> round(corruption_error(errors, twice, ["fog", "snow"], [1, 2]), 3)
    0.5
    """
    ratios = [sum(errors[n, s] for s in severities) / sum(baseline[n, s] for s in severities) for n in names]
    return sum(ratios) / len(ratios)


def relative_corruption_error(
    errors: Mapping[Condition, Any], baseline: Mapping[Condition, Any], names: Sequence[str], severities: Sequence[int]
) -> Any:
    """Return the relative mCE: the same of rises above the error of plain pictures.

    Source: Hendrycks and Dietterich 2019, section 3.2.
    """

    def rise_of(values: Mapping[Condition, Any], name: str) -> Any:
        return sum(values[name, severity] - values[PLAIN] for severity in severities)

    return sum(rise_of(errors, name) / rise_of(baseline, name) for name in names) / len(names)


def mean_ratio(
    first: ModelErrors, second: ModelErrors, intervals: Intervals, names: Sequence[str], severities: Sequence[int]
) -> Estimate | None:
    """Return the mCE of a model relative to another of the same run, with its interval over groups."""
    base = second.errors()
    if any(sum(base[name, severity] for severity in severities) <= 0 for name in names):
        return None
    value = float(corruption_error(first.errors(), base, names, severities))
    if first.sizes.shape != second.sizes.shape or not np.array_equal(first.sizes, second.sizes):
        return Estimate(value, None, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = corruption_error(first.draws(intervals), second.draws(intervals), names, severities)
    return _with_ends(value, drawn, first.groups, False, intervals.level)


def against_published(
    errors: ModelErrors, published: Mapping[Condition, float], intervals: Intervals, names: Sequence[str],
    severities: Sequence[int],
) -> Estimate:  # fmt: skip
    """Return the mCE of a model relative to published errors, which are taken as they are."""
    return estimate(errors, intervals, lambda e: corruption_error(e, published, names, severities), bounded=False)


def _with_ends(value: float, drawn: Any, groups: int, bounded: bool, level: float) -> Estimate:
    draws = np.asarray(drawn, np.float64)
    draws = draws[np.isfinite(draws)]
    if groups < MIN_CLUSTERS or len(draws) < 100:
        return Estimate(value, None, None)
    if np.ptp(draws) < 1e-9:
        return Estimate(value, *wilson(value * groups, groups, level)) if bounded else Estimate(value, None, None)
    tail = expanded_tail(groups, level)
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value))


def model_errors(results: Mapping[Condition, Result], model: str, task: str | None = None) -> ModelErrors:
    """Return the errors of a model in the results of one dataset under several conditions.

    Where a protocol has several tasks, the error is one minus the average of the leaderboard.

    Args:
        results: by condition, of the same rows.
        model: name.
        task: one task, by its name or title, instead of the average.

    Raises:
        DatasetError: no such task, or results of other rows.
    """
    views = {condition: RowView(result) for condition, result in results.items()}
    first = next(iter(views.values()))
    lines = _lines(first, model, task)
    parts = [first.rows(model, line) for line in lines]
    rows = [part for part in parts if part is not None]
    groups = _groups([(line.task, one.clusters, one.clustered) for line, one in zip(lines, rows, strict=True)])
    count = int(max(codes.max() for codes in groups)) + 1
    sizes = np.array([np.bincount(codes, minlength=count) for codes in groups], np.float64)
    wrong, cells = [], {}
    for condition, view in views.items():
        mine = [view.rows(model, line) for line in lines]
        sums = []
        for of, codes, one in zip(rows, groups, mine, strict=True):
            if one is None or not np.array_equal(of.index, one.index):
                raise DatasetError(f"'{model}': other pictures under {condition[0] or 'no corruption'} than before")
            sums.append(np.bincount(codes, 1 - one.correct, count))
        wrong.append(sums)
        cells[condition] = _cell(results[condition], model, lines)
    title = first.title(lines[0]) if len(lines) == 1 else f"average of {len(lines)} tasks"
    return ModelErrors(
        model, title, 1 - float(np.mean([line.chance for line in lines])), sum(len(one) for one in rows),
        tuple(results), cells, np.array(wrong, np.float64), sizes,
    )  # fmt: skip


def _lines(view: RowView, model: str, task: str | None) -> list[LeaderboardRow]:
    """Return what the leaderboard's average is taken over, or one question."""
    if task is not None:
        return [view.question(task, models=[model])]
    asked: dict[tuple[str, str], LeaderboardRow] = {}
    for line in view.questions:
        if line.metric != "top5" and line.chance < 1 and view.rows(model, line) is not None:
            asked.setdefault((line.task, line.metric), line)
    if not asked:
        raise DatasetError(f"'{model}' was asked nothing whose answers differ")
    return list(asked.values())


def _cell(result: Result, model: str, lines: Sequence[LeaderboardRow]) -> Estimate:
    """Return the error of a result with the interval that the leaderboard has."""
    found = result.cells(model=model, task=AVERAGE) if len(lines) > 1 else []
    line = lines[0]
    found = found or result.cells(
        model=model, task=line.task, metric=line.metric, setting=line.setting, factor="all", scope="plain"
    )
    cell = found[0]
    return Estimate(1 - cell["accuracy"], 1 - cell["high"], 1 - cell["low"])


def _groups(parts: Sequence[tuple[str, NDArray[np.int64], bool]]) -> list[NDArray[np.int64]]:
    """Return the group of each row of each task as a number; tasks share groups by their names."""
    words = [
        np.array([f"{code}" if clustered else f"{task}:{code}" for code in codes.tolist()], object)
        for task, codes, clustered in parts
    ]
    codes = coded(np.concatenate(words))[1]
    return np.split(codes, np.cumsum([len(one) for one in words])[:-1])
