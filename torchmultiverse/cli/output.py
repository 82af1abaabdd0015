"""What commands print: consoles, tables, numbers and JSON files.

A console is made when something is printed, so that its width and stream are those of that moment, whatever was
imported before. Text is never read as markup: a name in brackets is shown as it is.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from torchmultiverse.documents import Document

WIDE = 240
"""Columns where the output goes to a file or a pipe and ``$COLUMNS`` does not say how many."""
STATES = {"ok": "green", "note": "yellow", "fails": "red"}
"""Colours of the states of a check."""


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output or standard error as they are now."""
    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = WIDE
    return made


def say(what: RenderableType = "", style: str | None = None) -> None:
    """Print to standard output; lines of text end where they end, not where the terminal does."""
    console().print(what, style=style, soft_wrap=isinstance(what, str | Text))


def warn(what: str) -> None:
    """Print a line to standard error."""
    console(stderr=True).print(what, soft_wrap=True)


def fail(message: str) -> None:
    """Print an error to standard error."""
    console(stderr=True).print(Text.assemble(("error:", "bold red"), f" {message}"), soft_wrap=True)


def title(head: str, rest: str = "") -> None:
    """Print a line that begins with something bold."""
    say(Text.assemble((head, "bold"), rest))


def finding(state: str, text: str, indent: str = "") -> None:
    """Print one finding of a check: ``ok``, ``note`` or ``fails``, and what was found."""
    say(Text.assemble(indent, (f"{state:5}", STATES[state]), f" {text}"))


def place(kind: str, path: str | Path) -> None:
    """Print what was made and where it is; a page by an address that a terminal opens."""
    where = Path(path).resolve().as_uri() if kind == "page" else str(path)
    say(f"{kind:8} {where}")


def table(*columns: str) -> Table:
    """Return an empty table."""
    return Table(*columns, box=None, padding=(0, 2), header_style="bold")


def percent(value: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{100 * value:+.1f}"


def interval(value: float, low: float, high: float) -> str:
    """Return a share and its interval in points."""
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def p_value(value: float) -> str:
    """Return a p-value; very small ones as a bound."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


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
