"""The page of what was memorized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmultiverse.evaluate import plain
from torchmultiverse.report import svg
from torchmultiverse.report.templates import template
from torchmultiverse.stats import LEVEL

if TYPE_CHECKING:
    from torchmultiverse.analyze import Memory

_MODES = {
    "boxes": "the largest part of each picture that touches no object",
    "corner": "the lower left corner of each picture, which may show a bit of the object",
    "rerender": "the same scene, rendered without its object",
}
_KINDS = {
    "memorized": "Most memorized: only the model that saw the picture names it",
    "correlated": "Most correlated: both name it, the background says it",
}


def memory_page(memory: Memory) -> str:
    """Return the page: it needs no other file and no network."""
    page: str = template("memory.html.j2").render(m=said(memory))
    return page


def said(memory: Memory) -> dict[str, Any]:
    """Return all that the template of the section takes."""
    last = memory.layers[-1]
    shown = f"shown {_MODES[memory.mode]}, and asked for the {plain(memory.label)}."
    if memory.reference == "model":
        who, reference = f"Each model is {shown}", "trained on others"
    elif memory.reference == "held-out":
        who = f"The model is {shown} The reference are its own answers on pictures that it never saw."
        reference = "pictures that it never saw"
    else:
        who = f"The model is {shown} The reference is a reader of backgrounds, which learnt from other pictures alone."
        reference = f"reader of backgrounds ({memory.reference})"
    return {
        "dataset": memory.dataset, "asked": memory.asked, "last": last, "shown": who, "alone": not memory.b,
        "models": f"{memory.a} and {memory.b}" if memory.b else memory.a,
        "headline": _headline(memory),
        "control": "two sets that it never saw" if memory.reference == "held-out" else "held out",
        "other_too": "both are" if memory.b else "the reference too",
        "shares": [f"{100 * score.share:g}" for score in last.score.scores],
        "curve": _curve(last.curve, reference),
        "legend": [(svg.legend_mark(0), "trained on the pictures"), (svg.legend_mark(1), reference)],
        "parts": [(one, _bar(one.score.partition)) for one in memory.layers],
        "notes": list(dict.fromkeys(note for one in memory.layers for note in one.score.notes)),
        "tied": _tied(memory), "membership": memory.membership, "gallery": memory.gallery, "classes": memory.classes,
        "drawn": memory.drawn,
        "kinds": _KINDS | ({"memorized": "Named with most confidence"} if memory.reference == "held-out" else {}),
    }  # fmt: skip


def _tied(memory: Memory) -> str:
    """Return what other factors say of the label, in a sentence."""
    if not memory.ties:
        return ""
    strong = sorted((one for one in memory.ties if one.p_value < 0.01), key=lambda one: -one.strength)
    if not strong:
        names = ", ".join(plain(one.factor) for one in memory.ties)
        return (
            f"No other factor of these data says anything of the {plain(memory.label)} ({names}: independent of it), "
            "so that what is named from a background alone is not correlation."
        )
    named = ", ".join(f"{plain(one.factor)} (Cramér's V {one.strength:.2f})" for one in strong[:4])
    return f"Factors that go with the {plain(memory.label)} in these data, so that a background may say it: {named}."


def _headline(memory: Memory) -> str:
    best = max(memory.layers, key=lambda one: one.score.at(1.0).score)
    whole, p = best.score.at(1.0), best.score.partition
    # The best of several layers is good by choice, too: its p is corrected for all of them.
    if whole.low <= 0 or p.p_value * len(memory.layers) >= 1 - LEVEL:
        return (
            f"No memory beyond correlation is found in {memory.asked:,} pictures: at {best.layer} the models name "
            f"{100 * p.memorized:.1f} % of them only if trained on them, and {100 * p.misrepresented:.1f} % only if "
            "not. That does not prove that nothing was memorized."
        )
    return (
        f"At {best.layer}, {100 * whole.score:.1f} points [{100 * whole.low:.1f}, {100 * whole.high:.1f}] more objects "
        f"are named from pictures that do not show them by a model that was trained on them: "
        f"{100 * p.memorized:.1f} % are memorized, against {100 * p.misrepresented:.1f} % that chance explains."
    )


def _curve(points: Any, reference: str) -> Any:
    layers = [f"{100 * share:.0f} % most confident" for share, _, _ in points]
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
