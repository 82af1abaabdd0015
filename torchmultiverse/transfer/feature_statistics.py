"""Four numbers that describe the features of a set of pictures: how sparse, spread, redundant and rich they are. Pure.

All are of features of length one. Source: M. B. Sarıyıldız et al., *Fake it till you make it: learning transferable
representations from synthetic ImageNet clones*, CVPR 2023, section 5.5 (figure 5.6 of the thesis).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.models import FloatArray, unit

_ZERO = 1e-5
_EPSILON_SQUARED = 0.5


class FeatureStatistics(NamedTuple):
    """Of the features of some pictures, each of length one.

    Attributes:
        sparsity: share of numbers below 1e-5 in size, 0 to 1.
        intra_class: mean distance of two pictures of one class, 0 to 2; NaN where no class has two pictures.
        redundancy: mean size of the correlation of two features, 0 to 1; 1 says that all features are one.
        coding_length: nats that a picture takes at a precision of ε² = 0.5; more is richer.
    """

    sparsity: float
    intra_class: float
    redundancy: float
    coding_length: float


def feature_statistics(vectors: FloatArray, classes: NDArray[Any]) -> FeatureStatistics:
    """Return the four numbers.

    Args:
        vectors: (N, D), N at least 2; made of length one here.
        classes: of the pictures, (N,).

    Raises:
        DatasetError: fewer than two pictures, or not a class for each.

    >>> one = np.array([[3.0, 0.0], [0.0, 2.0]], np.float32)
    >>> found = feature_statistics(one, np.array([0, 0]))
    >>> found.sparsity, round(found.intra_class, 4), round(found.coding_length, 4)
    (0.5, 1.4142, 1.0986)
    """
    if len(vectors) < 2 or len(vectors) != len(classes):
        raise DatasetError(f"{len(vectors)} pictures with {len(classes)} classes: two or more, each with its class")
    points = unit(vectors).astype(np.float64)
    codes = np.unique(classes, return_inverse=True)[1]
    return FeatureStatistics(
        float((np.abs(points) < _ZERO).mean()), intra_class_distance(points, codes), redundancy(points),
        coding_length(points),
    )  # fmt: skip


def intra_class_distance(points: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the mean distance over all pairs of pictures of one class; NaN where there is no pair.

    Args:
        points: (N, D).
        codes: 0 to C − 1, (N,).
    """
    total, pairs = 0.0, 0
    for code in range(int(codes.max()) + 1):
        mine = points[codes == code]
        squares = (mine**2).sum(1)
        squared = np.maximum(squares[:, None] + squares[None] - 2 * mine @ mine.T, 0)
        total += float(np.sqrt(squared[np.triu_indices(len(mine), 1)]).sum())
        pairs += len(mine) * (len(mine) - 1) // 2
    return total / pairs if pairs else float("nan")


def redundancy(points: NDArray[np.float64]) -> float:
    """Return R = 1/D² Σ|ρ| over all pairs of features, each with itself too; a constant one correlates with none.

    Args:
        points: (N, D).
    """
    centred = points - points.mean(0)
    std = np.sqrt((centred**2).mean(0))
    alive = std > 1e-9 * max(float(std.max()), 1e-30)
    scaled = centred[:, alive] / std[alive]
    correlation = np.abs(scaled.T @ scaled) / len(points)
    return float(np.minimum(correlation, 1).sum() / points.shape[1] ** 2)


def coding_length(points: NDArray[np.float64], epsilon_squared: float = _EPSILON_SQUARED) -> float:
    """Return ½ ln det(I + D/(N ε²) XᵀX), in nats.

    Args:
        points: X, (N, D).
        epsilon_squared: precision ε².

    Source: Y. Yu et al., *Learning diverse and discriminative representations via the principle of maximal coding rate
    reduction*, NeurIPS 2020, section 2.
    """
    count, width = points.shape
    gram = points.T @ points if width <= count else points @ points.T
    values = np.maximum(np.linalg.eigvalsh(gram), 0)
    return float(np.log1p(width / (count * epsilon_squared) * values).sum() / 2)
