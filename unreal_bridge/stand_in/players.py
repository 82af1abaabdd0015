"""Players behind libwebrtc: one peer connection each, with a video track and the data channel that Unreal makes."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import webrtc

from stand_in import channel
from stand_in.drawing import Picture

log = logging.getLogger("LogPixelStreaming")
HIGH_WATER, LOW_WATER = 4 * 2**20, 2**20
"""Bytes in the send buffer at which sending pauses, and goes on."""
MAX_UNSENT = 256 * 2**20
_LOCAL = re.compile(r"ws://(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:|/|$)")


@dataclass
class Player:
    """One peer connection."""

    peer: webrtc.RTCPeerConnection
    data: webrtc.RTCDataChannel
    video: webrtc.RTCRtpTransceiver
    frames: Any
    unsent: deque[bytes] = field(default_factory=deque)
    waiting: int = 0
    early: list[dict[str, Any]] | None = field(default_factory=list)
    """Candidates that came before the answer."""


class PeerConnections:
    """All players.

    Args:
        signal: sends a signalling message.
        said: called with a player and the text of its ``UIInteraction``.
        left: called with a player that is gone.
        url: of the server; one on this machine keeps the candidates on it.
        version: of Unreal.
    """

    def __init__(
        self,
        signal: Callable[[dict[str, Any]], Awaitable[None]],
        said: Callable[[str, str], None],
        left: Callable[[str], None],
        *,
        url: str,
        version: tuple[int, int],
    ) -> None:
        self._signal = signal
        self._said = said
        self._left = left
        self._local = _LOCAL.match(url) is not None
        self._version = version
        self._players: dict[str, Player] = {}
        if self._local:
            webrtc.allow_loopback()

    async def join(self, name: str) -> None:
        """Make an offer to a player."""
        await self.leave(name)
        peer = webrtc.RTCPeerConnection(webrtc.RTCConfiguration(bundle_policy="max-bundle"))
        generator = webrtc.VideoTrackGenerator()
        video = peer.add_transceiver(generator.track, webrtc.RTCRtpTransceiverInit(direction="sendonly"))
        data = peer.create_data_channel("cirrus" if self._version < (5, 5) else "datachannel")
        player = Player(peer, data, video, generator.writable.get_writer())
        self._players[name] = player
        data.buffered_amount_low_threshold = LOW_WATER
        data.on("open", lambda _: self.send(name, channel.greeting(self._version)))
        data.on("bufferedamountlow", lambda _: self._pump(player))
        data.on("message", lambda event: self._message(name, event.data))
        candidates: list[webrtc.RTCIceCandidate] = []
        told = False

        async def found(event: Any) -> None:
            if event.candidate is not None and event.candidate.candidate and self._wanted(event.candidate):
                if told:
                    await self._trickle(name, event.candidate)
                else:
                    candidates.append(event.candidate)

        async def changed(_: object) -> None:
            if peer.connection_state in ("failed", "closed") and self._players.get(name) is player:
                await self.leave(name)

        peer.on("icecandidate", found)
        peer.on("connectionstatechange", changed)
        await peer.set_local_description(await peer.create_offer())
        assert peer.local_description is not None
        lines = [line for line in peer.local_description.sdp.splitlines() if not line.startswith("a=candidate")]
        await self._signal({"type": "offer", "playerId": name, "sdp": "\r\n".join(lines) + "\r\n"})
        told = True
        for candidate in candidates:
            await self._trickle(name, candidate)

    async def answered(self, name: str, sdp: str) -> None:
        """Take a player's answer."""
        player = self._players.get(name)
        if player is None:
            return
        try:
            await player.peer.set_remote_description(webrtc.RTCSessionDescriptionInit("answer", sdp))
        except webrtc.RTCException as error:
            log.error("player %s: its answer is refused: %s", name, error)
            await self.leave(name)
            return
        early, player.early = player.early or [], None
        for candidate in early:
            await self.candidate(name, candidate)

    async def candidate(self, name: str, candidate: dict[str, Any]) -> None:
        """Take an ICE candidate of a player."""
        player = self._players.get(name)
        if player is None:
            return
        if player.early is not None:
            player.early.append(candidate)
            return
        try:
            await player.peer.add_ice_candidate(webrtc.RTCIceCandidateInit.from_json(candidate))
        except (webrtc.RTCException, TypeError, ValueError) as error:
            log.warning("player %s: a candidate is left out: %s", name, error)

    async def leave(self, name: str) -> None:
        """Forget a player."""
        player = self._players.pop(name, None)
        if player is not None:
            player.peer.close()
            self._left(name)
            log.info("player %s is gone", name)

    async def leave_all(self) -> None:
        """Forget all."""
        for name in list(self._players):
            await self.leave(name)

    def send(self, name: str, messages: list[bytes]) -> None:
        """Send messages over a player's data channel, in order, as fast as it takes them."""
        player = self._players.get(name)
        if player is None:
            return
        size = sum(map(len, messages))
        if player.waiting + size > MAX_UNSENT:
            log.warning("player %s takes nothing; its messages are dropped", name)
            return
        player.unsent.extend(messages)
        player.waiting += size
        self._pump(player)

    def waiting(self) -> dict[str, int]:
        """Return how many bytes wait for each player; may be called from any thread."""
        return {name: player.waiting for name, player in list(self._players.items())}

    def watched(self) -> bool:
        """Return whether anybody takes video."""
        return any(_takes_video(player) for player in self._players.values())

    async def show(self, view: Picture, microseconds: int) -> None:
        """Send a frame of video to whoever takes it."""
        height, width = view.shape[0] & ~1, view.shape[1] & ~1
        pixels = np.dstack([view, np.full(view.shape[:2], 255, np.uint8)])[:height, :width].tobytes()
        for player in list(self._players.values()):
            if _takes_video(player):
                shape = webrtc.VideoFrameBufferInit(
                    format="RGBA", coded_width=width, coded_height=height, timestamp=microseconds
                )
                await player.frames.write(webrtc.VideoFrame(pixels, shape))

    def _pump(self, player: Player) -> None:
        if player.data.ready_state != "open":
            return
        while player.unsent and player.data.buffered_amount < HIGH_WATER:
            message = player.unsent.popleft()
            player.waiting -= len(message)
            player.data.send(message)

    def _message(self, name: str, data: object) -> None:
        if not isinstance(data, bytes):
            return
        kind, text = channel.read(data)
        if kind == "UIInteraction":
            self._said(name, text)
        elif kind == "RequestInitialSettings":
            self.send(name, channel.greeting((5, 0)))
        elif kind == "RequestQualityControl":
            self.send(name, [bytes([channel.FROM_STREAMER["QualityControlOwnership"], 1])])
        elif kind == "TestEcho":
            self.send(name, [channel.text_message("TestEcho", text)])

    def _wanted(self, candidate: webrtc.RTCIceCandidate) -> bool:
        return not self._local or candidate.address in ("127.0.0.1", "::1")

    async def _trickle(self, name: str, candidate: webrtc.RTCIceCandidate) -> None:
        await self._signal({"type": "iceCandidate", "playerId": name, "candidate": candidate.to_json()})


def _takes_video(player: Player) -> bool:
    return bool(player.video.current_direction == "sendonly" and player.peer.connection_state == "connected")
