"""Python objects and callables as models, with clear words where they cannot be."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from torchmultiverse.errors import ModelError
from torchmultiverse.models.base import Classifier, ImageEncoder, ImageTextModel, Kind, Model, ModelInfo, Scorer
from torchmultiverse.models.preprocess import FloatArray, Images, Preprocess, pil_list


def as_model(
    thing: Any,
    name: str | None = None,
    classes: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
) -> Model:
    """Return a model for whatever can be one.

    - a model string: what :func:`load_model` returns;
    - an object with ``encode_image`` and ``encode_text``: image-text; with the first alone: encoder; with ``score``:
      scorer; with ``logits``: classifier (a PyTorch module with none of these counts as its ``__call__``);
    - a function of nothing: called, its result is the model;
    - a function of pictures: a classifier that returns logits (N, C);
    - a function of pictures and captions: a scorer that returns (N, K).

    Args:
        thing: see above. Arrays that come back may be NumPy arrays or tensors.
        name: what tables call it; default: its own name.
        classes: names of a classifier's logits; without them they are the 1000 of ImageNet.
        preprocess: with it, functions receive float32 (N, 3, H, W) instead of a list of PIL images; a PyTorch
            module receives tensors and needs one.

    Raises:
        ModelError: nothing of the above.
    """
    if isinstance(thing, str):
        from torchmultiverse.models.registry import load_model

        return load_model(thing)
    if name is None and preprocess is None and classes is None and isinstance(getattr(thing, "info", None), ModelInfo):
        if isinstance(thing, ImageTextModel | Classifier | Scorer | ImageEncoder):
            return thing
        raise ModelError(f"'{thing.info.name}' has facts but none of encode_image, logits, score")
    label = name or getattr(getattr(thing, "info", None), "name", None) or _own_name(thing)
    if hasattr(thing, "encode_image") and hasattr(thing, "encode_text"):
        return _ImageText(thing, _info(label, "image-text", thing, preprocess))
    if hasattr(thing, "encode_image"):
        return _Encoder(thing, _info(label, "encoder", thing, preprocess))
    if hasattr(thing, "score"):
        return _Scorer(thing.score, _info(label, "scorer", thing, preprocess))
    if hasattr(thing, "logits"):
        names = classes if classes is not None else getattr(thing, "classes", None)
        return _Classifier(thing.logits, _info(label, "classifier", thing, preprocess), names)
    if not callable(thing):
        raise ModelError(f"a {type(thing).__name__} is no model: it has no encode_image, score or logits")
    if _is_module(thing):
        if preprocess is None:
            raise ModelError(f"the PyTorch module '{label}' needs its preprocessing: as_model(module, preprocess=…)")
        return _Classifier(_module_call(thing), _info(label, "classifier", thing, preprocess), classes)
    count = _required(thing)
    if count == 0:
        return as_model(thing(), name=name, classes=classes, preprocess=preprocess)
    if count == 1:
        return _Classifier(thing, _info(label, "classifier", thing, preprocess), classes)
    if count == 2:
        return _Scorer(thing, _info(label, "scorer", thing, preprocess))
    raise ModelError(f"'{label}' takes {count} arguments; a model takes pictures, or pictures and captions")


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


class _Given:
    """What all models made of a user's objects share."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def change(self, **facts: Any) -> None:
        """Change declared facts."""
        if facts.get("precision", "float32") != "float32":
            raise ModelError(f"'{self.info.name}' computes in a precision of its own")
        if "preprocess" in facts and self.info.preprocess is None:
            raise ModelError(f"'{self.info.name}' prepares pictures in a way of its own")
        self.info = replace(self.info, **facts)

    def _input(self, images: Images) -> Any:
        return self.info.preprocess(images) if self.info.preprocess else pil_list(images)


class _ImageText(_Given):
    def __init__(self, thing: Any, info: ModelInfo) -> None:
        super().__init__(info)
        self._thing = thing

    @property
    def logit_scale(self) -> float:
        return float(getattr(self._thing, "logit_scale", 100.0))

    def encode_image(self, images: Images) -> FloatArray:
        return unit(array(self._thing.encode_image(self._input(images))))

    def encode_text(self, texts: Sequence[str]) -> FloatArray:
        return unit(array(self._thing.encode_text(list(texts))))


class _Encoder(_Given):
    def __init__(self, thing: Any, info: ModelInfo) -> None:
        super().__init__(info)
        self._thing = thing

    def encode_image(self, images: Images) -> FloatArray:
        return array(self._thing.encode_image(self._input(images)))


class _Classifier(_Given):
    def __init__(self, function: Callable[[Any], Any], info: ModelInfo, classes: Sequence[str] | None) -> None:
        super().__init__(info)
        self._function = function
        self.classes = None if classes is None else tuple(classes)

    def logits(self, images: Images) -> FloatArray:
        return array(self._function(self._input(images)))


class _Scorer(_Given):
    def __init__(self, function: Callable[[Any, Any], Any], info: ModelInfo) -> None:
        super().__init__(info)
        self._function = function

    def score(self, images: Images, captions: Sequence[str]) -> FloatArray:
        return array(self._function(self._input(images), list(captions)))


def array(value: Any) -> FloatArray:
    """Return an array or tensor as a float32 array on the CPU."""
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    return np.asarray(value, dtype=np.float32)


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors of unit length along the last axis; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: FloatArray = vectors / np.maximum(length, np.float32(1e-12))
    return result


def _info(name: str, kind: Kind, thing: Any, preprocess: Preprocess | None) -> ModelInfo:
    preprocess = preprocess or getattr(thing, "preprocess", None)
    return ModelInfo(name, kind, preprocess if isinstance(preprocess, Preprocess) else None)


def _own_name(thing: Any) -> str:
    name = getattr(thing, "name", None) or getattr(thing, "__name__", None)
    return str(name) if name and name != "<lambda>" else type(thing).__name__


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


def _module_call(module: Any) -> Callable[[Any], Any]:
    def call(batch: Any) -> Any:
        import torch

        parameter = next(module.parameters(), None)
        device = parameter.device if parameter is not None else "cpu"
        with torch.inference_mode():
            return module(torch.from_numpy(batch).to(device))

    module.eval()
    return call
