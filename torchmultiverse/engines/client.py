"""The asynchronous client: one engine behind a signalling server, over WebRTC, in either dialect.

Every wait has an end. A picture that does not come, comes broken or cannot be proven to be the right one is asked for
again within a budget; a lost connection is made anew with back-off. Past the budget the scene is a `Failure`, or
`EngineError` is raised where the engine as a whole is gone. A wrong picture is never returned.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
from aiortc import RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from torchmultiverse.engines import codec
from torchmultiverse.engines.base import Catalogue, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.protocol import bridge, pug, signalling, webrtc
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.spec import Scene

log = logging.getLogger(__name__)
Dialect = Literal["auto", "tmv", "pug"]
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Lost(Exception):
    """The connection is gone; what was in flight may be asked for again on another."""


class Connection:
    """One connection from signalling to the open data channel. Used once."""

    def __init__(self, url: str, token: str | None, streamer_id: str | None, loopback: bool) -> None:
        self._url = url
        self._token = token
        self._loopback = loopback
        self._session = signalling.PlayerSession(streamer_id)
        self._peer: RTCPeerConnection | None = None
        self._channel: RTCDataChannel | None = None
        self._open = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None
        self.receiver = dc.Receiver()
        self.events: asyncio.Queue[dc.Event] = asyncio.Queue()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, timeout: float) -> None:
        """Connect.

        Raises:
            EngineError: the server refuses.
            _Lost: it did not work within ``timeout`` seconds; it may later.
        """
        self._http = aiohttp.ClientSession()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            async with asyncio.timeout(timeout):
                socket = await self._http.ws_connect(
                    self._url, headers=headers, max_msg_size=signalling.MAX_MESSAGE, heartbeat=20
                )
                self._tasks.append(asyncio.create_task(self._signalling(socket)))
                opened = asyncio.create_task(self._open.wait())
                await asyncio.wait({opened, self.lost}, return_when=asyncio.FIRST_COMPLETED)
                opened.cancel()
        except aiohttp.WSServerHandshakeError as error:
            hint = "; it asks for a token" if error.status == 401 else ""
            raise EngineError(f"{self._url} refuses the connection: HTTP {error.status}{hint}") from None
        except TimeoutError:
            raise _Lost(f"no connection to a streamer within {timeout:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Lost(str(error)) from None
        if self.lost.done():
            raise _Lost(self.lost.result())

    def send(self, text: str) -> None:
        """Send a ``UIInteraction``."""
        if self._channel is None or self._channel.readyState != "open":
            raise _Lost("the data channel is closed")
        self._channel.send(dc.encode_input("UIInteraction", text, self.receiver.ids))

    async def close(self) -> None:
        """End it."""
        for task in self._tasks:
            task.cancel()
        with suppress(Exception):
            if self._peer is not None:
                await self._peer.close()
        if self._http is not None:
            await self._http.close()
        self._lose("closed")

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    async def _signalling(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        grace = asyncio.create_task(self._ask_later(socket, signalling.PlayerSession.GRACE))
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                for action in self._session.feed(signalling.parse(message.data)):
                    await self._act(socket, action)
        except (ProtocolError, ConnectionError, ValueError) as error:
            self._lose(f"signalling broke: {error}")
        finally:
            grace.cancel()
        # An open data channel outlives its signalling server.
        if not self._open.is_set():
            self._lose("the signalling server closed the connection")

    async def _ask_later(self, socket: aiohttp.ClientWebSocketResponse, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for action in self._session.ask():
            await self._act(socket, action)

    async def _act(self, socket: aiohttp.ClientWebSocketResponse, action: signalling.Action) -> None:
        if isinstance(action, signalling.Send):
            await socket.send_str(json.dumps(action.message))
        elif isinstance(action, signalling.WaitForStreamer):
            self._tasks.append(asyncio.create_task(self._ask_later(socket, 0.5)))
        elif isinstance(action, signalling.Offer):
            answer = await self._answer(action.sdp)
            await socket.send_str(json.dumps(self._session.answer(answer)))
        elif isinstance(action, signalling.Candidate) and self._peer is not None:
            await webrtc.add_candidate(self._peer, action.candidate)
        elif isinstance(action, signalling.Lost):
            self._lose(action.reason)

    async def _answer(self, offer: str) -> str:
        if self._peer is not None:
            await self._peer.close()
        peer = self._peer = webrtc.peer_connection()

        @peer.on("datachannel")
        def opened(channel: RTCDataChannel) -> None:
            self._channel = channel
            channel.on("message", self._message)
            channel.on("close", lambda: self._lose("the data channel closed"))
            self._open.set()

        @peer.on("connectionstatechange")
        def changed() -> None:
            if peer.connectionState in {"failed", "closed"} and peer is self._peer:
                self._lose(f"the WebRTC connection {peer.connectionState}")

        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in peer.getTransceivers():
            transceiver.direction = "inactive"  # pictures come by data channel; the video is for browsers
        if self._loopback:
            webrtc.loopback_only(peer)
        await peer.setLocalDescription(await peer.createAnswer())
        return str(peer.localDescription.sdp)

    def _message(self, data: bytes | str) -> None:
        if isinstance(data, str):
            return
        try:
            for event in self.receiver.feed(data):
                self.events.put_nowait(event)
        except ProtocolError as error:
            log.warning("data channel: %s", error)


class AsyncClient:
    """Renders over a signalling server.

    Args:
        url: ``ws://host:port`` of the server's player port.
        token: for a server that asks for one.
        dialect: ``tmv``, ``pug``, or ``auto``: ask, and take ``pug`` where nobody answers.
        timeout: seconds without any sign of life about a picture after which it is asked for again.
        retries: how often a picture is asked for again before it is a `Failure`.
        connect_timeout: seconds that one attempt to connect may take.
        reconnects: attempts to connect before the engine counts as lost.
        streamer_id: which of several streamers.
        loopback: restrict WebRTC to 127.0.0.1; by default where ``url`` is on this machine.
        factor_order: wire names in the order in which the ``pug`` dialect sends them.
        pug_drain: seconds that the ``pug`` dialect listens for stray pictures before each request.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        dialect: Dialect = "auto",
        timeout: float = 120.0,
        retries: int = 3,
        connect_timeout: float = 20.0,
        reconnects: int = 5,
        streamer_id: str | None = None,
        loopback: bool | None = None,
        factor_order: list[str] | None = None,
        pug_drain: float = 0.05,
    ) -> None:
        self.url = url
        self.dialect: Dialect = dialect
        self.timeout = timeout
        self.retries = retries
        self._token = token
        self._connect_timeout = connect_timeout
        self._reconnects = reconnects
        self._streamer_id = streamer_id
        self._loopback = (urlsplit(url).hostname in _LOOPBACK) if loopback is None else loopback
        self._order = list(factor_order or [])
        self._drain = pug_drain
        self._connection: Connection | None = None
        self._bridge = bridge.BridgeSession()
        self._waiting: dict[str, asyncio.Queue[bridge.Outcome | _Lost]] = {}
        self._numbers = itertools.count(1)
        self._pump: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._one = asyncio.Lock()  # the pug dialect has one picture in flight
        self._catalogue: Catalogue | None = None
        self._pug_size: tuple[int, int] | None = None

    async def connect(self) -> None:
        """Connect, or make sure that the connection still stands.

        Raises:
            EngineError: nothing answers within the budget.
        """
        async with self._connecting:
            if self._connection is not None and not self._connection.lost.done():
                return
            reason = ""
            for attempt in range(self._reconnects):
                if attempt:
                    await asyncio.sleep(min(0.25 * 2**attempt, 8))
                await self._disconnect()
                connection = Connection(self.url, self._token, self._streamer_id, self._loopback)
                try:
                    await connection.open(self._connect_timeout)
                except _Lost as error:
                    reason = str(error)
                    await connection.close()
                    continue
                except BaseException:
                    await connection.close()
                    raise
                self._connection = connection
                self._bridge = bridge.BridgeSession()
                self._pug_size = None
                self._pump = asyncio.create_task(self._deliver(connection))
                if self.dialect == "auto":
                    self.dialect = await self._ask_dialect()
                return
            raise EngineError(f"no engine at {self.url} after {self._reconnects} attempts: {reason}")

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        await self._disconnect()

    async def catalogue(self) -> Catalogue:
        """Return what the engine can render; incomplete in the ``pug`` dialect, which cannot be asked."""
        if self._catalogue is None:
            await self.connect()
            if self.dialect == "pug":
                self._catalogue = Catalogue(engine=self.url, fingerprint="pug", complete=False)
            else:
                reply = await self._question(bridge.catalogue, self.timeout)
                try:
                    self._catalogue = Catalogue.model_validate_json(reply.data)
                except ValueError as error:
                    raise EngineError(f"{self.url} sent no catalogue: {str(error)[:300]}") from None
        return self._catalogue

    def manifest_notes(self) -> list[str]:
        """Return what a dataset made this way should say of itself."""
        return [pug.WEAKNESS] if self.dialect == "pug" else []

    async def render(self, scene: Scene, options: RenderOptions) -> Frame | Failure:
        """Render one scene; may be called several times at once.

        Raises:
            EngineError: the engine is lost.
        """
        reason = ""
        for _attempt in range(self.retries + 1):
            await self.connect()
            try:
                if self.dialect == "pug":
                    return await self._render_pug(scene, options)
                return await self._render_tmv(scene, options)
            except _Lost as error:
                reason = str(error)
                log.warning("scene %s: %s", scene.scene_id, reason)
            except _Unrenderable as error:
                return Failure(scene, str(error), _attempt + 1)
        return Failure(scene, reason, self.retries + 1)

    # tmv ------------------------------------------------------------------------------------------------------

    async def _render_tmv(self, scene: Scene, options: RenderOptions) -> Frame:
        connection = self._live()
        request = f"r{next(self._numbers)}"
        inbox = self._waiting[request] = asyncio.Queue()
        self._bridge.expect(request, scene, options.passes)
        try:
            text = bridge.render(
                request,
                scene,
                size=options.size,
                passes=options.passes,
                format=options.format,
                seed=options.seed,
                samples=options.samples,
            )
            connection.send(text)
            while True:
                try:
                    async with asyncio.timeout(self.timeout):
                        outcome = await inbox.get()
                except TimeoutError:
                    raise _Lost(f"no answer for {self.timeout:g} s") from None
                if isinstance(outcome, _Lost):
                    raise outcome
                if isinstance(outcome, bridge.Refusal):
                    raise _Lost(outcome.reason)
                if isinstance(outcome, bridge.Rejected):
                    raise _Unrenderable(outcome.reason)
                if isinstance(outcome, bridge.Delivery):
                    return self._frame(scene, options, outcome)
        finally:
            del self._waiting[request]
            self._bridge.forget(request)

    def _frame(self, scene: Scene, options: RenderOptions, delivery: bridge.Delivery) -> Frame:
        done = delivery.done
        frame = Frame(
            scene,
            encoded=delivery.passes,
            format=options.format,
            settle=_object(done, "settle"),
            timings={k: float(v) for k, v in _object(done, "timings").items() if isinstance(v, int | float)},
            engine=str(done.get("engine", "")),
            info=_object(done, "info"),
            scene_id=str(done["scene_id"]),
        )
        width, height = options.size
        found = codec.dimensions(frame.encoded("rgb"))
        if found != (width, height):
            raise _Lost(f"a picture of {found} came, asked was {width} × {height}")
        return frame

    async def _question(self, make: Any, timeout: float) -> bridge.Reply:
        request = f"q{next(self._numbers)}"
        inbox = self._waiting[request] = asyncio.Queue()
        self._bridge.expect_reply(request)
        try:
            self._live().send(make(request))
            async with asyncio.timeout(timeout):
                outcome = await inbox.get()
        except TimeoutError:
            raise EngineError(f"{self.url} does not answer") from None
        except _Lost as error:
            raise EngineError(f"{self.url}: {error}") from None
        finally:
            del self._waiting[request]
            self._bridge.forget(request)
        if not isinstance(outcome, bridge.Reply):
            raise EngineError(f"{self.url}: {outcome}")
        return outcome

    async def _ask_dialect(self) -> Dialect:
        try:
            await self._question(bridge.hello, min(self.timeout, 3.0))
        except EngineError:
            log.warning("%s does not know the tmv dialect; using pug, which has no picture ids", self.url)
            return "pug"
        return "tmv"

    # pug ------------------------------------------------------------------------------------------------------

    async def _render_pug(self, scene: Scene, options: RenderOptions) -> Frame:
        if options.passes != ("rgb",):
            raise _Unrenderable(f"the pug dialect has no passes but rgb; asked were {options.passes}")
        async with self._one:
            connection = self._live()
            if self._pug_size != options.size:
                for text in pug.opening(*options.size):
                    connection.send(text)
                self._pug_size = options.size
            if await self._stray(connection):
                await self._disconnect()
                raise _Lost("a picture came that nobody had asked for; the connection was ended")
            self._order += [name for name in scene.wire if name not in self._order]
            for text in pug.factors(scene, self._order):
                connection.send(text)
            inbox = self._waiting["pug"] = asyncio.Queue()
            try:
                async with asyncio.timeout(self.timeout):
                    outcome = await inbox.get()
            except TimeoutError:
                # A late picture must find nobody: the connection ends, not only the wait.
                await self._disconnect()
                raise _Lost(f"no picture within {self.timeout:g} s; the connection was ended") from None
            finally:
                self._waiting.pop("pug", None)
            if isinstance(outcome, _Lost):
                raise outcome
            assert isinstance(outcome, bridge.Delivery)
            try:
                codec.decode("rgb", outcome.passes["rgb"])
                found = codec.dimensions(outcome.passes["rgb"])
            except ProtocolError as error:
                raise _Lost(str(error)) from None
            if found != options.size:
                raise _Lost(f"a picture of {found} came, asked was {options.size}")
            return Frame(
                scene, encoded=outcome.passes, format="jpeg", engine="pug", settle={"settled": None, "dialect": "pug"}
            )

    async def _stray(self, connection: Connection) -> bool:
        inbox = self._waiting["pug"] = asyncio.Queue()
        try:
            async with asyncio.timeout(self._drain):
                await inbox.get()
            return True
        except TimeoutError:
            return False
        finally:
            self._waiting.pop("pug", None)

    # Connection -----------------------------------------------------------------------------------------------

    def _live(self) -> Connection:
        if self._connection is None or self._connection.lost.done():
            raise _Lost("the connection is gone")
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        if connection is not None:
            await connection.close()
        for inbox in self._waiting.values():
            inbox.put_nowait(_Lost("the connection was ended"))

    async def _deliver(self, connection: Connection) -> None:
        while True:
            getter = asyncio.ensure_future(connection.events.get())
            await asyncio.wait({getter, connection.lost}, return_when=asyncio.FIRST_COMPLETED)
            if not getter.done():
                getter.cancel()
                for inbox in self._waiting.values():
                    inbox.put_nowait(_Lost(f"the connection broke: {connection.lost.result()}"))
                return
            event = getter.result()
            if isinstance(event, dc.FreezeFrame) and self.dialect == "pug" and "pug" in self._waiting:
                self._waiting["pug"].put_nowait(bridge.Delivery("pug", {"rgb": event.data}, {}))
                continue
            for outcome in self._bridge.feed(event):
                if outcome.request in self._waiting:
                    self._waiting[outcome.request].put_nowait(outcome)


class _Unrenderable(Exception):
    """The engine says that it cannot render this scene: asking again would not help."""


def _object(message: dict[str, Any], key: str) -> dict[str, Any]:
    value = message.get(key)
    return value if isinstance(value, dict) else {}
