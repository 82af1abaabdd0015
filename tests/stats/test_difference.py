"""Intervals of differences. What could silently be wrong: ends beyond ±100 points, no width where rows agree, intervals
that are too short with few rows that differ or few clusters, a finding from three clusters, a test that says otherwise
than its interval.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchmultiverse.analyze.membership import infer_membership
from torchmultiverse.stats.difference import (
    format_difference,
    mean_interval,
    paired_interval,
    score_interval,
    unpaired_interval,
)
from torchmultiverse.stats.intervals import Intervals, contrast, wilson
from torchmultiverse.stats.significance import detectable


# M. Fagerland, S. Lydersen, P. Laake, Statistics in Medicine 2014 (airway hyper-responsiveness); the R package PropCIs.
@pytest.mark.parametrize(
    ("gained", "lost", "n", "level", "low", "high"),
    [(1, 7, 21, 0.95, -0.517, -0.026), (28, 25, 618, 0.9, -0.0148, 0.0247)],
)
def test_the_score_interval_is_the_published_one(
    gained: int, lost: int, n: int, level: float, low: float, high: float
) -> None:
    found = score_interval(gained, lost, n, level)
    assert found == pytest.approx((low, high), abs=5e-4)
    assert score_interval(lost, gained, n, level) == pytest.approx((-found[1], -found[0]))


def test_the_score_interval_where_all_agree() -> None:
    """By hand: no row differs, ± z² / (n + z²); all differ one way, from (n − z²) / (n + z²) to 1."""
    z2 = 1.959964**2
    assert score_interval(0, 0, 10) == pytest.approx((-z2 / (10 + z2), z2 / (10 + z2)), abs=1e-6)
    assert score_interval(10, 0, 10) == pytest.approx(((10 - z2) / (10 + z2), 1), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0]), st.integers(0, 9)), min_size=1))
def test_no_interval_leaves_its_bounds_or_has_no_width(rows: list[tuple[float, int]]) -> None:
    difference, clusters = np.array([d for d, _ in rows]), np.array([c for _, c in rows])
    for found in (paired_interval(difference), paired_interval(difference, clusters)):
        assert -1 <= found.low <= found.mean <= found.high <= 1
        assert found.high - found.low > 1e-3
        assert found.error > 0
        assert 0 <= found.p <= 1
        assert (found.p < 0.05 - 1e-9) <= (found.low > 0 or found.high < 0)
        assert (found.p > 0.05 + 1e-9) <= (found.low <= 0 <= found.high)
        assert detectable(found.error, found.clusters) > 0
    again = np.unique(clusters, return_inverse=True)[1]
    held = mean_interval(difference, again, Intervals(), (-1.0, 1.0))
    assert -1 <= held.low <= held.mean <= held.high <= 1
    assert held.high > held.low


def test_three_clusters_say_nothing_and_four_little() -> None:
    """What was printed: −50.0 [−685.3, +585.3], and that a difference of 704 points could be seen."""
    two = paired_interval(np.repeat([0.0, -1.0], 20), np.repeat([0, 1], 20))
    assert (two.low, two.high, two.p) == (-1, 1, 1)
    assert detectable(two.error, two.clusters) == float("inf")
    assert format_difference(*two[:3], 3, "animals") == "too few animals (3)"
    four = paired_interval(np.repeat([0.0, -1.0, -1.0, -0.5], 20), np.repeat(np.arange(4), 20))
    assert -1 <= four.low < four.high < 1
    assert 0.5 < detectable(four.error, four.clusters) <= 1
    assert detectable(0.3, 4) == float("inf"), "no difference is larger than 100 points"
    assert format_difference(0.031, -0.01, 0.0712, 40) == "+3.1 [-1.0, +7.1]"


def test_clusters_that_agree_count_once_each() -> None:
    for n in (20, 200):
        found = paired_interval(np.ones(10 * n), np.repeat(np.arange(10), n))
        assert (found.low, found.high) == pytest.approx(score_interval(10, 0, 10))


def test_accuracies_of_other_rows() -> None:
    """R. Newcombe, Statistics in Medicine 1998, p. 873, table II, method 10."""
    for a, m, b, n, low, high in ((56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090),
                                  (10, 10, 0, 20, 0.6791, 1.0), (10, 10, 0, 10, 0.6075, 1.0)):  # fmt: skip
        found = unpaired_interval(b / n, wilson(b, n), a / m, wilson(a, m))
        assert found == pytest.approx((low, high), abs=6e-5)


def test_members_that_are_all_told_are_no_certainty() -> None:
    found = infer_membership(np.arange(20) + 100.0, np.arange(20.0))
    assert found.auc == found.high == 1
    assert 0.7 < found.low < 0.95
    # R. Newcombe, Statistics in Medicine 2006, p. 559: wider for fewer.
    assert infer_membership(np.arange(5) + 100.0, np.arange(5.0)).low < found.low
    half = infer_membership(np.arange(40.0), np.arange(40.0))
    assert half.low == pytest.approx(1 - half.high)


def test_sides_that_agree_are_as_sure_as_their_clusters_are_many() -> None:
    clusters = np.repeat(np.arange(6), 30)
    values = (clusters < 3).astype(float)
    found = contrast(values, clusters < 3, clusters >= 3, clusters)
    assert found.p == pytest.approx(0.25), "three clusters a side"


def _covered(
    runs: int, clusters: int, size: int, differ: float, one_way: float, together: float, rng: np.random.Generator
) -> float:
    """Return how often the interval holds the truth; ``together`` is the correlation in a cluster."""
    truth = differ * (2 * one_way - 1)
    share = np.array([differ * one_way, differ * (1 - one_way), 1 - differ])
    hits = 0
    for _ in range(runs):
        if together:
            drawn = rng.dirichlet(np.maximum(share, 1e-9) * (1 / together - 1), clusters)
            counts = np.array([rng.multinomial(size, p) for p in drawn])
        else:
            counts = rng.multinomial(1, share, clusters * size)
        difference = np.repeat(np.tile([1.0, -1.0, 0.0], len(counts)), counts.ravel())
        groups = np.repeat(np.arange(len(counts)), counts.sum(1))
        found = paired_interval(difference, groups)
        hits += found.low - 1e-9 <= truth <= found.high + 1e-9
    return hits / runs


@pytest.mark.parametrize(
    ("clusters", "size", "differ", "one_way", "together"),
    [(50, 1, 0.1, 1.0, 0), (200, 1, 0.05, 0.8, 0), (1000, 1, 0.02, 0.5, 0), (20, 10, 0.2, 1.0, 0.1),
     (50, 20, 0.1, 0.8, 0.2), (100, 5, 0.05, 1.0, 0.2)],
)  # fmt: skip
def test_95_percent_intervals_hold_the_difference_95_times(
    clusters: int, size: int, differ: float, one_way: float, together: float
) -> None:
    """600 evaluations each: 93 to 97 %, with two standard errors of the simulation."""
    held = _covered(600, clusters, size, differ, one_way, together, np.random.default_rng(3))
    assert 0.93 - 0.018 <= held <= 0.97 + 0.014


def test_few_rows_that_differ_or_few_clusters_are_not_too_short() -> None:
    """Where 93 to 97 % cannot be reached, since only few outcomes are possible, the interval holds more, not less."""
    rng = np.random.default_rng(4)
    for clusters, size, differ, one_way, together in (
        (20, 1, 0.05, 1.0, 0), (50, 1, 0.02, 0.8, 0), (5, 20, 0.1, 1.0, 0.3), (50, 20, 0.01, 1.0, 0.3),
    ):  # fmt: skip
        assert _covered(200, clusters, size, differ, one_way, together, rng) > 0.95
