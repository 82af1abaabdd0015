"""Environment maps and models of Poly Haven: whole, by their checksums, within their folder, under CC0.

Silently wrong would be a file of another resolution or asset, one that is cut off, and a name of a file beside a model
that leads out of its folder.
"""

from pathlib import Path

import numpy as np
import pytest
from services import PolyHavenService, gltf_folder
from small_files import write_map
from typer.testing import CliRunner
from web_service import WebService

from torchmultiverse.assets import BuildRequest, asset_source, build
from torchmultiverse.assets.packs import PackCharacter, dressed
from torchmultiverse.assets.polyhaven import class_of_words
from torchmultiverse.assets.texture_maps import TextureMap
from torchmultiverse.cli.app import app
from torchmultiverse.engines.builtin import Material, Mesh, MeshPart
from torchmultiverse.errors import AssetError
from torchmultiverse.resources import cache_folder
from torchmultiverse.web import ServiceError


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("torchmultiverse.web.time.sleep", lambda seconds: None)


@pytest.fixture
def haven(web: WebService, monkeypatch: pytest.MonkeyPatch) -> PolyHavenService:
    return PolyHavenService(web, monkeypatch)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small map, as a Radiance file."""
    path = tmp_path_factory.mktemp("sky") / "sky.hdr"
    values = np.full((16, 32, 3), 0.5, np.float32)
    values[2, 5] = 800
    write_map(path, values)
    return path.read_bytes()


def test_maps_and_models_become_a_pack(haven: PolyHavenService, web: WebService, sky: bytes) -> None:
    haven.add_map("clear_sky_01", sky, name="Clear Sky", authors={"Greg Zaal": "All", "Jo": "Help"})
    haven.add_model("wooden_barrel_01", name="Wooden Barrel 01")
    haven.add_model("Sofa_02", name="Sofa 02")
    pack, left = build("polyhaven", BuildRequest(quiet=True))
    assert left == []
    found = {item.name: item for item in pack.manifest.assets}
    assert set(found) == {"ClearSky01", "Barrel_1", "Sofa02"}
    assert (found["Barrel_1"].class_name, found["Sofa02"].class_name) == ("Barrel", "")
    assert found["ClearSky01"].kind == "environment"
    assert {item.license for item in found.values()} == {"CC0-1.0"}
    assert found["ClearSky01"].attribution == "Greg Zaal, Jo"
    assert found["ClearSky01"].source == "https://polyhaven.com/a/clear_sky_01"
    assert pack.radiance("ClearSky01").shape == (16, 32, 3)
    image = pack.model("Barrel_1").pieces[0].image
    assert image is not None
    assert image[0, 0, :3].tolist() == [10, 200, 30]
    assert "/hdr/clear_sky_01_2k.hdr" in web.paths()
    assert {one.headers["User-Agent"].partition("/")[0] for one in web.asked} == {"torchmultiverse"}, (
        "the terms of the service ask for the name of the program"
    )
    web.asked.clear()
    build("polyhaven", BuildRequest(quiet=True))
    assert not [path for path in web.paths() if path.startswith(("/hdr", "/gltf"))], "it is fetched again"


def test_the_most_downloaded_are_taken_and_names_choose(haven: PolyHavenService, sky: bytes) -> None:
    for k in range(5):
        haven.add_map(f"sky_{k}x", sky, download_count=k)
    pack, _ = build("polyhaven", BuildRequest(kinds=("hdris",), limit=2, quiet=True))
    assert [item.name for item in pack.manifest.assets] == ["Sky4x", "Sky3x"]
    pack, left = build("polyhaven", BuildRequest(names=("sky_0x", "nope"), quiet=True))
    assert [item.name for item in pack.manifest.assets] == ["Sky0x"]
    assert left == ["nope: Poly Haven has no such hdris or models or textures"]


def test_textures_dress_every_character(haven: PolyHavenService) -> None:
    haven.add_texture("red_brick_03", (200, 40, 30), 204)
    haven.add_model("wooden_barrel_01", name="Wooden Barrel 01")
    pack, left = build("polyhaven", BuildRequest(kinds=("models", "textures"), quiet=True))
    assert left == []
    assert pack.names("texture") == ["RedBrick03"]
    assert pack.texture("RedBrick03").roughness == pytest.approx(0.8, abs=0.01)
    source = asset_source(["polyhaven", "procedural"])
    assert "RedBrick03" in source.textures()
    assert {"RedBrick03": "Red Brick 03"}.items() <= source.about()["texture"].items()
    linear = ((np.array([200, 40, 30]) / 255 + 0.055) / 1.055) ** 2.4
    for name in ("Barrel_1", "Zebra"):
        plain, dressed = source.load(name, "Default", 64), source.load(name, "RedBrick03", 64)
        for end in (np.min, np.max):  # the same shape; a pack's is split finely for the pattern
            np.testing.assert_allclose(end(plain.vertices, axis=0), end(dressed.vertices, axis=0), atol=1e-6)
        assert np.allclose(dressed.color, linear, atol=2e-3)
        assert np.allclose(dressed.roughness, 0.8, atol=0.01)
    assert np.allclose(source.load("Zebra", "Grass", 64).color, asset_source([]).load("Zebra", "Grass", 64).color)


def test_a_texture_keeps_parts_that_keep_their_material() -> None:
    mesh = grid_mesh()
    lamp, body = Material("lamp", emission=3.0), Material("body", metallic=1.0)
    vertices = np.concatenate([mesh.vertices, mesh.vertices + 1])
    base = PackCharacter(
        vertices, np.concatenate([mesh.faces, mesh.faces + 4]), np.tile([0, 0, 1], (8, 1)).astype(np.float32),
        np.full((8, 3), 0.5, np.float32), np.full(8, 0.2, np.float32), 0.0,
        (MeshPart(lamp, mesh, keeps=True), MeshPart(body, mesh)),
    )  # fmt: skip
    made = dressed(base, TextureMap(np.zeros((4, 4, 3), np.uint8), 0.9))
    assert made.parts[0].material is lamp
    assert (made.parts[1].material.metallic, made.parts[1].material.roughness) == (0.0, 0.9)
    assert made.color[:4].tolist() == [[0.5] * 3] * 4
    assert not made.color[4:].any()
    assert made.roughness.tolist() == pytest.approx([0.2] * 4 + [0.9] * 4)


def grid_mesh() -> Mesh:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    return Mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.uint32))


@pytest.mark.parametrize(("wanted", "found"), [("1k", "1k"), ("2k", "2k"), ("4k", "2k"), ("", "2k")])
def test_the_resolution_is_the_one_that_is_asked_for(
    wanted: str, found: str, haven: PolyHavenService, web: WebService, sky: bytes
) -> None:
    haven.add_map("sky", sky)
    build("polyhaven", BuildRequest(kinds=("hdris",), resolution=wanted, quiet=True))
    assert [path for path in web.paths() if path.startswith("/hdr")] == [f"/hdr/sky_{found}.hdr"]


def test_one_wrong_file_is_left_out_and_named(haven: PolyHavenService, web: WebService, sky: bytes) -> None:
    haven.add_map("good", sky)
    haven.add_map("bad", sky)
    web.files["/hdr/bad_2k.hdr"] = sky[:-1] + b"!"
    haven.add_map("short", sky)
    web.files["/hdr/short_2k.hdr"] = sky[:-1]
    pack, left = build("polyhaven", BuildRequest(kinds=("hdris",), quiet=True))
    assert [item.name for item in pack.manifest.assets] == ["Good"]
    assert "bad: its MD5 is" in left[0]
    assert f"short: it has {len(sky) - 1:,} bytes, the service says {len(sky):,}" in left[1]
    kept = [path for path in cache_folder("assets", "polyhaven").rglob("*") if path.is_file()]
    assert [path.name for path in kept] == ["2k.hdr"], "something half-written stays"


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a//b.png", "textures/../../x.png", "a\0b"])
def test_no_file_leaves_its_folder(name: str, haven: PolyHavenService, tmp_path: Path) -> None:
    haven.add_model("barrel", {**gltf_folder(), name: b"evil"})
    with pytest.raises(AssetError, match="is no path of a file beside a model"):
        build("polyhaven", BuildRequest(kinds=("models",), quiet=True))
    assert not [path for path in tmp_path.rglob("*evil*")]


def test_limits_are_kept(haven: PolyHavenService, web: WebService) -> None:
    haven.add_model("barrel")
    with pytest.raises(AssetError, match=r"it has 0 MiB; at most 0 MiB are read"):
        build("polyhaven", BuildRequest(kinds=("models",), max_bytes=20, quiet=True))
    with pytest.raises(AssetError, match=r"2 triangles, at most 1 are wanted"):
        build("polyhaven", BuildRequest(kinds=("models",), max_triangles=1, quiet=True))
    many = {f"t{k}.png": b"x" for k in range(70)}
    haven.add_model("barrel", {**gltf_folder(), **many})
    with pytest.raises(AssetError, match="it has 72 files, at most 64 are fetched"):
        build("polyhaven", BuildRequest(kinds=("models",), quiet=True))


def test_what_cannot_be_meant_is_refused(haven: PolyHavenService, web: WebService) -> None:
    with pytest.raises(AssetError, match=r"Poly Haven has no kind 'hdri'\. Did you mean 'hdris'"):
        build("polyhaven", BuildRequest(kinds=("hdri",)))
    with pytest.raises(AssetError, match=r"everything of Poly Haven is under CC0-1\.0"):
        build("polyhaven", BuildRequest(licenses=("CC-BY-4.0",)))
    with pytest.raises(AssetError, match="nothing of Poly Haven could be used: it lists none"):
        build("polyhaven", BuildRequest(kinds=("hdris",), quiet=True))
    web.put("/assets?type=hdris", {"x": 3})
    with pytest.raises(AssetError, match=r"Poly Haven's list of hdris is not as it should be: x"):
        build("polyhaven", BuildRequest(kinds=("hdris",), quiet=True))
    web.put("/assets?type=hdris", {"x": {"name": "X"}})
    web.put("/files/x", {"hdri": {"2k": {"exr": {"url": web.url, "size": 3}}}})
    with pytest.raises(AssetError, match="x: it is offered in no resolution as hdr"):
        build("polyhaven", BuildRequest(kinds=("hdris",), quiet=True))
    web.put("/files/x", {"hdri": {"2k": {"hdr": {"url": "file:///etc/passwd", "size": 3}}}})
    with pytest.raises(AssetError, match="no address of the web"):
        build("polyhaven", BuildRequest(kinds=("hdris",), quiet=True))


def test_a_busy_service_is_left_with_nothing_installed(
    haven: PolyHavenService, web: WebService, sky: bytes, packs: Path
) -> None:
    haven.add_map("sky", sky)
    web.faults["/hdr/sky_2k.hdr"] = [503] * 99
    with pytest.raises(ServiceError, match=r"503.*; it was tried 5 times; what was downloaded is kept"):
        build("polyhaven", BuildRequest(kinds=("hdris",), quiet=True))
    assert list(packs.iterdir()) == []


def test_words_of_a_model_name_its_class() -> None:
    names = ("Barrel 03", "garden_shovel", "Table Lamp", "Park Bench 01", "Car Wheel", "Backpack", "Bar Stool", "")
    assert [class_of_words(name) for name in names] == [
        "Barrel", "Shovel", "Table_Lamb", "Park_Bench", "Car_Wheel", "Backpack", "", "",
    ]  # fmt: skip


def test_the_command_credits_the_service(haven: PolyHavenService, sky: bytes) -> None:
    haven.add_map("sky", sky)
    done = CliRunner().invoke(app, ["assets", "build", "polyhaven", "--kind", "hdris", "--no-page"])
    assert done.exit_code == 0, done.output
    assert "Powered by Poly Haven (https://polyhaven.com)" in done.output
    assert "polyhaven: 1 environment;" in done.output
