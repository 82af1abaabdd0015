"""The page of what two models memorized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmultiverse.report import svg
from torchmultiverse.report.templates import template

if TYPE_CHECKING:
    from torchmultiverse.analyze.memory import Memory

_MODES = {
    "boxes": "the largest part of each picture that touches no object",
    "corner": "the lower left corner of each picture, which may show a bit of the object",
    "rerender": "the same scene, rendered without its object",
}


def memory_page(memory: Memory) -> str:
    """Return the page: it needs no other file and no network."""
    last = memory.layers[-1]
    page: str = template("memory.html.j2").render(
        memory=memory,
        what=_MODES[memory.mode],
        headline=_headline(memory),
        last=last,
        shares=[f"{100 * score.share:g}" for score in last.score.scores],
        curve=_curve(last.curve),
        legend=[(svg.legend_mark(0), "trained on the pictures"), (svg.legend_mark(1), "trained on others")],
        parts=[(one, _bar(one.score.partition)) for one in memory.layers],
        notes=list(dict.fromkeys(note for one in memory.layers for note in one.score.notes)),
    )
    return page


def _headline(memory: Memory) -> str:
    best = max(memory.layers, key=lambda one: one.score.at(1.0).score)
    whole, p = best.score.at(1.0), best.score.partition
    if whole.low <= 0:
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


def _curve(points: Any) -> Any:
    layers = [f"{100 * share:.0f} % most confident" for share, _, _ in points]
    return svg.curves(
        layers,
        [
            svg.Series(0, "trained on the pictures", [target for _, target, _ in points]),
            svg.Series(1, "trained on others", [reference for _, _, reference in points]),
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
