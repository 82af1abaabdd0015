"""What an engine can render, as rows for people: its factors, and the levels of one kind."""

from __future__ import annotations

from typing import Any, Literal, get_args

from torchmultiverse.engines.contract import Asset, Catalogue, Choice
from torchmultiverse.scenes import FACTORS, Factor, published_levels

Listed = Literal["factors", "worlds", "characters", "textures", "lights"]
LISTED: tuple[Listed, ...] = get_args(Listed)
"""What can be listed of a catalogue."""
LISTED_FACTOR: dict[Listed, str] = {
    "worlds": "World_Name",
    "characters": "Character_Name",
    "textures": "Character_Texture",
    "lights": "Scene_Light",
}
"""Kind of levels → the factor that they are levels of; a second character has the same."""
_KINDS = {"worlds": "world", "characters": "character", "textures": "texture"}
_TYPES = {"category": "word", "number": "number", "vector": "three numbers"}


def catalogue_rows(catalogue: Catalogue, what: Listed) -> list[dict[str, Any]]:
    """Return what an engine has of one kind, a row each, all with the same keys; lists are lists.

    Args:
        catalogue: of the engine.
        what: ``factors``: name in specs, column of datasets, type, unit, range (``low``, ``high``) or ``levels`` (how
            many of what, or their names), default, the published ``families`` that vary it, and what it does. Else
            levels: name, aliases, what it is, the families that have it, and the pack, licence and source of its asset;
            ``level`` is what stands in specs and datasets, of lights ``R,G,B,A``.
    """
    if what == "factors":
        return [_factor(factor, catalogue.factors.get(factor.wire)) for factor in FACTORS if not factor.label]
    factor = LISTED_FACTOR[what]
    choice = catalogue.factors.get(factor, Choice())
    names = {level: name for name, level in FACTORS[factor].names.items()}
    assets = {asset.name: asset for asset in catalogue.assets if asset.kind == _KINDS.get(what)}
    rows = []
    for level in choice.levels or []:
        asset = assets.get(level, Asset(name=level))
        rows.append(
            {
                "name": names.get(level, level),
                "level": level,
                "aliases": [alias for alias, of in choice.aliases.items() if of == level],
                "what": choice.about.get(level, ""),
                "families": _families(factor, level),
                "pack": asset.pack,
                "licence": asset.license,
                "source": asset.source,
                "attribution": asset.attribution,
            }
        )
    return rows


def _factor(factor: Factor, choice: Choice | None) -> dict[str, Any]:
    low, high, levels = factor.low, factor.high, ""
    if choice is None:
        levels = "cannot be varied"
    elif choice.levels is not None:
        listed = [what for what, of in LISTED_FACTOR.items() if of == _first(factor.wire)]
        levels = f"{len(choice.levels)} {listed[0]}" if listed else ", ".join(choice.levels)
    elif factor.kind == "category":
        levels = "any"
    elif choice.low is not None and choice.high is not None:
        low, high = choice.low, choice.high
    return {
        "factor": factor.wire,
        "column": factor.column,
        "type": _TYPES[factor.kind],
        "unit": factor.unit,
        "levels": levels or f"{low:g} to {high:g}",
        "low": None if levels else low,
        "high": None if levels else high,
        "default": "must be given" if factor.default is None else str(factor.default),
        "families": [family for family, factors in published_levels().items() if factor.wire in factors],
        "what": factor.doc,
    }


def _families(factor: str, level: str) -> list[str]:
    """Return the families that have a level, of whichever character."""
    return [
        family
        for family, factors in published_levels().items()
        if any(level in levels for name, levels in factors.items() if _first(name) == factor)
    ]


def _first(factor: str) -> str:
    """Return the factor of the first character that is like one of the second."""
    return factor.replace("Character2_", "Character_")
