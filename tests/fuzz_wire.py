"""Random wire: valid messages, mutated, for every parser that reads what strangers send, and for the server itself.

Every input is made from a seed, so that a failure is repeated by its seed and number. By hand, for long:

    python tests/fuzz_wire.py codec --inputs 1000000
    python tests/fuzz_wire.py server --inputs 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import psutil

from torchmultiverse.errors import ProtocolError, SpecError
from torchmultiverse.json_text import read_json
from torchmultiverse.protocol import bridge, messages, pixels, pug, signalling, webrtc
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol.webrtc import candidates
from torchmultiverse.scenes import FACTORS, Scene

SCENE = Scene({"World_Name": "Desert", "Camera_Yaw": 45})
_HEAD = {"tmv": 1, "id": "r1"}
INTERACTIONS: list[Any] = [
    {**_HEAD, "do": "hello"},
    {**_HEAD, "do": "catalogue"},
    {**_HEAD, "do": "pixels", "by": "shared"},
    {**_HEAD, "do": "render", "scene": SCENE.wire, "size": [512, 512], "passes": ["rgb", "mask"], "format": "png",
     "seed": 1, "samples": 16},
    {"World_Name": "Desert"}, {"Resolution": 1, "X": 512, "Y": 512}, {"PoolSize": 1}, {"Camera_Yaw": "45"},
]  # fmt: skip
REPLIES: list[Any] = [
    {**_HEAD, "state": "accepted"},
    {**_HEAD, "state": "settled", "settle": {"settled": True}},
    {**_HEAD, "state": "failed", "reason": "no such world", "again": False},
    {**_HEAD, "state": "done", "scene_id": SCENE.scene_id, "sha256": {"rgb": "0" * 64}, "settle": {"settled": True},
     "timings": {"render": 1.5}, "engine": "x", "info": {}, "slots": {"rgb": [0, 9]}, "by": "websocket"},
    {**_HEAD, "id": "q1", "state": "done", "dialect": "tmv", "engine": "x", "version": "1", "fingerprint": "f"},
]  # fmt: skip
CANDIDATE = {
    "candidate": "candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host", "sdpMid": "0", "sdpMLineIndex": 0,
    "usernameFragment": "abcd",
}  # fmt: skip
FROM_PLAYER: list[Any] = [
    {"type": "listStreamers"}, {"type": "subscribe", "streamerId": "Name"}, {"type": "unsubscribe"},
    {"type": "answer", "sdp": "v=0\r\n"}, {"type": "iceCandidate", "candidate": CANDIDATE}, {"type": "ping", "time": 1},
    {"type": "pong", "time": 1}, {"type": "stats", "data": {}}, {"type": "dataChannelRequest"},
]  # fmt: skip
FROM_STREAMER: list[Any] = [
    {"type": "endpointId", "id": "Name", "protocolVersion": "1.2.0"}, {"type": "ping", "time": 1},
    {"type": "offer", "sdp": "v=0\r\n", "playerId": "101"}, {"type": "disconnectPlayer", "playerId": 1, "reason": "x"},
    {"type": "iceCandidate", "candidate": CANDIDATE, "playerId": "101"}, {"type": "layerPreference", "playerId": "101"},
]  # fmt: skip
FROM_SERVER: list[Any] = [
    {"type": "config", "peerConnectionOptions": {"iceServers": [{"urls": ["stun:x"]}]}, "protocolVersion": "1.2.0"},
    {"type": "identify"}, {"type": "endpointIdConfirm", "committedId": "Name1"}, {"type": "playerCount", "count": 2},
    {"type": "playerConnected", "playerId": "101", "dataChannel": True, "sfu": False, "sendOffer": True},
    {"type": "playerDisconnected", "playerId": 101}, {"type": "streamerList", "ids": ["Name", "Name1"]},
    {"type": "subscribeFailed", "message": "full"}, {"type": "streamerIdChanged", "newID": "Name2"},
    {"type": "streamerDisconnected"}, *FROM_PLAYER, *FROM_STREAMER,
]  # fmt: skip
SDP = (
    "v=0\r\ns=-\r\na=ice-ufrag:abcd\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
    f"a={CANDIDATE['candidate']}\r\na=end-of-candidates\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
    f"a=mid:1\r\na={CANDIDATE['candidate']}\r\n"
)
_NUMBERS = [
    0,
    1,
    -1,
    7,
    101,
    255,
    256,
    65535,
    65536,
    2**31 - 1,
    2**31,
    -(2**31),
    2**63,
    10**400,
    0.5,
    -0.0,
    1e308,
    1e-308,
]
_ODD: list[Any] = [
    *_NUMBERS, None, True, False, "", " ", "\0", "\ud800", "é日🐘", "x" * 300, "../../etc/passwd", "__proto__", "NaN",
    float("inf"), float("nan"), [], {}, [[]], [None], {"": ""}, {"type": "offer"}, "Name", "Name1", "101",
]  # fmt: skip
_LENGTHS = [0, 1, 4, 5, 16, 255, 256, 65535, 2**31 - 1, -1, -(2**31)]


def odd_json(rng: Random, value: Any, depth: int = 0) -> Any:
    """Return a JSON value with something changed: a value, a key, an order, a depth."""
    where = rng.random()
    if isinstance(value, dict) and value and where < 0.75:
        changed = dict(value)
        name = rng.choice(list(changed))
        act = rng.randrange(5)
        if act == 0:
            del changed[name]
        elif act == 1:
            changed[rng.choice(["type", "id", "playerId", "tmv", "state", "do", "", "\ud800", name.upper()])] = changed[
                name
            ]
        elif act == 2:
            changed[name] = changed[rng.choice(list(changed))]
        else:
            changed[name] = odd_json(rng, changed[name], depth + 1)
        return changed
    if isinstance(value, list) and value and where < 0.75:
        return [odd_json(rng, one, depth + 1) if rng.random() < 0.5 else one for one in value] * rng.choice(
            [0, 1, 1, 2]
        )
    if isinstance(value, str) and value and where < 0.4:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(["", "\0", "\ud83d", ":", " ", "9" * 40]) + value[at + rng.randrange(2) :]
    if where > 0.97:
        for _ in range(rng.choice([3, 50])):
            value = [value] if rng.random() < 0.5 else {"a": value}
        return value
    if rng.random() < 0.005:
        return rng.choice(["\x1b[2J\n" * 3000, ["y" * 9] * 1000])
    return rng.choice(_ODD)


def odd_bytes(rng: Random, data: bytes) -> bytes:
    """Return bytes with some changed, cut, doubled or put in."""
    body = bytearray(data)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(body) + 1)
        act = rng.randrange(6)
        if act == 0 and body:
            body[at % len(body)] = rng.randrange(256)
        elif act == 1:
            del body[at : at + rng.choice([1, 2, 8, 10_000])]
        elif act == 2:
            body[at:at] = rng.randbytes(rng.choice([1, 2, 9]))
        elif act == 3:
            body[at:at] = body[at : at + rng.choice([1, 4, 50])]
        elif act == 4 and len(body) >= 5:
            struct.pack_into("<i", body, 1, rng.choice(_LENGTHS))
        elif body:
            body[at % len(body)] ^= 1 << rng.randrange(8)
    return bytes(body)


def odd_text(rng: Random, seeds: list[Any]) -> str:
    """Return a message of JSON, changed as JSON, as text, both or neither."""
    value = rng.choice(seeds)
    for _ in range(rng.randrange(4)):
        value = odd_json(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.2:
        text = odd_bytes(rng, text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
    if rng.random() < 0.001:
        text = rng.choice(["[", '{"a":']) * rng.choice([500, 100_000]) + text
    return text


class Codec:
    """Every parser of the wire, fed one input at a time. Whatever they raise but the errors they promise, is a fault.

    Args:
        seed: of the inputs.
    """

    LIMIT = 4096

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.happened: Counter[str] = Counter()
        self.slowest = (0.0, "")
        self.receiver = dc.Receiver(self.LIMIT)
        self.assembler = pixels.Assembler(self.LIMIT)
        self.bridge = bridge.BridgeSession()
        self.player = signalling.PlayerSession()
        self.streamer = signalling.StreamerSession("Name")
        self.core = signalling.ServerCore()
        self.inside: list[tuple[int, str]] = []
        self.joined = 0
        self.parsers: list[Callable[[], str]] = [
            self.input, self.output, self.interaction, self.reply, self.to_peers, self.to_server, self.trickle,
            self.part,
        ]  # fmt: skip

    def one(self) -> None:
        """Feed one input to one parser."""
        parser = self.rng.choice(self.parsers)
        start = time.process_time()
        try:
            what = parser()
        except (ProtocolError, SpecError) as error:
            what = type(error).__name__
            # Of a scene's errors, whoever tells them tells the beginning.
            if (len(str(error)) > 5000 and isinstance(error, ProtocolError)) or "\n" in str(error):
                raise AssertionError("a stranger's text fills the log") from error
        self.happened[f"{parser.__name__}: {what}"] += 1
        self.slowest = max(self.slowest, (time.process_time() - start, parser.__name__))

    def input(self) -> str:
        """A data-channel message to the streamer."""
        rng = self.rng
        text = odd_text(rng, INTERACTIONS)[: dc.MAX_TEXT]
        name = rng.choice(list(dc.TO_STREAMER))
        if len(text.encode("utf-16-le", "surrogatepass")) > 2 * dc.MAX_TEXT:
            text = text[:1000]
        data = dc.encode_input(name, text)
        if rng.random() < 0.1:
            data = bytes([50, len(text) % 256]) + text.encode("utf-16-be", "surrogatepass") + b"\0"
        found = dc.decode_input(odd_bytes(rng, data))
        return found.name if not found.name.startswith("Unknown") else "Unknown"

    def output(self) -> str:
        """A data-channel message to the player, and what the session makes of it."""
        rng = self.rng
        act = rng.randrange(5)
        if act == 0:
            ids = dc.MessageIds()
            table = {name: {"id": number, "structure": []} for name, number in dc.TO_PLAYER.items()}
            text = odd_text(rng, [{"Direction": rng.choice([0, 1]), **table}, {"Direction": 1, "Response": {"id": 1}}])
            data = b"\xff" + text.encode("utf-16-le", "surrogatepass")
            if rng.random() < 0.3:
                data = ids.encode_protocol(rng.choice([0, 1]))
        elif act in (1, 2):
            name, step = ("FileContents", "FreezeFrame")[act - 1], rng.choice([6, 100, 1000, dc.CHUNK])
            parts = list(dc.encode_chunks(name, rng.randbytes(rng.choice([0, 9, 3000])), chunk=step))
            if act == 1:
                parts += [
                    dc.encode_output("FileExtension", "r1.rgb.png"),
                    dc.encode_output("FileMimeType", "image/png"),
                ]
            data = rng.choice(parts)
        else:
            data = dc.encode_output("Response", odd_text(rng, REPLIES))
        for event in self.receiver.feed(odd_bytes(rng, data)):
            self._expect()
            self.bridge.feed(event)
        held = sum(len(body) for _, body in self.receiver._parts.values())
        assert held <= 2 * self.LIMIT, "an unfinished payload grows beyond its bound"
        if len(self.receiver.ids.to_player) > 300 or rng.random() < 0.001:
            self.receiver = dc.Receiver(self.LIMIT)
        return ("protocol", "file", "freeze frame", "response", "response")[act]

    def _expect(self) -> None:
        if "r1" not in self.bridge._pending:
            self.bridge.expect("r1", SCENE, ("rgb", "mask"))
        if "q1" not in self.bridge._questions:
            self.bridge.expect_reply("q1")

    def interaction(self) -> str:
        """A text of either dialect, as the streamer reads it."""
        text = odd_text(self.rng, INTERACTIONS)
        message = messages.parse(text)
        if message is not None:
            request = messages.read_request(message)
            if isinstance(request, messages.RenderRequest):
                Scene(request.scene)
            return type(request).__name__
        try:
            values = read_json(text)
        except ValueError:
            return "no JSON"
        if isinstance(values, dict):
            Scene({name: pug.value(name, value) for name, value in values.items() if name in FACTORS})
        return "pug"

    def reply(self) -> str:
        """A text of the engine, as the client reads it."""
        self._expect()
        outcomes = self.bridge.feed(dc.Response(odd_text(self.rng, REPLIES)))
        return type(outcomes[0]).__name__ if outcomes else "ignored"

    def to_peers(self) -> str:
        """A signalling message, as player and streamer read it."""
        message = signalling.parse(odd_text(self.rng, FROM_SERVER))
        for one in (self.player, self.streamer):
            try:
                one.feed(message)
            except ProtocolError:
                continue
        return "read"

    def to_server(self) -> str:
        """A signalling message or a coming or going, as the server's core sees it."""
        rng, core = self.rng, self.core
        if len(self.inside) < 4 or (len(self.inside) < 40 and rng.random() < 0.1):
            self.joined += 1
            key = (self.joined, rng.choice(["player", "streamer"]))
            core.join(key, key[1])  # type: ignore[arg-type]
            self.inside.append(key)
            return "join"
        key = rng.choice(self.inside)
        act = rng.random()
        if act < 0.05:
            self.inside.remove(key)
            core.leave(key)
            return "leave"
        if act < 0.1:
            core.assume_legacy(key)
            return "assume"
        sent = core.feed(key, signalling.parse(odd_text(rng, FROM_PLAYER if key[1] == "player" else FROM_STREAMER)))
        for to, out in sent:
            assert to in self.inside
            assert isinstance(out, signalling.Hangup) or len(json.dumps(out)) < 2 * signalling.MAX_MESSAGE
        assert len(core._peers) == len(self.inside)
        return "message"

    def trickle(self) -> str:
        """An ICE candidate, and an SDP whose candidates are taken out."""
        rng = self.rng
        sdp = odd_bytes(rng, SDP.encode()).decode("utf-8", "replace")
        kept, found = webrtc.trickled(sdp)
        assert "\na=candidate:" not in kept
        assert len(found) <= max(webrtc.TRICKLED * 2, sdp.count("a=candidate:"))
        message = signalling.parse(odd_text(rng, [{"type": "iceCandidate", "candidate": CANDIDATE, "playerId": "1"}]))
        for action in signalling.StreamerSession("s").feed(message):
            if isinstance(action, signalling.Candidate) and action.candidate is not None:
                candidates.is_loopback_candidate(action.candidate["candidate"])
                return "candidate"
        return "none"

    def part(self) -> str:
        """A part of a file over a WebSocket, and a list of freed slots."""
        rng = self.rng
        data = rng.choice(list(pixels.parts("r1.rgb.png", rng.randbytes(rng.choice([0, 9, 3000, 5000])))))
        if rng.random() < 0.2:
            pixels.decode_freed(odd_bytes(rng, pixels.encode_freed([rng.choice([0, 4096, 2**63]), 1])))
            return "freed"
        for event in self.assembler.feed(odd_bytes(rng, data)):
            self._expect()
            self.bridge.feed(event)
        assert self.assembler._have <= self.LIMIT, "an unfinished file grows beyond its bound"
        return "part"


def memory(process: psutil.Process) -> float:
    """Resident memory in MB."""
    return float(process.memory_info().rss) / 2**20


def codec(inputs: int, seed: int) -> Codec:
    """Feed the parsers, and say what happened."""
    one = Codec(seed)
    process = psutil.Process()
    start, cpu = time.monotonic(), time.process_time()
    warm = memory(process)
    for number in range(inputs):
        try:
            one.one()
        except Exception:
            print(f"seed {seed}, input {number}", file=sys.stderr)
            raise
        if number == inputs // 10:
            warm = memory(process)
    print(
        f"{inputs} inputs in {time.monotonic() - start:.0f} s ({time.process_time() - cpu:.0f} s CPU), "
        f"{warm:.0f} MB after a tenth, {memory(process):.0f} MB at the end, slowest {1000 * one.slowest[0]:.0f} ms "
        f"({one.slowest[1]})"
    )
    return one


def main() -> None:
    """Fuzz by hand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["codec", "server"])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "codec":
        for name, count in sorted(codec(arguments.inputs, arguments.seed).happened.items()):
            print(f"  {count:8d}  {name}")
    else:
        from fuzz_server import attack

        print(asyncio.run(attack(arguments.inputs, arguments.seed)))


if __name__ == "__main__":
    main()
