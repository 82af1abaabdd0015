"""Words for what makes a unit active: from captions of its most active pictures, less those of pictures that differ in
nothing but the unit.

Source: N. Kalibhat et al., *Identifying interpretable subspaces in image representations* (FALCON), ICML 2023: the sets
of most active pictures, the score of a word (eq. 4.1 of the thesis), and the contrast set (eq. 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.models import FloatArray

LEAST = 10
"""Pictures that make a unit active: of so few, or fewer, nothing is said."""
SCORE = 0.08
"""From which a word is told."""


@dataclass(frozen=True)
class CaptionBank:
    """Captions that pictures are described by.

    Attributes:
        vectors: of an image-text model, of length 1, (P, E).
        words: that each caption holds, P sets.
    """

    vectors: FloatArray
    words: Sequence[frozenset[str]]

    def __post_init__(self) -> None:
        if len(self.vectors) != len(self.words) or not len(self.words):
            raise DatasetError(f"{len(self.vectors)} vectors for {len(self.words)} captions; one each is right")

    def scores(self, images: FloatArray, captions: int = 5) -> dict[str, float]:
        """Return the score of each word over pictures (N, E): the mean of the best similarity of a caption with it.

        Only the captions that are most alike each picture count; a word that none of them holds counts as 0.
        """
        unit = images / np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-30)
        alike = unit @ self.vectors.T
        few = min(captions, len(self.words))
        best = np.argpartition(-alike, few - 1, 1)[:, :few]
        totals: dict[str, float] = {}
        for row, places in zip(alike, best, strict=True):
            mine: dict[str, float] = {}
            for place in places:
                for word in self.words[place]:
                    mine[word] = max(mine.get(word, 0.0), float(row[place]))
            for word, score in mine.items():
                totals[word] = totals.get(word, 0.0) + score
        return {word: total / len(images) for word, total in totals.items()}


@dataclass(frozen=True)
class WordOptions:
    """How a unit is put into words.

    Attributes:
        deviations: a picture makes a unit active from so many standard deviations above the mean, both of all units
            together; the source has 16.
        each: take mean and standard deviation of the unit alone, for layers whose units differ in scale.
        captions: of each picture.
        most: pictures that are described, the most active first.
        contrast: pictures that are most alike the active ones in all other units, and do not make the unit active.
        least: score from which a word is told.
        delta: by how much a word's score is to be above that of the contrast pictures; a word that is not is discarded.
    """

    deviations: float = 3.0
    each: bool = False
    captions: int = 5
    most: int = 200
    contrast: int = 10
    least: float = SCORE
    delta: float = 0.1


@dataclass(frozen=True)
class UnitWords:
    """What a unit is about, in words.

    Attributes:
        words: that tell active pictures from their contrast, with their scores, the largest lift first.
        raw: all words of active pictures, whatever those of the contrast are.
        discarded: words of ``raw`` that the contrast has as much of.
        lift: score less that of the contrast, by word of ``raw``.
        high: pictures that make the unit active.
        low: contrast pictures.
        low_similarity: cosine of the contrast pictures' other units with the mean of the active ones', on average;
            below 0.5 the contrast says little.
    """

    words: tuple[tuple[str, float], ...]
    raw: tuple[tuple[str, float], ...]
    discarded: tuple[str, ...]
    lift: Mapping[str, float]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    low_similarity: float


Units = int | Sequence[int]
"""A unit, or a group of units that are active together."""


def _group(units: Units) -> list[int]:
    return [units] if isinstance(units, int | np.integer) else list(units)


def rows_of_length_one(features: NDArray[Any]) -> FloatArray:
    """Return features of each picture brought to length 1, float32 (N, U)."""
    rows = np.asarray(features, np.float32)
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30))


def active_rows(features: FloatArray, units: Units, deviations: float, each: bool = False) -> NDArray[np.int64]:
    """Return the pictures that make a unit, or all units of a group, active, (T,), the most active first.

    Args:
        features: of all pictures, (N, U).
        units: whose.
        deviations: above the mean of all units, in standard deviations of all units.
        each: mean and standard deviation are those of the unit.
    """
    members = _group(units)
    of = features[:, members]
    mean, std = (of.mean(0), of.std(0)) if each else (features.mean(), features.std())
    above = (of - mean) / np.maximum(std, 1e-30)
    least = above.min(1)
    order = np.argsort(-least, kind="stable")
    return order[: int((least > deviations).sum())]


def contrast_rows(
    features: FloatArray, units: Units, high: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], float]:
    """Return pictures that are most alike the active ones in all other units and are below the mean of these.

    Args:
        features: of all pictures, (N, U).
        units: whose: of a group, all are below their mean.
        high: pictures that make it active.
        count: how many.

    Returns:
        Places, (count,) or fewer, and their mean cosine.

    Source: eq. 4.2 of the thesis, with the cosine instead of the dot product, and the nearest instead of a limit.
    """
    members = _group(units)
    rest = rows_of_length_one(np.delete(features, members, 1))
    centre = rest[high].mean(0)
    alike = rest @ (centre / max(float(np.linalg.norm(centre)), 1e-30))
    alike[(features[:, members] >= features[:, members].mean(0)).any(1)] = -np.inf
    order = np.argsort(-alike, kind="stable")[:count]
    order = order[np.isfinite(alike[order])]
    return order, float(alike[order].mean()) if len(order) else float("nan")


def words_of(
    features: FloatArray,
    units: Units,
    images: FloatArray,
    bank: CaptionBank,
    options: WordOptions | None = None,
    high: NDArray[np.int64] | None = None,
    crops: FloatArray | None = None,
) -> UnitWords | None:
    """Put a unit, or a group of units, into words.

    Args:
        features: of all pictures, (N, U); brought to length 1 first.
        units: whose.
        images: vectors of an image-text model of the same pictures, (N, E).
        bank: captions, by the same model.
        options: how.
        high: pictures that make it active; those of `active_rows` by default.
        crops: vectors of the parts of the first of ``high`` that make it active, (T, E), which are described in their
            place; the contrast is of whole pictures.

    Returns:
        ``None`` where at most ten pictures make the unit active.

    Source: eq. 4.1 and 4.2 of the thesis.

    Example:
        >>> bank = CaptionBank(np.eye(2, dtype=np.float32), [frozenset({"red"}), frozenset({"blue"})])
        >>> images = np.repeat(np.eye(2, dtype=np.float32), 20, 0)
        >>> features = np.concatenate([images, np.ones((40, 1), np.float32)], 1)
        >>> words_of(features, 0, images, bank, WordOptions(deviations=0.5, captions=1)).words
        (('red', 1.0),)
    """
    options = options or WordOptions()
    rows = rows_of_length_one(features)
    every = active_rows(rows, units, options.deviations, options.each) if high is None else high
    if len(every) <= LEAST:
        return None
    first = every[: options.most]
    low, alike = contrast_rows(rows, units, first, options.contrast)
    said = bank.scores(images[first] if crops is None else crops, options.captions)
    other = bank.scores(images[low], options.captions) if len(low) else {}
    raw = sorted(
        ((word, score) for word, score in said.items() if score >= options.least), key=lambda one: (-one[1], one[0])
    )
    lift = {word: score - other.get(word, 0.0) for word, score in raw}
    # By the lift: words that most pictures have stand high in the score itself.
    kept = tuple(sorted((one for one in raw if lift[one[0]] >= options.delta), key=lambda one: -lift[one[0]]))
    discarded = tuple(word for word, _ in raw if lift[word] < options.delta)
    return UnitWords(kept, tuple(raw), discarded, lift, every, low, alike)


def unit_groups(
    features: FloatArray, deviations: float, least: int = LEAST, each: bool = False
) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Return groups of units that are active together, and the pictures that make exactly these active.

    Args:
        features: of all pictures, (N, U).
        deviations: as in `active_rows`.
        least: groups of more pictures are kept.
        each: mean and standard deviation are those of each unit.

    Source: algorithm 1 of the thesis.
    """
    mean, std = (features.mean(0), features.std(0)) if each else (features.mean(), features.std())
    active = (features - mean) / np.maximum(std, 1e-30) > deviations
    found: dict[tuple[int, ...], list[int]] = {}
    for row, mine in enumerate(active):
        units = tuple(np.flatnonzero(mine).tolist())
        if units:
            found.setdefault(units, []).append(row)
    return {units: np.array(rows) for units, rows in sorted(found.items()) if len(rows) > least}


def interpretability(images: FloatArray) -> float:
    """Return how alike pictures are, (N, E): the mean cosine of two different ones."""
    unit = images / np.maximum(np.linalg.norm(images, axis=1, keepdims=True), 1e-30)
    count = len(unit)
    return float(((unit.sum(0) ** 2).sum() - count) / max(count * (count - 1), 1))


@dataclass(frozen=True)
class UnitMap:
    """Which units of another model stand for those of this one.

    Attributes:
        weights: from the other's units to this one's, (R, U).
        above: per unit of this model, the other's units whose weight is more than four standard deviations above the
            mean of all, as in the source.
        best: the other's unit with the largest weight, (U,).
    """

    weights: NDArray[np.float64]
    above: tuple[tuple[int, ...], ...]
    best: NDArray[np.int64]


def map_units(source: FloatArray, target: FloatArray, deviations: float = 4.0) -> UnitMap:
    """Map the units of one model to those of another by least squares on the same pictures.

    A weight of 1 among R is found by the source's rule only where R is large: of few units the largest weight is
    surer, and both are returned.

    Args:
        source: (N, U), whose units are looked for.
        target: (N, R), of the other model.
        deviations: above the mean of all weights.

    Raises:
        DatasetError: features of different pictures.
    """
    if len(source) != len(target):
        raise DatasetError(f"features of {len(source):,} and of {len(target):,} pictures; the same are needed")
    weights = np.linalg.lstsq(np.asarray(target, np.float64), np.asarray(source, np.float64), rcond=None)[0]
    limit = weights.mean() + deviations * weights.std()
    above = tuple(tuple(np.flatnonzero(column > limit).tolist()) for column in weights.T)
    return UnitMap(weights, above, weights.argmax(0))
