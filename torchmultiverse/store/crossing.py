"""Rows by their factors: exact lookup, neighbours and minimal pairs, on integer codes instead of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, nearest


class Crossing:
    """The factor columns of a dataset as codes.

    Args:
        table: the factor columns, one row per picture.

    Attributes:
        names: the columns.
        levels: by column, its levels in order of first appearance; a code is a place in it.
        codes: int32 (rows, columns).
    """

    def __init__(self, table: pa.Table) -> None:
        self.names = list(table.column_names)
        self.levels: dict[str, list[Any]] = {}
        columns = []
        for name in self.names:
            encoded = table[name].combine_chunks()
            if isinstance(encoded, pa.ChunkedArray):
                encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks else pa.array([], table[name].type)
            encoded = encoded.dictionary_encode(null_encoding="encode")
            self.levels[name] = encoded.dictionary.to_pylist()
            columns.append(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32))
        self.codes = np.stack(columns, 1) if columns else np.zeros((len(table), 0), np.int32)

    def column(self, name: str, where: str) -> int:
        """Return a column's place.

        Raises:
            DatasetError: no factor of that name.
        """
        if name not in self.names:
            raise DatasetError(f"{where} has no factor '{name}'.{nearest(name, self.names)}")
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
        rest = self.numbered(np.delete(self.codes, column, 1))
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
    def numbered(codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return one number for each different row of codes, int64 (rows,)."""
        if codes.shape[1] == 0:
            return np.zeros(len(codes), np.int64)
        number = codes[:, 0].astype(np.int64)
        for k in range(1, codes.shape[1]):
            # Renumbered at every step, so that the product of all levels need not fit.
            number = np.unique(number * (int(codes[:, k].max(initial=0)) + 1) + codes[:, k], return_inverse=True)[1]
        return number
