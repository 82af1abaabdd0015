"""The Q-Score on planted representations: one where it works, and one where it must fail.

What could silently be wrong: means and deviations of columns in place of rows, lengths that are not those of the
source, a band that takes in what all pictures share, and a score that looks right because nobody asked it where it
cannot be.
"""

from __future__ import annotations

import numpy as np
import pytest
from planted_scores import CLASSES, OWN, RARE, sparse_world

from torchmultiverse.analyze.probes import ProbeData, logistic
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import active_features, discriminative_features
from torchmultiverse.stats import auc_of


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
    rows, classes = sparse_world(seed, common)
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


def test_activity_tells_what_was_planted() -> None:
    """Own features of a class are active for 2.2 to 5.2 %, those of all for 65 to 95 %, rare ones for 0.1 %; 486 of 512
    are in the band, as half of all are never active, and few pictures have none of the band."""
    for seed in (0, 1):
        rows, _ = sparse_world(seed)
        active = active_features(rows[:2000], 3)
        activity = active.activity()
        own, every, rare = np.split(activity[: CLASSES * OWN + 12 + RARE], [CLASSES * OWN, CLASSES * OWN + 12])
        assert 0.022 <= own.min() <= own.max() <= 0.052
        assert 0.65 <= every.min() <= every.max() <= 0.95
        assert rare.mean() == pytest.approx(0.001, abs=2e-4)
        assert discriminative_features(activity).sum() == 486
        strict = active_features(rows, 4)
        known = strict.scores(discriminative_features(active_features(rows[:2000], 4).activity()))[1]
        assert 0.04 <= 1 - known[2000:].mean() <= 0.11


def told(x: np.ndarray, epsilon: float, truth: np.ndarray, mix: int | None = None) -> tuple[float, float, float]:
    """Return the area of the score, the share of features never active, and that of pictures with a score."""
    half = len(x) // 2
    activity = active_features(x[:half], epsilon).activity()
    band = discriminative_features(activity)
    band = band if mix is None else np.random.default_rng(mix).permutation(band)
    scores, known = active_features(x[half:], epsilon).scores(band)
    return auc_of(scores[truth], scores[~truth]), float((activity == 0).mean()), float(known.mean())


@pytest.mark.slow
def test_a_shuffled_band_and_a_rotation_end_it_while_the_probe_stays_the_same() -> None:
    found: dict[str, list[float]] = {name: [] for name in ("shuffled", "plain", "rotated", "dead", "known", "probe")}
    for seed in range(3):
        rng = np.random.default_rng((seed, 7))
        rows, classes = sparse_world(seed)
        right = correct(rows, classes, np.random.default_rng(seed))

        turned = rows @ np.linalg.qr(rng.normal(size=(512, 512)))[0]
        after = correct(turned, classes, np.random.default_rng(seed))
        found["shuffled"].append(told(rows, 4, right, mix=seed)[0])
        found["plain"].append(told(rows, 2, right)[0])
        found["rotated"].append(told(turned, 2, after)[0])
        _, dead, known = told(turned, 4, after)
        found["dead"].append(dead)
        found["known"].append(known)
        found["probe"].append(float(after.mean() - right.mean()))
    assert np.mean(found["shuffled"]) == pytest.approx(0.51, abs=0.03)
    assert all(0.60 <= area <= 0.67 for area in found["plain"])
    assert 0.51 <= np.mean(found["rotated"]) <= 0.55
    assert np.mean(found["dead"]) >= 0.99
    assert all(share <= 0.01 for share in found["known"])
    assert np.abs(found["probe"]).max() < 0.01


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


def test_the_bound_is_30_of_512_and_120_of_2048() -> None:
    """Rows that reach it: as many equal entries as can stand four deviations out, and one more that cannot."""
    for size, most in ((512, 30), (2048, 120)):
        rows = np.zeros((2, size))
        rows[0, :most] = rows[1, : most + 1] = 1
        assert active_features(rows).counts.tolist() == [most, 0]


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
