"""The Q-Score on planted representations: one where it works, and one where it must fail.

What could silently be wrong: means and deviations of columns in place of rows, lengths that are not those of the
source, a band that takes in what all pictures share, and a score that looks right because nobody asked it where it
cannot be.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.analyze.probes import ProbeData, logistic
from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import auc_of
from torchmultiverse.trust import active_features, discriminative_features

CLASSES, OWN = 20, 6


def world(seed: int, common: int = 12, images: int = 4000, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, 512) and classes (N,): own features of a class by the quality of the picture, others by what
    it lacks, ``common`` ones that all pictures have, 60 that few have, and noise."""
    rng = np.random.default_rng(seed)
    rows = np.where(rng.random((images, size)) < 0.3, np.abs(rng.normal(0, 0.05, (images, size))), 0)
    classes, quality = rng.integers(0, CLASSES, images), rng.beta(2, 1.2, images)
    other, every = rng.integers(0, CLASSES, images), np.arange(images)
    for k in range(OWN):
        rows[every, OWN * classes + k] += quality * rng.gamma(4, 0.25, images)
        rows[every, OWN * other + k] += 0.9 * (1 - quality) * rng.gamma(4, 0.25, images)
    first = CLASSES * OWN
    rows[:, first : first + common] += rng.gamma(6, 0.15, (images, common))
    for k in range(60):
        rows[rng.choice(images, 4, replace=False), first + common + k] += 2
    return rows, classes


def correct(rows: np.ndarray, classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which pictures of the second half a linear probe, trained on the first, is right about."""
    x = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    half, fifth = len(x) // 2, len(x) // 10
    data = ProbeData(x[fifth:half], x[:fifth], x[half:], classes[fifth:half], classes[:fifth], CLASSES)
    probe = logistic(data, rng).probe
    assert probe is not None
    return np.asarray(probe.probabilities(x[half:]).argmax(1) == classes[half:])


def area(seed: int, common: int) -> tuple[float, np.ndarray]:
    """Return how well the score tells what the probe is right about, and which features were discriminative."""
    rows, classes = world(seed, common)
    half = len(rows) // 2
    band = discriminative_features(active_features(rows[:half], 3).activity())
    scores, _ = active_features(rows[half:], 3).scores(band)
    right = correct(rows, classes, np.random.default_rng(seed))
    return auc_of(scores[right], scores[~right]), band


def test_it_tells_what_a_probe_gets_right_where_features_are_sparse() -> None:
    found = [area(seed, 12) for seed in (0, 1)]
    assert 0.62 <= np.mean([one for one, _ in found]) <= 0.65
    for _, band in found:
        assert band[: CLASSES * OWN].mean() >= 0.88
        assert not band[CLASSES * OWN : CLASSES * OWN + 12].any()


def test_it_fails_where_what_all_pictures_share_carries_the_length() -> None:
    assert 0.45 <= np.mean([area(seed, 120)[0] for seed in (0, 1)]) <= 0.51


def test_it_is_that_of_the_definition() -> None:
    rng = np.random.default_rng(3)
    rows = np.maximum(rng.gamma(0.3, 1.0, (300, 90)), 0).astype(np.float16)
    active = active_features(rows, 2)
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    above = unit > (unit.mean(1) + 2 * unit.std(1))[:, None]
    assert active.activity() == pytest.approx(above.mean(0))
    low, high = np.percentile(above.mean(0), (50, 95))
    band = (above.mean(0) >= low) & (above.mean(0) <= high)
    assert (discriminative_features(active.activity()) == band).all()
    scores, known = active.scores(band)
    for k in range(300):
        mine = above[k] & band
        assert known[k] == mine.any()
        expected = (unit[k, mine] - unit[k].mean()).mean() if mine.any() else 0.0
        assert scores[k] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("size", "epsilon"), [(18, 4.0), (128, 4.0), (512, 2.0)])
def test_no_more_features_are_active_than_chebyshev_allows(size: int, epsilon: float) -> None:
    rng = np.random.default_rng(4)
    for rows in (rng.normal(size=(500, size)), rng.pareto(0.5, (500, size)), np.eye(size)):
        assert active_features(rows, epsilon).counts.max() <= size / (1 + epsilon**2)


def test_blocks_are_joined_in_order() -> None:
    rng = np.random.default_rng(5)
    rows = rng.gamma(0.2, 1.0, (9000, 32))
    whole, parts = active_features(rows), [active_features(rows[k : k + 1000]) for k in range(0, 9000, 1000)]
    assert (whole.counts == np.concatenate([part.counts for part in parts])).all()
    assert (whole.features == np.concatenate([part.features for part in parts])).all()
    assert whole.heights == pytest.approx(np.concatenate([part.heights for part in parts]))


def test_dead_features_are_in_the_band_of_all_and_not_in_that_of_live_ones() -> None:
    rows = np.random.default_rng(6).gamma(0.2, 1.0, (500, 100))
    rows[:, 40:] = 0
    activity = active_features(rows, 2).activity()
    assert discriminative_features(activity)[40:].all()
    assert not discriminative_features(activity, of="live")[40:].any()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"17 features.* more than 17 are needed"):
        active_features(np.ones((3, 17)))
    rows = np.ones((3, 40))
    rows[1, 2] = np.nan
    with pytest.raises(DatasetError, match="row 1 "):
        active_features(rows)
    with pytest.raises(DatasetError, match="95 to 50"):
        discriminative_features(np.ones(3), (95, 50))
