"""Outputs and features of any layers of a model for the images of a dataset: made in one pass, and cached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.features.cache import DIGEST, CachedArrays, FeatureCache, chunks
from torchmultiverse.features.cached_images import CachedImages
from torchmultiverse.features.encode import BatchSize, encode_texts, run_images
from torchmultiverse.features.layers import LayerExtractor, choose
from torchmultiverse.models import Classifier, FloatArray, ImageEncoder, ImageTextModel, Model, load_model
from torchmultiverse.store import ImageSet, columns_of, dataset_name, open_images


class LayerFeatures(Mapping[str, FloatArray]):
    """Features by layer, (N, D) each, in the order of depth; read when asked for where they are kept on disk."""

    def __init__(self, layers: Sequence[str], digests: NDArray[np.void] | None, held: Mapping[str, Any]) -> None:
        self._layers, self._digests, self._held = list(layers), digests, held

    @override
    def __getitem__(self, layer: str) -> FloatArray:
        held = self._held[layer]
        if isinstance(held, CachedArrays):
            assert self._digests is not None
            held = held.get(self._digests)
        return np.asarray(held, np.float32)

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    @override
    def __len__(self) -> int:
        return len(self._layers)


@dataclass(frozen=True)
class Features:
    """What a model makes of a dataset at several layers.

    Attributes:
        model: name of the model.
        dataset: name of the dataset.
        layers: by layer, from the first to the last, (N, D) float32.
        columns: of the dataset, (N,) each.
        rows: of the dataset that these are, (N,).
        facts: of the model.
    """

    model: str
    dataset: str
    layers: Mapping[str, FloatArray]
    columns: Mapping[str, NDArray[Any]]
    rows: NDArray[np.int64]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.rows)


def features_of(
    model: Any,
    dataset: str | Path | ImageSet,
    layers: Sequence[str] | str = "cuts",
    cache: FeatureCache | str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch_size: int | BatchSize = 64,
    quiet: bool = False,
) -> Features:
    """Return the features of pictures at several layers; each picture passes once through the model for all of them.

    Args:
        model: a model string or model.
        dataset: folder of a dataset or of pictures, or an opened one.
        layers: ``cuts`` for all places where the model can be cut, ``every``, or names; see
            `torchmultiverse.features.layers.choose`.
        cache: where features are kept, or its folder.
        limit: so many pictures at most, drawn at random.
        seed: of the draw.
        batch_size: pictures per call.
        quiet: show no bar.

    Raises:
        ModelError: a model without layers, or no such layer.
    """
    model = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    names = choose(model, layers)
    rows = np.arange(len(images))
    if limit is not None and limit < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    columns = {name: values[rows] for name, values in columns_of(images).items()}
    opened = FeatureCache(cache) if isinstance(cache, str | Path) else cache
    outputs = {name: f"layer {name}" for name in names}
    found = _cached(model, images, rows, outputs, lambda some: LayerExtractor(model, some), opened, batch_size, quiet)
    return Features(model.info.name, dataset_name(images), found, columns, rows, model.info.as_dict())


def encode_images(
    model: ImageTextModel | Classifier | ImageEncoder,
    output: str,
    function: Callable[[Any], FloatArray],
    images: ImageSet,
    rows: NDArray[np.int64],
    batch_size: int | BatchSize = 64,
    quiet: bool = False,
    cache: FeatureCache | None = None,
) -> FloatArray:
    """Return one output of a model for some images, (N, D), from the cache where it was there before.

    Args:
        model: whose output it is.
        output: its name in the cache: ``image`` or ``logits``.
        function: a batch of images to that output.
        images: the dataset.
        rows: which images, in which order.
        batch_size: images per call.
        quiet: show no bar.
        cache: where outputs are kept.
    """
    return _cached(model, images, rows, {output: output}, lambda _: lambda batch: [function(batch)], cache, batch_size,
                   quiet)[output]  # fmt: skip


def embed_texts(
    model: ImageTextModel, texts: Sequence[str], quiet: bool = False, cache: FeatureCache | None = None
) -> dict[str, FloatArray]:
    """Return the vector of every caption, (D,) each, from the cache where it was there before."""
    return dict(zip(*text_vectors(model, texts, quiet, cache), strict=True))


def text_vectors(
    model: ImageTextModel, texts: Sequence[str], quiet: bool = False, cache: FeatureCache | None = None
) -> tuple[list[str], FloatArray]:
    """Return every caption once, sorted, and their vectors, (K, D), from the cache where they were there before."""
    unique = sorted(dict.fromkeys(texts))  # runs that are in order are sorted faster than a set
    encoder = cache.outputs(model, "text") if cache is not None else None

    def encode(part: NDArray[np.int64]) -> FloatArray:
        vectors = encode_texts(model, [unique[i] for i in part], quiet=quiet)
        return np.stack([vectors[unique[i]] for i in part])

    if encoder is None or not unique:
        return unique, encode(np.arange(len(unique))) if unique else np.zeros((0, 0), np.float32)
    digests = np.frombuffer(b"".join(hashlib.sha256(text.encode()).digest() for text in unique), DIGEST)
    return unique, encoder(digests, encode)


Compute = Callable[[Sequence[str]], Callable[[Any], list[FloatArray]]]
"""From names of outputs to a function from a batch of images to these outputs, (N, D) each, made in one pass."""


def _cached(
    model: Model,
    images: ImageSet,
    rows: NDArray[np.int64],
    outputs: Mapping[str, str],
    compute: Compute,
    cache: FeatureCache | None,
    batch_size: int | BatchSize,
    quiet: bool,
) -> LayerFeatures:
    """Return outputs of a model for some images; those that are not in the cache are made in one pass and kept.

    Args:
        model: whose.
        images: the dataset.
        rows: which images, in which order.
        outputs: names in the cache by names of outputs.
        compute: makes them.
        cache: where they are kept.
        batch_size: images per call.
        quiet: show no bar.
    """
    names = list(outputs)
    caches = {name: cache.outputs(model, key) if cache is not None else None for name, key in outputs.items()}
    preprocess, title = model.info.preprocess, model.info.name
    known = {name: found for name, found in caches.items() if found is not None}
    if cache is None or len(known) < len(names) or not images.has_bytes or preprocess is None:
        every = _pass(compute(names), len(names), images, rows, title, batch_size, quiet)
        return LayerFeatures(names, None, dict(zip(names, every, strict=True)))
    digests = cache.digests(images, rows)
    missing = {name: arrays.missing(digests) for name, arrays in known.items()}
    todo = np.unique(np.concatenate(list(missing.values())))
    pixels = cache.pixel_caches(preprocess, len(rows)) if len(todo) and images.keeps_pixels else []
    for part in chunks(todo):
        mine = [name for name in names if np.isin(part, missing[name]).any()]
        source = CachedImages(images, pixels, digests[part]) if pixels else images
        label = title if len(mine) == 1 else f"{title}, {len(mine)} layers"
        made = _pass(compute(mine), len(mine), source, rows[part], label, batch_size, quiet)
        for name, arrays in zip(mine, made, strict=True):
            wanted = np.isin(part, missing[name])
            known[name].add(digests[part][wanted], arrays[wanted])
    return LayerFeatures(names, digests, known)


def _pass(
    function: Callable[[Any], list[FloatArray]],
    count: int,
    source: Any,
    rows: NDArray[np.int64],
    label: str,
    batch_size: int | BatchSize,
    quiet: bool,
) -> list[FloatArray]:
    """Return several outputs of one pass."""
    if count == 1:
        return [run_images(lambda images: function(images)[0], source, rows, label, batch_size, quiet)]
    widths: list[int] = []

    def together(images: Any) -> FloatArray:
        parts = function(images)
        widths[:] = [part.shape[1] for part in parts]
        return np.concatenate(parts, 1)

    found = run_images(together, source, rows, label, batch_size, quiet)
    return np.split(found, np.cumsum(widths)[:-1], 1)


def factor_names(features: Features, wanted: Sequence[str] | None = None, most: float = 0.25) -> list[str]:
    """Return the columns to ask for: those that vary, and vary otherwise than those before them.

    Args:
        features: with the columns.
        wanted: names; without them, all columns that have at least two levels.
        most: levels per picture above which a column of words is a name, not a factor.

    Raises:
        DatasetError: no such column, one that does not vary, or nothing to ask for.
    """
    if wanted is not None:
        for name in wanted:
            if name not in features.columns:
                raise QuestionError(f"{features.dataset} has no column '{name}'.{nearest(name, features.columns)}")
            if len(np.unique(features.columns[name].astype(str))) < 2:
                raise QuestionError(f"'{name}' is the same in all pictures of {features.dataset}")
        return list(wanted)
    from torchmultiverse.store import factor_table

    found: list[str] = []
    seen: set[bytes] = set()
    for name in factor_table(features.columns).column_names:
        values = features.columns[name]
        levels, first, codes = np.unique(values.astype(str), return_index=True, return_inverse=True)
        if len(levels) < 2 or (len(levels) > max(2, most * len(values)) and values.dtype == object):
            continue
        # The same partition under another name, as the clean names are, says nothing new.
        place = np.empty(len(levels), np.int64)
        place[np.argsort(first)] = np.arange(len(levels))
        key = place[codes].astype(np.int32).tobytes()
        if key not in seen or len(levels) == len(values):
            seen.add(key)
            found.append(name)
    if not found:
        raise DatasetError(f"{features.dataset} has no column that varies")
    return found
