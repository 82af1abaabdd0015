"""What models make of images and captions: each image passes once through each model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import ModelError
from torchmultiverse.features import BatchSize, FeatureCache, encode_images, encode_texts, run_images, text_vectors
from torchmultiverse.models import Classifier, FloatArray, ImageTextModel
from torchmultiverse.store import ImageSet


class TextVectors:
    """The vectors of captions.

    Args:
        texts: the captions, each once.
        vectors: (K, D).
    """

    def __init__(self, texts: Sequence[str], vectors: FloatArray) -> None:
        self.vectors = vectors
        self._place = {text: place for place, text in enumerate(texts)}

    def holds(self, texts: Sequence[str]) -> bool:
        """Return whether all of some captions are there."""
        return self._place.keys() >= set(texts)

    def of(self, texts: Sequence[str]) -> FloatArray:
        """Return the vectors of some captions, (len(texts), D)."""
        return self.vectors[np.fromiter(map(self._place.__getitem__, texts), np.int64, len(texts))]


class Outputs:
    """The outputs of models for the images of one dataset, from the cache where they were made before.

    Args:
        images: of the dataset.
        batch_size: images per call.
        quiet: show no bars.
        cache: of outputs.

    Attributes:
        placeholder: whether a few outputs stand for all others, so that scores mean nothing.
    """

    placeholder: ClassVar[bool] = False

    def __init__(
        self, images: ImageSet, batch_size: int | BatchSize, quiet: bool, cache: FeatureCache | None = None
    ) -> None:
        self.images, self.batch_size, self.quiet, self.cache = images, batch_size, quiet, cache
        self._widths: dict[str, int] = {}  # of each model's vectors

    def run(self, function: Callable[[Any], FloatArray], rows: NDArray[np.int64], name: str) -> FloatArray:
        """Return what a function of a batch of images makes of some rows, (N, …)."""
        return run_images(function, self.images, rows, name, self.batch_size, self.quiet)

    def recompute(self, function: Callable[[Any], FloatArray], rows: NDArray[np.int64], name: str) -> FloatArray:
        """Return the same, made anew and image by image."""
        return run_images(function, self.images, rows, f"{name}: audit", 1, self.quiet)

    def of_images(
        self,
        model: ImageTextModel | Classifier,
        output: str,
        function: Callable[[Any], FloatArray],
        rows: NDArray[np.int64],
    ) -> FloatArray:
        """Return an output of a model for some rows, (N, D).

        Raises:
            ModelError: vectors of images and captions are not of one length.
        """
        made = self._make(model, output, function, rows)
        if output == "image" and len(rows):
            self._check_width(model, made.shape[1])
        return made

    def of_texts(self, model: ImageTextModel, texts: Sequence[str]) -> TextVectors:
        """Return the vector of every text.

        Raises:
            ModelError: vectors of images and captions are not of one length.
        """
        unique, vectors = self._read(model, texts)
        if unique:
            self._check_width(model, vectors.shape[1])
        return TextVectors(unique, vectors)

    def _make(
        self,
        model: ImageTextModel | Classifier,
        output: str,
        function: Callable[[Any], FloatArray],
        rows: NDArray[np.int64],
    ) -> FloatArray:
        return encode_images(model, output, function, self.images, rows, self.batch_size, self.quiet, self.cache)

    def _read(self, model: ImageTextModel, texts: Sequence[str]) -> tuple[list[str], FloatArray]:
        return text_vectors(model, texts, self.quiet, self.cache)

    def _check_width(self, model: ImageTextModel | Classifier, width: int) -> None:
        other = self._widths.setdefault(model.info.name, width)
        if other != width:
            raise ModelError(
                f"'{model.info.name}' turns pictures and captions into vectors of {other} and {width} numbers; "
                "one space is needed: is a projection missing?"
            )


class RehearsalOutputs(Outputs):
    """Outputs for two images and two captions, which stand for all others.

    What a model is asked first then fails, if it fails, before hours are spent on other models.
    """

    placeholder = True

    @override
    def run(self, function: Callable[[Any], FloatArray], rows: NDArray[np.int64], name: str) -> FloatArray:
        return np.resize(found := super().run(function, rows[:2], name), (len(rows), *found.shape[1:]))

    @override
    def _make(
        self,
        model: ImageTextModel | Classifier,
        output: str,
        function: Callable[[Any], FloatArray],
        rows: NDArray[np.int64],
    ) -> FloatArray:
        return self.run(function, rows, model.info.name)

    @override
    def _read(self, model: ImageTextModel, texts: Sequence[str]) -> tuple[list[str], FloatArray]:
        unique = list(dict.fromkeys(texts))
        shown = sorted(unique)[:2]
        known = encode_texts(model, shown, quiet=True)
        return unique, np.stack([known[shown[place % len(shown)]] for place in range(len(unique))])
