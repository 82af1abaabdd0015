"""Checking a dataset: hashes, row counts, and that every picture decodes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.store.files import sha256_file, write_atomic
from torchmultiverse.store.reader import open_dataset


@dataclass
class Verification:
    """What was found; ``problems`` is empty for a sound dataset."""

    path: Path
    rows: int = 0
    problems: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.problems:
            return f"{self.path}: {self.rows} rows, every hash and every picture is right"
        return f"{self.path}:\n" + "\n".join(f"  {name}: {what}" for name, what in self.problems.items())


def verify(path: str | Path, drop_bad: bool = False) -> Verification:
    """Check every shard of a dataset.

    Args:
        path: the dataset's folder.
        drop_bad: delete the shards that are bad and their entries, so that ``render`` makes them again.

    Raises:
        DatasetError: the folder holds no dataset with a manifest.
    """
    path = Path(path)
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        shards = manifest["shards"]
    except (OSError, ValueError, KeyError):
        raise DatasetError(f"{path}: no manifest.json of a dataset") from None
    result = Verification(path)
    for name, entry in shards.items():
        file = path / "data" / name
        try:
            if sha256_file(file) != entry["sha256"]:
                result.problems[name] = "its SHA-256 is not the manifest's"
                continue
            parquet = pq.ParquetFile(file)
            for batch in parquet.iter_batches(64, columns=["image"]):
                for image in batch.column("image").to_pylist():
                    with Image.open(io.BytesIO(image["bytes"]), formats=("PNG", "JPEG")) as picture:
                        picture.load()
                    result.rows += 1
        except (OSError, pa.ArrowInvalid, SyntaxError, ValueError) as error:
            result.problems[name] = f"cannot be read: {error}"
    if drop_bad and result.problems:
        for name in result.problems:
            (path / "data" / name).unlink(missing_ok=True)
            del shards[name]
        manifest["complete"] = False
        write_atomic(path / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode())
    elif not result.problems and result.rows != len(open_dataset(path)):
        result.problems["data/"] = "holds Parquet files that the manifest does not name"
    return result
