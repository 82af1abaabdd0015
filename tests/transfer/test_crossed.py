"""An interval over pictures alone is too short where trainings differ; that over seeds too must hold what it says."""

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.transfer.crossed import crossed_difference, crossed_mean, over_seeds


def drawn(rng: np.random.Generator, seeds: int, groups: int, size: int, gain: float) -> tuple[np.ndarray, ...]:
    """Two ways of training: pictures share difficulty in groups, every training has a strength of its own."""
    hard = np.repeat(rng.normal(0, 0.1, groups), size)
    before, after = (0.5 + d + hard + rng.normal(0, 0.04, (seeds, 1)) for d in (0.0, gain))
    one, two = (rng.random((seeds, groups * size)) < p.clip(0, 1) for p in (after, before))
    return one, two, np.repeat(np.arange(groups), size)


def test_the_interval_of_a_difference_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    held = alone = 0
    for _ in range(200):
        one, two, clusters = drawn(rng, 3, 30, 10, 0.1)
        found = crossed_difference(one, two, clusters)
        held += found.low <= 0.1 <= found.high
        short = crossed_difference(one.mean(0)[None], two.mean(0)[None], clusters)
        alone += short.low <= 0.1 <= short.high
    assert held / 200 >= 0.93
    assert alone < held, "pictures alone say too little"


def test_no_difference_is_seldom_called_one() -> None:
    rng = np.random.default_rng(1)
    called = sum(crossed_difference(*drawn(rng, 3, 30, 10, 0.0)).p < 0.05 for _ in range(200))
    assert called / 200 <= 0.07


def test_means_and_seeds() -> None:
    rng = np.random.default_rng(2)
    one, _, clusters = drawn(rng, 4, 30, 10, 0.1)
    found = crossed_mean(one, clusters)
    assert found.value == pytest.approx(one.mean())
    assert 0 <= found.low < found.value < found.high <= 1
    assert (found.n, found.groups, found.seeds) == (300, 30, 4)
    alone = crossed_mean(one[:1], clusters)
    assert alone.seeds == 1
    assert over_seeds(np.array([0.4])) == (0.4, None, None)
    with pytest.raises(DatasetError, match="cannot be paired"):
        crossed_difference(one, one[:2], clusters)
    with pytest.raises(DatasetError, match="seeds × pictures"):
        crossed_mean(np.zeros((0, 5)), np.arange(5))
