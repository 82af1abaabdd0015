"""The page of questions to a decoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from torchmultiverse.evaluate import thumbnail
from torchmultiverse.report.templates import template

if TYPE_CHECKING:
    from torchmultiverse.analyze import Studies, Study


def studies_page(studies: Studies) -> str:
    """Return the page: it needs no other file and no network."""
    page: str = template("studies.html.j2").render(
        config=studies.config, dataset=studies.dataset, studies=[drawn(one) for one in studies.answers],
        notes=studies.notes,
    )  # fmt: skip
    return page


def drawn(study: Study) -> dict[str, Any]:
    """Return a study as its template takes it: pictures as addresses, numbers as text."""
    rows = [
        {
            "label": row.label,
            "given": [thumbnail(Image.fromarray(picture)) for picture in row.given],
            "drawn": [
                (thumbnail(Image.fromarray(picture)), row.captions[k] if k < len(row.captions) else "")
                for k, picture in enumerate(row.drawn)
            ],
            "wrong": row.wrong,
        }
        for row in study.rows
    ]
    wide = max(len(row["given"]) + len(row["drawn"]) for row in rows) > 6  # type: ignore[arg-type]
    return {
        "name": study.name,
        "title": study.title,
        "about": study.about,
        "rows": rows,
        "wide": wide,
        **_table(study.numbers),
    }


def _table(numbers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return heads and cells; the two ends of an interval stand below the number before them."""
    if not numbers:
        return {"heads": [], "lines": []}
    names = [name for name in numbers[0] if name not in ("from %", "to %")]
    lines = []
    for line in numbers:
        cells = []
        for place, name in enumerate(names):
            small = ""
            if "from %" in line and names.index(name) == 1:
                small = f"{_text('from %', line['from %'])} – {_text('to %', line['to %'])}"
            cells.append((_text(name, line[name]), small, place > 0))
        lines.append(cells)
    return {
        "heads": [name.removesuffix(" %") + (", %" if name.endswith("%") else "") for name in names],
        "lines": lines,
    }


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isnan(value):
        return "–"
    return f"{100 * value:.1f}" if name.endswith("%") else f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
