"""The column of a scene's further objects: a list of structs in files, canonical JSON text where rows are compared."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from torchmultiverse.scenes import Factor, FactorTable, from_columns


def object_type(factor: Factor) -> pa.DataType:
    """Return the type of a list's column: list<struct<name, label, x, y, z, yaw, roll, pitch, scale, texture>>."""
    fields: list[tuple[str, pa.DataType]] = []
    for field in factor.fields:
        if field.kind == "vector":
            fields += [(axis, pa.float64()) for axis in "xyz"]
        else:
            fields.append((field.column, pa.float64() if field.kind == "number" else pa.string()))
    return pa.list_(pa.struct(fields))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is that of a list of structs."""
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(listed and pa.types.is_struct(kind.value_type))


def object_features(kind: pa.DataType) -> list[dict[str, Any]]:
    """Return the feature of Hugging Face ``datasets`` for a list of structs."""
    names = {pa.string(): "string", pa.float64(): "float64"}
    return [
        {field.name: {"dtype": names.get(field.type, str(field.type)), "_type": "Value"} for field in kind.value_type}
    ]


def with_texts(table: pa.Table, factors: FactorTable) -> pa.Table:
    """Return a table in which lists of objects are their canonical JSON text: hashable, and equal where they are.

    Raises:
        SpecError: a list that no scene can have.
    """
    for place, column in enumerate(table.schema):
        if column.name in factors and factors[column.name].kind == "list" and is_list(column.type):
            factor = factors[column.name]
            texts = [None if rows is None else from_columns(factor, rows) for rows in table[column.name].to_pylist()]
            table = table.set_column(place, pa.field(column.name, pa.string()), pa.array(texts, pa.string()))
    return table
