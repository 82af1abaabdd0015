"""The built-in engine. What could silently be wrong: a picture that depends on what was rendered before it, a mask,
depth or normal that is not of the picture's geometry, a factor that changes nothing, a camera distance that gives the
label away, and a variant that renders something else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, placement
from torchmultiverse.engines.builtin.engine import ProceduralAssets, describe
from torchmultiverse.engines.builtin.mesh import ball, box
from torchmultiverse.engines.builtin.postprocess import tint
from torchmultiverse.engines.builtin.variant import Report, Trial, llvm_libraries, probe
from torchmultiverse.engines.builtin.world import WorldSpec, load_spec, world_names
from torchmultiverse.engines.builtin.world_builder import build, load_world
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.scenes import Scene
from torchmultiverse.store.quality import outside, quality, visibility

ALL = ("rgb", "mask", "depth", "normals")
SMALL = RenderOptions(size=(48, 48), passes=ALL, samples=2)


@dataclass
class Body:
    """A character of known shape."""

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    hover: float = 0.0
    color: np.ndarray = field(init=False)
    roughness: np.ndarray = field(init=False)

    def __post_init__(self):
        self.color = np.full_like(self.vertices, 0.5)
        self.roughness = np.full(len(self.vertices), 0.7, np.float32)


class Solids(ProceduralAssets):
    """A ball of radius 0.5 m and a box of 1 × 0.6 × 0.8 m."""

    def names(self):
        return ["Ball", "Box"]

    def textures(self):
        return ["Blue", "Default"]

    def load(self, name, texture, side=512):
        mesh = ball(64, 96).moved((0, 0, 0.5), 0.5) if name == "Ball" else box((-0.5, -0.3, 0), (0.5, 0.3, 0.8))
        body = Body(mesh.vertices, mesh.faces, mesh.normals)
        if texture == "Blue":
            body.color[:] = (0.02, 0.05, 0.6)
        return body


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine(assets=Solids(), worlds=2)
    yield made
    made.close()


def one(engine, options=SMALL, **factors):
    (answer,) = engine.render([Scene({"World_Name": "Museum", **factors})], options)
    return answer


def test_a_picture_does_not_depend_on_what_was_rendered_before(engine):
    scenes = [
        Scene({"World_Name": "Museum", "Character_Name": "Ball"}),
        Scene({"World_Name": "Museum", "Character_Name": "Box", "Character_Scale": 1.3, "Camera_Yaw": 45}),
        Scene({"World_Name": "Museum"}),
    ]
    first = {s: [f.sha256(p) for p in ALL] for s, f in zip(scenes, engine.render(scenes, SMALL), strict=True)}
    other = BuiltinEngine(assets=Solids())
    backward = scenes[::-1] + scenes[:1]
    for scene, frame in zip(backward, other.render(backward, SMALL), strict=True):
        assert [frame.sha256(p) for p in ALL] == first[scene]
    assert len({v[0] for v in first.values()}) == 3


def test_the_seed_changes_the_noise_and_nothing_else(engine):
    from dataclasses import replace

    a, b = one(engine, Character_Name="Ball"), one(engine, replace(SMALL, seed=1), Character_Name="Ball")
    assert a.sha256("rgb") != b.sha256("rgb")
    assert all(a.sha256(p) == b.sha256(p) for p in ("mask", "depth", "normals"))


def rays(view):
    width, height = view.size
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    camera = np.stack([x / view.focal, y / view.focal, np.ones_like(x)], -1)
    return camera, camera @ view.rotation


@pytest.mark.parametrize("factors", [{}, {"Camera_Yaw": 115, "Camera_Pitch": 340, "Camera_Roll": 30}])
def test_mask_depth_and_normals_of_a_ball_are_those_of_a_ball(engine, factors):
    scene = Scene({"World_Name": "Museum", "Character_Name": "Ball", **factors})
    (frame,) = engine.render([scene], SMALL)
    world = load_world("Museum")
    view = placement.view(scene, world, "center", (48, 48))
    centre, radius = np.array([0, 0, 0.5]), 0.5
    camera, directions = rays(view)
    a = (directions**2).sum(-1)
    b = (directions * (view.position - centre)).sum(-1)
    c = ((view.position - centre) ** 2).sum() - radius**2
    inside = b * b - a * c
    hit = inside > 0
    t = (-b - np.sqrt(np.maximum(inside, 0))) / a
    mask, depth, normals = frame.array("mask"), frame.array("depth"), frame.array("normals")
    # The mesh's facets may miss a grazing ray that the sphere still touches, and nothing more.
    sure = np.abs(np.sqrt(np.maximum((view.position - centre) ** 2, 0).sum() - (b * b / a)) - radius) > 0.01
    assert hit.sum() > 40
    assert ((mask == 1) == hit)[sure].all()
    both = hit & sure & (mask == 1)
    assert np.abs(depth - t)[both].max() < 0.02
    surface = view.position + directions * t[..., None] - centre
    expected = (surface / radius) @ view.rotation.T
    assert (expected * normals).sum(-1)[both].min() > 0.97
    floor = (~hit) & (mask == 0) & (directions[..., 2] < -0.15)
    ground = -view.position[2] / np.minimum(directions[..., 2], -1e-6)
    near = floor & (ground < 6)
    assert near.sum() > 10
    assert np.median(np.abs(depth - ground)[near]) < 1e-3
    assert np.isfinite(camera).all()


def test_boxes_and_camera_matrices_agree_with_the_mask(engine):
    frame = one(
        engine, RenderOptions(size=(160, 120), passes=ALL, samples=1), Character_Name="Box", Character_Rotation_Yaw=30
    )
    (found,) = frame.info["objects"]
    rows, columns = np.nonzero(frame.array("mask") == 1)
    assert found["box_2d"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found["visible_fraction"] > 0.98
    low, high = np.array(found["box_3d"])
    assert low[2] == pytest.approx(0, abs=1e-4)
    assert high[2] == pytest.approx(0.8, abs=1e-4)
    mesh = Solids().load("Box", "Default").vertices
    turned = (mesh - [0, 0, 0.4]) @ placement.rotation(30, 0, 0).T + [0, 0, 0.4]
    k, rt = np.array(frame.info["camera"]["K"]), np.array(frame.info["camera"]["Rt"])
    points = (np.concatenate([turned, np.ones((len(turned), 1))], 1) @ rt.T) @ k.T
    pixels = points[:, :2] / points[:, 2:]
    assert np.abs(np.concatenate([pixels.min(0), pixels.max(0)]) - found["box_2d"]).max() < 1.5
    json.dumps(frame.info)


def test_two_characters_stand_where_they_are_asked_to(engine):
    pair = one(engine, Character_Name="Ball", Character2_Name="Box", Character1_Pos="left", Character2_Pos="right")
    mask = pair.array("mask")
    assert np.nonzero(mask == 1)[1].max() < np.nonzero(mask == 2)[1].min()
    stack = one(engine, Character_Name="Ball", Character2_Name="Box", Character1_Pos="bottom", Character2_Pos="top")
    mask = stack.array("mask")
    assert np.nonzero(mask == 2)[0].max() < np.nonzero(mask == 1)[0].min()
    for frame in (pair, stack):
        assert all(found["visible_fraction"] > 0.97 for found in frame.info["objects"])
    unplaced = one(engine, Character_Name="Ball", Character2_Name="Box")
    assert [found["position"] for found in unplaced.info["objects"]] == ["left", "right"]


def test_the_camera_knows_nothing_of_the_character():
    world = load_world("Museum")
    views = []
    for factors in ({}, {"Character_Name": "Ball"}, {"Character_Name": "Box", "Character_Scale": 2}):
        scene = Scene({"World_Name": "Museum", "Character1_Pos": "left", **factors})
        views.append(placement.view(scene, world, placement.layout(scene, placement.scene_actors(scene)), (64, 64)))
    assert all(np.array_equal(v.position, views[0].position) and v.focal == views[0].focal for v in views)


@pytest.mark.parametrize(
    ("factor", "value"),
    [
        ("Character_Scale", 1.3),
        ("Character_Rotation_Yaw", 45),
        ("Character_Rotation_Roll", 45),
        ("Character_Rotation_Pitch", 45),
        ("Character_Texture", "Blue"),
        ("Character1_Pos", "left"),
        ("Camera_Yaw", 45),
        ("Camera_Pitch", 330),
        ("Camera_Pitch", 315),
        ("Camera_Roll", 45),
        ("Scene_Light", "255,0,0,0"),
    ],
)
def test_every_factor_changes_the_picture(engine, factor, value):
    before = one(engine, Character_Name="Box").array().astype(float)
    after = one(engine, Character_Name="Box", **{factor: value})
    assert np.abs(after.array() - before).mean() > 1.0
    assert (after.array("mask") == 1).sum() > 20


def test_a_turned_character_stays_above_the_ground_and_keeps_its_shape():
    world = load_world("Museum")
    mesh = Solids().load("Box", "Default")
    scene = Scene(
        {"World_Name": "Museum", "Character_Name": "Box", "Character_Rotation_Roll": 60, "Character_Rotation_Pitch": 20}
    )
    (actor,) = placement.scene_actors(scene)
    vertices, _ = placement.place(actor, [actor], world, mesh.vertices, mesh.normals, 0.3)
    assert vertices[:, 2].min() == pytest.approx(0.3, abs=1e-5)
    sides = np.linalg.norm(np.diff(vertices[mesh.faces[0]], axis=0), axis=1)
    assert sides == pytest.approx(np.linalg.norm(np.diff(mesh.vertices[mesh.faces[0]], axis=0), axis=1), abs=1e-5)


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ({"World_Name": "Dessert"}, "no world 'Dessert'. Did you mean 'Desert'"),
        ({"Character_Name": "Bal"}, "no character 'Bal'"),
        ({"Character_Name": "Ball", "Character_Texture": "Bleu"}, "no texture 'Bleu'"),
        ({"Character1_Pos": "centre"}, "Character1_Pos = 'centre'"),
        ({"Scene_Light": "reddish"}, "Scene_Light = 'reddish'"),
        (
            {"Character_Name": "Ball", "Character2_Name": "Box", "Character1_Pos": "left", "Character2_Pos": "left"},
            "both characters are at 'left'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_rendered_is_a_failure_and_the_others_go_on(engine, factors, says):
    bad, good = Scene({"World_Name": "Museum", **factors}), Scene({"World_Name": "Museum_0"})
    first, second = engine.render([bad, good], SMALL)
    assert isinstance(first, Failure)
    assert says in first.reason
    assert not isinstance(second, Failure)


def test_the_catalogue_is_what_can_be_rendered(engine):
    catalogue = engine.catalogue()
    catalogue.check(
        Scene({"World_Name": "Desert_0", "Character_Name": "Ball", "Camera_Yaw": 45, "Scene_Light": "0,0,255,0"})
    )
    with pytest.raises(SpecError, match="Did you mean 'Desert'"):
        catalogue.check(Scene({"World_Name": "Dessert"}))
    assert catalogue.factors["World_Name"].levels == world_names(), "a world that is listed twice"
    assert catalogue.factors["World_Name"].aliases["Desert_0"] == "Desert"
    assert {a.name for a in catalogue.assets} >= {*world_names(), "Ball", "Box"}
    assert all(a.license for a in catalogue.assets)
    assert catalogue.fingerprint == BuiltinEngine(assets=Solids()).catalogue().fingerprint
    assert describe(Solids()) == catalogue.model_copy(update={"fingerprint": ""}), "what it says before it is made"


def test_names_are_asked_for_once_and_not_for_every_picture():
    """Silently slow otherwise: a source may read them from its folders, which took as long as a small picture."""
    asked = []

    class Slow(Solids):
        def names(self):
            asked.append("names")
            return super().names()

        def worlds(self):
            asked.append("worlds")
            return super().worlds()

    made = BuiltinEngine(assets=Slow())
    made.catalogue()
    asked.clear()
    scenes = [Scene({"World_Name": "Museum", "Character_Name": "Ball", "Camera_Yaw": yaw}) for yaw in (0, 90, 180)]
    assert not [answer for answer in made.render(scenes, SMALL) if isinstance(answer, Failure)]
    assert sorted(asked) == ["names", "worlds"]
    first, again = (one(made, Character_Name="Ball").sha256("rgb") for _ in range(2))
    assert (sorted(asked), again) == (["names", "worlds"], first), "a call of its own lists nothing either"


def test_a_closed_engine_says_so():
    made = BuiltinEngine(assets=Solids())
    made.close()
    made.close()
    with pytest.raises(EngineError, match="closed"):
        next(made.render([Scene({"World_Name": "Museum"})], SMALL))


def test_lights_are_read_strictly():
    assert np.array_equal(tint("255,255,255,0"), np.ones(3))
    red = tint("255,0,0,0")
    assert red[0] > 8 * red[1] == 8 * red[2]
    for wrong in ("255,0,0", "256,0,0,0", "a,b,c,d", "nan,0,0,0"):
        with pytest.raises(SpecError, match="Scene_Light"):
            tint(wrong)


@pytest.mark.parametrize("name", world_names())
def test_every_world_renders_neither_black_nor_clipped(engine, name):
    options = RenderOptions(size=(64, 64), passes=ALL, samples=2)
    (frame,) = engine.render([Scene({"World_Name": name, "Character_Name": "Box"})], options)
    assert not isinstance(frame, Failure), frame
    picture = frame.array().astype(float)
    assert 25 < picture.mean() < 215
    assert (picture.min(-1) >= 254).mean() < 0.06
    assert (picture.max(-1) <= 2).mean() < 0.25
    assert picture.std() > 15
    (found,) = frame.info["objects"]
    assert found["visible_fraction"] > 0.9
    assert outside(quality(frame.array()) | visibility(frame)) == []
    # Feet on the ground: below the character's lowest pixel is ground at about the same depth.
    box = found["box_2d"]
    assert box[3] < 64
    assert load_spec(name)[0].caption
    # From every side and from further away, the eye must not be inside a wall or a train, nor right behind a post.
    for place in ("center", "left", "location"):
        for yaw in (0, 45, 90, 135, 180, 225, 270, 315):
            factors = {"World_Name": name, "Character_Name": "Box", "Character1_Pos": place, "Camera_Yaw": yaw}
            (frame,) = engine.render([Scene(factors)], RenderOptions(size=(32, 32), samples=1))
            picture = frame.array().astype(float)
            assert picture.mean() > 18, (place, yaw)
            assert picture.std() > 15, (place, yaw)
            assert frame.info["objects"][0]["visible_fraction"] > 0.8, (place, yaw)


def _quick(name):
    """Worlds with something above the centre are always looked at from there."""
    return name if name in ("Mansion", "TrainStation") else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [_quick(name) for name in world_names()])
def test_the_published_pitches_see_the_character_in_every_world(engine, name):
    """Silently wrong would be: a roof or a chandelier between the eye and the centre, for the levels that look down."""
    for pitch in (240, 260, 280, 300, 320, 340):
        factors = {"World_Name": name, "Character_Name": "Box", "Camera_Pitch": pitch}
        (frame,) = engine.render([Scene(factors)], RenderOptions(size=(32, 32), samples=2))
        assert frame.info["objects"][0]["visible_fraction"] > 0.85, pitch  # a carpet may hide a row of pixels
        assert 18 < frame.array().mean() < 225, pitch


def test_worlds_are_made_the_same_every_time():
    spec = load_spec("Museum")[0]
    a, b = build("Museum", spec), build("Museum", spec)
    assert all(np.array_equal(p.mesh.vertices, q.mesh.vertices) for p, q in zip(a.parts, b.parts, strict=True))
    cached = load_world("Museum")
    for p, q in zip(a.parts, cached.parts, strict=True):
        assert p.material.name == q.material.name
        assert np.array_equal(p.mesh.vertices, q.mesh.vertices)
        assert p.material.color is None or np.array_equal(p.material.color, q.material.color)
    assert cached.exposure == a.exposure


def test_a_wrong_world_file_names_the_place():
    spec = WorldSpec(caption="x", blocks=[{"kind": "gallery", "heigth": 3}])
    with pytest.raises(SpecError, match=r"(?s)X.json: blocks\[0\] \(gallery\).*heigth"):
        build("X", spec)
    with pytest.raises(SpecError, match=r"no block of kind 'galery'\. Did you mean 'gallery'"):
        build("X", WorldSpec(caption="x", blocks=[{"kind": "galery"}]))


_RENDER = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_builtin import Solids
from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.scenes import Scene
engine = BuiltinEngine(variant=sys.argv[1], assets=Solids(), denoise=False)
(f,) = engine.render([Scene({"World_Name": "Museum", "Character_Name": "Ball"})],
    RenderOptions(size=(32, 32), passes=("rgb", "mask", "depth", "normals"), samples=128))
np.savez(sys.argv[3], **{p: f.array(p) for p in f.passes})
"""


@pytest.mark.slow
def test_variants_render_the_same_picture(tmp_path):
    if probe().chosen == "scalar_rgb":
        pytest.skip("only the scalar variant works here")
    results = []
    for variant in (probe().chosen, "scalar_rgb"):
        out = tmp_path / f"{variant}.npz"
        command = [sys.executable, "-c", _RENDER, variant, str(Path(__file__).parent), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        results.append(dict(np.load(out)))
    a, b = results
    assert (a["mask"] != b["mask"]).mean() < 0.005
    same = a["mask"] == b["mask"]
    assert np.abs(a["depth"] - b["depth"])[same].max() < 0.01
    assert (np.abs(a["normals"] - b["normals"]).max(-1)[same] < 0.02).mean() > 0.99
    # Two independent estimates: their difference averages out over blocks of 8 × 8 pixels.
    gap = (a["rgb"].astype(float) - b["rgb"]).reshape(4, 8, 4, 8, 3).mean((1, 3))
    assert np.abs(gap).max() < 6
    assert abs(gap.mean()) < 1.5


def test_what_is_said_of_the_renderer_is_one_short_line():
    """What LLVM prints as it aborts was repeated above the output of every command."""
    broken = [Trial(variant="llvm_ad_rgb", library=name, reason=f"{name} aborts: " + 90 * "0x55c5 ") for name in "ab"]
    report = Report(chosen="scalar_rgb", trials=[*broken, Trial(variant="scalar_rgb", works=True)])
    assert report.sentence().startswith("scalar_rgb (llvm_ad_rgb: a aborts: 0x55c5 ")
    assert len(report.sentence()) < 120


def test_the_probe_says_what_works_and_why_not_more():
    report = probe()
    assert any(t.works and t.variant == report.chosen for t in report.trials)
    assert report.chosen in report.sentence()
    assert all(t.reason for t in report.trials if not t.works)
    if report.chosen == "llvm_ad_rgb":
        assert report.library in [str(p) for p in llvm_libraries()]
