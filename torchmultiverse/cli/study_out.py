"""How commands that make a study end: it is saved, becomes a page, and is told in the terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchmultiverse.cli.output import asked_format, for_people, place, print_table, say
from torchmultiverse.study import Cell, Section, Study, interval_columns, machine_lines
from torchmultiverse.tables import Column, Table, encode, interval, number, share

ROWS = (
    Column(("section",), "", unit="heading of the table"),
    Column(
        ("row",),
        "",
        unit="the columns of that table: shares 0 to 1, X_low and X_high the ends of the 95 % interval "
        "of X; CSV has a column of each",
    ),
)
"""Keys of programs, for `tabular`: in JSON each line is an object of the columns of its own table."""
_MOST = 60
"""Lines of a table that people see in a terminal."""
_MOST_REFERENCE = 5
"""Of published ones: they are the same for everybody."""


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
    if not for_people():
        _print_for_programs([section for section in study.sections if section.table])
        say(study.headline)
        return
    say(study.headline, "bold")
    for section in study.sections:
        say()
        if not section.table:
            say(_without_table(section), "dim")
            continue
        say(section.title + (" (published, of other data and models)" if section.reference else ""), "bold")
        most = _MOST_REFERENCE if section.reference else _MOST
        say(_table(section.table[:most]))
        if len(section.table) > most:
            say(f"  … and {len(section.table) - most:,} more: on the page, and in its CSV", "dim")
    for note in study.notes:
        say(note, "dim")


def _without_table(section: Section) -> str:
    """Return the line of a section that has no table: where it is shown, or why there is nothing to show."""
    shown = [name for name, some in (("charts", section.charts), ("pictures", section.pictures)) if some]
    why = section.about if not shown else f"{' and '.join(shown)} on the page"
    return f"{section.title}: {re.split(r'(?<=[.]) ', why)[0] if not shown else why}"


def _print_for_programs(sections: Sequence[Section]) -> None:
    """Print all tables: in JSON rows within objects, in CSV one table of all columns, in Markdown one by one."""
    form = asked_format()
    if form == "md":
        for section in sections:
            sys.stdout.write(f"## {section.title}\n\n{encode([_table(section.table)], form)}\n")
        return
    if form == "csv":
        lines = [(section.title, line) for section in sections for line in machine_lines(section.table)]
        names = list(dict.fromkeys(name for _, line in lines for name in line if name != "section"))
        wide = Table([Column((key,), key) for key in ("section", *names)])
        for title, line in lines:
            wide.add(title, *(line.get(name) for name in names))
        print_table(wide)
        return
    rows = Table(ROWS)
    for section in sections:
        for line in machine_lines(section.table):
            rows.add(section.title, line)
    print_table(rows)


def _table(lines: Sequence[Mapping[str, Cell]]) -> Table:
    """Return a table of a section as a terminal shows it."""
    every = list(lines[0])
    within = interval_columns(every)
    names = [name for name in every if not any(name in ends for ends in within.values())]
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
