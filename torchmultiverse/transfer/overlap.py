"""Which features stand out for a class in one domain, and whether they are those that stand out in another.

Source: N. Kalibhat, arXiv 2309.03999, figure 2.3 and section 2.3: class means by domain, each feature normalised,
features that deviate strongly from the mean in some row. The source draws them and gives no threshold; two standard
deviations, and the Jaccard index of a class's sets in two domains as the number, are taken here. Beside it what the
same class has in the same domain from other pictures (the most that could be), and other classes in other domains (the
least).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import Record
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.transfer.domain_gap import Floats

THRESHOLD = 2.0
"""Standard deviations from which a feature stands out."""


class Overlap(Record):
    """Of the sets of features that stand out, Jaccard indices from 0 to 1.

    Attributes:
        between, low, high: of one class in two domains, mean over classes and pairs of domains, with its interval over
            classes.
        within: of one class in one domain, from two halves of its pictures.
        others: of two classes in two domains.
        features: that stand out, mean over class and domain.
        classes, cells: that were compared: classes, and combinations of class and domain.
        empty: pairs that were left out, since nothing stands out in either.
    """

    between: float
    low: float
    high: float
    within: float
    others: float
    features: float
    classes: int
    cells: int
    empty: int


def class_means(
    vectors: Floats, content: NDArray[np.int64], domain: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return means by class, domain and half of the pictures, (C, D, 2, F); not numbers where there are none.

    Args:
        vectors: (N, F).
        content, domain: codes, (N,).
        rng: draws the halves.
    """
    classes, domains = int(content.max()) + 1, int(domain.max()) + 1
    cell = content * domains + domain
    order = rng.permutation(len(cell))
    order = order[np.argsort(cell[order], kind="stable")]
    sizes = np.bincount(cell, minlength=classes * domains)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    half = np.empty(len(cell), np.int64)
    half[order] = rank % 2
    place = cell * 2 + half
    counts = np.bincount(place, minlength=classes * domains * 2)
    sums = np.zeros((len(counts), vectors.shape[1]))
    used = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[used]
    sums[used] = np.add.reduceat(vectors[np.argsort(place, kind="stable")], starts, axis=0, dtype=np.float64)
    means = np.divide(sums, counts[:, None], out=np.full_like(sums, np.nan), where=counts[:, None] > 0)
    return means.reshape(classes, domains, 2, -1)


def deviations(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how many standard deviations each mean deviates from that of its feature over all rows that are there.

    That a feature is brought to length 1 before changes nothing of it; a constant feature deviates nowhere.

    Args:
        means: (…, F); rows that are not there are not numbers.
    """
    flat = means.reshape(-1, means.shape[-1])
    there = ~np.isnan(flat).any(1)
    middle, spread = flat[there].mean(0), flat[there].std(0)
    some = spread > 1e-9 * max(float(np.abs(flat[there]).max()), 1e-30)
    found = np.divide(flat - middle, spread, out=np.zeros_like(flat), where=some)
    found[~there] = np.nan
    return np.asarray(found.reshape(means.shape), np.float64)


def feature_overlap(
    vectors: Floats,
    content: NDArray[np.int64],
    domain: NDArray[np.int64],
    rng: np.random.Generator,
    intervals: Intervals | None = None,
    threshold: float = THRESHOLD,
) -> Overlap | None:
    """Return how far the features that stand out for a class are the same in all domains.

    ``None`` where fewer than two classes are in two domains each, with two pictures in each, or where nothing stands
    out.

    Args:
        vectors: (N, F).
        content, domain: codes, (N,).
        rng: draws the halves of pictures.
        intervals: level and seed.
        threshold: standard deviations.
    """
    z = deviations(class_means(vectors, content, domain, rng))
    there: NDArray[np.bool_] = np.asarray(~np.isnan(z).any((-1, -2)))  # (C, D): both halves have pictures
    z[~there] = np.nan
    classes = np.flatnonzero(there.sum(1) >= 2)
    if len(classes) < 2:
        return None
    with np.errstate(invalid="ignore"):
        stands = (np.abs(z) > threshold).astype(np.float32)  # (C, D, 2, F)
    between: list[float] = []
    within: list[float] = []
    empty = 0
    for c in classes:
        mine = np.flatnonzero(there[c])
        matrix = _jaccard(stands[c, mine, 0], stands[c, mine, 1])  # from one half to the other
        apart = matrix[~np.eye(len(mine), dtype=bool)]
        empty += int(np.isnan(apart).sum())
        between.append(_mean(apart))
        within.append(_mean(np.diag(matrix)))
    kept = ~np.isnan(between)
    if kept.sum() < 2:
        return None
    values = np.array(between)[kept]
    found = mean_interval(values, np.arange(len(values)), intervals or Intervals(), (0.0, 1.0))
    return Overlap(
        between=found.mean, low=found.low, high=found.high, within=_mean(np.array(within)),
        others=_others(stands, there, classes), features=float(stands[there].sum(-1).mean()),
        classes=len(values), cells=int(there.sum()), empty=empty,
    )  # fmt: skip


def _others(stands: Floats, there: NDArray[np.bool_], classes: NDArray[np.int64], most: int = 40) -> float:
    """Return the mean index of two classes in two domains; of so many classes, each with the next."""
    found: list[float] = []
    for one, two in zip(classes[:most], np.roll(classes, -1)[:most], strict=True):
        a, b = np.flatnonzero(there[one]), np.flatnonzero(there[two])
        matrix = _jaccard(stands[one, a, 0], stands[two, b, 1])
        found.append(_mean(matrix[a[:, None] != b[None, :]]))
    return _mean(np.array(found))


def _jaccard(one: Floats, two: Floats) -> NDArray[np.float64]:
    """Return the index of each set of one list with each of another, (A, B); not a number where both are empty."""
    both = (one @ two.T).astype(np.float64)
    either = one.sum(1)[:, None] + two.sum(1)[None, :] - both
    return np.asarray(np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0), np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
