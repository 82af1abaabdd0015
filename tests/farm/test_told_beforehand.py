"""What a dry run tells from the scenes alone. What could silently be wrong: a plan that says all is well, and hours
later the pictures are missing that could never have been drawn."""

from __future__ import annotations

from typing import Any

import pytest

from torchmultiverse.engines import Catalogue, Choice
from torchmultiverse.engines.builtin import describe
from torchmultiverse.engines.builtin.engine import ProceduralAssets
from torchmultiverse.engines.builtin.evening import with_lit_windows
from torchmultiverse.engines.builtin.lighting import LAMPLESS, has_lamps
from torchmultiverse.errors import SpecError
from torchmultiverse.farm import dry_run
from torchmultiverse.scenes import OWN, Scene, json_schema, parse_spec

WORLD = {"World_Name": ["Desert"]}
ZEBRA = {**WORLD, "Character_Name": ["Zebra"]}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return describe()


@pytest.fixture
def told(catalogue: Catalogue) -> Any:
    """Return a function that gives the problems that a dry run tells, and looks that a run would refuse them, too."""

    def problems(factors: dict[str, Any], **design: Any) -> list[str]:
        found = parse_spec({"name": "x", "design": {"kind": "factorial", "factors": factors, **design}})
        return problems_of(found)

    def problems_of(found: Any) -> list[str]:
        said = dry_run(found, catalogue).problems
        design = found.build()
        if said:
            with pytest.raises(SpecError) as refused:
                catalogue.check(design)
            assert str(refused.value).splitlines() == said
        else:
            catalogue.check(design)
        if design.count == 1:
            assert len(catalogue.misplaced(design[0])) == len(catalogue.misplaced(design))
        return said

    problems.of = problems_of  # type: ignore[attr-defined]
    return problems


# Numbers that count something -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Lens_Drops", "Distractors", "JPEG_Quality"])
def test_a_part_of_what_is_counted_is_refused(told: Any, name: str) -> None:
    assert told({**ZEBRA, name: [5]}) == []
    assert told({**ZEBRA, name: [5.721]}) == [f"{name} = 5.721: a whole number is right, such as 6"]
    (several,) = told({**ZEBRA, name: {"from": 1, "to": 3, "step": 0.25}})
    assert several == f"{name} = 1.25: a whole number is right, such as 1; 5 more levels are no whole numbers"


def test_a_part_is_refused_along_a_path(told: Any) -> None:
    path = {"Lens_Drops": {"keys": [[0, 0], [1, 10]]}}
    clips = {"kind": "factorial", "factors": ZEBRA}
    video = {"name": "v", "design": {"kind": "video", "clips": clips, "path": path, "fps": 4, "seconds": 1}}
    (said,) = told.of(parse_spec(video))
    assert said.startswith("Lens_Drops = 2.5: a whole number is right, such as 2")
    path["Lens_Drops"] |= {"interpolation": "hold"}  # type: ignore[dict-item]
    assert told.of(parse_spec(video)) == []


@pytest.mark.parametrize("kind", ["random", "latin_hypercube", "sobol"])
def test_draws_of_what_is_counted_are_whole(told: Any, kind: str) -> None:
    factors: dict[str, Any] = {**ZEBRA, "Camera_Yaw": {"from": 0, "to": 90}, "Distractors": {"from": 0.5, "to": 4}}
    design = {"kind": kind, "factors": factors, "pictures": 64}
    found = parse_spec({"name": "x", "design": design})
    counts = found.build().level_counts()["Distractors"]
    assert set(counts) == {1, 2, 3, 4}
    assert min(counts.values()) > 6
    factors["Distractors"] = [0, {"from": 3, "to": 6}]
    counts = parse_spec({"name": "x", "design": {**design, "pictures": 200}}).build().level_counts()["Distractors"]
    assert set(counts) == {0, 3, 4, 5, 6}
    assert 60 < counts[0] < 140, "a level and a range are equal parts"
    assert min(counts.values()) > 8, "both ends of the range are as likely as what is between"
    factors["Distractors"] = {"from": 3.2, "to": 3.8}
    with pytest.raises(SpecError, match="Distractors is a whole number, and there is none in it"):
        parse_spec({"name": "x", "design": design})


def test_editors_know_what_is_counted() -> None:
    levels = json_schema()["$defs"]["FactorValues"]["properties"]
    kinds = {name: levels[name]["anyOf"][0]["type"] for name in ("Distractors", "Lens_Drops", "Rain", "JPEG_Quality")}
    assert kinds == {"Distractors": "integer", "Lens_Drops": "integer", "Rain": "number", "JPEG_Quality": "integer"}


def test_an_engine_of_another_version_is_understood() -> None:
    assert Choice.model_validate({"low": 0, "high": 14}).takes(1.5), "an older one does not say"
    assert Choice.model_validate({"low": 0, "high": 14, "whole": True, "later": 1}).takes(2), "a newer one says more"
    assert Choice(low=0, high=14, whole=True).takes("own")
    assert not Choice(low=0, high=14, whole=True).takes(15)


# What cannot go together -----------------------------------------------------------------------------------


def test_there_are_no_lamps_to_dim_where_there_are_none(told: Any) -> None:
    (said,) = told({"World_Name": ["Desert", "TokyoNight"], "Lamps": [1, 2]})
    assert said.startswith("Lamps = 2: it means nothing in world 'Desert', which must have its default, 1; 45 worlds")
    assert told({"World_Name": ["TokyoNight", "VillageOutskirt"], "Lamps": [0, 2]}) == []
    assert told({"World_Name": ["Desert"], "Lamps": [1]}) == []


def test_the_worlds_without_lamps_are_known() -> None:
    source = ProceduralAssets()
    regions = source.regions()
    lampless = {
        world
        for world in source.worlds()
        if not any(has_lamps(with_lit_windows(source.world(world, r))) for r in (OWN, *regions.get(world, ())))
    }
    assert lampless == LAMPLESS


HIDDEN = {"Occluder": ["none", "fence"], "Occlusion": [0, 0.5]}


def test_nobody_is_hidden_where_there_is_nobody(told: Any) -> None:
    exclude = {"exclude": ["Occluder = none and Occlusion > 0"]}
    assert told({**WORLD, **HIDDEN, "Character_Name": ["Zebra"]}, **exclude) == []
    nobody = "Occluder = 'fence': there is no first character to hide; give Character_Name, or exclude these scenes"
    assert told({**WORLD, **HIDDEN, "Character_Name": ["Zebra", "blank"]}, **exclude) == [nobody]
    assert told({**WORLD, "Occluder": ["fence"], "Occlusion": [0.5]}) == [nobody]
    assert told({**WORLD, "Occluder": ["fence"], "Occlusion": [0]}) == []


def test_there_are_no_pixels_on_nobody(told: Any) -> None:
    assert told({**ZEBRA, "Target_Pixels": ["own", 20]}) == []
    assert told({**WORLD, "Character2_Name": ["Zebra"], "Target_Pixels": ["own", 20]}) == [
        "Target_Pixels = 20: they are those of the first character, and there is none; give Character_Name, or exclude "
        "these scenes"
    ]
    assert told({**WORLD, "Target_Pixels": ["own"]}) == []


def test_distractors_are_of_no_class_that_is_there(told: Any) -> None:
    row = [[], [{"Name": "Cat", "Location": "0,200,0"}]]
    kinds = {"Distractors": [0, 3], "Distractor_Kind": ["any", "animal", "Vase"]}
    assert told({**ZEBRA, **kinds, "Objects": row}) == []
    for factors in (
        {**ZEBRA, "Distractor_Kind": ["any", "Zebra"]},
        {**WORLD, "Character2_Name": ["Zebra"], "Distractor_Kind": ["Zebra"]},
        {**WORLD, "Objects": [[{"Name": "Zebra"}]], "Distractor_Kind": ["Zebra"]},
    ):
        (said,) = told({**factors, "Distractors": [0, 2]})
        assert said.startswith("Distractor_Kind = 'Zebra' is the class of 'Zebra', which the scene has already")
        assert told({**factors, "Distractors": [0]}) == []
    mixed = {"World_Name": ["Desert"], "Character_Name": ["Zebra", "Cat"], "Distractor_Kind": ["Zebra"]}
    assert told({**mixed, "Distractors": [2]}, exclude=["Character_Name = Zebra"]) == []


def test_there_are_at_most_so_many_objects(told: Any) -> None:
    rows = [[{"Name": "Cat", "Location": f"0,{200 * k},0"} for k in range(n)] for n in (1, 5)]
    assert told({**ZEBRA, "Objects": rows, "Distractors": [0, 9]}) == []
    (said,) = told({**ZEBRA, "Objects": rows, "Distractors": [0, 10, 12]})
    assert said == (
        "Distractors = 12 and 5 Objects are more than the 14 that there may be beside the first two; with these "
        "Objects at most 9"
    )
    assert told({**ZEBRA, "Objects": rows, "Distractors": [10]}, exclude=["Objects = 5"]) == []


def test_a_lens_does_not_focus_within_its_focal_length(told: Any) -> None:
    lens = {**ZEBRA, "Camera_Focal_Length": ["own", 50, 300], "Camera_Focus": ["own", 0.2, 2]}
    assert told({**lens, "Camera_Aperture": ["own"]}) == []
    (said,) = told({**lens, "Camera_Aperture": ["own", 2]})
    assert said == "Camera_Focus = 0.2: a lens of 300 mm focuses on what is further than 0.3 m"
    left = ["Camera_Focal_Length = 300 and Camera_Focus = 0.2"]
    assert told({**lens, "Camera_Aperture": ["own", 2]}, exclude=left) == []


def test_a_scene_is_told_the_same(catalogue: Catalogue) -> None:
    assert catalogue.misplaced(Scene({"World_Name": "Desert"})) == []
    scene = Scene({"World_Name": "Desert", "Target_Pixels": 20, "Distractors": 2, "Distractor_Kind": "Zebra",
                   "Character2_Name": "Zebra", "Occlusion": 0.5, "Lamps": 2})  # fmt: skip
    said = catalogue.misplaced(scene)
    assert [line.split(" = ")[0] for line in said] == ["Lamps", "Occlusion", "Target_Pixels", "Distractor_Kind"]


def test_huge_designs_are_not_expanded(told: Any) -> None:
    yaws = {name: {"from": 0, "to": 359, "step": 0.01} for name in ("Camera_Yaw", "Character_Rotation_Yaw")}
    factors = {
        **ZEBRA, **yaws, "Occluder": ["fence"], "Occlusion": [0.2], "Target_Pixels": [20], "Distractors": [2],
        "Distractor_Kind": ["Zebra"], "Camera_Focal_Length": [300], "Camera_Focus": [0.2], "Camera_Aperture": [2],
    }  # fmt: skip
    assert [line.split(" = ")[0] for line in told(factors)] == ["Distractor_Kind", "Camera_Focus"]
