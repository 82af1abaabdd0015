"""A connection over aiortc: WebRTC in Python."""

from __future__ import annotations

import asyncio
import itertools
import logging
from fractions import Fraction
from typing import Any

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import VideoFrame
from typing_extensions import override

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol.signalling import Message
from torchmultiverse.protocol.webrtc import candidates
from torchmultiverse.protocol.webrtc.peer import CLOSE_TIMEOUT, LOW_WATER, Peer, PeerEvents, VideoSource

log = logging.getLogger(__name__)


class AiortcPeer(Peer):
    """See `Peer`."""

    stack = "aiortc"

    def __init__(self, events: PeerEvents, *, loopback: bool) -> None:
        super().__init__(events, loopback=loopback)
        # The default would contact a public server and wait for it.
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel: RTCDataChannel | None = None
        self._connection.on("connectionstatechange", self._changed)
        self._connection.on("datachannel", self._take)

    @override
    async def offer(self, label: str, video: VideoSource | None = None) -> str:
        if video is not None:
            self._connection.addTrack(_Track(video))
            for transceiver in self._connection.getTransceivers():
                transceiver.direction = "sendonly"
        channel = self._connection.createDataChannel(label, ordered=True)
        channel.on("open", lambda: self._take(channel))
        return await self._describe(await self._connection.createOffer())

    @override
    async def answer(self, offer: str) -> str:
        self._described(offer)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            for transceiver in self._connection.getTransceivers():
                transceiver.direction = "inactive"
            return await self._describe(await self._connection.createAnswer())
        except Exception as error:  # aiortc raises many kinds on an SDP that it does not like
            raise ProtocolError(f"bad offer: {type(error).__name__}: {error}") from error

    async def _describe(self, description: RTCSessionDescription) -> str:
        if self.loopback:
            _bind_to_loopback(self._connection)
        await self._connection.setLocalDescription(description)  # which gathers
        return str(self._connection.localDescription.sdp)

    @override
    async def accept(self, answer: str) -> None:
        self._described(answer)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except Exception as error:
            raise ProtocolError(f"bad answer: {type(error).__name__}: {error}") from error

    @override
    async def add_candidate(self, candidate: Message | None) -> None:
        if candidate is None or candidates.address(text := candidate["candidate"]) is None:
            return
        try:
            parsed = candidate_from_sdp(text.removeprefix("candidate:"))
            mid, line = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
            parsed.sdpMid = str(mid) if mid is not None else None
            parsed.sdpMLineIndex = line if isinstance(line, int) else 0
            await self._connection.addIceCandidate(parsed)
        except Exception as error:  # of a line that is not there, or of a connection that just closed; others may do
            log.debug("candidate left out: %s", error)

    def _take(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.bufferedAmountLowThreshold = LOW_WATER
        channel.on("bufferedamountlow", self._low.set)
        channel.on("message", self._message)
        channel.on("close", self._ended)
        self.events.opened()

    def _message(self, data: bytes | str) -> None:
        if isinstance(data, bytes):
            self.events.message(data)

    def _ended(self) -> None:
        self._over("the data channel closed")

    def _changed(self) -> None:
        state = self._connection.connectionState
        if state in {"failed", "closed"}:
            self._over(f"the WebRTC connection {state}")

    @property
    @override
    def is_open(self) -> bool:
        return self._channel is not None and self._channel.readyState == "open"

    @override
    def send(self, data: bytes) -> None:
        if self._channel is None or self._channel.readyState != "open":
            raise ConnectionError("the data channel is closed")
        self._channel.send(data)

    @property
    @override
    def buffered(self) -> int:
        return 0 if self._channel is None else int(self._channel.bufferedAmount)

    @override
    async def close(self) -> None:
        # `asyncio.wait_for` would not do: it waits for the end of what it cancelled, and aioice lets a cancellation
        # pass.
        closing = asyncio.ensure_future(self._connection.close())
        try:
            await asyncio.wait({closing}, timeout=CLOSE_TIMEOUT)
        finally:
            closing.cancel()
        if closing.done() and not closing.cancelled() and (error := closing.exception()) is not None:
            log.debug("a peer connection closed with %r", error)


class _Track(VideoStreamTrack):  # type: ignore[misc]
    """A video source as aiortc asks for it: only while somebody watches."""

    def __init__(self, source: VideoSource) -> None:
        super().__init__()
        self._source = source
        self._count = itertools.count()

    @override
    async def recv(self) -> VideoFrame:
        number = next(self._count)
        if number:
            await asyncio.sleep(1 / self._source.fps)
        frame = VideoFrame.from_ndarray(await self._source.picture(), format="rgb24")
        frame.pts = number * 90000 // self._source.fps
        frame.time_base = Fraction(1, 90000)
        return frame


def _bind_to_loopback(connection: RTCPeerConnection) -> None:
    """Have a connection bind to 127.0.0.1 alone.

    To be called between the creation of its transports and ``setLocalDescription``. aioice never gathers the loopback
    address by itself, so that two processes of one machine without a network could not meet, and those of a machine
    with one would bind to public addresses. There is no public switch for it.
    """
    transports = [transceiver.sender.transport.transport for transceiver in connection.getTransceivers()]
    if connection.sctp is not None:
        transports.append(connection.sctp.transport.transport)
    for transport in dict.fromkeys(transports):
        ice = transport.iceGatherer._connection
        original = ice.get_component_candidates

        async def gather(component: int, addresses: list[str], *args: Any, _original: Any = original, **kw: Any) -> Any:
            return await _original(component, ["127.0.0.1"], *args, **kw)

        ice.get_component_candidates = gather
