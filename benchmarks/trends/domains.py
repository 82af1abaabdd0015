"""Does a prefix for the domain keep the world out of the rest? Rendered animals, minutes on two cores.

    python benchmarks/trends/domains.py --out trend [--epochs 20] [--seeds 2]

Ten animals in five worlds, 800 pictures of 64 pixels, looked at with 32. Encoders learn by SimCLR from four worlds,
with and without domain disentanglement (``ddm=world_name``); a probe of the animal is asked about the fifth world, which no encoder and
no probe saw. Prints it beside how well the world is told and how far the features of an animal are the same in two
worlds, and says whether the trends of the source (arXiv 2309.03999) were found. What was interrupted goes on.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from torchmultiverse import generate, open_dataset
from torchmultiverse.analyze import RunOptions
from torchmultiverse.store import columns_of
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.transfer import DomainOptions, measure_domains

UNSEEN = "TokyoNight"
SPEC = {
    "name": "trend_domains", "family": "Animals", "seed": 0, "render": {"size": [64, 64]},
    "design": {"kind": "factorial", "factors": {
        "World_Name": ["Desert", "Snow", "Grass", "Opera", UNSEEN],
        "Character_Name": ["Elephant", "Camel", "Penguin", "Zebra", "Turtle", "Bear", "Goldfish", "Crow", "Cat", "Koi"],
        "Character_Scale": [0.8, 1.2], "Camera_Yaw": [0, 45, 90, 135, 180, 225, 270, 315],
    }},
}  # fmt: skip
TINY = {"backbone": "resnet10t", "size": 32, "head": (128, 64), "batch_size": 128, "augment": ("crop", "flip", "color")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--data", type=Path, help="such a dataset, rendered before")
    given = parser.parse_args()
    if given.data is None:
        generate(SPEC, given.out / "data", samples=4)
    data = open_dataset(given.data or given.out / "data")
    seen = np.flatnonzero(columns_of(data)["world_name"].astype(str) != UNSEEN)
    found: dict[str, list[list[float]]] = {}
    gaps = []
    for seed in range(given.seeds):
        for name, domain in (("SimCLR", ""), ("with the prefix", "world_name")):
            training = EncoderTraining(epochs=given.epochs, seed=seed, ddm=domain, **TINY)  # type: ignore[arg-type]
            folder = train_encoder(data, given.out / f"{'ddm' if domain else 'base'}-{seed}", training, rows=seen)
            layers = ["trunk", *(["head.split.prefix", "head.split"] if domain else [])]
            for layer in layers:
                options = DomainOptions(
                    "character_name", "world_name", f"World_Name = {UNSEEN}", [layer], factors=["world_name"]
                )
                asked = measure_domains(f"ssl:{folder}", data, options, RunOptions(seed, given.out / "features"))
                (one,) = asked.layers
                assert one.gap is not None
                overlap = one.overlap.between if one.overlap else float("nan")
                found.setdefault(f"{name}, {layer}", []).append(
                    [one.code.score, one.gap.trained, one.gap.unseen, one.gap.gap, overlap]
                )
            if domain:
                with open(folder / "domains.csv", newline="") as file:
                    gaps.append([float(row["critic_gap"]) for row in csv.DictReader(file)])
    print(f"accuracy in %, mean of {given.seeds} seeds; chance: world 20, animal 10")
    print(f"{'':>35} {'world told':>11} {'animal, seen worlds':>20} {'unseen world':>13} {'gap':>6} {'overlap':>8}")
    means = {name: np.mean(values, 0) for name, values in found.items()}
    for name, (told, trained, unseen, gap, overlap) in means.items():
        print(
            f"{name:>35} {100 * told:11.1f} {100 * trained:20.1f} {100 * unseen:13.1f} {100 * gap:6.1f} "
            f"{100 * overlap:8.1f}"
        )
    base, prefix, rest = (
        means[key] for key in ("SimCLR, trunk", "with the prefix, head.split.prefix", "with the prefix, head.split")
    )
    tail = max(1, given.epochs // 5)
    for trend, seen_ in (
        ("SimCLR alone writes the world", base[0] > 0.6),
        ("the prefix tells the world and hardly the animal", prefix[0] > 0.9 and prefix[1] < rest[1] - 0.1),
        (
            "the critic finds less in the rest at the end than at its best",
            all(np.mean(g[-tail:]) < max(g) for g in gaps),
        ),
        ("the world is told less well from the rest than from SimCLR alone", rest[0] < base[0]),
        ("features of an animal are more alike in two worlds (overlap)", rest[4] > base[4]),
        ("the animal is named better in the unseen world", rest[2] > base[2]),
    ):
        print(f"{trend}: {'found' if seen_ else 'NOT found'}")


if __name__ == "__main__":
    main()
