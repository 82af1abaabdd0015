"""Does a representation carry less far to classes that are farther in meaning? On a toy of vectors, on two cores.

    python benchmarks/trends/concepts.py [--seeds 3]
    python benchmarks/trends/concepts.py --pool imagenet --seen 200 --per-level 120 --each 36 --shots 4 all

The source (Sariyildiz, 2023; ImageNet, 31 networks): of 1000 unseen classes in each of five levels accuracy falls from
level to level in 154 of 155 cases, more pictures always read more, labels of mixed pictures lose more from the nearest
to the farthest level than plain ones (17.6 to 19.0 points against 15.9), and training without labels less (14.4)
(`benchmarks/reference/imagenet_cog.json`).

Here the 150 classes of PUG: ImageNet, every third of them seen, 100 unseen in five levels; or, to see what is for want
of classes, those of ImageNet, of which some are seen and the levels hold more. The mean of a class moves down the tree
of WordNet as Brownian motion, as far at each step as its information grows; pictures are means with noise. Encoders
learn the seen classes: by their labels, by labels of mixed pictures (mixup), and without labels (VICReg of two noises
of one picture); two are not learnt: what spans the seen means, and the picture itself. Prints what is read of each
level, and whether the trends were found, by intervals over seeds, each of which draws another world.

Levels differ in difficulty by themselves: the nearest hold many classes of one family (dogs), the farthest hardly two.
Of the picture itself, which no training made, the farthest level is read best where levels hold more than 20 classes.
So the levels are compared by what an encoder loses against the picture itself on the same level.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from verdicts import over_seeds, verdict

from torchmultiverse.scenes import class_table
from torchmultiverse.transfer import (
    ALL,
    ConceptLevels,
    ConceptOptions,
    ProbeProtocol,
    WordNet,
    make_levels,
    probe_levels,
    shipped_wordnet,
)
from torchmultiverse.transfer.concept_pictures import ConceptData
from torchmultiverse.transfer.concept_probes import ClassPictures

WIDTH, HIDDEN = 48, 96
Array = NDArray[np.float32]


def diffused(wordnet: WordNet, synsets: list[str], rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each class: that of what is above it, and a step as large as what it says more."""
    means: dict[str, NDArray[np.float64]] = {}

    def of(synset: str) -> NDArray[np.float64]:
        if synset not in means:
            above = max(wordnet[synset].hypernyms, key=wordnet.information, default="")
            start = of(above) if above else np.zeros(WIDTH)
            step = wordnet.information(synset) - (wordnet.information(above) if above else 0.0)
            means[synset] = start + np.sqrt(max(step, 0.0)) * rng.normal(size=WIDTH)
        return means[synset]

    return {synset: of(synset) for synset in sorted(synsets)}


def pictures_of(
    levels: ConceptLevels, means: dict[str, NDArray[np.float64]], each: int, rng: np.random.Generator
) -> tuple[Array, ConceptData]:
    features, parts, start = [], {}, 0
    for level in levels.every:
        codes = np.repeat(np.arange(len(level.concepts)), each)
        of = np.array([means[one.synset] for one in level.concepts])
        features.append(of[codes] + 4.5 * rng.normal(size=(len(codes), WIDTH)))
        tested = np.tile(np.arange(each) < each // 3, len(level.concepts))
        places = np.arange(start, start + len(codes))
        start += len(codes)
        parts[level.name] = ClassPictures(
            places, codes, np.arange(len(codes)), np.flatnonzero(~tested), np.flatnonzero(tested)
        )
    rows = np.arange(start)
    data = ConceptData("toy", levels, rows, {}, np.zeros(start, object), parts, "rows", (), None, ())
    return np.concatenate(features).astype(np.float32), data


def learnt(kind: str, x: Array, y: NDArray[np.int64], seed: int, steps: int) -> torch.nn.Module:
    """Return an encoder that was trained on the seen classes."""
    torch.manual_seed(seed)
    classes = int(y.max()) + 1
    encoder = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, HIDDEN), torch.nn.BatchNorm1d(HIDDEN), torch.nn.ReLU(),
        torch.nn.Linear(HIDDEN, HIDDEN), torch.nn.BatchNorm1d(HIDDEN), torch.nn.ReLU(),
    )  # fmt: skip
    head = torch.nn.Linear(HIDDEN, HIDDEN if kind == "self-supervised" else classes)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 2e-3, weight_decay=1e-2)
    features, labels = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(steps):
        index = torch.randint(len(x), (256,))
        some, answers = features[index], labels[index]
        if kind == "self-supervised":
            two = [head(encoder(some + 2.0 * torch.randn_like(some))) for _ in range(2)]
            loss = 25 * torch.nn.functional.mse_loss(*two)
            for z in two:
                centred = z - z.mean(0)
                spread = (centred.var(0) + 1e-4).sqrt()
                between = (centred.T @ centred / (len(z) - 1)).fill_diagonal_(0)
                loss = loss + 25 * torch.relu(1 - spread).mean() + (between**2).sum() / HIDDEN
        elif kind == "mixup":
            share = float(torch.distributions.Beta(1.0, 1.0).sample())
            other = torch.randperm(len(some))
            said = head(encoder(share * some + (1 - share) * some[other]))
            loss = share * torch.nn.functional.cross_entropy(said, answers)
            loss = loss + (1 - share) * torch.nn.functional.cross_entropy(said, answers[other])
        else:
            loss = torch.nn.functional.cross_entropy(head(encoder(some)), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder.eval()


def classes_of(pool: str, seen: int | None, wordnet: WordNet) -> tuple[dict[str, str], list[str]]:
    """Return the synset of every class, and the synsets that are seen."""
    if pool == "imagenet":
        classes = {synset: synset for synset in wordnet.imagenet1k}
    else:
        classes = {one.name: one.synset for one in class_table() if one.kind == "object" and one.name != "Shirt"}
    names = sorted(classes)
    every = 3 if seen is None else max(1, len(names) // seen)
    return classes, [classes[name] for name in names[::every]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pool", choices=("pug", "imagenet"), default="pug")
    parser.add_argument("--seen", type=int, help="about so many classes; a third by default")
    parser.add_argument("--per-level", type=int, help="default: as many as there are")
    parser.add_argument("--shots", nargs="+", default=["1", "4", "16", "all"])
    parser.add_argument("--steps", type=int, default=400, help="of training")
    parser.add_argument("--each", type=int, default=120, help="pictures of each class that is asked about")
    parser.add_argument("--pictures", type=int, default=200, help="of each seen class")
    given = parser.parse_args()
    torch.set_num_threads(1)  # the matrices are small
    wordnet = shipped_wordnet()
    classes, seen = classes_of(given.pool, given.seen, wordnet)
    levels = make_levels(classes, seen, wordnet, 5, given.per_level)
    shots = tuple(ALL if shot == "all" else int(shot) for shot in given.shots)
    options = ConceptOptions(shots=shots, protocol=ProbeProtocol(seeds=1))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for seed in range(given.seeds):
        rng = np.random.default_rng(seed)
        means = diffused(wordnet, list(classes.values()), rng)
        x, data = pictures_of(levels, means, given.each, rng)
        codes = np.repeat(np.arange(len(seen)), given.pictures)
        of = np.array([means[synset] for synset in seen])
        training = (of[codes] + 4.5 * rng.normal(size=(len(codes), WIDTH))).astype(np.float32)
        span = np.linalg.qr((of - of.mean(0)).T)[0][:, :24]
        features = {"picture itself": x, "span of seen means": (x @ span).astype(np.float32)}
        for kind in TAUGHT:
            encoder = learnt(kind, training, codes, seed, given.steps)
            with torch.no_grad():
                features[kind] = encoder(torch.from_numpy(x)).numpy()
        results = probe_levels(features, data, options, quiet=True)
        for name in features:
            found.setdefault(name, []).append(
                np.array([[results.score(name, one.name, n).accuracy for n in shots] for one in levels.every])
            )
    size = len(levels.levels[0].concepts)
    print(f"accuracy in %, mean of {given.seeds} seeds, all pictures; {len(seen)} seen classes, levels of {size}")
    print(f"{'':>20}" + "".join(f"{one.name:>7}" for one in levels.every) + "   seen - L5   L1 - L5")
    for name, each in found.items():
        row = 100 * np.mean(each, 0)[:, -1]
        print(f"{name:>20}" + "".join(f"{value:7.1f}" for value in row) + f"{row[0] - row[-1]:12.1f}"
              f"{row[1] - row[-1]:10.1f}")  # fmt: skip
    say(found)


TAUGHT = ("supervised", "mixup", "self-supervised")


def say(found: dict[str, list[NDArray[np.float64]]]) -> None:
    """Print whether the trends of the source were found; of each seed (levels with the seen one first, shots)."""
    last = {name: np.array(each)[:, :, -1] for name, each in found.items()}
    print("more pictures read more: steps up "
          f"{sum(int((np.diff(np.array(e), axis=2) > 0).sum()) for e in found.values())} of "
          f"{sum(np.diff(np.array(e), axis=2).size for e in found.values())}")  # fmt: skip
    whole = last.pop("picture itself")
    lost = {name: whole - last[name] for name in TAUGHT}
    print("lost against the picture itself, in points, L1 to L5")
    for name in TAUGHT:
        print(f"{name:>20}" + "".join(f"{100 * value:7.1f}" for value in lost[name][:, 1:].mean(0)))
    for trend, gains in (
        ("what was seen is read better than the best level that was not",
         [last[n][:, 0] - last[n][:, 1:].max(1) for n in TAUGHT]),
        ("accuracy itself falls from the nearest level to the farthest",
         [last[n][:, 1] - last[n][:, -1] for n in TAUGHT]),
        ("so it does of the picture itself", [whole[:, 1] - whole[:, -1]]),
        ("more is lost of the farthest level than of the nearest", [lost[n][:, -1] - lost[n][:, 1] for n in TAUGHT]),
        ("the loss grows with the level (slope)", [lost[n][:, 1:] @ np.arange(-2, 3) / 10 for n in TAUGHT]),
    ):  # fmt: skip
        ends = [over_seeds(one) for one in gains]
        for name, (mean, low, high) in zip(TAUGHT, ends, strict=False):
            print(f"{name if len(ends) > 1 else '':>20} {100 * mean:+6.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
        verdict(trend, min(low for _, low, _ in ends), min(high for *_, high in ends))
    grown = {name: each[:, -1] - each[:, 1] for name, each in lost.items()}
    for trend, gain in (
        ("labels of mixed pictures add more to the loss from the nearest to the farthest level",
         grown["mixup"] - grown["supervised"]),
        ("training without labels adds less to it", grown["supervised"] - grown["self-supervised"]),
    ):  # fmt: skip
        mean, low, high = over_seeds(gain)
        print(f"{'':>20} {100 * mean:+6.1f} [{100 * low:+.1f}, {100 * high:+.1f}]")
        verdict(trend, low, high)


if __name__ == "__main__":
    main()
