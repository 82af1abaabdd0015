"""Ready pictures through each WebRTC stack, beside the same engine in this process: rate, MB/s and CPU of a picture.

    python benchmarks/speed/transports.py
    python benchmarks/speed/transports.py --picture large --delay 0
    python benchmarks/speed/transports.py --picture large --delay 0 --busy
    python benchmarks/speed/transports.py --bars

The engine hands out pictures that are ready, after 20 ms of sleep, which costs no CPU: what is measured is the way from
one process to another and nothing else. Files come over the data channel. The ways take turns, and each round gives
one ratio to the rate in this process: other work on the machine slows both. CPU time is that of both processes
together. ``--busy`` keeps every core busy with a process of its own meanwhile. ``--bars`` measures the three that have
a bar, in three minutes on cores that are free of other work.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
from PIL import Image
from typing_extensions import override

sys.path.insert(0, str(Path(__file__).parent))
from remote import cpu_of_group

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions, codec
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol.webrtc import TRANSPORT_VARIABLE
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import LocalStack, Streamer
from torchmultiverse.serve.launch import Child
from torchmultiverse.serve.process import announce, run

WAYS = ("in process", "native", "aiortc")
PICTURES = {"small": (256, "jpeg"), "large": (512, "png")}
BAR_RATIO, BAR_CPU = 0.8, 4.0
BAR_QUIET, BAR_BUSY = 3.0, 6.0
_LARGE = {"picture": "large", "delay": 0.0, "seconds": 2.5, "rounds": 5, "ways": ("native", "aiortc"), "in_flight": 4}
BARS: tuple[dict[str, Any], ...] = (
    {"picture": "small", "delay": 20.0, "seconds": 2.5, "rounds": 5, "ways": WAYS[:2], "in_flight": 2, "busy": False},
    {**_LARGE, "busy": False},
    {**_LARGE, "busy": True},
)
"""What `--bars` measures."""


def ready(kind: str) -> list[np.ndarray[Any, Any]]:
    """Return pictures that weigh what rendered ones do: about 15 kB as JPEG, or about 400 kB as PNG."""
    side, _ = PICTURES[kind]
    rng = np.random.default_rng(0)
    if kind == "large":
        return [rng.integers(0, 10, (side, side, 3), dtype=np.uint8) for _ in range(4)]
    coarse = [rng.integers(60, 200, (7, 7, 3), dtype=np.uint8) for _ in range(4)]
    return [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in coarse]


class ReadyEngine(MarkerEngine):
    """Answers after a sleep with one of a few pictures, which are encoded already."""

    def __init__(self, kind: str, delay: float) -> None:
        super().__init__(delay)
        _, self.format = PICTURES[kind]
        self.pictures = [(one, codec.encode("rgb", one, self.format)) for one in ready(kind)]

    @override
    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for number, scene in enumerate(scenes):
            if self.delay:
                time.sleep(self.delay)
            array, data = self.pictures[number % len(self.pictures)]
            yield Frame(
                scene, arrays={"rgb": array}, encoded={"rgb": data}, format=self.format, settle={"settled": True},
                engine="ready",
            )  # fmt: skip


class HostedEngine(LocalStack):
    """A signalling server and an engine of a benchmark's own, as processes."""

    @property
    def engine_group(self) -> int:
        """The process group of the engine."""
        assert self._engine is not None
        return self._engine.process.pid


class ReadyStack(HostedEngine):
    """A signalling server and that engine, as processes."""

    def __init__(self, kind: str, delay: float, stack: str) -> None:
        super().__init__()
        self._about = (kind, delay, stack)

    def _engine_child(self, streamer_url: str) -> Child:
        kind, delay, stack = self._about
        command = [sys.executable, __file__, "--picture", kind, "--delay", str(1000 * delay), "--host", streamer_url]
        return Child(command, environment={TRANSPORT_VARIABLE: stack}, name="the ready engine")


def encoded_size(frame: Frame) -> int:
    """Return the bytes of the picture's file."""
    return len(frame.encoded())


def measure(
    engine: Engine,
    options: RenderOptions,
    seconds: float,
    start: int,
    group: int | None,
    take: Callable[[Frame], int] = encoded_size,
) -> dict[str, float]:
    """Return pictures a second, megabytes a second, and CPU milliseconds of a picture in both processes.

    ``take`` is done with each picture; megabytes and kilobytes are of what it returns.
    """
    todo = (Scene({"World_Name": "Desert", "Camera_Yaw": (start + n) * 0.003 % 360}) for n in range(10**6))
    answers = engine.render(todo, options)
    for _ in range(20):
        next(answers)
    count, size = 0, 0
    begun, used, there = time.perf_counter(), time.process_time(), cpu_of_group(group) if group else 0.0
    for answer in answers:
        if isinstance(answer, Failure):
            raise EngineError(answer.reason)
        size += take(answer)
        count += 1
        if time.perf_counter() - begun >= seconds:
            break
    took = time.perf_counter() - begun
    here, there = time.process_time() - used, (cpu_of_group(group) if group else 0.0) - there
    answers.close()  # type: ignore[attr-defined]
    return {
        "per_second": count / took, "mb_per_second": size / took / 1e6, "kb": size / count / 1e3,
        "cpu_ms": 1000 * (here + there) / count, "client_ms": 1000 * here / count, "engine_ms": 1000 * there / count,
    }  # fmt: skip


def turn(way: str, arguments: argparse.Namespace, number: int) -> dict[str, float]:
    """Measure one way once, with an engine of its own; ``native-aiortc`` is a native client of an aiortc engine."""
    side, format = PICTURES[arguments.picture]
    options = RenderOptions((side, side), format=format)  # type: ignore[arg-type]
    with ExitStack() as stack:
        group = None
        engine: Engine
        if way == "in process":
            engine = ReadyEngine(arguments.picture, arguments.delay / 1000)
        else:
            client, _, host = way.partition("-")
            running = stack.enter_context(ReadyStack(arguments.picture, arguments.delay / 1000, host or client))
            engine = RemoteEngine(
                running.url, lost=running.lost, pixels="channel", in_flight=arguments.in_flight, transport=client
            )
            group = running.engine_group
        stack.callback(engine.close)
        return measure(engine, options, arguments.seconds, 10_000 * number, group)


@contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Keep every core busy meanwhile, if that is wanted."""
    processes = [Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1) if wanted]
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.wait()


def tell(found: dict[str, list[dict[str, float]]], arguments: argparse.Namespace) -> None:
    """Print medians, ratios and bars."""
    here, slow = found.get("in process"), found.get("aiortc")
    for way, rates in found.items():
        middle = {name: statistics.median(one[name] for one in rates) for name in rates[0]}
        words = (
            f"{way}: {middle['per_second']:.1f} pictures/s of {middle['kb']:.1f} kB, "
            f"{middle['mb_per_second']:.2f} MB/s, {middle['cpu_ms']:.2f} ms of CPU each "
            f"(client {middle['client_ms']:.2f}, engine {middle['engine_ms']:.2f})"
        )
        for other, name in ((here, "in process"), (slow, "aiortc")):
            if other and way not in ("in process", name):
                ratios = sorted(one["per_second"] / two["per_second"] for one, two in zip(rates, other, strict=True))
                words += f"; of {name} {statistics.median(ratios):.2f} ({', '.join(f'{one:.2f}' for one in ratios)})"
        print(words)
    if "native" not in found:
        return
    native = found["native"]
    if arguments.picture == "small" and here and arguments.delay:
        ratio = statistics.median(a["per_second"] / b["per_second"] for a, b in zip(native, here, strict=True))
        cpu = statistics.median(one["cpu_ms"] for one in native)
        met = ratio >= BAR_RATIO and cpu <= BAR_CPU
        print(f"bar: {BAR_RATIO:.0%} of in process and {BAR_CPU:g} ms: {'met' if met else 'MISSED'}")
    elif arguments.picture == "large" and slow:
        bar = BAR_BUSY if arguments.busy else BAR_QUIET
        ratio = statistics.median(a["per_second"] / b["per_second"] for a, b in zip(native, slow, strict=True))
        print(f"bar: {bar:g} times aiortc: {'met' if ratio >= bar else 'MISSED'} with {ratio:.2f}")


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", choices=sorted(PICTURES), default="small", help="15 kB of JPEG or 400 kB of PNG")
    parser.add_argument("--delay", type=float, default=20.0, help="milliseconds that the engine sleeps for a picture")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way")
    parser.add_argument("--ways", nargs="+", default=WAYS, help="native-aiortc: a native client of an aiortc engine")
    parser.add_argument("--in-flight", type=int, default=2, help="pictures asked for ahead")
    parser.add_argument("--busy", action="store_true", help="one busy process a core meanwhile")
    parser.add_argument("--bars", action="store_true", help="the three that have a bar, whatever else is said")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--host", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.host:
        streamer = Streamer(lambda: ReadyEngine(arguments.picture, arguments.delay / 1000), arguments.host)
        run(streamer.run(lambda: announce({"engine": "ready"})))
        return
    for case in BARS if arguments.bars else ({},):
        one = argparse.Namespace(**{**vars(arguments), **case})
        if case:
            print(f"{one.picture} pictures{' with one busy process a core' if one.busy else ''}")
        report(one, *compared(one))


def compared(arguments: argparse.Namespace) -> tuple[float, dict[str, list[dict[str, float]]]]:
    """Return the load before, and what each way measured, round by round."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    load = os.getloadavg()[0]
    with busy(arguments.busy):
        for number in range(arguments.rounds):
            for way in arguments.ways if number % 2 == 0 else reversed(arguments.ways):
                found[way].append(turn(way, arguments, number))
                print(f"{way}: {found[way][-1]['per_second']:.1f} pictures/s", file=sys.stderr, flush=True)
    return load, found


def report(arguments: argparse.Namespace, load: float, found: dict[str, list[dict[str, float]]]) -> None:
    """Print what was measured, for people or as JSON."""
    if arguments.json:
        print(json.dumps({**vars(arguments), "load": load, "found": found}, indent=1))
        return
    print(f"load before {load:.1f}, after {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    tell(found, arguments)


if __name__ == "__main__":
    main()
