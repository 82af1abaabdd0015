"""One dataset made in n parts, on machines that know nothing of each other, and put together afterwards.

A part is a folder of its own with every n-th shard, in the format of a whole dataset. Shards hold the same rows
whoever writes them, so joining moves files and changes none.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torchmultiverse.errors import DatasetError
from torchmultiverse.store.files import FolderLock, disk_errors, sha256_file, write_atomic
from torchmultiverse.store.finish import finish
from torchmultiverse.store.manifest import check_shards, manifest_bytes

PARTS = "_parts"
_NAME = re.compile(r"(\d+)-of-(\d+)")


def part_folder(out: Path, part: tuple[int, int]) -> Path:
    """Return the folder of a part."""
    return out / PARTS / f"{part[0]}-of-{part[1]}"


def parse_part(text: str) -> tuple[int, int]:
    """Return (i, n) of ``"i/n"``, i from 0 to n - 1.

    Raises:
        DatasetError: it is no such text.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part = (int(found[1]), int(found[2])) if found else (1, 0)
    if not part[0] < part[1]:
        raise DatasetError(f"part '{text}': write i/n with i from 0 to n - 1, such as 0/8")
    return part


def join(out: str | Path) -> int:
    """Put the parts of a dataset together; return its number of pictures. May be repeated after a crash.

    Raises:
        DatasetError: parts are missing, unfinished, corrupt, or of different datasets.
    """
    out = Path(out)
    folders = sorted((out / PARTS).glob("*-of-*")) if (out / PARTS).is_dir() else []
    found = {(int(m[1]), int(m[2])): folder for folder in folders if (m := _NAME.fullmatch(folder.name))}
    if not found:
        raise DatasetError(f"{out / PARTS} holds no parts; make them with: torchmultiverse render … --part 0/8")
    numbers = {n for _, n in found}
    if len(numbers) > 1:
        raise DatasetError(f"{out / PARTS} holds parts of {sorted(numbers)}; one dataset has one number of parts")
    (n,) = numbers
    lacking = [f"{i}/{n}" for i in range(n) if (i, n) not in found]
    if lacking:
        raise DatasetError(f"{out}: parts are missing: {', '.join(lacking)}")
    with ExitStack() as locks:
        for folder in [out, *found.values()]:
            locks.callback(FolderLock(folder).release)
        manifests = {part: _manifest(folder) for part, folder in found.items()}
        whole = _together(manifests)
        with disk_errors(out):
            (out / "data").mkdir(exist_ok=True)
            for part, manifest in manifests.items():
                for name, entry in manifest["shards"].items():
                    _move(found[part] / "data" / name, out / "data" / name, entry)
            write_atomic(out / "manifest.json", manifest_bytes(whole))
    finish(out)
    with disk_errors(out):
        shutil.rmtree(out / PARTS)
    return sum(entry["rows"] for entry in whole["shards"].values())


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: no manifest of a part: {error}") from None
    check_shards(manifest, path)
    if not manifest.get("complete") and not manifest.get("failures"):
        raise DatasetError(f"{folder} is not finished; run its part again: the same command continues")
    return manifest


def _together(manifests: Mapping[tuple[int, int], dict[str, Any]]) -> dict[str, Any]:
    parts = sorted(manifests)
    first = manifests[parts[0]]
    whole = {**first, "shards": {}, "failures": {}, "checked": {}}
    for part in parts:
        manifest = manifests[part]
        if manifest["identity"] != first["identity"]:
            keys = [k for k in first["identity"] if manifest["identity"].get(k) != first["identity"][k]]
            raise DatasetError(f"the parts {parts[0][0]} and {part[0]} were made otherwise: {', '.join(keys)} differ")
        whole["shards"] |= manifest["shards"]
        whole["failures"] |= manifest["failures"]
        whole["checked"] |= manifest["checked"]
    whole["complete"] = all(manifests[part]["complete"] for part in parts)
    return whole


def _move(source: Path, target: Path, entry: Mapping[str, Any]) -> None:
    """Move a shard, unless an earlier try did; check that it is what its manifest says."""
    file = source if source.exists() else target
    if not file.exists() or file.stat().st_size != entry["bytes"] or sha256_file(file) != entry["sha256"]:
        state = "corrupt" if file.exists() else "missing"
        raise DatasetError(f"the shard {source} is {state}; drop it with: torchmultiverse verify {source.parents[1]} "
                           "--drop-bad, then run its part again")  # fmt: skip
    if file is source:
        source.replace(target)
