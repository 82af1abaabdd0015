"""The head and what it was not trained for: seven trends on toys of vectors, in some minutes on two cores.

    python benchmarks/trends/guillotine_more.py [--seeds 3] [--only pairs]

Each table is followed by the trend that the source (Bordes et al., 2023, ImageNet, ResNet-50; of the long tail Assran
et al., 2023) has, and whether it was found: intervals are over test vectors and trainings. What the source says of each
is in `benchmarks/reference/guillotine.json`.

Of what is not found here some is for want of size: that the head reads better than the trunk after pairs of a class
needs 60 epochs and five trainings. Some is the toy's question: its views share the class in half of the pairs, so that
the head is trained towards it and the gap shrinks over epochs; of a colour that the views redraw it grows, as the
source's does. And some this toy cannot say: classes that are told from the trunk as well as from the head whatever the
optimizer, or as well after a long tail as without one, show no effect of either.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
from guillotine_toys import Toy, partners_of, read, toy, trained
from numpy.typing import NDArray
from toys import blind_to_colour
from verdicts import over_seeds, points, verdict

from torchmultiverse.analyze.layer_accuracy import LayerGap, Reading
from torchmultiverse.analyze.learning import learned_factor
from torchmultiverse.analyze.trainings import by_layer, mean_gap, mean_reading
from torchmultiverse.stats import pearson, unequal_spread
from torchmultiverse.train import EncoderTraining

BASE = EncoderTraining(
    method="simclr", head=(96, 96, 64), epochs=20, batch_size=256, learning_rate=2e-3, options={"temperature": 0.15}
)
TEST = toy(1200, seed=99)


def gap(trainings: Sequence[dict[str, list[Reading]]], factor: str) -> LayerGap:
    """Trunk minus the end of the head."""
    layers = by_layer(trainings, factor)
    return mean_gap(layers[0], layers[-1])


def line(name: str, found: LayerGap) -> None:
    """Print trunk, head and their difference."""
    print(
        f"{name:>34} {100 * found.first:7.1f} {100 * found.last:7.1f} {100 * found.gap:+7.1f} "
        f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]",
        flush=True,
    )


def head(title: str) -> None:
    """Print the heads of a table."""
    print(f"\n{title}\n{'':>34} {'trunk':>7} {'head':>7} {'cutting gains, points':>24}")


def told(trend: str, found: bool) -> None:
    """Print a trend."""
    print(f"{trend}: {'found' if found else 'NOT found'}")


def pairs(seeds: int) -> None:
    """Views of one image, of nearest neighbours, of a class (figure 6)."""
    head("class, by what the second view is of (SimCLR)")
    found = {}
    for name in ("views", "near", "class"):
        nets = []
        for seed in range(seeds):
            data = toy(1024, seed=seed)
            training = BASE.changed(seed=seed, epochs=60)
            nets.append(dict(read(trained(data, training, partners_of(data, name, seed)), TEST, None, ["class"])))
        found[name] = gap(nets, "class")
        line({"views": "views", "near": "nearest neighbours", "class": "pairs of a class"}[name], found[name])
    told("cutting gains most after views, less after neighbours, least after pairs of a class",
         found["views"].gap > found["near"].gap > found["class"].gap)  # fmt: skip
    told("after pairs of a class the head reads better than the trunk, surely", found["class"].high < 0)


def classes(seeds: int) -> None:
    """Classes that were not trained on (figure 3b)."""
    head("class, of supervised training on a third of the classes")
    seen, unseen, curves = [], [], []
    for seed in range(seeds):
        data, test = toy(3072, seed=seed), TEST
        order = np.random.default_rng(seed).permutation(12)
        known = np.isin(data.classes, order[:4])
        codes = np.unique(data.classes[known], return_inverse=True)[1]
        some = Toy(data.vectors[known], codes, data.colours[known])
        net = trained(some, BASE.changed(method="supervised", options={}, seed=seed))
        seen.append(dict(read(net, test, np.flatnonzero(np.isin(test.classes, order[:4])), ["class"])))
        unseen.append(dict(read(net, test, np.flatnonzero(np.isin(test.classes, order[4:8])), ["class"])))
        curves.append([one.accuracy.score for one in unseen[-1]["class"]])
    gaps = []
    for mine in (seen, unseen):  # other classes in each training: trainings are averaged, each with its pictures
        each = [gap([one], "class") for one in mine]
        gaps.append(each)
    for name, each in zip(("seen classes", "unseen classes"), gaps, strict=True):
        mean = float(np.mean([g.gap for g in each]))
        print(f"{name:>34} {100 * np.mean([g.first for g in each]):7.1f} {100 * np.mean([g.last for g in each]):7.1f} "
              f"{100 * mean:+7.1f} ± {100 * np.std([g.gap for g in each], ddof=1):.1f}")  # fmt: skip
    print(f"{'unseen, trunk to end of the head':>34} " + " ".join(f"{100 * v:.1f}" for v in np.mean(curves, 0)))
    told("cutting gains more for unseen classes than for seen ones",
         np.mean([g.gap for g in gaps[1]]) > np.mean([g.gap for g in gaps[0]]))  # fmt: skip


def epochs(seeds: int) -> None:
    """Layers differ little early (figure B4)."""
    kept = [0, 1, 2, 5, 10, 20, 40]
    read_: list[list[dict[str, list[Reading]]]] = []
    for seed in range(seeds):
        mine: list[dict[str, list[Reading]]] = []

        def keep(epoch: int, net: object, into: list[dict[str, list[Reading]]] = mine) -> None:
            if epoch in kept:
                into.append(dict(read(net, TEST)))

        data = toy(1024, seed=seed)
        trained(data, BASE.changed(epochs=kept[-1], method="barlow", options={}, seed=seed), None, keep)
        read_.append(mine)
    head("class over epochs (Barlow Twins)")
    gaps = []
    for k, epoch in enumerate(kept):
        gaps.append(gap([one[k] for one in read_], "class"))
        line(f"epoch {epoch}", gaps[-1])
    for depth, layer in enumerate(("trunk", "head.1", "head.2", "head.3")):
        said = []
        for factor in ("class", "colour"):
            one = learned_factor(kept, [[at[factor][depth] for at in training] for training in read_])
            said.append(f"{factor} {'no sure change' if one.half is None else f'half at {one.half:.1f}'}")
        print(f"{layer:>34} {', '.join(said)}")
    told("trunk and head differ more in the end than after the first epoch", gaps[-1].gap > gaps[1].gap + 0.03)
    # The views of this toy share the class in half of the pairs, so the head is trained towards it, not away from it.
    # What the source's crops do to ImageNet's classes, views that redraw a colour do to it.
    print("\ncolour, which the views redraw, over epochs (Barlow Twins; shape and colour)")
    lost = np.zeros((max(3, seeds), 4))
    for k, epoch in enumerate((0, 1, 3, 25)):
        for seed in range(len(lost)):
            trunk, end = (one.score for one in blind_to_colour("barlow", epoch, seed=seed).curve("colour", "logistic"))
            lost[seed, k] = trunk - end
        print(f"{f'epoch {epoch}':>34} {points(over_seeds(lost[:, k]))}", flush=True)
    verdict(
        "trunk and head differ more in the end than after the first epoch", *over_seeds(lost[:, 3] - lost[:, 1])[1:]
    )


def settings(seeds: int) -> None:
    """The head swings, the trunk hardly does (figures 5 and B6)."""
    print("\nclass over settings (SimCLR)")
    points = []
    for name, values in (("temperature", (0.03, 0.1, 0.3, 1.0)), ("learning_rate", (2e-4, 7e-4, 5e-3)),
                         ("weight_decay", (0.01, 0.1, 1.0))):  # fmt: skip
        for value in values:
            change = {"options": {"temperature": value}} if name == "temperature" else {name: value}
            nets = [dict(read(trained(toy(1024, seed=s), BASE.changed(seed=s, **change)), TEST)) for s in range(seeds)]
            found = gap(nets, "class")
            points.append((found.first, found.last))
            line(f"{name} {value:g}", found)
    trunk, end = np.array(points).T
    r = pearson(trunk, end)
    p = unequal_spread(trunk, end)
    print(
        f"trunk ± {100 * trunk.std(ddof=1):.1f}, head ± {100 * end.std(ddof=1):.1f} points over {len(points)} "
        f"settings; correlation {r.r:.2f} [{r.low:.2f}, {r.high:.2f}]; p of equal spreads {p:.3f}"
    )
    told("trunk and head are weakly correlated: less than 0.5", r.high < 0.5)
    told("the head swings more than the trunk", p < 0.05 and end.std() > trunk.std())


def optimizers(seeds: int) -> None:
    """An overfitted network against a regularized one (figure 3a)."""
    head("class, supervised by two optimizers, 512 vectors")
    found = {}
    for name, change in (
        ("AdamW, no regularization", {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.0}),
        ("SGD, triangle, weight decay", {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 5e-3,
                                         "schedule": "triangle"}),
    ):  # fmt: skip
        nets = []
        for seed in range(seeds):
            training = BASE.changed(method="supervised", options={}, epochs=60, batch_size=128, seed=seed, **change)
            nets.append(dict(read(trained(toy(512, seed=seed), training), TEST)))
        found[name] = gap(nets, "class")
        line(name, found[name])
    plain, regular = found.values()
    told("the head is ahead of the trunk by more where training is regularized", regular.gap < plain.gap - 0.01)


def widths(seeds: int) -> None:
    """Width of the trunk, width and depth of the head (Expand or narrow)."""
    head("class, by widths (SimCLR)")
    found = {}
    for name, change in (
        ("trunk a quarter as wide", {"backbone_width": 0.25}), ("trunk as usual", {}),
        ("trunk four times as wide", {"backbone_width": 4.0}), ("head of one block", {"head": (64,)}),
        ("head of two blocks", {"head": (96, 64)}), ("head of five blocks", {"head": (96, 96, 96, 96, 64)}),
        ("narrow head", {"head": (16, 16, 16)}), ("wide head", {"head": (384, 384, 384)}),
    ):  # fmt: skip
        nets = [dict(read(trained(toy(1024, seed=s), BASE.changed(seed=s, **change)), TEST)) for s in range(seeds)]
        found[name] = gap(nets, "class")
        line(name, found[name])
    told("a deeper head loses more than a head of one block",
         found["head of five blocks"].gap > found["head of one block"].gap)  # fmt: skip
    told("a wider trunk reads better", found["trunk four times as wide"].first > found["trunk a quarter as wide"].first)


def tails(seeds: int) -> None:
    """A uniform prior on clusters, and one that follows the data's power law (Assran et al.)."""
    print(f"\nclass read at the trunk (prototypes), training with equal classes and with a long tail\n{'':>34} "
          f"{'equal':>7} {'tail':>7}")  # fmt: skip
    law = 1.0 / np.arange(1, 13) ** 1.5
    shares: tuple[NDArray[np.float64] | None, ...] = (None, law / law.sum())
    found = {}
    for method, options in (("msn", {"prototypes": 24}), ("pmsn", {"prototypes": 24, "power_law_exponent": 1.5})):
        row = []
        for share in shares:
            nets = []
            for s in range(seeds):
                training = BASE.changed(method=method, options=options, seed=s)
                nets.append(dict(read(trained(toy(1024, seed=s, share=share), training), TEST)))
            row.append(mean_reading(by_layer(nets, "class")[0]))
        found[method] = row
        print(f"{method:>34} " + " ".join(f"{100 * one.score:7.1f}" for one in row)
              + f"   tail [{100 * row[1].low:.1f}, {100 * row[1].high:.1f}]", flush=True)  # fmt: skip
    told("with a long tail the prior of the law is better than the uniform one",
         found["pmsn"][1].score > found["msn"][1].score)  # fmt: skip


TRENDS: dict[str, Callable[[int], None]] = {
    one.__name__: one for one in (pairs, classes, epochs, settings, optimizers, widths, tails)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=TRENDS, action="append")
    chosen = parser.parse_args()
    for name in chosen.only or TRENDS:
        TRENDS[name](chosen.seeds)


if __name__ == "__main__":
    main()
