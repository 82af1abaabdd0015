"""What client and streamer ask of a WebRTC stack: one connection, its data channel, and a video."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from torchmultiverse.protocol.signalling import Message

HIGH_WATER = 1024 * 1024
"""Bytes in the send buffer at which a sender waits."""
LOW_WATER = HIGH_WATER // 4
"""Bytes in the send buffer at which it goes on."""
LARGEST_MESSAGE = 128 * 1024
"""Bytes of a message at most, however many the other end takes."""
UNSAID_LIMIT = 64 * 1024
"""Bytes that an end takes which does not say how many (RFC 8841, section 6)."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a connection may take to close."""


class VideoSource(Protocol):
    """A video as single pictures.

    Attributes:
        fps: pictures a second.
    """

    fps: int

    async def picture(self) -> np.ndarray[Any, Any]:
        """Return the picture to show now, (height, width, 3) uint8 RGB; the size never changes."""
        ...


@dataclass(frozen=True)
class PeerEvents:
    """What a connection says, on the event loop that made it.

    Attributes:
        opened: the data channel is open.
        message: a binary message came over the data channel; text messages are left out.
        closed: connection or data channel ended, with the reason; may come several times.
    """

    opened: Callable[[], None]
    message: Callable[[bytes], None]
    closed: Callable[[str], None]


class Peer(ABC):
    """One end of a connection. Used once: by `offer` and `accept`, or by `answer`.

    No STUN server is asked. Made and used on one event loop.

    Args:
        events: what is called.
        loopback: bind to the loopback interface alone.
    """

    stack: str
    """Name of the stack that it is made of."""

    def __init__(self, events: PeerEvents, *, loopback: bool) -> None:
        self.events = events
        self.loopback = loopback
        self._low = asyncio.Event()
        self.message_limit = UNSAID_LIMIT
        """Bytes of a message that the other end takes, at most `LARGEST_MESSAGE`; known with its description."""

    @abstractmethod
    async def offer(self, label: str, video: VideoSource | None = None) -> str:
        """Make a data channel, and offer it; returns the SDP with all ICE candidates."""

    @abstractmethod
    async def answer(self, offer: str) -> str:
        """Take an offer, all but its media; returns the SDP with all ICE candidates.

        Raises:
            ProtocolError: the stack does not take the offer.
        """

    @abstractmethod
    async def accept(self, answer: str) -> None:
        """Take the answer to the offer.

        Raises:
            ProtocolError: the stack does not take the answer.
        """

    @abstractmethod
    async def add_candidate(self, candidate: Message | None) -> None:
        """Add a trickled candidate; those that cannot be used (mDNS names, TCP) are left out."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether the data channel takes messages."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Queue a message; see `room`.

        Raises:
            ConnectionError: the data channel is not open.
        """

    @property
    @abstractmethod
    def buffered(self) -> int:
        """Bytes that wait to be sent; 0 without a data channel."""

    async def room(self) -> None:
        """Wait while more than `HIGH_WATER` bytes wait to be sent; ends at once when the channel closes."""
        if self.buffered > HIGH_WATER:
            self._low.clear()
            if self.is_open:
                await self._low.wait()

    def _described(self, sdp: str) -> None:
        """Take from the other end's description what it says of its messages; 0 there is no limit."""
        found = re.search(r"^a=max-message-size:(\d{1,18})\s*$", sdp, re.MULTILINE)
        self.message_limit = min((int(found[1]) if found else UNSAID_LIMIT) or LARGEST_MESSAGE, LARGEST_MESSAGE)

    def _over(self, reason: str) -> None:
        """Tell that connection or data channel ended; nobody waits for room in it any more."""
        self._low.set()
        self.events.closed(reason)

    @abstractmethod
    async def close(self) -> None:
        """Close it; may be called twice. One that does not end within `CLOSE_TIMEOUT` seconds is left behind."""
