"""A client that behaves as the published one does, against our server and streamer as they come.

What could silently be wrong: whoever runs the published sampling script against `serve` waits for ever, for an offer
that is only made on request, for candidates that are in the SDP, or for a picture whose numbers were strings.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from contract.live import serve
from websockets.asyncio.client import connect

from torchmultiverse.engines import codec
from torchmultiverse.engines.marker import read_marker
from torchmultiverse.protocol.webrtc import aiortc_peer
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import signalling


def interaction(value: dict[str, Any]) -> bytes:
    """One byte of length, then big-endian UTF-16, then a zero byte."""
    text = json.dumps(value, separators=(",", ":"))
    return bytes([50, len(text)]) + text.encode("utf-16-be") + b"\0"


async def sample(url: str, scenes: list[list[dict[str, Any]]], size: tuple[Any, Any]) -> list[bytes]:
    """Return the freeze frames of scenes, one message per factor and one scene after the other."""
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
        channel = await channels.get()
        channel.send(interaction({"Resolution": 1, "X": size[0], "Y": size[1]}))
        channel.send(interaction({"PoolSize": 1}))
        found = []
        for factors in scenes:
            for factor in factors:
                channel.send(interaction(factor))
            picture, total = b"", -1
            while len(picture) != total:
                data = await messages.get()
                if data[0] == 3:
                    (total,) = struct.unpack_from("<i", data, 1)
                    picture += data[5:]
            found.append(picture)
        await peer.close()
    return found


@pytest.mark.parametrize("as_strings", [False, True])
def test_the_published_client_gets_its_pictures(as_strings: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signalling, "SILENCE", 0.2)
    values = [
        {"World_Name": "Desert", "Character_Name": "Elephant", "Character_Scale": scale, "Camera_Yaw": yaw}
        for scale in (0.7, 1.0)
        for yaw in (0, 45)
    ]
    sent = [[{name: str(v) if as_strings else v} for name, v in one.items()] for one in values]
    size = ("160", "96") if as_strings else (160, 96)
    with serve(pug_quiet=0.5) as served:  # between two factors of one scene a busy machine may take its time
        pictures = asyncio.run(asyncio.wait_for(sample(served.url, sent, size), 200))
    assert [codec.dimensions(one) for one in pictures] == [(160, 96)] * 4
    shown = [read_marker(codec.decode("rgb", one)) for one in pictures]
    assert shown == [Scene(one).scene_id for one in values]
