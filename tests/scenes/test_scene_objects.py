"""The order in which the objects of a scene are given could make two scenes of one, with two ids and two seeds.

Nothing would fail: the same picture would be rendered twice, and split apart. So any order must give one canonical
form, and what is not said of an object must be as if it were.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from torchmultiverse.engines import Catalogue, Choice
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import (
    FACTORS,
    MOST_OBJECTS,
    Scene,
    column_rows,
    from_columns,
    mentioned_levels,
    parse_spec,
    parse_where,
)

NUMBER = st.floats(-100, 100).map(lambda x: round(x, 3))
OBJECT = st.fixed_dictionaries(
    {"Name": st.sampled_from(["Zebra", "Cat", "é", '"quoted"'])},
    optional={
        "Label": st.sampled_from(["none", "animal", "thing"]),
        "Location": st.tuples(NUMBER, NUMBER, NUMBER).map(lambda v: ",".join(map(str, v))),
        "Rotation_Yaw": st.floats(-360, 360),
        "Rotation_Pitch": st.integers(-360, 360),
        "Scale": st.floats(0.1, 4),
        "Texture": st.sampled_from(["Default", "Grass"]),
    },
)
ZEBRA, CAT = {"Name": "Zebra", "Location": "0,150,0", "Scale": 0.7}, {"Name": "Cat", "Rotation_Yaw": -45}


def scene(objects: Any, **more: Any) -> Scene:
    return Scene({"World_Name": "Snow", "Objects": objects, **more}, where="scenes[3]")


@settings(max_examples=150, deadline=None)
@given(st.lists(OBJECT, max_size=MOST_OBJECTS), st.randoms())
def test_any_order_is_one_scene(objects: list[dict[str, Any]], rng: Any) -> None:
    one = scene(objects)
    shuffled = [dict(rng.sample(sorted(o.items()), len(o))) for o in rng.sample(objects, len(objects))]
    other = scene(shuffled)
    assert other.scene_id == one.scene_id
    assert other.objects == one.objects
    assert Scene(json.loads(one.canonical)).canonical == one.canonical == Scene(one.wire).canonical
    assert scene(one["Objects"]) == one, "the text of a list is the list"
    assert len(one.objects) == len(objects)


@settings(max_examples=100, deadline=None)
@given(st.lists(OBJECT, max_size=5))
def test_labels_change_no_order(objects: list[dict[str, Any]]) -> None:
    """Numbers in the mask are places in the list, and an engine gets the list without labels."""
    one = scene(objects)
    names = [(o.name, o.location, o.yaw, o.scale) for o in one.objects]
    assert [(o.name, o.location, o.yaw, o.scale) for o in one.unlabelled.objects] == names
    assert one.unlabelled == scene([{k: v for k, v in o.items() if k != "Label"} for o in objects])


@settings(max_examples=100, deadline=None)
@given(st.lists(OBJECT, max_size=5))
def test_a_column_holds_all_of_a_list(objects: list[dict[str, Any]]) -> None:
    one, factor = scene(objects), FACTORS["Objects"]
    assert from_columns(factor, reversed(column_rows(factor, one.get_str("Objects")))) == one["Objects"]


def test_scenes_without_objects_are_what_they_were() -> None:
    plain = Scene({"World_Name": "Snow", "Character_Name": "Zebra"})
    assert plain.scene_id == "29d08e495685d3be84008ee14d255f6c"
    assert Scene({"World_Name": "Snow", "Character_Name": "Zebra", "Objects": []}).canonical == plain.canonical
    assert plain.objects == ()
    assert plain.unlabelled is plain


def test_defaults_are_left_out() -> None:
    said = {"Label": "none", "Location": "0,0,0", "Rotation_Yaw": 360, "Scale": 1.0, "Texture": "Default"}
    assert scene([{"Name": "Cat", **said}]).canonical == '{"Objects":[{"Name":"Cat"}],"World_Name":"Snow"}'


@pytest.mark.parametrize(
    ("objects", "why"),
    [
        ([CAT, CAT, {**CAT, "Scale": 9}], "scenes[3]: Objects[2].Scale = 9 is out of range: 0.1 to 4 ×"),
        ([{"Nam": "Cat"}], "scenes[3]: Objects[0] has no 'Nam'. Did you mean 'Name'?"),
        ([{"Scale": 1}], "scenes[3]: Objects[0] needs a Name; what is not there is left out of the list"),
        ([{"Name": "blank"}], "scenes[3]: Objects[0] needs a Name; what is not there is left out of the list"),
        ([{**CAT, "Location": "1,2"}], "scenes[3]: Objects[0].Location = '1,2': three numbers are needed, such as"),
        ([5], "scenes[3]: Objects[0] is a int; an object is needed, such as {"),
        (5, "scenes[3]: Objects = '5': a list of objects is needed, such as [{"),
        ("[{", "scenes[3]: Objects = '[{': a list of objects is needed, such as [{"),
        (
            [CAT] * 15,
            "scenes[3]: Objects has 15 objects; at most 14, which with the two that have factors of their own",
        ),
    ],
)
def test_what_is_wrong_is_named(objects: Any, why: str) -> None:
    with pytest.raises(SpecError) as error:
        scene(objects)
    assert str(error.value).startswith(why)


def test_designs_take_lists() -> None:
    spec = {"World_Name": ["Snow", "Desert"], "Objects": [[], [ZEBRA], [CAT, ZEBRA]]}
    design = parse_spec(spec).build()
    assert len(design) == 6
    assert [len(one.objects) for one in design] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(SpecError, match=r"Objects has the level .* twice"):
        parse_spec({**spec, "Objects": [[ZEBRA, CAT], [CAT, ZEBRA]]})
    rows = [{"World_Name": "Snow"}, {"World_Name": "Snow", "Objects": [CAT]}]
    explicit = parse_spec({"name": "a", "design": {"kind": "explicit", "scenes": rows}}).build()
    assert [len(one.objects) for one in explicit] == [0, 1]
    again = {"kind": "explicit", "scenes": [*rows, {"World_Name": "Snow", "Objects": []}]}
    with pytest.raises(SpecError, match=r"design.scenes\[2\] is the same scene as design.scenes\[0\]"):
        parse_spec({"name": "a", "design": again})


def test_lists_of_a_spec_that_cannot_be_built_are_mentioned(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    row = {"World_Name": "Snow", "Objects": [ZEBRA, CAT], "Camera_Yaw": "x"}
    path.write_text(json.dumps({"name": "a", "design": {"kind": "explicit", "scenes": [row]}}))
    assert [len(json.loads(str(text))) for text in mentioned_levels(path)["Objects"]] == [2]
    path.write_text(json.dumps({"World_Name": ["Snow"], "Objects": [[], [ZEBRA]], "Camera_Yaw": ["x"]}))
    assert [len(json.loads(str(text))) for text in mentioned_levels(path)["Objects"]] == [0, 1]


def test_filters_count_objects() -> None:
    design = parse_spec({"World_Name": ["Snow"], "Objects": [[], [ZEBRA], [CAT], [CAT, ZEBRA]]}).build()

    def left(text: str) -> list[int]:
        return [len(one.objects) for one in design.where(parse_where(text))]

    assert left("Objects = 0") == [0]
    assert left("Objects > 0") == [1, 1, 2]
    assert left("Objects in (0, 2)") == [0, 2]
    assert left("Objects != 1") == [0, 2]
    assert left("Objects not in (1)") == [0, 2]
    assert left(f"Objects = '{json.dumps([ZEBRA])}'") == [1]
    for wrong in ("Objects = many", "Objects = -1", "Objects < '[]'", "Objects in (1, '[]')"):
        with pytest.raises(SpecError, match="--where: "):
            parse_where(wrong)


def test_an_engine_is_asked_for_what_it_has() -> None:
    names = Choice(levels=["blank", "Zebra", "Cat"])
    factors = {"World_Name": Choice(), "Character_Name": names, "Objects": Choice(low=0, high=2)}
    catalogue = Catalogue(engine="x", factors=factors)
    catalogue.check(scene([ZEBRA, CAT]))
    with pytest.raises(SpecError, match=r"Objects\[1\].Name = 'Zebro' is unknown to engine 'x'. Did you mean 'Zebra'"):
        catalogue.check(scene([{"Name": "Zebro"}, CAT]))
    with pytest.raises(SpecError, match="Objects has 3 objects; engine 'x' has at most 2"):
        catalogue.check(scene([ZEBRA, CAT, {"Name": "Cat"}]))
    without = catalogue.model_copy(update={"factors": {"World_Name": Choice()}})
    without.check(scene([]))
    with pytest.raises(SpecError, match="Objects: engine 'x' cannot vary it"):
        without.check(scene([CAT]))
