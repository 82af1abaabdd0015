"""Labels that a scene leaves out and that what it shows tells: classes of its characters, and how these are placed.

Designs of the published families write all labels. Other designs need not: a class follows from a character's name, a
relation from a word of placement (``Character1_Pos: on``) or from two places of the published layouts (left and right).
"""

from __future__ import annotations

from collections.abc import Iterable

from torchmultiverse.scenes.ar4t import RELATIONS
from torchmultiverse.scenes.factors import Value
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.semantics import said_name

BLANK = "blank"
NOTHING = "none"
"""What a label is at that nobody gave."""
INSIDE, HOLDING = "inside", "holding"
"""The one relation of two characters that PUG: AR4T has not, and the same said the other way round."""
OPPOSITE = {**{name: other for name, (_, _, other) in RELATIONS.items()}, INSIDE: HOLDING, HOLDING: INSIDE}
"""Relation of two → the same one said of the other."""
IN_THE_WORLD = "in"
_PREFIXES = ("Character", "Character2")
_ACROSS = {"left": -1, "center": 0, "right": 1}
_UP = {"bottom": -1, "center": 0, "top": 1}
_AS_SEEN = frozenset(("to the left of", "to the right of", "behind", "in front of"))
"""Relations that are true as the camera at yaw 0 sees them."""
_TURNED = 45
"""Degrees that the camera is turned by at most where these are said."""


def implied_labels(family: str, scene: Scene) -> dict[str, Value]:
    """Return the labels of a family's published columns that a scene does not give and that what it shows tells.

    Returns:
        By wire name; nothing of families whose published columns are no labels, or where all are given.

    >>> scene = Scene({"World_Name": "Snow", "Character_Name": "Cofee_Mug_1", "Character1_Pos": "on",
    ...                "Character2_Name": "Zebra", "Character2_Pos": "location"})
    >>> implied_labels("AR4T", scene)
    {'Character_Label': 'Cofee_Mug', 'Character2_Label': 'Zebra', 'Relation': 'on', 'World_Relation': 'in'}
    >>> implied_labels("ImageNet", scene)
    {'Character_Label': 'Cofee_Mug'}
    """
    if family not in ("AR4T", "ImageNet"):
        return {}
    found: dict[str, Value] = {}
    shown = [prefix for prefix in _PREFIXES if scene[f"{prefix}_Name"] != BLANK]
    for prefix in shown if family == "AR4T" else shown[:1]:
        found[f"{prefix}_Label"] = said_name(scene.get_str(f"{prefix}_Name"))
    if family == "AR4T" and shown:
        two = len(shown) == 2
        found["Relation"] = (relation_of_places(scene) or NOTHING) if two else IN_THE_WORLD
        if two:
            found["World_Relation"] = IN_THE_WORLD
    return {name: value for name, value in found.items() if value != NOTHING == scene[name]}


def relation_of_places(scene: Scene) -> str | None:
    """Return how the first character of a scene of two stands to the second by the words of their places.

    ``None`` where these do not tell: both stand by coordinates, or the camera is turned so that left is not left.

    >>> scene = Scene({"World_Name": "Snow", "Character1_Pos": "right", "Character2_Pos": "left"})
    >>> relation_of_places(scene), relation_of_places(scene.changed(Camera_Yaw=180))
    ('to the right of', None)
    """
    one, two = scene.get_str("Character1_Pos"), scene.get_str("Character2_Pos")
    if one == two == "center":  # two of which neither has a place stand left and right
        one, two = "left", "right"
    if one in OPPOSITE:
        found = one
    elif two in OPPOSITE:
        found = OPPOSITE[two]
    elif one in _ACROSS and two in _ACROSS and one != two:
        found = "to the left of" if _ACROSS[one] < _ACROSS[two] else "to the right of"
    elif one in _UP and two in _UP and one != two:
        found = "above" if _UP[one] > _UP[two] else "below"
    else:
        return None
    return found if seen_so(found, (scene.get_float(f"Camera_{axis}") for axis in ("Yaw", "Roll"))) else None


def seen_so(relation: str, turns: Iterable[float]) -> bool:
    """Return whether a relation is true in a picture whose camera is turned by so many degrees, yaw and roll."""
    return relation not in _AS_SEEN or not any(_TURNED < turn % 360 < 360 - _TURNED for turn in turns)
