"""What a reader should know before the details: places, worst levels, interactions, calibration, published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from torchmultiverse.evaluation import (
    FactorScore,
    Interaction,
    LeaderboardRow,
    ModelRank,
    Published,
    Result,
    RowView,
    Slice,
    calibration,
    compare,
    factor_scores,
    in_order,
    interactions,
    model_ranks,
    never_right,
    published_rows,
    slices_of,
    strongest_pair,
)
from torchmultiverse.report import svg
from torchmultiverse.scenes import level_name
from torchmultiverse.stats import Calibration

_FACTORS = 8  # shown of each model
_SLICES = 6


@dataclass(frozen=True)
class ModelFinding:
    """What one model does on one question.

    Attributes:
        model: its name.
        question: for people.
        factors: the largest drops first.
        drops: their chart.
        pair: the two factors that interact most, with their cells and a heat map; ``None`` where none can.
        calibration: with a chart; ``None`` where the model gives no probabilities.
        slices: combinations where it is significantly worse.
        never: classes of which no picture is right; ``None`` where classes are not what is asked for.
    """

    model: str
    question: str
    factors: list[FactorScore]
    drops: Markup
    pair: tuple[str, str, list[Interaction], Markup] | None
    calibration: tuple[Calibration, Markup] | None
    slices: list[Slice]
    never: list[str] | None


@dataclass(frozen=True)
class Findings:
    """What the page shows of them.

    Attributes:
        places: of the models.
        detectable: the difference between the two best models that would show with 80 % probability on the question
            that tells most about the best; the question; and its pictures.
        radar: accuracy of all models on all questions; ``None`` with fewer than three questions.
        models: what each does on the question that tells most about it.
        published: rows of published tables for the same questions.
    """

    places: list[ModelRank]
    detectable: tuple[float, str, int] | None
    radar: Markup | None
    models: list[ModelFinding]
    published: list[Published]


def findings(result: Result, models: Sequence[str]) -> Findings:
    """Return what a page shows of a result; slow parts look at no more than the strongest."""
    view = RowView(result)
    lines = [line for line in view.questions if line.metric == "top1"] or view.questions
    radar = None
    if len(view.questions) > 2:
        axes = [(view.title(line), line.chance) for line in view.questions]
        values = {
            m: [line.cells[m]["accuracy"] if m in line.cells else None for line in view.questions] for m in models
        }
        radar = svg.radar(axes, [(i, m, values[m]) for i, m in enumerate(models)])
    found = []
    for index, model in enumerate(models):
        line = _telling(view, model, lines)
        if line is not None:
            found.append(_of_model(view, model, index, line))
    places = model_ranks(view) if len(models) > 1 else []
    detectable = None
    telling = _telling(view, models[0], lines) if len(models) > 1 else None
    if telling is not None:
        pairs = compare(view, list(models)[:2], [telling])
        if pairs and np.isfinite(pairs[0].detectable) and pairs[0].detectable > 0:
            detectable = (pairs[0].detectable, view.title(telling), pairs[0].n)
    return Findings(places, detectable, radar, found, published_rows(result))


def _named(
    levels: Sequence[Sequence[str]], grid: Mapping[tuple[str, str], tuple[float, int]], factors: tuple[str, str]
) -> tuple[list[str], list[str], dict[tuple[str, str], tuple[float, int]]]:
    """Return rows, columns and cells of two factors with their levels as people call them."""
    rows, columns = ([level_name(one, factor) for one in of] for of, factor in zip(levels, factors, strict=True))
    one, two = factors
    cells = {(level_name(a, one), level_name(b, two)): value for (a, b), value in grid.items()}
    return rows, columns, cells


def _telling(view: RowView, model: str, lines: Sequence[LeaderboardRow]) -> LeaderboardRow | None:
    """Return the question whose answers differ most: all right or all wrong says nothing about factors."""

    def variance(line: LeaderboardRow) -> float:
        cell = line.cells[model]
        return float(cell["n"] * (cell["accuracy"] * (1 - cell["accuracy"]) + 1e-6))

    return max((line for line in lines if model in line.cells), key=variance, default=None)


def _of_model(view: RowView, model: str, index: int, line: LeaderboardRow) -> ModelFinding:
    rows = view.rows(model, line)
    assert rows is not None
    pair = None
    chosen = strongest_pair(view, model, line)
    if chosen is not None:
        cells = interactions(view, model, line, *chosen)
        grid = {(c.first[1], c.second[1]): (c.accuracy, c.n) for c in cells}
        names = [in_order({c.first[1] for c in cells}), in_order({c.second[1] for c in cells})]
        if len(names[0]) < len(names[1]):  # the longer list reads better downwards
            grid = {(b, a): value for (a, b), value in grid.items()}
            names.reverse()
            chosen = (chosen[1], chosen[0])
        pair = (*chosen, cells, svg.heatmap(*_named(names, grid, chosen)))
    honest = calibration(rows)
    factors = factor_scores(view, model, line)[:_FACTORS]
    return ModelFinding(
        model,
        view.title(line),
        factors,
        svg.drops(index, factors),
        pair,
        None if honest is None else (honest, svg.reliability(index, honest)),
        slices_of(view, model, line)[:_SLICES],
        never_right(view.result, model, line.task, line.setting),
    )
