"""The page of what a layer shows when pictures are drawn from it."""

from __future__ import annotations

from typing import Any

from torchmultiverse.analyze import SampleEvaluation, published_samples
from torchmultiverse.evaluation import plain
from torchmultiverse.report import svg
from torchmultiverse.report.experiments import shown_table
from torchmultiverse.report.templates import template


def samples_page(evaluation: SampleEvaluation) -> str:
    """Return the page: it needs no other file and no network."""
    published = [{"about": one.about, **shown_table(one.table)} for one in published_samples()]
    page: str = template("samples.html.j2", plain=plain).render(
        config=evaluation.config, published=published, **samples_section(evaluation)
    )
    return page


def samples_section(evaluation: SampleEvaluation) -> dict[str, Any]:
    """Return all that the template of the section takes."""
    return {
        "e": evaluation,
        "headline": _headline(evaluation),
        "bars": [(one, _bar(one)) for one in evaluation.factors],
        "marks": [svg.legend_mark(index) for index in range(3)],
    }


def _headline(evaluation: SampleEvaluation) -> str:
    text = evaluation.fidelity.summary
    if evaluation.fidelity.hit1 < 0.5:
        return text
    kept = [plain(one.factor) for one in evaluation.factors if one.retained > 0.8]
    lost = [plain(one.factor) for one in evaluation.factors if one.retained < 0.2]
    if kept:
        text += f" It keeps {', '.join(kept)}."
    if lost:
        text += f" It loses {', '.join(lost)}."
    return text


def _bar(one: Any) -> Any:
    real, probe = one.real_accuracy, one.probe_accuracy
    return svg.dots(
        [
            (0, "drawn pictures", {"accuracy": one.accuracy, "low": one.low, "high": one.high, "n": 0}),
            (1, "real pictures", {"accuracy": real, "low": real, "high": real, "n": 0}),
            *([(2, "probe", {"accuracy": probe, "low": probe, "high": probe, "n": 0})] if probe == probe else []),
        ],
        one.chance,
    )
