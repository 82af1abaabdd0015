"""How typical inputs are by a conditioned decoder, and probes of parts of the features.

What could silently be wrong: errors of one picture with the features of another, noise that differs between pictures,
so that their order is luck; a decoder of another model; parts of features that are ordered the wrong way round.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from torchmultiverse.analyze import Split, factor_target
from torchmultiverse.errors import ModelError
from torchmultiverse.features import active_features, discriminative_features
from torchmultiverse.trust import noise_errors, subset_accuracies
from torchmultiverse.trust.scored import Scored
from torchmultiverse.trust.subset_probes import BAND_PART, GENERIC, PCA, RANDOM, RARE, band_places, subset_section

torch = pytest.importorskip("torch")

from planted_scores import sparse_world  # noqa: E402

SIDE, STEPS = 8, (100, 500, 900)
ALPHAS = torch.linspace(0.9999, 0.01, 1000)


class _Scheduler:
    def add_noise(self, images: Any, noise: Any, at: Any) -> Any:
        share = ALPHAS[at].view(-1, 1, 1, 1)
        return share.sqrt() * images + (1 - share).sqrt() * noise


class _Believer:
    """A decoder that takes every picture for the even grey that its one feature says."""

    def __init__(self) -> None:
        self.config = SimpleNamespace(size=SIDE, features=1)
        self.device, self.module, self.scheduler = torch.device("cpu"), torch.nn.Identity(), _Scheduler()

    def predict(self, noisy: Any, at: Any, vectors: Any) -> Any:
        share = ALPHAS[at].view(-1, 1, 1, 1)
        return (noisy - share.sqrt() * vectors.view(-1, 1, 1, 1)) / (1 - share).sqrt()


def test_the_error_is_that_of_the_noise_that_such_features_promise() -> None:
    """A picture that is what its feature says has none; one that is off by d has ᾱ d² / (1 − ᾱ)."""
    grey = np.array([0, 255, 255, 51], np.uint8)
    pixels = np.broadcast_to(grey[:, None, None, None], (4, SIDE, SIDE, 3)).copy()
    features = np.array([[-1.0], [1.0], [0.5], [-0.6]], np.float32)
    found = noise_errors(_Believer(), pixels, features, steps=STEPS)  # type: ignore[arg-type]
    share = ALPHAS[list(STEPS)].numpy()
    expected = np.array([0.0, 0.0, 0.5, 0.0])[:, None] ** 2 * share / (1 - share)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    again = noise_errors(_Believer(), pixels[::-1].copy(), features[::-1].copy(), steps=STEPS)  # type: ignore[arg-type]
    np.testing.assert_allclose(again[::-1], found, rtol=1e-5, atol=1e-6)


def test_what_does_not_fit_the_decoder_is_refused() -> None:
    with pytest.raises(ModelError, match="do not fit a decoder of 8 pixels and 1 features"):
        noise_errors(_Believer(), np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 1), np.float32))  # type: ignore[arg-type]


def test_a_band_is_cut_at_both_ends_in_its_own_proportion() -> None:
    order = np.arange(200)
    assert band_places(order, 0.45, (50, 95))[[0, -1]].tolist() == [100, 189]
    assert band_places(order, 1.0, (50, 95)).tolist() == order.tolist()
    assert band_places(order, 0.5, (0, 100))[[0, -1]].tolist() == [50, 149]


def _scored(common: int, seed: int = 0, images: int = 4000) -> Scored:
    rows, classes = sparse_world(seed, common, images)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    half, fifth, every = images // 2, images // 10, np.arange(images)
    parts = Split(every[fifth:half], every[:fifth], every[half:], every, "")
    active = active_features(rows, 3)
    activity = active_features(rows[:half], 3).activity()
    band = discriminative_features(activity)
    known = active.scores(band)[1]
    target = factor_target({"class": classes}, "class")
    right = np.zeros(images - half, bool)
    return Scored(rows, target, parts, {}, right, active, activity, band, known[half:])


def _accuracies(common: int, shares: tuple[float, ...]) -> dict[tuple[str, float], float]:
    found = _scored(common)
    results = subset_accuracies(found, (50, 95), np.random.default_rng(0), shares=shares)
    table = subset_section(results, found).table
    assert all(line["low %"] <= line["accuracy %"] <= line["high %"] for line in table)  # type: ignore[operator]
    return {(one.part, one.share): float(one.right.mean()) for one in results}


@pytest.mark.slow
def test_rare_features_say_nothing_and_the_band_says_all() -> None:
    """Chance is 0.05; the probe of all features 0.74."""
    found = _accuracies(12, (0.45,))
    assert found["all", 1.0] == pytest.approx(0.74, abs=0.02)
    assert found[BAND_PART, 0.45] == pytest.approx(0.74, abs=0.02)
    assert found[RARE, 0.45] == pytest.approx(0.05, abs=0.02)
    assert found[RANDOM, 0.45] < found["all", 1.0]
    assert found[PCA, 0.45] > 0.68


@pytest.mark.slow
def test_where_generic_features_are_strong_they_say_nothing_either() -> None:
    """Of 512 features 120 are common to all: the top tail of as many is at chance, random ones are between."""
    many = 120 / 512
    found = _accuracies(120, (0.45, 0.25, many))
    assert found[GENERIC, many] == pytest.approx(0.05, abs=0.02)
    assert found[BAND_PART, 0.45] == pytest.approx(0.74, abs=0.02)
    assert found[RANDOM, 0.25] == pytest.approx(0.57, abs=0.06)
