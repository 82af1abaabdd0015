"""Progress on standard error, with counts, speed and time left: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Task as Bar
from rich.text import Text
from typing_extensions import override

SILENT: ContextVar[bool] = ContextVar("silent", default=False)
"""Whether nothing is shown, whoever asks for a bar."""
EVERY = 60.0
"""Seconds between two lines, where standard error is no terminal: a file, or a scheduler's log."""


class _Speed(ProgressColumn):
    """Pictures per second."""

    @override
    def render(self, task: Bar) -> Text:
        speed = task.finished_speed or task.speed
        unit = task.fields.get("unit", "pictures")
        return Text("" if speed is None else f"{speed:.{0 if speed >= 10 else 1}f} {unit}/s")


class ProgressLines(Progress):
    """Progress as lines of text, at most one every so many seconds.

    Args:
        columns: of a bar; those that are no bars make a line.
        every: seconds from one line to the next, and to the first.
        clock: seconds, from any beginning.
        console: where lines are printed.
    """

    def __init__(
        self,
        *columns: ProgressColumn,
        console: Console,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(*columns, console=console, get_time=clock, disable=True)
        self._every, self._clock, self._said = every, clock, clock()

    @override
    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._say(task_id)

    @override
    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._say(task_id)

    def _say(self, task_id: TaskID) -> None:
        if self._clock() - self._said < self._every:
            return
        self._said = self._clock()
        cells = [
            Text("left:") + Text(" ") + column(task) if isinstance(column, TimeRemainingColumn) else column(task)
            for task in self.tasks
            if task.id == task_id
            for column in self.columns
            if isinstance(column, ProgressColumn) and not isinstance(column, BarColumn)
        ]
        line = ", ".join(str(cell).strip() for cell in cells if str(cell).strip())
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)


def _shown(quiet: bool, *columns: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), *columns, TimeRemainingColumn())
    if quiet or SILENT.get():
        return Progress(*columns, console=console, disable=True)
    if not console.is_terminal:
        return ProgressLines(*columns, console=console)
    return Progress(*columns, console=console, transient=True)


def progress_bar(quiet: bool = False) -> Progress:
    """Return what shows counts, speed and time left of a job."""
    return _shown(quiet, MofNCompleteColumn(), _Speed())


def training_bar(quiet: bool) -> Progress:
    """Return what shows steps, loss and time left of a training."""
    return _shown(quiet, MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))


def transfer_bar(quiet: bool = False) -> Progress:
    """Return what shows bytes, speed and time left of a transfer."""
    return _shown(quiet, DownloadColumn(), TransferSpeedColumn())
