"""The signalling server: relays between streamers and players, and serves the page that shows the engine live."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol import (
    CLOSE_TIMEOUT,
    MAX_MESSAGE,
    PING,
    Generation,
    Hangup,
    Message,
    Out,
    ServerCore,
    parse,
    printable,
)
from torchmultiverse.scenes import CONDITIONS
from torchmultiverse.serve.door import is_page_request, page_file, refused
from torchmultiverse.serve.process import Announcer, announce, until_stopped
from torchmultiverse.serve.rooms import Rooms, room_of
from torchmultiverse.serve.security import check_bind, check_origins

log = logging.getLogger(__name__)
_PAGE = Path(__file__).parent / "web"
_POLICY = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' blob: data:; media-src 'self' blob:"
_HEADERS = {"Content-Security-Policy": _POLICY}
SILENCE = 2.0
"""Seconds after which a streamer that does not answer ``identify``, or a player that does not ask for a streamer, is
taken for one of UE 5.0."""
_OUTBOX = 1000
"""Messages that wait for a slow peer before it is disconnected."""
Role = Literal["streamer", "player"]
# Codes of RFC 6455. Not 1001, "going away": Epic's front ends do not come back after it.
_ENDED, _REFUSED, _RESTART, _FULL = 1000, 1008, 1012, 1013


class _OneLine(logging.Filter):
    """A stranger that breaks off in a handshake is a line of `INFO`: with the library's tracebacks it fills the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.msg in {"connection handler failed", "process_request failed"}
        if record.exc_info and record.exc_info[1] is not None and not ours:
            log.info("%s: %s", record.getMessage(), printable(repr(record.exc_info[1])))
            return False
        return True


_library_log = logging.getLogger(f"{__name__}.websockets")
_library_log.addFilter(_OneLine())


class SignallingServer:
    """Two listeners, one for streamers and one for players; port 0 takes a free one.

    Args:
        host: address to bind.
        player_port: of players, and of the page.
        streamer_port: of streamers.
        generation: ``modern``, which takes peers of UE 5.0 as well, or ``legacy``, a server as of UE 5.0.
        token: that every peer has to show.
        allow_origins: origins whose pages may connect, besides our own page.
        on_streamers: called with how many streamers are connected whenever one comes or goes.

    Raises:
        EngineError: a bind beyond loopback without a token, or an origin that is none.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        player_port: int = 0,
        streamer_port: int = 0,
        *,
        generation: Generation = "modern",
        token: str | None = None,
        allow_origins: Iterable[str] = (),
        on_streamers: Callable[[int], None] = lambda count: None,
    ) -> None:
        check_bind(host, token)
        self.host = host
        self.player_port = player_port
        self.streamer_port = streamer_port
        self._token = token
        self._origins = check_origins(allow_origins)
        self._core = ServerCore(generation)
        self._rooms = Rooms()
        self._outboxes: dict[Hashable, asyncio.Queue[Message | Hangup]] = {}
        self._servers: list[Server] = []
        self._stopping = False
        self._streamers = 0
        self._on_streamers = on_streamers

    @property
    def url(self) -> str:
        """Address for players."""
        return f"ws://{self._shown}:{self.player_port}"

    @property
    def streamer_url(self) -> str:
        """Address for streamers."""
        return f"ws://{self._shown}:{self.streamer_port}"

    @property
    def _shown(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    async def start(self) -> None:
        """Listen; afterwards the ports are the real ones.

        Raises:
            OSError: a port is taken.
        """
        self.streamer_port = await self._listen("streamer", self.streamer_port)
        self.player_port = await self._listen("player", self.player_port)

    async def stop(self) -> None:
        """Close everything."""
        self._stopping = True
        for server in self._servers:
            server.close(close_connections=False)
        peers = [peer for peer in self._outboxes if isinstance(peer, ServerConnection)]
        await asyncio.gather(*(peer.close(_RESTART, "the signalling server ends") for peer in peers))
        await self._rooms.close()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        self._stopping = False

    async def _listen(self, role: Role, port: int) -> int:
        server = await serve(
            partial(self._peer, role), self.host, port, process_request=partial(self._door, role),
            max_size=MAX_MESSAGE, compression=None, ping_interval=PING, ping_timeout=PING, close_timeout=CLOSE_TIMEOUT,
            logger=_library_log,
        )  # fmt: skip
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def _door(self, role: Role, connection: ServerConnection, request: Request) -> Response | None:
        """Answer whoever is no peer: with a file of the page, or with why there is no way in."""

        if (answer := refused(connection, request, self._token, self._origins)) is not None:
            return answer
        if not is_page_request(request):
            return None
        if role == "player":
            return page_file(connection, request, _PAGE, _HEADERS, {"conditions.json": _conditions})
        return connection.respond(HTTPStatus.NOT_FOUND, "streamers connect here, by WebSocket\n")

    async def _peer(self, role: Role, socket: ServerConnection) -> None:
        room = room_of(socket.request.path) if socket.request is not None else None
        if room is not None:
            await self._rooms.serve(role, room, socket)
            return
        try:
            joined = self._core.join(socket, role)
        except ProtocolError as error:
            await socket.close(_FULL, _reason(error))
            return
        outbox = self._outboxes[socket] = asyncio.Queue(_OUTBOX)
        writer = asyncio.create_task(self._write(socket, outbox))
        self._count(role, 1)
        quiet = asyncio.get_running_loop().call_later(SILENCE, lambda: self._send(self._core.assume_legacy(socket)))
        try:
            self._send(joined)
            async for message in socket:
                if isinstance(message, str):
                    self._send(self._core.feed(socket, parse(message)))
                # What has come is handed out without a pause: whoever sends much would hold up all others.
                await asyncio.sleep(0)
        except ProtocolError as error:
            log.warning("%s disconnected: %s", role, error)
            await socket.close(_REFUSED, _reason(error))
        except ConnectionClosed as error:
            log.info("%s: %s", role, error)
        finally:
            quiet.cancel()
            self._count(role, -1)
            del self._outboxes[socket]
            writer.cancel()
            gone = self._core.leave(socket)
            if not self._stopping:  # else the streams go on without us, and nobody need be told of an end
                self._send(gone)

    def _count(self, role: Role, change: int) -> None:
        if role == "streamer":
            self._streamers += change
            self._on_streamers(self._streamers)

    def _send(self, messages: list[Out]) -> None:
        for key, message in messages:
            outbox = self._outboxes.get(key)
            if outbox is None:
                continue
            try:
                outbox.put_nowait(message)
            except asyncio.QueueFull:
                log.warning("a peer does not read its messages and is disconnected")
                assert isinstance(key, ServerConnection)
                key.transport.abort()  # it would not read a good-bye either

    @staticmethod
    async def _write(socket: ServerConnection, outbox: asyncio.Queue[Message | Hangup]) -> None:
        while True:
            message = await outbox.get()
            try:
                if isinstance(message, Hangup):
                    await socket.close(_ENDED, _reason(message.reason))
                else:
                    await socket.send(json.dumps(message))
            except ConnectionClosed:
                return


def _reason(error: object) -> str:
    """Return what fits into a close frame: 123 bytes."""
    return str(error).encode("ascii", "replace")[:120].decode()


def _conditions() -> str:
    """Return the table of conditions for the page: a list of ``{"wire", "group", "kind", "default", "unit", …}``."""
    return json.dumps([{**fields, "group": group} for group, of in CONDITIONS.items() for fields in of])


async def _main(arguments: argparse.Namespace, token: str | None) -> None:
    announcer = Announcer()
    server = SignallingServer(
        arguments.host,
        arguments.player_port,
        arguments.streamer_port,
        generation=arguments.generation,
        token=token,
        allow_origins=arguments.allow_origin,
        on_streamers=lambda count: announcer.tell(streamers=count),
    )
    await server.start()
    try:
        announce({"url": server.url, "streamer_url": server.streamer_url})
        await until_stopped()
    finally:
        await server.stop()


def main() -> None:
    """Run a signalling server as a process of its own."""
    import os

    from torchmultiverse.serve.process import run

    parser = argparse.ArgumentParser(prog="python -m torchmultiverse.serve.signalling", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--player-port", type=int, default=8080, help="0: a free one")
    parser.add_argument("--streamer-port", type=int, default=8888, help="0: a free one")
    parser.add_argument("--generation", choices=("modern", "legacy"), default="modern", help="legacy: as UE 5.0")
    parser.add_argument("--allow-origin", action="append", default=[], help="whose pages may connect; may be repeated")
    arguments = parser.parse_args()
    run(_main(arguments, os.environ.get("TORCHMULTIVERSE_TOKEN") or None))


if __name__ == "__main__":
    main()
