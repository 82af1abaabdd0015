"""The page of a study, and its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torchmultiverse.report.experiments import shown_table
from torchmultiverse.report.study_charts import drawn, names
from torchmultiverse.report.svg import legend_mark
from torchmultiverse.report.tables import rows_as_csv
from torchmultiverse.report.templates import template
from torchmultiverse.study import BarChart, LineChart, ScatterChart, Section, Study

_COLUMNS_BESIDE, _LINES_BESIDE, _LETTERS_BESIDE = 6, 14, 20
"""A table of at most so much stands beside the only chart of its section, whose bars have names of so many letters."""
_FOLDED = 24
"""Lines of a table below charts that is folded away, to be opened."""


def study_page(study: Study) -> str:
    """Return the page: it needs no other file and no network."""
    page: str = template("study.html.j2").render(
        study=study, sections=[_section(one, anchor) for anchor, one in _anchors(study).items()]
    )
    return page


def study_tables(study: Study) -> dict[str, str]:
    """Return the tables of the sections as CSV, by file name."""
    return {f"{anchor}.csv": rows_as_csv(one.table) for anchor, one in _anchors(study).items() if one.table}


def _anchors(study: Study) -> Mapping[str, Section]:
    """Return the sections by names that addresses and files can have."""
    found: dict[str, Section] = {}
    for section in study.sections:
        plain = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")[:60] or "section"
        name = next(n for n in (plain, *(f"{plain}-{k}" for k in range(2, 1000))) if n not in found)
        found[name] = section
    return found


def _section(section: Section, anchor: str) -> dict[str, Any]:
    charts = [
        {"of": chart, "drawn": drawn(chart), "legend": [(legend_mark(k), name) for name, k in names(chart).items()],
         "wide": chart.kind == "heatmap" and len(chart.columns) > 6}
        for chart in section.charts
    ]  # fmt: skip
    rows = [
        {"of": row, "samples": [
            (image, row.captions[k] if k < len(row.captions) else "") for k, image in enumerate(row.samples)
        ]}
        for row in section.pictures
    ]  # fmt: skip
    wide = max((len(row.inputs) + len(row.samples) for row in section.pictures), default=0) > 6
    table = shown_table(section.table, small=True)
    only = section.charts[0] if len(charts) == 1 else None
    narrow = isinstance(only, LineChart | ScatterChart) or (
        isinstance(only, BarChart) and max((len(bar.name) for bar in only.bars), default=0) <= _LETTERS_BESIDE
    )
    return {
        "of": section,
        "beside": narrow and 0 < len(table["heads"]) <= _COLUMNS_BESIDE and len(table["lines"]) <= _LINES_BESIDE,
        "long": bool(charts) and len(table["lines"]) > _FOLDED,
        "anchor": anchor,
        "charts": charts,
        "rows": rows,
        "wide": wide,
        **table,
    }
