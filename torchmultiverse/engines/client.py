"""The asynchronous client: one engine behind a signalling server, over WebRTC, in either dialect.

Every wait has an end. A picture that does not come, comes broken or cannot be proven to be the right one is asked for
again within a budget; a lost connection is made anew with back-off. Past the budget the scene is a `Failure`, or
`EngineError` is raised where the engine as a whole is gone. A wrong picture is never returned.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torchmultiverse.engines import codec, likeness
from torchmultiverse.engines.connection import Connection, ConnectionLost
from torchmultiverse.engines.contract import Catalogue, Failure, Frame, RenderOptions
from torchmultiverse.engines.pairing import (
    BATCH,
    MAX_HOLD,
    MIN_SILENCE,
    FrameTimeout,
    Pairing,
    TimedFrame,
    UnexpectedFrame,
)
from torchmultiverse.engines.pixels import PixelWays
from torchmultiverse.errors import EngineError, ProtocolError, nearest
from torchmultiverse.protocol import bridge, messages, pug, webrtc, websocket
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import pixels as px
from torchmultiverse.scenes import Scene

log = logging.getLogger(__name__)
Dialect = Literal["auto", "tmv", "pug"]
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
QUICK = 0.1
"""Share of its patience that the last picture took at most for the next one to need no signs of life."""


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """How an engine behind an address is reached, and how patiently.

    Attributes:
        token: for a server that asks for one.
        dialect: ``tmv``, ``pug``, or ``auto``: ask, and take ``pug`` where nobody answers.
        timeout: seconds without any sign of life about a picture, or about one asked for before it, until it is asked
            for again.
        retries: how often a picture is asked for again before it is a `Failure`.
        connect_timeout: seconds that one attempt to connect may take.
        reconnects: attempts to connect before the engine counts as lost.
        streamer_id: which of several streamers; one that a server with others does not know is an `EngineError`.
        loopback: restrict WebRTC to 127.0.0.1; by default where the address is on this machine.
        factor_order: wire names in the order in which the ``pug`` dialect sends them.
        pug_drain: seconds that the ``pug`` dialect listens for stray pictures before each request.
        pug_batch: pictures that the ``pug`` dialect holds back until they are proven to belong to their scenes, see
            `torchmultiverse.engines.pairing`; 0: none, every picture is taken for the scene that was asked for last.
        pug_hold: seconds that it holds them back, at most.
        hello_timeout: seconds after which an engine that does not answer ``hello`` counts as ``pug``.
        max_payload: largest picture that is accepted, in bytes.
        pixels: which way files come, where the other end offers it: ``shared`` memory of one host, a binary
            ``websocket``, or the data ``channel``; ``auto``: the first of these that works, or what the environment
            variable TORCHMULTIVERSE_PIXELS says. The pictures are the same, byte for byte.
        transport: the WebRTC stack: ``native`` (libwebrtc, the extra of that name), ``aiortc``, or ``auto``: native
            where it is installed, unless the environment variable TORCHMULTIVERSE_WEBRTC says otherwise.
        lost: asked before each attempt to connect; a text says that the engine will not come back, and why.
        delivered: called after each picture.

    Raises:
        EngineError: an unknown dialect or transport; says the nearest one. A transport that is not installed.
    """

    token: str | None = None
    dialect: Dialect = "auto"
    timeout: float = 120.0
    retries: int = 3
    connect_timeout: float = 20.0
    reconnects: int = 5
    streamer_id: str | None = None
    loopback: bool | None = None
    factor_order: Sequence[str] = ()
    pug_drain: float = 0.05
    pug_batch: int = BATCH
    pug_hold: float = MAX_HOLD
    hello_timeout: float = 5.0
    max_payload: int = dc.MAX_PAYLOAD
    pixels: px.Choice = "auto"
    transport: webrtc.Transport = "auto"
    lost: Callable[[], str | None] = lambda: None
    delivered: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        if self.dialect not in get_args(Dialect):
            raise EngineError(f"dialect = '{self.dialect}' is unknown.{nearest(self.dialect, get_args(Dialect))}")
        webrtc.choose_stack(self.transport)


class AsyncClient:
    """Renders over a signalling server.

    Args:
        url: ``ws://host:port`` of the server's player port.
        options: see `ClientOptions`.
        settings: fields of `ClientOptions` by name, instead of those in ``options``.
    """

    def __init__(self, url: str, options: ClientOptions | None = None, **settings: Any) -> None:
        self._settings = chosen = replace(options or ClientOptions(), **settings)
        self.url = url
        self.dialect: Dialect = chosen.dialect
        self.timeout = chosen.timeout
        self.retries = chosen.retries
        self._loopback = (websocket.host(url) in _LOOPBACK) if chosen.loopback is None else chosen.loopback
        self._order = list(chosen.factor_order)
        self._legacy = False
        self._found = False
        self._connection: Connection | None = None
        self._bridge = bridge.BridgeSession()
        self._waiting: dict[str, asyncio.Queue[bridge.Outcome | ConnectionLost]] = {}
        self._patience: dict[str, asyncio.Timeout] = {}
        self._numbers = itertools.count(1)
        self._connecting = asyncio.Lock()
        self._one = asyncio.Lock()  # the pug dialect has one picture in flight
        self._suspects = asyncio.Lock()
        self._pug_late = False
        self._catalogue: Catalogue | None = None
        self._pug_size: tuple[int, int] | None = None
        self._pug_strays = 0  # pictures that came while none was awaited
        self._sessions = 0
        self._took = math.inf  # seconds of the last picture
        self._ways = PixelWays(
            url, chosen.pixels, token=chosen.token, max_payload=chosen.max_payload, on_event=self._file,
            on_outcomes=self._settle,
        )  # fmt: skip
        self.pug_batch = batch = chosen.pug_batch
        self._pairing = (
            Pairing(_PugWire(self), batch=batch, hold=chosen.pug_hold, retries=chosen.retries) if batch else None
        )

    async def connect(self) -> None:
        """Connect, or make sure that the connection still stands.

        Raises:
            EngineError: nothing answers within the budget.
        """
        async with self._connecting:
            if self._connection is not None and not self._connection.lost.done():
                return
            reason = ""
            for attempt in range(self._settings.reconnects):
                if attempt:
                    await asyncio.sleep(min(0.25 * 2**attempt, 8))
                if over := self._settings.lost():
                    raise EngineError(over)
                try:
                    await self._connect_once()
                except ConnectionLost as error:
                    reason = str(error)
                    continue
                return
            raise EngineError(f"no engine at {self.url} after {self._settings.reconnects} attempts: {reason}")

    async def _connect_once(self) -> None:
        await self._disconnect()
        connection = Connection(
            self.url,
            token=self._settings.token,
            streamer_id=self._settings.streamer_id,
            loopback=self._loopback,
            legacy=self._legacy,
            wait_for_streamer=self._found,
            max_payload=self._settings.max_payload,
            transport=self._settings.transport,
            on_event=self._event,
        )
        try:
            await connection.open(self._settings.connect_timeout)
        except BaseException:
            self._legacy = connection.question_unanswered
            await connection.close()
            raise
        self._connection, self._found = connection, True
        self._sessions += 1
        self._bridge = bridge.BridgeSession()
        self._pug_size = None
        connection.lost.add_done_callback(self._broke)
        if self.dialect == "tmv" and not self._ways.wanted:
            return
        if self.dialect != "pug":
            try:
                await self._greet()
            except TimeoutError:
                if self._ways.required:
                    await self._disconnect()
                    raise EngineError(f"{self.url} does not say which ways of pixels it has") from None
                if self.dialect == "tmv":
                    return  # an engine that answers nothing but what it has to
                log.warning("%s does not know the tmv dialect; using pug, which has no picture ids", self.url)
                self.dialect = "pug"
                # The question may have stirred the environment; what it still sends must find nobody.
                await self._connect_once()

    async def _greet(self) -> None:
        """Ask who is there, and agree on the way of files.

        Raises:
            TimeoutError: nobody answers: the other end does not speak this dialect.
            ConnectionLost: the connection broke.
            EngineError: one way was asked for, and it does not work.
        """
        timeout = self._settings.hello_timeout
        reply = await self._question(messages.Hello, timeout, messages.HelloDone)
        self.dialect = "tmv"
        assert isinstance(reply.message, messages.HelloDone)

        async def ask(by: px.By) -> messages.PixelsDone:
            try:
                place = await self._question(messages.PixelsRequest, timeout, messages.PixelsDone, by=by)
            except _Refused as error:
                raise ProtocolError(str(error)) from None
            assert isinstance(place.message, messages.PixelsDone)
            return place.message

        try:
            await self._ways.agree(self._bridge, reply.message.pixels or [], ask)
        except EngineError:
            await self._disconnect()
            raise

    @property
    def pixels(self) -> px.Way:
        """Which way the files of pictures come: ``shared``, ``websocket`` or ``channel``."""
        return self._ways.way

    async def close(self) -> None:
        """Disconnect; may be called twice."""
        if self._pairing is not None:
            await self._pairing.close()
        await self._disconnect()

    async def catalogue(self) -> Catalogue:
        """Return what the engine can render; incomplete in the ``pug`` dialect, which cannot be asked."""
        if self._catalogue is None:
            await self.connect()
            if self.dialect == "pug":
                self._catalogue = Catalogue(engine="pug", fingerprint="pug", complete=False)
            else:
                self._catalogue = await self._ask_catalogue()
        return self._catalogue

    def manifest_notes(self) -> list[str]:
        """Return what a dataset made this way should say of itself."""
        if self.dialect != "pug":
            return []
        return [pug.WEAKNESS, pug.PROVEN if self._pairing is not None else pug.UNPROVEN]

    async def _ask_catalogue(self) -> Catalogue:
        reason = ""
        for _attempt in range(self.retries + 1):
            await self.connect()
            try:
                reply = await self._question(messages.CatalogueRequest, self.timeout)
                return Catalogue.model_validate_json(reply.data)
            except TimeoutError:
                reason = f"no answer for {self.timeout:g} s"
            except ConnectionLost as error:
                reason = str(error)
            except ValueError as error:
                reason = f"what came is no catalogue: {str(error)[:300]}"
        raise EngineError(f"{self.url} sent no catalogue: {reason}")

    async def render(self, scene: Scene, options: RenderOptions) -> Frame | Failure:
        """Render one scene; may be called several times at once.

        Raises:
            EngineError: the engine is lost.
        """
        answer = await self._render(scene, options)
        if isinstance(answer, Frame):
            self._settings.delivered()
        return answer

    async def _render(self, scene: Scene, options: RenderOptions) -> Frame | Failure:
        if self.dialect == "auto":
            await self.connect()  # which asks
        if self.dialect == "pug" and options.passes != ("rgb",):
            return Failure(scene, f"the pug dialect has no passes but rgb; asked were {options.passes}")
        if self.dialect == "pug" and self._pairing is not None:
            return await self._pairing.render(scene, options)
        reason = ""
        losses = 0
        for attempt in range(self.retries + 1):
            # A scene that kills its engine takes those in flight with it. After two losses each goes alone, so that
            # the culprit spends its own budget only.
            async with self._suspects if losses > 1 else nullcontext():
                await self.connect()
                connection = self._connection
                try:
                    if self.dialect == "pug":
                        return (await self._ask_pug(scene, options)).frame
                    return await self._render_tmv(scene, options)
                except ConnectionLost as error:
                    reason = str(error)
                    losses += connection is None or connection.lost.done()
                    log.warning("scene %s: %s", scene.scene_id, reason)
                    await asyncio.sleep(min(0.02 * 2**attempt, 0.5))
                except _Unrenderable as error:
                    return Failure(scene, str(error), attempt + 1)
        return Failure(scene, reason, self.retries + 1)

    # tmv ------------------------------------------------------------------------------------------------------

    async def _render_tmv(self, scene: Scene, options: RenderOptions) -> Frame:
        connection = self._live()
        request = f"r{next(self._numbers)}"
        inbox = self._waiting[request] = asyncio.Queue()
        self._bridge.expect(request, scene, options.passes)
        fast = self._ways.way != "channel"  # over which compressed pictures are sooner there
        large = 4 * options.size[0] * options.size[1] * len(options.passes) > px.MOST_RAW
        raw = options.format == "raw" and fast and not large
        # Signs of life cost as much as the picture itself, and are of use where one takes long.
        quiet = fast or self._took <= QUICK * self.timeout
        asked = asyncio.get_running_loop().time()
        try:
            message = messages.RenderRequest(
                id=request, scene=scene.wire, size=list(options.size), passes=list(options.passes),
                format="png" if options.format == "raw" else options.format, raw=raw or None,
                quiet=quiet or None, seed=options.seed, samples=options.samples,
            )  # fmt: skip
            connection.send(message.encode())
            async with asyncio.timeout(self.timeout) as self._patience[request]:
                outcome = await inbox.get()
        except TimeoutError:
            self._took = math.inf
            raise ConnectionLost(f"no answer for {self.timeout:g} s") from None
        finally:
            self._patience.pop(request, None)
            del self._waiting[request]
            self._bridge.forget(request)
        if isinstance(outcome, ConnectionLost):
            raise outcome
        if isinstance(outcome, bridge.Rejected):
            raise _Unrenderable(outcome.reason)
        if not isinstance(outcome, bridge.Delivery):
            raise ConnectionLost(outcome.reason if isinstance(outcome, bridge.Refusal) else f"no picture but {outcome}")
        self._took = asyncio.get_running_loop().time() - asked
        return self._frame(scene, options, outcome)

    def _heard(self, request: str) -> None:
        """Take a sign of life about a request for one about those that were made after it, too: they wait for it."""
        due = asyncio.get_running_loop().time() + self.timeout
        for _, patience in itertools.dropwhile(lambda one: one[0] != request, self._patience.items()):
            if not patience.expired():
                patience.reschedule(due)

    def _frame(self, scene: Scene, options: RenderOptions, delivery: bridge.Delivery) -> Frame:
        done, raw = delivery.done, [name for name, data in delivery.passes.items() if codec.is_raw(data)]
        if raw and (options.format != "raw" or len(raw) < len(delivery.passes)):
            raise ConnectionLost(f"{', '.join(raw)} came without compression; asked was {options.format}")
        frame = Frame(
            scene,
            encoded=delivery.passes,
            # An engine that was not asked for `raw`, or does not know it, sends the same numbers as PNG.
            format="png" if options.format == "raw" and not raw else options.format,
            settle=done.settle,
            timings={name: float(value) for name, value in done.timings.items()},
            engine=done.engine,
            info=done.info,
            scene_id=done.scene_id,
        )
        width, height = options.size
        try:
            for name in raw or ("rgb",):
                found = codec.dimensions(delivery.passes[name], name)
                if found != (width, height):
                    raise ConnectionLost(f"a picture of {found} came, asked was {width} × {height}")
        except ProtocolError as error:
            raise ConnectionLost(str(error)) from None
        return frame

    async def _question(
        self,
        kind: type[messages.Hello | messages.CatalogueRequest | messages.PixelsRequest],
        timeout: float,
        answer: type[messages.Done] = messages.Done,
        **fields: Any,
    ) -> bridge.Reply:
        """Ask once.

        Raises:
            TimeoutError: no answer.
            ConnectionLost: the connection broke, or what came is no answer.
        """
        request = f"q{next(self._numbers)}"
        inbox = self._waiting[request] = asyncio.Queue()
        self._bridge.expect_reply(request, answer)
        try:
            self._live().send(kind(id=request, **fields).encode())
            async with asyncio.timeout(timeout):
                outcome = await inbox.get()
        finally:
            del self._waiting[request]
            self._bridge.forget(request)
        if isinstance(outcome, ConnectionLost):
            raise outcome
        if not isinstance(outcome, bridge.Reply):
            raise _Refused(f"no answer but {outcome}")
        return outcome

    # pug ------------------------------------------------------------------------------------------------------

    async def _ask_pug(self, scene: Scene, options: RenderOptions) -> TimedFrame:
        async with self._one:
            connection = self._live()
            if self._pug_size != options.size:
                for text in pug.opening(*options.size):
                    connection.send(text)
                self._pug_size, self._pug_strays = options.size, 0
            # An engine that was too slow may send its picture to whoever is connected when it is done.
            await self._listen(
                max(self._settings.pug_drain, min(self.timeout, MIN_SILENCE))
                if self._pug_late
                else self._settings.pug_drain
            )
            self._pug_late = False
            self._order += [name for name in scene.wire if name not in self._order]
            start = asyncio.get_running_loop().time()
            for text in pug.factors(scene, self._order):
                connection.send(text)
            inbox = self._waiting["pug"] = asyncio.Queue()
            try:
                async with asyncio.timeout(self.timeout):
                    outcome = await inbox.get()
            except TimeoutError:
                # A late picture must find nobody: the connection ends, not only the wait.
                self._pug_late = True
                await self._disconnect()
                reason = f"no picture within {self.timeout:g} s; the connection was ended"
                raise FrameTimeout(reason, self.timeout) from None
            finally:
                self._waiting.pop("pug", None)
            if isinstance(outcome, ConnectionLost):
                raise outcome
            seconds = asyncio.get_running_loop().time() - start
            assert isinstance(outcome, bridge.Delivery)  # nothing else is put there
            try:
                view = likeness.blocks(codec.decode("rgb", outcome.passes["rgb"]))
                found = codec.dimensions(outcome.passes["rgb"])
            except ProtocolError as error:
                raise ConnectionLost(str(error)) from None
            if found != options.size:
                raise ConnectionLost(f"a picture of {found} came, asked was {options.size}")
            settle = {"settled": None, "dialect": "pug"}
            frame = Frame(scene, encoded=outcome.passes, format="jpeg", engine="pug", settle=settle)
            return TimedFrame(frame, view, seconds)

    async def _listen(self, seconds: float) -> None:
        """Wait, and see that no picture comes, nor came, that nobody had asked for."""
        if not self._pug_strays:
            inbox = self._waiting["pug"] = asyncio.Queue()
            try:
                async with asyncio.timeout(seconds):
                    outcome = await inbox.get()
            except TimeoutError:
                return
            finally:
                self._waiting.pop("pug", None)
            if isinstance(outcome, ConnectionLost):
                raise outcome
        self._pug_strays = 0
        await self._end_pug()
        raise UnexpectedFrame("a picture came that nobody had asked for; the connection was ended")

    async def _end_pug(self) -> None:
        """End the connection and let the next one begin with a silence: what is on its way must find nobody."""
        self._pug_late = True
        await self._disconnect()

    # Connection -----------------------------------------------------------------------------------------------

    def _live(self) -> Connection:
        if self._connection is None or self._connection.lost.done():
            raise ConnectionLost("the connection is gone")
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        await self._ways.close()
        if connection is not None:
            await connection.close()

    def _event(self, event: dc.Event) -> None:
        if isinstance(event, dc.FreezeFrame) and self.dialect == "pug":
            if "pug" in self._waiting:
                self._waiting["pug"].put_nowait(
                    bridge.Delivery("pug", {"rgb": event.data}, messages.RenderDone(id="pug"))
                )
            else:
                self._pug_strays += 1
            return
        self._settle(self._bridge.feed(event))

    def _file(self, event: dc.Event) -> None:
        """Take a file that came another way than the data channel."""
        self._settle(self._bridge.feed(event))

    def _settle(self, outcomes: list[bridge.Outcome]) -> None:
        for outcome in outcomes:
            self._heard(outcome.request)
            # Signs of life do not wake whoever waits: there are many of them.
            if outcome.request in self._waiting and not isinstance(outcome, bridge.Progress):
                self._waiting[outcome.request].put_nowait(outcome)

    def _broke(self, lost: asyncio.Future[str]) -> None:
        for inbox in self._waiting.values():
            inbox.put_nowait(ConnectionLost(f"the connection broke: {lost.result()}"))


class _PugWire:
    """The client as `Pairing` sees it."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def request(self, scene: Scene, options: RenderOptions) -> TimedFrame:
        await self._client.connect()
        return await self._client._ask_pug(scene, options)

    async def listen(self, seconds: float) -> None:
        self._client._live()
        await self._client._listen(seconds)

    async def end(self) -> None:
        await self._client._end_pug()

    def session(self) -> int:
        connection = self._client._connection
        return -1 if connection is None or connection.lost.done() else self._client._sessions


class _Refused(ConnectionLost):
    """A question was answered with something else than its answer."""


class _Unrenderable(Exception):
    """The engine says that it cannot render this scene: asking again would not help."""
