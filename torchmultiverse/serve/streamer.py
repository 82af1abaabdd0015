"""The streamer: hosts any engine and behaves like Unreal on the wire, in both dialects.

It registers with a signalling server, makes the offer to each player, creates the data channel, sends
``InitialSettings`` and ``Protocol``, and shows the last picture on a live video track. A supervisor has the engine
render in a thread of its own, so that the event loop always answers; requests wait, first come, first served.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from torchmultiverse.engines import Engine, Limits
from torchmultiverse.errors import EngineError, ProtocolError, SpecError
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import pixels, signalling, webrtc, websocket
from torchmultiverse.serve.answers import Answers
from torchmultiverse.serve.pixels import Outlets
from torchmultiverse.serve.player import Player
from torchmultiverse.serve.security import is_loopback
from torchmultiverse.serve.video import LatestFrame
from torchmultiverse.version import __version__

log = logging.getLogger(__name__)
MAX_CANDIDATES = 100
MAX_BREAKS = 8
"""An engine that breaks so often in a row is beyond help: the streamer ends, and whoever watches starts it again."""
LEASE = 3600.0
"""Seconds for one picture, after which the engine is made anew: clients have shorter limits of their own."""


class Streamer(Answers):
    """Offers an engine to the players of a signalling server.

    Args:
        make_engine: called in the engine's thread, and again when the engine breaks.
        url: the server's streamer port.
        streamer_id: name to register under.
        loopback: restrict WebRTC to 127.0.0.1; by default that of ``url``.
        token: for a server that asks for one.
        pug_quiet: seconds without a further factor after which the ``pug`` dialect's scene is complete; longer where
            that is in doubt, see `torchmultiverse.serve.answers`.
        protocol_message: send ``Protocol`` (UE 5.1 and later) or not (UE 5.0).
        transport: the WebRTC stack: ``native``, ``aiortc``, or ``auto``: native where it is installed.
        pixel_ways: of files, that are offered besides the data channel: ``auto`` all, ``channel`` none, or one.

    Raises:
        EngineError: a transport that is unknown or not installed.
    """

    def __init__(
        self,
        make_engine: Callable[[], Engine],
        url: str,
        *,
        streamer_id: str = "TorchMultiverse",
        loopback: bool | None = None,
        token: str | None = None,
        pug_quiet: float = 0.05,
        protocol_message: bool = True,
        pixel_ways: pixels.Choice = "auto",
        transport: webrtc.Transport = "auto",
    ) -> None:
        limits = Limits(lease=LEASE, restarts=MAX_BREAKS - 1, max_pause=0.5)
        super().__init__(make_engine, limits, pug_quiet, Outlets(url, token, pixels.ways(pixel_ways)))
        self.url = url
        self.loopback = is_loopback(websocket.host(url)) if loopback is None else loopback
        self._token = token
        self._session = signalling.StreamerSession(streamer_id)
        self._players: dict[str, Player] = {}
        self._protocol_message = protocol_message
        self._transport: webrtc.Transport = webrtc.choose_stack(transport)
        self._socket: ClientConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Start the engine, register, and serve until cancelled; reconnects to the signalling server.

        Raises:
            TorchMultiverseError: the engine cannot start.
            EngineError: the server cannot be reached for half a minute, or refuses the token; or the engine broke
                `MAX_BREAKS` times in a row.
        """
        loop = asyncio.get_running_loop()
        try:
            self._catalogue, _ = await loop.run_in_executor(None, self._engines.start)
        except BaseException:
            self._engines.stop()
            raise
        broken = asyncio.wrap_future(self._engines.ended)
        serving = loop.create_task(self._register(ready))
        try:
            await asyncio.wait([serving, broken], return_when=asyncio.FIRST_COMPLETED)
            await (broken if broken.done() else serving)
        finally:
            broken.cancel()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await asyncio.gather(*(self._drop(player) for player in list(self._players)))
            await self._outlets.close()
            await loop.run_in_executor(None, self._engines.close, 10)

    async def _register(self, ready: Callable[[], None]) -> None:
        failures = 0
        while True:
            try:
                socket = await websocket.dial(self.url, self._token)
                try:
                    self._socket = socket
                    # Connections outlive their signalling server; a new one counts its players afresh.
                    self._players = {f"before {name}": player for name, player in self._players.items()}
                    ready()
                    if await self._serve(socket):
                        failures = 0
                finally:
                    await socket.close()
                reason = f"it closed the connection {websocket.farewell(socket)}"
            except (ConnectionError, TimeoutError) as error:
                reason = str(error)
            log.warning("signalling server %s: %s", self.url, reason)
            failures += 1
            if failures > 6:
                raise EngineError(f"no signalling server at {self.url}: {reason}")
            await asyncio.sleep(min(0.25 * 2**failures, 10))

    async def _serve(self, socket: ClientConnection) -> bool:
        """Take messages until the end of the connection, and return whether any came."""
        welcome = False
        with suppress(ConnectionClosed):
            async for message in socket:
                welcome = True
                if not isinstance(message, str):
                    continue
                try:
                    actions = self._session.feed(signalling.parse(message))
                except ProtocolError as error:
                    log.warning("signalling: %s", error)
                    continue
                for action in actions:
                    await self._act(action)
        return welcome

    async def _act(self, action: signalling.Action) -> None:
        if isinstance(action, signalling.Send):
            await self._signal(action.message)
        elif isinstance(action, signalling.PlayerJoined):
            self._spawn(self._offer(action.player))
        elif isinstance(action, signalling.PlayerLeft):
            self._drop(action.player)
        elif isinstance(action, signalling.Answer) and action.player in self._players:
            try:
                await self._players[action.player].peer.accept(action.sdp)
            except ProtocolError as error:  # one player's, not ours
                log.warning("player %s: %s", action.player, error)
                self._drop(action.player)
        elif isinstance(action, signalling.Candidate) and action.player in self._players:
            player = self._players[action.player]
            player.candidates += 1
            if player.candidates <= MAX_CANDIDATES:
                await player.peer.add_candidate(action.candidate)

    async def _signal(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):  # it is made anew, and the players come again
                await self._socket.send(json.dumps(message))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a player's connection broke", exc_info=error)

    async def _offer(self, name: str) -> None:
        self._drop(name)
        events = webrtc.PeerEvents(
            opened=lambda: self._open(player),
            message=lambda data: self._message(player, data),
            closed=lambda reason: self._gone(player),
        )
        player = Player(webrtc.make_peer(events, loopback=self.loopback, transport=self._transport))
        self._players[name] = player
        sdp, candidates = webrtc.trickled(await player.peer.offer("cirrus", LatestFrame(lambda: self._latest)))
        await self._signal(self._session.offer(sdp, name))
        for candidate in candidates:
            await self._signal(self._session.candidate(candidate, name))

    def _drop(self, name: str) -> asyncio.Task[None]:
        """Forget a player. Its connection closes meanwhile: one that is half gone must not hold up the others."""
        player = self._players.pop(name, None)
        if player is None:
            return self._spawn(asyncio.sleep(0))
        player.gone = True
        if player.outlet is not None:
            player.outlet.close()
        for task in (*player.tasks, *([player.opening] if player.opening else [])):
            task.cancel()
        return self._spawn(player.peer.close())

    def _gone(self, player: Player) -> None:
        for name in [name for name, one in self._players.items() if one is player]:
            self._drop(name)

    # Data channel ---------------------------------------------------------------------------------------------

    def _open(self, player: Player) -> None:
        settings = {"PixelStreaming": {"AllowPixelStreamingCommands": False}, "TorchMultiverse": __version__}
        first = [dc.encode_output("InitialSettings", json.dumps(settings))]
        if self._protocol_message:
            ids = dc.MessageIds()
            first = [ids.encode_protocol(0), ids.encode_protocol(1), *first]
        self._say(player, *first)
        player.tasks.append(asyncio.get_running_loop().create_task(self._send(player)))

    async def _send(self, player: Player) -> None:
        with suppress(ConnectionError):  # it ended, which is said elsewhere
            while True:
                for message in await player.outbox.get():
                    await player.peer.room()
                    player.peer.send(message)
                    player.unsent -= len(message)

    def _message(self, player: Player, data: bytes) -> None:
        try:
            message = dc.decode_input(data)
        except ProtocolError as error:
            log.warning("data channel: %s", error)
            return
        if message.name == "RequestInitialSettings":
            self._say(player, dc.encode_output("InitialSettings", "{}"))
        elif message.name == "RequestQualityControl":
            self._say(player, dc.encode_output("QualityControlOwnership", payload=b"\x01"))
        elif message.name == "TestEcho":
            self._say(player, dc.encode_output("TestEcho", message.text))
        elif message.name == "UIInteraction":
            try:
                self._interaction(player, message.text)
            except (ProtocolError, SpecError) as error:
                log.warning("interaction: %s", websocket.printable(str(error)))
