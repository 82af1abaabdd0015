"""Trainings that draw from one stream of random numbers: continued, they must be the run that was not interrupted.

What could silently be wrong: the order, the captions or the changes to images after a continuation are others than they
would have been, and nobody sees it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from planted import drawn_spar

from torchmultiverse.errors import DatasetError
from torchmultiverse.models import load_model
from torchmultiverse.models.tiny import build_tiny, save_tiny, tiny_config
from torchmultiverse.store import ImageList
from torchmultiverse.train import (
    ClassifierTraining,
    ClipTraining,
    FineTuning,
    finetune,
    train_classifier,
    train_clip,
)
from torchmultiverse.train.classifier import ClassifierObjective
from torchmultiverse.train.clip import CaptionObjective
from torchmultiverse.train.finetuning import FineTuningObjective

torch = pytest.importorskip("torch")
pytest.importorskip("open_clip")
pytest.importorskip("timm")


def interrupt(monkeypatch: pytest.MonkeyPatch, objective: type, at: int, then: Any) -> None:
    """Call a training that is interrupted at its n-th loss."""
    calls, original = 0, objective.loss  # type: ignore[attr-defined]

    def stopping(self: Any, batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise KeyboardInterrupt
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(objective, "loss", stopping)
        with pytest.raises(KeyboardInterrupt):
            then()


@pytest.fixture(scope="module")
def images() -> ImageList:
    return drawn_spar(32, seed=1, animals=["Goldfish", "Penguin"], settings=[("left", "right", "Default", "Default")])


def weights(spec: str) -> str | None:
    return load_model(spec).info.weights_sha256


def test_an_image_text_model(images: ImageList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmultiverse.train.clip._EVERY", 2)
    training = ClipTraining(steps=5, batch_size=6, image_size=32)
    whole = train_clip(images, tmp_path / "whole", training, quiet=True)
    out = tmp_path / "cut"
    interrupt(monkeypatch, CaptionObjective, 4, lambda: train_clip(images, out, training, quiet=True))
    assert [file.name for file in out.iterdir()] == ["running.pt"]
    with pytest.raises(DatasetError, match=r"interrupted run with seed 0, not 1"):
        train_clip(images, out, training.changed(seed=1), quiet=True)
    train_clip(images, out, training, quiet=True)
    assert weights(f"tiny:{out}") == weights(f"tiny:{whole}")
    assert (out / "config.json").read_bytes() == (whole / "config.json").read_bytes()
    assert not (out / "running.pt").exists()


def test_a_fine_tuning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(32)
    start = f"tiny:{save_tiny(tmp_path / 'start', build_tiny(config, 0)[0], 'tiny', config, {'seed': 0})}"
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(18)]
    images = ImageList(noise, [{"caption": f"number {k}", "alt_caption": f"the image of {k}"} for k in range(18)])
    training = FineTuning(split=None, epochs=2, batch_size=6, learning_rate=1e-3)
    whole = finetune(images, start, tmp_path / "whole", training, quiet=True)
    out = tmp_path / "cut"
    interrupt(monkeypatch, FineTuningObjective, 5, lambda: finetune(images, start, out, training, quiet=True))
    cut = finetune(images, start, out, training, quiet=True)
    assert weights(cut) == weights(whole)
    assert (out / "config.json").read_text() == (tmp_path / "whole" / "config.json").read_text()


def test_a_classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), np.arange(24) % 3
    train, training = np.arange(24) < 16, ClassifierTraining(model="resnet10t", size=32, epochs=3, batch_size=8)
    file = tmp_path / "running.pt"

    def run(checkpoint: Path | None = None) -> Any:
        return train_classifier(
            pixels, labels, train, training, np.random.default_rng(5), checkpoint=checkpoint, quiet=True
        )

    interrupt(monkeypatch, ClassifierObjective, 4, lambda: run(file))
    assert file.exists()
    np.testing.assert_array_equal(run(file), run())
    assert not file.exists()
