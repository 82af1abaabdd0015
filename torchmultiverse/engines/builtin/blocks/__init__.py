"""The building blocks of worlds: each a function over a typed parameter model, found by its ``kind``.

A block is declared with `block`; its parameters are the fields of a frozen pydantic model, so that a wrong key or
value in a world's file is named with its place. Blocks add meshes, materials and lamps to a `world.Builder`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from torchmultiverse.engines.builtin.world import Builder
from torchmultiverse.errors import SpecError, nearest


class Params(BaseModel):
    """Base of every block's parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Params)
_REGISTRY: dict[str, tuple[type[Params], Callable[[Builder, Any], None]]] = {}
_MODULES = ("terrain", "plants", "rocks", "reef", "circuit", "room", "city", "things", "houses", "water", "planting")


def block(kind: str, model: type[P]) -> Callable[[Callable[[Builder, P], None]], Callable[[Builder, P], None]]:
    """Register a block under the name that worlds use."""

    def register(function: Callable[[Builder, P], None]) -> Callable[[Builder, P], None]:
        if kind in _REGISTRY:
            raise ValueError(f"block '{kind}' exists already")
        _REGISTRY[kind] = (model, function)
        return function

    return register


def kinds() -> dict[str, type[Params]]:
    """Return every block's parameter model by kind."""
    for name in _MODULES:
        importlib.import_module(f"{__name__}.{name}")
    return {kind: model for kind, (model, _) in sorted(_REGISTRY.items())}


def apply(builder: Builder, data: dict[str, Any], where: str) -> None:
    """Run one block of a world's file.

    Raises:
        SpecError: unknown kind or wrong parameters; names the place.
    """
    models = kinds()
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in models:
        raise SpecError(f"{where}: no block of kind {kind!r}.{nearest(str(kind), models)}")
    try:
        params = models[kind].model_validate({k: v for k, v in data.items() if k != "kind"})
    except ValidationError as error:
        raise SpecError(f"{where} ({kind}): {error}") from None
    _REGISTRY[kind][1](builder, params)
