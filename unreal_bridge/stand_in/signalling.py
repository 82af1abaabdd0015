"""Unreal's end of the signalling: registers, makes an offer to every player, and comes back after its server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Protocol

import websockets
from websockets.asyncio.client import ClientConnection, connect

log = logging.getLogger("LogPixelStreaming")
RETRY = 2.0
"""Seconds after which a server that went away is tried again."""


class Players(Protocol):
    """Whoever keeps the connections to players."""

    async def join(self, player: str) -> None:
        """Make an offer to a player."""

    async def answered(self, player: str, sdp: str) -> None:
        """Take a player's answer."""

    async def candidate(self, player: str, candidate: dict[str, Any]) -> None:
        """Take an ICE candidate of a player."""

    async def leave(self, player: str) -> None:
        """Forget a player."""

    async def leave_all(self) -> None:
        """Forget all: their server is gone."""


class Signalling:
    """One streamer at one server.

    Args:
        url: of the server's streamer port.
        streamer_id: name to register under.
        version: of Unreal; 5.0 does not say who it is.
    """

    def __init__(self, url: str, streamer_id: str, version: tuple[int, int]) -> None:
        self._url = url
        self._id = streamer_id
        self._version = version
        self._socket: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, players: Players) -> None:
        """Serve until cancelled."""
        while True:
            try:
                async with connect(self._url, compression=None, proxy=None, max_size=2**20) as socket:
                    self._socket = socket
                    log.info("Connected to SS %s", self._url)
                    async for text in socket:
                        await self._take(json.loads(text), players)
                log.warning("SS %s closed the connection", self._url)
            except (OSError, websockets.WebSocketException, ValueError) as error:
                log.warning("SS %s: %s", self._url, error)
            self._socket = None
            await players.leave_all()
            await asyncio.sleep(RETRY)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a message; one that finds no server is lost."""
        if self._socket is not None:
            try:
                await self._socket.send(json.dumps(message))
            except websockets.ConnectionClosed:
                log.warning("a message of type %s found no server", message["type"])

    async def _take(self, message: dict[str, Any], players: Players) -> None:
        kind, player = message.get("type"), str(message.get("playerId", ""))
        if kind == "identify" and self._version > (5, 0):
            await self.send({"type": "endpointId", "id": self._id})
        elif kind == "ping":
            await self.send({"type": "pong", "time": message.get("time", 0)})
        elif kind == "playerConnected":
            self._spawn(players.join(player))
        elif kind == "answer":
            await players.answered(player, message["sdp"])
        elif kind == "iceCandidate" and isinstance(message.get("candidate"), dict):
            await players.candidate(player, message["candidate"])
        elif kind == "playerDisconnected":
            self._spawn(players.leave(player))

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a player's connection: %s", error)
