"""The streamer against players that misbehave, and an engine that does.

What could silently be wrong: one bad player, or one bad message, that ends the service of all the others.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from aiortc import RTCPeerConnection
from contract.live import Served, serve
from typing_extensions import override
from waiting import soon
from websockets.asyncio.client import connect

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.client import AsyncClient
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol import bridge
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.scenes import Scene
from torchmultiverse.serve.streamer import MAX_BREAKS, Streamer

OPTIONS = RenderOptions(size=(96, 96))
SCENE = Scene({"World_Name": "Desert"})


class Broken(MarkerEngine):
    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008
    ) -> Iterator[Frame | Failure]:
        raise RuntimeError("CUDA error 700")


async def still_works(served: Served) -> None:
    client = AsyncClient(served.url, reconnects=1, connect_timeout=100)
    answer = await client.render(SCENE, OPTIONS)
    await client.close()
    assert isinstance(answer, Frame)
    assert read_marker(answer.array()) == SCENE.scene_id


def test_nonsense_over_signalling_hurts_nobody_else() -> None:
    nonsense = [
        {"type": "answer", "sdp": "v=0\r\nnonsense"},
        {"type": "answer", "sdp": ""},
        {"type": "answer", "sdp": 7},
        {"type": "answer"},
        {
            "type": "iceCandidate",
            "candidate": {"candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdpMid": "99"},
        },
        {"type": "iceCandidate", "candidate": {"candidate": "candidate:x y z", "sdpMLineIndex": -5}},
        {"type": "iceCandidate", "candidate": {"candidate": "", "sdpMid": None}},
        {"type": "iceCandidate", "candidate": "text"},
        {"type": "iceCandidate", "candidate": None},
    ]

    async def test(served: Served) -> None:
        for message in nonsense:
            async with connect(served.url) as socket:
                await socket.send(json.dumps({"type": "subscribe", "streamerId": "TorchMultiverse"}))
                while json.loads(await socket.recv())["type"] != "offer":
                    pass
                await socket.send(json.dumps(message))
                await socket.send(json.dumps(message))
        await still_works(served)
        assert await soon(lambda: not served.streamer._players), "players that left are kept"

    with serve() as served:
        asyncio.run(test(served))


def test_nonsense_over_the_data_channel_hurts_nobody_else() -> None:
    rng = np.random.default_rng(0)
    texts = [
        "", "{", "[]", "7", '"x"', "[" * 5000, "{}", '{"tmv":1}', '{"tmv":2,"id":"a"}', '{"tmv":1,"id":"a.b"}',
        '{"tmv":1,"id":"a"}', '{"tmv":1,"id":"a","do":"render"}', '{"tmv":1,"id":"a","do":[]}',
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Desert","Camera_Yaw":1e999}}',
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Desert"},"size":[1e9,5]}',
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Desert"},"size":[99999,99999]}',
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"\\ud800"}}',
        '{"tmv":1,"id":"a","do":"render","scene":{"World_Name":"Desert"},"passes":["rgb","rgb"]}',
        '{"Resolution":1,"X":-5,"Y":1e400}', '{"Resolution":1}', '{"Nonsense":1}', '{"World_Name":[]}',
        '{"Camera_Yaw":' + "9" * 400 + "}",
    ]  # fmt: skip

    async def test(served: Served) -> None:
        client = AsyncClient(served.url)
        await client.connect()
        assert client._connection is not None
        peer = client._connection._peer
        assert peer is not None
        for text in texts:
            peer.send(dc.encode_input("UIInteraction", text))
        for length in range(0, 300, 3):
            peer.send(bytes([int(rng.integers(0, 256))]) + rng.bytes(length))
        peer._channel.send("a text message")  # type: ignore[attr-defined]
        answer = await client.render(SCENE, OPTIONS)
        assert isinstance(answer, Frame), "the same connection does not work any more"
        await client.close()
        await still_works(served)

    with serve() as served:
        asyncio.run(test(served))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ('"do":"render","scene":{},"samples":0', "samples is '0'; an integer from 1 to 65536 is right"),
        ('"do":"render","scene":{},"size":[8,8]', "size (8, 8) is out of range: 16 to 4096 pixels a side"),
        ('"do":"render","scene":{"World":"Snow"}', "World"),
        ('"do":"catalog"', "do is 'catalog'; hello, catalogue, render are known here. Did you mean 'catalogue'?"),
    ],
)
def test_a_bad_request_is_answered_with_what_would_be_right(request_: str, reason: str) -> None:
    async def test(served: Served) -> None:
        client = AsyncClient(served.url, dialect="tmv")
        await client.connect()
        inbox: asyncio.Queue[Any] = asyncio.Queue()
        client._waiting["x1"] = inbox
        client._bridge.expect("x1", SCENE, ("rgb",))
        client._live().send('{"tmv":1,"id":"x1",' + request_ + "}")
        outcome = await inbox.get()
        assert isinstance(outcome, bridge.Rejected)
        assert reason in outcome.reason
        await client.close()

    with serve() as served:
        asyncio.run(asyncio.wait_for(test(served), 60))


def test_a_player_whose_connection_does_not_close_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    closing: list[RTCPeerConnection] = []
    ended = asyncio.Event()

    async def stubborn(self: RTCPeerConnection) -> None:
        closing.append(self)
        while not ended.is_set():
            with suppress(asyncio.CancelledError):
                await ended.wait()

    async def test(served: Served) -> None:
        with monkeypatch.context() as patch:
            async with connect(served.url) as socket:
                await socket.send(json.dumps({"type": "subscribe", "streamerId": "TorchMultiverse"}))
                while json.loads(await socket.recv())["type"] != "offer":
                    pass
                patch.setattr(RTCPeerConnection, "close", stubborn)
            while not closing:
                await asyncio.sleep(0.01)
        await still_works(served)
        served.loop.call_soon_threadsafe(ended.set)

    with serve(transport="aiortc") as served:
        asyncio.run(test(served))


def test_what_is_wrong_with_a_request_is_said() -> None:
    async def test(served: Served) -> None:
        client = AsyncClient(served.url)
        answer = await client.render(Scene({"World_Name": "Dessert"}), OPTIONS)
        assert isinstance(answer, Failure)
        assert "Did you mean 'Desert'" in answer.reason
        assert answer.attempts == 1, "a scene that cannot be rendered was asked for again"
        await client.close()

    with serve() as served:
        asyncio.run(test(served))


def test_the_first_messages_are_those_of_unreal() -> None:
    async def test(served: Served, protocol: bool) -> None:
        client = AsyncClient(served.url, pixels="channel")  # which needs no answer to `hello`
        seen: list[dc.Event] = []
        client._event = seen.append  # type: ignore[method-assign]
        client.dialect = "tmv"
        await client.connect()
        await soon(lambda: "InitialSettings" in [event.name for event in seen if isinstance(event, dc.Notice)])
        await client.close()
        notices = [event for event in seen if isinstance(event, dc.Notice)]
        assert [n.name for n in notices] == ["Protocol", "Protocol", "InitialSettings"][0 if protocol else 2 :]
        assert "PixelStreaming" in json.loads(notices[-1].text)

    for protocol in (True, False):
        with serve(protocol_message=protocol) as served:
            asyncio.run(test(served, protocol))


def test_an_engine_that_only_breaks_ends_the_streamer_with_the_reason() -> None:
    async def test() -> None:
        from torchmultiverse.serve import SignallingServer

        server = SignallingServer()
        await server.start()
        running = asyncio.create_task(Streamer(Broken, server.streamer_url).run())
        client = AsyncClient(
            server.url, dialect="tmv", retries=MAX_BREAKS, reconnects=50, connect_timeout=10,
            lost=lambda: "the streamer ended" if running.done() else None,
        )  # fmt: skip
        with pytest.raises(EngineError, match="the streamer ended"):
            await client.render(SCENE, OPTIONS)
        with pytest.raises(EngineError, match=r"8 times in a row; the last: RuntimeError: CUDA error 700"):
            await running
        await client.close()
        await server.stop()

    asyncio.run(asyncio.wait_for(test(), 200))


def test_an_engine_that_cannot_start_ends_the_streamer() -> None:
    def make() -> MarkerEngine:
        raise EngineError("no variant of the renderer works here")

    with pytest.raises(EngineError, match="no variant"):
        asyncio.run(Streamer(make, "ws://127.0.0.1:1").run())


def test_a_streamer_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could silently be wrong: a streamer that is let in and hung up on, for ever and in silence."""
    sleep, here = asyncio.sleep, threading.get_ident()
    monkeypatch.setattr(
        "torchmultiverse.serve.streamer.asyncio.sleep",
        lambda seconds: sleep(0 if threading.get_ident() == here else seconds),
    )

    async def test() -> None:
        from torchmultiverse.serve import SignallingServer

        server = SignallingServer(token="right")
        await server.start()
        with pytest.raises(EngineError, match=r"refuses the connection: HTTP 401: a token is needed"):
            await Streamer(MarkerEngine, server.streamer_url, token="wrong").run()
        server._core.max_peers = 0
        with pytest.raises(EngineError, match=r"closed the connection \(1013: 0 peers are connected already\)"):
            await Streamer(MarkerEngine, server.streamer_url, token="right").run()
        await server.stop()

    asyncio.run(asyncio.wait_for(test(), 200))


def test_without_a_server_the_streamer_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    sleep, here = asyncio.sleep, threading.get_ident()

    async def nap(seconds: float) -> None:
        if threading.get_ident() == here:  # and not of what earlier tests left running, which sleeps by the same name
            naps.append(seconds)
            seconds = 0
        await sleep(seconds)

    monkeypatch.setattr("torchmultiverse.serve.streamer.asyncio.sleep", nap)
    with pytest.raises(EngineError, match=r"no signalling server at ws://127\.0\.0\.1:1"):
        asyncio.run(Streamer(MarkerEngine, "ws://127.0.0.1:1").run())
    assert naps == sorted(naps), "it does not back off"
