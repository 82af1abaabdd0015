"""Signalling server, streamer, and the processes they run in."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchmultiverse.serve.launch import LocalStack, UnrealProcess, serve_forever
    from torchmultiverse.serve.signalling import SignallingServer
    from torchmultiverse.serve.streamer import Streamer

# Imported when used: the signalling server's process needs no WebRTC stack, and starts in a third of the time.
_HOMES = {
    "LocalStack": "launch",
    "UnrealProcess": "launch",
    "serve_forever": "launch",
    "SignallingServer": "signalling",
    "Streamer": "streamer",
}

__all__ = ["LocalStack", "SignallingServer", "Streamer", "UnrealProcess", "serve_forever"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
