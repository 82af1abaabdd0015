"""The web server of the explorer: the page's files, and one WebSocket for each page that is open."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ValidationError
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from torchmultiverse.errors import EngineError, TorchMultiverseError
from torchmultiverse.explore.events import Event, Problem, Ready, request
from torchmultiverse.explore.events import Request as AnyRequest
from torchmultiverse.explore.studio import Studio
from torchmultiverse.serve import check_bind, check_origins, is_page_request, page_file, refused

log = logging.getLogger(__name__)
PAGE = Path(__file__).parent / "page"
MOST_BYTES = 20 * 2**20
"""Of a message of the page: a finding that is opened."""
_POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer"}
_OUTBOX = 400
"""Events that wait for a page that does not read them; older ones are dropped."""


class Explorer:
    """The server; port 0 takes a free one.

    Args:
        make: makes the studio, given what takes its events.
        host: address to bind.
        port: of the page.
        token: that every page has to show; needed beyond loopback.
        allow_origins: origins whose pages may connect, besides our own page.

    Raises:
        EngineError: a bind beyond loopback without a token, or an origin that is none.
    """

    def __init__(
        self,
        make: Callable[[Callable[[Event], None]], Studio],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str | None = None,
        allow_origins: Iterable[str] = (),
    ) -> None:
        check_bind(host, token)
        self.host, self.port, self._token = host, port, token
        self._origins = check_origins(allow_origins)
        self._outboxes: set[asyncio.Queue[str]] = set()
        self._server: Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._studio = make(self._tell)
        self._last: dict[str, str] = {}

    @property
    def url(self) -> str:
        """Address of the page."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    async def start(self) -> None:
        """Listen, and start the engine.

        Raises:
            EngineError: the port is taken, or the address is none of this machine.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._server = await serve(
                self._page, self.host, self.port, process_request=self._door, max_size=MOST_BYTES, compression=None
            )
        except OSError as error:
            raise EngineError(_no_bind(error, self.host, self.port)) from None
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._studio.open()

    async def stop(self) -> None:
        """Close the pages, and end the engine."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        await asyncio.to_thread(self._studio.close)

    async def failed(self) -> TorchMultiverseError | None:
        """Wait until the studio has ended; returns what kept its engine from starting, if that was why."""
        await asyncio.to_thread(self._studio.ended.wait)
        return self._studio.failed

    def ask(self, asked: AnyRequest) -> None:
        """Ask for something, as a page does."""
        self._studio.ask(asked)

    def _tell(self, event: Event) -> None:
        """Hand an event to every page; from any thread."""
        text = event.model_dump_json()
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hand_out, event.type, text)

    def _hand_out(self, kind: str, text: str) -> None:
        self._last[kind] = text
        for outbox in self._outboxes:
            while outbox.full():
                outbox.get_nowait()
            outbox.put_nowait(text)

    def _door(self, connection: ServerConnection, asked: Request) -> Response | None:
        """Answer whoever is no page: with a file of it, or with why there is no way in."""

        if (answer := refused(connection, asked, self._token, self._origins)) is not None:
            return answer
        return page_file(connection, asked, PAGE, _HEADERS) if is_page_request(asked) else None

    async def _page(self, connection: ServerConnection) -> None:
        outbox: asyncio.Queue[str] = asyncio.Queue(_OUTBOX)
        ready = self._studio.greet()
        first: list[str] = []
        if isinstance(ready, Ready):
            # A page that asked for what is shown already would end a sweep or a search of another one.
            shown = {"picture", "readings"} <= set(self._last)
            first = [ready.model_copy(update={"shown": shown}).model_dump_json()]
            first += [self._last[kind] for kind in ("pinned", "picture", "readings") if kind in self._last]
        for text in first or [self._last[kind] for kind in ("busy", "problem") if kind in self._last]:
            outbox.put_nowait(text)
        self._outboxes.add(outbox)
        writer = asyncio.create_task(_write(connection, outbox))
        try:
            async for message in connection:
                try:
                    self._studio.ask(request.validate_json(message))
                except ValidationError as error:
                    first_error = error.errors()[0]
                    place = ".".join(map(str, first_error["loc"]))
                    outbox.put_nowait(Problem(text=f"{place}: {first_error['msg']}").model_dump_json())
        except ConnectionClosed as error:
            log.info("a page left: %s", error)
        finally:
            self._outboxes.discard(outbox)
            writer.cancel()


def _no_bind(error: OSError, host: str, port: int) -> str:
    """Return why an address cannot be listened at, and what would be right."""
    if error.errno == errno.EADDRINUSE:
        return f"--port {port}: something listens there already, perhaps another explorer; --port 0 takes a free one"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host}: no address of this machine; 127.0.0.1 is right for this machine alone"
    if error.errno == errno.EACCES:
        return f"--port {port}: this user may not listen there; a port from 1024 on is right, and 0 takes a free one"
    return f"--host {host} --port {port}: {error.strerror or error}"


async def _write(connection: ServerConnection, outbox: asyncio.Queue[str]) -> None:
    while True:
        text = await outbox.get()
        try:
            await connection.send(text)
        except ConnectionClosed:
            return
