"""Tables: rows of values, whose columns say how people read them and under which keys programs do.

A cell holds what was found, not text: the column makes text of it for people, and programs get the value itself.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as Grid
from rich.text import Text

_NONE = "–"
_GAPS = (2, 1)
"""Blanks on both sides of a column: where there is room, and where there is little."""
_NARROW = 12
"""Characters below which a column of text is not narrowed; longer words are folded, never cut."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        keys: of the values of a cell, in JSON and CSV; a cell of several is a tuple.
        head: for people; empty: only programs get the column.
        form: makes text of the values of a cell, for people.
        unit: of the values; ``""`` for words.
        right: whether people read it aligned to the right, on one line.
    """

    keys: tuple[str, ...]
    head: str
    form: Callable[..., str | Text] = str
    unit: str = ""
    right: bool = True

    def values(self, cell: Any) -> tuple[Any, ...]:
        """Return the values of a cell, as many as there are keys."""
        if len(self.keys) == 1:
            return (cell,)
        found = (None,) * len(self.keys) if cell is None else tuple(cell)
        if len(found) != len(self.keys):
            raise ValueError(f"{len(found)} values for the keys {', '.join(self.keys)}")
        return found

    def text(self, cell: Any) -> str | Text:
        """Return what people read."""
        values = self.values(cell)
        if values[0] is None or (isinstance(values[0], float) and math.isnan(values[0])):
            return _NONE
        return self.form(*values)


def text(key: str, head: str | None = None) -> Column:
    """Return a column of words; a list of them is read with commas."""
    return Column((key,), _head(key, head), lambda v: v if isinstance(v, str) else ", ".join(map(str, v)), right=False)


def number(key: str, head: str | None = None, form: str = ",", unit: str = "count") -> Column:
    """Return a column of numbers in a unit; ``form`` is the format of Python that people read."""
    return Column((key,), _head(key, head), lambda v: format(v, form), unit)


def share(key: str, head: str | None = None, signed: bool = False, digits: int = 1) -> Column:
    """Return a column of shares, 0 to 1, or of their differences; people read percent or points, of so many digits."""
    unit = "difference of shares, -1 to 1" if signed else "share, 0 to 1"
    return Column((key,), _head(key, head), lambda v: f"{100 * v:{'+' if signed else ''}.{digits}f}", unit)


def interval(key: str, head: str | None = None) -> Column:
    """Return a column of shares with the ends of their 95 % intervals."""
    unit = "share, 0 to 1, and the ends of its 95 % interval"
    return Column((key, f"{key}_low", f"{key}_high"), _head(key, head), _interval, unit)


def _interval(value: float, low: float | None, high: float | None) -> str:
    ends = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * value:.1f}{ends}"


def p_value(key: str = "p", head: str | None = None) -> Column:
    """Return a column of p-values; people read very small ones as a bound."""
    return Column((key,), _head(key, head), lambda v: "< 0.001" if v < 0.001 else f"{v:.3f}", "probability, 0 to 1")


def column_in_words(name: str) -> str:
    """Return a column's name as people say it; that of deeper folders stays as options take it.

    >>> column_in_words("world_name"), column_in_words("folder_2")
    ('world name', 'folder_2')
    """
    return name if name.removeprefix("folder_").isdecimal() else name.replace("_", " ")


def _head(key: str, head: str | None) -> str:
    return key.replace("_", " ") if head is None else head


class Table:
    """Rows under columns.

    Args:
        columns: what each cell of a row means.
        title: a line above it, for people.
        heads: headings that are known now alone, by the first key.

    >>> table = Table([text("model"), number("images"), interval("accuracy")])
    >>> table.add("timm:resnet50", 1200, (0.5, 0.47, 0.53))
    >>> print(encode([table], "csv"), end="")
    model,images,accuracy,accuracy_low,accuracy_high
    timm:resnet50,1200,0.5,0.47,0.53
    >>> print(encode([table], "md"), end="")
    | model | images | accuracy |
    | :--- | ---: | ---: |
    | timm:resnet50 | 1,200 | 50.0 [47.0, 53.0] |
    """

    def __init__(
        self, columns: Sequence[Column], title: Text | str = "", heads: Mapping[str, str] | None = None
    ) -> None:
        self.columns = tuple(columns)
        self.title = title
        self.heads = {column.keys[0]: column.head for column in columns} | dict(heads or {})
        self.rows: list[tuple[Any, ...]] = []
        self._styles: list[str | None] = []

    def add(self, *cells: Any, style: str | None = None) -> None:
        """Add a row: for each column a value, values for all its keys, or None where there is none.

        Raises:
            ValueError: there are more or fewer cells than columns, or values than keys.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        for column, cell in zip(self.columns, cells, strict=True):
            column.values(cell)
        self.rows.append(cells)
        self._styles.append(style)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as programs read them: all keys, whole precision, None for what is not there."""
        return [
            {
                key: _plain(value)
                for column, cell in zip(self.columns, row, strict=True)
                for key, value in zip(column.keys, column.values(cell), strict=True)
            }
            for row in self.rows
        ]

    def lines(self) -> tuple[list[str], list[list[str | Text]], list[bool]]:
        """Return headings and rows as people read them, and which columns are aligned to the right."""
        shown = [k for k, column in enumerate(self.columns) if self.heads[column.keys[0]]]
        heads = [self.heads[self.columns[k].keys[0]] for k in shown]
        rows = [[self.columns[k].text(row[k]) for k in shown] for row in self.rows]
        return heads, rows, [self.columns[k].right for k in shown]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads, rows, right = self.lines()
        fitting = ((gap, _widths(heads, rows, right, options.max_width - 2 * gap * len(heads))) for gap in _GAPS)
        gap, widths = next((found for found in fitting if found[1] is not None), (0, None))
        if widths is None:
            yield from self._stacked(heads, rows)
            return
        grid = Grid(box=None, padding=(0, gap), header_style="bold")
        for head, aligned, width in zip(heads, right, widths, strict=True):
            grid.add_column(Text(head), justify="right" if aligned else "left", width=width, overflow="fold")
        for row, style in zip(rows, self._styles, strict=True):
            grid.add_row(*(Text(c) if isinstance(c, str) else c for c in row), style=style)
        yield grid

    def _stacked(self, heads: list[str], rows: list[list[str | Text]]) -> Iterable[Text]:
        """Yield a line for each cell: for a terminal in which the columns do not fit beside each other."""
        widest = max(map(cell_len, heads))
        for k, (row, style) in enumerate(zip(rows, self._styles, strict=True)):
            if k:
                yield Text("")
            for head, cell in zip(heads, row, strict=True):
                pad = " " * (widest - cell_len(head))
                yield Text.assemble((head + pad, "bold"), "  ", cell, style=style or "", overflow="fold")


def encode(tables: Sequence[Table], form: str) -> str:
    """Return tables of the same columns as one text: ``json``, a list of objects; ``csv``; or ``md``, for people.

    JSON and CSV hold all keys and whole numbers; Markdown holds what a terminal shows.
    """
    records = [record for table in tables for record in table.records()]
    keys = [key for column in tables[0].columns for key in column.keys]
    if form == "json":
        return json.dumps(records, indent=1, ensure_ascii=False) + "\n"
    if form == "csv":
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(keys)
        writer.writerows([[_field(record[key]) for key in keys] for record in records])
        return file.getvalue()
    return "\n".join(map(_markdown, tables))


def _markdown(table: Table) -> str:
    heads, rows, right = table.lines()
    lines: list[Sequence[str | Text]] = [heads, ["---:" if aligned else ":---" for aligned in right], *rows]
    shown = ["| " + " | ".join(_cell(str(cell)) for cell in line) + " |\n" for line in lines]
    return (f"{table.title}\n\n" if table.title else "") + "".join(shown)


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _field(value: Any) -> Any:
    """Return a value as CSV holds it: lists and names with semicolons, nothing for None, truth as JSON writes it."""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        value = [f"{name}={_field(one)}" for name, one in value.items()]
    return "; ".join(map(str, value)) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: a number that is not finite is None."""
    if hasattr(value, "item"):  # a number of NumPy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _widths(heads: list[str], rows: list[list[str | Text]], right: list[bool], room: int) -> list[int] | None:
    """Return the width of each column: what it needs if there is room, else words are folded; None if that fails.

    Numbers stay on one line; headings are broken between their words, and long words are folded.
    """
    cells = [max((cell_len(str(row[k])) for row in rows), default=0) for k in range(len(heads))]
    words = [max(map(cell_len, head.split()), default=0) for head in heads]
    need = [max(cell, cell_len(head)) for cell, head in zip(cells, heads, strict=True)]
    least = [
        max(min(word, _NARROW), cell if aligned else min(cell, _NARROW))
        for word, cell, aligned in zip(words, cells, right, strict=True)
    ]
    if sum(least) > room:
        return None
    while (over := sum(need) - room) > 0:  # the widest one that can be narrowed, down to the next
        k = max((k for k in range(len(need)) if need[k] > least[k]), key=need.__getitem__)
        lower = [n for n in need if n < need[k]]
        need[k] = max(least[k], need[k] - over, min(need[k] - 1, max(lower, default=0)))
    return need
