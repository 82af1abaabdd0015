"""Intervals. Pure functions of outcomes; randomness comes in as a generator.

Rows that share an animal pair (or an asset) succeed and fail together: treating them as independent makes
intervals too short. Independent rows get Wilson's score interval, clustered rows one by their effective sample size;
averages over tasks of many clusters are bootstrapped by cluster. Differences have a module of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
RESAMPLES = 2000
_FEW = 8
_SAME = 1e-9  # clusters whose means differ by less agree; ties make fractions that do not add up exactly


class Interval(NamedTuple):
    """A two-sided interval of an accuracy, in [0, 1], and how it was made."""

    low: float
    high: float
    method: str


@cache
def normal_quantile(tail: float) -> float:
    """Return what a standard normal variable exceeds with this probability; a run asks thousands of times."""
    from scipy.stats import norm

    return float(norm.isf(tail))


@cache
def student_quantile(tail: float, freedom: float) -> float:
    """Return what Student's t exceeds with this probability, by degrees of freedom."""
    from scipy.stats import t

    return float(t.isf(tail, freedom))


def wilson(correct: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion.

    Args:
        correct: successes, in [0, n]; fractions (ties) are allowed and make the interval cautious.
        n: independent rows; with none the interval is (0, 1).
        level: coverage.

    Source: E. B. Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 1927.

    >>> tuple(round(end, 3) for end in wilson(45, 50))
    (0.786, 0.957)
    >>> tuple(round(end, 3) for end in wilson(0, 20))  # none of 20: up to 16 %
    (0.0, 0.161)
    """
    if n <= 0:
        return 0.0, 1.0
    z = normal_quantile((1 - level) / 2)
    p = correct / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(max(0.0, p * (1 - p) / n + z * z / (4 * n * n))))
    # At p = 0 and p = 1 the ends are exactly 0 and 1; rounding must not move them past p.
    return max(0.0, min(middle - half, p)), min(1.0, max(middle + half, p))


def expanded_tail(clusters: int, level: float = LEVEL) -> float:
    """Return the tail probability of a percentile interval that is not too short with few clusters.

    A bootstrap of G clusters underestimates the spread by √((G-1)/G) and knows nothing of Student's t. Taking more
    extreme percentiles corrects both. Source: T. Hesterberg, *What teachers should know about the bootstrap*, 2015.
    """
    from scipy.stats import norm, t

    quantile = t.isf((1 - level) / 2, clusters - 1)
    return float(norm.sf(np.sqrt(clusters / (clusters - 1)) * quantile))


def resampling_weights(clusters: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """Return how often each cluster is drawn in each resample, (resamples, clusters)."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples)


def coded(values: NDArray[Any]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the levels of some values as words, in the order of the alphabet, and each value's level, (N,).

    >>> levels, codes = coded(np.array(["zebra", "camel", "zebra"], object))
    >>> levels, codes.tolist()
    (['camel', 'zebra'], [1, 0, 1])
    """
    # Sorting the words of all rows takes many times as long as looking each up.
    words = values.astype(str).astype(object) if values.dtype != object else values
    if any(type(word) is not str for word in words[:1]) or not len(words):
        words = words.astype(str).astype(object)
    found = pa.array(words, pa.string()).dictionary_encode()
    names = found.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return [names[place] for place in order], rank[found.indices.to_numpy()]


def cluster_sums(values: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum of values and the number of rows of every cluster, each (G,); named by words or small numbers.

    >>> sums, sizes = cluster_sums([1, 0, 1, 1], ["zebra", "zebra", "camel", "camel"])
    >>> sums.tolist(), sizes.tolist()  # in the order of the alphabet
    ([2.0, 1.0], [2.0, 2.0])
    """
    names = np.asarray(clusters)
    if names.dtype.kind not in "iu":
        names = coded(names)[1]
    sizes = np.bincount(names)
    used = sizes > 0
    return np.bincount(names, np.asarray(values, np.float64))[used].astype(np.float64), sizes[used].astype(np.float64)


def clustered(sums: NDArray[np.float64], sizes: NDArray[np.float64], level: float = LEVEL) -> Interval:
    """Return the interval of the mean over all rows when rows of one cluster are not independent.

    The variance between clusters says how many independent rows the rows are worth; Clopper's and Pearson's interval
    for so many, with Student's t for few clusters, holds near 0 and 1 as well, where a percentile bootstrap is too
    short (`benchmarks/statistics.py` compares what both hold).

    Args:
        sums, sizes: sum of outcomes in [0, 1] and number of rows of each cluster, (G,).
        level: coverage.

    Source: E. Korn and B. Graubard, *Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data*, Survey Methodology 1998.

    >>> sums, sizes = np.array([9.0, 5.0, 10.0, 6.0, 8.0]), np.full(5, 10.0)
    >>> found = clustered(sums, sizes)  # 38 of 50 images right, of five animals
    >>> [round(end, 2) for end in found[:2]], [round(end, 2) for end in wilson(38, 50)]
    ([0.41, 0.96], [0.63, 0.86])
    """
    found = _clustered(sums, sizes, level)
    return _of_worth([found], level)[0] if isinstance(found, _Worth) else found


class _Worth(NamedTuple):
    """A mean, and of how many independent rows it is as sure."""

    mean: float
    rows: float


def _clustered(sums: NDArray[np.float64], sizes: NDArray[np.float64], level: float) -> Interval | _Worth:
    """Return the interval of a mean, or what it follows from."""
    count, rows = len(sums), float(sizes.sum())
    mean = float(sums.sum() / rows)
    if count < 2:
        return Interval(*wilson(mean, 1, level), "wilson, one cluster")
    variance = count / (count - 1) * float(((sums - sizes * mean) ** 2).sum()) / rows**2
    if np.ptp(sums / sizes) < _SAME or not 0 < mean < 1:
        # All clusters agree; only their number is known to be independent.
        return Interval(*wilson(mean * count, count, level), "wilson over clusters")
    return _worth(mean, variance, rows, count, level)


def _worth(mean: float, variance: float, rows: float, clusters: int, level: float) -> _Worth:
    """Return how many independent rows have this variance of the mean."""
    tail = (1 - level) / 2
    worth = min(rows, mean * (1 - mean) / variance) if variance > 0 else rows
    return _Worth(mean, worth * (normal_quantile(tail) / student_quantile(tail, clusters - 1)) ** 2)


def _of_worth(found: Sequence[_Worth], level: float) -> list[Interval]:
    """Return the interval of each of several means; one call of a quantile for all costs little more than for one."""
    from scipy.stats import beta

    tail, (means, rows) = (1 - level) / 2, np.array(found).reshape(-1, 2).T
    hits = means * rows
    lows = np.minimum(beta.ppf(tail, hits, rows - hits + 1), means)
    highs = np.maximum(beta.isf(tail, hits + 1, rows - hits), means)
    method = "effective sample size of clusters"
    return [Interval(float(low), float(high), method) for low, high in zip(lows, highs, strict=True)]


class Contrast(NamedTuple):
    """Mean of some rows minus mean of others, its standard error, and the fewer clusters of the two sides."""

    difference: float
    error: float
    clusters: int

    @property
    def t(self) -> float:
        """Difference over error; infinite where all rows of each side agree."""
        if self.error > 1e-12:
            return self.difference / self.error
        return 0.0 if abs(self.difference) < 1e-12 else float(np.copysign(np.inf, self.difference))

    @property
    def p(self) -> float:
        """Two-sided, of no difference; where all rows of each side agree, what is known is how many clusters do."""
        from scipy.stats import t

        if self.clusters < 2 or not np.isfinite(self.error):
            return 1.0
        if np.isinf(self.t):
            return min(1.0, 2 * 0.5**self.clusters)
        return float(2 * t.sf(abs(self.t), self.clusters - 1))


def contrast(
    values: NDArray[np.float64], inside: NDArray[np.bool_], rest: NDArray[np.bool_], clusters: NDArray[np.int64]
) -> Contrast:
    """Compare the means of two sets of rows that may share clusters; a shared cluster's pulls on both sides cancel.

    Args:
        values: (N,).
        inside, rest: the two sets, (N,).
        clusters: 0 to G − 1, (N,).

    >>> values = np.array([1.0, 1, 0, 1, 0, 0])
    >>> inside = np.array([True, True, True, False, False, False])
    >>> found = contrast(values, inside, ~inside, np.arange(6))
    >>> round(found.difference, 2), found.clusters, round(found.p, 2)
    (0.33, 3, 0.55)
    """
    one, two = float(values[inside].mean()), float(values[rest].mean())
    pull = np.where(inside, (values - one) / inside.sum(), 0) - np.where(rest, (values - two) / rest.sum(), 0)
    sums = np.bincount(clusters, pull)
    few = min(len(np.unique(clusters[inside])), len(np.unique(clusters[rest])))
    error = float("inf") if few < 2 else float(np.sqrt(few / (few - 1) * (sums**2).sum()))
    return Contrast(one - two, error, few)


@dataclass
class Intervals:
    """Makes every interval of a run. Draws depend on the seed and the number of clusters only, never on order.

    Attributes:
        seed: of all resampling.
        level: coverage.
        resamples: draws per interval.
    """

    seed: int = 0
    level: float = LEVEL
    resamples: int = RESAMPLES
    _weights: dict[int, NDArray[np.float64]] = field(default_factory=dict, repr=False)

    def weights(self, clusters: int) -> NDArray[np.float64]:
        """Return the draws for a number of clusters, (resamples, clusters), made once."""
        if clusters not in self._weights:
            rng = np.random.default_rng((self.seed, clusters))
            self._weights[clusters] = resampling_weights(clusters, rng, self.resamples).astype(float)
        return self._weights[clusters]

    def of_mean(self, values: NDArray[np.float64], clusters: NDArray[Any] | None) -> Interval:
        """Return the interval of the mean of outcomes, (N,); ``clusters`` is ``None`` for independent rows.

        >>> correct, animals = np.array([1.0, 1, 0, 1, 1, 0, 1, 1]), np.repeat([0, 1, 2, 3], 2)
        >>> low, high, method = Intervals().of_mean(correct, animals)
        >>> round(low, 2), round(high, 2), method
        (0.13, 1.0, 'effective sample size of clusters')
        """
        return self.of_means([(values, clusters)])[0]

    def of_means(self, parts: Iterable[tuple[NDArray[np.float64], NDArray[Any] | None]]) -> list[Interval]:
        """Return the same of several means, faster than one by one."""
        found = [self._of_mean(values, clusters) for values, clusters in parts]
        later = iter(_of_worth([one for one in found if isinstance(one, _Worth)], self.level))
        return [next(later) if isinstance(one, _Worth) else one for one in found]

    def _of_mean(self, values: NDArray[np.float64], clusters: NDArray[Any] | None) -> Interval | _Worth:
        n = len(values)
        if clusters is None:
            return Interval(*wilson(float(values.sum()), n, self.level), "wilson")
        sums, sizes = cluster_sums(values, clusters)
        if len(sums) == n:
            return Interval(*wilson(float(values.sum()), n, self.level), "wilson")
        return _clustered(sums, sizes, self.level)

    def of_average(self, parts: list[tuple[NDArray[np.float64], NDArray[Any]]]) -> Interval:
        """Return the interval of the average over tasks of their accuracies; clusters are shared between tasks.

        Args:
            parts: outcomes and clusters of each task.
        """
        names, places = coded(np.concatenate([np.asarray(clusters).astype(object) for _, clusters in parts]))
        sums, sizes = np.zeros((2, len(parts), len(names)))
        start = 0
        for row, (values, clusters) in enumerate(parts):
            index = places[start : start + len(clusters)]
            start += len(clusters)
            sums[row] = np.bincount(index, values, minlength=len(names))
            sizes[row] = np.bincount(index, minlength=len(names))
        point = float(np.mean(sums.sum(1) / sizes.sum(1)))
        if len(names) < 2:
            return Interval(*wilson(point, 1, self.level), "wilson, one cluster")
        if len(names) < _FEW and 0 < point < 1:  # so few that a bootstrap knows only a handful of means
            means = sums.sum(1) / sizes.sum(1)
            pull = ((sums - sizes * means[:, None]) / sizes.sum(1)[:, None]).mean(0)
            variance = len(names) / (len(names) - 1) * float((pull**2).sum())
            if variance > _SAME**2:
                return _of_worth([_worth(point, variance, float(sizes.sum()), len(names), self.level)], self.level)[0]
        weights = self.weights(len(names))
        drawn_sizes = weights @ sizes.T
        # A resample in which some task has no picture says nothing about that task's accuracy.
        whole = (drawn_sizes > 0).all(1)
        drawn = ((weights @ sums.T)[whole] / drawn_sizes[whole]).mean(1)
        if len(drawn) < 100 or np.ptp(drawn) < _SAME:
            return Interval(*wilson(point * len(names), len(names), self.level), "wilson over clusters")
        tail = expanded_tail(len(names), self.level)
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Interval(float(low), float(high), "cluster bootstrap")
