"""A decoder for a layer of a model: trained on a dataset, drawn from, and scored."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from torchmultiverse.analyze.depth import depths
from torchmultiverse.analyze.faithful import Faithfulness, Kept, Realism, factors_kept, faithfulness, realism
from torchmultiverse.analyze.rcdm import interpolate, sample
from torchmultiverse.analyze.splits import question
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluate import thumbnail
from torchmultiverse.features import Features, LayerExtractor, factor_names, features_of, image_array, layers_of
from torchmultiverse.files import write_atomic
from torchmultiverse.models import Decoder, FloatArray, decoder_preset, load_decoder, load_model
from torchmultiverse.store import ImageSet, Manifest, dataset_name, manifest_hash, open_images, require_generative_use
from torchmultiverse.train import DiffusionTraining, train_decoder

LEARNT = "learnt.npy"
HELD_OUT = 0.1
"""Share of pictures that a decoder never sees: it is scored on them."""


def train_on_layer(
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
    flip: bool = True,
    rows: NDArray[np.int64] | None = None,
    quiet: bool = False,
) -> Path:
    """Train a decoder of one layer of a model; an interrupted run is continued.

    Args:
        model: model string.
        dataset: folder or opened dataset; a tenth of it is held out.
        out: folder of the decoder.
        layer: name; the last by default.
        size: of its pictures in pixels.
        shape: preset of the U-Net; see `torchmultiverse.models.diffusion.DECODER_PRESETS`.
        steps, batch_size, learning_rate: of training.
        conditioning: ``add_emb``, ``cond_bn`` or ``none``.
        licence: of the dataset by name, where it forbids training generative models and the user has other rights.
        seed: of everything.
        store: where features are kept.
        flip: whether pictures are mirrored half of the time, and their vectors are those of the mirrored ones.
        rows: pictures that it may learn, (N,); all by default. A tenth of them is held out too.
        quiet: show no bars.

    Raises:
        DatasetError: the dataset's licence forbids it, or the folder holds another decoder.
        ModelError: no such layer or preset.
        MissingExtra: diffusers is not installed.
    """
    pictures = open_images(dataset)
    require_generative_use(pictures.manifest, dataset_name(pictures), licence)
    loaded = load_model(model)
    name = layer or layers_of(loaded)[-1].name
    features = features_of(loaded, pictures, [name], store, quiet=quiet)
    vectors = features.layers[name]
    allowed = np.arange(len(vectors)) if rows is None else np.sort(rows)
    order = np.random.default_rng(seed).permutation(allowed)
    seen = np.sort(order[max(1, round(HELD_OUT * len(order))) :])
    pixels = pixels_of(pictures, seen, size, quiet)
    turned = features_of(loaded, _Mirrored(pictures), [name], store, quiet=quiet).layers[name][seen] if flip else None
    config = decoder_preset(
        shape, size, vectors.shape[1], conditioning=conditioning, model=model, layer=name,
        weights_sha256=str(loaded.info.weights_sha256 or ""), dataset=features.dataset,
        data_sha256=manifest_hash(pictures),
    )  # fmt: skip
    name_of_rows = hashlib.sha256(seen.astype(np.int64).tobytes()).hexdigest()[:16]
    folder = train_decoder(
        pixels, vectors[seen], config, out,
        DiffusionTraining(steps=steps, batch_size=batch_size, learning_rate=learning_rate, seed=seed),
        mirrored=turned, facts={"rows": name_of_rows, "flip": flip}, quiet=quiet,
    )  # fmt: skip
    buffer = io.BytesIO()
    np.save(buffer, seen, allow_pickle=False)
    write_atomic(folder / LEARNT, buffer.getvalue())
    return folder


class _Mirrored(ImageSet):
    """A dataset whose pictures are mirrored."""

    def __init__(self, pictures: ImageSet) -> None:
        self._pictures = pictures
        self.has_bytes = pictures.has_bytes
        self._manifest = Manifest(name=f"{dataset_name(pictures)}, mirrored")

    @property
    def manifest(self) -> Manifest:
        """Only a name."""
        return self._manifest

    def image_bytes(self, index: int) -> bytes:
        """Return a name of the pixels in place of a file, by which features are kept."""
        return b"mirrored " + self._pictures.image_bytes(index)

    def __len__(self) -> int:
        return len(self._pictures)

    def table(self, columns: Any = None) -> Any:
        return self._pictures.table(columns)

    def image(self, index: int) -> Image.Image:
        return ImageOps.mirror(self._pictures.image(index))

    def iter_images(self, indices: Any = None) -> Any:
        return map(ImageOps.mirror, self._pictures.iter_images(indices))


@dataclass(frozen=True)
class Eyes:
    """A layer of a model that looks at pictures.

    Attributes:
        model: loaded.
        layer: name.
        features: of that layer, for all pictures.
    """

    model: Any
    layer: str
    features: Features

    @property
    def name(self) -> str:
        """Model and layer."""
        return f"{self.model.info.name}, {self.layer}"

    @property
    def vectors(self) -> FloatArray:
        """Of all pictures, (N, D)."""
        return self.features.layers[self.layer]

    def look(self, pixels: NDArray[np.uint8], batch_size: int = 64) -> FloatArray:
        """Return the vectors of drawn pictures, uint8 (N, S, S, 3)."""
        return self.see([Image.fromarray(picture) for picture in pixels], batch_size)

    def see(self, images: Sequence[Image.Image], batch_size: int = 64) -> FloatArray:
        """Return the vectors of any pictures, (N, D)."""
        tap = LayerExtractor(self.model, [self.layer])
        parts = [tap(list(images[start : start + batch_size]))[0] for start in range(0, len(images), batch_size)]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Sitter(Eyes):
    """A decoder with its model and the dataset it is shown.

    Attributes:
        decoder: loaded.
        pictures: the dataset.
        learnt: rows that the decoder learnt, in order; none of another dataset.
    """

    decoder: Decoder
    pictures: Any
    learnt: NDArray[np.int64]

    @property
    def held(self) -> NDArray[np.int64]:
        """All other rows, in order."""
        return np.setdiff1d(np.arange(len(self.features)), self.learnt)


def sitter(folder: str | Path, dataset: Any, store: str | Path | None = None, quiet: bool = False) -> Sitter:
    """Return a decoder with what it is asked about.

    Raises:
        ModelError: no decoder there, or its model has other weights now than when it was trained.
    """
    decoder = load_decoder(folder)
    model = load_model(decoder.config.model)
    if decoder.config.weights_sha256 != (model.info.weights_sha256 or ""):
        raise ModelError(f"{folder} was trained on other weights of '{decoder.config.model}' than there are now")
    pictures = open_images(dataset)
    features = features_of(model, pictures, [decoder.config.layer], store, quiet=quiet)
    learnt = np.zeros(0, np.int64)
    if manifest_hash(pictures) == decoder.config.data_sha256:
        try:
            learnt = np.load(Path(folder) / LEARNT, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder} does not say which pictures it learnt ({LEARNT}): {error}") from None
        if len(learnt) and learnt[-1] >= len(features):
            raise ModelError(f"{folder} learnt picture {learnt[-1]} of '{features.dataset}', which has {len(features)}")
    return Sitter(model, decoder.config.layer, features, decoder, pictures, learnt)


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
        realism: of all drawn pictures together.
    """

    config: Mapping[str, Any]
    dataset: str
    held: bool
    faithfulness: Faithfulness
    kept: tuple[Kept, ...]
    rows: tuple[tuple[str, ...], ...]
    between: tuple[tuple[str, ...], ...]
    realism: Realism

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as plain data."""
        ranks = {k: v for k, v in asdict(self.faithfulness).items() if k != "ranks"}
        return {
            "config": dict(self.config), "dataset": self.dataset, "faithfulness": ranks,
            "ranks": self.faithfulness.ranks.tolist(), "kept": [asdict(one) for one in self.kept],
            "realism": asdict(self.realism),
        }  # fmt: skip

    def save(self, out: str | Path) -> Path:
        """Write ``rcdm.json`` and the page; returns the page."""
        from torchmultiverse.report import portrait_page

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "rcdm.json", (json.dumps(self.as_dict(), indent=1) + "\n").encode())
        write_atomic(out / "index.html", portrait_page(self).encode())
        return out / "index.html"


def portrait(
    folder: str | Path | Sitter,
    dataset: Any,
    factors: Sequence[str] | None = None,
    count: int = 100,
    each: int = 4,
    shown: int = 8,
    steps: int = 50,
    sampler: str = "ddim",
    seed: int = 0,
    store: str | Path | None = None,
    judge: str | None = None,
    quiet: bool = False,
) -> Portrait:
    """Draw pictures for vectors of pictures that the decoder never saw, and score them.

    Args:
        folder: of the decoder, or the decoder with what it is shown.
        dataset: that it was trained on (its held-out tenth is used), or another.
        factors: columns; all that vary by default.
        count: vectors that are drawn from.
        each: pictures of each.
        shown: rows of the page.
        steps, sampler, seed: of sampling.
        store: where features are kept.
        judge: model whose last features say what pictures show; the decoder's own layer by default.
        quiet: show no bars.

    Raises:
        ModelError: see `sitter`; no such judge.
        DatasetError: no such column.
    """
    one = folder if isinstance(folder, Sitter) else sitter(folder, dataset, store, quiet)
    vectors = one.vectors
    candidates = one.held
    asked = np.sort(np.random.default_rng(seed).permutation(candidates)[:count])
    drawn = sample(one.decoder, vectors[asked], each, steps, sampler, seed, quiet=quiet)
    flat = drawn.reshape(-1, *drawn.shape[2:])
    rows = np.repeat(asked, each)
    seen = one.look(flat)
    place = np.searchsorted(candidates, rows)
    ranks = faithfulness(vectors[candidates], seen, place)
    names = factor_names(one.features, factors)
    questions = {name: what.codes for name in names if (what := question(one.features.columns, name)).numbers is None}
    probes = depths(one.features, list(questions), by="rows", seed=seed, quiet=True)
    read = {reach.factor: reach.score for reach in probes.reaches}
    eyes = one if judge is None else eyes_of(judge, one.pictures, store, quiet)
    judged = seen if judge is None else eyes.look(flat)
    kept = factors_kept(eyes.vectors, questions, judged, rows, read, seed)
    rest = one.learnt if len(one.learnt) else candidates
    label = next((name for name in ("character_name", "label") if name in questions), next(iter(questions)))
    whole = realism(
        eyes.name, judged, eyes.vectors[candidates], eyes.vectors[rest], label, questions[label][rest], seed,
    )  # fmt: skip
    size = one.decoder.config.size
    pages = []
    for k in range(min(shown, len(asked))):
        real = pixels_of(one.pictures, asked[k : k + 1], size)[0]
        pages.append(tuple(thumbnail(Image.fromarray(picture)) for picture in (real, *drawn[k])))
    between = []
    for k in range(0, min(6, len(asked) - 1), 2):
        ends = vectors[asked[[k, k + 1]]]
        path = interpolate(ends[0], ends[1], 7)
        line = sample(one.decoder, path, 1, steps, sampler, seed, same_noise=True, quiet=True)
        real = pixels_of(one.pictures, asked[[k, k + 1]], size)
        between.append(tuple(thumbnail(Image.fromarray(picture)) for picture in (real[0], *line[:, 0], real[1])))
    return Portrait(
        asdict(one.decoder.config),
        one.features.dataset,
        len(one.learnt) > 0,
        ranks,
        tuple(kept),
        tuple(pages),
        tuple(between),
        whole,
    )


def eyes_of(judge: str, pictures: Any, store: str | Path | None = None, quiet: bool = False) -> Eyes:
    """Return the last layer of a model, with what it makes of a dataset.

    Raises:
        ModelError: no such model, or one without layers.
    """
    model = load_model(judge)
    layer = layers_of(model)[-1].name
    return Eyes(model, layer, features_of(model, pictures, [layer], store, quiet=quiet))


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
    return image_array(
        pictures, rows, size, lambda image: square(image).resize((size, size), Image.Resampling.LANCZOS), quiet
    )


def square(image: Image.Image) -> Image.Image:
    """Return the middle square of a picture."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
