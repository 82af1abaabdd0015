"""Domains that nobody named: clusters of a representation, and whether they are those that are known.

Source: N. Kalibhat, arXiv 2309.03999, section 2.5. Its eq. 2.2 keeps a sample where the largest ratio of squared
distances to any two centroids is above 1 + ε; with three clusters or more a far one makes that true of every sample.
Here it is the ratio of the second nearest to the nearest, which is the same for two clusters and what the text of the
source means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import LEVEL
from torchmultiverse.transfer.domain_gap import Floats

EPSILONS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.0)
"""Outlier thresholds: the source begins at 1 and lets them fall towards 0."""
STARTS, ROUNDS = 5, 50
SHUFFLES = 200
_BLOCKS = 50  # of groups that are left out one after the other


@dataclass(frozen=True)
class Clusters:
    """Pictures in clusters.

    Attributes:
        codes: of the nearest centroid, (N,).
        distances: squared, to every centroid, (N, M).
    """

    codes: NDArray[np.int64]
    distances: NDArray[np.float64]

    def kept(self, epsilon: float) -> NDArray[np.bool_]:
        """Return which pictures are surely of their cluster, (N,): no outliers by the corrected eq. 2.2.

        Args:
            epsilon: the second nearest centroid is more than 1 + ε times as far as the nearest, squared.
        """
        nearest = np.partition(self.distances, 1, axis=1)[:, :2]
        return np.asarray(nearest[:, 1] > (1 + epsilon) * nearest[:, 0])


class ClusterScore(Record):
    """How far clusters are the levels of a factor.

    Attributes:
        rand, low, high: adjusted Rand index: 1 for the same partition, 0 for what chance gives; with its interval, from
            leaving groups out.
        information: normalised mutual information, 0 to 1, which chance gives some of.
        shuffled_rand, shuffled_information: the mean of both for the factor shuffled.
        p: of an index as high by chance.
        clusters, levels, pictures: how many there are.
    """

    rand: float
    low: float
    high: float
    information: float
    shuffled_rand: float
    shuffled_information: float
    p: float
    clusters: int
    levels: int
    pictures: int


def cluster(vectors: Floats, count: int, rng: np.random.Generator) -> Clusters:
    """Return k-means clusters: of some starts those that are the tightest.

    Args:
        vectors: (N, D), as the model gives them.
        count: how many clusters.
        rng: draws the starts.

    Raises:
        DatasetError: fewer pictures than clusters.
    """
    if not 2 <= count <= len(vectors):
        raise DatasetError(f"{count} clusters of {len(vectors)} pictures: from 2 to as many as there are pictures")
    data = vectors.astype(np.float64) - vectors.mean(0, dtype=np.float64)
    tightest, best = np.inf, None
    for _ in range(STARTS):
        centroids = _started(data, count, rng)
        last = np.inf
        for _ in range(ROUNDS):  # by matrix products: SciPy's k-means takes ten times as long in hundreds of dimensions
            distances = squared_distances(data, centroids)
            codes = distances.argmin(1)
            inertia = float(distances[np.arange(len(data)), codes].sum())
            if inertia > last * (1 - 1e-6):
                break
            last = inertia
            sizes = np.bincount(codes, minlength=count)
            sums = np.eye(count)[codes].T @ data
            centroids = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centroids)
        if inertia < tightest:
            tightest, best = inertia, distances
    assert best is not None
    return Clusters(best.argmin(1).astype(np.int64), best)


def _started(data: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the first centroids by k-means++ (Arthur and Vassilvitskii, 2007)."""
    centroids = data[[rng.integers(len(data))]]
    nearest = squared_distances(data, centroids)[:, 0]
    while len(centroids) < count:
        total = float(nearest.sum())
        row = int(rng.choice(len(data), p=nearest / total)) if total > 0 else int(rng.integers(len(data)))
        centroids = np.concatenate([centroids, data[[row]]])
        nearest = np.minimum(nearest, squared_distances(data, data[[row]])[:, 0])
    return centroids


def squared_distances(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared distance of each row of one to each of another, (N, M)."""
    found = (one**2).sum(1)[:, None] - 2 * one @ two.T + (two**2).sum(1)[None, :]
    return np.asarray(np.maximum(found, 0), np.float64)


def adjusted_rand(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the adjusted Rand index of contingency tables, (…, M, L) to (…).

    Source: L. Hubert and P. Arabie, *Comparing partitions*, Journal of Classification 1985.

    >>> [round(float(adjusted_rand(table)), 6) for table in (np.diag([3.0, 2.0, 4.0]), np.ones((2, 2)))]
    [1.0, -0.5]
    """

    def pairs(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return numbers * (numbers - 1) / 2

    both = pairs(table).sum((-1, -2))
    one, two = pairs(table.sum(-1)).sum(-1), pairs(table.sum(-2)).sum(-1)
    every = pairs(table.sum((-1, -2)))
    expected = np.divide(one * two, every, out=np.zeros_like(both), where=every > 0)
    most = (one + two) / 2
    apart = most - expected
    return np.asarray(np.divide(both - expected, apart, out=np.ones_like(both), where=np.abs(apart) > 1e-12))


def mutual_information(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mutual information of contingency tables over the mean of both entropies, (…, M, L) to (…), 0 to 1.

    >>> round(float(mutual_information(np.diag([3.0, 2.0, 4.0]))), 6), float(mutual_information(np.ones((2, 2))))
    (1.0, 0.0)
    """

    def entropy(counts: NDArray[np.float64], axes: tuple[int, ...]) -> NDArray[np.float64]:
        share = counts / counts.sum(axes, keepdims=True)
        return np.asarray(-(share * np.log(np.where(share > 0, share, 1))).sum(axes))

    one, two = entropy(table.sum(-1), (-1,)), entropy(table.sum(-2), (-1,))
    shared = one + two - entropy(table, (-2, -1))
    mean = (one + two) / 2
    return np.asarray(np.divide(np.maximum(shared, 0), mean, out=np.zeros_like(mean), where=mean > 1e-12))


def cluster_score(
    clusters: NDArray[np.int64],
    codes: NDArray[np.int64],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    shuffles: int = SHUFFLES,
) -> ClusterScore:
    """Return how far clusters are the levels of a factor, beside what the shuffled factor gives.

    Where the factor varies within groups it is shuffled within them, else from group to group. The interval is that of
    leaving out groups, or blocks of them where there are many.

    Args:
        clusters, codes: (N,).
        groups: pictures of one are not independent, (N,).
        rng: draws shuffles and blocks.
        shuffles: how many.
    """
    from scipy.stats import t

    a, b, g = (np.unique(one, return_inverse=True)[1] for one in (clusters, codes, groups))
    shape = int(a.max()) + 1, int(b.max()) + 1
    table = _tables(a, b, np.zeros(len(a), np.int64), 1, shape)[0]
    rand = float(adjusted_rand(table))
    blocks = min(int(g.max()) + 1, _BLOCKS)
    low, high = -1.0, 1.0
    if blocks >= 4:
        block = (rng.permutation(int(g.max()) + 1) % blocks)[g]
        without = adjusted_rand(table - _tables(a, b, block, blocks, shape))
        error = float(np.sqrt((blocks - 1) / blocks * ((without - without.mean()) ** 2).sum()))
        half = error * float(t.isf((1 - LEVEL) / 2, blocks - 1))
        low, high = max(-1.0, rand - half), min(1.0, rand + half)
    nothing = np.array(
        [_tables(a, _shuffled(b, g, rng), np.zeros(len(a), np.int64), 1, shape)[0] for _ in range(shuffles)]
    )
    rands = adjusted_rand(nothing)
    return ClusterScore(
        rand=rand, low=low, high=high, information=float(mutual_information(table)),
        shuffled_rand=float(rands.mean()), shuffled_information=float(mutual_information(nothing).mean()),
        p=float((1 + (rands >= rand - 1e-12).sum()) / (1 + shuffles)), clusters=shape[0], levels=shape[1],
        pictures=len(a),
    )  # fmt: skip


def _tables(
    a: NDArray[np.int64], b: NDArray[np.int64], block: NDArray[np.int64], blocks: int, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the contingency table of each block, (B, M, L)."""
    place = (block * shape[0] + a) * shape[1] + b
    return np.bincount(place, minlength=blocks * shape[0] * shape[1]).reshape(blocks, *shape).astype(np.float64)


def _shuffled(codes: NDArray[np.int64], groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a factor shuffled within groups, or from group to group where each has one level."""
    sizes = np.bincount(groups)
    pairs = np.unique(np.stack([groups, codes], 1), axis=0)
    if len(pairs) == len(sizes):
        return np.asarray(rng.permutation(pairs[:, 1])[groups])
    mixed = np.lexsort((rng.random(len(codes)), groups))
    found = np.empty_like(codes)
    found[np.argsort(groups, kind="stable")] = codes[mixed]
    return found
