"""The per-picture outcomes of a result as arrays, lined up between models. All comparisons start here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.evaluation.dictionaries import word_codes
from torchmultiverse.evaluation.ranking import LeaderboardRow, leaderboard_rows, task_title
from torchmultiverse.evaluation.result import AVERAGE, Result
from torchmultiverse.scenes import level_words

_WORDS = ("model", "task", "setting", "scope", "metric", "label", "prediction", "cluster")


@dataclass(frozen=True)
class Rows:
    """Outcomes of one model on one question; arrays are (N,), in the order of the pictures.

    Attributes:
        index: row of the picture in the dataset, ascending; a picture that several settings show comes once for each.
        correct: in [0, 1].
        clusters: the independent group of each row, as a number; all differ where rows are independent.
        clustered: whether rows share clusters.
        labels, predictions: what was true and what was said.
        confidence: probability that the model gave to what it said, or NaN.
    """

    index: NDArray[np.int64]
    correct: NDArray[np.float64]
    clusters: NDArray[np.int64]
    clustered: bool
    labels: NDArray[Any]
    predictions: NDArray[Any]
    confidence: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.index)


class RowView:
    """The rows of a result, found by model and question without copying the table.

    Args:
        result: of one or more models on one dataset.
    """

    def __init__(self, result: Result) -> None:
        self.result = result
        self._names: dict[str, list[str]] = {}
        self._codes: dict[str, NDArray[np.int64]] = {}
        for name in _WORDS:
            self._codes[name], self._names[name] = word_codes(result.rows[name])
        self._index = result.rows["index"].to_numpy()
        self._correct = result.rows["correct"].to_numpy()
        self._confidence = result.rows["confidence"].to_numpy()
        self._known: dict[tuple[str, ...], Rows | None] = {}
        self._factors: dict[str, NDArray[Any]] = {}

    @classmethod
    def of(cls, result: Result | RowView) -> RowView:
        """Return the view of a result, or the view that was given: making one reads all rows."""
        return result if isinstance(result, RowView) else cls(result)

    @cached_property
    def questions(self) -> list[LeaderboardRow]:
        """The lines of the leaderboard without the average."""
        return [line for line in leaderboard_rows(self.result) if line.task != AVERAGE]

    @cached_property
    def _of_settings(self) -> list[LeaderboardRow]:
        rows = leaderboard_rows(self.result, pool=False)
        return [line for line in rows if line.task != AVERAGE and line.setting != "all"]

    def title(self, line: LeaderboardRow) -> str:
        """Return what a question is called for people."""
        return task_title(self.result, line.task, line.metric, line.setting)

    def fitting(
        self, task: str | None = None, metric: str | None = None, setting: str | None = None
    ) -> list[LeaderboardRow]:
        """Return the lines of the leaderboard of a task, a metric and a setting, all settings pooled without one.

        A task is given by its name, or by the title that tables have.

        Raises:
            DatasetError: there is none.
        """
        lines = self.questions if setting is None else self._of_settings
        mine = self._of_task(lines, task)
        fits = [q for q in mine if _fits(metric, q.metric) and _fits(setting, q.setting)]
        if fits:
            return fits
        tasks = {q.task for q in self.questions}
        if task is not None and not mine and task not in tasks | {q.setting for q in self.questions}:
            raise _unknown("task", task, tasks)
        of = "" if task is None else f" of the task '{task}'"
        settings = {q.setting for q in mine}
        if setting is not None and setting not in settings:
            raise _unknown("setting", setting, settings, of)
        raise _unknown("metric", str(metric), {q.metric for q in mine if _fits(setting, q.setting)}, of)

    def _of_task(self, lines: Sequence[LeaderboardRow], task: str | None) -> list[LeaderboardRow]:
        """Return the lines of a task, by its name, a setting's, or what tables call it."""
        named = [line for line in lines if task in (None, line.task, line.setting)]
        return named or [line for line in lines if task is not None and self._called(line, task)]

    def _called(self, line: LeaderboardRow, title: str) -> bool:
        called = (self.result.task(line.task).title, self.title(line), line.title)
        return title.casefold() in (one.casefold() for one in called)

    def question(
        self, task: str | None, metric: str | None = None, setting: str | None = None, models: Sequence[str] = ()
    ) -> LeaderboardRow:
        """Return the first line of the leaderboard that fits and that all of some models were asked.

        Raises:
            DatasetError: there is none.
        """
        fits = self.fitting(task, metric, setting)
        for line in fits:
            if all(self.rows(model, line) is not None for model in models):
                return line
        raise not_asked(models, self.title(fits[0]) if len(fits) == 1 else None)

    def rows(self, model: str, line: LeaderboardRow) -> Rows | None:
        """Return the outcomes of a model on a question, all its settings together; ``None`` if it was not asked."""
        key = (model, line.task, line.metric, line.setting)
        if key not in self._known:
            self._known[key] = self._rows(model, line)
        return self._known[key]

    def _rows(self, model: str, line: LeaderboardRow) -> Rows | None:
        wanted = {"model": model, "task": line.task, "metric": line.metric, "scope": "plain"}
        if line.setting != "all":
            wanted["setting"] = line.setting
        keep = np.ones(len(self._index), bool)
        for name, value in wanted.items():
            if value not in self._names[name]:
                return None
            keep &= self._codes[name] == self._names[name].index(value)
        at = np.flatnonzero(keep)
        if not len(at):
            return None
        at = at[np.lexsort((self._codes["setting"][at], self._index[at]))]
        codes = self._codes["cluster"][at]
        independent = np.array([name == "" for name in self._names["cluster"]])
        clustered = not independent[codes].all()
        clusters = codes if clustered else np.arange(len(at), dtype=np.int64)
        words = {name: np.array(self._names[name], object)[self._codes[name][at]] for name in ("label", "prediction")}
        return Rows(
            self._index[at],
            self._correct[at],
            clusters,
            clustered,
            words["label"],
            words["prediction"],
            self._confidence[at],
        )

    def cluster_words(self, rows: Rows, prefix: str) -> NDArray[np.object_]:
        """Return the names of the clusters of rows, (N,), which other results may share; of independent rows others.

        Args:
            rows: of this view.
            prefix: of the names where rows are independent.
        """
        if rows.clustered:
            return np.array(self._names["cluster"], object)[rows.clusters]
        return np.array([f"{prefix}:{number}" for number in range(len(rows))], object)

    def levels(
        self, index: NDArray[np.int64], factors: Sequence[str] | None = None, most: int = 200
    ) -> dict[str, NDArray[Any]]:
        """Return the levels of each factor that varies over some pictures, as words, (N,) each.

        Args:
            index: rows of the dataset.
            factors: columns; by default all with no more than ``most`` levels, of those that say the same the first.
            most: see there.

        Raises:
            DatasetError: no such factor.
        """
        names = self.result.factors.column_names
        for name in factors or ():
            if name not in names:
                raise QuestionError(f"the result has no factor '{name}'.{nearest(name, names)}")
        found: dict[str, NDArray[Any]] = {}
        for name in factors or names:
            words = self._words(name)[index]
            count = len(set(words))
            if count > 1 and (factors is not None or count <= most):
                found[name] = words
        if factors is None:
            for first, second in combinations(list(found), 2):
                if first in found and second in found and _same(found[first], found[second]):
                    del found[second]  # under two names, every finding would come twice
        return found

    def _words(self, factor: str) -> NDArray[Any]:
        if factor not in self._factors:
            self._factors[factor] = level_words(factor, self.result.factors[factor].to_pylist())
        return self._factors[factor]

    def pair(self, first: str, second: str, line: LeaderboardRow) -> tuple[Rows, Rows] | None:
        """Return the outcomes of two models on the pictures that both were asked about, lined up."""
        one, two = self.rows(first, line), self.rows(second, line)
        if one is None or two is None:
            return None
        if len(one) == len(two) and (one.index == two.index).all():
            return one, two
        shared = np.intersect1d(one.index, two.index)
        if not len(shared) or len(np.unique(one.index)) < len(one) or len(np.unique(two.index)) < len(two):
            return None
        return _only(one, shared), _only(two, shared)


def _fits(wanted: str | None, name: str) -> bool:
    return wanted is None or wanted == name


def _unknown(what: str, name: str, known: set[str], of: str = "") -> DatasetError:
    near = nearest(name, sorted(known)) if known else " There is only one."
    return DatasetError(f"no {what} '{name}'{of}.{near}")


def not_asked(models: Sequence[str], title: str | None) -> DatasetError:
    """Return the error that a question, or any at all, was not put to some models."""
    names = " and ".join(f"'{name}'" for name in dict.fromkeys(models))
    if title is None:
        return DatasetError(f"there is no task that {names} were asked")
    return DatasetError(f"not all of {names} were asked '{title}'")


def _same(one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Return whether each level of one factor goes with one level of the other."""
    count = len(set(one))
    return count == len(set(two)) == len(set(zip(one, two, strict=True)))


def _only(rows: Rows, shared: NDArray[np.int64]) -> Rows:
    at = np.searchsorted(rows.index, shared)
    return Rows(
        rows.index[at],
        rows.correct[at],
        rows.clusters[at],
        rows.clustered,
        rows.labels[at],
        rows.predictions[at],
        rows.confidence[at],
    )
