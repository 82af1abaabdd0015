"""Annotations against exact values of things of known shape.

Silently wrong would be: a mirrored axis, a shift by half a pixel, the length of the ray taken for depth, rows taken
for columns, a visible share that counts what is cut off by the frame as hidden, or the other way round.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import pytest

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, annotate, placement
from torchmultiverse.engines.builtin.engine import ProceduralAssets
from torchmultiverse.engines.builtin.mesh import box
from torchmultiverse.engines.builtin.renderer import CharacterInstance
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.scenes import Scene

SIDE = 96
OPTIONS = RenderOptions(size=(SIDE, SIDE), passes=("rgb", "mask", "class", "depth", "normals"), samples=1)
YAWS = [{}, {"Camera_Yaw": 70, "Camera_Pitch": 345, "Camera_Roll": 20}, {"Camera_Yaw": 225}]


@dataclass
class Body:
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    hover: float = 0.0
    color: np.ndarray = field(init=False)
    roughness: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.color = np.full_like(self.vertices, 0.5)
        self.roughness = np.full(len(self.vertices), 0.7, np.float32)


class Solids(ProceduralAssets):
    """A cube of one metre, and a plate of 2 × 0.02 × 1 m that faces the camera at yaw 0."""

    def names(self) -> list[str]:
        return ["Cube", "Plate"]

    def textures(self) -> list[str]:
        return ["Default"]

    def load(self, name: str, texture: str, side: int = 512) -> Body:
        size = (0.5, 0.5, 1.0) if name == "Cube" else (1.0, 0.01, 1.0)
        mesh = box((-size[0], -size[1], 0), (size[0], size[1], size[2]))
        return Body(mesh.vertices, mesh.faces, mesh.normals)


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine(assets=Solids())
    yield made
    made.close()


def one(engine, **factors):
    (frame,) = engine.render([Scene({"World_Name": "Museum", **factors})], OPTIONS)
    return frame


def project(points: np.ndarray, frame) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and depths by the frame's own matrices."""
    k, rt = np.array(frame.info["camera"]["K"]), np.array(frame.info["camera"]["Rt"])
    camera = np.concatenate([points, np.ones((len(points), 1))], 1) @ rt.T
    return (camera @ k.T)[:, :2] / camera[:, 2:], camera[:, 2]


@pytest.mark.parametrize("camera", YAWS)
def test_the_oriented_box_of_a_cube_is_the_cube(engine, camera):
    frame = one(engine, Character_Name="Cube", Character_Rotation_Yaw=25, **camera)
    (cube,) = frame.info["objects"]
    found = cube["box_3d_oriented"]
    assert found["size"] == pytest.approx([1, 1, 1], abs=1e-5)
    assert found["center"] == pytest.approx([0, 0, 0.5], abs=1e-5)
    c, s = np.cos(np.radians(-25)), np.sin(np.radians(-25))  # a positive yaw is clockwise seen from above
    true = {
        (round(c * x - s * y, 4), round(s * x + c * y, 4), z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)
    }
    assert {(round(x, 4), round(y, 4), round(z, 4)) for x, y, z in found["corners"]} == true
    pixels, _ = project(np.array(found["corners"]), frame)
    box_2d = np.array(cube["box_2d"])
    assert np.abs(np.concatenate([pixels.min(0), pixels.max(0)]) - box_2d).max() <= 1.0
    assert cube["box_2d"] == cube["box_2d_full"]


@pytest.mark.parametrize("camera", YAWS)
def test_depth_normals_and_masks_of_a_cube(engine, camera):
    """The plane of each visible side gives the depth and the normal of every pixel inside it in closed form."""
    frame = one(engine, Character_Name="Cube", **camera)
    rt = np.array(frame.info["camera"]["Rt"])
    eye = -rt[:, :3].T @ rt[:, 3]
    mask, depth, normals = frame.array("mask"), frame.array("depth"), frame.array("normals")
    assert (frame.array("class") == 222 * mask).all()  # the cube is the first after those of the package
    row, column = np.nonzero(mask == 1)
    k = np.array(frame.info["camera"]["K"])
    rays = np.stack([(column + 0.5 - k[0, 2]) / k[0, 0], (row + 0.5 - k[1, 2]) / k[1, 1], np.ones(len(row))], 1)
    directions = rays @ rt[:, :3]  # a depth of 1 along the axis for each unit of t
    low, high = np.array([-0.5, -0.5, 0.0]), np.array([0.5, 0.5, 1.0])
    with np.errstate(divide="ignore"):
        near = np.minimum((low - eye) / directions, (high - eye) / directions)
    t, axis = near.max(1), near.argmax(1)
    np.testing.assert_allclose(depth[row, column], t, atol=2e-4)
    true = np.zeros((len(row), 3))
    true[np.arange(len(row)), axis] = -np.sign(directions[np.arange(len(row)), axis])
    agree = ((true @ rt[:, :3].T) * normals[row, column]).sum(1) > 0.99
    assert agree.mean() > 0.97  # a ray through an edge may take either side's normal
    assert len(row) > 100


def covered(points: np.ndarray, frame) -> np.ndarray:
    """Return which pixel centres lie in the convex outline of some projected points."""
    from scipy.spatial import ConvexHull

    pixels, _ = project(points, frame)
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    planes = ConvexHull(pixels).equations
    return np.asarray((planes[:, 0] * x[..., None] + planes[:, 1] * y[..., None] + planes[:, 2] <= 0).all(-1))


def test_a_plate_partly_hidden_by_a_cube(engine):
    """Looking along -x, the cube at x = 1.12 stands before the middle of the plate that is turned to face the eye."""
    turned = {"Character_Rotation_Yaw": 90, "Camera_Yaw": 270}
    frame = one(engine, Character_Name="Plate", Character2_Name="Cube", **turned)
    plate, cube = frame.info["objects"]
    sides = (-1.0, 1.0)
    behind = covered(np.array([[-1.12 + 0.01 * x, y, z] for x in sides for y in sides for z in (0, 1)]), frame)
    before = covered(np.array([[1.12 + 0.5 * x, 0.5 * y, z] for x in sides for y in sides for z in (0, 1)]), frame)
    true = (behind & before).sum() / behind.sum()
    assert 0.3 < true < 0.8
    assert plate["occluded_fraction"] == pytest.approx(true, abs=0.03)
    assert plate["occluded_by_character"] == plate["occluded_fraction"]
    assert plate["visible_fraction"] == pytest.approx(1 - true, abs=0.03)
    assert plate["truncated_fraction"] == 0.0
    assert cube["visible_fraction"] == 1.0
    mask = frame.array("mask")
    assert ((mask == 2) == before).mean() > 0.995
    assert ((mask == 1) == (behind & ~before)).mean() > 0.995


def test_what_is_cut_by_the_frame_is_truncated_not_hidden(engine):
    """A plate so large that it leaves the frame: its share inside follows from its projected size."""
    frame = one(engine, Character_Name="Plate", Character_Scale=3.0)
    (plate,) = frame.info["objects"]
    corners = np.array([[x, -0.03, z] for x in (-3.0, 3.0) for z in (0.0, 3.0)])
    pixels, _ = project(corners, frame)
    (left, top), (right, bottom) = pixels.min(0), pixels.max(0)
    inside = (min(right, SIDE) - max(left, 0)) * (min(bottom, SIDE) - max(top, 0))
    # The plate is upright and the camera looks down a little: its outline is a trapezoid within 4 % of its box.
    assert plate["visible_fraction"] == pytest.approx(inside / ((right - left) * (bottom - top)), abs=0.04)
    assert plate["occluded_fraction"] == pytest.approx(0.0, abs=0.002)
    total = plate["visible_fraction"] + plate["occluded_fraction"] + plate["truncated_fraction"]
    assert total == pytest.approx(1.0, abs=2e-4)
    full = plate["box_2d_full"]
    assert full[0] < 0
    assert full[2] > SIDE
    assert plate["box_2d"][0] == 0
    assert plate["box_2d"][2] == SIDE


@pytest.mark.parametrize("seed", range(3))
def test_the_silhouette_is_that_of_the_ray_tracer(engine, seed):
    rng = np.random.default_rng(seed)
    factors = {"Camera_Yaw": float(rng.uniform(0, 360)), "Character_Rotation_Yaw": float(rng.uniform(0, 360))}
    frame = one(engine, Character_Name="Cube", Character_Rotation_Pitch=float(rng.uniform(-40, 40)), **factors)
    (cube,) = frame.info["objects"]
    assert cube["visible_fraction"] == 1.0
    assert cube["occluded_fraction"] == cube["truncated_fraction"] == 0.0


def test_a_triangle_covers_the_centres_inside_it():
    world = load_world("Museum")
    view = placement.view(Scene({"World_Name": "Museum"}), world, "center", (64, 64))
    axes = view.rotation
    at = lambda x, y: view.position + axes[2] * 2 + axes[0] * (x * 2 / view.focal) + axes[1] * (y * 2 / view.focal)  # noqa: E731
    # Corners in pixels from the middle of the picture: a right triangle of 20 by 10 pixels.
    triangle = np.array([at(0, 0), at(20, 0), at(0, 10)], np.float32)
    character = CharacterInstance(
        triangle, np.array([[0, 1, 2]], np.uint32), triangle * 0, triangle * 0, np.zeros(3, np.float32)
    )
    mask = annotate.silhouette(character, view, 8)
    y, x = np.mgrid[0:80, 0:80] + 0.5 - 40
    np.testing.assert_array_equal(mask, (x > 0) & (y > 0) & (x / 20 + y / 10 < 1))


def by_hand(character: CharacterInstance, view: placement.View, margin: int) -> np.ndarray:
    """Return the silhouette one triangle and one centre after the other."""
    width, height = (side + 2 * margin for side in view.size)
    pixels, depth = view.project(character.vertices)
    pixels = pixels + margin
    y, x = np.mgrid[0:height, 0:width] + 0.5
    mask = np.zeros((height, width), bool)
    for face in character.faces:
        if (depth[face] > 1e-3).all():
            (ax, ay), (bx, by), (cx, cy) = pixels[face]
            pairs = ((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay))
            sides = np.stack([(qx - px) * (y - py) - (qy - py) * (x - px) for px, py, qx, qy in pairs])
            mask |= (sides >= 0).all(0) | (sides <= 0).all(0)
    return mask


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_the_silhouette_is_that_of_every_triangle_by_itself(seed, spread):
    """Silently wrong would be: a triangle that is passed over, beside the frame, behind the eye, thin or large."""
    rng = np.random.default_rng(seed)
    view = placement.view(
        Scene({"World_Name": "Museum", "Camera_Yaw": 90.0 * seed}), load_world("Museum"), "center", (20, 16)
    )
    middle = rng.uniform(-spread, spread, (30, 1, 3)) + np.array([0.0, 0.0, 1.0])
    soup = (
        (middle + rng.normal(0, rng.choice([0.02, 0.2, 3.0], (30, 1, 1)), (30, 3, 3))).reshape(-1, 3).astype(np.float32)
    )
    faces = np.arange(90, dtype=np.uint32).reshape(-1, 3)
    character = CharacterInstance(soup, faces, soup * 0, soup * 0, np.zeros(90, np.float32))
    true = by_hand(character, view, 20)
    np.testing.assert_array_equal(annotate.silhouette(character, view, 20), true)
    # What is known of the picture changes nothing, however much it is.
    framed = true[20:-20, 20:-20]
    for known in (framed, framed & (rng.random(framed.shape) < 0.7), np.zeros_like(framed)):
        np.testing.assert_array_equal(annotate.silhouette(character, view, 20, known), true)


@pytest.mark.parametrize("seed", range(3))
def test_the_silhouette_of_what_is_near_the_eye_is_that_of_every_triangle(seed):
    """Large triangles are filled by rows. Silently wrong would be a row that ends a pixel early, or one of an edge that
    is level, upright, or goes through the centres of pixels."""
    rng = np.random.default_rng(seed)
    view = placement.view(Scene({"World_Name": "Museum"}), load_world("Museum"), "center", (60, 44))
    flat = rng.integers(-80, 80, (60, 3, 2)) / rng.choice([1, 2, 7], (60, 1, 1))  # many edges through centres
    flat[:10, 1, 1] = flat[:10, 0, 1]
    flat[10:20, 2, 0] = flat[10:20, 0, 0]
    flat[20:24, 2] = flat[20:24, 0]
    depth = rng.choice([0.01, 0.5, 4.0], (60, 3, 1))
    axes, slope = view.rotation, flat / view.focal
    soup = view.position + depth * (slope[..., :1] * axes[0] + slope[..., 1:] * axes[1] + axes[2])
    soup = soup.reshape(-1, 3).astype(np.float32)
    faces = np.arange(len(soup), dtype=np.uint32).reshape(-1, 3)
    for some in (faces[:24], faces[rng.permutation(60)[:3]], faces):
        character = CharacterInstance(soup, some, soup * 0, soup * 0, np.zeros(len(soup), np.float32))
        np.testing.assert_array_equal(annotate.silhouette(character, view, 44), by_hand(character, view, 44))


def test_the_time_of_a_picture_is_that_of_its_annotations_too(engine, monkeypatch):
    real = annotate.objects

    def slow(*arguments):
        time.sleep(0.2)
        return real(*arguments)

    monkeypatch.setattr(annotate, "objects", slow)
    timings = one(engine, Character_Name="Cube").timings
    assert timings["annotate_ms"] >= 200
    parts = [timings[f"{name}_ms"] for name in ("world", "place", "trace", "postprocess", "annotate")]
    assert timings["render_ms"] == pytest.approx(sum(parts))
