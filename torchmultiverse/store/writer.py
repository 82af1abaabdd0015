"""Writing a dataset: atomic shards in design order, rows that wait, a manifest, and resume.

Rows may come in any order and from any number of workers. A finished row waits as one small file in ``_work/``
until all rows of its shard are there; then the shard is written under a temporary name and renamed. So at any moment
the folder holds whole shards and whole rows, and the bytes of the data columns depend on the spec and engine alone.

A shard is a stretch of the design, of which each declared split has a file of its own; without any it is one file,
``train-…``. Its files are announced in ``_work/`` before they are renamed, and the manifest is not written after every
shard but when an eighth of what it names is new, so that all of its writes together are linear in the shards. What
was announced counts as if the manifest said it: a process killed at any time leaves shards that the next run knows
for its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc

from torchmultiverse.engines import Frame
from torchmultiverse.errors import DatasetError
from torchmultiverse.files import (
    FolderLock,
    atomic_file,
    disk_errors,
    remove_temporary_files,
    sha256_file,
    write_atomic,
)
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import Design
from torchmultiverse.store.clips import completed, in_clips, in_groups
from torchmultiverse.store.folder import check_same, check_vacant, clear
from torchmultiverse.store.ids import Ids
from torchmultiverse.store.manifest import (
    ANNOUNCED,
    FORMAT,
    FORMAT_OF_SPLITS,
    Manifest,
    ShardEntry,
    read_announced,
    shard_name,
    shard_number,
)
from torchmultiverse.store.parquet import GROUP_ROWS, reading, write_groups
from torchmultiverse.store.schema import RowSchema
from torchmultiverse.store.shards import ShardPlan
from torchmultiverse.store.splits import split_name

SHARD_ROWS = 1024
NEW = 8
"""The manifest is written when one in so many of the files that it names is new to it."""


class DatasetWriter:
    """Collects the rows of a design into a folder.

    `pack` may be called from any thread, and so may `missing` for a shard that is not begun; everything else belongs
    to one thread.

    Args:
        out: the folder; created, or continued where an interrupted run left it.
        design: which scenes, in which order.
        schema: the columns.
        identity: what must be equal for a run to be continued (spec, seed, size, engine, …); JSON values.
        shard_rows: rows of a shard, at most; clips stay whole.
        fresh: delete what the folder holds first.
        part: (i, n): only every n-th shard, from the i-th.
        extend: keep the rows of a dataset whose design was smaller; only the rest is missing then.

    Raises:
        DatasetError: the folder holds another dataset, a corrupt shard or something else, cannot be written, or is
            being written by another process.
    """

    def __init__(
        self,
        out: Path,
        design: Design,
        schema: RowSchema,
        identity: Mapping[str, Any],
        *,
        shard_rows: int = SHARD_ROWS,
        fresh: bool = False,
        part: tuple[int, int] | None = None,
        extend: bool = False,
    ) -> None:
        if shard_rows < 1:
            raise DatasetError(f"shard_rows = {shard_rows}: a shard has at least one row")
        self.out = Path(out)
        self.design = design
        self.schema = schema
        self.shard_rows = shard_rows
        self._plan = ShardPlan(design, shard_rows)
        self._part = part or (0, 1)
        self._extend = extend
        self._several = len(schema.splits) > 1
        self._names = [split_name(split) for split in schema.splits]
        format_ = FORMAT_OF_SPLITS if self._several else FORMAT
        self._identity = json.loads(json.dumps({"format": format_, "shard_rows": shard_rows, **identity}))
        self._unsaved: set[int] = set()
        self._work = self.out / "_work"
        self._data = self.out / "data"
        self._present: dict[int, set[str]] = {}
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.out)
            try:
                if fresh:
                    clear(self.out)
                self.manifest = self._new() if fresh else self._continue()
                self._work.mkdir(exist_ok=True)
                self._data.mkdir(exist_ok=True)
                self._tidy()
                remove_temporary_files(self.out, self._work, self._data)
            except BaseException:
                self._lock.release()
                raise

    @property
    def shards(self) -> int:
        """Number of shards of the whole design."""
        return self._plan.count

    @property
    def numbers(self) -> range:
        """Numbers of the shards that are written here: all of them, or those of one part."""
        return range(self._part[0], self.shards, self._part[1])

    @property
    def expected(self) -> int:
        """Number of rows of those shards."""
        return sum(len(self.shard_range(shard)) for shard in self.numbers)

    @property
    def rows(self) -> int:
        """Number of rows in the shards that are written."""
        return self.manifest.rows

    @property
    def settled(self) -> int:
        """Number of rows in the shards that are written with all their rows."""
        return sum(entry.rows for n, entry in self.manifest.shards.items() if self.complete(shard_number(n)))

    def shard_range(self, shard: int) -> range:
        """Return the design indices of a shard."""
        return self._plan.range(shard)

    def shard_of(self, index: int) -> int:
        """Return the shard of a design index."""
        return self._plan.of(index)

    def complete(self, shard: int) -> bool:
        """Whether a shard is written with all its rows."""
        rows: int = sum(self.manifest.shards[name].rows for name in self._files(shard))
        return rows == len(self.shard_range(shard))

    def missing(self, shard: int) -> list[int]:
        """Return the design indices of a shard whose rows are neither written nor waiting."""
        if self.complete(shard):
            return []
        written = self._written(shard)
        missing = []
        for index in self.shard_range(shard):
            scene_id = self.design[index].scene_id
            if scene_id not in written and self._read(scene_id) is None:
                missing.append(index)
        return missing

    def pack(self, frame: Frame) -> bytes:
        """Return the row of a frame as bytes for `put`: encodes and measures the picture, touches no file.

        Raises:
            TorchMultiverseError, ValueError, TypeError, KeyError: the frame holds what no row can hold.
        """
        return _packed(self.schema.table(self.schema.row(frame)))

    def put(self, scene_id: str, packed: bytes) -> None:
        """Keep a packed row.

        Raises:
            DatasetError: it cannot be written.
        """
        with disk_errors(self._work):
            write_atomic(self._row_path(scene_id), packed, sync=False)

    def add(self, frame: Frame) -> None:
        """Keep the row of a frame: `pack` and `put`."""
        self.put(frame.scene_id, self.pack(frame))

    def finish_shard(self, shard: int) -> None:
        """Write a shard from the rows that wait, in design order; rows that are missing can be added later.

        Raises:
            DatasetError: it cannot be written.
        """
        entries = {}
        with disk_errors(self._data), contextlib.ExitStack() as files:
            for name, indices in self._divided(shard).items():
                rows = self._rows(shard, name, indices)
                if (first := next(rows, None)) is None:
                    continue
                file = files.enter_context(atomic_file(self._data / name))
                count = write_groups(file, self.schema.arrow, self._grouped(itertools.chain([first], rows)))
                file.flush()
                entries[name] = ShardEntry(rows=count, bytes=file.tell(), sha256=sha256_file(Path(file.name)))
            if not entries:
                return
            announced = {name: entry.model_dump(exclude_unset=True) for name, entry in entries.items()}
            write_atomic(self._announcement(shard), json.dumps({"files": announced}).encode())
        self.manifest.shards.update(entries)
        self._settle(shard)
        if len(self._unsaved) * NEW >= len(self.manifest.shards):
            self.save_manifest()

    def _grouped(self, rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """Yield rows in the groups that they are written in: clip by clip, where there are clips."""
        if (column := self.schema.clip_column) is None:
            yield from (pa.concat_tables(group) for group in _groups(rows, GROUP_ROWS))
            return
        for clip in in_clips(rows, column, GROUP_ROWS):
            yield from in_groups(completed(clip, self.schema.passes))

    def save_manifest(self) -> None:
        """Write the manifest."""
        with disk_errors(self.out):
            self.manifest.save(self.out)
            for shard in self._unsaved:
                self._announcement(shard).unlink(missing_ok=True)
        self._unsaved.clear()

    def close(self) -> None:
        """Let go of the folder; may be called twice. ``_work/`` goes when nothing waits in it."""
        if self._lock.held:
            if not self._unsaved and all(self.complete(shard) for shard in self.numbers):
                shutil.rmtree(self._work, ignore_errors=True)
            with contextlib.suppress(OSError):
                self._work.rmdir()
            self._lock.release()

    @property
    def durable_rows(self) -> int:
        """Number of rows that outlive this process: in shards that are written, or waiting for theirs.

        Raises:
            DatasetError: what an interruption left between the two cannot be tidied.
        """
        self._tidy()
        return self.rows + sum(1 for _ in self._work.glob("*.row"))

    def _tidy(self) -> None:
        """Finish with shards that are announced and whose rows an interruption left waiting as well."""
        for announced in self._work.glob(ANNOUNCED):
            shard = int(announced.stem)
            if shard not in self._unsaved and read_announced(announced).items() <= self.manifest.shards.items():
                self._settle(shard)

    def _settle(self, shard: int) -> None:
        """After a shard's files have their names: its rows need no longer wait; its announcement stays until a manifest
        says the same."""
        self._unsaved.add(shard)
        with disk_errors(self._work):
            for index in self.shard_range(shard):
                self._row_path(self.design[index].scene_id).unlink(missing_ok=True)
        self._present.pop(shard, None)

    def _announcement(self, shard: int) -> Path:
        return self._work / f"{shard:05d}.shard"

    def _files(self, shard: int) -> list[str]:
        """Return the names of a shard's files that are written."""
        names = (shard_name(shard, split) for split in self._names)
        return [name for name in names if name in self.manifest.shards]

    def _divided(self, shard: int) -> dict[str, list[int]]:
        """Return the design indices of a shard by the name of the file that they belong in."""
        if not self._several:
            return {shard_name(shard): list(self.shard_range(shard))}
        files: dict[str, list[int]] = {}
        for index in self.shard_range(shard):
            split = split_name(self.schema.split_of(self.design[index]))
            files.setdefault(shard_name(shard, split), []).append(index)
        return files

    def _row_path(self, scene_id: str) -> Path:
        return self._work / f"{scene_id}.row"

    def _read(self, scene_id: str) -> pa.Table | None:
        """Return a waiting row; one that a crash of the machine left half-written is removed."""
        path = self._row_path(scene_id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            path.unlink()
            return None
        return ipc.open_file(pa.BufferReader(memoryview(data)[32:])).read_all()

    def _written(self, shard: int) -> set[str]:
        """Return the scene ids in a shard that was written without some of its rows."""
        if shard not in self._present:
            ids: set[str] = set()
            for name in self._files(shard):
                with reading(self._data / name) as file:
                    ids.update(file.read(columns=["scene_id"]).column(0).to_pylist())
            self._present[shard] = ids
        return self._present[shard]

    def _rows(self, shard: int, name: str, indices: list[int]) -> Iterator[pa.Table]:
        """Yield the rows of one of a shard's files in design order, one-row tables, from where they are."""
        written = self._written(shard)
        before = iter(())  # the file as it was, also in design order
        with contextlib.ExitStack() as stack:
            if name in self.manifest.shards:
                old = stack.enter_context(reading(self._data / name))
                before = (batch.slice(i, 1) for batch in old.iter_batches(GROUP_ROWS) for i in range(batch.num_rows))
            for index in indices:
                scene_id = self.design[index].scene_id
                if scene_id in written:
                    yield pa.Table.from_batches([next(before)]).cast(self.schema.arrow)
                elif (row := self._read(scene_id)) is not None:
                    yield row

    def _new(self) -> Manifest:
        return Manifest(identity=self._identity, shards={}, failures={}, complete=False)

    def _continue(self) -> Manifest:
        path = self.out / Manifest.file
        if not path.exists():
            check_vacant(self.out)
            return self._new()
        try:
            manifest = Manifest.parse(read_json(path.read_text()), path)
            before, shards = manifest.identity, manifest.shards
            if not before or not manifest.lists_files or not all(entry.rows > 0 for entry in shards.values()):
                raise DatasetError(f"{path} is no manifest of this format")
        except (ValueError, DatasetError, AttributeError, TypeError) as error:
            raise DatasetError(f"{path} is no manifest of this format; use --fresh or another folder") from error
        grown = check_same(self.out, before, self._identity, extend=self._extend)
        for announced in self._work.glob(ANNOUNCED):
            entries = read_announced(announced)
            there = {name: entry for name, entry in entries.items() if _is(self._data / name, entry)}
            shards.update(there)
            if len(there) < len(entries):
                announced.unlink()  # it was announced and never came; its rows still wait
        for name, entry in shards.items():
            shard = self._data / name
            if not _is(shard, entry):
                state = "missing" if not shard.exists() else "corrupt"
                raise DatasetError(
                    f"the shard {shard} is {state}. Drop it with: "
                    f"torchmultiverse data verify {self.out} --drop-bad, then run the same command again"
                )
        if grown:
            self._grow(manifest)
        manifest.failures = {}
        return manifest

    def _grow(self, manifest: Manifest) -> None:
        """Take the rows of a smaller design out of its shards, so that they wait for those of this one.

        Whenever this is interrupted, what is left is either design's dataset, begun: rows wait before their shard goes.
        """
        self._work.mkdir(exist_ok=True)
        known = Ids(scene.scene_id for scene in self.design)
        shards = manifest.shards
        for name in sorted(shards):
            with reading(self._data / name) as file:
                old = known.places(file.read(columns=["scene_id"]).column(0).to_pylist())
            if lost := int(np.count_nonzero(old < 0)):
                raise DatasetError(
                    f"{self.out} has {lost} pictures in {name} whose scenes the new design does not have; "
                    "--extend only adds. Use another folder"
                )
        for row in list(self._work.glob("*.row")):
            if known.places([row.stem])[0] < 0:
                row.unlink()
            elif (table := self._read(row.stem)) is not None:
                self.put(row.stem, _packed(self.schema.fit(table)))
        for name in sorted(shards):
            with reading(self._data / name) as file:
                for batch in file.iter_batches(GROUP_ROWS):
                    for i in range(batch.num_rows):
                        table = pa.Table.from_batches([batch.slice(i, 1)])
                        self.put(table["scene_id"][0].as_py(), _packed(self.schema.fit(table)))
            del shards[name]
            self.manifest = manifest
            self.save_manifest()
            (self._data / name).unlink()
        manifest.identity = self._identity
        self.manifest = manifest
        self.save_manifest()


def _packed(table: pa.Table) -> bytes:
    """Return a table as the content of a row's file: its SHA-256, then Arrow IPC."""
    sink = pa.BufferOutputStream()
    with ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return hashlib.sha256(data).digest() + data


def _is(file: Path, entry: ShardEntry) -> bool:
    """Whether a file is the one that an entry of the manifest is about."""
    return file.exists() and file.stat().st_size == entry.bytes and sha256_file(file) == entry.sha256


def _groups(rows: Iterator[pa.Table], size: int) -> Iterator[list[pa.Table]]:
    group: list[pa.Table] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
