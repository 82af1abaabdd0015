"""A filter that drops a condition, or a caption with swapped animals, would silently mislabel a benchmark."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import (
    Scene,
    animals_caption,
    caption_columns,
    class_table,
    implied_labels,
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


MUG = {"World_Name": "SaltFlats", "Character_Name": "Cofee_Mug_1", "Character2_Name": "Elephant"}


@pytest.mark.parametrize(
    ("given", "caption", "alternate", "relation"),
    [
        ({"Character1_Pos": "on", "Character2_Pos": "location"},
         "Coffee mug on elephant in salt flats", "Elephant under coffee mug in salt flats", "on"),
        ({"Character2_Pos": "on", "Character1_Pos": "location"},
         "Coffee mug under elephant in salt flats", "Elephant on coffee mug in salt flats", "under"),
        ({"Character1_Pos": "inside", "Character2_Pos": "location"},
         "Coffee mug inside elephant in salt flats", "Elephant holding coffee mug in salt flats",
         "inside"),
        ({}, "Coffee mug to the left of elephant in salt flats",
         "Elephant to the right of coffee mug in salt flats", "to the left of"),
        ({"Character1_Pos": "top", "Character2_Pos": "bottom"}, "Coffee mug above elephant in salt flats",
         "Elephant below coffee mug in salt flats", "above"),
        ({"Character1_Pos": "behind", "Character2_Pos": "location", "Camera_Yaw": 180},
         "Coffee mug and elephant in salt flats", "Elephant and coffee mug in salt flats", None),
        ({"Character1_Pos": "location", "Character2_Pos": "location"},
         "Coffee mug and elephant in salt flats", "Elephant and coffee mug in salt flats", None),
        ({"Relation": "beside"}, "Coffee mug beside elephant in salt flats", None, None),
        ({"Character2_Name": "blank"}, "Coffee mug in salt flats", None, "in"),
        ({"Character_Name": "blank"}, "Elephant in salt flats", None, "in"),
        ({"Character_Name": "blank", "Character2_Name": "blank"}, None, None, None),
    ],
)  # fmt: skip
def test_ar4t_says_what_is_seen_where_labels_are_left_out(given, caption, alternate, relation) -> None:
    """Silently wrong would be: a caption with "none" in it, or a relation that the picture does not show."""
    scene = Scene({**MUG, **given})
    assert caption_columns("AR4T", scene) == {"caption": caption, "alt_caption": alternate, "negative_caption": None}
    assert implied_labels("AR4T", scene).get("Relation") == relation
    classes = {"Cofee_Mug_1": "Cofee_Mug", "blank": None}
    name = scene.get_str("Character_Name")
    assert implied_labels("AR4T", scene).get("Character_Label") == classes.get(name, name)


def test_other_families_say_words_of_placement_and_what_is_not_there() -> None:
    on = Scene({**MUG, "Character1_Pos": "on", "Character2_Pos": "location"})
    said = caption_columns("SPAR", on)
    assert said["caption"] == "This is a photo of a Cofee_Mug on a Elephant in a SaltFlats environment"
    assert said["caption_clean"] == "This is a photo of a coffee mug on an elephant in a salt flats environment"
    assert said["negative_caption"] == "This is a photo of a Elephant on a Cofee_Mug in a SaltFlats environment"
    by_number = Scene({**MUG, "Character1_Pos": "location", "Character2_Name": "blank"})
    assert caption_columns("SPAR", by_number)["caption"] == "This is a photo of a Cofee_Mug in a SaltFlats environment"
    nobody = Scene({"World_Name": "Arena"})
    assert caption_columns("Animals", nobody)["caption_clean"] == "A photo of an arena background"
    assert set(caption_columns("ImageNet", nobody).values()) == {None}
    assert caption_columns("ImageNet", on)["caption"] == "This is a photo of a Cofee_Mug"


_RESPELT = {"Anlylosaurus", "KomodoDragon", "RedCrownedCrane", "Secretarybird", "Triceraptos", "Wildbeest"}


def test_clean_captions_have_the_article_and_the_letters_of_the_catalogue() -> None:
    said = {}
    for one in class_table():
        scene = Scene({"World_Name": "Arena", "Character_Name": one.characters[0], "Character_Label": one.name})
        for family in ("ImageNet", "SPAR", "Animals"):
            made = caption_columns(family, scene)
            assert one.name in str(made["caption"])
            written = one.display if one.kind == "object" else spoken(one.name)
            assert written in str(made["caption_clean"]) or one.name in _RESPELT
        said[one.id] = str(caption_columns("ImageNet", scene)["caption_clean"]).removeprefix("This is a photo of ")
    odd = {s for s in said.values() if not re.match(r"an [aeioAEIO]|an u(?!ni)|a [^aeioAEIO]", s)}
    assert odd == {"broccoli", "hay"}
    assert len(said) == 221
    assert {
        "an African crocodile", "a French loaf", "a Komodo dragon", "a CRT screen", "an umbrella", "a pair of jeans",
        "a pair of sunglasses", "a pair of binoculars", "an ostrich", "an aircraft carrier",
    } <= set(said.values())  # fmt: skip


def test_the_schema_is_json_schema() -> None:
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    assert {"name", "design"} <= set(schema["required"])


def test_what_a_turned_camera_does_not_see_is_not_said_by_spar() -> None:
    two = {"Character_Name": "Zebra", "Character2_Name": "Cat", "Character2_Pos": "location", "World_Name": "Snow"}
    for side in ("to the left of", "behind"):
        said = [caption_columns("SPAR", Scene({**two, "Character1_Pos": side, "Camera_Yaw": yaw})) for yaw in (0, 180)]
        assert said[0]["caption"] == f"This is a photo of a Zebra {side} a Cat in a Snow environment"
        assert said[1]["caption"] == "This is a photo of a Zebra and a Cat in a Snow environment"
