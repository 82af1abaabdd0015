"""A connection over libwebrtc, the stack of Unreal and of Chromium, by the package ``wrtc``.

libwebrtc runs in threads of its own and binds to every network of the machine; there is no switch that leaves the
loopback interface alone. Where it must be alone, `reserve` holds one port on all other addresses while libwebrtc, told
to use that port and no other, looks for addresses to bind to: it gets those of the loopback interface and no others.

Nothing is downloaded: H.264 would need Cisco's binary, and is not offered. Video is VP8, VP9 or AV1.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ifaddr
import numpy as np
import webrtc
from typing_extensions import override

from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.protocol.signalling import Message
from torchmultiverse.protocol.webrtc import candidates
from torchmultiverse.protocol.webrtc.peer import LOW_WATER, Peer, PeerEvents, VideoSource

log = logging.getLogger(__name__)
GATHERING = 5.0
"""Seconds that looking for addresses may take; without servers to ask it takes milliseconds."""
RESERVING = 20
"""Ports that are tried until one is free on every address."""
MAX_EARLY = 100
"""Candidates that are kept until the description that they belong to."""


def _allow_loopback() -> bool:
    try:
        webrtc.allow_loopback()  # left out otherwise, once and for all with the first connection of a process
    except webrtc.InvalidStateError:
        return False
    return True


_LOOPBACK = _allow_loopback()


class NativePeer(Peer):
    """See `Peer`.

    Raises:
        EngineError: restricted to the loopback interface in a process that had used wrtc without it.
    """

    stack = "native"

    def __init__(self, events: PeerEvents, *, loopback: bool) -> None:
        super().__init__(events, loopback=loopback)
        if loopback and not _LOOPBACK:
            raise EngineError(
                "wrtc had made a connection in this process before the loopback interface was allowed; set "
                "WRTC_ALLOW_LOOPBACK=1 for the process, or use transport = 'aiortc'"
            )
        self._connection: webrtc.RTCPeerConnection | None = None
        self._channel: webrtc.RTCDataChannel | None = None
        self._gathered = asyncio.Event()
        self._showing: asyncio.Task[None] | None = None
        self._show: tuple[VideoSource, webrtc.VideoTrackGenerator, webrtc.RTCRtpTransceiver] | None = None
        self._early: list[Message] | None = []  # None once there is a description that candidates belong to
        self._closed = False

    def _connect(self, ports: tuple[int, int] | None, bundle: str) -> webrtc.RTCPeerConnection:
        connection = webrtc.RTCPeerConnection(webrtc.RTCConfiguration(port_range=ports, bundle_policy=bundle))
        self._connection = connection
        connection.on("connectionstatechange", self._changed)
        connection.on("icegatheringstatechange", self._gathering)
        connection.on("datachannel", lambda event: self._take(event.channel))
        return connection

    @override
    async def offer(self, label: str, video: VideoSource | None = None) -> str:
        with self._reserved(1) as ports:
            connection = self._connect(ports, "max-bundle")
            if video is not None:
                generator = webrtc.VideoTrackGenerator()
                # Of a stream: Epic's front ends show the stream of a track, not the track.
                init = webrtc.RTCRtpTransceiverInit(direction="sendonly", streams=[webrtc.MediaStream()])
                self._show = video, generator, connection.add_transceiver(generator.track, init)
            channel = connection.create_data_channel(label)
            channel.on("open", lambda _: self._take(channel))
            return await self._describe(connection)

    @override
    async def answer(self, offer: str) -> str:
        self._described(offer)
        bundled = "\na=group:BUNDLE" in offer
        with self._reserved(1 if bundled else offer.count("\nm=")) as ports:
            connection = self._connect(ports, "max-bundle" if bundled else "balanced")
            try:
                await connection.set_remote_description(webrtc.RTCSessionDescriptionInit("offer", offer))
                for transceiver in connection.get_transceivers():
                    transceiver.direction = webrtc.RTCRtpTransceiverDirection.inactive
                described = await self._describe(connection)
            except Exception as error:  # of many kinds, on an SDP that it does not like
                raise ProtocolError(f"bad offer: {type(error).__name__}: {error}") from error
        await self._add_early()
        return described

    async def _describe(self, connection: webrtc.RTCPeerConnection) -> str:
        """Set the local description that the state calls for, wait for the addresses, and return it."""
        await connection.set_local_description()
        try:
            async with asyncio.timeout(GATHERING):
                await self._gathered.wait()
        except TimeoutError:
            log.warning("addresses were still being looked for after %g s", GATHERING)
        description = connection.local_description
        if description is None:
            raise ProtocolError("the connection was closed")
        keep = candidates.is_loopback_candidate if self.loopback else _reachable
        return candidates.filtered(description.sdp, keep)

    @contextmanager
    def _reserved(self, count: int) -> Iterator[tuple[int, int] | None]:
        if not self.loopback:
            yield None
            return
        with reserve(count) as first:
            yield None if first is None else (first, first + count - 1)

    @override
    async def accept(self, answer: str) -> None:
        try:
            if self._connection is None:
                raise ProtocolError("nothing was offered")
            self._described(answer)
            await self._connection.set_remote_description(webrtc.RTCSessionDescriptionInit("answer", answer))
        except Exception as error:
            raise ProtocolError(f"bad answer: {type(error).__name__}: {error}") from error
        await self._add_early()

    async def _add_early(self) -> None:
        early, self._early = self._early or [], None
        for candidate in early:
            await self.add_candidate(candidate)

    @override
    async def add_candidate(self, candidate: Message | None) -> None:
        if candidate is None or candidates.address(text := candidate["candidate"]) is None:
            return
        if self._early is not None or self._connection is None:
            if self._early is not None and len(self._early) < MAX_EARLY:
                self._early.append(candidate)
            return
        mid, line = candidate.get("sdpMid"), candidate.get("sdpMLineIndex")
        try:
            one = webrtc.RTCIceCandidateInit(
                candidate=text,
                sdp_mid=str(mid) if mid is not None else None,
                sdp_m_line_index=line if isinstance(line, int) else 0,
            )
            await self._connection.add_ice_candidate(one)
        except Exception as error:  # of a line that is not there, or of a connection that just closed; others may do
            log.debug("candidate left out: %s", error)

    def _take(self, channel: webrtc.RTCDataChannel) -> None:
        self._channel = channel
        channel.buffered_amount_low_threshold = LOW_WATER
        channel.on("bufferedamountlow", lambda _: self._low.set())
        channel.on("message", self._message)
        channel.on("close", self._ended)
        self.events.opened()

    def _message(self, event: webrtc.MessageEvent) -> None:
        if isinstance(event.data, bytes):
            self.events.message(event.data)

    def _ended(self, _: Any) -> None:
        self._over("the data channel closed")

    def _gathering(self, _: Any) -> None:
        if self._connection is not None and self._connection.ice_gathering_state == "complete":
            self._gathered.set()

    def _changed(self, _: Any) -> None:
        state = "closed" if self._connection is None else self._connection.connection_state.value
        if state == "connected" and self._show is not None and self._showing is None:
            self._showing = asyncio.get_running_loop().create_task(_play(*self._show))
        if state in {"failed", "closed"}:
            self._over(f"the WebRTC connection {state}")

    @property
    @override
    def is_open(self) -> bool:
        return not self._closed and self._channel is not None and self._channel.ready_state == "open"

    @override
    def send(self, data: bytes) -> None:
        if self._channel is None or self._closed:
            raise ConnectionError("the data channel is closed")
        try:
            self._channel.send(data)
        except (webrtc.InvalidStateError, webrtc.OperationError) as error:
            raise ConnectionError(f"the data channel is closed: {error}") from error

    @property
    @override
    def buffered(self) -> int:
        return 0 if self._channel is None else int(self._channel.buffered_amount)

    @override
    async def close(self) -> None:
        self._closed = True
        if self._showing is not None:
            self._showing.cancel()
        self._low.set()
        if self._connection is not None:
            self._connection.close()


async def _play(
    source: VideoSource, generator: webrtc.VideoTrackGenerator, transceiver: webrtc.RTCRtpTransceiver
) -> None:
    """Write pictures to a video until cancelled, while somebody watches."""
    writer = generator.writable.get_writer()
    number = 0
    while True:
        if transceiver.current_direction == "sendonly":
            rgb = await source.picture()
            height, width = rgb.shape[:2]
            rgbx = np.full((height, width, 4), 255, np.uint8)
            rgbx[..., :3] = rgb
            init = webrtc.VideoFrameBufferInit(
                format="RGBX", coded_width=width, coded_height=height, timestamp=number * 1_000_000 // source.fps
            )
            await writer.write(webrtc.VideoFrame(rgbx.tobytes(), init))
            number += 1
        await asyncio.sleep(1 / source.fps)


def _reachable(candidate: str) -> bool:
    """Whether a candidate is of use beyond this machine."""
    return candidates.address(candidate) is not None and not candidates.is_loopback_candidate(candidate)


@contextmanager
def reserve(count: int = 1) -> Iterator[int | None]:
    """Hold ports on every address of this machine that is not of the loopback interface.

    Whoever binds to one of these ports meanwhile gets the loopback interface or nothing.

    Args:
        count: ports one after another.

    Yields:
        The first port; None where the machine has no other addresses.

    Raises:
        EngineError: no port is free on all of them.
    """
    outside = _outside()
    if not outside:
        yield None
        return
    held: list[socket.socket] = []
    try:
        for _ in range(RESERVING):
            try:
                first = _hold(outside, count, held)
            except OSError as error:
                reason = error
                while held:
                    held.pop().close()
                continue
            break
        else:
            raise EngineError(f"no UDP port is free on all addresses of this machine: {reason}")
        yield first
    finally:
        for one in held:
            one.close()


Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def _outside() -> list[Address]:
    """Return the addresses of this machine beyond the loopback interface: family, and host and scope."""
    found: list[Address] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                if not ip.ip.startswith("127."):
                    found.append((socket.AF_INET, (ip.ip,)))
            elif ip.ip[0] != "::1":
                found.append((socket.AF_INET6, (ip.ip[0], ip.ip[1], ip.ip[2] or adapter.index or 0)))
    return found


def _hold(addresses: list[Address], count: int, held: list[socket.socket]) -> int:
    """Bind to ``count`` ports on all addresses, and return the first, which is free on 127.0.0.1 as well."""
    first = 0
    for offset in range(count):
        for family, (host, *scope) in [*addresses, (socket.AF_INET, ("127.0.0.1",))]:
            one = socket.socket(family, socket.SOCK_DGRAM)
            held.append(one)
            # Nobody reads from it, and what arrives is not kept.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            one.bind((host, first + offset if first else 0, *scope))
            first = first or one.getsockname()[1]
        held.pop().close()  # that of 127.0.0.1
    return first
