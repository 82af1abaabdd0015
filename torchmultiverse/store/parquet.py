"""How Parquet files are written and opened.

Ours have row groups of one size, or of one clip each, pictures as they are, everything else packed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from torchmultiverse.errors import DatasetError

GROUP_ROWS = 64
"""Rows of a row group: what a reader that knows nothing of pages reads for one picture."""


def write_groups(file: IO[bytes], schema: pa.Schema, groups: Iterable[pa.Table]) -> int:
    """Write tables, each a row group; return the number of rows. They have at most `GROUP_ROWS` rows, or a clip's."""
    count = 0
    compression = {leaf: "NONE" if leaf.endswith(".bytes") else "ZSTD" for leaf in _leaves(schema)}
    with pq.ParquetWriter(
        file, schema, compression=compression, use_dictionary=False, write_statistics=False
    ) as parquet:
        for table in groups:
            parquet.write_table(table.combine_chunks(), row_group_size=max(len(table), 1))
            count += len(table)
    return count


@contextmanager
def reading(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; whatever goes wrong while it is read is one error that names it.

    Raises:
        DatasetError: it is not there, is no Parquet file, or is damaged.
    """
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except OSError as error:
        if error.errno is not None:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
        raise damaged(path, error) from None  # Arrow's own, of what it cannot unpack
    except (pa.ArrowException, ValueError) as error:  # also text that is none, and a footer that does not add up
        raise damaged(path, error) from None


def damaged(path: Path, cause: object) -> DatasetError:
    """Return the error of a Parquet file with wrong bytes in it: which one, and what to do."""
    reason = " ".join(str(cause).split())[:200].rstrip(".")
    text = f"{path}: cannot be read, it is damaged or no Parquet file ({reason}). Copy it again from where it came from"
    if (path.parent.parent / "manifest.json").is_file():
        text += f", or drop it (torchmultiverse data verify {path.parent.parent} --drop-bad) and run what made it again"
    return DatasetError(text)


def read_whole(file: pq.ParquetFile, columns: Sequence[str]) -> pa.Table:
    """Return columns of a file, in the order of the file, after a look at every offset and every text.

    Raises:
        pa.ArrowException, OSError, UnicodeDecodeError: it is damaged; inside `reading` a `DatasetError`.
    """
    table = file.read(columns=list(columns))
    table.validate(full=True)
    if len(table) != file.metadata.num_rows:
        raise pa.ArrowInvalid(f"{len(table)} rows are in it, {file.metadata.num_rows} in its header")
    return table


def _leaves(schema: pa.Schema) -> list[str]:
    names: list[str] = []
    for column in schema:
        if pa.types.is_struct(column.type):
            names += [f"{column.name}.{child.name}" for child in column.type]
        else:
            names.append(column.name)
    return names
