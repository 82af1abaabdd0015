"""Progress bars on standard error, with counts, speed and time left."""

from __future__ import annotations

from contextvars import ContextVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Task as Bar
from rich.text import Text
from typing_extensions import override

SILENT: ContextVar[bool] = ContextVar("silent", default=False)
"""Whether nothing is shown, whoever asks for a bar."""


def _hidden(quiet: bool, console: Console) -> bool:
    return quiet or SILENT.get() or not console.is_terminal


class _Speed(ProgressColumn):
    """Pictures per second."""

    @override
    def render(self, task: Bar) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} {task.fields.get('unit', 'pictures')}/s")


def progress_bar(quiet: bool = False) -> Progress:
    """Return a bar on standard error that shows counts, speed and time left; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=_hidden(quiet, console),
    )


def training_bar(quiet: bool) -> Progress:
    """Return a bar on standard error that shows steps and loss; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=_hidden(quiet, console),
    )


def transfer_bar(quiet: bool = False) -> Progress:
    """Return a bar on standard error that shows bytes, speed and time left; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=_hidden(quiet, console),
    )
