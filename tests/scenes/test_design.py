"""A design that skips, repeats or reorders a scene would silently give a dataset with wrong counts or labels."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchmultiverse.errors import SpecError
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import Explicit, Factorial, Scene, load_spec, one_at_a_time, parse_spec, parse_where

_AXES = st.fixed_dictionaries(
    {"World_Name": st.lists(st.sampled_from(["Desert", "Arena", "Snow", "Bar"]), min_size=1, max_size=4, unique=True)},
    optional={
        "Camera_Yaw": st.lists(st.integers(0, 359), min_size=1, max_size=4, unique=True),
        "Character_Texture": st.lists(st.sampled_from(["Default", "Blue", "Sky"]), min_size=1, max_size=3, unique=True),
        "Character_Scale": st.lists(st.sampled_from([0.7, 1.0, 1.3]), min_size=1, max_size=3, unique=True),
    },
)


@given(_AXES)
def test_the_factorial_is_the_product_in_published_order(factors: dict) -> None:
    design = Factorial.of(factors)
    expected = [Scene(dict(zip(factors, row, strict=True))) for row in itertools.product(*factors.values())]
    assert list(design) == expected
    assert len(design) == len(expected)
    assert design[-1] == expected[-1]
    for name, counts in design.level_counts().items():
        for level, n in counts.items():
            assert n == sum(scene[name] == level for scene in expected)


@given(
    _AXES,
    st.sampled_from(
        [
            "World_Name in (Desert, Bar)",
            "Camera_Yaw > 90 and World_Name != Snow",
            "Character_Scale <= 1",
            "Character_Texture = Blue",
            "Camera_Roll = 0",
            "Camera_Roll = 5",
        ]
    ),
)
def test_a_filter_keeps_exactly_what_passes(factors: dict, text: str) -> None:
    conditions = parse_where(text)
    design = Factorial.of(factors)
    expected = [s for s in design if all(c.holds(s[c.factor]) for c in conditions)]
    assert list(design.where(conditions)) == expected
    assert list(Explicit.of([s.wire for s in design]).where(conditions)) == expected


def test_a_billion_scenes_are_counted_and_indexed_at_once() -> None:
    design = Factorial.of(
        {
            "World_Name": [f"W{i}" for i in range(1000)],
            "Camera_Yaw": list(range(360)),
            "Camera_Pitch": list(range(90)),
            "Camera_Roll": list(range(100)),
        }
    )
    assert design.count == 3_240_000_000
    assert design[3_239_999_999].wire == {
        "World_Name": "W999",
        "Camera_Yaw": 359,
        "Camera_Pitch": 89,
        "Camera_Roll": 99,
    }
    assert design[0].wire == {"World_Name": "W0"}
    with pytest.raises(IndexError):
        design[3_240_000_000]


def test_published_counts() -> None:
    assert load_spec(data_folder("scenes") / "spar.json").build().count == 43_560
    animals = load_spec(data_folder("scenes") / "animals.json").build()
    assert animals.count == 215_040
    assert {name: len(levels) for name, levels in animals.levels().items()} == {
        "World_Name": 64, "Character_Name": 70, "Character_Scale": 3, "Camera_Yaw": 4, "Character_Texture": 4,
    }  # fmt: skip
    assert load_spec(data_folder("scenes") / "example_pug_config.json").build().count == 2 * 2 * 3 * 4 * 2


def test_linked_factors_change_together() -> None:
    design = load_spec(data_folder("scenes") / "spar.json").build()
    pairs = {
        (s["Character1_Pos"], s["Character2_Pos"], s["Character_Texture"], s["Character2_Texture"]) for s in design
    }
    assert pairs == {
        ("left", "right", "Default", "Default"),
        ("bottom", "top", "Default", "Default"),
        ("left", "right", "Blue", "Red"),
        ("left", "right", "Grass", "Stone"),
    }
    assert len({s.scene_id for s in design}) == design.count == 43_560


def test_one_at_a_time_moves_one_factor() -> None:
    design = one_at_a_time(
        {"World_Name": "SaltFlats", "Camera_Yaw": 0}, {"Camera_Yaw": [0, 45, 90], "Character_Scale": [0.7, 1.0]}
    )
    assert [s.wire for s in design] == [
        {"World_Name": "SaltFlats"},
        {"World_Name": "SaltFlats", "Camera_Yaw": 45},
        {"World_Name": "SaltFlats", "Camera_Yaw": 90},
        {"World_Name": "SaltFlats", "Character_Scale": 0.7},
    ]
    crossed = one_at_a_time(
        {"World_Name": "SaltFlats"}, {"Camera_Yaw": [45]}, over={"Character_Name": ["Elephant", "Camel"]}
    )
    assert crossed.count == 4
    with pytest.raises(SpecError, match="crossed with everything"):
        one_at_a_time({"World_Name": "X", "Camera_Yaw": 5}, {}, over={"Camera_Yaw": [1]})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"World_Name": []}, "empty list"),
        ({"World_Name": ["Desert", "Desert"]}, "twice"),
        ({"World_Name": ["Desert"], "Camera_Yaw": [0, 360]}, "twice .the same as 0"),
        ({"World_Name": ["Desert"], "Character_Scale": [1, 1.0]}, "twice"),
        ({"World_Name": "Desert"}, r"write \['Desert'\]"),
        ({"World_Nme": ["Desert"]}, "Did you mean 'World_Name'"),
        ({"Camera_Yaw": [0]}, "says nothing about World_Name"),
        ({"World_Name": ["Desert"], "Camera_Yaw": ["x"]}, "a number is needed"),
        ({"World_Name": ["Desert"], "Camera_Yaw": [float("inf")]}, "not a finite"),
        ({}, "empty"),
        ([], "JSON object"),
        ({"name": "x", "design": {"kind": "factorial"}}, "empty"),
        ({"name": "x", "design": {"kind": "explicit", "scenes": []}}, "empty list"),
        (
            {
                "name": "x",
                "design": {"kind": "explicit", "scenes": [{"World_Name": "A"}, {"World_Name": "A", "Camera_Yaw": 0}]},
            },
            "same scene",
        ),
        (
            {"name": "x", "desing": {}, "design": {"kind": "factorial", "factors": {"World_Name": ["A"]}}},
            "Did you mean 'design'",
        ),
        ({"name": "x y", "design": {"kind": "factorial", "factors": {"World_Name": ["A"]}}}, "name"),
        ({"name": "x", "design": {"kind": "sobol"}}, "sobol"),
        (
            {
                "name": "x",
                "render": {"size": [8, 8]},
                "design": {"kind": "factorial", "factors": {"World_Name": ["A"]}},
            },
            "16 to 4096",
        ),
        (
            {
                "name": "x",
                "render": {"passes": ["mask"]},
                "design": {"kind": "factorial", "factors": {"World_Name": ["A"]}},
            },
            "'rgb' must be there",
        ),
        (
            {
                "name": "x",
                "design": {"kind": "factorial", "factors": {"World_Name": ["A"]}, "linked": [[{"World_Name": "B"}]]},
            },
            "sets already",
        ),
        (
            {
                "name": "x",
                "design": {
                    "kind": "factorial",
                    "factors": {"World_Name": ["A"]},
                    "linked": [[{"Camera_Yaw": 1}, {"Camera_Roll": 1}]],
                },
            },
            "first row sets",
        ),
    ],
)
def test_bad_specs_name_place_and_remedy(data: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec(data)


@pytest.mark.parametrize("size", [[160], "160", True, 160.5, [160, "a"], {"w": 1}])
def test_a_size_is_one_number_or_two(size: object) -> None:
    data = {"name": "x", "design": {"kind": "factorial", "factors": {"World_Name": ["Snow"]}}}
    assert parse_spec({**data, "render": {"size": 160}}) == parse_spec({**data, "render": {"size": [160, 160]}})
    with pytest.raises(SpecError, match=r"^render.size: .* \[512, 512\] is width and height, 512 is both \(found"):
        parse_spec({**data, "render": {"size": size}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "spec.json:1:2"),
        ('{"World_Name": [NaN]}', "NaN"),
        ('{"World_Name": ["A"], "World_Name": ["B"]}', "stands twice"),
        ("[" * 100000, "more than 200 brackets|Expecting"),
    ],
)
def test_bad_files_name_the_file(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        load_spec(path)
    assert str(path) in str(caught.value)
    with pytest.raises(SpecError, match="no spec at"):
        load_spec(tmp_path / "missing.json")


def test_declared_factors_reach_the_design() -> None:
    spec = parse_spec(
        {
            "name": "mine",
            "declare": [{"name": "Fog_Density", "kind": "number", "default": 0}],
            "design": {"kind": "factorial", "factors": {"World_Name": ["A"], "Fog_Density": [0, 0.5]}},
        }
    )
    assert [s["Fog_Density"] for s in spec.build()] == [0, 0.5]
