"""The datasheet of a dataset, in the seven sections of Gebru et al., *Datasheets for Datasets* (2021).

Nothing in it is boilerplate about datasets in general: each answer follows from the manifest, the rows, or what the
spec says under ``about``; what nobody said is called not stated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from torchmultiverse.scenes import Spec
from torchmultiverse.store.licence import licence_of
from torchmultiverse.store.manifest import EngineEntry, Manifest
from torchmultiverse.store.reader import StoredDataset

_NOT_STATED = "Not stated; the spec's `about` has room for it."


def datasheet(manifest: Manifest, dataset: StoredDataset, spec: Spec | None) -> str:
    """Return the seven sections as Markdown, headings of level three."""
    about = spec.about.model_dump() if spec is not None else {}
    sections = {
        "Motivation": _motivation(about, spec, manifest),
        "Composition": _composition(manifest, dataset, spec),
        "Collection process": _collection(manifest, spec),
        "Preprocessing, cleaning, labeling": _preprocessing(manifest, dataset, spec),
        "Uses": _uses(manifest),
        "Distribution": _distribution(manifest),
        "Maintenance": _maintenance(about, manifest),
    }
    return "\n\n".join(
        f"### {title}\n\n" + "\n".join(f"- {line}" for line in lines) for title, lines in sections.items()
    )


def _motivation(about: Mapping[str, str], spec: Spec | None, manifest: Manifest) -> list[str]:
    purpose = about.get("purpose") or (
        "To test vision models under controlled factors: which change of a scene changes what a model answers."
        if spec is not None
        else "See the dataset that it was made from."
    )
    return [
        f"**For what purpose was it created?** {purpose}",
        f"**Who created it?** {about.get('creators') or _origin(manifest) or _NOT_STATED}",
        f"**Who funded it?** {about.get('funding') or _NOT_STATED}",
    ]


def _composition(manifest: Manifest, dataset: StoredDataset, spec: Spec | None) -> list[str]:
    splits: Counter[str] = Counter()
    for table in dataset.tables(["split"]) if "split" in dataset.columns else ():
        splits.update({s["values"]: s["counts"] for s in table["split"].value_counts().to_pylist()})
    said = ", ".join(f"{name} {count:,}" for name, count in splits.most_common())
    rules = ""
    if spec is not None and spec.splits:
        rules = " Held out by the spec: " + "; ".join(
            f"`{name}`: {' or '.join(f'`{rule}`' if isinstance(rule, str) else _share(rule) for rule in given)}"
            for name, given in spec.splits.items()
        )
        rules += "."
    missing = (len(dataset) if manifest.images is None else manifest.images) - len(dataset)
    failed = _failed(dataset)
    whole = "all scenes of its design" if not missing else f"all scenes of its design but {missing:,}"
    return [
        f"**What do the instances represent?** Pictures of a scene, {len(dataset):,} of them, "
        f"{'rendered' if spec is not None else 'taken over'} with the factors they were made from as labels.",
        f"**Is it a sample of a larger set?** It has {whole}; the design in `manifest.json` says which those are."
        if spec is not None
        else "**Is it a sample of a larger set?** It has every row of what it was made from.",
        f"**Are there recommended splits?** {said or 'none'}.{rules}",
        "**Are relationships between instances explicit?** Yes: rows that differ in one factor are minimal pairs"
        + (", and `negative_scene_id` links each picture to its hard negative" if _linked(dataset) else "")
        + ".",
        f"**Are there errors or noise?** {failed}",
        "**Is it self-contained?** Yes.",
        "**Does it hold confidential or offensive content, or data of people?** It shows no real place and no real "
        "person, as far as its assets do not; these are listed below."
        if spec is not None
        else "**Does it hold confidential or offensive content, or data of people?** See the source.",
    ]


def _collection(manifest: Manifest, spec: Spec | None) -> list[str]:
    if spec is None:
        return [f"**How was the data acquired?** {_origin(manifest)}"]
    engine = manifest.engine or EngineEntry()
    return [
        f"**How was the data acquired?** Rendered by `{engine.name}` (`{engine.fingerprint}`); the seed "
        f"of every picture follows from the dataset's seed, {spec.seed}, and the scene.",
        f"**What was the sampling strategy?** A design of the kind `{spec.design.kind}`.",
        "**Who was involved, over what time, with what consent?** Nobody was recorded or asked; no clock is in the "
        "data, so the same spec gives the same data at any time.",
    ]


def _preprocessing(manifest: Manifest, dataset: StoredDataset, spec: Spec | None) -> list[str]:
    lines = []
    if spec is not None:
        lines.append(
            "**Was any done?** Pictures are stored as the engine sent them"
            + (", losslessly" if spec.render.format == "png" else ", as JPEG")
            + ". Each was measured; those that fail a check are marked in `quality_failed`"
            + (
                f" after the camera had been moved by up to {spec.quality.nudge:g} degrees (`quality_nudge`)."
                if spec.quality.nudge
                else " and not removed."
            )
        )
        lines.append("**Are the labels checked?** They are what the engine was asked for, and it echoed each scene.")
        if checked := manifest.checked:
            apart = sum(1 for value in checked.values() if value != 0)
            lines.append(f"**Is it repeatable?** {len(checked)} scenes were rendered twice, {apart} of them differ.")
    else:
        lines.append("**Was any done?** Pictures are the files that they were, byte for byte.")
    lines.append("**Is the software available?** Yes, it is TorchMultiverse.")
    return lines


def _uses(manifest: Manifest) -> list[str]:
    terms = licence_of(manifest)
    never = (
        "Training generative models: the terms of the pictures forbid it."
        if not terms.generative
        else "Claims about real photographs without a test on some: rendered pictures differ from them."
    )
    return [
        "**What can it be used for?** Robustness per factor, held-out factors and combinations, equivariance, probes "
        "of representations, and, where it has captions, retrieval and hard negatives.",
        f"**What should it not be used for?** {never}",
        "**What could affect later uses?** What is alike in all pictures (the engine's light, its assets, the camera's "
        "distance) is not tested. `leakage.json`, where there is one, says which labels can be told without looking.",
    ]


def _distribution(manifest: Manifest) -> list[str]:
    terms = licence_of(manifest)
    return [
        f"**Under which terms?** {terms.name} ({terms.source})."
        + ("" if terms.generative else " Not for training generative models."),
        "**How is it distributed?** As Parquet files whose SHA-256 are in `manifest.json`.",
    ]


def _maintenance(about: Mapping[str, str], manifest: Manifest) -> list[str]:
    return [
        f"**Who maintains it?** {about.get('contact') or _NOT_STATED}",
        f"**Will it be updated?** {about.get('maintenance') or _NOT_STATED}",
        "**Can others extend it?** With the spec: `torchmultiverse render SPEC --extend` renders what is new; "
        "`torchmultiverse merge` puts datasets together and keeps where each row is from; `torchmultiverse diff` says "
        "what changed from one version to the next.",
    ]


def _share(rule: Any) -> str:
    return f"a share of {rule.share:g}" + (f" by {', '.join(rule.by)}" if rule.by else "")


def _linked(dataset: StoredDataset) -> bool:
    return "negative_scene_id" in dataset.columns


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
