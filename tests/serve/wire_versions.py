"""What each version of Unreal's Pixel Streaming says on the wire, as data, and a signalling server that behaves so.

Facts of github.com/EpicGamesExt/PixelStreamingInfrastructure: `SignallingWebServer/cirrus.js` on the branches UE5.0 to
UE5.4, `Signalling/src` and `Common` on UE5.5 to UE5.7, `SignallingWebServer/scripts` (UE5.0, UE5.1), `Frontend/library`
and `Extras/JSStreamer` (from UE5.5). The same table for people is in `docs/wire.md`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
        name: of the engine.
        identify: the server asks streamers who they are; else it knows one streamer, and sends it every player.
        confirm: it confirms the id, ``endpointIdConfirm``.
        numbers: a second streamer of a name is numbered; else it takes the place of the first.
        protocol: version of the signalling protocol in ``config``, and of streamers in ``endpointId``.
        unnamed: what a streamer is called that does not say who it is.
        count: it tells players how many they are, ``playerCount``.
        send_offer: ``playerConnected`` says who offers.
        hangs_up: on messages that it does not know.
        renamed: type of the message to the players of a streamer that changes its name.
        refuses: it says that a streamer is not there, ``subscribeFailed``; else nothing.
        pings: it pings players.
        shows_id: players see the ``playerId`` of an offer.
        player: what players are called, from the first on.
        asks: when the version's front end asks for streamers.
        answer: fields of its ``answer`` besides the SDP.
        says: what else its front end sends.
        protocol_message: its streamer sends ``Protocol`` over the data channel.
    """

    name: str
    identify: bool = True
    confirm: bool = False
    numbers: bool = True
    protocol: str | None = None
    unnamed: str = ""
    count: bool = False
    send_offer: bool = False
    hangs_up: bool = False
    renamed: str | None = None
    refuses: bool = False
    pings: bool = False
    shows_id: bool = False
    player: tuple[str, int] = ("", 1)
    asks: Literal["never", "on open"] = "on open"
    answer: tuple[str, ...] = ()
    says: tuple[str, ...] = ("iceCandidate",)
    protocol_message: bool = True


_OLD = Version(
    "5.0", identify=False, count=True, player=("", 101), asks="never", says=("iceCandidate", "stats"),
    protocol_message=False,
)  # fmt: skip
_MIDDLE = Version("5.2", numbers=False, count=True, send_offer=True, hangs_up=True, unnamed="__LEGACY__")
_NEW = Version(
    "5.5", confirm=True, protocol="1.3.0", unnamed="UnknownStreamer", renamed="streamerIdChanged", refuses=True,
    player=("Player", 0), answer=("minBitrateBps", "maxBitrateBps"),
    says=("layerPreference", "iceCandidate", "ping"),
)  # fmt: skip
VERSIONS = [
    _OLD,
    replace(_OLD, name="5.1", protocol_message=True),
    _MIDDLE,
    replace(_MIDDLE, name="5.3", numbers=True, unnamed="__LEGACY_STREAMER__0"),
    replace(
        _MIDDLE, name="5.4", numbers=True, unnamed="__LEGACY_STREAMER__0", renamed="streamerIDChanged", pings=True,
        answer=("minBitrate", "maxBitrate"), says=("pong", "iceCandidate"),
    ),
    _NEW,
    replace(_NEW, name="5.6"),
    replace(_NEW, name="5.7", shows_id=True),
]  # fmt: skip


@dataclass
class _Player:
    name: str
    socket: ServerConnection
    streamer: ServerConnection | None = None


@dataclass
class VersionServer:
    """A signalling server of a version. Whatever that version has no handler for, is kept in ``unknown``."""

    version: Version
    identify_patience: float = 5.0
    streamers: dict[str, ServerConnection] = field(default_factory=dict)
    players: dict[str, _Player] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    url: str = ""
    streamer_url: str = ""
    _made: int = 0
    _open: list[ServerConnection] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VersionServer]:
        """Listen on free ports."""
        servers: list[Server] = []
        for role in (self._streamer, self._player):
            servers.append(await serve(partial(self._peer, role), "127.0.0.1", 0, compression=None))
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        self.streamer_url, self.url = (f"ws://127.0.0.1:{port}" for port in ports)
        try:
            yield self
        finally:
            for server in servers:
                server.close()
                await server.wait_closed()

    async def _peer(self, role: Any, socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await role(socket)

    async def _config(self, socket: ServerConnection) -> None:
        config: dict[str, Any] = {"type": "config", "peerConnectionOptions": {}}
        if self.version.protocol:
            config["protocolVersion"] = self.version.protocol
        await say(socket, config)

    async def _streamer(self, socket: ServerConnection) -> None:
        v = self.version
        if self._open and not v.identify:
            await socket.close(1008, "Cirrus supports only 1 streamer being connected")
            return
        self._open.append(socket)
        await self._config(socket)
        if v.identify:
            await say(socket, {"type": "identify"})
            late = asyncio.get_running_loop().call_later(
                0 if v.unnamed == "__LEGACY__" else self.identify_patience, self._register, v.unnamed, socket, True
            )
        else:
            self.streamers["the one"] = socket
        try:
            async for text in socket:
                message = json.loads(text)
                kind = message["type"]
                if kind == "endpointId" and v.identify:
                    late.cancel()
                    name = self._register(message["id"], socket)
                    if v.confirm:
                        await say(socket, {"type": "endpointIdConfirm", "committedId": name})
                elif kind == "ping":
                    await say(socket, {"type": "pong", "time": message.get("time")})
                elif kind in {"offer", "answer", "iceCandidate"}:
                    player = self.players.get(str(message["playerId"]))
                    if not v.shows_id:
                        del message["playerId"]
                    if player is not None:
                        await say(player.socket, message)
                elif kind == "disconnectPlayer":
                    if (player := self.players.get(str(message["playerId"]))) is not None:
                        await player.socket.close(1011, message.get("reason", ""))
                elif await self._unknown(kind, socket):
                    return
        finally:
            self._open.remove(socket)
            for name in [name for name, one in self.streamers.items() if one is socket]:
                del self.streamers[name]
            for player in [one for one in self.players.values() if one.streamer is socket or not v.identify]:
                await player.socket.close()

    def _register(self, wanted: str, socket: ServerConnection, only_if_unnamed: bool = False) -> str:
        if only_if_unnamed and socket in self.streamers.values():
            return wanted
        for name in [name for name, one in self.streamers.items() if one is socket]:
            del self.streamers[name]
        name, number = wanted, 0
        while self.version.numbers and name in self.streamers:
            number += 1
            name = f"{wanted}{number}"
        self.streamers[name] = socket
        return name

    async def _unknown(self, kind: str, socket: ServerConnection) -> bool:
        self.unknown.append(kind)
        if self.version.hangs_up:
            await socket.close(1008, "Unsupported message type")
        return self.version.hangs_up

    async def _player(self, socket: ServerConnection) -> None:
        v = self.version
        if not v.identify and not self.streamers:
            await socket.close(1013, "Streamer is not connected")
            return
        prefix, first = v.player
        player = _Player(f"{prefix}{first + self._made}", socket)
        self._made += 1
        self.players[player.name] = player
        await self._config(socket)
        try:
            if not v.identify:
                await self._subscribe(player, next(iter(self.streamers.values())))
            if v.count:
                await say(socket, {"type": "playerCount", "count": len(self.players)})
            if v.pings:
                await say(socket, {"type": "ping", "time": 1})
            async for text in socket:
                if await self._from_player(player, json.loads(text)):
                    return
        finally:
            del self.players[player.name]
            with suppress(ConnectionClosed):
                await self._tell(player, {"type": "playerDisconnected", "playerId": player.name})

    async def _from_player(self, player: _Player, message: dict[str, Any]) -> bool:
        kind, v = message["type"], self.version
        if kind in {"answer", "iceCandidate"}:
            await self._tell(player, {**message, "playerId": player.name})
        elif kind == "ping":
            await say(player.socket, {"type": "pong", "time": message.get("time")})
        elif kind == "stats" or (kind == "pong" and v.pings):
            return False
        elif kind == "listStreamers" and v.identify:
            await say(player.socket, {"type": "streamerList", "ids": list(self.streamers)})
        elif kind == "subscribe" and v.identify:
            wanted = message["streamerId"]
            if wanted in self.streamers:
                await self._subscribe(player, self.streamers[wanted])
            elif v.refuses:
                await say(player.socket, {"type": "subscribeFailed", "message": f"Streamer {wanted} does not exist."})
        else:
            return await self._unknown(kind, player.socket)
        return False

    async def _subscribe(self, player: _Player, streamer: ServerConnection) -> None:
        player.streamer = streamer
        joined = {"type": "playerConnected", "playerId": player.name, "dataChannel": True, "sfu": False}
        await self._tell(player, joined | ({"sendOffer": True} if self.version.send_offer else {}))

    async def _tell(self, player: _Player, message: dict[str, Any]) -> None:
        if player.streamer is not None:
            await say(player.streamer, message)


async def say(socket: Any, message: dict[str, Any]) -> None:
    """Send a message as JSON."""
    await socket.send(json.dumps(message))
