"""Errors of a model under corruptions, and what follows from them: means, rises, and errors relative to another model.

Pictures of one group (asset, class) are resampled together, the same for plain and corrupted pictures and for all
models, so that a rise or a ratio has the interval of what is paired. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.paired import Rows, RowView
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
class Answers:
    """What one task asked of a model; N answers.

    Attributes:
        task: what tells it from others that count for themselves.
        setting: how answers were read, such as ``class names`` or ``any-of-set``.
        chance: accuracy of a blind guess.
        index: row of each picture in the dataset, (N,), ascending.
        groups: name of the independent group of each, (N,).
        wrong: errors by condition, (K, N).
    """

    task: str
    setting: str
    chance: float
    index: NDArray[np.int64]
    groups: NDArray[np.object_]
    wrong: NDArray[np.float64]

    def only(self, kept: NDArray[np.int64], groups: NDArray[np.object_]) -> Answers:
        """Return some of the answers, in groups that are given."""
        return replace(self, index=self.index[kept], groups=groups, wrong=self.wrong[:, kept])


@dataclass(frozen=True)
class ModelErrors:
    """What became of one model.

    Attributes:
        model, question: name of the model, and what it was asked.
        chance: error of a blind guess.
        conditions: what was asked under, K of them; `PLAIN` first where plain pictures were asked.
        cells: error under each, with the interval of its own.
        tasks: answers of each task, T of them.
    """

    model: str
    question: str
    chance: float
    conditions: tuple[Condition, ...]
    cells: Mapping[Condition, Estimate]
    tasks: tuple[Answers, ...]

    @property
    def answers(self) -> int:
        """Number of answers, of all tasks: a picture that several tasks ask about counts in each."""
        return sum(len(one.index) for one in self.tasks)

    @property
    def pictures(self) -> int:
        """Number of different pictures."""
        return len(np.unique(np.concatenate([one.index for one in self.tasks])))

    @cached_property
    def _codes(self) -> list[NDArray[np.int64]]:
        codes = coded(np.concatenate([one.groups for one in self.tasks]))[1]
        return np.split(codes, np.cumsum([len(one.index) for one in self.tasks])[:-1])

    @cached_property
    def sizes(self) -> NDArray[np.float64]:
        """Answers by task and group, (T, G)."""
        count = int(max(codes.max() for codes in self._codes)) + 1
        return np.array([np.bincount(codes, minlength=count) for codes in self._codes], np.float64)

    @cached_property
    def wrong(self) -> NDArray[np.float64]:
        """Errors by condition, task and group, summed, (K, T, G)."""
        count = self.sizes.shape[1]
        return np.array(
            [[np.bincount(codes, one.wrong[k], count) for one, codes in zip(self.tasks, self._codes, strict=True)]
             for k in range(len(self.conditions))], np.float64,
        )  # fmt: skip

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
    """Return the ratio of a statistic of two models on the pictures that both were asked about, with its interval.

    ``None`` where that of the second is 0: nothing can be so many times nothing.

    Raises:
        DatasetError: as of `common_answers`.
    """
    first, second = common_answers(first, second)
    below = float(statistic(second.errors()))
    if below <= 0:
        return None
    value = float(statistic(first.errors())) / below
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = statistic(first.draws(intervals)) / statistic(second.draws(intervals))
    return _with_ends(value, drawn, first.groups, False, intervals.level)


def common_answers(first: ModelErrors, second: ModelErrors) -> tuple[ModelErrors, ModelErrors]:
    """Return two models on the pictures that both were asked about, task by task, in the groups of the first.

    Raises:
        DatasetError: no task asked both about the same picture.
    """
    theirs = {one.task: one for one in second.tasks}
    pairs = [_common(one, theirs[one.task]) for one in first.tasks if one.task in theirs]
    kept = [pair for pair in pairs if len(pair[0].index)]
    if not kept:
        raise DatasetError(f"'{first.model}' and '{second.model}' were asked about no picture that both have")
    return replace(first, tasks=tuple(one for one, _ in kept)), replace(second, tasks=tuple(two for _, two in kept))


def _common(one: Answers, two: Answers) -> tuple[Answers, Answers]:
    if np.array_equal(one.index, two.index):
        return one, replace(two, groups=one.groups)
    shared = np.intersect1d(one.index, two.index)
    for answers in (one, two):
        if len(np.unique(answers.index)) < len(answers.index):
            shared = shared[:0]  # which of several answers about a picture go together is not known
    mine, other = np.searchsorted(one.index, shared), np.searchsorted(two.index, shared)
    groups = one.groups[mine]
    return one.only(mine, groups), two.only(other, groups)


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
    """Return the mCE of a model relative to another of the same run, with its interval over groups.

    Both errors are of the pictures that both were asked about. ``None`` where the other makes no error in a type.

    Raises:
        DatasetError: as of `common_answers`.
    """
    first, second = common_answers(first, second)
    base = second.errors()
    if any(sum(base[name, severity] for severity in severities) <= 0 for name in names):
        return None
    value = float(corruption_error(first.errors(), base, names, severities))
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
    wrong = [np.empty((len(views), len(one)), np.float64) for one in rows]
    cells = {}
    for k, (condition, view) in enumerate(views.items()):
        mine = [view.rows(model, line) for line in lines]
        for errors, of, one in zip(wrong, rows, mine, strict=True):
            if one is None or not np.array_equal(of.index, one.index):
                raise DatasetError(f"'{model}': other pictures under {condition[0] or 'no corruption'} than before")
            errors[k] = 1 - one.correct
        cells[condition] = _cell(results[condition], model, lines)
    title = first.title(lines[0]) if len(lines) == 1 else f"average of {len(lines)} tasks"
    tasks = tuple(
        Answers(
            f"{line.task}, {line.metric}", line.setting, line.chance, one.index, _group_words(line.task, one), errors
        )
        for line, one, errors in zip(lines, rows, wrong, strict=True)
    )
    chance = 1 - float(np.mean([line.chance for line in lines]))
    return ModelErrors(model, title, chance, tuple(results), cells, tasks)


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


def _group_words(task: str, rows: Rows) -> NDArray[np.object_]:
    """Return the name of the group of each answer; tasks share groups by their names."""
    return np.array([f"{code}" if rows.clustered else f"{task}:{code}" for code in rows.clusters.tolist()], object)
