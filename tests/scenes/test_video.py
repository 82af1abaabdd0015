"""What could silently be wrong: a path that overshoots its keys or turns the other way, a clip that two splits share,
and a design whose parts, counts and single scenes do not agree."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import (
    FACTORS,
    Factorial,
    Scene,
    Video,
    clip_starts,
    expanded,
    load_spec,
    parse_spec,
    parse_where,
)
from torchmultiverse.scenes.paths import Path

REST = {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"], "Character_Scale": [0.5, 1]}


def path(name, keys, **settings):
    return Path.of(FACTORS[name], keys, place=f"design.path.{name}", **settings)


def spec(design=None, **more):
    """A spec of clips, or what is otherwise in its design."""
    clips = {"kind": "factorial", "factors": REST}
    whole = {
        "kind": "video",
        "clips": clips,
        "path": {"Camera_Yaw": {"keys": [[0, 0], [1, 90]]}},
        "fps": 4,
        "seconds": 1,
    }
    return {"name": "v", "design": {**whole, **(design or {})}, **more}


# Paths ----------------------------------------------------------------------------------------------------


def test_linear_is_linear_and_stays_at_the_ends():
    assert path("Character_Scale", [[1, 1], [2, 3]]).at([0, 1, 1.5, 2, 9]) == [1, 1, 2, 3, 3]


def test_a_smooth_path_goes_through_its_keys_never_beyond_them_and_ends_at_rest():
    keys = [[0, 1], [1, 3], [1.5, 3], [4, 0.5]]
    smooth = path("Character_Scale", keys, interpolation="smooth")
    assert smooth.at([time for time, _ in keys]) == [value for _, value in keys]
    times = np.linspace(0, 4, 4001)
    values = np.array(smooth.at(times), float)
    for (begin, low), (end, high) in pairwise(keys):
        between = values[(times >= begin) & (times <= end)]
        assert min(low, high) <= between.min()
        assert between.max() <= max(low, high)
        assert (np.diff(between) * np.sign(high - low) >= 0).all()
    speed = np.diff(values) / np.diff(times)
    assert abs(speed[0]) < 0.02
    assert abs(speed[-1]) < 0.02
    assert np.abs(np.diff(speed)).max() < 0.02  # no corner anywhere


def test_angles_go_as_they_are_written_or_the_short_way():
    assert path("Camera_Yaw", [[0, 0], [4, 360]]).at([0, 1, 2, 3]) == [0, 90, 180, 270]
    assert path("Camera_Yaw", [[0, 350], [2, 10]]).at([1]) == [180]
    assert path("Camera_Yaw", [[0, 350], [2, 10]], short_way=True).at([0, 0.5, 1, 2]) == [350, 355, 0, 10]
    assert path("Camera_Yaw", [[0, 10], [2, 350]], short_way=True).at([0.5, 1.5]) == [5, 355]
    assert path("Camera_Yaw", [[0, 0], [1, 720]]).at([0.25]) == [180]


def test_vectors_move_component_by_component_and_are_canonical():
    assert path("Character_Location", [[0, "0,-150,0"], [1, "100,150,-0"]]).at([0, 0.5]) == ["0,-150,0", "50,0,0"]


def test_categories_and_own_hold_until_the_next_key():
    held = path("Character_Texture", [[0, "Default"], [0.5, "Asphalt"]])
    assert held.at([0, 0.49, 0.5, 3]) == ["Default", "Default", "Asphalt", "Asphalt"]
    fog = path("Fog_Visibility", [[0, "own"], [1, 50]], interpolation="hold")
    assert fog.at([0, 0.9, 1]) == ["own", "own", 50]


def test_what_is_added_is_added_to_the_clip():
    assert path("Camera_Yaw", [[0, 0], [1, 90]], add=True).at([0, 1], 300) == [300, 30]
    assert path("Character_Location", [[0, "0,0,0"], [1, "10,0,0"]], add=True).at([1], "0,5,0") == ["10,5,0"]


@pytest.mark.parametrize(
    ("name", "keys", "settings", "said"),
    [
        ("Character_Scale", [[0, 1], [1, 9]], {}, "keys[1]: Character_Scale = 9 is out of range"),
        ("Character_Scale", [[0, 1], [0, 2]], {}, "keys[1]: 0 s does not come after 0 s"),
        ("Character_Scale", [[-1, 1]], {}, "keys[0]: -1 s; times are from 0"),
        ("Character_Scale", [[0, 1, 2]], {}, "keys[0] = [0, 1, 2]: a key is [seconds, value]"),
        ("Character_Scale", [[0, "big"]], {}, "keys[0]: Character_Scale = 'big'"),
        ("Character_Texture", [[0, "Default"]], {"interpolation": "linear"}, "'hold' is right"),
        ("Character_Texture", [[0, "Default"]], {"add": True}, "'hold' is right"),
        ("Character_Scale", [[0, 1]], {"short_way": True}, "Character_Scale is no angle"),
        ("Fog_Visibility", [[0, "own"], [1, 50]], {}, "interpolation 'hold' is right"),
        ("Subset", [[0, "a"]], {}, "only said about a scene"),
        ("Camera_Yaw", [[0, 1e9]], {}, "more than 100 turns"),
        ("Character_Location", [[0, "1,2"]], {}, "three numbers are needed"),
    ],
)
def test_a_path_that_cannot_be_names_place_and_value(name, keys, settings, said):
    with pytest.raises(SpecError) as caught:
        path(name, keys, **settings)
    assert f"design.path.{name}" in str(caught.value)
    assert said in str(caught.value)


# Designs --------------------------------------------------------------------------------------------------


def video(**more):
    paths = [path("Camera_Yaw", [[0, 0], [1, 90]]), path("Character_Scale", [[0, 0], [1, 1]], add=True)]
    return Video(Factorial.of(REST), paths, fps=4, seconds=1, **more)


def test_parts_counts_and_single_scenes_agree():
    design = video()
    scenes = list(design)
    assert design.count == len(scenes) == 16
    table = expanded(design)
    assert list(table) == scenes
    assert {k: dict(v) for k, v in design.level_counts().items()} == table.level_counts()
    order = np.random.default_rng(0).permutation(16)
    assert list(design.part(order)) == [scenes[i] for i in order]
    assert design.places(table).tolist() == list(range(16))
    assert len({scene.scene_id for scene in scenes}) == 16
    assert design.sent == ["World_Name", "Character_Name", "Character_Scale", "Camera_Yaw"]


def test_frames_say_where_they_belong_and_engines_are_not_told():
    scenes = list(video())
    assert [scene["Frame"] for scene in scenes[:5]] == [0, 1, 2, 3, 0]
    assert [scene["Frame_Time"] for scene in scenes[:4]] == [0, 0.25, 0.5, 0.75]
    assert len({scene["Clip"] for scene in scenes}) == 4
    assert not {"Clip", "Frame", "Frame_Time"} & scenes[1].unlabelled.wire.keys()


def test_a_clip_is_named_by_what_it_shows_and_not_by_its_place():
    other = Video(Factorial.of({**REST, "World_Name": ["Snow"]}), video().paths, fps=4, seconds=1)
    assert {scene["Clip"] for scene in other} < {scene["Clip"] for scene in video()}
    slower = Video(Factorial.of(REST), video().paths, fps=2, seconds=2)
    assert not {scene["Clip"] for scene in slower} & {scene["Clip"] for scene in video()}


def test_filters_take_whole_clips_where_they_can_and_frames_where_they_are_asked_to():
    snow = video().where(parse_where("World_Name = Snow"))
    assert isinstance(snow, Video)
    assert snow.count == 8
    first = video().where(parse_where("Frame < 2"))
    assert first.count == 8
    assert clip_starts(first).tolist() == [0, 2, 4, 6, 8]
    both = parse_spec(spec({"only": ["World_Name = Snow"], "exclude": ["Frame = 0"]})).build()
    assert both.count == 6
    assert clip_starts(both).tolist() == [0, 3, 6]


def test_clips_of_several_designs_are_told_apart():
    parts = [spec()["design"], spec({"path": {"Camera_Pitch": {"keys": [[0, 0], [1, 20]]}}, "seconds": 1.5})["design"]]
    design = parse_spec({"name": "u", "design": {"kind": "union", "of": parts}}).build()
    assert design.count == 4 * 4 + 4 * 6
    assert clip_starts(design).tolist() == [0, 4, 8, 12, 16, 22, 28, 34, 40]
    assert clip_starts(Factorial.of(REST)) is None


def test_a_share_takes_whole_clips():
    loaded = parse_spec(spec({"fps": 8, "seconds": 3}, splits={"test": [{"share": 0.5}]}))
    rules, splits = loaded.split_rules(), {}
    for scene in loaded.build():
        splits.setdefault(scene["Clip"], set()).add(rules.of(scene))
    assert all(len(found) == 1 for found in splits.values())
    assert len(set.union(*splits.values())) == 2


def test_a_million_clips_are_counted_at_once():
    rest = Factorial.of(
        {"World_Name": ["Desert"], "Camera_Roll": {"from": 0, "to": 90, "count": 100_000}, "Sample": list(range(10))}
    )
    design = Video(rest, [path("Camera_Yaw", [[0, 0], [1, 90]])], fps=24, seconds=10)
    assert design.count == 240_000_000
    assert design[-1]["Frame"] == 239


def test_labels_of_frames_are_in_no_other_scene():
    assert Scene({"World_Name": "Snow"}).canonical == '{"World_Name":"Snow"}'


@pytest.mark.parametrize(
    ("design", "more", "said"),
    [
        ({"path": {"World_Name": {"keys": [[0, "Snow"]]}}}, {}, "World_Name: design.clips say World_Name as well"),
        ({"path": {"Camera_Yow": {"keys": [[0, 1]]}}}, {}, "unknown factor 'Camera_Yow'"),
        ({"path": {"Camera_Yaw": {"keys": [[0, 1]]}, "camera_yaw": {"keys": [[0, 1]]}}}, {}, "has a path already"),
        ({"path": {"Character_Scale": {"keys": [[0, 0], [1, 5]], "add": True}}}, {}, "= 4.25 is out of range"),
        ({"path": {"Sun_Elevation": {"keys": [[0, 0], [1, 5]], "add": True}}}, {}, "leave Sun_Elevation to the world"),
        ({"fps": 1, "seconds": 1}, {}, "make 1 frames; a clip has 2 to 10,000"),
        ({"clips": spec()["design"]}, {}, "design.clips are frames already"),
        ({}, {"render": {"passes": ["rgb", "flow_forward"]}}, "'flow_forward' is made of 'mask' and 'depth'"),
        (
            {"clips": {"kind": "factorial", "factors": {**REST, "Occluder": ["none", "fence"]}}},
            {},
            "Occluder = fence is placed by what is seen, so that it would jump from frame to frame where Camera_Yaw",
        ),
        (
            {"clips": {"kind": "factorial", "factors": {**REST, "Distractors": [0, 3]}}},
            {},
            "Distractors = 3 is placed by what is seen",
        ),
        ({}, {"quality": {"nudge": 2}}, "quality.nudge = 2: the camera of a clip keeps to its path"),
        ({}, {"splits": {"test": ["Camera_Yaw > 30"]}}, "splits.test[0] names Camera_Yaw, which moves"),
    ],
)  # fmt: skip
def test_a_video_that_cannot_be_names_place_and_value(design, more, said):
    with pytest.raises(SpecError) as caught:
        parse_spec(spec(design, **more))
    assert said in str(caught.value)


def test_what_is_placed_by_what_is_seen_goes_with_light_that_moves():
    rest = {"kind": "factorial", "factors": {**REST, "Distractors": [3], "Occluder": ["fence"], "Occlusion": [0.3]}}
    assert parse_spec(spec({"clips": rest, "path": {"Sun_Elevation": {"keys": [[0, 5], [1, 60]]}}})).build().count == 16


def test_flow_is_of_videos_only():
    still = {
        "name": "s",
        "design": {"kind": "factorial", "factors": REST},
        "render": {"passes": ["rgb", "mask", "track"]},
    }
    with pytest.raises(SpecError, match="'track' is of frames"):
        parse_spec(still)


def test_a_split_by_time_is_what_was_asked_for():
    loaded = parse_spec(spec(splits={"later": ["Frame_Time >= 0.5 and Camera_Yaw > 0"]}))
    assert loaded.split_rules().counts(expanded(loaded.build())) == {"train": 8, "later": 8}


def test_the_shipped_video_is_small_and_splits_whole_clips():
    loaded = load_spec("video")
    design = loaded.build()
    assert design.count == 8 * 24
    counts = loaded.split_rules().counts(expanded(design))
    assert all(n and n % 24 == 0 for n in counts.values())
