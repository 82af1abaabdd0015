"""The sign and the zero of every angle of a scene, against Unreal's rotator and pictures of three coloured arms.

Silently wrong would be: a camera that goes under the ground where the published levels look down from above, a turn
to the left that is called one to the right, a tilt about another axis, another order of the three. All of them change
the picture, so that only where things are in it tells. Nothing here comes from the engine's own geometry: Unreal's
matrix is written out, and each arm is found by its colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.engine import ProceduralAssets
from torchmultiverse.engines.builtin.mesh import ball
from torchmultiverse.engines.builtin.world import load_spec
from torchmultiverse.scenes import Scene

SIDE = 128
LENGTH, RADIUS = 0.62, 0.11
# Published layout of one character: distance of the camera, height of what it looks at, opening of the picture.
DISTANCE, HEIGHT, FOV = 4.7, 0.98, 40.0
AXES = ("forward", "right", "up")
"""Red, green and blue: the rows of Unreal's matrix."""


def unreal(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Return the axes forward, right, up of an ``FRotator`` as rows, in Unreal's coordinates (X, Y right, Z up).

    From the documentation of ``FRotator``: "Pitch: looking up and down (0 = straight ahead, + up), Yaw: turning around
    (0 = forward, + right), Roll: tilting your head (0 = straight, + clockwise)".
    """
    (sy, sp, sr), (cy, cp, cr) = np.sin(np.radians([yaw, pitch, roll])), np.cos(np.radians([yaw, pitch, roll]))
    return np.array(
        [
            [cp * cy, cp * sy, sp],
            [sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, -sr * cp],
            [-(cr * sp * cy + sr * sy), cy * sr - cr * sp * sy, cr * cp],
        ]
    )


def test_the_matrix_is_that_of_the_documentation() -> None:
    np.testing.assert_allclose(unreal(yaw=90)[0], [0, 1, 0], atol=1e-12)  # turned to the right
    np.testing.assert_allclose(unreal(pitch=90)[0], [0, 0, 1], atol=1e-12)  # looks up
    np.testing.assert_allclose(unreal(roll=90)[1], [0, 0, -1], atol=1e-12)  # the right side down
    np.testing.assert_allclose(unreal(20, 30, 40) @ unreal(20, 30, 40).T, np.eye(3), atol=1e-12)


@dataclass
class Body:
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    color: np.ndarray
    roughness: np.ndarray
    hover: float = 0.0


class Arms(ProceduralAssets):
    """Three balls around nothing: red where the nose of an animal is (+x), green at its right (-y), blue above it."""

    def names(self) -> list[str]:
        return ["Arms"]

    def textures(self) -> list[str]:
        return ["Default"]

    def load(self, name: str, texture: str, side: int = 512) -> Body:
        places = LENGTH * np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, 1.0]])
        balls = [ball(12, 16).moved(tuple(place), RADIUS) for place in places]
        count = len(balls[0].vertices)
        color = np.repeat(0.02 + 0.9 * np.eye(3), count, 0).astype(np.float32)
        return Body(
            np.concatenate([b.vertices for b in balls]),
            np.concatenate([b.faces + k * count for k, b in enumerate(balls)]).astype(np.uint32),
            np.concatenate([b.normals for b in balls]),
            color,
            np.full(3 * count, 0.8, np.float32),
        )


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine(assets=Arms(), denoise=False)
    yield made
    made.close()


def expected(factors: dict[str, float]) -> np.ndarray:
    """Return where the balls are in the picture, (3, 2) pixels, from the factors alone."""
    turn = {axis: factors.get(f"Character_Rotation_{axis.title()}", 0) for axis in ("yaw", "pitch", "roll")}
    turn["yaw"] += 90  # at 0 an animal faces the right of a camera at yaw 0, which is Unreal's +Y
    arms = LENGTH * unreal(**turn)
    low, high = arms.min(0) - RADIUS, arms.max(0) + RADIUS  # it is set down in the middle, on the ground
    balls = arms - np.array([*(low + high)[:2] / 2, low[2]])

    eye = {axis: factors.get(f"Camera_{axis.title()}", 0) for axis in ("yaw", "pitch", "roll")}
    eye["pitch"] -= load_spec("Museum")[0].camera.elevation  # the world's own view
    forward, right, up = unreal(**eye)
    away = balls - (np.array([0, 0, HEIGHT]) - DISTANCE * forward)
    focal = SIDE / 2 / np.tan(np.radians(FOV / 2))
    flat = np.stack([away @ right, -(away @ up)], -1) / (away @ forward)[:, None]
    return SIDE / 2 + focal * flat


def found(frame) -> np.ndarray:
    """Return the middle of each colour in the picture, (3, 2) pixels."""
    picture = np.sort(frame.array().astype(float), -1)
    pure = (frame.array("mask") == 1) & (picture[..., 2] > 1.6 * picture[..., 1])  # no highlight, no edge
    chosen = np.where(pure, frame.array().argmax(-1), -1)
    middles = []
    for k in range(3):
        rows, columns = np.nonzero(chosen == k)
        assert len(rows) > 12, f"{AXES[k]} is not in the picture"
        middles.append([np.median(columns) + 0.5, np.median(rows) + 0.5])
    return np.array(middles)


CASES = [
    {},
    {"Camera_Yaw": 45},
    {"Camera_Yaw": 225},
    {"Camera_Pitch": 340},
    {"Camera_Pitch": 300},
    {"Camera_Pitch": 240},
    {"Camera_Roll": 30},
    {"Character_Rotation_Yaw": 45},
    {"Character_Rotation_Yaw": 225},
    {"Character_Rotation_Pitch": 40},
    {"Character_Rotation_Roll": 40},
    {"Character_Rotation_Yaw": 30, "Character_Rotation_Pitch": 25, "Character_Rotation_Roll": 20},
    {"Camera_Yaw": 20, "Camera_Pitch": 325, "Camera_Roll": 15, "Character_Rotation_Yaw": 60},
]


@pytest.mark.parametrize("factors", CASES, ids=lambda factors: ",".join(f"{k}={v}" for k, v in factors.items()))
def test_arms_are_where_unreals_rotator_puts_them(engine, factors) -> None:
    scene = Scene({"World_Name": "Museum", "Character_Name": "Arms", **factors})
    (frame,) = engine.render([scene], RenderOptions(size=(SIDE, SIDE), passes=("rgb", "mask"), samples=4))
    assert np.abs(found(frame) - expected(factors)).max() < 1.5


@pytest.mark.parametrize("pitch", [240, 260, 280, 300, 320, 340])
def test_the_published_pitches_look_down_from_above(engine, pitch) -> None:
    scene = Scene({"World_Name": "Museum", "Character_Name": "Arms", "Camera_Pitch": pitch})
    (frame,) = engine.render([scene], RenderOptions(size=(32, 32), samples=1))
    rt = np.array(frame.info["camera"]["Rt"])
    eye, forward, down = -rt[:, :3].T @ rt[:, 3], rt[2, :3], rt[1, :3]
    assert eye[2] > HEIGHT + 1
    assert forward[2] < -0.3
    assert (down[2] > 0) == (pitch <= 260), "beyond the zenith the picture is upside down"
    (arms,) = frame.info["objects"]
    assert arms["visible_fraction"] == 1.0
