"""The page of what several trainings leave at both ends of an encoder."""

from __future__ import annotations

from torchmultiverse.analyze import LayerGap, Misalignment, TrainedRecipe, published_sections
from torchmultiverse.evaluation import plain
from torchmultiverse.report.experiments import shown_table
from torchmultiverse.report.study_charts import drawn, names
from torchmultiverse.report.svg import legend_mark
from torchmultiverse.report.tables import rows_as_csv
from torchmultiverse.report.templates import template
from torchmultiverse.stats import LEVEL, holm
from torchmultiverse.study import LineChart, Point, Series


def misalignment_page(found: Misalignment) -> str:
    """Return the page: it needs no other file and no network."""
    recipes = [recipe.name for recipe in found.recipes]
    tables = []
    for dataset in found.datasets:
        mine = [[gap for gap in gaps if (gap.dataset or found.dataset) == dataset] for gaps in found.gaps]
        factors = list(dict.fromkeys(gap.factor for gaps in mine for gap in gaps))
        lines = [(name, {gap.factor: gap for gap in gaps}) for name, gaps in zip(recipes, mine, strict=True)]
        tables.append({"dataset": dataset, "factors": factors, "lines": lines})
    charts = [{"of": chart, "drawn": drawn(chart), "legend": _legend(chart)} for chart in _curves(found)]
    trainings = max((gap.trainings for gaps in found.gaps for gap in gaps), default=1)
    page: str = template("misalignment.html.j2", plain=plain).render(
        found=found,
        published=[{"about": one.about, **shown_table(one.table)} for one in published_sections("cut")],
        tables=tables,
        charts=charts,
        headline=_headline(found),
        trainings=trainings,
    )
    return page


def _legend(chart: LineChart) -> list[tuple[str, str]]:
    return [(legend_mark(k), name) for name, k in names(chart).items()]


def _curves(found: Misalignment) -> list[LineChart]:
    """Return the chart of every dataset and factor: what is read from the trunk to the end of the head, by recipe."""
    wanted = dict.fromkeys((one.dataset, one.factor) for curve in found.curves for one in curve)
    charts = []
    for dataset, factor in wanted:
        series, some = [], None
        for recipe, curve in zip(found.recipes, found.curves, strict=bool(found.curves)):
            mine = [one for one in curve if (one.dataset, one.factor) == (dataset, factor)]
            points = tuple(Point(x=one.layer, y=one.score, low=one.low, high=one.high) for one in mine)
            series.append(Series(name=recipe.name, points=points))
            some = some or next(iter(mine), None)
        if some is not None:
            title = plain(factor) + (f", {dataset}" if dataset else "")
            y = "accuracy" if some.levels else "R²"
            charts.append(LineChart(title=title, x="layer", y=y, series=tuple(series), chance=some.chance))
    return charts


def misalignment_tables(found: Misalignment) -> dict[str, str]:
    """Return the gaps as CSV, by file name."""
    tables = {"guillotine.csv": rows_as_csv(found.rows())}
    layers = [
        {"recipe": recipe.name, **one.model_dump(), "dataset": one.dataset or found.dataset}
        for recipe, curve in zip(found.recipes, found.curves, strict=bool(found.curves)) for one in curve
    ]  # fmt: skip
    return tables | ({"layers.csv": rows_as_csv(layers)} if layers else {})


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
            f"; for {plain(least[1].factor)}{_of(least[1])} after '{least[0].name}' the head is better, by "
            f"{-100 * least[1].gap:.0f} points [{-100 * least[1].high:.0f}, {-100 * least[1].low:.0f}]."
        )
    return text + "; nowhere is the head significantly better than the trunk."


def _most(recipe: TrainedRecipe, gap: LayerGap) -> str:
    return (
        f"Most is gained by cutting the head for {plain(gap.factor)}{_of(gap)} after '{recipe.name}': "
        f"{100 * gap.gap:.0f} points [{100 * gap.low:.0f}, {100 * gap.high:.0f}]"
    )


def _of(gap: LayerGap) -> str:
    return f" of {gap.dataset}" if gap.dataset else ""
