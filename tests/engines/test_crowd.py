"""Counts could be wrong in many ways that no picture shows: an object under another, out of the picture, in a slot of
another's number, or one drawn of the class that is asked for. And a crowd that is not a function of what stands there
would jump from frame to frame, and make the camera's factor one of the crowd as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, annotate
from torchmultiverse.engines.builtin.crowd import Detail, coarser
from torchmultiverse.engines.builtin.engine import ProceduralAssets
from torchmultiverse.engines.builtin.mesh import box
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.renderer import CharacterInstance
from torchmultiverse.scenes import Scene, class_of

SIDE = 96
OPTIONS = RenderOptions(size=(SIDE, SIDE), passes=("rgb", "mask", "class"), samples=1)
SIZES = {
    "Zebra": (1.6, 0.5, 1.4), "Cat": (1.4, 0.4, 1.2), "Bear": (1.6, 0.8, 1.2), "Goat": (1.5, 0.5, 1.5),
    "Vase_1": (0.8, 0.8, 1.6), "Vase_2": (0.7, 0.7, 1.6), "Chest_1": (1.6, 1.2, 0.8), "Dolphin": (1.6, 0.5, 0.6),
}  # fmt: skip


@dataclass
class Body:
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    hover: float
    color: np.ndarray = field(init=False)
    roughness: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.color = np.full_like(self.vertices, 0.5)
        self.roughness = np.full(len(self.vertices), 0.7, np.float32)


class Boxes(ProceduralAssets):
    """Boxes under the names of animals and things; one of them hovers."""

    def names(self) -> list[str]:
        return list(SIZES)

    def textures(self) -> list[str]:
        return ["Default"]

    def load(self, name: str, texture: str, side: int = 512) -> Body:
        x, y, z = SIZES[name]
        mesh = box((-x / 2, -y / 2, 0), (x / 2, y / 2, z))
        return Body(mesh.vertices, mesh.faces, mesh.normals, 0.3 if name == "Dolphin" else 0.0)


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine(assets=Boxes(), denoise=False)
    yield made
    made.close()


def scene(**levels: Any) -> Scene:
    return Scene({"World_Name": "SaltFlats", "Character_Name": "Zebra", **levels})


def frame(engine: BuiltinEngine, one: Scene, options: RenderOptions = OPTIONS) -> Frame:
    (found,) = engine.render([one], options)
    assert isinstance(found, Frame), found
    return found


def refused(engine: BuiltinEngine, one: Scene) -> str:
    (found,) = engine.render([one], OPTIONS)
    assert isinstance(found, Failure)
    return found.reason


def row(count: int, **more: Any) -> list[dict[str, Any]]:
    """Return objects apart from each other, in two rows behind the middle."""
    names = ["Cat", "Bear", "Goat", "Vase_1", "Chest_1"]
    spots = [(60 + 120 * (k // 7), -250 + 80 * (k % 7) + 40 * (k // 7)) for k in range(count)]
    return [{"Name": names[k % 5], "Location": f"{y},{x},0", "Scale": 0.35, **more} for k, (y, x) in enumerate(spots)]


def test_numbers_classes_and_facts_agree(engine: BuiltinEngine) -> None:
    two = {
        "Character2_Name": "Bear",
        "Character1_Pos": "location",
        "Character2_Pos": "location",
        "Character_Scale": 0.4,
    }
    one = scene(
        Objects=row(14),
        Camera_Pitch=355,
        Character2_Scale=0.4,
        **two,
        Character_Location="-60,-100,0",
        Character2_Location="-60,100,0",
    )
    shown = frame(engine, one)
    mask, classes, facts = shown.array("mask"), shown.array("class"), shown.info["objects"]
    names = ["Zebra", "Bear", *(o.name for o in one.objects)]
    assert [(o["instance"], o["name"]) for o in facts] == list(enumerate(names, 1))
    assert set(np.unique(mask)) == set(range(17)), "each of the sixteen is seen, and counted once"
    for o in facts:
        mine = mask == o["instance"]
        assert np.count_nonzero(mine) == o["pixels"]
        assert set(np.unique(classes[mine])) == {o["class"]}
        rows, columns = np.nonzero(mine)
        assert o["box_2d"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert sum(o[f"{part}_fraction"] for part in ("visible", "occluded", "truncated")) == pytest.approx(1, abs=2e-4)
        assert "distractor" not in o
    hidden = [o for o in facts if o["occluded_fraction"] > 0.05]
    assert hidden
    assert all(o["occluded_by_character"] == o["occluded_fraction"] for o in hidden), "nothing else is in the way"


def test_the_order_of_a_list_changes_no_picture(engine: BuiltinEngine) -> None:
    one, other = (frame(engine, scene(Objects=objects)) for objects in (row(5), row(5)[::-1]))
    assert all(np.array_equal(one.array(name), other.array(name)) for name in ("rgb", "mask"))


def test_further_objects_stand_where_characters_do(engine: BuiltinEngine) -> None:
    """A place, a turn and a size mean the same for a character and for an object of the list."""
    place = {"Location": "40,-60,10", "Rotation_Yaw": 130, "Rotation_Roll": 10, "Scale": 0.7}
    by_list = frame(engine, scene(Character_Name="blank", Objects=[{"Name": "Cat", **place}]))
    named = {f"Character_{name}": value for name, value in place.items()}
    by_name = frame(engine, scene(**{**named, "Character_Name": "Cat", "Character1_Pos": "location"}))
    assert by_list.info["camera"] == by_name.info["camera"]
    assert np.array_equal(by_list.array("mask") > 0, by_name.array("mask") > 0)
    for key in ("box_3d", "box_3d_oriented"):
        assert str(by_list.info["objects"][0][key]) == str(by_name.info["objects"][0][key])


def test_what_overlaps_is_refused_by_name(engine: BuiltinEngine) -> None:
    near = [{"Name": "Cat", "Location": "30,10,0"}, {"Name": "Vase_1", "Location": "0,200,0", "Scale": 0.5}]
    why = refused(engine, scene(Objects=near))
    assert why == (
        "Objects: Zebra (Character_Name) and Cat at Location '30,10,0' overlap; move them apart, or make them smaller"
    )
    above = [{"Name": "Cat", "Location": "0,0,140", "Scale": 0.5}]  # on its back
    frame(engine, scene(Objects=above))


def test_one_kernel_does_for_any_number(engine: BuiltinEngine) -> None:
    import drjit as dr

    for count in (3, 4):
        frame(engine, scene(Objects=row(count)))
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        dr.kernel_history_clear()
        frame(engine, scene(Objects=row(9)))
        kernels = [one for one in dr.kernel_history() if one["type"] == dr.KernelType.JIT]
    assert kernels
    assert all(one["cache_hit"] for one in kernels)


def middles(facts: list[dict[str, Any]]) -> np.ndarray:
    return np.array([np.mean(one["box_3d"], 0)[:2] for one in facts])


def widths(facts: list[dict[str, Any]]) -> np.ndarray:
    """Diameters of the circles about the middles that hold the boxes."""
    found = []
    for one in facts:
        corners = np.array(one["box_3d_oriented"]["corners"])[:, :2]
        found.append(2 * np.linalg.norm(corners - corners.mean(0), axis=1).max())
    return np.array(found)


@pytest.mark.parametrize(("count", "spacing"), [(1, 0.2), (4, 0.0), (7, 0.2), (5, 0.8)])
def test_distractors_are_as_many_and_as_far_apart_as_asked(engine: BuiltinEngine, count: int, spacing: float) -> None:
    shown = frame(engine, scene(Distractors=count, Distractor_Spacing=spacing))
    facts = shown.info["objects"]
    assert [one.get("distractor", False) for one in facts] == [False] + [True] * count
    assert set(np.unique(shown.array("mask"))) - {0} == set(range(1, 1 + 1)) | set(range(3, 3 + count))
    at, wide = middles(facts), widths(facts)
    gaps = np.linalg.norm(at[:, None] - at, axis=2) / ((wide[:, None] + wide) / 2) - 1
    np.fill_diagonal(gaps, np.inf)
    assert gaps[1:].min(1) == pytest.approx(np.full(count, spacing), abs=0.02), "the nearest neighbour of each"
    for one in facts[1:]:
        assert one["truncated_fraction"] == 0, "all of it is in the picture"
        assert abs(one["box_3d"][0][2]) < 0.05, "it stands on the ground"
        assert one["visible_fraction"] > 0.2
    assert facts[0]["visible_fraction"] > 0.95, "what is asked about is not hidden"


def test_distractors_are_of_other_classes(engine: BuiltinEngine) -> None:
    for labelled in ("Zebra", "Vase_1"):
        one = scene(
            Character_Name=labelled, Objects=[{"Name": "Cat", "Location": "0,200,0", "Scale": 0.4}], Distractors=5
        )
        facts = frame(engine, one).info["objects"]
        taken = {class_of(o["name"]).name for o in facts if "distractor" not in o}
        drawn = {class_of(o["name"]).name for o in facts if "distractor" in o}
        assert taken == {class_of(labelled).name, "Cat"}
        assert not taken & drawn
        assert "Dolphin" not in drawn, "what hovers does not stand on the ground"
    only = frame(engine, scene(Distractors=3, Distractor_Kind="Vase")).info["objects"]
    assert {class_of(o["name"]).name for o in only[1:]} == {"Vase"}
    things = frame(engine, scene(Distractors=3, Distractor_Kind="object")).info["objects"]
    assert {class_of(o["name"]).kind for o in things[1:]} == {"object"}
    assert "Distractor_Kind = 'Zebra' is the class of an object" in refused(
        engine, scene(Distractors=1, Distractor_Kind="Zebra")
    )
    assert "is no class. Did you mean 'Vase'" in refused(engine, scene(Distractors=1, Distractor_Kind="Vaze"))


def places(shown: Frame) -> list[Any]:
    return [(o["name"], np.round(o["box_3d"], 3).tolist()) for o in shown.info["objects"] if "distractor" in o]


def test_distractors_follow_from_what_stands_there(engine: BuiltinEngine) -> None:
    base = places(frame(engine, scene(Distractors=5)))
    for change in (
        {"Camera_Pitch": 340}, {"Camera_Roll": 20}, {"Scene_Light": "red"}, {"Camera_Focal_Length": 60},
        {"Fog_Visibility": 50}, {"Camera_Distance": 6},
    ):  # fmt: skip
        assert places(frame(engine, scene(Distractors=5, **change))) == base, change
    wide = frame(engine, scene(Distractors=5), RenderOptions(size=(48, 48), passes=("rgb", "mask"), samples=1))
    assert places(wide) == base, "whatever the size of the picture"
    assert places(frame(engine, scene(Distractors=7)))[:5] == base, "the first of many are those of few"
    assert places(frame(engine, scene(Distractors=5, Character_Name="Bear"))) != base
    turned = [frame(engine, scene(Distractors=5, Distractor_Yaw=0, Camera_Yaw=yaw)) for yaw in (0, 90, 200)]
    assert all(places(one) == base for one in turned), "a clip of a camera that goes round keeps them"
    own = frame(engine, scene(Distractors=5, Camera_Yaw=90))
    assert all(o["truncated_fraction"] == 0 for o in own.info["objects"])


def test_what_does_not_fit_is_refused_with_what_does(engine: BuiltinEngine) -> None:
    why = refused(engine, scene(Distractors=14, Distractor_Spacing=3))
    count = int(why.split(": ")[1].split()[0])
    assert why == (
        f"Distractors = 14: {count} have room in world 'SaltFlats' with Distractor_Spacing = 3; "
        f"take at most {count}, or stand them closer"
    )
    frame(engine, scene(Distractors=count, Distractor_Spacing=3))
    assert "with these Objects at most 9" in refused(engine, scene(Distractors=10, Objects=row(5)))
    assert "a whole number is needed" in refused(engine, scene(Distractors=1.5))


def test_coarser_meshes_cover_the_same_pixels() -> None:
    """A coarser mesh with holes, or of another size, would change masks and counts; nothing else would tell."""
    mesh = ProceduralAssets().load("Zebra", "Default", 192)
    full = Detail(mesh.vertices, mesh.faces, mesh.normals, mesh.color, mesh.roughness, mesh.hover)
    rotation = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    view = View(np.array([0, -6.0, 0.8]), rotation, 200.0, (80, 80))
    cell = 2.0 ** np.floor(np.log2(6 / 200))
    fewer = coarser(full, cell)
    assert len(fewer.faces) < len(full.faces) / 1.8
    covered = [
        annotate.silhouette(CharacterInstance(m.vertices, m.faces, m.normals, m.color, m.roughness), view, 1)
        for m in (full, fewer)
    ]
    both, either = np.count_nonzero(covered[0] & covered[1]), np.count_nonzero(covered[0] | covered[1])
    assert both / either > 0.95
    assert np.allclose(np.linalg.norm(fewer.normals, axis=1), 1, atol=1e-4)
    assert abs(float(fewer.color.mean()) - float(full.color.mean())) < 0.02
