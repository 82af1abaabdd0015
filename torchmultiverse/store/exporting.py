"""Datasets in other forms: folders of PNG with the published CSV, and WebDataset."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torchmultiverse.errors import DatasetError
from torchmultiverse.files import atomic_file, disk_errors, write_atomic
from torchmultiverse.paths import CLIP_NAME, SCENE_ID, component, scene_name
from torchmultiverse.store.layouts import METADATA, SHEETS, Layout, derived, layout_of
from torchmultiverse.store.licence import licence_of
from torchmultiverse.store.manifest import family_of, table_of
from torchmultiverse.store.object_column import with_texts
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.splits import TRAIN, split_name

PROVENANCE = "provenance.json"
"""Beside what is exported: what it is and under which terms, for whoever imports it."""
TAR_ROWS = 1000
_INTERNAL = ("engine", "render_ms", "annotations")
_CHUNK = 1024


def export_folder(
    dataset: StoredDataset, out: str | Path, tick: Callable[[int], None] | None = None, *, overwrite: bool = False
) -> Path:
    """Write pictures, the family's published CSV, and ``metadata.csv`` with the same and ``file_name`` first.

    ``torchvision.datasets.ImageFolder`` reads the folders of classes, ``datasets.load_dataset`` the whole with its
    splits. Of several splits each has a folder of its own, with its ``metadata.csv``. Columns that the published CSV
    does not have follow after those it has. Files that are there already with the right content are left alone, so
    that an interrupted export goes on.

    Args:
        dataset: what is written; its ids and levels cannot lead out of the folder.
        out: the folder.
        tick: called with the number of rows that are done.
        overwrite: write into a folder that is not empty; pictures of an earlier export go.

    Returns:
        the published CSV file.

    Raises:
        DatasetError: a ``scene_id`` that is none, the folder is not empty and no earlier export of this dataset, or it
            cannot be written.
    """
    out = Path(out)
    family = family_of(dataset.manifest)
    layout = layout_of(family, dataset.factors)
    scalars = _exported_columns(dataset)
    missing = [c for c in (*layout.columns, "scene_id") if c not in scalars and not _made(c)]
    if missing:
        raise DatasetError(f"{dataset.path}: a {family} export needs the column '{missing[0]}', which is not there")
    more = [name for name in scalars if name not in layout.columns]
    columns = [*layout.columns, *more]
    splits = split_folders(dataset)
    negatives: dict[str | None, int] = {}
    if _NEGATIVE in layout.columns:
        negatives = {scene_id: row for row, scene_id in enumerate(_ids(dataset))}
    prepare_export(dataset, out, family, overwrite)
    with disk_errors(out), ExitStack() as open_files:
        sheet = csv_sheet(open_files, out / layout.csv, columns)
        beside_columns = [*(c for c in layout.columns if c not in _FILES), *more]
        beside = {
            split: csv_sheet(open_files, out / folder / METADATA, ["file_name", *beside_columns])
            for split, folder in splits.items()
        }
        for index, row in enumerate(_rows(dataset, scalars)):
            data, split = dataset.image_bytes(index), split_name(row.get("split"))
            name = f"{_place(layout.folder, row)}{scene_name(row['scene_id'], dataset.path)}{_extension(data)}"
            path = f"{splits[split]}{name}"
            _write_image(out / path, data)
            line = _line(layout, family, row, path)
            if (other := negatives.get(row.get("negative_scene_id"))) is not None:
                line[_NEGATIVE] = row["negative_scene_id"] + _extension(dataset.image_bytes(other))
            sheet.writerow({c: line[c] for c in columns})
            beside[split].writerow({"file_name": name} | {c: line[c] for c in beside_columns})
            if tick is not None:
                tick(index + 1)
    with disk_errors(out):
        patterns = {split: f"{folder}**" for split, folder in splits.items()}
        write_atomic(out / "README.md", export_readme(dataset, patterns).encode())
    return out / layout.csv


def _exported_columns(dataset: StoredDataset) -> list[str]:
    return [name for name in dataset.columns if name not in {*dataset.image_columns, *_INTERNAL}]


def _write_image(file: Path, data: bytes) -> None:
    """Write an image, unless it is there already."""
    if not file.is_file() or file.read_bytes() != data:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, data, sync=False)


def export_webdataset(
    dataset: StoredDataset, out: str | Path, tick: Callable[[int], None] | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write tar files in the WebDataset convention: ``KEY.png``, ``KEY.json`` (all other columns) and ``KEY.txt``.

    The caption is in the text file, where the family has one. Of several splits each has tar files of its own. The same
    dataset gives the same bytes.

    Returns:
        the tar files, of `TAR_ROWS` samples each at most.

    Raises:
        DatasetError: the folder is not empty and no earlier export of this dataset, or cannot be written.
    """
    out = Path(out)
    scalars = _exported_columns(dataset)
    splits = split_folders(dataset)
    prepare_export(dataset, out, family_of(dataset.manifest), overwrite)
    files: list[Path] = []
    done = 0
    with disk_errors(out):
        for split, folder in splits.items():
            prefix = folder.replace("/", "-")
            with ExitStack() as current:
                for place, (index, row) in enumerate(_of_split(dataset, scalars, split)):
                    if place % TAR_ROWS == 0:
                        current.close()
                        files.append(out / f"{prefix}{place // TAR_ROWS:06d}.tar")
                        whole = current.enter_context(atomic_file(files[-1]))
                        tar = current.enter_context(tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT))
                    image, key = dataset.image_bytes(index), f"{index:08d}"
                    _add(tar, key + _extension(image), image)
                    _add(tar, f"{key}.json", json.dumps(row, sort_keys=True, ensure_ascii=False).encode())
                    if row.get("caption"):
                        _add(tar, f"{key}.txt", row["caption"].encode())
                    done += 1
                    if tick is not None:
                        tick(done)
        patterns = {split: f"{folder.replace('/', '-')}*.tar" for split, folder in splits.items()}
        write_atomic(out / "README.md", export_readme(dataset, patterns).encode())
    return files


_NEGATIVE = "filename neg"
_FILES = ("filename", "filepath")


def _made(column: str) -> bool:
    try:
        derived(column, {"Level": ""})
    except KeyError:
        return column in {*_FILES, _NEGATIVE}
    return True


def split_folders(dataset: StoredDataset) -> dict[str, str]:
    """Return the folder of each split, with a slash at its end; of a single one, the root."""
    names = {TRAIN: None} if "split" not in dataset.columns else {}
    for table in dataset.tables(["split"]) if "split" in dataset.columns else ():
        names |= dict.fromkeys(map(split_name, table["split"].unique().to_pylist()))
    return {name: f"{name}/" for name in names} if len(names) > 1 else dict.fromkeys(names, "")


def _rows(dataset: StoredDataset, columns: list[str]) -> Iterator[dict[str, Any]]:
    factors = table_of(dataset.manifest)
    for table in dataset.tables(columns):
        table = with_texts(table, factors)
        for start in range(0, len(table), _CHUNK):
            yield from table.slice(start, _CHUNK).to_pylist()


def _of_split(dataset: StoredDataset, columns: list[str], split: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, row in enumerate(_rows(dataset, columns)):
        if split_name(row.get("split")) == split:
            yield index, row


def _ids(dataset: StoredDataset) -> Iterator[str]:
    for table in dataset.tables(["scene_id"]):
        yield from table["scene_id"].to_pylist()


def csv_sheet(files: ExitStack, path: Path, columns: list[str]) -> csv.DictWriter[str]:
    """Begin a CSV file that gets its name when everything is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = files.enter_context(atomic_file(path))
    text = io.TextIOWrapper(whole, "utf-8", newline="", write_through=True)
    files.callback(text.detach)
    sheet = csv.DictWriter(text, columns, lineterminator="\n")
    sheet.writeheader()
    return sheet


def _line(layout: Layout, family: str, row: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what is said of a picture, by column."""
    line = dict(row)
    for column in layout.columns:
        if column in _FILES:
            # The published names: of Animals without its folder, of all others from the root.
            line[column] = Path(name).name if family in {"Animals", "AR4T"} and column == "filename" else name
        elif column == _NEGATIVE:
            line[column] = ""
        elif column not in line:
            line[column] = derived(column, row)
    return line


def _place(folder: str, row: dict[str, Any]) -> str:
    """Return the folder of a row's picture, with a slash at its end; its levels may not lead out of it."""
    safe = {name: component(value) for name, value in row.items()}
    safe.setdefault("subset", "Worlds")
    return f"{folder.format(**safe)}/" if folder else ""


def _extension(data: bytes) -> str:
    return ".jpg" if data[:2] == b"\xff\xd8" else ".png"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)  # no clock, no owner: the same data give the same tar
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def export_readme(dataset: StoredDataset, patterns: dict[str, str]) -> str:
    """Return what says to ``datasets`` which files are which split."""
    files = "\n".join(f'  - split: {split}\n    path: "{pattern}"' for split, pattern in patterns.items())
    name = dataset.manifest.name or dataset.path.name
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}\n---\n"
        f"# {str(name).splitlines()[0] if str(name).strip() else 'Pictures'}\n\n"
        f"{len(dataset):,} pictures, exported by TorchMultiverse; {PROVENANCE} says from what and under which terms.\n"
    )


def prepare_export(dataset: StoredDataset, out: Path, family: str, overwrite: bool) -> None:
    """Make the folder and say in it what it holds."""
    manifest = dataset.manifest
    scenes = hashlib.sha256()
    if "scene_id" in dataset.columns:
        for scene_id in _ids(dataset):
            scenes.update(f"{scene_id}\n".encode())
    facts = {
        "name": manifest.name or dataset.path.name, "family": family, "license": licence_of(manifest).model_dump(),
        "rows": len(dataset), "scenes": scenes.hexdigest(),
        "shards": {name: entry.sha256 for name, entry in manifest.shards.items()},
    }  # fmt: skip
    text = json.dumps(facts, indent=1, sort_keys=True).encode()
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        there = [p.name for p in out.iterdir() if not p.name.startswith(".")]
        same = (out / PROVENANCE).is_file() and (out / PROVENANCE).read_bytes() == text
        if there and not same:
            if not overwrite:
                raise DatasetError(
                    f"{out} is not empty ({there[0]} is there) and no earlier export of this dataset; --overwrite "
                    "replaces what an earlier one left"
                )
            (out / PROVENANCE).unlink(missing_ok=True)
            _clear(out)
        write_atomic(out / PROVENANCE, text)


def _clear(out: Path) -> None:
    """Delete what an earlier export wrote, so that no picture of another dataset is read as one of this; no more."""
    emptied: set[Path] = set()
    for place, _, files in os.walk(out, topdown=False):
        folder = Path(place)
        for name in files:
            stem, _, kind = name.partition(".")
            image = SCENE_ID.fullmatch(stem) and kind in {"png", "jpg"}
            clip = CLIP_NAME.fullmatch(stem) and kind == "mp4"
            ours = folder == out and (name in SHEETS or re.fullmatch(r"(\w+-)?\d{6,}\.tar", name))
            if image or clip or ours or name == METADATA:
                (folder / name).unlink()
                emptied.add(folder)
        if folder in emptied and folder != out and not any(folder.iterdir()):
            folder.rmdir()
            emptied.add(folder.parent)
