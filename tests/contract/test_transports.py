"""The same contract over every pairing of WebRTC stacks, on a good network and on a bad one.

What could silently be wrong: a stack that loses a message, gives two of them in the wrong order or mixes two pictures,
but only with a stranger at the other end, or only when a packet is lost; and one that is said to be restricted to this
machine, and listens to the network.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from contract.live import Faults, serve
from relay import Network, lossy

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.protocol.webrtc import TRANSPORT_VARIABLE, PeerEvents, choose_stack, trickled
from torchmultiverse.protocol.webrtc.aiortc_peer import AiortcPeer
from torchmultiverse.protocol.webrtc.peer import LARGEST_MESSAGE
from torchmultiverse.scenes import Scene

pytest.importorskip("webrtc", reason="the extra 'native' is not installed")
STACKS = ("aiortc", "native")
PAIRINGS = [(client, streamer) for client in STACKS for streamer in STACKS]
OPTIONS = RenderOptions(size=(128, 128), format="jpeg")
LARGE = RenderOptions(size=(512, 192))


class Noise(MarkerEngine):
    """Test cards whose lower half is noise."""

    def render(self, scenes, options=RenderOptions()):  # type: ignore[no-untyped-def]  # noqa: B008
        for number, frame in enumerate(super().render(scenes, options)):
            if isinstance(frame, Frame):
                card = frame.array().copy()
                noise = np.random.default_rng(number).integers(0, 256, card.shape, dtype=np.uint8)
                card[card.shape[0] // 2 :] = noise[card.shape[0] // 2 :]
                frame._arrays["rgb"] = card
            yield frame


def scenes(count: int) -> list[Scene]:
    some = [Scene({"World_Name": "Desert", "Character_Name": "Camel", "Camera_Yaw": n}) for n in range(count)]
    return [some[n] for n in np.random.default_rng(0).permutation(count)]


def right(asked: list[Scene], answers: list[Frame | Failure]) -> int:
    """Return how many pictures came; each shows the scene that it is labelled with."""
    assert [answer.scene for answer in answers] == asked
    frames = [answer for answer in answers if isinstance(answer, Frame)]
    for frame in frames:
        assert read_marker(frame.array("rgb")) == frame.scene.scene_id == frame.scene_id
    return len(frames)


@pytest.mark.parametrize(("client", "streamer"), PAIRINGS)
def test_faults_of_an_engine_lose_and_mispair_nothing(client: str, streamer: str) -> None:
    faults = Faults(0.5, ["duplicate", "stale", "stale pixels", "reorder", "crossed", "truncated", "death"])
    asked = scenes(24)
    with serve(faults=faults, transport=streamer) as served:
        engine = RemoteEngine(
            served.url, in_flight=6, timeout=3.0, retries=20, transport=client, pixels="channel", connect_timeout=60
        )
        try:
            assert right(asked, list(engine.render(asked, OPTIONS))) == len(asked)
        finally:
            engine.close()
    assert set(faults.happened) == {*faults.kinds, "none"}


@pytest.mark.parametrize(("client", "streamer"), PAIRINGS)
def test_large_pictures_come_whole_and_are_those_of_this_process(client: str, streamer: str) -> None:
    asked = scenes(8)
    here = [frame.encoded() for frame in Noise().render(asked, LARGE) if isinstance(frame, Frame)]
    with serve(Noise, transport=streamer) as served:
        engine = RemoteEngine(served.url, in_flight=8, transport=client, pixels="channel")
        try:
            answers = list(engine.render(asked, LARGE))
        finally:
            engine.close()
    assert min(map(len, here)) > LARGEST_MESSAGE, "several messages"
    assert [frame.encoded() for frame in answers if isinstance(frame, Frame)] == here


@pytest.mark.parametrize(
    ("said", "limit"),
    [("262144", LARGEST_MESSAGE), ("65536", 65536), ("16384", 16384), ("0", LARGEST_MESSAGE), ("", 65536),
     ("9" * 18, LARGEST_MESSAGE), ("many", 65536)],
)  # fmt: skip
def test_messages_are_as_large_as_the_other_end_says(said: str, limit: int) -> None:
    """One that is larger ends the connection of some stacks, so that a large picture would never come."""

    async def described() -> int:
        peer = AiortcPeer(PeerEvents(lambda: None, lambda _: None, lambda _: None), loopback=True)
        line = f"a=max-message-size:{said}\r\n" if said else ""
        with pytest.raises(ProtocolError):
            await peer.answer(f"v=0\r\nm=application 9 nonsense\r\n{line}a=mid:0\r\n")
        await peer.close()
        return peer.message_limit

    assert asyncio.run(described()) == limit


def through(network: Network, client: str, streamer: str, count: int) -> None:
    asked = scenes(count)
    with serve(transport=streamer) as served, lossy(served.url, network) as url:
        engine = RemoteEngine(
            url, in_flight=4, timeout=60, transport=client, pixels="channel", connect_timeout=60, loopback=True
        )
        try:
            assert right(asked, list(engine.render(asked, RenderOptions(size=(256, 256), format="jpeg")))) == count
        finally:
            engine.close()
    assert network.counted["packets"] > 10 * count, "the relay was passed by"


@pytest.mark.parametrize(("client", "streamer"), [("aiortc", "aiortc"), ("native", "native")])
def test_a_bad_network_loses_and_mispairs_nothing(client: str, streamer: str) -> None:
    network = Network(loss=0.03, double=0.02, late=0.05, delay=0.005)
    through(network, client, streamer, 12)
    assert network.counted["lost"]
    assert network.counted["late"]


@pytest.mark.slow
@pytest.mark.parametrize(("client", "streamer"), PAIRINGS)
@pytest.mark.parametrize(
    "network", [{"loss": 0.01, "delay": 0.02}, {"loss": 0.01, "delay": 0.02, "late": 0.05, "double": 0.02}]
)
def test_a_network_that_loses_one_packet_in_a_hundred_and_takes_20_ms(
    client: str, streamer: str, network: dict[str, float]
) -> None:
    bad = Network(**network)
    through(bad, client, streamer, 150)
    assert bad.counted["lost"] > 10


def sockets() -> set[tuple[str, str, int]]:
    """Return kind, local address and port of this process's internet sockets."""
    own = set()
    for link in Path("/proc/self/fd").iterdir():
        try:
            own.add(os.readlink(link))
        except OSError:  # it has just been closed
            continue
    found = set()
    for kind in ("udp", "udp6", "tcp", "tcp6"):
        table = Path("/proc/self/net") / kind
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            host, port = fields[1].split(":")
            words = [struct.pack("=I", int(host[n : n + 8], 16)) for n in range(0, len(host), 8)]
            if f"socket:[{fields[9]}]" in own:
                found.add((kind, str(ipaddress.ip_address(b"".join(words))), int(port, 16)))
    return found


@pytest.mark.skipif(not Path("/proc/self/net/udp").exists(), reason="no /proc/self/net/udp to read sockets from")
@pytest.mark.parametrize("stack", STACKS)
def test_on_loopback_no_socket_is_bound_to_another_address(stack: str) -> None:
    before = sockets()
    with serve(transport=stack) as served:
        engine = RemoteEngine(served.url, transport=stack)
        try:
            assert right(scenes(3), list(engine.render(scenes(3), OPTIONS))) == 3
            bound = sockets() - before
        finally:
            engine.close()
    assert len({port for kind, _, port in bound if kind.startswith("udp")}) >= 2, "one for each end"
    assert [one for one in bound if not ipaddress.ip_address(one[1]).is_loopback] == []


def test_which_stack_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRANSPORT_VARIABLE, raising=False)
    assert choose_stack() == "native"
    assert choose_stack("aiortc") == "aiortc"
    monkeypatch.setenv(TRANSPORT_VARIABLE, "aiortc")
    assert choose_stack() == "aiortc"
    assert choose_stack("native") == "native"
    monkeypatch.setenv(TRANSPORT_VARIABLE, "nativ")
    with pytest.raises(EngineError, match=r"TORCHMULTIVERSE_WEBRTC = 'nativ' is unknown.*Did you mean 'native'"):
        choose_stack()
    monkeypatch.delenv(TRANSPORT_VARIABLE)
    with pytest.raises(EngineError, match=r"transport = 'aiort' is unknown.*Did you mean 'aiortc'"):
        RemoteEngine("ws://127.0.0.1:9", transport="aiort")


@pytest.fixture
def without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmultiverse.protocol.webrtc import choice

    monkeypatch.setattr(choice, "_native_missing", lambda: "No module named 'webrtc'")
    monkeypatch.delenv(TRANSPORT_VARIABLE, raising=False)


@pytest.mark.usefixtures("without_native")
def test_without_the_extra_aiortc_is_used_and_native_says_what_to_install() -> None:
    assert choose_stack() == "aiortc"
    with pytest.raises(EngineError, match=r"pip install 'torchmultiverse\[native\]'"):
        choose_stack("native")


def test_candidates_are_taken_out_of_an_sdp() -> None:
    lines = [
        "v=0", "a=ice-ufrag:session",
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=candidate:1 1 udp 5 127.0.0.1 7 typ host", "a=ice-ufrag:own", "a=mid:0",
        "a=end-of-candidates",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=candidate:2 1 udp 5 127.0.0.1 8 typ host", "a=mid:data",
    ]  # fmt: skip
    sdp = "\r\n".join(lines)
    text, found = trickled(sdp)
    assert "candidate" not in text
    assert len(found) == 6, "at least five, whole rounds"
    assert found[0] == {
        "candidate": "candidate:1 1 udp 5 127.0.0.1 7 typ host", "sdpMid": "0", "sdpMLineIndex": 0,
        "usernameFragment": "own",
    }  # fmt: skip
    assert (found[1]["sdpMid"], found[1]["sdpMLineIndex"], found[1]["usernameFragment"]) == ("data", 1, "session")
