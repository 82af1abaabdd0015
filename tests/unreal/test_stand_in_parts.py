"""The stand-in by itself: whether it is the strict stranger that the tests beside it take it for.

What could silently be wrong: one that shows every scene at once, whole, would let a bridge pass that does not wait.
"""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from stand_in import command_line, drawing, settings
from stand_in.command_line import CommandLine, Unusable
from stand_in.level import Level
from unreal.packaged import game

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.marker import draw_marker, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.protocol import signalling, websocket
from torchmultiverse.protocol.webrtc import aiortc_peer
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import UnrealProcess

URL = "ws://127.0.0.1:8888"


@pytest.mark.parametrize(
    ("version", "address"),
    [
        ("5.0", "-PixelStreamingIP=127.0.0.1 -PixelStreamingPort=8888"),
        ("5.4", f"-PixelStreamingURL={URL}"),
        ("5.5", f"-pixelstreamingconnectionurl={URL}"),
    ],
)
def test_each_version_heeds_its_own_spelling_of_the_address(version: str, address: str) -> None:
    line = f"-RenderOffScreen -ResX=640 -ResY=480 -graphicsadapter=1 -PixelStreamingID=One {address} -Unknown=1 Map"
    assert command_line.read(line.split(), version) == CommandLine(URL, (640, 480), 1, "One")
    for other in {"5.0", "5.4", "5.5"} - {version}:
        with pytest.raises(Unusable, match="no address of a signalling server; -PixelStreaming"):
            command_line.read(line.split(), other)


def test_what_cannot_be_read_is_said() -> None:
    for arguments, words in (
        (["-PixelStreamingConnectionURL=http://x"], "ws://host:port is right"),
        ([f"-PixelStreamingConnectionURL={URL}", "-ResX=8"], "-ResX is '8'; a number from 16 to 4096 is right"),
    ):
        with pytest.raises(Unusable, match=words):
            command_line.read(arguments)
    for text, words in (
        ("dies=3", "'dies' is unknown; there are unreal, frame_ms"),
        ("die=often", "die is 'often'; a number is right"),
        ("frame_ms=0", "more than 0 is right"),
        ("unreal=4.27", "5.0, 5.1"),
    ):
        with pytest.raises(Unusable, match=words):
            settings.read({settings.VARIABLE: text})
    assert settings.read({settings.VARIABLE: "die=3, frame_ms=1.5"}).die == 3


def test_its_cards_are_those_of_the_marker_engine_though_drawn_by_other_code() -> None:
    rng = np.random.default_rng(0)
    for width, height in ((24, 24), (128, 96), (511, 37)):
        scene_id = rng.bytes(16).hex()
        assert np.array_equal(drawing.card(scene_id, width, height), draw_marker(scene_id, width, height))


def test_a_scene_loads_over_several_frames_and_the_one_before_shines_through() -> None:
    ids: list[str] = []

    def scene_id(factors: object) -> str:
        ids.append(f"{len(ids) + 1:032x}")
        return ids[-1]

    level = Level(scene_id, (48, 48), history=4)
    for world in ("Desert", "Snow"):
        level.apply([("World_Name", world), ("Character_Name", "Zebra")], (48, 48))
        seen = []
        while level.loading():
            seen.append(read_marker(level.view()))
            level.tick()
        if world == "Desert":
            continue
        assert len(seen) > 5
        assert set(seen) == {ids[0]}, "a scene that still loads is seen"
        cards = [draw_marker(one, 48, 48) for one in ids]
        views = []
        for _ in range(5):
            views.append(level.view())
            level.tick()
        assert [np.array_equal(view, cards[1]) for view in views] == [False, False, False, False, True]
    # A new world is empty: what is not said again is not there.
    level.apply([("World_Name", "Museum")], (48, 48))
    assert level.factors == {"World_Name": "Museum"}
    level.apply([("Character_Name", "Camel"), ("Character_Scale", 2), ("Character2_Name", "Zebra")], (48, 48))
    level.apply([("Character_Name", "Zebra")], (48, 48))
    assert level.factors == {"World_Name": "Museum", "Character2_Name": "Zebra", "Character_Name": "Zebra"}


async def _watch(url: str) -> np.ndarray:
    """Return the twentieth frame of video that a player gets."""
    socket, session = await websocket.dial(url, None), signalling.PlayerSession()
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    seen: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()

    async def read(track: object) -> None:
        for _ in range(20):
            frame = await track.recv()  # type: ignore[attr-defined]
        seen.set_result(frame.to_ndarray(format="rgb24"))

    tasks = []
    peer.on("track", lambda track: tasks.append(asyncio.ensure_future(read(track))))
    try:
        async with asyncio.timeout(200):
            while not seen.done():
                waiting = {asyncio.ensure_future(socket.recv()), seen}
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done - {seen}:
                    await _take(socket, session, peer, signalling.parse(await one))
        return await seen
    finally:
        await peer.close()
        await socket.close()


async def _take(socket: object, session: signalling.PlayerSession, peer: RTCPeerConnection, message: dict) -> None:
    for action in session.feed(message):
        if isinstance(action, signalling.Send):
            await socket.send(json.dumps(action.message))  # type: ignore[attr-defined]
        elif isinstance(action, signalling.Offer):
            await peer.setRemoteDescription(RTCSessionDescription(action.sdp, "offer"))
            aiortc_peer._bind_to_loopback(peer)
            await peer.setLocalDescription(await peer.createAnswer())
            await socket.send(json.dumps(session.answer(peer.localDescription.sdp)))  # type: ignore[attr-defined]
        elif isinstance(action, signalling.Candidate) and action.candidate is not None:
            candidate = candidate_from_sdp(action.candidate["candidate"].removeprefix("candidate:"))
            candidate.sdpMid = action.candidate["sdpMid"]
            await peer.addIceCandidate(candidate)


def test_a_second_player_sees_the_scene_as_video(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene({"World_Name": "Snow", "Camera_Yaw": 12})
    with UnrealProcess(game(monkeypatch, video_fps=60), grace=0.1) as stack:
        engine = RemoteEngine(stack.url, hello_timeout=60)
        (frame,) = engine.render([scene], RenderOptions(size=(240, 240)))
        assert isinstance(frame, Frame)
        assert read_marker(asyncio.run(_watch(stack.url))) == scene.scene_id
        engine.close()
