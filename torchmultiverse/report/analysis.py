"""The page of what a representation knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchmultiverse.analyze import Analysis, Cut, LabelBudget, LayerGeometry, LayerSimilarity, ProbeResults
from torchmultiverse.evaluation import plain
from torchmultiverse.report import svg
from torchmultiverse.report.experiments import experiment_section
from torchmultiverse.report.memorization import memorization_section, memorization_tables
from torchmultiverse.report.samples import samples_section
from torchmultiverse.report.tables import records_as_csv, rows_as_csv
from torchmultiverse.report.templates import template
from torchmultiverse.scenes import unit_of


def analysis_page(analysis: Analysis) -> str:
    """Return the page: it needs no other file and no network."""
    probing, geometry = analysis.probing, analysis.geometry
    layers = probing.layers if probing else tuple(one.layer for one in geometry)
    page: str = template("analysis.html.j2", plain=plain, unit=unit_of).render(
        model=analysis.model,
        dataset=analysis.dataset,
        provenance=analysis.provenance,
        layers=layers,
        headline=_headline(probing),
        cuts=probing.cuts if probing else (),
        notes=probing.notes if probing else (),
        charts=_charts(probing) if probing else [],
        overview=_overview(probing) if probing else "",
        charts_of_geometry=_geometry(geometry),
        geometry=geometry,
        levels=_levels(probing) if probing else [],
        budgets=_budgets(analysis.budgets),
        unbiased=" without the bias of few images" if any(one.debiased_cka for one in analysis.geometry) else "",
        cka=_similarity(analysis.similarity, layers) if analysis.similarity else "",
        other=analysis.similarity,
        samples=[samples_section(one) for one in analysis.samples],
        experiments=[experiment_section(one) for one in analysis.experiments.experiments]
        if analysis.experiments
        else [],
        memorization=memorization_section(analysis.memorization) if analysis.memorization else None,
        left_out=(*analysis.notes, *(analysis.experiments.notes if analysis.experiments else ())),
    )
    return page


def analysis_tables(analysis: Analysis) -> dict[str, str]:
    """Return the tables of an analysis as CSV, by file name; empty ones are left out."""
    probing = analysis.probing
    records: dict[str, Sequence[Any]] = {"budgets.csv": analysis.budgets}
    if probing:
        records |= {"layers.csv": probing.accuracies, "cuts.csv": probing.cuts, "levels.csv": probing.levels}
    tables = {name: records_as_csv(rows) for name, rows in records.items() if rows}
    if analysis.geometry:
        tables["geometry.csv"] = rows_as_csv([_flat(one) for one in analysis.geometry])
    return tables | (memorization_tables(analysis.memorization) if analysis.memorization else {})


def _flat(geometry: LayerGeometry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "layer": geometry.layer, "depth": geometry.depth, "size": geometry.size, "rank_me": geometry.rank_me,
        "effective_rank": geometry.effective_rank, "uniformity": geometry.uniformity,
        "disentanglement": geometry.disentanglement.disentanglement,
    }  # fmt: skip
    row |= {f"sensitivity {one.factor}": one.sensitivity for one in geometry.sensitivities}
    row |= {f"completeness {name}": value for name, value in geometry.disentanglement.completeness.items()}
    return row | {f"information gap {name}": value for name, value in geometry.information_gap.items()}


def _levels(probing: ProbeResults) -> list[dict[str, Any]]:
    """Return a table of levels for each factor, by its first probe: at the best cut and at the end."""
    found = []
    for factor, cut in probing.first_cuts.items():
        mine = [one for one in probing.levels if (one.factor, one.probe) == (factor, cut.probe)]
        places = list(dict.fromkeys((cut.best, cut.end)))
        rows = [
            [next((one for one in mine if (one.level, one.layer) == (level, layer)), None) for layer in places]
            for level in dict.fromkeys(one.level for one in mine)
        ]
        rows.sort(key=lambda row: row[0].score if row[0] else 0.0)
        if rows:
            found.append({"factor": factor, "places": places, "rows": rows})
    return found


def _budgets(budgets: Sequence[LabelBudget]) -> list[dict[str, Any]]:
    """Return a chart for each factor: what is read with fewer labels."""
    charts = []
    for factor in dict.fromkeys(one.factor for one in budgets):
        mine = [one for one in budgets if one.factor == factor]
        fractions = sorted({one.fraction for one in mine})
        lines = []
        for index, layer in enumerate(dict.fromkeys(one.layer for one in mine)):
            of = sorted((one for one in mine if one.layer == layer), key=lambda one: one.fraction)
            parts = [[getattr(one, name) for one in of] for name in ("score", "low", "high")]
            lines.append(svg.Series(index, layer, *parts))
        charts.append(
            {
                "factor": factor,
                "chart": svg.curves([f"{100 * fraction:g} %" for fraction in fractions], lines),
                "legend": [(svg.legend_mark(line.index), line.name) for line in lines],
            }
        )
    return charts


def _similarity(similarity: LayerSimilarity, layers: Sequence[str]) -> Any:
    rows = [f"{depth}  {layer}" for depth, layer in enumerate(layers)]
    columns = [f"{k}" for k in range(len(similarity.layers))]
    values = similarity.debiased_cka or similarity.cka
    cells = {(row, column): (values[r][c], 0) for r, row in enumerate(rows) for c, column in enumerate(columns)}
    return svg.heatmap(rows, columns, cells, "similarity")


def _headline(probing: ProbeResults | None) -> str:
    if probing is None:
        return ""
    cuts = probing.first_cuts  # by the probe that charts speak of
    unread = [plain(factor) for factor, cut in cuts.items() if not cut.above_chance]
    costly = [cut for cut in cuts.values() if cut.lost]
    text = f"{len(probing.layers)} layers were asked for {len(cuts)} factors. "
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


def _charts(probing: ProbeResults) -> list[dict[str, Any]]:
    """Return a chart for each factor, with a line for each probe."""
    charts = []
    for factor in dict.fromkeys(cut.factor for cut in probing.cuts):
        cuts = [cut for cut in probing.cuts if cut.factor == factor]
        lines = []
        for index, cut in enumerate(cuts):
            curve = probing.curve(factor, cut.probe)
            lines.append(
                svg.Series(
                    index,
                    cut.probe,
                    [one.score for one in curve],
                    [one.low for one in curve],
                    [one.high for one in curve],
                )
            )
        first = probing.curve(factor, cuts[0].probe)
        charts.append(
            {
                "factor": factor,
                "levels": first[0].levels,
                "test": first[0].test,
                "group": first[0].group_column,
                "best": cuts[0].best,
                "summary": _summary(cuts[0]) + (f", by {cuts[0].probe}" if len(cuts) > 1 else ""),
                "chart": svg.curves(probing.layers, lines, first[0].chance, probing.layers.index(cuts[0].best)),
                "legend": [(svg.legend_mark(line.index), line.name) for line in lines] if len(lines) > 1 else [],
            }
        )
    return charts


def _summary(cut: Cut) -> str:
    if not cut.above_chance:
        return "not surely read above chance at any layer"
    if cut.best == cut.end:
        return f"best at the end ({cut.end})"
    if cut.lost:
        return f"best at {cut.best}; {100 * cut.cost:.0f} points better than {cut.end}"
    return f"best at {cut.best}; that {cut.end} is worse is not sure"


def _overview(probing: ProbeResults) -> Any:
    """Return all first probes as one grid of layers and factors."""
    first = {factor: cut.probe for factor, cut in probing.first_cuts.items()}
    factors = list(dict.fromkeys(cut.factor for cut in probing.cuts))
    cells = {
        (f"{one.depth}  {one.layer}", plain(one.factor)): (one.score, one.test)
        for one in probing.accuracies
        if first[one.factor] == one.probe
    }
    rows = [f"{depth}  {layer}" for depth, layer in enumerate(probing.layers)]
    return svg.heatmap(rows, [plain(factor) for factor in factors], cells)


def _geometry(geometry: Sequence[LayerGeometry]) -> dict[str, Any]:
    if not geometry:
        return {}
    layers = [one.layer for one in geometry]
    rows = [f"{one.depth}  {one.layer}" for one in geometry]
    rank = [one.rank_me for one in geometry]
    used = [one.effective_rank for one in geometry]
    top = max(rank)
    moved = {
        (row, plain(r.factor)): (r.sensitivity, 0)
        for row, one in zip(rows, geometry, strict=True)
        for r in one.sensitivities
    }
    names = list(dict.fromkeys(factor for _, factor in moved))
    alike = {
        (row, f"{k}"): ((one.debiased_cka or one.cka)[other], 0)
        for row, one in zip(rows, geometry, strict=True)
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
