"""One player of a streamer: its connection, its state, and what waits to be sent to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from torchmultiverse.protocol.webrtc import Peer
from torchmultiverse.serve.pixels import Outlet

MAX_UNSENT = 256 * 2**20
"""Bytes that may wait for a player who does not take them; beyond, its requests are dropped."""


@dataclass
class Player:
    """One who watches or asks.

    Attributes:
        peer: its WebRTC connection.
        factors: the ``pug`` dialect's factors as last set.
        resolution: width and height that the ``pug`` dialect last asked for.
        pending_pug: fires when the ``pug`` dialect's scene is complete.
        said: names of the factors that came for the scene that is not complete yet.
        complete: names of the factors that made the last one.
        outbox: messages that wait for the channel, those of one answer together.
        tasks: what ends with the player.
        candidates: how many ICE candidates it has sent.
        unsent: bytes in the outbox.
        outlet: where the files of its pictures go, if not over the data channel.
        quiet: requests of which only the end is to be told.
        opening: prepares another outlet, which the player asked for.
        gone: whether it has left.
    """

    peer: Peer
    factors: dict[str, Any] = field(default_factory=dict)
    resolution: tuple[int, int] = (512, 512)
    pending_pug: asyncio.TimerHandle | None = None
    said: set[str] = field(default_factory=set)
    complete: frozenset[str] = frozenset()
    outbox: asyncio.Queue[list[bytes]] = field(default_factory=asyncio.Queue)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    candidates: int = 0
    unsent: int = 0
    outlet: Outlet | None = None
    quiet: set[str] = field(default_factory=set)
    opening: asyncio.Task[None] | None = None
    gone: bool = False

    def absent(self) -> bool:
        """Whether rendering for this player would be in vain."""
        return self.gone or self.unsent > MAX_UNSENT

    def use(self, outlet: Outlet | None) -> None:
        """Have files sent another way, or, ``None``, over the data channel again."""
        before, self.outlet = self.outlet, outlet
        if before is not None and outlet is not None:
            before.close()
        if self.gone and outlet is not None:
            outlet.close()

    def say(self, *messages: bytes) -> None:
        """Have messages sent, one after another, unless the player has left."""
        if not self.gone:
            self.unsent += sum(map(len, messages))
            self.outbox.put_nowait(list(messages))
