"""True captions of a SPAR image and hard negatives, to train on. Pure.

The sentences are the published SPAR captions, with and without the world, the sides and the textures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torchmultiverse.scenes import BLANK, said_name

CaptionKind = Literal["scene", "animals", "sides", "textures", "full"]
CAPTION_KINDS: tuple[CaptionKind, ...] = ("scene", "animals", "sides", "textures", "full")
_OTHER_SIDE = {"left": "right", "right": "left", "bottom": "top", "top": "bottom"}


@dataclass(frozen=True, slots=True)
class PlacedAnimal:
    """One animal in an image."""

    name: str
    side: str
    texture: str


@dataclass(frozen=True, slots=True)
class ImageContent:
    """What is in an image.

    Attributes:
        world: its name.
        animals: none, one or two.
    """

    world: str
    animals: tuple[PlacedAnimal, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> ImageContent:
        """Read the columns of an image."""
        animals = tuple(
            PlacedAnimal(
                said_name(row[f"character{n}_name"]), row[f"character{n or 1}_pos"], row[f"character{n}_texture"]
            )
            for n in ("", "2")
            if row[f"character{n}_name"] != BLANK
        )
        return cls(row["world_name"], animals)


def caption_of(content: ImageContent, kind: CaptionKind) -> str | None:
    """Return the caption of a kind, or ``None`` where the kind says nothing of such an image."""
    world = f" in a {content.world} environment"
    if kind == "scene":
        return f"This is a photo{world}"
    if not content.animals:
        return None
    painted = any(animal.texture != "Default" for animal in content.animals)
    if kind == "animals":
        names = sorted(animal.name for animal in content.animals)
        return "This is a photo of a " + " and a ".join(names)
    if kind == "textures":
        if not painted:
            return None
        return "This is a photo of a " + " and a ".join(f"{a.name} textured with {a.texture}" for a in content.animals)
    sides = "This is a photo of a " + " and a ".join(f"{a.name} on the {a.side}" for a in content.animals)
    sides += " of the picture"
    if kind == "sides":
        return sides
    return (caption_of(content, "textures") if painted else sides) + world  # type: ignore[operator]


def hard_negatives(content: ImageContent, animals: Sequence[str], worlds: Sequence[str]) -> list[ImageContent]:
    """Return false contents that differ in one thing: sides or animals swapped, one animal or the world replaced."""
    found = [replace(content, world=world) for world in worlds if world != content.world]
    for index, animal in enumerate(content.animals):
        for name in animals:
            if name != animal.name:
                changed = list(content.animals)
                changed[index] = replace(animal, name=name)
                found.append(replace(content, animals=tuple(changed)))
    if len(content.animals) == 1:
        (animal,) = content.animals
        if animal.side in _OTHER_SIDE:
            found.append(replace(content, animals=(replace(animal, side=_OTHER_SIDE[animal.side]),)))
    if len(content.animals) == 2 and content.animals[0].name != content.animals[1].name:
        one, two = content.animals
        found.append(replace(content, animals=(replace(one, name=two.name), replace(two, name=one.name))))
    return found


def words_of(contents: Iterable[ImageContent]) -> set[str]:
    """Return all words of all captions of some contents, and of their hard negatives."""
    contents = list(contents)
    placed = {animal for one in contents for animal in one.animals}
    placed |= {replace(animal, side=_OTHER_SIDE.get(animal.side, animal.side)) for animal in placed}
    said = [ImageContent(world, ()) for world in {one.world for one in contents}]
    said += [ImageContent("", (animal, animal)) for animal in placed]
    captions = [caption_of(one, kind) for one in said for kind in CAPTION_KINDS]
    return {word for caption in captions if caption for word in caption.split()}
