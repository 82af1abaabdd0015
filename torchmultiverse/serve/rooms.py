"""Rooms of the signalling server: a streamer and a player who meet in one are connected, binary messages and all.

A streamer opens a room by connecting to ``/pixels/<name>`` at its port, and one player enters it at the same path of
its own port; both need what every peer needs there, the token and a page's right origin. The name is 128 random bits
which the streamer tells the player over the data channel. What one of them sends is passed on to the other as it is,
no faster than that one reads; when one leaves, so does the other.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from torchmultiverse.protocol import websocket

MAX_ROOMS = 64
LONELY = 30.0
"""Seconds that a room waits for its player."""
_PATH = re.compile(r"/pixels/([0-9a-f]{32})\Z")
_ENDED, _REFUSED, _RESTART, _FULL = 1000, 1008, 1012, 1013


def room_of(target: str) -> str | None:
    """Return the name of the room that a request's target stands for; ``None`` where it stands for none."""
    found = _PATH.search(urlsplit(target).path)
    return found[1] if found else None


@dataclass
class _Room:
    streamer: ServerConnection
    player: asyncio.Future[ServerConnection]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Rooms:
    """Who waits for whom, and who is connected with whom."""

    def __init__(self, max_rooms: int = MAX_ROOMS) -> None:
        self._max = max_rooms
        self._rooms: dict[str, _Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    async def serve(self, role: Literal["streamer", "player"], name: str, socket: ServerConnection) -> None:
        """Stay with a peer that entered a room until it leaves, or has to."""
        if role == "player":
            room = self._rooms.get(name)
            if room is None or room.player.done():
                await socket.close(_REFUSED, "there is no such room, or somebody is in it")
                return
            room.player.set_result(socket)
            await room.over.wait()
            return
        if len(self._rooms) >= self._max or name in self._rooms:
            await socket.close(_FULL, f"{len(self._rooms)} rooms are taken already")
            return
        room = self._rooms[name] = _Room(socket, asyncio.get_running_loop().create_future())
        try:
            await self._host(room)
        finally:
            del self._rooms[name]
            room.player.cancel()
            room.over.set()

    async def close(self) -> None:
        """Send everybody away."""
        await asyncio.gather(*(room.streamer.close(_RESTART, "the server ends") for room in self._rooms.values()))

    @staticmethod
    async def _host(room: _Room) -> None:
        loop = asyncio.get_running_loop()
        try:
            await room.streamer.send(websocket.ROOM)
            gone = loop.create_task(room.streamer.wait_closed())
            try:
                both: list[asyncio.Future[Any]] = [room.player, gone]
                await asyncio.wait(both, timeout=LONELY, return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
            if not room.player.done():
                await room.streamer.close(_ENDED, f"nobody came for {LONELY:g} s")
                return
            player = room.player.result()
            await player.send(websocket.ROOM)
        except ConnectionClosed:
            return
        pumps = [loop.create_task(_pump(*pair)) for pair in ((room.streamer, player), (player, room.streamer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, room.streamer.close(), player.close(), return_exceptions=True)


async def _pump(source: ServerConnection, sink: ServerConnection) -> None:
    try:
        async for message in source:
            await sink.send(message)
    except ConnectionClosed:
        return
