from .launch import LocalStack as LocalStack
from .launch import UnrealProcess as UnrealProcess
from .launch import serve_forever as serve_forever
from .signalling import SignallingServer as SignallingServer
from .streamer import Streamer as Streamer

__all__ = [
    "LocalStack",
    "SignallingServer",
    "Streamer",
    "UnrealProcess",
    "serve_forever",
]
