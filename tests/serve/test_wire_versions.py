"""Our streamer, client and server against the signalling of UE 5.0 to 5.7, each difference of `wire_versions`.

What could silently be wrong: one version's server that hangs up on a word of ours, one version's player that waits for
a word of ours for ever, and everything works with the version that we looked at.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from contract.live import serve
from serve.wire_versions import VERSIONS, Version, VersionServer, say
from waiting import soon
from websockets.asyncio.client import ClientConnection, connect

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.client import AsyncClient
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol import PlayerSession, StreamerSession
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import SignallingServer
from torchmultiverse.serve.streamer import Streamer

OPTIONS = RenderOptions(size=(96, 96), format="jpeg")
SCENES = [Scene({"World_Name": "Desert", "Camera_Yaw": yaw}) for yaw in (0, 10, 20)]
versions = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)


async def check(client: AsyncClient, scene: Scene) -> None:
    answer = await client.render(scene, OPTIONS)
    assert isinstance(answer, Frame), answer
    assert read_marker(answer.array()) == scene.scene_id


@asynccontextmanager
async def streaming(url: str, streamer_id: str = "Name") -> AsyncIterator[Streamer]:
    streamer = Streamer(MarkerEngine, url, streamer_id=streamer_id)
    ready = asyncio.Event()
    running = asyncio.create_task(streamer.run(ready.set))
    try:
        await asyncio.wait([asyncio.ensure_future(ready.wait()), running], return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), running
        yield streamer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@versions
def test_picture_and_return_of_the_streamer_behind_its_server(
    version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not version.identify:  # its offer comes unasked, on a busy machine after a while
        monkeypatch.setattr(PlayerSession, "GRACE", 100.0)

    async def test() -> None:
        async with VersionServer(version).running() as server:
            client = AsyncClient(server.url, dialect="tmv", retries=20, reconnects=20)
            early = asyncio.create_task(check(client, SCENES[0]))  # the client is there before the streamer
            await soon(lambda: server.players or not version.identify)
            async with streaming(server.streamer_url) as streamer:
                await early
                await check(client, SCENES[1])
                assert streamer._session.id == "Name"
            await soon(lambda: not server.players)
            async with streaming(server.streamer_url):
                await check(client, SCENES[2])
            await client.close()
            # A server of 5.0 that has no streamer yet hangs up before it is asked.
            assert server.unknown == [], "we say what this version does not know"

    asyncio.run(asyncio.wait_for(test(), 200))


@versions
def test_second_streamer_behind_its_server(version: Version) -> None:
    """Numbered where the server numbers, refused in words where it knows but one."""

    async def test() -> None:
        async with VersionServer(version).running() as server, streaming(server.streamer_url) as first:
            if not version.identify:
                second = Streamer(MarkerEngine, server.streamer_url)
                running = asyncio.create_task(second.run())
                assert await soon(lambda: second._socket is not None and second._socket.close_code == 1008)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                return
            async with streaming(server.streamer_url) as second:
                assert await soon(lambda: second._session.id == ("Name1" if version.confirm else "Name"))
                assert await soon(lambda: ("Name1" in server.streamers) == version.numbers)
                client = AsyncClient(server.url, dialect="tmv", streamer_id="Name1" if version.numbers else "Name")
                await check(client, SCENES[0])
                assert second._players
                assert not first._players
                await client.close()

    asyncio.run(asyncio.wait_for(test(), 200))


@pytest.mark.parametrize("kind", sorted({version.renamed for version in VERSIONS if version.renamed}))
def test_a_streamer_that_is_renamed_is_followed(kind: str) -> None:
    player = PlayerSession()
    player.feed({"type": "config", "peerConnectionOptions": {}})
    player.feed({"type": "streamerList", "ids": ["before"]})
    assert player.feed({"type": kind, "newID": "after"}) == []
    assert player.subscribed == "after"


def test_a_refusal_is_told() -> None:
    (lost,) = PlayerSession().feed({"type": "subscribeFailed", "message": "Streamer x does not exist."})
    assert "does not exist" in lost.reason  # type: ignore[union-attr]


def test_our_streamer_offers_whatever_else_is_said_of_a_player() -> None:
    for extra in ({}, {"sendOffer": True}, {"sendOffer": False}, {"sfu": True, "dataChannel": False}):
        (joined,) = StreamerSession("s").feed({"type": "playerConnected", "playerId": "Player0", **extra})
        assert joined.player == "Player0"  # type: ignore[union-attr]


# Our server ---------------------------------------------------------------------------------------------------


class Unreal(Streamer):
    """Speaks as the streamer of a version does."""

    version: Version
    numeric = False
    bare = False

    async def _signal(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "endpointId":
            if not self.version.identify:
                return
            message = {"type": kind, "id": message["id"]}
            if self.version.protocol:
                message["protocolVersion"] = self.version.protocol
        if "playerId" in message and self.numeric:
            message = {**message, "playerId": int(message["playerId"])}
        if kind == "iceCandidate" and self.bare:
            message["candidate"] = {
                k: v for k, v in message["candidate"].items() if k in ("candidate", "sdpMLineIndex")
            }
        if kind == "offer":
            message = {**message, "sfu": False}
            await super()._signal({"type": "ping", "time": 1})
            await super()._signal({"type": "layerPreference", "playerId": message["playerId"], "spatialLayer": 0})
        await super()._signal(message)


@versions
@pytest.mark.parametrize("manner", ["texts", "numbers and bare candidates"])
def test_a_streamer_of_a_version_behind_our_server(
    version: Version, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmultiverse.serve.signalling.SILENCE", 0.3)
    odd = manner != "texts"
    of = type("Unreal", (Unreal,), {"version": version, "numeric": odd, "bare": odd})

    async def test(url: str) -> None:
        client = AsyncClient(url, dialect="tmv", retries=5)
        await check(client, SCENES[0])
        await client.close()

    with serve(streamer_class=of, protocol_message=version.protocol_message) as served:
        asyncio.run(asyncio.wait_for(test(served.url), 200))


async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of a kind."""
    while True:
        message = json.loads(await socket.recv())
        if message["type"] == kind:
            return dict(message)


EXTRA = {
    "stats": {"data": "{}"}, "layerPreference": {"spatialLayer": 0, "temporalLayer": 0, "playerId": ""},
    "iceCandidate": {"candidate": {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMLineIndex": 0}},
    "ping": {"time": 7}, "pong": {"time": 7},
}  # fmt: skip


@versions
def test_a_player_of_a_version_behind_our_server(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmultiverse.serve.signalling.SILENCE", 0.3 if version.asks == "never" else 1000.0)

    async def test() -> None:
        server = SignallingServer()
        await server.start()
        async with AsyncExitStack() as stack:
            streamer = await stack.enter_async_context(connect(server.streamer_url))
            await hear(streamer, "identify")
            await say(streamer, {"type": "endpointId", "id": "Name"})
            await hear(streamer, "endpointIdConfirm")
            # Only now: the streamer is told of a player that is silent at any moment.
            player = await stack.enter_async_context(connect(server.url))
            if version.asks != "never":
                await say(player, {"type": "listStreamers"})
                assert (await hear(player, "streamerList"))["ids"] == ["Name"]
                await say(player, {"type": "subscribe", "streamerId": "Name"})
            name = (await hear(streamer, "playerConnected"))["playerId"]
            await say(streamer, {"type": "offer", "sdp": "v=0", "playerId": name})
            offer = await hear(player, "offer")
            assert offer == {"type": "offer", "sdp": "v=0"}
            more = {field: 100_000 for field in version.answer}
            await say(player, {"type": "answer", "sdp": "v=1", **more})
            assert await hear(streamer, "answer") == {"type": "answer", "sdp": "v=1", "playerId": name, **more}
            for kind in version.says:
                await say(player, {"type": kind, **EXTRA[kind]})
            if "ping" in version.says:
                assert (await hear(player, "pong"))["time"] == 7
            assert (await hear(streamer, "iceCandidate"))["playerId"] == name
            await player.close()
            assert (await hear(streamer, "playerDisconnected"))["playerId"] == name
        await server.stop()

    asyncio.run(asyncio.wait_for(test(), 100))


def test_versions_without_a_server_that_is_reached_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of 5.0 without a streamer hangs up with a reason, which is what the user reads in the end."""

    async def test() -> None:
        async with VersionServer(VERSIONS[0]).running() as server:
            client = AsyncClient(server.url, dialect="tmv", reconnects=2)
            with pytest.raises(EngineError, match="Streamer is not connected"):
                await client.connect()

    asyncio.run(asyncio.wait_for(test(), 100))
