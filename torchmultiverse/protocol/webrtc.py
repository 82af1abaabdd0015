"""The little of aiortc that client and streamer share."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription, candidate_from_sdp, candidate_to_sdp

from torchmultiverse.protocol.signalling import Message

log = logging.getLogger(__name__)
CLOSE_TIMEOUT = 5.0
TRICKLED = 5
"""ICE candidates that a streamer sends at least. The published client answers after the fourth, and only leaves its
signalling loop at the end if one more came."""


def peer_connection() -> RTCPeerConnection:
    """Return a peer connection without STUN servers: nothing is asked of the outside.

    aiortc's default would contact a public server and wait for it.
    """
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def close(connection: RTCPeerConnection) -> None:
    """Close a peer connection. One that does not end within `CLOSE_TIMEOUT` seconds is left behind.

    `asyncio.wait_for` would not do: it waits for the end of what it cancelled, and aioice lets a cancellation pass.
    """
    closing = asyncio.ensure_future(connection.close())
    try:
        await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
    finally:
        closing.cancel()
    if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
        log.debug("a peer connection closed with %r", error)


def loopback_only(connection: RTCPeerConnection) -> None:
    """Restrict the ICE candidates of a connection to 127.0.0.1.

    To be called between the creation of its transports and ``setLocalDescription``. aioice never gathers the loopback
    address by itself, so that two processes of one machine without a network could not meet, and those of a machine
    with one would bind to public addresses. There is no public switch for it.
    """
    for transport in _ice_transports(connection):
        ice = transport.iceGatherer._connection
        original = ice.get_component_candidates

        async def gather(component: int, addresses: list[str], *args: Any, _original: Any = original, **kw: Any) -> Any:
            return await _original(component, ["127.0.0.1"], *args, **kw)

        ice.get_component_candidates = gather


def _ice_transports(connection: RTCPeerConnection) -> list[Any]:
    found = []
    for transceiver in connection.getTransceivers():
        found.append(transceiver.sender.transport.transport)
    if connection.sctp is not None:
        found.append(connection.sctp.transport.transport)
    return list(dict.fromkeys(found))


def trickled(sdp: str) -> tuple[str, list[Message]]:
    """Take the ICE candidates out of an SDP, to be sent one by one after it, as Unreal does.

    The published client counts them, and breaks on an end of candidates, in the SDP as well as trickled. Where there
    are fewer than `TRICKLED`, they are said again: whoever knows a candidate already leaves it out.
    """
    description = SessionDescription.parse(sdp)
    found: list[Message] = []
    for line, media in enumerate(description.media):
        for candidate in media.ice_candidates:
            text, user = f"candidate:{candidate_to_sdp(candidate)}", media.ice.usernameFragment
            found.append(
                {"candidate": text, "sdpMid": media.rtp.muxId, "sdpMLineIndex": line, "usernameFragment": user}
            )
        media.ice_candidates, media.ice_candidates_complete = [], False
    rounds = -(-TRICKLED // len(found)) if found else 0
    return str(description), found * max(rounds, 1)


async def add_candidate(connection: RTCPeerConnection, candidate: Message | None) -> None:
    """Add a trickled candidate; those that this stack cannot read (mDNS names, TCP) are left out."""
    if candidate is None or not candidate["candidate"]:
        return
    text = candidate["candidate"].removeprefix("candidate:")
    try:
        parsed = candidate_from_sdp(text)
    except (ValueError, AssertionError, IndexError):
        return
    if parsed.protocol.lower() != "udp" or parsed.ip.endswith(".local"):
        return
    mid, line = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
    parsed.sdpMid = str(mid) if mid is not None else None
    parsed.sdpMLineIndex = line if isinstance(line, int) else 0
    try:
        await connection.addIceCandidate(parsed)
    except Exception as error:  # of a line that is not there, or of a connection that just closed; others may do
        log.debug("candidate left out: %s", error)
