"""Decoders of a layer of a model: trained on a dataset, and loaded with what they are conditioned on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import AfterValidator

from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features import Features, LayerExtractor, features_of, image_array, layers_of
from torchmultiverse.files import write_atomic
from torchmultiverse.images import png
from torchmultiverse.models import (
    DECODER_CONFIG,
    Decoder,
    FloatArray,
    decoder_preset,
    load_decoder,
    load_model,
    load_published,
    split_alias,
)
from torchmultiverse.store import ImageSet, Manifest, dataset_name, manifest_hash, open_images, require_generative_use
from torchmultiverse.train import DiffusionTraining, train_decoder

TRAINING_ROWS = "learnt.npy"
HELD_OUT = 0.1
"""Fraction of pictures that a decoder never sees: it is scored on them."""


def _complete(config: Mapping[str, Any]) -> Mapping[str, Any]:
    if missing := {"model", "layer", "size", "features"} - config.keys():
        raise ValueError(f"no {', '.join(sorted(missing))} of the decoder")
    return config


DecoderFacts = Annotated[Mapping[str, Any], AfterValidator(_complete)]
"""The configuration of a decoder in a record; a page names its model, layer, size and number of features."""


@dataclass(frozen=True)
class LayerDecoderOptions:
    """How a decoder of a layer is trained.

    Attributes:
        size: side of its pictures in pixels.
        preset: of the U-Net; see `torchmultiverse.models.diffusion.DECODER_PRESETS`.
        steps, batch_size, learning_rate: of training.
        conditioning: ``add_emb``, ``cond_bn`` or ``none``.
        flip: whether pictures are mirrored half of the time, and their vectors are those of the mirrored ones.
        enlarges: side of small pictures that the decoder enlarges; 0 of one that draws from the vector alone.
    """

    size: int = 64
    preset: str = "small"
    steps: int = 10_000
    batch_size: int = 64
    learning_rate: float = 1e-4
    conditioning: str = "add_emb"
    flip: bool = True
    enlarges: int = 0


def train_layer_decoder(
    model: str,
    dataset: Any,
    out: str | Path,
    layer: str | None = None,
    training: LayerDecoderOptions | None = None,
    rows: NDArray[np.int64] | None = None,
    licence: str | None = None,
    run: RunOptions | None = None,
) -> Path:
    """Train a decoder of one layer of a model; an interrupted run is continued.

    Args:
        model: model string.
        dataset: folder or opened dataset; a tenth of it is held out.
        out: folder of the decoder.
        layer: name; the last by default.
        training: its settings.
        rows: pictures that it may learn, (N,); all by default. A tenth of them is held out too.
        licence: of the dataset by name, where it forbids training generative models and the user has other rights.
        run: seed of everything, and so on.

    Raises:
        DatasetError: the dataset's licence forbids it, or the folder holds another decoder.
        ModelError: no such layer or preset.
        MissingExtra: diffusers is not installed.
    """
    how, run = training or LayerDecoderOptions(), run or RunOptions()
    images = open_images(dataset)
    require_generative_use(images.manifest, dataset_name(images), licence)
    loaded = load_model(model)
    name = layer or layers_of(loaded)[-1].name
    features = features_of(loaded, images, [name], run.store, quiet=run.quiet)
    vectors = features.layers[name]
    allowed = np.arange(len(vectors)) if rows is None else np.sort(rows)
    order = np.random.default_rng(run.seed).permutation(allowed)
    seen = np.sort(order[max(1, round(HELD_OUT * len(order))) :])
    pixels = decoder_pixels(images, seen, how.size, run.quiet)
    mirrored = None
    if how.flip:
        mirrored = features_of(loaded, _Mirrored(images), [name], run.store, quiet=run.quiet).layers[name][seen]
    config = decoder_preset(
        how.preset, how.size, vectors.shape[1], conditioning=how.conditioning, enlarges=how.enlarges,
        model=split_alias(model)[1], layer=name,
        weights_sha256=str(loaded.info.weights_sha256 or ""), dataset=features.dataset,
        data_sha256=manifest_hash(images),
    )  # fmt: skip
    rows_hash = hashlib.sha256(seen.astype(np.int64).tobytes()).hexdigest()[:16]
    folder = train_decoder(
        pixels, vectors[seen], config, out,
        DiffusionTraining(
            steps=how.steps, batch_size=how.batch_size, learning_rate=how.learning_rate, seed=run.seed
        ),
        mirrored=mirrored, facts={"rows": rows_hash, "flip": how.flip}, quiet=run.quiet,
    )  # fmt: skip
    buffer = io.BytesIO()
    np.save(buffer, seen, allow_pickle=False)
    write_atomic(folder / TRAINING_ROWS, buffer.getvalue())
    return folder


def import_decoder(
    weights: str | Path, model: str, out: str | Path, layer: str | None = None, preset: str | None = None
) -> Path:
    """Make a decoder of released weights of RCDM, which then is asked as one that was trained here; returns its folder.

    Args:
        weights: checkpoint with the published names of tensors.
        model: model string of the encoder whose vectors it was trained on, with the preprocessing that it was given.
        out: folder of the decoder.
        layer: whose vectors those are; the last by default.
        preset: of `torchmultiverse.models.PUBLISHED_PRESETS`; by default the one that fits.

    Raises:
        ModelError: other weights, no such layer, or a layer with another number of features than the weights take.
        DatasetError: the folder holds another decoder.
        MissingExtra: diffusers is not installed.
    """
    folder = Path(out)
    if (folder / DECODER_CONFIG).exists():
        raise DatasetError(f"{folder} holds a decoder; choose another folder")
    loaded = load_model(model)
    name = layer or layers_of(loaded)[-1].name
    width = LayerExtractor(loaded, [name])([Image.new("RGB", (64, 64), (128, 128, 128))])[0].shape[1]
    decoder = load_published(
        weights, preset, width, model=split_alias(model)[1], layer=name,
        weights_sha256=str(loaded.info.weights_sha256 or ""),
    )  # fmt: skip
    decoder.save(folder, released_weights=Path(weights).name)
    return folder


class _Mirrored(ImageSet):
    """A dataset whose pictures are mirrored."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self.has_bytes = images.has_bytes
        self._manifest = Manifest(name=f"{dataset_name(images)}, mirrored")

    @property
    def manifest(self) -> Manifest:
        """Only a name."""
        return self._manifest

    def image_bytes(self, index: int) -> bytes:
        """Return a name of the pixels in place of a file, by which features are kept."""
        return b"mirrored " + self._images.image_bytes(index)

    def __len__(self) -> int:
        return len(self._images)

    def table(self, columns: Any = None) -> Any:
        return self._images.table(columns)

    def image(self, index: int) -> Image.Image:
        return ImageOps.mirror(self._images.image(index))

    def iter_images(self, indices: Any = None) -> Any:
        return map(ImageOps.mirror, self._images.iter_images(indices))


@dataclass(frozen=True)
class FeatureEvaluator:
    """A layer of a model that encodes pictures, to say what they show.

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

    def encode_pixels(self, pixels: NDArray[np.uint8], batch_size: int = 64) -> FloatArray:
        """Return the vectors of drawn pictures, uint8 (N, S, S, 3)."""
        return self.encode([Image.fromarray(image) for image in pixels], batch_size)

    def encode(self, images: Sequence[Image.Image], batch_size: int = 64) -> FloatArray:
        """Return the vectors of any pictures, (N, D)."""
        tap = LayerExtractor(self.model, [self.layer])
        parts = [tap(list(images[start : start + batch_size]))[0] for start in range(0, len(images), batch_size)]
        return np.concatenate(parts)


@dataclass(frozen=True)
class ConditionedDecoder(FeatureEvaluator):
    """A decoder with its model and the dataset it is shown.

    Attributes:
        decoder: loaded.
        images: the dataset.
        training_rows: rows that the decoder learnt, in order; none of another dataset.
    """

    decoder: Decoder
    images: Any
    training_rows: NDArray[np.int64]

    @property
    def held_out_rows(self) -> NDArray[np.int64]:
        """All other rows, in order."""
        return np.setdiff1d(np.arange(len(self.features)), self.training_rows)


def load_conditioned_decoder(folder: str | Path, dataset: Any, run: RunOptions | None = None) -> ConditionedDecoder:
    """Return a decoder with its model and the features of a dataset.

    Args:
        folder: of the decoder.
        dataset: that it was trained on, or another.
        run: where features are kept, and so on.

    Raises:
        ModelError: no decoder there, one that enlarges pictures, or its model has other weights now than when it was
            trained.
    """
    run = run or RunOptions()
    decoder = load_decoder(folder)
    if decoder.config.enlarges:
        raise ModelError(
            f"{folder} enlarges pictures of {decoder.config.enlarges} pixels that another decoder draws: name "
            "that one, and this behind --enlarge of 'analyze rcdm sample'"
        )
    model = load_model(decoder.config.model)
    if decoder.config.weights_sha256 != (model.info.weights_sha256 or ""):
        raise ModelError(f"{folder} was trained on other weights of '{decoder.config.model}' than there are now")
    images = open_images(dataset)
    features = features_of(model, images, [decoder.config.layer], run.store, quiet=run.quiet)
    training_rows = np.zeros(0, np.int64)
    if manifest_hash(images) == decoder.config.data_sha256:
        try:
            training_rows = np.load(Path(folder) / TRAINING_ROWS, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ModelError(f"{folder} does not say which pictures it learnt ({TRAINING_ROWS}): {error}") from None
        if len(training_rows) and training_rows[-1] >= len(features):
            raise ModelError(
                f"{folder} learnt picture {training_rows[-1]} of '{features.dataset}', which has {len(features)}"
            )
    return ConditionedDecoder(model, decoder.config.layer, features, decoder, images, training_rows)


def load_enlarger(folder: str | Path, one: ConditionedDecoder) -> Decoder:
    """Return the decoder that enlarges what another draws.

    Raises:
        ModelError: no decoder there, one that does not enlarge, or one of other vectors or another size.
    """
    found, first = load_decoder(folder), one.decoder.config
    mine = found.config
    if mine.enlarges != first.size:
        says = f"enlarges pictures of {mine.enlarges} pixels" if mine.enlarges else "enlarges none"
        raise ModelError(f"{folder} {says}; those drawn have {first.size}: train it with --enlarge-from {first.size}")
    theirs = (first.model, first.weights_sha256, first.layer, first.features)
    if (mine.model, mine.weights_sha256, mine.layer, mine.features) != theirs:
        raise ModelError(
            f"{folder} is of layer '{mine.layer}' of '{mine.model}', what is drawn is of '{first.layer}' of "
            f"'{first.model}'"
        )
    return found


def load_evaluator(model: str, images: Any, run: RunOptions | None = None) -> FeatureEvaluator:
    """Return the last layer of a model, with what it makes of a dataset.

    Raises:
        ModelError: no such model, or one without layers.
    """
    run = run or RunOptions()
    loaded = load_model(model)
    layer = layers_of(loaded)[-1].name
    return FeatureEvaluator(loaded, layer, features_of(loaded, images, [layer], run.store, quiet=run.quiet))


def image_grid(drawn: NDArray[np.uint8], real: NDArray[np.uint8] | None = None, gap: int = 2) -> Image.Image:
    """Return pictures (N, K, S, S, 3) as a sheet, a row each, with the real picture (N, S, S, 3) before it."""
    if real is not None:
        drawn = np.concatenate([real[:, None], drawn], 1)
    rows, columns, high, wide = drawn.shape[:4]
    sheet = Image.new("RGB", (columns * (wide + gap) - gap, rows * (high + gap) - gap), (255, 255, 255))
    for r in range(rows):
        for c in range(columns):
            sheet.paste(Image.fromarray(drawn[r, c]), (c * (wide + gap), r * (high + gap)))
    return sheet


def decoder_pixels(images: Any, rows: NDArray[np.int64], size: int, quiet: bool = True) -> NDArray[np.uint8]:
    """Return pictures as a decoder learns them: the middle square at its size, uint8 (N, S, S, 3)."""
    return image_array(
        images, rows, size, lambda image: square(image).resize((size, size), Image.Resampling.LANCZOS), quiet
    )


def square(image: Image.Image) -> Image.Image:
    """Return the middle square of a picture."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def encoded(pixels: Iterable[NDArray[np.uint8]]) -> tuple[EncodedImage, ...]:
    """Return pictures, uint8 (S, S, 3) each, as files, without loss."""
    return tuple(EncodedImage(data=png(one)) for one in pixels)
