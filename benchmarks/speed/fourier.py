"""How long changes in the Fourier domain take beside torchvision's color jitter, and views with small crops.

    python benchmarks/speed/fourier.py [--seconds 3]

Milliseconds of CPU time a picture, one thread, uint8 pictures of 224 and of 64 pixels. Each change is made every time;
in training it is made in 20 % (frequency: 50 %) of the first views.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torchvision.transforms import v2

from torchmultiverse.train import AugmentedViews
from torchmultiverse.train.augment import SmallCrops
from torchmultiverse.train.fourier import FourierAugmentation
from torchmultiverse.train.settings import FOURIER, IMAGE_AUGMENTATIONS


def cost(call: Callable[[], Any], seconds: float) -> float:
    """Milliseconds of CPU time a call."""
    for _ in range(3):
        call()
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        call()
        count += 1
    return 1000 * (time.process_time() - start) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for side in (224, 64):
        picture = torch.randint(0, 256, (3, side, side), dtype=torch.uint8)
        jitter = v2.ColorJitter(0.4, 0.4, 0.2, 0.1)
        base = cost(lambda picture=picture, jitter=jitter: jitter(picture), seconds)
        print(f"{side} pixels: color jitter {base:.2f} ms")
        for name in FOURIER:
            change = FourierAugmentation([name], {name: 1.0})
            found = cost(lambda picture=picture, change=change: change(picture), seconds)
            print(f"  {name:>10} {found:6.2f} ms  {found / base:5.2f} of the jitter")
        every = FourierAugmentation(FOURIER)
        found = cost(lambda picture=picture, every=every: every(picture), seconds)
        print(f"  {'as trained':>10} {found:6.2f} ms  {found / base:5.2f} of the jitter")
        pixels = np.random.default_rng(0).integers(0, 256, (8, side * 5 // 4, side * 5 // 4, 3), dtype=np.uint8)
        for name, augment, small, whole in (
            ("two views", IMAGE_AUGMENTATIONS, None, 2),
            ("and Fourier", (*IMAGE_AUGMENTATIONS, *FOURIER), None, 2),
            ("1 + 8 crops", IMAGE_AUGMENTATIONS, SmallCrops(8, side * 3 // 7), 1),
        ):
            views = AugmentedViews(pixels, side, augment, 0.25, 0, small=small, whole=whole)
            print(f"  {name:>11} {cost(lambda views=views: views(np.arange(8), 0), seconds) / 8:6.2f} ms a picture")


if __name__ == "__main__":
    main()
