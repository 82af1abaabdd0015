"""The page of what a representation knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torchmultiverse.analyze import Cut, Depths, Shape
from torchmultiverse.evaluate import plain
from torchmultiverse.report import svg
from torchmultiverse.report.memory import said
from torchmultiverse.report.portrait import painted
from torchmultiverse.report.studies import drawn
from torchmultiverse.report.templates import template

if TYPE_CHECKING:
    from torchmultiverse.analyze import Alike, Analysis, Budget


def analysis_page(analysis: Analysis) -> str:
    """Return the page: it needs no other file and no network."""
    depths, shapes = analysis.depths, analysis.shapes
    layers = depths.layers if depths else tuple(shape.layer for shape in shapes)
    page: str = template("analysis.html.j2", plain=plain).render(
        model=analysis.model,
        dataset=analysis.dataset,
        provenance=analysis.provenance,
        layers=layers,
        headline=_headline(depths),
        cuts=depths.cuts if depths else (),
        notes=depths.notes if depths else (),
        charts=_charts(depths) if depths else [],
        overview=_overview(depths) if depths else "",
        geometry=_geometry(shapes),
        shapes=shapes,
        levels=_levels(depths) if depths else [],
        budgets=_budgets(analysis.budgets),
        alike=_alike(analysis.alike, layers) if analysis.alike else "",
        other=analysis.alike,
        portraits=[painted(one) for one in analysis.portraits],
        studies=[drawn(one) for one in analysis.studies.answers] if analysis.studies else [],
        memory=said(analysis.memory) if analysis.memory else None,
        left_out=(*analysis.notes, *(analysis.studies.notes if analysis.studies else ())),
    )
    return page


def _levels(depths: Depths) -> list[dict[str, Any]]:
    """Return a table of levels for each factor, by its first probe: at the best cut and at the end."""
    found = []
    for factor, cut in depths.first_cuts.items():
        mine = [one for one in depths.levels if (one.factor, one.probe) == (factor, cut.probe)]
        places = list(dict.fromkeys((cut.best, cut.end)))
        rows = [
            [next((one for one in mine if (one.level, one.layer) == (level, layer)), None) for layer in places]
            for level in dict.fromkeys(one.level for one in mine)
        ]
        rows.sort(key=lambda row: row[0].score if row[0] else 0.0)
        if rows:
            found.append({"factor": factor, "places": places, "rows": rows})
    return found


def _budgets(budgets: Sequence[Budget]) -> list[dict[str, Any]]:
    """Return a chart for each factor: what is read with fewer labels."""
    charts = []
    for factor in dict.fromkeys(one.factor for one in budgets):
        mine = [one for one in budgets if one.factor == factor]
        shares = sorted({one.share for one in mine})
        lines = []
        for index, layer in enumerate(dict.fromkeys(one.layer for one in mine)):
            of = sorted((one for one in mine if one.layer == layer), key=lambda one: one.share)
            parts = [[getattr(one, name) for one in of] for name in ("score", "low", "high")]
            lines.append(svg.Series(index, layer, *parts))
        charts.append(
            {
                "factor": factor,
                "chart": svg.curves([f"{100 * share:g} %" for share in shares], lines),
                "legend": [(svg.legend_mark(line.index), line.name) for line in lines],
            }
        )
    return charts


def _alike(alike: Alike, layers: Sequence[str]) -> Any:
    rows = [f"{depth}  {layer}" for depth, layer in enumerate(layers)]
    columns = [f"{k}" for k in range(len(alike.layers))]
    cells = {(row, column): (alike.cka[r][c], 0) for r, row in enumerate(rows) for c, column in enumerate(columns)}
    return svg.heatmap(rows, columns, cells, "similarity")


def _headline(depths: Depths | None) -> str:
    if depths is None:
        return ""
    cuts = depths.first_cuts  # by the probe that charts speak of
    unread = [plain(factor) for factor, cut in cuts.items() if not cut.above]
    costly = [cut for cut in cuts.values() if cut.lost]
    text = f"{len(depths.layers)} layers were asked for {len(cuts)} factors. "
    if unread:
        text += f"Not surely read above chance: {_list(unread)}. "
    if not costly:
        return text + "For none of them is any layer significantly better than the last one."
    worst = max(costly, key=lambda cut: cut.cost)
    text += (
        f"The last layer is not the best place to read {_list([plain(c.factor) for c in costly])}: most is lost of "
        f"{plain(worst.factor)}, {100 * worst.cost:.0f} points [{100 * worst.cost_low:.0f}, "
        f"{100 * worst.cost_high:.0f}] between {worst.best} and {worst.end}."
    )
    return text


def _list(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _charts(depths: Depths) -> list[dict[str, Any]]:
    """Return a chart for each factor, with a line for each probe."""
    charts = []
    for factor in dict.fromkeys(cut.factor for cut in depths.cuts):
        cuts = [cut for cut in depths.cuts if cut.factor == factor]
        lines = []
        for index, cut in enumerate(cuts):
            curve = depths.curve(factor, cut.probe)
            lines.append(
                svg.Series(
                    index,
                    cut.probe,
                    [one.score for one in curve],
                    [one.low for one in curve],
                    [one.high for one in curve],
                )
            )
        first = depths.curve(factor, cuts[0].probe)
        charts.append(
            {
                "factor": factor,
                "levels": first[0].levels,
                "test": first[0].test,
                "grouped": first[0].grouped,
                "best": cuts[0].best,
                "said": _said(cuts[0]) + (f", by {cuts[0].probe}" if len(cuts) > 1 else ""),
                "chart": svg.curves(depths.layers, lines, first[0].chance, depths.layers.index(cuts[0].best)),
                "legend": [(svg.legend_mark(line.index), line.name) for line in lines] if len(lines) > 1 else [],
            }
        )
    return charts


def _said(cut: Cut) -> str:
    if not cut.above:
        return "not surely read above chance at any layer"
    if cut.best == cut.end:
        return f"best at the end ({cut.end})"
    if cut.lost:
        return f"best at {cut.best}; {100 * cut.cost:.0f} points better than {cut.end}"
    return f"best at {cut.best}; that {cut.end} is worse is not sure"


def _overview(depths: Depths) -> Any:
    """Return all first probes as one grid of layers and factors."""
    first = {factor: cut.probe for factor, cut in depths.first_cuts.items()}
    factors = list(dict.fromkeys(cut.factor for cut in depths.cuts))
    cells = {
        (f"{one.depth}  {one.layer}", plain(one.factor)): (one.score, one.test)
        for one in depths.reaches
        if first[one.factor] == one.probe
    }
    rows = [f"{depth}  {layer}" for depth, layer in enumerate(depths.layers)]
    return svg.heatmap(rows, [plain(factor) for factor in factors], cells)


def _geometry(shapes: Sequence[Shape]) -> dict[str, Any]:
    if not shapes:
        return {}
    layers = [shape.layer for shape in shapes]
    rows = [f"{shape.depth}  {shape.layer}" for shape in shapes]
    rank = [shape.rank_me for shape in shapes]
    used = [shape.effective_rank for shape in shapes]
    top = max(rank)
    moved = {
        (row, plain(r.factor)): (r.sensitivity, 0)
        for row, shape in zip(rows, shapes, strict=True)
        for r in shape.responses
    }
    names = list(dict.fromkeys(factor for _, factor in moved))
    alike = {
        (row, f"{k}"): (shape.cka[other], 0)
        for row, shape in zip(rows, shapes, strict=True)
        for k, other in enumerate(layers)
    }
    return {
        "ranks": svg.curves(
            layers, [svg.Series(0, "RankMe", rank), svg.Series(1, "effective rank", used)], top=top, percent=False
        ),
        "legend": [(svg.legend_mark(0), "RankMe"), (svg.legend_mark(1), "effective rank")],
        "moved": svg.heatmap(rows, names, moved, "sensitivity") if moved else "",
        "cka": svg.heatmap(rows, [str(k) for k in range(len(layers))], alike, "similarity"),
    }
