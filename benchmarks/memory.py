"""Whether memory stays flat over a long run: resident size after 1,000 pictures and at the end, test cards at 48×48.

python benchmarks/memory.py [--pictures 20000] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.farm import generate


def resident() -> float:
    """Return megabytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    factors = {
        "World_Name": ["Desert", "Snow"],
        "Camera_Yaw": list(range(360)),
        "Camera_Pitch": list(range(-(-arguments.pictures // 720))),
    }
    samples: list[tuple[int, float]] = []
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        status = Path(folder) / "d" / "status.json"

        def watch() -> None:
            while not done.wait(0.5):
                if status.exists():
                    samples.append((json.loads(status.read_text())["rendered"], resident()))

        thread = threading.Thread(target=watch)
        thread.start()
        start = time.perf_counter()
        limits = {"size": 48, "limit": arguments.pictures, "workers": arguments.workers}
        generate(factors, Path(folder) / "d", MarkerEngine, progress=False, **limits)
        seconds = time.perf_counter() - start
        done.set()
        thread.join()
    first = next(megabytes for count, megabytes in samples if count >= 1000)
    rendering = [m for count, m in samples if 1000 <= count < arguments.pictures]
    print(f"{arguments.pictures} pictures in {seconds:.0f} s with {arguments.workers} workers")
    print(
        f"after 1,000: {first:.0f} MB; most while rendering: {max(rendering):.0f} MB, {max(rendering) / first - 1:+.1%}"
    )
    print(f"most of all, quality report and card included: {max(m for _, m in samples):.0f} MB")


if __name__ == "__main__":
    main()
