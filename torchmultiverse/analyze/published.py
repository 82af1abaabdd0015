"""Published numbers and trends, to stand beside one's own: of other data, never mixed with them."""

from __future__ import annotations

from torchmultiverse.evaluation import tables
from torchmultiverse.study import Section

_COLUMNS = {
    "guillotine": ("trunk %", "head %"),
    "dejavu": ("about %", "more than %", "less than %"),
}
"""By the kind of the table: its columns of numbers."""


def published_sections(*studies: str, kind: str = "guillotine") -> tuple[Section, ...]:
    """Return what is published about some questions, marked as such.

    Numbers stand in a table, what figures show without numbers is told in words.

    Args:
        studies: of trunk and head ``cut``, ``unseen``, ``epochs`` or ``settings``; of déjà vu ``memory``, ``epochs``,
            ``size``, ``layers``, ``loss``, ``capacity``, ``methods``, ``finetuning``, ``beyond`` or ``crops``.
        kind: ``guillotine`` or ``dejavu``.

    >>> found = published_sections("cut")[0]
    >>> found.reference, found.table[0]["asked"], found.table[0]["trunk %"]
    (True, 'SimCLR', 0.691)
    >>> published_sections("memory", "beyond", kind="dejavu")[0].table[1]["more than %"]
    0.15
    """
    found = []
    for table in tables(kind):
        rows = [row for row in table["rows"] if row["study"] in studies]
        columns = _COLUMNS[kind]
        numbers = [row for row in rows if any(row.get(name) is not None for name in columns)]
        words = [f"{row['table']}, {row['asked']}: {row['said']}." for row in rows if row.get("said")]
        if not rows:
            continue
        lines = [{name: row[name] for name in ("asked", *columns, "table")} for row in numbers]
        about = " ".join([*words, table["source"]])
        found.append(Section(title="Published", about=about, table=tuple(lines), reference=True))
    return tuple(found)


def published_samples() -> tuple[Section, ...]:
    """Return what is published about pictures drawn from representations: ranks of encoders, and quality.

    >>> ranks, quality = published_samples()
    >>> ranks.table[4]["encoder"], ranks.table[4]["mean rank"], quality.table[3]["FID"]
    ('Supervised', 5.65, 19.0)
    """
    (table,) = tables("rcdm")
    return (
        Section(title="Published ranks", about=table["source"], table=tuple(table["ranks"]), reference=True),
        Section(title="Published quality", about=table["source"], table=tuple(table["quality"]), reference=True),
    )
