"""The dataset card (README.md with Hugging Face front matter) and its grid of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from torchmultiverse.spec import Design, Spec
from torchmultiverse.store.files import write_atomic
from torchmultiverse.store.reader import StoredDataset

_SIDE, _COLUMNS, _ROWS = 160, 6, 3


def write_card(out: Path, spec: Spec, design: Design, manifest: dict[str, Any], dataset: StoredDataset) -> None:
    """Write README.md and samples.jpg."""
    _samples(dataset, out / "samples.jpg")
    assets = manifest.get("assets", [])
    licences = sorted({a["license"] for a in assets if a.get("license")})
    factors = "\n".join(
        f"| `{spec.table[name].column}` | {name} | {len(counts)} | {', '.join(str(v) for v in list(counts)[:8])}"
        f"{', …' if len(counts) > 8 else ''} |"
        for name, counts in design.level_counts().items()
    )
    engine = manifest.get("engine", {})
    notes = "".join(f"\n> **Note.** {note}\n" for note in manifest.get("notes", []))
    failed = manifest.get("failures", {})
    text = f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/*.parquet
pretty_name: {spec.name}
license: {"apache-2.0" if licences in ([], ["Apache-2.0"]) else "other"}
task_categories: [image-classification, zero-shot-image-classification]
tags: [synthetic, controlled-factors, robustness]
size_categories: {_size(len(dataset))}
---
# {spec.name}

{spec.description or "Factor-labelled pictures."}

![samples](samples.jpg)
{notes}
{len(dataset)} pictures of {manifest["identity"]["size"][0]} × {manifest["identity"]["size"][1]} pixels, family
{spec.family}, rendered by TorchMultiverse's engine `{engine.get("name", "?")}` {engine.get("version", "")}
(fingerprint `{engine.get("fingerprint", "")}`), seed {spec.seed}.
{f"{len(failed)} scenes could not be rendered; manifest.json names them and why." if failed else ""}

```python
from datasets import load_dataset
ds = load_dataset("parquet", data_files="data/*.parquet")["train"]
```

## Factors

| column | factor | levels | |
|---|---|---|---|
{factors}

`scene_id` is the hash of the scene's canonical JSON in `scene`; `annotations` holds camera and objects as JSON;
`quality_*` are measured on each picture. All columns but `render_ms` are reproducible bit by bit.

## Licences of what was rendered

{_asset_table(assets)}
"""
    write_atomic(out / "README.md", text.encode())


def _asset_table(assets: list[dict[str, Any]]) -> str:
    if not assets:
        return "The engine names none."
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for asset in assets:
        kinds.setdefault((asset["source"], asset["license"], asset["attribution"]), []).append(asset["name"])
    lines = ["| what | source | licence | attribution |", "|---|---|---|---|"]
    for (source, licence, attribution), names in kinds.items():
        lines.append(f"| {', '.join(names)} | {source} | {licence} | {attribution} |")
    return "\n".join(lines)


def _size(n: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")):
        if n < limit:
            return name
    return "n>1M"


def _samples(dataset: StoredDataset, path: Path) -> None:
    count = min(len(dataset), _COLUMNS * _ROWS)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * _SIDE, rows * _SIDE), "white")
    for place in range(count):
        picture = dataset.image(place * len(dataset) // count).convert("RGB")
        picture.thumbnail((_SIDE, _SIDE))
        sheet.paste(picture, (place % columns * _SIDE, place // columns * _SIDE))
    sheet.save(path, quality=85)
