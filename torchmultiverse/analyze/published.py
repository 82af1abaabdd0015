"""Published numbers and trends of layers and of decoders, to stand beside one's own: of other data, never mixed."""

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


def published_drawings(*studies: str) -> tuple[Section, ...]:
    """Return what is published about pictures drawn from a representation, marked as such.

    Args:
        studies: of ``quality`` (FID and inception score), ``ranks``, ``distances``, ``prior``, ``drawn epochs``,
            ``attacks``, ``changes``, ``enlarged``: one table of each that has numbers, and words of the others.

    >>> [section.table[0]["model"] for section in published_drawings("ranks", "quality")]
    ['Dino', 'ADM, without a condition']
    """
    found = []
    for table in tables("rcdm"):
        for study in studies:
            rows = [row for row in table["rows"] if row["study"] == study]
            said = [f"{row['table']}: {row['said']}." for row in rows if "said" in row]
            numbers = tuple(
                {name: value for name, value in row.items() if name != "study"} for row in rows if "said" not in row
            )
            if rows:
                title = f"Published: {_TITLES.get(study, study)}"
                source = table["source"] if numbers else table["source"].partition(":")[0] + "."
                about = " ".join(text[:1].upper() + text[1:] for text in [*said, source])
                found.append(Section(title=title, about=about, table=numbers, reference=True))
    return tuple(found)


_TITLES = {
    "quality": "FID and inception score", "ranks": "rank of the vector that was drawn from",
    "prior": "deep image prior", "drawn epochs": "decoders over epochs",
}  # fmt: skip
