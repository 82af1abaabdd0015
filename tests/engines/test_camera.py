"""Lens, shutter and resolution of the camera. What could silently be wrong: a blur or a bow that is there but of
another size than its level says, or labels of another place than what is seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchmultiverse.engines.builtin.lens import SENSOR_SIDE, Lens, least_distortion, lens_of, undistorted
from torchmultiverse.engines.builtin.mesh import Material, MeshPart, ball, quad
from torchmultiverse.engines.builtin.variant import activate, probe
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene

if probe().chosen == "scalar_rgb":
    pytest.skip("only the scalar variant works here", allow_module_level=True)
activate()

from tracer_scenes import POINT, SPOT, blocks, everything, furnace, made_of  # noqa: E402
from tracer_scenes import camera as looking_down  # noqa: E402
from tracer_scenes import character as clay  # noqa: E402

from torchmultiverse.engines import Failure, RenderOptions  # noqa: E402
from torchmultiverse.engines.builtin import BuiltinEngine  # noqa: E402
from torchmultiverse.engines.builtin.annotate import silhouette  # noqa: E402
from torchmultiverse.engines.builtin.motion import in_slices, motion_of, moved, set_off  # noqa: E402
from torchmultiverse.engines.builtin.placement import Actor, View  # noqa: E402
from torchmultiverse.engines.builtin.renderer import WorldRenderer  # noqa: E402
from torchmultiverse.engines.builtin.resolution import longest_side, sensor_of  # noqa: E402
from torchmultiverse.engines.builtin.tracer import Tracer  # noqa: E402
from torchmultiverse.engines.builtin.world import Camera  # noqa: E402

ALONG_Y = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
ZEBRA = Scene({"World_Name": "SaltFlats", "Character_Name": "Zebra"})


def straight(size=(64, 8), focal=80.0, lens=Lens()):  # noqa: B008 - frozen
    """Return a camera at the origin that looks along +y."""
    return View(np.zeros(3), ALONG_Y, focal, size, lens)


def plate(depth, left=0.0, low=-9.0, motion=(0.0, 0.0, 0.0)):
    """Return a black plate across the view that fills all to the right of a place, and all above a height."""
    corners = [(left, depth, low), (99, depth, low), (99, depth, 9), (left, depth, 9)]
    black = Material("black", specular=0.0)
    return replace(made_of([MeshPart(black, quad(corners).tinted((0.0, 0.0, 0.0)))]), motion=motion)


def width_of_edge(character, view):
    """Return the standard deviation, in pixels, of what a bright sky's edge at a black plate is blurred by."""
    own = Tracer(furnace())
    own.set_characters([character])
    seen = own.render(view, 512, 3).color.mean((0, 2)).astype(float)
    assert seen.max() == pytest.approx(1, abs=0.01)
    assert seen.min() == pytest.approx(0, abs=0.01)
    line = -np.diff(seen)
    at = np.arange(len(line))
    middle = (line * at).sum()
    return float(np.sqrt(max((line * (at - middle) ** 2).sum() - 1 / 6, 0)))  # the pixel's own, and that of differences


@pytest.mark.parametrize(
    ("depth", "focus", "stop", "millimetres"),
    [(4.0, 2.0, 0.7, 50), (1.5, 3.0, 1.4, 85), (9.0, 0.9, 2.0, 50), (30.0, 5.0, 0.7, 60)],
)
def test_the_blur_circle_is_that_of_a_thin_lens(depth, focus, stop, millimetres):
    """c = A |d - s| / d · f / (s - f), on a sensor whose shorter side is 24 mm."""
    size = (96, 64)
    focal = millimetres / SENSOR_SIDE * min(size)
    scene = ZEBRA.changed(Camera_Aperture=stop, Camera_Focus=focus)
    lens = lens_of(scene, size, focal, 4.7)
    f, s, d = millimetres / 1000, focus, depth
    circle = f / stop * abs(d - s) / d * f / (s - f) * 1000 / SENSOR_SIDE * min(size)
    assert lens.blur(depth, focal) == pytest.approx(circle, rel=1e-6)
    found = width_of_edge(plate(depth), straight((96, 8), focal, lens))
    assert found * 4 == pytest.approx(circle, rel=0.03)  # a circle's projection has a quarter of its diameter
    sharp = width_of_edge(plate(focus), straight((96, 8), focal, lens))
    assert sharp < 0.15


def test_the_room_that_the_camera_is_in_holds_for_all_of_the_lens():
    world = furnace()
    room = world.spec.model_copy(update={"camera": Camera(low=(-1e4, 1.0, -1e4))})
    own = Tracer(replace(world, spec=room))
    lens = Lens(aperture=0.4, focus=2.0)
    own.set_characters([plate(0.8, -9)])
    assert own.render(straight(lens=lens), 16, 0).color == pytest.approx(1), "a wall before the room is looked through"
    own.set_characters([plate(1.2, -9)])
    assert own.render(straight(lens=lens), 16, 0).color == pytest.approx(0)


def test_labels_are_those_of_the_pinhole():
    own = Tracer(everything())
    own.set_characters([clay(-0.4)])
    sharp = own.render(looking_down(), 4, 0)
    blurred = own.render(replace(looking_down(), lens=Lens(0.5, 2.0)), 4, 0)
    for name in ("instance", "distance", "shading_normal"):
        assert np.array_equal(getattr(sharp, name), getattr(blurred, name)), name
    assert np.abs(sharp.color - blurred.color).mean() > 0.02


def test_the_camera_focuses_on_what_it_looks_at():
    lens = lens_of(ZEBRA.changed(Camera_Aperture=2), (64, 64), 90.0, 4.7)
    assert lens.focus == 4.7
    assert lens_of(ZEBRA.changed(Camera_Focus=2), (64, 64), 90.0, 4.7).plain, "a pinhole is sharp everywhere"
    with pytest.raises(SpecError, match=r"Camera_Focus = 0.3: a lens of 400 mm focuses on what is further than 0.4 m"):
        lens_of(ZEBRA.changed(Camera_Aperture=2, Camera_Focus=0.3), (64, 64), 64 * 400 / 24, 4.7)


@pytest.mark.parametrize("way", [0.1, 0.5])
def test_what_moves_is_blurred_by_speed_times_time(way):
    depth, focal = 3.0, 80.0
    found = width_of_edge(plate(depth, motion=(way, 0.0, 0.0)), straight((64, 8), focal))
    assert found * np.sqrt(12) == pytest.approx(way * focal / depth, rel=0.03)
    away = width_of_edge(plate(depth, motion=(0.0, 0.0, way)), straight((64, 8), focal))
    assert away < 0.15, "along its own edge nothing is seen of it"


def test_characters_move_nose_first():
    scene = ZEBRA.changed(Camera_Shutter=40, Character_Speed=5)
    (actor,) = set_off(scene, [Actor(1, "Zebra", 1, 90, 0, 0, "Default", "center")])
    assert motion_of(actor) == pytest.approx((0, -0.2, 0), abs=1e-12), "turned to its right: to the camera"
    assert motion_of(replace(actor, yaw=0, pitch=30)) == pytest.approx((0.2 * np.cos(np.pi / 6), 0, 0.1))
    for alone in ({"Camera_Shutter": 40}, {"Character_Speed": 5}):
        assert set_off(ZEBRA.changed(**alone), [actor])[0] is actor


def _moving():
    glass = MeshPart(Material("pane", glass=-1.5, roughness=0.0), ball(12, 16).moved((0, 0, 0.4), 0.3))
    return [
        replace(clay(-0.9), motion=(0.8, 0.0, 0.0)), None,
        replace(made_of([glass], 0.9), motion=(0.0, -0.9, 0.3)), clay(0.2),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_moving_picture_is_the_mean_of_many_still_ones():
    """With its shadows and reflections: every ray of a path is of one time. The labels are of the middle."""
    view, count = replace(looking_down(), size=(48, 48), focal=76.0), 24
    own = Tracer(everything((SPOT, POINT), 0.0, 0.02))  # glints of a sun in glass are noise
    own.set_characters(_moving())
    blurred = own.render(view, 384, 1)
    own.set_characters([moved(c, 0.0) for c in _moving()])
    still = own.render(view, 384, 1)
    total = np.zeros_like(blurred.color)
    for k in range(count):
        own.set_characters([moved(c, (k + 0.5) / count - 0.5) for c in _moving()])
        total += own.render(view, 16, 50 + k).color / count
    # In blocks of three pixels, in which noise is a third.
    noise, change = (
        np.abs((picture.color - total).reshape(16, 3, 16, 3, 3).mean((1, 3))).mean(-1) for picture in (blurred, still)
    )
    moving = change > 0.2 * change.max()
    assert np.count_nonzero(moving) > 8
    assert noise[moving].mean() < 0.2 * change[moving].mean()
    assert noise[~moving].mean() < 0.02 * total.mean()
    # Which of two triangles a ray meets on an edge is rounding.
    assert np.count_nonzero(blurred.instance != still.instance) <= 2
    assert set(np.unique(blurred.instance)) == {0, 1, 3, 4}


def test_one_ray_tracing_scene_moves_in_slices_of_time():
    own, one = WorldRenderer(everything()), Tracer(everything(), one_scene=True)
    assert one.sliced
    characters = _moving()
    own.set_characters(characters)
    wanted = own.render(looking_down(), 512, 2)

    def take(samples, number, last):
        return one.render(looking_down(), samples, number, exact=last)

    found = in_slices(characters, 512, one.set_characters, take)
    assert np.abs(blocks(found.color) - blocks(wanted.color)).mean() < 0.02 * wanted.color.mean()
    assert np.count_nonzero(found.instance != wanted.instance) <= 2


@pytest.mark.parametrize("k1", [-0.07, 0.3])
def test_a_point_is_seen_where_browns_model_says(k1):
    size, focal = (96, 96), 70.0
    lens = lens_of(ZEBRA.changed(Camera_Distortion=k1), size, focal, 4.7)
    view = straight(size, focal, lens)
    own = Tracer(furnace())
    for x, z in ((0.0, 0.0), (0.6, 0.2), (0.3, -0.45), (0.5, 0.5)):
        place = np.array([x * 4, 4.0, z * 4])
        own.set_characters([made_of([MeshPart(Material("m"), ball(12, 16).moved(place, 0.12))])])
        rows, columns = np.nonzero(own.render(view, 1, 0).instance)
        pinhole = np.array([x, -z]) * focal / 48
        expected = pinhole * (1 + k1 * (pinhole**2).sum()) * 48 + 48
        assert view.project(place[None])[0][0] == pytest.approx(expected, abs=1e-6)
        if (expected > 4).all() and (expected < 92).all():
            assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(expected, abs=0.35)
    facts = view.as_dict()
    assert facts["distortion"]["k1"] == pytest.approx(k1 * (focal / 48) ** 2), "OpenCV's, of slopes"
    assert facts["K"] == straight(size, focal).as_dict()["K"]


@pytest.mark.parametrize("k1", [-0.07, 0.3])
def test_straight_edges_bow_and_depth_and_normals_are_of_what_is_there(k1):
    size, focal = (64, 64), 60.0
    view = straight(size, focal, lens_of(ZEBRA.changed(Camera_Distortion=k1), size, focal, 4.7))
    own = Tracer(furnace())
    own.set_characters([plate(4.0, -9, low=-1.4)])
    buffers = own.render(view, 1, 0)
    ends = buffers.instance.sum(0)  # the lower edge in each column
    assert (ends[32] > ends[2]) == (k1 < 0)
    across, _ = view.grid()
    inside = buffers.instance > 0
    slant = np.sqrt(1 + sum(slope**2 for slope in view.grid()))
    assert (buffers.distance / slant)[inside] == pytest.approx(4.0, rel=1e-4)
    assert np.abs(buffers.shading_normal[inside] @ ALONG_Y.T - [0, 0, -1]).max() < 1e-5
    corners = np.array([(x, 4.0, -1.4) for x in across[-1] * 4])
    assert view.project(corners)[0][:, 1] == pytest.approx(ends + 0.0, abs=1.5)


def test_distortion_and_its_inverse_meet_and_what_folds_is_refused():
    radius = np.linspace(0, 1.4, 50)
    for k1 in (-0.0736, -0.02, 0.05, 0.5):
        pinhole = undistorted(radius, k1)
        assert pinhole * (1 + k1 * pinhole**2) == pytest.approx(radius, abs=1e-9)
    assert least_distortion((64, 64)) == pytest.approx(-2 / 27)
    size = (128, 64)
    with pytest.raises(SpecError, match=r"Camera_Distortion = -0.06: .* 128 x 64 would fold over; it is to be above"):
        lens_of(ZEBRA.changed(Camera_Distortion=-0.06), size, 80.0, 4.7)
    lens = lens_of(ZEBRA.changed(Camera_Distortion=-0.029), size, 80.0, 4.7)
    out = np.linspace(0, 60, 500)[:, None] * [[1.0, 0.0]]
    assert (np.diff(lens.distorted(out)[:, 0]) > 0).all(), "nothing from beyond the picture folds back into it"


@pytest.fixture(scope="module")
def engine():
    return BuiltinEngine(denoise=False)


def pictured(engine, size=(96, 96), **levels):
    (frame,) = engine.render([ZEBRA.changed(**levels)], RenderOptions(size, ("rgb", "mask", "depth"), samples=4))
    if isinstance(frame, Failure):
        raise frame.error()
    return frame


@pytest.mark.parametrize("k1", [-0.07, 0.4])
def test_the_raster_of_annotations_agrees_with_the_mask_of_a_distorted_picture(engine, k1):
    frame = pictured(engine, Camera_Distortion=k1, Camera_Distance=2.6)
    renderer = next(iter(engine._worlds.values.values()))
    character = renderer._shown[0]
    mask = frame.array("mask") == 1
    camera = frame.info["camera"]
    rt = np.array(camera["Rt"])
    focal = camera["K"][0][0]
    lens = lens_of(ZEBRA.changed(Camera_Distortion=k1), (96, 96), focal, 2.6)
    view = View(-rt[:, :3].T @ rt[:, 3], rt[:, :3], focal, (96, 96), lens)
    raster = silhouette(character, view, 8)[8:-8, 8:-8]
    assert np.count_nonzero(raster != mask) <= 0.004 * np.count_nonzero(mask)


@pytest.mark.parametrize("asked", [12, 30])
def test_the_first_character_has_as_many_pixels_of_the_sensor_as_was_asked(engine, asked):
    frame, plain = pictured(engine, Target_Pixels=asked), pictured(engine)
    pixels, scale = frame.info["sensor"]["pixels"], frame.info["sensor"]["scale"]
    left, top, right, bottom = plain.info["objects"][0]["box_2d_full"]
    assert max(right - left, bottom - top) * scale == pytest.approx(asked, abs=2 * scale)
    assert pixels == pytest.approx([96 * scale] * 2)
    for name in ("mask", "depth"):
        assert np.array_equal(frame.array(name), plain.array(name)), "labels are of the picture's pixels"
    assert frame.array().shape == (96, 96, 3)
    # Nothing in the picture is finer than the sensor's pixels.
    frequency = np.abs(np.fft.fftfreq(96))
    fine = np.maximum(frequency[:, None], frequency[None]) > scale / 2 * 1.4
    spectra = [np.abs(np.fft.fft2(picture.array().astype(float).mean(-1))) ** 2 for picture in (frame, plain)]
    assert spectra[0][fine].sum() < 0.1 * spectra[1][fine].sum()
    assert spectra[0][~fine].sum() == pytest.approx(spectra[1][~fine].sum(), rel=0.05)


def test_a_sensor_sees_the_picture_and_no_more():
    character = plate(4.0, -4.5, low=0.0)
    character.vertices[:, 0] = np.minimum(character.vertices[:, 0], 4.5)
    view = straight((60, 40), 50.0)
    side = longest_side(character, view)
    assert side == pytest.approx(9 * 50 / 4)
    sensor = sensor_of(ZEBRA.changed(Target_Pixels=40), view, [character])
    assert longest_side(character, sensor.view) == pytest.approx(40)
    image = np.zeros((*sensor.view.size[::-1], 3), np.uint8)
    image[:, sensor.view.size[0] // 2 :] = 200
    wide = sensor.enlarged(image)
    assert wide.shape == (40, 60, 3)
    middle = 60 / 2 + (sensor.view.size[0] // 2 - sensor.view.size[0] / 2) / sensor.scale
    assert (wide[0, :, 0] < 100).sum() == pytest.approx(middle, abs=1)
    with pytest.raises(SpecError, match=r"Target_Pixels = 200: the first character is 112.5 pixels .* at most 112"):
        sensor_of(ZEBRA.changed(Target_Pixels=200), view, [character])
    with pytest.raises(SpecError, match=r"Target_Pixels = 20: .* there is none"):
        sensor_of(ZEBRA.changed(Target_Pixels=20), view, [None, character])


def test_camera_conditions_are_seen_and_are_functions_of_the_scene(engine):
    plain = pictured(engine)
    for levels in (
        {"Camera_Aperture": 0.7, "Camera_Focus": 1}, {"Camera_Shutter": 60, "Character_Speed": 10},
        {"Camera_Distortion": -0.07}, {"Target_Pixels": 12},
    ):  # fmt: skip
        found = pictured(engine, **levels)
        assert np.abs(found.array().astype(int) - plain.array()).mean() > 1.5, levels
        assert found.sha256() == pictured(engine, **levels).sha256()
        if "Camera_Distortion" not in levels:
            assert np.array_equal(found.array("mask"), plain.array("mask")), levels
    assert pictured(engine, Camera_Shutter=100, Character_Speed=5).info["objects"][0]["motion"] == [0.5, 0.0, 0.0]
    with pytest.raises(SpecError, match=r"Camera_Distortion = -0.1 is out of range: -0.07 to 0.5"):
        pictured(engine, Camera_Distortion=-0.1)
    with pytest.raises(Exception, match=r"Target_Pixels = 4000: the first character is \d+\.\d pixels long"):
        pictured(engine, Target_Pixels=4000)
