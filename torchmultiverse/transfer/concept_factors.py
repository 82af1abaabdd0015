"""Pictures held equal over classes, and what a change of appearance costs beside a change of meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.scenes import FACTORS
from torchmultiverse.stats import MIN_CLUSTERS
from torchmultiverse.store import factor_table
from torchmultiverse.transfer.concept_probes import ClassPictures, held_out

_MOST_LEVELS = 100
_ENOUGH = 0.5  # of the pictures of the class that has fewest
_FAR = 0.25
_FEWEST = 4  # groups that are divided


@dataclass(frozen=True)
class EqualPictures:
    """Rows in which every class has as many pictures, and as many of each combination of some factors.

    Attributes:
        rows: of the dataset, sorted.
        factors: columns that are held equal; none where only the number of pictures is.
        cells: combinations of their levels that all classes have.
        each: pictures of each class.
        dropped: factors that vary but could not be held equal.
    """

    rows: NDArray[np.int64]
    factors: tuple[str, ...]
    cells: int
    each: int
    dropped: tuple[str, ...]


def shared_factors(
    columns: Mapping[str, NDArray[Any]], labels: NDArray[Any], own: Sequence[str], wanted: Sequence[str] | None = None
) -> list[str]:
    """Return the columns that vary and whose levels classes share.

    Args:
        columns: of the dataset, (N,) each.
        labels: class of each row, (N,), of the rows that are used; the columns are of these rows.
        own: columns that say the class or the asset.
        wanted: names; default: all of a hundred levels at most, none of which says another's.

    Raises:
        DatasetError: a column that is not there, or does not vary within classes.
    """
    codes = np.unique(labels.astype(str), return_inverse=True)[1]
    for name in wanted or ():
        if name not in columns:
            raise QuestionError(f"no column '{name}' to hold equal.{nearest(name, columns)}")
        if _levels_shared(columns[name], codes) < 2:
            raise DatasetError(f"'{name}' has no two levels that all classes share")
    if wanted is not None:
        return list(wanted)
    found: list[str] = []
    seen: set[bytes] = set()
    for name in factor_table(columns).column_names:
        if name in own or name == "label" or _levels_shared(columns[name], codes, any_class=True) < 2:
            continue
        levels, first, places = np.unique(columns[name].astype(str), return_index=True, return_inverse=True)
        if len(levels) > _MOST_LEVELS:
            continue
        order = np.empty(len(levels), np.int64)
        order[np.argsort(first)] = np.arange(len(levels))
        key = order[places].astype(np.int32).tobytes()
        if key not in seen:
            seen.add(key)
            found.append(name)
    return found


def _levels_shared(values: NDArray[Any], codes: NDArray[np.int64], any_class: bool = False) -> int:
    """Return how many levels all classes have, or any two of them."""
    levels = np.unique(values.astype(str), return_inverse=True)[1]
    pairs = np.unique(np.stack([levels, codes], 1), axis=0)
    return int((np.bincount(pairs[:, 0]) >= (2 if any_class else codes.max() + 1)).sum())


def cells_of(columns: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], factors: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of the combination of factors that each of some rows shows, (N,); 0 of no factors."""
    if not factors:
        return np.zeros(len(rows), np.int64)
    levels = [np.unique(columns[name][rows].astype(str), return_inverse=True)[1] for name in factors]
    return np.asarray(np.unique(np.stack(levels, 1), axis=0, return_inverse=True)[1].reshape(-1), np.int64)


def equal_pictures(
    columns: Mapping[str, NDArray[Any]], labels: NDArray[Any], rows: NDArray[np.int64], factors: Sequence[str],
    rng: np.random.Generator,
) -> EqualPictures:  # fmt: skip
    """Return rows in which every class has as many pictures of each combination of factors.

    Where the classes share too few combinations, the factor of most levels is let go, until half of the pictures of the
    class that has fewest are left; at worst only their number is equal.

    Args:
        columns: of the dataset, all rows.
        labels: class of each of ``rows``, (N,).
        rows: that may be used, (N,).
        factors: columns to hold equal.
        rng: draws pictures where a class has more than another.
    """
    codes = np.unique(labels.astype(str), return_inverse=True)[1]
    fewest = int(np.bincount(codes).min())
    levels = {name: len(np.unique(columns[name][rows].astype(str))) for name in factors}
    left = list(factors)
    while True:
        cells = cells_of(columns, rows, left)
        counts = np.zeros((codes.max() + 1, cells.max() + 1), np.int64)
        np.add.at(counts, (codes, cells), 1)
        least = counts.min(0)
        if not left or least.sum() >= max(1, _ENOUGH * fewest):
            break
        left.remove(max(left, key=lambda name: (levels[name], name)))
    order = rng.permutation(len(rows))
    pair = codes[order] * (cells.max() + 1) + cells[order]
    ranked = np.argsort(pair, kind="stable")
    begins = np.concatenate([[0], np.cumsum(np.bincount(pair, minlength=counts.size))])
    place = np.arange(len(rows)) - begins[pair[ranked]]
    kept = order[ranked[place < least[cells[order[ranked]]]]]
    return EqualPictures(
        np.sort(rows[kept]), tuple(left), int((least > 0).sum()) if left else 0, int(least.sum()),
        tuple(name for name in factors if name not in left),
    )  # fmt: skip


@dataclass(frozen=True)
class AppearanceSplit:
    """Levels of a factor that are learnt from, and those that are far from them.

    Attributes:
        factor: column.
        near, far: levels as words.
        is_far: of each row, (N,).
    """

    factor: str
    near: tuple[str, ...]
    far: tuple[str, ...]
    is_far: NDArray[np.bool_]


def appearance_split(values: NDArray[Any], factor: str, rng: np.random.Generator) -> AppearanceSplit | None:
    """Return near and far levels of a factor: of numbers the half that is farthest from the usual one, else a quarter.

    Angles are as far as the shorter way round. Returns ``None`` of a factor with one level.

    >>> found = appearance_split(np.array([0, 0, 45, 135, 180]), "camera_yaw", np.random.default_rng(0))
    >>> found.near, found.far
    (('0', '45'), ('135', '180'))
    """
    levels, counts = np.unique(values if values.dtype.kind in "iuf" else values.astype(str), return_counts=True)
    if len(levels) < 2:
        return None
    if levels.dtype.kind in "iuf":
        usual = float(levels[counts.argmax()]) if counts.max() > 1.5 * np.median(counts) else float(levels[0])
        away = np.abs(levels.astype(float) - usual)
        period = FACTORS[factor].period if factor in FACTORS else None
        if period:
            away = np.minimum(away % period, period - away % period)
        order = np.argsort(away, kind="stable")
        far = order[(len(levels) + 1) // 2 :]
    else:
        far = rng.permutation(len(levels))[: max(1, round(_FAR * len(levels)))]
    is_far = np.isin(values if values.dtype.kind in "iuf" else values.astype(str), levels[far])
    words = [str(level) for level in levels.tolist()]
    apart = set(far.tolist())
    return AppearanceSplit(
        factor, tuple(w for k, w in enumerate(words) if k not in apart),
        tuple(w for k, w in enumerate(words) if k in apart), is_far,
    )  # fmt: skip


def near_and_far(
    pictures: ClassPictures, is_far: NDArray[np.bool_], others: NDArray[np.int64] | None, rng: np.random.Generator
) -> tuple[ClassPictures, NDArray[np.bool_]] | None:
    """Return pictures whose training part shows the near appearance alone, and which test pictures show the far one.

    Args:
        pictures: with their parts.
        is_far: of each, (N,).
        others: where the factor groups the pictures, its levels cannot be both learnt and asked about as groups:
            then these divide them, the combinations of all other factors; else ``None``.
        rng: draws groups.

    Returns:
        ``None`` where some class would not be learnt, or not be asked about in both appearances.
    """
    train = np.zeros(len(pictures.codes), bool)
    train[pictures.train] = True
    if others is not None:
        if len(np.unique(others)) < _FEWEST:
            return None
        out = held_out(pictures.codes, others, _FAR, rng)
        if out is None:
            return None
        train = ~out
    learnt, asked = train & ~is_far, ~train
    count = pictures.classes
    for part in (learnt, asked & is_far, asked & ~is_far):
        if len(np.unique(pictures.codes[part])) < count:
            return None
    test = np.flatnonzero(asked)
    groups = pictures.groups if others is None else others
    made = ClassPictures(pictures.rows, pictures.codes, groups, np.flatnonzero(learnt), test)
    return made, is_far[test]


def class_interval(
    values: NDArray[np.float64], codes: NDArray[np.int64], groups: NDArray[np.int64] | None,
    of_mean: Callable[..., tuple[float, float, str]],
) -> tuple[float, float]:  # fmt: skip
    """Return the interval of a mean of outcomes: over classes, or over groups where that is wider.

    Args:
        values: outcomes, (T,), 0 to 1.
        codes: classes, (T,): other classes of the level would have given other outcomes.
        groups: (T,), shared by classes, which count where there are `MIN_CLUSTERS` at least; ``None`` where each
            belongs to one class.
        of_mean: `torchmultiverse.stats.Intervals.of_mean`.
    """
    low, high, _ = of_mean(values, np.unique(codes, return_inverse=True)[1])
    if groups is not None and len(np.unique(groups)) >= MIN_CLUSTERS:
        other = of_mean(values, np.unique(groups, return_inverse=True)[1])
        if other[1] - other[0] > high - low:
            return other[0], other[1]
    return low, high
