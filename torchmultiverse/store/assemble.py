"""Datasets that are put together from rows that exist: imported ones, merged ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchmultiverse.errors import DatasetError
from torchmultiverse.store.files import FolderLock, atomic_file, disk_errors, sha256_file, write_atomic
from torchmultiverse.store.manifest import manifest_bytes, read_manifest, shard_name
from torchmultiverse.store.parquet import GROUP_ROWS, write_groups
from torchmultiverse.store.schema import huggingface
from torchmultiverse.store.splits import TRAIN, split_name
from torchmultiverse.store.writer import FORMAT, FORMAT_OF_SPLITS, NEW, SHARD_ROWS


def assemble(
    out: Path,
    fields: Mapping[str, pa.DataType],
    count: int,
    row: Callable[[int], Mapping[str, Any]],
    identity: Mapping[str, Any],
    about: Mapping[str, Any],
    tick: Callable[[int], None] | None = None,
    splits: Sequence[str | None] | None = None,
) -> dict[str, Any]:
    """Write a dataset of rows by number, shard after shard; one that was interrupted is continued.

    Args:
        out: the folder; empty, new, or holding what an interrupted run with the same identity left.
        fields: columns and their types.
        count: how many rows.
        row: returns one, given its number; called once, and not for rows of files that are there.
        identity: what must be equal for an interrupted run to be continued; JSON values.
        about: what else the manifest says.
        tick: called with the number of rows that are done.
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
            manifest = read_manifest(out)
            strangers = [p.name for p in out.iterdir() if not p.name.startswith(".")]
            if manifest.get("identity") != who:
                if strangers:
                    raise DatasetError(f"{out} is not empty and holds something else ({strangers[0]}); name another")
                manifest = {"identity": who, "shards": {}, "failures": {}, "complete": False}
            manifest |= {**about, "pictures": count}
            data.mkdir(exist_ok=True)
            for left in data.glob(".*.tmp"):
                left.unlink()
            new = 0
            for shard in range(-(-count // SHARD_ROWS)):
                rows = range(shard * SHARD_ROWS, min((shard + 1) * SHARD_ROWS, count))
                files: dict[str, list[int]] = {}
                for index in rows:
                    files.setdefault(shard_name(shard, names[index] if several else TRAIN), []).append(index)
                for name, indices in files.items():
                    if name in manifest["shards"]:
                        continue
                    with atomic_file(data / name) as file:
                        write_groups(file, schema, _groups(indices, row, schema))
                    size = (data / name).stat().st_size
                    entry = {"rows": len(indices), "bytes": size, "sha256": sha256_file(data / name)}
                    manifest["shards"][name] = entry
                    new += 1
                    if new * NEW >= len(manifest["shards"]):
                        _save(out, manifest)
                        new = 0
                if tick is not None:
                    tick(rows.stop)
            manifest["complete"] = True
            _save(out, manifest)
        finally:
            lock.release()
    return manifest


def _groups(rows: Sequence[int], row: Callable[[int], Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    for start in range(0, len(rows), GROUP_ROWS):
        yield pa.Table.from_pylist([dict(row(i)) for i in rows[start : start + GROUP_ROWS]], schema=schema)


def _save(out: Path, manifest: Mapping[str, Any]) -> None:
    write_atomic(out / "manifest.json", manifest_bytes(manifest))
