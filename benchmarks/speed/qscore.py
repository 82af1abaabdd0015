"""How fast the Q-Score of many rows on disk is found, and with how much memory of its own.

    python benchmarks/speed/qscore.py [--rows 1000000] [--features 2048] [--folder DIR]

Writes float16 features to a file, reads it once so that it is in the page cache, and scores it from a memory map. The
memory is that of the process beside the map: the peak of anonymous memory.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from torchmultiverse.features import active_features, discriminative_features


def private_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the Q-Score of many rows on disk is found.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "features.npy"
        held = np.lib.format.open_memmap(path, "w+", np.float16, (asked.rows, asked.features))
        some = rng.gamma(0.25, 1.0, (8192, asked.features)).astype(np.float16)  # as sparse as features after a ReLU
        for start in range(0, asked.rows, len(some)):
            part = held[start : start + len(some)]
            part[:] = np.roll(some, start // len(some), 1)[: len(part)]
        held.flush()
        del held, some
        features = np.load(path, mmap_mode="r")
        with path.open("rb") as file:
            while file.read(2**24):
                pass
        peak, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.05):
                peak[0] = max(peak[0], private_bytes())

        threading.Thread(target=watch).start()
        start = time.perf_counter()
        active = active_features(features)
        scores, _ = active.scores(discriminative_features(active.activity()))
        took = time.perf_counter() - start
        done.set()
    print(f"{asked.rows:,} rows × {asked.features:,} float16 features, {active.counts.mean():.0f} active in a row")
    print(f"{took:.1f} s, {peak[0] / 2**30:.2f} GiB of private memory, mean score {scores.mean():.4f}")


if __name__ == "__main__":
    main()
