"""What a model is here: four protocols and the facts that travel with each model into every result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.models.preprocess import FloatArray, Images, Preprocess

Kind = Literal["image-text", "classifier", "scorer", "encoder"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about a model that every result carries.

    Attributes:
        name: as shown in tables; unique within a result.
        kind: which of the four protocols it follows.
        preprocess: what happens to a picture first; ``None`` where the model does it in a way of its own.
        weights: where the weights came from: a tag, a path, ``random`` or ``given``.
        weights_sha256: of all tensors, by name; ``None`` where the model is not a set of tensors.
        parameters: how many numbers were learnt.
        about: one line for people.
        embedding: length of a picture's vector, or how many logits.
        logit_scale: what cosines are multiplied by before a softmax; ``None`` where there are none.
        text: how captions are read: tokenizer, length, padding.
        license: of the weights, as their maker says; "" where nothing is said.
        precision: of the computation; what comes out is float32 in any case.
    """

    name: str
    kind: Kind
    preprocess: Preprocess | None = None
    weights: str = "given"
    weights_sha256: str | None = None
    parameters: int | None = None
    about: str = ""
    embedding: int | None = None
    logit_scale: float | None = None
    text: str = ""
    license: str = ""
    precision: Precision = "float32"

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "preprocess": self.preprocess.as_dict() if self.preprocess else None,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "parameters": self.parameters,
            "about": self.about,
            "embedding": self.embedding,
            "logit_scale": self.logit_scale,
            "text": self.text,
            "license": self.license,
            "precision": self.precision,
        }


@runtime_checkable
class ImageTextModel(Protocol):
    """A model with one space for pictures and captions; the score of a pair is the cosine of the two vectors."""

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        ...

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by before a softmax."""
        ...

    def encode_image(self, images: Images) -> FloatArray:
        """Return one vector per picture, (N, D), of unit length."""
        ...

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        """Return one vector per caption, (N, D), of unit length."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A model that says what it reads of captions: what lies beyond its limit is not there for it."""

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each caption, (N, L)."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """A model with a fixed list of classes."""

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        ...

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the classes in the order of the logits; ``None`` means the 1000 of ImageNet."""
        ...

    def logits(self, images: Images) -> FloatArray:
        """Return (N, C)."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """A model that looks at a picture and a caption together."""

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        ...

    def score(self, images: Images, captions: Sequence[str]) -> FloatArray:
        """Return the score of every picture with every caption, (N, K); higher fits better."""
        ...


@runtime_checkable
class ImageEncoder(Protocol):
    """A model that turns pictures into vectors and knows no words."""

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        ...

    def encode_image(self, images: Images) -> FloatArray:
        """Return one vector per picture, (N, D), as the model gives it."""
        ...


Model: TypeAlias = ImageTextModel | Classifier | Scorer | ImageEncoder
