"""Animals of 0 A.D., from files of its formats made here. What could silently be wrong: a mesh read at the wrong
offsets, mirrored, with its texture upside down, with the wrong variant of an actor, without what is fixed to it.
"""

import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.assets import BuildRequest, open_pack, zeroad
from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.pmd import read_pmd
from torchmultiverse.errors import AssetError

# A tetrahedron-like body, left-handed: nose at -z, a hump up +y, a mark on the right side (+x as the nose looks to -z
# in left-handed coordinates is its left).
VERTICES = np.array([[0, 0, -2], [0, 0, 2], [1, 0, 0], [0, 1, 0.5]], np.float32)
FACES = [[0, 2, 3], [2, 1, 3], [1, 0, 3], [0, 1, 2]]
UV = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]], np.float32)


def pmd(version=4, sets=1, vertices=VERTICES, uv=UV, bones=((0, 0, 1),), props=(("antler", (0, 0, 0), 0),)):
    """The bytes of a mesh; ``bones`` are places, ``props`` a name, a place and a bone."""
    body = struct.pack("<I", len(vertices))
    if version >= 4:
        body += struct.pack("<I", sets)
    middle = vertices.mean(0)
    for vertex, coordinate in zip(vertices, uv, strict=True):
        normal = (vertex - middle) / np.linalg.norm(vertex - middle)
        body += struct.pack("<6f", *vertex, *normal) + struct.pack("<2f", *coordinate) * sets
        body += bytes([0, 255, 255, 255]) + struct.pack("<4f", 1, 0, 0, 0)
    body += struct.pack("<I", len(FACES)) + b"".join(struct.pack("<3H", *face) for face in FACES)
    body += struct.pack("<I", len(bones)) + b"".join(struct.pack("<3f4f", *place, 0, 0, 0, 1) for place in bones)
    body += struct.pack("<I", len(props))
    for name, place, bone in props:
        half = np.sqrt(0.5)  # a quarter turn about y
        body += struct.pack("<I", len(name)) + name.encode() + struct.pack("<3f4f", *place, 0, half, 0, half)
        body += bytes([bone])
    return b"PSMD" + struct.pack("<II", version, len(body)) + body


def dds():
    """Red upper left, green upper right, blue lower left, white lower right; the lower right is clear."""
    colors = np.array([[[255, 0, 0, 255], [0, 255, 0, 255]], [[0, 0, 255, 255], [255, 255, 255, 0]]], np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colors.repeat(16, 0).repeat(16, 1)).save(buffer, "DDS")
    return buffer.getvalue()


def actor(mesh="beast.dae", material="default.xml", prop="", texture="skeletal/beast.png"):
    return f"""<?xml version="1.0"?><actor version="1">
    <group><variant frequency="0" name="rare"><mesh>gone.dae</mesh></variant>
    <variant frequency="1" file="base.xml"><mesh>{mesh}</mesh></variant></group>
    <group><variant name="death"><textures><texture file="gone.png" name="baseTex"/></textures></variant>
    <variant><textures><texture file="{texture}" name="baseTex"/><texture file="n.png" name="normTex"/></textures>
    {prop}</variant></group><material>{material}</material></actor>""".encode()


def game(**more):
    """Files of a game with one animal."""
    return {
        "art/actors/fauna/beast.xml": actor(),
        "art/variants/base.xml": b"<variant><mesh>other.dae</mesh></variant>",
        "art/meshes/beast.dae.cached.pmd": pmd(),
        "art/textures/skins/skeletal/beast.png.cached.dds": dds(),
    } | more


@pytest.fixture
def beast(monkeypatch):
    """A table with that animal alone."""
    monkeypatch.setattr(
        zeroad,
        "animals",
        lambda: {"Beast": zeroad.ZeroadAnimal(actor="fauna/beast"), "Gone": zeroad.ZeroadAnimal(actor="fauna/gone")},
    )


def public_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def deb(path, files):
    """A Debian package with the archive inside."""
    inner, outer = io.BytesIO(), io.BytesIO()
    public_zip(inner, files)
    with tarfile.open(fileobj=outer, mode="w:xz") as tar:
        facts = tarfile.TarInfo("./usr/share/games/0ad/mods/public/public.zip")
        facts.size = len(inner.getvalue())
        tar.addfile(facts, io.BytesIO(inner.getvalue()))
    out = b"!<arch>\n"
    for name, data in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", outer.getvalue())):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    path.write_bytes(out)
    return path


@pytest.mark.parametrize("kind", ["deb", "zip", "folder of a zip", "unpacked"])
def test_an_animal_is_built_from_every_kind_of_source(beast, tmp_path, kind):
    if kind == "deb":
        source = deb(tmp_path / "0ad-data_1_all.deb", game())
    elif kind == "zip":
        source = public_zip(tmp_path / "public.zip", game())
    elif kind == "folder of a zip":
        (tmp_path / "mods/public").mkdir(parents=True)
        public_zip(tmp_path / "mods/public/public.zip", game())
        source = tmp_path
    else:
        source = tmp_path / "unpacked"
        for name, data in game().items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    pack, missing = zeroad.build(BuildRequest(source))
    (item,) = pack.manifest.assets
    assert (item.name, item.license, item.triangles) == ("Beast", "CC-BY-SA-3.0", 4)
    assert "Wildfire Games" in item.attribution
    assert "art/actors/fauna/beast.xml" in item.source
    assert missing == ["Gone (fauna/gone): the source has no such actor, or not its mesh"]
    mesh = bake(open_pack("0ad").model("Beast"), 0.02)
    # 4 long, so 0.4 m to the unit; the nose (-z) at +x, and the mark at the game's +x on the animal's left or right
    # as a mirror shows it: the game is left-handed, so facing -z with y up, +x is to the animal's left.
    assert np.allclose(mesh.vertices.min(0), [-0.8, -0.2, 0], atol=1e-5)
    assert np.allclose(mesh.vertices.max(0), [0.8, 0.2, 0.4], atol=1e-5)
    corner = {
        "nose": (0.8, -0.2, 0), "tail": (-0.8, -0.2, 0), "mark": (0, 0.2, 0), "hump": (-0.2, -0.2, 0.4)
    }  # fmt: skip
    seen = {
        k: mesh.color[np.linalg.norm(mesh.vertices - p, axis=1).argmin()].round(1).tolist() for k, p in corner.items()
    }
    # v = 0.25 is in the lower half of the picture.
    assert seen == {"nose": [0, 0, 1], "tail": [1, 1, 1], "mark": [1, 0, 0], "hump": [0, 1, 0]}
    corners = mesh.vertices[mesh.faces].astype(float)
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((outward * (corners.mean(1) - mesh.vertices.mean(0))).sum(1) > 0).mean() > 0.9


def test_what_is_fixed_to_an_animal_comes_with_it_and_its_holes_are_cut(beast, tmp_path):
    prop = '<props><prop actor="horn.xml" attachpoint="antler"/><prop actor="smoke.xml" attachpoint="root"/></props>'
    horn = pmd(vertices=VERTICES + np.array([0, 0, 8], np.float32), bones=(), props=())
    files = game() | {
        "art/actors/fauna/beast.xml": actor(prop=prop),
        "art/actors/horn.xml": actor(mesh="horn.dae", material="basic_trans.xml"),
        "art/actors/smoke.xml": actor(mesh="gone.dae"),
        "art/meshes/horn.dae.cached.pmd": horn,
    }
    with zeroad.open_archive(public_zip(tmp_path / "public.zip", files)) as archive:
        model = zeroad.actor_model(archive, zeroad.ZeroadAnimal(actor="fauna/beast"), "x")
    body, fixed = model.pieces
    assert (body.cut, fixed.cut) == (0.0, 0.5)
    # A quarter turn about y takes the game's +z to +x; the bone is one unit along z; x is mirrored at the end.
    assert np.allclose(fixed.vertices.mean(0), [-(8 + 0.125), 0.25, 1 - 0.25], atol=1e-5)


def test_the_mesh_of_every_version_is_read():
    for version, sets in ((3, 1), (4, 1), (4, 2)):
        mesh = read_pmd(pmd(version, sets), "x")
        assert np.array_equal(mesh.vertices, VERTICES)
        assert np.array_equal(mesh.uv, UV)
        assert mesh.faces.tolist() == FACES
        assert np.allclose(mesh.props["antler"].position, [0, 0, 1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PMSD" + pmd()[4:], "does not begin with 'PSMD'"),
        (pmd()[:100], "the file ends at byte 100"),
        (b"PSMD" + struct.pack("<II", 9, 0), "version 9 are not read, only 3 and 4"),
        (pmd()[:12] + struct.pack("<II", 2**31, 1), "2,147,483,648 vertices with 1 sets"),
        (pmd().replace(struct.pack("<3H", 0, 2, 3), struct.pack("<3H", 0, 2, 9)), "name vertices that it does not"),
    ],
)
def test_a_broken_mesh_is_refused(data, message):
    with pytest.raises(AssetError, match=f"x: .*{message}"):
        read_pmd(data, "x")


def test_what_is_no_source_says_what_is(beast, tmp_path, monkeypatch):
    monkeypatch.setattr(zeroad, "PLACES", (str(tmp_path / "nowhere"),))
    with pytest.raises(AssetError, match=r"apt-get download 0ad-data.*--source, or use --fetch"):
        zeroad.build(BuildRequest())
    with pytest.raises(AssetError, match=r"holds no mods/public/public.zip"):
        zeroad.build(BuildRequest(tmp_path))
    (tmp_path / "x.deb").write_bytes(b"zip?")
    with pytest.raises(AssetError, match="is no Debian package"):
        zeroad.build(BuildRequest(tmp_path / "x.deb"))
    with pytest.raises(AssetError, match="holds none of the animals"):
        zeroad.build(BuildRequest(public_zip(tmp_path / "public.zip", {"readme": b""})))
    files = game() | {"art/actors/fauna/beast.xml": b'<!DOCTYPE a [<!ENTITY b "c">]><actor>&b;</actor>'}
    with pytest.raises(AssetError, match="declares a document type"):
        zeroad.build(BuildRequest(public_zip(tmp_path / "public.zip", files)))
    files = game() | {"art/textures/skins/skeletal/beast.png.cached.dds": b"DDS but broken"}
    with pytest.raises(AssetError, match=r"beast.png is no picture that can be read"):
        zeroad.build(BuildRequest(public_zip(tmp_path / "public.zip", files)))


def test_the_table_is_sound():
    table = zeroad.animals()
    assert {"Zebra", "Elephant", "Giraffe", "Walrus"} <= set(table)
    for name, animal in table.items():
        assert animal.up[-1] != animal.forward[-1], name
