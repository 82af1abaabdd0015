"""Equivariance as parallelism: does a change of one factor move the embeddings of all objects the same way?

For a change of a factor from level k to level l, every context (all other factors) i gives a difference vector
``v_i = z_i(l) − z_i(k)`` of its image embeddings and ``u_i`` of its captions'. Reported are the mean cosines

- image: of ``v_i`` and ``v_j`` over all pairs i ≠ j (PUG chapter, equation 5.3.1), then over all changes (5.3.2);
- text: the same of ``u``;
- across: of ``v_i`` and ``u_i``.

The mean over all pairs has a closed form in sums: with unit vectors ``d_i``, ``Σ_{i≠j} d_i·d_j = ‖Σ d_i‖² − n``. So it
is exact, and the published estimate over random pairs is not needed. Intervals come from resampling characters, for
which one matrix of inner products between characters' sums is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError, nearest
from torchmultiverse.evaluate.data import PictureSet, columns_of, open_pictures
from torchmultiverse.evaluate.embeddings import EmbeddingStore, embed_texts, encode_pictures
from torchmultiverse.evaluate.stats import LEVEL, RESAMPLES, expanded_tail, resampling_weights
from torchmultiverse.models import ImageEncoder, ImageTextModel, as_model
from torchmultiverse.models.callables import unit
from torchmultiverse.models.preprocess import FloatArray
from torchmultiverse.spec import FACTORS, animals_caption

Modality = Literal["image", "text", "across"]
_SMALL = 1e-6
"""Length below which a difference is none: the embedding did not move."""


@dataclass(frozen=True)
class Parallelism:
    """The equivariance of one modality to one factor.

    Attributes:
        factor: column.
        modality: ``image``, ``text`` or ``across``.
        value: mean cosine over pairs and changes, −1 to 1.
        low, high: interval, clusters resampled.
        contexts: number of contexts.
        levels: of the factor.
        by_change: mean cosine of each change, (L, L), symmetric, NaN on the diagonal and where nothing moved.
        still: share of differences without any movement; they have no direction and are left out.
    """

    factor: str
    modality: Modality
    value: float
    low: float
    high: float
    contexts: int
    levels: tuple[str, ...]
    by_change: NDArray[np.float64]
    still: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; what is not a number is ``None``."""
        by_change = [[None if np.isnan(v) else round(float(v), 6) for v in row] for row in self.by_change]
        return {
            "factor": self.factor, "modality": self.modality, "value": None if np.isnan(self.value) else self.value,
            "low": self.low, "high": self.high, "contexts": self.contexts, "levels": list(self.levels),
            "by_change": by_change, "still": self.still,
        }  # fmt: skip


def arrange(
    columns: Mapping[str, NDArray[Any]], factor: str, others: Sequence[str]
) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the rows of every context at every level, (M, L), and the levels; contexts that lack a level are left out.

    Args:
        columns: of the dataset, (N,) each.
        factor: the column that changes.
        others: the columns that make a context.

    Raises:
        DatasetError: no such column, one level only, two rows for one cell, or no whole context.
    """
    for name in (factor, *others):
        if name not in columns:
            raise DatasetError(f"no column '{name}'.{nearest(name, columns)}")
    levels, level = np.unique(columns[factor].astype(str), return_inverse=True)
    if len(levels) < 2:
        raise DatasetError(f"{factor} has one level only, so nothing changes")
    context = np.zeros(len(level), np.int64)
    for name in others:
        values, code = np.unique(columns[name].astype(str), return_inverse=True)
        context = np.unique(context * len(values) + code, return_inverse=True)[1]
    count = int(context.max()) + 1
    cell = context * len(levels) + level
    if len(np.unique(cell)) < len(cell):
        raise DatasetError(f"rows that differ in {factor} alone cannot be told: two have the same {', '.join(others)}")
    index = np.full(count * len(levels), -1, np.int64)
    index[cell] = np.arange(len(cell))
    table = index.reshape(count, len(levels))
    whole = table[(table >= 0).all(1)]
    if not len(whole):
        raise DatasetError(f"no scene is there at every level of {factor}")
    first = {str(v): v for v in columns[factor][::-1]}
    return whole, [first[str(name)] for name in levels]


def parallelism(
    vectors: FloatArray,
    index: NDArray[np.int64],
    clusters: NDArray[Any],
    rng: np.random.Generator,
    *,
    second: FloatArray | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float, float, NDArray[np.float64], float]:
    """Return the mean cosine of difference vectors, its interval, that of every change, and the share without movement.

    Args:
        vectors: embeddings, (N, D).
        index: rows of each context at each level, (M, L), see `arrange`.
        clusters: what contexts share, such as the character, (M,).
        rng: of the resampling.
        second: embeddings of captions, (N, D): cosines are then between both, context by context, instead of between
            contexts.
        resamples, level: of the interval.
    """
    contexts, count = index.shape
    names, cluster = np.unique(clusters.astype(str), return_inverse=True)
    groups = len(names)
    parts = [index[cluster == g] for g in range(groups)]
    lengths = [_inverse_lengths(vectors, part) for part in parts]
    if second is not None:
        cosines = []
        for g, part in enumerate(parts):
            other = _inverse_lengths(second, part)
            cosines.append(_products(vectors, second, part) * lengths[g] * other)
            lengths[g] = lengths[g] * (other > 0)  # both have to move
    moved = np.stack([(w > 0).sum(0) for w in lengths]).astype(float)  # (G, L, L)
    above = np.zeros((groups, groups))  # inner products of clusters' sums, over all changes
    below = np.zeros((groups, groups))  # how many pairs they are of
    inside, pairs_inside = np.zeros(groups), np.zeros(groups)
    by_change = np.full((count, count), np.nan)
    upper = [(k, m) for k, m in combinations(range(count), 2) if moved[:, k, m].sum() > 0]
    if second is not None:
        for k, m in upper:
            found, n = np.array([c[:, k, m].sum() for c in cosines]), moved[:, k, m]
            inside += found
            pairs_inside += n
            by_change[k, m] = by_change[m, k] = found.sum() / n.sum()
    else:
        for k, m, sums in _change_sums(vectors, parts, lengths):
            n = moved[:, k, m]
            if n.sum() < 2:
                continue
            gram, sizes = sums @ sums.T, np.outer(n, n)
            inside += np.diag(gram) - n
            pairs_inside += n * (n - 1)
            by_change[k, m] = by_change[m, k] = (gram.sum() - n.sum()) / (n.sum() * (n.sum() - 1))
            np.fill_diagonal(gram, 0)
            np.fill_diagonal(sizes, 0)
            above += gram
            below += sizes
    still = contexts * count * (count - 1) // 2 - int(np.triu(moved.sum(0), 1).sum())
    changes = count * (count - 1) // 2
    value = float(np.nanmean(by_change)) if np.isfinite(by_change).any() else float("nan")
    share = still / (changes * contexts)
    if groups < 2 or not np.isfinite(value):
        return value, -1.0, 1.0, by_change, share
    weights = resampling_weights(groups, rng, resamples).astype(float)
    # Copies of a cluster are not pairs of different ones: between clusters w·w, inside one w.
    top = np.einsum("rg,gh,rh->r", weights, above, weights) + weights @ inside
    bottom = np.einsum("rg,gh,rh->r", weights, below, weights) + weights @ pairs_inside
    drawn = top[bottom > 0] / bottom[bottom > 0]
    tail = expanded_tail(groups, level)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return value, float(min(low, value)), float(max(high, value)), by_change, share


def equivariance(
    dataset: str | Path | PictureSet,
    models: Any,
    factors: Sequence[str] | None = None,
    *,
    seed: int = 0,
    batch_size: int = 64,
    quiet: bool = False,
    embeddings: str | Path | None = None,
) -> dict[str, list[Parallelism]]:
    """Return the equivariance of models to the factors of a dataset, by model.

    Where a factor is described by the captions, contexts are those at the default orientation, which captions do not
    describe (appendix D.3.1); for an orientation itself there is image equivariance alone.

    Args:
        dataset: a folder or an opened dataset, with the columns of PUG: Animals.
        models: image-text models, as for `evaluate`; of encoders of pictures alone, image equivariance.
        factors: columns; by default the world, scale, texture and camera yaw, as far as they vary.
        seed: of the resampling.
        batch_size, quiet, embeddings: as for `evaluate`.

    Raises:
        DatasetError: no such column, or nothing to compare.
        ModelError: a model that has no space for pictures.
    """
    pictures = open_pictures(dataset)
    columns = columns_of(pictures)
    varied = {f.column: f for f in FACTORS if f.column in columns and not f.label and len(set(columns[f.column])) > 1}
    wanted = list(factors) if factors is not None else [c for c in _DESCRIBED | _ORIENTATION if c in varied]
    if not wanted:
        raise DatasetError("nothing varies that equivariance could be asked of")
    if lacking := [c for c in ("character_name", *_DESCRIBED) if c not in columns]:
        raise DatasetError(f"equivariance needs the columns of PUG: Animals; '{lacking[0]}' is not there")
    store = None if embeddings is None else EmbeddingStore(embeddings)
    results: dict[str, list[Parallelism]] = {}
    rows = np.arange(len(pictures))
    captions = [
        animals_caption(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)
    ]
    for model in models if isinstance(models, Sequence) and not isinstance(models, str) else [models]:
        loaded = as_model(model)
        if not isinstance(loaded, ImageTextModel | ImageEncoder):
            raise ModelError(f"'{loaded.info.name}' has no space for pictures, so nothing is parallel there")
        images = encode_pictures(loaded, "image", loaded.encode_image, pictures, rows, batch_size, quiet, store)
        reads = isinstance(loaded, ImageTextModel)
        texts = images = images if reads else unit(images)  # of encoders of pictures alone vectors have any length
        if isinstance(loaded, ImageTextModel):
            known = embed_texts(loaded, captions, quiet, store)
            texts = np.stack([known[caption] for caption in captions])
        found = results.setdefault(loaded.info.name, [])
        for factor in wanted:
            kept, others = _contexts(columns, factor, list(varied))
            index, levels = arrange({c: values[kept] for c, values in columns.items()}, factor, others)
            index = np.flatnonzero(kept)[index]
            clusters = columns["character_name"][index[:, 0]]
            for modality in ("image", "text", "across") if factor in _DESCRIBED and reads else ("image",):
                of = texts if modality == "text" else images
                measured = parallelism(
                    of, index, clusters, np.random.default_rng(seed), second=texts if modality == "across" else None
                )
                value, low, high, by_change, still = measured
                found.append(
                    Parallelism(
                        factor, modality, value, low, high, len(index), tuple(map(str, levels)), by_change, still
                    )
                )
    return results


_DESCRIBED = dict.fromkeys(("world_name", "character_scale", "character_texture"))
_ORIENTATION = {
    f.column: None for f in FACTORS if f.period is not None and f.column.startswith(("camera", "character_r"))
}


def _contexts(
    columns: Mapping[str, NDArray[Any]], factor: str, varied: Sequence[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which rows take part, and which columns make a context."""
    others = [name for name in varied if name != factor]
    kept = np.ones(len(next(iter(columns.values()))), bool)
    if factor in _DESCRIBED:
        for name in [name for name in others if name in _ORIENTATION]:
            levels, counts = np.unique(columns[name], return_counts=True)
            default = FACTORS[name].default
            kept &= columns[name] == (default if default in levels else levels[counts.argmax()])
            others.remove(name)
    return kept, others


_BLOCK = 2**26
"""Numbers that are held at once while sums over contexts are made."""


def _centred(vectors: FloatArray, part: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the embeddings of some contexts, (M, L, D), less each context's mean: no difference changes by that."""
    held = vectors[part].astype(np.float64)
    held -= held.mean(1, keepdims=True)
    return held


def _inverse_lengths(vectors: FloatArray, part: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return 1 / |z_i(m) − z_i(k)| of all changes, (M, L, L); 0 where nothing moved."""
    out = np.empty((len(part), part.shape[1], part.shape[1]))
    for start in range(0, len(part), 512):
        held = _centred(vectors, part[start : start + 512])
        gram = held @ held.transpose(0, 2, 1)
        square = np.einsum("nkk->nk", gram)
        length = np.sqrt(np.maximum(square[:, :, None] + square[:, None, :] - 2 * gram, 0))
        out[start : start + 512] = np.where(length > _SMALL, 1 / np.maximum(length, _SMALL), 0)
    out[:, np.arange(out.shape[1]), np.arange(out.shape[1])] = 0
    return out


def _products(one: FloatArray, two: FloatArray, part: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the inner products of the differences of both, context by context, (M, L, L)."""
    out = np.empty((len(part), part.shape[1], part.shape[1]))
    for start in range(0, len(part), 512):
        rows = part[start : start + 512]
        cross = _centred(one, rows) @ _centred(two, rows).transpose(0, 2, 1)
        same = np.einsum("nkk->nk", cross)
        out[start : start + 512] = same[:, :, None] + same[:, None, :] - cross - cross.transpose(0, 2, 1)
    return out


def _change_sums(
    vectors: FloatArray, parts: Sequence[NDArray[np.int64]], lengths: Sequence[NDArray[np.float64]]
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Yield each change with the sum of its unit difference vectors over each cluster, (G, D).

    ``Σ_i w_i (z_i(m) − z_i(k))`` is two matrix products over the contexts, for all k at once.
    """
    count, size = parts[0].shape[1], vectors.shape[1]
    block = max(1, _BLOCK // (len(parts) * count * size))
    for start in range(0, count, block):
        ends = range(start, min(start + block, count))
        sums = np.empty((len(parts), count, len(ends), size))
        for g, part in enumerate(parts):
            held = _centred(vectors, part)
            for j, m in enumerate(ends):
                sums[g, :, j] = lengths[g][:, :, m].T @ held[:, m]
            for k in range(ends[-1]):
                sums[g, k] -= lengths[g][:, k, ends[0] : ends[-1] + 1].T @ held[:, k]
        for j, m in enumerate(ends):
            for k in range(m):
                yield k, m, sums[:, k, j]
