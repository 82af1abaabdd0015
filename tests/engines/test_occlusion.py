"""Occluders of the built-in engine.

Silently wrong would be: a share that is said and not there, an occluder that masks take for a character, one that
depends on what was drawn before or on the size of the picture, and a share that cannot be had and is drawn nearly so.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, annotate, placement
from torchmultiverse.engines.builtin.lens import Lens
from torchmultiverse.engines.builtin.mesh import Material, MeshPart, ball, quad
from torchmultiverse.engines.builtin.occlusion import OCCLUDERS, asked
from torchmultiverse.engines.builtin.occlusion.coverage import covered
from torchmultiverse.engines.builtin.occlusion.edge import beyond, cropped, panned
from torchmultiverse.engines.builtin.occlusion.family import TOLERANCE, Family, grown
from torchmultiverse.engines.builtin.occlusion.stand_in import BULKY, candidate
from torchmultiverse.engines.builtin.occlusion.target import Target, searched
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.renderer import CharacterInstance
from torchmultiverse.engines.builtin.world import World, WorldSpec
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Explicit, Factorial, Scene, class_of

SHAPES = tuple(name for name in OCCLUDERS if name not in ("none", "edge"))
SHARES = (0.2, 0.4, 0.6, 0.8)
SIDE = 128
OPTIONS = RenderOptions((SIDE, SIDE), ("rgb", "mask", "class", "depth", "normals"), samples=1)
SCENE = Scene({"World_Name": "SaltFlats", "Character_Name": "Zebra"})
PAINT = Material("planted")
POSES = {
    "turned": {"Camera_Yaw": 200}, "from above": {"Camera_Pitch": 340}, "rolled": {"Camera_Roll": 45},
    "small": {"Character_Scale": 0.4}, "long lens": {"Camera_Focal_Length": 60}, "high": {"Camera_Height": 3},
    "barrel": {"Camera_Distortion": -0.06},
    "pair": {"Character1_Pos": "left", "Character2_Name": "Penguin", "Character2_Pos": "right"},
    "stack": {"Character1_Pos": "bottom", "Character2_Name": "Penguin", "Character2_Pos": "top"},
}  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> BuiltinEngine:
    return BuiltinEngine(denoise=False)


def drawn(engine: BuiltinEngine, scene: Scene, options: RenderOptions = OPTIONS) -> Frame:
    (frame,) = engine.render([scene], options)
    if isinstance(frame, Failure):
        raise frame.error()
    return frame


def camera(roll: float = 0.0, size: tuple[int, int] = (200, 200), lens: Lens | None = None) -> View:
    """A camera four metres before the origin that looks along +y."""
    c, s = np.cos(roll), np.sin(roll)
    right, down = np.array([c, 0, -s]), np.array([-s, 0, -c])
    return View(np.array([0.0, -4.0, 0.0]), np.stack([right, down, [0.0, 1.0, 0.0]]), 300.0, size, lens or Lens())


def plane(low: float, high: float, y: float = -1.0) -> MeshPart:
    """An upright plane from low to high, as wide as anything."""
    return MeshPart(PAINT, quad([[-9, y, low], [9, y, low], [9, y, high], [-9, y, high]]))


def sphere() -> CharacterInstance:
    mesh = ball(48, 64)
    vertices = (mesh.vertices * np.float32(0.5)).astype(np.float32)
    one = np.ones(len(vertices), np.float32)
    return CharacterInstance(vertices, mesh.faces, mesh.vertices, np.ones_like(vertices), one)


def target(view: View) -> Target:
    sky = np.ones((4, 8, 3), np.float32)
    world = World("x", WorldSpec(caption="x", blocks=[{"kind": "none"}]), [], [], sky, np.zeros((5, 5), np.float32), 1)
    body = sphere()
    return Target(world, view, covered(body.vertices, body.faces, view), body, (), "planted")


@pytest.mark.parametrize("roll", [0.0, 0.7])
def test_a_plane_covers_what_geometry_says(roll):
    view = camera(roll)
    part = MeshPart(PAINT, quad([[-0.3, -1, -0.2], [0.5, -1, -0.2], [0.5, -1, 0.4], [-0.3, -1, 0.4]]))
    mask = covered(part.mesh.vertices, part.mesh.faces, view)
    assert mask.sum() == pytest.approx(0.8 * 0.6 * 100**2, rel=0.01)
    whole = plane(-9, 9)
    assert covered(whole.mesh.vertices, whole.mesh.faces, view).all()
    behind = whole.mesh.vertices - np.float32([0, 9, 0])
    assert not covered(behind, whole.mesh.faces, view).any()


@pytest.mark.parametrize("lens", [Lens(), Lens(distortion=-0.2)])
def test_rows_cover_the_pixels_that_the_silhouette_of_annotations_does(lens):
    for view in (camera(0.3, lens=lens), camera(0.3, (90, 160), lens)):
        body = sphere()
        expected = annotate.silhouette(body, view, 8)[8:-8, 8:-8]
        assert (covered(body.vertices, body.faces, view) != expected).mean() < 2e-4


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9])
def test_a_planted_plane_is_raised_until_it_hides_the_share_of_a_sphere(share):
    place = target(searched(camera()))
    family = Family(lambda growth: [plane(-2, -0.4 + 0.8 * growth)])
    mesh = family.made(grown(family, place, share))[0].mesh
    found = place.share(covered(mesh.vertices, mesh.faces, place.view))
    assert found == pytest.approx(share, abs=0.01)


def test_what_no_growth_reaches_is_told_with_the_share_that_is_nearest():
    place = target(searched(camera()))
    with pytest.raises(SpecError, match=r"Occlusion = 0\.9 cannot be had.*nearest share that can be is 0\.50"):
        grown(Family(lambda growth: [plane(-2, -0.4 + 0.4 * growth)]), place, 0.9)
    with pytest.raises(SpecError, match=r"Occlusion = 0\.4 cannot be had.*is 0\.50"):  # it jumps
        grown(Family(lambda growth: [plane(-2, 0.0 if growth > 0.5 else -2)]), place, 0.4)


@pytest.mark.parametrize("lens", [Lens(), Lens(distortion=-0.2)])
def test_the_edge_cuts_off_the_share_of_the_outline(lens):
    view = searched(camera(0.2, (240, 180), lens))
    for share in (0.1, 0.5, 0.95):
        turned = cropped(view, sphere(), share, np.random.default_rng(1))
        assert beyond(turned, sphere()) == pytest.approx(share, abs=0.02)
        assert np.array_equal(turned.position, view.position)
        assert turned.rotation @ turned.rotation.T == pytest.approx(np.eye(3))
    cut = panned(view, -0.4)
    assert beyond(cut, sphere()) > 0.3
    with pytest.raises(SpecError, match="nearest share that can be"):
        cropped(cut, sphere(), 0.1, np.random.default_rng(1))


def reached(engine: BuiltinEngine, scene: Scene, options: RenderOptions = OPTIONS) -> float:
    """Return the share as two pictures have it, with and without: independent of what the engine records."""
    frame = drawn(engine, scene, options)
    (facts, *_) = frame.info["objects"]
    if scene["Occluder"] == "edge":
        share = facts["truncated_fraction"]
    else:
        plain = drawn(engine, scene.changed(Occluder="none", Occlusion=0), options)
        alone = plain.array("mask") == 1
        share = np.count_nonzero(alone & (frame.array("mask") != 1)) / np.count_nonzero(alone)
    assert facts["occluder"] == scene["Occluder"]
    assert facts["occluder_fraction"] == pytest.approx(share, abs=1e-3)
    return float(share)


@pytest.mark.parametrize("occluder", [*SHAPES, "edge"])
def test_the_share_that_is_asked_for_is_reached(engine, occluder):
    for share in (0.2, 0.8):
        scene = SCENE.changed(Occluder=occluder, Occlusion=share)
        assert reached(engine, scene) == pytest.approx(share, abs=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("occluder", [*SHAPES, "edge"])
@pytest.mark.parametrize("world", ["Desert", "TokyoNight", "Forest", "VillageSquare", "Museum", "Beach"])
def test_shares_in_many_scenes(engine, world, occluder):
    for k, share in enumerate(SHARES):
        for name in ("Elephant", "Penguin", "Cofee_Mug_1"):
            scene = Scene(
                {"World_Name": world, "Character_Name": name, "Occluder": occluder, "Occlusion": share,
                 "Camera_Yaw": 30 * k}
            )  # fmt: skip
            assert reached(engine, scene) == pytest.approx(share, abs=TOLERANCE), scene


@pytest.mark.slow
@pytest.mark.parametrize("occluder", [*SHAPES, "edge"])
@pytest.mark.parametrize("pose", POSES)
def test_shares_from_everywhere(engine, pose, occluder):
    for share in (0.3, 0.7):
        scene = SCENE.changed(Occluder=occluder, Occlusion=share, **POSES[pose])
        assert reached(engine, scene) == pytest.approx(share, abs=TOLERANCE), scene


def test_an_occluder_is_geometry_and_no_character(engine):
    plain, frame = drawn(engine, SCENE), drawn(engine, SCENE.changed(Occluder="fence", Occlusion=0.6))
    alone, seen = plain.array("mask") == 1, frame.array("mask") == 1
    hidden = alone & ~seen
    assert set(np.unique(frame.array("mask"))) == {0, 1}
    assert not frame.array("class")[hidden].any()
    assert (plain.array("depth")[hidden] - frame.array("depth")[hidden] > 0.05).all()
    assert np.linalg.norm(frame.array("normals")[hidden], axis=-1) == pytest.approx(1, abs=1e-3)
    assert not (seen & ~alone).any()
    facts = frame.info["objects"][0]
    assert facts["occluded_fraction"] == pytest.approx(facts["occluder_fraction"], abs=0.03)
    assert "occluder" not in plain.info["objects"][0]
    assert len(frame.info["objects"]) == 1


def test_a_share_of_nothing_draws_nothing(engine):
    plain, none = drawn(engine, SCENE), drawn(engine, SCENE.changed(Occluder="leaves"))
    for name in ("mask", "depth", "normals"):
        assert np.array_equal(plain.array(name), none.array(name))
    assert plain.info["objects"][0].keys() == none.info["objects"][0].keys()


@pytest.mark.slow
def test_a_picture_depends_on_its_scene_alone(engine):
    first, second = (SCENE.changed(Occluder=name, Occlusion=0.5) for name in ("leaves", "object"))
    forth = [drawn(engine, scene).sha256() for scene in (first, second, SCENE)]
    back = [drawn(BuiltinEngine(denoise=False), scene).sha256() for scene in (SCENE, second, first)][::-1]
    assert forth == back
    assert drawn(engine, first).sha256() == forth[0]


def test_the_occluder_of_a_scene_is_one_whatever_the_size_of_the_picture(engine):
    scene = SCENE.changed(Occluder="bars", Occlusion=0.5)
    small = drawn(engine, scene, RenderOptions((64, 64), ("rgb", "depth"), samples=1)).array("depth")
    large = drawn(engine, scene, RenderOptions((192, 192), ("rgb", "depth"), samples=1)).array("depth")
    middle = large[1::3, 1::3]  # the same places
    assert np.isclose(middle, small, rtol=0.02).mean() > 0.97


def test_an_object_is_of_no_class_of_the_scene():
    rng = np.random.default_rng(3)
    barrel = class_of("Barrel_1")
    assert barrel is not None
    assert not any(candidate({barrel.id}, rng).startswith("Barrel") for _ in range(60))
    every = {found.id for name in BULKY if (found := class_of(name))}
    with pytest.raises(SpecError, match="of each class"):
        candidate(every, rng)


def test_what_cannot_be_is_refused(engine):
    with pytest.raises(SpecError, match=r"Occluder = 'fense' is unknown.*fence"):
        asked(SCENE.changed(Occluder="fense", Occlusion=0.5), placement.scene_actors(SCENE))
    cases = {
        "needs an Occluder that hides so much: fence, leaves, bars, object, edge": {"Occlusion": 0.5},
        "there is no first character": {"Occluder": "bars", "Occlusion": 0.5, "Character_Name": "blank"},
        "no room for it": {"Occluder": "fence", "Occlusion": 0.5, "Camera_Pitch": 275},
        "nearest share": {"Occluder": "edge", "Occlusion": 0.2, "Camera_Distance": 1},
    }
    for message, levels in cases.items():
        with pytest.raises(Exception, match=message):
            drawn(engine, SCENE.changed(**levels))
    with pytest.raises(SpecError, match="Occluder = 'hedge' is unknown"):
        engine.catalogue().check(SCENE.changed(Occluder="hedge"))
    engine.catalogue().check(SCENE.changed(Occluder="fence", Occlusion=0.5))


def test_a_share_that_nothing_hides_is_told_before_anything_is_drawn(engine):
    known = engine.catalogue()
    with pytest.raises(SpecError, match=r"Occlusion = 0\.5 with Occluder = 'none'.*fence, leaves, bars, object, edge"):
        known.check(SCENE.changed(Occlusion=0.5))
    factors = {"World_Name": ["SaltFlats"], "Character_Name": ["Zebra"], "Occlusion": [0, 0.4]}
    every = Factorial.of(factors | {"Occluder": ["none", "fence"]})
    with pytest.raises(SpecError, match=r"Occlusion = 0\.4 with Occluder = 'none'"):
        known.check(every)
    with pytest.raises(SpecError, match=r"Occlusion = 0\.4 with Occluder = 'none'"):
        known.check(Factorial.of(factors))
    known.check(Factorial.of(factors | {"Occluder": ["leaves", "fence"]}))
    known.check(Explicit.of([dict(every[0].wire), dict(every[3].wire)]))


@pytest.mark.slow
def test_the_occluder_of_a_clip_is_one_from_frame_to_frame(engine):
    def shown(occluder: str, yaw: float) -> CharacterInstance:
        drawn(engine, SCENE.changed(Occluder=occluder, Occlusion=0.5, Camera_Yaw=yaw), RenderOptions((64, 64)))
        return next(reversed(engine._occlusion._kept.values())).scenery[0]

    (first, second) = (shown("object", yaw) for yaw in (0, 2))
    assert np.array_equal(first.faces, second.faces)
    assert np.ptp(first.vertices[:, 2]) == pytest.approx(np.ptp(second.vertices[:, 2]), rel=0.06)
    first, second = (shown("fence", yaw) for yaw in (0, 2))
    tones, others = (np.unique(one.color.round(5), axis=0) for one in (first, second))
    same = (tones[:, None] == others[None]).all(-1).any(1)
    assert same.mean() > 0.8
