"""Does the backbone read what the projector was told to forget? On a toy of vectors, in a minute on two cores.

    python benchmarks/trends/guillotine.py [--seeds 3]

Vectors of a shape and a colour; the two views of training redraw the colour. Prints what is read of both factors from
trunk and head, by method, and with views that keep the colour (nothing then asks for it to be forgotten), and says
whether the trends of the source (Bordes et al., 2023) were found.
"""

from __future__ import annotations

import argparse

import numpy as np
from toys import blind_to_colour

from torchmultiverse.train.ssl import METHODS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    print(f"accuracy in %, mean of {seeds} seeds\n{'':>24} {'shape':>15} {'colour (chance 25)':>22}")
    print(f"{'':>24} {'trunk':>7} {'head':>7} {'trunk':>11} {'head':>7} {'lost':>7}")
    lost = {}
    runs = [(method, False) for method in METHODS] + [("vicreg", True), ("simclr", True)]
    for method, aligned in runs:
        found = [blind_to_colour(method, aligned=aligned, seed=seed) for seed in range(seeds)]
        shape, colour = (
            np.mean([[one.score for one in f.curve(factor, "logistic")] for f in found], 0)
            for factor in ("shape", "colour")
        )
        name = method + (", colour kept" if aligned else "")
        lost[name] = float(colour[0] - colour[1])
        print(
            f"{name:>24} {100 * shape[0]:7.1f} {100 * shape[1]:7.1f} {100 * colour[0]:11.1f} {100 * colour[1]:7.1f} "
            f"{100 * lost[name]:7.1f}",
            flush=True,
        )
    told = {name: value for name, value in lost.items() if "kept" not in name}
    for trend, found_ in (
        ("every method's head reads the colour at least 10 points worse than its trunk", min(told.values()) > 0.1),
        ("less is lost where the views keep the colour", lost["vicreg, colour kept"] < lost["vicreg"] / 2),
    ):
        print(f"{trend}: {'found' if found_ else 'NOT found'}")


if __name__ == "__main__":
    main()
