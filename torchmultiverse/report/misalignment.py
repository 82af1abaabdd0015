"""The page of what several trainings leave at both ends of an encoder."""

from __future__ import annotations

from torchmultiverse.analyze import LayerGap, Misalignment, TrainedRecipe
from torchmultiverse.evaluation import plain
from torchmultiverse.report.tables import rows_as_csv
from torchmultiverse.report.templates import template
from torchmultiverse.stats import LEVEL, holm


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


def misalignment_tables(found: Misalignment) -> dict[str, str]:
    """Return the gaps as CSV, by file name."""
    return {"guillotine.csv": rows_as_csv(found.rows())}


def _headline(found: Misalignment) -> str:
    every = [(recipe, gap) for recipe, mine in zip(found.recipes, found.gaps, strict=True) for gap in mine]
    # The largest of many gaps is large by choice: only those that stand the correction for all of them.
    corrected = holm([gap.p for _, gap in every])
    sure = [one for one, p in zip(every, corrected, strict=True) if one[1].above_chance and p < 1 - LEVEL]
    if not sure:
        return "For no training and factor is trunk or head significantly better than the other."
    most, least = max(sure, key=lambda one: one[1].gap), min(sure, key=lambda one: one[1].gap)
    if most[1].gap < 0:
        text = "Nowhere is the trunk significantly better than the head"
    else:
        text = _most(*most)
    if least[1].gap < 0:
        return text + (
            f"; for {plain(least[1].factor)} after '{least[0].name}' the head is better, by {-100 * least[1].gap:.0f} "
            f"points [{-100 * least[1].high:.0f}, {-100 * least[1].low:.0f}]."
        )
    return text + "; nowhere is the head significantly better than the trunk."


def _most(recipe: TrainedRecipe, gap: LayerGap) -> str:
    return (
        f"Most is gained by cutting the head for {plain(gap.factor)} after '{recipe.name}': "
        f"{100 * gap.gap:.0f} points [{100 * gap.low:.0f}, {100 * gap.high:.0f}]"
    )
