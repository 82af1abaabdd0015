"""What captions alone give away of which of them is true: same words, and a judge that sees no picture. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.task import Task
from torchmultiverse.stats import coded

FOLDS = 5
MOST = 5000
"""Questions that the judge is asked at most, drawn at random."""
_RIDGE = 1.0
_LENGTHS = (1, 2, 3)
_SAME = 1e-9


class CaptionFacts(NamedTuple):
    """What is known of a task's captions.

    Attributes:
        same_bag: share of false captions that have the same words as the true one, as often.
        alone: share of questions that a judge answers who has only read other captions; ties are shared.
        asked: how many he was asked.
    """

    same_bag: float
    alone: float
    asked: int


def caption_facts(task: Task, rng: np.random.Generator) -> CaptionFacts | None:
    """Return what the captions of a task give away; ``None`` where it has no false captions of its own.

    Args:
        task: with hard negatives, or with other candidates of each image.
        rng: of the draw and of the folds.
    """
    if task.options is not None:
        options = [[task.candidates[k] for k in line if k >= 0] for line in task.options]
    elif task.negatives is not None:
        options = [[task.candidates[a], task.candidates[b]] for a, b in zip(task.labels, task.negatives, strict=True)]
    else:
        return None
    if not options:
        return None
    bags = [[sorted(text.lower().split()) for text in line] for line in options]
    same = [other == line[0] for line in bags for other in line[1:]]
    groups = np.asarray(task.rows if task.clusters is None else task.clusters).astype(str).astype(object)
    alone, asked = judged_alone(options, groups, rng)
    return CaptionFacts(float(np.mean(same)), alone, asked)


def judged_alone(
    options: Sequence[Sequence[str]], groups: NDArray[np.object_], rng: np.random.Generator
) -> tuple[float, int]:
    """Return the share of questions that one answers who sees no picture, and how many were asked.

    The judge is a ridge regression on the sequences of up to three words of captions, taught on four fifths of the
    groups which caption is true, and asked about the others. Two captions of which each is true of one picture of the
    same group tell nothing: 50 %. What is well above chance says that a question can be answered without looking.

    Args:
        options: captions of each question, the true one first.
        groups: of each question, (N,); a group is not both taught and asked.
        rng: of the draw and of the folds.

    >>> swapped = [[f"cat {k} left of dog", f"dog left of cat {k}"] for k in range(20)]
    >>> both = [line for one in swapped for line in (one, one[::-1])]
    >>> judged_alone(swapped, np.arange(20).astype(object), np.random.default_rng(0))
    (1.0, 20)
    >>> judged_alone(both, np.repeat(np.arange(20), 2).astype(object), np.random.default_rng(0))
    (0.5, 40)
    """
    names, codes = coded(np.asarray(groups).astype(str).astype(object))
    rank = rng.permutation(len(names))
    chosen = np.sort(np.argsort(rank[codes], kind="stable")[:MOST])
    order = [options[k] for k in chosen]
    fold = rank[codes[chosen]] % FOLDS
    starts = np.cumsum([0, *(len(line) for line in order)])
    matrix = _sequences([text for line in order for text in line])
    true = np.repeat(starts[:-1], np.diff(starts))
    differences = matrix[true] - matrix
    question = np.repeat(np.arange(len(order)), np.diff(starts))
    taught_from = np.arange(len(question)) != true
    right: list[float] = []
    for number in range(FOLDS):
        asked = np.flatnonzero(fold == number)
        taught = differences[taught_from & (fold[question] != number)]
        if not len(asked):
            continue
        weights = _taught(taught) if taught.shape[0] else np.zeros(matrix.shape[1])
        scores = matrix @ weights
        for k in asked:
            own = scores[starts[k] : starts[k + 1]]
            tied = own >= own.max() - _SAME * max(1.0, float(np.abs(own).max()))
            right.append(float(tied[0] / tied.sum()))
    return float(np.mean(right)), len(right)


def _taught(differences: Any) -> NDArray[np.float64]:
    """Return the weights w of min ‖Xw − 1‖² + ‖w‖², X true minus false captions."""
    from scipy.sparse.linalg import lsqr

    found = lsqr(differences, np.ones(differences.shape[0]), damp=_RIDGE, iter_lim=50)
    return np.asarray(found[0], np.float64)


def _sequences(texts: Sequence[str]) -> Any:
    """Return how often each sequence of words is in each text, sparse (N, S)."""
    from scipy.sparse import csr_matrix

    known: dict[tuple[str, ...], int] = {}
    rows, columns = [], []
    for row, text in enumerate(texts):
        words = ["<", *text.lower().split(), ">"]
        for length in _LENGTHS:
            for start in range(len(words) - length + 1):
                rows.append(row)
                columns.append(known.setdefault(tuple(words[start : start + length]), len(known)))
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), max(1, len(known))))
