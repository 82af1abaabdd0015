"""The published datasets as designs, without rendering.

What could be silently wrong: a count that is right by two errors, a test set that is not balanced, a hard negative that
is not in the dataset or is no mirror of its positive, a caption that is not true of its scene.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import Scene, Spec, caption_columns, expanded, hard_negative, load_spec, object_assets
from torchmultiverse.scenes.ar4t import BACKGROUNDS, RELATIONS, UNARY
from torchmultiverse.scenes.design import Explicit
from torchmultiverse.scenes.kinds import AttributesDesign, RelationsDesign


@cache
def published(name: str) -> Spec:
    return load_spec(data_folder("scenes") / f"{name}.json")


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("animals", {"train": 215_040}),
        ("imagenet", {"train": 88_328}),
        ("spar", {"train": 43_560}),
        ("ar4t_relations", {"train": 101_920, "test": 10_920}),
        ("ar4t_attributes", {"train": 148_066, "test": 12_296}),
    ],
)
def test_counts(name: str, counts: dict[str, int]) -> None:
    spec = published(name)
    table = expanded(spec.build())
    assert spec.split_rules().counts(table) == counts
    assert table.count == sum(counts.values())
    assert not table.repeats(), "a scene stands twice"


def test_ar4t_totals() -> None:
    parts = [published("ar4t_relations"), published("ar4t_attributes")]
    counts = [spec.split_rules().counts(expanded(spec.build())) for spec in parts]
    assert sum(c["train"] for c in counts) == 249_986
    assert sum(c["test"] for c in counts) == 23_216


def test_imagenet_changes_one_factor_at_a_time_around_salt_flats() -> None:
    design = published("imagenet").build()
    counts = design.level_counts()
    assert len(counts["Character_Name"]) == 724
    assert len(counts["Character_Label"]) == 151
    subsets = {name: n // 724 for name, n in counts["Subset"].items()}
    assert subsets == {
        "Worlds": 64, "Camera_Yaw": 6, "Camera_Pitch": 6, "Camera_Roll": 6, "Object_Yaw": 6, "Object_Pitch": 6,
        "Object_Roll": 6, "Object_Scale": 6, "Object_Texture": 9, "Scene_Light": 7,
    }  # fmt: skip
    for index in range(122):
        scene = design[index]
        moved = set(scene.unlabelled.wire) - {"World_Name", "Character_Name"}
        assert len(moved) <= 1
        world = scene["World_Name"]
        assert scene["Subset"] == "Worlds" or world == ("Opera" if scene["Subset"] == "Scene_Light" else "SaltFlats")


def test_relations_are_balanced() -> None:
    spec = published("ar4t_relations")
    splits, design = spec.split_rules(), spec.build()
    cells = Counter((splits.of(s), s["World_Name"], s["Relation"]) for s in design)
    assert {n for (split, _, _), n in cells.items() if split == "test"} == {30}
    assert {n for (split, _, _), n in cells.items() if split == "train"} == {280}
    assert len(cells) == 2 * 28 * 13


def test_attributes_are_balanced() -> None:
    spec = published("ar4t_attributes")
    splits, design = spec.split_rules(), spec.build()
    single: Counter[object] = Counter()
    pairs: Counter[object] = Counter()
    for scene in design:
        one = (scene["Character_Attribute"], scene["Character_Texture"])
        if scene["Character2_Name"] == "blank":
            single[splits.of(scene), one] += 1
        elif scene["Negative"] == 0:
            pairs[splits.of(scene), one, scene["Character2_Attribute"], scene["Character2_Texture"]] += 1
    assert Counter(single.values()) == {20: 53, 36: 53}
    assert {n for key, n in pairs.items() if key[0] == "test"} == {2}  # type: ignore[index]
    assert sum(n for key, n in pairs.items() if key[0] == "test") == 5_618  # type: ignore[index]


@pytest.mark.parametrize("name", ["ar4t_relations", "ar4t_attributes"])
def test_every_pair_has_its_hard_negative_in_the_same_split(name: str) -> None:
    spec = published(name)
    splits, table = spec.split_rules(), expanded(spec.build())
    others = []
    for scene in (table[i] for i in range(0, table.count, 37)):
        other = hard_negative("AR4T", scene)
        if other is None:
            assert scene["Character2_Name"] == "blank"
            continue
        others.append(other.wire)
        assert splits.of(other) == splits.of(scene)
        assert hard_negative("AR4T", other) == scene
        assert other["Character_Name"] == scene["Character_Name"]
        if name == "ar4t_relations":
            assert other["Character_Location"] == scene["Character2_Location"]
            assert other["Relation"] == RELATIONS[str(scene["Relation"])][2]
        else:
            assert other["Character_Location"] == scene["Character_Location"]
            assert other["Character_Texture"] == scene["Character2_Texture"]
    assert len(others) > 1000
    assert (table.places(Explicit.of_rows(others)) >= 0).all()


def test_coordinates_are_the_published_ones_and_at_most_25_away() -> None:
    design = published("ar4t_relations").build()
    seen = set()
    for index in range(0, design.count, 101):
        scene = design[index]
        relation = str(scene["Relation"])
        wanted = RELATIONS[relation][:2] if relation in RELATIONS else ((0, 0, 0),)
        for spot, name in zip(wanted, ("Character_Location", "Character2_Location"), strict=False):
            at = [int(part) for part in str(scene[name]).split(",")]
            off = [a - b for a, b in zip(at, spot, strict=True)]
            assert all(0 <= d <= 25 for d in off)
            seen |= set(off)
        assert 110 / 150 - 1e-4 <= float(scene["Character_Scale"]) <= 200 / 150 + 1e-4
    assert seen == set(range(26))


def test_backgrounds() -> None:
    assert set(published("ar4t_relations").build().levels()["World_Name"]) == set(BACKGROUNDS)
    assert len(BACKGROUNDS) == 28
    assert len(RELATIONS) + len(UNARY) == 13
    assert all(RELATIONS[RELATIONS[name][2]][2] == name for name in RELATIONS)
    # The negative of a relation is the relation of the same two objects with their places changed.
    assert all(RELATIONS[RELATIONS[name][2]][:2] == RELATIONS[name][1::-1] for name in RELATIONS)


BASE = {"World_Name": "Museum", "Character_Name": "Banana_1", "Character_Label": "Banana"}
TWO = {**BASE, "Character2_Name": "Chair_2", "Character2_Label": "Rocking_Chair", "World_Relation": "inside"}


@pytest.mark.parametrize(
    ("scene", "caption", "alternate", "negative"),
    [
        ({**BASE, "Subset": "Relations", "Relation": "inside"}, "Banana inside museum", None, None),
        (
            {**TWO, "Subset": "Relations", "Relation": "to the left of"},
            "Banana to the left of rocking chair inside museum",
            "Rocking chair to the right of banana inside museum",
            "Banana to the right of rocking chair inside museum",
        ),
        (
            {**BASE, "Subset": "Attributes", "Relation": "inside", "Character_Attribute": "Green"},
            "Green banana inside museum",
            None,
            None,
        ),
        (
            {
                **TWO,
                "Subset": "Attributes",
                "Relation": "above",
                "Character_Attribute": "Green",
                "Character2_Attribute": "Large",
            },
            "Green banana and large rocking chair inside museum",
            "Large rocking chair and green banana inside museum",
            "Large banana and green rocking chair inside museum",
        ),
    ],
)
def test_ar4t_captions(scene: dict[str, str], caption: str, alternate: str | None, negative: str | None) -> None:
    assert caption_columns("AR4T", Scene(scene)) == {
        "caption": caption, "alt_caption": alternate, "negative_caption": negative
    }  # fmt: skip


def test_spar_negatives() -> None:
    one = Scene(
        {"World_Name": "Desert", "Character_Name": "Camel", "Character1_Pos": "left", "Character2_Pos": "right"}
    )
    made = caption_columns("SPAR", one)
    assert made["caption"] == "This is a photo of a Camel on the left of the picture in a Desert environment"
    assert made["negative_caption"] == "This is a photo of a Camel on the right of the picture in a Desert environment"
    assert hard_negative("SPAR", Scene({"World_Name": "Desert"})) is None
    design = published("spar").build()
    scenes = {design[i].scene_id for i in range(design.count)}
    for index in range(0, design.count, 211):
        other = hard_negative("SPAR", design[index])
        assert other is None or other.scene_id in scenes


def test_the_specs_name_the_assets_of_the_table() -> None:
    """Silently wrong would be: a spec that names another asset than the table, which counts do not tell."""
    assets = object_assets()
    counts = published("imagenet").build().level_counts()
    design = published("imagenet").build()
    some = (design[index] for index in range(0, design.count, 61))
    pairs = {(scene["Character_Name"], scene["Character_Label"]) for scene in some}
    assert set(counts["Character_Name"]) == {asset.name for asset in assets}
    assert pairs <= {(asset.name, asset.label) for asset in assets}
    used: dict[str, list[str]] = {}
    for asset in assets:
        if asset.ar4t:
            used.setdefault(asset.label, []).append(asset.name)
    assert sum(map(len, used.values())) == 680
    for name in ("ar4t_relations", "ar4t_attributes"):
        design = published(name).design
        assert isinstance(design, RelationsDesign | AttributesDesign)
        assert design.assets == used
