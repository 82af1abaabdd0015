"""Reading a dataset: whole columns, or single pictures without reading the rest."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.engines import codec
from torchmultiverse.errors import DatasetError, ProtocolError, QuestionError, SpecError, nearest
from torchmultiverse.images import decode, rgb
from torchmultiverse.remote import local_copy
from torchmultiverse.scenes import FactorTable, from_stored, parse_where
from torchmultiverse.store import pages
from torchmultiverse.store.crossing import Crossing
from torchmultiverse.store.filtering import filter_factors, passing
from torchmultiverse.store.ids import Ids
from torchmultiverse.store.manifest import SHARD_NAME, Manifest, shard_number, table_of
from torchmultiverse.store.object_column import with_texts
from torchmultiverse.store.parquet import read_whole, reading
from torchmultiverse.store.views import ImageSet


@dataclass(slots=True)
class _Shard:
    """One file: how many rows, and where its pictures are, as far as anybody asked."""

    path: Path
    stamp: tuple[int, int]
    rows: int
    groups: NDArray[np.int64] | None = None
    chunks: dict[str, list[pages.Chunk | None]] = field(default_factory=dict)
    found: dict[tuple[str, int], pages.Column | None] = field(default_factory=dict)
    """Columns of row groups whose pages are known; ``None`` for one that is read through Arrow."""


class StoredDataset(ImageSet):
    """A folder of Parquet shards, opened for reading. Rows are numbered through all shards.

    Picklable; may be used from several threads and processes.
    """

    path: Path
    has_bytes = True

    def __init__(
        self, path: Path, shards: Sequence[_Shard], schema: pa.Schema, indices: NDArray[np.int64] | None = None
    ) -> None:
        self.path = path
        self.schema: pa.Schema = schema
        """The Arrow schema, of the types that the values of all files fit."""
        self._shards = list(shards)
        self._indices = indices
        self._starts = [0]
        for shard in self._shards:
            self._starts.append(self._starts[-1] + shard.rows)
        self._group: tuple[tuple[int, int, tuple[str, ...]], pa.Table] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_group": None}

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
        return [field.name for field in self.schema if _holds_images(field.type)]

    @property
    def factors(self) -> list[str]:
        """Names of the columns that hold factors, in the order of the dataset."""
        return [name for name in self.columns if name in self._published]

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest; an empty one for a folder that has none."""
        return Manifest.load(self.path)

    def __len__(self) -> int:
        return self._starts[-1] if self._indices is None else len(self._indices)

    def __repr__(self) -> str:
        return f"StoredDataset({str(self.path)!r}, {len(self):,} rows, {len(self.columns)} columns)"

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
            with reading(shard.path) as file:
                table = self._fitted(read_whole(file, names))
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
            with reading(shard.path) as file:
                rows = file.read_row_group(group, columns=list(names), use_threads=False).select(names)
                rows.validate(full=True)
                cached = (key, self._fitted(rows))
            self._group = cached
        row: dict[str, Any] = cached[1].slice(offset - int(self._groups(shard)[group]), 1).to_pylist()[0]
        return row

    def _row_labels(self, index: int) -> dict[str, Any]:
        return self.row(index, [name for name in self.columns if name not in self.image_columns])

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
        file = pages.open_file(str(shard.path), shard.stamp)
        if (known := self._column_of(file, shard, column, group)) is not None:
            try:
                found = known.read(file, offset - int(groups[group]))
            except ValueError:  # Arrow says what is wrong with it, if anything
                shard.found[column, group] = None
            else:
                if found is not None:
                    return found
        data = self.row(index, [column])[column]
        if data is None or data["bytes"] is None:
            raise DatasetError(f"{self.place(index)} holds no picture in '{column}', only {data}")
        return bytes(data["bytes"])

    def image(self, index: int, column: str = "image") -> Image.Image:
        """Return a picture, decoded: upright and RGB, or an annotation pass with the values that it is stored with.

        Raises:
            IndexError: no such row.
            DatasetError: no such column, or bytes that are no picture.
        """
        what = self.place(index)
        image = decode(self.image_bytes(index, column), what)
        return image if column in codec.EXTENSIONS else rgb(image, what)

    @cached_property
    def passes(self) -> list[str]:  # type: ignore[override]
        """Annotation passes that images have: columns of pictures that are no pictures of the scene."""
        return [name for name in self.image_columns if name in codec.EXTENSIONS and name != "rgb"]

    def annotation(self, index: int, name: str) -> NDArray[Any]:
        """Return an annotation pass of a picture, decoded, (H, W) or (H, W, C).

        Raises:
            IndexError: no such row.
            DatasetError: no such pass, or bytes that are none.
        """
        if name not in self.passes:
            raise DatasetError(f"{self.path} has no pass '{name}'.{nearest(name, self.passes)}")
        try:
            return codec.decode(name, self.image_bytes(index, name))
        except ProtocolError as error:
            raise DatasetError(f"{self.place(index)}: {error}") from None

    def place(self, index: int) -> str:
        """Return where a row is, for errors: the file and the row in it.

        Raises:
            IndexError: no such row.
        """
        number, offset = self._find(index)
        return f"{self._shards[number].path}, row {offset}"

    def where(self, text: str) -> StoredDataset:
        """Return the rows that pass a filter, such as ``world_name = Desert and camera_yaw in (0, 45)``.

        Any column of text or numbers may stand in it.

        Raises:
            SpecError: the filter cannot be read.
            DatasetError: this dataset has no such column.
        """
        keep = passing(parse_where(text, self._table), self._table, lambda name: self.table([name]), len(self))
        rows = np.flatnonzero(keep)
        indices = rows if self._indices is None else self._indices[rows]
        return StoredDataset(self.path, self._shards, self.schema, indices)

    @cached_property
    def crossing(self) -> Crossing:
        """The factor columns as integer codes; null is the level ``own`` of a number that may be."""
        found = Crossing(with_texts(table, self._published) for table in self.tables(self.factors))
        for name, levels in found.levels.items():
            found.levels[name] = [from_stored(self._published[name], level) for level in levels]
        return found

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

    def labels(self, columns: Sequence[str]) -> pa.Table:
        """Return columns as `table` does, with lists of objects as their canonical JSON text."""
        return with_texts(self.table(columns), self._published)

    def _column(self, name: str) -> str:
        return self._published[name].column if name in self._published else name

    @cached_property
    def _published(self) -> FactorTable:
        """The factors of the spec this was made with, or of its family."""
        return table_of(self.manifest)

    @cached_property
    def _table(self) -> FactorTable:
        """Every column that a filter can name, as a factor."""
        return filter_factors(self.schema, self._published)

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
            with reading(shard.path):
                found = pages.groups(shard.path)
                starts = np.cumsum([0, *(rows for rows, _ in found)], dtype=np.int64)
                if starts[-1] != shard.rows:
                    raise pa.ArrowInvalid(f"its row groups have {starts[-1]} rows, the file {shard.rows}")
            for name in self.image_columns:
                shard.chunks[name] = [
                    next((c for c in chunks if c and c.leaf == f"{name}.bytes" and c.values == rows), None)
                    for rows, chunks in found
                ]
            shard.groups = starts
        return shard.groups

    def _column_of(self, file: pages.OpenFile, shard: _Shard, column: str, group: int) -> pages.Column | None:
        if (column, group) not in shard.found:
            chunk = shard.chunks[column][group]
            try:
                shard.found[column, group] = None if chunk is None else pages.Column(file, chunk)
            except ValueError:
                shard.found[column, group] = None
        return shard.found[column, group]

    def _fitted(self, table: pa.Table) -> pa.Table:
        """Return rows of one file with the types of all."""
        fields = [self.schema.field(name) for name in table.column_names]
        if all(field.type == table.schema.field(field.name).type for field in fields):
            return table
        return table.cast(pa.schema(fields))

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.columns:
                raise QuestionError(f"{self.path} has no column '{name}'.{nearest(name, self.columns)}")


def open_dataset(path: str | Path) -> StoredDataset:
    """Open a dataset folder, ours or any folder of Parquet files with the image convention.

    Of a folder with a manifest the files that it names are read, and no others.

    Args:
        path: the folder, or an address of one (`torchmultiverse.remote.local_copy`).

    Raises:
        DatasetError: nothing there, a file that is missing, that is no Parquet, or whose columns differ.
    """
    path = local_copy(path)
    files = _in_order((path / "data").glob("[!.]*.parquet"))
    if files and (manifest := Manifest.load(path)).lists_files:
        named = manifest.shards
        # Another file is what an interrupted run left, or what somebody put there: its rows may be those of a file
        # that is named, and no label, split or hash of the manifest is about them.
        lacking = sorted(named.keys() - {file.name for file in files})
        if lacking:
            raise DatasetError(
                f"{path / 'data'}: {lacking[0]} is missing, which manifest.json names"
                + (f", and {len(lacking) - 1} more" if lacking[1:] else "")
                + ". Copy it again, or run what made the dataset again after: "
                f"torchmultiverse data verify {path} --drop-bad"
            )
        files = [file for file in files if file.name in named]
    files = files or _in_order(path.glob("[!.]*.parquet"))
    if not files:
        what = "no such folder" if not path.exists() else "no Parquet files in it"
        raise DatasetError(f"{path}: {what}; a dataset is made by: torchmultiverse render SPEC --out {path}")
    shards: list[_Shard] = []
    schemas: list[pa.Schema] = []
    for file in files:
        with reading(file) as parquet:
            schema = parquet.schema_arrow
            shards.append(_Shard(file, pages.stamp(file), parquet.metadata.num_rows))
        names = schema.names
        twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
        if twice is not None:
            raise DatasetError(f"{file} has the column '{twice}' twice; write it again with one of them left out")
        if schemas and names != schemas[0].names:
            odd = sorted({*schemas[0].names} ^ {*names}) or ["their order"]
            raise DatasetError(f"{file} has other columns than {files[0].name}: {', '.join(odd)}")
        schemas.append(schema)
    return StoredDataset(path, shards, _common(files, schemas))


def _in_order(files: Iterable[Path]) -> list[Path]:
    """Return files by name; those of our own datasets by number first, so that rows are nearly in the design's order,
    and of each number ``train`` first."""
    listed = sorted(files)
    if all(SHARD_NAME.fullmatch(file.name) for file in listed):
        listed.sort(key=lambda file: (shard_number(file.name), not file.name.startswith("train-")))
    return listed


def _common(files: Sequence[Path], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the schema with the types that all files' values fit, such as numbers of which some are whole."""
    whole = schemas[0]
    for file, schema in zip(files, schemas, strict=True):
        if schema.equals(whole):
            continue
        for place, column in enumerate(schema):
            known = whole.field(place)
            try:
                fits = pa.unify_schemas([pa.schema([known]), pa.schema([column])], promote_options="permissive")
            except (pa.ArrowTypeError, pa.ArrowInvalid):
                raise DatasetError(
                    f"{file}: the column '{column.name}' is {column.type}, in {files[0].name} it is {known.type}; "
                    "write both with one type"
                ) from None
            whole = whole.set(place, fits.field(0))
    return whole


def _holds_images(kind: pa.DataType) -> bool:
    """Whether a column follows the image convention: a struct of ``bytes`` and ``path``."""
    if not pa.types.is_struct(kind) or {kind.field(i).name for i in range(kind.num_fields)} != {"bytes", "path"}:
        return False
    content = kind.field("bytes").type
    return bool(pa.types.is_binary(content) or pa.types.is_large_binary(content))
