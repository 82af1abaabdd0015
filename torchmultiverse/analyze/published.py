"""Published numbers and trends of trunk and head, to stand beside one's own: of other data, never mixed with them."""

from __future__ import annotations

from torchmultiverse.evaluation import tables
from torchmultiverse.study import Section


def published_sections(study: str) -> tuple[Section, ...]:
    """Return what is published about ``cut``, ``unseen``, ``epochs`` or ``settings``, marked as such.

    Numbers stand in a table, what figures show without numbers is told in words.

    >>> found = published_sections("cut")[0]
    >>> found.reference, found.table[0]["asked"], found.table[0]["trunk %"]
    (True, 'SimCLR', 0.691)
    """
    found = []
    for table in tables("guillotine"):
        rows = [row for row in table["rows"] if row["study"] == study]
        numbers = [row for row in rows if row.get("trunk %") is not None]
        words = [f"{row['table']}, {row['asked']}: {row['said']}." for row in rows if row.get("said")]
        if not rows:
            continue
        lines = [{name: row[name] for name in ("asked", "trunk %", "head %", "table")} for row in numbers]
        about = " ".join([*words, table["source"]])
        found.append(Section(title="Published", about=about, table=tuple(lines), reference=True))
    return tuple(found)
