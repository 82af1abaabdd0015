"""A bad network between a client and a streamer of this machine: a UDP relay that their ICE candidates are led through.

`lossy` stands between a player and its signalling server and puts addresses of the relay into the candidates of both,
so that all of WebRTC goes through it: packets are lost, late, out of order and doubled as the rates say.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


@dataclass
class Network:
    """What becomes of packets, each way.

    Attributes:
        loss, double, late: shares of packets.
        delay: seconds that each is on its way; one that is late takes twice that, and others overtake it.
        counted: what became of them.
    """

    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0
    delay: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    counted: Counter[str] = field(default_factory=Counter)


class _Side(asyncio.DatagramProtocol):
    """A port that stands for one peer before the other."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.other: _Side
        self.peer: tuple[str, int] | None = None  # whom this port stands before: where it sends to
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.peer = address  # whoever sends here is to be answered from here
        network, loop = self.network, asyncio.get_running_loop()
        network.counted["packets"] += 1
        if network.rng.random() < network.loss:
            network.counted["lost"] += 1
            return
        delay = network.delay
        if network.rng.random() < network.late:
            network.counted["late"] += 1
            delay *= 2
        loop.call_later(delay, self.other.send, data)
        if network.rng.random() < network.double:
            network.counted["double"] += 1
            loop.call_later(delay, self.other.send, data)

    def send(self, data: bytes) -> None:
        if self.peer is not None and not self.transport.is_closing():
            self.transport.sendto(data, self.peer)


class _Door:
    """The signalling of one player, with the relay in its candidates."""

    def __init__(self, network: Network, upstream: str) -> None:
        self.network = network
        self.upstream = upstream

    async def serve(self, player: ServerConnection) -> None:
        loop = asyncio.get_running_loop()
        pair = [_Side(self.network) for _ in range(2)]
        for one, other in zip(pair, reversed(pair), strict=True):
            one.other = other
            await loop.create_datagram_endpoint(lambda one=one: one, local_addr=("127.0.0.1", 0))  # type: ignore[misc]
        streamer_side, player_side = pair  # stand for the streamer before the player, and for the player
        try:
            async with connect(self.upstream, max_size=None) as server:
                # What the streamer says leads the player to the port that stands for the streamer, and back.
                ways = ((server, player, streamer_side, player_side), (player, server, player_side, streamer_side))
                tasks = [asyncio.ensure_future(self._pump(*way)) for way in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            # The data channel outlives its signalling, and so does the relay.
            self.ends = pair

    async def _pump(self, source: Any, sink: Any, stand_in: _Side, towards: _Side) -> None:
        with suppress(ConnectionClosed):
            async for text in source:
                message = json.loads(text)
                if message.get("type") == "iceCandidate":
                    line = self._lead((message["candidate"] or {}).get("candidate", ""), stand_in, towards)
                    if line is None:
                        continue
                    message["candidate"]["candidate"] = line
                elif "sdp" in message:
                    message["sdp"] = self._lead_all(message["sdp"], stand_in, towards)
                await sink.send(json.dumps(message))

    def _lead_all(self, sdp: str, stand_in: _Side, towards: _Side) -> str:
        lines = []
        for line in sdp.splitlines():
            led: str | None = line
            if line.startswith("a=candidate:"):
                candidate = self._lead(line.removeprefix("a="), stand_in, towards)
                led = None if candidate is None else f"a={candidate}"
            if led is not None:
                lines.append(led)
        return "\r\n".join(lines) + "\r\n"

    @staticmethod
    def _lead(candidate: str, stand_in: _Side, towards: _Side) -> str | None:
        fields = candidate.split()
        if len(fields) < 6 or fields[2].lower() != "udp" or fields[4] != "127.0.0.1":
            return None
        address = (fields[4], int(fields[5]))
        # Of several ports the first is that of the bundle.
        towards.peer = towards.peer or address
        if towards.peer != address:
            return None
        fields[5] = str(stand_in.port)
        return " ".join(fields)


@contextmanager
def lossy(url: str, network: Network) -> Iterator[str]:
    """Yield the address of a player port behind a bad network."""
    started: list[Any] = []
    ready = threading.Event()

    async def main() -> None:
        stop = asyncio.Event()
        door = _Door(network, url)
        async with serve(door.serve, "127.0.0.1", 0, max_size=None) as server:
            started.append((asyncio.get_running_loop(), stop, server.sockets[0].getsockname()[1]))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="relay")
    thread.start()
    assert ready.wait(60)
    loop, stop, port = started[0]
    try:
        yield f"ws://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
