"""From outcomes to the cells of the long table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluate.outcomes import TaskOutcome
from torchmultiverse.evaluate.result import AVERAGE
from torchmultiverse.scenes import BLANK
from torchmultiverse.stats import Intervals


def summarise(scored: Sequence[TaskOutcome], intervals: Intervals) -> Iterator[dict[str, Any]]:
    """Yield the cells of the long table of one model: per setting, pooled settings, levels, and the average."""
    groups: dict[tuple[str, str, str], list[TaskOutcome]] = {}
    for item in scored:
        groups.setdefault((item.task.name, item.task.scope, item.metric), []).append(item)
    parts: list[tuple[NDArray[np.float64], NDArray[Any]]] = []
    chances: list[float] = []
    for (task, scope, metric), items in groups.items():
        # Readings are of the same images: pooling them would count each image several times.
        pooled = len(items) > 1 and not items[0].task.readings
        settings = [(item.task.setting or "all", [item]) for item in items]
        if pooled:
            settings = [("all", items), *settings]
        for setting, members in settings:
            name = {"task": task, "setting": setting, "scope": scope, "metric": metric}
            for factor, level, values, clusters, chance in _cells(members):
                low, high, method = intervals.of_mean(values, clusters)
                n = len(values)
                yield {
                    **name,
                    "factor": factor,
                    "level": level,
                    "n": n,
                    "clusters": n if clusters is None else len(set(clusters)),
                    "candidates": max(member.candidates for member in members),
                    "correct": float(values.sum()),
                    "accuracy": float(values.mean()),
                    "low": low,
                    "high": high,
                    "interval": method,
                    "chance": chance,
                }
                if factor == "all" and items[0].in_average and setting == settings[0][0]:
                    own = np.array([f"{task}:{i}" for i in range(n)], dtype=object)
                    parts.append((values, own if clusters is None else _names(members)))
                    chances.append(chance)
    if len(parts) > 1:
        low, high, method = intervals.of_average(parts)
        yield {
            **{"task": AVERAGE, "setting": "all", "scope": "plain", "metric": "mean", "factor": "all"},
            "level": "all",
            "n": sum(len(values) for values, _ in parts),
            "clusters": len({cluster for _, clusters in parts for cluster in clusters}),
            "candidates": 0,
            "correct": float(sum(values.sum() for values, _ in parts)),
            "accuracy": float(np.mean([values.mean() for values, _ in parts])),
            "low": low,
            "high": high,
            "interval": method,
            "chance": float(np.mean(chances)),
        }


def _names(members: Sequence[TaskOutcome]) -> NDArray[Any]:
    """Return the clusters of all rows by their names, which tasks share."""
    return np.concatenate([member.task.clusters for member in members if member.task.clusters is not None])


def _cells(
    members: Sequence[TaskOutcome],
) -> Iterator[tuple[str, str, NDArray[np.float64], NDArray[Any] | None, float]]:
    """Yield factor, level, outcomes, clusters and chance of some settings taken together."""
    values = np.concatenate([member.outcome.correct for member in members])
    chance = np.concatenate([np.full(len(member.task.rows), member.chance) for member in members])
    clusters = None
    if members[0].task.clusters is not None:
        names = np.concatenate([member.task.clusters for member in members if member.task.clusters is not None])
        clusters = np.unique(names.astype(str), return_inverse=True)[1]
    yield "all", "all", values, clusters, float(chance.mean())
    for factor in members[0].task.factors:
        columns = [
            np.concatenate([member.task.factors[factor][i] for member in members]).astype(str)
            for i in range(len(members[0].task.factors[factor]))
        ]
        levels, codes = np.unique(np.stack(columns), return_inverse=True)
        codes = codes.reshape(len(columns), -1)
        for code, level in enumerate(levels.tolist()):
            if level in (BLANK, ""):
                continue
            inside = (codes == code).any(0)
            yield (
                factor,
                level,
                values[inside],
                None if clusters is None else clusters[inside],
                float(chance[inside].mean()),
            )


def row_parts(scored: Sequence[TaskOutcome], ids: NDArray[Any]) -> Iterator[dict[str, Any]]:
    """Yield the per-picture outcomes of each task, columns of ``result.ROWS`` but for the model."""
    for item in scored:
        yield {
            "task": item.task.name,
            "setting": item.task.setting or "all",
            "scope": item.task.scope,
            "metric": item.metric,
            "index": item.task.rows,
            "scene_id": ids[item.task.rows],
            "label": item.labels,
            "prediction": item.predictions,
            "cluster": "" if item.task.clusters is None else item.task.clusters,
            "margin": item.outcome.margin,
            "confidence": item.outcome.confidence,
            "correct": item.outcome.correct,
        }
