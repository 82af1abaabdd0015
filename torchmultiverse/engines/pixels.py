"""The client's end of the ways of files besides the data channel: what the other end offers is tried, fastest first.

A way is agreed on for a connection. Where none works, or the one that worked breaks, files come over the data channel,
and after a pause the ways are tried again; a picture of which files were on their way is asked for again. Whether a
way works shows by itself: shared memory only opens where both ends are on one host and of one user.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from torchmultiverse.engines.connection import ConnectionLost
from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.protocol import bridge, messages, pixels, shared_memory, websocket
from torchmultiverse.protocol import datachannel as dc

log = logging.getLogger(__name__)
PATIENCE = 10.0
"""Seconds that opening a way may take."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds from the loss of a way to the next attempt, the first time and at most."""
CHOICE = "TORCHMULTIVERSE_PIXELS"
"""Environment variable that says which way is taken where nothing else is asked for."""
NAMES = {"channel": "the data channel", "shared": "shared memory", "websocket": "a binary WebSocket"}
Ask = Callable[[pixels.By], Awaitable[messages.PixelsDone]]


class _Way(Protocol):
    by: pixels.By

    async def close(self) -> None: ...


class PixelWays:
    """The way of one client's files, on one connection after the other.

    Args:
        url: of the signalling server's player port.
        choice: one way, without which connecting fails, or ``auto``.
        token: for a server that asks for one.
        max_payload: largest file that is accepted, in bytes.
        on_event: called with each file that comes by WebSocket.
        on_outcomes: called with what becomes of pictures when a WebSocket breaks.
    """

    def __init__(
        self,
        url: str,
        choice: pixels.Choice,
        *,
        token: str | None,
        max_payload: int,
        on_event: Callable[[dc.Event], None],
        on_outcomes: Callable[[list[bridge.Outcome]], None],
    ) -> None:
        if choice == "auto":
            choice = os.environ.get(CHOICE) or "auto"  # type: ignore[assignment]  # checked next
        self.wanted = pixels.ways(choice)
        self.required = choice in pixels.WAYS  # until it works once: what breaks later is not the caller's mistake
        self._url = url
        self._token = token
        self._max_payload = max_payload
        self._on_event = on_event
        self._on_outcomes = on_outcomes
        self._session = bridge.BridgeSession()
        self._way: _Way | None = None
        self._again: asyncio.Task[None] | None = None
        self._pause = FIRST_PAUSE

    @property
    def way(self) -> pixels.Way:
        """Which way files come now."""
        return "channel" if self._way is None else self._way.by

    async def agree(self, session: bridge.BridgeSession, offered: list[str], ask: Ask) -> None:
        """Open the first way that works; afterwards ``session`` takes files from it.

        Args:
            session: of the connection.
            offered: ways that the other end has, besides the data channel.
            ask: asks it where one begins.

        Raises:
            EngineError: one way was asked for, and it does not work.
            ConnectionLost: the connection broke.
        """
        await self._leave()
        self._session = session
        reasons = []
        for by in self.wanted:
            if by not in offered:
                reasons.append(f"the other end does not offer {NAMES[by]}")
                continue
            try:
                self._way = await self._open(by, offered, ask)
            except (OSError, TimeoutError, ProtocolError, EngineError) as error:
                reasons.append(f"{NAMES[by]}: {str(error) or 'no answer'}")
                continue
            self.required = False
            break
        for reason in reasons:
            log.info("pixels of %s: %s", self._url, reason)
        if self._way is None and self.required:
            self._later(offered, ask)
            raise EngineError(f"pixels = '{self.wanted[0]}' is not to be had at {self._url}: {'; '.join(reasons)}")
        if self._way is None and any(by in offered for by in self.wanted):
            self._later(offered, ask)

    async def close(self) -> None:
        """End it; may be called twice."""
        again, self._again = self._again, None
        if again is not None and again is not asyncio.current_task():
            again.cancel()
            await asyncio.gather(again, return_exceptions=True)
        await self._leave()

    async def _leave(self) -> None:
        way, self._way = self._way, None
        self._session.region, self._session.socket = None, False
        if way is not None:
            await way.close()

    async def _open(self, by: pixels.By, offered: list[str], ask: Ask) -> _Way:
        if by == "shared" and not shared_memory.available():
            raise EngineError("this system has none")
        place = await ask(by)

        def lost(way: _Way) -> None:
            if self._way is not way:
                return
            self._way = None
            log.info("pixels of %s: %s broke", self._url, NAMES[way.by])
            self._session.region = None
            self._on_outcomes(self._session.socket_lost())
            self._later(offered, ask)

        if by == "shared":
            shared = _SharedWay(self._max_payload, lost)
            await shared.open(place)
            self._session.region = shared
            return shared
        session = self._session
        over_socket = _SocketWay(self._max_payload, self._on_event, lost)
        session.socket = True  # files may come before we know that we may have them
        try:
            await over_socket.open(self._url, self._token, place)
        except BaseException:
            session.socket = False
            raise
        return over_socket

    def _later(self, offered: list[str], ask: Ask) -> None:
        """Try again after a pause, as long as the connection stands."""
        session, pause = self._session, self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)

        async def again() -> None:
            await asyncio.sleep(pause)
            with suppress(EngineError, ConnectionLost):
                if self._session is session and self._way is None:
                    await self.agree(session, offered, ask)

        self._again = asyncio.get_running_loop().create_task(again())


class _SharedWay(bridge.Region):
    """The region that a streamer of this host shares, and the socket to it, whose end is the region's."""

    def __init__(self, limit: int, lost: Callable[[_Way], None]) -> None:
        self.by: pixels.By = "shared"
        self._limit = limit
        self._lost = lost
        self._region: int | None = None
        self._size = 0
        self._freed: list[int] = []
        self._scheduled = False
        self._loop = asyncio.get_running_loop()

    async def open(self, place: messages.PixelsDone) -> None:
        self._socket = shared_memory.dial(place.place)
        try:
            self._socket.send(place.key.encode())
            async with asyncio.timeout(PATIENCE):
                await _readable(self._loop, self._socket)
            self._region, self._size = shared_memory.receive_region(self._socket)
            self._socket.send(pixels.READY)
        except BaseException:
            self._end()
            raise
        self._loop.add_reader(self._socket, self._broke)

    def take(self, offset: int, length: int) -> bytes:
        if self._region is None:
            raise ProtocolError("the shared memory is gone")
        try:
            return shared_memory.read(self._region, offset, length, size=self._size, limit=self._limit)
        finally:
            self.free(offset)

    def free(self, offset: int) -> None:
        if 0 <= offset < self._size:
            self._freed.append(offset)
            if not self._scheduled:  # what one turn of the loop frees goes in one packet
                self._scheduled = True
                self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        self._scheduled = False
        if self._region is None or not self._freed:
            return
        try:
            self._socket.send(pixels.encode_freed(self._freed))
        except BlockingIOError:
            return  # with the next ones
        except OSError:
            self._broke()
            return
        self._freed.clear()

    def _broke(self) -> None:
        """Called when the other end closes, or says what nobody asked for."""
        self._end()
        self._lost(self)

    def _end(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._region is not None:
            os.close(self._region)
            self._region = None

    async def close(self) -> None:
        if self._region is not None:
            self._end()


async def _readable(loop: asyncio.AbstractEventLoop, one: socket.socket) -> None:
    there = asyncio.Event()
    loop.add_reader(one, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(one)


class _SocketWay:
    """A room of the signalling server in which the streamer sends files."""

    def __init__(self, limit: int, on_event: Callable[[dc.Event], None], lost: Callable[[_Way], None]) -> None:
        self.by: pixels.By = "websocket"
        self._assembler = pixels.Assembler(limit)
        self._on_event = on_event
        self._lost = lost
        self._room: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, url: str, token: str | None, place: messages.PixelsDone) -> None:
        room = self._room = await websocket.enter_room(url, place.place, token, PATIENCE)
        try:
            await room.send(place.key)
            async with asyncio.timeout(PATIENCE):
                if await room.recv() != pixels.READY.decode():
                    raise ProtocolError("the streamer is not in its room")
        except ConnectionClosed:
            raise ConnectionError(f"the streamer left its room {websocket.farewell(room)}") from None
        except BaseException:
            await room.close()
            raise
        self._task = asyncio.get_running_loop().create_task(self._run(room))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._room is not None:
            await self._room.close()

    async def _run(self, room: ClientConnection) -> None:
        try:
            async for message in room:
                if isinstance(message, str):
                    continue
                try:
                    for event in self._assembler.feed(message):
                        self._on_event(event)
                except ProtocolError as error:
                    log.warning("pixels by websocket: %s", error)
        except ConnectionClosed:
            pass
        finally:
            self._lost(self)
