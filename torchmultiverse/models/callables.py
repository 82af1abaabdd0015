"""Python objects and callables as models, with clear words where they cannot be."""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from torchmultiverse.errors import ModelError
from torchmultiverse.models.arrays import array, unit
from torchmultiverse.models.contract import (
    Classifier,
    HasLayers,
    HasMutableInfo,
    ImageEncoder,
    ImageTextModel,
    Model,
    ModelInfo,
    ModelKind,
    Scorer,
)
from torchmultiverse.models.preprocess import FloatArray, Images, Preprocess, pil_list

if TYPE_CHECKING:
    import torch


def wrapped(
    thing: Any,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
) -> Model:
    """Return a model for an object or function, see :func:`torchmultiverse.models.as_model`.

    Raises:
        ModelError: it cannot be one.
    """
    if name is None and preprocess is None and classes is None and isinstance(getattr(thing, "info", None), ModelInfo):
        if isinstance(thing, ImageTextModel | Classifier | Scorer | ImageEncoder):
            return thing
        raise ModelError(f"'{thing.info.name}' has facts but none of encode_image, logits, score")
    if isinstance(thing, type):
        raise ModelError(
            f"'{thing.__name__}' is a class that is made of {_required(thing)} arguments, no model; name a function "
            "that makes it"
        )
    ours = isinstance(thing, HasLayers) and isinstance(thing, HasMutableInfo)
    if ours and isinstance(thing.info, ModelInfo) and preprocess is None and classes is None:
        renamed = copy.copy(thing)  # with its layers, and its features as they are kept; the one given stays
        renamed.change(name=name)
        return cast(Model, renamed)
    label = name or getattr(getattr(thing, "info", None), "name", None) or _name_of(thing)
    model = _from_methods(thing, label, classes, preprocess)
    return model if model is not None else _from_function(thing, label, classes, preprocess)


_METHODS = ("encode_image", "score", "logits")


def is_factory(thing: Any) -> bool:
    """Whether something is a function of nothing, or a class made of nothing, whose result is the model."""
    if isinstance(thing, type):
        return _required(thing) == 0
    if any(hasattr(thing, method) for method in _METHODS) or not callable(thing) or _is_module(thing):
        return False
    return _required(thing) == 0


def _from_methods(thing: Any, label: str, classes: Sequence[str] | None, preprocess: Preprocess | None) -> Model | None:
    """Return a model for an object with the methods of one; ``None`` where it has none of them."""
    if hasattr(thing, "encode_image") and hasattr(thing, "encode_text"):
        return _WrappedImageText(thing, _info(label, "image-text", thing, preprocess))
    if hasattr(thing, "encode_image"):
        return _WrappedEncoder(thing, _info(label, "encoder", thing, preprocess))
    if hasattr(thing, "score"):
        return _WrappedScorer(thing.score, _info(label, "scorer", thing, preprocess))
    if hasattr(thing, "logits"):
        names = classes if classes is not None else getattr(thing, "classes", None)
        return _WrappedClassifier(thing.logits, _info(label, "classifier", thing, preprocess), names, thing)
    return None


def _from_function(thing: Any, label: str, classes: Sequence[str] | None, preprocess: Preprocess | None) -> Model:
    """Return a classifier for a module or a function of images, a scorer for one of images and captions."""
    if not callable(thing):
        raise ModelError(f"a {type(thing).__name__} is no model: it has no encode_image, score or logits")
    if _is_module(thing):
        if preprocess is None:
            raise ModelError(f"the PyTorch module '{label}' needs its preprocessing: as_model(module, preprocess=…)")
        return _WrappedModule(thing, _info(label, "classifier", thing, preprocess), classes)
    count = _required(thing)
    if count == 1:
        return _WrappedClassifier(thing, _info(label, "classifier", thing, preprocess), classes)
    if count == 2:
        return _WrappedScorer(thing, _info(label, "scorer", thing, preprocess))
    raise ModelError(f"'{label}' takes {count} arguments; a model takes images, or images and captions")


def module_for(name: str, spec: str) -> ModuleType:
    """Import a module by name; the working folder counts.

    Raises:
        ModelError: there is none of that name, or it cannot be imported.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(f"'python:{spec}': {error}") from error
    except (Exception, SystemExit) as error:  # somebody's code
        raise ModelError(f"'python:{spec}': {name} cannot be imported: {type(error).__name__}: {error}") from error


_IMAGE = ("image_embeds", "image_features", "pooler_output")
_TEXT = ("text_embeds", "text_features", "pooler_output")
_LOGITS = ("logits",)
_SCORES = ("scores", "logits_per_image", "logits")
_LARGEST_SCALE = 1000.0  # CLIP stops at 100, SigLIP came to 117


def _logit_scale(value: Any, name: str) -> float:
    """Return what cosines are multiplied by.

    Raises:
        ModelError: no number, or a tensor that can be no logarithm of a factor.
    """
    if value is None:
        return 100.0
    learnt = hasattr(value, "detach")
    try:
        number = float(value.detach() if learnt else value)
    except (TypeError, ValueError, RuntimeError):
        raise ModelError(f"'{name}': logit_scale is a {type(value).__name__}; one number is needed") from None
    factor = float(np.exp(min(number, 700.0))) if learnt else number
    if not 0 < factor <= (_LARGEST_SCALE if learnt else np.inf):
        told = "a tensor is the logarithm of a factor, as CLIP keeps it; give a factor as a plain number"
        raise ModelError(f"'{name}': logit_scale is {number:g}: {told if learnt else 'a positive factor is needed'}")
    return factor


class _Wrapped:
    """What all models made of a user's objects share."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    thing: Any = None

    @property
    def module(self) -> torch.nn.Module:
        """The PyTorch module that the user's object is, has as ``module``, or has as its only one.

        Raises:
            AttributeError: there is none, or there are several: then the model shows no module.
        """
        held = [self.thing, getattr(self.thing, "module", None)]
        inner = [one for one in getattr(self.thing, "__dict__", {}).values() if _is_module(one)]
        found = next((one for one in held if _is_module(one)), inner[0] if len(inner) == 1 else None)
        if found is None:
            raise AttributeError(f"'{self.info.name}' holds no PyTorch module, or several")
        module: torch.nn.Module = found
        return module

    def change(self, **facts: Any) -> None:
        """Change declared facts."""
        if facts.get("precision", "float32") != "float32":
            raise ModelError(f"'{self.info.name}' computes in a precision of its own")
        if "preprocess" in facts and self.info.preprocess is None:
            raise ModelError(f"'{self.info.name}' prepares pictures in a way of its own")
        self.info = replace(self.info, **facts)

    def _input(self, images: Images) -> Any:
        return self.info.preprocess(images) if self.info.preprocess else pil_list(images)

    def _array(self, value: Any, names: Sequence[str]) -> FloatArray:
        """Return what a user's object gave as an array.

        Args:
            value: an array, a tensor, or a mapping that holds one.
            names: under which it may be there, the first that is.

        Raises:
            ModelError: it is nothing of these.
        """
        if isinstance(value, Mapping):
            held = [name for name in names if value.get(name) is not None]
            if not held:
                raise ModelError(
                    f"'{self.info.name}' returned a {type(value).__name__} of {', '.join(map(str, value))}; "
                    f"an array is needed, or one under {' or '.join(names)}"
                )
            value = value[held[0]]
        try:
            return array(value)
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"'{self.info.name}' returned a {type(value).__name__}, which is no array of numbers: "
                f"{(str(error).splitlines() or [''])[0][:200]}"
            ) from error


class _WrappedImageText(_Wrapped):
    adapter = "_ImageText"

    def __init__(self, thing: Any, info: ModelInfo) -> None:
        super().__init__(replace(info, logit_scale=_logit_scale(getattr(thing, "logit_scale", 100.0), info.name)))
        self.thing = thing

    @property
    def logit_scale(self) -> float:
        return _logit_scale(getattr(self.thing, "logit_scale", 100.0), self.info.name)

    def encode_image(self, images: Images) -> FloatArray:
        return unit(self._array(self.thing.encode_image(self._input(images)), _IMAGE))

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        return unit(self._array(self.thing.encode_text(list(texts)), _TEXT))


class _WrappedEncoder(_Wrapped):
    adapter = "_Encoder"

    def __init__(self, thing: Any, info: ModelInfo) -> None:
        super().__init__(info)
        self.thing = thing

    def encode_image(self, images: Images) -> FloatArray:
        return self._array(self.thing.encode_image(self._input(images)), _IMAGE)


class _WrappedClassifier(_Wrapped):
    adapter = "_Classifier"

    def __init__(
        self, function: Callable[[Any], Any], info: ModelInfo, classes: Sequence[str] | None, thing: Any = None
    ) -> None:
        super().__init__(info)
        self.thing = thing
        self._function = function
        self.classes = None if classes is None else _names(classes, info.name)

    def logits(self, images: Images) -> FloatArray:
        return self._array(self._function(self._input(images)), _LOGITS)


class _WrappedModule(_WrappedClassifier):
    """A PyTorch module of the user's: it stays where it is and in its type of numbers; its layers are shown."""

    def __init__(self, module: Any, info: ModelInfo, classes: Sequence[str] | None) -> None:
        super().__init__(self._compute, info, classes)
        self.thing = module.eval()

    @property
    def device(self) -> torch.device:
        return self._like().device

    @property
    def input_size(self) -> tuple[int, int]:
        assert self.info.preprocess is not None
        return self.info.preprocess.size

    def change(self, **facts: Any) -> None:
        """Change declared facts, the precision too: a module computes as they say."""
        precision = facts.pop("precision", self.info.precision)
        super().change(**facts)
        self.info = replace(self.info, precision=precision)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        import torch

        low = self.info.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            yield

    def batch(self, images: Images) -> torch.Tensor:
        import torch

        like = self._like()
        return torch.from_numpy(self._input(images)).to(like.device, like.dtype)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        output = self.module(pixels.to(self._like().dtype))
        if isinstance(output, Mapping):
            output = next((output[name] for name in (*_LOGITS, *_IMAGE) if output.get(name) is not None), output)
        found: torch.Tensor = output
        return found

    def forward_full(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.forward(pixels)

    def _compute(self, batch: Any) -> Any:
        import torch

        like = self._like()
        with self.computing():
            return self.module(torch.from_numpy(batch).to(like.device, like.dtype))

    def _like(self) -> torch.Tensor:
        """Return a tensor of the device and type that the module computes in."""
        import torch

        parameter: torch.Tensor | None = next(self.module.parameters(), None)
        found = torch.zeros(()) if parameter is None else parameter
        return found if found.is_floating_point() else torch.zeros((), device=found.device)


class _WrappedScorer(_Wrapped):
    adapter = "_Scorer"

    def __init__(self, function: Callable[[Any, Any], Any], info: ModelInfo) -> None:
        super().__init__(info)
        self._function = function

    def score(self, images: Images, captions: Sequence[str]) -> FloatArray:
        return self._array(self._function(self._input(images), list(captions)), _SCORES)


def _info(name: str, kind: ModelKind, thing: Any, preprocess: Preprocess | None) -> ModelInfo:
    preprocess = preprocess or getattr(thing, "preprocess", None)
    return ModelInfo(name, kind, preprocess if isinstance(preprocess, Preprocess) else None)


def _name_of(thing: Any) -> str:
    name = getattr(thing, "name", None) or getattr(thing, "__name__", None)
    return str(name) if name and name != "<lambda>" else type(thing).__name__


def _names(classes: Sequence[str], name: str) -> tuple[str, ...]:
    if isinstance(classes, str):
        raise ModelError(f"'{name}': classes is a str, {classes[:40]!r}; a list of names is needed, one for each logit")
    wrong = [(index, called) for index, called in enumerate(classes) if not isinstance(called, str)]
    if wrong:
        index, called = wrong[0]
        raise ModelError(f"'{name}': classes[{index}] is {called!r}, a {type(called).__name__}; names are strings")
    return tuple(classes)


def _required(function: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty)


def _is_module(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)
