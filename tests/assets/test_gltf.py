"""What a GLB file says is what is drawn. What could silently be wrong: whole numbers taken for other colours; a texture
at the wrong place, or another material's; a shape without its morph, its sparse entries, its joints or its instances;
triangles that are left out; a clear hull that hides the body and makes it small; any of this without a word.
The files are made here, number by number, and the right values are the format's.
"""

import re

import numpy as np
import pytest
from glb_file import CORNERS, SQUARE, TWO, Glb
from small_files import damaged, refusals

from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.model import MeshModel
from torchmultiverse.assets.reading import read_model
from torchmultiverse.errors import AssetError

RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]


def read(glb, tmp_path):
    path = tmp_path / "a.glb"
    path.write_bytes(glb.bytes() if isinstance(glb, Glb) else glb)
    return read_model(path, tmp_path, "x")


def quarters(*colors):
    """A picture of four squares: upper left, upper right, lower left, lower right."""
    return np.array(colors, np.uint8).reshape(2, 2, 3).repeat(32, 0).repeat(32, 1)


def seen(model, x, y):
    """The linear colour at a place of the square."""
    mesh = bake(model, 0.05)
    return mesh.color[np.linalg.norm(mesh.vertices - [x, y, 0], axis=1).argmin()]


@pytest.mark.parametrize(
    ("kind", "color", "more"),
    [
        ("f4", [0.5, 0.25, 0], {}),
        ("u1", [128, 64, 0], {"normalized": True}),
        ("u2", [32768, 16384, 0], {"normalized": True}),
        ("u2", [32768, 16384, 0, 65535], {"normalized": True}),
        ("u2", [32768, 16384, 0], {}),  # colours are fractions, whether or not an exporter forgets to say so
    ],
)
def test_colours_of_whole_numbers_are_fractions_of_their_range(tmp_path, kind, color, more):
    glb = Glb()
    glb.square(COLOR_0=glb.array(np.tile(color, (4, 1)), kind, **more))
    model, notes = read(glb, tmp_path)
    assert np.allclose(model.pieces[0].colors, [0.5, 0.25, 0], atol=0.005)
    assert notes == []


def test_a_texture_transform_is_applied_as_the_extension_s_own_example_says(tmp_path):
    """The example of the extension: only the lower left quadrant of the picture, turned clockwise by 90 degrees."""
    glb = Glb()
    image = np.zeros((64, 64, 3), np.uint8)
    image[32:, :32] = quarters(RED, GREEN, BLUE, WHITE)[::2, ::2]
    moved = {"offset": [0, 1], "rotation": np.pi / 2, "scale": [0.5, 0.5]}
    info = {"index": glb.texture(image), "extensions": {"KHR_texture_transform": moved}}
    glb.square({"pbrMetallicRoughness": {"baseColorTexture": info}}, TEXCOORD_0=glb.array(CORNERS))
    glb.header["extensionsRequired"] = glb.header["extensionsUsed"] = ["KHR_texture_transform"]
    model, notes = read(glb, tmp_path)
    assert notes == []
    # Turned clockwise the lower left comes to the upper left, the upper left to the upper right.
    assert np.allclose(seen(model, 0.25, 0.75), [0, 0, 0.95], atol=0.02)
    assert np.allclose(seen(model, 0.75, 0.75), [0.95, 0, 0], atol=0.02)
    assert np.allclose(seen(model, 0.75, 0.25), [0, 0.95, 0], atol=0.02)
    assert np.allclose(seen(model, 0.25, 0.25), 0.95, atol=0.02)


@pytest.mark.parametrize("where", ["texCoord", "transform"])
def test_the_texture_coordinates_are_those_that_the_material_names(tmp_path, where):
    glb = Glb()
    info = {"index": glb.texture(quarters(RED, GREEN, BLUE, WHITE))}
    if where == "texCoord":
        info["texCoord"] = 1
    else:
        info["extensions"] = {"KHR_texture_transform": {"texCoord": 1}}
    first, second = (glb.array(np.tile(place, (4, 1))) for place in ([0.75, 0.25], [0.25, 0.75]))
    glb.square({"pbrMetallicRoughness": {"baseColorTexture": info}}, TEXCOORD_0=first, TEXCOORD_1=second)
    model, _ = read(glb, tmp_path)
    assert np.allclose(seen(model, 0.5, 0.5), [0, 0, 0.95], atol=0.02)


def test_a_texture_of_16_bits_is_as_grey_as_it_says(tmp_path):
    """20,000 of 65,535 in sRGB is 0.076 in linear light; Pillow alone makes white of it."""
    glb = Glb()
    glb.texture(np.full((8, 8), 20000, np.uint16))
    glb.square({"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}, TEXCOORD_0=glb.array(CORNERS))
    model, _ = read(glb, tmp_path)
    assert np.allclose(seen(model, 0.5, 0.5), ((20000 / 65535 + 0.055) / 1.055) ** 2.4, atol=0.002)
    whole = glb.bytes()
    damaged_at = whole.index(b"IDAT") + 8
    with pytest.raises(AssetError, match="x: the texture of the material 'materials\\[0\\]' is no picture"):
        read(whole[:damaged_at] + bytes([whole[damaged_at] ^ 1]) + whole[damaged_at + 1 :], tmp_path)


@pytest.mark.parametrize("name", [{}, {"name": "skin"}])
def test_materials_are_told_apart_by_their_number_not_by_their_name(tmp_path, name):
    glb = Glb()
    textured = {"pbrMetallicRoughness": {"baseColorTexture": {"index": glb.texture(quarters(*[RED] * 4))}}, **name}
    plain = {"pbrMetallicRoughness": {"baseColorFactor": [0, 1, 0, 1]}, **name}
    glb.square(textured, TEXCOORD_0=glb.array(CORNERS))
    glb.square(plain)
    glb.header |= {"nodes": [{"mesh": 0}, {"mesh": 1, "translation": [5, 0, 0]}], "scenes": [{"nodes": [0, 1]}]}
    model, _ = read(glb, tmp_path)
    assert np.allclose(seen(model, 0.5, 0.5), [0.95, 0, 0], atol=0.02)
    assert np.allclose(seen(model, 5, 0), [0, 0.95, 0], atol=0.02)


@pytest.mark.parametrize(
    ("mesh", "node", "height"), [([0.5], None, 4), ([0.5], [1.0], 6), ([], None, 2), ([0.5], [0], 2)]
)
def test_morph_targets_have_the_weights_of_the_mesh_or_of_the_node(tmp_path, mesh, node, height):
    glb = Glb()
    primitive = glb.mesh({"POSITION": glb.array(SQUARE * [1, 2, 1])})
    primitive["targets"] = [{"POSITION": glb.array((SQUARE * 4) * [0, 1, 0])}]
    glb.header["meshes"][0]["weights"] = mesh
    if node is not None:
        glb.header["nodes"][0]["weights"] = node
    model, _ = read(glb, tmp_path)
    assert model.bounds()[1][1] == pytest.approx(height)


@pytest.mark.parametrize("base", [True, False])
def test_sparse_entries_replace_those_of_the_array_or_zeros(tmp_path, base):
    glb = Glb()
    index = glb.array(SQUARE)
    sparse = {
        "count": 2,
        "indices": {"bufferView": glb.view(np.array([1, 2], "<u2").tobytes()), "componentType": 5123},
        "values": {"bufferView": glb.view(np.array([[3, 0, 0], [3, 7, 0]], "<f4").tobytes())},
    }
    glb.header["accessors"][index]["sparse"] = sparse
    if not base:
        del glb.header["accessors"][index]["bufferView"]
    glb.mesh({"POSITION": index}, TWO if base else [0, 1, 2])
    model, _ = read(glb, tmp_path)
    assert np.allclose(model.bounds()[1], [3, 7, 0])
    assert model.pieces[0].vertices[:, 1].max() == 7
    assert (model.pieces[0].vertices == [0, 1, 0]).all(1).any() == base


def test_instances_stand_where_their_arrays_say(tmp_path):
    glb = Glb()
    glb.square()
    half = np.sqrt(0.5)
    given = {
        "TRANSLATION": glb.array([[0, 0, 0], [10, 0, 0], [0, 20, 0]]),
        "ROTATION": glb.array([[0, 0, 0, 1], [0, 0, half, half], [0, 0, 0, 1]]),  # the second a quarter turn about z
        "SCALE": glb.array([[1, 1, 1], [1, 1, 1], [3, 3, 3]]),
    }
    glb.header["nodes"] = [
        {"mesh": 0, "translation": [0, 0, 5], "extensions": {"EXT_mesh_gpu_instancing": {"attributes": given}}}
    ]
    glb.header["extensionsRequired"] = ["EXT_mesh_gpu_instancing"]
    model, _ = read(glb, tmp_path)
    assert model.triangles == 6
    points = {tuple(np.round(p, 4)) for piece in model.pieces for p in piece.vertices.tolist()}
    assert {(10, 0, 5), (9, 0, 5), (9, 1, 5), (10, 1, 5)} <= points
    assert {(0, 20, 5), (3, 20, 5), (3, 23, 5), (0, 23, 5)} <= points


@pytest.mark.parametrize(
    ("mode", "order"), [(4, TWO), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (6, None), (4, [0, 1, 2, 2, 3, 0])]
)
def test_lists_strips_and_fans_of_triangles_are_the_same_square_and_face_the_same_way(tmp_path, mode, order):
    glb = Glb()
    glb.square(indices=order)["mode"] = mode
    model, notes = read(glb, tmp_path)
    corners = model.pieces[0].vertices[model.pieces[0].faces].astype(float)
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] / 2
    assert np.allclose(area, [0.5, 0.5])
    assert np.allclose(corners.reshape(-1, 3).min(0), [0, 0, 0])
    assert np.allclose(corners.reshape(-1, 3).max(0), [1, 1, 0])
    assert not any("triangles" in note for note in notes)


@pytest.mark.parametrize(
    "hull",
    [
        {"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 1, 0]}},
        {"alphaMode": "MASK", "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 1, 0.4]}},
        {"alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}},
        {"alphaMode": "BLEND", "pbrMetallicRoughness": {}, "of vertices": True},
    ],
)
def test_a_clear_hull_is_neither_drawn_nor_measured_and_is_named(tmp_path, hull):
    glb = Glb()
    glb.texture(np.zeros((4, 4, 4)))
    glb.square({"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}})
    more = {"TEXCOORD_0": glb.array(CORNERS)}
    if hull.pop("of vertices", False):
        more["COLOR_0"] = glb.array(np.tile([1, 1, 1, 0.1], (4, 1)))
    glb.square({"name": "hull", **hull}, **more)
    glb.header |= {"nodes": [{"mesh": 0}, {"mesh": 1, "scale": [9, 9, 9]}], "scenes": [{"nodes": [0, 1]}]}
    model, notes = read(glb, tmp_path)
    assert model.triangles == 2
    assert np.allclose(model.bounds()[1], [1, 1, 0])
    assert any("'hull'" in note and "not drawn" in note for note in notes)
    glb.header["scenes"] = [{"nodes": [1]}]
    with pytest.raises(AssetError, match=r"no triangles that are to be seen: .*'hull'"):
        read(glb, tmp_path)


@pytest.mark.parametrize(
    ("u", "drawn"), [((0.6, 0.9), False), ((1.6, 1.9), False), ((0.4, 0.9), True), ((0.9, 1.1), True)]
)
def test_a_clear_hull_that_shares_the_body_s_texture_is_not_measured(tmp_path, u, drawn):
    """The left half of the picture is opaque, the right half clear; the hull lies in that, or reaches beyond."""
    glb = Glb()
    image = np.full((32, 32, 4), 255)
    image[:, 16:, 3] = 0
    material = {"alphaMode": "MASK", "pbrMetallicRoughness": {"baseColorTexture": {"index": glb.texture(image)}}}
    glb.square(material, TEXCOORD_0=glb.array(CORNERS * [0.4, 1]))
    glb.square(material, TEXCOORD_0=glb.array(CORNERS * [u[1] - u[0], 0.5] + [u[0], 0.2]))
    glb.header |= {"nodes": [{"mesh": 0}, {"mesh": 1, "scale": [9, 9, 9]}], "scenes": [{"nodes": [0, 1]}]}
    model, notes = read(glb, tmp_path)
    assert model.bounds()[1][0] == (9 if drawn else 1)
    assert any("2 faces lie where their texture is clear" in note for note in notes) != drawn


def test_alpha_of_an_opaque_material_means_nothing_and_half_is_not_hidden(tmp_path):
    glb = Glb()
    glb.square({"pbrMetallicRoughness": {"baseColorFactor": [0, 0, 1, 0]}})
    glb.square({"name": "eye", "alphaMode": "BLEND", "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 0.7]}})
    glb.header |= {"nodes": [{"mesh": 0}, {"mesh": 1}], "scenes": [{"nodes": [0, 1]}]}
    model, notes = read(glb, tmp_path)
    assert [piece.glass for piece in model.pieces] == [0, -1.5]
    np.testing.assert_allclose([piece.tint for piece in model.pieces], [(0, 0, 1), (1, 0.3, 0.3)], atol=1e-6)
    assert any("'eye' is see-through (its alpha is 0.7) and is drawn as thin glass" in note for note in notes)


def test_specular_glossiness_is_drawn_in_its_diffuse_colour(tmp_path):
    glb = Glb()
    shiny = {"diffuseFactor": [1, 0.5, 0, 1], "specularFactor": [0.04] * 3, "glossinessFactor": 0.6}
    glb.square({"name": "m", "extensions": {"KHR_materials_pbrSpecularGlossiness": shiny}})
    glb.header["extensionsUsed"] = ["KHR_materials_pbrSpecularGlossiness"]
    model, notes = read(glb, tmp_path)
    assert model.pieces[0].tint == (1, 0.5, 0)
    assert model.pieces[0].roughness == pytest.approx(0.4)
    assert not any("specular" in note for note in notes)
    shiny["specularFactor"] = [1, 0.8, 0]
    assert any("not drawn of 'm': its specular colour" in note for note in read(glb, tmp_path)[1])


def test_quantised_attributes_are_unfolded_by_their_range_and_their_node(tmp_path):
    glb = Glb()
    attributes = {
        "POSITION": glb.array(SQUARE * 32767, "i2", normalized=True),
        "NORMAL": glb.array(np.tile([0, 0, 127], (4, 1)), "i1", normalized=True),
        "TEXCOORD_0": glb.array(CORNERS * 65535, "u2", normalized=True),
    }
    image = glb.texture(quarters(RED, GREEN, BLUE, WHITE))
    glb.mesh(attributes, TWO, {"pbrMetallicRoughness": {"baseColorTexture": {"index": image}}})
    # Whole numbers that are no fractions: a byte for each metre, which the node makes smaller.
    glb.mesh({"POSITION": glb.array(SQUARE * 100, "i1")})
    glb.header |= {"nodes": [{"mesh": 0}, {"mesh": 1, "scale": [0.03] * 3}], "scenes": [{"nodes": [0, 1]}]}
    glb.header["extensionsRequired"] = ["KHR_mesh_quantization"]
    model, _ = read(glb, tmp_path)
    assert np.allclose(model.pieces[0].vertices, SQUARE)
    assert np.allclose(model.pieces[0].normals, [0, 0, 1])
    assert np.allclose(seen(MeshModel(model.pieces[:1]), 0.25, 0.75), [0.95, 0, 0], atol=0.02)
    assert np.allclose(model.bounds()[1], [3, 3, 0])


def test_a_skin_puts_each_vertex_where_its_joints_are_at_rest(tmp_path):
    """The lower joint stays, the upper is moved by (0, 5, 0) from where it was bound; the mesh's node is ignored."""
    glb = Glb()
    primitive = glb.square(
        JOINTS_0=glb.array([[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]], "u1"),
        WEIGHTS_0=glb.array([[255, 0, 0, 0], [255, 0, 0, 0], [255, 0, 0, 0], [51, 204, 0, 0]], "u1", normalized=True),
    )
    assert "JOINTS_0" in primitive["attributes"]
    bind = np.tile(np.eye(4), (2, 1, 1))
    bind[1, :3, 3] = [0, -1, 0]  # bound one above the root
    glb.header["skins"] = [{"joints": [1, 2], "inverseBindMatrices": glb.array(bind.transpose(0, 2, 1).reshape(2, 16))}]
    glb.header["nodes"] = [
        {"mesh": 0, "skin": 0, "translation": [100, 0, 0]},
        {"children": [2]},
        {"translation": [0, 6, 0]},
    ]
    glb.header["scenes"] = [{"nodes": [0, 1]}]
    model, _ = read(glb, tmp_path)
    assert np.allclose(model.pieces[0].vertices, [[0, 0, 0], [1, 0, 0], [1, 6, 0], [0, 5, 0]], atol=1e-5)
    # Without weights the mesh stands at its node, and that is said.
    del primitive["attributes"]["WEIGHTS_0"]
    model, notes = read(glb, tmp_path)
    assert model.bounds()[0][0] == 100
    assert any("not moved by its skin" in note for note in notes)


def test_a_mesh_without_normals_has_flat_faces_and_nodes_turn_and_mirror_it(tmp_path):
    glb = Glb()
    roof = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0]], float)
    glb.mesh({"POSITION": glb.array(roof)}, [0, 1, 2, 0, 2, 3])
    glb.header["nodes"] = [{"mesh": 0, "scale": [-1, 1, 2]}]
    model, _ = read(glb, tmp_path)
    (piece,) = model.pieces
    corners = piece.vertices[piece.faces].astype(float)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    cross /= np.linalg.norm(cross, axis=1, keepdims=True)
    # Both faces look up and towards +y, and keep doing so in the mirror.
    assert (cross[:, 2] > 0).all()
    assert np.allclose(piece.normals[piece.faces], cross[:, None], atol=1e-5)
    expected = np.array([[-2, 2, 1], [2, 2, 1]]) / 3  # of the planes through (∓1, 0, 0), (0, 1, 0) and (0, 0, 2)
    assert np.allclose(np.sort(cross[:, 0]), np.sort(expected[:, 0]), atol=1e-6)


def test_hidden_nodes_are_not_drawn(tmp_path):
    glb = Glb()
    glb.square()
    glb.header |= {
        "nodes": [{"mesh": 0}, {"mesh": 0, "scale": [9, 9, 9], "name": "box"}],
        "scenes": [{"nodes": [0, 1]}],
    }
    glb.header["nodes"][1]["extensions"] = {"KHR_node_visibility": {"visible": False}}
    model, notes = read(glb, tmp_path)
    assert model.triangles == 2
    assert any("'box' is hidden" in note for note in notes)


def texture_of(**more):
    return {"name": "m", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}, **more}


@pytest.mark.parametrize(
    ("material", "header", "message"),
    [
        (texture_of(normalTexture={"index": 0}), {}, "not drawn of 'm': normalTexture"),
        (texture_of(occlusionTexture={"index": 0}), {}, "occlusionTexture"),
        (texture_of(emissiveFactor=[1, 1, 1], emissiveTexture={"index": 0}), {}, "a way to draw it unlit"),
        (texture_of(), {"animations": [{}]}, "animations are not played"),
        (texture_of(), {"extensionsUsed": ["KHR_materials_sheen"]}, "not read: KHR_materials_sheen"),
        (texture_of(), {"extensionsUsed": ["EXT_new_thing"]}, "not read: EXT_new_thing"),
        (texture_of(), {"samplers": [{"wrapS": 33071}]}, "repeats beyond its border"),
    ],
)
def test_each_thing_that_is_not_drawn_is_named(tmp_path, material, header, message):
    glb = Glb()
    glb.texture(quarters(RED, GREEN, BLUE, WHITE))
    if "samplers" in header:
        glb.header["textures"][0]["sampler"] = 0
    glb.square(material, TEXCOORD_0=glb.array(CORNERS * 2))
    glb.header |= header
    assert any(message in note for note in read(glb, tmp_path)[1])


def test_a_name_from_a_file_cannot_speak_to_a_terminal(tmp_path):
    glb = Glb()
    glb.square({"name": "a\x1b[2Jb" + "c" * 100, "normalTexture": {"index": 0}})
    said = "".join(read(glb, tmp_path)[1])
    assert "\x1b" not in said
    assert "'a�[2Jbcc" in said
    assert len(said) < 250


def test_points_and_lines_are_named_beside_triangles(tmp_path):
    glb = Glb()
    glb.square()
    glb.header["meshes"][0]["primitives"].append({"attributes": {"POSITION": 0}, "mode": 0})
    assert any("is made of points and is not drawn" in note for note in read(glb, tmp_path)[1])


@pytest.mark.parametrize(
    "name", ["KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_texture_basisu", "EXT_new"]
)
def test_a_file_that_requires_what_is_not_read_is_refused_and_one_that_only_uses_it_is_not(tmp_path, name):
    glb = Glb()
    glb.square()
    glb.header["extensionsUsed"] = [name]
    assert read(glb, tmp_path)[0].triangles == 2
    glb.header["extensionsRequired"] = [name]
    with pytest.raises(AssetError, match=f"x: it cannot be shown without {name}"):
        read(glb, tmp_path)


def put(*path, value):
    """Return a change of a header."""

    def change(header):
        at = header
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("meshes", 0, "primitives", 0, "indices", value=99), "accessor names number 99, there are"),
        (put("meshes", 0, "primitives", 0, "indices", value=None), None),
        (put("meshes", 0, "primitives", 0, "indices", value=10**30), "accessor names number 1000"),
        (put("meshes", 0, "primitives", 0, "material", value=-1), "material: .*greater than or equal to 0"),
        (put("meshes", 0, "primitives", value=None), "meshes.0.primitives"),
        (put("accessors", 0, "count", value=10**12), "accessors.0.count"),
        (put("accessors", 0, "count", value=5), "do not fit into their"),
        (put("accessors", 0, "byteOffset", value=8), "do not fit into their"),
        (put("accessors", 0, "type", value="VEC9"), "entries of the type VEC9"),
        (put("accessors", 0, "type", value="SCALAR"), "entries of the type SCALAR"),
        (put("accessors", 0, "componentType", value=5124), "accessors.0.componentType"),
        (put("accessors", 2, "componentType", value=5126), "indices .*do not fit|entries of the type"),
        (put("bufferViews", 0, "byteLength", value=10**9), "ends at byte 1,000,000,000"),
        (put("bufferViews", 0, "buffer", value=3), "buffer names number 3"),
        (put("nodes", 0, "children", value=[0]), "node 0 stands in the scene twice"),
        (put("nodes", 0, "matrix", value=[1, 2]), "nodes.0.matrix"),
        (put("nodes", 0, "mesh", value="first"), "nodes.0.mesh"),
        (put("nodes", 0, "translation", value=[0, "a", 0]), "nodes.0.translation"),
        (put("nodes", value={}), "nodes: "),
        (put("scene", value=4), "scene names number 4"),
        (put("buffers", value=[{"byteLength": 4, "uri": "data:,x"}]), "its data cannot be read"),
        (put("buffers", value=[{"byteLength": 4, "uri": "gone.bin"}]), "there is no file 'gone.bin'"),
        (put("buffers", value=[{"byteLength": 4, "uri": "a" * 5000}]), "cannot be followed: .*too long"),
        (put("buffers", value=[{"byteLength": 4, "uri": "a\0b"}]), "cannot be followed"),
    ],
)
def test_a_header_that_is_wrong_is_refused_where_it_is_wrong(tmp_path, change, message):
    glb = Glb()
    glb.square()
    glb.header["buffers"] = [{"byteLength": 10_000}]
    change(glb.header)
    if message is None:
        read(glb, tmp_path)
        return
    with pytest.raises(AssetError, match=f"x: .*(?:{message})"):
        read(glb, tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no GLB file"),
        (b"solid stl file, under the wrong name", "it is no GLB file"),
        (b"glTF\1\0\0\0" + b"\0" * 20, "says version 1"),
        (b"glTF\2\0\0\0\x14\0\0\0\0\0\0\0JSON", "it is no GLB file that can be read: its JSON"),
        (b"glTF\2\0\0\0\xff\xff\0\0\0\0\0\0JSON", "20 of its 65,535 bytes are there"),
        (b"glTF\2\0\0\0\x14\0\0\0\xff\0\0\0JSON", "a chunk of 255 bytes"),
        (b"glTF\2\0\0\0\x14\0\0\0\0\0\0\0BIN\0", "its first chunk is not its JSON"),
    ],
)
def test_what_is_no_glb_is_refused_in_words(tmp_path, data, message):
    with pytest.raises(AssetError, match=f"x: .*{message}"):
        read(data, tmp_path)


def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path):
    """Whatever byte is wrong, the answer is a model or an `AssetError`: no other error reaches the user."""
    glb = Glb()
    image = glb.texture(quarters(RED, GREEN, BLUE, WHITE)[::16, ::16])
    primitive = glb.square(texture_of(), TEXCOORD_0=glb.array(CORNERS), COLOR_0=glb.array(np.ones((4, 4)) * 255, "u1"))
    primitive["targets"] = [{"POSITION": glb.array(SQUARE)}]
    glb.header["meshes"][0]["weights"] = [0.5]
    assert image == 0
    files = damaged(glb.bytes(), b'0129-e"{}[],:\0\xff', 200, np.random.default_rng(5))
    said = refusals(lambda data: read(data, tmp_path), files)
    assert len(said) > 40
    assert all(re.match("x: .{10,}", text) for text in said)
