"""What the Unreal plugin computes without Unreal, against what the Python side has of the same: cameras, places, test
cards, and the files of the passes. Silently wrong would be a mirrored axis, a camera on the other side, a normal in
world coordinates, or a depth in centimetres: every picture would still look like one."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.engines import codec
from torchmultiverse.engines.builtin.placement import layout, rotation, scene_actors, view
from torchmultiverse.engines.marker import draw_marker, read_marker
from torchmultiverse.scenes import Scene

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


def test_conditions_are_those_that_a_spec_declares(parts: Path) -> None:
    rows = [line.split("\t") for line in run(parts, "conditions").decode().splitlines()]
    declared = json.loads((BRIDGE / "conditions.json").read_text())
    assert [{"name": row[0], "kind": "number", "default": 0} for row in rows] == declared["declare"]
    assert {row[0]: [float(row[1]), float(row[2])] for row in rows} == declared["ranges"]


def test_conditions_can_be_declared_and_are_checked_by_their_ranges() -> None:
    from torchmultiverse.engines import Catalogue, Choice
    from torchmultiverse.scenes import Spec

    declared = json.loads((BRIDGE / "conditions.json").read_text())
    design = {"kind": "explicit", "scenes": [{"World_Name": "Snow", "Fog": 0.5}, {"World_Name": "Snow", "Rain": 3}]}
    spec = Spec.model_validate_json(json.dumps({"name": "foggy", "design": design, "declare": declared["declare"]}))
    ranges = {name: Choice(low=low, high=high) for name, (low, high) in declared["ranges"].items()}
    catalogue = Catalogue(engine="unreal", factors={"World_Name": Choice(levels=["Snow"]), **ranges})
    scenes = [Scene(scene, spec.table) for scene in design["scenes"]]
    assert catalogue.problems({name: [value] for name, value in scenes[0].wire.items()}, spec.table) == []
    wrong = catalogue.problems({name: [value] for name, value in scenes[1].wire.items()}, spec.table)
    assert wrong == ["Rain = 3 is out of the range of engine 'unreal', 0 to 1"]
