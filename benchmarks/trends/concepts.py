"""Does a representation carry less far to classes that are farther in meaning? On a toy of vectors, on two cores.

    python benchmarks/trends/concepts.py [--seeds 3]

The 150 classes of PUG: ImageNet, every third of them seen, 100 unseen in five levels. The mean of a class moves down
the tree of WordNet as Brownian motion, as far at each step as its information grows; pictures are means
with noise. Encoders learn the seen classes: by their labels, by labels of mixed pictures (mixup), and
without labels (VICReg of two noises of one picture); two are not learnt: what spans the seen means, and the
picture itself. Prints what is read of each level, and whether the trends of the source (Sariyildiz, 2023) were found.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

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

WIDTH, HIDDEN, EACH = 48, 96, 120
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
    levels: ConceptLevels, means: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> tuple[Array, ConceptData]:
    features, parts, start = [], {}, 0
    for level in levels.every:
        codes = np.repeat(np.arange(len(level.concepts)), EACH)
        of = np.array([means[one.synset] for one in level.concepts])
        features.append(of[codes] + 4.5 * rng.normal(size=(len(codes), WIDTH)))
        tested = np.tile(np.arange(EACH) < EACH // 3, len(level.concepts))
        places = np.arange(start, start + len(codes))
        start += len(codes)
        parts[level.name] = ClassPictures(
            places, codes, np.arange(len(codes)), np.flatnonzero(~tested), np.flatnonzero(tested)
        )
    rows = np.arange(start)
    data = ConceptData("toy", levels, rows, {}, np.zeros(start, object), parts, "rows", (), None, ())
    return np.concatenate(features).astype(np.float32), data


def learnt(kind: str, x: Array, y: NDArray[np.int64], seed: int) -> torch.nn.Module:
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
    for _ in range(400):
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    torch.set_num_threads(1)  # the matrices are small
    wordnet = shipped_wordnet()
    classes = {one.name: one.synset for one in class_table() if one.kind == "object" and one.name != "Shirt"}
    seen = [classes[name] for name in sorted(classes)[::3]]
    levels = make_levels(classes, seen, wordnet, 5)
    shots = (1, 4, 16, ALL)
    options = ConceptOptions(shots=shots, protocol=ProbeProtocol(seeds=1))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        means = diffused(wordnet, list(classes.values()), rng)
        x, data = pictures_of(levels, means, rng)
        codes = np.repeat(np.arange(len(seen)), 200)
        of = np.array([means[synset] for synset in seen])
        training = (of[codes] + 4.5 * rng.normal(size=(len(codes), WIDTH))).astype(np.float32)
        span = np.linalg.qr((of - of.mean(0)).T)[0][:, :24]
        features = {"picture itself": x, "span of seen means": (x @ span).astype(np.float32)}
        for kind in ("supervised", "mixup", "self-supervised"):
            encoder = learnt(kind, training, codes, seed)
            with torch.no_grad():
                features[kind] = encoder(torch.from_numpy(x)).numpy()
        results = probe_levels(features, data, options, quiet=True)
        for name in features:
            found.setdefault(name, []).append(
                np.array([[results.score(name, one.name, n).accuracy for n in shots] for one in levels.every])
            )
    mean = {name: np.mean(of, 0) for name, of in found.items()}
    print(f"accuracy in %, mean of {seeds} seeds, all pictures (chance 5)")
    print(f"{'':>20}" + "".join(f"{one.name:>7}" for one in levels.every) + "   seen minus L5")
    for name, of in mean.items():
        row = 100 * of[:, -1]
        print(f"{name:>20}" + "".join(f"{value:7.1f}" for value in row) + f"{row[0] - row[-1]:12.1f}")
    taught = ("supervised", "mixup", "self-supervised")
    lost = {name: of[0, -1] - of[-1, -1] for name, of in mean.items()}
    for trend, true in (
        ("more pictures read more, at every level, of every encoder",
         all((np.diff(of, axis=1) > 0).all() for of in mean.values())),
        ("what was seen is read better than what was not, of every trained encoder",
         all(mean[name][0, -1] > mean[name][1:, -1].max() for name in taught)),
        ("the nearest level is read better than the farthest, of every trained encoder",
         all(mean[name][1, -1] > mean[name][-1, -1] for name in taught)),
        ("accuracy falls from each level to the next, of every trained encoder",
         all((np.diff(mean[name][:, -1]) < 0).all() for name in taught)),
        ("labels of mixed pictures lose more than plain labels", lost["mixup"] > lost["supervised"]),
        ("without labels less is lost than with them", lost["self-supervised"] < lost["supervised"]),
    ):  # fmt: skip
        print(f"{trend}: {'found' if true else 'NOT found'}")


if __name__ == "__main__":
    main()
