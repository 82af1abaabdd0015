"""The page of what several trainings leave at both ends of an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchmultiverse.evaluate.names import plain
from torchmultiverse.report.templates import template

if TYPE_CHECKING:
    from torchmultiverse.analyze.misalignment import Misalignment


def misalignment_page(found: Misalignment) -> str:
    """Return the page: it needs no other file and no network."""
    factors = list(dict.fromkeys(gap.factor for mine in found.gaps for gap in mine))
    lines = [
        (recipe, {gap.factor: gap for gap in mine}) for recipe, mine in zip(found.recipes, found.gaps, strict=True)
    ]
    page: str = template("misalignment.html.j2", plain=plain).render(
        found=found, factors=factors, lines=lines, headline=_headline(found)
    )
    return page


def _headline(found: Misalignment) -> str:
    every = [(recipe, gap) for recipe, mine in zip(found.recipes, found.gaps, strict=True) for gap in mine]
    most, least = max(every, key=lambda one: one[1].gap), min(every, key=lambda one: one[1].gap)
    text = (
        f"Most is gained by cutting the head for {plain(most[1].factor)} after '{most[0].name}': "
        f"{100 * most[1].gap:.0f} points [{100 * most[1].low:.0f}, {100 * most[1].high:.0f}]"
    )
    if least[1].high < 0:
        return text + (
            f"; for {plain(least[1].factor)} after '{least[0].name}' the head is better, by {-100 * least[1].gap:.0f} "
            f"points [{-100 * least[1].high:.0f}, {-100 * least[1].low:.0f}]."
        )
    return text + "; nowhere is the head significantly better than the trunk."
