"""The page of what a layer shows when pictures are drawn from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchmultiverse.evaluate import plain
from torchmultiverse.report import svg
from torchmultiverse.report.templates import template

if TYPE_CHECKING:
    from torchmultiverse.analyze import Portrait


def portrait_page(portrait: Portrait) -> str:
    """Return the page: it needs no other file and no network."""
    page: str = template("portrait.html.j2", plain=plain).render(config=portrait.config, **painted(portrait))
    return page


def painted(portrait: Portrait) -> dict[str, Any]:
    """Return all that the template of the section takes."""
    return {"p": portrait, "headline": _headline(portrait), "bars": [(one, _bar(one)) for one in portrait.kept]}


def _headline(portrait: Portrait) -> str:
    text = portrait.faithfulness.said
    if portrait.faithfulness.hit1 < 0.5:
        return text
    kept = [plain(one.factor) for one in portrait.kept if one.share > 0.8]
    lost = [plain(one.factor) for one in portrait.kept if one.share < 0.2]
    if kept:
        text += f" It keeps {', '.join(kept)}."
    if lost:
        text += f" It loses {', '.join(lost)}."
    return text


def _bar(one: Any) -> Any:
    return svg.dots(
        [
            (0, "drawn pictures", {"accuracy": one.kept, "low": one.low, "high": one.high, "n": 0}),
            (1, "real pictures", {"accuracy": one.real, "low": one.real, "high": one.real, "n": 0}),
            *([(2, "probe", {"accuracy": one.probe, "low": one.probe, "high": one.probe, "n": 0})]
              if one.probe == one.probe else []),
        ],
        one.chance,
    )  # fmt: skip
