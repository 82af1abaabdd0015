"""Pictures per second through WebRTC, beside the same engine called in this process, and what each stage costs.

    python benchmarks/speed/remote.py --engine builtin
    python benchmarks/speed/remote.py --engine marker

256 × 256 JPEG (the bar is 80 % of the in-process rate with the built-in engine at its default samples), and lossless
512 × 512. Both ways end with encoded bytes, warmed up, one client. They take turns, and each pair of turns gives one
ratio: other work on the machine slows both. The cost of a picture is CPU time: rendering, encoding and hashing measured
in this process, sending as what the engine's process needs beside them, receiving as what this process needs for
pictures that come over WebRTC (it hashes them as well), decoding, which a dataset leaves out. Last, the transport's own
limit: noise that weighs what a rendered picture does and costs nothing to draw, in bytes per second.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions, codec
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol.webrtc import choose_stack
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import LocalStack, Streamer
from torchmultiverse.serve.launch import Child
from torchmultiverse.serve.process import announce, run

BAR = 0.8
SMALL = "256 × 256 JPEG"
WAYS = ("in process", "WebRTC")


class NoiseEngine(MarkerEngine):
    """Answers at once with one picture that weighs what a rendered one does, about 400 kB: noise of four bits."""

    def __init__(self) -> None:
        super().__init__()
        noise = np.random.default_rng(0).integers(0, 16, (512, 512, 3), dtype=np.uint8)
        self.data = codec.encode("rgb", noise, "png")

    @override
    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            yield Frame(scene, encoded={"rgb": self.data}, settle={"settled": True}, engine="noise")


class GroupedStack(LocalStack):
    """A signalling server and an engine, whose process group is known."""

    @property
    def engine_group(self) -> int:
        """The process group of the engine."""
        assert self._engine is not None
        return self._engine.process.pid


class NoiseStack(GroupedStack):
    """A signalling server and the noise engine, as processes."""

    def _engine_child(self, streamer_url: str) -> Child:
        return Child([sys.executable, __file__, "--host-noise", streamer_url], name="the noise engine")


def builtin() -> Engine:
    from torchmultiverse.engines.builtin import BuiltinEngine

    return BuiltinEngine()


HERE: dict[str, Callable[[], Engine]] = {"builtin": builtin, "marker": MarkerEngine}


def scenes(engine: Engine, count: int, start: int = 0) -> list[Scene]:
    factors = engine.catalogue().factors
    world = (factors["World_Name"].levels or ["Desert"])[0]
    character = next(name for name in factors["Character_Name"].levels or [] if name != "blank")
    step = 360 / 997  # never twice the same within a run
    return [
        Scene({"World_Name": world, "Character_Name": character, "Camera_Yaw": round((start + n) * step % 360, 3)})
        for n in range(count)
    ]


def frames(answers: Iterator[Frame | Failure]) -> Iterator[bytes]:
    for answer in answers:
        if isinstance(answer, Failure):
            raise EngineError(answer.reason)
        yield answer.encoded("rgb")


@dataclass(frozen=True)
class Rate:
    """How fast pictures came.

    Attributes:
        per_second: pictures.
        weight: bytes of each.
        cpu: seconds of this process for each.
        engine_cpu: seconds of the engine's process for each; 0 where it is this one.
    """

    per_second: float
    weight: float
    cpu: float
    engine_cpu: float

    @property
    def mb_per_second(self) -> float:
        """Megabytes per second."""
        return self.per_second * self.weight / 1e6


def cpu_of_group(group: int) -> float:
    """Return the CPU seconds so far of all processes of a group that live."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rate(engine: Engine, options: RenderOptions, seconds: float, start: int, group: int | None = None) -> Rate:
    """Run for about `seconds`, at least three pictures; ``group``: the process group of the engine."""
    todo = scenes(engine, 5000, start)
    stream = frames(engine.render(todo, options))
    sizes: list[int] = []
    begun, used, there = time.perf_counter(), time.process_time(), cpu_of_group(group) if group else 0.0
    for data in stream:
        sizes.append(len(data))
        if len(sizes) >= 3 and time.perf_counter() - begun >= seconds:
            break
    took, count = time.perf_counter() - begun, len(sizes)
    used, there = time.process_time() - used, (cpu_of_group(group) if group else 0.0) - there
    stream.close()  # type: ignore[attr-defined]
    return Rate(count / took, float(np.mean(sizes)), used / count, there / count)


def stages(engine: Engine, options: RenderOptions, count: int = 12) -> dict[str, float]:
    """Return CPU seconds of a picture by stage, in this process; the first picture is not counted."""
    totals = dict.fromkeys(("render", "encode", "hash", "decode"), 0.0)
    rendered = engine.render(scenes(engine, count + 1, 3000), options)
    for number in range(count + 1):
        marks = [time.process_time()]
        frame = next(rendered)
        if isinstance(frame, Failure):
            raise EngineError(frame.reason)
        marks.append(time.process_time())
        data = frame.encoded("rgb")
        marks.append(time.process_time())
        hashlib.sha256(data).hexdigest()
        marks.append(time.process_time())
        codec.decode("rgb", data)
        marks.append(time.process_time())
        if number:
            for name, (begin, end) in zip(totals, pairwise(marks), strict=True):
                totals[name] += (end - begin) / count
    return totals


def compare(name: str, options: RenderOptions, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one size both ways, in turn, and its stages."""
    pairs: list[dict[str, Rate]] = []
    for turn in range(arguments.rounds):
        pair: dict[str, Rate] = {}
        # One at a time: two renderers at once would take each other's cores.
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            with ExitStack() as stack:
                group = None
                if way == "WebRTC":
                    running = stack.enter_context(GroupedStack(arguments.engine))
                    engine: Engine = RemoteEngine(running.url, lost=running.lost, pixels="channel")
                    group = running.engine_group
                else:
                    engine = HERE[arguments.engine]()
                stack.callback(engine.close)
                rate(engine, options, min(3.0, arguments.seconds), start=1000 * turn)  # compile, connect, warm up
                pair[way] = rate(engine, options, arguments.seconds, 1000 * turn + 500, group)
            print(f"{name}, {way}: {pair[way].per_second:.2f} pictures/s", file=sys.stderr, flush=True)
        pairs.append(pair)
    engine = HERE[arguments.engine]()
    try:
        cost = stages(engine, options)
    finally:
        engine.close()
    remote = [pair["WebRTC"] for pair in pairs]
    here = sum(cost[stage] for stage in ("render", "encode", "hash"))
    cost["send"] = max(statistics.median(one.engine_cpu for one in remote) - here, 0.0)
    cost["receive"] = statistics.median(one.cpu for one in remote)
    return {
        "in_process_per_s": [pair["in process"].per_second for pair in pairs],
        "webrtc_per_s": [one.per_second for one in remote],
        "ratios": [pair["WebRTC"].per_second / pair["in process"].per_second for pair in pairs],
        "bytes_per_picture": statistics.mean(one.weight for one in remote),
        "webrtc_mb_per_s": max(one.mb_per_second for one in remote),
        "cpu_ms": {stage: 1000 * seconds for stage, seconds in cost.items()},
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=sorted(HERE), default="builtin")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--samples", type=int, default=None, help="the engine's default if not given")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of turns, in process and over WebRTC")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--host-noise", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.host_noise:
        streamer = Streamer(NoiseEngine, arguments.host_noise)
        run(streamer.run(lambda: announce({"engine": "noise"})))
        return
    sizes = {
        SMALL: RenderOptions(size=(256, 256), format="jpeg", samples=arguments.samples),
        "512 × 512 PNG": RenderOptions(size=(512, 512), format="png", samples=arguments.samples),
    }
    result = {name: compare(name, options, arguments) for name, options in sizes.items()}
    limit = transport_limit(min(arguments.seconds, 8.0))
    if arguments.json:
        facts = {"mb_per_s": limit.mb_per_second, "cpu_ms": 1000 * limit.cpu, "engine_cpu_ms": 1000 * limit.engine_cpu}
        print(json.dumps({"engine": arguments.engine, "transport": facts, **result}, indent=1))
        return
    print(f"engine '{arguments.engine}'; {arguments.rounds} pairs of {arguments.seconds:g} s each")
    for name, found in result.items():
        wall = found["webrtc_mb_per_s"] > 0.7 * limit.mb_per_second
        middle = {key: statistics.median(found[key]) for key in ("in_process_per_s", "webrtc_per_s", "ratios")}
        print(
            f"{name}: {middle['in_process_per_s']:.2f} pictures/s in process, {middle['webrtc_per_s']:.2f} through "
            f"WebRTC; ratios of the pairs {', '.join(f'{100 * one:.0f}' for one in sorted(found['ratios']))} %, median "
            f"{100 * middle['ratios']:.0f} %; {found['bytes_per_picture'] / 1e3:.1f} kB each, "
            f"{found['webrtc_mb_per_s']:.2f} MB/s" + (": the transport is the wall" if wall else "")
        )
        print("  CPU ms a picture: " + ", ".join(f"{stage} {ms:.1f}" for stage, ms in found["cpu_ms"].items()))
    print(
        f"transport alone ({choose_stack()}): {limit.mb_per_second:.2f} MB/s of incompressible pictures of "
        f"{limit.weight / 1e3:.0f} kB, of which each costs the sender {1000 * limit.engine_cpu:.1f} ms of CPU and the "
        f"receiver {1000 * limit.cpu:.1f} ms"
    )
    if arguments.engine == "builtin":
        ratio = statistics.median(result[SMALL]["ratios"])
        print(f"bar: {100 * BAR:.0f} % at {SMALL}: {'met' if ratio >= BAR else 'MISSED'} with {100 * ratio:.0f} %")


def transport_limit(seconds: float) -> Rate:
    """Return how fast large pictures that cost nearly nothing to draw go over WebRTC between two processes."""
    options = RenderOptions(size=(512, 512), passes=("rgb",), format="png")
    with NoiseStack() as stack:
        engine = RemoteEngine(stack.url, lost=stack.lost, pixels="channel")
        try:
            rate(engine, options, 1.0, 0)
            return rate(engine, options, seconds, 500, stack.engine_group)
        finally:
            engine.close()


if __name__ == "__main__":
    main()
