"""Intervals over trainings and pictures. What could silently be wrong: an interval that is true of these trainings
only, and so too short for the next one, or one that forgets that pictures of one asset are not independent."""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.stats import Intervals, mean_interval, over_trainings


@pytest.mark.parametrize("spread", [0.0, 0.06])
def test_it_holds_what_it_says_for_another_training_and_other_pictures(spread: float) -> None:
    """Three trainings, 20 assets of 6 pictures; one over pictures alone holds far less if trainings differ."""
    rng, intervals, truth = np.random.default_rng(0), Intervals(0), 0.5
    clusters = np.repeat(np.arange(20), 6)
    held, pictures_alone, count = 0, 0, 300
    for _ in range(count):
        chance = truth + spread * rng.normal(size=(3, 1)) + 0.1 * rng.normal(size=(1, 20))
        outcomes = rng.random((3, 120)) < chance.clip(0, 1)[:, clusters]
        found = over_trainings(outcomes.astype(float), clusters)
        held += found.low <= truth <= found.high
        alone = mean_interval(outcomes.mean(0), clusters, intervals)
        pictures_alone += alone.low <= truth <= alone.high
    assert held / count > 0.93
    assert spread == 0 or pictures_alone / count < 0.85


def test_the_parts_are_those_of_their_definitions() -> None:
    outcomes = np.array([[1.0, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]])
    found = over_trainings(outcomes, bounds=(-1, 1))
    assert found.mean == pytest.approx(6 / 12)
    assert found.std == pytest.approx(np.std([0.5, 0.25, 0.75], ddof=1))
    of_columns, of_rows = outcomes.mean(0).var(ddof=1) / 4, outcomes.mean(1).var(ddof=1) / 3
    rest = outcomes - outcomes.mean(0) - outcomes.mean(1, keepdims=True) + outcomes.mean()
    left = (rest**2).sum() / (3 * 2) / 12
    assert found.error**2 == pytest.approx(max(of_columns + of_rows - left, of_columns, of_rows))


def test_what_cannot_be_said_is_not() -> None:
    one = over_trainings(np.ones((1, 50)))
    assert (one.low, one.high) == (0, 1)
    assert np.isnan(one.std)
    assert over_trainings(np.ones((3, 50)), np.arange(50) % 3)[2:4] == (0, 1)
