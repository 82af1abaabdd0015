"""Captions: the published templates, filled from a scene's columns. Raw names stay as published (CamelCase).

Source of the strings: the evaluation script of PUG: SPAR, and of the PUG chapter section 5.3.2 (PUG: Animals), D.3.3
(PUG: ImageNet) and D.2.5 (PUG: AR4T).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torchmultiverse.scenes.ar4t import BACKGROUNDS, RELATIONS, negative
from torchmultiverse.scenes.phrases import conditions_phrase
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.semantics import said_name

BLANK = "blank"
CAPTIONS = {
    "SPAR": ("caption", "caption_clean", "negative_caption"),
    "Animals": ("caption", "caption_clean"),
    "ImageNet": ("caption", "caption_clean"),
    "AR4T": ("caption", "alt_caption", "negative_caption"),
}
"""Caption columns of each family."""
_SIZES = ((0.85, "small"), (1.15, "medium"), (float("inf"), "big"))


def spoken(name: str) -> str:
    """Return a name as people write it: ``GiantTortoise`` → ``giant tortoise``, ``SaltFlats_0`` → ``salt flats``.

    >>> spoken("TokyoNight"), spoken("SaltFlats")
    ('tokyo night', 'salt flats')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", base_world(name)).replace("_", " ").lower()


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
    say = str if raw else spoken
    one, two = said_name(row["character_name"]), said_name(row["character2_name"])
    world = f" in a {say(row['world_name'])} environment" if background else ""
    if one == BLANK and two == BLANK:
        return f"This is a photo{world}"
    if one == BLANK or two == BLANK:
        name, side = (two, row["character2_pos"]) if one == BLANK else (one, row["character1_pos"])
        texture = row["character2_texture"] if one == BLANK else row["character_texture"]
        if texture != "Default":
            return f"This is a photo of a {say(name)} textured with {say(texture)}{world}"
        return f"This is a photo of a {say(name)} on the {side} of the picture{world}"
    if row["character_texture"] != "Default" or row["character2_texture"] != "Default":
        return (
            f"This is a photo of a {say(one)} textured with {say(row['character_texture'])} "
            f"and a {say(two)} textured with {say(row['character2_texture'])}{world}"
        )
    return (
        f"This is a photo of a {say(one)} on the {row['character1_pos']} "
        f"and a {say(two)} on the {row['character2_pos']} of the picture{world}"
    )


def animals_caption(row: Mapping[str, Any], raw: bool = True) -> str:
    """Return the published PUG: Animals caption, e.g. *A photo of a big sized Penguin textured with Grass on …*.

    The default texture is not named (section 5.3.2, footnote 6).

    >>> row = {"character_name": "Penguin", "character_scale": 1.3, "character_texture": "Grass"}
    >>> animals_caption(row | {"world_name": "Desert"})
    'A photo of a big sized Penguin textured with Grass on a Desert background'
    """
    say = str if raw else spoken
    scale = float(row["character_scale"])
    size = next(word for limit, word in _SIZES if scale < limit)
    texture = row["character_texture"]
    painted = "" if texture == "Default" else f" textured with {say(texture)}"
    name = say(said_name(row["character_name"]))
    return f"A photo of a {size} sized {name}{painted} on a {say(row['world_name'])} background"


def ar4t_captions(scene: Scene) -> tuple[str, str | None]:
    """Return the caption of a PUG: AR4T scene and the one that says the same the other way round.

    *Banana to the left of chair inside museum* and *Chair to the right of banana inside museum*; *Green banana and
    large chair inside museum* and *Large chair and green banana inside museum*; one object has one caption.
    """
    world = base_world(scene.get_str("World_Name"))
    background = BACKGROUNDS.get(world, spoken(world))
    relation = scene.get_str("Relation")
    one, two = (spoken(scene.get_str(f"{prefix}_Label")) for prefix in ("Character", "Character2"))
    if scene["Subset"] == "Attributes":
        one = f"{spoken(scene.get_str('Character_Attribute'))} {one}"
        two = f"{spoken(scene.get_str('Character2_Attribute'))} {two}"
    if relation not in RELATIONS:
        return _sentence(f"{one} {relation} {background}"), None
    place = f"{scene.get_str('World_Relation')} {background}"
    if scene["Subset"] == "Attributes":
        return _sentence(f"{one} and {two} {place}"), _sentence(f"{two} and {one} {place}")
    back = RELATIONS[relation][2]
    return _sentence(f"{one} {relation} {two} {place}"), _sentence(f"{two} {back} {one} {place}")


def imagenet_caption(row: Mapping[str, Any], raw: bool = True) -> str:
    """Return *This is a photo of a …*, the prompt of the robustness study, with the class of the object.

    >>> imagenet_caption({"character_label": "AfricanElephant"}, raw=False)
    'This is a photo of a african elephant'
    """
    label = str(row["character_label"])
    return f"This is a photo of a {label if raw else spoken(label)}"


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


def base_world(name: str) -> str:
    """Return the name of a world without the suffix of a view, ``SaltFlats_0`` → ``SaltFlats``.

    >>> base_world("SaltFlats_0"), base_world("Desert")
    ('SaltFlats', 'Desert')
    """
    return re.sub(r"_\d+$", "", name)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
