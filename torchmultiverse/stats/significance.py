"""Tests of differences, and correction of their p-values for how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats.intervals import LEVEL

FLIPS = 9999

_EXACT = 13  # clusters up to which all sign patterns are tried

POWER = 0.8


def mcnemar(lost: int, gained: int) -> float:
    """Return the two-sided p-value of the exact test: do pictures that one of two got right favour either?

    >>> round(mcnemar(lost=2, gained=9), 3)
    0.065
    >>> mcnemar(0, 0)
    1.0
    """
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0


def sign_flip(sums: NDArray[np.float64], rng: np.random.Generator, flips: int = FLIPS) -> tuple[float, str]:
    """Return the p-value of a zero mean, and the test's name: how often do random signs give as large a sum?

    Args:
        sums: of the differences of each cluster, (G,).
        rng: draws the signs.
        flips: how many patterns, where not all are tried.

    >>> sign_flip(np.array([2.0, 1.0, 3.0, 1.0, 2.0]), np.random.default_rng(0))
    (0.0625, 'exact randomisation of clusters')
    """
    moved = sums[np.abs(sums) > 1e-12]
    seen = abs(float(moved.sum())) - 1e-9
    if len(moved) <= _EXACT:
        signs = np.array(list(product((-1.0, 1.0), repeat=len(moved))))
        return float((np.abs(signs @ moved) >= seen).mean()), "exact randomisation of clusters"
    hits = 0
    for start in range(0, flips, 500):
        signs = rng.integers(0, 2, (min(500, flips - start), len(moved))) * 2.0 - 1
        hits += int((np.abs(signs @ moved) >= seen).sum())
    return (hits + 1) / (flips + 1), "randomisation of clusters"


def detectable(error: float, clusters: int, level: float = LEVEL, power: float = POWER) -> float:
    """Return the difference of accuracies that a two-sided test at ``1 − level`` finds with probability ``power``.

    It is infinite where no difference is large enough: none is larger than 1.

    Args:
        error: standard error of the difference.
        clusters: independent groups; few of them make Student's t matter.

    >>> round(detectable(0.01, clusters=1000), 3)
    0.028
    >>> detectable(0.3, clusters=3)
    inf
    """
    from scipy.stats import t

    if clusters < 2 or not np.isfinite(error):
        return float("inf")
    found = float((t.isf((1 - level) / 2, clusters - 1) + t.isf(1 - power, clusters - 1)) * error)
    return found if found <= 1 else float("inf")


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected so that any false finding among all is as unlikely as one alone (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    running, corrected = 0.0, [1.0] * len(p)
    for rank, i in enumerate(order):
        running = max(running, min(1.0, p[i] * (len(p) - rank)))
        corrected[i] = running
    return corrected
