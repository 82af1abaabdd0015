"""From a task and scores to what became of its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluate.scoring import Outcome, first_of_best, half_scores, retrieval, two_way
from torchmultiverse.evaluate.spar import Task
from torchmultiverse.models import FloatArray

_CHUNK = 8_000_000  # scores held at once
Scores = Callable[[NDArray[np.int64]], FloatArray]
"""Positions within a task to the scores of all candidates, (len, K)."""


@dataclass(frozen=True)
class Scored:
    """Outcomes of one model on one task; arrays are (N,).

    Attributes:
        task: what was asked.
        metric: ``top1`` or ``hard_negative``.
        outcome: what became of each picture.
        labels, predictions: captions or classes.
        chance: accuracy of a blind guess.
        candidates: how many answers there were.
    """

    task: Task
    metric: str
    outcome: Outcome
    labels: NDArray[Any]
    predictions: NDArray[Any]
    chance: float
    candidates: int


def both(task: Task, scores: FloatArray) -> Iterator[Scored]:
    """Yield what became of a task, and of its hard negatives, by the scores of all candidates, (N, K)."""
    yield top1(task, scores.__getitem__)
    if task.negatives is not None:
        rows = np.arange(len(task.rows))
        yield hard_negative(task, scores[rows, task.labels], scores[rows, task.negatives])


def top1(task: Task, scores: Scores, scale: float | None = None) -> Scored:
    """Score a task against all candidates, a block of pictures at a time."""
    step = max(1, _CHUNK // len(task.candidates))
    parts = []
    for start in range(0, len(task.rows), step):
        part = np.arange(start, min(start + step, len(task.rows)))
        parts.append(retrieval(scores(part), task.labels[part], scale=scale))
    outcome = Outcome(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    names = np.array(task.candidates, dtype=object)
    return Scored(
        task, "top1", outcome, names[task.labels], names[outcome.prediction], task.chance, len(task.candidates)
    )


def published(
    task: Task, images: FloatArray, captions: FloatArray, negative_first: NDArray[np.bool_] | None, top5: bool
) -> Iterator[Scored]:
    """Score a task in half precision, the first of equal scores winning."""
    names = np.array(task.candidates, dtype=object)
    step = max(1, _CHUNK // len(task.candidates))
    metrics = (("top1", 1), ("top5", 5))[: 2 if top5 and len(task.candidates) > 5 else 1]
    parts: dict[str, list[Outcome]] = {metric: [] for metric, _ in metrics}
    for start in range(0, len(task.rows), step):
        part = slice(start, start + step)
        scores = half_scores(images[part], captions)
        for metric, among in metrics:
            parts[metric].append(first_of_best(scores, task.labels[part], among))
    for metric, among in metrics:
        outcome = Outcome(*(np.concatenate(columns) for columns in zip(*parts[metric], strict=True)))
        chance = min(1.0, among / len(task.candidates))
        yield Scored(task, metric, outcome, names[task.labels], names[outcome.prediction], chance, len(task.candidates))
    if task.negatives is None or negative_first is None:
        return
    pair = np.empty((len(task.rows), 2), np.float32)
    for row in range(len(task.rows)):
        order = [task.labels[row], task.negatives[row]]
        pair[row] = half_scores(images[row : row + 1], captions[order[::-1] if negative_first[row] else order])[0]
    outcome = first_of_best(pair, negative_first.astype(np.int64))
    chosen = np.where(outcome.correct > 0, task.labels, task.negatives)
    yield Scored(task, "hard_negative", outcome, names[task.labels], names[chosen], 0.5, 2)


def hard_negative(
    task: Task, true: NDArray[np.float32], other: NDArray[np.float32], scale: float | None = None
) -> Scored:
    """Score true captions against hard negatives, (N,) scores each."""
    assert task.negatives is not None
    outcome = two_way(true, other, scale=scale)
    names = np.array(task.candidates, dtype=object)
    chosen = np.where(outcome.prediction == 0, task.labels, task.negatives)
    return Scored(task, "hard_negative", outcome, names[task.labels], names[chosen], 0.5, 2)
