"""Pictures per second through WebRTC, beside the same engine called in this process.

    python benchmarks/speed/webrtc.py --engine builtin
    python benchmarks/speed/webrtc.py --engine marker

Two measurements in one run: 256 × 256 JPEG (the bar is 80 % of the in-process rate with the built-in engine at its
default samples), and lossless 512 × 512. Both ways end with encoded bytes, warmed up, one client. A third figure,
the marker engine's bytes per second, is the transport's own limit: no renderer stands in its way.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import numpy as np
from typing_extensions import override

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions, codec
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import LocalStack, Streamer
from torchmultiverse.serve.launch import Child
from torchmultiverse.serve.process import announce, run

BAR = 0.8


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


class NoiseStack(LocalStack):
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


def rate(engine: Engine, options: RenderOptions, seconds: float, start: int) -> tuple[float, float]:
    """Return pictures per second and bytes per picture; runs for about `seconds`, at least three pictures."""
    todo = scenes(engine, 5000, start)
    stream = frames(engine.render(todo, options))
    sizes: list[int] = []
    begun = time.perf_counter()
    for data in stream:
        sizes.append(len(data))
        if len(sizes) >= 3 and time.perf_counter() - begun >= seconds:
            break
    took = time.perf_counter() - begun
    stream.close()  # type: ignore[attr-defined]
    return len(sizes) / took, float(np.mean(sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=sorted(HERE), default="builtin")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each measurement")
    parser.add_argument("--samples", type=int, default=None, help="the engine's default if not given")
    parser.add_argument("--rounds", type=int, default=2, help="in process and over WebRTC take turns this often")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--host-noise", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.host_noise:
        streamer = Streamer(NoiseEngine, arguments.host_noise)
        run(streamer.run(lambda: announce({"engine": "noise"})))
        return
    sizes = {
        "256 × 256 JPEG": RenderOptions(size=(256, 256), format="jpeg", samples=arguments.samples),
        "512 × 512 PNG": RenderOptions(size=(512, 512), format="png", samples=arguments.samples),
    }
    result: dict[str, dict[str, float]] = {}
    for name, options in sizes.items():
        rates: dict[str, list[float]] = {"in process": [], "WebRTC": []}
        weight = 0.0
        for turn in range(arguments.rounds):
            # One at a time: two renderers at once would take each other's cores.
            for way in rates if turn % 2 == 0 else reversed(rates):
                with ExitStack() as stack:
                    if way == "WebRTC":
                        running = stack.enter_context(LocalStack(arguments.engine))
                        engine: Engine = RemoteEngine(running.url, lost=running.lost)
                    else:
                        engine = HERE[arguments.engine]()
                    stack.callback(engine.close)
                    rate(engine, options, min(3.0, arguments.seconds), start=1000 * turn)  # compile, connect, warm up
                    per_second, weight = rate(engine, options, arguments.seconds, start=1000 * turn + 500)
                    rates[way].append(per_second)
                    print(f"{name}, {way}: {per_second:.2f} pictures/s", file=sys.stderr, flush=True)
        best = {way: max(found) for way, found in rates.items()}
        result[name] = {
            "in_process_per_s": best["in process"],
            "webrtc_per_s": best["WebRTC"],
            "ratio": best["WebRTC"] / best["in process"],
            "bytes_per_picture": weight,
            "webrtc_mb_per_s": best["WebRTC"] * weight / 1e6,
        }
    limit = transport_limit(min(arguments.seconds, 8.0))
    if arguments.json:
        print(json.dumps({"engine": arguments.engine, "transport_mb_per_s": limit, **result}, indent=1))
        return
    print(f"engine '{arguments.engine}'; the best of {arguments.rounds} rounds of {arguments.seconds:g} s each")
    for name, r in result.items():
        wall = r["webrtc_mb_per_s"] > 0.7 * limit
        print(
            f"{name}: {r['in_process_per_s']:.2f} pictures/s in process, {r['webrtc_per_s']:.2f} through WebRTC "
            f"({100 * r['ratio']:.0f} %), {r['bytes_per_picture'] / 1e3:.1f} kB each, {r['webrtc_mb_per_s']:.2f} MB/s"
            + (": the transport is the wall" if wall else ": the transport is not the wall")
        )
    print(f"transport alone (aiortc, pure Python): {limit:.2f} MB/s of incompressible pictures")
    if arguments.engine == "builtin":
        ratio = result["256 × 256 JPEG"]["ratio"]
        print(
            f"bar: {100 * BAR:.0f} % at 256 × 256 JPEG: {'met' if ratio >= BAR else 'MISSED'} with {100 * ratio:.0f} %"
        )


def transport_limit(seconds: float) -> float:
    """Return MB/s of large pictures that cost nearly nothing to draw, over WebRTC between two processes."""
    options = RenderOptions(size=(512, 512), passes=("rgb",), format="png")
    with NoiseStack() as stack:
        engine = RemoteEngine(stack.url, lost=stack.lost)
        try:
            rate(engine, options, 1.0, 0)
            per_second, weight = rate(engine, options, seconds, 500)
        finally:
            engine.close()
    return per_second * weight / 1e6


if __name__ == "__main__":
    main()
