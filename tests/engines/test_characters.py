"""What could be silently wrong: a hole or an inside-out face that only shows as a black fleck in some poses, an
animal that floats or leans out of its place, a cache that answers for another version, a mesh that differs from
machine to machine or from run to run, a texture that moves the shape, a skin that lost the mark that names it."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000

from torchmultiverse.color import lab
from torchmultiverse.engines.builtin.characters import (
    character_names,
    implicit,
    library,
    load_character,
    texture_character,
    texture_names,
)
from torchmultiverse.errors import SpecError
from torchmultiverse.resources import cache_folder, data_folder
from torchmultiverse.scenes import load_spec

COARSE = 700_000
TWELVE = [
    "Camel", "Crocodile", "Crow", "Dolphin", "Elephant", "GiantTortoise", "Goldfish", "Lion", "Penguin", "Rabbit",
    "Tarantula", "Zebra",
]  # fmt: skip
NAMES = character_names()


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def mesh_of(name):
    return load_character(name, voxels=COARSE)


def digest(mesh):
    fields = (mesh.vertices, mesh.faces, mesh.normals, mesh.uv, mesh.color, mesh.roughness)
    return hashlib.sha256(b"".join(a.tobytes() for a in fields)).hexdigest()


def luminance(color):
    return color @ np.array([0.2126, 0.7152, 0.0722], np.float32)


def test_the_twelve_are_there():
    assert set(TWELVE) <= set(NAMES)
    assert sorted(NAMES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_arrays_have_their_shapes_types_and_ranges(name):
    m = mesh_of(name)
    count = len(m.vertices)
    assert 15_000 < count < 250_000
    assert m.vertices.shape == m.normals.shape == m.color.shape == (count, 3)
    assert m.uv.shape == (count, 2)
    assert m.roughness.shape == (count,)
    assert m.faces.dtype == np.uint32
    assert m.faces.max() == count - 1
    for a in (m.vertices, m.normals, m.uv, m.color, m.roughness):
        assert a.dtype == np.float32
        assert np.isfinite(a).all()
    assert ((m.color > 0) & (m.color < 1)).all()
    assert ((m.roughness > 0) & (m.roughness <= 1)).all()
    assert ((m.uv >= -0.2) & (m.uv <= 1.2)).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_component_is_closed_and_turned_outwards(name):
    m = mesh_of(name)
    f = m.faces.astype(np.int64)
    edges = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    assert (edges[:, 0] != edges[:, 1]).all()
    key = edges[:, 0] * len(m.vertices) + edges[:, 1]
    twin = edges[:, 1] * len(m.vertices) + edges[:, 0]
    # Each edge is run through once in each direction: closed, manifold, and consistently oriented.
    assert len(np.unique(key)) == len(key)
    assert np.array_equal(np.sort(key), np.sort(twin))
    a, b, c = (m.vertices[f[:, i]].astype(np.float64) for i in range(3))
    assert np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6 > 1e-3  # a positive volume: faces point outwards
    lengths = np.linalg.norm(m.normals, axis=1)
    assert np.abs(lengths - 1).max() < 1e-3
    side = np.einsum("ij,ij->i", np.cross(b - a, c - a), m.normals[f[:, 0]])
    assert (side > 0).mean() > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_stands_where_it_should(name):
    m = mesh_of(name)
    species = library.load_species(name)
    low, high = m.vertices.min(0), m.vertices.max(0)
    assert low[2] == pytest.approx(0, abs=1e-5)
    assert (high - low).max() == pytest.approx(species.display_size, rel=1e-4)
    assert 1.1 <= species.display_size <= 2.1
    assert low[0] == pytest.approx(-high[0], abs=1e-4)
    assert low[1] == pytest.approx(-high[1], abs=0.03), "left and right differ"
    assert m.hover == species.hover >= 0


@pytest.mark.parametrize("name", NAMES)
def test_faces_plus_x(name):
    """Eyes are well before the rear end (a scorpion's are in the middle, behind its pincers)."""
    species = library.load_species(name)
    parts = [library.implicit.Solid(p, 1.0).bounds() for p in species.parts if not p.carve]
    rear, front = min(a[0] for a, _ in parts), max(b[0] for _, b in parts)
    assert species.eyes
    assert all(e.at[0] > rear + 0.45 * (front - rear) for e in species.eyes)


def test_cache_answers_with_the_same_arrays_and_mends_half_a_file():
    first = mesh_of("Dolphin")
    files = list(cache_folder("meshes").glob("Dolphin-*.npz"))
    assert len(files) == 1
    assert digest(mesh_of("Dolphin")) == digest(first)
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    assert digest(mesh_of("Dolphin")) == digest(first)
    assert not list(cache_folder("meshes").glob(".*")), "a temporary file stayed"


def test_cache_key_follows_the_species_file_and_the_grid(monkeypatch, tmp_path):
    before = set(cache_folder("meshes").glob("Goldfish-*.npz")) | {None}
    load_character("Goldfish", voxels=60_000)
    folder = tmp_path / "scenes" / "characters"
    folder.mkdir(parents=True)
    data = json.loads((library.data_folder("scenes") / "characters" / "Goldfish.json").read_text())
    data["display_size"] = 1.7
    (folder / "Goldfish.json").write_text(json.dumps(data))
    monkeypatch.setattr(library, "data_folder", lambda name: tmp_path / name)
    changed = load_character("Goldfish", voxels=60_000)
    assert np.ptp(changed.vertices, axis=0).max() == pytest.approx(1.7, rel=1e-4)
    assert len(set(cache_folder("meshes").glob("Goldfish-*.npz")) - before) == 2


@pytest.mark.parametrize("name", ["Goldfish", "Tarantula"])
def test_two_builds_are_equal(name):
    species = library.load_species(name)
    one, two = (library.build(name, species, 200_000) for _ in range(2))
    assert all(np.array_equal(one[k], two[k]) for k in one)


def _build_elsewhere(_):
    return digest(load_character("Penguin", voxels=150_000))


def test_several_processes_at_once_get_the_same():
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        digests = pool.map(_build_elsewhere, range(4))
    assert set(digests) == {_build_elsewhere(None)}


@pytest.mark.parametrize("texture", texture_names())
def test_texture_replaces_the_surface_and_keeps_the_shape(texture):
    m = mesh_of("Dolphin")
    t = texture_character(m, texture)
    assert t.vertices is m.vertices
    assert t.faces is m.faces
    assert t.normals is m.normals
    assert t.color.dtype == t.roughness.dtype == np.float32
    assert ((t.color >= 0) & (t.color <= 1)).all()
    if texture == "Default":
        assert t.color is m.color
    else:
        assert np.abs(t.color - m.color).mean() > 0.03


def test_textures_differ_from_each_other_and_are_what_they_say():
    m = mesh_of("Dolphin")
    mean = {t: texture_character(m, t).color.mean(0) for t in texture_names() if t != "Default"}
    for name, channel in {"Red": 0, "Curtain": 0, "Grass": 1, "Green": 1, "Blue": 2, "Sky": 2}.items():
        assert mean[name].argmax() == channel, name
    assert np.ptp(mean["Gray"]) < 0.02
    assert mean["Black"].max() < 0.03
    assert np.ptp(mean["Asphalt"]) < 0.03
    fingerprints = {t: digest(texture_character(m, t)) for t in texture_names()}
    assert len(set(fingerprints.values())) == len(fingerprints)


def test_no_two_textures_of_a_family_look_alike():
    """Silently wrong would be: two levels of a factor with one look, so that no model can tell them apart.

    A colour of SPAR and the first variant of the same colour of AR4T (Red and Red_1) are two names of one colour. Metal
    and glass are told from paint of their colour by what they reflect and let through.
    """
    m = mesh_of("Dolphin")
    colors, substances = {}, {}
    for name in texture_names():
        if name != "Default":
            made = texture_character(m, name)
            linear = made.color[::50].astype(float)
            substances[name] = {(part.material.metallic, part.material.glass) for part in made.parts}
            colors[name] = lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
    for first, second in itertools.combinations(colors, 2):
        if {"_" in first, "_" in second} == {True, False}:
            continue
        if substances[first] != substances[second]:
            continue
        variants = first.partition("_")[0] == second.partition("_")[0]
        apart = float(deltaE_ciede2000(colors[first], colors[second]).mean())
        assert apart > (5 if variants else 7), (first, second, apart)


def test_texture_names_are_the_published_ones():
    """Those of Animals, ImageNet and SPAR, and the variants of attributes of AR4T that are no sizes."""
    attributes = load_spec(data_folder("scenes") / "ar4t_attributes.json").design.attributes
    variants = [texture for shown in attributes.values() if isinstance(shown, list) for texture in shown]
    assert len(variants) == 45
    names = ["Default", "Sky", "Grass", "Asphalt", "Stone", "Blue", "Red", "Green", "Gray", "Black", "Color", "Curtain"]
    assert texture_names() == sorted([*names, *variants])


def test_unknown_names_say_what_is_near():
    with pytest.raises(SpecError, match="'Elephant'"):
        load_character("Elefant")
    with pytest.raises(SpecError, match="'Grass'"):
        texture_character(mesh_of("Dolphin"), "Gras")


def test_a_wrong_species_file_is_named(monkeypatch, tmp_path):
    folder = tmp_path / "scenes" / "characters"
    folder.mkdir(parents=True)
    (folder / "Blob.json").write_text('{"display_name": "blob", "display_size": 1, "parts": [{"r": [1]}], "skins": {}}')
    monkeypatch.setattr(library, "data_folder", lambda name: tmp_path / name)
    with pytest.raises(SpecError, match=r"(?s)Blob\.json.*one of tube, ellipsoid, plate"):
        load_character("Blob")


def test_zebra_alternates_along_its_body():
    m = mesh_of("Zebra")
    v = m.vertices
    flank = (np.abs(v[:, 0]) < 0.4) & (np.abs(v[:, 2] - 0.98) < 0.04) & (v[:, 1] > 0.05)
    order = np.argsort(v[flank, 0])
    bins = np.array_split(luminance(m.color)[flank][order], 60)
    profile = np.array([b.mean() for b in bins])
    assert np.quantile(profile, 0.8) > 5 * np.quantile(profile, 0.2)
    crossings = (np.diff((profile > 0.3).astype(int)) != 0).sum()
    assert crossings >= 7, "fewer than four stripes on the flank"


def test_penguin_is_white_in_front_and_dark_behind():
    m = mesh_of("Penguin")
    trunk = (m.vertices[:, 2] > 0.3) & (m.vertices[:, 2] < 0.9)
    front, back = trunk & (m.normals[:, 0] > 0.8), trunk & (m.normals[:, 0] < -0.8)
    assert luminance(m.color[front]).mean() > 8 * luminance(m.color[back]).mean()


def test_dolphin_is_countershaded():
    m = mesh_of("Dolphin")
    up, down = m.normals[:, 2] > 0.7, m.normals[:, 2] < -0.7
    assert luminance(m.color[down]).mean() > 2 * luminance(m.color[up]).mean()


def test_giant_tortoise_has_a_dome_and_camel_a_hump():
    tortoise = mesh_of("GiantTortoise").vertices
    assert abs(tortoise[tortoise[:, 2].argmax(), 0]) < 0.35
    camel = mesh_of("Camel").vertices
    ridge = [camel[np.abs(camel[:, 0] - x) < 0.03, 2].max() for x in (-0.6, -0.22, 0.2)]
    assert ridge[1] > max(ridge[0], ridge[2]) + 0.12


def test_rabbit_has_a_white_tail_and_a_crow_is_black():
    rabbit = mesh_of("Rabbit")
    tail = rabbit.vertices[:, 0] < rabbit.vertices[:, 0].min() + 0.06
    assert luminance(rabbit.color[tail]).mean() > 3 * np.median(luminance(rabbit.color[~tail]))
    assert luminance(mesh_of("Crow").color).mean() < 0.05


def seen(mesh, yaw, cell=0.02):
    """Return the area that a mesh covers in the view from a side, in square metres."""
    a = np.radians(yaw)
    across = mesh.vertices[:, 1] * np.cos(a) - mesh.vertices[:, 0] * np.sin(a)
    columns, rows = (np.floor(values / cell).astype(int) for values in (across, mesh.vertices[:, 2]))
    return len(np.unique(columns * 1000 + rows)) * cell**2


@pytest.mark.parametrize("name", NAMES)
def test_no_animal_is_a_line_from_the_front(name):
    side, front = (seen(mesh_of(name), yaw) for yaw in (0, 90))
    assert min(side, front) > 0.2 * max(side, front)


def test_a_bat_spreads_its_wings_to_every_side():
    areas = [seen(mesh_of("FruitBat"), yaw) for yaw in range(0, 180, 15)]
    assert min(areas) > 0.5 * max(areas)


@pytest.mark.parametrize("name", ["Cat", "Wolf"])
def test_cats_and_wolves_are_grey(name):
    color = mesh_of(name).color
    assert np.ptp(color, axis=1).mean() < 0.15 * color.max(1).mean()


def test_beaver_shows_orange_incisors_and_the_flat_of_its_tail():
    m = mesh_of("Beaver")
    red, green, blue = m.color.T
    teeth = m.vertices[(red > 0.5) & (green > 0.2 * red) & (blue < 0.1)]
    assert np.ptp(teeth[:, 2]) > 0.08
    tail = m.vertices[m.vertices[:, 0] < m.vertices[:, 0].min() + 0.25]
    assert (np.ptp(tail, axis=0) > 0.2).all(), "seen from above only"


def test_harpy_eagle_has_a_dark_band_between_a_grey_head_and_a_white_breast():
    m = mesh_of("HarpyEagle")
    front = (m.normals[:, 0] > 0.4) & (np.abs(m.vertices[:, 1]) < 0.1)
    belly, band, face = (
        luminance(m.color[front & (np.abs(m.vertices[:, 2] - z) < 0.05)]).mean() for z in (0.7, 1.0, 1.1)
    )
    assert belly > 2 * face > 3 * band


def test_beetle_has_a_dark_seam_between_its_wing_cases():
    m = mesh_of("GoldBeetle")
    back = (m.normals[:, 2] > 0.7) & (m.vertices[:, 0] < m.vertices[:, 0].min() + 0.55)
    off = np.abs(m.vertices[:, 1])
    seam, case = (luminance(m.color[back & (off >= a) & (off < b)]).mean() for a, b in ((0, 0.01), (0.03, 0.06)))
    assert case > 10 * seam


def test_jerboa_stands_on_two_feet_and_a_crocodile_gapes():
    jerboa = mesh_of("Jerboa").vertices
    assert np.diff(np.sort(jerboa[jerboa[:, 2] < 0.03, 0])).max() < 0.05, "feet one behind the other"
    crocodile = mesh_of("Crocodile").vertices
    snout = crocodile[crocodile[:, 0] > crocodile[:, 0].max() - 0.1]
    assert np.diff(np.sort(snout[:, 2])).max() > 0.03


def test_ammonite_spreads_its_arms_wider_than_its_shell():
    v = mesh_of("Ammonite").vertices
    front = v[:, 0] > v[:, 0].max() - 0.2
    assert np.ptp(v[front, 1]) > 1.3 * np.ptp(v[v[:, 0] < 0, 1])


def test_sphere_is_meshed_where_it_is():
    part = implicit.ImplicitPart(ellipsoid=(0.1, 0, 0.2), r=[0.3, 0.3, 0.3], blend=0)
    s = implicit.mesh([part], 200_000)
    radius = np.linalg.norm(s.vertices - np.array([0.1, 0, 0.2]), axis=1)
    assert np.abs(radius - 0.3).max() < 0.003
    outwards = (s.vertices - np.array([0.1, 0, 0.2])) / radius[:, None]
    assert (s.normals * outwards).sum(1).min() > 0.99


def test_waves_of_a_plate_are_as_high_as_told_and_lie_within_its_bounds():
    square = [(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)]
    part = implicit.ImplicitPart(plate=square, r=[0.02], ripple=(0.2, 4), blend=0)
    v = implicit.mesh([part], 400_000).vertices
    far, angle = np.hypot(v[:, 0], v[:, 2]), np.arctan2(v[:, 2], -v[:, 0])
    assert np.abs(v[:, 1] - 0.2 * far * np.sin(4 * angle)).max() < 0.04
    low, high = implicit.Solid(part, 1.0).bounds()
    assert ((v > low) & (v < high)).all()


def test_tube_length_is_measured_along_it():
    part = implicit.ImplicitPart(tube=[(0, 0, 0), (0.5, 0, 0), (1, 0, 0)], r=[0.1])
    along, around = implicit.Solid(part, 1.0).coordinates(np.array([[0.25, 0, 0.1], [0.75, 0.1, 0]], np.float32))
    assert along == pytest.approx([0.25, 0.75], abs=1e-3)
    assert np.abs(around) == pytest.approx([0, np.pi / 2], abs=1e-3)


def test_a_texture_covers_the_parts_that_do_not_keep_their_own() -> None:
    """Silently wrong otherwise: a figure in a texture that shows only in its annotations."""
    from torchmultiverse.engines.builtin.characters import CharacterMesh, texture_character
    from torchmultiverse.engines.builtin.mesh import Material, MeshPart, ball, merge

    parts = (
        MeshPart(Material("shell", metallic=1.0), ball()),
        MeshPart(Material("pane", glass=-1.5), ball()),
        MeshPart(Material("lamp", emission=2.0), ball(), keeps=True),
    )
    whole = merge([part.mesh for part in parts])
    assert whole.normals is not None
    count = len(whole.vertices)
    zeros, ones = np.zeros((count, 2), np.float32), np.ones((count, 3), np.float32)
    mesh = CharacterMesh(
        "x", whole.vertices, whole.faces, whole.normals, zeros, ones, ones[:, 0].copy(), 0.0, parts=parts
    )
    shell, pane, lamp = texture_character(mesh, "Red_1").parts
    assert pane is parts[1]
    assert lamp is parts[2]
    assert shell.material.metallic == 0
    assert shell.mesh.colors is not None
    assert shell.mesh.colors.mean(0).argmax() == 0


_SUBSTANCES = [t for t in texture_names() if t.partition("_")[0] in ("Glass", "Gold", "Silver", "Metal")]


@pytest.mark.parametrize("texture", _SUBSTANCES)
def test_metal_and_glass_are_what_their_names_say(texture: str) -> None:
    """Silently wrong otherwise: gold that is a yellow plastic, with highlights painted on."""
    (part,) = texture_character(mesh_of("Dolphin"), texture).parts
    kind = texture.split("_")[0]
    assert part.material.metallic == (kind != "Glass")
    assert part.material.glass == (1.5 if kind == "Glass" else 0)
    assert part.mesh.colors is not None
    red, green, blue = part.mesh.colors.mean(0)
    if kind == "Gold":
        assert red > green > 2 * blue
    if kind == "Silver":
        assert min(red, green, blue) > 0.6
    # Streaks of brushes, but no light painted on.
    streaks = texture in ("Gold_2", "Silver_2") or kind == "Metal"
    assert np.ptp(part.mesh.colors, axis=0).max() < (0.6 if streaks else 1e-6)


def test_a_glass_texture_is_solid_on_bodies_and_a_pane_on_sheets() -> None:
    from torchmultiverse.engines.builtin.characters import CharacterMesh
    from torchmultiverse.engines.builtin.mesh import Material, MeshPart, box, merge, quad

    sheet = quad([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)])
    parts = (MeshPart(Material("body"), box((0, 0, 0), (1, 1, 1))), MeshPart(Material("sheet"), sheet))
    whole = merge([part.mesh for part in parts])
    assert whole.normals is not None
    zeros, ones = np.zeros((len(whole.vertices), 2), np.float32), np.ones_like(whole.vertices)
    mesh = CharacterMesh(
        "x", whole.vertices, whole.faces, whole.normals, zeros, ones, ones[:, 0].copy(), 0.0, parts=parts
    )
    assert [part.material.glass for part in texture_character(mesh, "Glass_1").parts] == [1.5, -1.5]
    assert [part.material.metallic for part in texture_character(mesh, "Gold_1").parts] == [1, 1]
