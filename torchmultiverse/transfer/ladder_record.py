"""A ladder as a study: charts and tables that any page can show, with published numbers beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from torchmultiverse.errors import counted
from torchmultiverse.resources import data_folder
from torchmultiverse.study import Bar, BarChart, Cell, LineChart, Point, Section, Series, Study
from torchmultiverse.transfer.crossed import Estimate, over_seeds
from torchmultiverse.transfer.ladder import Ladder, trained_by
from torchmultiverse.transfer.ladder_answers import (
    Gain,
    class_log_odds,
    factor_accuracy,
    factor_log_odds,
    gains,
    group_gains,
    headline,
    own_accuracy,
    target_accuracy,
    unseen_accuracy,
)

REFERENCE = "clone_ladder.json"
"""Published numbers, in ``benchmarks/reference``."""
_STATISTICS = ("sparsity", "intra_class", "redundancy", "coding_length")
_HIGHEST = {"sparsity": 1.0, "intra_class": 2.0, "redundancy": 1.0}
_SOURCES = (
    "M. B. Sarıyıldız et al., Fake it till you make it: learning transferable representations from synthetic ImageNet "
    "clones, CVPR 2023 (thesis, chapter 5)",
    "M. B. Sarıyıldız et al., No reason for no supervision: improved generalization in supervised models, ICLR 2023 "
    "(log-odds; thesis, equation 4.3)",
)


def ladder_study(ladder: Ladder) -> Study:
    """Return the record of a ladder, with the answer in its first sentence."""
    sections = [_steps(ladder), _gains(ladder)]
    if any(plan.without for plan in ladder.plans):
        sections.append(_groups(ladder))
    if ladder.target.unseen is not None:
        sections.append(_unseen(ladder))
    sections.append(_log_odds(ladder))
    if ladder.target.factors:
        sections.append(_factors(ladder))
    sections += [_statistics(ladder), _reference()]
    return Study(
        kind="ladder", title=f"What to train on for {ladder.target_name}", headline=headline(ladder),
        models=(trained_by(ladder.recipe),), dataset=ladder.target_name, facts=_facts(ladder),
        sections=tuple(sections), notes=_notes(ladder), sources=_SOURCES,
    )  # fmt: skip


def _own_steps(ladder: Ladder) -> list[str]:
    return [plan.name for plan in ladder.plans if not plan.without]


def _chance(ladder: Ladder) -> float:
    return 1 / len(ladder.target.common)


def _facts(ladder: Ladder) -> Mapping[str, Cell]:
    target, seeds = ladder.target, len(next(iter(ladder.runs.values())))
    return {
        "training pictures": ladder.source, "target": ladder.target_name,
        "classes trained on": len(ladder.trained), "classes kept out": ", ".join(ladder.unseen) or "none",
        "pictures of a step": ladder.per_class * len(ladder.trained), "of each class": ladder.per_class,
        "seeds": seeds, "encoder": trained_by(ladder.recipe),
        "target pictures": len(target.seen), "of them trained on": max(ladder.learnt.values(), default=0),
        "their classes": len(target.common),
        "their groups": f"{len(np.unique(target.groups[target.seen]))} of {target.grouped_by or 'single pictures'}",
        "chance": f"{100 * _chance(ladder):.1f} %",
        **{f"group {name}": ", ".join(factors) for name, factors in ladder.groups.items()},
    }  # fmt: skip


def _ends(estimate: Estimate) -> dict[str, Cell]:
    return {"low %": estimate.low, "high %": estimate.high}


def _steps(ladder: Ladder) -> Section:
    names, chance = _own_steps(ladder), _chance(ladder)
    target, own = ({name: f(ladder, name) for name in names} for f in (target_accuracy, own_accuracy))
    lines: list[dict[str, Cell]] = []
    for plan in ladder.plans:
        if plan.name not in target:
            continue
        found, mine = target[plan.name], own[plan.name]
        lines.append(
            {"step": plan.name, "target top-1 %": found.value, **_ends(found), "chance %": chance,
             "own pictures %": mine.value, "own pictures, low %": mine.low,
             "own pictures, high %": mine.high, "n": found.n, "groups": found.groups,
             "trained on": ladder.runs[plan.name][0].trained}
            | ({"free": ", ".join(plan.free) or "nothing"} if ladder.groups else {})
        )  # fmt: skip
    chart = LineChart(
        title="Accuracy by step", x="step", y="top-1", chance=_chance(ladder),
        series=(
            Series(name=f"on {ladder.target_name}", points=tuple(_point(name, target[name]) for name in names)),
            Series(name="on own held-out pictures", points=tuple(_point(name, own[name]) for name in names),
                   dashed=True),
        ),
        note="Own pictures are easier the narrower a step is: they say nothing of the target.",
    )  # fmt: skip
    about = (
        "Each step frees one more group of factors at the same number of pictures and the same training. The line that "
        "counts is the target's; accuracy on a step's own pictures ranks steps the wrong way round."
    )
    return Section(title="Accuracy of each step", about=about, charts=(chart,), table=tuple(lines))


def _point(name: str, found: Estimate) -> Point:
    return Point(x=name, y=found.value, low=found.low, high=found.high)


def _gain_lines(found: list[Gain], what: str) -> tuple[dict[str, Cell], ...]:
    return tuple(
        {what: one.name, "gain %": one.estimate.value, **_ends(one.estimate), "p (Holm)": one.p,
         "against": one.before, "n": one.estimate.n, "groups": one.estimate.groups, "seeds": one.estimate.seeds}
        for one in found
    )  # fmt: skip


def _gain_bars(title: str, found: list[Gain], note: str) -> BarChart:
    bars = tuple(
        Bar(
            name=one.name, value=one.estimate.value, low=one.estimate.low, high=one.estimate.high,
            group="not zero for sure" if one.sure else "may be zero",
        )
        for one in found
    )  # fmt: skip
    return BarChart(title=title, y="points of top-1 on the target", bars=bars, note=note)


def _gains(ladder: Ladder) -> Section:
    found = gains(ladder)
    about = (
        "Top-1 on the target less that of the step before, paired by picture and seed. Intervals cover other groups of "
        "the target's pictures and other seeds; p is Holm's over all steps."
    )
    chart = _gain_bars("What each step adds", found, "95 % intervals over groups and seeds.")
    return Section(title="Gain of each step", about=about, charts=(chart,), table=_gain_lines(found, "step"))


def _groups(ladder: Ladder) -> Section:
    found = sorted(group_gains(ladder), key=lambda one: -one.estimate.value)
    about = (
        "The full step less one in which this group alone is held: what varying it is worth on this target when all "
        "else varies already. It does not depend on the order of steps. Equal budgets: a group that does not matter "
        "on the target may cost a little."
    )
    chart = _gain_bars("What varying a group is worth", found, "95 % intervals over groups and seeds.")
    return Section(
        title="Which factor's widening pays", about=about, charts=(chart,), table=_gain_lines(found, "group")
    )


def _unseen(ladder: Ladder) -> Section:
    question = ladder.target.unseen
    assert question is not None
    lines: list[dict[str, Cell]] = []
    points_ = []
    for plan in ladder.plans:
        found = unseen_accuracy(ladder, plan.name)
        assert found is not None
        lines.append(
            {"step": plan.name, "probe top-1 %": found.value, **_ends(found), "chance %": question.chance,
             "n": found.n, "groups": found.groups, "classes": int(question.codes.max()) + 1}
        )  # fmt: skip
        if not plan.without:
            points_.append(_point(plan.name, found))
    chart = LineChart(
        title="Classes never trained on", x="step", y="top-1 of a linear probe", chance=question.chance,
        series=(Series(name="unseen classes", points=tuple(points_)),),
    )  # fmt: skip
    about = (
        "A linear probe of the frozen encoder on the target's pictures of classes that no step was trained on, in "
        "three parts; a group of pictures is in one part only."
    )
    return Section(title="Probe of unseen classes", about=about, charts=(chart,), table=tuple(lines))


def _log_odds(ladder: Ladder) -> Section:
    lines: list[dict[str, Cell]] = []
    for plan in ladder.plans:
        classes, factors = class_log_odds(ladder, plan.name), factor_log_odds(ladder, plan.name)
        line: dict[str, Cell] = {
            "step": plan.name, "log-odds of classes": classes.mean, "low": classes.low, "high": classes.high,
            "class tasks": classes.tasks,
        }  # fmt: skip
        if factors is not None:
            line |= {
                "log-odds of factors": factors.mean, "factors from": factors.low, "factors to": factors.high,
                "factor tasks": factors.tasks,
            }  # fmt: skip
        lines.append(line)
    about = (
        "Mean of ln(p / (1 − p)) over tasks: classes are the target's and the unseen ones. The tasks of factors stand "
        "apart: an encoder of narrow pictures can score high there by features that say nothing of the class."
    )
    return Section(title="Transfer in log-odds", about=about, table=tuple(lines))


def _factors(ladder: Ladder) -> Section:
    lines: list[dict[str, Cell]] = []
    for question in ladder.target.factors:
        for plan in ladder.plans:
            if plan.without:
                continue
            found = factor_accuracy(ladder, plan.name, question)
            lines.append(
                {"factor": question.name, "step": plan.name, "probe top-1 %": found.value, **_ends(found),
                 "chance %": question.chance, "n": found.n, "groups": found.groups}
            )  # fmt: skip
    about = "A linear probe of the frozen encoder for each factor of the target; chance is the most frequent level."
    return Section(title="Factors of the target", about=about, table=tuple(lines))


def _statistics(ladder: Ladder) -> Section:
    lines: list[dict[str, Cell]] = []
    charts = []
    for name in _STATISTICS:
        bars = []
        for step in _own_steps(ladder):
            values = np.array([run.statistics[name] for run in ladder.runs[step]])
            mean, low, high = over_seeds(values)
            low = None if low is None else max(0.0, low)
            high = None if high is None else min(_HIGHEST.get(name, high), high)
            plain = name.replace("_", " ")
            lines.append({"number": plain, "step": step, "value": mean, "low": low, "high": high, "seeds": len(values)})
            if np.isfinite(mean):
                bars.append(Bar(name=step, value=mean, low=low, high=high))
        charts.append(BarChart(title=plain.capitalize(), y=plain, bars=tuple(bars), percent=False))
    about = (
        "Of the features of the target's pictures, each of length one. Sparsity: share of numbers below 1e-5. "
        "Intra class: mean distance of two pictures of a class. Redundancy: mean |correlation| of two features. Coding "
        "length: nats that a picture takes. Intervals are over seeds alone."
    )
    return Section(title="Features on the target", about=about, charts=tuple(charts), table=tuple(lines))


def _reference() -> Section:
    read: dict[str, Any] = json.loads((data_folder("benchmarks") / "reference" / REFERENCE).read_text("utf-8"))
    lines = tuple(
        {"trained on": row["trained_on"], "amount": row["amount"],
         **{f"{name} %": None if row[name] is None else row[name] / 100 for name in read["columns"]}}
        for row in read["rows"]
    )  # fmt: skip
    return Section(title="A ladder of prompts", about=f"{read['about']} {read['source']}", table=lines, reference=True)


def _notes(ladder: Ladder) -> tuple[str, ...]:
    notes = list(ladder.notes)
    notes.append(
        "chance of the target is a blind guess, one over its number of classes; of unseen classes and of factors the "
        "commonest answer, the most frequent of the test pictures"
    )
    if ladder.unmatched:
        shown = ", ".join(ladder.unmatched[:12]) + (" …" if len(ladder.unmatched) > 12 else "")
        notes.append(
            f"Of the target {counted(len(ladder.unmatched), 'class', 'classes')} without a training class, "
            f"in the probe "
            f"of unseen classes alone: {shown} (--label-map names pairs)"
        )
    if len(next(iter(ladder.runs.values()))) < 2:
        notes.append("one seed: intervals say nothing of what another training would give (--seeds 3)")
    notes.append(
        "all seeds of a step share its pictures: another draw of them is not in the intervals"
        if ladder.shared
        else "each seed drew its own training pictures"
    )
    notes.append(
        "the gain of a step depends on those before it, on the budget and on the recipe: it is what widening added "
        "here, not a property of the factor"
    )
    return tuple(notes)
