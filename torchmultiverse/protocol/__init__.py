"""Bytes and messages of Pixel Streaming and of the two dialects spoken over it. Sans-I/O."""

from torchmultiverse.protocol import bridge, datachannel, pug, signalling
from torchmultiverse.protocol.datachannel import MessageIds, Receiver
from torchmultiverse.protocol.signalling import PlayerSession, ServerCore, StreamerSession

__all__ = [
    "MessageIds",
    "PlayerSession",
    "Receiver",
    "ServerCore",
    "StreamerSession",
    "bridge",
    "datachannel",
    "pug",
    "signalling",
]
