"""The signalling server: relays between streamers and players, and serves the page that shows the engine live."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from collections.abc import Hashable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, WSMsgType, web

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol.signalling import MAX_MESSAGE, Generation, Out, ServerCore, parse
from torchmultiverse.serve.process import announce, until_stopped
from torchmultiverse.serve.security import authorised, check_bind, is_loopback

log = logging.getLogger(__name__)
_PAGE = Path(__file__).parent / "web"
IDENTIFY = 2.0
"""Seconds after which a streamer that does not answer ``identify`` is taken for one of UE 5.0."""
_OUTBOX = 1000
"""Messages that wait for a slow peer before it is disconnected."""


class SignallingServer:
    """Two listeners, one for streamers and one for players; port 0 takes a free one.

    Raises:
        EngineError: a bind beyond loopback without a token.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        player_port: int = 0,
        streamer_port: int = 0,
        *,
        generation: Generation = "modern",
        token: str | None = None,
    ) -> None:
        check_bind(host, token)
        self.host = host
        self.player_port = player_port
        self.streamer_port = streamer_port
        self._token = token
        self._core = ServerCore(generation)
        self._outboxes: dict[Hashable, asyncio.Queue[str]] = {}
        self._runners: list[web.AppRunner] = []
        self._stopping = False

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
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self._stopping = False

    async def _listen(self, role: Literal["streamer", "player"], port: int) -> int:
        app = web.Application(client_max_size=MAX_MESSAGE)

        async def connect(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self._peer(request, role)
            return _page_file(request.path) if role == "player" else web.Response(status=404)

        app.router.add_get("/{path:.*}", connect)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self.host, port)
        await site.start()
        assert site._server is not None
        return int(site._server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]

    async def _peer(self, request: web.Request, role: Literal["streamer", "player"]) -> web.StreamResponse:
        if not authorised(self._token, request.query, request.headers):
            return web.Response(status=401, text="a token is needed: ?token=…\n")
        origin = request.headers.get("Origin")
        if origin is not None and not self._own_page(origin, request.host):
            return web.Response(status=403, text="pages of other origins may not connect\n")
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, heartbeat=20)
        await socket.prepare(request)
        outbox: asyncio.Queue[str] = asyncio.Queue(_OUTBOX)
        try:
            joined = self._core.join(socket, role)
        except ProtocolError as error:
            await socket.close(message=_reason(error))
            return socket
        self._outboxes[socket] = outbox
        writer = asyncio.create_task(self._write(socket, outbox))
        try:
            self._send(joined)
            asyncio.get_running_loop().call_later(IDENTIFY, self._core.assume_identified, socket)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._send(self._core.feed(socket, parse(message.data)))
        except ProtocolError as error:
            log.warning("%s disconnected: %s", role, error)
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=_reason(error))
        finally:
            del self._outboxes[socket]
            writer.cancel()
            gone = self._core.leave(socket)
            if not self._stopping:  # else the streams go on without us, and nobody need be told of an end
                self._send(gone)
        return socket

    def _own_page(self, origin: str, host: str) -> bool:
        """Whether a browser's page came from this server: somebody else's must not steer an engine here."""
        if origin.partition("://")[2] != host:
            return False
        # A foreign name that was made to point at this machine has the right origin, but not a name of this machine.
        return self._token is not None or is_loopback(urlsplit(f"//{host}").hostname or "")

    def _send(self, messages: list[Out]) -> None:
        for key, message in messages:
            outbox = self._outboxes.get(key)
            if outbox is None:
                continue
            try:
                outbox.put_nowait(json.dumps(message))
            except asyncio.QueueFull:
                log.warning("a peer does not read its messages and is disconnected")
                assert isinstance(key, web.WebSocketResponse)
                asyncio.get_running_loop().create_task(key.close())

    @staticmethod
    async def _write(socket: web.WebSocketResponse, outbox: asyncio.Queue[str]) -> None:
        while True:
            text = await outbox.get()
            try:
                await socket.send_str(text)
            except ConnectionError:
                return


def _reason(error: Exception) -> bytes:
    return str(error).encode("ascii", "replace")[:120]


_TYPES = {"index.html": "text/html", "player.js": "text/javascript", "style.css": "text/css"}


def _page_file(path: str) -> web.Response:
    name = path.strip("/") or "index.html"
    if name not in _TYPES:
        return web.Response(status=404)
    policy = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' blob: data:; media-src 'self' blob:"
    return web.Response(
        body=(_PAGE / name).read_bytes(),
        content_type=_TYPES[name],
        headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"},
    )


async def _main(arguments: argparse.Namespace, token: str | None) -> None:
    server = SignallingServer(
        arguments.host, arguments.player_port, arguments.streamer_port, generation=arguments.generation, token=token
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
    arguments = parser.parse_args()
    run(_main(arguments, os.environ.get("TORCHMULTIVERSE_TOKEN") or None))


if __name__ == "__main__":
    main()
