"""What could be silently wrong: a drawn design that favours some levels, repeats a scene, or is another one on the next
machine; a constraint that lets one scene through; a split that has an asset on both sides; labels that change a scene
another way than its identity.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene, Spec, expanded, parse_spec

THREE: dict[str, Any] = {
    "World_Name": ["Desert", "Arena", "Museum", "Snow"],
    "Character_Name": ["Cat", "Wolf", "Bear"],
    "Camera_Yaw": {"from": 0, "to": 360, "count": 4},
}


def spec(design: dict[str, Any], **more: Any) -> Spec:
    return parse_spec({"name": "s", "design": design, **more})


def ids(made: Spec) -> list[str]:
    return [scene.scene_id for scene in made.build()]


def test_ranges() -> None:
    def yaws(span: dict[str, Any], factor: str = "Camera_Yaw") -> list[Any]:
        return spec({"kind": "factorial", "factors": {"World_Name": ["Snow"], factor: span}}).build().levels()[factor]

    assert yaws({"from": 0, "to": 360, "step": 45}) == [0, 45, 90, 135, 180, 225, 270, 315]
    assert yaws({"from": 0, "to": 360, "count": 8}) == [0, 45, 90, 135, 180, 225, 270, 315]
    assert yaws({"from": -90, "to": 90, "step": 90}) == [270, 0, 90]
    assert yaws({"from": 0, "to": 100, "step": 30}) == [0, 30, 60, 90]
    assert yaws({"from": 0.5, "to": 1.5, "step": 0.1}, "Character_Scale") == [
        0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5
    ]  # fmt: skip
    assert yaws({"from": 1, "to": 2, "count": 3}, "Character_Scale") == [1, 1.5, 2]


@pytest.mark.parametrize(
    ("span", "message"),
    [
        ({"from": 0, "to": 90}, "either 'step' or 'count'"),
        ({"from": 0, "to": 90, "step": 0}, "above 0"),
        ({"from": 90, "to": 0, "step": 5}, "backwards"),
        ({"from": 0, "step": 5}, "'to' is missing"),
        ({"from": 0, "to": 90, "steps": 5}, "Did you mean 'step'"),
        ({"from": 0, "to": 90, "step": 1e-9}, "at most 100,000"),
        ({"from": 0, "to": 900, "step": 5}, "out of range"),
        ({"from": 0, "to": 90, "count": True}, "whole number"),
    ],
)
def test_bad_ranges(span: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec({"kind": "factorial", "factors": {"World_Name": ["Snow"], "Camera_Yaw": span}})
    with pytest.raises(SpecError, match="no range"):
        spec({"kind": "factorial", "factors": {"World_Name": {"from": 0, "to": 1, "step": 1}}})


def test_constraints_keep_exactly_what_they_say() -> None:
    made = spec(
        {
            "kind": "factorial",
            "factors": THREE,
            "exclude": ["World_Name = Snow and Character_Name = Cat", "Camera_Yaw = 90 and World_Name = Desert"],
            "only": ["Character_Name in (Cat, Wolf)"],
        }
    )
    expected = [
        (world, name, yaw)
        for world, name, yaw in itertools.product(THREE["World_Name"], ["Cat", "Wolf"], [0, 90, 180, 270])
        if not (world == "Snow" and name == "Cat") and not (yaw == 90 and world == "Desert")
    ]
    assert [(s["World_Name"], s["Character_Name"], s["Camera_Yaw"]) for s in made.build()] == expected
    with pytest.raises(SpecError, match="leave no scene"):
        spec({"kind": "factorial", "factors": THREE, "only": ["World_Name = Beach"]})
    with pytest.raises(SpecError, match=r"design.exclude\[0\]: unknown factor 'World'"):
        spec({"kind": "factorial", "factors": THREE, "exclude": ["World = Beach"]})


@pytest.mark.parametrize("kind", ["random", "latin_hypercube", "sobol"])
def test_drawn_designs_are_all_different_and_always_the_same(kind: str) -> None:
    design = {"kind": kind, "pictures": 12, "factors": {**THREE, "Character_Scale": {"from": 0.5, "to": 2}}}
    made = ids(spec(design, seed=3))
    assert len(set(made)) == 12
    assert made == ids(spec(json.loads(json.dumps(design)), seed=3))
    assert made != ids(spec(design, seed=4))
    scales = [scene["Character_Scale"] for scene in spec(design).build()]
    assert all(0.5 <= float(scale) <= 2 and round(float(scale), 3) == scale for scale in scales)


def test_a_latin_hypercube_has_every_level_equally_often_and_every_stretch_once() -> None:
    design = {"kind": "latin_hypercube", "pictures": 24, "factors": {**THREE, "Character_Scale": {"from": 1, "to": 2}}}
    made = spec(design).build()
    counts = made.level_counts()
    assert set(counts["World_Name"].values()) == {6}
    assert set(counts["Character_Name"].values()) == {8}
    assert set(counts["Camera_Yaw"].values()) == {6}
    assert sorted(int((float(s["Character_Scale"]) - 1) * 24 - 1e-6) for s in made) == list(range(24))


def test_random_designs_are_uniform() -> None:
    design = {"kind": "random", "pictures": 24, "factors": THREE}
    seen = Counter(scene["World_Name"] for seed in range(200) for scene in spec(design, seed=seed).build())
    assert all(abs(n - 1200) < 5 * 30 for n in seen.values()), seen  # half of 48 scenes: σ < √(4800/4 · 3/4)
    assert len(set(ids(spec({**design, "pictures": 48})))) == 48
    with pytest.raises(SpecError, match="only 48 different"):
        spec({**design, "pictures": 49})


@given(lengths=st.lists(st.integers(1, 6), min_size=2, max_size=4), one_in=st.integers(1, 6), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_fraction_is_balanced_where_it_says_so(lengths: list[int], one_in: int, seed: int) -> None:
    names = ["Camera_Yaw", "Camera_Pitch", "Camera_Roll", "Character_Rotation_Yaw"]
    factors: dict[str, Any] = {name: list(range(n)) for name, n in zip(names, lengths, strict=False)}
    if one_in > np.prod(lengths):
        return
    made = spec({"kind": "fraction", "one_in": one_in, "factors": {"World_Name": ["Snow"], **factors}}, seed=seed)
    for name, per in made.build().level_counts().items():
        others = [len(levels) for other, levels in factors.items() if other != name]
        if any(n % one_in == 0 for n in others):
            assert len(set(per.values())) == 1


def test_union_and_difference() -> None:
    small = {"kind": "factorial", "factors": {**THREE, "World_Name": ["Desert", "Snow"]}}
    whole = {"kind": "factorial", "factors": THREE}
    other = {"kind": "explicit", "scenes": [{"World_Name": "Beach"}, {"World_Name": "Snow", "Character_Name": "Cat"}]}
    assert ids(spec({"kind": "union", "of": [small, whole]})) == ids(spec(small)) + [
        one for one in ids(spec(whole)) if one not in ids(spec(small))
    ]
    assert len(ids(spec({"kind": "union", "of": [whole, other]}))) == 49  # Snow with Cat at yaw 0 is there already
    left = ids(spec({"kind": "difference", "of": whole, "minus": [small, other]}))
    assert left == [one for one in ids(spec(whole)) if one not in ids(spec(small))]
    with pytest.raises(SpecError, match=r"design.minus\[0\]: .*unknown factor"):
        spec({"kind": "difference", "of": whole, "minus": [{"kind": "explicit", "scenes": [{"World": "Snow"}]}]})


def test_splits() -> None:
    rules = {
        "test": ["World_Name = Snow", "Character_Name = Cat and Camera_Yaw in (90, 180)"],
        "held": [{"share": 0.5, "by": ["Character_Name", "World_Name"]}],
    }
    made = spec({"kind": "factorial", "factors": THREE}, splits=rules)
    splits, design = made.split_rules(), made.build()
    found = Counter(splits.of(scene) for scene in design)
    assert splits.counts(expanded(design)) == {name: found[name] for name in splits.names}
    for scene in design:
        cat = scene["Character_Name"] == "Cat" and scene["Camera_Yaw"] in (90, 180)
        assert (splits.of(scene) == "test") == (scene["World_Name"] == "Snow" or cat)
    groups: dict[Any, set[str]] = {}
    for scene in design:
        if splits.of(scene) != "test":
            groups.setdefault((scene["Character_Name"], scene["World_Name"]), set()).add(splits.of(scene))
    assert all(len(names) == 1 for names in groups.values())
    assert set().union(*groups.values()) == {"train", "held"}


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"train": ["World_Name = Snow"]}, "no rules"),
        ({"test": ["World = Snow"]}, r"splits.test\[0\]: unknown factor"),
        ({"test": [{"share": 1.5}]}, "less than 1"),
        ({"test": [{"share": 0.5, "by": ["Name"]}]}, "unknown factor"),
    ],
)
def test_bad_splits(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec({"kind": "factorial", "factors": THREE}, splits=rules)


def test_labels_are_of_the_scene_and_not_of_the_picture() -> None:
    plain = Scene({"World_Name": "Snow", "Character_Name": "Cat"})
    labelled = plain.changed(Subset="Worlds", Character_Label="cat")
    assert labelled != plain
    assert labelled.unlabelled == plain
    assert plain.unlabelled is plain
    assert Scene.from_json(labelled.canonical) == labelled
    declared = spec(
        {"kind": "factorial", "factors": {"World_Name": ["Snow"], "Mood": ["calm", "wild"]}},
        declare=[{"name": "Mood", "label": True, "default": "calm"}],
    )
    assert {scene.unlabelled for scene in declared.build()} == {Scene({"World_Name": "Snow"})}


@pytest.mark.parametrize("text", ["0,-150", "a,b,c", "0,0,nan", "0,0,2000", "", 5])
def test_bad_locations(text: Any) -> None:
    with pytest.raises(SpecError, match="Character_Location"):
        Scene({"World_Name": "Snow", "Character_Location": text})


def test_locations_have_one_form() -> None:
    scene = Scene({"World_Name": "Snow", "Character_Location": " 0, -150.0,-0.0"})
    assert scene["Character_Location"] == "0,-150,0"
