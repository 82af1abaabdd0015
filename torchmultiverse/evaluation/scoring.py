"""From scores to outcomes. Pure; ties are counted as the chance of guessing right among the tied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TIE = 1e-6
"""Scores nearer than this share of the largest magnitude in their row are tied: float32 sums in another order
(batch size, library, machine) differ by about as much, and a score must not depend on that."""


class Outcome(NamedTuple):
    """What became of each row of a task; all of shape (N,).

    Attributes:
        correct: 1, 0, or 1/k where the true answer ties with k-1 others for the best score.
        prediction: index of the best candidate (the first of tied ones).
        margin: score of the true answer minus the best score of all others; negative when wrong.
        confidence: probability that a softmax over the candidates gives to the best; NaN where scores have no scale.
    """

    correct: NDArray[np.float64]
    prediction: NDArray[np.int64]
    margin: NDArray[np.float32]
    confidence: NDArray[np.float32]


def retrieval(scores: NDArray[Any], labels: NDArray[np.int64], tie: float = TIE, scale: float | None = None) -> Outcome:
    """Return outcomes of choosing one of K candidates.

    Args:
        scores: (N, K) with K ≥ 1, higher fits better.
        labels: index of the true candidate, (N,).
        tie: see :data:`TIE`.
        scale: what scores are multiplied by before a softmax; ``None`` where no softmax makes sense of them.

    Raises:
        ValueError: a score that is NaN.

    >>> scores = np.array([[0.9, 0.1, 0.3], [0.4, 0.4, 0.2], [0.1, 0.8, 0.7]])
    >>> found = retrieval(scores, np.array([0, 1, 2]))
    >>> found.correct.tolist(), found.prediction.tolist()  # right, one of two that tie, wrong
    ([1.0, 0.5, 0.0], [0, 0, 1])
    """
    scores = np.asarray(scores, np.float32)
    rows = np.arange(len(scores))
    best = scores.max(1, initial=-np.inf)  # NaN, if there is any
    if not np.isfinite(best).all():
        raise ValueError(f"the scores of row {int(np.flatnonzero(~np.isfinite(best))[0])} are not finite")
    true = scores[rows, labels]
    # As few passes over all scores as may be: there are up to 10⁹ of them.
    near = best - tie * np.maximum(np.abs(best), np.abs(scores.min(1, initial=np.inf)))
    tied = np.count_nonzero(scores >= near[:, None], axis=1)
    correct = np.where(true >= near, 1 / np.maximum(tied, 1), 0.0)
    prediction = scores.argmax(1).astype(np.int64)
    work = np.subtract(scores, best[:, None])
    work[rows, labels] = -np.inf
    rest = work.max(1) if scores.shape[1] > 1 else np.zeros(len(scores), np.float32)
    gap = true - best
    margin = gap - rest if scores.shape[1] > 1 else np.zeros(len(scores), np.float32)
    confidence = np.full(len(scores), np.nan, np.float32)
    if scale is not None:
        work *= np.float32(scale)
        np.exp(work, out=work)
        confidence = 1 / (work.sum(1) + np.exp(np.float32(scale) * gap))
    return Outcome(correct, prediction, margin.astype(np.float32), confidence.astype(np.float32))


def joined(parts: Iterable[Outcome]) -> Outcome:
    """Return the outcomes of some rows after those of others."""
    return Outcome(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def half_scores(images: NDArray[Any], texts: NDArray[Any]) -> NDArray[np.float32]:
    """Return 100 · images @ textsᵀ as half precision gives it, (N, K): both sides, the factor and the sums rounded.

    >>> half_scores(np.array([[0.12345, 0.5]]), np.array([[1.0, 0.0]])).tolist()  # 12.345 in half precision
    [[12.34375]]
    """
    scaled = (np.float16(100) * images.astype(np.float16)).astype(np.float32)
    products = scaled @ texts.astype(np.float16).astype(np.float32).T
    return np.asarray(products.astype(np.float16), np.float32)


def first_of_best(scores: NDArray[Any], labels: NDArray[np.int64], among: int = 1) -> Outcome:
    """Return outcomes where, of equal scores, the candidate that comes first wins: correct is 0 or 1.

    Args:
        scores: (N, K), higher fits better.
        labels: index of the true candidate, (N,).
        among: how many of the best the truth may be one of.

    >>> first_of_best(np.array([[0.4, 0.4], [0.4, 0.4]]), np.array([0, 1])).correct.tolist()
    [1.0, 0.0]
    """
    rows = np.arange(len(scores))
    true = scores[rows, labels]
    before = np.arange(scores.shape[1]) < labels[:, None]
    ahead = (scores > true[:, None]).sum(1) + ((scores == true[:, None]) & before).sum(1)
    others = scores.astype(np.float32)
    others[rows, labels] = -np.inf
    best = scores.max(1, keepdims=True)
    confidence = (1 / np.exp(scores - best).sum(1)).astype(np.float32)
    margin = (true - others.max(1)).astype(np.float32) if scores.shape[1] > 1 else np.zeros(len(scores), np.float32)
    return Outcome((ahead < among).astype(float), scores.argmax(1).astype(np.int64), margin, confidence)


def two_way(true: NDArray[Any], other: NDArray[Any], tie: float = TIE, scale: float | None = None) -> Outcome:
    """Return outcomes of choosing between the true caption (candidate 0) and one hard negative (candidate 1).

    >>> two_way(np.array([0.3, 0.2]), np.array([0.1, 0.2])).correct.tolist()
    [1.0, 0.5]
    """
    pair = np.stack([true, other], axis=1)
    return retrieval(pair, np.zeros(len(pair), np.int64), tie, scale)


def paired_scores(images: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inner product of row i of both, (N,): equal captions get equal scores to the last bit.

    >>> paired_scores(np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([[0.0, 1.0], [0.6, 0.8]])).tolist()
    [0.0, 1.0]
    """
    products: NDArray[np.float32] = np.einsum("nd,nd->n", images, texts, optimize=False)
    return products
