"""What captions say of conditions: a table of phrases beside the table of conditions (see `scenes.CONDITIONS`).

A caption ends in ``, PHRASE, PHRASE``, in the order of the table; one of a scene without conditions ends as published.
Words for amounts of rain are those of weather services (light below 2.5 mm/h, heavy from 7.6, violent from 50).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torchmultiverse.scenes.object_list import listed
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.semantics import said_name
from torchmultiverse.scenes.wording import article, one_of, written_class, written_name

_MOST = math.inf
NUMBERS: dict[str, tuple[tuple[float, str], ...]] = {
    "Sun_Elevation": (
        (-6, "at night"), (0, "at twilight"), (_MOST, "with the sun {n} degrees above the horizon"),
    ),
    "Sun_Azimuth": (
        (45, "with the sun behind the scene"), (135, "with the sun on the right"),
        (225, "with the sun behind the camera"), (315, "with the sun on the left"),
        (_MOST, "with the sun behind the scene"),
    ),
    "Overcast": (
        (0.1, "under a clear sky"), (0.6, "under a partly cloudy sky"), (0.9, "under a cloudy sky"),
        (_MOST, "under an overcast sky"),
    ),
    "Lamps": ((0.01, "with the lamps off"), (1, "with dim lamps"), (_MOST, "with bright lamps")),
    "Fog_Visibility": ((1000, "in fog with {n} m visibility"), (_MOST, "in fog with {km} km visibility")),
    "Dust_Visibility": ((1000, "in dust with {n} m visibility"), (_MOST, "in dust with {km} km visibility")),
    "Rain": (
        (2.5, "in light rain"), (7.6, "in moderate rain"), (50, "in heavy rain"), (_MOST, "in violent rain"),
    ),
    "Snow": ((1, "in light snowfall"), (3, "in moderate snowfall"), (_MOST, "in heavy snowfall")),
    "Wetness": ((0.5, "on damp ground"), (_MOST, "on wet ground")),
    "Snow_Cover": (
        (0.3, "with patches of snow on the ground"), (0.8, "with snow on much of the ground"),
        (_MOST, "with snow all over the ground"),
    ),
    "Lens_Drops": ((_MOST, "with {n} drops of water on the lens"),),
    "Camera_Focal_Length": ((_MOST, "with {a} {n} mm lens"),),
    "Camera_Aperture": ((_MOST, "at f/{n}"),),
    "Camera_Distance": ((_MOST, "from {n} m away"),),
    "Camera_Height": ((_MOST, "from a height of {n} m"),),
    "Camera_Focus": ((_MOST, "and focused at {n} m"),),
    "Camera_Exposure": ((0, "with {n} stops less exposure"), (_MOST, "with {n} stops more exposure")),
    "Camera_Shutter": ((_MOST, "exposed for {n} ms"),),
    "Character_Speed": ((_MOST, "in motion at {n} m/s"),),
    "Camera_Electrons": (
        (200, "with strong sensor noise"), (2000, "with sensor noise"), (_MOST, "with faint sensor noise"),
    ),
    "Camera_Read_Noise": ((_MOST, "with read noise of {n} electrons"),),
    "Camera_Distortion": (
        (-0.045, "through a fisheye lens"), (0, "with barrel distortion"), (_MOST, "with pincushion distortion"),
    ),
    "JPEG_Quality": ((_MOST, "as a JPEG of quality {n}"),),
    "Target_Pixels": ((_MOST, "with the subject {n} pixels long"),),
    "Occlusion": ((_MOST, "{percent} % hidden"),),
    "Distractors": ((1.5, "with another object"), (_MOST, "with {n} other objects")),
    "Distractor_Spacing": ((0.005, "side by side"), (_MOST, "{n} widths apart")),
}  # fmt: skip
"""Number → what is said below each limit, in ascending order; ``{n}`` is the number without its sign, ``{a}`` the
article before it, ``{km}`` a thousandth of it, ``{percent}`` a share."""
UNSAID = frozenset(("Distractor_Yaw",))
"""Conditions that no caption says: no picture shows for which camera its distractors were arranged."""
WORDS: dict[str, dict[str, str]] = {
    "Occluder": {
        "fence": "behind a fence", "leaves": "behind leaves", "bars": "behind window bars",
        "object": "behind another object", "edge": "cut off by the edge of the picture",
    },
    "Distractor_Kind": {},
    "World_Region": {
        "east_asia": "as in East Asia", "mediterranean": "as around the Mediterranean",
        "north_america": "as in North America", "northern_europe": "as in northern Europe",
        "south_asia": "as in South Asia", "west_africa": "as in West Africa",
    },
}  # fmt: skip
"""Category → level → what is said of it, as people write it."""
_OTHERWISE = {"Occluder": "behind {name}", "Distractor_Kind": "of the class {name}", "World_Region": "as in {name}"}
"""What is said of a level that has no words of its own, and of all levels where names stand as published."""
_NAMED = frozenset(("Distractor_Kind", "World_Region"))
NEEDS = {
    "Camera_Focus": "Camera_Aperture", "Camera_Read_Noise": "Camera_Electrons", "Character_Speed": "Camera_Shutter",
    "Occlusion": "Occluder", "Distractor_Kind": "Distractors", "Distractor_Spacing": "Distractors",
}  # fmt: skip
"""Conditions that change no picture, and are not said, while another one is at its default."""
_PHOTOGRAPHED = ("Camera_Focal_Length", "Camera_Aperture", "Camera_Distance", "Camera_Height", "Camera_Focus")
_SUN = "with the sun "
_ANIMAL = "animal"
_OBJECTS = "Objects"
_NAMED_OBJECTS = 4
"""Further objects up to which each is named; more are counted."""
_NIGHT = -6


def conditions_phrase(scene: Scene, raw: bool = True) -> str:
    """Return what the caption of a scene ends in, with its comma; empty without conditions.

    Args:
        scene: with the conditions.
        raw: names as in specs; otherwise as people write them.

    >>> conditions_phrase(Scene({"World_Name": "Snow", "Fog_Visibility": 30, "Rain": 20, "Camera_Aperture": 2}))
    ', in fog with 30 m visibility, in heavy rain, photographed at f/2'
    >>> conditions_phrase(Scene({"World_Name": "Snow"}))
    ''
    """
    known = NUMBERS.keys() | WORDS.keys() | {_OBJECTS}
    given = {name: value for name, value in scene.wire.items() if name in known}
    said: list[str] = []
    for name in _order(given):
        if _unsaid(name, given):
            continue
        text = _text(name, scene, raw)
        if name == "Distractor_Kind" or (name in _PHOTOGRAPHED and said and said[-1].startswith("photographed")):
            said[-1] += f" {text}"
        elif name == "Sun_Azimuth" and said and said[-1].startswith(_SUN):
            said.append(text.removeprefix(_SUN))
        else:
            said.append(f"photographed {text}" if name in _PHOTOGRAPHED else text)
    return "".join(f", {text}" for text in said)


def _unsaid(name: str, given: Mapping[str, object]) -> bool:
    """Whether a condition changes nothing, or is said with another one."""
    if NEEDS.get(name) not in (None, *given):
        return True
    if name == "Distractor_Kind":
        return given[name] in (_ANIMAL, "object")  # said with their number
    return name == "Sun_Azimuth" and _is_night(given)


def _text(name: str, scene: Scene, raw: bool) -> str:
    """Return what is said of one condition."""
    if name == _OBJECTS:
        return _objects(scene.get_str(name), raw)
    if name in WORDS:
        return _word(name, scene.get_str(name), raw)
    text = _number(name, _seen(scene, name))
    if name == "Distractors" and scene["Distractor_Kind"] == _ANIMAL:
        return text.replace("object", _ANIMAL)
    return text


def _order(given: Mapping[str, object]) -> list[str]:
    """Return the names in the order of the table; a world's region first, a word before or after its number."""
    place: dict[str, float] = {name: k for k, name in enumerate(NUMBERS)}
    place |= {"World_Region": -1, "Occluder": place["Occlusion"] - 0.5, "Distractor_Kind": place["Distractors"] + 0.5}
    place |= {_OBJECTS: -2}
    return sorted(given, key=place.__getitem__)


def _is_night(given: Mapping[str, object]) -> bool:
    elevation = given.get("Sun_Elevation", 90)
    return isinstance(elevation, int | float) and elevation < _NIGHT


def _seen(scene: Scene, name: str) -> float:
    """Return a number as the picture shows it: directions are told from where the camera stands."""
    value = scene.get_float(name)
    return (value - scene.get_float("Camera_Yaw")) % 360 if name == "Sun_Azimuth" else value


def _number(name: str, value: float) -> str:
    text = next(text for limit, text in NUMBERS[name] if value < limit)
    amount = float(f"{abs(value):.3g}")
    if amount == 1:  # one degree, one stop, one drop
        text = re.sub(r"\{n\} ([a-z]{4,})s\b", r"{n} \1", text)
    number = f"{amount:.10g}"
    return text.format(a=article(number), n=number, km=f"{amount / 1000:.10g}", percent=f"{100 * value:.0f}")


def _word(name: str, level: str, raw: bool) -> str:
    if level in WORDS[name] and not (raw and name in _NAMED):
        return WORDS[name][level]
    return _OTHERWISE[name].replace("{name}", level if raw else written_class(level))


def _objects(text: str, raw: bool) -> str:
    names = [str(one["Name"]) for one in listed(text)]
    if len(names) > _NAMED_OBJECTS:
        return f"with {len(names)} more objects"
    things = [f"{article(said_name(name))} {said_name(name)}" if raw else one_of(written_name(name)) for name in names]
    return "with " + " and ".join(things) + " besides"
