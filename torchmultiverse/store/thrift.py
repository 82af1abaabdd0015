"""Thrift's compact protocol, in which Parquet's footers and page headers are written.

Source: Apache Thrift, doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from typing import Any

MOST_DEPTH = 32
"""Structs and lists within each other; the footers and headers of Parquet have fewer than ten."""
_BOOLEANS, _INTEGERS, _DOUBLE, _BINARY, _LIST, _STRUCT = (1, 2), (3, 4, 5, 6), 7, 8, 9, 12


def varint(data: bytes | memoryview, place: int) -> tuple[int, int]:
    """Read a number of seven bits a byte: return it, and where it ends.

    Raises:
        IndexError: the bytes end too early.
    """
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def struct(data: bytes, place: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Read a struct: return field id → value, and where it ends.

    Raises:
        IndexError, ValueError: the bytes are none, or end too early, or hold more than `MOST_DEPTH` within each other.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"more than {MOST_DEPTH} structs and lists within each other")
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
            raw, place = varint(data, place)
            number = (raw >> 1) ^ -(raw & 1)
        if kind in _BOOLEANS:
            fields[number] = kind == 1
        else:
            fields[number], place = _value(data, place, kind, depth)


def _value(data: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        raw, place = varint(data, place)
        return (raw >> 1) ^ -(raw & 1), place
    if kind == _BINARY:
        length, place = varint(data, place)
        if place + length > len(data):
            raise ValueError("a text that is longer than the rest")
        return data[place : place + length], place + length
    if kind == _STRUCT:
        return struct(data, place, depth + 1)
    if kind == _LIST:
        if depth > MOST_DEPTH:
            raise ValueError(f"more than {MOST_DEPTH} structs and lists within each other")
        count, kind = data[place] >> 4, data[place] & 0x0F
        place += 1
        if count == 15:
            count, place = varint(data, place)
        values = []
        for _ in range(count):
            if kind in _BOOLEANS:
                value, place = data[place] == 1, place + 1
            else:
                value, place = _value(data, place, kind, depth + 1)
            values.append(value)
        return values, place
    if kind == _DOUBLE:
        return data[place : place + 8], place + 8
    raise ValueError(f"a field of type {kind}")
