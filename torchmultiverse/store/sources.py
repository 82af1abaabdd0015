"""What an import reads: rows and pictures of a folder with a CSV, or of Parquet files, with what the container says.

A container says more than its cells: names of classes that are stored as numbers, splits in the names of files, where
a picture lies. What it says twice or otherwise than meant is an error that names the file, never a guess.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from torchmultiverse.errors import DatasetError
from torchmultiverse.images import SUFFIXES
from torchmultiverse.store.layouts import METADATA
from torchmultiverse.store.parquet import read_whole, reading
from torchmultiverse.store.reader import open_dataset

MAX_IMAGE_BYTES = 1 << 29
_FILE_COLUMNS = ("filepath", "filename", "file_name")
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Words in names that tell a split, as Hugging Face ``datasets`` has them."""
_SHARDED = re.compile(r"(\w+)-\d{5,}-of-\d{5,}", re.ASCII)


@dataclass
class Source:
    """Rows as they come.

    Attributes:
        rows: what they say, column to value.
        place: where a row is, for errors.
        image: the bytes of a row's image; raises DatasetError.
        file: where a row's image is, for errors.
        paths: what each image is called, unique or not.
        splits: what the names of files and folders say of each row.
        identity: what it is, JSON values; images apart.
    """

    rows: list[dict[str, Any]]
    place: Callable[[int], str]
    image: Callable[[int], bytes]
    file: Callable[[int], str]
    paths: list[str]
    splits: list[str | None]
    identity: dict[str, Any]


def read_source(source: Path) -> Source:
    """Return the rows of a folder with one CSV, of a CSV file, or of a folder of Parquet files.

    Raises:
        DatasetError: no such source, or one that cannot be read as it is meant; names the file and the line.
    """
    if source.is_dir():
        # A hidden file, such as what macOS leaves beside each, is none of the source's.
        every = sorted(source.glob("[!.]*.csv"))
        # What we export has the same once more for Hugging Face.
        sheets = [sheet for sheet in every if sheet.name != METADATA] or every
        if len(sheets) == 1:
            return _read_csv(sheets[0])
        if not sheets and (any(source.glob("[!.]*.parquet")) or any((source / "data").glob("[!.]*.parquet"))):
            return _read_parquet(source)
        what = f"several CSV files ({', '.join(s.name for s in sheets[:3])}): name one" if sheets else "no CSV file"
        raise DatasetError(f"{source}: {what}, or a folder of Parquet files")
    if source.suffix == ".csv" and source.is_file():
        return _read_csv(source)
    raise DatasetError(f"{source}: no such folder or CSV file")


def split_of(name: str) -> str | None:
    """Return the split that a file's path tells, as Hugging Face ``datasets`` reads it; ``None`` if it tells none.

    In ``data/unseen-00000-of-00002.parquet`` it is what stands before the numbers, otherwise a word for a split in
    the file's name, then one in a folder's.
    """
    path = PurePosixPath(name)
    if path.parent.name == "data" and (sharded := _SHARDED.fullmatch(path.stem)):
        return _known(sharded[1]) or sharded[1]
    for part in (path.stem, *reversed(path.parent.parts)):
        words = re.split(r"[-._ 0-9]+", part)
        if found := next((known for word in words if (known := _known(word))), None):
            return found
    return None


def _known(word: str) -> str | None:
    return next((split for split, words in _SPLITS.items() if word.lower() in words), None)


def _read_csv(sheet: Path) -> Source:
    rows, lines = _cells(sheet)
    column = next((c for c in _FILE_COLUMNS if c in rows[0]), None)
    if column is None:
        raise DatasetError(f"{sheet}: no column filepath or filename, only {', '.join(rows[0])}")
    root = sheet.parent.resolve()

    def place(index: int) -> str:
        return f"{sheet}:{lines[index]}"

    files = find_images(root, [row[column] for row in rows], rows, place)
    whole = split_of(sheet.name)
    # The first folder only: further ones are classes and levels, and some of these are words as well.
    folders = [PurePosixPath(file).parts[:-1][:1] for file in files]
    return Source(
        rows,
        place,
        lambda index: image_file(root / files[index], sheet.parent / files[index]),
        lambda index: str(sheet.parent / files[index]),
        [_composed(file) for file in files],
        [(_known(folder[0]) if folder else None) or whole for folder in folders],
        {"csv": sheet.name, "sha256": hashlib.sha256(sheet.read_bytes()).hexdigest(), "rows": len(rows)},
    )


def _cells(sheet: Path) -> tuple[list[dict[str, str]], list[int]]:
    """Return the rows of a CSV file, and the line that each ends in."""
    rows: list[dict[str, str]] = []
    lines: list[int] = []
    try:
        with open(sheet, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            twice = next((name for name in header if name and header.count(name) > 1), None)
            if twice is not None:
                raise DatasetError(f"{sheet}: the column '{twice}' stands twice in the first line; rename one of them")
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise DatasetError(
                        f"{sheet}:{reader.line_num}: {len(cells)} values, there are {len(header)} columns"
                    )
                # A column without a name holds the numbers of rows that a data frame is written with.
                rows.append({name: value for name, value in zip(header, cells, strict=True) if name})
                lines.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{sheet}: cannot be read: {error}") from None
    if not rows:
        raise DatasetError(f"{sheet}: no rows")
    return rows, lines


def _composed(name: str) -> str:
    """Return a name in composed characters: macOS writes names of files in decomposed ones, and nothing else does."""
    return unicodedata.normalize("NFC", name)


def find_images(
    root: Path, names: Sequence[str], rows: Sequence[Mapping[str, str]], place: Callable[[int], str]
) -> list[str]:
    """Return each picture's path below the root: where the CSV says, or in the folder of its class or subset.

    The published CSV files name pictures sometimes from the root and sometimes from a folder that follows from the
    row. A name that several files have is settled by the row's levels, which are in the names of the folders.
    """
    tree = _image_files(root)
    found, lacking = [], []
    for index, name in enumerate(names):
        matches = _matches(name, rows[index], tree)
        if (problem := _problem(root, matches)) is not None:
            lacking.append(f"{place(index)}: {name!r}: {problem}")
        found.append(matches[0] if matches else "")
    if lacking:
        more = f"\n… and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise DatasetError("\n".join(lacking[:5]) + more)
    return found


def _image_files(root: Path) -> dict[str, list[str]]:
    """Return the paths of the images below a folder, relative to it, by their composed names."""
    tree: dict[str, list[str]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name != "__MACOSX")
        below = os.path.relpath(folder, root)
        for name in sorted(files):
            path = name if below == "." else f"{below}/{name}"
            if name.lower().endswith(tuple(SUFFIXES)) and not name.startswith(".") and _is_text(path):
                tree.setdefault(_composed(name), []).append(path)
    return tree


def _matches(name: str, row: Mapping[str, str], tree: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the files that a row's name may mean: those below whose folders have most of the row's levels."""
    wanted = _composed(os.path.normpath(name.replace("\\", "/")).lstrip("/"))
    nearby = tree.get(os.path.basename(wanted), [])
    exact = [path for path in nearby if f"/{_composed(path)}".endswith(f"/{wanted}")]
    if len(exact) < 2:
        return exact
    levels = {_composed(value) for value in row.values()}
    known = [sum(_composed(part) in levels for part in path.split("/")[:-1]) for path in exact]
    return [path for path, n in zip(exact, known, strict=True) if n == max(known)]


def _problem(root: Path, matches: Sequence[str]) -> str | None:
    """Return why the files that a name may mean are not one file below the root; ``None`` where they are."""
    if len(matches) != 1:
        return (
            f"{len(matches)} files of that name: {', '.join(matches[:2])}"
            if matches
            else f"no such file in {root.name} or below"
        )
    target = _resolved(root / matches[0])
    if target is None:
        return "a link that leads round in a circle"
    if not target.is_relative_to(root):
        return f"a link that leads out of the folder, to {target}; put a copy in its place"
    return None if target.is_file() else "no file"


def _resolved(path: Path) -> Path | None:
    """Return where links lead, or ``None`` where they never end."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a RuntimeError before Python 3.13
        return None


def _is_text(name: str) -> bool:
    """Whether a file's name is text; on Linux it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def image_file(path: Path, shown: Path) -> bytes:
    """Return the bytes of a picture's file.

    Args:
        path: of the file.
        shown: as errors name it.

    Raises:
        DatasetError: it cannot be read, or is larger than `MAX_IMAGE_BYTES`.
    """
    try:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise DatasetError(f"{shown} has {path.stat().st_size:,} bytes; at most {MAX_IMAGE_BYTES:,} are read")
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{shown}: cannot be read: {error.strerror or error}") from None


def _read_parquet(folder: Path) -> Source:
    stored = open_dataset(folder)
    if "image" not in stored.image_columns:
        raise DatasetError(f"{folder}: no column 'image' that holds pictures")
    rows: list[dict[str, Any]] = stored.table().to_pylist()
    if not rows:
        raise DatasetError(f"{folder}: no rows")

    starts: list[int] = []
    paths: list[str | None] = []
    splits: list[str | None] = []
    names: dict[str, list[str]] = {}
    for file in stored.files:
        starts.append(len(paths))
        with reading(file) as parquet:
            names |= _class_names(parquet.schema_arrow, file)
            paths += read_whole(parquet, ["image.path"])["image"].combine_chunks().field("path").to_pylist()
        for index in range(starts[-1], len(paths)):
            for column, known in names.items():
                rows[index][column] = _class_name(rows[index][column], known, f"{stored.place(index)}: {column}")
        splits += [split_of(file.relative_to(folder).as_posix())] * (len(paths) - starts[-1])
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    counts = np.diff([*starts, len(rows)]).tolist()

    return Source(
        rows,
        stored.place,
        stored.image_bytes,
        stored.place,
        [path or f"{index:08d}.png" for index, path in enumerate(paths)],
        splits,
        {
            "parquet": dict(zip((file.name for file in stored.files), counts, strict=True)),
            "sha256": digest.hexdigest(),
            "rows": len(rows),
        },
    )


def _class_names(schema: pa.Schema, file: Path) -> dict[str, list[str]]:
    """Return the names of classes that Hugging Face ``datasets`` stores as numbers, for each column of such."""
    text = (schema.metadata or {}).get(b"huggingface")
    if text is None:
        return {}
    try:
        features = json.loads(text)["info"]["features"]
        labels = {
            name: feature["names"]
            for name, feature in features.items()
            if not isinstance(feature, list) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
        if not all(isinstance(name, str) for names in labels.values() for name in names):
            raise TypeError("a name that is no text")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{file}: its metadata 'huggingface' cannot be read: {error!r}") from None
    return {name: list(names) for name, names in labels.items() if name in schema.names}


def _class_name(number: Any, names: Sequence[str], place: str) -> str | None:
    if number is None or number == -1:  # not known
        return None
    if not isinstance(number, int) or not 0 <= number < len(names):
        raise DatasetError(f"{place} = {number!r}: there are {len(names)} classes, from 0")
    return names[number]
