"""The leaderboard: tasks down, models across, best first; a view of the long table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from torchmultiverse.evaluation.result import AVERAGE, Result

_BESIDE = 3  # models beside each other on a terminal


@dataclass(frozen=True)
class LeaderboardRow:
    """One row of the leaderboard.

    Attributes:
        task, setting, metric: where in the long table it is from.
        title: for people.
        chance: accuracy of a blind guess.
        cells: the long table's cell of each model that was asked.
    """

    task: str
    setting: str
    metric: str
    title: str
    chance: float
    cells: dict[str, dict[str, Any]]


def ranked(result: Result) -> list[str]:
    """Return the models, best average first; without an average, by the first line."""
    board = leaderboard_rows(result)
    key = next((line for line in board if line.task == AVERAGE), board[0] if board else None)
    if key is None:
        return result.models
    return sorted(result.models, key=lambda m: -key.cells[m]["accuracy"] if m in key.cells else 1.0)


_METRICS = {
    "hard_negative": ": hard negative", "top5": ": among the best five", "winoground_text": ", text",
    "winoground_image": ", image", "winoground_group": ", group",
}  # fmt: skip


def task_title(result: Result, task: str, metric: str = "top1", setting: str = "all") -> str:
    """Return what a task is called for people."""
    facts = result.task(task)
    title = facts.title if setting == "all" else f"{facts.title}, {setting}"
    return title if metric == facts.metric else title + _METRICS.get(metric, "")


def leaderboard_rows(result: Result) -> list[LeaderboardRow]:
    """Return the rows: each task once, all its settings pooled, captions without the world; the average last."""
    found: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for cell in result.cells(factor="all", scope="plain"):
        key = (cell["task"], cell["metric"], cell["setting"])
        found.setdefault(key, {})[cell["model"]] = cell
    # A task split into settings has a line that pools them, except where settings are readings of one answer.
    pooled = {(task, metric) for task, metric, setting in found if setting == "all"}
    board = []
    for (task, metric, setting), cells in found.items():
        if setting != "all" and (task, metric) in pooled:
            continue
        only = sum(1 for t, m, _ in found if (t, m) == (task, metric)) == 1
        title = task_title(result, task, metric, "all" if only and not result.task(task).readings else setting)
        board.append(LeaderboardRow(task, setting, metric, title, next(iter(cells.values()))["chance"], cells))
    return sorted(board, key=lambda line: line.task == AVERAGE)


def percent(value: float) -> str:
    """Return an accuracy as people read it."""
    return f"{100 * value:.1f}"


def leaderboard(result: Result) -> Group:
    """Return the leaderboard for a terminal: accuracy in percent, 95 % interval, and chance."""
    board, models = leaderboard_rows(result), ranked(result)
    tables: list[Any] = []
    for block in _blocks(models):
        table = Table(title=None, box=None, padding=(0, 2), header_style="bold")
        table.add_column("task", max_width=34)
        for model in block:
            table.add_column(model, justify="right")
        table.add_column("chance", justify="right", style="dim")
        table.add_column("n", justify="right", style="dim")
        for line in board:
            if line.task == AVERAGE:
                table.add_section()
            best = max(cell["accuracy"] for cell in line.cells.values())
            table.add_row(
                line.title,
                *(_cell(line.cells.get(model), best) for model in block),
                percent(line.chance),
                str(max(cell["n"] for cell in line.cells.values())),
                style="bold" if line.task == AVERAGE else None,
            )
        tables.append(table)
    dataset = result.provenance.dataset
    head = Text(
        f"{dataset.name}, {dataset.images} images; accuracy in %, 95 % interval in brackets, "
        "[a number in green is above chance]",
        style="dim",
    )
    return Group(head, *tables, *(Text(note, style="dim") for note in result.provenance.notes))


def _blocks(models: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(models), _BESIDE):
        yield models[start : start + _BESIDE]


def _cell(cell: dict[str, Any] | None, best: float) -> Text:
    if cell is None:
        return Text("–", style="dim")
    text = Text(percent(cell["accuracy"]), style="green" if cell["low"] > cell["chance"] else "")
    text.append(f" [{percent(cell['low'])}, {percent(cell['high'])}]", style="dim")
    return text
