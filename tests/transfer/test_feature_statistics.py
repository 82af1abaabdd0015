"""Statistics of features can be silently of features as they are (not of length one), or per class instead of per pair.

Every expected number follows from the definition on features whose distribution is known.
"""

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.transfer.feature_statistics import (
    coding_length,
    feature_statistics,
    intra_class_distance,
    redundancy,
)

N, D = 20_000, 128


def test_isotropic_features_have_the_values_of_the_closed_forms() -> None:
    vectors = 7 * np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    found = feature_statistics(vectors, np.arange(N) // 40)
    assert found.sparsity < 1e-3
    assert found.intra_class == pytest.approx(np.sqrt(2), abs=0.005)
    assert found.redundancy == pytest.approx(1 / D + (1 - 1 / D) * np.sqrt(2 / (np.pi * N)), abs=2e-4)
    assert found.coding_length == pytest.approx(D / 2 * np.log(3), abs=0.15)


def test_half_of_the_numbers_of_rectified_noise_are_zero() -> None:
    vectors = np.maximum(np.random.default_rng(1).normal(size=(4000, D)), 0).astype(np.float32)
    assert feature_statistics(vectors, np.arange(4000) // 100).sparsity == pytest.approx(0.5, abs=0.005)


def test_coding_length_of_features_of_low_rank_is_exact() -> None:
    one = np.zeros((200, D))
    one[:, 3] = 1
    assert coding_length(one) == pytest.approx(np.log(1 + 2 * D) / 2, abs=1e-9)  # 2.7745
    assert coding_length(one) == pytest.approx(2.7745, abs=1e-4)
    sixteen = np.eye(D)[np.arange(3200) % 16]
    assert coding_length(sixteen) == pytest.approx(8 * np.log(17), abs=1e-9)  # 22.67
    few = np.random.default_rng(2).normal(size=(20, D))  # fewer pictures than features: the other Gram matrix
    direct = np.linalg.slogdet(np.eye(D) + D / (20 * 0.5) * few.T @ few)[1] / 2
    assert coding_length(few) == pytest.approx(direct)


def test_redundancy_is_one_of_copies_and_leaves_dead_features_out() -> None:
    column = np.random.default_rng(3).normal(size=(500, 1))
    assert redundancy(np.tile(column, (1, 8)) * np.array([1, -2, 3, 1, 1, 1, 1, 1])) == pytest.approx(1)
    half = np.concatenate([np.tile(column, (1, 4)), np.ones((500, 4))], 1)
    assert redundancy(half) == pytest.approx(16 / 64)


def test_distances_are_of_pairs_of_one_class_alone() -> None:
    points = np.array([[0.0, 0], [3, 4], [100, 0], [100, 2], [500, 500]])
    assert intra_class_distance(points, np.array([0, 0, 1, 1, 2])) == pytest.approx((5 + 2) / 2)
    assert np.isnan(intra_class_distance(points, np.arange(5)))
    with pytest.raises(DatasetError, match="two or more"):
        feature_statistics(np.ones((1, 4), np.float32), np.zeros(1, int))
