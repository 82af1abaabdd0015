"""From outcomes to the cells of the long table. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.evaluation.dictionaries import words
from torchmultiverse.evaluation.outcomes import TaskOutcome
from torchmultiverse.evaluation.result import AVERAGE
from torchmultiverse.scenes import BLANK
from torchmultiverse.stats import Interval, Intervals, coded


def summarise(scored: Sequence[TaskOutcome], intervals: Intervals) -> Iterator[dict[str, Any]]:
    """Yield the cells of the long table of one model: per setting, pooled settings, levels, and the average."""
    groups: dict[tuple[str, str, str], list[TaskOutcome]] = {}
    for item in scored:
        groups.setdefault((item.task.name, item.task.scope, item.metric), []).append(item)
    parts: list[tuple[NDArray[np.float64], NDArray[Any]]] = []
    chances: list[float] = []
    known = _Levels()
    for (task, scope, metric), items in groups.items():
        for number, (setting, members) in enumerate(_settings(items)):
            name = {"task": task, "setting": setting, "scope": scope, "metric": metric}
            candidates = max(member.candidates for member in members)
            cells = list(_cells(members, known))
            found = intervals.of_means((cell.values, cell.clusters) for cell in cells)
            for (factor, level, values, clusters, chance), interval in zip(cells, found, strict=True):
                n = len(values)
                count = n if clusters is None else int(np.count_nonzero(np.bincount(clusters)))
                yield {
                    **name, "factor": factor, "level": level, "n": n, "clusters": count, "candidates": candidates,
                    "correct": (correct := float(values.sum())), **_accuracy(correct / n, interval), "chance": chance,
                }  # fmt: skip
                if factor == "all" and any(item.in_average for item in items) and not number:
                    own = _names(members) if clusters is not None else [f"{task}:{i}" for i in range(n)]
                    parts.append((values, np.asarray(own, object)))
                    chances.append(chance)
    if len(parts) > 1:
        yield _average(parts, chances, intervals)


def _settings(items: list[TaskOutcome]) -> list[tuple[str, list[TaskOutcome]]]:
    """Return the settings of a task and what became of each; all of them pooled come first."""
    settings = [(item.task.setting or "all", [item]) for item in items]
    # Readings are of the same images: pooling them would count each image several times.
    return settings if len(items) < 2 or items[0].task.readings else [("all", items), *settings]


def _average(
    parts: list[tuple[NDArray[np.float64], NDArray[Any]]], chances: Sequence[float], intervals: Intervals
) -> dict[str, Any]:
    """Return the cell of the mean over tasks."""
    accuracy = float(np.mean([values.mean() for values, _ in parts]))
    return {
        "task": AVERAGE, "setting": "all", "scope": "plain", "metric": "mean", "factor": "all", "level": "all",
        "n": sum(len(values) for values, _ in parts),
        "clusters": len({name for _, clusters in parts for name in clusters.tolist()}),
        "candidates": 0,
        "correct": float(sum(values.sum() for values, _ in parts)),
        **_accuracy(accuracy, intervals.of_average(parts)),
        "chance": float(np.mean(chances)),
    }  # fmt: skip


def _accuracy(accuracy: float, interval: Interval) -> dict[str, Any]:
    return {"accuracy": accuracy, "low": interval.low, "high": interval.high, "interval": interval.method}


def _names(members: Sequence[TaskOutcome]) -> NDArray[Any]:
    """Return the clusters of all rows by their names, which tasks share."""
    return np.concatenate([member.task.clusters for member in members if member.task.clusters is not None])


class _Cell(NamedTuple):
    """Factor, level, outcomes, clusters and chance."""

    factor: str
    level: str
    values: NDArray[np.float64]
    clusters: NDArray[np.int64] | None
    chance: float


class _Levels:
    """The levels of columns of words, found once for each column: several cells ask for the same."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[NDArray[Any], list[str], NDArray[np.int64]]] = {}

    def of(self, columns: Sequence[NDArray[Any]]) -> tuple[list[str], NDArray[np.int64]]:
        """Return what `coded` does of columns one after the other."""
        every = [self._one(column) for column in columns]
        levels = sorted({level for own, _ in every for level in own})
        place = {level: number for number, level in enumerate(levels)}
        return levels, np.concatenate(
            [np.array([place[name] for name in own], np.int64)[codes] for own, codes in every]
        )

    def _one(self, column: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
        if id(column) not in self._known:  # the column is kept, so that its number is no other's
            self._known[id(column)] = (column, *coded(column))
        return self._known[id(column)][1:]


def _cells(members: Sequence[TaskOutcome], known: _Levels) -> Iterator[_Cell]:
    """Yield the cells of some settings taken together."""
    values = np.concatenate([member.outcome.correct for member in members])
    chance = np.concatenate([np.full(len(member.task.rows), member.chance) for member in members])
    clusters = None
    if members[0].task.clusters is not None:
        clusters = known.of([member.task.clusters for member in members if member.task.clusters is not None])[1]
    yield _Cell("all", "all", values, clusters, float(chance.mean()))
    for factor in members[0].task.factors:
        count = len(members[0].task.factors[factor])
        levels, every = known.of([member.task.factors[factor][i] for i in range(count) for member in members])
        codes = every.reshape(count, -1)
        for code, level in enumerate(levels):
            if level in (BLANK, ""):
                continue
            inside = np.flatnonzero((codes == code).any(0))
            yield _Cell(
                factor,
                level,
                values[inside],
                None if clusters is None else clusters[inside],
                float(chance[inside].mean()),
            )


def row_parts(scored: Sequence[TaskOutcome], ids: NDArray[Any]) -> Iterator[dict[str, Any]]:
    """Yield the per-picture outcomes of each task, columns of ``result.ROWS`` but for the model."""
    names = pa.array(ids, pa.string())
    known: dict[int, tuple[Any, pa.Array]] = {}  # of rows and of clusters, which several tasks share

    def once(values: NDArray[Any], made: Callable[[NDArray[Any]], pa.Array]) -> pa.Array:
        if id(values) not in known:  # they are kept, so that their number is no other's
            known[id(values)] = values, made(values)
        return known[id(values)][1]

    for item in scored:
        rows, clusters = item.task.rows, item.task.clusters
        yield {
            "task": item.task.name,
            "setting": item.task.setting or "all",
            "scope": item.task.scope,
            "metric": item.metric,
            "index": rows,
            "scene_id": once(rows, lambda some: words(some, names)),
            "label": item.labels,
            "prediction": item.predictions,
            "cluster": ""
            if clusters is None
            else once(clusters, lambda some: pa.array(some, pa.string()).dictionary_encode()),
            "margin": item.outcome.margin,
            "confidence": item.outcome.confidence,
            "correct": item.outcome.correct,
        }
