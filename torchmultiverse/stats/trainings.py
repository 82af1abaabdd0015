"""Intervals that hold for another training as well as for other pictures: several trainings, the same pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats.difference import MIN_CLUSTERS
from torchmultiverse.stats.intervals import LEVEL, student_quantile


class OverTrainings(NamedTuple):
    """A mean over trainings and pictures.

    Attributes:
        mean: of all.
        std: of the trainings' means, with one degree of freedom taken; not a number for one training.
        low, high: interval for another training of this kind, asked about other pictures of this kind.
        trainings, clusters: how many; pictures of one cluster are not independent.
        error: standard error that the interval is made of; infinite where nothing can be said.
        freedom: degrees of freedom of it.
    """

    mean: float
    std: float
    low: float
    high: float
    trainings: int
    clusters: int
    error: float
    freedom: float


def over_trainings(
    outcomes: NDArray[np.float64],
    clusters: NDArray[np.int64] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = LEVEL,
) -> OverTrainings:
    """Return the mean outcome of several trainings on the same pictures, with an interval that includes both.

    Trainings and clusters of pictures are crossed: the variance of the mean is that between trainings plus that between
    clusters, less that of what is left, which both contain. Its degrees of freedom are Satterthwaite's, so that two or
    three trainings that differ give a wide interval. Where nothing says that the variance is smaller, it is not taken
    below either of the two.

    Args:
        outcomes: of each training on each picture, (S, N).
        clusters: of the pictures, 0 to G − 1, (N,); ``None`` where they are independent.
        bounds: that the mean cannot leave; the interval is both of them with one training or few clusters.
        level: coverage.

    Source: F. Satterthwaite, *An approximate distribution of estimates of variance components*, Biometrics Bulletin
    1946; A. Owen, *The pigeonhole bootstrap*, Annals of Applied Statistics 2007 (the variance of crossed data).

    >>> found = over_trainings(np.array([[1.0, 1, 0, 1, 1, 0], [1, 0, 0, 1, 0, 0], [1, 1, 0, 1, 1, 0]]))
    >>> round(found.mean, 2), round(found.std, 2), round(found.low, 2), round(found.high, 2)
    (0.56, 0.19, 0.05, 1.0)
    """
    count, pictures = outcomes.shape
    names = np.arange(pictures) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    sizes = np.bincount(names).astype(float)
    many = len(sizes)
    mean, rows = float(outcomes.mean()), outcomes.mean(1)
    std = float(rows.std(ddof=1)) if count > 1 else float("nan")
    if count < 2 or many < MIN_CLUSTERS:
        return OverTrainings(mean, std, *bounds, count, many, float("inf"), 0.0)
    # What each cluster pulls the mean by, (S, G); the mean of the columns' sums is the mean.
    pulls = np.stack([np.bincount(names, row - mean) for row in outcomes]) / pictures
    of_clusters = pulls.mean(0)
    between_clusters = many / (many - 1) * float((of_clusters**2).sum())
    between_trainings = float(rows.var(ddof=1)) / count
    left = pulls - of_clusters - (rows - mean)[:, None] * (sizes / pictures)
    rest = many / ((many - 1) * (count - 1) * count) * float((left**2).sum())
    variance = max(between_clusters + between_trainings - rest, between_clusters, between_trainings)
    if variance <= 0:  # every training says the same of every picture: only their numbers are known
        return OverTrainings(mean, std, mean, mean, count, many, 0.0, float(count - 1))
    freedom = variance**2 / (between_clusters**2 / (many - 1) + between_trainings**2 / (count - 1))
    freedom = min(freedom, float(many + count - 2))
    half = student_quantile((1 - level) / 2, freedom) * float(np.sqrt(variance))
    low, high = max(bounds[0], mean - half), min(bounds[1], mean + half)
    return OverTrainings(mean, std, low, high, count, many, float(np.sqrt(variance)), freedom)
