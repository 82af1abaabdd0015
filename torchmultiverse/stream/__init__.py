"""Torch datasets over stored pictures, and over pictures that are rendered while a model trains."""

from typing import TYPE_CHECKING, Any

from torchmultiverse.stream.dataset import Dataset
from torchmultiverse.stream.samplers import Adaptive, Curriculum, Sampler, Uniform

if TYPE_CHECKING:
    from torchmultiverse.stream.render_stream import RenderStream

__all__ = ["Adaptive", "Curriculum", "Dataset", "RenderStream", "Sampler", "Uniform"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for."""
    if name != "RenderStream":
        raise AttributeError(f"module 'torchmultiverse.stream' has no attribute '{name}'")
    try:
        from torchmultiverse.stream.render_stream import RenderStream
    except ImportError as error:
        from torchmultiverse.errors import MissingExtra

        if error.name != "torch":
            raise
        raise MissingExtra("torch", "torch", "RenderStream") from None
    return RenderStream
