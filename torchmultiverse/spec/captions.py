"""Captions: the published templates, filled from a scene's columns. Raw names stay as published (CamelCase).

Source of the strings: the evaluation script of PUG: SPAR and section 5.3.2 (PUG: Animals) of the PUG chapter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BLANK = "blank"
_SIZES = ((0.85, "small"), (1.15, "medium"), (float("inf"), "big"))


def spoken(name: str) -> str:
    """Return a name as people write it: ``GiantTortoise`` → ``giant tortoise``, ``SaltFlats_0`` → ``salt flats``."""
    name = re.sub(r"_\d+$", "", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " ").lower()


def spar_caption(row: Mapping[str, Any], background: bool = True, raw: bool = True) -> str:
    """Return the true SPAR caption of a picture.

    Args:
        row: columns of the picture (``character_name``, ``character2_name``, positions, textures, ``world_name``).
        background: whether the world is named.
        raw: names as published; otherwise as people write them.
    """
    say = str if raw else spoken
    one, two = row["character_name"], row["character2_name"]
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
    """Return the published PUG: Animals caption, e.g. *A photo of a big sized Penguin textured with Grass on …*."""
    say = str if raw else spoken
    scale = float(row["character_scale"])
    size = next(word for limit, word in _SIZES if scale < limit)
    return (
        f"A photo of a {size} sized {say(row['character_name'])} textured with {say(row['character_texture'])} "
        f"on a {say(row['world_name'])} background"
    )


def caption(family: str, row: Mapping[str, Any]) -> str | None:
    """Return the caption column of a family, or ``None`` where the family has none."""
    if family == "SPAR":
        return spar_caption(row)
    if family == "Animals":
        return animals_caption(row)
    return None
