"""The trends of the Q-Score at small scale: harder pictures score lower, and what fine-tuning by it does.

    python benchmarks/trends/qscore.py --out trend [--pictures 600] [--epochs 20] [--tune 10]

Renders animals that are large to small and lit brightly to darkly, trains a small encoder by SimCLR without labels,
fine-tunes it without and with the terms of the score, and once with the first term alone, and prints what the source
(N. Kalibhat et al., AAAI 2024, eq. 3.3) lets expect, with whether it was found. What was interrupted goes on.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from torchmultiverse import generate
from torchmultiverse.analyze import RunOptions
from torchmultiverse.study import Study
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.trust import TrustOptions, study_trust

FACTORS = {
    "World_Name": ["Desert", "Snow", "Grass", "Museum"],
    "Character_Name": ["Elephant", "Penguin", "Zebra", "Turtle", "Goldfish", "Crow", "Cat", "Koi"],
    "Camera_Yaw": {"from": 0, "to": 360}, "Character_Scale": [0.3, 0.6, 1.2],
}  # fmt: skip
TINY: dict[str, Any] = {"backbone": "resnet10t", "size": 32, "head": (128, 64), "batch_size": 64}
WEIGHT = 0.3
"""Of the scores, thousands of times that of the source, since so few steps are taken; of the norms a hundredth."""


def asked(folder: Path, data: Path, out: Path, epsilon: float) -> Study:
    study, _ = study_trust(f"ssl:{folder}", data, TrustOptions(epsilon=epsilon, maps=100), RunOptions(0))
    study.save(out)
    return study


def _auroc(study: Study) -> float:
    return float(next(line for line in study.sections[0].table if line["score"] == "Q-Score")["AUROC %"] or 0)


def _accuracy(study: Study) -> float:
    return float(str(study.facts["accuracy"])[:-2])


def _last(folder: Path) -> dict[str, float]:
    with open(folder / "qscore.csv", newline="") as file:
        return {name: float(value) for name, value in list(csv.DictReader(file))[-1].items()}


def _sizes(study: Study) -> list[float]:
    by = next(one for one in study.sections if one.title == "By factor").table
    return [float(line["Q-Score"] or 0) for line in by if line["factor"] == "character scale"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Trends of the Q-Score at small scale.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--tune", type=int, default=10)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--data", type=Path, help="A dataset that is there already. Default: one is rendered.")
    given = parser.parse_args()
    data = given.data or given.out / "data"
    if given.data is None:
        design = {"kind": "latin_hypercube", "pictures": given.pictures, "factors": FACTORS}
        spec = {"name": "trend_qscore", "family": "Animals", "seed": 0, "design": design,
                "render": {"size": [64, 64], "passes": ["rgb", "mask"]}}  # fmt: skip
        generate(spec, data, samples=4)
    start = train_encoder(data, given.out / "start", EncoderTraining(**TINY, epochs=given.epochs, learning_rate=2e-3))
    rows = {"start": start}
    for name, weight, norms in (
        ("control", 1e-12, 0.0),
        ("both terms", WEIGHT, WEIGHT / 100),
        ("first alone", WEIGHT, 0.0),
    ):
        how = EncoderTraining(**TINY, epochs=given.tune, learning_rate=5e-4, qscore=weight, qscore_norms=norms,
                              qscore_epsilon=given.epsilon)  # fmt: skip
        rows[name] = train_encoder(data, given.out / name.replace(" ", "_"), how, start=start)
    studies = {
        name: asked(folder, data, given.out / f"{folder.name}_trust", given.epsilon) for name, folder in rows.items()
    }
    print(f"{'encoder':12} accuracy %  AUROC(Q) %  mean Q   active  commonest")
    for name, study in studies.items():
        told = _last(rows[name]) if name != "start" else {}
        numbers = "  ".join(f"{told[key]:.3f}" for key in ("score", "active", "commonest")) if told else ""
        print(f"{name:12} {_accuracy(study):10.1f}  {100 * _auroc(study):10.1f}  {numbers}")
    sizes = _sizes(studies["start"])
    control, both, alone = (_last(rows[name]) for name in ("control", "both terms", "first alone"))
    before, after = studies["control"], studies["both terms"]
    for said, is_so in (
        ("smaller animals score lower", sizes == sorted(sizes)),
        (
            "the score tells what the probe gets right (interval above 50 %)",
            "Q-Score tells which" in studies["start"].headline,
        ),
        ("with the terms the mean score rises", both["score"] > control["score"]),
        ("with the terms more features are active", both["active"] > control["active"]),
        ("the score then tells less", _auroc(after) < _auroc(before)),
        (
            "the probe is not worse by more than a point",
            _accuracy(after) > _accuracy(before) - 1,
        ),
        ("without the second term one feature is on for more pictures", alone["commonest"] > both["commonest"]),
    ):
        print("found    " if is_so else "not found", said)
    print("scores by size, small to large:", ", ".join(f"{value:.3f}" for value in sizes))


if __name__ == "__main__":
    main()
