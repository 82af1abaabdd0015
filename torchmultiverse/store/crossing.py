"""Rows by their factors: exact lookup, neighbours and minimal pairs, on integer codes instead of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest

_NAN = math.nan


class Crossing:
    """The factor columns of a dataset as codes.

    Args:
        tables: the factor columns, one row per picture, in one table or in parts of it; these are not kept.

    Attributes:
        names: the columns.
        levels: by column, its levels in order of first appearance; a code is a place in it.
        codes: int16 or, where there are very many levels, int32 (rows, columns).
    """

    def __init__(self, tables: pa.Table | Iterable[pa.Table]) -> None:
        known: dict[str, dict[Any, int]] = {}
        parts = []
        for table in [tables] if isinstance(tables, pa.Table) else tables:
            columns = [_encoded(table[name], known.setdefault(name, {})) for name in table.column_names]
            part = np.stack(columns, 1) if columns else np.zeros((len(table), 0), np.int64)
            parts.append(part.astype(np.int16 if part.max(initial=0) < 2**15 else np.int32))
        self.names = list(known)
        self.levels: dict[str, list[Any]] = {name: list(levels) for name, levels in known.items()}
        self.codes: NDArray[np.int16] | NDArray[np.int32] = (
            np.concatenate(parts) if parts else np.zeros((0, 0), np.int16)
        )

    def column(self, name: str, where: str) -> int:
        """Return a column's place.

        Raises:
            DatasetError: no factor of that name.
        """
        if name not in self.names:
            raise QuestionError(f"{where} has no factor '{name}'.{nearest(name, self.names)}")
        return self.names.index(name)

    def at(self, wanted: Mapping[str, Any], where: str) -> NDArray[np.int64]:
        """Return the rows that have these levels, in order.

        Raises:
            DatasetError: no such factor, or a level that no row has.
        """
        keep = np.ones(len(self.codes), bool)
        for name, level in wanted.items():
            column = self.column(name, where)
            levels = self.levels[name]
            if level not in levels:
                shown = [str(known) for known in levels]
                raise DatasetError(f"{where}: no row has {name} = {level!r}.{nearest(str(level), shown)}")
            keep &= self.codes[:, column] == levels.index(level)
        return np.flatnonzero(keep)

    def neighbours(self, row: int) -> NDArray[np.int64]:
        """Return the rows that differ from this one in exactly one factor, in order."""
        return np.flatnonzero((self.codes != self.codes[row]).sum(1) == 1)

    def pairs(self, name: str, where: str) -> NDArray[np.int64]:
        """Return the minimal pairs of a factor, int64 (pairs, 2): rows that differ in it and in nothing else.

        The first of two rows is the one that comes first; pairs are in order.

        Raises:
            DatasetError: no factor of that name.
        """
        column = self.column(name, where)
        rest = self.numbered(self.codes, column)
        order = np.argsort(rest, kind="stable")
        starts = np.flatnonzero(np.r_[True, np.diff(rest[order]) != 0])
        sizes = np.diff(np.r_[starts, len(order)])
        found = [np.zeros((0, 2), np.int64)]
        # Groups of one size at once: all combinations of two of their members.
        for size in np.unique(sizes[sizes > 1]):
            members = order[starts[sizes == size][:, None] + np.arange(size)]
            one, two = np.triu_indices(int(size), 1)
            found.append(np.stack([members[:, one].ravel(), members[:, two].ravel()], 1))
        pairs = np.concatenate(found)
        pairs = pairs[self.codes[pairs[:, 0], column] != self.codes[pairs[:, 1], column]]
        return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], np.int64)

    @staticmethod
    def numbered(codes: NDArray[np.integer], without: int | None = None) -> NDArray[np.int64]:
        """Return one number for each different row of codes, int64 (rows,), whatever stands in one of the columns."""
        number = np.zeros(len(codes), np.int64)
        different = 1
        for k in range(codes.shape[1]):
            if k == without:
                continue
            levels = int(codes[:, k].max(initial=0)) + 1
            if different * levels >= 2**62:
                # The product of all levels does not fit: only those that are there are numbered.
                number = np.unique(number, return_inverse=True)[1].astype(np.int64)
                different = len(codes)
            number *= levels
            number += codes[:, k]
            different *= levels
        return number


def _encoded(column: pa.ChunkedArray, known: dict[Any, int]) -> NDArray[np.int64]:
    """Return a column as codes, int64 (rows,); levels that are new get the next ones."""
    parts = [np.zeros(0, np.int64)]
    for chunk in column.chunks:
        encoded = chunk.dictionary_encode(null_encoding="encode")
        codes = [
            # No NaN equals another, and all are one level.
            known.setdefault(_NAN if isinstance(level, float) and math.isnan(level) else level, len(known))
            for level in encoded.dictionary.to_pylist()
        ]
        parts.append(np.array(codes, np.int64)[encoded.indices.to_numpy(zero_copy_only=False)])
    return np.concatenate(parts)
