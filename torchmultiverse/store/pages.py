"""Where in a Parquet file each picture's bytes lie, so that one is read without its neighbours.

Arrow's readers hand out whole row groups. Here a column chunk is read page by page: of a page that is not compressed a
value is one run of bytes in the file, of one that Snappy packed it is in some blocks of 64 KiB (see `blocks`), and of
other pages the last ones are kept unpacked. What is stored otherwise is read through Arrow: `Column` refuses it.

Source: Apache Parquet, Encodings.md (PLAIN, RLE, RLE_DICTIONARY) and parquet.thrift (PageHeader, DataPageHeaderV2).
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.store import blocks, thrift

_DATA, _INDEX, _DICTIONARY, _DATA_2 = 0, 1, 2, 3
"""Kinds of pages."""
_BYTE_ARRAY = 6
_PLAIN, _INDICES, _RLE = 0, (2, 8), 3
"""Encodings."""
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_SNAPPY = "snappy"
_HEADER_BYTES = 512
_LARGEST_HEADER = 1 << 20
_KEPT_BYTES = 64 << 20
"""Unpacked pages that are kept, of all files together."""
Unreadable = (
    struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError, OSError, MemoryError,
    pa.ArrowException,
)  # fmt: skip
"""What bytes raise that are not what they should be."""
_serials = count()


class OpenFile:
    """A file open for reading at any place, from any thread; closed when nobody holds it."""

    def __init__(self, path: str, stamp: tuple[int, int]) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
        weakref.finalize(self, os.close, self._fd)
        self.serial = next(_serials)
        """Another one for each file that was opened in this process."""
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


def groups(path: Path) -> list[tuple[int, list[Chunk | None]]]:
    """Return the number of rows of each row group of a file, and its column chunks; ``None`` for an unknown kind.

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
        fields, _ = thrift.struct(footer, 0)
        leaves = _leaves(fields[2])
        return [
            (int(group[3]), [_chunk(column, leaf) for column, leaf in zip(group[1], leaves, strict=True)])
            for group in fields[4]
        ]
    except (IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise ValueError(f"its footer does not add up: {error!r}") from None


class Chunk(NamedTuple):
    """A column chunk.

    Attributes:
        leaf: name of the column, ``"image.bytes"``.
        start, size: where it lies, in bytes.
        values: how many, nulls too.
        codec: of its pages.
        depth: the definition level of a value that is there: how many of the columns above it may be null.
    """

    leaf: str
    start: int
    size: int
    values: int
    codec: str | None
    depth: int


def _leaves(elements: Sequence[dict[int, Any]]) -> list[tuple[str, int | None]]:
    """Return name and depth of each column of a schema; of one that repeats no depth."""
    found: list[tuple[str, int | None]] = []
    unfinished: list[list[Any]] = []  # of each group that is not at its end: children left, name, depth
    for element in elements[1:]:
        while unfinished and not unfinished[-1][0]:
            unfinished.pop()
        above: list[Any] = unfinished[-1] if unfinished else [0, "", 0]
        above[0] -= 1
        name = f"{above[1]}.{element[4].decode()}".lstrip(".")
        kind = element.get(3, 0)
        depth = None if above[2] is None or kind == 2 else above[2] + kind
        if element.get(5):
            unfinished.append([element[5], name, depth])
        else:
            found.append((name, depth))
    return found


def _chunk(column: dict[int, Any], leaf: tuple[str, int | None]) -> Chunk | None:
    try:
        about, (name, depth) = column[3], leaf
        if (
            1 in column
            or about[1] != _BYTE_ARRAY
            or depth is None
            or ".".join(part.decode() for part in about[3]) != name
        ):
            return None  # in another file, of another kind, or repeated
        start = min(about[9], about.get(11) or about[9])
        return Chunk(name, start, about[7], about[5], _CODECS[about[4]], depth)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        return None


@dataclass(slots=True)
class _Page:
    """A page: where its values lie in the file, packed, and of how many bytes and rows they are.

    ``levels`` are the definition levels that lie before them, apart from what is packed; ``spans`` and ``starts`` are
    found when the page is first read.
    """

    start: int
    packed: int
    size: int
    codec: str | None
    rows: int
    indices: bool = False
    levels: tuple[int, int] | None = None
    spans: NDArray[np.int64] | None = None
    starts: NDArray[np.int64] | None = None


class Column:
    """The values of a column chunk of byte arrays, each read by itself. May be used from several threads.

    Raises:
        ValueError: a page of a kind that is read through Arrow, or headers that do not add up.
    """

    def __init__(self, file: OpenFile, chunk: Chunk) -> None:
        self._depth = chunk.depth
        self._dictionary: _Page | None = None
        self._pages: list[_Page] = []
        place, end = chunk.start, chunk.start + chunk.size
        try:
            while place < end:
                place = self._add(file, place, end, chunk.codec)
        except Unreadable as error:
            raise ValueError(f"the pages of {chunk.leaf} are not understood: {error!r}") from None
        self._starts = np.array([0, *accumulate(page.rows for page in self._pages)], np.int64)
        if place != end or self._starts[-1] != chunk.values:
            raise ValueError(f"the pages of {chunk.leaf} have {self._starts[-1]} values, not {chunk.values}")

    def _add(self, file: OpenFile, place: int, end: int, codec: str | None) -> int:
        header, length = _header(file, place, end)
        kind, size, packed = int(header[1]), int(header[2]), int(header[3])
        place += length
        if not (0 <= packed <= end - place and 0 <= size < 1 << 31) or (codec is None and size != packed):
            raise ValueError("a page that is larger than its chunk")
        if kind == _DICTIONARY and self._dictionary is None and not self._pages and header[7][2] in (_PLAIN, 2):
            self._dictionary = _Page(place, packed, size, codec, header[7][1])
        elif kind == _DATA:
            about = header[5]
            if about[3] != _RLE and self._depth:
                raise ValueError("levels of another encoding")
            self._pages.append(_Page(place, packed, size, codec, about[1], self._has_indices(about[2])))
        elif kind == _DATA_2:
            about = header[8]
            before = about[5] + about[6]
            if about[6] or not 0 <= before <= min(size, packed):
                raise ValueError("levels that do not fit")
            codec = codec if about.get(7, True) else None
            if codec is None and size != packed:
                raise ValueError("a page that is larger than it says")
            self._pages.append(
                _Page(place + before, packed - before, size - before, codec, about[1], self._has_indices(about[4]),
                      (place, about[5]))
            )  # fmt: skip
        elif kind != _INDEX:
            raise ValueError(f"a page of kind {kind}")
        return place + packed

    def _has_indices(self, encoding: int) -> bool:
        if encoding != _PLAIN and (encoding not in _INDICES or self._dictionary is None):
            raise ValueError(f"encoding {encoding}")
        return encoding != _PLAIN

    def read(self, file: OpenFile, row: int) -> bytes | None:
        """Return a value, or ``None`` for null.

        Raises:
            ValueError: its page is damaged, or of a kind that is not known here.
        """
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        page = self._pages[number]
        try:
            if page.spans is None:
                self._locate(file, page)
            assert page.spans is not None
            place, size = page.spans[row - int(self._starts[number])].tolist()
            if size < 0:
                return None
            source = self._dictionary if page.indices else page
            assert source is not None
            found = _bytes(file, source, place, size)
        except Unreadable as error:
            raise ValueError(f"a page is not understood: {error!r}") from None
        if len(found) != size:
            raise ValueError("the file ends within a value")
        return found

    def _locate(self, file: OpenFile, page: _Page) -> None:
        """Find where each value of a page lies in it, or, of one of indices, in the dictionary: (rows, 2) with size -1
        for null."""
        if page.codec is None and page.levels is None and not page.indices:
            source: _Source = _Stretch(file, page.start, page.size)  # read here and there, not as a whole
        else:
            source = _Held(_unpacked(file, page, by_blocks=not page.indices))
        place, there = 0, np.ones(page.rows, bool)
        if self._depth:
            levels: bytes | memoryview
            if page.levels is not None:
                levels = file.read(*page.levels)
            else:
                (length,) = struct.unpack("<I", source.read(0, 4))
                levels, place = source.read(4, length), 4 + length
            there = _hybrid(levels, self._depth.bit_length(), page.rows) == self._depth
        spans = np.full((page.rows, 2), -1, np.int64)
        count = int(there.sum())
        if page.indices:
            data = source.read(place, page.size - place)
            spans[there] = self._words(file)[_hybrid(data[1:], data[0], count)] if count else 0
        else:
            spans[there] = _plain(source, place, count, page.size)
        page.spans = spans

    def _words(self, file: OpenFile) -> NDArray[np.int64]:
        """Return where each value of the dictionary lies in its page, (values, 2)."""
        page = self._dictionary
        assert page is not None
        if page.spans is None:
            page.spans = _plain(_Held(_unpacked(file, page, by_blocks=True)), 0, page.rows, page.size)
        return page.spans


class _Held:
    """Bytes in memory."""

    def __init__(self, data: memoryview) -> None:
        self._data = data

    def read(self, start: int, size: int) -> memoryview:
        return self._data[start : start + size]


class _Stretch:
    """Bytes of a file."""

    def __init__(self, file: OpenFile, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size

    def read(self, start: int, size: int) -> bytes:
        return self._file.read(self._start + start, min(size, self._size - start))


_Source = _Held | _Stretch


def _header(file: OpenFile, place: int, end: int) -> tuple[dict[int, Any], int]:
    """Return a page's header and its length: most are short, but smallest and largest values stand in some."""
    for most in (_HEADER_BYTES, _LARGEST_HEADER):
        try:
            return thrift.struct(file.read(place, min(most, end - place)), 0)
        except (IndexError, ValueError):
            if most == _LARGEST_HEADER:
                raise
    raise AssertionError


def _plain(source: _Source, place: int, count: int, end: int) -> NDArray[np.int64]:
    """Return start and length of each of so many values, which fill the rest of a page, int64 (count, 2).

    Raises:
        ValueError: they do not.
    """
    spans = np.empty((count, 2), np.int64)
    for number in range(count):
        (size,) = struct.unpack("<I", source.read(place, 4))
        spans[number] = place + 4, size
        place += 4 + size
        if place > end:
            break
    if place != end:
        raise ValueError("values that do not fill their page")
    return spans


def _hybrid(data: bytes | memoryview, width: int, count: int) -> NDArray[np.int64]:
    """Return so many numbers of some bits each, of runs that are packed or repeat one number (RLE), int64 (count,).

    Raises:
        ValueError, IndexError: they are not all there.
    """
    if not 0 <= width <= 32:
        raise ValueError(f"numbers of {width} bits")
    found = np.zeros(count, np.int64)
    done = place = 0
    while done < count and width:
        header, place = thrift.varint(data, place)
        runs, packed = header >> 1, header & 1
        size = runs * width if packed else -(-width // 8)
        raw = data[place : place + size]
        number = min(runs * (8 if packed else 1), count - done)
        if number < 1 or len(raw) != size:
            raise ValueError("a run without end")
        if packed:
            bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little").reshape(-1, width)
            found[done : done + number] = (bits @ (1 << np.arange(width, dtype=np.int64)))[:number]
        else:
            found[done : done + number] = int.from_bytes(raw, "little")
        done, place = done + number, place + size
    return found


def _bytes(file: OpenFile, page: _Page, place: int, size: int) -> bytes:
    """Return some bytes of a page, of as little of it as can be unpacked by itself."""
    if page.codec is None:
        return file.read(page.start + place, size)
    if page.starts is None or not size:
        return bytes(_unpacked(file, page)[place : place + size])
    return blocks.read(lambda start, length: file.read(page.start + start, length), page.starts, page.size, place, size)


_kept: dict[tuple[int, int], memoryview] = {}


def _unpacked(file: OpenFile, page: _Page, by_blocks: bool = False) -> memoryview:
    """Return the bytes of a page; the last pages asked for are kept, up to `_KEPT_BYTES`.

    With ``by_blocks`` look as well where its blocks are, so that it need not be unpacked as a whole again.
    """
    if page.codec is None:
        return memoryview(file.read(page.start, page.size))
    key = (file.serial, page.start)
    # No lock, which a forked process could find held: what another thread takes away meanwhile is unpacked again.
    found = _kept.pop(key, None)
    if found is None:
        packed = file.read(page.start, page.packed)
        if by_blocks and page.codec == _SNAPPY:
            page.starts = blocks.starts(packed, page.size)
        found = memoryview(pa.Codec(page.codec).decompress(packed, page.size) if page.size else b"").cast("B")
        if len(found) != page.size:
            raise ValueError("a page of another size than it says")
    if page.starts is None and page.size <= _KEPT_BYTES:
        _kept[key] = found
        total = 0
        for old, page_bytes in reversed(list(_kept.items())):
            total += len(page_bytes)
            if total > _KEPT_BYTES:
                _kept.pop(old, None)
    return found


def stamp(path: Path) -> tuple[int, int]:
    """Return what changes when the file at a path is replaced."""
    return stamp_of(path.stat())
