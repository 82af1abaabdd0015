"""Captions: the published templates, filled from a scene's columns. Raw names stay as published (CamelCase).

Source of the strings: the evaluation script of PUG: SPAR, and of the PUG chapter section 5.3.2 (PUG: Animals), D.3.3
(PUG: ImageNet) and D.2.5 (PUG: AR4T).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchmultiverse.scenes.ar4t import BACKGROUNDS, RELATIONS, UNARY, negative
from torchmultiverse.scenes.implied import BLANK, IN_THE_WORLD, NOTHING, OPPOSITE, implied_labels, seen_so
from torchmultiverse.scenes.phrases import conditions_phrase
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.semantics import said_name
from torchmultiverse.scenes.wording import (
    article,
    base_world,
    one_of,
    spoken,
    written_class,
    written_name,
    written_world,
)

CAPTIONS = {
    "SPAR": ("caption", "caption_clean", "negative_caption"),
    "Animals": ("caption", "caption_clean"),
    "ImageNet": ("caption", "caption_clean"),
    "AR4T": ("caption", "alt_caption", "negative_caption"),
}
"""Caption columns of each family."""
_UNSAID = ("location",)
"""Places that a picture does not tell by themselves."""
_SIZES = ((0.85, "small"), (1.15, "medium"), (float("inf"), "big"))


def spar_caption(row: Mapping[str, Any], background: bool = True, raw: bool = True) -> str:
    """Return the true SPAR caption of a picture.

    Args:
        row: columns of the picture (``character_name``, ``character2_name``, positions, textures, ``world_name``).
        background: whether the world is named.
        raw: names as published; otherwise as people write them.

    >>> row = {"world_name": "Snow", "character_name": "Zebra", "character_texture": "Default"}
    >>> row |= {"character1_pos": "left", "character2_name": "blank"}
    >>> spar_caption(row)
    'This is a photo of a Zebra on the left of the picture in a Snow environment'
    """
    names = (str(row["character_name"]), str(row["character2_name"]))
    there = [k for k in (0, 1) if names[k] != BLANK]
    things = [_thing(name, raw) for name in names]
    textures = {k: row[f"character{('', '2')[k]}_texture"] for k in there}
    world = f" in {_world(row['world_name'], raw)} environment" if background else ""
    if not there:
        return f"This is a photo{world}"
    if any(texture != "Default" for texture in textures.values()):
        said = [f"{things[k]} textured with {textures[k] if raw else spoken(textures[k])}" for k in there]
        return f"This is a photo of {' and '.join(said)}{world}"
    return f"This is a photo of {_placed(row, things, there)}{world}"


def animals_caption(row: Mapping[str, Any], raw: bool = True) -> str:
    """Return the published PUG: Animals caption, e.g. *A photo of a big sized Penguin textured with Grass on …*.

    The default texture is not named (section 5.3.2, footnote 6).

    >>> row = {"character_name": "Penguin", "character_scale": 1.3, "character_texture": "Grass"}
    >>> animals_caption(row | {"world_name": "Desert"})
    'A photo of a big sized Penguin textured with Grass on a Desert background'
    """
    scale = float(row["character_scale"])
    size = next(word for limit, word in _SIZES if scale < limit)
    texture = row["character_texture"]
    painted = "" if texture == "Default" else f" textured with {texture if raw else spoken(texture)}"
    character, world = str(row["character_name"]), _world(row["world_name"], raw)
    if character == BLANK:
        return f"A photo of {world} background"
    return f"A photo of {_thing(character, raw, f'{size} sized')}{painted} on {world} background"


def ar4t_captions(scene: Scene) -> tuple[str | None, str | None]:
    """Return the caption of a PUG: AR4T scene and the one that says the same the other way round.

    *Banana to the left of chair inside museum* and *Chair to the right of banana inside museum*; *Green banana and
    large chair inside museum* and *Large chair and green banana inside museum*; one object has one caption, none has
    none. What a scene's labels leave out is said where it can be seen (`implied_labels`).

    >>> scene = Scene({"World_Name": "SaltFlats", "Character_Name": "Cofee_Mug_1", "Character1_Pos": "on",
    ...                "Character2_Name": "Elephant", "Character2_Pos": "location"})
    >>> ar4t_captions(scene)
    ('Coffee mug on elephant in salt flats', 'Elephant under coffee mug in salt flats')
    """
    implied = implied_labels("AR4T", scene)
    world = base_world(scene.get_str("World_Name"))
    background = BACKGROUNDS.get(world, spoken(world))
    objects = [one for one in (_ar4t_object(scene, prefix) for prefix in ("Character", "Character2")) if one]
    relation = str(implied.get("Relation", scene["Relation"]))
    if len(objects) < 2:
        inside = scene.get_str("World_Relation") if relation in RELATIONS else relation
        place = f"{IN_THE_WORLD if inside == NOTHING else inside} {background}"
        return (_sentence(f"{objects[0]} {place}") if objects else None), None
    one, two = objects
    inside = str(implied.get("World_Relation", scene["World_Relation"]))
    if "Relation" not in implied and relation in UNARY:  # which is said of the world
        inside, relation = relation, NOTHING
    place = f"{IN_THE_WORLD if inside == NOTHING else inside} {background}"
    if scene["Subset"] == "Attributes" or relation == NOTHING:
        return _sentence(f"{one} and {two} {place}"), _sentence(f"{two} and {one} {place}")
    back = OPPOSITE.get(relation)
    alternate = None if back is None else _sentence(f"{two} {back} {one} {place}")
    return _sentence(f"{one} {relation} {two} {place}"), alternate


def _ar4t_object(scene: Scene, prefix: str) -> str:
    """Return what a caption of AR4T calls an object, with its attribute; empty where there is none."""
    label, name = scene.get_str(f"{prefix}_Label"), scene.get_str(f"{prefix}_Name")
    if label == NOTHING and name == BLANK:
        return ""
    said = written_name(name) if label == NOTHING else spoken(label)  # the published captions do not mend labels
    attribute = scene.get_str(f"{prefix}_Attribute")
    return said if attribute == NOTHING else f"{spoken(attribute)} {said}"


def imagenet_caption(row: Mapping[str, Any], raw: bool = True) -> str | None:
    """Return *This is a photo of a …*, the prompt of the robustness study, with the class of the object.

    ``None`` where there is no object. Without a label the class follows from the object's name.

    >>> imagenet_caption({"character_label": "African_crocodile", "character_name": "African_crocodile_1"}, raw=False)
    'This is a photo of an African crocodile'
    """
    label, name = str(row["character_label"]), str(row.get("character_name", BLANK))
    if label == NOTHING:
        if name == BLANK:
            return None
        label = said_name(name)
    return f"This is a photo of {f'a {label}' if raw else one_of(written_class(label, name))}"


def _placed(row: Mapping[str, Any], things: Sequence[str], there: Sequence[int]) -> str:
    """Return the characters that are there, and where they are as the picture shows it."""
    sides = {k: row[f"character{k + 1}_pos"] for k in there}
    related = [k for k, side in sides.items() if len(there) == 2 and side in OPPOSITE]
    if related:  # it says how this one stands to the other
        one = related[0]
        if seen_so(sides[one], [float(row.get(f"camera_{axis}") or 0) for axis in ("yaw", "roll")]):
            return f"{things[one]} {sides[one]} {things[1 - one]}"
        return f"{things[0]} and {things[1]}"
    said = [things[k] if sides[k] in _UNSAID else f"{things[k]} on the {sides[k]}" for k in there]
    return " and ".join(said) + ("" if sides[there[-1]] in _UNSAID else " of the picture")


def _thing(character: str, raw: bool, adjective: str = "") -> str:
    """Return a character with its article: as published, or as people write it."""
    if raw:
        return " ".join(word for word in ("a", adjective, said_name(character)) if word)
    return one_of(written_name(character), adjective)


def _world(name: str, raw: bool) -> str:
    """Return a world with its article: as published, or as people write it."""
    written = name if raw else written_world(name)
    return f"{'a' if raw else article(written)} {written}"


def caption_columns(family: str, scene: Scene) -> dict[str, str | None]:
    """Return the caption columns of a family (see `CAPTIONS`), filled for a scene.

    ``caption`` has names as published, ``caption_clean`` as people write them, ``alt_caption`` says the same in other
    words, ``negative_caption`` is the true caption of the scene's hard negative (`hard_negative`). Of a scene with
    conditions all end in what is said of these (`phrases.conditions_phrase`).

    >>> scene = Scene({"World_Name": "Snow", "Character_Name": "Zebra", "Character1_Pos": "left"})
    >>> for name, caption in caption_columns("SPAR", scene).items():
    ...     print(f"{name}: {caption}")
    caption: This is a photo of a Zebra on the left of the picture in a Snow environment
    caption_clean: This is a photo of a zebra on the left of the picture in a snow environment
    negative_caption: This is a photo of a Zebra on the center of the picture in a Snow environment
    """
    made = _published_columns(family, scene)
    ends = {name: conditions_phrase(scene, raw=name == "caption" and family != "AR4T") for name in made}
    negative = conditions_phrase(scene, raw=family != "AR4T")  # in the words of the caption that it is beside
    ends |= {"negative_caption": negative}
    return {name: None if text is None else text + ends[name] for name, text in made.items()}


def _published_columns(family: str, scene: Scene) -> dict[str, str | None]:
    """Return the caption columns of a family without what is said of conditions."""
    row = scene.table.columns(scene.complete)
    if family == "SPAR":
        other = hard_negative(family, scene)
        negative = None if other is None else spar_caption(other.table.columns(other.complete))
        return {
            "caption": spar_caption(row), "caption_clean": spar_caption(row, raw=False), "negative_caption": negative
        }  # fmt: skip
    if family == "Animals":
        return {"caption": animals_caption(row), "caption_clean": animals_caption(row, raw=False)}
    if family == "ImageNet":
        return {"caption": imagenet_caption(row), "caption_clean": imagenet_caption(row, raw=False)}
    if family == "AR4T":
        other = hard_negative(family, scene)
        caption, alternate = ar4t_captions(scene)
        negative = None if other is None else ar4t_captions(other)[0]
        return {"caption": caption, "alt_caption": alternate, "negative_caption": negative}
    return {}


def hard_negative(family: str, scene: Scene) -> Scene | None:
    """Return the scene of a hard negative, in the same family's design; ``None`` where there is none.

    SPAR: both animals, or the animal and the blank, change places. AR4T: see `spec.ar4t.negative`.

    >>> scene = Scene({"World_Name": "Snow", "Character_Name": "Zebra", "Character2_Name": "Cat"})
    >>> hard_negative("SPAR", scene)
    Scene({"Character2_Name":"Zebra","Character_Name":"Cat","World_Name":"Snow"})
    """
    if family == "AR4T":
        return negative(scene)
    one, two = scene["Character_Name"], scene["Character2_Name"]
    if family != "SPAR" or said_name(str(one)) == said_name(str(two)):  # two of a class are called the same
        return None
    return scene.changed(Character_Name=two, Character2_Name=one)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
