"""Checking a dataset: hashes, row counts, that every picture decodes and that every label is its scene's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.files import FolderLock, check_folder, disk_errors, sha256_file
from torchmultiverse.images import ImageError, decode
from torchmultiverse.remote import local_copy
from torchmultiverse.scenes import FactorTable, Scene, from_stored, implied_labels
from torchmultiverse.store.manifest import Manifest, ShardEntry, family_of, table_of


@dataclass
class Verification:
    """What was found; ``problems`` is empty for a sound dataset."""

    path: Path
    rows: int = 0
    problems: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.problems:
            return f"{self.path}: {self.rows} rows, every hash, label and picture is right"
        return f"{self.path}:\n" + "\n".join(f"  {name}: {what}" for name, what in self.problems.items())


def verify(path: str | Path, drop_bad: bool = False) -> Verification:
    """Check every shard of a dataset against its manifest, every label against its scene, and decode every picture.

    Args:
        path: the dataset's folder, or an address of one; of that nothing can be dropped.
        drop_bad: delete the shards that are bad, or hold pictures that cannot be trusted, and their entries, so that
            ``render`` makes them again.

    Raises:
        DatasetError: the folder holds no dataset with a manifest, or, to drop something, another process writes it.
    """
    if drop_bad:
        check_folder(Path(path))
    path = local_copy(path)
    manifest = Manifest.load(path)
    if not manifest.lists_files or "identity" not in manifest.model_fields_set:
        raise DatasetError(f"{path}: no manifest.json of a dataset")
    shards, table = manifest.shards, table_of(manifest)
    result = Verification(path)
    untrusted = set(manifest.untrusted)
    for name, entry in shards.items():
        problem = _check(path / "data" / name, entry, table, family_of(manifest), untrusted)
        if problem is None:
            result.rows += entry.rows
        else:
            result.problems[name] = problem
    if drop_bad and result.problems:
        with disk_errors(path):
            lock = FolderLock(path)
            try:
                for name in result.problems:
                    del shards[name]
                manifest.complete = False
                manifest.untrusted = {}  # they were in shards that are dropped
                manifest.model_fields_set.discard("untrusted")
                manifest.save(path)
                for name in result.problems:
                    (path / "data" / name).unlink(missing_ok=True)
            finally:
                lock.release()
    unnamed = sorted({file.name for file in (path / "data").glob("[!.]*.parquet")} - shards.keys())
    if unnamed and not drop_bad:
        result.problems["data/"] = f"holds Parquet files that the manifest does not name: {', '.join(unnamed[:5])}"
    return result


def _check(file: Path, entry: ShardEntry, table: FactorTable, family: str, untrusted: Set[str]) -> str | None:
    """Return what is wrong with a shard."""
    doubted = 0
    try:
        if sha256_file(file) != entry.sha256:
            return "its SHA-256 is not the manifest's"
        with pq.ParquetFile(file, memory_map=True) as parquet:
            if parquet.metadata.num_rows != entry.rows:
                return f"{parquet.metadata.num_rows} rows, {entry.rows} in the manifest"
            schema = parquet.schema_arrow
            image_columns = [c.name for c in schema if pa.types.is_struct(c.type)]
            factors = [c for c in schema.names if c in table]
            for batch in parquet.iter_batches(64, columns=[*image_columns, *factors, "scene", "scene_id"]):
                for row in batch.to_pylist():
                    if "scene" in row and (
                        problem := _label_problem(row, factors, table, family)
                    ):  # photographs have none
                        return problem
                    doubted += row["scene_id"] in untrusted
                    for column in image_columns:
                        decode(row[column]["bytes"], f"{column} of scene {row['scene_id']}")
    except (OSError, pa.ArrowException, ValueError, SpecError, ImageError) as error:
        return f"cannot be read: {error}"
    return (
        f"{doubted} pictures that cannot be trusted: rendered once more, they show something else" if doubted else None
    )


def _label_problem(row: Mapping[str, Any], factors: Sequence[str], table: FactorTable, family: str) -> str | None:
    """Return in what a row's labels are not its scene's."""
    if hashlib.sha256(row["scene"].encode()).hexdigest()[:32] != row["scene_id"]:
        return f"scene_id {row['scene_id']} is not its scene's"
    scene = Scene.from_json(row["scene"], table)
    for column in factors:
        said = from_stored(table[column], row[column])
        if said != scene[column] and said != implied_labels(family, scene).get(table[column].wire):
            return f"scene {row['scene_id']}: {column} is {said}, its scene says {scene[column]}"
    return None
