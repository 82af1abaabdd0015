"""The page of what was memorized."""

from __future__ import annotations

from typing import Any

from torchmultiverse.analyze import Memorization
from torchmultiverse.evaluation import plain
from torchmultiverse.report import svg
from torchmultiverse.report.tables import records_as_csv
from torchmultiverse.report.templates import template
from torchmultiverse.stats import LEVEL

_MODES = {
    "boxes": "the largest part of each picture that touches no object",
    "corner": "the lower left corner of each picture, which may show a bit of the object",
    "rerender": "the same scene, rendered without its object",
}
_KINDS = {
    "memorized": "Most memorized: only the model that saw the picture names it",
    "correlated": "Most correlated: both name it, the background says it",
}


def memorization_page(memorization: Memorization) -> str:
    """Return the page: it needs no other file and no network."""
    page: str = template("memorization.html.j2").render(m=memorization_section(memorization))
    return page


def memorization_tables(memorization: Memorization) -> dict[str, str]:
    """Return the tables by class and by picture as CSV, by file name; empty ones are left out."""
    tables = {
        "classes.csv": records_as_csv(memorization.classes), "inferences.csv": records_as_csv(memorization.inferences),
    }  # fmt: skip
    return {name: text for name, text in tables.items() if text}


def memorization_section(memorization: Memorization) -> dict[str, Any]:
    """Return all that the template of the section takes."""
    last, reference = memorization.layers[-1], memorization.reference
    shown = f"shown {_MODES[memorization.removal]}, and asked for the {plain(memorization.label)}."
    if reference == "model":
        who, other = f"Each model is {shown}", "trained on others"
    elif reference == "held-out":
        who = f"The model is {shown} The reference are its own answers on pictures that it never saw."
        other = "pictures that it never saw"
    else:
        who = f"The model is {shown} The reference is a classifier of backgrounds, trained on other pictures alone."
        other = f"classifier of backgrounds ({reference})"
    pair = bool(memorization.reference_model)
    names = (memorization.target_model, memorization.reference_model)
    return {
        "record": memorization, "last": last, "shown": who, "alone": not pair,
        "models": " and ".join(name for name in names if name),
        "headline": _headline(memorization),
        "control": "two sets that it never saw" if reference == "held-out" else "held out",
        "other_too": "both are" if pair else "the reference too",
        "fractions": [f"{100 * score.fraction:g}" for score in last.score.scores],
        "curve": _curve(last.curve, other),
        "legend": [(svg.legend_mark(0), "trained on the pictures"), (svg.legend_mark(1), other)],
        "parts": [(one, _bar(one.score.partition)) for one in memorization.layers],
        "notes": list(dict.fromkeys(note for one in memorization.layers for note in one.score.notes)),
        "associations": _associations(memorization),
        "kinds": _KINDS | ({"memorized": "Named with most confidence"} if reference == "held-out" else {}),
    }  # fmt: skip


def _associations(memorization: Memorization) -> str:
    """Return what other factors say of the label, in a sentence."""
    if not memorization.associations:
        return ""
    strong = sorted((one for one in memorization.associations if one.p_value < 0.01), key=lambda one: -one.cramers_v)
    if not strong:
        names = ", ".join(plain(one.factor) for one in memorization.associations)
        return (
            f"No other factor of these data says anything of the {plain(memorization.label)} ({names}: independent of "
            "it), so that what is named from a background alone is not correlation."
        )
    named = ", ".join(f"{plain(one.factor)} (Cramér's V {one.cramers_v:.2f})" for one in strong[:4])
    return (
        f"Factors that go with the {plain(memorization.label)} in these data, so that a background may say it: {named}."
    )


def _headline(memorization: Memorization) -> str:
    best = max(memorization.layers, key=lambda one: one.score.at(1.0).score)
    whole, p = best.score.at(1.0), best.score.partition
    # The best of several layers is good by choice, too: its p is corrected for all of them.
    if whole.low <= 0 or p.p_value * len(memorization.layers) >= 1 - LEVEL:
        return (
            f"No memorization beyond correlation is found in {memorization.images:,} pictures: at {best.layer} the "
            f"models name {100 * p.memorized:.1f} % of them only if trained on them, and "
            f"{100 * p.misrepresented:.1f} % only if not. That does not prove that nothing was memorized."
        )
    return (
        f"At {best.layer}, {100 * whole.score:.1f} points [{100 * whole.low:.1f}, {100 * whole.high:.1f}] more objects "
        f"are named from pictures that do not show them by a model that was trained on them: "
        f"{100 * p.memorized:.1f} % are memorized, against {100 * p.misrepresented:.1f} % that chance explains."
    )


def _curve(points: Any, reference: str) -> Any:
    layers = [f"{100 * fraction:.0f} %" for fraction, _, _ in points]
    return svg.curves(
        layers,
        [
            svg.Series(0, "trained on the pictures", [target for _, target, _ in points]),
            svg.Series(1, reference, [other for _, _, other in points]),
        ],
        marks=False,
    )


def _bar(partition: Any) -> Any:
    return svg.stacked(
        [
            ("memorized", partition.memorized, 1),
            ("correlated", partition.correlated, 0),
            ("misrepresented", partition.misrepresented, 3),
            ("unassociated", partition.unassociated, 7),
        ],
        width=240,
    )
