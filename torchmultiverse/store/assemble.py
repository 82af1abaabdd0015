"""Datasets that are put together from rows that exist: imported ones, merged ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchmultiverse.errors import DatasetError
from torchmultiverse.files import (
    FolderLock,
    atomic_file,
    disk_errors,
    foreign_files,
    remove_temporary_files,
    sha256_file,
)
from torchmultiverse.store.manifest import FORMAT, FORMAT_OF_SPLITS, Manifest, ShardEntry, shard_name
from torchmultiverse.store.parquet import GROUP_ROWS, write_groups
from torchmultiverse.store.schema import huggingface
from torchmultiverse.store.splits import TRAIN, split_name
from torchmultiverse.store.writer import NEW, SHARD_ROWS


def assemble(
    out: Path,
    fields: Mapping[str, pa.DataType],
    count: int,
    row: Callable[[int], Mapping[str, Any]],
    identity: Mapping[str, Any],
    about: Mapping[str, Any],
    *,
    tick: Callable[[int], None] | None = None,
    check: Callable[[int, Mapping[str, Any]], None] | None = None,
    splits: Sequence[str | None] | None = None,
) -> Manifest:
    """Write a dataset of rows by number, shard after shard; one that was interrupted is continued.

    The manifest is there from the beginning, so that whatever is left of an interrupted run is known by it. It keeps
    a digest of the rows that each shard was made of; a shard whose rows are others by now is made again.

    Args:
        out: the folder; empty, new, or holding what an earlier run with the same identity left.
        fields: columns and their types.
        count: how many rows.
        row: returns one, given its number.
        identity: what must be equal for an earlier run to be continued; JSON values.
        about: further fields of the manifest.
        tick: called with the number of rows that are done.
        check: given the number of a row and the row, raises where it must not be written; called from several threads.
        splits: of each row; where there are several, each has files of its own.

    Returns:
        the manifest.

    Raises:
        DatasetError: the folder holds something else, or cannot be written.
    """
    names = [split_name(split) for split in splits] if splits is not None else []
    several = len(set(names)) > 1
    form = FORMAT_OF_SPLITS if several else FORMAT
    who = json.loads(json.dumps({"format": form, "shard_rows": SHARD_ROWS, **identity}))
    schema = huggingface(fields)
    with disk_errors(out):
        data = out / "data"
        out.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(out)
        try:
            manifest = Manifest.load(out)
            saved = manifest.lists_files
            if manifest.identity != who:
                if found := foreign_files(out):
                    raise DatasetError(f"{out} is not empty and holds something else ({found[0]}); name another")
                manifest = Manifest(identity=who, shards={}, failures={})
            remove_temporary_files(out, data)
            manifest.set(**about, images=count, complete=manifest.complete)
            shards = manifest.shards
            new = 0
            for number in range(-(-count // SHARD_ROWS)):
                rows = range(number * SHARD_ROWS, min((number + 1) * SHARD_ROWS, count))
                files: dict[str, list[int]] = {}
                for index in rows:
                    files.setdefault(shard_name(number, names[index] if several else TRAIN), []).append(index)
                for name, indices in files.items():
                    if _there(data / name, shards.get(name)) and _is_of(shards[name], indices, row):
                        continue
                    # The manifest is there before its first file, and names none that is being replaced.
                    if shards.pop(name, None) is not None or manifest.complete or not saved:
                        manifest.complete = False
                        manifest.save(out)
                        saved = True
                    data.mkdir(exist_ok=True)
                    shards[name] = _write(data / name, schema, indices, row, check)
                    new += 1
                    if new * NEW >= len(shards):
                        manifest.save(out)
                        new = 0
                if tick is not None:
                    tick(rows.stop)
            manifest.complete = True
            manifest.save(out)
        finally:
            lock.release()
    return manifest


def _there(file: Path, entry: ShardEntry | None) -> bool:
    return entry is not None and file.is_file() and file.stat().st_size == entry.bytes


def _is_of(entry: ShardEntry, rows: Sequence[int], row: Callable[[int], Mapping[str, Any]]) -> bool:
    """Whether a shard was made of these rows."""
    if entry.rows_sha256 is None:
        return False
    digest = hashlib.sha256()
    for index in rows:
        _feed(digest, row(index))
    return entry.rows_sha256 == digest.hexdigest()


def _write(
    file: Path,
    schema: pa.Schema,
    rows: Sequence[int],
    row: Callable[[int], Mapping[str, Any]],
    check: Callable[[int, Mapping[str, Any]], None] | None,
) -> ShardEntry:
    """Write a shard; return its entry in the manifest."""
    digest = hashlib.sha256()

    def groups(pool: ThreadPoolExecutor) -> Iterator[pa.Table]:
        for start in range(0, len(rows), GROUP_ROWS):
            indices = rows[start : start + GROUP_ROWS]
            group = [dict(row(index)) for index in indices]
            if check is not None:
                list(pool.map(check, indices, group))
            for made in group:
                _feed(digest, made)
            yield pa.Table.from_pylist(group, schema=schema)

    with atomic_file(file) as open_file, ThreadPoolExecutor() as pool:
        write_groups(open_file, schema, groups(pool))
    return ShardEntry(
        rows=len(rows), bytes=file.stat().st_size, sha256=sha256_file(file), rows_sha256=digest.hexdigest()
    )


def _feed(digest: Any, row: Mapping[str, Any]) -> None:
    digest.update(json.dumps(row, sort_keys=True, default=_plain).encode())


def _plain(value: Any) -> str:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
