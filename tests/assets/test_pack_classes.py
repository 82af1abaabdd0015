"""Which class an asset is of. What could silently be wrong: an asset that has the name of one of another class, a table
whose column is passed over, a mesh that is turned the other way than its table says.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from small_files import block

from torchmultiverse.assets import add, drop, open_pack
from torchmultiverse.assets.classes import class_of, classed_names, missing_names
from torchmultiverse.assets.model import MeshModel, Pose, Submesh, placed
from torchmultiverse.errors import AssetError


def test_assets_without_a_name_are_numbered_around_those_that_have_one() -> None:
    found = classed_names([(None, "Desk"), ("Desk_2", None), (None, "Desk"), (None, "Armchair"), ("Fox", None)])
    assert [(one.name, one.class_name) for one in found] == [
        ("Desk_1", "Desk"),
        ("Desk_2", "Desk"),
        ("Desk_3", "Desk"),
        ("Armchair_1", "Armchair"),
        ("Fox", "Fox"),
    ]
    assert missing_names(["Desk_1", "Desk_2"], "Desk")[0] == "Desk_3"
    assert class_of("Chain-saw_1") == "Chain-saw"


def test_a_name_of_another_class_is_refused() -> None:
    with pytest.raises(AssetError, match="'Desk_1' is an asset of the class 'Desk', not of 'Piano'"):
        classed_names([("Desk_1", "Piano")])
    with pytest.raises(AssetError, match="neither a name nor a class"):
        classed_names([(None, None)])


def test_a_table_says_which_file_is_of_which_class(folder: Path) -> None:
    (folder / "assets.json").unlink()
    (folder / "assets.csv").write_text(
        "File,class,name,licence,author,yaw,size\n"
        "block.glb,Desk,,CC-BY-4.0,Ada,90,\n\n"
        "block.obj,Coffee_Mug,,CC0-1.0,,,0.5\n"
        "plain.ply,,Desk_4,CC0-1.0,,,\n"
    )
    pack = add(folder)
    assert [(i.name, i.class_name, i.license, i.attribution) for i in pack.manifest.assets] == [
        ("Desk_1", "Desk", "CC-BY-4.0", "Ada"),
        ("Coffee_Mug_1", "Coffee_Mug", "CC0-1.0", ""),
        ("Desk_4", "Desk", "CC0-1.0", ""),
    ]
    assert any("one of them is 'Cofee_Mug'" in note for note in pack.manifest.assets[1].notes)
    # The block is 2 wide, 6 high and 4 deep in a GLB, which looks along z: a quarter turn exchanges width and depth.
    low, high = pack.model("Desk_1").bounds()
    np.testing.assert_allclose(high - low, np.array([2, 4, 6]) * 1.6 / 6, atol=1e-5)


def test_a_table_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "classes.json"
    table.write_text(json.dumps([{"file": "block.glb", "class": "Radio", "licence": "CC0-1.0", "author": "Bob"}]))
    pack = add(folder, "radios", table)
    assert pack.item("character", "Radio_1").attribution == "Bob"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "its first row names the columns"),
        ("file,clas,licence\n", "'clas' is unknown. Did you mean 'class'"),
        ("file,licence,license\n", "'license' is there twice"),
        ("file,class,licence\nblock.glb,Desk,CC0-1.0,x\n", "row 2 has 4 cells, there are 3 columns"),
        ("file,class,licence,yaw\nblock.glb,Desk,CC0-1.0,left\n", "row 2: yaw = 'left' is no number"),
        ("file,class,licence\nblock.glb,,CC0-1.0\n", "neither a name nor a class"),
        ("file,class,licence\nblock.glb,Desk,\n", "it has no license"),
        ("file,class,licence\n../block.glb,Desk,CC0-1.0\n", "leads out of"),
        ("file,class,licence\nblock.glb,../Desk,CC0-1.0\n", "class: a name is needed"),
    ],
)
def test_a_wrong_table_is_refused_in_words(folder: Path, text: str, said: str) -> None:
    (folder / "assets.json").unlink()
    (folder / "assets.csv").write_text(text)
    with pytest.raises(AssetError) as error:
        add(folder)
    assert said in str(error.value)


def test_a_pose_turns_and_leans() -> None:
    """A long thing with one end marked: it looks along +x; yaw 90 turns it to +y; lean tilts its top towards -y."""
    corners = np.array([[0, 0, 0], [4, 0, 0], [4, 0, 1], [0, 1, 0]], np.float32)
    piece = Submesh(corners, np.tile(np.float32([0, 0, 1]), (4, 1)), np.array([[0, 1, 2], [0, 2, 3]], np.uint32))
    turned, _ = placed(MeshModel((piece,)), "it", Pose(yaw=90, size=4))
    vertices = turned.pieces[0].vertices
    assert vertices[1, 1] > vertices[0, 1]
    np.testing.assert_allclose(np.ptp(vertices, axis=0), [1, 4, 1], atol=1e-5)
    leaning, _ = placed(MeshModel((piece,)), "it", Pose(lean=90, size=4))
    np.testing.assert_allclose(leaning.pieces[0].normals[0], [0, -1, 0], atol=1e-6)
    assert leaning.pieces[0].vertices[:, 2].min() == 0


def test_what_is_dropped_is_gone_and_the_rest_is_as_it_was(folder: Path) -> None:
    (folder / "two.glb").write_bytes(block((1, 1, 1)).export(file_type="glb"))
    table = [{"file": f, "class": "Chest", "license": "CC0-1.0"} for f in ("block.glb", "two.glb")]
    (folder / "assets.json").write_text(json.dumps(table))
    before = add(folder)
    drop(before.name, ["Chest_1"])
    after = open_pack(before.name)
    assert after.manifest.assets == before.manifest.assets[1:]
    assert after.model("Chest_2").triangles == 12
    with pytest.raises(AssetError, match="no asset 'Chest_3'"):
        drop(before.name, ["Chest_3"])
    with pytest.raises(AssetError, match="would be empty"):
        drop(before.name, ["Chest_2"])


def test_a_pack_is_written_elsewhere_only_over_a_pack(folder: Path, tmp_path: Path) -> None:
    from torchmultiverse.assets.library import install

    pack = add(folder)
    files = [(item, pack.read(item)) for item in pack.manifest.assets]
    (tmp_path / "full").mkdir()
    with pytest.raises(AssetError, match="is no pack"):
        install("mine", files, tmp_path / "full")
    for _ in range(2):
        assert install("mine", files, tmp_path / "out" / "mine").folder == tmp_path / "out" / "mine"
