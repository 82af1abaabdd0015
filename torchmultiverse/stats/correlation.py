"""Pearson's correlation with its interval, and whether two paired sets of numbers spread alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from torchmultiverse.stats.intervals import LEVEL, normal_quantile

MIN_PAIRS = 4
"""Pairs below which a correlation has no interval."""


class Pearson(NamedTuple):
    """A correlation.

    Attributes:
        r: −1 to 1; 0 where either side is constant.
        low, high: its interval; −1 and 1 with fewer than four pairs, or a constant side.
        p: two-sided, of no correlation.
        pairs: how many.
    """

    r: float
    low: float
    high: float
    p: float
    pairs: int


def pearson(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Pearson:
    """Return the correlation of independent pairs with Fisher's interval.

    Args:
        x, y: (N,).
        level: coverage.

    Source: R. Fisher, *Frequency distribution of the values of the correlation coefficient*, Biometrika 1915.

    >>> found = pearson([1, 2, 3, 4, 5, 6], [1, 3, 2, 4, 6, 5])
    >>> round(found.r, 3), round(found.low, 2), round(found.high, 2)
    (0.886, 0.26, 0.99)
    """
    from scipy.stats import pearsonr

    one, two = np.asarray(x, np.float64), np.asarray(y, np.float64)
    count = len(one)
    if count < 2 or min(np.ptp(one), np.ptp(two)) < 1e-12:
        return Pearson(0.0, -1.0, 1.0, 1.0, count)
    r, p = pearsonr(one, two)
    if count < MIN_PAIRS:
        return Pearson(float(r), -1.0, 1.0, 1.0, count)
    half = normal_quantile((1 - level) / 2) / np.sqrt(count - 3)
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    low, high = np.tanh([z - half, z + half])
    return Pearson(float(r), float(low), float(high), float(p), count)


def unequal_spread(x: ArrayLike, y: ArrayLike) -> float:
    """Return p, two-sided, of equal variances of paired numbers: the correlation of their sums and differences.

    Source: E. Pitman, *A note on normal correlation*, Biometrika 1939.
    """
    one, two = np.asarray(x, np.float64), np.asarray(y, np.float64)
    return pearson(one + two, one - two).p
