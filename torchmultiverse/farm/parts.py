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
from torchmultiverse.files import FolderLock, disk_errors, sha256_file
from torchmultiverse.store import Manifest, ShardEntry, check_same, check_vacant, clear, finish

PARTS = "_parts"
_NAME = re.compile(r"(\d+)-of-(\d+)")
_REMEDY = "Move that dataset away or delete it, or use another folder"


def part_folder(out: Path, part: tuple[int, int]) -> Path:
    """Return the folder of a part."""
    return out / PARTS / f"{part[0]}-of-{part[1]}"


def part_folders(out: Path) -> dict[tuple[int, int], Path]:
    """Return the folders of the parts that are there, by (i, n), in the order of their numbers."""
    found = {
        (int(match[1]), int(match[2])): folder
        for folder in (out / PARTS).glob("*-of-*")
        if (match := _NAME.fullmatch(folder.name))
    }
    return dict(sorted(found.items(), key=lambda entry: (entry[0][1], entry[0][0])))


def parse_part(text: str) -> tuple[int, int]:
    """Return (i, n) of ``"i/n"``, i from 0 to n - 1.

    Raises:
        DatasetError: it is no such text.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    part = (int(found[1]), int(found[2])) if found else (1, 0)
    if not part[0] < part[1]:
        raise DatasetError(f"part '{text}': write i/n with i from 0 to n - 1, such as 0/8")
    return part


def check_target(out: Path, identity: Mapping[str, Any], parts: int, fresh: bool = False) -> bool:
    """Check, before a part is begun, that joining it will be possible.

    Args:
        out: folder of the dataset.
        identity: of the dataset; what is known of it already, JSON values.
        parts: how many there will be.
        fresh: whether the parts that are there are started over, whatever they are of.

    Returns:
        whether the dataset is there and whole, so that nothing is left to do.

    Raises:
        DatasetError: the folder holds another dataset, or parts of one, or parts of another number.
    """
    identity = json.loads(json.dumps(identity))
    if others := sorted({n for _, n in part_folders(out)} - {parts}):
        raise DatasetError(f"{out / PARTS} holds parts of {others[0]}, not of {parts}; join or delete those first")
    for folder in part_folders(out).values():
        if not fresh and (manifest := Manifest.load(folder)).known:
            _same(folder, manifest, identity)
    if not (manifest := Manifest.load(out)).known:
        if out.is_dir():
            check_vacant(out)
        return False
    _same(out, manifest, identity)
    return manifest.complete


def start_over(out: Path) -> None:
    """Delete what a folder holds of a dataset, its parts too.

    Raises:
        DatasetError: it holds something else, or a part is being written.
    """
    if not out.exists():
        return
    with disk_errors(out), ExitStack() as locks:
        for folder in [out, *part_folders(out).values()]:
            locks.callback(FolderLock(folder).release)
        clear(out)


def join(out: str | Path) -> int:
    """Put the parts of a dataset together; return its number of pictures. May be repeated after a crash.

    Raises:
        DatasetError: parts are missing, unfinished, corrupt, or of different datasets, or the folder holds another
            dataset.
    """
    out = Path(out)
    found = part_folders(out)
    if not found:
        raise DatasetError(f"{out / PARTS} holds no parts; make them with: torchmultiverse render … --part 0/8")
    numbers = {n for _, n in found}
    if len(numbers) > 1:
        raise DatasetError(f"{out / PARTS} holds parts of {sorted(numbers)}; one dataset has one number of parts")
    (n,) = numbers
    lacking = [f"{i}/{n}" for i in range(n) if (i, n) not in found]
    if lacking:
        shown = ", ".join(lacking[:8]) + (" …" if len(lacking) > 8 else "")
        raise DatasetError(f"{out}: {len(lacking)} of {n} parts are missing: {shown}")
    with ExitStack() as locks:
        for folder in [out, *found.values()]:
            locks.callback(FolderLock(folder).release)
        manifests = {part: _manifest(folder) for part, folder in found.items()}
        whole = _together(manifests)
        there = Manifest.load(out)
        if there.known:
            _same(out, there, whole.identity)
        else:
            check_vacant(out, moved=set(whole.shards))
        # One that is whole stays as it is: it was there before, or an earlier try ended after its last shard.
        if there.complete:
            whole = there
        else:
            _check_rows(out, there, whole)
            with disk_errors(out):
                (out / "data").mkdir(exist_ok=True)
                for part, manifest in manifests.items():
                    for name, entry in manifest.shards.items():
                        _move(found[part] / "data" / name, out / "data" / name, entry)
                whole.save(out)
    finish(out)
    with disk_errors(out):
        shutil.rmtree(out / PARTS)
        # What an unfinished run in the folder itself left behind; how things stand now is in the manifest.
        (out / "status.json").unlink(missing_ok=True)
        if whole.complete:
            shutil.rmtree(out / "_work", ignore_errors=True)
    return whole.rows


def _same(folder: Path, manifest: Manifest, identity: Mapping[str, Any]) -> None:
    """Check what is known of an identity against a manifest's."""
    before = manifest.identity
    if not before:
        raise DatasetError(f"{folder / 'manifest.json'} is no manifest of this format. {_REMEDY}")
    check_same(folder, {key: before.get(key) for key in identity}, identity, remedy=_REMEDY)


def _check_rows(out: Path, there: Manifest, whole: Manifest) -> None:
    """Check that no picture that is there already would be lost."""
    of_parts = whole.shards
    for name, entry in there.shards.items():
        if name not in of_parts or entry.rows > of_parts[name].rows:
            raise DatasetError(f"{out} has {entry.rows} pictures in {name}, its part has fewer; run the part again")


def _manifest(folder: Path) -> Manifest:
    manifest = Manifest.load(folder)
    if not {"identity", "shards", "failures", "checked", "complete"} <= manifest.model_fields_set:
        raise DatasetError(f"{folder} is not finished or no part; run its part again: the same command continues")
    if manifest.untrusted:
        raise DatasetError(
            f"{folder} holds {len(manifest.untrusted)} pictures that cannot be trusted; drop their shards with: "
            f"torchmultiverse data verify {folder} --drop-bad, then run its part again"
        )
    if not manifest.complete and not manifest.failures:
        raise DatasetError(f"{folder} is not finished; run its part again: the same command continues")
    return manifest


def _together(manifests: Mapping[tuple[int, int], Manifest]) -> Manifest:
    parts = sorted(manifests)
    first = manifests[parts[0]]
    identity = first.identity
    shards: dict[str, ShardEntry] = {}
    whole = first.model_copy(update={"shards": shards, "failures": {}, "checked": {}})
    for part in parts:
        manifest = manifests[part]
        if manifest.identity != identity:
            keys = [k for k in identity if manifest.identity.get(k) != identity[k]]
            raise DatasetError(f"the parts {parts[0][0]} and {part[0]} were made otherwise: {', '.join(keys)} differ")
        shards |= manifest.shards
        whole.failures |= manifest.failures
        whole.checked |= manifest.checked
    whole.complete = all(manifests[part].complete for part in parts)
    return whole


def _move(source: Path, target: Path, entry: ShardEntry) -> None:
    """Move a shard, unless an earlier try did; check that it is what its manifest says."""
    file = source if source.exists() else target
    if not file.exists() or file.stat().st_size != entry.bytes or sha256_file(file) != entry.sha256:
        state = "corrupt" if file.exists() else "missing"
        raise DatasetError(
            f"the shard {source} is {state}; drop it with: torchmultiverse data verify {source.parents[1]} --drop-bad, "
            f"then run its part again"
        )
    if file is source:
        source.replace(target)
