"""The plane of training against transfer as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from torchmultiverse.evaluation import plain
from torchmultiverse.resources import data_folder
from torchmultiverse.study import COMMONEST, Cell, Point, ScatterChart, Section, Series, Study
from torchmultiverse.transfer.plane import Change, ModelTransfer, TransferPlane
from torchmultiverse.transfer.tasks import UNSEEN, is_pose

_SOURCES = (
    "M. B. Sarıyıldız et al., No reason for no supervision: improved generalization in supervised models, ICLR 2023",
    "S. Kornblith, J. Shlens and Q. Le, Do better ImageNet models transfer better?, CVPR 2019 (log-odds)",
)
_MOST_NAMED = 4
_MORE = "log-odds above the first"


def plane_study(plane: TransferPlane, reference: bool = True) -> Study:
    """Return the page of a plane: who reads what it was trained on how well, what else, and what one costs the other.

    Args:
        plane: what was measured.
        reference: whether the published plane stands beside it.
    """
    sections = [_plane(plane), *([_changes(plane)] if plane.changes else []), _tasks(plane), _statistics(plane)]
    if reference:
        sections += reference_sections()
    return Study(
        kind="transfer",
        title="What training is good for",
        headline=headline(plane),
        models=tuple(model.name for model in plane.models),
        dataset=plane.dataset,
        facts={name: str(value) if isinstance(value, bool) else value for name, value in plane.facts.items()},
        sections=tuple(sections),
        notes=(
            "The mean of log-odds, ln(p / (1 − p)), counts a halving of the odds of an error alike on easy and hard "
            "tasks; accuracies of 0 and 1 are taken as half a picture from the end. It compares models on these tasks; "
            "a mean over other tasks is another number.",
            f"Numbers are read in bins. Every task has test pictures of groups that its probe did not learn from. "
            f"{_groups(plane)} n and groups are those of the class; answers of transfer are those to all other tasks "
            "together, and groups of transfer what the interval of their log-odds resamples.",
            COMMONEST,
            *plane.notes,
        ),
        sources=_SOURCES,
    )


def headline(plane: TransferPlane) -> str:
    """Return the answer in a sentence: does what helps the class cost the pose?"""
    first = plane.models[0]
    task = plain(plane.train_task)
    if len(plane.models) == 1:
        odds = first.log_odds
        return (
            f"{first.name} reads {task} in {_share(first.training.accuracy)} of the pictures "
            f"[{_share(first.training.low)}, {_share(first.training.high)}]; mean log-odds of the other tasks "
            f"{odds.mean:.2f} [{odds.low:.2f}, {odds.high:.2f}]."
        )
    best = max(plane.models, key=lambda model: model.training.accuracy)
    if best is first:
        best = max(plane.models[1:], key=lambda model: model.training.accuracy)
    mine = [change for change in plane.changes if change.model == best.name]
    gained, rest = mine[0], mine[1:]
    lost = [c for c in rest if c.sure and c.difference.mean < 0]
    more = [c for c in rest if c.sure and c.difference.mean > 0]
    if not gained.sure:
        return (
            f"{best.name} reads {task} neither surely better nor surely worse than {first.name}: {_points(gained)}. "
            f"{_cost(lost, more)}"
        )
    if gained.difference.mean < 0:
        return f"{first.name} reads {task} best; {best.name} comes next, {_points(gained)}. {_cost(lost, more)}"
    return f"{best.name} reads {task} better than {first.name} by {_points(gained)}. {_cost(lost, more, rest)}"


def _cost(lost: Sequence[Change], more: Sequence[Change], rest: Sequence[Change] = ()) -> str:
    """Return what is read worse and better, surely."""
    pose = [change for change in rest if is_pose(change.task)]
    told = []
    if lost:
        told.append("It reads worse: " + _list(lost))
    if more:
        told.append("it reads better: " + _list(more) if told else "It also reads better: " + _list(more))
    if not told:
        told.append("No other task surely becomes better or worse")
    text = "; ".join(told) + "."
    if pose and not any(is_pose(change.task) for change in lost):
        worst = min(pose, key=lambda change: change.difference.mean)
        text += f" It does not surely cost the pose (most: {plain(worst.task)} {_points(worst)})."
    elif pose:
        text += " So it costs the pose."
    return text


def _list(changes: Sequence[Change]) -> str:
    found = sorted(changes, key=lambda change: -abs(change.difference.mean))
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(f"{plain(c.task)} ({_points(c)})" for c in found[:_MOST_NAMED]) + more


def _points(change: Change) -> str:
    mean, low, high = (100 * value for value in change.difference[:3])
    return f"{mean:+.1f} points [{low:+.1f}, {high:+.1f}]"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _groups(plane: TransferPlane) -> str:
    by = sorted({task.by for task in (plane.training, *plane.tasks)})
    named = ", ".join("single pictures" if name == "rows" else name for name in by)
    return f"Intervals are over groups ({named})."


def _plane(plane: TransferPlane) -> Section:
    points = [
        Series(
            name=model.name,
            points=(
                Point(
                    x=model.training.accuracy, y=model.log_odds.mean, low=_finite(model.log_odds.low),
                    high=_finite(model.log_odds.high), label=model.name,
                ),
            ),
        )
        for model in plane.models
    ]  # fmt: skip
    return Section(
        title="Training against transfer",
        about=f"To the right: {plain(plane.train_task)} of classes that were trained on is read better. Upward: the "
        f"other tasks are. Tasks of transfer: {', '.join(_named(task.name, plane) for task in plane.tasks)}.",
        charts=(
            ScatterChart(
                title="Each model", x=f"accuracy of {plain(plane.train_task)}", y="mean log-odds of transfer",
                series=tuple(points), percent_x=True,
            ),
        ),
        table=tuple(_line(model, plane) for model in plane.models),
    )  # fmt: skip


def _line(model: ModelTransfer, plane: TransferPlane) -> dict[str, Cell]:
    first, odds = model.training, model.log_odds
    shift = plane.log_odds_changes.get(model.name)
    shifted: dict[str, Cell] = {}
    if plane.log_odds_changes:
        values = (None, None, None) if shift is None else (shift.mean, _finite(shift.low), _finite(shift.high))
        shifted = dict(zip((_MORE, f"{_MORE}, low", f"{_MORE}, high"), values, strict=True))
    return {
        "model": model.name, "accuracy %": first.accuracy, "low %": first.low, "high %": first.high,
        "chance %": first.chance, "mean log-odds": odds.mean, "low": _finite(odds.low), "high": _finite(odds.high),
        "tasks": len(model.tasks), "n": first.n, "groups": len(np.unique(plane.training.test_groups)),
        "answers of transfer": sum(task.n for task in model.tasks), "groups of transfer": odds.groups,
        **shifted,
    }  # fmt: skip


def _changes(plane: TransferPlane) -> Section:
    return Section(
        title=f"What changes against {plane.models[0].name}",
        about="Differences of accuracy on the same test pictures. What is called sure stands a correction for all "
        "models and tasks (Holm).",
        table=tuple(
            {
                "model": change.model, "task": _named(change.task, plane), "difference %": change.difference.mean,
                "low %": change.difference.low, "high %": change.difference.high, "groups": change.difference.clusters,
                "corrected p": change.corrected_p,
                "surely": ("worse" if change.difference.mean < 0 else "better") if change.sure else "",
            }
            for change in plane.changes
        ),
    )  # fmt: skip


def _named(task: str, plane: TransferPlane) -> str:
    return f"{plain(task)} (trained on)" if task == plane.train_task else task if task == UNSEEN else plain(task)


def _tasks(plane: TransferPlane) -> Section:
    lines: list[dict[str, Cell]] = []
    for place, task in enumerate((plane.training, *plane.tasks)):
        for model in plane.models:
            score = (model.training, *model.tasks)[place]
            groups = len(np.unique(task.test_groups))
            lines.append({
                "task": _named(task.name, plane), "model": model.name, "accuracy %": score.accuracy,
                "low %": score.low, "high %": score.high, "chance %": score.chance, "answers": len(task.levels),
                "n": score.n, "groups": groups, "by": plain(task.by),
            })  # fmt: skip
    about = f"Classes that training did not see: {', '.join(plane.unseen)}." if plane.unseen else (
        "No class is known to be unseen in training; name some with --unseen."
    )  # fmt: skip
    return Section(title="Each task", about=about, table=tuple(lines))


def _statistics(plane: TransferPlane) -> Section:
    return Section(
        title="The features themselves",
        about="Of features of length one. The source finds that projectors make features far less sparse and spread "
        "classes more, and that models with less sparse features transfer better.",
        table=tuple(
            {
                "model": model.name, "sparsity %": model.statistics.sparsity,
                "distance within a class": model.statistics.intra_class, "redundancy": model.statistics.redundancy,
                "coding length": model.statistics.coding_length,
            }
            for model in plane.models
        ),
    )  # fmt: skip


def published() -> dict[str, Any]:
    """Return the published numbers of training against transfer, as they lie in ``benchmarks/reference``."""
    found: dict[str, Any] = json.loads((data_folder("benchmarks") / "reference" / "trex.json").read_text())
    return found


def reference_sections() -> list[Section]:
    """Return the published plane and what a projector did to it."""
    held = published()
    rows = held["models"]
    plane = Section(
        title="The published plane",
        about=held["source"] + ". ImageNet-1K against thirteen datasets.",
        charts=(
            ScatterChart(
                title="ResNet-50, published", x="top-1 on ImageNet-1K", y="mean log-odds of 13 datasets",
                series=tuple(
                    Series(
                        name=row["name"],
                        points=(Point(x=row["imagenet"] / 100, y=row["log_odds"], label=row["name"]),),
                    )
                    for row in rows
                ),
                percent_x=True,
            ),
        ),
        table=tuple(
            {"model": row["name"], "top-1 %": row["imagenet"] / 100, "mean log-odds": row["log_odds"]} for row in rows
        ),
        reference=True,
    )  # fmt: skip
    steps = Section(
        title="Published: crops and projectors",
        about=held["ablation_source"],
        table=tuple(
            {"training": row["name"], "top-1 %": row["imagenet"] / 100, "mean log-odds": row["log_odds"]}
            for row in held["ablation"]
        ),
        reference=True,
    )
    return [plane, steps]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
