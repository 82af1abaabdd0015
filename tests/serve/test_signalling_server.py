"""The signalling server as its peers meet it: who gets in, what is bounded, what it serves."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from email.message import Message
from http.client import RemoteDisconnected
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from torchmultiverse.errors import EngineError
from torchmultiverse.protocol import websocket
from torchmultiverse.protocol.signalling import MAX_MESSAGE
from torchmultiverse.serve import SignallingServer
from torchmultiverse.serve.security import is_loopback


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 200))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine no peer is taken for one of UE 5.0 because its next word takes a while."""
    monkeypatch.setattr("torchmultiverse.serve.signalling.SILENCE", 1000.0)


@asynccontextmanager
async def running(**arguments: Any) -> AsyncIterator[SignallingServer]:
    server = SignallingServer(**arguments)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def hear(socket: ClientConnection) -> dict[str, Any]:
    return dict(json.loads(await socket.recv()))


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def get(url: str, method: str = "GET") -> tuple[int, Message, str]:
    def ask() -> tuple[int, Message, str]:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=100) as reply:
                return reply.status, reply.headers, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()
        except RemoteDisconnected:  # how older versions of `websockets` answer what is no GET
            return 405, Message(), ""

    return await asyncio.to_thread(ask)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_a_bind_beyond_loopback_needs_a_token(host: str) -> None:
    with pytest.raises(EngineError, match="token"):
        SignallingServer(host)
    SignallingServer(host, token="secret")


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "localhost.example.org", ""]))


@pytest.mark.parametrize("role", ["url", "streamer_url"])
def test_the_token_opens_both_ports(role: str) -> None:
    async def test() -> None:
        async with running(token="sécret+%/ 日") as server:
            url = getattr(server, role)
            for headers, query in (({}, ""), ({}, "?token=wrong"), ({"Authorization": "Bearer wrong"}, "")):
                with pytest.raises(InvalidStatus) as error:
                    await connect(url + "/" + query, additional_headers=headers)
                assert error.value.response.status_code == 401
            async with connect(url + "/?token=s%C3%A9cret%2B%25/%20%E6%97%A5") as socket:
                assert (await hear(socket))["type"] == "config"
            socket = await websocket.dial(url, "sécret+%/ 日")
            assert (await hear(socket))["type"] == "config"
            await socket.close()
            # As clients say it that send the bytes of the token as they are.
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(
                "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                "Authorization: Bearer sécret+%/ 日\r\n\r\n".encode()
            )
            assert b"101" in await reader.readline()
            writer.close()

    run(test())


def test_pages_of_other_origins_may_not_connect_unless_named() -> None:
    """What could silently be wrong: any page in the user's browser steers an engine that listens on loopback only."""

    async def refused(server: SignallingServer, **headers: str) -> str:
        with pytest.raises(InvalidStatus) as error:
            await connect(server.url, additional_headers=headers)
        assert error.value.response.status_code == 403
        return (error.value.response.body or b"").decode()

    async def test() -> None:
        async with running() as server:
            async with connect(
                server.url, additional_headers={"Origin": f"http://127.0.0.1:{server.player_port}"}
            ) as s:
                assert (await hear(s))["type"] == "config"
            # The second is a foreign name that was made to point here: page and host agree, and are still not ours.
            foreign = f"evil.example:{server.player_port}"
            assert "evil.example" in await refused(server, Origin="http://evil.example")
            await refused(server, Origin=f"http://{foreign}", Host=foreign)
            await refused(server, Origin="null")
            await refused(server, Origin="")
        async with running(allow_origins=["https://Lab.example:8443/"]) as server:
            named = {"Origin": "https://lab.example:8443"}
            async with connect(server.url, additional_headers=named) as socket:
                assert (await hear(socket))["type"] == "config"
            for other in ("http://lab.example:8443", "https://lab.example", "https://lab.example:8443.evil.example"):
                await refused(server, Origin=other)

    run(test())


@pytest.mark.parametrize(
    "origin", ["*", "lab.example", "https://", "https://lab.example/page", "ws://x", "https://a:b"]
)
def test_an_origin_that_is_none_is_refused_with_the_form_that_is_right(origin: str) -> None:
    with pytest.raises(EngineError, match=r"https://example\.org:8443"):
        SignallingServer(allow_origins=[origin])


def test_messages_that_are_too_long_or_no_json_end_that_peer_alone() -> None:
    async def test() -> None:
        async with running() as server, connect(server.url) as good:
            await hear(good)
            for bad in ("{" * 100, "\ud83d", json.dumps({"type": "x" * MAX_MESSAGE}), "[]", "1" * 5000):
                async with connect(server.url) as socket:
                    await hear(socket)
                    with suppress(ConnectionClosed):
                        await socket.send(bad.encode(errors="replace"))
                        await socket.send(bad.encode(errors="replace").decode())
                    await socket.wait_closed()
                    assert socket.close_code in (1008, 1009), bad[:20]
                    assert socket.close_reason, "nobody is told what was wrong"
            await say(good, type="listStreamers")
            assert (await hear(good)) == {"type": "streamerList", "ids": []}

    run(test())


def test_the_number_of_peers_is_bounded() -> None:
    async def test() -> None:
        async with running() as server:
            server._core.max_peers = 2
            sockets = [await connect(server.url) for _ in range(3)]
            with pytest.raises(ConnectionClosed, match="2 peers are connected already"):
                await sockets[2].recv()
            assert (await hear(sockets[0]))["type"] == "config"
            await sockets[0].close()
            async with connect(server.url) as socket:
                assert (await hear(socket))["type"] == "config"
            await sockets[1].close()

    run(test())


def test_a_peer_that_does_not_read_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could silently be wrong: messages for a peer that never reads them pile up until the memory is full."""
    from torchmultiverse.serve import signalling

    monkeypatch.setattr(signalling, "_OUTBOX", 10)

    async def test() -> None:
        async with running() as server, connect(server.streamer_url) as streamer, connect(server.url) as player:
            await say(streamer, type="endpointId", id="s")
            await say(player, type="subscribe", streamerId="s")
            while (message := await hear(streamer))["type"] != "playerConnected":
                pass
            player.transport.pause_reading()
            while len(server._outboxes) == 2:
                await say(streamer, type="offer", sdp="x" * 200_000, playerId=message["playerId"])
                assert all(box.qsize() <= 10 for box in server._outboxes.values())
                await asyncio.sleep(0)
            player.transport.abort()

    run(test())


def test_the_page_is_served_and_nothing_beside_it() -> None:
    async def test() -> None:
        async with running() as server:
            base = f"http://127.0.0.1:{server.player_port}"
            for path, kind in (
                ("/?token=x", "text/html"),
                ("/player.js", "text/javascript"),
                ("/style.css", "text/css"),
            ):
                status, headers, _ = await get(base + path)
                assert status == 200
                assert headers.get_content_type() == kind
                assert headers.get_content_charset() == "utf-8"
                assert "default-src 'self'" in headers["Content-Security-Policy"]
            for path in ("/../signalling.py", "/%2e%2e/signalling.py", "/etc/passwd", "/nothing"):
                assert (await get(base + path))[0] == 404, path
            assert (await get(base, "POST"))[0] == 405
            assert (await get(f"http://127.0.0.1:{server.streamer_port}/"))[0] == 404

    run(test())


def test_peers_of_ue_5_0_are_served_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could silently be wrong: peers that wait for each other, one for a question and one for an offer."""
    from torchmultiverse.serve import signalling

    monkeypatch.setattr(signalling, "SILENCE", 0.1)

    async def test() -> None:
        async with running() as server, connect(server.url) as player, connect(server.streamer_url) as streamer:
            while (message := await hear(streamer))["type"] != "playerConnected":
                pass
            await say(streamer, type="offer", sdp="v=0", playerId=message["playerId"])
            assert (await hear(player))["type"] == "config"
            assert (await hear(player)) == {"type": "offer", "sdp": "v=0"}

    run(test())


def test_a_player_is_told_that_its_streamer_left_and_then_its_socket_is_closed() -> None:
    """What could silently be wrong: front ends that listen to the socket's end only show a frozen picture for ever."""

    async def test() -> None:
        async with running() as server, connect(server.url) as player, connect(server.url) as other:
            async with connect(server.streamer_url) as streamer:
                await say(streamer, type="endpointId", id="s")
                while (await hear(streamer))["type"] != "endpointIdConfirm":
                    pass
                await say(player, type="subscribe", streamerId="s")
                while (await hear(streamer))["type"] != "playerConnected":
                    pass
            assert (await hear(player))["type"] == "config"
            assert (await hear(player))["type"] == "streamerDisconnected"
            with pytest.raises(ConnectionClosed, match="the streamer disconnected"):
                await player.recv()
            assert player.close_code == 1000, "after 1001 Epic's front ends do not come back"
            await say(other, type="listStreamers")
            assert [(await hear(other))["type"] for _ in range(2)] == ["config", "streamerList"]
            await server.stop()
            await other.wait_closed()
            assert other.close_code == 1012

    run(test())
