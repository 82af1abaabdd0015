"""Which of many captions is best: bounds first, inner products only of those that can still win. Pure.

The winner, the runner-up, ties and margins are those of all inner products, each of which is a function of its two
vectors alone (`scoring.paired_scores`): neither batches nor threads nor the number of dimensions change them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from torchmultiverse.evaluation.projection import CONFIDENCE, Captions, Images, ProjectedImages, Projection, rounding
from torchmultiverse.evaluation.scoring import TIE, Outcome, joined, paired_scores
from torchmultiverse.models import FloatArray

_BLOCK = 1_000_000  # bounds held at once by each thread, few enough for the caches
_NEGLIGIBLE = 22.0  # a weight of e^-22 of the best: of 100,000 candidates it is 3e-5
_SPARSE = 0.05  # of the bounds: fewer than this are gathered, of more the exponential is computed in place
_PAIRS = 64  # rows that are gathered at once, few enough that their memory is not asked of the system each time


class Found(NamedTuple):
    """What became of images, and how.

    Attributes:
        outcome: see :class:`~.scoring.Outcome`.
        dimensions: in which all candidates were looked at.
        exact: share of the candidates that were scored in all dimensions, over all images.
    """

    outcome: Outcome
    dimensions: int
    exact: float


def best_candidates(
    images: FloatArray | Images, labels: NDArray[np.int64], scale: float, captions: Captions | Projection
) -> Found:
    """Return outcomes of choosing one of K captions, as :func:`~.scoring.retrieval` of all inner products does.

    All but the confidence is the same in any number of dimensions. The confidence is within
    :data:`~.projection.CONFIDENCE` of that of all scores.

    Args:
        images: (N, D), finite.
        labels: index of the true caption, (N,).
        scale: what scores are multiplied by before a softmax.
        captions: (K, D) with K ≥ 2, or in how many dimensions they are to be compared.

    >>> from torchmultiverse.evaluation.projection import all_dimensions
    >>> texts = np.eye(3, dtype=np.float32)
    >>> images = np.array([[0.9, 0.1, 0.3], [0.4, 0.4, 0.2], [0.1, 0.8, 0.7]], np.float32)
    >>> found = best_candidates(images, np.array([0, 1, 2]), 1.0, all_dimensions(texts))
    >>> found.outcome.correct.tolist(), found.outcome.prediction.tolist()  # right, one of two that tie, wrong
    ([1.0, 0.5, 0.0], [0, 0, 1])
    """
    spaces = threading.local()  # memory of each thread, which is not asked for anew with every block
    with _threads() as (pool, workers):
        if isinstance(captions, Captions):
            projection = captions.projection(images, labels, scale, pool.map)
        else:
            projection = captions
        count, candidates = len(images), len(projection.texts)
        step = max(1, _BLOCK // candidates)
        step = max(1, min(step, -(-count // workers)))
        parts = [slice(start, start + step) for start in range(0, count, step)]

        def block(part: slice) -> _Block:
            if not hasattr(spaces, "own"):
                spaces.own = _Space(np.empty((step, candidates), np.float32), np.empty((step, candidates), bool))
            return _block(images[part], labels[part], scale, projection, spaces.own)

        blocks = list(pool.map(block, parts))
        outcome = joined(block.outcome for block in blocks)
        again = np.flatnonzero(np.concatenate([block.doubtful for block in blocks]))
        some = [again[start : start + step] for start in range(0, len(again), step)]
        every = pool.map(lambda part: _sure(images[part], projection.texts, scale), some)
        for part, sure in zip(some, every, strict=True):
            outcome.confidence[part] = sure
    exact = sum(block.exact for block in blocks) + len(again) * candidates
    return Found(outcome, projection.dimensions, exact / (count * candidates))


def _sure(images: FloatArray, texts: FloatArray, scale: float) -> NDArray[np.float32]:
    """Return confidences by all scores, (N,)."""
    scores = images @ texts.T
    scores -= scores.max(1, keepdims=True)
    scores *= np.float32(scale)
    return np.asarray(1 / np.exp(scores, out=scores).sum(1), np.float32)


@contextmanager
def _threads() -> Iterator[tuple[ThreadPoolExecutor, int]]:
    """Give as many threads as products of matrices may have, each of which makes its products alone."""
    blas = _libraries().select(user_api="blas")
    limits = [library["num_threads"] for library in blas.info()]
    workers = max(limits, default=_cores())
    with blas.limit(limits=1), ThreadPoolExecutor(workers) as pool:
        yield pool, workers


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Block(NamedTuple):
    """Outcomes of some images, how many of their scores are exact, and whose confidence is not sure enough."""

    outcome: Outcome
    exact: int
    doubtful: NDArray[np.bool_]


class _Space(NamedTuple):
    """Memory for the bounds of a block, and for which of them matter."""

    bounds: NDArray[np.float32]
    reaches: NDArray[np.bool_]


def _block(
    images: FloatArray, labels: NDArray[np.int64], scale: float, projection: Projection, space: _Space
) -> _Block:
    """Return what became of some images."""
    texts, rows = projection.texts, np.arange(len(images))
    some = projection.of_images(images)
    true = paired_scores(images, texts[labels])
    upper = _upper_bounds(some, true, scale, projection, space.bounds[: len(rows)])
    upper[rows, labels] = -np.inf
    # The exact score of one candidate, the likeliest, tells what others must reach to be second, or tied with the best.
    likely = upper.argmax(1)
    floor = paired_scores(images, texts[likely]).astype(np.float64)
    ties = TIE * some.norms * projection.longest * (1 + 1e-3)
    # Scores are rounded as well, by the sum of D products.
    rounded = some.errors + some.norms * projection.longest * rounding(texts.shape[1] + 1)
    needed = scale * (floor - ties - rounded - true)
    needed = np.minimum(needed, scale * np.maximum(floor - true, 0) - (0 if projection.full else projection.cut))
    least = (needed - 1e-6 * np.abs(needed)).astype(np.float32)
    small = (scale * np.maximum(floor - true, 0) - _NEGLIGIBLE).astype(np.float32)
    at, others = _reaching(upper, least, np.minimum(least, small), likely, projection, space)
    row, candidate = at // len(texts), at % len(texts)
    scores = _paired(images, row, texts, candidate)
    starts = np.searchsorted(row, rows)
    rest = np.maximum.reduceat(scores, starts)
    best = np.maximum(true, rest)
    first = np.minimum.reduceat(np.where(scores == best[row], candidate, len(texts)), starts)
    prediction = np.minimum(first, np.where(true == best, labels, len(texts)))
    correct = _correct(images, true, scores, row, best, some.norms * projection.longest, projection)
    margin = (true - best) - (rest - best)
    exact = np.exp(scale * (scores - best[row]).astype(np.float64))
    total = np.add.reduceat(exact, starts) + np.exp(scale * (true - best).astype(np.float64))
    confidence, doubtful = _confidence(total, others, true - best, scale, some, projection)
    return _Block(Outcome(correct, prediction, margin, confidence), len(at) + len(rows), doubtful)


def _reaching(
    upper: NDArray[np.float32], least: NDArray[np.float32], small: NDArray[np.float32], likely: NDArray[np.int64],
    projection: Projection, space: _Space,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """Return which candidates are scored exactly, and the sum of bounds of the weights of all others, (N,).

    Where few bounds matter to that sum, the exponential of the rest is not computed: it is most of what a bound costs.

    Args:
        upper: bounds, (N, K); is written over.
        least: what a bound must reach, (N,).
        small: below it a weight is less than e^−22 of the best, and no more than ``least``, (N,).
        likely: a candidate that is scored exactly in any case, (N,).
    """
    rows, flat = np.arange(len(upper)), upper.reshape(-1)
    reaches = space.reaches[: len(rows)]
    if not projection.full:
        np.greater_equal(upper, small[:, None], out=reaches)
        reaches[rows, likely] = True
        if np.count_nonzero(reaches) < _SPARSE * reaches.size:
            at = np.flatnonzero(reaches)
            row, bounds = at // upper.shape[1], flat[at]
            exact = (bounds >= least[row]) | (at == (likely + rows * upper.shape[1])[row])
            rest = ~exact
            with np.errstate(over="ignore"):
                weights = np.exp(bounds[rest]).astype(np.float64)
            return at[exact], np.bincount(row[rest], weights, minlength=len(rows)).astype(np.float64)
    np.greater_equal(upper, least[:, None], out=reaches)
    reaches[rows, likely] = True
    at = np.flatnonzero(reaches)
    flat[at] = -np.inf
    with np.errstate(over="ignore"):
        return at, (np.exp(upper, out=upper) @ np.ones(upper.shape[1], np.float32)).astype(np.float64)


def _upper_bounds(
    some: ProjectedImages, true: NDArray[np.float32], scale: float, projection: Projection, out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what no score is above, but for the margin; minus that of the true caption and times the scale, (N, K)."""
    factor = np.float32(scale)
    inside = np.concatenate([some.inside * factor, np.stack([some.outside, -true], axis=1) * factor], axis=1)
    return np.matmul(inside, projection.coordinates.T, out=out)


def _paired(
    images: FloatArray, row: NDArray[np.int64], texts: FloatArray, candidate: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the inner products of chosen images and captions, (len(row),)."""
    found = np.empty(len(row), np.float32)
    for start in range(0, len(row), _PAIRS):
        part = slice(start, start + _PAIRS)
        found[part] = paired_scores(images[row[part]], texts[candidate[part]])
    return found


def _correct(
    images: FloatArray, true: NDArray[np.float32], scores: NDArray[np.float32], row: NDArray[np.int64],
    best: NDArray[np.float32], most: NDArray[np.float64], projection: Projection,
) -> NDArray[np.float64]:  # fmt: skip
    """Return 1, 0, or 1/k where the true caption ties with k − 1 others for the best score, (N,).

    How near is tied depends on the largest magnitude of a row's scores. It is between that of the best and the product
    of the norms; where this leaves a doubt, all scores of the row are computed.
    """

    def tied(magnitude: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        near = best - TIE * magnitude
        return np.bincount(row[scores >= near[row]], minlength=len(best)) + (true >= near), true >= near

    least, largest = np.abs(best), np.maximum(np.abs(best), most.astype(np.float32) * np.float32(1 + 1e-3))
    (few, told), (many, also) = tied(least), tied(largest)
    for place in np.flatnonzero((few != many) | (told != also)):
        every = paired_scores(np.broadcast_to(images[place], projection.texts.shape), projection.texts)
        least[place] = max(least[place], abs(every.min()))
    counts, right = tied(least)
    return np.where(right, 1 / np.maximum(counts, 1), 0.0)


def _confidence(
    total: NDArray[np.float64], others: NDArray[np.float64], gap: NDArray[np.float32], scale: float,
    some: ProjectedImages, projection: Projection,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:  # fmt: skip
    """Return the probability that a softmax gives to the best, and where it may be wrong by more than is promised.

    Args:
        total: sum of the weights that are exact, relative to the best's, (N,).
        others: sum of bounds of all other weights, relative to the true caption's, (N,).
        gap: score of the true caption minus the best, (N,).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        others = others * np.exp(scale * gap.astype(np.float64))
        if projection.full:  # rounded as the product is
            return (1 / (total + others)).astype(np.float32), ~np.isfinite(others)
        spread = scale * some.usual_errors
        reach = scale * some.outside
        least, mean, most = projection.excess
        low = 1 / (total + others * np.exp(spread - reach * least) + len(projection.texts) * np.exp(-_NEGLIGIBLE))
        high = 1 / (total + others * np.exp(-reach * most - spread))
        likely = 1 / (total + others * np.exp(-reach * mean))
        doubtful = ~np.isfinite(others) | ~(np.maximum(likely - low, high - likely) <= CONFIDENCE)
    return likely.astype(np.float32), doubtful
