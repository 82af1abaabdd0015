"""Body plans: functions from a few proportions to the parts, eyes and skins of a kind of animal.

A species file that has ``"plan": {"kind": "bird", ...}`` starts from what the plan gives. What the file lists itself
comes after it: parts, patterns, eyes, rows and hair are appended, skins replace those of the same label.
A plan is a function over a frozen pydantic model of proportions; a wrong key or value is named with its place.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, ValidationError

from torchmultiverse.errors import SpecError, nearest

Body = dict[str, Any]
"""What a species file may hold: parts, patterns, eyes, rows and hair (lists), skins (a dict)."""
_LISTS = ("parts", "patterns", "eyes", "rows", "hair")


class Proportions(BaseModel):
    """Base of every plan's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Proportions)
_REGISTRY: dict[str, tuple[type[Proportions], Callable[[Any], Body]]] = {}


def rounded(values: ArrayLike) -> list[float]:
    """Return numbers to four places, so that a body's parts read and hash alike on every machine."""
    return [round(float(v), 4) for v in np.asarray(values, float).ravel()]


def plan(kind: str, model: type[P]) -> Callable[[Callable[[P], Body]], Callable[[P], Body]]:
    """Register a body plan under the name that species files use."""

    def register(function: Callable[[P], Body]) -> Callable[[P], Body]:
        if kind in _REGISTRY:
            raise ValueError(f"body plan '{kind}' exists already")
        _REGISTRY[kind] = (model, function)
        return function

    return register


def kinds() -> dict[str, type[Proportions]]:
    """Return every plan's parameter model by kind: one module of this folder each, or a few that are alike."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {kind: model for kind, (model, _) in sorted(_REGISTRY.items())}


def grow(species: Body, where: str) -> Body:
    """Return a species file's content with its plan carried out.

    Raises:
        SpecError: unknown plan or wrong proportions; names the place.
    """
    if "plan" not in species:
        return species
    given = species["plan"]
    models = kinds()
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind not in models:
        raise SpecError(f"{where}: no body plan of kind {kind!r}.{nearest(str(kind), models)}")
    try:
        proportions = models[kind].model_validate({k: v for k, v in given.items() if k != "kind"})
    except ValidationError as error:
        raise SpecError(f"{where}: plan ({kind}): {error}") from None
    body = _REGISTRY[kind][1](proportions)
    grown = {key: value for key, value in species.items() if key != "plan"}
    for key in _LISTS:
        if key in body:
            grown[key] = [*body[key], *species.get(key, [])]
    if "skins" in body:
        grown["skins"] = {**body["skins"], **species.get("skins", {})}
    return grown
