"""Progress on standard error: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from torchmultiverse.progress import SILENT

_LINE_SECONDS = 5.0


class Tick(Protocol):
    """Called after every scene."""

    def __call__(self, found: int, rendered: int, failed: int) -> None:
        """Take how many rows were there before, how many were rendered now, and how many failed."""
        ...


@contextlib.contextmanager
def progress(name: str, total: int, show: bool, console: Console | None = None) -> Iterator[Tick]:
    """Show how a run goes.

    Args:
        name: of the dataset.
        total: pictures of the whole dataset.
        show: whether anything is shown.
        console: where; default: standard error.
    """
    console = console or Console(stderr=True)
    start = time.perf_counter()

    def rate(rendered: int) -> float:
        return rendered / max(time.perf_counter() - start, 1e-9)

    if not show or SILENT.get():
        yield lambda found, rendered, failed: None
    elif not console.is_terminal:
        last = start

        def line(found: int, rendered: int, failed: int) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last < _LINE_SECONDS:
                return
            last = now
            left = (
                f"{(total - found - rendered - failed) / rate(rendered):.0f} s left" if rendered else "no picture yet"
            )
            console.print(
                f"{name}: {found + rendered}/{total}, {rate(rendered):.1f} pictures/s, {failed} failed, {left}",
                markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip

        yield line
    else:
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
        )  # fmt: skip
        with Progress(*columns, console=console) as bars:
            task = bars.add_task(escape(name), total=total, count=f"0/{total}", rate="", failed="")

            def tick(found: int, rendered: int, failed: int) -> None:
                bars.update(
                    task, completed=found + rendered + failed, count=f"{found + rendered}/{total}",
                    rate=f"{rate(rendered):.1f} pictures/s" if rendered else "starting",
                    failed=f"[red]{failed} failed" if failed else "",
                )  # fmt: skip

            yield tick
