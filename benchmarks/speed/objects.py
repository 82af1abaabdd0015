"""What a picture with an object costs beside one with an animal, and how noisy one of glass is.

    python benchmarks/speed/objects.py [--rounds 4] [--size 256] [--samples 16]

In each round every character is rendered once, in turn, in one process and one world; the first round is not counted
(kernels are compiled, meshes read). Printed: the least CPU seconds of each, its ratio to the animal's, and the peak
signal-to-noise ratio of the denoised picture at 128 pixels against one of 1,024 samples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.scenes import Scene

ANIMAL = "Elephant"
CHARACTERS = (
    (ANIMAL, "Default"), ("Cofee_Mug_1", "Default"), ("Bycicle_1", "Default"), ("Locomotive_1", "Default"),
    ("Sweatshirt_1", "Default"), ("Cofee_Mug_3", "Default"), ("WineBottle_1", "Default"), (ANIMAL, "Glass_1"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="(default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=16, help="per pixel (default: %(default)s)")
    parser.add_argument("--world", default="SaltFlats", help="(default: %(default)s)")
    args = parser.parse_args()
    engine = BuiltinEngine()

    def picture(name: str, texture: str, size: int, samples: int, seed: int = 0):
        factors = {"World_Name": args.world, "Character_Name": name, "Character_Texture": texture}
        options = RenderOptions(size=(size, size), samples=samples, seed=seed)
        (frame,) = engine.render([Scene(factors)], options)
        if isinstance(frame, Failure):
            raise SystemExit(frame.reason)
        return frame

    taken: dict[tuple[str, str], list[float]] = {character: [] for character in CHARACTERS}
    for k in range(args.rounds + 1):
        for character in CHARACTERS:
            start = time.process_time()
            picture(*character, args.size, args.samples)
            if k:
                taken[character].append(time.process_time() - start)
    base = min(taken[ANIMAL, "Default"])
    print(f"{'character':<16} {'texture':<8} CPU s  of the animal's  PSNR dB")
    for character, values in taken.items():
        exact = picture(*character, 128, 1024, seed=1).array().astype(float)
        noisy = picture(*character, 128, args.samples).array().astype(float)
        psnr = 10 * np.log10(255**2 / np.mean((exact - noisy) ** 2))
        print(f"{character[0]:<16} {character[1]:<8} {min(values):5.2f}  {min(values) / base:15.2f}  {psnr:7.1f}")


if __name__ == "__main__":
    main()
