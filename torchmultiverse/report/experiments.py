"""The page of experiments with a decoder."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from torchmultiverse.analyze import Experiment, Experiments, published_drawings
from torchmultiverse.images import decode
from torchmultiverse.report.templates import template
from torchmultiverse.study import interval_columns


def experiments_page(experiments: Experiments) -> str:
    """Return the page: it needs no other file and no network."""
    page: str = template("experiments.html.j2").render(
        config=experiments.config, dataset=experiments.dataset,
        experiments=[experiment_section(one) for one in experiments.experiments], notes=experiments.notes,
    )  # fmt: skip
    return page


def experiment_section(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as its template takes it: its pictures with their captions, and numbers as text."""
    rows = [
        {
            "label": row.label, "inputs": row.inputs, "misclassified": row.misclassified,
            "samples": [
                (image, row.captions[k] if k < len(row.captions) else "") for k, image in enumerate(row.samples)
            ],
        }
        for row in experiment.rows
    ]  # fmt: skip
    return {
        "name": experiment.name, "title": experiment.title, "about": experiment.about, "rows": rows,
        "published": published_drawings(experiment.name),
        "wide": max((len(row.inputs) + len(row.samples) for row in experiment.rows), default=0) > 6,
        **shown_table(experiment.table),
    }  # fmt: skip


def experiment_sheets(experiments: Experiments) -> dict[str, bytes]:
    """Return all rows of each experiment as one PNG, by file name; experiments without pictures have none."""
    return {f"{one.name}.png": _sheet(one) for one in experiments.experiments if one.rows}


def _sheet(experiment: Experiment, gap: int = 2) -> bytes:
    """Return the rows of an experiment as one picture, inputs first."""
    rows = [
        [[decode(image.data, "an image of a record") for image in images] for images in (row.inputs, row.samples)]
        for row in experiment.rows
    ]
    step = next(image.width for row in rows for images in row for image in images) + gap
    inputs = max(len(row[0]) for row in rows)
    between = 4 * gap if inputs else 0
    width = (inputs + max(len(row[1]) for row in rows)) * step + between
    sheet = Image.new("RGB", (width, len(rows) * step), (255, 255, 255))
    for at, (given, samples) in enumerate(rows):
        for k, image in enumerate(given):
            sheet.paste(image, ((inputs - len(given) + k) * step, at * step))
        for k, image in enumerate(samples):
            sheet.paste(image, ((inputs + k) * step + between, at * step))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def shown_table(table: Sequence[Mapping[str, Any]], small: bool = False) -> dict[str, Any]:
    """Return heads and cells of a table; the two ends of an interval stand below the number before them.

    Args:
        table: lines of the same columns.
        small: numbers below a hundredth keep two digits that say something.
    """
    if not table:
        return {"heads": [], "lines": []}
    every = list(table[0])
    before = interval_columns(every)
    ends_of = {"low", "high", "low %", "high %"} | {end for ends in before.values() for end in ends}
    names = [name for name in every if name not in ends_of]
    words = {name for name in names if any(isinstance(line[name], str) for line in table)} | {names[0]}
    lines = []
    for line in table:
        cells = []
        for name in names:
            low, high = before.get(name, (name, name))
            ends = ""
            if low != name and line[low] is not None:
                ends = f"[{_text(low, line[low], small)}, {_text(high, line[high], small)}]"
            cells.append((_text(name, line[name], small), ends, name not in words))
        lines.append(cells)
    return {
        "heads": [
            (name.removesuffix(" %") + (", %" if name.endswith("%") else ""), name not in words) for name in names
        ],
        "lines": lines,
    }


def _text(name: str, value: Any, small: bool) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "–"
    if name.endswith("%"):
        return f"{100 * value:z.1f}"
    if isinstance(value, float):
        return f"{value:,.2f}" if not small or abs(value) >= 0.01 or value == 0 else f"{value:.2g}"
    return f"{value:,}"
