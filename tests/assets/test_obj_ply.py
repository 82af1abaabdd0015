"""OBJ and PLY files are drawn as they are written. What could silently be wrong: colours lost beside texture
coordinates, or of another type than bytes; a texture that is repeated or moved elsewhere than its options say; faces of
the wrong vertices (indices that count backwards, several sizes of faces, the other byte order); parts left out without
a word.
"""

import re

import numpy as np
import pytest
from PIL import Image
from small_files import checkered, damaged, refusals

from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.polygons import triangulated
from torchmultiverse.assets.reading import read_model
from torchmultiverse.errors import AssetError

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
CORNERS = "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
FACE = "f 1/1 2/2 3/3 4/4\n"
# sRGB 188 and 137 are linear 0.503 and 0.250.
BROWN = [0.503, 0.250, 0]


def read(tmp_path, content, name="a.obj", **files):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for file, text in files.items():
        (tmp_path / file.replace("_", ".")).write_text(text)
    checkered().save(tmp_path / "skin.png")  # red, green above blue, white
    return read_model(path, tmp_path, "x")


def area(model):
    corners = np.concatenate([piece.vertices[piece.faces] for piece in model.pieces]).astype(float)
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2


def seen(model, x, y):
    mesh = bake(model, 0.05)
    return mesh.color[np.linalg.norm(mesh.vertices - [x, y, 0], axis=1).argmin()]


# -- OBJ --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1, 255])
def test_colours_of_vertices_stay_beside_texture_coordinates(tmp_path, scale):
    color = f" {188 / 255 * scale:.6f} {137 / 255 * scale:.6f} 0\n"
    text = "".join(line + color for line in SQUARE.splitlines()) + CORNERS + "usemtl m\n" + FACE
    model, notes = read(tmp_path, "mtllib a.mtl\n" + text, a_mtl="newmtl m\nKd 0.8 0.8 0.8\n")
    assert np.allclose(bake(model, 1).color, BROWN, atol=0.005)
    assert any("0 to 255" in note for note in notes) == (scale == 255)
    model, _ = read(tmp_path, "mtllib a.mtl\n" + text, a_mtl="newmtl m\nmap_Kd skin.png\n")
    assert np.allclose(seen(model, 0.75, 0.25), BROWN, atol=0.01), "and multiply a texture"


@pytest.mark.parametrize(
    ("options", "uv"),
    [
        ("", [[0, 0], [1, 0], [1, 1], [0, 1]]),
        ("-s 2 3 1", [[0, 0], [2, 0], [2, 3], [0, 3]]),
        ("-s 2 3 1 -o 0.5 -0.25 0", [[0.5, -0.25], [2.5, -0.25], [2.5, 2.75], [0.5, 2.75]]),
        ("-o 0.5 -s 2", [[0.5, 0], [2.5, 0], [2.5, 1], [0.5, 1]]),
        ("-blendu on -clamp off -o 1 1", [[1, 1], [2, 1], [2, 2], [1, 2]]),
    ],
)
def test_the_options_of_a_texture_move_it(tmp_path, options, uv):
    checkered().save(tmp_path / "my skin.png")
    text = f"mtllib a.mtl\n{SQUARE}{CORNERS}usemtl m\n{FACE}"
    model, _ = read(tmp_path, text, a_mtl=f"newmtl m\nKd 1 1 1\nmap_Kd {options} my skin.png\n")
    (piece,) = model.pieces
    order = [np.flatnonzero((piece.vertices[:, :2] == corner).all(1))[0] for corner in ([0, 0], [1, 0], [1, 1], [0, 1])]
    assert np.allclose(piece.uv[order], uv)


def test_indices_that_count_backwards_count_from_their_line(tmp_path):
    second = "v 0 0 5\nv 2 0 5\nv 2 2 5\n"
    model, _ = read(tmp_path, f"v 0 0 0\nv 1 0 0\nv 1 1 0\nf -3 -2 -1\n{second}f -3 -2 -1\n")
    assert model.triangles == 2
    assert area(model) == pytest.approx(0.5 + 2)


def test_every_material_file_is_read_and_a_name_may_have_blanks(tmp_path):
    faces = "usemtl one\nf 1 2 3\nusemtl two\nf 1 3 4\nusemtl three x#1\nf 1 2 4\n"
    text = f"mtllib a.mtl b.mtl\nmtllib my colours.mtl\n{SQUARE}{faces}"
    (tmp_path / "my colours.mtl").write_text("newmtl three x#1\nKd 0 0 1\n")
    model, notes = read(tmp_path, text, a_mtl="newmtl one\nKd 1 0 0\n", b_mtl="newmtl two\nKd 0 1 0\n")
    assert [piece.tint for piece in model.pieces] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len(notes) == 1, "only that there are no textures"


def test_faces_without_texture_coordinates_are_drawn_plain_beside_those_with(tmp_path):
    text = f"mtllib a.mtl\n{SQUARE}{CORNERS}usemtl m\nf 1/1 2/2 3/3\nf 1 3//1 4/4\nvn 0 0 1\n"
    model, notes = read(tmp_path, text, a_mtl="newmtl m\nKd 0 1 0\nmap_Kd skin.png\n")
    assert area(model) == pytest.approx(1)
    assert [piece.image is None for piece in model.pieces] == [False, True]
    assert any("1 faces of 'm' have no texture coordinates" in note for note in notes)


def test_a_clear_material_is_not_drawn_unless_all_are(tmp_path):
    text = f"mtllib a.mtl\n{SQUARE}v 9 9 9\nusemtl m\nf 1 2 3\nusemtl hull\nf 1 2 5\n"
    model, notes = read(tmp_path, text, a_mtl="newmtl m\nKd 1 0 0\nnewmtl hull\nKd 0 0 1\nd 0\n")
    assert np.allclose(model.bounds()[1], [1, 1, 0])
    assert any("'hull' is see-through (d 0) and is not drawn" in note for note in notes)
    model, notes = read(tmp_path, text, a_mtl="newmtl m\nd 0\nnewmtl hull\nd 0.0\n")
    assert model.triangles == 2
    assert any("all of its materials are clear" in note for note in notes)


def test_polygons_keep_their_outline_and_their_order(tmp_path):
    arrow = "v 0 0 0\nv 2 2 0\nv 0 1 0\nv -2 2 0\n"  # its third corner points inwards
    for turn in range(4):
        corners = " ".join(str((turn + k) % 4 + 1) for k in range(4))
        model, notes = read(tmp_path, f"{arrow}f {corners}\n")
        assert area(model) == pytest.approx(2)
        assert not any("folded" in note for note in notes)
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], *[[np.cos(t), np.sin(t), 0] for t in np.arange(5)]])
    triangles, folded = triangulated(points, np.array([3, 5]))
    assert (triangles[0].tolist(), len(triangles), folded) == ([0, 1, 2], 4, 0)


def test_what_an_obj_says_and_is_not_drawn_is_named(tmp_path):
    text = f"mtllib a.mtl\n{SQUARE}{CORNERS}usemtl m\n{FACE}usemtl gone\nf 1 2 3\nl 1 2\nf 1 2\n"
    material = "newmtl m\nKd 1 0 0\nmap_Bump b.png\nmap_d d.png\nmap_Kd -mm 0 2 -clamp on skin.png\n"
    material += "map_D skin.png\n"  # the alpha of the texture itself
    _, notes = read(tmp_path, text, a_mtl=material)
    said = "\n".join(notes)
    for part in (
        "map_Bump",
        "map_d",
        "-mm",
        "-clamp on",
        "no material 'gone'",
        "1 lines 'l'",
        "1 faces of",
    ):
        assert part in said
    assert "map_D" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no triangles"),
        (SQUARE, "no triangles"),
        (f"{SQUARE}f 1 2 9\n", "a face names vertex 9, there are 4"),
        (f"{SQUARE}f 1 2 0\n", "a face names vertex"),
        (f"{SQUARE}f 1 2 -9\n", "a face names vertex"),
        (f"{SQUARE}f 1/5 2/1 3/1\n", "a face names texture coordinate 5, there are 0"),
        (f"{SQUARE}f 1//1 2//1 3//1\n", "a face names normal 1, there are 0"),
        (f"{SQUARE}f a b c\n", "'a' is no corner of a face"),
        (f"{SQUARE}f {10**30} 2 3\n", "is no corner of a face"),
        (f"{SQUARE}v 1 x 3\nf 1 2 3\n", "line 5: 'v 1 x 3': 3 numbers at least"),
        (f"{SQUARE}v 1 2\nf 1 2 3\n", "line 5: 'v 1 2': 3 numbers at least"),
        (f"mtllib gone.mtl\n{SQUARE}f 1 2 3\n", "there is no file 'gone.mtl'"),
        (f"mtllib ../a.mtl\n{SQUARE}f 1 2 3\n", "leads out of"),
    ],
)
def test_an_obj_that_is_wrong_is_refused_in_words(tmp_path, text, message):
    with pytest.raises(AssetError, match=f"x: .*{message}"):
        read(tmp_path, text)


# -- PLY --------------------------------------------------------------------------------------------------------------

XYZ = ["float x", "float y", "float z"]
POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
QUAD = ["list uchar int vertex_indices"]


def ply(vertices, vertex=XYZ, faces=((0, 1, 2, 3),), face=QUAD, extra=(), head=""):
    """The bytes of a text file; ``vertices`` and ``extra`` are rows of numbers, ``extra`` those behind the faces'."""
    lines = ["ply", "format ascii 1.0", *head.splitlines(), f"element vertex {len(vertices)}"]
    lines += [f"property {one}" for one in vertex] + [f"element face {len(faces)}"]
    lines += [f"property {one}" for one in face] + ["end_header"]
    lines += [" ".join(f"{value:g}" for value in row) for row in vertices]
    extra = extra or [()] * len(faces)
    lines += [" ".join(str(k) for k in (len(row), *row, *more)) for row, more in zip(faces, extra, strict=True)]
    return ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize(
    ("names", "kind", "color"),
    [
        ("red green blue", "uchar", [188, 137, 0]),
        ("red green blue", "ushort", [188 * 257, 137 * 257, 0]),
        ("red green blue", "float", [188 / 255, 137 / 255, 0]),
        ("red green blue", "float", [188, 137, 0]),
        ("diffuse_red diffuse_green diffuse_blue", "uint8", [188, 137, 0]),
    ],
)
@pytest.mark.parametrize("beside", [[], ["float s", "float t"]])
def test_colours_of_vertices_of_every_type_and_name_are_read(tmp_path, names, kind, color, beside):
    rows = [[*point, *color, *[0.5] * len(beside)] for point in POINTS]
    data = ply(rows, [*XYZ, *[f"{kind} {name}" for name in names.split()], *beside])
    model, _ = read(tmp_path, data, "a.ply")
    assert np.allclose(bake(model, 1).color, BROWN, atol=0.005)


def test_colours_of_faces_stay_within_their_faces(tmp_path):
    face = [*QUAD, "uchar red", "uchar green", "uchar blue"]
    data = ply(POINTS, faces=[(0, 1, 2), (0, 2, 3)], face=face, extra=[(255, 0, 0), (188, 137, 0)])
    model, _ = read(tmp_path, data, "a.ply")
    (piece,) = model.pieces
    assert np.allclose(piece.colors[piece.faces[0]], [1, 0, 0])
    assert np.allclose(piece.colors[piece.faces[1]], BROWN, atol=0.005)


@pytest.mark.parametrize("order", ["<", ">", ""])
def test_faces_of_several_sizes_are_read_in_every_encoding(tmp_path, order):
    """Blender writes triangles and squares side by side."""
    points = np.concatenate([POINTS, [[5, 0, 0], [7, 0, 0], [7, 2, 0]]])
    faces = [(0, 1, 2, 3), (4, 5, 6), (0, 1, 2, 3)]
    if order:
        name = "little" if order == "<" else "big"
        head = f"ply\nformat binary_{name}_endian 1.0\nelement vertex 7\n"
        head += "".join(f"property {one}\n" for one in [*XYZ, "uchar quality"]) + "element face 3\n"
        head += "property uchar flags\nproperty list uchar int vertex_indices\nend_header\n"
        kind = np.dtype([("p", f"{order}f4", 3), ("q", "u1")])
        rows = np.zeros(7, kind)
        rows["p"] = points
        body = b"".join(bytes([0, len(row)]) + np.array(row, f"{order}i4").tobytes() for row in faces)
        data = head.encode() + rows.tobytes() + body
    else:
        data = ply(points, faces=faces)
    model, notes = read(tmp_path, data, "a.ply")
    assert model.triangles == 5
    assert area(model) == pytest.approx(1 + 2 + 1)
    assert any("quality" in note for note in notes) == bool(order)


def test_textures_of_faces_and_of_corners(tmp_path):
    Image.new("RGB", (4, 4), (0, 0, 255)).save(tmp_path / "b.png")
    head = "comment TextureFile skin.png\ncomment TextureFile b.png"
    face = [*QUAD, "list uchar float texcoord", "int texnumber"]
    upper_left = (6, *[0.25, 0.75] * 3)
    data = ply(POINTS, faces=[(0, 1, 2), (0, 2, 3)], face=face, extra=[(*upper_left, 0), (*upper_left, 1)], head=head)
    model, _ = read(tmp_path, data, "a.ply")
    assert np.allclose(seen(model, 1, 0), [0.95, 0, 0], atol=0.02)
    assert np.allclose(seen(model, 0, 1), [0, 0, 0.95], atol=0.02)


def test_strips_of_triangles_are_faces(tmp_path):
    head = "ply\nformat ascii 1.0\nelement vertex 4\n" + "".join(f"property {one}\n" for one in XYZ)
    head += "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    points = "\n".join(" ".join(f"{value:g}" for value in row) for row in POINTS)
    model, _ = read(tmp_path, f"{head}{points}\n8 0 1 3 2 -1 0 1 2\n".encode(), "a.ply")
    assert model.triangles == 3
    corners = model.pieces[0].vertices[model.pieces[0].faces].astype(float)
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no PLY file"),
        (b"ply\nformat ascii 1.0\n", "it is no PLY file"),
        (ply(POINTS).replace(b"ascii", b"utf8"), "a line that cannot be read: 'format utf8 1.0'"),
        (ply(POINTS).replace(b"float x", b"floot x"), "'property floot x'"),
        (ply(POINTS).replace(b"vertex 4", b"vertex -4"), "'element vertex -4'"),
        (ply(POINTS).replace(b"vertex 4", b"vertex 99999999999999"), "'element vertex 99999999999999'"),
        (ply(POINTS).replace(b"vertex 4", b"vertex 4000"), "ends within its 4,000 entries of 'vertex'"),
        (ply(POINTS).replace(b"float y", b"float x"), "one of them twice"),
        (ply(POINTS).replace(b"float y", b"float w"), "no vertices with x, y and z"),
        (ply(POINTS, faces=[(0, 1, 9)]), "a face names vertex 9, there are 4"),
        (ply(POINTS, faces=[(0, 1, -1)]), "a face names vertex -1"),
        (ply(POINTS, faces=[]), "no triangles"),
        (ply(POINTS).replace(b"1 1 0", b"1 one 0"), "'one', which is no number"),
        (ply(POINTS).replace(b"ascii", b"binary_little_endian"), "a face names vertex|ends within"),
        (ply(POINTS, head="comment TextureFile gone.png"), "the mesh has no texture coordinates"),
    ],
)
def test_a_ply_that_is_wrong_is_refused_in_words(tmp_path, data, message):
    with pytest.raises(AssetError, match=f"x: .*(?:{message})"):
        read(tmp_path, data, "a.ply")


@pytest.mark.parametrize("name", ["a.obj", "a.ply"])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path, name):
    """Whatever byte is wrong, the answer is a model or an `AssetError`: no other error reaches the user."""
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 1 0 0\nd 1\nmap_Kd -s 2 2 1 skin.png\n")
    whole = f"mtllib a.mtl\n{SQUARE}{CORNERS}vn 0 0 1\nusemtl m\nf 1/1/1 2/2/1 3/3/1 4/4/1\nf -1 -2 -3\n".encode()
    if name == "a.ply":
        rows = [[*point, 1, 2, 3, 0.5, 0.5] for point in POINTS]
        vertex = [*XYZ, "uchar red", "uchar green", "uchar blue", "float s", "float t"]
        whole = ply(rows, vertex, [(0, 1, 2, 3), (0, 1, 2)], head="comment TextureFile skin.png")
    files = damaged(whole, b"0129-e./ \nvft#\0\xff", 150, np.random.default_rng(6))
    said = refusals(lambda data: read(tmp_path, data, name), files)
    assert len(said) > 40
    assert all(re.match("x: .{10,}", text) for text in said)
