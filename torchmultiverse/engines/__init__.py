"""Engines: whatever turns a scene into a frame. The contract, the codec, and (imported where used) the engines."""

from torchmultiverse.engines.base import Asset, Catalogue, Choice, Engine, Failure, Frame, RenderOptions

__all__ = ["Asset", "Catalogue", "Choice", "Engine", "Failure", "Frame", "RenderOptions"]
