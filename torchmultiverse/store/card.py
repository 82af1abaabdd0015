"""The dataset card (README.md with Hugging Face front matter) and its grid of samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchmultiverse.engines import Asset
from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.images import jpeg
from torchmultiverse.scenes import FactorTable, Spec, from_stored, listed, unit_of
from torchmultiverse.sheets import Tile, contact_sheet, in_rows
from torchmultiverse.store.classes import CLASS
from torchmultiverse.store.croissant import write_croissant
from torchmultiverse.store.datasheet import datasheet_facts
from torchmultiverse.store.inspection import Inspection
from torchmultiverse.store.licence import licence_of
from torchmultiverse.store.manifest import EngineRecord, Manifest, Terms, family_of, spec_of, table_of
from torchmultiverse.store.object_column import is_list
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.schema import COLUMN_NOTES, VOLATILE, column_note
from torchmultiverse.store.sheet import data_rng, drawn_rows
from torchmultiverse.store.splitfiles import split_files
from torchmultiverse.store.strips import clip_rows, film_strips

_LINEAGE = 4000  # characters
_COLUMNS, _ROWS = 6, 3
_HUB = ("Apache-2.0", "MIT", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0")
"""Licences that the Hub knows, by their SPDX identifiers; its own are these in lower case."""


def write_card(out: Path, manifest: Manifest, dataset: StoredDataset, inspection: Inspection | None = None) -> None:
    """Write README.md, samples.jpg, croissant.json and, where pictures fail a check of quality, failed.jpg.

    Raises:
        DatasetError: they cannot be written.
    """
    in_row = _samples(dataset, out / "samples.jpg")
    _failed(dataset, inspection, out / "failed.jpg")
    facts = _facts(manifest.name or out.name, manifest, dataset)
    text = _template().render(samples_in_row=in_row, inspection=inspection, **facts)
    with disk_errors(out):
        write_atomic(out / "README.md", text.encode())
    write_croissant(out, manifest, dataset)


def _template() -> Any:
    """Return the template of the card. It writes Markdown, in which nothing is escaped but what would end a cell."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": "{:,}".format, "json": json.dumps, "repr": repr, "cell": _cell}
    return environment.get_template("card.md.j2")


def _facts(name: str, manifest: Manifest, dataset: StoredDataset) -> dict[str, Any]:
    """Return what the card and its datasheet say of a dataset."""
    spec, table = spec_of(manifest), table_of(manifest)
    terms = licence_of(manifest)
    width, height = dataset.image(0).size
    lineage = json.dumps(manifest.lineage, indent=1, ensure_ascii=False)
    return {
        "name": name,
        "spec": spec,
        "description": spec.description if spec is not None else "",
        "family": family_of(manifest),
        "count": len(dataset),
        "clips": len(clip_rows(dataset)),
        "missing": 0 if manifest.images is None else manifest.images - len(dataset),
        "failures": len(manifest.failures),
        "notes": manifest.notes,
        "width": width,
        "height": height,
        "license": _license(terms),
        "terms": terms,
        "size": _size(len(dataset)),
        "splits": split_files(dataset),
        "file_bytes": sum(file.stat().st_size for file in dataset.files),
        "columns": _columns(dataset.schema, table, manifest.counts),
        "factors": _factors(table, manifest.counts),
        "volatile": ", ".join(f"`{column}`" for column in VOLATILE),
        "example": _example(dataset),
        "engine": manifest.engine or EngineRecord(),
        "made_with": manifest.torchmultiverse,
        "command": _command(manifest.identity, spec) if spec is not None else "",
        "lineage": lineage[:_LINEAGE],
        "classes": manifest.classes if CLASS in dataset.columns else [],
        "assets": _asset_rows(manifest.assets),
        "share_alike": any("-SA" in asset.license for asset in manifest.assets),
        **datasheet_facts(manifest, dataset, spec),
    }


def _command(identity: Mapping[str, Any], spec: Spec) -> str:
    """Return the command that makes the dataset again."""
    width, height = identity["size"]
    command = f"torchmultiverse render spec.json --out data/{spec.name}"
    command += f" --size {width}" if width == height else ""
    for flag in ("where", "limit", "samples"):
        if identity.get(flag) is not None:
            value = identity[flag]
            command += f" --{flag} '{value}'" if flag == "where" else f" --{flag} {value}"
    return command


def _failed(dataset: StoredDataset, inspection: Inspection | None, path: Path) -> None:
    """Write the sheet of pictures that fail, some of each check; no sheet where there is none."""
    marks: dict[int, str] = {}
    failed = inspection.failed if inspection else {}
    for k in range(_COLUMNS * _ROWS):
        for name, rows in failed.items():
            if k < len(rows) and len(marks) < _COLUMNS * _ROWS:
                marks.setdefault(rows[k], name)
    with disk_errors(path.parent):
        if marks:
            write_atomic(path, _sheet([Tile(dataset.image(row), name) for row, name in sorted(marks.items())]))
        else:
            path.unlink(missing_ok=True)


def _license(terms: Terms) -> str:
    """Return the Hub's identifier: of the one licence there is, ``other`` for several, ``unknown`` where none is."""
    licences = terms.name.split(", ")
    if len(licences) == 1 and licences[0] in _HUB:
        return licences[0].lower()
    return "other" if licences and "unknown" not in licences else "unknown"


def _example(dataset: StoredDataset) -> str:
    if not dataset.factors:  # photographs with captions
        return f"split = {json.dumps(dataset.row(0, ['split'])['split'])}"
    name = dataset.factors[0]
    return f"{name} = {json.dumps(from_stored(table_of(dataset.manifest)[name], dataset.row(0, [name])[name]))}"


_FEATURES = {pa.string(): "string", pa.float64(): "float64", pa.float32(): "float32", pa.int64(): "int64"}


def _factors(table: FactorTable, counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    rows = []
    for name, per in counts.items():
        numbers = sorted(set(per.values()))
        each = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
        levels = list(per)
        if table[name].kind == "list":
            sizes = sorted({len(listed(level)) for level in per})
            levels = [f"{size} object" if size == 1 else f"{size} objects" for size in sizes]
        shown = ", ".join(str(level) for level in levels[:8]) + (", …" if len(levels) > 8 else "")
        shown += f" ({unit})" if (unit := unit_of(table[name].wire)) else ""
        rows.append({"column": name, "wire": table[name].wire, "levels": len(per), "each": each, "shown": shown})
    return rows


def _columns(schema: pa.Schema, table: FactorTable, counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, str]]:
    rows = []
    for field in schema:
        note = column_note(field.name, table)
        if field.name not in COLUMN_NOTES and field.name in table and table[field.name].column not in counts:
            note = f"{note}; always {table[field.name].default}"
        kind = "image" if pa.types.is_struct(field.type) else str(field.type).replace("double", "double (float64)")
        rows.append(
            {
                "name": field.name,
                "feature": "list" if is_list(field.type) else _FEATURES.get(field.type, "image"),
                "type": kind,
                "note": note or "as in the source",
            }
        )
    return rows


def _asset_rows(assets: list[Asset]) -> list[tuple[str, ...]]:
    """Return what is of one source and licence, and these."""
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for asset in assets:
        kinds.setdefault((asset.source, asset.license, asset.attribution), []).append(asset.name)
    return [
        (", ".join(dict.fromkeys(names)), *(text or "unknown" for text in origin)) for origin, names in kinds.items()
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _size(n: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if n < limit:
            return name
    return "1M<n<10M" if n < 10_000_000 else "n>10M"


def _samples(dataset: StoredDataset, path: Path) -> int:
    """Write the grid, of a dataset of clips film strips; return its number of columns."""
    strips = film_strips(dataset, data_rng(dataset), _ROWS, _COLUMNS)
    if strips:
        lines = [[Tile(dataset.image(row)) for row in rows] for rows in strips.values()]
        with disk_errors(path.parent):
            write_atomic(path, jpeg(contact_sheet(lines), 88))
        return max(map(len, lines))
    rows = drawn_rows(dataset, _COLUMNS * _ROWS)
    with disk_errors(path.parent):
        write_atomic(path, _sheet([Tile(dataset.image(row)) for row in rows]))
    return min(len(rows), _COLUMNS)


def _sheet(tiles: Sequence[Tile]) -> bytes:
    return jpeg(contact_sheet(in_rows(tiles, _COLUMNS)), 88)
