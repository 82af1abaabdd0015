"""Reading a dataset: whole columns, or single pictures without reading the rest."""

from __future__ import annotations

import bisect
import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import DatasetError, SpecError, nearest
from torchmultiverse.spec import Condition, Factor, FactorTable, parse_where
from torchmultiverse.store import pages
from torchmultiverse.store.crossing import Crossing
from torchmultiverse.store.ids import Ids
from torchmultiverse.store.manifest import SHARD_NAME, read_manifest, shard_number, table_of


@dataclass(slots=True)
class _Shard:
    """One file: how many rows, and where its pictures are, as far as anybody asked."""

    path: Path
    stamp: tuple[int, int]
    rows: int
    groups: NDArray[np.int64] | None = None
    chunks: dict[str, list[tuple[int, int, int] | None]] = field(default_factory=dict)
    spans: dict[tuple[str, int], NDArray[np.int64] | None] = field(default_factory=dict)


class StoredDataset:
    """A folder of Parquet shards, opened for reading. Rows are numbered through all shards.

    Picklable; may be used from several threads and processes.
    """

    def __init__(self, path: Path, shards: Sequence[_Shard], indices: NDArray[np.int64] | None = None) -> None:
        self.path = path
        self._shards = list(shards)
        self._indices = indices
        self._starts = [0]
        for shard in self._shards:
            self._starts.append(self._starts[-1] + shard.rows)
        self._group: tuple[tuple[int, int, tuple[str, ...]], pa.Table] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_group": None}

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pq.read_schema(self._shards[0].path)

    @property
    def files(self) -> list[Path]:
        """The Parquet files, in the order of their rows; a filtered dataset has all of them."""
        return [shard.path for shard in self._shards]

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(self.schema.names)

    @cached_property
    def image_columns(self) -> list[str]:
        """Names of the columns that hold pictures."""
        return [field.name for field in self.schema if _holds_pictures(field.type)]

    @property
    def factors(self) -> list[str]:
        """Names of the columns that hold factors, in the order of the dataset."""
        return [name for name in self.columns if name in self._published]

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The manifest, or an empty object for a folder that has none."""
        return read_manifest(self.path)

    def __len__(self) -> int:
        return self._starts[-1] if self._indices is None else len(self._indices)

    def __repr__(self) -> str:
        return f"StoredDataset({str(self.path)!r}, {len(self)} rows of {', '.join(self.columns)})"

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns as an Arrow table; without names, all but the pictures.

        Raises:
            DatasetError: an unknown column, or a shard that cannot be read.
        """
        return pa.concat_tables(self.tables(columns))

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield what `table` returns, file by file: memory for the rows of one file is enough.

        Raises:
            DatasetError: an unknown column, or a shard that cannot be read.
        """
        names = [c for c in self.columns if c not in self.image_columns] if columns is None else list(columns)
        self._check(names)
        for number, shard in enumerate(self._shards):
            with _reading(shard.path) as file:
                # Arrow gives columns in the order of the file.
                table = file.read(columns=names).select(names)
            if self._indices is not None:  # ascending
                start, stop = np.searchsorted(self._indices, self._starts[number : number + 2])
                table = table.take(pa.array(self._indices[start:stop] - self._starts[number]))
            yield table

    def row(self, index: int, columns: Sequence[str] | None = None) -> dict[str, Any]:
        """Return one row; pictures as ``{"bytes", "path"}``. Reads one row group of the columns at most.

        Raises:
            IndexError: no such row.
            DatasetError: an unknown column, or a shard that cannot be read.
        """
        names = tuple(self.columns if columns is None else columns)
        self._check(names)
        number, offset = self._find(index)
        shard = self._shards[number]
        group = int(np.searchsorted(self._groups(shard), offset, side="right")) - 1
        key = (number, group, names)
        cached = self._group
        if cached is None or cached[0] != key:
            with _reading(shard.path) as file:
                cached = (key, file.read_row_group(group, columns=list(names), use_threads=False))
            self._group = cached
        row: dict[str, Any] = cached[1].slice(offset - int(self._groups(shard)[group]), 1).to_pylist()[0]
        return {name: row[name] for name in names}

    def image_bytes(self, index: int, column: str = "image") -> bytes:
        """Return a picture as the bytes of its file.

        Raises:
            IndexError: no such row.
            DatasetError: no such column, or no picture there.
        """
        number, offset = self._find(index)
        if column not in self.image_columns:
            raise DatasetError(f"{self.path} has no pictures in '{column}'.{nearest(column, self.image_columns)}")
        shard = self._shards[number]
        groups = self._groups(shard)
        group = int(np.searchsorted(groups, offset, side="right")) - 1
        spans = self._spans(shard, column, group)
        if spans is not None:
            start, size = spans[offset - int(groups[group])].tolist()
            return pages.open_file(str(shard.path), shard.stamp).read(start, size)
        data = self.row(index, [column])[column]
        if data is None or data["bytes"] is None:
            raise DatasetError(f"{self.path}: row {index} holds no picture in '{column}', only {data}")
        return bytes(data["bytes"])

    def image(self, index: int, column: str = "image") -> Image.Image:
        """Return a picture, decoded.

        Raises:
            IndexError: no such row.
            DatasetError: no such column, or bytes that are no picture.
        """
        data = self.image_bytes(index, column)
        try:
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF"))
            picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DatasetError(f"{self.path}: row {index}: {len(data)} bytes that are no picture: {error}") from None
        return picture

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield pictures in the order asked for; all, where nothing is asked for."""
        for index in range(len(self)) if indices is None else indices:
            yield self.image(index)

    def where(self, text: str) -> StoredDataset:
        """Return the rows that pass a filter, such as ``world_name = Desert and camera_yaw in (0, 45)``.

        Any column of text or numbers may stand in it.

        Raises:
            SpecError: the filter cannot be read.
            DatasetError: this dataset has no such column.
        """
        keep = np.ones(len(self), dtype=bool)
        for condition in parse_where(text, self._table):
            factor = self._table[condition.factor]
            column = self.table([factor.column])[factor.column].combine_chunks().dictionary_encode()
            if isinstance(column, pa.ChunkedArray):
                column = column.combine_chunks()
            # Each level is judged once, however many rows have it; the last place stands for null.
            passes = [_passes(condition, factor, level) for level in column.dictionary.to_pylist()]
            codes = pc.fill_null(column.indices, len(passes)).to_numpy(zero_copy_only=False)
            keep &= np.array([*passes, False])[codes]
        rows = np.flatnonzero(keep)
        return StoredDataset(self.path, self._shards, rows if self._indices is None else self._indices[rows])

    @cached_property
    def crossing(self) -> Crossing:
        """The factor columns as integer codes."""
        return Crossing(self.tables(self.factors))

    def at(self, **levels: Any) -> NDArray[np.int64]:
        """Return the rows whose factors have these levels, in order, int64; names as in specs or as columns.

        Raises:
            DatasetError: no such factor, or a level that no row has.
        """
        named = {self._column(name): level for name, level in levels.items()}
        for name, level in named.items():
            with contextlib.suppress(SpecError):
                named[name] = self._published[name].canonical(level)
        return self.crossing.at(named, str(self.path))

    def shard_of(self, index: int) -> int:
        """Return the number of the file that a row is in, from 0.

        Raises:
            IndexError: no such row.
        """
        return self._find(index)[0]

    def neighbours(self, index: int) -> NDArray[np.int64]:
        """Return the rows that differ from this one in exactly one factor, in order, int64.

        Raises:
            IndexError: no such row.
        """
        self._find(index)
        return self.crossing.neighbours(int(index) % len(self))

    def negative(self, index: int) -> int | None:
        """Return the row of a picture's hard negative; ``None`` where it has none, here or at all.

        Raises:
            IndexError: no such row.
            DatasetError: a dataset without hard negatives.
        """
        place = int(self._places.places([self.row(index, ["negative_scene_id"])["negative_scene_id"]])[0])
        return None if place < 0 else place

    @cached_property
    def _places(self) -> Ids:
        return Ids(name for table in self.tables(["scene_id"]) for name in table["scene_id"].to_pylist())

    def find(self, scene_ids: Sequence[str]) -> dict[str, int]:
        """Return the rows of a few scenes, by id: the first of one that stands twice, none of one that is not there.

        Raises:
            DatasetError: a dataset without ids.
        """
        found: dict[str, int] = {}
        start, wanted = 0, pa.array(scene_ids, pa.string())
        for table in self.tables(["scene_id"]):
            column = table["scene_id"]
            for place in np.flatnonzero(pc.is_in(column, value_set=wanted).to_numpy()).tolist():
                found.setdefault(column[place].as_py(), start + place)
            start += len(table)
        return found

    def pairs(self, factor: str) -> NDArray[np.int64]:
        """Return the minimal pairs of a factor: all two rows that differ in it and in nothing else, int64 (pairs, 2).

        Raises:
            DatasetError: no such factor.
        """
        return self.crossing.pairs(self._column(factor), str(self.path))

    def _column(self, name: str) -> str:
        return self._published[name].column if name in self._published else name

    @cached_property
    def _published(self) -> FactorTable:
        """The factors of the spec this was made with, or of its family."""
        return table_of(self.manifest)

    @cached_property
    def _table(self) -> FactorTable:
        """Every column that a filter can name, as a factor."""
        more = []
        for column in self.schema:
            if column.name in self._published:
                continue
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                more.append(Factor(column.name, column.name, "category"))
            elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
                more.append(Factor(column.name, column.name, "number"))
        return self._published.extended(more)

    def _find(self, index: int) -> tuple[int, int]:
        """Return the shard and the row in it."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a dataset of {len(self)}")
        index = int(index) % len(self)
        place = index if self._indices is None else int(self._indices[index])
        number = bisect.bisect_right(self._starts, place) - 1
        return number, place - self._starts[number]

    def _groups(self, shard: _Shard) -> NDArray[np.int64]:
        if shard.groups is None:
            with _reading(shard.path) as file:
                shard.chunks = {c: pages.chunks(file.metadata, f"{c}.bytes") for c in self.image_columns}
                shard.groups = pages.group_starts(file.metadata)
        return shard.groups

    def _spans(self, shard: _Shard, column: str, group: int) -> NDArray[np.int64] | None:
        if (column, group) not in shard.spans:
            chunk = shard.chunks[column][group]
            file = pages.open_file(str(shard.path), shard.stamp)
            shard.spans[column, group] = None if chunk is None else pages.locate(file, *chunk)
        return shard.spans[column, group]

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.columns:
                raise DatasetError(f"{self.path} has no column '{name}'.{nearest(name, self.columns)}")


def open_dataset(path: str | Path) -> StoredDataset:
    """Open a dataset folder, ours or any folder of Parquet files with the image convention.

    Raises:
        DatasetError: nothing there, files that are no Parquet, or whose columns differ.
    """
    path = Path(path)
    files = _in_order((path / "data").glob("[!.]*.parquet")) or _in_order(path.glob("[!.]*.parquet"))
    if not files:
        what = "no such folder" if not path.exists() else "no Parquet files in it"
        raise DatasetError(f"{path}: {what}; a dataset is made by: torchmultiverse render SPEC --out {path}")
    shards: list[_Shard] = []
    first: list[str] = []
    for file in files:
        with _reading(file) as parquet:
            names = parquet.schema_arrow.names
            first = first or names
            if names != first:
                odd = sorted({*first} ^ {*names}) or ["their order"]
                raise DatasetError(f"{file} has other columns than {files[0].name}: {', '.join(odd)}")
            shards.append(_Shard(file, pages.stamp(file), parquet.metadata.num_rows))
    return StoredDataset(path, shards)


def _in_order(files: Iterable[Path]) -> list[Path]:
    """Return files by name; those of our own datasets by number first, so that rows are nearly in the design's order,
    and of each number ``train`` first."""
    listed = sorted(files)
    if all(SHARD_NAME.fullmatch(file.name) for file in listed):
        listed.sort(key=lambda file: (shard_number(file.name), not file.name.startswith("train-")))
    return listed


class _reading:
    """Open a Parquet file and name it in errors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> pq.ParquetFile:
        try:
            self._file = pq.ParquetFile(self._path, memory_map=True)
        except (pa.ArrowInvalid, OSError) as error:
            raise DatasetError(f"{self._path}: the shard cannot be read: {error}") from None
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, pa.ArrowInvalid | OSError):
            raise DatasetError(f"{self._path}: the shard cannot be read: {error}") from None


def _passes(condition: Condition, factor: Factor, level: Any) -> bool:
    """Whether a stored level passes; one that no scene could have (in a dataset of others) is compared as it is."""
    if level is None:
        return False
    with contextlib.suppress(SpecError):
        level = factor.canonical(level)
    return condition.holds(level)


def _holds_pictures(kind: pa.DataType) -> bool:
    """Whether a column follows the image convention: a struct of ``bytes`` and ``path``."""
    if not pa.types.is_struct(kind) or {kind.field(i).name for i in range(kind.num_fields)} != {"bytes", "path"}:
        return False
    content = kind.field("bytes").type
    return bool(pa.types.is_binary(content) or pa.types.is_large_binary(content))
