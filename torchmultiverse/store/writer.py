"""Writing a dataset: atomic shards in design order, rows that wait, a manifest, and resume.

Rows may come in any order and from any number of workers. A finished row waits as one small file in ``_work/``
until all rows of its shard are there; then the shard is written under a temporary name and renamed. So at any moment
the folder holds whole shards and whole rows, and the bytes of the data columns depend on the spec and engine alone.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from torchmultiverse.engines import Frame
from torchmultiverse.errors import DatasetError
from torchmultiverse.spec import Design
from torchmultiverse.store.schema import RowSchema

FORMAT = 1
SHARD_ROWS = 1024
GROUP_ROWS = 64
"""Rows of a Parquet row group: what random access to one picture reads at most."""


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's refusals into a `DatasetError` that says what to do."""
    try:
        yield
    except OSError as error:
        hint = {
            errno.ENOSPC: "the disk is full; free some space and run the same command again",
            errno.EDQUOT: "the quota is used up; free some space and run the same command again",
            errno.EFBIG: "the file-size limit is reached; raise it and run the same command again",
            errno.EACCES: "the folder is not writable",
            errno.EROFS: "the file system is read-only",
        }.get(error.errno or 0, "what was written before is safe; run the same command again")
        raise DatasetError(f"{place}: {error.strerror or error}; {hint}") from None


def write_atomic(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class DatasetWriter:
    """Collects the rows of a design into a folder.

    Args:
        out: the folder; created, or continued where an interrupted run left it.
        design: which scenes, in which order.
        schema: the columns.
        identity: what must be equal for a run to be continued (spec, seed, size, engine, …); JSON values.
        shard_rows: rows of a shard.
        fresh: delete what the folder holds first.

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
    ) -> None:
        self.out = Path(out)
        self.design = design
        self.schema = schema
        self.shard_rows = shard_rows
        self._identity = json.loads(json.dumps({"format": FORMAT, "shard_rows": shard_rows, **identity}))
        self._work = self.out / "_work"
        self._data = self.out / "data"
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.out / ".lock", "w")  # noqa: SIM115 - as long as the writer
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise DatasetError(f"{self.out} is being written by another process") from None
            try:
                if fresh:
                    self._clear()
                self.manifest = self._continue()
                self._work.mkdir(exist_ok=True)
                self._data.mkdir(exist_ok=True)
            except BaseException:
                self._unlock()
                raise

    @property
    def shards(self) -> int:
        """Number of shards of the whole design."""
        return -(-self.design.count // self.shard_rows)

    def shard_range(self, shard: int) -> range:
        """Return the design indices of a shard."""
        return range(shard * self.shard_rows, min((shard + 1) * self.shard_rows, self.design.count))

    def complete(self, shard: int) -> bool:
        """Whether a shard is written with all its rows."""
        entry = self.manifest["shards"].get(self._shard_name(shard))
        return entry is not None and entry["rows"] == len(self.shard_range(shard))

    def missing(self, shard: int) -> list[int]:
        """Return the design indices of a shard whose rows are not there yet."""
        if self.complete(shard):
            return []
        return [i for i in self.shard_range(shard) if not self._row_path(self.design[i].scene_id).exists()]

    def add(self, frame: Frame) -> None:
        """Keep the row of a frame.

        Raises:
            DatasetError: it cannot be written.
        """
        sink = pa.BufferOutputStream()
        table = self.schema.table(self.schema.row(frame))
        with ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
        with disk_errors(self._work):
            write_atomic(self._row_path(frame.scene_id), sink.getvalue().to_pybytes(), sync=False)

    def finish_shard(self, shard: int) -> None:
        """Write a shard from the rows that wait; rows that are missing are left out and can be added later."""
        rows: list[pa.Table] = []
        paths: list[Path] = []
        for index in self.shard_range(shard):
            path = self._row_path(self.design[index].scene_id)
            if not path.exists():
                continue
            try:
                with pa.OSFile(str(path)) as source:
                    rows.append(ipc.open_file(source).read_all())
                paths.append(path)
            except (pa.ArrowInvalid, OSError):
                path.unlink()  # half a row of a crash of the machine: it is rendered again
        if not rows:
            return
        table = pa.concat_tables(rows)
        name = self._shard_name(shard)
        sink = pa.BufferOutputStream()
        compression = {column: "NONE" if column.endswith(".bytes") else "ZSTD" for column in _leaves(table.schema)}
        pq.write_table(
            table, sink, row_group_size=GROUP_ROWS, compression=compression, use_dictionary=False,
            write_statistics=False, store_schema=True,
        )  # fmt: skip
        data = sink.getvalue().to_pybytes()
        with disk_errors(self._data):
            write_atomic(self._data / name, data)
        self.manifest["shards"][name] = {
            "rows": table.num_rows,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        self.save_manifest()
        if table.num_rows == len(self.shard_range(shard)):
            for path in paths:
                path.unlink()

    def save_manifest(self) -> None:
        """Write the manifest."""
        with disk_errors(self.out):
            text = json.dumps(self.manifest, indent=1, sort_keys=True)
            write_atomic(self.out / "manifest.json", text.encode())

    def close(self) -> None:
        """Let go of the folder; may be called twice."""
        if not self._lock.closed:
            if all(self.complete(shard) for shard in range(self.shards)) and self._work.exists():
                shutil.rmtree(self._work)
            self._unlock()

    def _unlock(self) -> None:
        (self.out / ".lock").unlink(missing_ok=True)
        self._lock.close()

    def _shard_name(self, shard: int) -> str:
        return f"train-{shard:05d}.parquet"

    def _row_path(self, scene_id: str) -> Path:
        return self._work / f"{scene_id}.arrow"

    def _clear(self) -> None:
        for name in ("_work", "data"):
            shutil.rmtree(self.out / name, ignore_errors=True)
        for name in ("manifest.json", "README.md", "samples.jpg"):
            (self.out / name).unlink(missing_ok=True)

    def _continue(self) -> dict[str, Any]:
        path = self.out / "manifest.json"
        strangers = [p.name for p in self.out.iterdir() if p.name != ".lock"]
        if not path.exists():
            if strangers and set(strangers) - {"_work", "data"}:
                raise DatasetError(
                    f"{self.out} is not empty and holds no dataset ({strangers[0]}, …); name another folder"
                )
            if (self.out / "data").exists() and any((self.out / "data").iterdir()):
                raise DatasetError(f"{self.out} has shards but no manifest; use --fresh or another folder")
            return {"identity": self._identity, "shards": {}, "failures": {}, "complete": False}
        try:
            manifest: dict[str, Any] = json.loads(path.read_text())
            before = manifest["identity"]
            shards = manifest["shards"]
        except (ValueError, KeyError, TypeError):
            raise DatasetError(f"{path} is no manifest of this format; use --fresh or another folder") from None
        if before != self._identity:
            keys = sorted(k for k in {*before, *self._identity} if before.get(k) != self._identity.get(k))
            first = keys[0]
            raise DatasetError(
                f"{self.out} holds a dataset made otherwise: {', '.join(keys)} differ "
                f"({first} was {str(before.get(first))[:80]}, is {str(self._identity.get(first))[:80]}). "
                "Use --fresh to delete it, or another folder"
            )
        for name, entry in shards.items():
            shard = self.out / "data" / name
            if not shard.exists() or shard.stat().st_size != entry["bytes"] or sha256_file(shard) != entry["sha256"]:
                state = "missing" if not shard.exists() else "corrupt"
                raise DatasetError(
                    f"the shard {shard} is {state}. Delete it and its entry with: "
                    f"torchmultiverse verify {self.out} --drop-bad, then run the same command again"
                )
        manifest["failures"] = {}
        return manifest


def _leaves(schema: pa.Schema) -> list[str]:
    names: list[str] = []
    for column in schema:
        if pa.types.is_struct(column.type):
            names += [f"{column.name}.{child.name}" for child in column.type]
        else:
            names.append(column.name)
    return names
