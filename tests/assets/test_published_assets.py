"""The pack of the published assets: each from where it can be had, with its own terms, and the manifest says the rest.

Silently wrong would be one asset under the name of another, a licence or an author that is another's, an asset whose
licence was not asked for, and a token that stands anywhere.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from services import ObjaverseService, SketchfabService, cube, gltf_archive
from typer.testing import CliRunner
from web_service import WebService, web_service

from torchmultiverse.assets import BuildRequest, asset_source, build, drop, open_pack
from torchmultiverse.assets.published import read_list
from torchmultiverse.assets.sketchfab import TOKEN
from torchmultiverse.cli.app import app
from torchmultiverse.errors import AssetError, DatasetError
from torchmultiverse.files import FolderLock
from torchmultiverse.resources import cache_folder
from torchmultiverse.scenes import object_assets
from torchmultiverse.web import ServiceError

UIDS = {asset.name: asset.uid for asset in object_assets()}
BANANAS = BuildRequest(classes=("Banana",), quiet=True)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setattr("torchmultiverse.web.time.sleep", lambda seconds: None)


@pytest.fixture
def objaverse(web: WebService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjaverseService:
    return ObjaverseService(web, tmp_path / "hub", monkeypatch)


@pytest.fixture
def sketchfab(monkeypatch: pytest.MonkeyPatch) -> Iterator[SketchfabService]:
    with web_service() as other:
        yield SketchfabService(other, monkeypatch)


def test_each_asset_keeps_its_name_and_terms(objaverse: ObjaverseService) -> None:
    objaverse.add(UIDS["Banana_2"], license="by-sa", name="Big banana", user={"displayName": "", "username": "bo"})
    objaverse.add(UIDS["Banana_1"], license="cc0")
    objaverse.add("f" * 32, category="banana")
    objaverse.publish()
    pack, left = build("published", BANANAS)
    one, two = pack.manifest.assets
    assert (one.name, one.class_name, one.license, one.attribution) == ("Banana_1", "Banana", "CC0-1.0", "Ada L.")
    assert (two.name, two.display_name, two.license, two.attribution) == (
        "Banana_2", "Big banana", "CC-BY-SA-4.0", "bo",
    )  # fmt: skip
    assert two.source == f"https://sketchfab.com/3d-models/{UIDS['Banana_2']}"
    assert pack.model("Banana_1").triangles == 2
    filled = pack.manifest.filled
    assert list(filled) == [name for name in UIDS if name.startswith("Banana_") and name[-1] not in "12"]
    assert set(filled.values()) == {
        "it is not in Objaverse; a token of Sketchfab in SKETCHFAB_API_TOKEN may fetch it there"
    }
    assert left == [f"{name}: {why}" for name, why in filled.items()]


def test_procedural_objects_stand_for_what_is_missing(objaverse: ObjaverseService) -> None:
    objaverse.add(UIDS["Vase_2"])
    objaverse.publish()
    pack, _ = build("published", BuildRequest(classes=("Vase",), quiet=True))
    source = asset_source(["published", "procedural"])
    assert {"Vase_1", "Vase_2", *pack.manifest.filled} <= set(source.names())
    packs = {asset.name: (asset.pack, asset.license) for asset in source.assets() if asset.name.startswith("Vase_")}
    assert packs["Vase_2"] == ("published", "CC-BY-4.0")
    assert {packs[name][0] for name in pack.manifest.filled} == {"procedural"}
    assert len(source.load("Vase_2", "Default", 64).faces) < 100 < len(source.load("Vase_1", "Default", 64).faces)


def test_a_second_run_asks_for_nothing_again(objaverse: ObjaverseService, web: WebService) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.publish()
    build("published", BANANAS)
    assert objaverse.asked() == [
        "object-paths.json.gz", "metadata/000-000.json.gz", f"glbs/000-000/{UIDS['Banana_1']}.glb",
    ]  # fmt: skip
    web.asked.clear()
    build("published", BANANAS)
    assert web.asked == []


def test_the_rest_comes_from_sketchfab_with_a_token(
    objaverse: ObjaverseService, sketchfab: SketchfabService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.publish()
    sketchfab.add(UIDS["Banana_2"], cube(), license={"slug": "cc-by-nc"})
    sketchfab.add(UIDS["Banana_3"], archive=gltf_archive(), license={"slug": "cc0"})
    sketchfab.add(UIDS["Banana_4"], cube(), license={"slug": "st", "label": "Standard"})
    monkeypatch.setenv(TOKEN, "s3cret")
    pack, _ = build("published", BANANAS)
    found = {item.name: item for item in pack.manifest.assets}
    assert {name: item.license for name, item in found.items()} == {
        "Banana_1": "CC-BY-4.0", "Banana_2": "CC-BY-NC-4.0", "Banana_3": "CC0-1.0",
    }  # fmt: skip
    assert pack.model("Banana_3").pieces[0].image is not None, "the texture of the archive is lost"
    assert pack.manifest.filled["Banana_4"] == "its licence is not a free one"
    assert "answers 404: it is not there" in pack.manifest.filled["Banana_5"]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len([path for path in kept if path.suffix in (".glb", ".zip")]) >= 2
    for path in kept:
        assert b"s3cret" not in path.read_bytes(), f"{path} holds the token"
        assert b"s1gned" not in path.read_bytes(), f"{path} holds a signed address"


def test_a_token_that_is_refused_is_said_once_and_ends_nothing_else(
    objaverse: ObjaverseService, sketchfab: SketchfabService, monkeypatch: pytest.MonkeyPatch
) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.publish()
    for k in (2, 3):
        sketchfab.add(UIDS[f"Banana_{k}"], cube())
    monkeypatch.setenv(TOKEN, "wr0ng")
    pack, left = build("published", BANANAS)
    assert [item.name for item in pack.manifest.assets] == ["Banana_1"]
    assert "answers 401: its token is refused. The token of your account stands" in pack.manifest.filled["Banana_2"]
    assert pack.manifest.filled["Banana_3"] == "Sketchfab cannot be used now"
    assert left[-1].startswith("Sketchfab: ")
    assert "wr0ng" not in str(left)


def test_licences_sizes_and_faces_are_what_is_asked_for(objaverse: ObjaverseService, web: WebService) -> None:
    objaverse.add(UIDS["Banana_1"], license="by-nc-sa")
    objaverse.add(UIDS["Banana_2"], license="by", archives={"glb": {"size": 10**7, "faceCount": 10}})
    objaverse.add(UIDS["Banana_3"], license="by", archives={"glb": {"size": 100, "faceCount": 9_000}})
    objaverse.add(UIDS["Banana_4"], license="by")
    objaverse.publish()
    request = BuildRequest(
        classes=("Banana",), licenses=("CC-BY-4.0",), max_bytes=2**20, max_triangles=5_000, quiet=True
    )
    pack, _ = build("published", request)
    assert [item.name for item in pack.manifest.assets] == ["Banana_4"]
    filled = pack.manifest.filled
    assert filled["Banana_1"] == "its licence is CC-BY-NC-SA-4.0, which is not asked for"
    assert filled["Banana_2"] == "it has 10 MiB, at most 1 are wanted"
    assert filled["Banana_3"] == "it has 9,000 faces, at most 5,000 are wanted"
    assert [path for path in objaverse.asked() if path.endswith(".glb")] == [f"glbs/000-000/{UIDS['Banana_4']}.glb"]
    with pytest.raises(AssetError, match=r"no asset is under the licence 'CC-BY'\. Did you mean 'CC-BY-4.0'"):
        build("published", BuildRequest(licenses=("CC-BY",)))
    with pytest.raises(AssetError, match=r"'Bananna' is none of the 151 published classes\. Did you mean 'Banana'"):
        build("published", BuildRequest(classes=("Bananna",)))


def test_what_cannot_be_read_is_filled_with_its_reason(objaverse: ObjaverseService) -> None:
    draco = {"extensionsUsed": ["KHR_draco_mesh_compression"], "extensionsRequired": ["KHR_draco_mesh_compression"]}
    ktx = {"extensionsUsed": ["KHR_texture_basisu"], "extensionsRequired": ["KHR_texture_basisu"]}
    objaverse.add(UIDS["Banana_1"], cube(**draco))
    objaverse.add(UIDS["Banana_2"], cube(**ktx))
    objaverse.add(UIDS["Banana_3"], b"<html>")
    objaverse.add(UIDS["Banana_4"])
    objaverse.publish()
    path = f"glbs/000-000/{UIDS['Banana_5']}.glb"
    objaverse.put(path, cube())
    pack, _ = build("published", BANANAS)
    filled = pack.manifest.filled
    assert "without KHR_draco_mesh_compression, which is not read" in filled["Banana_1"]
    assert "without KHR_texture_basisu, which is not read" in filled["Banana_2"]
    assert filled["Banana_3"].startswith("it is no GLB file")
    assert [item.name for item in pack.manifest.assets] == ["Banana_4"]


def test_a_file_that_is_not_what_it_is_called_is_not_used(objaverse: ObjaverseService, tmp_path: Path) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.add(UIDS["Banana_2"])
    objaverse.publish()
    objaverse.put(f"glbs/000-000/{UIDS['Banana_1']}.glb", cube((0, 0, 1)), sha256="0" * 64)
    pack, _ = build("published", BANANAS)
    assert [item.name for item in pack.manifest.assets] == ["Banana_2"]
    assert "should be 0000" in pack.manifest.filled["Banana_1"]
    assert not [path for path in tmp_path.rglob("0" * 64)], "the wrong file stays in the cache"


def test_the_published_list_gives_titles_licences_and_authors(
    objaverse: ObjaverseService, tmp_path: Path, web: WebService
) -> None:
    lines = [
        "Environment assets:",
        "Bridge : https://www.unrealengine.com/marketplace/en-US/product/automotive-bridge-scene",
        "",
        "Sketchfab assets: (Asset Name, Link, License (CC), Author Name)",
        f"Banana: ripe: https://sketchfab.com/3d-models/{UIDS['Banana_1']} by Red Fox / nokillnando",
        f"2257920: https://sketchfab.com/3d-models/banana-{UIDS['Banana_2']} cc0 Virtual Museums of Małopolska",
        f"Wine: https://sketchfab.com/3d-models/{UIDS['Banana_3']} by-nc siotech2011",
        f"Nobody's: https://sketchfab.com/3d-models/{UIDS['Banana_4']} by ",
        f"Moka: https://sketchfab.com/3d-models/{'e' * 32} by someone",
    ]
    path = tmp_path / "list_assets_pug_imagenet.txt"
    path.write_text("\n".join(lines))
    listed = read_list(path)
    one = listed[UIDS["Banana_1"]]
    assert (one.title, one.licence, one.author) == ("Banana: ripe", "CC-BY-4.0", "Red Fox / nokillnando")
    assert listed[UIDS["Banana_2"]].licence == "CC0-1.0"
    assert len(listed) == 5
    for k in (1, 2, 3, 4, 5):
        objaverse.add(UIDS[f"Banana_{k}"], license="by", user={"displayName": "the service's"})
    objaverse.publish()
    pack, left = build("published", BuildRequest(source=path, licenses=("CC-BY-4.0", "CC0-1.0"), quiet=True))
    assert [(item.name, item.attribution) for item in pack.manifest.assets] == [
        ("Banana_1", "Red Fox / nokillnando"), ("Banana_2", "Virtual Museums of Małopolska"),
        ("Banana_4", "the service's"),
    ]  # fmt: skip
    assert left == [
        "Banana_3: its licence is CC-BY-NC-4.0, which is not asked for", f"Moka ({'e' * 32}): it is none of the 724",
    ]  # fmt: skip
    path.write_text("Bridge : https://www.unrealengine.com")
    with pytest.raises(AssetError, match="no line of it names an asset as the published lists do: TITLE"):
        build("published", BuildRequest(source=path))


def test_without_a_network_nothing_is_installed(
    packs: Path, web: WebService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ObjaverseService(web, tmp_path / "hub", monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match=r"the Hub cannot be reached: .*is this machine offline"):
        build("published", BANANAS)
    assert not packs.exists() or list(packs.iterdir()) == []


def test_a_hub_that_is_asked_too_often_is_left_and_named(objaverse: ObjaverseService, web: WebService) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.add(UIDS["Banana_2"])
    objaverse.publish()
    web.faults[f"/datasets/allenai/objaverse/resolve/main/glbs/000-000/{UIDS['Banana_2']}.glb"] = [429] * 99
    pack, left = build("published", BANANAS)
    assert [item.name for item in pack.manifest.assets] == ["Banana_1"]
    assert "the Hub answers 429; it was tried 5 times; what was downloaded is kept: run" in left[-1]
    assert left[-1].startswith("Objaverse: ")


def test_two_runs_do_not_write_into_one_another(objaverse: ObjaverseService) -> None:
    objaverse.publish()
    lock = FolderLock(cache_folder("assets", "sketchfab"))
    with pytest.raises(DatasetError, match="is being written by process"):
        build("published", BANANAS)
    lock.release()


def test_what_is_dropped_is_filled(objaverse: ObjaverseService) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.add(UIDS["Banana_2"])
    objaverse.publish()
    build("published", BANANAS)
    pack = drop("published", ["Banana_2"])
    assert pack.manifest.filled["Banana_2"] == "dropped"
    assert list(json.loads((pack.folder / "pack.json").read_text())["filled"])[-1] == "Banana_2"


def test_the_command_says_what_is_missing_and_never_the_token(
    objaverse: ObjaverseService, sketchfab: SketchfabService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    objaverse.add(UIDS["Banana_1"])
    objaverse.publish()
    monkeypatch.setenv(TOKEN, "wr0ng")
    sketchfab.add(UIDS["Banana_2"], cube())
    done = CliRunner().invoke(
        app, ["assets", "build", "published", "--classes", "Banana", "--limit", "2", "--no-sheet"]
    )
    assert done.exit_code == 0, done.output
    assert "left out: Banana_2: Sketchfab: " in done.output
    assert 'published: 1 character; in a spec: "assets": ["published", "procedural"]' in done.output
    assert "wr0ng" not in done.output
    assert [item.name for item in open_pack("published").manifest.assets] == ["Banana_1"]
