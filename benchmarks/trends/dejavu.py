"""Does memory grow with training, and is it in the head? On a toy of vectors, in a few minutes on two cores.

    python benchmarks/trends/dejavu.py [--seeds 2]

Prints DV_100 by epochs and by layer, by loss, by width and by number of training pictures, and says of each trend of
the source (Meehan et al., 2023) whether it was found. The order of the losses is printed and claimed by nobody: toys
order them differently.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import numpy as np
from toys import memory

LAYERS = ("trunk", "head.1", "head.2", "head.3")


def score(seeds: int, layers: tuple[str, ...] = LAYERS, **settings: object) -> dict[str, float]:
    found = [memory(seed=seed, layers=layers, **settings) for seed in range(seeds)]  # type: ignore[arg-type]
    return {layer: float(np.mean([one[layer][0].at(1.0).score for one in found])) for layer in layers}


def row(title: str, values: dict[str, float]) -> None:
    print(f"{title:>22} " + " ".join(f"{100 * values[layer]:8.1f}" for layer in values), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    seeds = parser.parse_args().seeds
    print(f"DV_100 in points, mean of {seeds} seeds\n{'':>22} " + " ".join(f"{layer:>8}" for layer in LAYERS))
    by_epoch = {}
    for epochs in (0, 15, 30, 60, 120):
        by_epoch[epochs] = score(seeds, epochs=epochs)
        row(f"{epochs} epochs", by_epoch[epochs])
    by_width = {}
    for width in (32, 64, 128, 256):
        by_width[width] = score(seeds, ("head.3",), epochs=60, width=width)["head.3"]
        print(f"{f'width {width}':>22} {100 * by_width[width]:8.1f}  (head.3)", flush=True)
    for method in ("vicreg", "simclr", "barlow", "byol", "dino", "supervised"):
        row(method, score(seeds, epochs=60, method=method))
    for count in (256, 512, 1024, 2048):
        row(f"{count} pictures", score(seeds, epochs=60, count=count))
    head = [values["head.3"] for values in by_epoch.values()]
    depth = [by_epoch[60][layer] for layer in LAYERS]
    widths = list(by_width.values())
    for trend, found in (
        ("none before training", abs(head[0]) < 0.03),
        ("rises with epochs", all(b > a for a, b in pairwise(head[1:]))),
        ("falls with the cut", all(b > a for a, b in pairwise(depth))),
        ("rises with width", widths[-1] > widths[0]),
    ):
        print(f"{trend}: {'found' if found else 'NOT found'}")


if __name__ == "__main__":
    main()
