"""A filter that drops a condition, or a caption with swapped animals, would silently mislabel a benchmark."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import (
    Scene,
    animals_caption,
    caption_columns,
    json_schema,
    parse_where,
    spar_caption,
    spoken,
)


def _row(**values: object) -> dict:
    scene = Scene({"World_Name": "Desert", **values})
    return scene.table.columns(scene.complete)


def test_every_form_of_condition() -> None:
    parsed = parse_where(
        "World_Name in (Desert, 'Salt, Flats') and "
        'camera_yaw >= 45 and Character_Name not in (Lion) and Scene_Light = "255,0,0,0"'
    )
    assert [(c.factor, c.op, c.values) for c in parsed] == [
        ("World_Name", "in", ("Desert", "Salt, Flats")),
        ("Camera_Yaw", ">=", (45,)),
        ("Character_Name", "not in", ("Lion",)),
        ("Scene_Light", "=", ("255,0,0,0",)),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends too early"),
        ("Wrld_Name = A", "Did you mean 'World_Name'"),
        ("World_Name", "ends too early"),
        ("World_Name < A", "no order"),
        ("Camera_Yaw = x", "is a number"),
        ("World_Name in (A", "ends too early"),
        ("World_Name in A", "should be"),
        ("World_Name = A or World_Name = B", "'and' should be"),
        ("World_Name ~ A", "no comparison"),
        ("World_Name = ,", "should be"),
    ],
)
def test_bad_filters(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_where(text)


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_a_spec_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        assert parse_where(text)


def test_published_strings() -> None:
    two = {"Character_Name": "Lion", "Character2_Name": "Camel", "Character1_Pos": "left", "Character2_Pos": "right"}
    assert (
        spar_caption(_row(**two), background=False)
        == "This is a photo of a Lion on the left and a Camel on the right of the picture"
    )
    assert (
        spar_caption(_row(**two, Character_Texture="Blue", Character2_Texture="Red"))
        == "This is a photo of a Lion textured with Blue and a Camel textured with Red in a Desert environment"
    )
    assert (
        spar_caption(_row(Character2_Name="Camel", Character2_Pos="top"))
        == "This is a photo of a Camel on the top of the picture in a Desert environment"
    )
    assert spar_caption(_row()) == "This is a photo in a Desert environment"
    assert (
        animals_caption(_row(Character_Name="Penguin", Character_Scale=1.3, Character_Texture="Grass"))
        == "A photo of a big sized Penguin textured with Grass on a Desert background"
    )
    assert (
        animals_caption(_row(Character_Name="GiantTortoise", Character_Scale=0.7), raw=False)
        == "A photo of a small sized giant tortoise on a desert background"
    )
    assert caption_columns("Custom", Scene({"World_Name": "Desert"})) == {}
    assert spoken("GiantTortoise") == "giant tortoise"
    assert spoken("SaltFlats_0") == "salt flats"


def test_the_schema_is_json_schema() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert {"name", "design"} <= set(schema["required"])
