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
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, Limits, RenderOptions, Supervisor, codec
from torchmultiverse.errors import EngineError, ProtocolError, SpecError
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import messages, pixels, pug, signalling, webrtc, websocket
from torchmultiverse.scenes import FACTORS, Scene
from torchmultiverse.serve.pixels import Outlet, Outlets
from torchmultiverse.serve.security import is_loopback
from torchmultiverse.serve.video import LatestFrameTrack
from torchmultiverse.version import __version__

log = logging.getLogger(__name__)
RenderOutcome = Frame | Failure | EngineError
MAX_QUEUE = 1024
"""Requests that may wait for the engine; more are answered with a failure that may pass."""
MAX_UNSENT = 256 * 2**20
"""Bytes that may wait for a player who does not take them; beyond, its requests are dropped."""
MAX_CANDIDATES = 100
MAX_BREAKS = 8
"""An engine that breaks so often in a row is beyond help: the streamer ends, and whoever watches starts it again."""
LEASE = 3600.0
"""Seconds for one picture, after which the engine is made anew: clients have shorter limits of their own."""
HIGH_WATER = 1024 * 1024
"""Bytes in the send buffer at which the sender waits."""


@dataclass
class _Player:
    connection: RTCPeerConnection
    channel: RTCDataChannel
    # The pug dialect's state: factors as last set, and how many make a scene.
    factors: dict[str, Any] = field(default_factory=dict)
    resolution: tuple[int, int] = (512, 512)
    pending_pug: asyncio.TimerHandle | None = None
    outlet: Outlet | None = None  # where the files of its pictures go, if not over the data channel
    asks: bool = False  # for another outlet
    outbox: asyncio.Queue[list[bytes]] = field(default_factory=asyncio.Queue)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    candidates: int = 0
    unsent: int = 0
    gone: bool = False

    def absent(self) -> bool:
        """Whether rendering for this player would be in vain."""
        return self.gone or self.unsent > MAX_UNSENT


class Streamer:
    """Offers an engine to the players of a signalling server.

    Args:
        make_engine: called in the engine's thread, and again when the engine breaks.
        url: the server's streamer port.
        streamer_id: name to register under.
        loopback: restrict WebRTC to 127.0.0.1; by default that of ``url``.
        token: for a server that asks for one.
        pug_quiet: seconds without a further factor after which the ``pug`` dialect's scene is complete.
        protocol_message: send ``Protocol`` (UE 5.1 and later) or not (UE 5.0).
        pixel_ways: ways of files that are offered besides the data channel: ``auto`` all, ``channel`` none, or one.
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
    ) -> None:
        self.url = url
        self.loopback = is_loopback(websocket.host(url)) if loopback is None else loopback
        self._token = token
        limits = Limits(lease=LEASE, restarts=MAX_BREAKS - 1, max_pause=0.5)
        self._engines = Supervisor(make_engine, limits=limits, name="engine")
        self._catalogue: Catalogue
        self._session = signalling.StreamerSession(streamer_id)
        self._players: dict[str, _Player] = {}
        self._latest: Frame | None = None
        self._pug_quiet = pug_quiet
        self._protocol_message = protocol_message
        self._outlets = Outlets(url, token, pixels.ways(pixel_ways))
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
            connection = self._players[action.player].connection
            try:
                await connection.setRemoteDescription(RTCSessionDescription(action.sdp, "answer"))
            except Exception as error:  # aiortc raises many kinds on bad SDP; one player's, not ours
                log.warning("player %s: bad answer: %s", action.player, error)
                self._drop(action.player)
        elif isinstance(action, signalling.Candidate) and action.player in self._players:
            player = self._players[action.player]
            player.candidates += 1
            if player.candidates <= MAX_CANDIDATES:
                await webrtc.add_candidate(player.connection, action.candidate)

    async def _signal(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):  # it is made anew, and the players come again
                await self._socket.send(json.dumps(message))

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _offer(self, name: str) -> None:
        self._drop(name)
        connection = webrtc.peer_connection()
        connection.addTrack(LatestFrameTrack(lambda: self._latest))
        for transceiver in connection.getTransceivers():
            transceiver.direction = "sendonly"
        player = _Player(connection, connection.createDataChannel("cirrus", ordered=True))
        self._players[name] = player
        player.channel.bufferedAmountLowThreshold = HIGH_WATER // 4
        player.channel.on("open", lambda: self._open(player))
        player.channel.on("message", lambda data: self._message(player, data))

        def changed() -> None:
            if connection.connectionState in {"failed", "closed"}:
                for name in [n for n, one in self._players.items() if one is player]:
                    self._drop(name)

        connection.on("connectionstatechange", changed)

        if self.loopback:
            webrtc.loopback_only(connection)
        await connection.setLocalDescription(await connection.createOffer())
        sdp, candidates = webrtc.trickled(connection.localDescription.sdp)
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
        for task in player.tasks:
            task.cancel()
        return self._spawn(webrtc.close(player.connection))

    # Data channel ---------------------------------------------------------------------------------------------

    def _open(self, player: _Player) -> None:
        settings = {"PixelStreaming": {"AllowPixelStreamingCommands": False}, "TorchMultiverse": __version__}
        first = [dc.encode_output("InitialSettings", json.dumps(settings))]
        if self._protocol_message:
            ids = dc.MessageIds()
            first = [ids.encode_protocol(0), ids.encode_protocol(1), *first]
        self._say(player, *first)
        player.tasks.append(asyncio.get_running_loop().create_task(self._send(player)))

    async def _send(self, player: _Player) -> None:
        channel = player.channel
        low = asyncio.Event()
        channel.on("bufferedamountlow", low.set)
        while channel.readyState == "open":
            for message in await player.outbox.get():
                if channel.readyState != "open":
                    return
                if channel.bufferedAmount > HIGH_WATER:
                    low.clear()
                    await low.wait()
                channel.send(message)
                player.unsent -= len(message)

    def _message(self, player: _Player, data: bytes | str) -> None:
        if isinstance(data, str):
            return
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
                log.warning("interaction: %s", error)

    def _say(self, player: _Player, *messages: bytes) -> None:
        if not player.gone:
            player.unsent += sum(map(len, messages))
            player.outbox.put_nowait(list(messages))

    def _respond(self, player: _Player, reply: messages.Message) -> None:
        self._say(player, _response(reply))

    def _interaction(self, player: _Player, text: str) -> None:
        message = messages.parse(text)
        if message is None:
            self._pug(player, text)
            return
        name = message["id"]
        try:
            request = messages.read_request(message)
            if isinstance(request, messages.RenderRequest):
                self._render(player, request)
                return
        except (ProtocolError, SpecError) as error:
            self._respond(player, messages.Failed(id=name, reason=str(error)))
            return
        if isinstance(request, messages.Hello):
            engine = self._catalogue
            done = messages.HelloDone(
                id=name, engine=engine.engine, version=engine.version, fingerprint=engine.fingerprint,
                pixels=list(self._outlets.offered) or None,
            )  # fmt: skip
            self._respond(player, done)
        elif isinstance(request, messages.PixelsRequest):
            player.tasks.append(asyncio.get_running_loop().create_task(self._open_outlet(player, request)))
        else:
            data = self._catalogue.model_dump_json().encode()
            self._say(player, *dc.encode_file(f"{name}.catalogue.json", codec.MIME["json"], data))
            self._respond(player, messages.Done(id=name))

    async def _open_outlet(self, player: _Player, request: messages.PixelsRequest) -> None:
        """Prepare another way for the files of a player, which it takes from when the player is ready."""

        def ready(outlet: Outlet | None) -> None:
            before, player.outlet = player.outlet, outlet
            if before is not None and outlet is not None:
                before.close()
            if player.gone and outlet is not None:
                outlet.close()

        reply: messages.Message
        try:
            if player.asks:
                raise EngineError("one question for a way of pixels at a time")
            player.asks = True
            try:
                place, key = await self._outlets.open(request.by, ready)
                reply = messages.PixelsDone(id=request.id, place=place, key=key)
            finally:
                player.asks = False
        except EngineError as error:
            reply = messages.Failed(id=request.id, reason=str(error))
        self._respond(player, reply)

    def _render(self, player: _Player, request: messages.RenderRequest) -> None:
        name = request.id
        scene, options = read_request(request)
        if self._engines.waiting >= MAX_QUEUE:
            self._respond(player, messages.Failed(id=name, again=True, reason=f"{MAX_QUEUE} requests wait already"))
            return
        self._respond(player, messages.Accepted(id=name))
        self._submit(player, scene, options, lambda answer: self._deliver(player, name, answer, options))

    def _submit(
        self, player: _Player, scene: Scene, options: RenderOptions, deliver: Callable[[RenderOutcome], None]
    ) -> None:
        """Have a scene rendered for a player who is still there when it is its turn."""
        loop = asyncio.get_running_loop()

        def done(future: Future[Frame | Failure]) -> None:
            if future.cancelled():
                return
            answer = _encoded(future, scene, options)
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(deliver, answer)

        self._engines.submit(scene, options, wanted=lambda: not player.absent()).add_done_callback(done)

    def _deliver(self, player: _Player, name: str, answer: RenderOutcome, options: RenderOptions) -> None:
        if not isinstance(answer, Frame):
            again = not isinstance(answer, Failure) or answer.engine_lost
            reason = answer.reason if isinstance(answer, Failure) else str(answer)
            self._respond(player, messages.Failed(id=name, reason=reason, again=again))
            return
        self._latest = answer
        kinds = {one: codec.extension(one, options.format) for one in options.passes}
        files = {one: (f"{name}.{one}.{kind}", answer.encoded(one)) for one, kind in kinds.items()}
        sent = player.outlet.put(files) if player.outlet is not None else None
        done = messages.RenderDone(
            id=name, scene_id=answer.scene_id, sha256={one: answer.sha256(one) for one in options.passes},
            settle=answer.settle, timings=answer.timings, engine=answer.engine, info=answer.info, **(sent or {}),
        )  # fmt: skip
        parts = [_response(messages.Settled(id=name, settle=answer.settle))]
        if sent is None:
            for one, (extension, data) in files.items():
                parts += dc.encode_file(extension, codec.MIME[kinds[one]], data)
        self._say(player, *parts, _response(done))

    def _pug(self, player: _Player, text: str) -> None:
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ProtocolError(f"no JSON: {text[:80]!r}") from None
        if not isinstance(values, dict):
            raise ProtocolError(f"no JSON object: {text[:80]!r}")
        if "Resolution" in values:
            width, height = pug.number(values.get("X")), pug.number(values.get("Y"))
            if (
                isinstance(width, int)
                and isinstance(height, int)
                and 16 <= min(width, height) <= max(width, height) <= 4096
            ):
                player.resolution = (width, height)
            else:
                log.warning("resolution: %s; X and Y from 16 to 4096 are right", text[:80])
            return
        if "PoolSize" in values:
            return
        if unknown := [name for name in values if name not in FACTORS]:
            raise ProtocolError(f"unknown factor {unknown[0][:80]!r}")
        player.factors.update({name: pug.value(name, value) for name, value in values.items()})
        # Nothing marks the last factor, so the scene is complete when no further factor comes for a moment.
        if player.pending_pug is not None:
            player.pending_pug.cancel()
        player.pending_pug = asyncio.get_running_loop().call_later(self._pug_quiet, self._render_pug, player)

    def _render_pug(self, player: _Player) -> None:
        player.pending_pug = None
        try:
            scene = Scene(player.factors)
            options = RenderOptions(size=player.resolution, format="jpeg")
        except SpecError as error:
            log.warning("pug scene: %s", error)  # the dialect has no way to say so
            return
        self._submit(player, scene, options, lambda answer: self._freeze(player, answer))

    def _freeze(self, player: _Player, answer: RenderOutcome) -> None:
        if not isinstance(answer, Frame):
            log.warning("pug scene failed: %s", answer)
            return
        self._latest = answer
        self._say(player, *dc.encode_chunks("FreezeFrame", answer.encoded("rgb")))


def _encoded(future: Future[Frame | Failure], scene: Scene, options: RenderOptions) -> RenderOutcome:
    """Return what became of a scene, encoded here, in the engine's thread, and not on the event loop."""
    if (error := future.exception()) is not None:
        return error if isinstance(error, EngineError) else EngineError(str(error))
    answer = future.result()
    if isinstance(answer, Frame):
        try:
            if "raw" in (answer.format, options.format):
                answer = answer.in_format(options.format)
            for name in options.passes:
                answer.encoded(name)
        except Exception as error:  # the picture is somebody's code's: its scene fails, the server goes on
            log.exception("a picture cannot be encoded")
            return Failure(scene, f"{type(error).__name__}: {error}", engine_lost=True)
    return answer


def _response(reply: messages.Message) -> bytes:
    return dc.encode_output("Response", reply.encode())


def read_request(request: messages.RenderRequest) -> tuple[Scene, RenderOptions]:
    """Return the scene and options of a render request.

    Raises:
        SpecError: what is wrong with it.
    """
    size = (request.size[0], request.size[1])
    format: Literal["png", "jpeg", "raw"] = "raw" if request.raw else request.format
    options = RenderOptions(size, tuple(request.passes), format, request.seed, request.samples)
    return Scene(request.scene), options
