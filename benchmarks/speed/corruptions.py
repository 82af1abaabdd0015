"""How long does each corruption take? CPU time a picture on one thread, and how many pictures a dataset's view makes.

    OMP_NUM_THREADS=1 python benchmarks/speed/corruptions.py [--side 224] [--times 10]

A made picture of the size, severity 3, median of some runs; depth as of a scene with a near and a far thing and sky.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from PIL import Image

from torchmultiverse.corruptions import CORRUPTIONS, IMAGENET_C, corrupt, picture_rng
from torchmultiverse.store import CorruptedImages, ImageList


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--times", type=int, default=10)
    asked = parser.parse_args()
    image, depth = picture(asked.side)
    took = {}
    for name in CORRUPTIONS:
        corrupt(image, name, 3, picture_rng(name, 0, b""), depth)  # imports
        runs = []
        for run in range(asked.times):
            start = time.process_time()
            corrupt(image, name, 3, picture_rng(name, run, b""), depth)
            runs.append(time.process_time() - start)
        took[name] = statistics.median(runs)
        print(f"{name:>18} {1000 * took[name]:7.1f} ms", flush=True)
    mean = statistics.mean(took[name] for name in IMAGENET_C)
    print(
        f"{'mean of the 15':>18} {1000 * mean:7.1f} ms; 1,000 pictures at five severities: {75_000 * mean / 60:.0f} min"
    )
    images = ImageList([Image.fromarray(np.roll(image, k, 1)) for k in range(64)], [{"label": "a"}] * 64)
    start = time.perf_counter()
    for _ in CorruptedImages(images, "elastic_transform", 3).iter_images():
        pass
    print(f"{'a dataset':>18} {64 / (time.perf_counter() - start):7.1f} pictures/s (elastic_transform, all cores)")


def picture(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture and its depth."""
    small = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    depth = np.broadcast_to(np.linspace(30, 2, side)[:, None], (side, side)).astype(np.float32).copy()
    depth[: side // 4] = np.inf
    depth[side // 3 : 2 * side // 3, side // 3 : side // 2] = 2.5
    return image, depth


if __name__ == "__main__":
    main()
