"""Is something right as often as it says? Expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Whether a model is right as often as it says.

    Attributes:
        error: expected calibration error over bins of equally many pictures (C. Guo et al. 2017), 0 to 1.
        confidence, accuracy: means over all pictures; the first above the second is overconfidence.
        bins: mean confidence, accuracy and pictures of each bin.
    """

    error: float
    confidence: float
    accuracy: float
    bins: tuple[tuple[float, float, int], ...]


def calibration_of(confidence: NDArray[Any], correct: NDArray[Any], bins: int = BINS) -> Calibration:
    """Return the calibration of some answers.

    >>> found = calibration_of(np.array([0.9, 0.9, 0.5, 0.5]), np.array([1.0, 0.0, 1.0, 0.0]), bins=2)
    >>> round(found.error, 3), [tuple(round(v, 2) for v in one) for one in found.bins]
    (0.2, [(0.5, 0.5, 2), (0.9, 0.5, 2)])

    Args:
        confidence: probability that was given to the answer, (N,).
        correct: outcomes in [0, 1], (N,).
        bins: of equally many answers.
    """
    order = np.argsort(confidence, kind="stable")
    parts = [
        (float(confidence[part].mean()), float(correct[part].mean()), len(part))
        for part in np.array_split(order, min(bins, len(order)))
    ]
    error = sum(n * abs(c - a) for c, a, n in parts) / len(order)
    return Calibration(float(error), float(confidence.mean()), float(correct.mean()), tuple(parts))
