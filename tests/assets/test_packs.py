"""Packs in a run. What could silently be wrong: the animal of another pack, or of none, under a label; a licence that
does not reach the card; a picture that does not change the engine's fingerprint; a world that is turned or unlit.
"""

import json

import command
import numpy as np
import pytest
from small_files import block, manifest, write_map
from test_folder import sky_map

from torchmultiverse.assets import add, asset_source
from torchmultiverse.assets.page import YAWS, turntable
from torchmultiverse.connect import Multiverse, open_engine
from torchmultiverse.engines import RenderOptions, class_list
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.errors import AssetError, SpecError
from torchmultiverse.farm import dry_run, generate
from torchmultiverse.scenes import parse_spec
from torchmultiverse.store import open_dataset

SMALL = RenderOptions(size=(48, 48), passes=("rgb", "mask", "depth"), samples=4)


@pytest.fixture
def two(folder):
    """The packs ``mine`` (a Zebra that is a box, and a world) and ``yours`` (a Zebra that is a smaller box, a Box)."""
    write_map(folder / "sky.hdr", sky_map())
    manifest(folder, {"name": "Zebra", "file": "block.glb"}, {"name": "Meadow", "file": "sky.hdr"})
    add(folder)
    manifest(
        folder,
        {"name": "Zebra", "file": "block.glb", "size": 0.8},
        {"name": "Box", "file": "plain.ply"},
        license="CC-BY-SA-4.0",
        attribution="Grace",
    )
    add(folder, "yours")


def test_the_first_pack_that_has_a_name_wins(two):
    def height(*packs):
        return float(np.ptp(asset_source(packs).load("Zebra", "Default", 64).vertices, axis=0).max())

    assert height("mine", "yours", "procedural") == pytest.approx(1.6)
    assert height("yours", "mine", "procedural") == pytest.approx(0.8)
    own = height("procedural")
    assert height("procedural", "mine") == own
    both = asset_source(["procedural", "yours"])
    assert "Box" in both.names()
    assert "Elephant" in both.names()
    assert next(a.pack for a in both.assets() if (a.kind, a.name) == ("character", "Zebra")) == "procedural"
    orders = (["procedural"], ["mine", "yours", "procedural"], ["yours", "mine", "procedural"])
    prints = {asset_source(order).fingerprint() for order in orders}
    assert len(prints) == 3


def test_a_choice_that_cannot_be_is_explained(two):
    with pytest.raises(AssetError, match=r"'your' is installed\. Did you mean 'yours'"):
        asset_source(["your"])
    with pytest.raises(SpecError, match="none of these packs has a world; add 'procedural'"):
        asset_source(["yours"])
    with pytest.raises(SpecError, match="each pack once"):
        asset_source(["mine", "mine"])
    with pytest.raises(SpecError, match=r"assets\.0"):
        parse_spec({"name": "x", "assets": ["../mine"], "design": {"kind": "factorial"}})


def test_a_replaced_surface_keeps_the_shape(two):
    source = asset_source(["mine", "procedural"])
    plain, blue = (source.load("Zebra", texture, 64) for texture in ("Default", "Blue"))
    for end in (np.min, np.max):
        np.testing.assert_allclose(end(plain.vertices, axis=0), end(blue.vertices, axis=0), atol=1e-6)
    assert (blue.color[:, 2] > blue.color[:, 0]).all()
    fine = source.load("Zebra", "Blue", 512)
    assert len(fine.vertices) > 3 * len(blue.vertices), "a larger picture gets a finer mesh"


def test_a_run_with_packs_and_its_card(two, tmp_path):
    spec = {
        "name": "boxes",
        "assets": ["yours", "mine", "procedural"],
        "design": {
            "kind": "factorial",
            "factors": {"World_Name": ["Meadow_0"], "Character_Name": ["Zebra", "Box", "blank"]},
        },
        "render": {"size": [48, 48], "samples": 2},
    }
    report = generate(spec, tmp_path / "d", "inprocess", progress=False)
    assert report.images == 3
    said = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert said["packs"] == ["yours", "mine", "procedural"]
    of = {(a["kind"], a["name"]): a for a in said["assets"]}
    assert {key: (a["pack"], a["license"]) for key, a in of.items()} == {
        ("character", "Zebra"): ("yours", "CC-BY-SA-4.0"),
        ("character", "Box"): ("yours", "CC-BY-SA-4.0"),
        ("world", "Meadow"): ("mine", "CC-BY-4.0"),
    }
    card = (tmp_path / "d" / "README.md").read_text()
    assert "\nlicense: other\n" in card
    assert "| Zebra, Box | her desk | CC-BY-SA-4.0 | Grace |" in card
    assert "| Meadow | her desk | CC-BY-4.0 | Ada |" in card
    assert "share-alike" in card
    # The Zebra here is a box of 0.8 m, in the colours of its texture.
    pictures = {row: np.asarray(open_dataset(tmp_path / "d").image(row)).astype(int) for row in range(3)}
    assert np.abs(pictures[0] - pictures[2]).max() > 60


def test_an_engine_with_other_packs_is_refused(two, tmp_path):
    design = {"kind": "factorial", "factors": {"World_Name": ["Meadow"]}}
    spec = parse_spec({"name": "x", "assets": ["mine", "procedural"], "design": design})
    message = r"assets = \['mine', 'procedural'\]: engine 'builtin' draws from \['procedural'\].*--assets mine"
    with pytest.raises(SpecError, match=message):
        generate(spec, tmp_path / "d", BuiltinEngine, progress=False)
    assert "draws from ['procedural']" in dry_run(spec, BuiltinEngine().catalogue()).problems[-1]
    with pytest.raises(SpecError, match="engine 'marker' has no packs of assets"):
        generate(spec, tmp_path / "d", "marker", progress=False)
    with pytest.raises(AssetError, match="no pack of assets 'none' is installed"):
        open_engine("builtin", assets=["none"])


def test_an_environment_is_seen_lit_and_stood_on(two):
    with Multiverse("inprocess", assets=["mine", "procedural"], options=SMALL) as mv:
        frame = mv.render(World_Name="Meadow", Character_Name="Zebra")
        rgb, mask, depth = (frame.array(name).astype(float) for name in ("rgb", "mask", "depth"))
        assert np.isfinite(depth[-1]).all(), "there is a ground"
        assert not np.isfinite(depth[0]).any(), "and a sky"
        sky, ground = rgb[2], rgb[-2]
        assert (sky[:, 2] > sky[:, 0]).all()
        assert ground[:, 1].mean() > ground[:, 0].mean()
        assert 40 < rgb[mask == 1].mean() < 220
        # The red mark stands to the right of where the camera looks.
        red = (rgb[..., 0] > 2 * rgb[..., 2]) & ~np.isfinite(depth)
        assert red.any()
        assert np.nonzero(red)[1].min() > 24
        turned = mv.render(World_Name="Meadow", Camera_Yaw=180).array("rgb").astype(float)
        assert not (turned[:20, :, 0] > 2 * turned[:20, :, 2]).any(), "and not behind it"


def test_a_turntable_needs_no_other_file(two):
    from torchmultiverse.assets import open_pack

    page = turntable(open_pack("mine"), size=32)
    assert page.count("data:image/jpeg;base64,") == 2 * len(YAWS)
    assert "http" not in page.replace("https://play0ad.com", "")
    assert "Ada" in page


def test_the_command_line(folder, capsys, monkeypatch, packs):
    def run(*arguments):
        return command.run(capsys, monkeypatch, "assets", *arguments)

    (folder / "block.glb").write_bytes(block(size=(2, 6, 1e-4)).export(file_type="glb"))
    code, text, warned = run("add", str(folder), "--no-page")
    assert code == 0
    assert "warning: Block: it is flat" in warned
    assert '"assets": ["mine", "procedural"]' in text
    assert "CC-BY-4.0" in run("list")[1]
    _, text, warned = run("show", "mine")
    assert "Ada" in text
    assert "warning: Block: it is flat" in warned
    assert run("remove", "mine")[0] == 0
    code, _, text = run("show", "mine")
    assert code == 7
    assert "torchmultiverse assets add FOLDER" in text
    code, _, text = run("build", "1ad")
    assert (code, "Did you mean '0ad'" in text) == (2, True)


def test_what_a_pack_says_of_its_classes_numbers_its_characters(folder, tmp_path):
    """Wrong would be two sofas of two classes, or a mug of the pack that is no mug."""
    manifest(
        folder,
        {"name": "my_mug", "class": "Cofee_Mug", "file": "block.glb"},
        {"class": "Sofa", "file": "block.glb"},
        {"class": "Sofa", "file": "plain.ply"},
        {"name": "Zebra", "file": "block.glb"},
        {"name": "Anvil", "file": "block.glb"},
    )
    add(folder, "things")
    source = asset_source(["things", "procedural"])
    found = {name: one.id for one in class_list(source.names(), source.classes()) for name in one.characters}
    assert {name: found[name] for name in ("my_mug", "Sofa_1", "Sofa_2", "Zebra", "Anvil", "Cofee_Mug_1")} == {
        "my_mug": 107, "Sofa_1": 223, "Sofa_2": 223, "Zebra": 70, "Anvil": 222, "Cofee_Mug_1": 107,
    }  # fmt: skip
    spec = {
        "name": "mine", "assets": ["things", "procedural"], "render": {"size": [48, 48], "passes": ["rgb", "class"]},
        "design": {
            "kind": "factorial", "factors": {"World_Name": ["SaltFlats"], "Character_Name": ["Sofa_2", "my_mug"]},
        },
    }  # fmt: skip
    generate(spec, tmp_path / "d", "inprocess", samples=1, progress=False)
    stored = open_dataset(tmp_path / "d")
    said = {one.id: (one.name, one.display, one.characters) for one in stored.manifest.classes}
    assert said == {107: ("Cofee_Mug", "coffee mug", ["my_mug"]), 223: ("Sofa", "sofa", ["Sofa_2"])}
    names = stored.table(["character_name"])["character_name"].to_pylist()
    seen = [sorted(np.unique(np.array(stored.image(row, "class"))).tolist()) for row in range(2)]
    assert dict(zip(names, seen, strict=True)) == {"Sofa_2": [0, 223], "my_mug": [0, 107]}
