"""A client that behaves as the published one does, against our server and streamer as they come.

It never says a word before the offer, answers after the fourth trickled candidate, puts no candidates into its answer,
writes texts with one byte of length and big-endian, and keeps whichever freeze frame comes next.

What could silently be wrong: whoever runs the published sampling script against `serve` waits for ever, for an offer
that is only made on request, for candidates that are in the SDP, or for a picture whose numbers were strings. Worse:
one picture too many or too few, and each later one is kept under another scene's labels.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, get_args

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from contract.live import Served, serve
from typing_extensions import override
from waiting import soon
from websockets.asyncio.client import connect

from torchmultiverse.engines import Failure, Frame, RenderOptions, codec
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol import webrtc
from torchmultiverse.protocol.webrtc import aiortc_peer
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import SignallingServer, answers, signalling
from torchmultiverse.serve.streamer import Streamer


def interaction(value: dict[str, Any]) -> bytes:
    """One byte of length, then big-endian UTF-16, then a zero byte."""
    text = json.dumps(value, separators=(",", ":"))
    return bytes([50, len(text)]) + text.encode("utf-16-be") + b"\0"


class Published:
    """One session of it, from its opening messages on."""

    def __init__(self, channel: Any, messages: asyncio.Queue[bytes], size: tuple[Any, Any]) -> None:
        self.channel = channel
        self.messages = messages
        channel.send(interaction({"Resolution": 1, "X": size[0], "Y": size[1]}))
        channel.send(interaction({"PoolSize": 1}))

    async def sample(self, scene: dict[str, Any], pauses: Iterator[float] | None = None) -> bytes:
        """Send one message per factor, and keep the picture that comes next."""
        for name, value in scene.items():
            self.channel.send(interaction({name: value}))
            if pauses is not None:
                await asyncio.sleep(next(pauses))
        return await self.keep()

    async def keep(self) -> bytes:
        picture, total = b"", -1
        while len(picture) != total:
            data = await self.messages.get()
            if data[0] == 3:
                (total,) = struct.unpack_from("<i", data, 1)
                picture += data[5:]
        return picture

    async def strays(self) -> int:
        """Return how many pictures came that nobody kept, up to the answer to a question that is asked now."""
        text = "the end".encode("utf-16-le")
        self.channel.send(bytes([8]) + struct.pack("<H", len(text) // 2) + text)
        count = 0
        while (data := await self.messages.get())[0] != 11:
            count += data[0] == 3
        return count


@asynccontextmanager
async def published(url: str, size: tuple[Any, Any] = (160, 96)) -> AsyncIterator[Published]:
    # The published client gathers every address of the machine; tests stay on loopback.
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channels: asyncio.Queue[Any] = asyncio.Queue()
    messages: asyncio.Queue[bytes] = asyncio.Queue()

    def opened(channel: Any) -> None:
        channel.on("message", messages.put_nowait)
        channels.put_nowait(channel)

    peer.on("datachannel", opened)
    candidates = 0
    async with connect(url) as socket:  # and never a word before the answer
        while candidates < 4:
            message = json.loads(await socket.recv())
            if message["type"] == "offer":
                assert "candidate" not in message["sdp"]
                await peer.setRemoteDescription(RTCSessionDescription(message["sdp"], "offer"))
            elif message["type"] == "iceCandidate":
                one = message["candidate"]
                candidate = candidate_from_sdp(one["candidate"].split(":", 1)[1])
                candidate.sdpMid, candidate.sdpMLineIndex = one["sdpMid"], one["sdpMLineIndex"]
                await peer.addIceCandidate(candidate)
                candidates += 1
        aiortc_peer._bind_to_loopback(peer)
        await peer.setLocalDescription(await peer.createAnswer())
        kept = [line for line in peer.localDescription.sdp.splitlines() if "candidate" not in line]
        await socket.send(json.dumps({"type": "answer", "sdp": "\r\n".join(kept) + "\r\n"}))
        assert json.loads(await socket.recv())["type"] == "iceCandidate", "its loop ends with one more message"
        try:
            yield Published(await channels.get(), messages, size)
        finally:
            await peer.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "SILENCE", 0.2)


@pytest.fixture(params=get_args(webrtc.Stack))
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The streamer's WebRTC; the client's is aiortc."""
    monkeypatch.setenv(webrtc.TRANSPORT_VARIABLE, request.param)
    try:
        webrtc.choose_stack()
    except EngineError as error:
        pytest.skip(str(error))


def scenes(count: int, base: int = 0) -> list[dict[str, Any]]:
    return [
        {"World_Name": "Desert", "Character_Name": "Elephant", "Character_Scale": (0.7, 1.0)[n % 2],
         "Camera_Yaw": (base + n) % 360, "Character_Texture": "Grass"}
        for n in range(count)
    ]  # fmt: skip


def shown(picture: bytes) -> str | None:
    return read_marker(codec.decode("rgb", picture))


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("as_strings", [False, True])
def test_the_published_client_gets_its_pictures(as_strings: bool) -> None:
    values = scenes(4)
    sent = [{name: str(v) if as_strings else v for name, v in one.items()} for one in values]

    async def test(served: Served) -> list[bytes]:
        async with published(served.url, ("160", "96") if as_strings else (160, 96)) as client:
            return [await client.sample(one) for one in sent]

    with serve() as served:
        pictures = asyncio.run(asyncio.wait_for(test(served), 200))
    assert [codec.dimensions(one) for one in pictures] == [(160, 96)] * 4
    assert [shown(one) for one in pictures] == [Scene(one).scene_id for one in values]


@pytest.mark.usefixtures("stack")
def test_a_long_session_over_a_net_with_hiccups_keeps_every_label(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could silently be wrong: half a scene is rendered because the rest of its factors took a moment."""
    monkeypatch.setattr(answers, "PUG_FIRST", 1.5)  # a busy machine makes more of a hiccup
    monkeypatch.setattr(answers, "PUG_DOUBT", 6.0)
    values = scenes(40)
    rng = np.random.default_rng(0)

    def hiccups() -> Iterator[float]:
        while True:
            yield 0.15 if rng.random() < 0.05 else 0.0

    async def test(served: Served) -> tuple[list[bytes], int]:
        async with published(served.url) as client:
            pauses = hiccups()
            return [await client.sample(one, pauses) for one in values], await client.strays()

    with serve() as served:
        pictures, strays = asyncio.run(asyncio.wait_for(test(served), 250))
    assert [shown(one) for one in pictures] == [Scene(one).scene_id for one in values]
    assert strays == 0


class Slow(MarkerEngine):
    """Holds its pictures back until it may go on."""

    begun = threading.Event()
    go = threading.Event()

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008
    ) -> Iterator[Frame | Failure]:
        for scene in scenes:
            self.begun.set()
            assert self.go.wait(100)
            yield from super().render([scene], options)


def test_a_slow_scene_is_answered_once_and_never_to_the_next_client() -> None:
    """What could silently be wrong: a client that gave up leaves a picture behind, which its successor keeps."""
    Slow.begun.clear()
    Slow.go.clear()

    async def test(served: Served) -> None:
        before, after = scenes(1)[0], scenes(3, base=90)
        async with published(served.url) as client:
            # It is on its way when this client leaves.
            for name, value in before.items():
                client.channel.send(interaction({name: value}))
            assert await soon(Slow.begun.is_set)
        async with published(served.url) as client:
            asking = asyncio.create_task(client.sample(after[0]))
            assert await soon(lambda: served.streamer._engines.waiting > 0)
            Slow.go.set()
            assert shown(await asking) == Scene(after[0]).scene_id
            for one in after[1:]:
                assert shown(await client.sample(one)) == Scene(one).scene_id
            assert await client.strays() == 0

    with serve(Slow) as served:
        asyncio.run(asyncio.wait_for(test(served), 200))


def test_sessions_before_and_after_a_restart_of_the_streamer_and_two_at_once() -> None:
    async def test() -> None:
        server = SignallingServer()
        await server.start()
        for base in (0, 100):
            streamer = Streamer(MarkerEngine, server.streamer_url)
            running = asyncio.create_task(streamer.run())
            async with published(server.url) as one, published(server.url, (96, 96)) as other:
                for a, b in zip(scenes(4, base), scenes(4, base + 50), strict=True):
                    pictures = await asyncio.gather(one.sample(a), other.sample(b))
                    assert [shown(p) for p in pictures] == [Scene(a).scene_id, Scene(b).scene_id]
                    assert [codec.dimensions(p) for p in pictures] == [(160, 96), (96, 96)]
                assert [await one.strays(), await other.strays()] == [0, 0]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await server.stop()

    asyncio.run(asyncio.wait_for(test(), 200))
