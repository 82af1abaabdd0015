"""The streamer's end of the ways of files besides the data channel: one outlet for each player that asks for one.

An outlet takes the files of a picture or says that it has no room; then they go over the data channel. Whatever becomes
of one player's outlet, that player's pictures go on over the data channel, and no other player notices.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.protocol import pixels, shared_memory, websocket

log = logging.getLogger(__name__)
MAX_REGIONS = 32
"""Players that may share memory at a time; with `pixels.REGION`, that bounds what all of them can take."""
MAX_GUESTS = 16
"""Connections to the socket that have not said their key yet."""
PATIENCE = 20.0
"""Seconds that a player may take from asking for a way until it is ready."""
MAX_UNSENT = 64 * 2**20
"""Bytes that may wait for a WebSocket; what is beyond goes over the data channel."""
By = pixels.By
Files = Mapping[str, tuple[str, bytes]]
"""Files of one picture: by pass, what each is called (``<request>.<pass>.<ext>``) and its bytes."""


class Outlet(Protocol):
    """Another way of the files of one player's pictures."""

    by: By

    def put(self, files: Files) -> dict[str, Any] | None:
        """Send files; return the fields of `messages.RenderDone` that say how, ``None``: it cannot take them."""
        ...

    def close(self) -> None:
        """End it; may be called twice."""
        ...


class Outlets:
    """Makes the outlets of a streamer's players.

    Args:
        url: the signalling server's streamer port.
        token: for a server that asks for one.
        ways: that are offered; by default all that this system has.
    """

    def __init__(self, url: str, token: str | None = None, ways: tuple[By, ...] = pixels.WAYS) -> None:
        self._url = url
        self._token = token
        self.offered = [by for by in ways if by != "shared" or shared_memory.available()]
        self._door: _Door | None = None
        self._rooms: set[_SocketOutlet] = set()

    async def open(self, by: By, ready: Callable[[Outlet | None], None]) -> tuple[str, str]:
        """Prepare a way for one player, and return place and key that `messages.PixelsDone` says.

        Args:
            by: which.
            ready: called with the outlet when the player has come and has looked at it, and with ``None`` when that is
                over.

        Raises:
            EngineError: it is not offered, or cannot be had.
        """
        if by not in self.offered:
            raise EngineError(f"pixels by '{by}' are not offered here; {', '.join(self.offered) or 'none'} are")
        try:
            if by == "shared":
                if self._door is None:
                    self._door = _Door()
                return self._door.expect(ready)
            room = _SocketOutlet(ready)
            return await room.open(self._url, self._token, self._rooms)
        except (OSError, TimeoutError, ProtocolError) as error:
            raise EngineError(f"pixels by '{by}': {error}") from None

    async def close(self) -> None:
        """End all of them."""
        if self._door is not None:
            self._door.close()
            self._door = None
        for room in list(self._rooms):
            room.close()


# Shared memory --------------------------------------------------------------------------------------------


@dataclass
class _Expected:
    ready: Callable[[Outlet | None], None]
    timer: asyncio.TimerHandle


class _Door:
    """The socket at which players of this host are handed their regions."""

    def __init__(self) -> None:
        self.name = shared_memory.new_name()
        self._expected: dict[str, _Expected] = {}
        self._guests: set[socket.socket] = set()
        self._outlets: set[_SharedOutlet] = set()
        self._socket = shared_memory.listen(self.name)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._arrived)

    def expect(self, ready: Callable[[Outlet | None], None]) -> tuple[str, str]:
        if len(self._outlets) + len(self._expected) >= MAX_REGIONS:
            raise EngineError(f"{MAX_REGIONS} players share memory already")
        key = shared_memory.new_name()
        timer = self._loop.call_later(PATIENCE, self._expected.pop, key, None)
        self._expected[key] = _Expected(ready, timer)
        return self.name, key

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for guest in list(self._guests):
            self._leave(guest)
        for expected in self._expected.values():
            expected.timer.cancel()
        self._expected.clear()
        for outlet in list(self._outlets):
            outlet.close()

    def _arrived(self) -> None:
        try:
            guest, _ = self._socket.accept()
        except OSError:
            return
        guest.setblocking(False)
        try:
            shared_memory.check_peer(guest)
        except (OSError, ProtocolError) as error:
            log.warning("shared memory: %s", error)
            guest.close()
            return
        if len(self._guests) >= MAX_GUESTS:
            guest.close()
            return
        self._guests.add(guest)
        timer = self._loop.call_later(PATIENCE, self._leave, guest)
        self._loop.add_reader(guest, self._said, guest, timer)

    def _leave(self, guest: socket.socket) -> None:
        if guest in self._guests:
            self._guests.discard(guest)
            self._loop.remove_reader(guest)
            guest.close()

    def _said(self, guest: socket.socket, timer: asyncio.TimerHandle) -> None:
        """Take the first words of a guest, which have to be a key that it was told."""
        timer.cancel()
        try:
            key = guest.recv(64).decode(errors="replace")
            expected = self._expected.pop(key, None)
            if expected is None:
                log.warning("shared memory: somebody came with a wrong key")
                self._leave(guest)
                return
            expected.timer.cancel()
            outlet = _SharedOutlet(guest, expected.ready, self._outlets)
        except OSError as error:
            log.warning("shared memory: %s", error)
            self._leave(guest)
            return
        self._guests.discard(guest)
        self._outlets.add(outlet)
        self._loop.remove_reader(guest)
        self._loop.add_reader(guest, outlet.heard)


class _SharedOutlet(Outlet):
    """A player's region, and the socket over which it says what it has read; the end of the one ends the other."""

    def __init__(self, guest: socket.socket, ready: Callable[[Outlet | None], None], among: set[_SharedOutlet]) -> None:
        self.by: By = "shared"
        self._guest = guest
        self._ready = ready
        self._among = among
        self._slots = pixels.Slots(pixels.REGION)
        self._is_ready = False
        self._region: int | None = None
        region = shared_memory.create_region(self._slots.size)
        try:
            shared_memory.send_region(guest, region)
        except BaseException:
            os.close(region)
            raise
        self._region = region

    def put(self, files: Files) -> dict[str, Any] | None:
        slots: dict[str, tuple[int, int]] = {}
        for name, (_, data) in files.items():
            offset = self._slots.take(len(data)) if self._region is not None else None
            if offset is not None:
                slots[name] = (offset, len(data))
            if offset is None or self._region is None or not shared_memory.write(self._region, offset, data):
                for taken, _ in slots.values():
                    self._slots.free(taken)
                return None
        return {"by": self.by, "slots": slots}

    def heard(self) -> None:
        """Take what the player says: first that it is ready, then which slots it has read; or see that it is gone."""
        try:
            packet = self._guest.recv(65536)
            if not packet:
                self.close()
            elif not self._is_ready:
                if packet != pixels.READY:
                    raise ProtocolError(f"{packet[:40]!r} came; {pixels.READY!r} is right")
                self._is_ready = True
                self._ready(self)
            else:
                for offset in pixels.decode_freed(packet):
                    self._slots.free(offset)
        except BlockingIOError:
            return
        except (OSError, ProtocolError) as error:
            log.warning("shared memory: %s", error)
            self.close()

    def close(self) -> None:
        region, self._region = self._region, None
        if region is None:
            return
        self._among.discard(self)
        asyncio.get_running_loop().remove_reader(self._guest)
        self._guest.close()
        os.close(region)
        if self._is_ready:
            self._ready(None)


# WebSocket ------------------------------------------------------------------------------------------------


class _SocketOutlet(Outlet):
    """A room of the signalling server (see `torchmultiverse.serve.rooms`), in which a player listens."""

    def __init__(self, ready: Callable[[Outlet | None], None]) -> None:
        self.by: By = "websocket"
        self._ready = ready
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._unsent = 0
        self._open = False
        self._key = shared_memory.new_name()
        self._task: asyncio.Task[None] | None = None

    async def open(self, url: str, token: str | None, among: set[_SocketOutlet]) -> tuple[str, str]:
        """Enter a room, and return where it is."""
        name = shared_memory.new_name()
        room = await websocket.enter_room(url, name, token, PATIENCE)
        self._task = asyncio.get_running_loop().create_task(self._run(room))
        among.add(self)
        self._task.add_done_callback(lambda _: among.discard(self))
        return name, self._key

    def put(self, files: Files) -> dict[str, Any] | None:
        if not self._open or self._unsent > MAX_UNSENT:
            return None
        for extension, data in files.values():
            self._unsent += len(data)
            self._queue.put_nowait((extension, data))
        return {"by": self.by}

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, room: ClientConnection) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                if await room.recv() != self._key:
                    raise ProtocolError("somebody came with a wrong key")
            await room.send(pixels.READY.decode())
            self._open = True
            self._ready(self)
            await _either(self._send(room), _until_closed(room))
        except (ConnectionClosed, TimeoutError, ProtocolError) as error:
            log.info("pixels by websocket: %s", error)
        finally:
            if self._open:
                self._open = False
                self._ready(None)
            await room.close()

    async def _send(self, room: ClientConnection) -> None:
        while True:
            extension, data = await self._queue.get()
            for part in pixels.parts(extension, data):
                await room.send(part)
            self._unsent -= len(data)


async def _until_closed(room: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in room:  # nothing else is said here
            pass


async def _either(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run until the first ends, and end the others."""
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
