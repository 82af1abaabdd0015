"""Intervals of what several trainings get right on the same pictures: over groups of pictures and over seeds. Pure.

A difference between two ways of training may come from the pictures that happened to be asked, and from the seeds that
happened to be drawn. Both are resampled: the variance between groups (of the mean over seeds) and that between seeds
are added, which counts what groups and seeds do together twice and is cautious.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import LEVEL, Intervals, paired_interval


class Estimate(NamedTuple):
    """A mean over pictures and seeds, or a difference of two.

    Attributes:
        value: 0 to 1, of a difference −1 to 1.
        low, high: ends of the 95 % interval.
        p: two-sided, of a difference of zero; NaN of a mean.
        n, groups, seeds: pictures, their independent groups, and trainings.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    groups: int
    seeds: int


def crossed_mean(outcomes: NDArray[Any], clusters: NDArray[np.int64], intervals: Intervals | None = None) -> Estimate:
    """Return the mean of outcomes with its interval.

    Args:
        outcomes: of each seed for each picture, 0 to 1, (S, N).
        clusters: group of each picture, (N,).
        intervals: how those over groups are made.

    Raises:
        DatasetError: no picture or no seed.

    >>> right = np.array([[1, 1, 0, 1, 1, 0, 1, 1], [1, 0, 0, 1, 1, 0, 1, 1]])
    >>> found = crossed_mean(right, np.arange(8))
    >>> round(found.value, 3), found.low < 0.6 < found.high, found.seeds
    (0.688, True, 2)
    """
    values = _checked(outcomes)
    mean = values.mean(0)
    low, high, _ = (intervals or Intervals()).of_mean(mean, clusters)
    value, groups = float(mean.mean()), len(np.unique(clusters))
    error = (high - low) / 2 / _normal()
    half, _ = _seeds_half(values.mean(1), error, groups)
    down, up = np.hypot(value - low, half), np.hypot(high - value, half)
    return Estimate(
        value, max(0.0, value - float(down)), min(1.0, value + float(up)), float("nan"), values.shape[1], groups,
        len(values),
    )  # fmt: skip


def crossed_difference(after: NDArray[Any], before: NDArray[Any], clusters: NDArray[np.int64]) -> Estimate:
    """Return the mean of ``after − before``, paired by picture and by seed, with its interval and p-value.

    Args:
        after, before: outcomes of each seed for each picture, 0 to 1, (S, N).
        clusters: group of each picture, (N,).

    Raises:
        DatasetError: other numbers of pictures or seeds, or none.

    >>> rng = np.random.default_rng(0)
    >>> before, after = rng.random((3, 400)) < 0.5, rng.random((3, 400)) < 0.7
    >>> found = crossed_difference(after, before, np.arange(400))
    >>> found.low < 0.2 < found.high, found.low > 0.05
    (True, True)
    """
    from scipy.stats import t

    one, two = _checked(after), _checked(before)
    if one.shape != two.shape:
        raise DatasetError(f"outcomes of {one.shape} and of {two.shape} seeds and pictures cannot be paired")
    difference = one - two
    found = paired_interval(difference.mean(0), clusters)
    if not np.isfinite(found.error):  # too few groups: nothing is known
        return Estimate(found.mean, found.low, found.high, 1.0, one.shape[1], found.clusters, len(one))
    half, freedom = _seeds_half(difference.mean(1), found.error, found.clusters)
    down, up = np.hypot(found.mean - found.low, half), np.hypot(found.high - found.mean, half)
    total = float(np.hypot(found.error, _seeds_error(difference.mean(1))))
    p = max(found.p, float(2 * t.sf(abs(found.mean) / max(total, 1e-30), freedom)))
    return Estimate(
        found.mean, max(-1.0, found.mean - float(down)), min(1.0, found.mean + float(up)), min(1.0, p), one.shape[1],
        found.clusters, len(one),
    )  # fmt: skip


def over_seeds(values: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    """Return the mean of one number per seed, (S,), with Student's interval; without one for a single seed.

    >>> [round(value, 2) for value in over_seeds(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.48, 4.48]
    """
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return mean, None, None
    half = float(t.isf((1 - LEVEL) / 2, len(values) - 1)) * _seeds_error(values)
    return mean, mean - half, mean + half


def _checked(outcomes: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(outcomes, np.float64)
    if values.ndim != 2 or not values.size:
        raise DatasetError(f"outcomes of shape {values.shape}: seeds × pictures, at least one of each")
    return values


def _normal() -> float:
    from scipy.stats import norm

    return float(norm.isf((1 - LEVEL) / 2))


def _seeds_error(means: NDArray[np.float64]) -> float:
    """Return the standard error of a mean over seeds, 0 of one seed."""
    return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else 0.0


def _seeds_half(means: NDArray[np.float64], error: float, groups: int) -> tuple[float, float]:
    """Return the half width that seeds add, and the degrees of freedom of both sources together.

    Source: F. E. Satterthwaite, *An approximate distribution of estimates of variance components*, Biometrics 1946.
    """
    from scipy.stats import t

    ours = _seeds_error(means)
    parts = error**4 / max(groups - 1, 1) + (ours**4 / (len(means) - 1) if len(means) > 1 else 0.0)
    freedom = (error**2 + ours**2) ** 2 / parts if parts > 0 else float(max(groups - 1, 1))
    return float(t.isf((1 - LEVEL) / 2, freedom)) * ours, freedom
