"""How near does encoding come to what the machine can multiply? From the pixel cache, against bfloat16 matrix products.

Random weights: the time is the same. On a GPU:

    python benchmarks/speed/encoding.py --arch ViT-L-14 --pictures 20000
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np

from torchmultiverse.features.cache import DIGEST, CachedArrays
from torchmultiverse.features.cached_images import CachedImages
from torchmultiverse.features.encode import BatchSize, run_images
from torchmultiverse.models import load_model

_GFLOP = {"ViT-B-32": 8.82, "ViT-B-16": 35.13, "ViT-L-14": 162.0, "ViT-H-14": 334.6}
"""Of one picture, two operations a multiply-add; open_clip's model profile."""


def limit(torch, device, dtype, size: int) -> float:
    """Return TFLOP/s of the best of some matrix products."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(6):
        if device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        for _ in range(4):
            a @ b
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 8 * size**3 / (time.perf_counter() - started) / 1e12)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default="ViT-B-32", choices=sorted(_GFLOP))
    parser.add_argument("--pictures", type=int, default=256)
    given = parser.parse_args()
    import torch

    model = load_model(f"open_clip:{given.arch}/random")
    cuda = model.device.type == "cuda"
    model.change(precision="bfloat16" if cuda else "float32")
    roof = limit(torch, model.device, torch.bfloat16 if cuda else torch.float32, 8192 if cuda else 2048)
    side = model.info.preprocess.size
    with tempfile.TemporaryDirectory() as folder:
        arrays = CachedArrays(Path(folder), {}, np.uint8)
        rng = np.random.default_rng(0)
        digests = np.array([np.void(hashlib.sha256(b"%d" % i).digest()) for i in range(given.pictures)], DIGEST)
        for start in range(0, given.pictures, 256):
            part = digests[start : start + 256]
            arrays.add(part, rng.integers(0, 256, (len(part), *side, 3), dtype=np.uint8))
        feeds = [CachedImages(None, [(model.info.preprocess, arrays)], digests) for _ in range(2)]
        size = BatchSize(64, grow=cuda)
        rows = np.arange(given.pictures)
        run_images(model.encode_image, feeds[0], rows, "warm-up", size, True)
        started = time.perf_counter()
        run_images(model.encode_image, feeds[1], rows, given.arch, size, True)
        speed = given.pictures / (time.perf_counter() - started)
    reached = speed * _GFLOP[given.arch] / 1000
    print(
        f"{given.arch}, {model.info.precision}, batches of {size()}: {speed:,.1f} pictures/s = {reached:.2f} TFLOP/s; "
        f"matrix products {roof:.2f} TFLOP/s; {100 * reached / roof:.0f} %"
    )


if __name__ == "__main__":
    main()
