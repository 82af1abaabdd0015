"""Held-out conditions as a grid: how many levels are trained on, or which one, by how many classes saw all of them.

Source: *PUG* (2023), figure 4 and appendix D.3.2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.errors import DatasetError, QuestionError, counted, nearest
from torchmultiverse.evaluation.heldout import HeldOutResult, class_names, classifier_pixels, held_out_of
from torchmultiverse.evaluation.names import plain
from torchmultiverse.evaluation.records import HeldOutRecord
from torchmultiverse.evaluation.reference import tables
from torchmultiverse.paths import component
from torchmultiverse.store import columns_of, dataset_name, manifest_hash, open_images
from torchmultiverse.study import COMMONEST, Cell, Chart, LineChart, Point, Section, Series, Study
from torchmultiverse.train import ClassifierTraining


@dataclass(frozen=True)
class HeldOutQuestion:
    """What one column of the grid holds out.

    Attributes:
        factor: column.
        levels: held out by name, or how many of them are drawn.
        trained: what is trained on, as the chart's axis says it: a number of levels, or the name of the only one.
    """

    factor: str
    levels: tuple[str, ...] | int
    trained: str | int


@dataclass(frozen=True)
class HeldOutCell:
    """What came of a question with some classes kept."""

    question: HeldOutQuestion
    result: HeldOutResult


def held_out_questions(
    dataset: Any, factors: Sequence[str], counts: Sequence[int] = (), each: bool = False
) -> list[HeldOutQuestion]:
    """Return the columns of the grid.

    Args:
        dataset: folder or opened dataset.
        factors: columns.
        counts: how many levels are held out, drawn at random.
        each: also, or only, each level as the one that is trained on, all others being held out.

    Raises:
        DatasetError: no such column, nothing to hold out, or as many levels as there are.
    """
    columns = columns_of(open_images(dataset))
    if not counts and not each:
        raise DatasetError("nothing is held out: say how many levels, or that each is to be trained on alone")
    found = []
    for factor in factors:
        if factor not in columns:
            raise QuestionError(f"no column '{factor}'.{nearest(factor, columns)}")
        levels = np.unique(columns[factor].astype(str)).tolist()
        for count in counts:
            if not 0 < count < len(levels):
                raise QuestionError(
                    f"--count {count}: {factor} has {counted(len(levels), 'level')}; 1 to "
                    f"{len(levels) - 1} can be held out"
                )
            found.append(HeldOutQuestion(factor, count, len(levels) - count))
        if each:
            if len(levels) < 2:
                raise DatasetError(f"{factor} has one level, '{levels[0]}': nothing would be held out")
            found += [HeldOutQuestion(factor, tuple(v for v in levels if v != one), one) for one in levels]
    return found


def held_out_grid(
    dataset: Any,
    questions: Sequence[HeldOutQuestion],
    keeps: Sequence[int] | None = None,
    recipe: ClassifierTraining | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    quiet: bool = False,
) -> list[HeldOutCell]:
    """Train a classifier and its control for every question and number of kept classes.

    Args:
        dataset: folder or opened dataset; see `torchmultiverse.evaluation.held_out`.
        questions: see `held_out_questions`.
        keeps: classes that are seen at all levels (C); by default of 0, 10 and 20 those below the number of classes.
        recipe: of training; by default the published one.
        seed: of the draws, first weights and batches.
        out: folder that keeps what is done, so that an interrupted grid goes on.
        quiet: show no bars.

    Raises:
        DatasetError: see `torchmultiverse.evaluation.heldout.held_out_split`.
    """
    images, recipe = open_images(dataset), recipe or ClassifierTraining()
    pixels = None
    if keeps is None:
        classes = len(set(class_names(columns_of(images)).tolist()))
        keeps = [keep for keep in (0, 10, 20) if keep < classes]
    found = []
    for question in questions:
        for keep in keeps:
            asked = {"data": manifest_hash(images), "question": asdict(question), "keep": keep, "seed": seed,
                     "recipe": recipe.as_dict()}  # fmt: skip
            digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
            name = component(f"{question.factor}-{question.trained}-{keep}-{digest}")
            place = None if out is None else Path(out) / "cells" / name
            if place is not None and (place / HeldOutRecord.file).is_file():
                found.append(HeldOutCell(question, HeldOutRecord.load(place).results[0]))
                continue
            if pixels is None:
                pixels = classifier_pixels(images, recipe.size, quiet)
            levels = question.levels if isinstance(question.levels, int) else list(question.levels)
            result = held_out_of(images, pixels, question.factor, levels, keep, recipe, seed, quiet)
            if place is not None:
                HeldOutRecord(results=(result,)).save(place)
            found.append(HeldOutCell(question, result))
    return found


def held_out_study(cells: Sequence[HeldOutCell], dataset: Any, recipe: ClassifierTraining) -> Study:
    """Return the study of a grid.

    Args:
        cells: of the grid.
        dataset: folder or opened dataset.
        recipe: of the training.
    """
    factors = list(dict.fromkeys(cell.question.factor for cell in cells))
    sections = [_section(factor, [cell for cell in cells if cell.question.factor == factor]) for factor in factors]
    return Study(
        kind="held-out", title="Conditions that training never saw", headline=_headline(cells),
        models=(recipe.model,), dataset=dataset_name(open_images(dataset)),
        facts=recipe.as_dict(),
        sections=(*sections, *_published()),
        notes=(
            "Intervals resample whole classes; they hold for other classes' pictures, not for another training.",
            "The control is trained on as many pictures of each class, of all levels alike, and tested on those of the "
            "same pictures that it was not trained on: the difference to it is what the missing levels cost. That "
            "difference is taken on the pictures that neither was trained on, so it need not be that of the two "
            "columns; where its interval includes 0, no loss is shown.",
            COMMONEST,
        ),
        sources=("PUG: Photorealistic and semantically controllable synthetic data, 2023, figure 4, appendix D.3.2.",),
    )  # fmt: skip


def _section(factor: str, cells: Sequence[HeldOutCell]) -> Section:
    charts: list[Chart] = []
    for kind, x in ((int, "levels trained on"), (str, "the only level trained on")):
        mine = [cell for cell in cells if isinstance(cell.question.trained, kind)]
        if mine:
            charts.append(_chart(factor, mine, x))
    table: list[dict[str, Cell]] = []
    for cell in cells:
        r, trained = cell.result, cell.question.trained
        table.append(
            {"trained on": counted(trained, "level") if isinstance(trained, int) else trained, "C": r.keep,
             "held-out images %": r.accuracy, "low %": r.low, "high %": r.high, "control %": r.control,
             "control from %": r.control_low, "control to %": r.control_high,
             "control minus held-out %": _known(_lost(r)), "control minus held-out, low %": _known(r.lost_low),
             "control minus held-out, high %": _known(r.lost_high), "chance %": _known(r.chance),
             "accuracy on training images %": r.seen, "trained": r.trained, "tested": r.tested,
             "held out": ", ".join(r.held_out)}
        )  # fmt: skip
    return Section(
        title=f"{plain(factor).capitalize()} held out", charts=tuple(charts), table=tuple(table),
        about="C: classes that were seen at all levels. With C = 0 the levels are unknown, with more only the "
        "combinations of class and level.",
    )  # fmt: skip


def _chart(factor: str, cells: Sequence[HeldOutCell], x: str) -> LineChart:
    series = []
    for control in (False, True):
        for keep in sorted({cell.result.keep for cell in cells}):
            points = []
            for cell in cells:
                r = cell.result
                if r.keep != keep:
                    continue
                at = cell.question.trained
                y, low, high = (r.control, r.control_low, r.control_high) if control else (r.accuracy, r.low, r.high)
                if np.isfinite(y):
                    points.append(Point(x=at if isinstance(at, str) else float(at), y=y, low=low, high=high))
            if points and isinstance(points[0].x, float):
                points.sort(key=lambda point: float(point.x))
            if points:
                name = f"control, C = {keep}" if control else f"C = {keep}"
                series.append(Series(name=name, points=tuple(points), dashed=control))
    return LineChart(title=f"Accuracy on held-out {plain(factor)}", x=x, y="accuracy", series=tuple(series))


def _lost(result: HeldOutResult) -> float:
    """Return control minus held-out; of a kept result that has no paired difference that of the accuracies."""
    return result.lost if np.isfinite(result.lost) else result.control - result.accuracy


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _headline(cells: Sequence[HeldOutCell]) -> str:
    """Return the condition that surely loses most; where none surely does, that no loss is shown, and the largest."""
    known = [cell for cell in cells if np.isfinite(_lost(cell.result))]
    if not known:
        return "No control could be asked."
    sure = [cell for cell in known if cell.result.lost_low > 0]
    worst = max(sure or known, key=lambda cell: _lost(cell.result))
    r, trained = worst.result, worst.question.trained
    what = counted(trained, "level") if isinstance(trained, int) else f"{trained} alone"
    where = f"{plain(worst.question.factor)} trained on {what} with C = {r.keep}"
    cost = f"control minus held-out {100 * _lost(r):+.0f} points"
    if np.isfinite(r.lost_low):
        cost += f" [{100 * r.lost_low:+.0f}, {100 * r.lost_high:+.0f}]"
    ends = (
        f"{100 * r.accuracy:.0f} % [{100 * r.low:.0f}, {100 * r.high:.0f}] of the held-out images are recognised, "
        f"{100 * r.control:.0f} % [{100 * r.control_low:.0f}, {100 * r.control_high:.0f}] by the control that saw all "
        "levels"
    )
    if not sure:
        return f"No loss is shown: the largest difference is that of {where}, {cost}; {ends}."
    lead = "Most is lost for" if len(sure) > 1 else "A loss is shown for"
    return f"{lead} {where}, {cost}; {ends}."


def _published() -> list[Section]:
    """Return the published numbers and trends, most of which are words about a figure."""
    found = []
    for table in tables("held_out"):
        said = " ".join(f"{row['asked']}: {row['said']}." for row in table["rows"])
        found.append(Section(title="Published", about=f"{table['source']} {said}", reference=True))
    return found
