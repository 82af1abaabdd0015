"""Where in a Parquet file each picture's bytes lie, so that one is read without its neighbours.

Arrow's readers hand out whole row groups. Our shards store pictures uncompressed and PLAIN encoded, so every picture
is one run of bytes in the file, found from the page headers. Files of others that are stored otherwise are read
through Arrow: `locate` says ``None``.

Source: Apache Parquet, Encodings.md (PLAIN, BYTE_ARRAY) and parquet.thrift (PageHeader, compact protocol).
"""

from __future__ import annotations

import os
import struct
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError

_DATA_PAGE, _PLAIN, _RLE, _UNCOMPRESSED = 0, 0, 3, 0
_HEADER_BYTES = 512
_BOOLEANS, _INTEGERS, _DOUBLE, _BINARY, _LIST, _STRUCT = (1, 2), (3, 4, 5, 6), 7, 8, 9, 12


class OpenFile:
    """A file open for reading at any place, from any thread; closed when nobody holds it."""

    def __init__(self, path: str, stamp: tuple[int, int]) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
        weakref.finalize(self, os.close, self._fd)
        if stamp_of(os.fstat(self._fd)) != stamp:
            raise DatasetError(f"{path} was replaced since the dataset was opened; open it again")

    def read(self, start: int, size: int) -> bytes:
        """Return ``size`` bytes from ``start``; fewer at the end of the file."""
        return os.pread(self._fd, size, start)


def stamp_of(stat: os.stat_result) -> tuple[int, int]:
    """Return what changes when a file is replaced."""
    return stat.st_ino, stat.st_mtime_ns


@lru_cache(maxsize=128)
def open_file(path: str, stamp: tuple[int, int]) -> OpenFile:
    """Return the open file; the last ones asked for stay open.

    Raises:
        DatasetError: it is gone or is not the one of that stamp.
    """
    return OpenFile(path, stamp)


def groups(path: Path) -> list[tuple[int, list[dict[int, Any]]]]:
    """Return the number of rows of each row group of a file, and what it says of the group's column chunks.

    Read here and not by pyarrow, in which a damaged footer ends the process (an exception of C++ that nobody catches).

    Raises:
        ValueError: the footer cannot be understood.
    """
    with open(path, "rb") as file:
        file.seek(-8, os.SEEK_END)
        end = file.tell()
        length = int.from_bytes(file.read(4), "little")
        if length > end:
            raise ValueError("its footer is longer than the file")
        file.seek(end - length)
        footer = file.read(length)
    try:
        fields, _ = _struct(footer, 0)
        return [(int(group[3]), [column[3] for column in group[1]]) for group in fields[4]]
    except (IndexError, KeyError, TypeError, OverflowError, RecursionError, struct.error) as error:
        raise ValueError(f"its footer does not add up: {error!r}") from None


def chunk(columns: list[dict[int, Any]], leaf: str) -> tuple[int, int, int] | None:
    """Return start, size and values of a column chunk; ``None`` where it is encoded or cannot be understood."""
    names = leaf.split(".")
    try:
        for column in columns:
            if [name.decode() for name in column[3]] == names:
                plain = column[4] == _UNCOMPRESSED and 11 not in column
                return (column[9], column[7], column[5]) if plain else None
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        pass
    return None


def locate(file: OpenFile, start: int, size: int, values: int) -> NDArray[np.int64] | None:
    """Return start and length in the file of each value of a column chunk, int64 (values, 2).

    ``None`` if the chunk is not uncompressed, PLAIN and without nulls, or does not add up.
    """
    spans: list[tuple[int, int]] = []
    end = start + size
    try:
        while start < end:
            fields, length = _struct(file.read(start, min(_HEADER_BYTES, end - start)), 0)
            page = fields.get(5)
            if fields.get(1) != _DATA_PAGE or not isinstance(page, dict):
                return None
            if page.get(2) != _PLAIN or page.get(3) != _RLE or fields[2] != fields[3]:
                return None
            place = start + length
            start = place + fields[3]
            # Definition levels: their length, then the levels. Without nulls there are as many values as levels.
            place += 4 + struct.unpack("<I", file.read(place, 4))[0]
            for _ in range(page[1]):
                (count,) = struct.unpack("<I", file.read(place, 4))
                spans.append((place + 4, count))
                place += 4 + count
            if place != start:
                return None
    except (struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError, OSError, RecursionError):
        return None  # Arrow says what is wrong with it, if anything
    if start != end or len(spans) != values:
        return None
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _struct(data: bytes, place: int) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol: field id → value."""
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[place]
        place += 1
        if head == 0:
            return fields, place
        kind = head & 0x0F
        if head >> 4:
            number += head >> 4
        else:
            raw, place = _varint(data, place)
            number = (raw >> 1) ^ -(raw & 1)
        if kind in _BOOLEANS:
            fields[number] = kind == 1
        else:
            fields[number], place = _value(data, place, kind)


def _value(data: bytes, place: int, kind: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        raw, place = _varint(data, place)
        return (raw >> 1) ^ -(raw & 1), place
    if kind == _BINARY:
        length, place = _varint(data, place)
        if place + length > len(data):
            raise ValueError("a text that is longer than the rest")
        return data[place : place + length], place + length
    if kind == _STRUCT:
        return _struct(data, place)
    if kind == _LIST:
        count, kind = data[place] >> 4, data[place] & 0x0F
        place += 1
        if count == 15:
            count, place = _varint(data, place)
        values = []
        for _ in range(count):
            if kind in _BOOLEANS:
                value, place = data[place] == 1, place + 1
            else:
                value, place = _value(data, place, kind)
            values.append(value)
        return values, place
    if kind == _DOUBLE:
        return data[place : place + 8], place + 8
    raise ValueError(f"a field of type {kind}")


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes when the file at a path is replaced."""
    return stamp_of(path.stat())
