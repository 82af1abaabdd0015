"""How many pictures a second a live stream brings into a training loop.

    python benchmarks/speed/stream.py [--size 64] [--samples 4] [--pictures 300] [--worlds Desert,Snow,Museum]
        [--device cuda]

The first 30 pictures (engine, kernel, worlds) are not counted. The loop does nothing but take batches.
"""

from __future__ import annotations

import argparse
import itertools
import time

from torchmultiverse.stream import RenderStream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--worlds", default="Desert,Snow,Museum")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--engine", default="inprocess")
    parser.add_argument("--device", help="cuda: pictures are handed over on the GPU; with --size 224 --samples 16")
    arguments = parser.parse_args()
    every = arguments.worlds.split(",")
    for worlds in [[every[0]], every] if len(every) > 1 else [every]:
        spec = {
            "World_Name": worlds,
            "Character_Name": ["Zebra", "Elephant", "Camel", "Penguin"],
            "Camera_Yaw": list(range(360)),
        }
        with RenderStream(
            spec,
            arguments.engine,
            size=arguments.size,
            samples=arguments.samples,
            workers=arguments.workers,
            device=arguments.device,
        ) as stream:
            each = iter(stream)
            for _ in itertools.islice(each, 30):
                pass
            start = time.perf_counter()
            count = sum(1 for _ in itertools.islice(each, arguments.pictures))
            rate = count / (time.perf_counter() - start)
            print(f"{len(worlds)} worlds: {rate:.1f} pictures/s; {stream}")


if __name__ == "__main__":
    main()
