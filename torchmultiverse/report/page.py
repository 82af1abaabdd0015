"""The report: one static HTML page, a pure function of a result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pyarrow.compute as pc
from markupsafe import Markup

from torchmultiverse.evaluation import (
    LeaderboardRow,
    Result,
    chosen_rows,
    data_uri,
    leaderboard_rows,
    percent,
    ranked,
    task_title,
)
from torchmultiverse.paths import component
from torchmultiverse.report import svg
from torchmultiverse.report.findings import findings
from torchmultiverse.report.level_curve import level_curve
from torchmultiverse.report.tables import comma_separated, latex, markdown
from torchmultiverse.report.templates import breakable, template
from torchmultiverse.scenes import FACTORS, OWN, axis_title, in_level_order, level_name, unit_of

_PREFIX = re.compile(r"^This is a photo (of )?")


def evaluation_tables(result: Result) -> dict[str, str]:
    """Return the leaderboard as markdown and LaTeX, and the whole long table as CSV, by file name."""
    return {
        "leaderboard.md": markdown(result), "leaderboard.tex": latex(result), "results.csv": comma_separated(result)
    }  # fmt: skip


def evaluation_page(result: Result) -> str:
    """Return the page of an evaluation: a pure function of its result."""
    models = ranked(result)
    board = leaderboard_rows(result)
    gallery = list(_gallery(result, models))
    page: str = template("page.html.j2", plain=plain, level=level_name, axis=axis_title, unit=unit_of).render(
        result=result,
        provenance=result.provenance,
        dataset=result.provenance.dataset.model_dump(),
        facts={model.name: model.model_dump() for model in result.provenance.models},
        models=[(index, name, svg.legend_mark(index)) for index, name in enumerate(models)],
        axis=svg.axis(),
        board=[_row(line, models, _question(result, line)) for line in board],
        headline=headline(board, models),
        breakdowns=_breakdowns(result, models),
        findings=findings(result, models),
        gallery=gallery,
        opened=_opened([key for key, *_ in gallery]),
        table=[_texts(cell) for cell in result.table.to_pylist()],
    )
    return page


def plain(caption: str) -> str:
    """Return a caption without the words that all captions share."""
    return _PREFIX.sub("", caption)


def headline(board: Sequence[LeaderboardRow], models: Sequence[str]) -> str:
    """Return the finding in a sentence or two."""
    if not board:
        return ""
    line = next((line for line in board if line.task == "average"), board[0])
    known = [model for model in models if model in line.cells]
    best = line.cells[known[0]]
    count = len(board) - 1
    what = (
        f"on average over {count} task{'s' if count != 1 else ''}" if line.task == "average" else f"on “{line.title}”"
    )
    text = f"“{known[0]}” is right {percent(best['accuracy'])}\N{NO-BREAK SPACE}% of the time {what}; guessing gives "
    text += f"{percent(line.chance)}\N{NO-BREAK SPACE}%."
    tied = [model for model in known[1:] if line.cells[model]["high"] >= best["low"]]
    if tied:
        text += f" Its interval overlaps with that of “{'”, “'.join(tied)}”: they may be equally good."
    asked = [one for one in board if one.task != "average"]
    at_chance = [m for m in known if not any(_above(one.cells[m]) for one in asked if m in one.cells)]
    if at_chance:
        text += f" “{'”, “'.join(at_chance)}”: above chance in no task."
    return text


@dataclass(frozen=True)
class _ChartRow:
    """One row of a chart with its numbers."""

    title: str
    question: str
    chart: Markup
    cells: list[dict[str, Any] | None]
    chance: float
    n: int
    average: bool = False
    link: str = ""


def _above(cell: dict[str, Any]) -> bool:
    return bool(cell["low"] > cell["chance"])


def _row(line: LeaderboardRow, models: Sequence[str], question: str) -> _ChartRow:
    cells = [line.cells.get(model) for model in models]
    best = max(cell["accuracy"] for cell in line.cells.values())
    shown = [
        None if cell is None else {**cell, "best": cell["accuracy"] == best, "above": _above(cell)} for cell in cells
    ]
    return _ChartRow(
        line.title,
        question,
        svg.dots([(index, name, line.cells.get(name)) for index, name in enumerate(models)], line.chance),
        shown,
        line.chance,
        max(cell["n"] for cell in line.cells.values()),
        line.task == "average",
    )


def _question(result: Result, line: LeaderboardRow) -> str:
    if line.metric == "hard_negative":
        return "The true caption, or its twin with the answer swapped?"
    return result.task(line.task).question


@dataclass(frozen=True)
class _Breakdown:
    """One task, broken down by one factor."""

    factor: str
    rows: list[_ChartRow]
    curve: Markup | None = None


def _breakdowns(result: Result, models: Sequence[str]) -> list[tuple[str, list[_Breakdown]]]:
    """Return, for every line of the leaderboard in its order, its settings and its factors."""
    by_key: dict[tuple[str, str, str], dict[str, dict[str, dict[str, Any]]]] = {}
    board = {(line.task, line.metric): line for line in leaderboard_rows(result)}
    for cell in result.cells(scope="plain"):
        line = board.get((cell["task"], cell["metric"]))
        if line is None or cell["task"] == "average":
            continue
        if cell["factor"] == "all" and cell["setting"] != "all" and not result.task(cell["task"]).readings:
            key, level = (cell["task"], cell["metric"], "setting"), cell["setting"]
        elif cell["factor"] != "all" and cell["setting"] == line.setting:
            key, level = (cell["task"], cell["metric"], cell["factor"]), cell["level"]
        else:
            continue
        by_key.setdefault(key, {}).setdefault(level, {})[cell["model"]] = cell
    groups: dict[tuple[str, str], list[_Breakdown]] = {key: [] for key in board}
    for (task, metric, factor), levels in by_key.items():
        if len(levels) < 2:
            continue
        levels = _in_order(levels)
        rows = [
            replace(
                _row(
                    LeaderboardRow(
                        task, "all", metric, level_name(level, factor), next(iter(cells.values()))["chance"], cells
                    ),
                    models,
                    "",
                ),
                link=_link(result, task, metric, factor, level),
            )
            for level, cells in levels.items()
        ]
        groups[task, metric].append(_Breakdown(axis_title(factor), rows, _curve(factor, levels, models)))
    return [(task_title(result, *key), found) for key, found in groups.items() if found]


def _curve(factor: str, levels: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> Markup | None:
    """Return accuracy over the numbers of a condition; ``None`` where there are fewer than three, or words."""
    numbers = [level for level in levels if level != OWN]
    if factor not in FACTORS or not FACTORS[factor].group or len(numbers) < 3 or not all(map(_is_number, numbers)):
        return None
    lines = [(index, name, [cells.get(name) for cells in levels.values()]) for index, name in enumerate(models)]
    return level_curve(list(levels), lines, axis_title(factor))


def _in_order(levels: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the cells of a factor's levels as they follow each other on an axis, where they are numbers."""
    order = in_level_order(levels)
    numbers = [level for level in order if level != OWN]
    return {level: levels[level] for level in order} if all(map(_is_number, numbers)) else levels


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _link(result: Result, task: str, metric: str, factor: str, level: str) -> str:
    """Return where the answers of a level are, each with its picture; "" where no one column says it."""
    column = {"world": "world_name", "class": "character_label"}.get(factor, factor)
    if column == "setting":
        chosen = {"setting": level}
    elif column in result.factors.column_names:
        chosen = {column: level_name(level, column)}
    else:
        return ""
    return "explore.html#" + urlencode({"task": task, "metric": metric, **chosen})


@dataclass(frozen=True)
class _ExampleImage:
    """One picture of the gallery."""

    source: str
    target: Markup
    prediction: Markup


@dataclass
class _GalleryStrip:
    """What one model made of the pictures of one task."""

    right: list[_ExampleImage]
    wrong: list[_ExampleImage]
    tied: int
    n: int


def _gallery(result: Result, models: Sequence[str]) -> Any:
    """Yield tasks with, for each model, pictures that it got right and wrong."""
    strips: dict[tuple[str, str], dict[str, _GalleryStrip]] = {}
    for row in chosen_rows(result.rows):
        data = result.images.get(component(row["scene_id"]))
        if data is None:
            continue
        of_model = strips.setdefault((row["task"], row["metric"]), {})
        strip = of_model.setdefault(row["model"], _GalleryStrip([], [], *_ties(result, row)))
        target, prediction = _difference(plain(row["label"]), plain(row["prediction"]))
        source = data_uri(data)
        (strip.right if row["correct"] == 1 else strip.wrong).append(_ExampleImage(source, target, prediction))
    for line in leaderboard_rows(result):
        key = (line.task, line.metric)
        if key in strips:
            found = strips.pop(key)
            yield (
                key,
                task_title(result, *key),
                _question(result, line),
                [(index, name, found[name]) for index, name in enumerate(models) if name in found],
            )


def _ties(result: Result, row: dict[str, Any]) -> tuple[int, int]:
    """Return for how many pictures of a model and task the best score was shared with the label, and of how many.

    A picture whose one answer is read in several ways is one picture.
    """
    rows = result.rows
    mask = pc.equal(rows["scope"], "plain")
    for name in ("model", "task", "metric"):
        mask = pc.and_(mask, pc.equal(rows[name], row[name]))
    mine = rows.filter(mask)
    correct = mine["correct"].to_numpy()
    index = mine["index"].to_numpy()
    return len(np.unique(index[(correct > 0) & (correct < 1)])), len(np.unique(index))


def _opened(keys: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the tasks whose pictures show at once: what is in the picture, and where."""
    telling = [key for key in (("single_animal", "top1"), ("relation", "top1")) if key in keys]
    return telling or list(keys[:1])


def _difference(target: str, prediction: str) -> tuple[Markup, Markup]:
    """Return both texts with the words that differ marked."""
    one, two = target.split(), prediction.split()
    parts: tuple[list[Markup], list[Markup]] = ([], [])
    for operation, a, b, c, d in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        for side, words in ((0, one[a:b]), (1, two[c:d])):
            text = breakable(" ".join(words))
            if words:
                parts[side].append(text if operation == "equal" else Markup("<mark>") + text + Markup("</mark>"))
    return Markup(" ").join(parts[0]), Markup(" ").join(parts[1])


def _texts(cell: dict[str, Any]) -> list[str]:
    shown = []
    for name, value in cell.items():
        if name in {"accuracy", "low", "high", "chance"}:
            shown.append(percent(value))
        elif name == "correct":
            shown.append(f"{value:.6g}")
        else:
            shown.append(str(value))
    return shown
