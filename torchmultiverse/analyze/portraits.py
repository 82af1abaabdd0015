"""A decoder for a layer of a model: trained on a dataset, drawn from, and scored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.depth import depths
from torchmultiverse.analyze.faithful import Faithfulness, Kept, factors_kept, faithfulness
from torchmultiverse.analyze.features import Features, factor_names, features_of
from torchmultiverse.analyze.rcdm import CONFIG, Decoder, interpolate, load_decoder, preset, sample, train_decoder
from torchmultiverse.analyze.splits import question
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluate.data import dataset_name, manifest_of, open_pictures
from torchmultiverse.evaluate.encode import picture_array
from torchmultiverse.evaluate.gallery import data_uri, jpeg
from torchmultiverse.models import load_model
from torchmultiverse.models.layers import Tap, layers_of
from torchmultiverse.models.preprocess import FloatArray
from torchmultiverse.store.files import write_atomic
from torchmultiverse.store.licence import require_generative_use

HELD_OUT = 0.1
"""Share of pictures that a decoder never sees: it is scored on them."""


def train(
    model: str,
    dataset: Any,
    out: str | Path,
    layer: str | None = None,
    size: int = 64,
    shape: str = "small",
    steps: int = 10_000,
    batch_size: int = 64,
    learning_rate: float = 1e-4,
    conditioning: str = "add_emb",
    licence: str | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Path:
    """Train a decoder of one layer of a model; an interrupted run is continued.

    Args:
        model: model string.
        dataset: folder or opened dataset; a tenth of it is held out.
        out: folder of the decoder.
        layer: name; the last by default.
        size: of its pictures in pixels.
        shape: preset of the U-Net; see `torchmultiverse.analyze.rcdm.PRESETS`.
        steps, batch_size, learning_rate: of training.
        conditioning: ``add_emb``, ``cond_bn`` or ``none``.
        licence: of the dataset by name, where it forbids training generative models and the user has other rights.
        seed: of everything.
        store: where features are kept.
        quiet: show no bars.

    Raises:
        DatasetError: the dataset's licence forbids it, or the folder holds another decoder.
        ModelError: no such layer or preset.
        MissingExtra: diffusers is not installed.
    """
    pictures = open_pictures(dataset)
    require_generative_use(manifest_of(pictures), dataset_name(pictures), licence)
    loaded = load_model(model)
    name = layer or layers_of(loaded)[-1].name
    features = features_of(loaded, pictures, [name], store, quiet=quiet)
    vectors = features.layers[name]
    seen, _ = divide(len(vectors), seed)
    pixels = pixels_of(pictures, seen, size, quiet)
    config = preset(
        shape, size, vectors.shape[1], conditioning=conditioning, model=model, layer=name,
        weights_sha256=str(loaded.info.weights_sha256 or ""), dataset=features.dataset,
    )  # fmt: skip
    return train_decoder(
        pixels, vectors[seen], config, out, steps, batch_size, learning_rate, seed=seed, quiet=quiet,
        facts={"held_out": HELD_OUT},
    )  # fmt: skip


def divide(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that a decoder sees, and those that are held out, both in order."""
    order = np.random.default_rng(seed).permutation(count)
    held = max(1, round(HELD_OUT * count))
    return np.sort(order[held:]), np.sort(order[:held])


@dataclass(frozen=True)
class Sitter:
    """A decoder with its model and the dataset it is shown.

    Attributes:
        decoder, model: loaded.
        features: of the decoder's layer, for all pictures.
        pictures: the dataset.
        seed: of its training, which says what was held out.
    """

    decoder: Decoder
    model: Any
    features: Features
    pictures: Any
    seed: int

    @property
    def vectors(self) -> FloatArray:
        """Of all pictures, (N, D)."""
        return self.features.layers[self.decoder.config.layer]


def sitter(folder: str | Path, dataset: Any, store: str | Path | None = None, quiet: bool = False) -> Sitter:
    """Return a decoder with what it is asked about.

    Raises:
        ModelError: no decoder there, or its model has other weights now than when it was trained.
    """
    decoder = load_decoder(folder)
    facts = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
    model = load_model(decoder.config.model)
    if decoder.config.weights_sha256 != (model.info.weights_sha256 or ""):
        raise ModelError(f"{folder} was trained on other weights of '{decoder.config.model}' than there are now")
    pictures = open_pictures(dataset)
    features = features_of(model, pictures, [decoder.config.layer], store, quiet=quiet)
    return Sitter(decoder, model, features, pictures, int(facts["seed"]))


def look(one: Sitter, pixels: NDArray[np.uint8], batch_size: int = 64) -> FloatArray:
    """Return the vectors of drawn pictures, uint8 (N, S, S, 3), by the decoder's own layer."""
    tap = Tap(one.model, [one.decoder.config.layer])
    images = [Image.fromarray(picture) for picture in pixels]
    parts = [tap(images[start : start + batch_size])[0] for start in range(0, len(images), batch_size)]
    return np.concatenate(parts)


@dataclass(frozen=True)
class Portrait:
    """What a decoder shows of a layer.

    Attributes:
        config: of the decoder.
        dataset: name of what it was asked about.
        held: whether those were pictures that it never saw.
        faithfulness: of its pictures.
        kept: by factor.
        rows: JPEG of the real picture and of those drawn for it.
        between: drawn between two real pictures, and these.
    """

    config: Mapping[str, Any]
    dataset: str
    held: bool
    faithfulness: Faithfulness
    kept: tuple[Kept, ...]
    rows: tuple[tuple[str, ...], ...]
    between: tuple[tuple[str, ...], ...]

    def save(self, out: str | Path) -> Path:
        """Write ``rcdm.json`` and the page; returns the page."""
        from torchmultiverse.report.portrait import portrait_page

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        ranks = {k: v for k, v in asdict(self.faithfulness).items() if k != "ranks"}
        plain = {
            "config": dict(self.config), "dataset": self.dataset, "faithfulness": ranks,
            "ranks": self.faithfulness.ranks.tolist(), "kept": [asdict(one) for one in self.kept],
        }  # fmt: skip
        write_atomic(out / "rcdm.json", (json.dumps(plain, indent=1) + "\n").encode())
        write_atomic(out / "index.html", portrait_page(self).encode())
        return out / "index.html"


def portrait(
    folder: str | Path,
    dataset: Any,
    factors: Sequence[str] | None = None,
    count: int = 100,
    each: int = 4,
    shown: int = 8,
    steps: int = 50,
    sampler: str = "ddim",
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Portrait:
    """Draw pictures for vectors of pictures that the decoder never saw, and score them.

    Args:
        folder: of the decoder.
        dataset: that it was trained on (its held-out tenth is used), or another.
        factors: columns; all that vary by default.
        count: vectors that are drawn from.
        each: pictures of each.
        shown: rows of the page.
        steps, sampler, seed: of sampling.
        store: where features are kept.
        quiet: show no bars.

    Raises:
        ModelError: see `sitter`.
        DatasetError: no such column.
    """
    one = sitter(folder, dataset, store, quiet)
    vectors = one.vectors
    own = one.features.dataset == one.decoder.config.dataset
    candidates = divide(len(vectors), one.seed)[1] if own else np.arange(len(vectors))
    asked = np.sort(np.random.default_rng(seed).permutation(candidates)[:count])
    drawn = sample(one.decoder, vectors[asked], each, steps, sampler, seed, quiet=quiet)
    flat = drawn.reshape(-1, *drawn.shape[2:])
    rows = np.repeat(asked, each)
    seen = look(one, flat)
    place = np.searchsorted(candidates, rows)
    ranks = faithfulness(vectors[candidates], seen, place)
    names = factor_names(one.features, factors)
    questions = {name: what.codes for name in names if (what := question(one.features.columns, name)).numbers is None}
    probes = depths(one.features, list(questions), by="rows", seed=seed, quiet=True)
    read = {reach.factor: reach.score for reach in probes.reaches}
    kept = factors_kept(vectors, questions, seen, rows, read, seed)
    size = one.decoder.config.size
    pages = []
    for k in range(min(shown, len(asked))):
        real = pixels_of(one.pictures, asked[k : k + 1], size)[0]
        pages.append(tuple(_jpeg(picture) for picture in (real, *drawn[k])))
    between = []
    for k in range(0, min(6, len(asked) - 1), 2):
        ends = vectors[asked[[k, k + 1]]]
        path = interpolate(ends[0], ends[1], 7)
        line = sample(one.decoder, path, 1, steps, sampler, seed, same_noise=True, quiet=True)
        real = pixels_of(one.pictures, asked[[k, k + 1]], size)
        between.append(tuple(_jpeg(picture) for picture in (real[0], *line[:, 0], real[1])))
    return Portrait(
        asdict(one.decoder.config), one.features.dataset, own, ranks, tuple(kept), tuple(pages), tuple(between)
    )


def grid(drawn: NDArray[np.uint8], real: NDArray[np.uint8] | None = None, gap: int = 2) -> Image.Image:
    """Return pictures (N, K, S, S, 3) as a sheet, a row each, with the real picture (N, S, S, 3) before it."""
    if real is not None:
        drawn = np.concatenate([real[:, None], drawn], 1)
    rows, columns, high, wide = drawn.shape[:4]
    sheet = Image.new("RGB", (columns * (wide + gap) - gap, rows * (high + gap) - gap), (255, 255, 255))
    for r in range(rows):
        for c in range(columns):
            sheet.paste(Image.fromarray(drawn[r, c]), (c * (wide + gap), r * (high + gap)))
    return sheet


def pixels_of(pictures: Any, rows: NDArray[np.int64], size: int, quiet: bool = True) -> NDArray[np.uint8]:
    """Return pictures as a decoder learns them: the middle square at its size, uint8 (N, S, S, 3)."""
    return picture_array(
        pictures, rows, size, lambda image: _square(image).resize((size, size), Image.Resampling.LANCZOS), quiet
    )


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _jpeg(pixels: NDArray[np.uint8], least: int = 72) -> str:
    image = Image.fromarray(pixels)
    if image.width < least:
        factor = -(-least // image.width)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return data_uri(jpeg(image, 88))
