"""Does a prefix for the domain keep the domain out of the rest? On vectors in a minute, on rendered animals in many.

    python benchmarks/trends/domains.py [--seeds 2]
    python benchmarks/trends/domains.py --out trend [--epochs 20] [--seeds 2]

The source (arXiv 2309.03999): a representation whose first numbers are kept for the domain, and whose others a critic
cannot tell the domain from, names the content better in a domain that was not trained on: 87.6 to 89.4 % on PACS after
SimCLR, 78.5 to 87.1 % where CIFAR-10 is coloured by class (`benchmarks/reference/ddm.json`).

Here, without ``--out``: vectors of ten contents and four domains, and of what both make together. With it: ten animals
in five worlds, 800 rendered pictures of 64 pixels, looked at with 32 (about four minutes of rendering, and a minute or
two for each encoder on two quiet cores). Encoders learn by SimCLR from all domains but one, with and without domain
disentanglement (``ddm``); a probe of the content is asked about the last, which no encoder and no probe saw. Prints it
beside how well the domain is told and how far the features of a content are the same in two domains, and says whether
the trends of the source were found: on rendered pictures the main one by an interval over trainings and animals. What
was interrupted goes on.
"""

from __future__ import annotations

import argparse
import csv
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from verdicts import difference, points, verdict

from torchmultiverse import generate, open_dataset
from torchmultiverse.analyze import ProbeData, RunOptions, probe_of
from torchmultiverse.features import Features, features_of
from torchmultiverse.models.ssl import network
from torchmultiverse.store import columns_of
from torchmultiverse.train import EncoderTraining, train_encoder
from torchmultiverse.train.ddm import DomainTerms
from torchmultiverse.train.ssl import SelfSupervisedLoss, fit
from torchmultiverse.transfer import DomainFindings, DomainOptions
from torchmultiverse.transfer.domain_findings import domain_findings
from torchmultiverse.transfer.kept_parts import KeptParts
from torchmultiverse.transfer.overlap import feature_overlap

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


COUNT, CONTENTS, DOMAINS, WIDTH, PREFIX = 1600, 10, 4, 24, 8
"""Of vectors: how many, of what, how long their parts are, and how long the prefix."""
Row = list[float]


def asked_of(found: DomainFindings) -> dict[str, Row]:
    """Return what is told of domain and content (seen, unseen), the gap, and the overlap; by layer."""
    rows = {}
    for one in found.layers:
        assert one.gap is not None
        overlap = one.overlap.between if one.overlap else float("nan")
        rows[one.layer] = [one.code.score, one.gap.trained, one.gap.unseen, one.gap.gap, overlap]
    return rows


def _end_epoch(terms: DomainTerms, *_: Any) -> None:
    terms.end_epoch()


def of_vectors(seed: int, epochs: int) -> tuple[dict[str, Row], dict[str, Row], list[float]]:
    """Return the same of an encoder of vectors without and with the terms, and the critic's gap by epoch."""
    rng = np.random.default_rng(seed)
    content, domain = rng.integers(0, CONTENTS, COUNT), rng.integers(0, DOMAINS, COUNT)
    of_content, of_domain = rng.normal(size=(CONTENTS, WIDTH)), rng.normal(size=(DOMAINS, WIDTH))
    of_both = rng.normal(size=(CONTENTS, DOMAINS, WIDTH))
    base = np.concatenate([of_content[content], 2 * of_domain[domain], of_both[content, domain]], 1)
    seen = np.flatnonzero(domain != DOMAINS - 1)

    def views(rows: NDArray[np.int64], epoch: int) -> Any:
        draws = np.random.default_rng((seed, epoch, int(rows[0])))
        noisy = (base[seen[rows]] + 0.5 * draws.normal(size=(len(rows), 3 * WIDTH)) for _ in range(2))
        return tuple(torch.from_numpy(one.astype(np.float32)) for one in noisy)

    columns = {"content": content.astype(str).astype(object), "domain": domain.astype(str).astype(object)}
    options = DomainOptions("content", "domain", factors=["domain"])
    results: list[dict[str, Row]] = []
    gaps: list[float] = []
    for ddm in ("", "domain"):
        torch.manual_seed(seed)
        trunk = torch.nn.Sequential(torch.nn.Linear(3 * WIDTH, 96), torch.nn.ReLU(), torch.nn.Linear(96, 64))
        net: Any = network(trunk, 64, (64, 32), PREFIX if ddm else 0)
        training = EncoderTraining(
            epochs=epochs,
            batch_size=200,
            learning_rate=2e-3,
            seed=seed,
            ddm=ddm,
            ddm_prefix=PREFIX if ddm else 24,
            ddm_critic=(64, 64),
        )
        loss = SelfSupervisedLoss("simclr", net, 32)
        terms = DomainTerms(net, 64, domain[seen].astype(np.int64), training) if ddm else None
        after = None if terms is None else partial(_end_epoch, terms)
        fit(loss, views, len(seen), training, terms=[] if terms is None else [terms], after=after, quiet=True)
        net.eval()
        with torch.no_grad():
            noisy = base + 0.5 * rng.normal(size=base.shape)
            whole = net.trunk(torch.from_numpy(noisy.astype(np.float32))).numpy()
        layers = {"trunk": whole}
        if terms is not None:
            layers |= {"head.split.prefix": whole[:, :PREFIX], "head.split": whole[:, PREFIX:]}
            gaps = [row[1] for row in terms.history]
        features = Features("toy", "toy", layers, columns, np.arange(COUNT), {})
        run = RunOptions(seed, quiet=True)
        found = domain_findings(features, dict(columns), options, domain == DOMAINS - 1, run, KeptParts(None, {}))
        results.append(asked_of(found))
    return results[0], results[1], gaps


class Named(NamedTuple):
    """Which pictures of the world that was not trained on are named rightly, 0 or 1, and the animal of each, (N,)."""

    without: NDArray[np.float64]
    with_prefix: NDArray[np.float64]
    animals: NDArray[np.int64]


def told_by(
    vectors: NDArray[np.float32], codes: NDArray[np.int64], asked: NDArray[np.int64], rest: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Return which pictures a probe of the rest names rightly, 0 or 1."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(rest)
    train, chosen = order[len(order) // 5 :], order[: len(order) // 5]
    data = ProbeData(vectors[train], vectors[chosen], vectors[asked], codes[train], codes[chosen], int(codes.max()) + 1)
    right: NDArray[np.float64] = (probe_of("logistic")(data, rng).prediction == codes[asked]).astype(np.float64)
    return right


def of_pictures(
    seed: int, epochs: int, out: Path, rendered: Path | None
) -> tuple[dict[str, Row], dict[str, Row], list[float], Named]:
    """Return the same of encoders of rendered animals, and what is named in the unseen world."""
    if rendered is None:
        generate(SPEC, out / "data", samples=4)
    data = open_dataset(rendered or out / "data")
    columns = columns_of(data)
    worlds, animals = (
        np.unique(columns[name].astype(str), return_inverse=True)[1] for name in ("world_name", "character_name")
    )
    held = columns["world_name"].astype(str) == UNSEEN
    seen, unseen = np.flatnonzero(~held), np.flatnonzero(held)
    order = np.random.default_rng(seed).permutation(seen)
    known, fresh = order[len(order) // 4 :], order[: len(order) // 4]
    some = np.isin(animals, np.random.default_rng(seed).permutation(int(animals.max()) + 1)[:3])
    results: list[dict[str, Row]] = []
    right = []
    for domain in ("", "world_name"):
        training = EncoderTraining(epochs=epochs, seed=seed, ddm=domain, **TINY)  # type: ignore[arg-type]
        folder = train_encoder(data, out / f"{'ddm' if domain else 'base'}-{seed}", training, rows=seen, quiet=True)
        layers = ["trunk", *(["head.split.prefix", "head.split"] if domain else [])]
        every = features_of(f"ssl:{folder}", data, layers, out / "features", quiet=True).layers
        rows = {}
        for layer in layers:
            vectors = every[layer].astype(np.float32)
            told = told_by(vectors, worlds, np.flatnonzero(some), np.flatnonzero(~some), seed).mean()
            trained = told_by(vectors, animals, fresh, known, seed).mean()
            named = told_by(vectors, animals, unseen, seen, seed)
            overlap = feature_overlap(vectors, animals, worlds, np.random.default_rng(seed))
            between = overlap.between if overlap else float("nan")
            rows[layer] = [float(told), float(trained), float(named.mean()), float(trained - named.mean()), between]
        results.append(rows)
        right.append(named)
    with open(folder / "domains.csv", newline="") as file:
        gaps = [float(row["critic_gap"]) for row in csv.DictReader(file)]
    return results[0], results[1], gaps, Named(right[0], right[1], animals[held])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder: rendered animals instead of vectors")
    parser.add_argument("--data", type=Path, help="with --out: such a dataset, rendered before")
    parser.add_argument("--epochs", type=int, help="default: 60 of vectors, 20 of pictures")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    found: dict[str, list[Row]] = {}
    gaps = []
    named: list[Named] = []
    for seed in range(given.seeds):
        if given.out is None:
            base, ddm, gap = of_vectors(seed, given.epochs or 60)
        else:
            base, ddm, gap, right = of_pictures(seed, given.epochs or 20, given.out, given.data)
            named.append(right)
        gaps.append(gap)
        for name, rows in (("SimCLR", base), ("with the prefix", ddm)):
            for layer, row in rows.items():
                found.setdefault(f"{name}, {layer}", []).append(row)
    chance = "domain 25, content 10" if given.out is None else "world 20, animal 10"
    print(f"accuracy in %, mean of {given.seeds} seeds; chance: {chance}")
    print(f"{'':>35} {'domain told':>12} {'content, seen':>14} {'unseen':>7} {'gap':>6} {'overlap':>8}")
    means = {name: np.mean(values, 0) for name, values in found.items()}
    for name, row in means.items():
        told, trained, unseen, gap_, overlap = 100 * row
        print(f"{name:>35} {told:12.1f} {trained:14.1f} {unseen:7.1f} {gap_:6.1f} {overlap:8.1f}")
    print(f"critic's gap, largest and last: {', '.join(f'{max(gap):.2f} and {gap[-1]:.2f}' for gap in gaps)}")
    alone, prefix, rest = (
        means[key] for key in ("SimCLR, trunk", "with the prefix, head.split.prefix", "with the prefix, head.split")
    )
    for trend, seen in (
        ("SimCLR alone writes the domain", alone[0] > 0.6),
        ("the prefix tells the domain and hardly the content", prefix[0] > 0.7 and prefix[1] < rest[1] - 0.1),
        ("the critic finds less in the rest at the end than at its best", all(g[-1] < 0.8 * max(g) for g in gaps)),
        ("the domain is told less well from the rest than from SimCLR alone", rest[0] < alone[0] - 0.01),
        ("features of a content are more alike in two domains (overlap)", rest[4] > alone[4]),
        *([("the content is named better in the unseen domain", rest[2] > alone[2])] if not named else []),
    ):
        print(f"{trend}: {'found' if seen else 'NOT found'}")
    if named:
        gain = difference([one.without for one in named], [one.with_prefix for one in named], named[0].animals)
        print(f"named in {UNSEEN}: {100 * np.mean([one.without for one in named]):.1f} % without the prefix, "
              f"{100 * np.mean([one.with_prefix for one in named]):.1f} % with it, {points(gain)} points")  # fmt: skip
        verdict("the content is named better in the unseen domain", gain[1], gain[2])


if __name__ == "__main__":
    main()
