"""Reading a dataset: whole columns, or single pictures without reading the rest."""

from __future__ import annotations

import bisect
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.spec import parse_where
from torchmultiverse.store.schema import IMAGE


class StoredDataset:
    """A folder of Parquet shards, opened for reading. Rows are numbered through all shards.

    Picklable; each process opens the files for itself.
    """

    def __init__(self, path: Path, files: Sequence[Path], indices: Sequence[int] | None = None) -> None:
        self.path = path
        self._files = list(files)
        self._indices = None if indices is None else list(indices)
        counts = [pq.read_metadata(file).num_rows for file in self._files]
        self._starts = [sum(counts[:i]) for i in range(len(counts) + 1)]
        self._open: dict[int, pq.ParquetFile] = {}
        self._group: tuple[int, int, tuple[str, ...], pa.Table] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}, "_group": None}

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pq.read_schema(self._files[0])

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(self.schema.names)

    @property
    def image_columns(self) -> list[str]:
        """Names of the columns that hold pictures."""
        return [field.name for field in self.schema if field.type == IMAGE]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest, or an empty object for a folder that has none."""
        path = self.path / "manifest.json"
        if not path.is_file():
            return {}
        try:
            manifest: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise DatasetError(f"{path}: no JSON: {error}") from None
        return manifest

    def __len__(self) -> int:
        return self._starts[-1] if self._indices is None else len(self._indices)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns as an Arrow table; without names, all but the pictures.

        Raises:
            DatasetError: an unknown column.
        """
        names = [c for c in self.columns if c not in self.image_columns] if columns is None else list(columns)
        self._check(names)
        table = pa.concat_tables(pq.read_table(file, columns=names) for file in self._files)
        return table if self._indices is None else table.take(self._indices)

    def row(self, index: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """Return one row; pictures as ``{"bytes", "path"}``. Reads one row group at most."""
        names = tuple(self.columns if columns is None else columns)
        self._check(names)
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)}")
        index %= len(self)
        place = index if self._indices is None else self._indices[index]
        shard = bisect.bisect_right(self._starts, place) - 1
        offset = place - self._starts[shard]
        if shard not in self._open:
            self._open[shard] = pq.ParquetFile(self._files[shard], memory_map=True)
        file = self._open[shard]
        group = 0
        while offset >= (size := file.metadata.row_group(group).num_rows):
            offset -= size
            group += 1
        if self._group is None or self._group[:3] != (shard, group, names):
            self._group = (shard, group, names, file.read_row_group(group, columns=list(names)))
        row: dict[str, Any] = self._group[3].slice(offset, 1).to_pylist()[0]
        return row

    def image_bytes(self, index: int, column: str = "image") -> bytes:
        """Return a picture as the bytes of its file."""
        data: bytes = self.row(index, [column])[column]["bytes"]
        return data

    def image(self, index: int, column: str = "image") -> Image.Image:
        """Return a picture, decoded."""
        picture = Image.open(io.BytesIO(self.image_bytes(index, column)), formats=("PNG", "JPEG", "TIFF"))
        picture.load()
        return picture

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield pictures."""
        for index in range(len(self)) if indices is None else indices:
            yield self.image(index)

    def where(self, text: str) -> StoredDataset:
        """Return the rows that pass a filter, such as ``world_name = Desert and camera_yaw in (0, 45)``.

        Raises:
            SpecError: the filter cannot be read.
            DatasetError: this dataset has no such column.
        """
        conditions = parse_where(text)
        from torchmultiverse.spec import FACTORS

        names = [FACTORS[c.factor].column for c in conditions]
        rows = self.table(list(dict.fromkeys(names))).to_pylist()
        keep = [i for i, row in enumerate(rows) if all(c.holds(row[n]) for c, n in zip(conditions, names, strict=True))]
        return StoredDataset(
            self.path, self._files, keep if self._indices is None else [self._indices[i] for i in keep]
        )

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.columns:
                raise DatasetError(f"{self.path} has no column '{name}'.{nearest(name, self.columns)}")


def open_dataset(path: str | Path) -> StoredDataset:
    """Open a dataset folder, ours or any folder of Parquet files with the image convention.

    Raises:
        DatasetError: nothing there, or a file that is no Parquet.
    """
    path = Path(path)
    files = sorted((path / "data").glob("*.parquet")) or sorted(path.glob("*.parquet"))
    if not files:
        what = "no such folder" if not path.exists() else "no Parquet files in it"
        raise DatasetError(f"{path}: {what}; a dataset is made by: torchmultiverse render SPEC --out {path}")
    try:
        return StoredDataset(path, files)
    except (pa.ArrowInvalid, OSError) as error:
        raise DatasetError(f"{path}: a shard cannot be read: {error}") from None
