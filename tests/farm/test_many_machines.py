"""Runs of many workers and machines. Silently wrong would be a picture that is lost, doubled, or another's."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from waiting import eventually

from torchmultiverse.connect import open_engine
from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError, EngineError
from torchmultiverse.farm import generate, join
from torchmultiverse.farm.parts import part_folder
from torchmultiverse.scenes import Scene
from torchmultiverse.store import VOLATILE, open_dataset

SPEC = {
    "name": "many",
    "design": {
        "kind": "factorial",
        "factors": {"World_Name": ["Desert", "Snow", "Museum"], "Camera_Yaw": list(range(0, 360, 10))},
    },
    "render": {"size": [48, 48]},
}


def data(folder: Path) -> pa.Table:
    """Return the data columns of a dataset, pictures too."""
    stored = open_dataset(folder)
    return stored.table([name for name in stored.columns if name not in VOLATILE])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    out = tmp_path_factory.mktemp("whole") / "d"
    generate(SPEC, out, "marker", progress=False, shard_rows=16)
    return data(out)


class Hanging(MarkerEngine):
    """Test cards; the first engine that is made stops for good after some of them, until it is closed."""

    made = 0
    delay = 0.002

    def __init__(self) -> None:
        super().__init__(self.delay)
        type(self).made += 1
        self.hangs = type(self).made == 1
        self.closed = threading.Event()

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for k, frame in enumerate(super().render(scenes, options)):
            if self.hangs and k == 5:
                self.closed.wait()
                raise EngineError("closed")
            yield frame

    def close(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("lease", [4.0, 600.0], ids=["its lease ends", "an idle worker is quicker"])
def test_a_worker_that_hangs_costs_nothing(lease: float, tmp_path: Path, undisturbed: pa.Table) -> None:
    Hanging.made = 0
    report = generate(SPEC, tmp_path / "d", Hanging, workers=3, lease=lease, progress=False, shard_rows=16)
    assert not report.failures
    assert data(tmp_path / "d").equals(undisturbed)
    ended = eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("farm-")])
    assert ended, "the worker that hung has ended too"


def test_the_only_worker_hangs_and_gets_a_new_engine(tmp_path: Path, undisturbed: pa.Table) -> None:
    Hanging.made = 0
    generate(SPEC, tmp_path / "d", Hanging, lease=6, progress=False, shard_rows=16)
    assert Hanging.made == 2
    assert data(tmp_path / "d").equals(undisturbed)


def test_an_engine_is_made_anew_after_its_budget(tmp_path: Path, undisturbed: pa.Table) -> None:
    made = []

    def make() -> MarkerEngine:
        made.append(MarkerEngine())
        return made[-1]

    generate(SPEC, tmp_path / "d", make, recycle=20, progress=False, shard_rows=16)
    assert len(made) == 6, "108 pictures, 20 each"
    assert data(tmp_path / "d").equals(undisturbed)


def test_parts_make_the_same_dataset(tmp_path: Path, undisturbed: pa.Table) -> None:
    out = tmp_path / "d"
    for i in (2, 0):
        generate(SPEC, out, "marker", part=(i, 3), progress=False, shard_rows=16)
    with pytest.raises(DatasetError, match="missing: 1/3"):
        join(out)
    generate(SPEC, out, "marker", part=(1, 3), progress=False, shard_rows=16)
    shard = next((part_folder(out, (1, 3)) / "data").glob("*.parquet"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DatasetError, match="is corrupt"):
        join(out)
    shard.write_bytes(whole)
    assert join(out) == 108
    assert data(out).equals(undisturbed)
    assert not (out / "_parts").exists()
    assert "108 pictures" in (out / "README.md").read_text()
    again = generate(SPEC, out, "marker", progress=False, shard_rows=16)
    assert again.rendered == 0


@pytest.mark.slow
def test_a_hosted_engine_that_is_stopped_is_replaced(tmp_path: Path) -> None:
    """A process that is stopped answers nothing and does not end: no error says so."""
    spec = {**SPEC, "render": {"size": [64, 64]}}
    generate(spec, tmp_path / "whole", "marker", progress=False)
    engines = []

    def make() -> object:
        engines.append(open_engine("marker"))
        return engines[-1]

    def stop_one() -> None:
        while not engines or engines[0].memory() < 1e6:
            time.sleep(0.05)
        time.sleep(0.3)
        group = _children_of("torchmultiverse.serve.engine_process")
        os.kill(group[0], signal.SIGSTOP)

    stopper = threading.Thread(target=stop_one)
    stopper.start()
    generate(spec, tmp_path / "d", make, lease=4, progress=False)
    stopper.join()
    assert data(tmp_path / "d").equals(data(tmp_path / "whole"))


def _children_of(module: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if module.encode() in line and b"guard.py" not in b" ".join(line):
            found.append(int(folder.name))
    return sorted(found)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Callable[[], MarkerEngine]]:
    ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield MarkerEngine
    ray.shutdown()


@pytest.mark.slow
def test_two_actors_of_a_ray_cluster(
    cluster: Callable[[], MarkerEngine], tmp_path: Path, undisturbed: pa.Table
) -> None:
    import ray

    from torchmultiverse.farm.ray_engine import ray_factory

    make = ray_factory(cluster)
    report = generate(SPEC, tmp_path / "d", make, workers=2, progress=False, shard_rows=16)
    assert report.rendered == 108
    assert data(tmp_path / "d").equals(undisturbed)
    assert ray.is_initialized()


@pytest.mark.slow
def test_an_actor_that_dies_is_replaced(
    cluster: Callable[[], MarkerEngine], tmp_path: Path, undisturbed: pa.Table
) -> None:
    from torchmultiverse.farm.ray_engine import ray_factory

    inner = ray_factory(lambda: MarkerEngine(0.01))
    made = []

    def make() -> object:
        made.append(inner())
        return made[-1]

    def murder() -> None:
        import ray

        while not made:
            time.sleep(0.05)
        time.sleep(0.3)
        ray.kill(made[0]._actor)

    killer = threading.Thread(target=murder)
    killer.start()
    generate(SPEC, tmp_path / "d", make, workers=2, progress=False, shard_rows=16)
    killer.join()
    assert len(made) >= 3
    assert data(tmp_path / "d").equals(undisturbed)


@pytest.mark.slow
def test_killed_many_times_with_workers_that_hang(tmp_path: Path, undisturbed: pa.Table) -> None:
    """The same command after ``kill -9`` at any moment, with two workers of which one hangs: the same bytes."""
    rng = random.Random(5)
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_many_machines import SPEC, Hanging\n"
        "from torchmultiverse.farm import generate\n"
        "Hanging.delay = 0.08\n"
        "generate(SPEC, sys.argv[1], Hanging, workers=2, lease=1, progress=False, shard_rows=16)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "d"), *map(str, Path(__file__).parents[:2])]
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            process.wait(rng.uniform(1.0, 3.0) if kills < 3 else 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            continue
        assert process.returncode == 0, process.stderr.read().decode()
        break
    assert kills >= 2
    assert data(tmp_path / "d").equals(undisturbed)


class Drifting(MarkerEngine):
    """Test cards that are a little brighter from the second time on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for frame in super().render(scenes, options):
            assert isinstance(frame, Frame)
            if frame.scene_id in self.seen:
                frame = Frame(frame.scene, arrays={"rgb": frame.array() // 2}, engine=frame.engine)
            self.seen.add(frame.scene_id)
            yield frame


def test_some_pictures_are_rendered_once_more_and_compared(tmp_path: Path) -> None:
    """An engine that does not repeat itself makes datasets that nobody can make again; no error says so."""
    good = generate(SPEC, tmp_path / "a", "marker", workers=2, check=5, progress=False, shard_rows=16)
    assert len(good.checked) == 5
    assert set(good.checked.values()) == {0}
    assert "rendered once more: 5 pictures, each the same" in str(good)
    assert open_dataset(tmp_path / "a").manifest.checked == good.checked
    bad = generate(SPEC, tmp_path / "b", Drifting, check=3, progress=False)
    assert all(value is not None and value > 50 for value in bad.checked.values())
    assert "3 differ, by up to" in str(bad)
    assert generate(SPEC, tmp_path / "c", "marker", progress=False).checked.keys() <= good.checked.keys() | {
        row["scene_id"] for row in open_dataset(tmp_path / "c").table(["scene_id"]).to_pylist()
    }
