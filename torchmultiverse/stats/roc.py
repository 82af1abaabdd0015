"""Area under the receiver operating characteristic, with an interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats.intervals import LEVEL


def auc_interval(auc: float, members: int, nonmembers: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of an area under a curve: those whose variance, taken under them, reaches so far.

    It is of no zero width where all members are above all nonmembers, as that of a bootstrap is.

    Source: R. Newcombe, *Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2*,
    Statistics in Medicine 2006, method 5.
    """
    from scipy.stats import norm

    z = float(norm.isf((1 - level) / 2))
    mean = (members + nonmembers) / 2 - 1

    def refused(area: float) -> bool:
        variance = 1 + mean * ((1 - area) / (2 - area) + area / (1 + area))
        return (auc - area) ** 2 > z * z * area * (1 - area) * variance / (members * nonmembers)

    ends = []
    for bound in (0.0, 1.0):
        far, near = bound, auc
        for _ in range(60):
            middle = (far + near) / 2
            far, near = (middle, near) if refused(middle) else (far, middle)
        ends.append(near)
    return ends[0], ends[1]


def auc_of(members: NDArray[np.float64], nonmembers: NDArray[np.float64]) -> float:
    """Return the share of pairs in which the member is above; equals count half.

    >>> auc_of(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 4.0]))
    0.8333333333333334
    """
    order = np.sort(nonmembers)
    below = np.searchsorted(order, members, "left")
    upto = np.searchsorted(order, members, "right")
    return float((below + upto).sum() / 2 / (len(members) * len(nonmembers)))
