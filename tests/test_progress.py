"""Where standard error is no terminal, as in a scheduler's log, a long job says how it goes, and not too often."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from torchmultiverse.progress import ProgressLines, progress_bar, training_bar, transfer_bar


def test_lines_come_now_and_then_and_say_how_much_is_left() -> None:
    now, out = [0.0], io.StringIO()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressLines(*columns, console=Console(file=out), every=60, clock=lambda: now[0]) as progress:
        task = progress.add_task("probing the layers of timm:resnet18, one after the other", total=400)
        for _ in range(150):
            now[0] += 1
            progress.advance(task)
        progress.update(task, completed=160)
    first, second = out.getvalue().splitlines()
    assert first == "probing the layers of timm:resnet18, one after the other, 60/400, left: 0:05:40"
    assert second.endswith("120/400, left: 0:04:40")


@pytest.mark.parametrize("made", [progress_bar, training_bar, transfer_bar])
def test_a_short_job_says_nothing_where_nobody_looks(made, capfd: pytest.CaptureFixture[str]) -> None:
    with made(False) as progress:
        task = progress.add_task("a job", total=3, loss="")
        for _ in range(3):
            progress.advance(task)
    assert capfd.readouterr().err == ""
    assert not isinstance(made(True), ProgressLines)
