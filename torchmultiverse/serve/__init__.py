"""Signalling server, streamer, and the processes they run in."""

from torchmultiverse.serve.launch import LocalStack, UnrealProcess, serve_forever
from torchmultiverse.serve.signalling import SignallingServer
from torchmultiverse.serve.streamer import Streamer

__all__ = ["LocalStack", "SignallingServer", "Streamer", "UnrealProcess", "serve_forever"]
