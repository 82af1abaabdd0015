"""Do corruptions cost what their sources say they cost? On drawn shapes, in a minute on two quiet cores.

    python benchmarks/trends/corruptions.py [--seeds 1] [--epochs 8]

A small classifier (ResNet-10-t with a head of two layers, supervised) learns eight shapes on textured grounds; probes
of its trunk and of its head learn from plain pictures and are asked about new ones under the 15 types of ImageNet-C. It
prints the error by severity and layer, and says whether the trends of the sources were found: errors rise with severity
(Hendrycks and Dietterich, 2019), layers before the end of the head survive better (Bordes et al., 2023, table 1), and
noise, blur, weather and digital types all cost something. With --data, a dataset that was rendered with and without
fog and with depth: fog that knows depth moves features more as rendered fog does than fog that does not (Kar et al.,
2022).

    python benchmarks/trends/corruptions.py --data data/weather
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from torchmultiverse.analyze import CorruptedLayerOptions, RunOptions, compare_filters, probe_corruptions
from torchmultiverse.corruptions import IMAGENET_C, SETS, SEVERITIES
from torchmultiverse.models import load_model
from torchmultiverse.store import ImageList
from torchmultiverse.train import EncoderTraining, train_encoder

SHAPES = ("disc", "ring", "square", "frame", "triangle", "cross", "bar", "dots")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--per-class", type=int, default=60, help="pictures to learn from, of each of eight shapes")
    parser.add_argument("--data", type=Path, help="rendered with and without fog_visibility, with depth")
    asked = parser.parse_args()
    found = [run(seed, asked.epochs, asked.per_class) for seed in range(asked.seeds)]
    layers = found[0].layers
    plain = np.mean([one.plain.mean(1) for one in found], 0)
    wrong = np.mean([one.wrong.mean((0, 3)) for one in found], 0)  # severities, layers
    print(f"error in %, mean of {asked.seeds} seeds and 15 types; chance {100 * found[0].chance:.0f}")
    print(f"{'':>12} {'plain':>7} " + " ".join(f"{s:>6}" for s in SEVERITIES) + f" {'mean':>7}")
    for place, layer in enumerate(layers):
        each = " ".join(f"{100 * value:6.1f}" for value in wrong[:, place])
        print(f"{layer:>12} {100 * plain[place]:7.1f} {each} {100 * wrong[:, place].mean():7.1f}", flush=True)
    by_type = np.mean([one.wrong[:, :, -1].mean((1, 2)) for one in found], 0)
    families = {name: np.mean([by_type[IMAGENET_C.index(t)] for t in SETS[name]]) for name in
                ("noise", "blur", "weather", "digital")}  # fmt: skip
    print("last layer by family: " + ", ".join(f"{name} {100 * value:.1f}" for name, value in families.items()))
    means = wrong.mean(0)
    trends = [
        ("the mean error at the last layer ranks with severity (Spearman at least 0.9)", _ranks(wrong[:, -1])),
        ("every family costs more than plain pictures at the last layer", min(families.values()) > plain[-1]),
        ("some layer before the last survives better than the last", means[:-1].min() < means[-1]),
    ]
    if asked.data is not None:
        trends.append(fog(asked.data))
    for trend, there in trends:
        print(f"{trend}: {'found' if there else 'NOT found'}")


def run(seed: int, epochs: int, per_class: int):  # type: ignore[no-untyped-def]
    """Train an encoder and probe its layers on other pictures."""
    with tempfile.TemporaryDirectory() as folder:
        training = EncoderTraining(
            method="supervised", epochs=epochs, size=48, batch_size=64, head=(64, 64), seed=seed, augment=("crop",),
            scale=0.7,
        )  # fmt: skip
        path = train_encoder(drawn(per_class, seed), Path(folder) / "encoder", training, "label", quiet=True)
        model = load_model(f"ssl:{path}")
        layers = [f"head.{k}" for k in (0, 2, 4) if _has(model, f"head.{k}")]
        options = CorruptedLayerOptions(label="label", layers=["trunk", *layers], group="rows", side=64)
        return probe_corruptions(model, drawn(per_class // 2, 100 + seed), options, RunOptions(seed, quiet=True))


def _ranks(errors: np.ndarray) -> bool:
    from scipy.stats import spearmanr

    return bool(spearmanr(errors, range(len(errors))).statistic > 0.89)


def _has(model: object, layer: str) -> bool:
    from torchmultiverse.features import layers_of

    return layer in [one.name for one in layers_of(model, every=True)]


def fog(data: Path) -> tuple[str, bool]:
    """Compare rendered fog with both filters by an untrained network's features."""
    ways = compare_filters("timm:resnet10t/random", data, ["fog_visibility"], run=RunOptions(quiet=True))
    cosine = {way: np.nanmean(np.concatenate([one.direction for one in ways if one.way == way])) for way in
              ("2-D filter", "filter with depth")}  # fmt: skip
    print("direction of features, cosine with rendered fog: " + ", ".join(f"{k} {v:.2f}" for k, v in cosine.items()))
    return "fog with depth is nearer to rendered fog", cosine["filter with depth"] > cosine["2-D filter"]


def drawn(per_class: int, seed: int) -> ImageList:
    """Return pictures of shapes, of any colour and place on a ground of another, as a dataset."""
    rng = np.random.default_rng(seed)
    images, rows = [], []
    for label in SHAPES:
        for _ in range(per_class):
            images.append(_shape(label, rng))
            rows.append({"label": label})
    return ImageList(images, rows, name="shapes")


def _shape(label: str, rng: np.random.Generator, side: int = 64) -> Image.Image:
    ground = rng.integers(40, 200, 3)
    texture = rng.normal(0, 8, (8, 8, 3)).repeat(8, 0).repeat(8, 1)
    image = Image.fromarray(np.clip(ground + texture, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(image)
    colour = tuple(
        int(v) for v in (ground + np.where(rng.random(3) < 0.5, -1, 1) * rng.integers(80, 130, 3)).clip(0, 255)
    )
    x, y, r = *rng.uniform(side / 2 - 4, side / 2 + 4, 2), rng.uniform(16, 22)
    box = (x - r, y - r, x + r, y + r)
    if label == "disc":
        pen.ellipse(box, fill=colour)
    elif label == "ring":
        pen.ellipse(box, outline=colour, width=4)
    elif label == "square":
        pen.rectangle(box, fill=colour)
    elif label == "frame":
        pen.rectangle(box, outline=colour, width=4)
    elif label == "triangle":
        pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], fill=colour)
    elif label == "cross":
        pen.rectangle((x - r, y - r / 4, x + r, y + r / 4), fill=colour)
        pen.rectangle((x - r / 4, y - r, x + r / 4, y + r), fill=colour)
    elif label == "bar":
        pen.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=colour)
    else:
        for dx in (-r, r):
            for dy in (-r, r):
                pen.ellipse((x + dx * 0.6 - 4, y + dy * 0.6 - 4, x + dx * 0.6 + 4, y + dy * 0.6 + 4), fill=colour)
    return image


if __name__ == "__main__":
    main()
