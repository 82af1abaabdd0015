"""What the datasheet of a dataset is filled in with (`datasheet.md.j2` has its questions)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from torchmultiverse.scenes import Spec, may_be_own
from torchmultiverse.store.manifest import Manifest, table_of
from torchmultiverse.store.reader import StoredDataset


def datasheet_facts(manifest: Manifest, dataset: StoredDataset, spec: Spec | None) -> dict[str, Any]:
    """Return what the datasheet asks of a dataset beyond what its card says.

    Args:
        manifest: of the dataset.
        dataset: its rows.
        spec: that it was rendered from; ``None`` for rows that were imported or put together.
    """
    return {
        "about": spec.about.model_dump() if spec is not None else {},
        "origin": _origin(manifest),
        "split_rows": _split_rows(dataset),
        "rules": _rules(spec) if spec is not None else "",
        "linked": "negative_scene_id" in dataset.columns,
        "own": [name for name in dataset.factors if may_be_own(table_of(manifest)[name])],
        "failed_rows": _failed(dataset),
        "checked": manifest.checked,
    }


def _split_rows(dataset: StoredDataset) -> str:
    splits: Counter[str] = Counter()
    for table in dataset.tables(["split"]) if "split" in dataset.columns else ():
        splits.update({s["values"]: s["counts"] for s in table["split"].value_counts().to_pylist()})
    return ", ".join(f"{name} {count:,}" for name, count in splits.most_common())


def _rules(spec: Spec) -> str:
    """Return what the spec holds out, in words."""
    return "; ".join(
        f"`{name}`: {' or '.join(f'`{rule}`' if isinstance(rule, str) else _fraction(rule) for rule in given)}"
        for name, given in spec.splits.items()
    )


def _fraction(rule: Any) -> str:
    return f"a share of {rule.share:g}" + (f" by {', '.join(rule.by)}" if rule.by else "")


def _failed(dataset: StoredDataset) -> str:
    if "quality_failed" not in dataset.columns:
        return "Not measured."
    marked = (pc.not_equal(table["quality_failed"], "") for table in dataset.tables(["quality_failed"]))
    count = sum(pc.sum(marks).as_py() or 0 for marks in marked)
    return f"{count:,} pictures fail a check of quality and are marked." if count else "No picture fails a check."


def _origin(manifest: Manifest) -> str:
    """Return where an imported or merged dataset is from."""
    parts = []
    for entry in manifest.lineage:
        if "imported" in entry:
            made = entry["imported"]
            parts.append(f"imported from {made.get('csv') or 'Parquet files'} ({made['rows']:,} rows)")
        else:
            parts.append(f"`{entry['name']}` ({entry['rows']:,} rows, {entry['license']['name']})")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""
