"""Features of several layers of a model, for every picture of a dataset: made in one pass, and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.features.cache import FLUSH, Decoder, EmbeddingStore, Shelf
from torchmultiverse.features.encode import BatchSize, run_images
from torchmultiverse.features.layers import Tap, choose
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.store import ImageSet, columns_of, dataset_name, open_images


class LayerFeatures(Mapping[str, FloatArray]):
    """Features by layer, (N, D) each, in the order of depth; read when asked for where they are kept on disk."""

    def __init__(self, layers: Sequence[str], digests: NDArray[np.void] | None, held: Mapping[str, Any]) -> None:
        self._layers, self._digests, self._held = list(layers), digests, held

    @override
    def __getitem__(self, layer: str) -> FloatArray:
        held = self._held[layer]
        if isinstance(held, Shelf):
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
    """What a model makes of a dataset at several depths.

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
    store: EmbeddingStore | str | Path | None = None,
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
        store: where features are kept; a path for one of the embeddings' folders.
        limit: so many pictures at most, drawn at random.
        seed: of the draw.
        batch_size: pictures per call.
        quiet: show no bar.

    Raises:
        ModelError: a model without layers, or no such layer.
    """
    model = load_model(model) if isinstance(model, str) else model
    pictures = open_images(dataset)
    names = choose(model, layers)
    rows = np.arange(len(pictures))
    if limit is not None and limit < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))
    columns = {name: values[rows] for name, values in columns_of(pictures).items()}
    opened = EmbeddingStore(store) if isinstance(store, str | Path) else store
    found = _kept(model, pictures, rows, names, opened, batch_size, quiet)
    return Features(model.info.name, dataset_name(pictures), found, columns, rows, model.info.as_dict())


def _kept(
    model: Any,
    pictures: ImageSet,
    rows: NDArray[np.int64],
    names: Sequence[str],
    store: EmbeddingStore | None,
    batch_size: int | BatchSize,
    quiet: bool,
) -> LayerFeatures:
    shelves = {name: store.encoder(model, f"layer {name}") if store is not None else None for name in names}
    preprocess, title = model.info.preprocess, model.info.name
    known = {name: shelf for name, shelf in shelves.items() if shelf is not None}
    if store is None or len(known) < len(names) or not pictures.has_bytes or preprocess is None:
        every = _pass(model, names, pictures, rows, title, batch_size, quiet)
        return LayerFeatures(names, None, dict(zip(names, every, strict=True)))
    digests = store.digests(pictures, rows)
    lacking = {name: shelf.lacking(digests) for name, shelf in known.items()}
    todo = np.unique(np.concatenate(list(lacking.values())))
    pixels = store.shelves(preprocess, len(rows))
    for start in range(0, len(todo), FLUSH):
        part = todo[start : start + FLUSH]
        mine = [name for name in names if np.isin(part, lacking[name]).any()]
        source = Decoder(pictures, pixels, digests[part]) if pixels else pictures
        label = f"{title}, {len(mine)} layers" + (f", {start:,} of {len(todo):,}" if len(todo) > FLUSH else "")
        for name, made in zip(mine, _pass(model, mine, source, rows[part], label, batch_size, quiet), strict=True):
            wanted = np.isin(part, lacking[name])
            known[name].add(digests[part][wanted], made[wanted])
    return LayerFeatures(names, digests, known)


def _pass(
    model: Any, names: Sequence[str], source: Any, rows: NDArray[np.int64], label: str, batch: Any, quiet: bool
) -> list[FloatArray]:
    """Return the features of all layers from one pass."""
    tap = Tap(model, names)
    widths: list[int] = []

    def together(images: Any) -> FloatArray:
        parts = tap(images)
        widths[:] = [part.shape[1] for part in parts]
        return np.concatenate(parts, 1)

    found = run_images(together, source, rows, label, batch, quiet)
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
                raise DatasetError(f"{features.dataset} has no column '{name}'.{nearest(name, features.columns)}")
            if len(np.unique(features.columns[name].astype(str))) < 2:
                raise DatasetError(f"'{name}' is the same in all pictures of {features.dataset}")
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
