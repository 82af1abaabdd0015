"""Does fine-tuning with labels take memory away, and of which hidden factor? On vectors in minutes, on renders in many.

    python benchmarks/trends/dejavu_finetuning.py [--seeds 2] [--epochs 60]
    python benchmarks/trends/dejavu_finetuning.py --out memory-trend [--data data/animals] [--epochs 400]

The source (Meehan et al., 2023, appendix C.3.5 and figure 6; ImageNet, 1000 epochs of VICReg on A): over 20 epochs of
fine-tuning with the labels of A the déjà vu score falls significantly in the first epochs while accuracy rises, rises
again after five, and after 20 is almost as high as before (`benchmarks/reference/dejavu.json`). What is remembered
beyond the label is shown there on examples alone; here every hidden factor is asked for.

Here, without ``--out``: vectors whose background is each one's own and whose foreground has a class (of 20) and a
surface (of 4); views may lack either, as crops do. Two networks learn by VICReg from 512 vectors each and are then
fine-tuned on the same vectors with their classes. With it: rendered animals of 64 pixels (`animals.py`), looked at with
32, eight of each class for each model, ``train ssl`` and ``train ssl --from … --method supervised``, and the kept
checkpoints asked by ``analyze dejavu --factor``. Memory needs many updates: a few hundred on pictures left none in
earlier trials, and where there is none before fine-tuning nothing is decided. Prints DV_100 of class and surface by
epoch, with intervals of pictures, and says whether the trend was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from animals import animals
from numpy.typing import NDArray
from toys import WIDTH, Blocks
from verdicts import verdict

from torchmultiverse.analyze import MemorizationOptions, RunOptions, draw_splits, measure_memorization
from torchmultiverse.analyze.dejavu_factors import FactorMemory, factor_memories, factor_question
from torchmultiverse.analyze.dejavu_protocol import ModelFeatures
from torchmultiverse.models.ssl import network
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.train.ssl import SelfSupervisedLoss, fit

CLASSES, SURFACES, COUNT, PUBLIC = 20, 4, 512, 3000
KEPT = (0, 1, 2, 5, 10, 15, 20)
TURN = 5
"""Epochs after which the source's score rises again."""
SETS = ("A", "B", "held out")


class At(NamedTuple):
    """What was remembered after some epochs: of every layer and factor, and the accuracy on whole public pictures."""

    memories: dict[tuple[str, str], FactorMemory]
    accuracy: float


def through(net: Any, vectors: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Return the features of trunk and head."""
    net.eval()
    with torch.no_grad():
        at = net.trunk(torch.from_numpy(vectors))
        found = {"trunk": at.numpy(), "head": net.head(at).numpy()}
    net.train()
    return found


def nearest_class(features: NDArray[np.float32], label: NDArray[np.int64], known: NDArray[np.bool_]) -> float:
    """Return how many of the other vectors are nearest to the mean of their class."""
    means = np.stack([features[known & (label == c)].mean(0) for c in range(CLASSES)])
    far = ((features[~known][:, None] - means) ** 2).sum(-1)
    return float((far.argmin(1) == label[~known]).mean())


def of_vectors(seed: int, epochs: int) -> list[At]:
    """Return what two networks remember before fine-tuning and along it."""
    rng = np.random.default_rng(seed)
    of_class, of_surface = rng.normal(size=(CLASSES, WIDTH)), rng.normal(size=(SURFACES, WIDTH))
    number = 3 * COUNT + PUBLIC
    columns = {"class": rng.integers(0, CLASSES, number), "surface": rng.integers(0, SURFACES, number)}
    front = of_class[columns["class"]] + of_surface[columns["surface"]] + 0.5 * rng.normal(size=(number, WIDTH))
    vectors = np.concatenate([rng.normal(size=(number, WIDTH)), front], 1).astype(np.float32)
    rows = {name: np.arange(k * COUNT, (k + 1) * COUNT) for k, name in enumerate(SETS)}
    public = np.arange(3 * COUNT, number)
    named = {name: np.array([f"{name} {v:02}" for v in values], object) for name, values in columns.items()}
    questions = [factor_question(named, name, rows, public) for name in columns]
    cut = vectors.copy()
    cut[:, WIDTH:] = 0
    kept: list[list[Any]] = [[] for _ in KEPT]
    for k, name in enumerate(("A", "B")):
        torch.manual_seed(seed)
        trunk = torch.nn.Sequential(
            torch.nn.Linear(2 * WIDTH, 256), torch.nn.ReLU(), torch.nn.Linear(256, 256), torch.nn.ReLU(),
            torch.nn.Linear(256, 256),
        )  # fmt: skip
        net: Any = network(trunk, 256, (256, 256, 256))
        mine, label = vectors[rows[name]], columns["class"][rows[name]]
        training = EncoderTraining(method="vicreg", epochs=epochs, batch_size=256, weight_decay=0, seed=k)
        fit(SelfSupervisedLoss("vicreg", net, 256), Blocks(mine, k), COUNT, training, quiet=True)

        def keep(epoch: int, losses: Any, net: Any = net) -> None:
            if epoch in KEPT:
                kept[KEPT.index(epoch)].append((through(net, cut), through(net, vectors)))

        tuning = training.changed(method="supervised", epochs=KEPT[-1])
        loss = SelfSupervisedLoss("supervised", net, 256, CLASSES)
        fit(loss, Blocks(mine, 10 + k), COUNT, tuning, labels=label, after=keep, quiet=True)
    found = []
    for both in kept:
        memories = {}
        for layer in ("trunk", "head"):
            models = [
                ModelFeatures({name: crops[layer][rows[name]] for name in SETS}, whole[layer][public])
                for crops, whole in both
            ]
            for one in factor_memories(models, questions, layer, 50, (1.0,), seed):
                memories[layer, one.factor] = one
        known = np.arange(PUBLIC) % 2 == 0
        right = [nearest_class(whole["trunk"][public], columns["class"][public], known) for _, whole in both]
        found.append(At(memories, float(np.mean(right))))
    return found


def of_pictures(seed: int, epochs: int, out: Path, data: Path | None) -> list[At]:
    """Return the same of encoders of rendered animals."""
    images = animals(data or out / "data")
    splits = draw_splits(images, "character_name", 8, held_out=8, seed=seed)
    training = EncoderTraining(
        method="vicreg", size=32, head=(256, 256, 256), epochs=epochs, batch_size=96, learning_rate=2e-3, seed=seed,
        augment=("crop", "flip", "color", "gray"),
    )  # fmt: skip
    tuned: dict[str, Path] = {}
    for name in ("A", "B"):
        rows = splits.seen_by(name)
        first = train_encoder(images, out / f"first-{name}-{seed}", training, "character_name", rows, quiet=True)
        tuned[name] = train_encoder(
            images, out / f"tuned-{name}-{seed}",
            training.changed(method="supervised", epochs=KEPT[-1], keep=KEPT, batch_size=32), "character_name", rows,
            quiet=True, start=first,
        )  # fmt: skip
    found = []
    options = MemorizationOptions(layers=["trunk", "head.3"], factors=["character_texture"], k=50)
    for epoch in KEPT:
        one = measure_memorization(
            images, splits, *(f"ssl:{tuned[name]}@{epoch}" for name in ("A", "B")), options,
            RunOptions(seed, out / "features", quiet=True),
        )  # fmt: skip
        names = {"character_name": "class", "character_texture": "surface", "trunk": "trunk", "head.3": "head"}
        found.append(At({(names[m.layer], names[m.factor]): m for m in one.factors}, float("nan")))
    return found


def mean(trainings: list[list[At]], k: int, key: tuple[str, str]) -> tuple[float, float, float]:
    """Return DV_100 and its interval after the k-th kept epoch: pictures of all seeds, which are of other draws."""
    scores = [one[k].memories[key].score.at(1.0) for one in trainings]
    middle = float(np.mean([s.score for s in scores]))
    half = float(np.sqrt(np.sum([((s.high - s.low) / 2) ** 2 for s in scores]))) / len(scores)
    return middle, middle - half, middle + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder: rendered animals instead of vectors")
    parser.add_argument("--data", type=Path, help="with --out: such pictures, rendered before")
    parser.add_argument("--epochs", type=int, help="before fine-tuning; default: 60 of vectors, 400 of pictures")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    trainings = [
        of_vectors(seed, given.epochs or 60)
        if given.out is None
        else of_pictures(seed, given.epochs or 400, given.out, given.data)
        for seed in range(given.seeds)
    ]
    keys = [(layer, factor) for layer in ("trunk", "head") for factor in ("class", "surface")]
    first = trainings[0][0].memories
    print(f"DV_100 in points by epochs of fine-tuning, {given.seeds} seeds of {first[keys[0]].score.images} pictures; "
          f"chance {', '.join(f'{key[1]} {100 * first[key].controls.chance:.0f} %' for key in keys[:2])}")  # fmt: skip
    print(f"{'':>10} " + " ".join(f"{f'{factor}, {layer}':>21}" for layer, factor in keys) + f" {'accuracy':>9}")
    for k, epoch in enumerate(KEPT):
        cells = [mean(trainings, k, key) for key in keys]
        row = " ".join(f"{100 * m:6.1f} [{100 * a:5.1f}, {100 * b:5.1f}]" for m, a, b in cells)
        print(f"{epoch:>10} {row} {100 * np.mean([one[k].accuracy for one in trainings]):9.1f}", flush=True)
    for key in keys:
        start, low, end = (mean(trainings, KEPT.index(epoch), key) for epoch in (0, TURN, KEPT[-1]))
        print(f"{key[1]} at the {key[0]}: {100 * start[0]:.1f} before, {100 * low[0]:.1f} after {TURN} epochs, "
              f"{100 * end[0]:.1f} after {KEPT[-1]}")  # fmt: skip
        if start[1] <= 0:
            print("  nothing was remembered before fine-tuning: not decided")
            continue
        half = float(np.hypot(start[2] - start[0], low[2] - low[0]))
        verdict(f"  it falls in the first {TURN} epochs", start[0] - low[0] - half, start[0] - low[0] + half)
        half = float(np.hypot(end[2] - end[0], low[2] - low[0]))
        verdict("  it rises after them", end[0] - low[0] - half, end[0] - low[0] + half)
        half = float(np.hypot(end[2] - end[0], start[2] - start[0]))
        verdict(f"  after {KEPT[-1]} epochs more than half of it is there", end[0] - start[0] / 2 - half,
                end[0] - start[0] / 2 + half)  # fmt: skip


if __name__ == "__main__":
    main()
