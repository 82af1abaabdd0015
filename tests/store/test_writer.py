"""A crash between two steps of writing could lose rows, keep half of one, or mix two runs, and still look whole.

So a writer dies before and after every renaming and removal of a file it does, and every folder that is left must be
continued to the same bytes. (The farm's tests kill real processes at random moments.)
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import parse_spec
from torchmultiverse.store import DatasetWriter, RowSchema, open_dataset, verify

SPEC = parse_spec({"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 1, 2, 3, 4]})
DESIGN = SPEC.build()
IDENTITY = {"spec": SPEC.model_dump(mode="json"), "size": [32, 32]}


def frames() -> list[Frame]:
    made = []
    for frame in MarkerEngine().render(DESIGN, RenderOptions(size=(32, 32))):
        assert isinstance(frame, Frame)
        frame.timings["render_ms"] = 1.5
        made.append(frame)
    return made


FRAMES = frames()


def writer(out: Path, shard_rows: int = 4, **more: Any) -> DatasetWriter:
    identity = {**IDENTITY, **more.pop("identity", {})}
    return DatasetWriter(out, DESIGN, RowSchema(SPEC, DESIGN, ("rgb",)), identity, shard_rows=shard_rows, **more)


def complete(out: Path, backwards: bool = False, skip: tuple[int, ...] = ()) -> int:
    """Write what is missing; return how many rows that were."""
    one, added = writer(out), 0
    try:
        one.save_manifest()
        for shard in range(one.shards):
            missing = [i for i in one.missing(shard) if i not in skip]
            for index in reversed(missing) if backwards else missing:
                one.add(FRAMES[index])
                added += 1
            if not one.complete(shard):
                one.finish_shard(shard)
        one.close()
    finally:
        one._lock._file.close()  # what the system does when a process dies
    return added


def shards(out: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((out / "data").iterdir())}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("calm") / "d"
    assert complete(out) == 10
    return shards(out)


def test_bytes_do_not_depend_on_the_order_of_arrival(calm: dict[str, bytes], tmp_path: Path) -> None:
    assert list(calm) == [f"train-0000{n}.parquet" for n in range(3)]
    complete(tmp_path / "d", backwards=True)
    assert shards(tmp_path / "d") == calm
    assert not (tmp_path / "d" / "_work").exists()
    assert not (tmp_path / "d" / ".lock").exists()


def test_rows_that_come_later_find_their_place(calm: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "d"
    complete(out, skip=(0, 5, 6))
    assert open_dataset(out).table(["camera_yaw"])["camera_yaw"].to_pylist() == [1, 2, 3, 4, 2, 3, 4]
    assert complete(out, skip=(6,)) == 2
    assert complete(out) == 1
    assert shards(out) == calm


class Death(BaseException):
    """Stands for the end of the process."""


def die(out: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Complete a folder and die before (even) or after (odd) the n-th renaming or removal; false: there was no n-th.

    Nothing is renamed or removed after death, so cleaning up on the way out does not happen.
    """
    seen = 0

    def deadly(act: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **more: Any) -> None:
            nonlocal seen
            now, seen = seen, seen + 1
            if now < number // 2 or (now == number // 2 and number % 2):
                act(*arguments, **more)
            if now >= number // 2:
                raise Death

        return step

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", deadly(os.replace))
        patch.setattr(Path, "unlink", deadly(Path.unlink))
        try:
            complete(out)
        except Death:
            return True
    return False


def deaths(base: Path, start: Path | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield a folder for every moment of death."""
    for number in itertools.count():
        out = base / f"{number}"
        if start is not None:
            shutil.copytree(start, out)
        if not die(out, number, monkeypatch):
            return
        yield out


def test_death_at_every_step_is_survived(
    calm: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = []
    for out in deaths(tmp_path, None, monkeypatch):
        again.append(complete(out))
        assert shards(out) == calm, out.name
        assert {p.name for p in out.iterdir()} == {"data", "manifest.json"}
    assert len(again) > 40
    assert (max(again), min(again)) == (10, 0)


def test_death_while_a_partial_shard_is_made_whole(
    calm: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete(tmp_path / "part", skip=(1, 8))
    again = []
    for out in deaths(tmp_path, tmp_path / "part", monkeypatch):
        again.append(complete(out))
        assert shards(out) == calm, out.name
    assert len(again) > 10
    assert (max(again), min(again)) == (2, 0)


def test_half_a_row_is_rendered_again(calm: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "d"
    one = writer(out)
    one.save_manifest()
    for frame in FRAMES[:3]:
        one.add(frame)
    one.close()
    rows = sorted((out / "_work").iterdir())
    assert len(rows) == 3
    rows[0].write_bytes(rows[0].read_bytes()[:-5])
    rows[1].write_bytes(b"")
    assert complete(out) == 9
    assert shards(out) == calm


def test_a_lock_of_the_dead_is_taken_over_and_one_of_the_living_is_not(tmp_path: Path) -> None:
    out = tmp_path / "d"
    out.mkdir()
    (out / ".lock").write_text("123456\n")
    one = writer(out)
    with pytest.raises(DatasetError, match=f"being written by process {os.getpid()}"):
        writer(out)
    one.close()
    one.close()
    writer(out).close()


@pytest.mark.parametrize("name", ["thesis.tex", "data/holiday.parquet", "README.md"])
def test_what_is_not_ours_is_never_deleted(name: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / name).write_text("mine")
    for fresh in (False, True):
        with pytest.raises(DatasetError, match="no dataset"):
            writer(tmp_path, fresh=fresh)
    assert (tmp_path / name).read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} <= {"data", name}


def test_fresh_leaves_files_of_others_beside_a_dataset(calm: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "d"
    complete(out)
    (out / "notes.txt").write_text("mine")
    one = writer(out, identity={"size": [64, 64]}, fresh=True)
    assert one.missing(0) == [0, 1, 2, 3]
    one.close()
    assert (out / "notes.txt").read_text() == "mine"
    (out / "data" / "extra.parquet").write_text("mine")
    with pytest.raises(DatasetError, match="holds something that is no dataset"):
        writer(out, identity={"size": [64, 64]}, fresh=True)
    other = tmp_path / "app"
    other.mkdir()
    (other / "manifest.json").write_text('{"name": "a web page"}')
    for fresh in (False, True):
        with pytest.raises(DatasetError, match=r"no manifest of this format|holds something that is no dataset"):
            writer(other, fresh=fresh)
    assert (other / "manifest.json").exists()


def test_pictures_of_another_revision_are_refused_with_both(tmp_path: Path) -> None:
    """Silently wrong would be: half of a dataset's pictures drawn by other rules than the other half."""
    out = tmp_path / "d"
    one = writer(out, identity={"engine": "builtin-0.1.0-r2-llvm_ad_rgb-0123456789ab"})
    one.add(FRAMES[0])
    one.save_manifest()
    one.close()
    before = (out / "manifest.json").read_bytes()
    for now, says in (
        (
            "builtin-0.1.0-r3-llvm_ad_rgb-0123456789ab",
            "its pictures are of revision 2, this engine's are of revision 3",
        ),
        ("builtin-0.1.0-llvm_ad_rgb-0123456789ab", "its pictures are of revision 2, this engine's are of revision 1"),
        ("builtin-0.1.0-r2-scalar_rgb-0123456789ab", 'engine was "builtin-0.1.0-r2-llvm'),
    ):
        for extend in (False, True):
            with pytest.raises(DatasetError, match=f"{says}.*Use --fresh to delete it, or another folder"):
                writer(out, identity={"engine": now}, extend=extend)
    assert (out / "manifest.json").read_bytes() == before


def test_differences_are_named_where_they_are(tmp_path: Path) -> None:
    out = tmp_path / "d"
    complete(out)
    spec = json.loads(json.dumps(IDENTITY["spec"]))
    spec["design"]["factors"]["Camera_Yaw"] = [0, 9]
    with pytest.raises(DatasetError, match=r"spec.design.factors.Camera_Yaw was \[0, 1, 2, 3, 4\], is \[0, 9\]"):
        writer(out, identity={"spec": spec})
    with pytest.raises(DatasetError, match="shard_rows was 4, is 5"):
        writer(out, shard_rows=5)
    # The order of factors is the order of scenes, so another order is another dataset.
    spec = json.loads(json.dumps(IDENTITY["spec"]))
    factors = spec["design"]["factors"]
    spec["design"]["factors"] = dict(reversed(factors.items()))
    with pytest.raises(DatasetError, match=r"spec.design.factors was in the order World_Name, .*is in the order"):
        writer(out, identity={"spec": spec})
    kept = json.loads((out / "manifest.json").read_text())["identity"]["spec"]["design"]["factors"]
    assert list(kept) == list(factors)
    (out / "manifest.json").write_text("{half")
    with pytest.raises(DatasetError, match="no manifest of this format"):
        writer(out)
    writer(out, fresh=True).close()


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(DatasetError, match="a file stands where the folder should be"):
            writer(place)
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(DatasetError, match="not writable"):
            writer(tmp_path / "closed")


_LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import test_writer
from pathlib import Path
from torchmultiverse.errors import DatasetError
one = test_writer.writer(Path(sys.argv[2]))
one.save_manifest()
for frame in test_writer.FRAMES[:4]:
    one.add(frame)
resource.setrlimit(resource.RLIMIT_FSIZE, (7000, resource.RLIM_INFINITY))
try:
    one.finish_shard(0)
except DatasetError as error:
    print(error)
"""


def test_no_room_for_a_shard(calm: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "d"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(Path(__file__).parent), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the file-size limit is reached" in done.stdout
    assert not any((out / "data").iterdir()), "nothing half-written"
    assert complete(out) == 6, "the four rows wait"
    assert shards(out) == calm


def test_verify_finds_what_a_hash_cannot(tmp_path: Path) -> None:
    """A shard rewritten with other labels and its new hash in the manifest is still wrong."""
    out = tmp_path / "d"
    complete(out)
    assert str(verify(out)) == f"{out}: 10 rows, every hash, label and picture is right"
    file = out / "data" / "train-00000.parquet"
    table = pq.read_table(file)
    yaw = table.schema.get_field_index("camera_yaw")
    pq.write_table(table.set_column(yaw, "camera_yaw", table["camera_yaw"].take([1, 0, 2, 3])), file)
    assert "SHA-256" in verify(out).problems[file.name]
    manifest = json.loads((out / "manifest.json").read_text())
    from torchmultiverse.files import sha256_file

    manifest["shards"][file.name] |= {"sha256": sha256_file(file), "bytes": file.stat().st_size}
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "camera_yaw is 1, its scene says 0" in verify(out).problems[file.name]
    assert verify(out, drop_bad=True).problems
    assert complete(out) == 4
    assert verify(out).problems == {}
    (out / "data" / "stray.parquet").write_bytes(file.read_bytes())
    assert "stray.parquet" in verify(out).problems["data/"]
    (out / "data" / "train-00002.parquet").unlink()
    assert "cannot be read" in verify(out).problems["train-00002.parquet"]


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    out, victim = tmp_path / "d", tmp_path / "victim.parquet"
    complete(out)
    victim.write_text("mine")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["shards"]["../../victim.parquet"] = {"rows": 1, "bytes": 4, "sha256": "0"}
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="names files that no dataset has"):
        verify(out, drop_bad=True)
    with pytest.raises(DatasetError, match="no manifest of this format"):
        writer(out)
    assert victim.read_text() == "mine"


def test_death_by_signal_frees_the_lock(tmp_path: Path) -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_writer, time; from pathlib import Path\n"
    code += "one = test_writer.writer(Path(sys.argv[2])); print('locked', flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / "d")], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"locked\n"
    with pytest.raises(DatasetError, match=f"process {child.pid}"):
        writer(tmp_path / "d")
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    writer(tmp_path / "d").close()
