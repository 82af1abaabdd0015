"""Do the statistics keep what they promise? Simulated evaluations, with and without clusters.

- intervals: how often does a 95 % interval hold the true accuracy?
- differences: how often does a 95 % interval of a paired difference hold the true one, for how many rows and clusters,
  how many that differ, and how unevenly; and how often is a difference found where there is none?
- slices: in how many null results, where no slice is worse than another, does the search report anything?

    python benchmarks/statistics.py --runs 1000
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from torchmultiverse.evaluation.slices import RATE, search
from torchmultiverse.stats.difference import paired_interval
from torchmultiverse.stats.intervals import Intervals
from torchmultiverse.stats.significance import mcnemar, sign_flip


def outcomes(
    rng: np.random.Generator, p: float, clusters: int, size: int, spread: float, models: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return outcomes (models, N) and the clusters of rows.

    A cluster's own probability is Beta distributed with mean ``p`` and correlation ``spread`` between its rows, and is
    the same for all models; sizes vary by a half.
    """
    if clusters == 0:
        return (rng.random((models, size)) < p).astype(float), np.arange(size)
    sizes = rng.integers(size // 2, size + size // 2 + 1, clusters)
    own = rng.beta(p * (1 / spread - 1), (1 - p) * (1 / spread - 1), clusters)
    index = np.repeat(np.arange(clusters), sizes)
    return (rng.random((models, len(index))) < own[index]).astype(float), index


def coverage(runs: int) -> list[tuple[str, float]]:
    found = []
    for n in (50, 200, 1000):
        for p in (0.03, 0.3, 0.5, 0.9):
            hits = 0
            for seed in range(runs):
                values, _ = outcomes(np.random.default_rng((1, n, int(100 * p), seed)), p, 0, n, 0)
                low, high, _ = Intervals().of_mean(values[0], None)
                hits += low <= p <= high
            found.append((f"independent, n = {n}, p = {p}", hits / runs))
    shared = Intervals()
    for clusters in (10, 30, 151):
        for p in (0.3, 0.5, 0.9):
            for spread in (0.05, 0.3):
                hits = 0
                for seed in range(runs):
                    rng = np.random.default_rng((2, clusters, int(100 * p), int(100 * spread), seed))
                    values, index = outcomes(rng, p, clusters, 20, spread)
                    low, high, _ = shared.of_mean(values[0], index)
                    hits += low <= p <= high
                found.append((f"{clusters} clusters of 20, correlation {spread}, p = {p}", hits / runs))
    return found


def differences(runs: int) -> list[tuple[str, float, float]]:
    found = []
    for clusters, size in ((0, 400), (12, 20), (30, 20), (151, 20)):
        hits = called = 0
        for seed in range(runs):
            rng = np.random.default_rng((3, clusters, seed))
            values, index = outcomes(rng, 0.6, clusters, size, 0.2, models=2)
            gap = values[1] - values[0]
            apart = paired_interval(gap, index)
            hits += apart.low <= 0 <= apart.high
            if clusters:
                p, _ = sign_flip(np.bincount(index, gap), rng, flips=999)
            else:
                p = mcnemar(int((gap < 0).sum()), int((gap > 0).sum()))
            called += p < 0.05
        found.append(
            (f"{clusters or size} {'clusters' if clusters else 'independent rows'}", hits / runs, called / runs)
        )
    return found


def paired(runs: int) -> list[tuple[str, list[float], float]]:
    """Return, by design and share of rows that differ, how often the interval holds the truth, and its mean width.

    Rows differ in favour of the second with the shares 50, 80 and 100 %; rows of a cluster, of which there are 20, go
    together with the correlation that is named.
    """
    found = []
    designs = [(n, 1, 0.0) for n in (20, 50, 100, 200, 500, 1000)]
    designs += [(clusters, 20, together) for clusters in (5, 10, 20, 50, 100) for together in (0.05, 0.3)]
    for groups, size, together in designs:
        for differ in (0.01, 0.05, 0.1, 0.2):
            held, width = [], []
            for one_way in (0.5, 0.8, 1.0):
                rng = np.random.default_rng(
                    (5, groups, size, int(100 * differ), int(10 * one_way), int(100 * together))
                )
                share = np.array([differ * one_way, differ * (1 - one_way), 1 - differ])
                truth, hits = differ * (2 * one_way - 1), 0
                for _ in range(runs):
                    own = np.tile(share, (groups, 1))
                    if together:
                        own = rng.dirichlet(np.maximum(share, 1e-9) * (1 / together - 1), groups)
                    counts = rng.multinomial(size, own)
                    gap = np.repeat(np.tile([1.0, -1.0, 0.0], groups), counts.ravel())
                    apart = paired_interval(gap, np.repeat(np.arange(groups), size))
                    hits += apart.low - 1e-9 <= truth <= apart.high + 1e-9
                    width.append(apart.high - apart.low)
                held.append(hits / runs)
            what = f"{groups} rows" if size == 1 else f"{groups} clusters of {size}, correlation {together}"
            found.append((f"{what}, {100 * differ:g} % differ", held, float(np.mean(width))))
    return found


def null_slices(runs: int) -> list[tuple[str, float]]:
    found = []
    for clusters, size in ((0, 2000), (40, 50), (151, 20)):
        any_found = 0
        for seed in range(runs):
            rng = np.random.default_rng((4, clusters, seed))
            values, index = outcomes(rng, 0.7, clusters, size, 0.1)
            n = values.shape[1]
            columns = {f"factor{k}": rng.integers(0, levels, n).astype(str).astype(object)
                       for k, levels in enumerate((10, 4, 4, 3))}  # fmt: skip
            if clusters:  # one factor belongs to the cluster, as an animal does
                columns["own"] = (index % 10).astype(str).astype(object)
            candidates = list(search(values[0], columns, index if clusters else None))
            p = false_discovery_control(np.array([c.p for c in candidates]))
            any_found += bool((p <= RATE).any())
        found.append((f"{clusters or size} {'clusters' if clusters else 'independent rows'}", any_found / runs))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--slice-runs", type=int, default=300)
    given = parser.parse_args()
    print("95 % intervals of an accuracy that hold the truth")
    for name, share in coverage(given.runs):
        print(f"  {name:50} {100 * share:5.1f} %{'' if 0.93 <= share <= 0.97 else '   <-'}")
    print("paired differences of two equal models: intervals that hold 0, tests that call it a difference at 5 %")
    for name, share, called in differences(given.runs):
        print(f"  {name:50} {100 * share:5.1f} %   {100 * called:5.1f} %")
    print(
        "95 % intervals of a paired difference that hold the truth, of 50, 80 and 100 % one way, and their mean width"
    )
    for name, shares, width in paired(given.runs):
        told = "  ".join(f"{100 * share:5.1f}" for share in shares)
        print(f"  {name:60} {told} %   {100 * width:5.1f}{'' if min(shares) >= 0.93 else '   <-'}")
    print("null results in which the search for slices reports anything (5 % is its rate)")
    for name, share in null_slices(given.slice_runs):
        print(f"  {name:50} {100 * share:5.1f} %")


if __name__ == "__main__":
    main()
