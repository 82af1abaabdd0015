"""Sparse autoencoders on features whose dictionary is known.

What could silently be wrong: latents that reconstruct well but stand for other directions than the data are made of,
more active latents than were asked for, or a run that goes on as another one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.train import AutoencoderTraining, SparseAutoencoder, train_autoencoder

SIZE, WORDS = 24, 32  # of 48 words one of six first weights left six apart, of 32 none


def features(images: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, 24), sums of three of 32 directions each, and the directions."""
    rng = np.random.default_rng(0)
    dictionary = rng.normal(size=(WORDS, SIZE))
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    codes = np.zeros((images, WORDS))
    for row in codes:
        row[rng.choice(WORDS, 3, replace=False)] = rng.uniform(0.5, 1.5, 3)
    return (codes @ dictionary + rng.normal(0, 0.01, (images, SIZE))).astype(np.float32), dictionary


def test_a_planted_dictionary_is_recovered() -> None:
    rows, dictionary = features()
    training = AutoencoderTraining(width=4, active=3, steps=800, batch_size=128, learning_rate=3e-3)
    found = train_autoencoder(rows, training, quiet=True)
    alike = np.abs(dictionary @ found.decoder.T).max(1)
    assert np.mean(alike > 0.9) > 0.9
    rng = np.random.default_rng(1)
    chance = rng.normal(size=found.decoder.shape)
    chance /= np.linalg.norm(chance, axis=1, keepdims=True)
    assert np.mean(np.abs(dictionary @ chance.T).max(1) > 0.9) < 0.05
    latents = found.encode(rows)
    assert (latents >= 0).all()
    assert (latents > 0).sum(1).max() <= 3
    assert found.unexplained(rows) < 0.2


def test_it_is_saved_and_read(tmp_path: Path) -> None:
    rows, _ = features(300)
    made = train_autoencoder(rows, AutoencoderTraining(width=2, active=4, steps=1), quiet=True)
    made.save(tmp_path)
    again = SparseAutoencoder.load(tmp_path)
    assert (again.encode(rows) == made.encode(rows)).all()
    assert (again.decode(again.encode(rows)) == made.decode(made.encode(rows))).all()
    assert again.scale == made.scale


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    rows, _ = features(300)
    training = AutoencoderTraining(width=2, active=4, steps=500)
    whole = train_autoencoder(rows, training, quiet=True)
    from torchmultiverse.train import Loop

    saved = Loop._save
    try:

        def fails(self: Loop, path: Path) -> None:
            saved(self, path)
            if self.epoch == 1:
                raise KeyboardInterrupt

        Loop._save = fails  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            train_autoencoder(rows, training, tmp_path / "running.pt", quiet=True)
    finally:
        Loop._save = saved  # type: ignore[method-assign]
    again = train_autoencoder(rows, training, tmp_path / "running.pt", quiet=True)
    assert (again.encoder == whole.encoder).all()
    assert (again.decoder == whole.decoder).all()
    assert not (tmp_path / "running.pt").exists()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    rows, _ = features(50)
    with pytest.raises(ModelError, match="active=200: there are 48 latents"):
        train_autoencoder(rows, AutoencoderTraining(width=2, active=200), quiet=True)
    with pytest.raises(DatasetError, match="same for all inputs"):
        train_autoencoder(np.ones((5, 3)), AutoencoderTraining(active=2), quiet=True)
    with pytest.raises(ModelError):
        SparseAutoencoder.load(tmp_path)
