"""Scenes that are written out one by one, and what is said of those that cannot be drawn.

What could silently be wrong: a message that names another scene of the file than the one that is wrong, so that
somebody mends the wrong one; worst where a filter, a union or a clip shifts the numbers.
"""

from __future__ import annotations

from farm.engines import Faulty

from torchmultiverse.engines.builtin import describe
from torchmultiverse.farm import dry_run, generate
from torchmultiverse.scenes import parse_spec, places_of

ZEBRA = {"World_Name": "Museum", "Character_Name": "Zebra"}


def explicit(*scenes):
    return {"kind": "explicit", "scenes": [{**ZEBRA, **scene} for scene in scenes]}


def of(design):
    return parse_spec({"name": "x", "design": design})


def test_places_are_those_in_the_file():
    two = [{"Name": "Cat", "Location": "0,100,0"}, {"Name": "Bear", "Location": "0,-100,0"}]
    union = of({
        "kind": "union",
        "of": [
            {"kind": "factorial", "factors": {"World_Name": ["Desert"], "Character_Name": ["Zebra"]}},
            {**explicit({}, {"Camera_Yaw": -45}, {"Objects": two}), "exclude": ["Camera_Yaw = 0 and Objects = 0"]},
        ],
    })  # fmt: skip
    assert sorted(places_of(union, union.build()).values()) == ["design.of[1].scenes[1]", "design.of[1].scenes[2]"]
    (turned,) = [scene for scene in union.build() if scene["Camera_Yaw"] == 315]
    assert places_of(union, [turned]) == {turned.scene_id: "design.of[1].scenes[1]"}


def test_a_frame_is_at_the_place_of_its_clip():
    path = {"Camera_Yaw": {"keys": [[0, 0], [1, 30]], "add": True}}
    video = of({
        "kind": "video", "clips": explicit({}, {"Camera_Height": 2}), "path": path, "fps": 2, "seconds": 1,
    })  # fmt: skip
    found = places_of(video, video.build())
    assert [found[frame.scene_id] for frame in video.build()] == [
        f"design.clips.scenes[{clip}], frame {frame}" for clip in (0, 1) for frame in (0, 1)
    ]


def test_what_fails_while_it_is_rendered_is_named(tmp_path):
    spec = of(explicit({}, {"Camera_Yaw": 30}, {"Camera_Yaw": 60}))
    report = generate(
        spec, tmp_path / "x", lambda: Faulty("fail", at=(60,)), where="Camera_Yaw > 0", size=32, progress=False
    )
    assert "design.scenes[2]: Scene(" in str(report)
    assert "design.scenes[1]" not in str(report)


def test_what_is_refused_beforehand_is_named():
    spec = of(explicit({}, {"Rain": 5}, {"Camera_Yaw": 5}, {"Sun_Elevation": 9}))
    rain, sun = dry_run(spec, describe()).problems
    assert rain.startswith("design.scenes[1]: Rain = 5: ")
    assert sun.startswith("design.scenes[3]: Sun_Elevation = 9: ")
    (left,) = dry_run(spec, describe(), where="Rain = 0").problems
    assert left == sun
