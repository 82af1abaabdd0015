"""From a task and the scores of its candidates to what became of its images. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.evaluation.classification import imagenet_outcome
from torchmultiverse.evaluation.dictionaries import words
from torchmultiverse.evaluation.imagenet import CLASSES
from torchmultiverse.evaluation.pairs import METRICS, winoground
from torchmultiverse.evaluation.scores import CHUNK, NO_SEARCH, Scores, Search
from torchmultiverse.evaluation.scoring import Outcome, first_of_best, joined, retrieval, two_way
from torchmultiverse.evaluation.task import Task

_AMONG = {"top1": 1, "top5": 5}


@dataclass(frozen=True)
class TaskOutcome:
    """Outcomes of one model on one task by one metric; arrays are (N,).

    Attributes:
        task: what was asked.
        metric: ``top1``, ``top5``, ``hard_negative``, ``winoground_text``, ``winoground_image``, ``winoground_group``,
            ``choice``.
        outcome: what became of each image.
        labels, predictions: captions or classes, as words.
        chance: accuracy of a blind guess.
        candidates: how many answers there were.
        search: how the best of them was found.
    """

    task: Task
    metric: str
    outcome: Outcome
    labels: pa.DictionaryArray
    predictions: pa.DictionaryArray
    chance: float
    candidates: int
    search: Search = NO_SEARCH

    @property
    def in_average(self) -> bool:
        """Whether the average of the tasks counts it.

        The best five say the same as the best one, once more; and one candidate alone is right whatever a model does.
        """
        return self.task.scope == "plain" and self.metric != "top5" and self.candidates > 1


def outcomes(task: Task, scores: Scores) -> Iterator[TaskOutcome]:
    """Yield what became of a task, by each of its metrics.

    >>> from torchmultiverse.evaluation.scores import MatrixScores
    >>> from torchmultiverse.evaluation.task import multiple_choice
    >>> task = multiple_choice("colour", [0, 1, 2], ["red", "blue", "red"])
    >>> found, = outcomes(task, MatrixScores(np.array([[0.1, 0.9], [0.8, 0.3], [0.6, 0.2]])))
    >>> found.outcome.correct.tolist(), found.predictions.tolist()
    ([1.0, 1.0, 0.0], ['red', 'blue', 'blue'])
    """
    if task.label_space is not None:
        yield _reading(task, scores)
        return
    yield from _ranked(task, scores)
    if {"hard_negative", "winoground"} & set(task.metrics):
        yield from _of_pairs(task, scores)
    if "choice" in task.metrics:
        yield _among_own(task, scores)


def _among_own(task: Task, scores: Scores) -> TaskOutcome:
    """Return the outcome of choosing among candidates that each image has of its own."""
    assert task.options is not None
    sizes = (task.options >= 0).sum(1)
    order, parts, predicted = [], [], np.empty(len(task.rows), np.int64)
    every = task.options.copy()
    every[every < 0] = np.broadcast_to(task.labels[:, None], every.shape)[every < 0]
    found = scores.chosen(every)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        outcome = retrieval(found[rows, :size], np.zeros(len(rows), np.int64), scale=scores.scale)
        predicted[rows] = task.options[rows, outcome.prediction]
        order.append(rows)
        parts.append(outcome)
    back = np.argsort(np.concatenate(order))
    every_row = joined(parts)
    outcome = Outcome(every_row.correct[back], predicted, every_row.margin[back], every_row.confidence[back])
    labels, predictions = words(task.labels, task.candidates), words(predicted, task.candidates)
    return TaskOutcome(task, "choice", outcome, labels, predictions, float((1 / sizes).mean()), int(sizes.max()))


def _reading(task: Task, scores: Scores) -> TaskOutcome:
    """Return the outcome of 1000 outputs that are read as classes."""
    space = task.label_space
    assert space is not None
    names = [task.candidates[label] for label in task.labels]
    logits = np.float32(1.0 if scores.scale is None else scores.scale) * scores.block(np.arange(len(task.rows)))
    outcome, predictions, chance = imagenet_outcome(logits, names, space.groups, space.name)
    count = len(task.candidates) if space.name == "restricted" else CLASSES
    found = pa.array(predictions, pa.string()).dictionary_encode()
    return TaskOutcome(task, "top1", outcome, words(task.labels, task.candidates), found, chance, count)


def _ranked(task: Task, scores: Scores) -> Iterator[TaskOutcome]:
    """Yield outcomes among all candidates."""
    names, count = task.candidates, len(task.candidates)
    asked: list[str] = [metric for metric in task.metrics if metric in _AMONG]
    plain = [metric for metric in asked if metric == "top1" and not scores.first_wins]
    found = {metric: scores.retrieve(task.labels, count) for metric in plain}
    if others := [metric for metric in asked if metric not in found]:
        found |= _first_of_best(task, scores, others)
    for metric in asked:
        outcome, search = found[metric]
        chance = min(1.0, _AMONG[metric] / count)
        labels, predictions = words(task.labels, names), words(outcome.prediction, names)
        yield TaskOutcome(task, metric, outcome, labels, predictions, chance, count, search)


def _first_of_best(task: Task, scores: Scores, metrics: Sequence[str]) -> dict[str, tuple[Outcome, Search]]:
    """Return outcomes by metrics where the first of equal scores wins, a block of images at a time."""
    parts: dict[str, list[Outcome]] = {metric: [] for metric in metrics}
    step = max(1, CHUNK // len(task.candidates))
    for start in range(0, len(task.rows), step):
        part = np.arange(start, min(start + step, len(task.rows)))
        block = scores.block(part)
        for metric, found in parts.items():
            found.append(first_of_best(block, task.labels[part], _AMONG[metric]))
    return {metric: (joined(found), NO_SEARCH) for metric, found in parts.items()}


def _of_pairs(task: Task, scores: Scores) -> Iterator[TaskOutcome]:
    """Yield outcomes of the true caption against the hard negative, and of pairs of images."""
    assert task.negatives is not None
    names = task.candidates
    both = np.stack([task.labels, task.negatives], axis=1)
    if scores.first_wins and task.negative_first is not None:
        order = task.negative_first.astype(np.int64)
        pair = scores.chosen(np.where(order[:, None] == 1, both[:, ::-1], both))
        outcome = first_of_best(pair, order)
        chosen = np.where(outcome.correct > 0, task.labels, task.negatives)
        yield TaskOutcome(task, "hard_negative", outcome, words(task.labels, names), words(chosen, names), 0.5, 2)
        return
    pair = scores.chosen(both)
    if "hard_negative" in task.metrics:
        outcome = two_way(pair[:, 0], pair[:, 1], scale=scores.scale)
        chosen = np.where(outcome.prediction == 0, task.labels, task.negatives)
        yield TaskOutcome(task, "hard_negative", outcome, words(task.labels, names), words(chosen, names), 0.5, 2)
    if "winoground" in task.metrics:
        yield from _winoground(task, pair[:, 0], pair[:, 1])


def pairs_of(task: Task) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of both images of every pair, (P,) each."""
    if task.partners is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first = np.flatnonzero(np.arange(len(task.rows)) < task.partners)
    return first, task.partners[first]


def _winoground(task: Task, true: NDArray[np.float32], other: NDArray[np.float32]) -> Iterator[TaskOutcome]:
    one, two = pairs_of(task)
    if not len(one):
        return
    several = task.name != "hard_negative"  # a protocol of several questions keeps them apart
    name, title = (f"{task.name}_winoground", task.title) if several else ("winoground", "Winoground")
    pairs = replace(task.only(one), name=name, title=title)
    assert pairs.negatives is not None
    right = winoground(true[one], other[one], true[two], other[two])
    margin = np.minimum(true[one] - other[one], true[two] - other[two]).astype(np.float32)
    names = task.candidates
    for metric, chance in METRICS.items():
        predicted = np.where(right[metric], pairs.labels, pairs.negatives)
        outcome = Outcome(right[metric].astype(float), predicted, margin, np.full(len(one), np.nan, np.float32))
        labels, predictions = words(pairs.labels, names), words(predicted, names)
        yield TaskOutcome(pairs, f"winoground_{metric}", outcome, labels, predictions, chance, 2)
