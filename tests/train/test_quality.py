"""The Q-Score as a term of a loss: its values, what it does to a planted representation, and what it refuses.

What could silently be wrong: a sign, by which scores fall; a gradient through the choice of active features or through
the thresholds; discriminative features of another encoder than the one that is fine-tuned; a second term that brings
about what it is to prevent.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError, ModelError, SettingError
from torchmultiverse.features import active_features, discriminative_features
from torchmultiverse.models.ssl import network
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.train.quality import COLUMNS, QScoreTerms, discriminative_of, score_terms
from torchmultiverse.train.ssl import SelfSupervisedLoss, fit

torch = pytest.importorskip("torch")
pytest.importorskip("lightly")

from planted_scores import sparse_world  # noqa: E402
from shapes import interrupt_once, shapes  # noqa: E402

SMALL: dict[str, Any] = {"backbone": "resnet10t", "size": 32, "head": (32, 16), "epochs": 2, "batch_size": 32}


def test_terms_are_those_of_their_definition() -> None:
    rng = np.random.default_rng(0)
    rows = np.maximum(rng.gamma(0.3, 1.0, (60, 90)), 0).astype(np.float32)
    band = rng.random(90) < 0.6
    given = torch.from_numpy(rows).requires_grad_(True)
    scores, low, high = score_terms(given, torch.from_numpy(band), 2)
    expected, known = active_features(rows, 2).scores(band)
    np.testing.assert_allclose(scores.detach(), expected, atol=1e-6)
    assert not known.all()  # rows without a score are among them, and change nothing
    assert float(low.detach()) == pytest.approx(expected[expected < expected.mean()].sum() / 60, abs=1e-6)
    norms = rows.sum(0)
    assert float(high.detach()) == pytest.approx(norms[norms > norms.mean()].sum(), rel=1e-5)
    (slope,) = torch.autograd.grad(low, given)
    assert torch.isfinite(slope).all()
    moved = (expected < expected.mean()) & known
    assert (slope.abs().sum(1) > 0).tolist() == moved.tolist()


def test_no_gradient_flows_through_the_thresholds() -> None:
    """The norm of a column above the mean has slope 1 in each entry, others 0."""
    rows = torch.tensor([[1.0] + [0.1] * 19, [2.0] + [0.1] * 19], requires_grad=True)
    _, _, high = score_terms(rows, torch.ones(20, dtype=torch.bool), 4)
    (slope,) = torch.autograd.grad(high, rows)
    assert slope.tolist() == [[1.0] + [0.0] * 19] * 2


def _tuned(weight: float, norms: float) -> tuple[float, float, float]:
    """Return mean score, largest activity of a discriminative feature, and mean active ones after 50 steps."""
    rows, _ = sparse_world(0, images=1000)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    band = discriminative_features(active_features(rows, 3).activity())
    training = EncoderTraining(
        epochs=10, batch_size=200, learning_rate=1e-2, schedule="constant", qscore=weight, qscore_norms=norms,
        qscore_epsilon=3,
    )  # fmt: skip

    def views(chosen: Any, epoch: int) -> Any:
        rng = np.random.default_rng((epoch, int(chosen[0])))
        noise = [0.01 * np.abs(rng.normal(size=(len(chosen), 512))).astype(np.float32) for _ in "12"]
        return tuple(torch.from_numpy(rows[chosen] + one) for one in noise)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        linear = torch.nn.Linear(512, 512)
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
        net: Any = network(torch.nn.Sequential(linear, torch.nn.ReLU()), 512, (64, 32))
        loss = SelfSupervisedLoss("simclr", net, 32)
        terms = QScoreTerms(net, band, training)
    fit(loss, views, len(rows), training, terms=[terms], after=lambda *_: terms.end_epoch(), quiet=True)
    with torch.no_grad():
        active = active_features(net.trunk(torch.from_numpy(rows)).numpy(), 3)
    return float(active.scores(band)[0].mean()), float(active.activity()[band].max()), float(active.counts.mean())


@pytest.mark.slow
def test_scores_rise_and_without_the_second_term_a_few_features_are_on_for_all_pictures() -> None:
    without, alone, both = _tuned(1e-9, 0), _tuned(10, 0), _tuned(10, 1e-3)
    assert alone[0] > 1.5 * without[0]
    assert both[0] > 1.5 * without[0]
    assert alone[2] > without[2]
    assert alone[1] > 0.95  # the trivial solution
    assert both[1] < 0.75


@pytest.mark.slow
def test_an_encoder_is_fine_tuned_and_a_run_that_was_interrupted_is_the_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shapes()
    start = train_encoder(data, tmp_path / "start", EncoderTraining(**{**SMALL, "epochs": 0}), quiet=True)
    how = EncoderTraining(**SMALL, qscore=0.1, qscore_epsilon=2.0, qscore_of="live")
    with monkeypatch.context() as patch:
        interrupt_once(patch)
        with pytest.raises(KeyboardInterrupt):
            train_encoder(data, tmp_path / "cut", how, start=start, quiet=True)
    tables = []
    for name in ("cut", "whole"):
        folder = train_encoder(data, tmp_path / name, how, start=start, quiet=True)
        tables.append((folder / "qscore.csv").read_text())
    assert tables[0] == tables[1]
    lines = list(csv.reader(tables[0].splitlines()))
    assert lines[0] == list(COLUMNS)
    assert len(lines) == 3
    assert '"qscore": 0.1' in (tmp_path / "cut" / "config.json").read_text()
    assert "qscore" not in (start / "config.json").read_text()


def test_what_cannot_be_is_refused_before_the_folder_is_claimed(tmp_path: Path) -> None:
    data = shapes(32)
    with pytest.raises(SettingError, match="name it with --from"):
        train_encoder(data, tmp_path / "a", EncoderTraining(**SMALL, qscore=1e-4), quiet=True)
    with pytest.raises(SettingError, match="qscore_epsilon does nothing without qscore=WEIGHT"):
        train_encoder(data, tmp_path / "a", EncoderTraining(**SMALL, qscore_epsilon=3), quiet=True)
    with pytest.raises(SettingError, match="epoch 99 is never reached; the training has 2"):
        train_encoder(data, tmp_path / "a", EncoderTraining(**SMALL, keep=(0, 99)), quiet=True)
    how = EncoderTraining(**SMALL, qscore=1e-4)
    with pytest.raises(ModelError, match="negative features"):
        discriminative_of(np.full((4, 40), -1.0, np.float32), how)
    with pytest.raises(ModelError, match="100 % are never"):
        discriminative_of(np.ones((4, 40), np.float32), how)
    with pytest.raises(DatasetError, match="more than 17 are needed"):
        discriminative_of(np.ones((4, 17), np.float32), how)
    assert not (tmp_path / "a").exists()
