"""A binary that is started as Unreal's is, with libwebrtc and the C++ bridge core, and nothing of our own code in it.

What could silently be wrong: client and streamer of one project agree with each other in what no other peer does, and
every label that is right in the tests is wrong with the first real binary. So the pairing test is repeated here with a
stranger: another WebRTC, another bridge, test cards drawn by other code, scenes that load over several frames; and with
a stranger that misbehaves.
"""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from contract.test_pairing import check, shuffled
from PIL import Image
from typer.testing import CliRunner
from unreal.packaged import game

from torchmultiverse.cli.app import app
from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine, draw_marker, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.farm import generate
from torchmultiverse.profiles import log_path
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import UnrealProcess

pytestmark = pytest.mark.timeout(900)  # whoever comes first builds the C++ core

SIZE = (128, 128)
OPTIONS = RenderOptions(size=SIZE)
PATIENCE = {"timeout": 2.0, "retries": 8, "in_flight": 8, "dialect": "tmv", "hello_timeout": 60.0}
# A run of pictures has every fault several times; none of two that come together hides the other for long.
FAULTS = {
    "stale": 7, "wrong_scene": 9, "wrong_id": 11, "double": 5, "cut": 13, "slow": 17, "silent": 31, "unsettled": 33,
}  # fmt: skip
SAID = {
    "stale": "does not have the announced SHA-256",
    "wrong_scene": "the world shows another scene: Camera_Yaw = ",
    "wrong_id": "the engine applied scene",
    "cut": "the pass 'rgb' did not come",
    "silent": "no answer for 2 s",
    "unsettled": "still loading: textures: 1",
}


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


@contextmanager
def started(
    script: Path, *, generation: str = "modern", **client: object
) -> Iterator[tuple[RemoteEngine, UnrealProcess]]:
    """Start the binary and connect to it."""
    with UnrealProcess(script, grace=0.1, generation=generation) as stack:
        engine = RemoteEngine(stack.url, lost=stack.lost, delivered=stack.delivered, **{**PATIENCE, **client})
        try:
            yield engine, stack
        finally:
            engine.close()


def render(script: Path, scenes: list[Scene], **settings: Any) -> list[Frame | Failure]:
    """Start the binary and render."""
    with started(script, **settings) as (engine, _):
        return list(engine.render(scenes, OPTIONS))


def mixed(count: int) -> list[Scene]:
    """Scenes that differ in everything that a level loads."""
    rng = np.random.default_rng(4)
    worlds, characters, textures = (
        MarkerEngine().catalogue().factors[name].levels or []
        for name in ("World_Name", "Character_Name", "Character_Texture")
    )
    return [
        Scene(
            {
                "World_Name": worlds[rng.integers(len(worlds))],
                "Character_Name": characters[rng.integers(len(characters))],
                "Character_Texture": textures[rng.integers(len(textures))],
                "Camera_Yaw": n / 4,
            }
        )
        for n in range(count)
    ]


@pytest.mark.parametrize("transport", ["native", pytest.param("aiortc", marks=pytest.mark.slow)])
def test_a_hundred_scenes_that_load_through_a_stranger(patch: pytest.MonkeyPatch, transport: str) -> None:
    """Each picture shows its scene, to the last bit: none was read back while something loaded or shone through."""
    scenes = mixed(100)
    everything = RenderOptions(size=(64, 48), passes=("rgb", "mask", "depth", "normals"))
    with started(game(patch), transport=transport, timeout=60.0) as (engine, _):
        answers = list(engine.render(scenes, OPTIONS))
        with_passes = list(engine.render(scenes[:8], everything))
    assert check(scenes, answers) == {"right": 100}
    for answer in answers:
        assert isinstance(answer, Frame)
        assert np.array_equal(answer.array("rgb"), draw_marker(answer.scene.scene_id, *SIZE))
        assert answer.settle["frames"] > 8
    for answer, wanted in zip(with_passes, MarkerEngine().render(scenes[:8], everything), strict=True):
        assert isinstance(answer, Frame)
        assert isinstance(wanted, Frame)
        for name in everything.passes:
            assert answer.encoded(name) == wanted.encoded(name), name


def test_this_would_notice_a_bridge_that_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """One quiet frame instead of ten, a server and a binary of UE 5.0."""
    scenes = mixed(30)
    answers = render(game(patch, quiet=1, unreal="5.0"), scenes, generation="legacy")
    assert check(scenes, answers)["wrong"] > 10


def test_a_stranger_with_every_fault(patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    scenes = shuffled(40)
    with caplog.at_level(logging.WARNING):
        answers = render(game(patch, **FAULTS, settle_ms=1000), scenes)
    assert check(scenes, answers) == {"right": 40}
    for fault, words in SAID.items():
        assert any(words in record.getMessage() for record in caplog.records), f"{fault} was not noticed"


def test_pictures_larger_than_what_a_connection_holds(patch: pytest.MonkeyPatch) -> None:
    """Eight of one and a half megabytes in flight: the sender has to wait, and none may lose its place."""
    scenes = mixed(10)
    answers = render(game(patch, pad_kb=1500), scenes, timeout=60.0)
    assert check(scenes, answers) == {"right": 10}
    assert all(isinstance(answer, Frame) and len(answer.encoded()) > 1_500_000 for answer in answers)


@pytest.mark.slow
@pytest.mark.parametrize("generation", ["modern", "legacy"])
@pytest.mark.parametrize("unreal", ["5.0", "5.1", "5.4", "5.7"])
def test_binaries_of_all_versions_and_servers_of_both_generations(
    patch: pytest.MonkeyPatch, unreal: str, generation: str
) -> None:
    scenes = mixed(5)
    answers = render(game(patch, unreal=unreal), scenes, generation=generation, timeout=60.0)
    assert check(scenes, answers) == {"right": 5}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_alone(patch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: str) -> None:
    scenes = shuffled(40)
    with caplog.at_level(logging.WARNING):
        answers = render(game(patch, **{fault: 3}, settle_ms=1000), scenes)
    assert check(scenes, answers) == {"right": 40}
    refused = Counter(record.getMessage().partition(": ")[2] for record in caplog.records)
    if fault in SAID:
        assert sum(count for words, count in refused.items() if SAID[fault] in words) >= 10, refused
    else:
        assert not refused


SLOW = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("count", "every", "transport"),
    [
        (45, 15, "auto"),
        pytest.param(1000, 100, "native", marks=SLOW),
        pytest.param(1000, 100, "aiortc", marks=SLOW),
    ],
)
def test_no_picture_is_lost_where_the_binary_crashes(
    patch: pytest.MonkeyPatch, count: int, every: int, transport: str
) -> None:
    """It crashes in the middle of an answer. A thousand pictures take more crashes than a binary that cannot start."""
    scenes = mixed(count)
    with started(game(patch, die=every), timeout=60.0, transport=transport) as (engine, stack):
        answers = list(engine.render(scenes, OPTIONS))
        assert stack.restarts >= count // every - 1
    assert check(scenes, answers) == {"right": count}


def test_the_command_checks_a_packaged_binary(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture = tmp_path / "first.png"
    result = CliRunner().invoke(app, ["engine", "check", str(game(patch)), "--out", str(picture)])
    assert result.exit_code == 0, result.output
    assert "stand-in" in result.output
    scene = Scene({"World_Name": "Desert", "Character_Name": "Camel"})
    assert read_marker(np.asarray(Image.open(picture))) == scene.scene_id


@pytest.mark.parametrize("named", ["profile", pytest.param("path", marks=pytest.mark.slow)])
def test_a_dataset_by_two_packaged_binaries(patch: pytest.MonkeyPatch, tmp_path: Path, named: str) -> None:
    """By a launch profile of two graphics cards, and by the script's path."""
    engine = str(game(patch, adapters=2))
    if named == "profile":
        patch.setenv("TORCHMULTIVERSE_CONFIG", str(tmp_path / "config"))
        patch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
        added = CliRunner().invoke(app, ["engine", "add", "strange", engine, "--gpus", "0,1"])
        assert added.exit_code == 0, added.output
        engine = "strange"
    spec = {
        "name": "strange",
        "design": {
            "kind": "factorial",
            "factors": {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"], "Camera_Yaw": list(range(20))},
        },
        "render": {"size": [48, 48]},
    }
    report = generate(spec, tmp_path / "d", engine, workers=2, progress=False)
    assert (report.images, report.failures) == (40, [])
    rows = pq.read_table(tmp_path / "d" / "data").to_pylist()
    for row in rows:
        assert read_marker(np.array(Image.open(io.BytesIO(row["image"]["bytes"])))) == row["scene_id"]
        assert json.loads(row["scene"]).get("Camera_Yaw", 0) == row["camera_yaw"]
    assert len({row["scene_id"] for row in rows}) == 40
    if named == "profile":
        logs = [log_path(engine, number).read_text() for number in range(2)]
        assert ["on adapter 0" in logs[0], "on adapter 1" in logs[1]] == [True, True]


@pytest.mark.slow
def test_a_dataset_by_a_binary_that_hangs_now_and_then(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its connection stands, so only the lease of the farm can notice; each time it is started anew."""
    spec = {
        "name": "hanging",
        "design": {"kind": "factorial", "factors": {"World_Name": ["Desert", "Snow"], "Camera_Yaw": list(range(20))}},
        "render": {"size": [48, 48]},
    }
    report = generate(spec, tmp_path / "d", str(game(patch, hang=15)), lease=5, check=0, progress=False)
    assert (report.images, report.failures) == (40, [])
    for row in pq.read_table(tmp_path / "d" / "data").to_pylist():
        assert read_marker(np.array(Image.open(io.BytesIO(row["image"]["bytes"])))) == row["scene_id"]


def test_two_players_of_one_binary_get_their_own_pictures(patch: pytest.MonkeyPatch) -> None:
    """Both count their requests from one: by the number alone a picture could be either's."""
    scenes = mixed(40)
    with started(game(patch), timeout=60.0) as (one, stack):
        other = RemoteEngine(stack.url, transport="aiortc", **{**PATIENCE, "timeout": 60.0})
        try:
            with ThreadPoolExecutor(2) as pool:
                first = pool.submit(lambda: list(one.render(scenes, OPTIONS)))
                second = pool.submit(lambda: list(other.render(scenes[::-1], OPTIONS)))
                assert check(scenes, first.result()) == {"right": 40}
                assert check(scenes[::-1], second.result()) == {"right": 40}
        finally:
            other.close()


def test_a_binary_without_its_graphics_card_says_so(patch: pytest.MonkeyPatch) -> None:
    script = game(patch, adapters=2)
    with pytest.raises(EngineError, match=r"code 1:\n(.|\n)*no adapter 3; there are 2"):
        UnrealProcess(script, adapter=3, grace=100).start()
