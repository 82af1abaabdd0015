"""What a model is here, written down whole.

A model follows one of four protocols (`ImageTextModel`, `Classifier`, `Scorer`, `ImageEncoder`) and has an ``info``,
the facts that travel with it into every result. What it can do beyond that are capabilities: small protocols that are
asked for with ``isinstance``, that any model may have or not, and that `torchmultiverse.models.check_model` tries where
a model claims them. Nothing else is expected of a model, and nothing is found out by trying an attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.models.preprocess import FloatArray, Images, Preprocess

if TYPE_CHECKING:
    import torch

ModelKind = Literal["image-text", "classifier", "scorer", "encoder"]
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
        string: that it was loaded from, where its name is another; not among its facts as plain data, since the same
            model may be loaded from several.
    """

    name: str
    kind: ModelKind
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
    string: str = ""

    @property
    def source(self) -> str:
        """Return the model string without an alias."""
        return self.string or self.name

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


@runtime_checkable
class HasTokens(Protocol):
    """A capability: a model that says what it reads of captions; what lies beyond its limit is not there for it."""

    def tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the tokens of each caption, (N, L)."""
        ...


@runtime_checkable
class HasMutableInfo(Protocol):
    """A capability: a model whose declared facts can be changed, and that then computes as they say.

    Options behind a model string, the precision of a run and the preprocessing that a protocol prescribes go this way.
    """

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        ...

    def change(self, **facts: Any) -> None:
        """Replace facts of ``info``, by the names of `ModelInfo`.

        Raises:
            ModelError: a fact that this model cannot change, such as the preprocessing of one that has its own.
        """
        ...


@runtime_checkable
class HasCandidateLimit(Protocol):
    """A capability: a scorer for which each caption costs a pass, so that it is asked about few at a time."""

    @property
    def max_candidates(self) -> int:
        """Captions of a task above which it is asked as hard negatives only; at least 2."""
        ...


@runtime_checkable
class HasLikelihood(Protocol):
    """A capability: a generative model whose score is a likelihood that can be normalised in several ways."""

    likelihood: Literal["token", "sum", "gain"]
    """See `torchmultiverse.models.generative`."""


@runtime_checkable
class HasAdapterName(Protocol):
    """A capability: a model whose outputs are cached under a name that is not that of its class.

    The name is part of the key of the feature cache: it stays what it is when the class is renamed. Without it the key
    has the qualified name of the class.
    """

    @property
    def adapter(self) -> str:
        """The name; the same for all models that compute in the same way."""
        ...


@runtime_checkable
class HasModule(Protocol):
    """A capability: a PyTorch module whose precision can be chosen, where its facts can be changed."""

    @property
    def module(self) -> torch.nn.Module:
        """The module, in evaluation mode; its weights are float32."""
        ...


@runtime_checkable
class HasDevice(Protocol):
    """A capability: a model that computes on one device; on a GPU the usual precision is bfloat16."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...


@runtime_checkable
class HasLayers(Protocol):
    """A capability: a PyTorch model whose layers can be reached, and through which gradients flow.

    `torchmultiverse.features.layers_of` lists the layers, `torchmultiverse.features.LayerExtractor` gives their
    features.
    """

    @property
    def info(self) -> ModelInfo:
        """The model's facts."""
        ...

    @property
    def module(self) -> torch.nn.Module:
        """The module whose submodules are the layers."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        ...

    def batch(self, images: Images) -> torch.Tensor:
        """Return preprocessed images on the device, float32 (N, 3, H, W)."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """Compute without gradients, in the declared precision."""
        ...

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the output for preprocessed images (N, 3, H, W), (N, D); gradients flow where they are enabled."""
        ...

    def forward_full(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the end of the deepest path, (N, D): more than `forward` where a projector hangs behind the output."""
        ...


Model: TypeAlias = ImageTextModel | Classifier | Scorer | ImageEncoder

CAPABILITIES = (
    HasTokens, HasMutableInfo, HasCandidateLimit, HasLikelihood, HasAdapterName, HasModule,
    HasDevice, HasLayers,
)  # fmt: skip
"""All of them, in the order in which a self-test tries them."""
