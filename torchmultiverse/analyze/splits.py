"""What a probe predicts, and which pictures it learns from: train, validation and test, by whole groups.

A probe that is trained and tested on the same assets may know the asset and not the factor: pictures of one group are
therefore in one part only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.scenes import FACTORS, OWN, in_level_order, level_words

GROUPS = ("character_name", "character_label", "world_name", "world_label", "background")
"""Columns that may group pictures, the first that does not say the factor itself being taken."""
FRACTIONS = (0.6, 0.2, 0.2)
_LEVELS = 24  # a column of numbers with more levels is regressed
_LEAST = 10  # groups, so that each part has some and intervals mean something
_ANGLES = ("yaw", "pitch", "roll", "rotation", "angle")


@dataclass(frozen=True)
class FactorTarget:
    """What a probe is to predict.

    Attributes:
        factor: column.
        codes: the levels as 0 to C − 1, (N,); empty where numbers are to be predicted.
        levels: as words.
        numbers: targets of a regression, (N, T): the column, or sine and cosine of an angle.
    """

    factor: str
    codes: NDArray[np.int64]
    levels: tuple[str, ...]
    numbers: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Split:
    """Which pictures a probe learns from, is chosen by, and is tested on.

    Attributes:
        train, validation, test: places, int64.
        groups: of every picture, 0 to G − 1, (N,); pictures of one group are not independent.
        by: the column that groups, "" for none.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    groups: NDArray[np.int64]
    by: str = ""


def factor_target(columns: Mapping[str, NDArray[Any]], factor: str) -> FactorTarget:
    """Return what is to be predicted of a column: its level, or its number where it has too many levels.

    Raises:
        DatasetError: no such column.
    """
    if factor not in columns:
        raise QuestionError(f"no column '{factor}'.{nearest(factor, columns)}")
    values = columns[factor]
    if values.dtype.kind in "iuf" and len(np.unique(values)) > _LEVELS:
        numbers = values.astype(np.float64)[:, None]
        if any(word in factor.lower() for word in _ANGLES) or (factor in FACTORS and FACTORS[factor].period):
            numbers = np.deg2rad(numbers)
            numbers = np.concatenate([np.sin(numbers), np.cos(numbers)], 1)
        return FactorTarget(factor, np.zeros(0, np.int64), (), numbers)
    if values.dtype.kind in "iufb":  # in the order of numbers, not of their digits
        levels, codes = np.unique(values, return_inverse=True)
        if factor in FACTORS and FACTORS[factor].group:
            return FactorTarget(factor, codes.astype(np.int64), tuple(level_words(factor, levels.tolist())))
    else:
        levels, codes = np.unique(values.astype(str), return_inverse=True)
        if OWN in levels:  # before the numbers, which are in their order
            order = in_level_order(levels.tolist())
            place = {level: k for k, level in enumerate(order)}
            codes = np.array([place[level] for level in levels.tolist()])[codes]
            levels = np.array(order)
    return FactorTarget(factor, codes.astype(np.int64), tuple(str(level) for level in levels.tolist()))


def split(
    columns: Mapping[str, NDArray[Any]],
    target: FactorTarget,
    rng: np.random.Generator,
    by: str = "auto",
    fractions: tuple[float, float, float] = FRACTIONS,
) -> Split:
    """Divide pictures, whole groups at a time.

    Args:
        columns: of the dataset, (N,) each.
        target: the factor: no group may say it, or the levels of the test would never be seen.
        rng: draws the groups.
        by: column that groups; ``auto`` takes the first of `GROUPS` that fits; ``rows`` divides pictures one by one.
        fractions: of train, validation and test.

    Raises:
        DatasetError: no such column, a column whose groups say the factor, or fewer than ten groups.
    """
    count = len(next(iter(columns.values())))
    codes = target.codes if len(target.codes) else None
    if by == "auto":
        by = next((name for name in GROUPS if name in columns and not _unfit(columns[name], codes)), "rows")
    if by != "rows":
        if by not in columns:
            raise QuestionError(f"no column '{by}' to group by.{nearest(by, columns)}")
        if reason := _unfit(columns[by], codes):
            raise DatasetError(f"pictures cannot be grouped by '{by}' to ask for '{target.factor}': {reason}")
    groups = np.arange(count) if by == "rows" else np.unique(columns[by].astype(str), return_inverse=True)[1]
    sizes = np.bincount(groups)
    for _ in range(_TRIES):
        order = rng.permutation(len(sizes))
        upto = np.cumsum(sizes[order]) / count
        # Each group goes where its middle falls; at least one to each part.
        middle = upto - sizes[order] / count / 2
        part = np.searchsorted(np.cumsum(fractions)[:2], middle)
        part[0], part[-1] = 0, 2
        if not (part == 1).any():
            part[-2] = 1
        of_group = np.empty(len(sizes), np.int64)
        of_group[order] = part
        mine = of_group[groups]
        train = mine == 0
        if codes is None or len(np.unique(codes[train])) == len(target.levels):
            return Split(
                np.flatnonzero(train), np.flatnonzero(mine == 1), np.flatnonzero(mine == 2), groups,
                "" if by == "rows" else by,
            )  # fmt: skip
    raise DatasetError(
        f"some levels of '{target.factor}' are in so few {'pictures' if by == 'rows' else by} that training lacks them"
    )


_TRIES = 50


def _unfit(values: NDArray[Any], codes: NDArray[np.int64] | None) -> str:
    groups = np.unique(values.astype(str), return_inverse=True)[1]
    if groups.max() + 1 < _LEAST:
        return f"it has {groups.max() + 1} levels, {_LEAST} are needed"
    if codes is None:
        return ""
    pairs = np.unique(np.stack([groups, codes], 1), axis=0)
    levels = np.bincount(pairs[:, 1], minlength=int(codes.max()) + 1)
    return "some of its levels stand for one level of it" if (levels < 2).any() else ""
