"""A signalling server in a process of its own, and strangers of every kind who connect to it at once.

Beside them a streamer and a player that behave must be served all the time; the server's memory, open files and log are
watched from outside.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal
from urllib.parse import urlsplit

import psutil
from fuzz_wire import FROM_PLAYER, FROM_STREAMER, memory, odd_bytes, odd_text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol import MAX_MESSAGE, ServerCore, parse
from torchmultiverse.serve.process import READY

Role = Literal["player", "streamer"]
AT_ONCE = 60
"""Strangers at a time."""
PATIENCE = 60.0
"""Seconds after which somebody who behaves counts as not served. On a busy machine a second is nothing."""
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass
class Report:
    """What happened.

    Attributes:
        inputs: messages, frames and pieces of garbage that were sent.
        rounds: how often the two that behave met.
        memory: of the server in MB: when all had been there once, and at the end.
        files: open files of the server: at the start, the most, and when all had left.
        log: lines that the server wrote to standard error, and bytes.
    """

    inputs: int = 0
    rounds: int = 0
    seconds: float = 0.0
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    log: tuple[int, int] = (0, 0)
    kinds: Counter[str] = field(default_factory=Counter)


class Strangers:
    """Each coroutine is one stranger: it connects, is odd, and leaves. What was sent, is counted."""

    def __init__(self, player: str, streamer: str, seed: int) -> None:
        self.urls = {"player": player, "streamer": streamer}
        self.rng = Random(seed)
        self.sent = 0
        self.kinds = [
            self.talker, self.talker, self.talker, self.talker, self.framer, self.garbage, self.half_way, self.request,
            self.never_reads, self.huge, self.crowd, self.drip, self.guest,
        ]  # fmt: skip

    def _url(self) -> tuple[Role, str]:
        role: Role = self.rng.choice(["player", "streamer"])
        return role, self.urls[role]

    async def _raw(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        return await asyncio.open_connection(parts.hostname, parts.port)

    async def talker(self) -> None:
        """Messages of JSON, changed; most are of its role."""
        role, url = self._url()
        async with connect(url, max_size=None, compression=None, proxy=None, close_timeout=1) as socket:
            seeds = FROM_PLAYER if (role == "player") ^ (self.rng.random() < 0.1) else FROM_STREAMER
            count = self.rng.choice([1, 100, 2000])
            for number in range(count):
                data = self._message(role, seeds, last=number == count - 1)
                await socket.send(data if self.rng.random() < 0.01 else data.decode("utf-8", "replace"))
                self.sent += 1
                if number % 50 == 0:
                    await asyncio.sleep(0)

    def _message(self, role: Role, seeds: list[Any], last: bool) -> bytes:
        """A message that its peer is not disconnected for, unless it is to be its last."""
        scratch = ServerCore()
        scratch.join("peer", role)
        while True:
            text = odd_text(self.rng, seeds)
            try:
                scratch.feed("peer", parse(text))
            except ProtocolError:
                if not last:
                    continue
            return text.encode("utf-8", "replace")

    async def framer(self) -> None:
        """Frames that no library writes: reserved bits, no mask, false lengths, cut messages, odd texts."""
        rng = self.rng
        reader, writer = await self._raw(self._url()[1])
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        count = rng.choice([1, 5, 40])
        for _ in range(count):
            body = odd_text(rng, FROM_PLAYER).encode("utf-8", "surrogatepass")[: rng.choice([0, 10, 125, 5000])]
            code = rng.choice([1, 1, 1, 1, 0, 2, 8, 9, 10, rng.randrange(16)]) | rng.choice(
                [128, 128, 128, 0, 192, 255]
            )
            size = len(body) if rng.random() < 0.8 else rng.choice([0, 125, 65_535, 2**31, 2**62])
            mask = 0 if rng.random() < 0.05 else 128
            if size < 126:
                head = bytes([code & 255, mask | size])
            elif size < 65_536:
                head = bytes([code & 255, mask | 126]) + struct.pack(">H", size)
            else:
                head = bytes([code & 255, mask | 127]) + struct.pack(">Q", size)
            frame = head + (b"\0\0\0\0" if mask else b"") + body
            writer.write(frame if rng.random() < 0.8 else odd_bytes(rng, frame))
            self.sent += 1
        await self._leave(writer)

    async def garbage(self) -> None:
        """Bytes that are no HTTP."""
        _, writer = await self._raw(self._url()[1])
        writer.write(self.rng.randbytes(self.rng.choice([1, 100, 20_000])))
        await self._leave(writer)
        self.sent += 1

    async def half_way(self) -> None:
        """A handshake with errors in it, or cut off."""
        _, writer = await self._raw(self._url()[1])
        text = odd_bytes(self.rng, HANDSHAKE)
        writer.write(text[: self.rng.randrange(len(text) + 1)] if self.rng.random() < 0.5 else text)
        await self._leave(writer)
        self.sent += 1

    async def request(self) -> None:
        """A request for a page that is not there, in odd words, or with endless headers."""
        rng = self.rng
        _, writer = await self._raw(self._url()[1])
        path = rng.choice([b"/", b"/..%2f..%2fetc/passwd", b"/\xff\xfe", b"//", b"*", b"/?token=" + b"x" * 9000, b""])
        verb = rng.choice([b"GET", b"POST", b"OPTIONS", b"X" * 500])
        headers = b"".join(
            b"X-%d: %s\r\n" % (n, rng.randbytes(3).hex().encode()) for n in range(rng.choice([0, 5, 400]))
        )
        writer.write(verb + b" " + path + b" HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n")
        await self._leave(writer)
        self.sent += 1

    async def never_reads(self) -> None:
        """A player that asks for much and reads nothing."""
        async with connect(self.urls["player"], compression=None, proxy=None, close_timeout=1) as socket:
            socket.transport.pause_reading()
            for _ in range(300):
                await socket.send(json.dumps({"type": "ping", "time": "x" * self.rng.choice([10, 1000])}))
                self.sent += 1
            socket.transport.abort()

    async def huge(self) -> None:
        """A message beyond the limit, in one frame or in many."""
        async with connect(self._url()[1], compression=None, proxy=None, close_timeout=1) as socket:
            self.sent += 1
            size = MAX_MESSAGE + self.rng.choice([-10, 1, 2**20])
            if self.rng.random() < 0.5:
                await socket.send("[" * size)
            else:
                await socket.send("[" * 4000 for _ in range(size // 4000 + 1))

    async def crowd(self) -> None:
        """Many at once who say nothing."""
        ends = await asyncio.gather(*(self._raw(self._url()[1]) for _ in range(30)), return_exceptions=True)
        for end in ends:
            if isinstance(end, tuple):
                end[1].write(HANDSHAKE[: self.rng.choice([0, 20, len(HANDSHAKE)])])
        for end in ends:
            if isinstance(end, tuple):
                await self._leave(end[1])
                self.sent += 1

    async def drip(self) -> None:
        """A handshake byte by byte."""
        _, writer = await self._raw(self._url()[1])
        for byte in HANDSHAKE[: self.rng.randrange(60)]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)
        await self._leave(writer)
        self.sent += 1

    async def guest(self) -> None:
        """Streamers and players of rooms that some of the others are in, too."""
        role, url = self._url()
        room = f"/pixels/{self.rng.randrange(4):032x}"
        async with connect(url + room, compression=None, proxy=None, close_timeout=1) as socket:
            # Nobody reads what the streamer of an empty room sends, not even that it leaves, and the room waits half
            # a minute: what is little is read.
            for _ in range(self.rng.choice([1, 8 if role == "streamer" else 50])):
                self.sent += 1
                await socket.send(self.rng.randbytes(self.rng.choice([0, 100, 100 if role == "streamer" else 100_000])))
                await asyncio.sleep(0)

    async def _leave(self, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await writer.drain()
        if self.rng.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()
            await asyncio.sleep(0)


async def behave(player_url: str, streamer_url: str) -> None:
    """A streamer and a player: both are served all the time, and get what the other one sent.

    They live in a process of their own, so that what makes up nonsense does not hold them up. A line for each round.
    """
    answers: asyncio.Queue[str] = asyncio.Queue()
    round_ = 0

    async def hear(socket: ClientConnection, kind: str) -> dict[str, Any]:
        while True:
            message = json.loads(await socket.recv())
            if message["type"] == kind:
                return dict(message)

    async def stream(socket: ClientConnection) -> None:
        async for text in socket:  # strangers are sent here too, and get their offers
            message = json.loads(text)
            if message["type"] == "playerConnected":
                name = message["playerId"]
                await socket.send(json.dumps({"type": "offer", "sdp": f"to {name}", "playerId": name}))
            elif message["type"] == "answer" and str(message.get("sdp")).startswith("round"):
                answers.put_nowait(message["sdp"])

    async with connect(streamer_url, proxy=None) as streamer, connect(player_url, proxy=None) as player:
        await streamer.send(json.dumps({"type": "endpointId", "id": "Witness"}))
        name = (await hear(streamer, "endpointIdConfirm"))["committedId"]
        streaming = asyncio.create_task(stream(streamer))
        while not streaming.done():
            async with asyncio.timeout(PATIENCE):
                await player.send(json.dumps({"type": "listStreamers"}))
                assert name in (await hear(player, "streamerList"))["ids"]
                await player.send(json.dumps({"type": "subscribe", "streamerId": name}))
                await hear(player, "offer")
                await player.send(json.dumps({"type": "answer", "sdp": f"round {round_}"}))
                assert await answers.get() == f"round {round_}"
            round_ += 1
            print(round_, flush=True)
            await asyncio.sleep(0.02)


async def attack(inputs: int, seed: int) -> Report:
    """Send a signalling server that many odd inputs and return what happened.

    Raises:
        AssertionError: the server ended, did not serve those who behave, kept files or wrote a traceback.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "stderr"
        with said.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "torchmultiverse.serve.signalling", "--player-port=0", "--streamer-port=0"],
                stdout=subprocess.PIPE, stderr=errors, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
        try:
            assert process.stdout is not None
            ready = json.loads((await asyncio.to_thread(process.stdout.readline)).decode().removeprefix(READY))
            await _all(report, ready["url"], ready["streamer_url"], inputs, seed, psutil.Process(process.pid))
            assert process.poll() is None, f"the server ended with {process.returncode}"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
        finally:
            process.kill()
            process.wait()
        log = said.read_text(errors="replace")
    report.log = (log.count("\n"), len(log))
    assert "Traceback" not in log, log[max(log.index("Traceback") - 500, 0) :][:4000]
    return report


async def _all(report: Report, player: str, streamer: str, inputs: int, seed: int, server: psutil.Process) -> None:
    start = time.monotonic()
    strangers = Strangers(player, streamer, seed)
    report.files = [server.num_fds()] * 2
    witness = subprocess.Popen(
        [sys.executable, __file__, player, streamer], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert witness.stdout is not None
    said = witness.stdout

    def count() -> None:
        for _ in said:
            report.rounds += 1

    rounds = asyncio.get_running_loop().run_in_executor(None, count)

    async def go() -> None:
        # On a busy machine those who behave may come later than all of that.
        while (report.inputs < inputs or report.rounds < 2) and not rounds.done():
            kind = strangers.rng.choice(strangers.kinds)
            report.kinds[kind.__name__] += 1
            with suppress(OSError, WebSocketException, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await kind()
            report.inputs = strangers.sent
            report.files[1] = max(report.files[1], server.num_fds())
            if not report.memory and report.inputs > inputs // 5:
                report.memory.append(memory(server))

    try:
        await asyncio.gather(*(go() for _ in range(AT_ONCE)))
        assert witness.poll() is None, (witness.stderr.read() if witness.stderr else b"").decode()[-3000:]
    finally:
        witness.kill()
        witness.wait()
        await rounds
    report.seconds = time.monotonic() - start
    end = time.monotonic() + PATIENCE
    while server.num_fds() > report.files[0] and time.monotonic() < end:
        await asyncio.sleep(0.1)
    report.files.append(server.num_fds())
    assert report.files[2] <= report.files[0], f"{report.files[2]} files are open, {report.files[0]} were at the start"
    report.memory.append(memory(server))


if __name__ == "__main__":
    asyncio.run(behave(*sys.argv[1:]))
