"""Intervals of differences: of two accuracies on the same rows, on other rows, and of means of any numbers. Pure.

A difference of accuracies lies in [−1, 1] and so do its ends; where no row, or every row, says the same, the number of
independent rows still leaves something open, so that no interval has zero width. With fewer than `MIN_CLUSTERS`
clusters nothing can be said: the interval is all of [−1, 1] and `format_difference` says so. `benchmarks/statistics.py`
simulates what all of them hold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats.intervals import LEVEL, Intervals, expanded_tail

MIN_CLUSTERS = 4
"""Clusters below which nothing is said of a difference."""
_FEW, _MANY = 8, 2000
_SAME = 1e-9


class Paired(NamedTuple):
    """A mean difference.

    Attributes:
        mean: of the differences.
        low, high: ends of the interval.
        error: standard error, from the width of the interval, so that it is never zero; infinite for too few clusters.
        clusters: independent groups of rows.
        p: two-sided, of a mean of zero.
    """

    mean: float
    low: float
    high: float
    error: float
    clusters: int
    p: float


def score_interval(gained: float, lost: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of ``(gained − lost) / n``, the difference of two proportions of the same rows.

    It inverts the score test of a difference ``d``, whose variance is taken under ``d``. Newcombe's interval for paired
    rows (method 10) holds less where nearly all rows that differ favour one side.

    Args:
        gained, lost: rows that differ in favour of the second, and of the first; fractions are allowed.
        n: all independent rows.
        level: coverage.

    Source: T. Tango, *Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design*, Statistics in Medicine 1998.

    >>> low, high = score_interval(gained=9, lost=2, n=100)
    >>> round(low, 3), round(high, 3)
    (0.006, 0.146)
    """
    from scipy.stats import norm

    if n <= 0:
        return -1.0, 1.0
    z = float(norm.isf((1 - level) / 2))
    low = _lower(gained, lost, n, z)
    return low, -_lower(lost, gained, n, z)


def _lower(gained: float, lost: float, n: float, z: float) -> float:
    """Return the least difference that the score test does not refuse, by bisection."""
    mean = (gained - lost) / n
    low, high = -1.0, mean
    for _ in range(60):
        d = (low + high) / 2
        b = -gained - lost + (2 * n - gained + lost) * d
        # The likeliest share of rows that are lost, given d.
        probability = (np.sqrt(max(0.0, b * b + 8 * n * lost * d * (1 - d))) - b) / (4 * n)
        variance = n * max(0.0, 2 * probability + d * (1 - d))
        if gained - lost - n * d > z * np.sqrt(variance):
            low = d
        else:
            high = d
    return low


def paired_interval(
    difference: NDArray[np.float64], clusters: NDArray[np.int64] | None = None, level: float = LEVEL
) -> Paired:
    """Return the mean of paired differences of outcomes with its interval; whole clusters are independent.

    The variance between clusters says how many independent rows the rows are worth, and `score_interval` is taken of so
    many, with Student's t for few clusters. Where few clusters differ at all, their variance is hardly known: then rows
    are worth less, down to one a cluster where none differs.

    Args:
        difference: of two outcomes in [0, 1], (N,), −1 to 1.
        clusters: 0 to G − 1, (N,); ``None`` for independent rows.
        level: coverage.

    Source of the worth of rows: E. Korn and B. Graubard, Survey Methodology 1998, as for accuracies.

    >>> better = np.array([0.0] * 89 + [1.0] * 9 + [-1.0] * 2)  # right where the first was wrong: 9
    >>> found = paired_interval(better)
    >>> round(found.mean, 2), round(found.p, 3)
    (0.07, 0.035)
    >>> paired_interval(better, np.arange(100) % 3)[1:3]  # three clusters say nothing
    (-1.0, 1.0)
    """
    from scipy.stats import norm, t

    n = len(difference)
    mean = float(difference.mean()) if n else 0.0
    groups = np.arange(n) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(groups).astype(float)
    count = len(sizes)
    gained, lost = float(difference.clip(0).sum()), float((-difference).clip(0).sum())
    tail = (1 - level) / 2
    z = quantile = float(norm.isf(tail))
    if count == n:
        worth = float(n)
        if not n:
            return Paired(mean, -1.0, 1.0, float("inf"), 0, 1.0)
    elif count < MIN_CLUSTERS:
        return Paired(mean, -1.0, 1.0, float("inf"), count, 1.0)
    else:
        sums = np.bincount(groups, difference)
        if np.ptp(sums / sizes) < _SAME:  # all clusters agree: only their number is known to be independent
            worth = float(count)
        else:
            between = count / (count - 1) * float(((sums - sizes * mean) ** 2).sum()) / n**2
            within = max(0.0, (gained + lost) / n - mean**2)
            differ = int((np.bincount(groups, np.abs(difference)) > _SAME).sum())
            unknown = 1 / (differ + 1) ** 2
            worth = 1 / ((1 - unknown) / min(n, within / between) + unknown / count) if within else float(count)
            quantile = float(t.isf(tail, count - 1))
    used = worth * (z / quantile) ** 2
    low, high = score_interval(gained * used / n, lost * used / n, used, level)
    moved = gained + lost
    statistic = abs(gained - lost) / np.sqrt(moved) * np.sqrt(worth / n) if moved > _SAME else 0.0
    # At the same level the test and the interval agree.
    p = float(2 * (norm.sf(statistic) if quantile == z else t.sf(statistic, count - 1)))
    return Paired(mean, low, high, (high - low) / 2 / quantile, count, min(1.0, p))


def unpaired_interval(
    one: float, first: tuple[float, float], two: float, second: tuple[float, float]
) -> tuple[float, float]:
    """Return the interval of ``two − one``, accuracies of different rows, from the interval of each.

    Source: R. Newcombe, *Interval estimation for the difference between independent proportions*, Statistics in
    Medicine 1998, method 10.

    >>> low, high = unpaired_interval(0.6, (0.5, 0.69), 0.8, (0.71, 0.87))
    >>> round(low, 2), round(high, 2)
    (0.07, 0.32)
    """
    low = two - one - float(np.hypot(two - second[0], first[1] - one))
    high = two - one + float(np.hypot(second[1] - two, one - first[0]))
    return max(-1.0, low), min(1.0, high)


def mean_interval(
    values: NDArray[np.float64],
    clusters: NDArray[np.int64],
    intervals: Intervals,
    bounds: tuple[float, float] | None = None,
) -> Paired:
    """Return the mean of numbers that are no outcomes, such as distances or R²: Student's t, or a cluster bootstrap.

    Args:
        values: (N,).
        clusters: 0 to G − 1, (N,).
        intervals: level, seed and number of resamples.
        bounds: ends are cut at these. With too few clusters the interval is all between them, and where all clusters
            agree it is that of as many rows that do.
    """
    from scipy.stats import norm, t

    sums, sizes = np.bincount(clusters, values), np.bincount(clusters).astype(float)
    mean, count = float(values.mean()), len(sums)
    ends = bounds or (-float("inf"), float("inf"))
    if count < (MIN_CLUSTERS if bounds else 2):
        return Paired(mean, min(ends[0], mean), max(ends[1], mean), float("inf"), count, 1.0)
    error = float(np.sqrt(count / (count - 1) * ((sums - sizes * mean) ** 2).sum()) / len(values))
    tail = (1 - intervals.level) / 2
    quantile = float(norm.isf(tail)) if count > _MANY else float(t.isf(tail, count - 1))
    if bounds and error < _SAME:
        position = min(1.0, max(-1.0, (mean - bounds[0]) / (bounds[1] - bounds[0]) * 2 - 1))
        low, high = score_interval(max(0.0, position) * count, max(0.0, -position) * count, count, intervals.level)
        half = (bounds[1] - bounds[0]) / 2
        low, high = bounds[0] + (low + 1) * half, bounds[0] + (high + 1) * half
        error = (high - low) / 2 / quantile
    elif _FEW <= count <= _MANY:
        weights = intervals.weights(count)
        drawn = (weights @ sums) / (weights @ sizes)
        cut = expanded_tail(count, intervals.level)
        low, high = (float(v) for v in np.quantile(drawn, [cut, 1 - cut]))
    else:  # so few that a bootstrap knows only a handful of means, or so many that the mean is normal
        low, high = mean - quantile * error, mean + quantile * error
    p = 1.0 if abs(mean) < _SAME else float(2 * t.sf(abs(mean) / max(error, _SAME), count - 1))
    return Paired(mean, min(max(low, ends[0]), mean), max(min(high, ends[1]), mean), error, count, p)


def format_difference(
    mean: float, low: float, high: float, clusters: int, noun: str = "groups", signed: bool = True
) -> str:
    """Return a difference in points for people, or that there are too few clusters to say anything.

    Args:
        mean, low, high: of the difference.
        clusters: independent groups.
        noun: what these are, in the plural.
        signed: whether a plus is written.

    >>> format_difference(0.07, 0.004, 0.143, 100)
    '+7.0 [+0.4, +14.3]'
    >>> format_difference(0.07, -1, 1, 3, "animals")
    'too few animals (3)'
    """
    if low <= -1 and high >= 1:
        return f"too few {noun} ({clusters})"
    sign = "+" if signed else ""
    return f"{100 * mean:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
