"""Furniture of Sweet Home 3D, from catalogues made here. What could silently be wrong: a thing that is called one of
the published classes and is none, a licence of another catalogue, a model that is turned or stretched otherwise than
its catalogue says, a file that is read from outside the archive.
"""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.assets import BuildRequest, build, published_classes
from torchmultiverse.assets.sweethome3d import CATALOGUE, own_class, read_properties, table
from torchmultiverse.errors import AssetError

# A wedge 4 wide, 2 high and 1 deep, its front (the texture) at +z.
WEDGE = """mtllib wedge.mtl
v 0 0 0
v 4 0 0
v 0 2 0
v 0 0 1
v 4 0 1
v 0 2 1
vt 0 0
vt 1 0
vt 0 1
usemtl front
f 4/1 5/2 6/3
usemtl chrome_leg
f 1 3 2
usemtl pane
f 1 2 5 4
f 2 3 6 5
f 1 4 6 3
"""
MATERIALS = """newmtl front
map_Kd {texture}
newmtl chrome_leg
Kd 0.5 0.5 0.5
Ks 0.9 0.9 0.9
Ns 200
illum 2
newmtl pane
Kd 0 1 0
Ks 1 1 1
d 0.25
"""
LICENSE = "This is under the Creative Commons Attribution 3.0 license: http://creativecommons.org/licenses/by/3.0/"


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (255, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def entry(k, ident="Scopia#tv", name="TV", category="Living room", **facts):
    row = {"id": ident, "name": name, "category": category, "model": "/m/wedge.obj", "creator": "Ada"}
    row |= {"width": "40.0", "height": "20.0", "depth": "10.0", **facts}
    return "".join(f"{key}#{k}={value}\n" for key, value in row.items())


def catalogue(path: Path, *entries, texture="skin.png", license_=LICENSE, more=()):
    """Write a catalogue."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(CATALOGUE, "id=Test\nlicense=" + license_ + "\n" + "".join(entries))
        file.writestr("m/wedge.obj", WEDGE)
        file.writestr("m/wedge.mtl", MATERIALS.format(texture=texture))
        file.writestr("m/skin.png", png())
        for name, data in more:
            file.writestr(name, data)
    return path


def package(path: Path, *files: Path) -> Path:
    """Write a Debian package of files."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:xz") as out:
        for file in files:
            out.add(file, f"./usr/share/sweethome3d/furniture/{file.name}")
    data = tar.getvalue()
    with open(path, "wb") as out:
        out.write(b"!<arch>\n")
        for name, content in (("debian-binary", b"2.0\n"), ("data.tar.xz", data)):
            out.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content)
            out.write(b"\n" * (len(content) % 2))
    return path


def test_the_table_names_published_classes_or_clearly_own_ones() -> None:
    by_fold = {name.replace("_", "").casefold(): name for name in published_classes()}
    for ident, known in table().entries.items():
        of = known if isinstance(known, str) else known.class_name
        assert by_fold.get(of.replace("_", "").casefold(), of) == of, ident
    assert len({own for own in map(str, table().entries.values()) if own in published_classes()}) >= 40


def test_an_entry_becomes_an_asset_with_its_licence_class_and_place(tmp_path) -> None:
    source = catalogue(
        tmp_path / "Things.sh3f",
        entry(1),
        entry(2, "Scopia#tv2", "Chair with cushion"),
        entry(3, "Scopia#x", "Umbrella"),
        entry(4, "Scopia#door", "Door", "Doors and windows"),
    )
    pack, missing = build("sweethome3d", BuildRequest(package(tmp_path / "f.deb", source)))
    found = {item.name: item for item in pack.manifest.assets}
    assert list(found) == ["Television_1", "ChairWithCushion_1"]
    television = found["Television_1"]
    assert (television.class_name, television.license) == ("Television", "CC-BY-3.0")
    assert television.attribution == "Ada, catalogue Things of Sweet Home 3D"
    assert television.source.endswith("Scopia#tv")
    assert missing == ["Scopia#x: whether it is of the class 'Umbrella' is not known"]


def test_a_model_is_turned_and_stretched_as_its_catalogue_says(tmp_path) -> None:
    """Twice as deep as its file has it; and one lying on its back, which the catalogue sets upright."""
    turn = "1 0 0 0 0 -1 0 1 0"  # what was up (+y) points to the front (+z)
    source = catalogue(
        tmp_path / "t.sh3f",
        entry(1, "Scopia#a", "A thing", depth="20.0"),
        entry(2, "Scopia#b", "A thing", height="10.0", depth="20.0", modelRotation=turn),
    )
    pack, _ = build("sweethome3d", BuildRequest(source))
    yaw = np.radians(table().yaw)
    back = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])  # facing +x again
    sizes = []
    for name in ("AThing_1", "AThing_2"):
        vertices = np.concatenate([piece.vertices @ back.T for piece in pack.model(name).pieces])
        sizes.append(np.ptp(vertices, axis=0))
        assert abs(np.ptp(np.concatenate([p.vertices for p in pack.model(name).pieces]), axis=0).max() - 1.6) < 1e-5
    np.testing.assert_allclose(sizes[0] / sizes[0][1], [0.5, 1, 0.5], atol=1e-5)  # depth, width, height
    np.testing.assert_allclose(sizes[1] / sizes[1][1], [0.5, 1, 0.25], atol=1e-5)
    front = next(piece for piece in pack.model("AThing_1").pieces if piece.image is not None)
    np.testing.assert_allclose(front.normals[0] @ back.T, [1, 0, 0], atol=1e-5)


def test_materials_are_parts(tmp_path) -> None:
    from torchmultiverse.assets.parts import parts_of

    pack, _ = build("sweethome3d", BuildRequest(catalogue(tmp_path / "t.sh3f", entry(1))))
    textured, *plain = parts_of(pack.model("Television_1"), 0.1, 256)
    assert textured.material.color is not None
    assert textured.material.color.shape == (4, 4, 3)
    metal, pane = sorted(plain, key=lambda part: part.keeps)
    assert (metal.material.metallic, metal.material.glass) == (1, 0)
    assert (pane.material.metallic, pane.material.glass) == (0, -1.5)
    assert metal.mesh.colors is not None
    assert pane.mesh.colors is not None
    np.testing.assert_allclose(pane.mesh.colors[0], [0.75, 0.95, 0.75], atol=1e-3)  # a pale green lets most through
    assert len(metal.mesh.faces) == 1


@pytest.mark.parametrize("texture", ["gone.png", "../../secret.png", "/etc/passwd", "C:\\skin.png"])
def test_a_texture_that_is_not_in_the_catalogue_is_left_out(tmp_path, texture) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    source = catalogue(tmp_path / "t.sh3f", entry(1), texture=texture, more=[("../secret.png", png())])
    pack, missing = build("sweethome3d", BuildRequest(source))
    item = pack.item("character", "Television_1")
    assert missing == []
    assert any("drawn without a texture: there is no file" in note for note in item.notes)
    assert all(piece.image is None for piece in pack.model("Television_1").pieces)


def test_only_the_classes_that_are_asked_for(tmp_path) -> None:
    source = catalogue(tmp_path / "t.sh3f", entry(1), entry(2, "Scopia#bed1", "Bed"))
    pack, _ = build("sweethome3d", BuildRequest(source, classes=("Bed",)))
    assert pack.names("character") == ["Bed_1"]
    with pytest.raises(AssetError, match="no furniture of Sweet Home 3D of the classes Pizza"):
        build("sweethome3d", BuildRequest(source, classes=("Pizza",)))


def test_what_is_no_source_is_refused_and_broken_entries_are_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("torchmultiverse.assets.sweethome3d.PLACES", (str(tmp_path / "nowhere"),))
    with pytest.raises(AssetError, match="install the package sweethome3d-furniture"):
        build("sweethome3d", BuildRequest())
    with pytest.raises(AssetError, match=r"holds no \*\.sh3f"):
        build("sweethome3d", BuildRequest(tmp_path))
    bad = tmp_path / "bad.sh3f"
    bad.write_bytes(b"no zip")
    with pytest.raises(AssetError, match="no zip file"):
        build("sweethome3d", BuildRequest(bad))
    with pytest.raises(AssetError, match="its licence 'all mine' is none that is known"):
        build("sweethome3d", BuildRequest(catalogue(tmp_path / "l.sh3f", entry(1), license_="all mine")))
    broken = catalogue(
        tmp_path / "b.sh3f",
        entry(1),
        entry(2, "Scopia#b", width="wide"),
        entry(3, "Scopia#c", model="../../etc/passwd"),
        entry(4, "Scopia#d", modelRotation="1 0"),
    )
    pack, missing = build("sweethome3d", BuildRequest(broken))
    assert pack.names("character") == ["Television_1"] or len(pack.manifest.assets) == 1
    assert [line.split(":")[0] for line in missing] == ["Scopia#b", "Scopia#c", "Scopia#d"]


def test_names_of_catalogues() -> None:
    assert own_class("Basketball") == "BasketBall"  # a published class, in its spelling
    assert own_class("Car model") == "CarModel"
    assert read_properties(b"a = b\\=c\n!x\n#y\nd\n") == {"a": "b=c", "d": ""}
    assert json.dumps(read_properties(b"n=\\u20ac"), ensure_ascii=False) == '{"n": "€"}'
