"""The page of how memory depends on training."""

from __future__ import annotations

from typing import Any

from torchmultiverse.analyze import MemorizationSweep
from torchmultiverse.report import svg
from torchmultiverse.report.tables import records_as_csv
from torchmultiverse.report.templates import template


def sweep_page(sweep: MemorizationSweep) -> str:
    """Return the page: it needs no other file and no network."""
    values = list(dict.fromkeys(point.value for point in sweep.points))
    layers = list(dict.fromkeys(point.layer for point in sweep.points))
    lines = []
    for index, layer in enumerate(layers):
        mine = [point for point in sweep.points if point.layer == layer]
        lines.append(svg.Series(index, layer, [p.score for p in mine], [p.low for p in mine], [p.high for p in mine]))
    top = max(0.1, *(point.high for point in sweep.points))
    last = [point for point in sweep.points if point.layer == layers[-1]]
    categories = [
        svg.Series(1, "memorized", [p.memorized for p in last]),
        svg.Series(0, "correlated", [p.correlated for p in last]),
        svg.Series(3, "misrepresented", [p.misrepresented for p in last]),
    ]
    probes = [
        svg.Series(0, "pictures that it learnt", [p.train_accuracy for p in sweep.probes]),
        svg.Series(1, "public pictures", [p.public_accuracy for p in sweep.probes]),
    ]
    page: str = template("sweep.html.j2").render(
        sweep=sweep, values=values, last=layers[-1], headline=_headline(sweep, layers[-1]),
        scores=svg.curves(values, [_above(line) for line in lines], top=top), categories=svg.curves(values, categories),
        probes=svg.curves(values, probes), legends=[_legend(part) for part in (lines, categories, probes)],
    )  # fmt: skip
    return page


def sweep_tables(sweep: MemorizationSweep) -> dict[str, str]:
    """Return the points as CSV, by file name."""
    return {"sweep.csv": records_as_csv(sweep.points)}


def _above(line: svg.Series) -> svg.Series:
    """Return a line cut off at zero, below which a score is noise; the table has the numbers."""
    return svg.Series(
        line.index, line.name, *([max(0.0, v) for v in part or ()] for part in (line.values, line.low, line.high))
    )


def _legend(lines: list[svg.Series]) -> list[Any]:
    return [(svg.legend_mark(line.index), line.name) for line in lines]


def _headline(sweep: MemorizationSweep, layer: str) -> str:
    mine = [point for point in sweep.points if point.layer == layer]
    most, fewest = max(mine, key=lambda p: p.score), min(mine, key=lambda p: p.score)
    text = (
        f"At {layer}, {100 * most.score:.1f} points [{100 * most.low:.1f}, {100 * most.high:.1f}] are memorized with "
        f"{sweep.vary} {most.value}, {100 * fewest.score:.1f} [{100 * fewest.low:.1f}, {100 * fewest.high:.1f}] with "
        f"{fewest.value}"
    )
    return text + (": a difference." if most.low > fewest.high else "; the intervals overlap.")
