"""Monosemanticity as its definition says, pair by pair.

What could silently be wrong: the square that stands for the sum over pairs counts each picture with itself.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from torchmultiverse.units import factor_embeddings, monosemanticity


def test_it_is_the_weighted_mean_over_pairs() -> None:
    rng = np.random.default_rng(0)
    active, vectors = rng.normal(size=(20, 4)), rng.normal(size=(20, 5))
    weights = (active - active.min(0)) / (active.max(0) - active.min(0))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for k, score in enumerate(monosemanticity(active, vectors)):
        pairs = [(weights[a, k] * weights[b, k], unit[a] @ unit[b]) for a, b in combinations(range(20), 2)]
        assert score == pytest.approx(sum(w * s for w, s in pairs) / sum(w for w, _ in pairs))


def test_a_unit_of_one_value_has_a_higher_score_than_one_of_two() -> None:
    rng = np.random.default_rng(1)
    codes = {"colour": rng.integers(0, 5, 500), "object": rng.integers(0, 4, 500)}
    one = codes["colour"] == 1
    two = one | (codes["object"] == 2)
    scores = monosemanticity(np.stack([one, two, rng.random(500)], 1).astype(float), factor_embeddings(codes))
    assert scores[0] > scores[1] > scores[2]


def test_a_unit_that_says_nothing_has_no_score() -> None:
    assert np.isnan(monosemanticity(np.ones((4, 1)), np.eye(4))).all()
