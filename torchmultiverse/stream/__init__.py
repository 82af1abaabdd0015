"""Torch datasets over stored pictures, and over pictures that are rendered while a model trains."""

from typing import Any

import lazy_loader

_resolve, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    try:
        return _resolve(name)
    except ModuleNotFoundError as error:
        from torchmultiverse.errors import MissingExtra

        if error.name != "torch":
            raise
        raise MissingExtra("torch", "torch", name) from None
