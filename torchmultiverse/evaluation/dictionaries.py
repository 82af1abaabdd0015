"""Columns of words as numbers and what they mean. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def word_codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Return a column of words as numbers, (N,), and the words that they mean."""
    array = encoded(column)
    return array.indices.to_numpy(zero_copy_only=False).astype(np.int64), array.dictionary.to_pylist()


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column of words as one array of numbers and what they mean."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    return array


def words(codes: NDArray[np.int64], names: Sequence[str] | pa.Array) -> pa.DictionaryArray:
    """Return words by their numbers, (N,); its dictionary holds those that occur, in the order in which they do.

    >>> words(np.array([2, 0, 2]), ["ant", "bee", "cat"]).to_pylist()
    ['cat', 'ant', 'cat']
    """
    found = pa.array(codes, pa.int64()).dictionary_encode()
    known = names if isinstance(names, pa.Array) else pa.array(names, pa.string())
    return pa.DictionaryArray.from_arrays(found.indices, known.take(found.dictionary))
