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

from torchmultiverse.errors import DatasetError, ModelError, QuestionError, nearest
from torchmultiverse.features import FeatureCache, embed_texts, encode_images
from torchmultiverse.models import FloatArray, ImageEncoder, ImageTextModel, as_models, unit
from torchmultiverse.scenes import FACTORS, animals_caption
from torchmultiverse.stats import LEVEL, MIN_CLUSTERS, RESAMPLES, expanded_tail, resampling_weights
from torchmultiverse.store import ImageSet, columns_of, factor_table, open_images

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
        low, high: interval, clusters resampled; −1 and 1 where there are too few.
        clusters: independent groups of contexts.
        contexts: number of contexts.
        levels: of the factor.
        by_change: mean cosine of each change, (L, L), symmetric, NaN on the diagonal and where nothing moved.
        unmoved: share of differences without any movement; they have no direction and are left out.
    """

    factor: str
    modality: Modality
    value: float
    low: float
    high: float
    clusters: int
    contexts: int
    levels: tuple[str, ...]
    by_change: NDArray[np.float64]
    unmoved: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; what is not a number is ``None``."""
        by_change = [[None if np.isnan(v) else round(float(v), 6) for v in row] for row in self.by_change]
        return {
            "factor": self.factor, "modality": self.modality, "value": None if np.isnan(self.value) else self.value,
            "low": self.low, "high": self.high, "clusters": self.clusters, "contexts": self.contexts,
            "levels": list(self.levels),
            "by_change": by_change, "unmoved": self.unmoved,
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
            raise QuestionError(f"no column '{name}'.{nearest(name, columns)}")
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
    unmoved = contexts * count * (count - 1) // 2 - int(np.triu(moved.sum(0), 1).sum())
    changes = count * (count - 1) // 2
    value = float(np.nanmean(by_change)) if np.isfinite(by_change).any() else float("nan")
    unmoved_fraction = unmoved / (changes * contexts)
    if groups < MIN_CLUSTERS or not np.isfinite(value):
        return value, -1.0, 1.0, by_change, unmoved_fraction
    weights = resampling_weights(groups, rng, resamples).astype(float)
    # Copies of a cluster are not pairs of different ones: between clusters w·w, inside one w.
    top = np.einsum("rg,gh,rh->r", weights, above, weights) + weights @ inside
    bottom = np.einsum("rg,gh,rh->r", weights, below, weights) + weights @ pairs_inside
    drawn = top[bottom > 0] / bottom[bottom > 0]
    tail = expanded_tail(groups, level)
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return value, float(min(low, value)), float(max(high, value)), by_change, unmoved_fraction


def equivariance(
    dataset: str | Path | ImageSet,
    models: Any,
    factors: Sequence[str] | None = None,
    *,
    seed: int = 0,
    batch_size: int = 64,
    quiet: bool = False,
    embeddings: str | Path | None = None,
) -> dict[str, list[Parallelism]]:
    """Return the equivariance of models to the factors of a dataset, by model.

    Captions are those of the dataset, or for the columns of PUG: Animals its published ones. Where they say a factor,
    contexts are those at the default orientation, which captions do not describe (appendix D.3.1); of a factor that
    they do not say, and without captions, there is image equivariance alone.

    Args:
        dataset: a folder or an opened dataset.
        models: image-text models, as for `evaluate`; of encoders of pictures alone, image equivariance.
        factors: columns; by default all that vary, but for names of objects, and are combined with all others.
        seed: of the resampling.
        batch_size, quiet, embeddings: as for `evaluate`.

    Raises:
        DatasetError: no such column, or nothing to compare.
        ModelError: a model that has no space for pictures.
    """
    images = open_images(dataset)
    columns = columns_of(images)
    captions = _captions(columns)
    contrasts = _contrasts(columns, captions, factors)
    store = None if embeddings is None else FeatureCache(embeddings)
    results: dict[str, list[Parallelism]] = {}
    rows = np.arange(len(images))
    for loaded in as_models(models):
        if not isinstance(loaded, ImageTextModel | ImageEncoder):
            raise ModelError(f"'{loaded.info.name}' has no space for pictures, so nothing is parallel there")
        vectors = encode_images(loaded, "image", loaded.encode_image, images, rows, batch_size, quiet, store)
        reads = isinstance(loaded, ImageTextModel)
        texts = vectors = vectors if reads else unit(vectors)  # of encoders of pictures alone vectors have any length
        if isinstance(loaded, ImageTextModel) and captions is not None:
            known = embed_texts(loaded, captions, quiet, store)
            texts = np.stack([known[caption] for caption in captions])
        found = results.setdefault(loaded.info.name, [])
        for contrast in contrasts:
            index = contrast.index
            for modality in ("image", "text", "across") if contrast.captioned and reads else ("image",):
                of = texts if modality == "text" else vectors
                second = texts if modality == "across" else None
                measured = parallelism(of, index, contrast.clusters, np.random.default_rng(seed), second=second)
                value, low, high, by_change, unmoved = measured
                groups, levels = len(np.unique(contrast.clusters)), tuple(map(str, contrast.levels))
                found.append(
                    Parallelism(
                        contrast.factor, modality, value, low, high, groups, len(index), levels, by_change, unmoved
                    )
                )
    return results


_ANIMALS = ("character_name", "world_name", "character_scale", "character_texture")
_NAMES = ("character_name", "character2_name")
_ORIENTATION = frozenset(
    f.column for f in FACTORS if f.period is not None and f.column.startswith(("camera", "character_r"))
)


@dataclass(frozen=True)
class _FactorContrast:
    """What is compared for one factor: see `arrange` for ``index`` and ``levels``.

    Attributes:
        captioned: whether captions tell its levels apart.
    """

    factor: str
    index: NDArray[np.int64]
    levels: list[Any]
    clusters: NDArray[Any]
    captioned: bool


def _varied(columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the columns that say what is in the pictures and vary; words of nearly every row are no factor."""
    known = {f.column: f for f in FACTORS}
    found = []
    for name in factor_table(columns).column_names:
        values = columns[name]
        levels = len(np.unique(values.astype(str)))
        named = name not in known and values.dtype == object and levels > max(2, len(values) / 4)
        if levels > 1 and not named and not (name in known and known[name].label):
            found.append(name)
    return found


def _captions(columns: Mapping[str, NDArray[Any]]) -> list[str] | None:
    """Return a caption of each picture; ``None`` where there is none."""
    if "caption" in columns and all(isinstance(text, str) for text in columns["caption"]):
        return list(columns["caption"])
    if all(name in columns for name in _ANIMALS) and "character2_name" not in columns:
        rows = zip(*(columns[name] for name in _ANIMALS), strict=True)
        return [animals_caption(dict(zip(_ANIMALS, values, strict=True))) for values in rows]
    return None


def _contrasts(
    columns: Mapping[str, NDArray[Any]], captions: Sequence[str] | None, factors: Sequence[str] | None
) -> list[_FactorContrast]:
    """Return what is compared for each factor; of those that were not named, for which it can be.

    Raises:
        DatasetError: see `arrange`; for factors that were not named, if it is so for all.
    """
    varied = _varied(columns)
    text = None if captions is None else np.array(captions, object)
    contrasts, errors = [], []
    for factor in factors if factors is not None else [name for name in varied if name not in _NAMES]:
        try:
            contrasts.append(_contrast(columns, varied, text, factor))
        except DatasetError as error:
            if factors is not None:
                raise
            errors.append(str(error))
    if not contrasts:
        raise DatasetError("; ".join(errors) or "nothing varies that equivariance could be asked of")
    return contrasts


def _contrast(
    columns: Mapping[str, NDArray[Any]], varied: Sequence[str], captions: NDArray[Any] | None, factor: str
) -> _FactorContrast:
    if factor not in columns:
        raise QuestionError(f"no column '{factor}'.{nearest(factor, columns)}")
    others = [name for name in varied if name != factor and not _follows(columns[name], columns[factor])]
    index, levels = arrange(columns, factor, others)
    captioned = captions is not None and any(len(set(row)) > 1 for row in captions[index])
    if captioned and (turned := [name for name in others if name in _ORIENTATION]):
        kept = np.ones(len(columns[factor]), bool)
        for name in turned:
            known, counts = np.unique(columns[name], return_counts=True)
            default = FACTORS[name].default
            kept &= columns[name] == (default if default in known else known[counts.argmax()])
            others.remove(name)
        index, levels = arrange({c: values[kept] for c, values in columns.items()}, factor, others)
        index = np.flatnonzero(kept)[index]
    names = [columns[name][index[:, 0]].astype(str) for name in _NAMES if name in varied and name != factor]
    clusters = np.array(["|".join(sorted(values)) for values in zip(*names, strict=True)], object)
    return _FactorContrast(factor, index, levels, clusters if names else np.arange(len(index)), captioned)


def _follows(values: NDArray[Any], factor: NDArray[Any]) -> bool:
    """Return whether a column says nothing that the factor does not: it changes with it, and is no context of it."""
    return len(set(zip(values.astype(str), factor.astype(str), strict=True))) == len(np.unique(factor.astype(str)))


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
