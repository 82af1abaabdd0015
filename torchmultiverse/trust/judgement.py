"""How well a score tells what a classifier gets right: areas under two curves, with intervals over groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats import LEVEL, resampling_weights

RESAMPLES = 500
_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class Judgement:
    """How well a score tells right from wrong.

    Attributes:
        roc, roc_low, roc_high: area under the receiver operating characteristic, and its interval; 1/2 is chance.
        precision, precision_low, precision_high: mean precision over recall of "is right" (AUPRC), and its interval.
        chance: precision of a score that says nothing: the accuracy.
        images, groups: behind it.
    """

    roc: float
    roc_low: float
    roc_high: float
    precision: float
    precision_low: float
    precision_high: float
    chance: float
    images: int
    groups: int


def judged(
    scores: NDArray[Any], right: NDArray[np.bool_], groups: NDArray[np.int64], rng: np.random.Generator
) -> Judgement | None:
    """Judge a score by what it should tell.

    Args:
        scores: (N,); high where the answer should be right.
        right: (N,).
        groups: 0 to G − 1, (N,): pictures of one group are not independent, and are drawn together.
        rng: draws groups.

    Returns:
        ``None`` where all answers are right, or all wrong.

    Example:
        >>> right = np.array([True, True, False, False])
        >>> judged(np.array([4.0, 3, 2, 1]), right, np.arange(4), np.random.default_rng(0)).roc
        1.0
    """
    if right.all() or not right.any():
        return None
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ordered = np.asarray(scores, np.float64)[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    hits, group = right[order].astype(np.float64), groups[order]
    count = int(groups.max()) + 1
    roc, precision = _areas(np.ones((1, len(order))), hits, starts)
    draws: list[NDArray[np.float64]] = []
    at_once = max(1, _AT_ONCE // len(order))
    for start in range(0, RESAMPLES, at_once):
        weights = resampling_weights(count, rng, min(at_once, RESAMPLES - start))[:, group].astype(np.float64)
        draws.append(np.stack(_areas(weights, hits, starts), 1))
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(np.concatenate(draws), (tail, 1 - tail), 0)
    return Judgement(
        float(roc[0]), float(low[0]), float(high[0]), float(precision[0]), float(low[1]), float(high[1]),
        float(right.mean()), len(right), len(np.unique(groups)),
    )  # fmt: skip


def _areas(
    weights: NDArray[np.float64], hits: NDArray[np.float64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both areas for each row of weights, of pictures with falling scores; equal ones begin at ``starts``."""
    right = np.add.reduceat(weights * hits, starts, 1)
    wrong = np.add.reduceat(weights * (1 - hits), starts, 1)
    above = np.cumsum(right, 1)
    total, rest = above[:, -1:], wrong.sum(1, keepdims=True)
    below = total - above
    with np.errstate(invalid="ignore", divide="ignore"):
        roc = 1 - ((wrong * (below + right / 2)).sum(1, keepdims=True) / (total * rest))[:, 0]
        shown = above + np.cumsum(wrong, 1)
        share = np.divide(above, shown, out=np.zeros_like(above), where=shown > 0)
        precision = ((right * share).sum(1, keepdims=True) / total)[:, 0]
    return roc, precision
