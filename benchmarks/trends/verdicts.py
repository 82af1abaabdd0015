"""How a trend is told: by an interval, so that what too few pictures cannot say is not said."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats import over_trainings, paired_interval, student_quantile


def verdict(trend: str, low: float, high: float, above: float = 0.0) -> str:
    """Print whether a number is above a bound, by its 95 % interval, and return the word.

    >>> verdict("a rise", 0.1, 0.3)
    a rise: found
    'found'
    >>> verdict("a rise", -0.1, 0.3), verdict("a rise", -0.3, -0.1)
    a rise: not decided
    a rise: NOT found
    ('not decided', 'NOT found')
    """
    word = "found" if low > above else "NOT found" if high < above else "not decided"
    print(f"{trend}: {word}", flush=True)
    return word


def difference(
    one: list[NDArray[np.float64]], two: list[NDArray[np.float64]], clusters: NDArray[np.int64] | None = None
) -> tuple[float, float, float]:
    """Return the mean of the second outcomes minus the first, with its interval over trainings and groups of pictures.

    Args:
        one, two: of each training the outcomes of the same pictures, 0 to 1, (N,).
        clusters: of the pictures; each stands for itself by default.
    """
    gains = np.stack([b - a for a, b in zip(one, two, strict=True)])
    if len(gains) > 1:
        found = over_trainings(gains, clusters, (-1.0, 1.0))
        return found.mean, found.low, found.high
    few = paired_interval(gains[0], np.arange(gains.shape[1]) if clusters is None else clusters)
    return few.mean, few.low, few.high


def over_seeds(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return a mean over seeds with Student's interval: for a seed that draws everything anew.

    >>> [round(value, 2) for value in over_seeds(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.48, 4.48]
    """
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return mean, -np.inf, np.inf
    half = student_quantile(0.025, count - 1) * float(values.std(ddof=1)) / count**0.5
    return mean, mean - half, mean + half


def points(value: tuple[float, float, float]) -> str:
    """Return a difference of shares and its interval in points.

    >>> points((0.05, -0.01, 0.11))
    '+5.0 [-1.0, +11.0]'
    """
    return f"{100 * value[0]:+.1f} [{100 * value[1]:+.1f}, {100 * value[2]:+.1f}]"
