"""What could silently be wrong: flow of the wrong sign or axis, half a pixel off, of the camera's turn the other way
round, of an object about the wrong point, and hidden pixels that are called seen. So: whole pictures against closed
forms, both directions against each other, and one picture moved onto the next."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from torchmultiverse.engines import RenderOptions, codec, motion
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.scenes import Scene

WIDTH, HEIGHT, FOCAL = 64, 48, 70.0
Y, X = np.mgrid[:HEIGHT, :WIDTH] + 0.5
U, V = (X - WIDTH / 2) / FOCAL, (Y - HEIGHT / 2) / FOCAL


def camera(rotation=None, position=(0, 0, 0), focal=FOCAL, **more):
    rotation = np.eye(3) if rotation is None else rotation
    extrinsic = np.concatenate([rotation, -rotation @ np.array(position, float)[:, None]], 1)
    matrix = [[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]]
    return {"K": matrix, "Rt": extrinsic.tolist(), **more}


def box(center, rotation=None, size=1.0, number=1, name="Zebra"):
    turn = np.eye(3) if rotation is None else rotation
    oriented = {"center": list(center), "size": [size, size, size], "rotation": np.asarray(turn).tolist()}
    return {"instance": number, "name": name, "box_3d_oriented": oriented}


def about(axis, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {"x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
            "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])}[axis]  # fmt: skip


def moment(depth=None, mask=None, objects=(), world="", **view):
    """A picture of anything: by default of random depths, the upper quarter infinitely far."""
    if depth is None:
        depth = np.random.default_rng(0).uniform(1, 30, (HEIGHT, WIDTH)).astype(np.float32)
        depth[: HEIGHT // 4] = np.inf
    mask = np.zeros((HEIGHT, WIDTH), np.uint8) if mask is None else mask
    return motion.Moment(depth, mask, view.pop("view", None) or camera(**view), objects, world)


def moved(here, there):
    found, state = motion.flow(here, there)
    return found.astype(float), state


# Closed forms ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [3.0, -7.0])
def test_a_camera_that_pans_moves_every_pixel_by_its_angle_alone(degrees):
    # A camera that turns to its right sees everything move to the left, whatever the distance, the sky as well.
    turn = about("y", -degrees)  # x right, y down, z forward
    found, _ = moved(moment(), moment(rotation=turn))
    angle = np.arctan(U) - np.radians(degrees)
    x = np.tan(angle)
    y = V * np.cos(np.arctan(U)) / np.cos(angle)
    np.testing.assert_allclose(found[..., 0], (x - U) * FOCAL, atol=1e-4)
    np.testing.assert_allclose(found[..., 1], (y - V) * FOCAL, atol=1e-4)
    assert np.sign(found[..., 0].mean()) == -np.sign(degrees)


def test_a_camera_that_rolls_turns_the_picture_about_its_middle():
    found, state = moved(moment(), moment(rotation=about("z", 10)))
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    np.testing.assert_allclose(found[..., 0], (c * U - s * V - U) * FOCAL, atol=1e-4)
    np.testing.assert_allclose(found[..., 1], (s * U + c * V - V) * FOCAL, atol=1e-4)
    corner = (abs(X - WIDTH / 2 + found[..., 0]) > WIDTH / 2) | (abs(Y - HEIGHT / 2 + found[..., 1]) > HEIGHT / 2)
    np.testing.assert_array_equal(state == motion.BEYOND, corner)


def test_a_zoom_moves_pixels_away_from_the_middle():
    found, _ = moved(moment(), moment(focal=1.25 * FOCAL))
    np.testing.assert_allclose(found, np.stack([U, V], -1) * FOCAL * 0.25, atol=1e-4)


def test_a_camera_that_moves_sideways_sees_parallax():
    still = moment()
    found, _ = moved(still, moment(position=(0.2, -0.1, 0)))
    with np.errstate(divide="ignore"):
        near = 1 / still.depth.astype(float)
    np.testing.assert_allclose(found[..., 0], -0.2 * FOCAL * near, atol=1e-4)
    np.testing.assert_allclose(found[..., 1], 0.1 * FOCAL * near, atol=1e-4)
    assert (found[: HEIGHT // 4] == 0).all()  # the sky


def test_a_camera_that_moves_forward_sees_a_plane_grow():
    found, _ = moved(moment(np.full((HEIGHT, WIDTH), 5.0)), moment(np.full((HEIGHT, WIDTH), 4.0), position=(0, 0, 1)))
    np.testing.assert_allclose(found, np.stack([U, V], -1) * FOCAL * (5 / 4 - 1), atol=1e-4)


@pytest.mark.parametrize("k1", [-0.3, 0.2])
def test_a_lens_bends_what_a_pan_moves(k1):
    lens = {"model": "OpenCV", "k1": k1, "k2": 0.0, "p1": 0.0, "p2": 0.0}
    turned = moment(rotation=about("y", -4), view=camera(about("y", -4), distortion=lens))
    found, _ = moved(moment(view=camera(distortion=lens)), turned)

    def bent(u, v):
        factor = 1 + k1 * (u**2 + v**2)
        return u * factor, v * factor

    # Points are chosen where a pinhole would see them, so that only the lens's own formula is needed.
    u, v = np.meshgrid(np.linspace(-0.35, 0.35, 15), np.linspace(-0.25, 0.25, 11))
    angle = np.arctan(u) - np.radians(4)
    x, y = bent(np.tan(angle), v * np.cos(np.arctan(u)) / np.cos(angle))
    at = [bent(u, v)[1] * FOCAL + HEIGHT / 2 - 0.5, bent(u, v)[0] * FOCAL + WIDTH / 2 - 0.5]
    for axis, right in enumerate((x - bent(u, v)[0], y - bent(u, v)[1])):
        read = map_coordinates(found[..., axis], at, order=3)
        np.testing.assert_allclose(read, right * FOCAL, atol=2e-3)


def disc(center, radius):
    """A disc parallel to the picture, in front of a wall at 10 m."""
    x, y, z = center
    on = (U * z - x) ** 2 + (V * z - y) ** 2 < radius**2
    return np.where(on, z, 10.0), on.astype(np.uint8)


@pytest.mark.parametrize("shift", [(0.1, 0, 0), (0, -0.2, 0), (0.05, 0.1, -0.5)])
def test_an_object_that_moves_takes_its_pixels_with_it(shift):
    before, after = np.array([0.0, 0, 4]), np.array([0.0, 0, 4]) + shift
    here, there = (moment(*disc(at, 0.7), [box(at)]) for at in (before, after))
    found, state = moved(here, there)
    on = here.mask > 0
    z = after[2]
    np.testing.assert_allclose(found[on, 0], ((U[on] * 4 + shift[0]) / z - U[on]) * FOCAL, atol=1e-4)
    np.testing.assert_allclose(found[on, 1], ((V[on] * 4 + shift[1]) / z - V[on]) * FOCAL, atol=1e-4)
    assert (found[~on] == 0).all()
    assert (state[on] == motion.SEEN).mean() > 0.9  # but for the outline
    covered = ~on & (there.mask > 0)
    assert covered.any()
    assert (state[covered] == motion.HIDDEN).all()
    assert (state[~on & ~covered] == motion.SEEN).all()


@pytest.mark.parametrize(("axis", "degrees"), [("z", 25), ("y", 20), ("x", -15)])
def test_an_object_that_turns_does_so_about_its_middle(axis, degrees):
    here = moment(*disc((0.3, 0.1, 4), 0.7), [box((0.3, 0.1, 4))])
    found, _ = moved(here, moment(*disc((0.3, 0.1, 4), 0.7), [box((0.3, 0.1, 4), about(axis, degrees))]))
    on = here.mask > 0
    offset = np.stack([U[on] * 4 - 0.3, V[on] * 4 - 0.1, np.zeros(on.sum())], -1)
    x, y, z = (np.array([0.3, 0.1, 4]) + offset @ about(axis, degrees).T).T
    np.testing.assert_allclose(found[on], np.stack([x / z - U[on], y / z - V[on]], -1) * FOCAL, atol=1e-4)


def test_an_object_that_grows_does_so_about_its_middle():
    here = moment(*disc((0.3, 0, 4), 0.5), [box((0.3, 0, 4))])
    found, _ = moved(here, moment(*disc((0.3, 0, 4), 0.6), [box((0.3, 0, 4), size=1.2)]))
    on = here.mask > 0
    np.testing.assert_allclose(found[on, 0], 0.2 * (U[on] * 4 - 0.3) / 4 * FOCAL, atol=1e-4)
    np.testing.assert_allclose(found[on, 1], 0.2 * V[on] * FOCAL, atol=1e-4)


def test_what_is_not_known_is_no_number():
    here = moment(*disc((0, 0, 4), 0.7), [box((0, 0, 4))], "Desert")
    on = here.mask > 0
    for other in ([], [box((0, 0, 4), name="Camel")]):
        found, state = moved(here, moment(here.depth, here.mask, other, "Desert"))
        assert np.isnan(found[on]).all()
        assert (state[on] == motion.UNDEFINED).all()
        assert (found[~on] == 0).all()
    found, state = moved(here, moment(here.depth, here.mask, here.objects, "Snow"))
    assert (found[on] == 0).all()
    assert np.isnan(found[~on]).all()
    found, state = moved(here, moment(here.depth, here.mask, here.objects, "Desert", position=(0, 0, 11)))
    assert np.isnan(found).all()  # all is behind the camera
    assert (state == motion.UNDEFINED).all()


def test_frames_that_cannot_be_compared_are_refused():
    with pytest.raises(EngineError, match="one size is needed"):
        motion.flow(moment(), motion.Moment(np.ones((8, 8)), np.zeros((8, 8), np.uint8), camera(), ()))
    with pytest.raises(EngineError, match="no camera with 'K' and 'Rt'"):
        motion.flow(moment(view={"fov": 40}), moment())
    with pytest.raises(EngineError, match="radial terms k1 and k2"):
        motion.flow(moment(view=camera(distortion={"k1": 0.1, "p1": 0.2})), moment())


# Rendered pictures ----------------------------------------------------------------------------------------

BASE = {"World_Name": "VillageSquare", "Character_Name": "Elephant", "Character1_Pos": "location", "Camera_Yaw": 20}
CHANGES = {
    "camera": {"Camera_Yaw": 23, "Camera_Pitch": 2, "Camera_Roll": 4, "Camera_Focal_Length": 24},
    "object": {"Character_Rotation_Yaw": 12, "Character_Location": "5,-12,3", "Character_Scale": 1.1},
}


@pytest.fixture(scope="module")
def frames():
    """Frames of a still scene, of one whose camera moves, and of one whose object does."""
    engine = BuiltinEngine()
    options = RenderOptions(size=(144, 112), passes=("rgb", "mask", "depth"), samples=8)
    scenes = {"still": Scene(BASE)} | {name: Scene({**BASE, **change}) for name, change in CHANGES.items()}
    found = dict(zip(scenes, engine.render(scenes.values(), options), strict=True))
    engine.close()
    return {
        name: (f.array(), motion.Moment(f.array("depth"), f.array("mask"), f.info["camera"], f.info["objects"]))
        for name, f in found.items()
    }


def sampled(picture, found):
    """What a picture shows where pixels move to, (H, W, …)."""
    height, width = found.shape[:2]
    y, x = np.mgrid[:height, :width]
    at = [np.nan_to_num(y + found[..., 1]), np.nan_to_num(x + found[..., 0])]
    planes = picture.reshape(height, width, -1).astype(float)
    return np.stack([map_coordinates(plane, at, order=1, mode="nearest") for plane in np.moveaxis(planes, -1, 0)], -1)


@pytest.mark.parametrize("name", list(CHANGES))
def test_there_and_back_is_where_it_was(frames, name):
    here, there = frames["still"][1], frames[name][1]
    forward, state = motion.flow(here, there)
    backward, _ = motion.flow(there, here)
    seen = state == motion.SEEN
    assert seen.mean() > 0.7
    off = np.linalg.norm(forward + sampled(backward, forward), axis=-1)[seen]
    assert np.median(off) < 0.01
    assert np.percentile(off, 90) < 0.1  # at outlines the pixels in between are of two things


@pytest.mark.parametrize("name", list(CHANGES))
def test_the_next_picture_moved_back_is_the_first(frames, name):
    (first, here), (second, there) = frames["still"], frames[name]
    forward, state = motion.flow(here, there)
    moving = (state == motion.SEEN) & (np.linalg.norm(forward, axis=-1) > 1)
    assert moving.sum() > 300
    with_flow = np.abs(sampled(second, forward) - first)[moving].mean()
    without = np.abs(second.astype(float) - first)[moving].mean()
    assert with_flow < 0.5 * without


def test_an_object_has_one_number_in_a_clip():
    zebra, cat, camel = box((0, 0, 1)), box((0, 0, 1), number=2, name="Cat"), box((0, 0, 1), name="Camel")
    numbers = motion.tracks([[zebra, cat], [cat], [camel, cat]])
    assert numbers == [{1: 1, 2: 2}, {2: 2}, {1: 3, 2: 2}]
    mask = np.array([[0, 1], [2, 1]], np.uint8)
    np.testing.assert_array_equal(motion.track_pass(mask, numbers[2]), [[0, 3], [2, 3]])


def test_colours_say_the_direction():
    ways = np.array([[[5, 0], [0, 5], [-5, 0], [0, -5], [0, 0], [np.nan, 0]]])
    found = motion.flow_colors(ways, most=5)[0].tolist()
    assert found[0] == [255, 0, 0]
    assert found[1] == [128, 255, 0]
    assert found[2] == [0, 255, 255]
    assert found[3] == [128, 0, 255]
    assert found[4:] == [[255, 255, 255], [0, 0, 0]]


# Storage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["png", "raw"])
def test_what_is_stored_is_what_was_there(format):
    rng = np.random.default_rng(0)
    found = rng.normal(0, 300, (30, 40, 2)).astype(np.float32)
    found[3, 4] = np.nan
    again = codec.decode("flow_forward", codec.encode("flow_forward", found, format))
    np.testing.assert_allclose(again, found, atol=0.5 / 1024)
    assert codec.encode("flow_forward", again, format) == codec.encode("flow_forward", found, format)
    state = rng.integers(0, 4, (30, 40)).astype(np.uint8)
    np.testing.assert_array_equal(codec.decode("hidden_forward", codec.encode("hidden_forward", state, format)), state)
    for most in (200, 60_000):
        numbers = rng.integers(0, most, (30, 40)).astype(np.uint16)
        np.testing.assert_array_equal(codec.decode("track", codec.encode("track", numbers, format)), numbers)
    with pytest.raises(ProtocolError, match="flow_forward"):
        codec.decode("flow_forward", codec.encode("mask", state, format))
