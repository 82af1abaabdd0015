"""What the Unreal plugin computes without Unreal, against what the Python side has of the same: cameras, places, test
cards, and the files of the passes. Silently wrong would be a mirrored axis, a camera on the other side, a normal in
world coordinates, or a depth in centimetres: every picture would still look like one."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.engines import Catalogue, Choice, codec
from torchmultiverse.engines.builtin.placement import layout, rotation, scene_actors, view
from torchmultiverse.engines.marker import draw_marker, read_marker
from torchmultiverse.scenes import FACTORS, Scene

BRIDGE = Path(__file__).resolve().parents[2] / "unreal_bridge"
PURE = BRIDGE / "TorchMultiverseBridge" / "Source" / "TorchMultiverseBridge" / "Private"
COMPILER = shutil.which("g++") or shutil.which("clang++")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no g++ or clang++ on this machine to build the parts with")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("parts") / "parts"
    files = [Path(__file__).with_name("pure_parts.cpp"), *sorted((PURE / "Pure").glob("*.cpp"))]
    flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Wshadow", "-Werror", f"-I{PURE}"]
    flags.append("-fsanitize=address,undefined")
    subprocess.run([str(COMPILER), *flags, "-o", str(program), *map(str, files)], check=True)
    return program


def run(program: Path, *arguments: object, data: bytes = b"") -> bytes:
    done = subprocess.run([str(program), *map(str, arguments)], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("size", [(24, 24), (64, 48), (512, 512)])
def test_test_cards_are_those_of_the_marker_engine(parts: Path, size: tuple[int, int]) -> None:
    for name in ("00" * 16, "ff" * 16, Scene({"World_Name": "Snow"}).scene_id):
        card = np.frombuffer(run(parts, "marker", name, *size), np.uint8).reshape(size[1], size[0], 4)
        assert np.array_equal(card[..., 2::-1], draw_marker(name, *size))
        assert read_marker(card[..., 2::-1]) == name
    assert subprocess.run([str(parts), "marker", "xy" * 16, "24", "24"], check=False).returncode == 2


class _Ground:
    def __init__(self, elevation: float, reach: float, height: float) -> None:
        self.spec = type("Spec", (), {"camera": type("Camera", (), {"elevation": elevation, "reach": reach})})
        self._height = height

    def ground(self, x: float, y: float) -> float:
        return self._height


PLACES = [("center", "center"), ("left", "right"), ("bottom", "top"), ("location", "center")]


@pytest.mark.parametrize("places", PLACES)
def test_the_camera_is_where_the_built_in_engine_has_it(parts: Path, places: tuple[str, str]) -> None:
    turns = itertools.product((0, 45, 225, 330), (0, 20, 240, 340), (0, 30))
    for (yaw, pitch, roll), size in zip(turns, itertools.cycle([(512, 512), (640, 360), (360, 640)]), strict=False):
        scene = Scene(
            {
                "World_Name": "Desert", "Character1_Pos": places[0], "Character2_Pos": places[1],
                "Camera_Yaw": yaw, "Camera_Pitch": pitch, "Camera_Roll": roll,
            }
        )  # fmt: skip
        kind = layout(scene, scene_actors(scene))
        right = view(scene, _Ground(5.5, 1.2, 0.37), kind, size)  # type: ignore[arg-type]
        said = run(parts, "camera", *places, yaw, pitch, roll, 5.5, 1.2, 37, *size).decode().splitlines()
        assert float(said[0]) == pytest.approx(right.focal, rel=1e-6)
        found = np.array([[float(part) for part in line.split()] for line in said[1:]])
        assert np.allclose(found, right.as_dict()["Rt"], atol=1e-6), (places, yaw, pitch, roll)


def test_places_are_those_of_the_built_in_engine(parts: Path) -> None:
    # Unreal's frame: away, to the right, up; centimetres. The built-in engine's: to the right, away, up; metres.
    def spot(place: str, location: str, below: float) -> list[float]:
        return [float(part) for part in run(parts, "spot", place, location, below).split()]

    right = {"center": (0, 0, 0), "left": (0, -112, 0), "right": (0, 112, 0), "top": (0, 0, 160 * 0.7 + 22)}
    for place, at in right.items():
        assert spot(place, "0,0,0", 0.7) == pytest.approx(at)
    assert spot("location", "150,-75,30.5", 1) == pytest.approx([160, -80, 30.5 * 160 / 150])
    for wrong in ("1,2", "1,2,3,4", "a,b,c", "1,2,1001", "nan,0,0", "1,2,3 ", ""):
        assert subprocess.run([str(parts), "spot", "location", wrong, "1"], check=False).returncode == 2, wrong


def _rotator(pitch: float, yaw: float, roll: float) -> np.ndarray:
    """Unreal's FRotator as a matrix whose columns are its forward, right and up, in forward, right, up."""
    p, y, r = np.radians([pitch, yaw, roll])
    sp, cp, sy, cy, sr, cr = np.sin(p), np.cos(p), np.sin(y), np.cos(y), np.sin(r), np.cos(r)
    return np.array(
        [
            [cp * cy, sr * sp * cy - cr * sy, -(cr * sp * cy + sr * sy)],
            [cp * sy, sr * sp * sy + cr * cy, cy * sr - cr * sp * sy],
            [sp, -sr * cp, cr * cp],
        ]
    )


def test_a_characters_rotator_is_the_factors_with_ninety_added_to_the_yaw() -> None:
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])  # between (away, right, up) and (right, away, up)
    mirror = np.diag([1, -1, 1])  # a mesh's own axes: Unreal's forward, right, up; the built-in's forward, left, up
    for pitch, yaw, roll in itertools.product((0, 20, -70), (0, 45, 135, 300), (0, -30, 90)):
        unreal = _rotator(pitch, yaw + 90, roll)
        assert np.allclose(swap @ unreal @ mirror, rotation(yaw, pitch, roll), atol=1e-9), (pitch, yaw, roll)


def test_depth_is_in_metres_and_infinite_for_the_sky(parts: Path) -> None:
    width, height, pitch = 5, 3, 8
    data = np.full((height, pitch), -1, np.float32)
    data[:, :width] = np.arange(15).reshape(3, 5) * 100
    data[0, 0], data[0, 1], data[0, 2] = 1e12, np.nan, 200001
    depth = codec.decode("depth", run(parts, "depth", width, height, pitch, 2000, data=data.tobytes()))
    assert depth.dtype == np.float32
    assert depth.shape == (3, 5)
    assert np.isinf(depth[0, :3]).all()
    assert np.allclose(depth[1:], np.arange(15).reshape(3, 5)[1:])


def test_a_deflated_strip_is_read_too(parts: Path) -> None:
    import struct
    import zlib

    plain = run(parts, "depth", 4, 4, 4, 2000, data=np.arange(16, dtype=np.float32).tobytes())
    head, strip = bytearray(plain[:134]), zlib.compress(plain[134:])
    for place in range(10, 130, 12):
        tag = struct.unpack_from("<H", head, place)[0]
        if tag in (259, 279):
            struct.pack_into("<I", head, place + 8, 8 if tag == 259 else len(strip))
    assert np.allclose(codec.decode("depth", bytes(head) + strip), np.arange(16).reshape(4, 4) / 100)


def test_a_mask_holds_whole_numbers_or_is_refused(parts: Path) -> None:
    data = np.zeros((2, 4, 4), np.float32)
    data[..., 0] = [[0, 1, 2.004, 3], [255, 1, 0, 9]]
    mask = np.frombuffer(run(parts, "mask", 3, 2, 4, 2, data=data.tobytes()), np.uint8).reshape(2, 3)
    assert mask.tolist() == [[0, 1, 2], [0, 1, 0]]
    data[0, 0, 0] = 0.5  # as an edge that was smoothed would be
    done = subprocess.run([str(parts), "mask", "3", "2", "4", "2"], input=data.tobytes(), check=False)
    assert done.returncode == 4


def test_classes_have_sixteen_bits_where_one_needs_them(parts: Path) -> None:
    mask = np.array([0, 1, 2, 3], np.uint8)
    narrow = run(parts, "class", 4, 1, 4, 7, 200, data=mask.tobytes())
    assert (narrow[0], list(narrow[1:])) == (8, [0, 7, 200, 0])
    wide = run(parts, "class", 4, 1, 4, 7, 300, data=mask.tobytes())
    assert (wide[0], np.frombuffer(wide[1:], np.uint16).tolist()) == (16, [0, 7, 300, 0])


def test_normals_are_in_camera_coordinates(parts: Path) -> None:
    width, height, pitch = 4, 2, 5
    world = np.zeros((height, pitch, 4), np.float32)
    world[0, :4, :3] = [[0, 0, 1], [1, 0, 0], [0, 2, 0], [-0.6, 0, 0.8]]  # the third is not of length one
    depth = np.ones((height, width), np.float32)
    depth[1, 0] = np.inf
    world[1, 0, :3] = [0, 0, 1]
    # A camera that looks along Unreal's +X: right is +Y, up +Z.
    axes = (0, 1, 0, 0, 0, 1, 1, 0, 0)
    raw = run(parts, "normals", width, height, pitch, *axes, data=world.tobytes() + depth.tobytes())
    bgra = np.frombuffer(raw, np.uint8).reshape(height, width, 4)
    normals = codec.decode("normals", _png(bgra[..., 2::-1]))
    right = [[0, -1, 0], [0, 0, 1], [1, 0, 0], [0, -0.8, -0.6]]
    assert np.allclose(normals[0], right, atol=0.005)
    assert not normals[1].any()
    assert (bgra[..., 3] == 255).all()


def _png(rgb: np.ndarray) -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(out, "PNG")
    return out.getvalue()


def test_a_picture_with_an_opaque_alpha_is_read_as_it_is(parts: Path) -> None:
    import io

    from PIL import Image

    data = np.random.default_rng(0).integers(0, 256, (3, 7, 4), np.uint8)
    bgra = np.frombuffer(run(parts, "rgb", 5, 3, 7, data=data.tobytes()), np.uint8).reshape(3, 5, 4)
    out = io.BytesIO()
    Image.fromarray(bgra[..., [2, 1, 0, 3]]).save(out, "PNG")
    assert np.array_equal(codec.decode("rgb", out.getvalue()), data[:, :5, 2::-1])


def test_conditions_are_factors_of_the_table_within_their_ranges(parts: Path) -> None:
    named = set()
    for name, low, high in (line.split("\t") for line in run(parts, "conditions").decode().splitlines()):
        factor = FACTORS[name]
        assert factor.wire == name
        assert factor.kind == "number"
        assert factor.low <= float(low) < float(high) <= factor.high, name
        named.add(name)
    assert len(named) == 15


def test_a_project_says_which_conditions_it_has_and_others_are_refused() -> None:
    factors = {
        "World_Name": Choice(levels=["Snow"]),
        "Rain": Choice(low=0, high=50),
        "Fog_Visibility": Choice(low=5, high=1e5),
    }
    catalogue = Catalogue(engine="unreal", factors=factors)

    def problems(**levels: object) -> list[str]:
        scene = Scene({"World_Name": "Snow", **levels})
        return catalogue.problems({name: [value] for name, value in scene.wire.items()}, scene.table)

    assert problems(Rain=20, Fog_Visibility=300) == problems(Fog_Visibility="own") == []
    assert problems(Rain=51) == ["Rain = 51 is out of the range of engine 'unreal', 0 to 50"]
    assert len(problems(Snow=1)) == len(problems(Sun_Elevation=20)) == 1


def test_fog_leaves_two_percent_of_the_contrast_at_the_visibility(parts: Path) -> None:
    ln2 = np.log(2)
    for visibility in (5, 200, 1e5):
        density = float(run(parts, "fog", visibility))
        # As Unreal sums it up on a level ray, with the falloff that the plugin sets.
        integral = density / 1000 * ln2 * (visibility * 100)
        assert 2.0**-integral == pytest.approx(0.02, rel=1e-4)
        assert 2.0 ** -(integral / 2) == pytest.approx(np.exp(-3.912 / 2), rel=1e-3)


def test_the_sun_shines_from_where_the_scene_says(parts: Path) -> None:
    for elevation, azimuth, yaw in itertools.product((0, 30, 90), (0, 90, 180, 275), (0, 40, -170)):
        pitch, turn = map(float, run(parts, "sun", elevation, azimuth, yaw).split())
        shines = _rotator(pitch, turn, 0)[:, 0]
        e, a = np.radians([elevation, azimuth])
        of_stage = [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)]  # away, right, up
        assert np.allclose(shines, -_rotator(0, yaw, 0) @ of_stage, atol=1e-9), (elevation, azimuth, yaw)


def _fitted(parts: Path, *wishes: object, size: tuple[int, int] = (512, 512), reach: float = 1.0) -> list[float]:
    return [float(part) for part in run(parts, "fitted", *wishes, 5, reach, 50, *size).split()]


def test_focal_length_distance_and_height_are_the_camera_s(parts: Path) -> None:
    own = _fitted(parts, "own", "own", "own")
    target = np.array([0, 0, 50 + 98.0])
    assert np.linalg.norm(np.array(own[:3]) - target) == pytest.approx(470)
    for size in ((512, 512), (640, 360), (360, 640)):
        assert _fitted(parts, 50, "own", "own", size=size)[4] == pytest.approx(min(size) * 50 / 24)
    x, y, z, pitch, focal = _fitted(parts, "own", 3, 2.2, reach=1.3)
    assert np.linalg.norm(np.array([x, y, z]) - target) == pytest.approx(300)
    assert z - 50 == pytest.approx(220)
    assert (y, focal) == (0, pytest.approx(own[4]))
    looks = np.array([np.cos(np.radians(pitch)), 0, np.sin(np.radians(pitch))])
    assert np.allclose(np.array([x, y, z]) + 300 * looks, target)  # still at what it looked at
    high = subprocess.run([str(parts), "fitted", "own", "1", "2.2", "5", "1", "0", "64", "64"], check=False)
    assert high.returncode == 5


def test_the_built_in_engine_has_the_same_camera_for_them(parts: Path) -> None:
    for focal_length, distance, height in [(35, 6, "own"), ("own", 3, 2.2), (85, "own", 0.4), ("own", "own", 4)]:
        wishes = {"Camera_Focal_Length": focal_length, "Camera_Distance": distance, "Camera_Height": height}
        scene = Scene({"World_Name": "Desert", **wishes})
        right = view(scene, _Ground(5, 1.3, 0.5), layout(scene, scene_actors(scene)), (640, 360))  # type: ignore[arg-type]
        away, across, up, pitch, focal = _fitted(parts, focal_length, distance, height, size=(640, 360), reach=1.3)
        rt = np.array(right.as_dict()["Rt"])
        assert np.allclose([across / 100, away / 100, up / 100], -rt[:, :3].T @ rt[:, 3], atol=1e-6), wishes
        assert np.sin(np.radians(pitch)) == pytest.approx(rt[2, 2], abs=1e-6)
        assert focal == pytest.approx(right.focal, rel=1e-6)


def test_shutter_and_sensor_are_in_unreal_s_units(parts: Path) -> None:
    assert float(run(parts, "way", 10, 100)) == pytest.approx(100)  # 10 m/s for 100 ms: a metre
    assert float(run(parts, "sensor", 640, 360)) == pytest.approx(24 * 640 / 360)
    assert float(run(parts, "sensor", 360, 640)) == float(run(parts, "sensor", 512, 512)) == 24
