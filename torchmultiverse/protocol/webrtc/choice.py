"""Which WebRTC stack is used: libwebrtc (the extra ``native``) where it is installed, else aiortc."""

from __future__ import annotations

import importlib
import logging
import os
from functools import cache
from typing import Literal, get_args

from torchmultiverse.errors import EngineError, nearest
from torchmultiverse.protocol.webrtc.peer import Peer, PeerEvents

log = logging.getLogger(__name__)
Transport = Literal["auto", "native", "aiortc"]
Stack = Literal["native", "aiortc"]
TRANSPORT_VARIABLE = "TORCHMULTIVERSE_WEBRTC"
"""Environment variable that says what ``auto`` is, for processes that are started by others."""


def check_transport(transport: str, name: str = "transport") -> Transport:
    """Return a transport that is known.

    Raises:
        EngineError: an unknown one; says the nearest.
    """
    for known in get_args(Transport):
        if transport == known:
            return known  # type: ignore[no-any-return]
    raise EngineError(f"{name} = '{transport}' is unknown.{nearest(transport, get_args(Transport))}")


def choose_stack(transport: Transport = "auto") -> Stack:
    """Return the stack that a transport means here.

    ``auto`` is what the environment variable `TRANSPORT_VARIABLE` says, and without it ``native`` where that is
    installed.

    Raises:
        EngineError: an unknown transport, or ``native`` where it is not installed.
    """
    if transport == "auto":
        transport = check_transport(os.environ.get(TRANSPORT_VARIABLE) or "auto", TRANSPORT_VARIABLE)
    else:
        check_transport(transport)
    if transport == "aiortc":
        return "aiortc"
    if (why := _native_missing()) is None:
        return "native"
    if transport == "native":
        raise EngineError(f"transport = 'native' needs the package wrtc: pip install 'torchmultiverse[native]' ({why})")
    return "aiortc"


def make_peer(events: PeerEvents, *, loopback: bool, transport: Transport = "auto") -> Peer:
    """Return one end of a connection over the stack that `choose_stack` names."""
    if choose_stack(transport) == "native":
        from torchmultiverse.protocol.webrtc.native_peer import NativePeer

        return NativePeer(events, loopback=loopback)
    from torchmultiverse.protocol.webrtc.aiortc_peer import AiortcPeer

    return AiortcPeer(events, loopback=loopback)


@cache
def _native_missing() -> str | None:
    """Return why libwebrtc cannot be used, or None."""
    try:
        importlib.import_module("webrtc").RTCPeerConnection  # noqa: B018 - there may be another module of this name
    except Exception as error:  # also a library that this machine cannot load
        if not isinstance(error, ModuleNotFoundError):
            log.warning("the package wrtc cannot be loaded; aiortc is used: %s", error)
        return f"{type(error).__name__}: {error}"
    return None
