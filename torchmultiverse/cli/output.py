"""What commands print: consoles, tables, numbers and JSON files.

A console is made when something is printed, so that its width and stream are those of that moment, whatever was
imported before. Text is never read as markup: a name in brackets is shown as it is.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from torchmultiverse.progress import SILENT
from torchmultiverse.tables import Column, Table, encode

if TYPE_CHECKING:
    from PIL.Image import Image

    from torchmultiverse.documents import Document

TableFormat = Literal["table", "json", "csv", "md"]
"""How a command prints its table: for people; a list of objects; comma-separated values; Markdown."""
_FORMAT: ContextVar[TableFormat] = ContextVar("format", default="table")
WIDE = 1_000_000
"""Columns where the output is no terminal: nothing is wrapped or cut."""
STATES = {"ok": "green", "note": "yellow", "fails": "red"}
"""Colours of the states of a check."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output or standard error as they are now."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = WIDE
    return made


@contextmanager
def printing(form: TableFormat) -> Iterator[None]:
    """Let the tables of a command be printed in a format; other than "table", all else goes to standard error."""
    token = _FORMAT.set(form)
    try:
        yield
    finally:
        _FORMAT.reset(token)


def for_people() -> bool:
    """Tell whether people read standard output, not a program."""
    return _FORMAT.get() == "table"


def asked_format() -> TableFormat:
    """Return the format that was asked for."""
    return _FORMAT.get()


def print_table(*tables: Table, people: RenderableType | None = None) -> None:
    """Print the tables of a command, which have the same columns, in the format that was asked for.

    Programs get one list. People get ``people`` if it is given, which is empty where they saw the tables before; else
    one after the other, each below its title, and none that is empty.
    """
    if not for_people():
        sys.stdout.write(encode(tables, _FORMAT.get()))
        return
    if people is not None:
        if people:
            say(people)
        return
    for table in tables:
        if table.title:
            say(table.title)
        if table.rows:
            say(table)


def say(what: RenderableType = "", style: str | None = None) -> None:
    """Print what people read; lines of text end where they end, not where the terminal does.

    It goes to standard output, unless that is for a program: then to standard error, where it may be silenced.
    """
    if SILENT.get() and not for_people():
        return
    to = console(stderr=not for_people())
    to.print(what, style=style, soft_wrap=isinstance(what, str | Text))


def say_more(count: int, top: int) -> None:
    """Say how many rows are not shown."""
    if count > top:
        warn(f"[dim]  … and {count - top:,} more; all: --top {count}[/]")


def warn(what: str) -> None:
    """Print a line to standard error, unless it is silenced."""
    if SILENT.get():
        return
    console(stderr=True).print(what, soft_wrap=True)


def fail(message: str) -> None:
    """Print an error to standard error."""
    console(stderr=True).print(Text.assemble(("error:", "bold red"), f" {message}"), soft_wrap=True)


def title(head: str, rest: str = "") -> None:
    """Print a line that begins with something bold."""
    say(Text.assemble((head, "bold"), rest))


@contextmanager
def working(what: str) -> Iterator[Callable[[str, bool], None]]:
    """Show what is being done, and yield what is told of each step and whether it takes long.

    On a terminal the steps replace each other; elsewhere, such as in a log, those that take long are a line each.
    """
    to = console(stderr=True)
    if SILENT.get():
        yield lambda step, long: None
    elif not to.is_terminal:
        yield lambda step, long: warn(step) if long else None
    else:
        with to.status(what) as status:
            yield lambda step, long: status.update(step)


def place(kind: str, path: str | Path) -> None:
    """Print what was made and where it is; a page by an address that a terminal opens."""
    where = Path(path).resolve().as_uri() if kind == "page" else str(path)
    say(f"{kind:8} {where}")


def difference(key: str, head: str | None = None, noun: str = "", signed: bool = True) -> Column:
    """Return a column of differences of shares, with their 95 % intervals and the independent groups behind them.

    Without a noun for the groups each cell has its own, last.
    """

    def form(mean: float, low: float, high: float, groups: int, of: str = noun) -> str:
        from torchmultiverse.stats import format_difference

        return format_difference(mean, low, high, groups, of, signed)

    unit = "difference of shares, -1 to 1, the ends of its 95 % interval, and the independent groups behind it"
    keys = (key, f"{key}_low", f"{key}_high", f"{key}_groups")
    named = keys if noun else (*keys, f"{key}_grouped")
    return Column(named, key.replace("_", " ") if head is None else head, form, unit)


def factor(key: str = "factor", head: str | None = None) -> Column:
    """Return a column of names of factors; people read them as they say them."""

    def form(name: str) -> str:
        from torchmultiverse.evaluation import plain

        return plain(name)

    return Column((key,), key if head is None else head, form, right=False)


def level(key: str = "level") -> Column:
    """Return a column of levels of any factor; people read the names of those that have one."""

    def form(found: str) -> str:
        from torchmultiverse.scenes import level_name

        return level_name(found)

    return Column((key,), key.replace("_", " "), form, right=False)


def percent(value: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * value:+.1f}"


def interval(value: float, low: float, high: float) -> str:
    """Return a share and its interval in points."""
    return f"{100 * value:z.1f} [{100 * low:z.1f}, {100 * high:z.1f}]"


def p_value(value: float) -> str:
    """Return a p-value; very small ones as a bound."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def check_image_file(path: Path | None, option: str = "--out") -> None:
    """Refuse a name that no picture can be written to, before the picture is made.

    Raises:
        typer.BadParameter: it does not end as a picture's name does, or is a folder's.
    """
    from torchmultiverse.store import SHEET_SUFFIXES

    if path is not None and path.suffix.lower() not in SHEET_SUFFIXES:
        raise typer.BadParameter(f"{path}: it should end in {', '.join(SHEET_SUFFIXES)}", param_hint=option)
    if path is not None and path.is_dir():
        raise typer.BadParameter(f"{path} is a folder", param_hint=option)


def save_image(path: Path, image: Image) -> None:
    """Write a picture, whole or not at all, in the format that its name says; its folder is made.

    Raises:
        DatasetError: it cannot be written there.
    """
    from PIL import Image as formats

    from torchmultiverse.errors import DatasetError
    from torchmultiverse.files import write_atomic

    buffer = io.BytesIO()
    image.save(buffer, formats.registered_extensions()[path.suffix.lower()])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, buffer.getvalue())
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None


def save_document(path: Path | None, document: Document) -> None:
    """Write a record; nothing where there is no path.

    Raises:
        typer.BadParameter: the path is not that of a JSON file.
    """
    if path is None:
        return
    if path.suffix != ".json":
        raise typer.BadParameter(f"{path}: a name that ends in .json is needed", param_hint="--save")
    document.save(path)


def save_json(path: Path | None, what: Any) -> None:
    """Write something as JSON, whole or not at all; nothing where there is no path. What is not finite is null."""
    if path is None:
        return
    from torchmultiverse.files import write_atomic

    finite = json.loads(json.dumps(what, default=str), parse_constant=lambda _: None)
    write_atomic(path, (json.dumps(finite, indent=1) + "\n").encode())
