"""``own`` among the levels of numbers, in every kind of design and filter. What could silently be wrong: a design that
drops or repeats the scenes of the world's own light and weather, so that there is nothing to compare with.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import FACTORS, Scene, Spec, json_schema, parse_spec, parse_where, shipped_specs
from torchmultiverse.scenes import sampling as sampling_module

WORLDS = ["Desert", "Snow"]


def spec(**design: Any) -> Spec:
    return parse_spec({"name": "fog", "design": design})


def levels(found: Spec, name: str = "Fog_Visibility") -> Counter[Any]:
    return Counter(scene[name] for scene in found.build())


def test_ranges_stand_in_a_list_beside_own() -> None:
    listed: dict[str, Any] = {"World_Name": WORLDS, "Fog_Visibility": ["own", {"from": 20, "to": 60, "step": 20}, 100]}
    found = spec(kind="factorial", factors=listed)
    assert levels(found) == {"own": 2, 20: 2, 40: 2, 60: 2, 100: 2}
    star = spec(
        kind="one_at_a_time", reference={"World_Name": "Desert"},
        vary={"Fog_Visibility": ["own", {"from": 10, "to": 30, "count": 3}]},
    )  # fmt: skip
    assert levels(star) == {"own": 1, 10: 1, 20: 1, 30: 1}, "the reference is 'own', once"
    with pytest.raises(SpecError, match=r"Fog_Visibility has the level 20\.0 twice"):
        spec(
            kind="factorial", factors={"World_Name": WORLDS, "Fog_Visibility": [20, {"from": 20, "to": 30, "step": 5}]}
        )
    with pytest.raises(SpecError, match=r"Fog_Visibility\[1\].*either 'step' or 'count'"):
        spec(kind="factorial", factors={"World_Name": WORLDS, "Fog_Visibility": ["own", {"from": 20, "to": 30}]})
    with pytest.raises(SpecError, match="Fog_Visibility = 'Own' is a str; a number is needed, or 'own'"):
        spec(kind="factorial", factors={"World_Name": WORLDS, "Fog_Visibility": ["Own"]})


def test_linked_rows_and_written_scenes_take_own() -> None:
    rows = [{"Fog_Visibility": "own", "Rain": 0}, {"Fog_Visibility": 50, "Rain": 10}]
    found = spec(kind="factorial", factors={"World_Name": WORLDS}, linked=[rows])
    assert levels(found) == {"own": 2, 50: 2}
    written = spec(kind="explicit", scenes=[{"World_Name": "Desert"}, {"World_Name": "Desert", "Fog_Visibility": 50}])
    assert levels(written) == {"own": 1, 50: 1}
    with pytest.raises(SpecError, match="the same scene"):
        spec(kind="explicit", scenes=[{"World_Name": "Desert"}, {"World_Name": "Desert", "Fog_Visibility": "own"}])


@pytest.mark.parametrize("kind", ["random", "latin_hypercube", "sobol"])
def test_a_part_of_a_drawn_axis_is_own_and_the_rest_any_number(kind: str) -> None:
    factors = {"World_Name": WORLDS, "Fog_Visibility": [{"from": 20, "to": 200}, "own"], "Camera_Yaw": [0, 10, 20, 30],
               "Overcast": {"from": 0, "to": 1}}  # fmt: skip
    found = levels(spec(kind=kind, pictures=64, factors=factors))
    numbers = [level for level in found if level != "own"]
    assert found["own"] == 32 or (kind == "random" and 20 < found["own"] < 44)
    assert len(numbers) > 20
    assert 20 <= min(numbers) < 60
    assert 160 < max(numbers) <= 200
    with pytest.raises(SpecError, match=r"Fog_Visibility\[1\] = 7.00001: .*3 decimals"):
        spec(kind=kind, pictures=4, factors={**factors, "Fog_Visibility": [{"from": 20, "to": 200}, 7.00001]})
    with pytest.raises(SpecError, match=r"Fog_Visibility\[2\] = 'own' is there twice"):
        spec(kind=kind, pictures=4, factors={**factors, "Fog_Visibility": ["own", {"from": 20, "to": 200}, "own"]})


@pytest.mark.parametrize("kind", ["random", "sobol"])
def test_a_long_draw_with_own_repeats_no_scene(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_module, "MOST_AT_ONCE", 10)
    monkeypatch.setattr(sampling_module, "_BLOCK", 64)
    factors = {
        "World_Name": WORLDS, "Sun_Azimuth": ["own", {"from": 0, "to": 360}], "Camera_Yaw": {"from": 0, "to": 90},
        "Fog_Visibility": [{"from": 20, "to": 200}, 30, "own"],
    }  # fmt: skip
    design = spec(kind=kind, pictures=500, factors=factors).build()
    scenes = list(design)
    assert len(set(scenes)) == 500
    own = Counter(scene["Fog_Visibility"] for scene in scenes)
    assert 120 < own["own"] < 220
    assert 120 < own[30] < 220
    assert scenes[499] == design[499]


def test_a_filter_knows_own() -> None:
    foggy = Scene({"World_Name": "Desert", "Fog_Visibility": 30})
    clear = Scene({"World_Name": "Desert"})

    def holds(text: str) -> tuple[bool, bool]:
        (condition,) = parse_where(text)
        return condition.holds(foggy["Fog_Visibility"]), condition.holds(clear["Fog_Visibility"])

    assert holds("Fog_Visibility<50") == (True, False)
    assert holds("Fog_Visibility >= 5") == (True, False)
    assert holds("Fog_Visibility=own") == (False, True)
    assert holds("Fog_Visibility != own") == (True, False)
    assert holds("Fog_Visibility in (own, 30)") == (True, True)
    assert holds("fog_visibility not in ('own')") == (True, False)
    with pytest.raises(SpecError, match="'own' of Fog_Visibility is above and below no number; use =, != or in"):
        parse_where("Fog_Visibility <= own")
    with pytest.raises(SpecError, match="Fog_Visibility is a number, 'clear' is none; or write own"):
        parse_where("Fog_Visibility = clear")
    with pytest.raises(SpecError, match=r"Rain is a number, 'own' is none$"):
        parse_where("Rain = own")


def test_every_number_that_may_be_own_is_so_by_default() -> None:
    for factor in FACTORS:
        if factor.group and factor.kind == "number" and factor.default == "own":
            assert Scene({"World_Name": "Desert", factor.wire: "own"}) == Scene({"World_Name": "Desert"})


def test_the_schema_names_every_factor_with_its_range() -> None:
    schema = json_schema()
    levels, values = (schema["$defs"][name]["properties"] for name in ("FactorLevels", "FactorValues"))
    for factor in FACTORS:
        assert factor.wire in levels
        assert factor.column in values
        assert factor.unit in values[factor.wire]["description"]
        if factor.group and factor.kind == "number":
            number, _, *own = values[factor.wire]["anyOf"]
            assert (number["minimum"], number["maximum"]) == (factor.low, factor.high)
            assert own == ([{"const": "own"}] if factor.default == "own" else [])


def test_the_schema_takes_what_a_spec_takes() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    checks = jsonschema.Draft202012Validator(json_schema())
    for path in shipped_specs().values():
        data = json.loads(path.read_text("utf-8"))
        assert "design" not in data or not [error.message for error in checks.iter_errors(data)], path
    for levels_, good in (
        (["own", 30], True), (["own", {"from": 10, "to": 90, "step": 20}], True), ([3], False), (["Own"], False),
        ({"from": 10}, False), ({"from": 10, "to": 20}, True), ({"from": 10, "to": 20, "stp": 1}, False),
    ):  # fmt: skip
        one = {"World_Name": ["Desert"], "Fog_Visibility": levels_}
        assert checks.is_valid({"name": "x", "design": {"kind": "sobol", "pictures": 4, "factors": one}}) == good, (
            levels_
        )
    for scene, good in (({"Fog_Visibility": "own", "Mood": "calm"}, True), ({"Rain": 151}, False)):
        design = {"kind": "explicit", "scenes": [{"World_Name": "Desert", **scene}]}
        assert checks.is_valid({"name": "x", "design": design}) == good, scene
