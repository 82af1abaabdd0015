"""Do drawn pictures keep what the vector holds, and vary in the rest? On 8 × 8 pictures of a square, in minutes.

    python benchmarks/trends/rcdm_toy.py [--steps 4000]

A square of a random colour at a random place; the vector holds its colour, its place, or nothing. Prints how much
both vary in pictures of one vector (Var(attribute | vector) / Var(attribute)), and the ranks among 300 held-out
vectors, beside what two independent runs of the equations found at 4,000 steps, and says whether each is as it should
be: what is in the vector varies by less than a tenth, what is not by more than 0.6, ranks above 0.6 with a condition
and below 0.05 without.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from toys import SIDE, seen, squares

from torchmultiverse.analyze.fidelity import measure_fidelity, variance_ratio
from torchmultiverse.analyze.rcdm import sample
from torchmultiverse.models.diffusion import decoder_preset, load_decoder
from torchmultiverse.train import DiffusionTraining, train_decoder

RUNS = (
    ("colour", "add_emb", (0.025, 1.02, 0.870)),
    ("colour", "cond_bn", (0.019, 1.12, 0.872)),
    ("place", "add_emb", (0.79, 0.061, 0.711)),
    ("colour", "none", (0.81, 1.10, 0.024)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    # Vectors are what an analytic encoder sees in the pictures: the same one that looks at the drawn ones.
    pixels, others = squares(4000)[0], squares(300, seed=1)[0]
    (colours, places), (held_colours, held_places) = (
        tuple(part.astype(np.float32) for part in seen(some)) for some in (pixels, others)
    )
    print(f"{'in the vector':>14} {'conditioning':>12} {'colour':>8} {'place':>8} {'MRR':>7}   (reference)")
    for what, conditioning, reference in RUNS:
        vectors, held = (colours, held_colours) if what == "colour" else (places, held_places)
        with tempfile.TemporaryDirectory() as folder:
            settings: Any = {"conditioning": conditioning}
            config = decoder_preset("tiny", SIDE, vectors.shape[1], **settings)
            training = DiffusionTraining(steps=steps, batch_size=64, learning_rate=2e-3, ema=0.999)
            train_decoder(pixels, vectors, config, Path(folder), training)
            drawn = sample(load_decoder(folder), held[:12], 16, 50)
        colour, place = seen(drawn.reshape(-1, SIDE, SIDE, 3))
        rows = np.repeat(np.arange(12), 16)
        found = measure_fidelity(held, (colour if what == "colour" else place).astype(np.float32), rows).mrr
        ratios = {"colour": variance_ratio(colour, rows), "place": variance_ratio(place, rows)}
        if conditioning == "none":
            fine = min(ratios.values()) > 0.6 and found < 0.05
        else:
            other = "place" if what == "colour" else "colour"
            fine = ratios[what] < 0.1 and ratios[other] > 0.6 and found > 0.6
        said = "as it should be" if fine else "NOT as it should be"
        print(
            f"{what:>14} {conditioning:>12} {ratios['colour']:8.3f} {ratios['place']:8.3f} {found:7.3f}   "
            f"({', '.join(f'{value:g}' for value in reference)}): {said}",
            flush=True,
        )


if __name__ == "__main__":
    main()
