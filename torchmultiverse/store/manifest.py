"""What ``manifest.json`` says of a dataset, whether it was rendered, imported or merged."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import FACTORS, FAMILY_COLUMNS, FactorTable, Spec

SHARD_NAME = re.compile(r"\w{1,80}-\d{5,}\.parquet", re.ASCII)
"""Of a file in ``data/``; a manifest that names another is none of ours."""


def shard_name(number: int, split: str = "train") -> str:
    """Return the name of a file in ``data/``."""
    return f"{split}-{number:05d}.parquet"


def shard_number(name: str) -> int:
    """Return the number in a file's name."""
    return int(name.removesuffix(".parquet").rpartition("-")[2])


ANNOUNCED = "*.shard"
"""Files in ``_work/`` that say of a shard's files what the manifest will say of them: it is not written every time."""


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a dataset's folder, or an empty object where there is none.

    Of a dataset that is being rendered, or was interrupted, the files that were written since are in it as well.

    Raises:
        DatasetError: it is no JSON object, or names files that no dataset has.
    """
    file = path / "manifest.json"
    if not file.is_file():
        return {}
    try:
        manifest = json.loads(file.read_text())
    except ValueError as error:
        raise DatasetError(f"{file}: no JSON: {error}") from None
    if not isinstance(manifest, dict):
        raise DatasetError(f"{file}: no JSON object")
    if isinstance(manifest.get("shards"), dict):
        for announced in sorted((path / "_work").glob(ANNOUNCED)):
            with suppress(OSError):  # it is in the manifest by now
                for name, entry in read_announced(announced).items():
                    if (path / "data" / name).stat().st_size == entry.get("bytes"):
                        manifest["shards"][name] = entry
    check_shards(manifest, file)
    return manifest


def engine_difference(before: object, now: object) -> str:
    """Return how the engines of two fingerprints differ, with their picture revisions where these do.

    A fingerprint holds its engine's picture revision as ``-r2-``; one without any is of the first revision.
    """
    text = f"engine was {json.dumps(before)}, is {json.dumps(now)}"
    old, new = (re.search(r"-r(\d+)-", str(fingerprint)) for fingerprint in (before, now))
    revisions = [int(found[1]) if found else 1 for found in (old, new)]
    if revisions[0] == revisions[1]:
        return text
    return (
        f"its pictures are of revision {revisions[0]}, this engine's are of revision {revisions[1]}, which draws some "
        f"scenes otherwise ({text})"
    )


def read_announced(file: Path) -> dict[str, dict[str, Any]]:
    """Return what an announcement says: rows, bytes and SHA-256 of each of a shard's files.

    Raises:
        OSError: it cannot be read.
        DatasetError: it names files that no dataset has.
    """
    try:
        said: dict[str, dict[str, Any]] = json.loads(file.read_text())["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file}: no JSON object of files: {error}") from None
    check_shards({"shards": said}, file)
    return said


def check_shards(manifest: Mapping[str, Any], file: Path) -> None:
    """Check that a manifest names no files but those that a dataset has: the names become paths.

    Raises:
        DatasetError: it does.
    """
    shards = manifest.get("shards", {})
    if not isinstance(shards, Mapping):
        raise DatasetError(f"{file}: 'shards' is no object of files")
    for name, entry in shards.items():
        if not SHARD_NAME.fullmatch(name):
            raise DatasetError(f"{file} names files that no dataset has, such as {name!r:.80}")
        if not isinstance(entry, Mapping) or not {"rows", "sha256"} <= entry.keys():
            raise DatasetError(f"{file}: of {name} rows and sha256 are not said")


_SORTED = ("shards", "failures", "checked")


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """Return the content of ``manifest.json``.

    What comes in no particular order is sorted. The spec is not: the order of a design's factors is that of its scenes.
    """
    said = {key: manifest[key] for key in sorted(manifest)}
    said |= {key: dict(sorted(said[key].items())) for key in _SORTED if key in said}
    return (json.dumps(said, indent=1) + "\n").encode()


def spec_of(manifest: Mapping[str, Any]) -> Spec | None:
    """Return the spec that a dataset was rendered from; ``None`` for one that was not, or not by this version."""
    identity = manifest.get("identity")
    try:
        return Spec.model_validate(identity["spec"]) if identity and "spec" in identity else None
    except (ValidationError, TypeError):
        return None


def family_of(manifest: Mapping[str, Any]) -> str:
    """Return the family of a dataset, ``Custom`` where it says nothing."""
    spec = spec_of(manifest)
    if spec is not None:
        return spec.family
    return str((manifest.get("identity") or {}).get("family", "Custom"))


def table_of(manifest: Mapping[str, Any]) -> FactorTable:
    """Return the factors of a dataset, with the column names of its family."""
    spec = spec_of(manifest)
    return FACTORS.renamed(FAMILY_COLUMNS.get(family_of(manifest), {})) if spec is None else spec.table
