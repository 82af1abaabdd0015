"""What an engine can render, as rows for people: its factors, and the levels of one kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

from torchmultiverse.engines.contract import Catalogue, Choice
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
    """Return what an engine has of one kind, a row each, all with the same keys.

    Args:
        catalogue: of the engine.
        what: ``factors``: name, column in datasets, type, unit, levels or range, default, the published families that
            vary it, what it does. Else levels: name, aliases, the families that have it, what it is, and the pack,
            licence and source of its asset; of lights the name and the level that it stands for.
    """
    if what == "factors":
        return [_factor(factor, catalogue.factors.get(factor.wire)) for factor in FACTORS if not factor.label]
    factor = LISTED_FACTOR[what]
    choice = catalogue.factors.get(factor, Choice())
    levels, about = choice.levels or [], choice.about
    aliases: dict[str, list[str]] = {}
    for alias, level in choice.aliases.items():
        aliases.setdefault(level, []).append(alias)
    if what == "lights":
        return [
            {"name": about.get(level, ""), "level": level, "families": _families(factor, level)} for level in levels
        ]
    assets = {asset.name: asset for asset in catalogue.assets if asset.kind == _KINDS[what]}
    rows = []
    for level in levels:
        asset = assets.get(level)
        rows.append(
            {
                "name": level,
                **({"aliases": ", ".join(aliases.get(level, []))} if choice.aliases else {}),
                "what": about.get(level, ""),
                "families": _families(factor, level),
                "pack": asset.pack if asset else "",
                "licence": asset.license if asset else "",
                "source": asset.source if asset else "",
            }
        )
    return rows


def _factor(factor: Factor, choice: Choice | None) -> dict[str, Any]:
    return {
        "factor": factor.wire,
        "column": factor.column,
        "type": _TYPES[factor.kind],
        "unit": factor.unit,
        "values": _values(factor, choice),
        "default": "must be given" if factor.default is None else factor.default,
        "families": ", ".join(family for family, factors in published_levels().items() if factor.wire in factors),
        "what": factor.doc,
    }


def _values(factor: Factor, choice: Choice | None) -> str:
    if choice is None:
        return "cannot be varied"
    if choice.levels is not None:
        listed = [what for what, of in LISTED_FACTOR.items() if of == factor.wire.replace("Character2_", "Character_")]
        return f"{len(choice.levels)} {listed[0]}" if listed else ", ".join(choice.levels)
    low, high = (factor.low, factor.high) if choice.low is None or choice.high is None else (choice.low, choice.high)
    return "any" if factor.kind == "category" else f"{low:g} to {high:g}"


def _families(factor: str, level: str) -> str:
    found: Iterable[str] = (
        family
        for family, factors in published_levels().items()
        if any(level in factors.get(name, ()) for name in (factor, factor.replace("Character_", "Character2_")))
    )
    return ", ".join(found)
