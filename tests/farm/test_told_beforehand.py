"""What a dry run tells from the scenes alone. What could silently be wrong: a plan that says all is well, and hours
later the pictures are missing that could never have been drawn."""

from __future__ import annotations

from typing import Any

import pytest

from torchmultiverse.engines import Catalogue, Choice
from torchmultiverse.engines.builtin import describe
from torchmultiverse.errors import SpecError
from torchmultiverse.farm import dry_run
from torchmultiverse.scenes import Scene, json_schema, parse_spec

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
    factors = {**ZEBRA, "Camera_Yaw": {"from": 0, "to": 90}, "Distractors": {"from": 0.5, "to": 4}}
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
