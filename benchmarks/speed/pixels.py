"""Pictures per second through shared memory, a WebSocket and the data channel, beside the same engine in this process.

    python benchmarks/speed/pixels.py
    python benchmarks/speed/pixels.py --delay 0

The engine hands out ready pictures, 512 × 512 × 3 without compression, after 20 ms of sleep, which costs no CPU. The
ways take turns, and each round gives one ratio to the rate in this process: other work on the machine slows both. In
process, a picture ends as an array; over a way, as an array whose SHA-256 was proven. CPU time is that of both
processes together.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from typing_extensions import override

sys.path.insert(0, str(Path(__file__).parent))
from transports import HostedEngine, measure

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import Streamer
from torchmultiverse.serve.launch import Child
from torchmultiverse.serve.process import announce, run

SIDE = 512
BAR, BAR_PER_SECOND = 0.95, 300
WAYS = ("in process", "shared", "websocket", "channel")


class ReadyEngine(MarkerEngine):
    """Answers after a sleep with one of a few pictures of noise that are ready."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        rng = np.random.default_rng(0)
        self.pictures = [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(4)]

    @override
    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for number, scene in enumerate(scenes):
            if self.delay:
                time.sleep(self.delay)
            picture = self.pictures[number % len(self.pictures)]
            yield Frame(scene, arrays={"rgb": picture}, format=options.format, settle={"settled": True}, engine="ready")


class ReadyStack(HostedEngine):
    """A signalling server and that engine, as processes."""

    def __init__(self, delay: float, transport: str) -> None:
        super().__init__()
        self._delay = delay
        self._transport = transport

    def _engine_child(self, streamer_url: str) -> Child:
        command = [
            sys.executable, __file__, "--delay", str(1000 * self._delay), "--transport", self._transport,
            "--host", streamer_url,
        ]  # fmt: skip
        return Child(command, name="the ready engine")


def first_value(frame: Frame) -> int:
    """Return a value of the picture, for which it has to be decoded."""
    return int(frame.array()[0, 0, 0])


def turn(way: str, options: RenderOptions, arguments: argparse.Namespace, number: int) -> dict[str, float]:
    """Measure one way once, with an engine of its own."""
    with ExitStack() as stack:
        group = None
        engine: Engine
        if way == "in process":
            engine = ReadyEngine(arguments.delay / 1000)
        else:
            running = stack.enter_context(ReadyStack(arguments.delay / 1000, arguments.transport))
            remote = RemoteEngine(
                running.url, lost=running.lost, pixels=way, in_flight=arguments.in_flight, transport=arguments.transport
            )
            engine, group = remote, running.engine_group
        stack.callback(engine.close)
        return measure(engine, options, arguments.seconds, 10_000 * number, group, first_value)


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=20.0, help="milliseconds that the engine sleeps for a picture")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way")
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--format", default="raw", choices=("raw", "png", "jpeg"))
    parser.add_argument("--in-flight", type=int, default=4, help="pictures asked for ahead")
    parser.add_argument("--transport", default="auto", choices=("auto", "native", "aiortc"), help="of the messages")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--host", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.host:
        streamer = Streamer(lambda: ReadyEngine(arguments.delay / 1000), arguments.host, transport=arguments.transport)
        run(streamer.run(lambda: announce({"engine": "ready"})))
        return
    options = RenderOptions((SIDE, SIDE), format=arguments.format)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    for number in range(arguments.rounds):
        for way in arguments.ways if number % 2 == 0 else reversed(arguments.ways):
            found[way].append(turn(way, options, arguments, number))
            print(f"{way}: {found[way][-1]['per_second']:.1f} pictures/s", file=sys.stderr, flush=True)
    if arguments.json:
        print(json.dumps({"delay_ms": arguments.delay, "format": arguments.format, "ways": found}, indent=1))
        return
    here = found.get("in process")
    for way, rates in found.items():
        rate = statistics.median(one["per_second"] for one in rates)
        cost = statistics.median(one["cpu_ms"] for one in rates)
        words = f"{way}: {rate:.1f} pictures/s, {cost:.2f} ms of CPU each"
        if here and way != "in process":
            ratios = [one["per_second"] / other["per_second"] for one, other in zip(rates, here, strict=True)]
            words += f"; of the rate in process {100 * statistics.median(ratios):.1f} %"
            words += f" ({', '.join(f'{100 * one:.1f}' for one in sorted(ratios))})"
        print(words)
        if way == "shared" and arguments.format == "raw" and (here or not arguments.delay):  # else there is no share
            share = statistics.median(ratios) if here else 0.0
            met = rate >= BAR_PER_SECOND if not arguments.delay else share >= BAR
            bar = f"{BAR_PER_SECOND} a second" if not arguments.delay else f"{100 * BAR:.0f} %"
            print(f"bar: {bar}: {'met' if met else 'MISSED'}")


if __name__ == "__main__":
    main()
