"""What an engine can render, as rows for people: its factors, and the levels of one kind."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, get_args

from torchmultiverse.engines.contract import Asset, Catalogue, CharacterClass, Choice
from torchmultiverse.scenes import FACTORS, OWN, Factor, may_be_own, published_levels

Listed = Literal["factors", "worlds", "characters", "classes", "textures", "lights"]
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
_TYPES = {"category": "word", "number": "number", "vector": "three numbers", "list": "list of objects"}


def catalogue_rows(catalogue: Catalogue, what: Listed) -> list[dict[str, Any]]:
    """Return what an engine has of one kind, a row each, all with the same keys; lists are lists.

    Args:
        catalogue: of the engine.
        what: ``factors``: name in specs, column of datasets, type, unit, range (``low``, ``high``) or ``levels`` (how
            many of what, or their names), default, the published ``families`` that vary it, and what it does.
            ``classes``: number in the pass ``class``, name, kind, what it is, WordNet synset, ImageNet indices, its
            characters, and the families that have some of them. Else levels: name, aliases, what it is, the families
            that have it, and the pack, licence and source of its asset; ``level`` is what stands in specs and datasets,
            of lights ``R,G,B,A``; of worlds also ``regions``, the levels of ``World_Region`` that they have beside
            their own; of characters also the name of the ``class``, empty where the engine does not say.
    """
    if what == "factors":
        return [_factor(factor, catalogue.factors.get(factor.wire)) for factor in FACTORS if not factor.label]
    if what == "classes":
        return [_class(one) for one in catalogue.classes]
    factor = LISTED_FACTOR[what]
    classes = {name: one.name for one in catalogue.classes for name in one.characters}
    choice = catalogue.factors.get(factor, Choice())
    names = {level: name for name, level in FACTORS[factor].names.items()}
    assets = {asset.name: asset for asset in catalogue.assets if asset.kind == _KINDS.get(what)}
    rows: list[dict[str, Any]] = []
    regions: dict[str, list[str]] = {}
    for region, worlds in catalogue.factors.get("World_Region", Choice()).worlds.items():
        for world in worlds:
            regions.setdefault(world, []).append(region)
    families = _families(factor)
    for level in choice.levels or []:
        asset = assets.get(level, Asset(name=level))
        rows.append(
            {
                "name": names.get(level, level),
                "level": level,
                "aliases": [alias for alias, of in choice.aliases.items() if of == level],
                "what": choice.about.get(level, ""),
                "families": families.get(level, []),
                "pack": asset.pack,
                "licence": asset.license,
                "source": asset.source,
                "attribution": asset.attribution,
            }
            | ({"class": classes.get(level, "")} if what == "characters" else {})
            | ({"regions": regions.get(level, [])} if what == "worlds" else {})
        )
    return rows


def _class(one: CharacterClass) -> dict[str, Any]:
    families = _families("Character_Name")
    found = {family for name in one.characters for family in families.get(name, [])}
    return {
        "id": one.id,
        "name": one.name,
        "kind": one.kind,
        "what": one.display,
        "synset": one.synset,
        "imagenet": [str(index) for index in one.imagenet],
        "count": len(one.characters),
        "characters": one.characters,
        "families": [family for family in published_levels() if family in found],
    }


def _factor(factor: Factor, choice: Choice | None) -> dict[str, Any]:
    low, high, levels = factor.low, factor.high, ""
    if choice is None:
        levels = "cannot be varied"
    elif choice.levels is not None:
        listed = [what for what, of in LISTED_FACTOR.items() if of == _first(factor.wire)]
        levels = f"{len(choice.levels)} {listed[0]}" if listed else ", ".join(choice.levels)
    elif factor.kind == "category":
        levels = "any"
    elif factor.kind == "list":
        levels = f"at most {factor.high:g}"
    elif choice.low is not None and choice.high is not None:
        low, high = choice.low, choice.high
    return {
        "factor": factor.wire,
        "column": factor.column,
        "type": _TYPES[factor.kind],
        "unit": factor.unit,
        "levels": levels or f"{low:g} to {high:g}" + (f", or {OWN}" if may_be_own(factor) else ""),
        "low": None if levels else low,
        "high": None if levels else high,
        "default": "must be given" if factor.default is None else str(factor.default),
        "families": [family for family, factors in published_levels().items() if factor.wire in factors],
        "what": factor.doc,
    }


@cache
def _families(factor: str) -> dict[str, list[str]]:
    """Return the families that have a level, of whichever character, by level."""
    found: dict[str, list[str]] = {}
    for family, factors in published_levels().items():
        for level in {str(level) for name, levels in factors.items() if _first(name) == factor for level in levels}:
            found.setdefault(level, []).append(family)
    return found


def _first(factor: str) -> str:
    """Return the factor of the first character that is like one of the second."""
    return factor.replace("Character2_", "Character_")
