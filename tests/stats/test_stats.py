"""What could silently be wrong: intervals that are too short (rows that are not independent counted as if they were,
few clusters, all outcomes alike) or that move with the order of rows."""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.evaluation.scoring import paired_scores, retrieval, two_way
from torchmultiverse.stats.intervals import Intervals, wilson


# R. G. Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 1998, table I,
# method 3.
@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_matches_published_values(correct: int, n: int, low: float, high: float) -> None:
    assert wilson(correct, n) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(n - correct, n)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_wilson_at_its_ends() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(7, 7)[1] == 1.0
    assert wilson(0, 7)[0] == 0.0
    low, high = wilson(3.5, 7)
    assert low < 0.5 < high


def _coverage(clusters: int, size: int, spread: float, level: float, declared: bool) -> float:
    """Return how often the interval holds the truth, over 1,000 simulated datasets of clusters."""
    rng = np.random.default_rng(7)
    intervals = Intervals(seed=1)
    # The mean over clusters of a logistic of a normal variable, by simulation once.
    truth = float(np.mean(1 / (1 + np.exp(-(level + spread * rng.standard_normal(2_000_000))))))
    names = np.repeat(np.arange(clusters), size)
    hits = 0
    for _ in range(1000):
        chance = 1 / (1 + np.exp(-(level + spread * rng.standard_normal(clusters))))
        values = (rng.random(clusters * size) < np.repeat(chance, size)).astype(float)
        interval = intervals.of_mean(values, names if declared else None)
        hits += interval.low <= truth <= interval.high
    return hits / 1000


@pytest.mark.parametrize(
    ("clusters", "size", "spread", "level"),
    [(200, 1, 0.0, 0.5), (40, 8, 1.5, 0.5), (25, 10, 1.0, -0.5), (30, 20, 1.2, 2.5)],
)
def test_95_percent_intervals_cover_95_percent(clusters: int, size: int, spread: float, level: float) -> None:
    assert 0.93 <= _coverage(clusters, size, spread, level, declared=True) <= 0.97


def test_ignoring_clusters_would_be_wrong() -> None:
    assert _coverage(40, 8, 1.5, 0.5, declared=False) < 0.85, "the simulation has no clustering worth the name"


def test_the_interval_does_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    values, names = (rng.random(300) < 0.7).astype(float), rng.integers(0, 20, 300)
    order = rng.permutation(300)
    one, two = Intervals(3).of_mean(values, names), Intervals(3).of_mean(values[order], names[order])
    assert one == two
    assert one.method == "effective sample size of clusters"
    assert one.low < values.mean() < one.high


def test_clusters_that_agree_do_not_make_certainty() -> None:
    values = np.ones(60)
    interval = Intervals().of_mean(values, np.repeat(np.arange(6), 10))
    assert (interval.low, interval.high) == wilson(6, 6)
    assert Intervals().of_mean(values, np.zeros(60, int)).low == wilson(1, 1)[0]


def test_clusters_of_one_row_are_independent_rows() -> None:
    values = np.array([1.0, 0, 1, 1, 0, 1, 1, 1])
    assert Intervals().of_mean(values, np.arange(8)).method == "wilson"
    assert Intervals().of_mean(values, None)[:2] == wilson(6, 8)


def test_what_clusters_are_worth() -> None:
    """Copies of rows are worth nothing: the interval is Clopper's and Pearson's of the clusters, with Student's t."""
    from scipy.stats import beta, norm, t

    values, names = np.repeat([1.0] * 12 + [0.0] * 8, 50), np.repeat(np.arange(20), 50)
    found = Intervals().of_mean(values, names)
    n = 19 * (norm.isf(0.025) / t.isf(0.025, 19)) ** 2
    assert found.low == pytest.approx(beta.ppf(0.025, 0.6 * n, 0.4 * n + 1))
    assert found.high == pytest.approx(beta.ppf(0.975, 0.6 * n + 1, 0.4 * n))


def test_the_average_of_tasks_shares_its_clusters() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat(np.arange(30), 4)
    values = (rng.random(120) < np.repeat(rng.random(30), 4)).astype(float)
    alone = Intervals().of_average([(values, names)])
    same_twice = Intervals().of_average([(values, names), (values, names)])
    # The same outcomes counted as two tasks are no new knowledge.
    assert same_twice.high - same_twice.low == pytest.approx(alone.high - alone.low, rel=0.05)
    other = (rng.random(120) < np.repeat(rng.random(30), 4)).astype(float)
    apart = Intervals().of_average([(values, names), (other, names + 100)])
    assert apart.high - apart.low < 0.85 * (alone.high - alone.low)


def test_ties_are_the_chance_of_guessing_right_among_the_tied() -> None:
    scores = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [2, 1, 0], [1, 1 + 1e-9, 0]])
    outcome = retrieval(scores, np.array([0, 0, 0, 0, 0]))
    assert outcome.correct == pytest.approx([1 / 2, 1 / 3, 0, 1, 1 / 2])
    assert outcome.margin == pytest.approx([0, 0, -1, 1, 0], abs=1e-6)
    assert list(outcome.prediction) == [0, 0, 1, 0, 0]
    assert list(two_way(np.array([1.0, 0, 2]), np.array([1.0, 1, 1])).correct) == [0.5, 0, 1]


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 are not finite"):
        retrieval(np.array([[0.0, 1.0], [np.nan, 1.0]]), np.array([0, 0]))


def test_equal_captions_tie_whatever_the_batch() -> None:
    rng = np.random.default_rng(0)
    images, text = rng.normal(size=(101, 333)).astype(np.float32), rng.normal(size=333).astype(np.float32)
    one, two = paired_scores(images, np.tile(text, (101, 1))), paired_scores(images[:7], np.tile(text, (7, 1)))
    assert np.array_equal(one[:7], two)
