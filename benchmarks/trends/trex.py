"""Does a projector let supervised training carry further? On a toy of vectors, in minutes on two cores.

    python benchmarks/trends/trex.py [--seeds 3] [--epochs 25]

Vectors of a class and four other factors, mixed by a random rotation; training knows half of the classes. Crops are
masks: a crop of the whole keeps 25 to 100 % of a vector, a small one 5 to 25 %. Prints for each training what is read
of the classes it knows, the mean log-odds of the other factors and of the classes it never saw, how sparse its features
are and how far apart within a class, and how far the directions of classes move in a step; and says whether the trends
of the source (Sarıyıldız et al., 2023) were found. Those that a pilot on rendered shapes did not find either are
printed and named so: that crops, or class means of a memory, help; and that what is read of the known classes falls
with the depth of the projector.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from torchmultiverse.models.ssl import network
from torchmultiverse.train import EncoderTraining
from torchmultiverse.train.loop import Loop, LoopSettings, cosine
from torchmultiverse.train.ssl import EncoderObjective, SelfSupervisedLoss
from torchmultiverse.transfer import odds_of
from torchmultiverse.transfer.feature_statistics import feature_statistics
from torchmultiverse.transfer.tasks import outcomes_of, transfer_tasks

CLASSES, COUNT, WIDTH = 48, 3200, 256
PLACES = 4
"""Of a vector, as of a picture's map: each has noise of its own, and features are means over them."""
FACTORS = {"hue": 6, "background": 6, "rotation": 8, "scale": 4}
TRAININGS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "base": ("trex", 0, ()),
    "base, small crops": ("trex", 4, ()),
    "projector of 1": ("trex", 0, (256, 64)),
    "small crops, projector of 1": ("trex", 4, (256, 64)),
    "small crops, projector of 3": ("trex", 4, (256, 256, 256, 64)),
    "class means, projector of 1": ("trex-ocm", 4, (256, 64)),
    "class means, projector of 3": ("trex-ocm", 4, (256, 256, 256, 64)),
}


class Found(NamedTuple):
    seen: float
    log_odds: float
    sparsity: float
    intra_class: float
    moved: float


def world(seed: int) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Vectors, and their classes and factors."""
    rng = np.random.default_rng(seed)
    columns = {"class": rng.integers(0, CLASSES, COUNT)}
    columns |= {name: rng.integers(0, size, COUNT) for name, size in FACTORS.items()}
    parts = [1.5 * rng.normal(size=(CLASSES, 32))[columns["class"]]]
    parts += [rng.normal(size=(size, 16))[columns[name]] for name, size in FACTORS.items()]
    vectors = np.concatenate(parts, 1)[:, None]
    vectors = vectors + 1.5 * rng.normal(size=(COUNT, PLACES, vectors.shape[2]))
    turn = np.linalg.qr(rng.normal(size=(vectors.shape[2], vectors.shape[2])))[0]
    return (vectors @ turn).astype(np.float32), columns


class Pooled(torch.nn.Module):
    """A residual block behind a layer, in every place, and the mean over places: what ends a ResNet."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Linear(width, WIDTH), torch.nn.LayerNorm(WIDTH), torch.nn.ReLU())
        self.block = torch.nn.Sequential(
            torch.nn.Linear(WIDTH, WIDTH), torch.nn.LayerNorm(WIDTH), torch.nn.ReLU(), torch.nn.Linear(WIDTH, WIDTH)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return torch.relu(x + self.block(x)).mean(1)


class Masks:
    """Crops of vectors: some entries stay."""

    def __init__(self, vectors: NDArray[Any], small: int, seed: int) -> None:
        self.vectors, self.small, self.seed = vectors, small, seed

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> Any:
        rng = np.random.default_rng((self.seed, epoch, int(rows[0])))
        views = []
        for low, high in [(0.25, 1.0), *[(0.05, 0.25)] * self.small]:
            kept = rng.random((len(rows), self.vectors.shape[2])) < rng.uniform(low, high, (len(rows), 1))
            views.append(torch.from_numpy(self.vectors[rows] * kept[:, None]))
        return tuple(views)


class Watched(EncoderObjective):
    """Also measures how far the directions of classes move in a step."""

    moved: list[float]
    last: torch.Tensor | None = None

    def after_step(self, step: int) -> None:
        super().after_step(step)
        part: Any = self._loss.extra
        now = torch.nn.functional.normalize(
            part.prototypes() if hasattr(part, "prototypes") else part.weight.detach(), dim=1
        )
        if self.last is not None and step > self._total // 2:
            self.moved.append(float((now - self.last).norm() / len(now) ** 0.5))
        self.last = now.clone()


def train(name: str, seed: int, epochs: int) -> Found:
    """Train on half of the classes; return what came of it."""
    method, small, widths = TRAININGS[name]
    vectors, columns = world(seed)
    known = np.flatnonzero(columns["class"] < CLASSES // 2)
    torch.manual_seed(seed)
    trunk = Pooled(vectors.shape[2])
    net: Any = network(trunk, WIDTH, widths, spherical=True)
    options = {"memory": 1024, "momentum": 0.99} if method == "trex-ocm" else {}
    loss = SelfSupervisedLoss(method, net, widths[-1] if widths else WIDTH, CLASSES // 2, options, whole=1)
    training = EncoderTraining(method=method, epochs=epochs, batch_size=128, learning_rate=0.05, seed=seed)
    objective = Watched(loss, Masks(vectors[known], small, seed), len(known), training, columns["class"][known])
    objective.moved = []
    settings = LoopSettings(
        epochs=epochs, steps=epochs * objective.steps, learning_rate=0.05, weight_decay=1e-4, optimizer="sgd",
        schedule=cosine(), seed=seed,
    )  # fmt: skip
    Loop(objective, settings, quiet=True).run()
    net.eval()
    fresh, asked = world(seed)  # whole vectors
    with torch.no_grad():
        features = net.trunk(torch.from_numpy(fresh)).numpy()
    names = {key: np.array([f"{value:02}" for value in values], object) for key, values in asked.items()}
    unseen = [f"{k:02}" for k in range(CLASSES // 2, CLASSES)]
    task, others, _ = transfer_tasks(names, "class", list(FACTORS), unseen, "rows", seed)
    right = [outcomes_of(one, features, seed=seed) for one in others]
    held = feature_statistics(features[known], asked["class"][known])
    return Found(
        float(outcomes_of(task, features, seed=seed).mean()),
        float(np.mean([odds_of(float(r.mean()), len(r)) for r in right])),
        feature_statistics(features[: COUNT // 2], asked["class"][: COUNT // 2]).sparsity, held.intra_class,
        float(np.mean(objective.moved)),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=25)
    chosen = parser.parse_args()
    print(f"mean of {chosen.seeds} seeds, standard deviation of log-odds")
    print(f"{'':>28} {'known, %':>9} {'log-odds':>14} {'sparsity':>9} {'within class':>13} {'step':>8}")
    mean: dict[str, Found] = {}
    for name in TRAININGS:
        runs = [train(name, seed, chosen.epochs) for seed in range(chosen.seeds)]
        mean[name] = Found(*np.mean(runs, 0))
        one = mean[name]
        spread = np.std([run.log_odds for run in runs], ddof=1) if len(runs) > 1 else 0.0
        print(
            f"{name:>28} {100 * one.seen:9.1f} {one.log_odds:7.2f} ± {spread:4.2f} {one.sparsity:9.3f} "
            f"{one.intra_class:13.3f} {one.moved:8.4f}",
            flush=True,
        )
    base, crops = mean["base"], mean["base, small crops"]
    one, both, deep = (mean[n] for n in list(TRAININGS)[2:5])
    means = mean["class means, projector of 1"]
    for trend, found in (
        ("a projector raises the mean log-odds by 0.2 or more", one.log_odds > base.log_odds + 0.2),
        ("so it does with small crops", both.log_odds > crops.log_odds + 0.2),
        ("log-odds fall by less than 0.1 from a projector of 1 to one of 3", deep.log_odds > both.log_odds - 0.1),
        ("a projector divides sparsity by 5 or more", one.sparsity * 5 < base.sparsity),
        ("a projector spreads a class", one.intra_class > base.intra_class),
        ("small crops draw a class together", crops.intra_class < base.intra_class),
        ("class means move 10 times as far as learnt directions", means.moved > 10 * both.moved),
    ):
        print(f"{trend}: {'found' if found else 'NOT found'}")
    for trend, found in (
        ("small crops raise the mean log-odds", both.log_odds > one.log_odds),
        ("class means raise the mean log-odds", means.log_odds > both.log_odds),
        ("a deeper projector reads the known classes worse", deep.seen < both.seen),
    ):
        print(f"{trend} (published, not found in a pilot): {'found' if found else 'not found'}")


if __name__ == "__main__":
    main()
