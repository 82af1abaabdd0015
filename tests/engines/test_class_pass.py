"""Numbers of classes from the renderer to the file and back.

Silently wrong would be: a number above 255 that is cut to its lower byte or to 255 and names another class; a mask of
animals with other bytes than earlier versions wrote; a number that depends on which packs are there as well.
"""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.engines import Catalogue, Choice, Frame, RenderOptions, class_list, codec
from torchmultiverse.engines.builtin import BuiltinEngine, annotate, describe
from torchmultiverse.engines.builtin.characters import character_names
from torchmultiverse.engines.runner import _checked
from torchmultiverse.errors import ProtocolError
from torchmultiverse.scenes import Scene, class_table


def saved(array: np.ndarray) -> bytes:
    """Return a PNG as earlier versions wrote it."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=codec.PNG_LEVEL)
    return buffer.getvalue()


def test_numbers_up_to_255_have_the_bytes_that_they_always_had() -> None:
    array = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert codec.encode("class", array) == saved(array)
    assert codec.encode("class", array.astype(np.uint16)) == saved(array)
    back = codec.decode("class", saved(array))
    assert back.dtype == np.uint8
    assert (back == array).all()


@pytest.mark.parametrize("highest", [256, 257, 511, 794, 65535])
def test_larger_numbers_make_a_png_of_16_bits(highest: int) -> None:
    array = np.zeros((20, 24), np.uint16)
    array[3:9, 5:7], array[10, 10] = highest, 255
    data = codec.encode("class", array)
    assert Image.open(io.BytesIO(data)).mode.startswith("I")
    assert data[24] == 16, "the depth of bits in the header"
    back = codec.decode("class", data)
    assert back.dtype == np.uint16
    assert (back == array).all()


def test_a_picture_that_can_be_no_numbers_of_classes_is_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8), 70_000, np.int32)).save(buffer, "TIFF")
    with pytest.raises(ProtocolError, match="0 to 65,535"):
        codec.decode("class", buffer.getvalue())


def test_the_pass_is_as_wide_as_what_is_seen_needs() -> None:
    buffers = SimpleNamespace(instance=np.array([[0, 1, 1], [0, 0, 2]], np.uint8))

    def made(classes: dict[int, int]) -> np.ndarray:
        return annotate.passes(buffers, None, ["class"], classes)["class"]  # type: ignore[arg-type]

    narrow, wide = made({1: 70, 2: 255}), made({1: 70, 2: 300})
    assert (narrow.dtype, wide.dtype) == (np.uint8, np.uint16)
    assert narrow.tolist() == [[0, 70, 70], [0, 0, 255]]
    assert wide.tolist() == [[0, 70, 70], [0, 0, 300]]


def test_a_runner_takes_both_and_nothing_else() -> None:
    scene, options = Scene({"World_Name": "Desert"}), RenderOptions(size=(16, 16), passes=("rgb", "class"))
    rgb = np.zeros((16, 16, 3), np.uint8)
    for kind in (np.uint8, np.uint16):
        frame = Frame(scene, arrays={"rgb": rgb, "class": np.zeros((16, 16), kind)})
        assert _checked(frame, scene, options) is frame
    wrong = _checked(Frame(scene, arrays={"rgb": rgb, "class": np.zeros((16, 16), np.int32)}), scene, options)
    assert "class is int32 (16, 16), not uint8 or uint16 (16, 16)" in str(wrong)


def test_animals_keep_the_numbers_that_they_always_had() -> None:
    """Before the table a number was an animal's place among the sorted names, from 1."""
    before = {name: 1 + place for place, name in enumerate(sorted(character_names()))}
    now = {name: one.id for one in describe().classes for name in one.characters}
    assert {name: now[name] for name in before} == before


def test_a_number_does_not_depend_on_the_packs_but_for_their_own_characters() -> None:
    alone = {name: one.id for one in class_list(["Zebra", "Cofee_Mug_1"]) for name in one.characters}
    beside = class_list(["Aardvark", "Cofee_Mug_1", "Cofee_Mug_9", "Zebra", "Anvil"])
    found = {name: one.id for one in beside for name in one.characters}
    assert alone == {"Zebra": 70, "Cofee_Mug_1": 107}
    assert found == {"Zebra": 70, "Cofee_Mug_1": 107, "Cofee_Mug_9": 107, "Aardvark": 222, "Anvil": 223}
    assert [one.id for one in beside] == sorted(one.id for one in beside)
    many = class_list(f"Thing{k:03}" for k in range(300))
    assert [one.id for one in many] == list(range(len(class_table()) + 1, len(class_table()) + 301))


def test_classes_and_assets_of_the_levels_that_are_asked_for() -> None:
    """``Bridge_1`` is a character; it is neither a view of the world ``Bridge`` nor the animal of a like name."""
    catalogue = Catalogue(
        engine="x",
        factors={"Character_Name": Choice(levels=["Bear", "Bear_1", "Bridge_1"])},
        assets=[
            {"name": "Bridge", "kind": "world"}, {"name": "Bridge_1", "kind": "character"},
            {"name": "Bear", "kind": "character"}, {"name": "Bear_1", "kind": "character"},
            {"name": "Desert", "kind": "world"}, {"name": "Grass", "kind": "texture"},
            {"name": "Grass", "kind": "world"},
        ],
        classes=class_list(["Bear", "Bear_1", "Bridge_1"]),
    )  # fmt: skip
    levels = {
        "World_Name": {"Desert_0": 3}, "Character_Name": {"Bear_1": 2, "blank": 1}, "Character2_Name": ["Bridge_1"],
        "Character2_Texture": ["Grass"],
    }  # fmt: skip
    found = {(asset.kind, asset.name) for asset in catalogue.assets_among(levels)}
    assert found == {("world", "Desert"), ("character", "Bear_1"), ("character", "Bridge_1"), ("texture", "Grass")}
    assert [(one.id, one.characters) for one in catalogue.classes_among(levels)] == [
        (83, ["Bear_1"]),
        (88, ["Bridge_1"]),
    ]


def test_an_animal_and_an_object_in_one_world() -> None:
    """The reference numbers are the table's: 70 for the zebra, 107 for every coffee mug."""
    mug = next(name for name in describe().factors["Character_Name"].levels or [] if name.startswith("Cofee_Mug_"))
    scene = Scene(
        {"World_Name": "SaltFlats", "Character_Name": "Zebra", "Character2_Name": mug, "Character1_Pos": "left",
         "Character2_Pos": "right"}
    )  # fmt: skip
    engine = BuiltinEngine()
    (frame,) = engine.render([scene], RenderOptions(size=(96, 96), passes=("rgb", "mask", "class"), samples=1))
    engine.close()
    assert isinstance(frame, Frame)
    mask, numbers = frame.array("mask"), frame.array("class")
    assert set(np.unique(mask)) == {0, 1, 2}
    assert (numbers == np.array([0, 70, 107])[mask]).all()
    assert frame.encoded("class") == saved(np.array([0, 70, 107], np.uint8)[mask])
    assert [(one["name"], one["class"]) for one in frame.info["objects"]] == [("Zebra", 70), (mug, 107)]
