"""A baseline that sees colours only: no shape, no place. What it gets right, colour alone explains."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.images import rgb
from torchmultiverse.models.arrays import unit
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import FloatArray, Images, pil_list

_BINS = 4
_SIDE = 64


def words(text: str) -> list[str]:
    """Return the words of a caption in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


def histogram(image: Image.Image) -> NDArray[np.float64]:
    """Return the joint RGB histogram of a picture, (64,), as square roots of frequencies (Hellinger's map)."""
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX)).reshape(-1, 3).astype(int)
    cell = small * _BINS // 256
    flat = cell @ np.array([_BINS * _BINS, _BINS, 1])
    roots: NDArray[np.float64] = np.sqrt(np.bincount(flat, minlength=_BINS**3) / len(flat))
    return roots


class HistogramBaseline:
    """Ridge regression from a colour histogram to the words of the caption; scores captions by their words.

    It follows the image-text protocol: a picture's vector holds how much each word is expected beyond its mean,
    a caption's vector the words it has, centred in the same way, so that cosines compare.
    """

    adapter = "HistogramBaseline"
    logit_scale = 1.0

    def __init__(self, vocabulary: Sequence[str], mean: NDArray[Any], weights: NDArray[Any], name: str) -> None:
        """See :meth:`fit`.

        Args:
            vocabulary: words, sorted, (V,).
            mean: fraction of training captions with each word, (V,).
            weights: from histogram and a constant to words, (65, V).
            name: what tables call it.
        """
        self.vocabulary = tuple(vocabulary)
        self._place = {word: index for index, word in enumerate(vocabulary)}
        self._mean, self._weights = mean, weights
        digest = hashlib.sha256(" ".join(vocabulary).encode() + weights.astype("<f8").tobytes()).hexdigest()
        self._info = ModelInfo(
            name,
            "image-text",
            weights="fitted",
            weights_sha256=digest,
            parameters=int(weights.size),
            about="Ridge regression from a 64-bin RGB histogram to the words of the caption; sees no shape, no place.",
        )

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        return self._info

    @classmethod
    def fit(
        cls,
        dataset: Any,
        captions: Iterable[str] | None = None,
        ridge: float = 0.1,
        name: str = "colour histogram",
    ) -> HistogramBaseline:
        """Fit on pictures and captions, in closed form.

        Args:
            dataset: pictures with ``iter_images()``, and a ``caption`` column where no captions are given.
            captions: one per picture.
            ridge: strength of the penalty, per picture; the constant is not penalised.
            name: what tables call it.

        Raises:
            ValueError: no pictures, or not one caption per picture.
        """
        texts = list(dataset.table(["caption"])["caption"].to_pylist() if captions is None else captions)
        features = np.array([histogram(rgb(image)) for image in dataset.iter_images()])
        if not len(features) or len(features) != len(texts):
            raise ValueError(f"{len(features)} pictures and {len(texts)} captions; one caption per picture is needed")
        vocabulary = sorted({word for text in texts for word in words(text)})
        place = {word: index for index, word in enumerate(vocabulary)}
        bags = np.zeros((len(texts), len(vocabulary)))
        for row, text in enumerate(texts):
            bags[row, [place[word] for word in words(text)]] = 1
        mean, centre = bags.mean(0), features.mean(0)
        x, y = features - centre, bags - mean
        slope = np.linalg.solve(x.T @ x + ridge * len(x) * np.eye(x.shape[1]) / x.shape[1], x.T @ y)
        return cls(vocabulary, mean, np.vstack([slope, -centre @ slope]), name)

    def encode_image(self, images: Images) -> FloatArray:
        """Return how much more than usual each word is expected, (N, V), of unit length."""
        features = np.array([histogram(image) for image in pil_list(images)])
        return unit((features @ self._weights[:-1] + self._weights[-1]).astype(np.float32))

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        """Return the words of each caption, less their mean, (N, V), of unit length. Unknown words do not count."""
        bags = np.zeros((len(texts), len(self.vocabulary)), np.float32)
        for row, text in enumerate(texts):
            bags[row, [self._place[word] for word in words(text) if word in self._place]] = 1
        return unit((bags - self._mean).astype(np.float32))
