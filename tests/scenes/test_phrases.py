"""What captions say of conditions. What could silently be wrong: a caption that says nothing of the fog, or rain where
snow falls, teaches models and scores them on something false; a published caption that changes moves every number.
"""

from __future__ import annotations

import random
import re

import pytest

from torchmultiverse.scenes import CAPTIONS, FACTORS, Scene, caption_columns
from torchmultiverse.scenes.phrases import NEEDS, NUMBERS, UNSAID, WORDS, conditions_phrase

BASE = {"World_Name": "Snow", "Character_Name": "Zebra", "Character1_Pos": "left"}
CONDITIONS = [factor for factor in FACTORS if factor.group and factor.kind != "list"]


def phrase(raw: bool = True, **levels: object) -> str:
    return conditions_phrase(Scene({**BASE, **levels}), raw)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ({"Fog_Visibility": 30}, "in fog with 30 m visibility"),
        ({"Fog_Visibility": 83.2171}, "in fog with 83.2 m visibility"),
        ({"Dust_Visibility": 2500}, "in dust with 2.5 km visibility"),
        ({"Rain": 2}, "in light rain"),
        ({"Rain": 20, "Wetness": 1}, "in heavy rain, on wet ground"),
        ({"Snow": 5, "Snow_Cover": 1}, "in heavy snowfall, with snow all over the ground"),
        ({"Sun_Elevation": -12, "Sun_Azimuth": 90, "Lamps": 2}, "at night, with bright lamps"),
        ({"Sun_Elevation": 1, "Sun_Azimuth": 90}, "with the sun 1 degree above the horizon, on the right"),
        ({"Sun_Azimuth": 180}, "with the sun behind the camera"),
        ({"Sun_Azimuth": 180, "Camera_Yaw": 90}, "with the sun on the right"),
        ({"Overcast": 1}, "under an overcast sky"),
        ({"Lens_Drops": 1}, "with 1 drop of water on the lens"),
        (
            {"Camera_Focal_Length": 50, "Camera_Aperture": 2, "Camera_Focus": 3, "Camera_Distance": 4},
            "photographed with a 50 mm lens at f/2 from 4 m away and focused at 3 m",
        ),
        ({"Camera_Focal_Length": 85}, "photographed with an 85 mm lens"),
        ({"Camera_Focal_Length": 18}, "photographed with an 18 mm lens"),
        ({"Camera_Focal_Length": 110}, "photographed with a 110 mm lens"),
        ({"Camera_Focus": 3}, ""),
        ({"Target_Pixels": 16}, "with the subject 16 pixels long"),
        ({"Distractors": 4, "Distractor_Yaw": 0}, "with 4 other objects"),
        ({"Objects": [{"Name": "Elephant"}]}, "with an Elephant besides"),
        ({"Camera_Distortion": -0.06}, "through a fisheye lens"),
        ({"Camera_Exposure": -2}, "with 2 stops less exposure"),
        ({"Camera_Exposure": 1}, "with 1 stop more exposure"),
        ({"Camera_Electrons": 50}, "with strong sensor noise"),
        ({"JPEG_Quality": 5}, "as a JPEG of quality 5"),
        ({"Occluder": "fence", "Occlusion": 0.4}, "behind a fence, 40 % hidden"),
        ({"Occluder": "edge"}, "cut off by the edge of the picture"),
        ({"Distractors": 4, "Distractor_Spacing": 0}, "with 4 other objects, side by side"),
        ({"Distractors": 1, "Distractor_Kind": "Bear"}, "with another object of the class Bear"),
        ({"Distractors": 3, "Distractor_Kind": "animal"}, "with 3 other animals"),
        ({"Distractor_Kind": "Bear"}, ""),
        (
            {"Objects": [{"Name": "Zebra"}, {"Name": "Cofee_Mug_2"}], "Rain": 1},
            "with a Cofee_Mug and a Zebra besides, in light rain",
        ),
        ({"Objects": [{"Name": "Zebra", "Location": f"0,{n},0"} for n in range(5)]}, "with 5 more objects"),
        ({"World_Region": "mediterranean", "Rain": 60}, "as in mediterranean, in violent rain"),
    ],
)
def test_what_is_said(levels: dict[str, object], said: str) -> None:
    assert phrase(**levels) == (f", {said}" if said else "")


def test_names_are_as_published_or_as_people_write_them() -> None:
    assert phrase(raw=False, World_Region="mediterranean") == ", as around the Mediterranean"
    assert phrase(raw=False, World_Region="low_lands") == ", as in low lands"
    assert (
        phrase(raw=False, Distractors=2, Distractor_Kind="PaperTowel")
        == ", with 2 other objects of the class paper towel"
    )


def test_every_condition_is_said_and_every_level_has_words() -> None:
    for factor in CONDITIONS:
        if factor.wire in UNSAID:
            continue
        if factor.kind != "number":
            assert factor.wire in WORDS, factor.wire
            continue
        limits = [limit for limit, _ in NUMBERS[factor.wire]]
        assert limits == sorted(limits), factor.wire
        assert limits[-1] == float("inf")
        for level in (factor.low, (factor.low + factor.high) / 2, factor.high):
            others = {NEEDS[factor.wire]: FACTORS[NEEDS[factor.wire]].high} if factor.wire in NEEDS else {}
            others = {name: "fence" if name == "Occluder" else level for name, level in others.items()}
            scene = Scene({**BASE, **others, factor.wire: level})
            bare = scene.changed(**{factor.wire: factor.default})
            said = scene[factor.wire] != factor.default
            assert (conditions_phrase(scene) != conditions_phrase(bare)) == said, (factor.wire, level)
    assert {factor.wire for factor in CONDITIONS} == NUMBERS.keys() | WORDS.keys() | UNSAID


def test_any_combination_is_a_sentence() -> None:
    rng = random.Random(3)
    for _ in range(300):
        levels: dict[str, object] = {}
        for factor in rng.sample(CONDITIONS, rng.randint(1, 8)):
            words = [*WORDS.get(factor.wire, {}), "Anything_else"]
            levels[factor.wire] = rng.choice(words) if factor.kind != "number" else rng.uniform(factor.low, factor.high)
        for family in CAPTIONS:
            labels = {"Relation": "on", "World_Relation": "in"} if family == "AR4T" else {}
            bare, scene = Scene({**BASE, **labels}), Scene({**BASE, **labels, **levels})
            if "Camera_Yaw" in levels:
                continue
            for name, text in caption_columns(family, scene).items():
                before = caption_columns(family, bare)[name]
                assert (text is None) == (before is None)
                if text is None or before is None:
                    continue
                end = text.removeprefix(before)
                assert text.startswith(before)
                assert end == "" or re.fullmatch(r"(, [a-z0-9][^,{}]*[^\s,])+", end), text
                assert not re.search(r"  | ,|\b(\w+) \1\b|\d{5}|None|nan|(?<![\d.])1 \w{3,}s\b", end), text
                assert end.count("photographed") <= 1


def test_captions_of_scenes_without_conditions_are_as_published() -> None:
    assert phrase() == ""
    assert caption_columns("SPAR", Scene(BASE))["caption"] == (
        "This is a photo of a Zebra on the left of the picture in a Snow environment"
    )
    foggy = caption_columns("SPAR", Scene({**BASE, "Character2_Name": "Cat", "Rain": 1}))
    assert foggy["negative_caption"] == (
        "This is a photo of a Cat on the left and a Zebra on the center of the picture in a Snow environment, "
        "in light rain"
    )
    assert caption_columns("Custom", Scene({**BASE, "Rain": 1})) == {}
