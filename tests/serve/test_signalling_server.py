"""The signalling server as its peers meet it: who gets in, what is bounded, what it serves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import aiohttp
import pytest

from torchmultiverse.errors import EngineError
from torchmultiverse.protocol.signalling import MAX_MESSAGE
from torchmultiverse.serve import SignallingServer
from torchmultiverse.serve.security import is_loopback


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


class Running:
    def __init__(self, **arguments: Any) -> None:
        self.server = SignallingServer(**arguments)

    async def __aenter__(self) -> tuple[SignallingServer, aiohttp.ClientSession]:
        await self.server.start()
        self.http = aiohttp.ClientSession()
        return self.server, self.http

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()
        await self.server.stop()


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
        async with Running(token="sécret") as (server, http):
            url = getattr(server, role)
            for headers, query in (({}, ""), ({}, "?token=wrong"), ({"Authorization": "Bearer wrong"}, "")):
                with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                    await http.ws_connect(url + "/" + query, headers=headers)
                assert error.value.status == 401
            async with http.ws_connect(url + "/", params={"token": "sécret"}) as socket:
                assert (await socket.receive_json())["type"] == "config"
            socket = await http.ws_connect(url + "/", headers={"Authorization": "Bearer sécret"})
            assert (await socket.receive_json())["type"] == "config"

    run(test())


def test_pages_of_other_origins_may_not_connect() -> None:
    async def test() -> None:
        async with Running() as (server, http):
            own = f"http://127.0.0.1:{server.player_port}"
            async with http.ws_connect(server.url, headers={"Origin": own}) as socket:
                assert (await socket.receive_json())["type"] == "config"
            # The second is a foreign name made to point here: page and host agree, and are still not ours.
            foreign = f"evil.example:{server.player_port}"
            for headers in ({"Origin": "http://evil.example"}, {"Origin": f"http://{foreign}", "Host": foreign}):
                with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                    await http.ws_connect(server.url, headers=headers)
                assert error.value.status == 403

    run(test())


def test_messages_that_are_too_long_or_no_json_end_that_peer_alone() -> None:
    async def test() -> None:
        async with Running() as (server, http), http.ws_connect(server.url) as good:
            await good.receive_json()
            for bad in ("{" * 100, "\ud83d", json.dumps({"type": "x" * MAX_MESSAGE}), "[]", "1" * 5000):
                async with http.ws_connect(server.url) as socket:
                    await socket.receive_json()
                    await socket.send_bytes(bad.encode(errors="replace"), compress=None)
                    await socket.send_str(bad.encode(errors="replace").decode())
                    message = await socket.receive()
                    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), bad[:20]
            await good.send_json({"type": "listStreamers"})
            assert (await good.receive_json()) == {"type": "streamerList", "ids": []}

    run(test())


def test_the_number_of_peers_is_bounded() -> None:
    async def test() -> None:
        async with Running() as (server, http):
            server._core.max_peers = 2
            sockets = [await http.ws_connect(server.url) for _ in range(3)]
            assert (await sockets[2].receive()).type is aiohttp.WSMsgType.CLOSE
            assert (await sockets[0].receive_json())["type"] == "config"
            await sockets[0].close()
            await asyncio.sleep(0.1)
            async with http.ws_connect(server.url) as socket:
                assert (await socket.receive_json())["type"] == "config"

    run(test())


def test_the_page_is_served_and_nothing_beside_it() -> None:
    async def test() -> None:
        async with Running() as (server, http):
            base = f"http://127.0.0.1:{server.player_port}"
            for path, kind in (("/", "text/html"), ("/player.js", "text/javascript"), ("/style.css", "text/css")):
                async with http.get(base + path) as reply:
                    assert reply.status == 200
                    assert reply.content_type == kind
                    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
            for path in ("/../signalling.py", "/%2e%2e/signalling.py", "/etc/passwd", "/nothing"):
                async with http.get(base + path) as reply:
                    assert reply.status == 404, path
            async with http.get(f"http://127.0.0.1:{server.streamer_port}/") as reply:
                assert reply.status == 404

    run(test())


def test_a_streamer_that_does_not_identify_is_listed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmultiverse.serve import signalling

    monkeypatch.setattr(signalling, "IDENTIFY", 0.1)

    async def test() -> None:
        async with Running() as (server, http), http.ws_connect(server.streamer_url), http.ws_connect(server.url) as me:
            await me.receive_json()
            await asyncio.sleep(0.3)
            await me.send_json({"type": "listStreamers"})
            assert len((await me.receive_json())["ids"]) == 1

    run(test())
