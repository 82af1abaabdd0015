"""How commands that make a study end: it is saved, becomes a page, and is told in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchmultiverse.cli.output import asked_format, for_people, place, print_table, say
from torchmultiverse.study import Cell, Section, Study
from torchmultiverse.tables import Column, Table, encode, interval, number, share

ROWS = (
    Column(("section",), "", unit="heading of the table"),
    Column(
        ("row",), "", unit="its columns and values; those that end in % are shares, 0 to 1; CSV has a column of each"
    ),
)
"""Keys of programs, for `tabular`: in JSON each line is an object of the columns of its own table."""
_MOST = 60
"""Lines of a table that people see in a terminal."""
_ENDS = ("low %", "high %"), ("low", "high")


def finish(study: Study, out: Path, seed: int) -> None:
    """Save a study with its provenance, write its page, and print what it found.

    Args:
        study: what was found.
        out: folder that is written.
        seed: of everything that was random.
    """
    from torchmultiverse.report import write_report

    study = with_provenance(study, seed)
    study.save(out)
    page = write_report(study, out)
    show_study(study)
    place("page", page)


def with_provenance(study: Study, seed: int) -> Study:
    """Return a study that says by which command, from which seed and with which packages it was made."""
    from torchmultiverse.resources import versions

    command = " ".join(["torchmultiverse", *sys.argv[1:]])  # argv[0] may be that of a module
    packages = ", ".join(f"{name} {version}" for name, version in versions(("torch", "timm")).items())
    return study.model_copy(update={"provenance": {"command": command, "seed": str(seed), "packages": packages}})


def show_study(study: Study) -> None:
    """Print the answer, the tables and the limits of a study; programs get the rows of all tables."""
    tables = [section for section in study.sections if section.table]
    if not for_people():
        _print_for_programs(tables)
        say(study.headline)
        return
    say(study.headline, "bold")
    for section in tables:
        say()
        say(section.title + (" (published, of other data and models)" if section.reference else ""), "bold")
        say(_table(section.table[:_MOST]))
        if len(section.table) > _MOST:
            say(f"  … and {len(section.table) - _MOST:,} more: on the page, and in its CSV", "dim")
    for note in study.notes:
        say(note, "dim")


def _print_for_programs(sections: Sequence[Section]) -> None:
    """Print all tables: in JSON rows within objects, in CSV one table of all columns, in Markdown one by one."""
    form = asked_format()
    if form == "md":
        for section in sections:
            sys.stdout.write(f"## {section.title}\n\n{encode([_table(section.table)], form)}\n")
        return
    if form == "csv":
        names = list(dict.fromkeys(name for section in sections for line in section.table for name in line))
        wide = Table([Column((key,), key) for key in ("section", *names)])
        for section in sections:
            for line in section.table:
                wide.add(section.title, *(line.get(name) for name in names))
        print_table(wide)
        return
    rows = Table(ROWS)
    for section in sections:
        for line in section.table:
            rows.add(section.title, dict(line))
    print_table(rows)


def _table(lines: Sequence[Mapping[str, Cell]]) -> Table:
    """Return a table of a section as a terminal shows it."""
    every = list(lines[0])
    within = {every[every.index(low) - 1]: (low, high) for low, high in _ENDS if low in every}
    names = [name for name in every if not any(name in ends for ends in _ENDS)]
    table = Table([_column(name, [line[name] for line in lines], within.get(name)) for name in names])
    for line in lines:
        table.add(*((line[n], *(line[end] for end in within[n])) if n in within else line[n] for n in names))
    return table


def _column(name: str, values: Sequence[Cell], ends: tuple[str, str] | None) -> Column:
    head = name.removesuffix(" %") + (", %" if name.endswith("%") else "")
    if ends is not None and ends[0].endswith("%"):
        return interval(name, head)
    if ends is not None:
        return Column((name, *ends), head, _numbers)
    if any(isinstance(value, str) for value in values):
        return Column((name,), head, str, right=False)  # words, and numbers among them
    if name.endswith(" %"):
        return share(name, head)
    return number(name, head, ",.3g" if any(isinstance(value, float) for value in values) else ",")


def _numbers(value: float, low: float | None, high: float | None) -> str:
    return f"{value:,.3g}" + ("" if low is None or high is None else f" [{low:,.3g}, {high:,.3g}]")
