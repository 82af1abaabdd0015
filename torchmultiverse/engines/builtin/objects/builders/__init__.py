"""The builders of objects' parts: each a function over a typed parameter model, found by the part's ``build``.

A builder is declared with `builder`; its parameters are the fields of a frozen pydantic model, so that a wrong key or
value in an object's file is named with its place. It returns one mesh in the object's own units (see `Built`): x to
the right, y away from the viewer, z up, as the object is seen at yaw 0. What all parts have (place, turn, copies,
paint) is not its business.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from torchmultiverse.engines.builtin.objects.geometry import Built
from torchmultiverse.errors import SpecError, nearest

Vector = tuple[float, float, float]
Point = tuple[float, float]


class Shape(BaseModel):
    """Base of every builder's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=Shape)
_REGISTRY: dict[str, tuple[type[Shape], Callable[[Any], Built]]] = {}


def builder(kind: str, model: type[S]) -> Callable[[Callable[[S], Built]], Callable[[S], Built]]:
    """Register a builder under the name that files use."""

    def register(function: Callable[[S], Built]) -> Callable[[S], Built]:
        if kind in _REGISTRY:
            raise ValueError(f"builder '{kind}' exists already")
        _REGISTRY[kind] = (model, function)
        return function

    return register


def kinds() -> dict[str, type[Shape]]:
    """Return every builder's parameter model by kind."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {kind: model for kind, (model, _) in sorted(_REGISTRY.items())}


def build(kind: str, parameters: dict[str, Any], where: str) -> Built:
    """Return the mesh of one part.

    Raises:
        SpecError: unknown builder or wrong parameters; names the place.
    """
    models = kinds()
    if kind not in models:
        raise SpecError(f"{where}: no builder '{kind}'.{nearest(kind, models)}")
    try:
        shape = models[kind].model_validate(parameters)
    except ValidationError as error:
        raise SpecError(f"{where} ({kind}): {error}") from None
    try:
        return _REGISTRY[kind][1](shape)
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise SpecError(f"{where} ({kind}): {error}") from error
