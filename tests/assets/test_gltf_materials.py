"""Materials of GLB files as parts. What could silently be wrong: metal, glass or a lamp drawn as plastic, or the
whole of a model where only some of it is; a solid glass of another colour because its file has other units; a texture
that is lost, or not multiplied with the colours of the vertices; a lens that a ``Character_Texture`` paints over;
a lamp or a pane that is lost where a mesh is made coarser.
The files are made here, number by number, and the right values are the format's.
"""

import numpy as np
import pytest
from glb_file import CORNERS, SQUARE, TWO, Glb
from small_files import manifest

from torchmultiverse.assets import add
from torchmultiverse.assets.decimate import decimated
from torchmultiverse.assets.model import MeshModel, Submesh, named_to_keep, pack, unpack
from torchmultiverse.assets.packs import PackAssets
from torchmultiverse.assets.parts import parts_of
from torchmultiverse.assets.reading import read_model

EXTENSIONS = "extensions"
ASIDE = np.array([2.0, 0, 0])


def read(glb, tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(glb.bytes())
    return read_model(path, tmp_path, "x")


def one(tmp_path, material, **attributes):
    glb = Glb()
    glb.square(material, **{name: glb.array(values) for name, values in attributes.items()})
    return read(glb, tmp_path)[0].pieces


def plain(**facts):
    return {"name": "m", "pbrMetallicRoughness": facts}


@pytest.mark.parametrize(
    ("facts", "metallic", "roughness"),
    [
        ({"metallicFactor": 1, "roughnessFactor": 0.2}, 1, 0.2),
        ({"roughnessFactor": 0.2}, 1, 0.2),  # by the format the factor is 1
        ({"metallicFactor": 0, "roughnessFactor": 0.2}, 0, 0.2),
        ({"metallicFactor": 0.4}, 0, 0.7),
        ({"baseColorFactor": [1, 0, 0, 1]}, 0, 0.7),  # a file that knows of no metal
    ],
)
def test_metal_is_what_the_factor_says(tmp_path, facts, metallic, roughness):
    (piece,) = one(tmp_path, plain(**facts))
    assert (piece.metallic, piece.roughness) == (metallic, pytest.approx(roughness))


def halves(left, right):
    """A picture of two colours, left and right."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4], image[:, 4:] = left, right
    return image


def test_a_texture_says_which_faces_are_metal_and_how_rough_each_texel_is(tmp_path):
    """Of two squares the left one lies where the texture says metal (blue) and smooth (green)."""
    glb = Glb()
    image = glb.texture(halves([0, 51, 255], [0, 204, 0]))
    corners = np.concatenate([CORNERS * [0.4, 1], CORNERS * [0.4, 1] + [0.6, 0]])
    attributes = {
        "POSITION": glb.array(np.concatenate([SQUARE, SQUARE + ASIDE])),
        "NORMAL": glb.array(np.tile([0, 0, 1], (8, 1))),
        "TEXCOORD_0": glb.array(corners),
    }
    glb.mesh(attributes, [*TWO, *(k + 4 for k in TWO)], plain(metallicRoughnessTexture={"index": image}))
    rough, metal = sorted(read(glb, tmp_path)[0].pieces, key=lambda piece: piece.metallic)
    assert metal.vertices[metal.faces].reshape(-1, 3)[:, 0].max() == 1
    assert rough.vertices[rough.faces].reshape(-1, 3)[:, 0].min() == 2
    parts = parts_of(MeshModel((rough, metal)), 0.1, 256)
    assert [part.material.metallic for part in parts] == [0, 1]
    assert all(part.material.color is not None for part in parts), "a texture of roughness needs coordinates"
    assert set(np.unique(parts[0].material.rough)) == {51, 204}


@pytest.mark.parametrize(
    ("more", "glass"),
    [
        ({}, -1.5),
        ({"KHR_materials_ior": {"ior": 1.33}}, -1.33),
        ({"KHR_materials_volume": {"thicknessFactor": 1}, "KHR_materials_ior": {"ior": 1.33}}, 1.33),
        ({"KHR_materials_volume": {"thicknessFactor": 0}}, -1.5),
        ({"KHR_materials_transmission": {"transmissionFactor": 0.2}}, 0),
    ],
)
def test_transmission_is_glass_a_pane_without_a_volume_and_solid_with_one(tmp_path, more, glass):
    extensions = {"KHR_materials_transmission": {"transmissionFactor": 1}} | more
    material = plain(roughnessFactor=0.1, metallicFactor=0, baseColorFactor=[1, 0.5, 0.5, 1])
    (piece,) = one(tmp_path, material | {EXTENSIONS: extensions})
    assert piece.glass == glass
    assert piece.keeps == (glass != 0)
    assert piece.tint == pytest.approx((1, 0.5, 0.5))
    assert piece.roughness == pytest.approx(0.1)


@pytest.mark.parametrize("size", [1, 100])
def test_the_colour_of_solid_glass_does_not_depend_on_the_units_of_its_file(tmp_path, size):
    """Light that is left with 0.25 of its red after half the body's length, is so after 0.8 of 1.6 m here."""
    volume = {"thicknessFactor": 1, "attenuationDistance": 0.5 * size, "attenuationColor": [0.25, 1, 1]}
    extensions = {"KHR_materials_transmission": {"transmissionFactor": 1}, "KHR_materials_volume": volume}
    glb = Glb()
    glb.square(plain() | {EXTENSIONS: extensions})
    glb.header["nodes"][0]["scale"] = [size] * 3
    (piece,) = read(glb, tmp_path)[0].pieces
    assert piece.tint == pytest.approx((0.25 ** (0.1 / 0.8), 1, 1))


def test_a_clear_coat_is_a_coat(tmp_path):
    (piece,) = one(tmp_path, plain() | {EXTENSIONS: {"KHR_materials_clearcoat": {"clearcoatFactor": 0.8}}})
    assert piece.coat == pytest.approx(0.8)
    (part,) = parts_of(MeshModel((piece,)), 0.1, 256)
    assert part.material.coat == pytest.approx(0.8)


def test_a_lamp_has_the_colour_and_the_strength_of_its_light(tmp_path):
    strength = {"KHR_materials_emissive_strength": {"emissiveStrength": 6}}
    black = plain(baseColorFactor=[0, 0, 0, 1])
    (piece,) = one(tmp_path, black | {"emissiveFactor": [0.5, 0.25, 0], EXTENSIONS: strength})
    assert piece.emission == pytest.approx(3)
    assert piece.tint == pytest.approx((1, 0.5, 0))
    (part,) = parts_of(MeshModel((piece,)), 0.1, 256)
    assert part.keeps
    assert part.material.samples_light


def test_a_texture_says_which_faces_give_off_light(tmp_path):
    glb = Glb()
    glow, skin = glb.texture(halves([0, 0, 0], [0, 255, 0])), glb.texture(halves([255, 0, 0], [255, 0, 0]))
    attributes = {
        "POSITION": glb.array(np.concatenate([SQUARE, SQUARE + ASIDE])),
        "NORMAL": glb.array(np.tile([0, 0, 1], (8, 1))),
        "TEXCOORD_0": glb.array(np.concatenate([CORNERS * [0.4, 1], CORNERS * [0.4, 1] + [0.6, 0]])),
    }
    material = plain(baseColorTexture={"index": skin}) | {
        "emissiveFactor": [1, 1, 1],
        "emissiveTexture": {"index": glow},
    }
    glb.mesh(attributes, [*TWO, *(k + 4 for k in TWO)], material)
    dark, lamp = read(glb, tmp_path)[0].pieces
    assert (dark.emission, lamp.emission) == (0, 1)
    assert lamp.vertices[lamp.faces].reshape(-1, 3)[:, 0].min() == 2
    assert dark.image[0, 0].tolist() == [255, 0, 0, 255]
    assert lamp.image[0, -1].tolist() == [0, 255, 0, 255]


def test_a_texture_stays_one_and_is_multiplied_with_the_colours_of_the_vertices(tmp_path):
    glb = Glb()
    image = glb.texture(halves([255, 255, 255], [0, 0, 255]))
    more = {"TEXCOORD_0": glb.array(CORNERS), "COLOR_0": glb.array(np.tile([0.5, 0.5, 0.5], (4, 1)))}
    glb.square(plain(baseColorTexture={"index": image}, baseColorFactor=[0.5, 1, 1, 1]), **more)
    (part,) = parts_of(read(glb, tmp_path)[0], 0.1, 256)
    assert part.material.color is not None
    assert part.material.color[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_allclose(part.mesh.colors, np.tile([0.25, 0.5, 0.5], (4, 1)), atol=1e-6)


def test_names_say_what_keeps_its_own():
    kept = ["Head_Lights", "lens", "window.001", "Glass2", "lampGlass", "Screen", "BrakeLight", "mirrors"]
    assert [name for name in kept if not named_to_keep(name)] == []
    others = ["light_wood", "LightGrey", "glasses_frame", "lampshade", "lightning", "body", "windows_frame_highlight"]
    assert [name for name in others if named_to_keep(name)] == ["windows_frame_highlight"]


def test_a_texture_leaves_panes_lamps_and_lenses_as_they_are(folder):
    glb = Glb()
    glb.square({"name": "body", "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}})
    glb.square({"name": "lens", "pbrMetallicRoughness": {"baseColorFactor": [0, 1, 0, 1]}})
    pane = {EXTENSIONS: {"KHR_materials_transmission": {"transmissionFactor": 1}}}
    glb.square({"name": "m", "pbrMetallicRoughness": {}} | pane)
    nodes = [{"mesh": k, "translation": [0, 1.5 * k, 0]} for k in range(3)]
    glb.header |= {"nodes": nodes, "scenes": [{"nodes": [0, 1, 2]}]}
    (folder / "three.glb").write_bytes(glb.bytes())
    manifest(folder, {"name": "Three", "file": "three.glb"})
    source = PackAssets(add(folder))
    own = source.load("Three", "Default", 64)
    assert len(own.parts) == 3
    blue = source.load("Three", "Blue", 64)
    body, *kept = blue.parts
    assert sum(len(part.mesh.vertices) for part in blue.parts) == len(blue.vertices)
    assert (body.mesh.colors[:, 2] > body.mesh.colors[:, 0]).all()
    assert not body.keeps
    assert sorted(part.material.glass for part in kept) == [-1.5, 0]
    lens = next(part for part in kept if part.material.glass == 0)
    np.testing.assert_allclose(lens.mesh.colors, np.tile([0, 0.95, 0], (len(lens.mesh.vertices), 1)), atol=1e-6)
    tail = blue.color[len(body.mesh.vertices) :]
    np.testing.assert_allclose(tail, np.concatenate([part.mesh.colors for part in kept]), atol=1e-6)


def ball(side, offset, **facts):
    """A square grid bent to a bowl: many triangles of one material."""
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    vertices = np.stack([x, y, 0.3 * (x * x + y * y)], -1).reshape(-1, 3).astype(np.float32) + np.float32(offset)
    k = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1)
    faces = np.concatenate([np.stack([k, k + 1, k + side], 1), np.stack([k + 1, k + side + 1, k + side], 1)])
    return Submesh(vertices, np.tile(np.float32([0, 0, 1]), (side * side, 1)), faces.astype(np.uint32), **facts)


def test_a_mesh_that_is_made_coarser_keeps_its_parts():
    body = ball(80, 0.0, tint=(1, 0, 0))
    metal = ball(60, 2.0, tint=(0, 1, 0), metallic=1.0, roughness=0.2)
    lamp = ball(8, 4.0, tint=(0, 0, 1), emission=3.0)
    model = MeshModel((body, metal, lamp, ball(20, 6.0, glass=-1.5)))
    fewer = decimated(model, 6000)
    assert 4000 < fewer.triangles < 7000
    assert [(p.metallic, p.emission, p.glass) for p in fewer.pieces] == [(0, 0, 0), (1, 0, 0), (0, 3, 0), (0, 0, -1.5)]
    assert len(fewer.pieces[2].faces) == len(lamp.faces), "a small part keeps its shape"
    np.testing.assert_allclose([piece.colors[0] for piece in fewer.pieces[:3]], 0.95 * np.eye(3), atol=1e-6)
    again = unpack(pack(fewer))
    assert [piece.glass for piece in again.pieces] == [0, 0, 0, -1.5]
