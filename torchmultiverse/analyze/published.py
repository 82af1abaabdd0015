"""Published numbers and trends of trunk and head, to stand beside one's own: of other data, never mixed with them."""

from __future__ import annotations

from torchmultiverse.evaluation import tables
from torchmultiverse.study import Section


def published_sections(study: str) -> tuple[Section, ...]:
    """Return the published numbers about ``cut``, ``unseen``, ``epochs`` or ``settings``, marked as such.

    >>> published_sections("settings")[0].reference
    True
    """
    found = []
    for table in tables("guillotine"):
        rows = [{name: value for name, value in row.items() if name != "study"} for row in table["rows"]
                if row["study"] == study]  # fmt: skip
        if rows:
            found.append(Section(title="Published", about=table["source"], table=tuple(rows), reference=True))
    return tuple(found)
