"""The dataset card (README.md with Hugging Face front matter) and its grid of samples."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from PIL import Image, ImageDraw

from torchmultiverse.engines import Asset
from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.images import rgb
from torchmultiverse.scenes import FactorTable, Spec
from torchmultiverse.store.croissant import write_croissant
from torchmultiverse.store.datasheet import datasheet
from torchmultiverse.store.inspection import Inspection
from torchmultiverse.store.licence import licence_of
from torchmultiverse.store.manifest import EngineEntry, Manifest, Terms, family_of, spec_of, table_of
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.schema import COLUMN_NOTES, VOLATILE, column_note
from torchmultiverse.store.splitfiles import split_files

_SIDE, _COLUMNS, _ROWS, _GAP = 160, 6, 3, 4
_HUB = ("Apache-2.0", "MIT", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0")
"""Licences that the Hub knows, by their SPDX identifiers; its own are these in lower case."""


def write_card(out: Path, manifest: Manifest, dataset: StoredDataset, inspection: Inspection | None = None) -> None:
    """Write README.md, samples.jpg, croissant.json and, where pictures fail a check of quality, failed.jpg.

    Raises:
        DatasetError: they cannot be written.
    """
    columns = _samples(dataset, out / "samples.jpg")
    _failed(dataset, inspection, out / "failed.jpg")
    spec, table = spec_of(manifest), table_of(manifest)
    name = manifest.name or out.name
    counts = manifest.counts
    width, height = dataset.image(0).size
    notes = "".join(f"\n> **Note.** {note}\n" for note in manifest.notes)
    missing = (len(dataset) if manifest.images is None else manifest.images) - len(dataset)
    terms = licence_of(manifest)
    forbidden = "" if terms.generative else "\n**Generative models must not be trained on these pictures.**\n"
    splits = split_files(dataset)
    files = "\n".join(f"  - split: {split.name}\n    path: {split.pattern}" for split in splits)
    sizes = "\n".join(
        f"  - name: {split.name}\n    num_bytes: {split.bytes}\n    num_examples: {split.rows}" for split in splits
    )
    text = f"""---
pretty_name: {json.dumps(name)}
license: {_license(terms)}
task_categories:
- image-classification
- zero-shot-image-classification
tags:
- synthetic
- controlled-factors
- robustness
size_categories:
- {_size(len(dataset))}
configs:
- config_name: default
  data_files:
{files}
dataset_info:
  features:
{_features(dataset.schema)}
  splits:
{sizes}
  download_size: {sum(file.stat().st_size for file in dataset.files)}
  dataset_size: {sum(split.bytes for split in splits)}
---
# {name}

{(spec.description if spec is not None else "") or "Factor-labelled pictures."}

![A sample of the pictures.](samples.jpg)

*A sample, evenly spaced through the dataset, {columns} a row.*
{notes}{forbidden}
## What it is

{len(dataset):,} pictures of {width} × {height} pixels, one for each scene of a controlled design (family
{family_of(manifest)}): every picture is labelled with the factors it was rendered from.
{_absent(missing, len(manifest.failures))}
```python
from datasets import load_dataset

ds = load_dataset(".", split={splits[0].name!r})
```

```python
from torchmultiverse import open_dataset

ds = open_dataset(".").where({_example(dataset)!r})
```

## How it was made

{_made(manifest, spec)}

## Factors

| column | name in specs | levels | pictures per level | |
|---|---|---|---|---|
{_factors(table, counts)}

## Columns

| column | type | content |
|---|---|---|
{_columns(dataset.schema, table, counts)}

All columns but {", ".join(f"`{name}`" for name in VOLATILE)} are data columns: equal, bit by bit, however often, in how
many steps and by how many workers the dataset is made with this engine.

## Quality of the pictures

{_quality(inspection)}

## Licences of what was rendered

{_asset_table(manifest.assets, terms)}

## Datasheet

{datasheet(manifest, dataset, spec)}
"""
    with disk_errors(out):
        write_atomic(out / "README.md", text.encode())
    write_croissant(out, manifest, dataset)


def _made(manifest: Manifest, spec: Spec | None) -> str:
    if spec is None:
        lineage = json.dumps(manifest.lineage, indent=1, ensure_ascii=False)
        return f"Put together from rows that were there:\n\n```json\n{lineage[:4000]}\n```"
    engine, identity = manifest.engine or EngineEntry(), manifest.identity
    width, height = identity["size"]
    command = f"torchmultiverse render spec.json --out data/{spec.name}"
    command += f" --size {width}" if width == height else ""
    for flag in ("where", "limit", "samples"):
        if identity.get(flag) is not None:
            value = identity[flag]
            command += f" --{flag} '{value}'" if flag == "where" else f" --{flag} {value}"
    return f"""Rendered by the engine `{engine.name or "?"}` {engine.version} (fingerprint
`{engine.fingerprint or "not given"}`) through TorchMultiverse {manifest.torchmultiverse}, seed
{spec.seed}. `manifest.json` holds the whole spec (`identity.spec`), which makes it again:

    {command}"""


def _quality(inspection: Inspection | None) -> str:
    if inspection is None:
        return "Not measured."
    sheet = "\n\n![Pictures that fail a check.](failed.jpg)\n\n*Pictures that fail, each with a check that it fails.*"
    return (
        f"Every picture was measured (`quality_…` columns, `quality.json`):\n\n```\n{inspection}\n```"
        f"{sheet if inspection.failed else ''}"
        "\n\n`leakage.json` says which factors can be told from file size, brightness, row or shard alone."
    )


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
            write_atomic(path, _sheet([(dataset.image(row), name) for row, name in sorted(marks.items())]))
        else:
            path.unlink(missing_ok=True)


def _license(terms: Terms) -> str:
    """Return the Hub's identifier: of the one licence there is, ``other`` for several, ``unknown`` where none is."""
    licences = terms.name.split(", ")
    if len(licences) == 1 and licences[0] in _HUB:
        return licences[0].lower()
    return "other" if licences and "unknown" not in licences else "unknown"


def _absent(missing: int, failed: int) -> str:
    if not missing:
        return ""
    return (
        f"\n**{missing:,} scenes of the design have no picture**"
        + (f"; {failed:,} could not be rendered, `manifest.json` names them and why" if failed else "")
        + ".\n"
    )


def _example(dataset: StoredDataset) -> str:
    name = dataset.factors[0]
    return f"{name} = {json.dumps(dataset.row(0, [name])[name])}"


def _features(schema: pa.Schema) -> str:
    kinds = {pa.string(): "string", pa.float64(): "float64", pa.float32(): "float32", pa.int64(): "int64"}
    return "\n".join(f"  - name: {field.name}\n    dtype: {kinds.get(field.type, 'image')}" for field in schema)


def _factors(table: FactorTable, counts: Mapping[str, Mapping[str, int]]) -> str:
    lines = []
    for name, per in counts.items():
        numbers = sorted(set(per.values()))
        each = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
        shown = ", ".join(str(level) for level in list(per)[:8]) + (", …" if len(per) > 8 else "")
        lines.append(f"| `{name}` | `{table[name].wire}` | {len(per)} | {each} | {_cell(shown)} |")
    return "\n".join(lines)


def _columns(schema: pa.Schema, table: FactorTable, counts: Mapping[str, Mapping[str, int]]) -> str:
    lines = []
    for field in schema:
        note = column_note(field.name, table)
        if field.name not in COLUMN_NOTES and field.name in table and table[field.name].column not in counts:
            note = f"{note}; always {table[field.name].default}"
        kind = "image" if pa.types.is_struct(field.type) else str(field.type).replace("double", "double (float64)")
        lines.append(f"| `{field.name}` | {kind} | {_cell(note or 'as in the source')} |")
    return "\n".join(lines)


def _asset_table(assets: list[Asset], terms: Terms) -> str:
    if not assets and terms.source != "rendered":
        return f"{terms.name}: {terms.source}."
    if not assets:
        return "The engine does not say what its worlds and characters are made of."
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for asset in assets:
        kinds.setdefault((asset.source, asset.license, asset.attribution), []).append(asset.name)
    lines = ["| what | source | licence | attribution |", "|---|---|---|---|"]
    if any("-SA" in asset.license for asset in assets):
        note = "Some of it is under a share-alike licence (SA): pictures that show it are passed on under the same."
        lines = [note, "", *lines]
    for row, names in kinds.items():
        cells = [", ".join(dict.fromkeys(names)), *(text or "unknown" for text in row)]
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _size(n: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if n < limit:
            return name
    return "1M<n<10M" if n < 10_000_000 else "n>10M"


def _samples(dataset: StoredDataset, path: Path) -> int:
    """Write the grid; return its number of columns."""
    count = min(len(dataset), _COLUMNS * _ROWS)
    # The middle of each stretch: the first scene of a design is often the emptiest.
    rows = [(2 * place + 1) * len(dataset) // (2 * count) for place in range(count)]
    with disk_errors(path.parent):
        write_atomic(path, _sheet([(dataset.image(row), "") for row in rows]))
    return min(count, _COLUMNS)


def _sheet(pictures: list[tuple[Image.Image, str]]) -> bytes:
    """Return a JPEG of small pictures in rows, each with what is written over its corner."""
    columns = min(len(pictures), _COLUMNS)
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (columns * step - _GAP, -(-len(pictures) // columns) * step - _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (full, text) in enumerate(pictures):
        picture = rgb(full)
        picture.thumbnail((_SIDE, _SIDE))
        left, top = place % columns * step, place // columns * step
        sheet.paste(picture, (left + (_SIDE - picture.width) // 2, top + (_SIDE - picture.height) // 2))
        if text:
            draw.rectangle(draw.textbbox((left + 4, top + 4), text), fill="white")
            draw.text((left + 4, top + 4), text, fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
