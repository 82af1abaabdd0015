"""A column with another name or type than the published one breaks every published evaluation script, quietly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from torchmultiverse.engines import Frame
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.farm import generate
from torchmultiverse.scenes import CAPTIONS, Scene, parse_spec
from torchmultiverse.store import open_dataset, verify
from torchmultiverse.store.quality import limits_of, measure, outside, quality, visibility
from torchmultiverse.store.schema import RowSchema


def schema_of(family: str, factors: dict, **more: object) -> pa.Schema:
    spec = parse_spec({"name": "x", "family": family, "design": {"kind": "factorial", "factors": factors}, **more})
    return RowSchema(spec, spec.build(), tuple(spec.render.passes)).arrow


@pytest.mark.parametrize(
    ("family", "published"),
    [
        (
            "AR4T",
            "Relation Actor1Category Actor2Category Actor1Name Actor2Name Actor1Location Actor2Location "
            "Actor1Scale:double Actor2Scale:double Actor1Texture Actor2Texture Actor1Attribute Actor2Attribute "
            "Camera_roll:int64 Camera_pitch:int64 Camera_yaw:int64 Level",
        ),
        ("Animals", "world_name character_name character_scale:double camera_yaw:int64 character_texture"),
        (
            "ImageNet",
            "world_name character_name character_label character_rotation_yaw:int64 character_rotation_roll:int64 "
            "character_rotation_pitch:int64 character_scale:double camera_roll:int64 camera_pitch:int64 "
            "camera_yaw:int64 character_texture scene_light",
        ),
        (
            "SPAR",
            "world_name character_name character2_name character1_pos character2_pos character_texture "
            "character2_texture",
        ),
    ],
)
def test_published_columns(family: str, published: str) -> None:
    schema = schema_of(family, {"World_Name": ["Desert"]})
    expected = [tuple((item + ":string").split(":")[:2]) for item in published.split()]
    assert [(f.name, str(f.type)) for f in schema][1 : 1 + len(expected)] == expected
    assert schema.names[0] == "image"
    assert schema.names[1 + len(expected)] == "scene_id"
    assert [name for name in schema.names if "caption" in name] == list(CAPTIONS[family])


def test_columns_of_classes_and_relations_hold_what_is_seen_where_a_design_has_no_labels(tmp_path: Path) -> None:
    factors = {"World_Name": ["Desert"], "Character_Name": ["Zebra", "blank"], "Character2_Name": ["Camel", "blank"]}
    spec = {"name": "x", "family": "AR4T", "render": {"size": 16}, "design": {"kind": "factorial", "factors": factors}}
    generate(spec, tmp_path / "d", MarkerEngine, check=0, progress=False)
    table = open_dataset(tmp_path / "d").table(["Relation", "Actor1Category", "Actor2Category", "caption"])
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("to the left of", "Zebra", "Camel", "Zebra to the left of camel in desert"),
        ("in", "Zebra", "none", "Zebra in desert"),
        ("in", "none", "Camel", "Camel in desert"),
        ("none", "none", "none", None),
    ]
    assert not verify(tmp_path / "d").problems


def test_types_follow_the_levels_where_the_published_one_cannot_hold_them() -> None:
    assert schema_of("Animals", {"World_Name": ["D"], "Camera_Yaw": [0, 22.5]}).field("camera_yaw").type == pa.float64()
    custom = schema_of(
        "Custom",
        {"World_Name": ["D"], "Camera_Yaw": [45], "Fog": [0, 1], "Time": ["noon"]},
        declare=[{"name": "Fog", "kind": "number", "default": 0}, {"name": "Time", "column": "time_of_day"}],
    )
    kinds = {f.name: str(f.type) for f in custom}
    assert list(kinds)[:5] == ["image", "world_name", "camera_yaw", "fog", "time_of_day"]
    assert [kinds[name] for name in ("camera_yaw", "fog", "time_of_day")] == ["int64", "double", "string"]


def test_quality_by_hand() -> None:
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[0, :2] = 255  # two white, four black, one red, one grey
    picture[1, 2] = (200, 0, 0)
    picture[1, 3] = 100
    luma = [1, 1, 0, 0, 0, 0, 0.213 * 200 / 255, 100 / 255]
    found = quality(picture)
    assert found["quality_luminance"] == pytest.approx(np.mean(luma))
    assert found["quality_luminance_min"] == 0
    assert found["quality_luminance_max"] == 1
    assert found["quality_contrast"] == pytest.approx(np.std(luma))
    assert found["quality_saturation"] == pytest.approx(1 / 8)
    assert found["quality_clipped"] == 6 / 8
    noise = np.random.default_rng(0).integers(0, 256, (63, 65, 3), dtype=np.uint8)
    exact = noise.astype(np.float64) @ [0.213, 0.715, 0.072] / 255
    assert quality(noise)["quality_contrast"] == pytest.approx(exact.std(), rel=1e-9)
    assert quality(noise) == quality(np.asfortranarray(noise))


def test_visibility_is_what_the_engine_and_the_mask_say_and_nothing_else() -> None:
    scene = Scene({"World_Name": "Desert"})
    rgb = np.zeros((4, 5, 3), np.uint8)
    silent = visibility(Frame(scene, arrays={"rgb": rgb}))
    assert set(silent.values()) == {None}
    told = {"objects": [{"instance": 2, "visible_fraction": 0.5, "pixels": 4}, "noise", {"instance": 7}]}
    by_report = visibility(Frame(scene, arrays={"rgb": rgb}, info=told))
    assert by_report == {
        "quality_visible1": None, "quality_area1": None, "quality_visible2": 0.5, "quality_area2": 0.2,
    }  # fmt: skip
    mask = np.zeros((4, 5), np.uint8)
    mask[0] = 1
    by_mask = visibility(Frame(scene, arrays={"rgb": rgb, "mask": mask}, info={"objects": "none"}))
    assert (by_mask["quality_area1"], by_mask["quality_area2"]) == (0.25, 0)


def test_distractors_and_further_objects_without_a_pixel_are_counted() -> None:
    """A caption counts them all; nobody would know that some are hidden or outside."""
    rgb = {"rgb": np.zeros((4, 5, 3), np.uint8)}

    def unseen(**pixels: int) -> float | None:
        told = [{"instance": int(number[1:]), "pixels": count} for number, count in pixels.items()]
        return measure(Frame(Scene({"World_Name": "Desert"}), arrays=rgb, info={"objects": told}))["quality_unseen"]

    assert unseen(n1=0, n2=0) is None, "the first two have measures of their own"
    assert unseen(n1=9, n3=4, n4=1) == 0
    assert unseen(n1=9, n3=0, n4=1, n5=0) == 2
    assert outside({"quality_unseen": 0.0}) == outside({"quality_unseen": None}) == []
    assert outside({"quality_unseen": 2.0}) == ["unseen"]
    assert outside({"quality_unseen": 2.0}, {"unseen": [0, 14]}) == []
    spec = {"World_Name": ["Desert"], "Character_Name": ["Zebra"]}
    for more in ({"Distractors": [0, 4]}, {"Objects": [[], [{"Name": "Cat"}]]}):
        assert "quality_unseen" in schema_of("Custom", spec | more).names
    assert "quality_unseen" not in schema_of("Custom", spec).names


def test_what_a_place_is_meant_to_hide_is_no_fault() -> None:
    """Of relations by coordinates and of those that are true as words; a spec's own limits hold before both."""
    half = {"quality_visible1": 0.6, "quality_visible2": 1.0}
    for scene, failed in (
        ({}, ["visible1"]),
        ({"Character1_Pos": "location", "Relation": "to the left of"}, ["visible1"]),
        ({"Character1_Pos": "location", "Relation": "behind"}, []),
        ({"Character1_Pos": "location", "Relation": "in front of"}, ["visible1"]),
        ({"Character1_Pos": "behind", "Relation": "behind"}, []),
        ({"Character1_Pos": "in front of"}, ["visible1"]),
        ({"Character2_Pos": "in front of", "Character1_Pos": "location"}, []),
        ({"Character1_Pos": "above"}, ["visible1"]),
        ({"Character1_Pos": "under"}, []),
        ({"Character1_Pos": "inside"}, []),
    ):
        assert outside(half, limits_of(scene)) == failed, scene
    assert outside(half, limits_of({"Character1_Pos": "behind"}, {"visible1": [0.7, 1]})) == ["visible1"]
    assert outside({"quality_visible1": 0.2}, limits_of({"Character1_Pos": "behind"})) == ["visible1"]
    assert outside({"quality_visible1": 0.2}, limits_of({"Character1_Pos": "location", "Relation": "behind"})) == []


def test_what_an_occluder_was_asked_to_hide_is_no_fault_and_has_a_column_of_its_own() -> None:
    seen = {"quality_visible1": 0.38, "quality_visible2": 0.95}
    assert outside(seen) == ["visible1"]
    assert outside(seen | {"quality_occluded1": 0.6}) == []
    assert outside(seen | {"quality_occluded1": 0.5}) == ["visible1"], "something else hides it as well"
    assert outside({"quality_visible1": 0.05, "quality_occluded1": 0.95}) == []
    spec = {"World_Name": ["Desert"], "Character_Name": ["Zebra"]}
    plain, hidden = (
        schema_of("Custom", factors).names for factors in (spec, spec | {"Occluder": ["fence"], "Occlusion": [0, 0.4]})
    )
    assert set(hidden) - set(plain) == {"occluder", "occlusion", "quality_occluded1"}
