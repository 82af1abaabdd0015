"""What the folder of a dataset may hold, and when a run may write there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from torchmultiverse.errors import DatasetError
from torchmultiverse.json_text import read_json
from torchmultiverse.store.manifest import SHARD_NAME, engine_difference

FOLDERS = {"_work", "data", "_parts", "_slurm", "videos"}
FILES = {"manifest.json", "README.md", "samples.jpg", "failed.jpg", "quality.json", "leakage.json", "status.json",
         "croissant.json"}  # fmt: skip
_OURS = FOLDERS | FILES
_GROWS = re.compile(r"(format|spec\.(design|splits|description|declare|about)|where|limit|shard_rows)\b")
"""What may differ in a dataset that is extended: which scenes there are, and what is said of them."""


def is_dataset(out: Path) -> bool:
    """Whether a folder is empty or holds a dataset that was written here, whole or broken."""
    foreign = {p.name for p in out.iterdir() if not p.name.startswith(".")} - _OURS
    if not all(SHARD_NAME.fullmatch(p.name) for p in (out / "data").glob("[!.]*")):
        return False
    if not (out / "manifest.json").exists():
        return not foreign and not (out / "README.md").exists()
    try:
        manifest = read_json((out / "manifest.json").read_text())
    except ValueError:
        return not foreign
    return isinstance(manifest, dict) and {"identity", "shards"} <= manifest.keys()


def clear(out: Path) -> None:
    """Delete the dataset that a folder holds, and nothing else.

    Raises:
        DatasetError: it holds something that is no dataset.
    """
    if not is_dataset(out):
        raise DatasetError(f"{out} holds something that is no dataset, so it is not deleted; name another")
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    for name in FOLDERS - {"data"}:
        if (out / name).exists():
            shutil.rmtree(out / name)
    for file in (out / "data").glob("*.parquet"):
        if SHARD_NAME.fullmatch(file.name):
            file.unlink()


def check_vacant(out: Path, moved: Set[str] = frozenset()) -> None:
    """Check that a folder without a manifest holds nothing that a new dataset would lie among.

    Args:
        out: the folder.
        moved: names of shards that belong there already.

    Raises:
        DatasetError: names what is there.
    """
    for folder, ours in ((out, FOLDERS | {"status.json"}), (out / "data", moved), (out / "_work", set())):
        names = {p.name for p in folder.iterdir() if not p.name.startswith(".")} if folder.exists() else set()
        if names - ours:
            raise DatasetError(
                f"{out} is not empty and holds no dataset: {folder / min(names - ours)} is there, "
                "manifest.json is not. Name another folder"
                + (", or use --fresh to delete what is left of one" if is_dataset(out) else "")
            )


def check_same(
    out: Path,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    extend: bool = False,
    remedy: str = "Use --fresh to delete it, or another folder",
) -> bool:
    """Check that a folder's dataset is the one that is to be made.

    Args:
        out: the folder, to name it.
        before: identity of the dataset that it holds.
        now: identity of the one that is to be made; JSON values.
        extend: the design may have grown.
        remedy: what to do about another one.

    Returns:
        whether it has.

    Raises:
        DatasetError: it is another one; says what differs.
    """
    differences = list(_differences(before, now))
    grown = all(_GROWS.match(text) for text in differences)
    if differences and not (extend and grown):
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        if grown:
            remedy = f"Use --extend to keep its pictures and render what is new. {remedy}"
        raise DatasetError(f"{out} holds a dataset made otherwise: {'; '.join(differences[:3])}{more}. {remedy}")
    return bool(differences)


def _differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        if place.startswith("spec.design") and set(before) == set(now) and list(before) != list(now):
            # The order of factors is the order of scenes.
            yield f"{place} was in the order {', '.join(before)}, is in the order {', '.join(now)}"
        for key in sorted({*before, *now}):
            yield from _differences(before.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif before != now and place == "engine":
        yield engine_difference(before, now)
    elif before != now:
        yield f"{place} was {json.dumps(before)[:80]}, is {json.dumps(now)[:80]}"
