"""A user's folder becomes a pack. What could silently be wrong: an animal that lies on its side, walks backwards, is
mirrored, sunk into the ground or of the wrong size; colours at the wrong place (a texture upside down, in the wrong
colour space, bleeding over an edge); a file from outside the folder; a half-installed pack.
"""

import json
import os
import re
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image
from small_files import block, checkered, manifest, write_map, write_obj

from torchmultiverse.assets import add, installed, open_pack, remove
from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.environment import world
from torchmultiverse.assets.maps import read_map
from torchmultiverse.assets.model import MAX_TRIANGLES, MeshModel, Submesh, cleaned, pack, unpack
from torchmultiverse.errors import AssetError, MissingExtra


def baked(name="Block", pack="mine", edge=0.05):
    return bake(open_pack(pack).model(name), edge)


def color_at(mesh, point):
    return mesh.color[np.linalg.norm(mesh.vertices - point, axis=1).argmin()]


@pytest.mark.parametrize(("file", "up", "forward"), [("block.glb", "y", "z"), ("block.obj", "y", "z")])
def test_a_mesh_is_turned_scaled_and_grounded_and_keeps_its_colours(folder, file, up, forward):
    manifest(folder, {"name": "Block", "file": file})
    add(folder)
    mesh = baked()
    # 2 × 6 × 4 units with y up and z forward: 4 long, 2 wide, 6 high; the largest becomes 1.6 m.
    scale = 1.6 / 6
    assert np.allclose(mesh.vertices.min(0), [-2 * scale, -scale, 0], atol=1e-5)
    assert np.allclose(mesh.vertices.max(0), [2 * scale, scale, 1.6], atol=1e-5)
    # The side that looked along +z looks along +x; on it the file's +x (u to the right) points to +y.
    front = [2 * scale, 0, 0]
    left, low = np.array([0, scale / 2, 0]), np.array([0, 0, 0.4])
    assert np.allclose(color_at(mesh, front - left + 3 * low), [0.95, 0, 0], atol=0.02)
    assert np.allclose(color_at(mesh, front + left + 3 * low), [0, 0.95, 0], atol=0.02)
    assert np.allclose(color_at(mesh, front - left + low), [0, 0, 0.95], atol=0.02)
    assert np.allclose(color_at(mesh, front + left + low), 0.95, atol=0.02)
    on_front = mesh.vertices[:, 0] > 2 * scale - 1e-4
    assert (mesh.normals[on_front] @ [1, 0, 0] > 0.99).mean() > 0.8
    corners = mesh.vertices[mesh.faces].astype(float)
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((outward * (corners.mean(1) - [0, 0, 0.8])).sum(1) > 0).all(), "faces look outwards"


def test_size_axes_and_colours_of_vertices(folder):
    manifest(folder, {"name": "Plain", "file": "plain.ply", "size": 1.2, "up": "-x", "forward": "y", "hover": 0.5})
    item = add(folder).manifest.assets[0]
    assert (item.hover, item.size, item.triangles) == (0.5, 1.2, 12)
    mesh = baked("Plain")
    assert np.allclose(np.ptp(mesh.vertices, axis=0), [1.2, 0.8, 0.4], atol=1e-5)
    orange = [0.95, (128 / 255 + 0.055) ** 2.4 / 1.055**2.4, 0]
    assert np.allclose(mesh.color, orange, atol=0.01)


def test_a_texture_is_split_without_cracks_and_without_bleeding():
    # Two triangles that share an edge, one of them much larger, and a third beside a seam.
    piece = Submesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32),
        np.tile(np.array([0, 0, 1], np.float32), (4, 1)),
        np.array([[0, 1, 2], [2, 1, 3]], np.uint32),
        uv=np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32),
        image=np.asarray(checkered().convert("RGBA")),
    )
    mesh = bake(MeshModel((piece,)), 0.03)
    corners = mesh.vertices[mesh.faces].astype(float)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(1, abs=1e-5)
    edges = np.sort(np.stack([mesh.faces, np.roll(mesh.faces, -1, 1)], -1).reshape(-1, 2), 1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    once = np.unique(edges, axis=0)[uses == 1]
    middle = mesh.vertices[once].mean(1)
    assert uses.max() == 2
    assert (np.isclose(middle, 0) | np.isclose(middle, 1))[:, :2].any(1).all(), "an edge with one face is at the border"
    away = np.abs(mesh.vertices[:, :2] - 0.5).min(1) > 0.06
    inner = away & (np.abs(mesh.vertices[:, :2] - 0.5).max(1) < 0.45)
    expected = np.where(mesh.vertices[:, :1] < 0.5, [[0.95, 0, 0]], [[0, 0.95, 0]])
    upper = inner & (mesh.vertices[:, 1] > 0.5)
    assert np.allclose(mesh.color[upper], expected[upper], atol=0.02)


def test_a_fine_texture_is_averaged_and_holes_are_cut(folder):
    noise = np.zeros((256, 256, 4), np.uint8)
    noise[::2, ::2, :3] = noise[1::2, 1::2, :3] = 255
    noise[..., 3] = np.where(np.arange(256) < 128, 255, 0)[:, None]
    write_obj(folder, "cut", block(image=Image.fromarray(noise)))
    manifest(folder, {"name": "Cut", "file": "cut.obj"})
    add(folder)
    mesh = baked("Cut")
    front = mesh.normals[:, 0] > 0.99
    assert mesh.vertices[front][:, 2].min() == pytest.approx(0.8, abs=0.03), "the clear half is not there"
    assert np.abs(mesh.color[front][:, 0].mean() - 0.5) < 0.02
    assert mesh.color[front].std() < 0.1


def test_an_upside_down_winding_is_turned_outwards():
    box = trimesh.creation.box()
    vertices = box.vertices[box.faces].reshape(-1, 3).astype(np.float32)
    normals = np.repeat(box.face_normals, 3, 0).astype(np.float32)
    faces = np.arange(36, dtype=np.uint32).reshape(-1, 3)[:, ::-1]
    model, _ = cleaned(MeshModel((Submesh(vertices, normals, faces),)), "x")
    corners = model.pieces[0].vertices[model.pieces[0].faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((outward * corners.mean(1)).sum(1) > 0).all()


def test_too_many_triangles_are_decimated_with_their_colours(folder, monkeypatch):
    monkeypatch.setattr("torchmultiverse.assets.model.KEPT_TRIANGLES", 800)
    ball = trimesh.creation.icosphere(subdivisions=4)
    ball.visual.vertex_colors = np.where(ball.vertices[:, 2:] > 0, [[255, 0, 0, 255]], [[0, 0, 255, 255]])
    ball.export(folder / "ball.ply")
    manifest(folder, {"name": "Ball", "file": "ball.ply"})
    told = []
    item = add(folder, progress=lambda text, long: told.append((text, long))).manifest.assets[0]
    assert told == [("reading Ball", False), ("decimating Ball, 5,120 triangles", True)]
    assert item.triangles <= 800
    assert "decimated from 5,120 to" in " ".join(item.notes)
    mesh = baked("Ball")
    assert np.allclose(np.linalg.norm(mesh.vertices - [0, 0, 0.8], axis=1), 0.8, atol=0.02)
    top = mesh.vertices[:, 2] > 1
    assert np.allclose(mesh.color[top], [0.95, 0, 0], atol=0.01)


def test_a_model_survives_its_file():
    piece = Submesh(
        *(np.random.default_rng(0).random((4, 3)).astype(np.float32) for _ in range(2)), np.eye(3, dtype=np.uint32)
    )
    (back,) = unpack(pack(MeshModel((piece,)))).pieces
    assert np.array_equal(back.vertices, piece.vertices)
    assert np.array_equal(back.faces, piece.faces)
    assert (back.uv, back.image, back.cut) == (None, None, 0.0)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"license": ""}, r"assets\[0\] \(Block\): it has no license; write its SPDX identifier"),
        ({"attribution": ""}, r"CC-BY-4.0 asks to name who made it; write 'attribution'"),
        ({"assets": [{"name": "B", "file": "block.glb", "sise": 2}]}, r"assets.0.sise: .*Did you mean 'size'"),
        ({"assets": [{"name": "B", "file": "block.glb", "size": 80.0}]}, r"assets.0.size: .*less than or equal to 3"),
        ({"assets": [{"name": "../B", "file": "block.glb"}]}, r"assets.0.name"),
        ({"assets": [{"name": "B"}]}, r"assets.0.file: Field required"),
        ({"assets": [{"name": "blank", "file": "block.glb"}]}, r"the name 'blank' means something else"),
        ({"assets": [{"name": "B", "file": "blok.glb"}]}, r"no file 'blok.glb' in .* Did you mean 'block.glb'"),
        ({"assets": [{"name": "B", "file": "block.mtl"}]}, r"is no asset: its name should end in one of .glb"),
        ({"assets": [{"name": "B", "file": "block.glb", "kind": "environment"}]}, r"is no environment: .* .hdr, .exr"),
        ({"assets": [{"name": "B", "file": "block.glb", "up": "z"}]}, r"up is 'z' and forward 'z', on one axis"),
        ({"assets": [{"name": "B", "file": "../secret.glb"}]}, r"'../secret.glb' leads out of"),
        ({"assets": [{"name": "B", "file": "/etc/passwd"}]}, r"is no path inside"),
        ({"assets": [{"name": "B", "file": "file:///etc/passwd"}]}, r"is no path inside"),
        ({"assets": [{"name": "B", "file": "link.glb"}]}, r"'link.glb' leads out of"),
        ({"assets": [{"name": "B", "file": "block.glb"}] * 2}, r"the character 'B' is there twice"),
        ({"attribution": "\ud800"}, r"not JSON: .*surrogates not allowed"),
        ({"assets": [{"name": "B", "file": "a\0b"}]}, r"cannot be followed"),
        ({"assets": [{"name": "B", "file": "a" * 300}]}, r"cannot be followed"),
        ({"name": "procedural"}, r"'procedural' is what comes with the package"),
    ],
)
def test_a_wrong_manifest_says_what_and_where_and_installs_nothing(folder, packs, change, message):
    secret = folder.parent / "secret.glb"
    secret.write_bytes(b"glTF")
    (folder / "link.glb").symlink_to(secret)
    data = json.loads((folder / "assets.json").read_text())
    (folder / "assets.json").write_text(json.dumps(data | change))
    with pytest.raises(AssetError, match=message):
        add(folder)
    assert installed() == []
    assert not packs.exists() or os.listdir(packs) == []


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_installed(folder, packs):
    """Silently wrong would be: a folder of two hundred files that is mended fault by fault, a run for each."""
    (folder / "broken.glb").write_bytes(b"no mesh at all")
    (folder / "short.ply").write_bytes(b"ply\n")
    manifest(
        folder, {"name": "Block", "file": "block.glb"}, {"name": "A", "file": "broken.glb"}, {"name": "B"},
        {"name": "C", "file": "short.ply"}, {"name": "D", "file": "gone.glb"},
        {"name": "E", "file": "block.glb", "a": 1}, {"name": "Desk_1", "class": "Sofa", "file": "block.glb"},
        {"name": "Block", "file": "block.obj"}, {"file": "block.obj"},
        {"name": "F", "file": "block.obj", "license": ""},
    )  # fmt: skip
    with pytest.raises(AssetError) as error:
        add(folder, "bad/name")
    first, *lines = str(error.value).splitlines()
    assert first == "10 faults, so nothing is installed:"
    for fault in (
        "assets.2.file: Field required", "assets.5.a: no such key is known", r"'bad/name' is no name of a pack",
        r"assets\[6\] \(Desk_1\): 'Desk_1' is an asset of the class 'Desk'",
        r"assets\[8\] .* neither a name nor a class",
        r"assets\[4\] \(D\): there is no file 'gone.glb'",
        r"assets\[7\] \(Block\): the character 'Block' is there twice",
        r"assets\[9\] \(F\): it has no license", r"assets\[1\] \(A\): .*GLB", r"assets\[3\] \(C\): ",
    ):  # fmt: skip
        assert sum(bool(re.search(fault, line)) for line in lines) == 1, (fault, lines)
    manifest(folder, *({"name": f"N{k}", "file": f"gone{k}.glb"} for k in range(33)))
    with pytest.raises(AssetError, match=r"33 faults, so nothing is installed:\n(?s:.*)\n… and 13 more"):
        add(folder)
    assert not packs.exists() or os.listdir(packs) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", r"assets.json: it lists no assets; write them, for example:\n\{\"license\""),
        (b"\xff\xfe\x00\xd8\x00", r"assets.json: its bytes are no text; save it as JSON in UTF-8"),
        (b'{"assets": 3}', r"assets: a list of assets is needed, such as \[\{\"name\": \"Fox\""),
        (b"[3]", r"assets.0: an object is needed, such as \{\"name\": \"Fox\""),
        (b'{"assets": [\n{,', r"assets.json:2:2: not JSON: "),
        (b'[{"name": "1st", "file": "block.glb"}]',
         r"assets.0.name: a name is needed: letters, digits, - and _, .* \(found .1st.\)"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_manifest_is_told_in_words(folder, data, message):
    (folder / "assets.json").write_bytes(data)
    with pytest.raises(AssetError, match=message):
        add(folder)


def test_names_that_something_else_has_are_remarked(folder):
    write_map(folder / "sky.hdr", sky_map())
    names = {"Banana_99": "no published design asks for it: the class 'Banana' has Banana_1 to Banana_5",
             "Desert": "'Desert' is also the name of a world", "Zebra": "an animal of the package has the name 'Zebra'",
             "Sky": "'Sky' is also the name of a world", "Banana_5": None, "Fox": None}  # fmt: skip
    meshes = [{"name": name, "file": "block.glb"} for name in names]
    manifest(folder, *meshes, {"name": "Sky", "file": "sky.hdr"}, {"name": "Snow", "file": "sky.hdr"})
    notes = {(item.kind, item.name): " ".join(item.notes) for item in add(folder).manifest.assets}
    for name, said in names.items():
        assert (said in notes["character", name]) if said else notes["character", name] == ""
    assert notes["environment", "Sky"] == ""
    assert notes["environment", "Snow"].startswith("a world of the package has the name 'Snow' too")


def test_a_folder_without_a_manifest_is_shown_one(folder):
    (folder / "assets.json").unlink()
    with pytest.raises(AssetError) as error:
        add(folder)
    shown = str(error.value).partition("\n")[2]
    (folder / "assets.json").write_text(shown)
    assert len(add(folder).manifest.assets) == 3


def glb(change):
    """The bytes of a box's GLB with its JSON changed."""
    data = block().export(file_type="glb")
    length = struct.unpack("<I", data[12:16])[0]
    header = json.loads(data[20 : 20 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    return struct.pack("<IIIII", 0x46546C67, 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


@pytest.mark.parametrize("uri", ["../secret.png", "/etc/passwd", "file:///etc/passwd", "%2e%2e/secret.png", "out.png"])
def test_a_mesh_reads_nothing_outside_its_folder(folder, uri):
    checkered().save(folder.parent / "secret.png")
    (folder / "out.png").symlink_to(folder.parent / "secret.png")

    def change(header):
        header["images"] = [{"uri": uri}]

    (folder / "block.glb").write_bytes(glb(change))
    with pytest.raises(AssetError, match=r"leads out of|is no path inside"):
        add(folder)
    (folder / "block.obj").write_text(f"mtllib block.mtl\n{(folder / 'block.obj').read_text()}")
    (folder / "block.mtl").write_text(f"newmtl skin\nmap_Kd {uri}\n")
    manifest(folder, {"name": "Block", "file": "block.obj"})
    with pytest.raises(AssetError, match=r"leads out of|is no path inside"):
        add(folder)


def test_what_is_missing_or_broken_is_named(folder):
    (folder / "block.mtl").write_text("newmtl skin\nmap_Kd gone.png\n")
    manifest(folder, {"name": "Block", "file": "block.obj"})
    with pytest.raises(AssetError, match=r"assets\[0\] \(Block\): there is no file 'gone.png'"):
        add(folder)
    (folder / "gone.png").write_bytes(b"no picture")
    with pytest.raises(AssetError, match=r"'gone\.png' is no picture"):
        add(folder)
    manifest(folder, {"name": "Block", "file": "block.glb"})
    (folder / "block.glb").write_bytes(glb(lambda h: h.update(extensionsRequired=["KHR_draco_mesh_compression"])))
    with pytest.raises(
        AssetError, match="cannot be shown without KHR_draco_mesh_compression, which is not read; export it without"
    ):
        add(folder)
    (folder / "block.glb").write_bytes(b"glTF but not really, only a few bytes")
    with pytest.raises(AssetError, match="it is no GLB file"):
        add(folder)


def piece(vertices, faces):
    vertices = np.asarray(vertices, np.float32)
    return MeshModel((Submesh(vertices, np.zeros_like(vertices), np.asarray(faces, np.uint32)),))


def test_geometry_is_checked():
    with pytest.raises(AssetError, match="x: 1 of 3 vertices are not finite numbers"):
        cleaned(piece([[0, 0, 0], [1, np.nan, 0], [0, 1, 0]], [[0, 1, 2]]), "x")
    with pytest.raises(AssetError, match="x: a face names vertex 7, there are 3"):
        cleaned(piece([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 7]]), "x")
    with pytest.raises(AssetError, match="none of its 1 triangles has an area"):
        cleaned(piece([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]), "x")
    with pytest.raises(AssetError, match="5,000,001 triangles; at most 5,000,000"):
        cleaned(piece([[0, 0, 0]], np.zeros((MAX_TRIANGLES + 1, 3), np.uint32)), "x")
    model, notes = cleaned(piece([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2], [0, 0, 1]]), "x")
    assert (model.triangles, notes) == (1, ["1 triangles without area were left out"])


def test_an_installed_pack_that_was_changed_is_refused_and_one_is_replaced_whole(folder, packs):
    first = add(folder).fingerprint
    assert add(folder).fingerprint == first, "the same folder is the same pack"
    manifest(folder, {"name": "Other", "file": "block.glb", "size": 1.0})
    second = add(folder)
    assert second.fingerprint != first
    assert sorted(os.listdir(packs / "mine")) == ["character-Other.npz", "pack.json"]
    (packs / "mine" / "character-Other.npz").write_bytes(b"something else")
    with pytest.raises(AssetError, match="has changed since it was installed"):
        open_pack("mine").model("Other")
    with pytest.raises(
        AssetError, match=r"'mien' is installed\. Did you mean 'mine'\? Install: torchmultiverse assets add"
    ):
        open_pack("mien")
    with pytest.raises(AssetError, match="Install: torchmultiverse assets build 0ad"):
        open_pack("0ad")
    remove("mine")
    assert os.listdir(packs) == []


# -- environments -----------------------------------------------------------------------------------------------------


def sky_map(height=64):
    """Blue above and green below, a red mark to the right of the middle, a sun to the left."""
    values = np.zeros((height, 2 * height, 3), np.float32)
    values[: height // 2], values[height // 2 :] = (0.2, 0.4, 1.0), (0.05, 0.2, 0.05)
    values[height // 2 - 4 : height // 2, height + 4 : height + 8] = (3, 0, 0)
    values[10:12, 20:22] = 400
    return values


@pytest.mark.parametrize("ending", ["hdr", "exr"])
def test_a_map_keeps_its_light_and_its_directions(folder, ending):
    write_map(folder / f"sky.{ending}", sky_map())
    manifest(folder, {"name": "Meadow", "file": f"sky.{ending}", "exposure": 0.5})
    (item,) = add(folder).manifest.assets
    assert (item.kind, item.exposure) == ("environment", 0.5)
    radiance = open_pack("mine").radiance("Meadow")
    assert radiance.mean() == pytest.approx(sky_map().mean(), rel=0.01)
    # Column of an azimuth: 90 degrees is +y. The mark is to the right of it, which is a smaller azimuth.
    red = np.flatnonzero((radiance[31, :, 0] > 2) & (radiance[31, :, 2] < 0.1))
    azimuth = (red.mean() + 0.5) / radiance.shape[1] * 360
    assert azimuth == pytest.approx(90 - 6 / 128 * 360, abs=0.1)


def test_a_map_becomes_a_world_whose_ground_has_its_colours(folder):
    write_map(folder / "sky.hdr", sky_map())
    made = world("Meadow", read_map(folder / "sky.hdr", "x")[0], "meadow", 0.0)
    (ground,) = made.parts
    color = ground.material.color.reshape(-1, 3).mean(0)
    assert color[1] > 1.5 * color[0]
    assert np.allclose(ground.mesh.vertices[:, 2], 0)
    corners = ground.mesh.vertices[ground.mesh.faces].astype(float)
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all(), "it faces up"
    assert made.ground(0.3, -2) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((8, 8, 3)), "8 × 8 pixels; a map of all directions .* is twice as wide as high"),
        (np.zeros((8, 16, 3)), "its upper half is black"),
        (np.full((8, 16, 3), np.nan), "128 of 128 pixels are no light"),
    ],
)
def test_a_map_is_checked(folder, values, message):
    write_map(folder / "sky.exr", values)
    with pytest.raises(AssetError, match=message):
        read_map(folder / "sky.exr", "x")


def test_a_map_that_claims_to_be_huge_is_not_unpacked(folder):
    (folder / "sky.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 99999 +X 199998\n")
    with pytest.raises(AssetError, match="199998 × 99999 pixels; at most"):
        read_map(folder / "sky.hdr", "x")
    (folder / "sky.hdr").write_bytes(b"not at all")
    with pytest.raises(AssetError, match="no Radiance HDR file"):
        read_map(folder / "sky.hdr", "x")


def test_without_the_decimator_the_extra_is_named(folder, monkeypatch):
    import sys

    monkeypatch.setattr("torchmultiverse.assets.model.KEPT_TRIANGLES", 4)
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with pytest.raises(MissingExtra, match=r"decimating 12 triangles needs .*torchmultiverse\[assets\]"):
        add(folder)
