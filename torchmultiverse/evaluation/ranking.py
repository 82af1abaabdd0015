"""The leaderboard: tasks down, models across, best first; a view of the long table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from torchmultiverse.evaluation.result import AVERAGE, Result
from torchmultiverse.tables import Column, Table, number, share, text


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
    "hard_negative": ": hard negative", "top5": ": among the best five", "winoground_text": ", text", "choice": "",
    "winoground_image": ", image", "winoground_group": ", group",
}  # fmt: skip


def task_title(result: Result, task: str, metric: str = "top1", setting: str = "all") -> str:
    """Return what a task is called for people."""
    facts = result.task(task)
    title = facts.title if setting == "all" else f"{facts.title}, {setting}"
    return title if metric == facts.metric else title + _METRICS.get(metric, "")


def leaderboard_rows(result: Result, pool: bool = True) -> list[LeaderboardRow]:
    """Return the rows: each task once, all its settings pooled, captions without the world; the average last.

    Without ``pool`` each setting has a row of its own, besides that of all.
    """
    found: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for cell in result.cells(factor="all", scope="plain"):
        key = (cell["task"], cell["metric"], cell["setting"])
        found.setdefault(key, {})[cell["model"]] = cell
    # A task split into settings has a line that pools them, except where settings are readings of one answer.
    pooled = {(task, metric) for task, metric, setting in found if setting == "all"}
    board = []
    for (task, metric, setting), cells in found.items():
        if pool and setting != "all" and (task, metric) in pooled:
            continue
        only = sum(1 for t, m, _ in found if (t, m) == (task, metric)) == 1
        title = task_title(result, task, metric, "all" if only and not result.task(task).readings else setting)
        board.append(LeaderboardRow(task, setting, metric, title, next(iter(cells.values()))["chance"], cells))
    return sorted(board, key=lambda line: line.task == AVERAGE)


def percent(value: float) -> str:
    """Return an accuracy as people read it."""
    return f"{100 * value:z.1f}"


@dataclass(frozen=True)
class Leaderboard:
    """The leaderboard of a result, for people: accuracy in percent, 95 % interval, and chance.

    Models stand beside each other, as many as there is room for.
    """

    result: Result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        dataset = self.result.provenance.dataset
        yield Text(
            f"{dataset.name}, {dataset.images} images; accuracy in %, 95 % interval in brackets"
            + ("; green is above chance" if console.color_system and not console.no_color else ""),
            style="dim",
        )
        board, models = leaderboard_rows(self.result), ranked(self.result)
        beside = max((options.max_width - _LEFT) // _MODEL, 1)
        for start in range(0, len(models), beside):
            yield _block(board, models[start : start + beside])
        for note in self.result.provenance.notes:
            yield Text(note, style="dim")


def leaderboard(result: Result) -> Leaderboard:
    """Return the leaderboard, to be printed by `rich`."""
    return Leaderboard(result)


_LEFT, _MODEL = 42, 22
"""Characters that a terminal needs for tasks, chance and numbers of images; and for a model."""


def _block(board: list[LeaderboardRow], models: list[str]) -> Table:
    columns = [Column((model,), model, _cell) for model in models]
    table = Table([text("task"), *columns, share("chance"), number("n")])
    for line in board:
        n = max(cell["n"] for cell in line.cells.values())
        style = "bold" if line.task == AVERAGE else None
        table.add(line.title, *map(line.cells.get, models), line.chance, n, style=style)
    return table


def _cell(cell: dict[str, Any]) -> Text:
    shown = Text(percent(cell["accuracy"]), style="green" if cell["low"] > cell["chance"] else "")
    return shown.append(f" [{percent(cell['low'])}, {percent(cell['high'])}]", style="dim")
