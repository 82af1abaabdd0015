"""Datasets in other forms: folders of PNG with the published CSV, and WebDataset."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchmultiverse.errors import DatasetError
from torchmultiverse.store.files import atomic_file, disk_errors, write_atomic
from torchmultiverse.store.layouts import derived, layout_of
from torchmultiverse.store.licence import licence_of
from torchmultiverse.store.manifest import family_of
from torchmultiverse.store.reader import StoredDataset

PROVENANCE = "provenance.json"
"""Beside what is exported: what it is and under which terms, for whoever imports it."""
TAR_ROWS = 1000


def export_folder(
    dataset: StoredDataset, out: str | Path, tick: Callable[[int], None] | None = None, *, overwrite: bool = False
) -> Path:
    """Write pictures and the family's published CSV; `torchvision.datasets.ImageFolder` reads the folders of classes.

    Columns that the published CSV does not have follow after those it has. Files that are there already with the
    right size are left alone, so that an interrupted export goes on.

    Returns:
        the CSV file.

    Raises:
        DatasetError: the folder is not empty and no earlier export of this dataset, or cannot be written.
    """
    out = Path(out)
    family = family_of(dataset.manifest)
    layout = layout_of(family, dataset.factors)
    _prepare(dataset, out, family, overwrite)
    scalars = [name for name in dataset.columns if name not in dataset.image_columns]
    missing = [c for c in layout.columns if c not in scalars and not _made(c)]
    if missing:
        raise DatasetError(f"{dataset.path}: a {family} export needs the column '{missing[0]}', which is not there")
    more = [name for name in scalars if name not in layout.columns and name not in _INTERNAL]
    table = dataset.table(scalars).to_pylist()
    names = [_place(layout.folder, row) for row in table]
    by_id = {row["scene_id"]: name for row, name in zip(table, names, strict=True) if "scene_id" in row}
    text = io.StringIO()
    sheet = csv.DictWriter(text, [*layout.columns, *more], lineterminator="\n")
    sheet.writeheader()
    with disk_errors(out):
        for index, (row, name) in enumerate(zip(table, names, strict=True)):
            data, file = dataset.image_bytes(index), out / name
            name = name.removesuffix(".png") + _extension(data)
            file = out / name
            if not file.exists() or file.stat().st_size != len(data):
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(file, data, sync=False)
            line: dict[str, Any] = {c: row[c] for c in [*layout.columns, *more] if c in row}
            for column in layout.columns:
                if column in {"filename", "filepath"}:
                    # The published names: of Animals without its folder, of all others from the root.
                    line[column] = Path(name).name if family in {"Animals", "AR4T"} and column == "filename" else name
                elif column == "filename neg":
                    other = by_id.get(row.get("negative_scene_id"))
                    line[column] = Path(other).name.removesuffix(".png") + _extension(data) if other else ""
                elif column not in line:
                    line[column] = derived(column, row)
            sheet.writerow(line)
            if tick is not None:
                tick(index + 1)
        write_atomic(out / layout.csv, text.getvalue().encode())
    return out / layout.csv


def export_webdataset(
    dataset: StoredDataset, out: str | Path, tick: Callable[[int], None] | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write tar files in the WebDataset convention: ``KEY.png``, ``KEY.json`` (all other columns) and ``KEY.txt``.

    The caption is in the text file, where the family has one. The same dataset gives the same bytes.

    Returns:
        the tar files, of `TAR_ROWS` samples each.

    Raises:
        DatasetError: the folder is not empty and no earlier export of this dataset, or cannot be written.
    """
    out = Path(out)
    _prepare(dataset, out, family_of(dataset.manifest), overwrite)
    scalars = [name for name in dataset.columns if name not in dataset.image_columns and name not in _INTERNAL]
    table = dataset.table(scalars).to_pylist()
    files = []
    with disk_errors(out):
        for start in range(0, len(table), TAR_ROWS):
            file = out / f"{start // TAR_ROWS:06d}.tar"
            with (
                atomic_file(file) as whole,
                tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as tar,
            ):
                for index in range(start, min(start + TAR_ROWS, len(table))):
                    row, picture = table[index], dataset.image_bytes(index)
                    key = f"{index:08d}"
                    _add(tar, key + _extension(picture), picture)
                    _add(tar, f"{key}.json", json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
                    if row.get("caption"):
                        _add(tar, f"{key}.txt", row["caption"].encode())
                    if tick is not None:
                        tick(index + 1)
            files.append(file)
    return files


_INTERNAL = ("engine", "render_ms", "annotations")


def _made(column: str) -> bool:
    try:
        derived(column, {"Level": ""})
    except KeyError:
        return column in {"filename", "filepath", "filename neg"}
    return True


def _place(folder: str, row: dict[str, Any]) -> str:
    """Return the path of a row's picture below the folder; its levels may not lead out of it."""
    safe = {name: str(value).replace("/", "_").replace("\\", "_").lstrip(".") or "_" for name, value in row.items()}
    safe.setdefault("subset", "Worlds")
    name = f"{row['scene_id']}.png"
    return f"{folder.format(**safe)}/{name}" if folder else name


def _extension(data: bytes) -> str:
    return ".jpg" if data[:2] == b"\xff\xd8" else ".png"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # no clock, no owner: the same data give the same tar
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _prepare(dataset: StoredDataset, out: Path, family: str, overwrite: bool) -> None:
    """Make the folder and say in it what it holds."""
    manifest = dataset.manifest
    said = {
        "name": manifest.get("name", dataset.path.name), "family": family, "license": licence_of(manifest),
        "rows": len(dataset), "shards": {name: e["sha256"] for name, e in manifest.get("shards", {}).items()},
    }  # fmt: skip
    text = json.dumps(said, indent=1, sort_keys=True).encode()
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        there = [p.name for p in out.iterdir() if not p.name.startswith(".")]
        same = (out / PROVENANCE).is_file() and (out / PROVENANCE).read_bytes() == text
        if there and not same and not overwrite:
            raise DatasetError(f"{out} is not empty ({there[0]} is there) and no earlier export of this dataset")
        write_atomic(out / PROVENANCE, text)
