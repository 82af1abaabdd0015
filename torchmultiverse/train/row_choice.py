"""Which pictures of a dataset an encoder is trained on: without classes left out, and by a power law."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, counted, nearest
from torchmultiverse.train.long_tail import long_tail_rows
from torchmultiverse.train.pairs import NEAR
from torchmultiverse.train.settings import EncoderTraining


def trained_rows(
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
    training: EncoderTraining,
    label: str,
    unseen: Sequence[str] | int,
) -> tuple[NDArray[np.int64], list[str]]:
    """Return the rows that are trained on, without classes left out and by a power law, and these classes."""
    left_out = _left_out(columns, label, rows, unseen, training.seed)
    if left_out:
        rows = rows[~np.isin(columns[label][rows].astype(str), left_out)]
    if training.pairs and not training.pairs.startswith(NEAR):
        levels_of(columns, training.pairs, rows, "pairs")  # what cannot be is said before anything is written
    if training.long_tail:
        rng = np.random.default_rng((training.seed, 1))
        codes = levels_of(columns, training.long_tail, rows, "long-tail")[1]
        rows = rows[long_tail_rows(codes, training.long_tail_power, rng)]
    return rows, left_out


def levels_of(
    columns: Mapping[str, NDArray[Any]], name: str, rows: NDArray[np.int64], option: str = "label"
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the levels of a column, and those of some rows as codes, (N,); ``option`` names it in errors."""
    if name not in columns:
        raise QuestionError(f"{option} {name}: the images have no such column.{nearest(name, columns)}")
    levels, codes = np.unique(columns[name][rows].astype(str), return_inverse=True)
    return tuple(levels.tolist()), codes.astype(np.int64)


def _left_out(
    columns: Mapping[str, NDArray[Any]], name: str, rows: NDArray[np.int64], unseen: Sequence[str] | int, seed: int
) -> list[str]:
    """Return the classes that are left out, in the order of the alphabet.

    Raises:
        DatasetError: no such class, or fewer than two are left.
    """
    if not unseen:
        return []
    levels, _ = levels_of(columns, name, rows)
    if isinstance(unseen, int):
        few = min(unseen, len(levels))
        found = sorted(np.random.default_rng((seed, 19)).choice(np.array(levels), few, replace=False).tolist())
    else:
        found = sorted(set(unseen))
    for one in found:
        if one not in levels:
            raise QuestionError(f"'{name}' has no level '{one}' that could be left out.{nearest(one, levels)}")
    if len(levels) - len(found) < 2:
        raise DatasetError(
            f"'{name}' has {counted(len(levels), 'level')}; without {len(found)} fewer than two are left to learn"
        )
    return found
