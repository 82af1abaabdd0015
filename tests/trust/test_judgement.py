"""How well a score tells right from wrong.

What could silently be wrong: ties that count for or against a score, and intervals as narrow as if all pictures were
independent.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.stats import auc_of
from torchmultiverse.trust import judged


def test_areas_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, right = np.round(rng.normal(size=60), 1), rng.random(60) < 0.6
        found = judged(scores, right, np.arange(60), rng)
        assert found is not None
        assert found.roc == pytest.approx(auc_of(scores[right], scores[~right]))
        precision = 0.0
        for level in np.unique(scores):
            at = scores >= level
            precision += (right & (scores == level)).sum() / right.sum() * right[at].mean()
        assert found.precision == pytest.approx(precision)
        assert found.chance == right.mean()
        assert found.roc_low <= found.roc <= found.roc_high
        assert found.precision_low <= found.precision <= found.precision_high


def test_a_score_that_says_nothing_is_at_chance() -> None:
    right = np.arange(100) % 2 == 0
    found = judged(np.zeros(100), right, np.arange(100), np.random.default_rng(1))
    assert found is not None
    assert (found.roc, found.precision) == (0.5, 0.5)


def test_pictures_of_one_group_count_as_one() -> None:
    rng = np.random.default_rng(2)
    scores, right = rng.normal(size=40), rng.random(40) < 0.5
    alone = judged(scores, right, np.arange(40), np.random.default_rng(3))
    copies = judged(np.repeat(scores, 25), np.repeat(right, 25), np.repeat(np.arange(40), 25), np.random.default_rng(3))
    assert alone is not None
    assert copies is not None
    assert copies.roc_high - copies.roc_low == pytest.approx(alone.roc_high - alone.roc_low, rel=0.05)
    assert (copies.groups, copies.images) == (40, 1000)


def test_there_is_nothing_to_tell_where_all_is_right() -> None:
    assert judged(np.arange(3.0), np.ones(3, bool), np.arange(3), np.random.default_rng(4)) is None
