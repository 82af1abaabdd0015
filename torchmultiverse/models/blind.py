"""A model that is shown a grey picture in place of each: what it knows from captions alone.

What it reaches on a question is what the captions give away, or what the model likes to hear, and is no merit of
seeing. Source of the control: Z. Lin et al., *Revisiting the role of language priors in vision-language models*, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models.contract import (
    HasCandidateLimit,
    HasMutableInfo,
    HasTokens,
    ImageTextModel,
    Model,
    ModelInfo,
    Scorer,
)
from torchmultiverse.models.preprocess import FloatArray, Images

_GREY, _SIDE = (128, 128, 128), 64


class _Blind:
    """What both kinds share; facts are those of the model, without what would keep features of pictures."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.info: ModelInfo = replace(
            model.info, name=f"{model.info.name}, without pictures", preprocess=None, weights_sha256=None,
            about=f"{model.info.about}; shown a grey picture in place of each".lstrip("; "),
            string=f"blind:{model.info.source}",
        )  # fmt: skip

    def change(self, **facts: Any) -> None:
        """Replace the name; other facts are the model's own.

        Raises:
            ModelError: a fact that the model cannot change.
        """
        others = {name: value for name, value in facts.items() if name not in ("name", "string", "preprocess")}
        if others:
            if not isinstance(self._model, HasMutableInfo):
                raise ModelError(f"'{self.info.name}' cannot change {', '.join(others)}")
            self._model.change(**others)
        self.info = replace(self.info, **facts)

    @staticmethod
    def _grey() -> list[Image.Image]:
        return [Image.new("RGB", (_SIDE, _SIDE), _GREY)]


class BlindImageText(_Blind):
    """An image-text model for which all pictures are one grey picture."""

    _model: ImageTextModel

    @property
    def logit_scale(self) -> float:
        """That of the model."""
        return self._model.logit_scale

    def encode_image(self, images: Images) -> FloatArray:
        """Return the vector of a grey picture once for each picture, (N, D)."""
        return np.repeat(np.asarray(self._model.encode_image(self._grey()), np.float32), len(images), axis=0)

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        """Return the model's own vectors, (N, D)."""
        return self._model.encode_text(texts)


class _BlindReader(BlindImageText):
    """The same of a model that says what it reads."""

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the model's own tokens, (N, L)."""
        assert isinstance(self._model, HasTokens)
        return self._model.tokens(texts)


class BlindScorer(_Blind):
    """A scorer for which all pictures are one grey picture."""

    _model: Scorer

    @property
    def max_candidates(self) -> int:
        """That of the model; many where it has none."""
        return self._model.max_candidates if isinstance(self._model, HasCandidateLimit) else 1 << 30

    def score(self, images: Images, captions: Sequence[str]) -> FloatArray:
        """Return the scores of a grey picture once for each picture, (N, K)."""
        return np.repeat(np.asarray(self._model.score(self._grey(), captions), np.float32), len(images), axis=0)


def without_pictures(model: Model) -> Model:
    """Return a model that is shown a grey picture in place of each.

    >>> class Words:
    ...     info = ModelInfo("words", "scorer")
    ...     def score(self, images, captions):
    ...         return np.array([[len(caption) for caption in captions]] * len(images), np.float32)
    >>> blind = without_pictures(Words())
    >>> blind.info.name, blind.score([None, None], ["a", "cat"]).tolist()
    ('words, without pictures', [[1.0, 3.0], [1.0, 3.0]])

    Raises:
        ModelError: one that reads no captions.
    """
    if isinstance(model, ImageTextModel):
        return _BlindReader(model) if isinstance(model, HasTokens) else BlindImageText(model)
    if isinstance(model, Scorer):
        return BlindScorer(model)
    raise ModelError(f"'{model.info.name}' reads no captions, so that it knows nothing without pictures")


def load_blind(rest: str) -> Model:
    """Return the model that a string names, shown a grey picture in place of each.

    Raises:
        ModelError: no such model, or one that reads no captions.
    """
    from torchmultiverse.models.registry import load_model

    return without_pictures(load_model(rest))
