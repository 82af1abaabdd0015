"""Means in which levels count once each, and means of such means, with intervals over clusters. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats.difference import MIN_CLUSTERS
from torchmultiverse.stats.intervals import LEVEL, coded, student_quantile, wilson

_SAME = 1e-12


class WeightedMean(NamedTuple):
    """A mean of levels.

    Attributes:
        mean: of the means of all levels.
        low, high: 95 % interval.
        levels: how many count.
        clusters: independent groups of rows; fewer than `MIN_CLUSTERS` say nothing: the interval is all that may be.
    """

    mean: float
    low: float
    high: float
    levels: int
    clusters: int


class LevelPart(NamedTuple):
    """Rows of one set; arrays are (N,).

    Attributes:
        values: outcomes in [0, 1], or differences of them in [−1, 1].
        levels: of each row, whose means count once each.
        clusters: names of independent groups; parts may share them.
    """

    values: NDArray[np.float64]
    levels: NDArray[Any]
    clusters: NDArray[Any]


def mean_of_levels(parts: Sequence[LevelPart], level: float = LEVEL, *, differences: bool = False) -> WeightedMean:
    """Return the mean over parts of the mean over levels of the mean over rows.

    The error is that of the linear contrast: what each cluster adds to the mean beyond what its levels' means say, with
    Student's t. Levels of one row have no spread of their own and make the interval too short.

    Args:
        parts: one, or several whose means count once each.
        level: coverage.
        differences: whether values are differences of outcomes, and so is the mean.

    >>> values = np.array([1.0, 1, 0, 0, 1, 0, 1, 1])
    >>> found = mean_of_levels([LevelPart(values, np.array(list("aaaabbcc")), np.arange(8))])
    >>> round(found.mean, 3), found.levels, found.clusters  # (1/2 + 1/2 + 1) / 3
    (0.667, 3, 8)

    Raises:
        ValueError: no rows.
    """
    if not parts or any(not len(part.values) for part in parts):
        raise ValueError("a mean of no rows")
    pulls, names, means, count = [], [], [], 0
    lowest = -1.0 if differences else 0.0
    for part in parts:
        own, codes = coded(np.asarray(part.levels).astype(str).astype(object))
        sizes = np.bincount(codes)
        each = np.bincount(codes, part.values) / sizes
        means.append(float(each.mean()))
        count += len(own)
        pulls.append((part.values - each[codes]) / sizes[codes] / len(own) / len(parts))
        names.append(np.asarray(part.clusters).astype(str).astype(object))
    mean = float(np.mean(means))
    codes = coded(np.concatenate(names))[1]
    sums = np.bincount(codes, np.concatenate(pulls))
    clusters = len(sums)
    if clusters < MIN_CLUSTERS:
        return WeightedMean(mean, lowest, 1.0, count, clusters)
    spread = float((sums**2).sum()) * clusters / (clusters - 1)
    if spread < _SAME**2:  # all rows of each level agree: what is known is how many clusters do
        if not differences:
            low, high = wilson(mean * clusters, clusters, level)
            return WeightedMean(mean, low, high, count, clusters)
        half = 1 - wilson(clusters, clusters, level)[0]
        return WeightedMean(mean, max(-1.0, mean - half), min(1.0, mean + half), count, clusters)
    half = student_quantile((1 - level) / 2, clusters - 1) * float(np.sqrt(spread))
    return WeightedMean(mean, max(lowest, mean - half), min(1.0, mean + half), count, clusters)
