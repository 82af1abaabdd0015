"""A class keeps its number for ever: a mask of an earlier version would silently mean something else."""

from __future__ import annotations

import hashlib
from collections import Counter

from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import (
    Scene,
    animals_caption,
    class_of,
    class_table,
    classes_of,
    hard_negative,
    object_assets,
    said_name,
    spar_caption,
)


def first_rows(name: str, count: int) -> str:
    lines = (data_folder("scenes") / name).read_bytes().split(b"\n")[:count]
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def test_rows_of_the_tables_neither_change_nor_move() -> None:
    """Rows may be added below these, and nothing else: what is here was written into datasets."""
    assert first_rows("classes.csv", 222) == "7423cb29411888afa94770ed8ea39187b70913dd7c4eca5e2cdc6cda353d9baf"
    assert first_rows("object_assets.csv", 725) == "91ac3ffa65410d218e99a8497373855c07c6a57c4f700fba50449c6fb51646a6"


def test_ids_are_dense_and_animals_come_first() -> None:
    table = class_table()
    assert [one.id for one in table] == list(range(1, len(table) + 1))
    assert [one.name for one in table[:70]] == sorted(one.name for one in table[:70])
    assert {one.kind for one in table[:70]} == {"animal"}
    assert {one.kind for one in table[70:221]} == {"object"}
    assert len({(one.kind, one.name) for one in table}) == len(table)


def test_each_class_of_objects_has_its_published_assets() -> None:
    objects = [one for one in class_table() if one.kind == "object"]
    assert [one.name for one in objects] == sorted(one.name for one in objects)
    assert sum(one.assets for one in objects) == 724
    assert [name for one in objects for name in one.characters] == [asset.name for asset in object_assets()]
    assert Counter(one.assets for one in objects) == {5: 126, 4: 20, 3: 4, 2: 1}
    assert all(one.synset[0] == "n" and one.synset[1:].isdigit() for one in class_table())
    assert all(one.imagenet for one in objects)


def test_assets_are_the_published_ones() -> None:
    """Three of the published assets are not known; of each other there is one name, and AR4T uses 680."""
    assets = object_assets()
    assert sum(asset.ar4t for asset in assets) == 680
    assert [asset.name for asset in assets if not asset.uid] == ["Jeep_5", "Submarine_5", "Tractor_5"]
    known = [asset.uid for asset in assets if asset.uid]
    assert len(known) == len(set(known)) == 721
    assert all(len(uid) == 32 and int(uid, 16) >= 0 for uid in known)
    assert all((asset.confidence == "") == (asset.uid == "") for asset in assets)


def test_all_assets_of_a_class_are_of_one_class_and_animals_of_the_same_name_are_of_another() -> None:
    for asset in object_assets():
        found = class_of(asset.name)
        assert found is not None
        assert (found.name, found.kind) == (asset.label, "object")
    bear, bears = class_of("Bear"), class_of("Bear_3")
    assert bear is not None
    assert bears is not None
    assert (bear.kind, bears.kind, bear.id, bears.id) == ("animal", "object", 7, 83)
    for name in ("blank", "Teapot", "Cofee_Mug", "Cofee_Mug_", "Cofee_Mug_0", "Cofee_Mug_x", "Elephants", ""):
        assert class_of(name) is None, name


def test_own_characters_of_packs_come_after_the_table_whatever_their_order() -> None:
    found = classes_of(["Teapot", "Zebra", "Lamp", "Bear_9"])
    assert {name: one.id for name, one in found.items()} == {"Teapot": 223, "Zebra": 70, "Lamp": 222, "Bear_9": 83}
    assert list(found) == ["Teapot", "Zebra", "Lamp", "Bear_9"]
    assert classes_of(["Lamp", "Teapot"])["Teapot"] == found["Teapot"]
    assert found["Lamp"].kind == "own"


def test_captions_call_an_object_by_its_class() -> None:
    """No picture says which of five mugs it shows, so a caption with a number could not be told from another."""
    row = {
        "world_name": "Snow", "character_name": "Cofee_Mug_3", "character_texture": "Default", "character_scale": 1.0,
        "character1_pos": "left", "character2_name": "Zebra", "character2_pos": "right",
        "character2_texture": "Default",
    }  # fmt: skip
    said = spar_caption(row)
    assert said == (
        "This is a photo of a Cofee_Mug on the left and a Zebra on the right of the picture in a Snow environment"
    )
    assert animals_caption(row) == "A photo of a medium sized Cofee_Mug on a Snow background"
    assert [said_name(name) for name in ("Bear", "Bear_2", "Sofa_2", "blank")] == ["Bear", "Bear", "Sofa_2", "blank"]


def test_two_of_a_class_are_no_hard_negatives_of_each_other() -> None:
    """Their captions are equal: the negative would be true."""
    scene = Scene({"World_Name": "Snow", "Character_Name": "Cofee_Mug_1", "Character2_Name": "Cofee_Mug_2"})
    assert hard_negative("SPAR", scene) is None
    swapped = hard_negative("SPAR", scene.changed(Character2_Name="Zebra"))
    assert swapped is not None
    assert swapped["Character2_Name"] == "Cofee_Mug_1"
