"""One training of a ladder: an encoder of a step's pictures, and what it makes of other pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import ProbeData, probe_of
from torchmultiverse.features import encode_images, image_array
from torchmultiverse.models import IMAGENET_MEAN, IMAGENET_STD, FloatArray, ImageEncoder, Preprocess, load_model
from torchmultiverse.store import ImageSet
from torchmultiverse.train import ClassifierTraining, EncoderTraining, fit_classifier, parse_settings, train_encoder

Recipe = ClassifierTraining | EncoderTraining
"""Of a classifier whose features are read before its last layer, or of an encoder with a projector."""


class Outputs(NamedTuple):
    """What a training makes of some pictures.

    Attributes:
        features: (N, D).
        logits: of the classes trained on, (N, C).
    """

    features: FloatArray
    logits: FloatArray


class Asked(NamedTuple):
    """Pictures.

    Attributes:
        images: the dataset.
        rows: of it, (N,).
    """

    images: ImageSet
    rows: NDArray[np.int64]


def recipe_of(base: ClassifierTraining, settings: list[str]) -> Recipe:
    """Return a recipe: that of a classifier, or of an encoder where some setting says its method.

    Args:
        base: of a classifier.
        settings: such as ``epochs=20``, or ``method=simclr epochs=50``.

    Raises:
        ModelError: no such setting or value.
    """
    if any(text.split("=")[0].strip() == "method" for text in settings):
        return parse_settings(EncoderTraining(keep=()), settings)
    return parse_settings(base, settings)


class PixelStore:
    """Decoded pictures of datasets that several trainings ask for; made once."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int, bytes], tuple[ImageSet, NDArray[np.uint8]]] = {}

    def get(self, asked: Asked, size: int) -> NDArray[np.uint8]:
        """Return pictures as a classifier wants them, uint8 (N, size, size, 3)."""
        key = id(asked.images), size, asked.rows.tobytes()
        if key not in self._held:
            preprocess = Preprocess((size, size), "squash", 1.0, "bicubic", IMAGENET_MEAN, IMAGENET_STD)
            pixels = image_array(asked.images, asked.rows, size, preprocess.image, quiet=True)
            self._held[key] = asked.images, pixels  # the dataset is held too, so that its id stays its own
        return self._held[key][1]


def train_on(
    asked: Asked,
    codes: NDArray[np.int64],
    recipe: Recipe,
    seed: int,
    folder: Path,
    others: Mapping[str, Asked],
    pixels: PixelStore,
    label: str | None = None,
) -> dict[str, Outputs]:
    """Train on some pictures and return what comes of others.

    A classifier answers with its own last layer. An encoder has none for the classes: its logits are those of a linear
    probe that was fitted to the pictures it was trained on.

    Args:
        asked: pictures to train on.
        codes: their classes, (N,).
        recipe: how; its seed is not asked.
        seed: of first weights, order and changes to pictures.
        folder: of the run's checkpoint; an interrupted one goes on.
        others: pictures by name.
        pixels: decoded pictures of other trainings.
        label: column of the classes, for a supervised encoder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(recipe, EncoderTraining):
        return _encoder(asked, codes, recipe.changed(seed=seed), folder, others, label)
    trained = fit_classifier(
        pixels.get(asked, recipe.size), codes, recipe, np.random.default_rng((seed, 3)),
        checkpoint=folder / "running.pt", quiet=True,
    )  # fmt: skip
    return {name: Outputs(*trained.outputs(pixels.get(one, recipe.size))) for name, one in others.items()}


def _encoder(
    asked: Asked,
    codes: NDArray[np.int64],
    training: EncoderTraining,
    folder: Path,
    others: Mapping[str, Asked],
    label: str | None,
) -> dict[str, Outputs]:
    train_encoder(asked.images, folder / "encoder", training, label, asked.rows, quiet=True)
    model = load_model(f"ssl:{folder / 'encoder'}")
    assert isinstance(model, ImageEncoder)

    def features(one: Asked) -> FloatArray:
        return encode_images(model, "image", model.encode_image, one.images, one.rows, quiet=True)

    mine, rng = features(asked), np.random.default_rng((training.seed, 4))
    held = rng.random(len(mine)) < 0.2
    if not np.isin(codes, codes[~held]).all() or not held.any():
        held = np.zeros(len(mine), bool)
    check = held if held.any() else ~held
    data = ProbeData(mine[~held], mine[check], mine[:1], codes[~held], codes[check], int(codes.max()) + 1)
    probe = probe_of("logistic")(data, rng).probe
    assert probe is not None
    found = {name: features(one) for name, one in others.items()}
    return {name: Outputs(one, one @ probe.weight + probe.bias) for name, one in found.items()}
