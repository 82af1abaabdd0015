"""Does a projector let supervised training carry further? On rendered animals, in about a quarter of an hour.

    python benchmarks/trends/trex_pictures.py --out trex-trend [--data data/animals] [--epochs 30] [--seeds 1]

The source (Sarıyıldız et al., 2023; ImageNet, ResNet-50): mean log-odds of 13 other tasks rise from 0.10 to 0.25 with
eight small crops and from there to 1.15 with a projector of one hidden layer, and class means of a memory bring them to
1.36 with three (`benchmarks/reference/trex.json`).

Here 1,680 rendered animals of 64 pixels (`animals.py`), looked at with 32 by a ResNet-10. Encoders learn eight of
twelve animals from two thirds of their pictures, each as ``train ssl --method trex`` trains it; the other third and the
four animals that training never saw are asked about by ``analyze transfer``: mean log-odds of world, surface, side,
size and unseen animals. Their differences have intervals over the groups that the probes are divided by. Training takes
one to two minutes for each encoder on a quiet core. What was interrupted goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from animals import FACTORS, animals, part
from verdicts import verdict

from torchmultiverse.analyze import RunOptions
from torchmultiverse.store import columns_of
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.transfer import TransferPlane, measure_transfer

UNSEEN = ("Bear", "Koi", "Rabbit", "Zebra")
BASE = EncoderTraining(
    method="trex", size=32, batch_size=64, crops=(1, 0), head=(), augment=("crop", "flip", "color", "gray")
)
TRAININGS = {
    "base": BASE,
    "small crops": BASE.changed(crops=(1, 4)),
    "projector": BASE.changed(head=(512, 64)),
    "crops, projector": BASE.changed(crops=(1, 4), head=(512, 64)),
    "crops, means": BASE.changed(
        method="trex-ocm", crops=(1, 4), head=(512, 64), options={"memory": 512, "momentum": 0.99}
    ),
}
"""By name: how an encoder is trained. The source's order is from above to below."""


def measured(out: Path, data: Path | None, epochs: int, seed: int, only: list[str]) -> TransferPlane:
    """Train the encoders and read them."""
    images = animals(data or out / "data")
    known = ~np.isin(columns_of(images)["character_name"].astype(str), UNSEEN)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(known))
    taught = np.sort(rows[: 2 * len(rows) // 3])
    asked = part(images, np.setdiff1d(np.arange(len(images)), taught), "animals that were not trained on")
    models = []
    for name in only:
        training = TRAININGS[name].changed(epochs=epochs, seed=seed)
        folder = train_encoder(images, out / f"{name.replace(', ', '-').replace(' ', '-')}-{seed}", training,
                               label="character_name", rows=taught, quiet=True)  # fmt: skip
        models.append(f"{name}=ssl:{folder}")
    run = RunOptions(seed, quiet=True)
    return measure_transfer(models, asked, "character_name", FACTORS, UNSEEN, group="auto", run=run)


def shift(planes: list[TransferPlane], name: str) -> tuple[float, float, float]:
    """Return the mean change of log-odds from the first model, and the ends of the interval of one seed, or over seeds.

    With several seeds the variance is that of pictures, as of one, plus that between trainings.
    """
    each = [plane.log_odds_changes[name] for plane in planes]
    mean = float(np.mean([one.mean for one in each]))
    half = float(np.mean([(one.high - one.low) / 2 for one in each]))
    if len(each) > 1:
        from scipy.stats import t

        spread = float(np.std([one.mean for one in each], ddof=1)) / len(each) ** 0.5
        half = float(np.hypot(half, t.ppf(0.975, len(each) - 1) * spread))
    return mean, mean - half, mean + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("trex-trend"))
    parser.add_argument("--data", type=Path, help="such pictures, rendered before")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=TRAININGS, default=list(TRAININGS), help="trainings, with base")
    given = parser.parse_args()

    def planes(first: str) -> list[TransferPlane]:
        names = [first, *(name for name in TRAININGS if name != first and name in given.only)]
        return [measured(given.out, given.data, given.epochs, seed, names) for seed in range(given.seeds)]

    from_base = planes("base")
    asked = [name for name in TRAININGS if name == "base" or name in given.only]
    first = from_base[0]
    print(f"accuracy in % by task, mean of {given.seeds} seeds; chance "
          + ", ".join(f"{task.name} {100 * task.chance:.0f}" for task in (first.training, *first.tasks)))  # fmt: skip
    print(f"{'':>18} {'known':>7} " + " ".join(f"{task.name:>17}" for task in first.tasks)
          + f" {'log-odds':>9} {'sparsity':>9} {'in class':>9}")  # fmt: skip
    kept: dict[str, list[float]] = {}
    for k, name in enumerate(asked):
        every = [one.models[k] for one in from_base]
        kept[name] = [
            float(np.mean([getattr(m.statistics, key) for m in every])) for key in ("sparsity", "intra_class")
        ]
        each = " ".join(f"{100 * np.mean([m.tasks[t].accuracy for m in every]):17.1f}" for t in range(len(first.tasks)))
        print(
            f"{name:>18} {100 * np.mean([m.training.accuracy for m in every]):7.1f} {each} "
            f"{np.mean([m.log_odds.mean for m in every]):9.2f} " + " ".join(f"{v:9.3f}" for v in kept[name])
        )
    if first.models[0].training.low <= first.training.chance:
        print("not decided: the base does not read the animals it learnt above chance; train longer (--epochs)")
        return
    for name in asked[1:]:
        mean, low, high = shift(from_base, name)
        print(f"{name}: {mean:+.2f} [{low:+.2f}, {high:+.2f}] log-odds from the base")
        if name in ("projector", "small crops"):
            verdict(
                f"{'a projector raises' if name == 'projector' else 'small crops raise'} the mean log-odds", low, high
            )
    if "crops, projector" in asked:
        from_crops = planes("crops, projector")
        if "small crops" in asked:
            mean, low, high = (-value for value in shift(from_crops, "small crops"))
            print(f"a projector, with small crops: {mean:+.2f} [{high:+.2f}, {low:+.2f}] log-odds")
            verdict("with small crops, too, a projector raises them", high, low)
        if "crops, means" in asked:
            mean, low, high = shift(from_crops, "crops, means")
            print(f"class means instead of learnt directions: {mean:+.2f} [{low:+.2f}, {high:+.2f}] log-odds")
            verdict("class means raise the mean log-odds", low, high)
    if not {"projector", "small crops"} <= set(asked):
        return
    for trend, found in (
        ("a projector makes features less sparse", kept["projector"][0] < kept["base"][0]),
        ("a projector spreads a class", kept["projector"][1] > kept["base"][1]),
        ("small crops draw a class together", kept["small crops"][1] < kept["base"][1]),
    ):
        print(f"{trend}: {'found' if found else 'NOT found'}")


if __name__ == "__main__":
    main()
