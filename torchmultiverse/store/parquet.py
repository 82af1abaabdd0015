"""How our Parquet files are written: row groups of one size, pictures as they are, everything else packed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 64
"""Rows of a row group: what a reader that knows nothing of pages reads for one picture."""


def write_groups(file: IO[bytes], schema: pa.Schema, groups: Iterable[pa.Table]) -> int:
    """Write tables of at most `GROUP_ROWS` rows, each a row group; return the number of rows."""
    count = 0
    compression = {leaf: "NONE" if leaf.endswith(".bytes") else "ZSTD" for leaf in _leaves(schema)}
    with pq.ParquetWriter(
        file, schema, compression=compression, use_dictionary=False, write_statistics=False
    ) as parquet:
        for table in groups:
            parquet.write_table(table.combine_chunks(), row_group_size=GROUP_ROWS)
            count += len(table)
    return count


def _leaves(schema: pa.Schema) -> list[str]:
    names: list[str] = []
    for column in schema:
        if pa.types.is_struct(column.type):
            names += [f"{column.name}.{child.name}" for child in column.type]
        else:
            names.append(column.name)
    return names
