"""A dataset whose rows moved against their labels, lost a picture, or mixed two runs would look perfectly fine.

So every test here reads each stored picture back: a test card shows which scene it is.
"""

from __future__ import annotations

import io
import json
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import Faulty
from PIL import Image
from waiting import eventually

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import read_marker
from torchmultiverse.engines.supervisor import RESTARTS
from torchmultiverse.errors import DatasetError, EngineError, SpecError
from torchmultiverse.farm import generate
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.store import VOLATILE, open_dataset, verify

HERE = Path(__file__).parent
SPEC = {
    "name": "cards",
    "family": "SPAR",
    "design": {
        "kind": "factorial",
        "factors": {
            "World_Name": ["Desert", "Snow"],
            "Character_Name": ["blank", "Zebra"],
            "Camera_Yaw": list(range(0, 50, 5)),
        },
    },
    "render": {"size": [48, 48]},
}
COUNT = 40


def data(out: Path) -> pa.Table:
    return pq.read_table(out / "data").drop_columns(list(VOLATILE))


def check_rows(out: Path) -> int:
    """Assert that every row holds its own picture; return how many rows there are."""
    table = data(out).to_pylist()
    for row in table:
        picture = np.array(Image.open(io.BytesIO(row["image"]["bytes"])))
        assert read_marker(picture) == row["scene_id"]
        scene = json.loads(row["scene"])
        assert scene["World_Name"] == row["world_name"]
        assert scene.get("Character_Name", "blank") == row["character_name"]
    assert len({row["scene_id"] for row in table}) == len(table)
    return len(table)


def test_rows_are_right_whatever_the_workers_and_shards(tmp_path: Path) -> None:
    one = generate(SPEC, tmp_path / "one", Faulty, progress=False)
    assert (one.images, one.rendered, one.failures) == (COUNT, COUNT, [])
    assert check_rows(tmp_path / "one") == COUNT
    generate(SPEC, tmp_path / "many", lambda: Faulty(delay=0.002), workers=3, shard_rows=7, progress=False)
    assert data(tmp_path / "many").equals(data(tmp_path / "one"))
    spec = parse_spec(SPEC)
    assert data(tmp_path / "one")["scene_id"].to_pylist() == [s.scene_id for s in spec.build()]
    assert not (tmp_path / "many" / "_work").exists()
    assert verify(tmp_path / "many").problems == {}


def test_failures_are_absent_and_named_and_tried_again(tmp_path: Path) -> None:
    out = tmp_path / "d"
    report = generate(SPEC, out, lambda: Faulty("fail", (10,)), progress=False, shard_rows=16)
    assert len(report.failures) == 4
    assert check_rows(out) == COUNT - 4
    manifest = json.loads((out / "manifest.json").read_text())
    assert len(manifest["failures"]) == 4
    assert not manifest["complete"]
    assert {f["reason"] for f in manifest["failures"].values()} == {"a planted fault"}
    again = generate(SPEC, out, Faulty, progress=False, shard_rows=16)
    assert (again.images, again.rendered) == (COUNT, 4)
    generate(SPEC, tmp_path / "clean", Faulty, progress=False, shard_rows=16)
    assert data(out).equals(data(tmp_path / "clean"))


@pytest.mark.parametrize("fault", ["once", "die"])
def test_passing_faults_leave_no_trace(fault: str, tmp_path: Path) -> None:
    shared = Faulty(fault, (5, 25))
    report = generate(SPEC, tmp_path / "d", lambda: shared, progress=False)
    assert report.failures == []
    assert check_rows(tmp_path / "d") == COUNT


def test_a_picture_of_another_scene_is_never_stored(tmp_path: Path) -> None:
    report = generate(SPEC, tmp_path / "d", lambda: Faulty("swap", (15, 30)), progress=False)
    assert len(report.failures) == 8
    assert check_rows(tmp_path / "d") == COUNT - 8


def test_a_scene_that_kills_its_engine_is_given_up_and_the_others_go_on(tmp_path: Path) -> None:
    made: list[Faulty] = []

    def make() -> Faulty:
        made.append(Faulty("die", (5,)))
        return made[-1]

    report = generate(SPEC, tmp_path / "d", make, progress=False)
    assert {f.scene["Camera_Yaw"] for f in report.failures} == {5}
    assert {(f.reason, f.attempts) for f in report.failures} == {("a planted death", 2)}
    assert check_rows(tmp_path / "d") == COUNT - 4
    assert len(made) > 4
    assert all(engine.closed for engine in made)


def test_an_engine_that_never_comes_back_ends_the_run(tmp_path: Path) -> None:
    made: list[Faulty] = []

    def make() -> Faulty:
        made.append(Faulty("die", tuple(range(0, 50, 5)) if made else (20,)))
        return made[-1]

    with pytest.raises(EngineError, match="in a row; the last: a planted death"):
        generate(SPEC, tmp_path / "d", make, progress=False)
    assert all(engine.closed for engine in made)
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text())
    assert not manifest["complete"]
    assert generate(SPEC, tmp_path / "d", Faulty, progress=False).images == COUNT
    check_rows(tmp_path / "d")


class Patient(Faulty):
    """Test cards, the second and later ones when so many engines were made or could not be, however long that takes."""

    def __init__(self, made: list[int], enough: int) -> None:
        super().__init__(delay=0.02)
        self.made, self.enough = made, enough

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for answer in super().render(scenes, options):
            yield answer
            eventually(lambda: self.made[0] >= self.enough)


def test_one_lost_worker_does_not_lose_the_run(tmp_path: Path) -> None:
    lock, made = threading.Lock(), [0]

    def make() -> Faulty:
        with lock:
            made[0] += 1
            if made[0] > 1:
                raise EngineError("no second engine today")
        return Patient(made, 2 + RESTARTS)

    report = generate(SPEC, tmp_path / "d", make, workers=2, progress=False)
    assert report.failures == []
    assert ["no second engine today" in reason for reason in report.lost] == [True]
    assert "a worker was lost" in str(report)
    assert check_rows(tmp_path / "d") == COUNT


def test_another_engine_does_not_join_a_dataset(tmp_path: Path) -> None:
    """Pictures of two engines in one dataset would differ by engine and look like a factor's effect."""
    lock, made = threading.Lock(), [0]

    def make() -> Faulty:
        with lock:
            made[0] += 1
            return Patient(made, 2) if made[0] == 1 else Faulty(fingerprint="other")

    with pytest.raises(DatasetError, match="one dataset has one engine"):
        generate(SPEC, tmp_path / "d", make, workers=2, progress=False)
    with pytest.raises(DatasetError, match="'another' joined"):
        generate(SPEC, tmp_path / "d", lambda: Faulty("replaced", (20,)), progress=False)
    with pytest.raises(DatasetError, match="engine was"):
        generate(SPEC, tmp_path / "d", lambda: Faulty(fingerprint="third"), progress=False)
    generate(SPEC, tmp_path / "d", Faulty, progress=False)
    assert check_rows(tmp_path / "d") == COUNT


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("small", "is 32 × 48, not 48 × 48"),
        ("noise", "no picture"),
        ("nothing", "sent no rgb"),
        ("quiet", "unanswered"),
    ],
)
def test_frames_that_are_not_what_was_asked(fault: str, reason: str, tmp_path: Path) -> None:
    report = generate(SPEC, tmp_path / "d", lambda: Faulty(fault, (10,)), progress=False)
    assert len(report.failures) == 4
    assert all(reason in failure.reason for failure in report.failures)
    assert check_rows(tmp_path / "d") == COUNT - 4


def test_a_broken_engine_does_not_go_through_the_whole_design(tmp_path: Path) -> None:
    spec = {"World_Name": ["Desert"], "Camera_Yaw": list(range(0, 300))}
    with pytest.raises(EngineError, match="100 scenes in a row failed"):
        generate(spec, tmp_path / "d", lambda: Faulty("fail", tuple(range(300))), size=48, progress=False)
    assert len(json.loads((tmp_path / "d" / "manifest.json").read_text())["failures"]) == 100


_CHILD = """
import sys, json
sys.path.insert(0, sys.argv[1])
from engines import Faulty
from torchmultiverse.farm import generate
generate(json.loads(sys.argv[3]), sys.argv[2], lambda: Faulty(delay=0.01), workers=2, shard_rows=9, progress=False)
"""


def test_kill_at_any_moment_then_the_same_command(tmp_path: Path) -> None:
    rng = random.Random(0)
    code = _CHILD.replace("delay=0.01", "delay=0.05")

    def killed(out: Path) -> int:
        """Kill the command a few times, let it end, and return how often."""
        command = [sys.executable, "-c", code, str(HERE), str(out), json.dumps(SPEC)]
        for kills in range(6):
            before = {p.name for p in out.rglob("*")}
            child = subprocess.Popen(command)
            while child.poll() is None and {p.name for p in out.rglob("*")} <= before:
                time.sleep(0.002)
            try:
                child.wait(timeout=0.12 * rng.random())
                assert child.returncode == 0
                return kills
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        subprocess.run(command, check=True)
        return 6

    # A busy machine may come too late to kill much; then it is tried once more.
    out = next((out for out in (tmp_path / str(n) for n in range(8)) if killed(out) >= 3), None)
    assert out is not None, "hardly anything was killed, so hardly anything was tested"
    generate(SPEC, tmp_path / "calm", Faulty, shard_rows=9, progress=False)
    assert data(out).equals(data(tmp_path / "calm"))
    assert check_rows(out) == COUNT
    assert not (out / "_work").exists()
    assert not list(out.rglob("*.tmp"))
    assert verify(out).problems == {}


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    out = tmp_path / "d"
    code = _CHILD.replace("delay=0.01", "delay=0.4").replace("progress=False", "progress=True")
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(HERE), str(out), json.dumps(SPEC)],
        stderr=subprocess.PIPE,
        # A shell starts its background jobs deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    end = time.monotonic() + 200
    while len(list((out / "_work").glob("*.row"))) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=200)
    assert child.returncode != 0
    stored = len(list((out / "_work").glob("*.row"))) + sum(
        entry["rows"] for entry in json.loads((out / "manifest.json").read_text())["shards"].values()
    )
    assert f"interrupted: {stored} of {COUNT} pictures are safe in {out}; the same command continues" in said.decode()
    report = generate(SPEC, out, Faulty, shard_rows=9, progress=False)
    assert 0 < report.rendered == COUNT - stored < COUNT
    assert check_rows(out) == COUNT


def test_what_cannot_be_continued_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "d"
    generate(SPEC, out, Faulty, progress=False)
    before = data(out)
    with pytest.raises(DatasetError, match=r"size was \[48, 48\], is \[64, 64\].*--fresh"):
        generate(SPEC, out, Faulty, size=64, progress=False)
    with pytest.raises(DatasetError, match=r"spec.seed was 0, is 5"):
        generate({**SPEC, "seed": 5}, out, Faulty, progress=False)
    assert data(out).equals(before)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "thesis.tex").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        generate(SPEC, stranger, Faulty, progress=False)
    assert (stranger / "thesis.tex").read_text() == "mine"
    shard = out / "data" / "train-00000.parquet"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match="is corrupt"):
        generate(SPEC, out, Faulty, progress=False)
    assert "SHA-256" in str(verify(out))
    assert generate(SPEC, out, Faulty, fresh=True, progress=False).rendered == COUNT


def test_two_writers_at_once(tmp_path: Path) -> None:
    out = tmp_path / "d"
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD.replace("0.01", "0.5"), str(HERE), str(out), json.dumps(SPEC)]
    )
    try:
        end = time.monotonic() + 200
        while not list((out / "_work").glob("*.row")) and time.monotonic() < end:
            time.sleep(0.02)
        with pytest.raises(DatasetError, match=f"being written by process {child.pid}"):
            generate(SPEC, out, Faulty, shard_rows=9, progress=False)
    finally:
        child.kill()
        child.wait()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    out, limit = tmp_path / "d", resource.getrlimit(resource.RLIMIT_FSIZE)
    code = _CHILD.replace(
        "from engines",
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\nfrom engines",
    )
    child = subprocess.run(
        [sys.executable, "-c", code, str(HERE), str(out), json.dumps(SPEC)], capture_output=True, text=True
    )
    assert child.returncode != 0
    assert "DatasetError" in child.stderr
    assert "run the same command again" in child.stderr
    assert not list(out.rglob("*.tmp"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit
    assert generate(SPEC, out, Faulty, shard_rows=9, progress=False).images == COUNT
    check_rows(out)


def test_filters_limits_and_the_catalogue(tmp_path: Path) -> None:
    report = generate(SPEC, tmp_path / "a", Faulty, where="World_Name = Snow", limit=6, progress=False)
    assert report.images == 6
    assert set(data(tmp_path / "a")["world_name"].to_pylist()) == {"Snow"}
    with pytest.raises(SpecError, match="Did you mean 'Desert'"):
        generate({"World_Name": ["Dessert"]}, tmp_path / "b", Faulty, progress=False)
    assert not (tmp_path / "b").exists()
    with pytest.raises(SpecError, match="no scene"):
        generate(SPEC, tmp_path / "b", Faulty, where="Camera_Yaw = 1", progress=False)


def test_the_datasets_library_shows_pictures_without_help(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    out = tmp_path / "d"
    generate({**SPEC, "render": {"size": [48, 48], "passes": ["rgb", "mask", "depth"]}}, out, Faulty, progress=False)
    ds = datasets.load_dataset("parquet", data_files=str(out / "data" / "*.parquet"), cache_dir=str(tmp_path / "c"))
    row = ds["train"][3]
    assert row["image"].size == (48, 48)
    assert read_marker(np.array(row["image"])) == row["scene_id"]
    assert row["mask"].size == (48, 48)
    assert np.array(row["depth"]).dtype == np.float32
    assert datasets.load_dataset(str(out), cache_dir=str(tmp_path / "c2"))["train"].num_rows == COUNT


def test_the_card_names_what_was_rendered(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="comes with the extra 'datasets'")
    generate(SPEC, tmp_path / "d", lambda: Faulty("fail", (10,)), progress=False)
    _, front, text = (tmp_path / "d" / "README.md").read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["configs"][0]["data_files"] == [{"split": "train", "path": "data/*.parquet"}]
    assert front["license"] == "unknown", "test cards have no licence, so none may be claimed"
    stored = open_dataset(tmp_path / "d")
    assert [f["name"] for f in front["dataset_info"]["features"]] == stored.columns
    assert "| `camera_yaw` | `Camera_Yaw` | 10 | 4 |" in text
    assert "4 scenes of the design have no picture" in text
    assert "marker" in text
    assert Image.open(tmp_path / "d" / "samples.jpg").size == (6 * 150 + 6, 3 * 150 + 6), "48 pixels, three times"
    assert len(stored) == COUNT - 4


NUDGED = {
    "name": "nudged",
    "design": {"kind": "factorial", "factors": {"World_Name": ["Desert", "Snow"], "Character_Scale": [0.7, 1, 1.3]}},
    "render": {"size": [64, 64]},
    "quality": {"nudge": 4, "limits": {"visible1": [0.5, 1]}},
}


class Blocked(Faulty):
    """Test cards of an engine in whose snow a character is hidden until the camera turns away by two degrees."""

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            (frame,) = self.inner.render([scene], options)
            assert isinstance(frame, Frame)
            turned = min(float(scene["Camera_Yaw"]), 360 - float(scene["Camera_Yaw"]))
            hidden = scene["World_Name"] == "Snow" and turned < 2
            frame.info = {"objects": [{"instance": 1, "visible_fraction": 0.2 if hidden else 0.8}]}
            yield frame


@pytest.mark.parametrize("nudge", [0, 4])
def test_a_picture_that_fails_a_check_is_rendered_again_with_the_camera_moved(tmp_path: Path, nudge: float) -> None:
    """Silently wrong would be: a moved camera that no column tells of, or one where the design has the camera."""
    spec = {**NUDGED, "quality": {**NUDGED["quality"], "nudge": nudge}}
    report = generate(spec, tmp_path / "a", engine=Blocked, progress=False, workers=2, check=6)
    assert report.untrusted == {}, "the camera is moved when it is rendered once more, too"
    rows = open_dataset(report.out).table().to_pylist()
    assert len(rows) == 6
    for row in rows:
        moved = bool(nudge) and row["world_name"] == "Snow"
        assert row["quality_nudge"] == (2 if moved else 0)
        assert json.loads(row["annotations"]).get("nudge") == ({"Camera_Yaw": 2.0} if moved else None)
        assert row["quality_failed"] == ("visible1" if row["world_name"] == "Snow" and not nudge else "")
        assert json.loads(row["scene"]).get("Camera_Yaw") is None
    factors = {**spec["design"]["factors"], "Camera_Yaw": [0, 1]}
    fixed = {**spec, "name": "fixed", "design": {"kind": "factorial", "factors": factors}}
    report = generate(fixed, tmp_path / "b", engine=Blocked, progress=False)
    for row in open_dataset(report.out).table().to_pylist():
        assert "Camera_Yaw" not in json.loads(row["annotations"]).get("nudge", {})
        assert row["quality_failed"] == ("visible1" if row["world_name"] == "Snow" else "")
