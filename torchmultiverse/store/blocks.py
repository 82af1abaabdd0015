"""Parts of what Snappy packed, without unpacking the rest.

Snappy packs 64 KiB at a time, and nothing in a block refers to bytes before it (google/snappy, snappy.cc). That is no
part of the format, so it is looked at here, element by element. Pictures are hardly packed at all: in a few elements.

Source: google/snappy, format_description.txt.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.store import thrift

BLOCK = 1 << 16
"""Bytes of a block, unpacked."""
_MOST_ELEMENTS = 2048
"""Elements of a block, on average, up to which blocks are looked for."""


def starts(packed: bytes, size: int) -> NDArray[np.int64] | None:
    """Return where each block begins, and where the last one ends; ``None`` if they depend on each other.

    Args:
        packed: in Snappy's format without frames.
        size: of what it unpacks to.

    Raises:
        IndexError: it ends too early.
    """
    length, place = thrift.varint(packed, 0)
    found, done, left = [place], 0, _MOST_ELEMENTS * (1 + size // BLOCK)
    while place < len(packed):
        if done == BLOCK * len(found):
            found.append(place)
        tag = packed[place]
        kind, more = tag & 3, tag >> 2
        place += 1
        if kind == 0:  # bytes as they are
            width = max(0, more - 59)
            run = 1 + (int.from_bytes(packed[place : place + width], "little") if width else more)
            place += width + run
        else:  # bytes from before
            width = (1, 2, 4)[kind - 1]
            back = int.from_bytes(packed[place : place + width], "little") | ((tag >> 5) << 8 if kind == 1 else 0)
            run = 4 + (more & 7) if kind == 1 else 1 + more
            place += width
            if not 0 < back <= done - BLOCK * (len(found) - 1):
                return None
        done += run
        left -= 1
        if done > BLOCK * len(found) or not left:
            return None
    if not done == length == size or place != len(packed):
        return None
    return np.array([*found, place], np.int64)


def read(fetch: Callable[[int, int], bytes], starts: NDArray[np.int64], whole: int, place: int, size: int) -> bytes:
    """Return some bytes of what was packed.

    Args:
        fetch: returns packed bytes, of a start and a length.
        starts: of the blocks.
        whole: bytes of all of them, unpacked.
        place, size: which bytes; at least one.
    """
    first, last = place // BLOCK, (place + size - 1) // BLOCK
    begin, end = starts[[first, last + 1]].tolist()
    length = min(whole, (last + 1) * BLOCK) - first * BLOCK
    unpacked = pa.Codec("snappy").decompress(_varint(length) + fetch(begin, end - begin), length)
    return bytes(memoryview(unpacked)[place - first * BLOCK :][:size])


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
