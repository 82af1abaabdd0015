"""Controlled visual worlds for testing vision models.

>>> from torchmultiverse import Multiverse, generate, Dataset
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmultiverse.version import __version__

if TYPE_CHECKING:
    from torchmultiverse.engines import Failure, Frame, RenderOptions
    from torchmultiverse.farm import generate
    from torchmultiverse.multiverse import Multiverse, connect
    from torchmultiverse.spec import Scene, Spec, load_spec, parse_spec
    from torchmultiverse.store import open_dataset
    from torchmultiverse.stream import Dataset

_HOMES = {
    "Dataset": "stream",
    "Failure": "engines",
    "Frame": "engines",
    "Multiverse": "multiverse",
    "RenderOptions": "engines",
    "Scene": "spec",
    "Spec": "spec",
    "connect": "multiverse",
    "generate": "farm",
    "load_spec": "spec",
    "open_dataset": "store",
    "parse_spec": "spec",
}

__all__ = [
    "Dataset",
    "Failure",
    "Frame",
    "Multiverse",
    "RenderOptions",
    "Scene",
    "Spec",
    "__version__",
    "connect",
    "generate",
    "load_spec",
    "open_dataset",
    "parse_spec",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that `import torchmultiverse` takes milliseconds and never imports torch or Mitsuba.
    if name not in _HOMES:
        raise AttributeError(f"module 'torchmultiverse' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"torchmultiverse.{_HOMES[name]}"), name)
