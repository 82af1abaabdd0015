"""Steps of a ladder that are silently not what they say: another number of pictures, a class that has more, a step that
takes pictures which a wider one could not take, or one that changes when another step is added."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.scenes import Spec, parse_spec, said_name
from torchmultiverse.store import label_column
from torchmultiverse.transfer.ladder_classes import matched, read_label_map, unseen_classes
from torchmultiverse.transfer.ladder_groups import grouped, narrow_levels, parse_groups, plans_of, without_plans
from torchmultiverse.transfer.ladder_rows import check_enough, draw, most_per_class, own_count, supports
from torchmultiverse.transfer.ladder_scenes import frame_of, step_spec

STEPS = ("narrow", "worlds", "lights", "poses", "full", "x5")


def columns(count: int = 12_000) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "label": np.array(["cat", "dog", "fox"], object)[np.arange(count) % 3],
        "world_name": np.array(["Desert", "Snow"], object)[rng.integers(0, 2, count)],
        "sun_elevation": rng.integers(1, 4, count) * 20,
        "camera_yaw": rng.choice([0, 90, 180], count),
        "character_scale": rng.choice([1.0, 0.5, 2.0], count),
    }


def test_steps_are_nested_and_have_one_budget_of_equal_classes() -> None:
    data = columns()
    names = [name for name in data if name != "label"]
    groups = grouped(names, {})
    plans = plans_of(STEPS, groups)[0] + without_plans(list(groups))
    codes = np.unique(data["label"].astype(str), return_inverse=True)[1]
    masks = supports(data, groups, plans, 0.1, data["label"])
    steps = [plan for plan in plans if not plan.without]
    for narrow, wide in pairwise(steps):
        assert set(narrow.free) <= set(wide.free)
        assert not (masks[narrow.name] & ~masks[wide.name]).any(), f"{narrow.name} is not inside {wide.name}"
    assert masks["full"].all()
    per_class, _ = most_per_class(masks, plans, codes, 3)
    drawn = {
        plan.name: draw(masks[plan.name], codes, 3, per_class * plan.times, np.random.default_rng(1)) for plan in plans
    }
    for plan in plans:
        train, own = drawn[plan.name]
        assert np.bincount(codes[train]).tolist() == [per_class * plan.times] * 3
        assert np.bincount(codes[own]).tolist() == [own_count(per_class * plan.times)] * 3
        assert masks[plan.name][train].all()
        assert masks[plan.name][own].all()
        assert not set(train) & set(own)
    assert set(drawn["full"].train) <= set(drawn["x5"].train)
    assert set(data["world_name"][drawn["narrow"].train]) != {"Desert", "Snow"}
    assert set(data["camera_yaw"][drawn["narrow"].train]) == {0}, "the default of a factor remains"
    assert set(data["character_scale"][drawn["poses"].train]) == {1.0}
    assert set(data["camera_yaw"][drawn["without poses"].train]) == {0}
    assert set(data["character_scale"][drawn["without poses"].train]) == {0.5, 1.0, 2.0}


def test_numbers_that_hardly_repeat_keep_a_part_of_their_range() -> None:
    yaw = np.arange(360)
    assert sorted(yaw[narrow_levels(yaw, "camera_yaw", 0.1)].tolist()) == [*range(19), *range(342, 360)]
    brightness = np.random.default_rng(0).uniform(0, 2, 2000)
    kept = brightness[narrow_levels(brightness, "brightness", 0.1)]
    assert np.ptp(kept) < 0.21
    assert abs(kept.mean() - 1) < 0.1
    assert narrow_levels(np.array(["b", "a", "a"], object), "hue", 0.1).tolist() == [False, True, True]


def test_what_cannot_be_a_step_is_said() -> None:
    groups = {"worlds": ("world_name",), "poses": ("camera_yaw",)}
    plans, notes = plans_of(None, groups)
    assert [plan.name for plan in plans] == ["narrow", "worlds", "poses", "full", "x5"]
    assert "lights" in notes[0]
    for steps, message in (
        (("narrow", "lights"), "no step 'lights': narrow, a group of factors that vary"),
        (("narrow", "pose"), "Did you mean 'poses'"), (("narrow",), "at least two"), (("worlds", "narrow"), "first"),
        (("narrow", "full", "full"), "twice"),
    ):  # fmt: skip
        with pytest.raises(DatasetError, match=message):
            plans_of(steps, groups)
    for texts, message in (
        (["poses"], "write NAME=FACTOR"), (["full=a"], "name of a step"), (["a=x", "b=x"], "in another group"),
        (["a=x", "a=y"], "given twice"),
    ):  # fmt: skip
        with pytest.raises(DatasetError, match=message):
            parse_groups(texts)
    with pytest.raises(DatasetError, match="no factor 'camera_yam' varies here"):
        grouped(["camera_yaw"], {"poses": ["camera_yam"]})
    with pytest.raises(DatasetError, match="step 'narrow' has 3"):
        check_enough(10, (3, "narrow"), 30, 3)


def spec(**factors: object) -> Spec:
    levels = {
        "World_Name": ["Desert", "Museum", "SaltFlats", "Snow"], "Character_Name": ["Camel", "Elephant", "Zebra"],
        "Camera_Yaw": {"from": 0, "to": 360}, "Character_Scale": {"from": 0.5, "to": 1.5},
        "Scene_Light": ["white", "red"], **factors,
    }  # fmt: skip
    return parse_spec({"name": "toy", "design": {"kind": "random", "pictures": 10, "factors": levels}})


def test_scenes_of_a_spec_are_nested_with_equal_classes_and_do_not_depend_on_other_steps() -> None:
    frame = frame_of(spec(), {})
    assert frame.groups == {
        "worlds": ("World_Name",), "lights": ("Scene_Light",), "poses": ("Camera_Yaw",), "sizes": ("Character_Scale",)
    }  # fmt: skip
    plans, _ = plans_of(("narrow", "worlds", "poses", "full"), frame.groups)
    ranges = {}
    for plan in plans:
        made = step_spec(frame, plan, ["Camel", "Zebra"], 20, 0.1, seed=0)
        scenes = list(made.build())
        assert len({scene.scene_id for scene in scenes}) == 50, "all different"
        names = [said_name(str(scene["Character_Name"])) for scene in scenes]
        assert names == ["Camel"] * 25 + ["Zebra"] * 25
        yaw = np.array([float(scene["Camera_Yaw"]) for scene in scenes])
        scale = np.array([float(scene["Character_Scale"]) for scene in scenes])
        ranges[plan.name] = (
            {scene["World_Name"] for scene in scenes}, float(np.abs((yaw + 180) % 360 - 180).max()),
            float(np.abs(scale - 1).max()), len({scene["Scene_Light"] for scene in scenes}),
        )  # fmt: skip
        again = step_spec(frame, plan, ["Zebra", "Camel"], 20, 0.1, seed=0)
        assert {s.scene_id for s in again.build()} == {s.scene_id for s in scenes}
    assert ranges["narrow"][0] == {"Desert"}
    assert ranges["narrow"][1] <= 18.001
    assert ranges["narrow"][2] <= 0.0501
    assert len(ranges["worlds"][0]) == 4
    assert ranges["worlds"][1] <= 18.001
    assert ranges["poses"][1] > 90
    assert ranges["poses"][2] <= 0.0501
    assert ranges["full"][2] > 0.3
    assert [ranges[name][3] for name in ("narrow", "worlds", "poses", "full")] == [1, 1, 1, 2]


def test_assets_of_a_class_are_one_group_and_linked_rows_are_narrowed() -> None:
    names = [(name, k) for name in ("Cofee_Mug", "Bear") for k in (1, 2)]
    linked = [[{"Character_Name": f"{name}_{k}", "Character_Label": name} for name, k in names]]
    data = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": {"from": 0, "to": 360}}
    made = parse_spec({"name": "o", "design": {"kind": "random", "pictures": 4, "factors": data, "linked": linked}})
    frame = frame_of(made, {})
    assert frame.assets == {"Cofee_Mug": ("Cofee_Mug_1", "Cofee_Mug_2"), "Bear": ("Bear_1", "Bear_2")}
    assert "assets" in frame.groups
    plans, _ = plans_of(("narrow", "assets"), frame.groups)
    used = [
        {str(scene["Character_Name"]) for scene in step_spec(frame, plan, list(frame.assets), 20, 0.1, 0).build()}
        for plan in plans
    ]
    assert used[0] < used[1]
    assert len(used[0]) == len(frame.assets)


def test_a_spec_with_too_few_scenes_or_of_another_kind_is_refused() -> None:
    few = frame_of(spec(Camera_Yaw=[0, 90], Character_Scale=[1]), {})
    narrow = plans_of(("narrow", "full"), few.groups)[0][0]
    with pytest.raises(DatasetError, match=r"step 'narrow', class 'Camel': 25 different scenes are needed.*--narrow"):
        step_spec(few, narrow, ["Camel"], 20, 0.1, 0)
    written = {"name": "w", "design": {"kind": "explicit", "scenes": [{"World_Name": "Desert"}]}}
    with pytest.raises(SpecError, match="of kind 'explicit': render it"):
        frame_of(parse_spec(written), {})
    with pytest.raises(SpecError, match="1 classes"):
        frame_of(spec(Character_Name=["Camel"]), {})


def test_classes_are_matched_by_name_synonym_synset_and_map() -> None:
    ours = ["GiantTortoise", "Zebra", "Cofee_Mug", "Elephant"]
    theirs = ["giant tortoise", "n02391049", "coffee mug, cup", "lamp", "tusker"]
    found = {"giant tortoise": "GiantTortoise", "n02391049": "Zebra", "coffee mug, cup": "Cofee_Mug"}
    assert matched(ours, theirs) == found
    assert matched(ours, theirs, {"lamp": "Elephant"})["lamp"] == "Elephant"
    with pytest.raises(DatasetError, match="training pictures have no class 'Elefant'"):
        matched(ours, theirs, {"lamp": "Elefant"})
    rng = np.random.default_rng(0)
    assert len(unseen_classes(list("abcdefgh"), None, rng)) == 2
    assert unseen_classes(list("abc"), None, rng) == []
    with pytest.raises(DatasetError, match="0 or 2 to 6 can be kept out"):
        unseen_classes(list("abcdefgh"), 7, rng)
    with pytest.raises(DatasetError, match=r"--unseen 2: of 2 classes none can be kept out.*; --unseen 0 is right"):
        unseen_classes(list("ab"), 2, rng)
    with pytest.raises(DatasetError, match=r"--unseen 3: of 4 classes 0 or 2 can be kept out"):
        unseen_classes(list("abcd"), 3, rng)


def test_a_label_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^--label-map .*nosuch\.json: no such file"):
        read_label_map(tmp_path / "nosuch.json")
    with pytest.raises(DatasetError, match=r"no column 'kind' \(--label\)"):
        label_column({"label": np.array(["a", "b"])}, "kind", "toy", "--label")
