"""How long probing takes: 12 layers × 6 factors on 20,000 stored features of 768 numbers.

    python benchmarks/speed/probing.py [--pictures 20000] [--layers 12] [--width 768] [--probe logistic]

Features are drawn: each factor is a direction per level that grows or fades with depth, over noise whose spectrum falls
as that of real features does. The levels are those of PUG: Animals (64 worlds, 70 animals, 3 sizes, 4 yaws, 4 textures,
2 splits of animals).
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchmultiverse.analyze.layer_accuracy import probe_layers
from torchmultiverse.features.extract import Features

LEVELS = {
    "world_name": 64,
    "character_name": 70,
    "character_scale": 3,
    "camera_yaw": 4,
    "character_texture": 4,
    "kind": 2,
}


def drawn(pictures: int, layers: int, width: int) -> Features:
    rng = np.random.default_rng(0)
    codes = {name: rng.integers(0, count, pictures) for name, count in LEVELS.items()}
    codes["kind"] = codes["character_name"] % 2
    spectrum = (0.15 + np.exp(-np.arange(width) / (width / 5))).astype(np.float32)
    held = {}
    for layer in range(layers):
        vectors = rng.normal(size=(pictures, width)).astype(np.float32) * spectrum
        for number, (name, count) in enumerate(LEVELS.items()):
            strength = 0.02 * np.sin(np.pi * (layer + 1 + number) / (layers + 3))
            vectors += strength * rng.normal(size=(count, width)).astype(np.float32)[codes[name]]
        held[f"blocks.{layer}"] = vectors
    columns = {
        name: np.array([f"{name} {k}" for k in range(count)], object)[codes[name]] for name, count in LEVELS.items()
    }
    return Features("drawn", "drawn", held, columns, np.arange(pictures), {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--probe", default="logistic")
    arguments = parser.parse_args()
    features = drawn(arguments.pictures, arguments.layers, arguments.width)
    begun = time.perf_counter()
    found = probe_layers(features, list(LEVELS), [arguments.probe], quiet=True)
    seconds = time.perf_counter() - begun
    for factor in LEVELS:
        curve = [one.score for one in found.curve(factor, arguments.probe)]
        print(f"{factor:18} " + " ".join(f"{100 * value:5.1f}" for value in curve))
    print(
        f"{len(found.accuracies)} {arguments.probe} probes in {seconds:.1f} s, "
        f"{seconds / len(found.accuracies):.2f} s each"
    )


if __name__ == "__main__":
    main()
