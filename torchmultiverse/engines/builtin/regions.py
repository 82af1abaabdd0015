"""Looks of a world that belong to a part of the earth: ``scenes/regions/WORLD/LEVEL.json`` says what is otherwise.

A look is that of what is documented and typical, for pictures that differ as places do; it measures no place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.engines import Choice
from torchmultiverse.engines.builtin.world import WorldSpec, load_spec, world_names
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import OWN

_OWN_BLOCKS = 1000
"""Seeds of a look's own blocks begin here, so that they are none of the world's."""
_OWN_SEEDS = 1 << 16


class Fact(BaseModel):
    """What of a look stands for the place, and where that is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    shows: str = Field(min_length=3)
    source: str = Field(min_length=3)


class RegionSpec(BaseModel):
    """The content of ``scenes/regions/WORLD/LEVEL.json``.

    Attributes:
        caption: what a person calls the place, as a world's.
        facts: what stands for the place, each with its source.
        changes: fields of the world that are otherwise (see `world.WorldSpec`); of ``sky``, ``haze`` and ``camera``
            those of their fields.
        blocks: what the world is built of, in order. ``{"keep": 0}`` is the world's own first block, as it stands
            there; further keys beside it are parameters that replace its own. Anything else is a block of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    caption: str = Field(min_length=3)
    facts: list[Fact] = Field(min_length=1)
    changes: dict[str, Any] = {}
    blocks: list[dict[str, Any]] = Field(min_length=1)


def _folder() -> Path:
    return data_folder("scenes") / "regions"


@lru_cache(maxsize=1)
def region_names() -> dict[str, list[str]]:
    """Return the levels of each world that has any, both sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(_folder().glob("*/*.json")):
        found.setdefault(path.parent.name, []).append(path.stem)
    return {world: found[world] for world in world_names() if world in found}


def region_table() -> dict[str, dict[str, str]]:
    """Return the levels of each world that has any, with what they are called."""
    return {world: {name: load_region(world, name)[0].caption for name in of} for world, of in region_names().items()}


def load_region(world: str, region: str) -> tuple[RegionSpec, bytes]:
    """Return the file of a world's look, checked, and its bytes.

    Raises:
        SpecError: the world has no such look, or the file is wrong; names the place.
    """
    known = region_names()
    if region not in known.get(world, ()):
        raise SpecError(missing(world, region, known))
    path = _folder() / world / f"{region}.json"
    data = path.read_bytes()
    try:
        return RegionSpec.model_validate_json(data), data
    except ValidationError as error:
        raise SpecError(f"{path}: {error}") from None


def missing(world: str, region: str, known: dict[str, list[str]]) -> str:
    """Return what to say where a world has no such look."""
    if world in known:
        near = nearest(region, known[world])
        return f"World_Region = {region}: world '{world}' has own, {', '.join(known[world])}.{near}"
    return f"World_Region = {region}: world '{world}' has its own look alone; {', '.join(known)} have others"


def regional(name: str, spec: WorldSpec, look: RegionSpec, region: str) -> tuple[WorldSpec, list[int], list[str]]:
    """Return a world in a look, the seeds of its blocks, and what messages call them.

    A block that is kept has the seed that it has in the world; the others' come of the look's name and their place.

    Raises:
        SpecError: a change of what no world has, or a block that the world has not; names the place.
    """
    file = f"scenes/regions/{name}/{region}.json"
    base = int.from_bytes(hashlib.sha256(region.encode()).digest()[:4], "little") * _OWN_SEEDS + _OWN_BLOCKS
    facts = spec.model_dump(mode="json")
    for key, value in look.changes.items():
        if key in ("blocks", "caption"):
            raise SpecError(f"{file}: changes: '{key}' stands beside 'changes', not in it")
        if isinstance(value, dict) and isinstance(facts.get(key), dict):
            value = {**facts[key], **value}
        facts[key] = value
    blocks: list[dict[str, Any]] = []
    seeds: list[int] = []
    where: list[str] = []
    for k, block in enumerate(look.blocks):
        kept = block.get("keep")
        if kept is None:
            blocks.append(block)
            seeds.append(base + k)
        elif isinstance(kept, int) and not isinstance(kept, bool) and 0 <= kept < len(spec.blocks):
            blocks.append({**spec.blocks[kept], **{key: value for key, value in block.items() if key != "keep"}})
            seeds.append(kept)
        else:
            raise SpecError(f"{file}: blocks[{k}]: keep = {kept!r}; {name} has blocks 0 to {len(spec.blocks) - 1}")
        where.append(f"{file}: blocks[{k}]")
    try:
        made = WorldSpec.model_validate({**facts, "caption": look.caption, "blocks": blocks})
    except ValidationError as error:
        raise SpecError(f"{file}: changes: {error}") from None
    return made, seeds, where


def region_choice(regions: Mapping[str, Mapping[str, str]]) -> Choice:
    """Return the levels of ``World_Region`` of some worlds' looks (see `region_table`), and which worlds have each."""
    levels = sorted({level for of in regions.values() for level in of})
    return Choice(
        levels=[OWN, *levels],
        about={OWN: "the world's own look"} | {level: f"look of {level.replace('_', ' ')}" for level in levels},
        worlds={level: [world for world, of in regions.items() if level in of] for level in levels},
    )


def regional_spec(name: str, region: str) -> WorldSpec:
    """Return what a world in a look is built of."""
    return regional(name, load_spec(name)[0], load_region(name, region)[0], region)[0]
