"""What can truly be said of a SPAR picture, and what sounds alike but is false: captions to train on. Pure.

The sentences are the published SPAR captions, with and without the world, the sides and the textures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torchmultiverse.scenes import BLANK

Kind = Literal["scene", "animals", "sides", "textures", "full"]
KINDS: tuple[Kind, ...] = ("scene", "animals", "sides", "textures", "full")
_OTHER_SIDE = {"left": "right", "right": "left", "bottom": "top", "top": "bottom"}


@dataclass(frozen=True, slots=True)
class Animal:
    """One animal in a picture."""

    name: str
    side: str
    texture: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is in a picture.

    Attributes:
        world: its name.
        animals: none, one or two.
    """

    world: str
    animals: tuple[Animal, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Facts:
        """Read the columns of a picture."""
        animals = tuple(
            Animal(row[f"character{n}_name"], row[f"character{n or 1}_pos"], row[f"character{n}_texture"])
            for n in ("", "2")
            if row[f"character{n}_name"] != BLANK
        )
        return cls(row["world_name"], animals)


def say(facts: Facts, kind: Kind) -> str | None:
    """Return the caption of a kind, or ``None`` where the kind says nothing of such a picture."""
    world = f" in a {facts.world} environment"
    if kind == "scene":
        return f"This is a photo{world}"
    if not facts.animals:
        return None
    painted = any(animal.texture != "Default" for animal in facts.animals)
    if kind == "animals":
        names = sorted(animal.name for animal in facts.animals)
        return "This is a photo of a " + " and a ".join(names)
    if kind == "textures":
        if not painted:
            return None
        return "This is a photo of a " + " and a ".join(f"{a.name} textured with {a.texture}" for a in facts.animals)
    sides = "This is a photo of a " + " and a ".join(f"{a.name} on the {a.side}" for a in facts.animals)
    sides += " of the picture"
    if kind == "sides":
        return sides
    return (say(facts, "textures") if painted else sides) + world  # type: ignore[operator]


def look_alikes(facts: Facts, animals: Sequence[str], worlds: Sequence[str]) -> list[Facts]:
    """Return false facts that differ in one thing: sides or animals swapped, one animal or the world replaced."""
    found = [replace(facts, world=world) for world in worlds if world != facts.world]
    for index, animal in enumerate(facts.animals):
        for name in animals:
            if name != animal.name:
                changed = list(facts.animals)
                changed[index] = replace(animal, name=name)
                found.append(replace(facts, animals=tuple(changed)))
    if len(facts.animals) == 1:
        (animal,) = facts.animals
        if animal.side in _OTHER_SIDE:
            found.append(replace(facts, animals=(replace(animal, side=_OTHER_SIDE[animal.side]),)))
    if len(facts.animals) == 2 and facts.animals[0].name != facts.animals[1].name:
        one, two = facts.animals
        found.append(replace(facts, animals=(replace(one, name=two.name), replace(two, name=one.name))))
    return found
