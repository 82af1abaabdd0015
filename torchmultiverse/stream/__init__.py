"""Torch datasets over stored pictures, and over pictures that are rendered while a model trains."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchmultiverse.stream.dataset import Dataset
from torchmultiverse.stream.samplers import Adaptive, Curriculum, Sampler, Uniform

if TYPE_CHECKING:
    from torchmultiverse.stream.record import Replay
    from torchmultiverse.stream.render_stream import RenderStream

__all__ = ["Adaptive", "Curriculum", "Dataset", "RenderStream", "Replay", "Sampler", "Uniform"]
_MODULES = {"RenderStream": "render_stream", "Replay": "record"}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'torchmultiverse.stream' has no attribute '{name}'")
    try:
        return getattr(import_module(f"torchmultiverse.stream.{_MODULES[name]}"), name)
    except ImportError as error:
        from torchmultiverse.errors import MissingExtra

        if error.name != "torch":
            raise
        raise MissingExtra("torch", "torch", name) from None
