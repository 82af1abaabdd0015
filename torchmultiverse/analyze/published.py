"""Published numbers and trends of layers and of decoders, to stand beside one's own: of other data, never mixed."""

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
