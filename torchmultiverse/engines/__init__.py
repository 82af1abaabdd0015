"""Engines: whatever turns a scene into a frame. The contract, the codec, and (imported where used) the engines."""

from torchmultiverse.engines.contract import (
    AnswersInBatches,
    Asset,
    Catalogue,
    Choice,
    Engine,
    Failure,
    Frame,
    HasManifestNotes,
    RenderOptions,
    RendersOnDevice,
    ReportsMemory,
    WrapsEngine,
    capability,
)

__all__ = [
    "AnswersInBatches",
    "Asset",
    "Catalogue",
    "Choice",
    "Engine",
    "Failure",
    "Frame",
    "HasManifestNotes",
    "RenderOptions",
    "RendersOnDevice",
    "ReportsMemory",
    "WrapsEngine",
    "capability",
]
