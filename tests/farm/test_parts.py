"""Parts, array jobs and what is said of them.

Silently wrong would be a finished dataset that parts of another spec replace, an option that is taken and ignored, or a
job that waits for ever for one that failed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_many_machines import data
from typer.testing import CliRunner

from torchmultiverse.cli.app import app
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError, EngineError, SpecError
from torchmultiverse.farm import generate, join
from torchmultiverse.farm.parts import PARTS, part_folder
from torchmultiverse.farm.slurm import submit, write_jobs
from torchmultiverse.store import verify

SMALL = {
    "name": "small",
    "design": {"kind": "factorial", "factors": {"World_Name": ["Desert"], "Camera_Yaw": [0, 90, 180, 270]}},
    "render": {"size": [32, 32]},
}


def make(out: Path, spec: dict[str, object] = SMALL, **options: object) -> None:
    generate(spec, out, MarkerEngine, progress=False, shard_rows=2, **options)  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# Joining -------------------------------------------------------------------------------------------------------------


def test_another_dataset_in_the_folder_is_never_replaced(tmp_path: Path) -> None:
    """Parts of another spec used to replace its shards and manifest at the join, and a shard too many stayed."""
    out, elsewhere = tmp_path / "d", tmp_path / "e"
    make(out, {**SMALL, "seed": 7})
    before = content(out)
    for i in (0, 1):
        with pytest.raises(DatasetError, match=r"made otherwise: spec.seed was 7, is 0. Move that dataset away"):
            make(out, part=(i, 2))
        make(elsewhere, part=(i, 2))
    assert content(out) == before, "and nothing of the parts is left"
    shutil.move(elsewhere / PARTS, out / PARTS)
    with pytest.raises(DatasetError, match=r"made otherwise: spec\.seed was 7, is 0"):
        join(out)
    assert {name: found for name, found in content(out).items() if not name.startswith(PARTS)} == before
    assert verify(out).problems == {}
    shutil.move(out / PARTS, elsewhere / PARTS)
    assert join(elsewhere) == 4


@pytest.mark.parametrize("fresh", [False, True])
def test_a_part_is_refused_before_its_first_picture(fresh: bool, tmp_path: Path) -> None:
    out = tmp_path / "d"
    make(out)
    with pytest.raises(DatasetError, match="holds this dataset already, whole"):
        make(out, part=(0, 2), fresh=fresh)
    with pytest.raises(DatasetError, match="seed"):
        make(out, {**SMALL, "seed": 1}, part=(0, 2), fresh=fresh)
    assert not (out / PARTS).exists()
    with pytest.raises(SpecError, match="extend: a part has no pictures"):
        make(out, part=(0, 2), extend=True)


def test_what_is_no_dataset_is_not_joined_into(tmp_path: Path) -> None:
    """The card of the joined dataset used to replace somebody's README."""
    out = tmp_path / "d"
    for i in (0, 1):
        make(out, part=(i, 2))
    (out / "README.md").write_text("mine")
    with pytest.raises(DatasetError, match=r"holds no dataset: .*README\.md is there"):
        join(out)
    assert (out / "README.md").read_text() == "mine"
    with pytest.raises(DatasetError, match="holds no dataset"):
        make(out, part=(0, 2))


def test_parts_of_different_datasets_are_not_joined(tmp_path: Path) -> None:
    out, other = tmp_path / "d", tmp_path / "other"
    make(out, part=(0, 2))
    with pytest.raises(DatasetError, match=r"size was \[32, 32\], is \[48, 48\]"):
        make(out, part=(1, 2), size=48)
    with pytest.raises(DatasetError, match="holds parts of 2, not of 3"):
        make(out, part=(1, 3))
    make(other, part=(1, 2), size=48)
    shutil.move(part_folder(other, (1, 2)), part_folder(out, (1, 2)))
    with pytest.raises(DatasetError, match="size"):
        join(out)
    manifest = part_folder(out, (1, 2)) / "manifest.json"
    kept = manifest.read_text()
    for text, message in (('["no object"]', "no JSON object"), ("{}", "not finished or no part")):
        manifest.write_text(text)
        with pytest.raises(DatasetError, match=message):
            join(out)
    manifest.write_text(kept)
    make(out, part=(1, 2), fresh=True)
    assert join(out) == 4


def test_a_join_that_was_interrupted_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it ended among its shards, or after the last one and before the card."""
    for n, broken in enumerate(("Manifest.save", "finish")):
        out = tmp_path / str(n)
        for i in (0, 1):
            make(out, part=(i, 2))
        with monkeypatch.context() as patched:

            def fail(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(f"torchmultiverse.farm.parts.{broken}", fail)
            with pytest.raises(KeyboardInterrupt):
                join(out)
        assert (out / PARTS).exists()
        assert join(out) == 4
        assert verify(out).problems == {}
        assert not (out / PARTS).exists()


def test_a_run_that_was_left_for_parts_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an unfinished run left in the folder is taken over or replaced by the same pictures, never by fewer."""
    out = tmp_path / "d"
    from engines import Faulty

    generate(SMALL, out, lambda: Faulty("fail", (270,)), progress=False, shard_rows=2, retries=0)
    assert (out / "status.json").exists()
    for i in (0, 1):
        fault = (180, 270) if i else ()
        generate(SMALL, out, lambda at=fault: Faulty("fail", at), progress=False, shard_rows=2, retries=0, part=(i, 2))
    with pytest.raises(DatasetError, match=r"has 1 pictures in train-00001\.parquet, its part has fewer"):
        join(out)
    make(out, part=(1, 2))
    assert join(out) == 4
    shown = CliRunner().invoke(app, ["farm", "status", str(out)])
    assert shown.output.strip() == "4 of 4 pictures, 0 failed, done"


# Slurm ---------------------------------------------------------------------------------------------------------------


def directives(script: Path) -> dict[str, str]:
    """Return the options of a job script as Slurm reads them: words are parted by spaces unless they are quoted."""
    import shlex

    found = {}
    for line in script.read_text().splitlines():
        if line.startswith("#SBATCH "):
            words = shlex.split(line)[1:]
            assert len(words) == 1, f"{line} has a space that is not quoted"
            name, _, value = words[0].removeprefix("--").partition("=")
            found[name] = value
    return found


def test_a_space_in_the_path_and_options_of_both_jobs(tmp_path: Path) -> None:
    """The array's logs used to go to a path cut at its first space; the joining job had no account to run on."""
    out = tmp_path / "my data 100%"
    options = ["account=lab", "partition=gpu", "time=4:00:00", "gres=gpu:1", "gpus-per-task=1", "comment=two words"]
    array, last = write_jobs(out, ["render", "a b.json", "--out", str(out)], 4, options)
    logs = str(out / "_slurm").replace("%", "%%")
    both = {"account": "lab", "partition": "gpu", "time": "4:00:00", "comment": "two words"}
    cards = {"gres": "gpu:1", "gpus-per-task": "1", "array": "0-3", "requeue": ""}
    assert directives(array) == {**both, **cards, "output": f"{logs}/part-%a.log"}
    assert directives(last) == {**both, "output": f"{logs}/join.log"}
    for bad in ("p gpu", "-p", "--time=1", "time=1\nrm", "array=0-9", "output=x", "dependency=afterok:1"):
        with pytest.raises(SpecError, match="slurm option"):
            write_jobs(out, ["render"], 4, [bad])


FAKE = f"""#!{sys.executable}
# A cluster of one machine: runs each job at once, keeps what it said, and holds what depends on a job to its word.
import os, pathlib, re, subprocess, sys
home = pathlib.Path(__file__).parent
script = pathlib.Path(sys.argv[-1])
text = script.read_text()
log = re.search(r"--output='?([^'\\n]*)'?", text)[1].replace("%%", "%")
held = [a for a in sys.argv if a.startswith("--dependency=")]
number = len(list(home.glob("job-*"))) + 1
if held:
    kind, of = held[0].removeprefix("--dependency=").split(":")
    if kind == "afterok" and (home / f"job-{{of}}").read_text() != "0":
        (home / f"job-{{number}}").write_text("waits for ever")
        print(number)
        sys.exit()
last = int(found[1]) if (found := re.search(r"--array=0-(\\d+)", text)) else 0
worst = 0
for i in range(last + 1):
    environment = dict(os.environ, SLURM_ARRAY_TASK_ID=str(i))
    done = subprocess.run(["bash", str(script)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    pathlib.Path(log.replace("%a", str(i))).write_bytes(done.stdout)
    worst = max(worst, done.returncode)
(home / f"job-{{number}}").write_text(str(worst))
print(f"{{number}};cluster")
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(FAKE)
    sbatch.chmod(sbatch.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/usr/bin:/bin")
    return sbatch.parent


def test_the_joining_job_waits_for_the_end_of_the_array_not_for_its_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one failed task a job that depends on success stays in the queue for ever, and nothing says so."""
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/sent"\necho 7\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/usr/bin:/bin")
    array, last = write_jobs(tmp_path / "d", ["render"], 2)
    assert submit(array, last) == ("7", "7")
    sent = (tmp_path / "sent").read_text().splitlines()
    assert sent == [f"--parsable {array}", f"--parsable --dependency=afterany:7 {last}"]
    (tmp_path / "d" / "_slurm" / "join.log").write_text("error: parts are missing: 1/2\n\n")
    shown = CliRunner().invoke(app, ["farm", "status", str(tmp_path / "d")]).output
    assert shown.strip() == "the joining job: error: parts are missing: 1/2"


@pytest.mark.slow
def test_an_array_job_of_slurm(tmp_path: Path, cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts are real; ``sbatch`` here runs them one after the other instead of on a cluster."""
    spec, out = tmp_path / "my spec.json", tmp_path / "my data"
    spec.write_text(json.dumps(SMALL))
    command = ["render", str(spec), "--out", str(out), "--engine", "marker", "--shard-rows", "2"]
    jobs = [*command, "--executor", "slurm", "--workers", "2"]
    with monkeypatch.context() as nowhere:
        nowhere.setenv("PATH", "/nowhere")
        with pytest.raises(EngineError, match="no 'sbatch'"):
            CliRunner().invoke(app, jobs, catch_exceptions=False)
    done = CliRunner().invoke(app, [*jobs, "--slurm", "time=1:00:00"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "array job 1 (2 tasks), then job 2 joins them" in done.output
    assert (cluster / "job-2").read_text() == "0", (out / "_slurm" / "join.log").read_text()
    make(tmp_path / "whole")
    assert data(out).equals(data(tmp_path / "whole"))
    assert "4 of 4 pictures" in CliRunner().invoke(app, ["farm", "status", str(out)]).output

    # The same command once more, and another spec: nothing is sent, nothing is touched.
    again = CliRunner().invoke(app, jobs, catch_exceptions=False)
    assert "holds this dataset already, whole; no job is sent" in again.output
    before = content(out)
    with pytest.raises(DatasetError, match="size was"):
        CliRunner().invoke(app, [*jobs, "--size", "48"], catch_exceptions=False)
    assert content(out) == before
    with pytest.raises(SpecError, match="slurm option"):
        CliRunner().invoke(app, [*jobs, "--size", "48", "--fresh", "--slurm", "-p"], catch_exceptions=False)
    assert content(out) == before
    fresh = CliRunner().invoke(app, [*jobs, "--size", "48", "--fresh"], catch_exceptions=False)
    assert fresh.exit_code == 0, fresh.output
    assert json.loads((out / "manifest.json").read_text())["identity"]["size"] == [48, 48]


@pytest.mark.slow
def test_a_task_that_fails_is_told_of(tmp_path: Path, cluster: Path) -> None:
    """The joining job used to wait for ever for an array of which one task had failed; nothing said so."""
    spec, out = tmp_path / "spec.json", tmp_path / "d"
    spec.write_text(json.dumps(SMALL))
    command = ["render", str(spec), "--out", str(out), "--engine", "marker", "--shard-rows", "2"]
    part_folder(out, (1, 2)).mkdir(parents=True)
    (part_folder(out, (1, 2)) / "stranger").write_text("in the way of the second task")
    done = CliRunner().invoke(app, [*command, "--executor", "slurm", "--workers", "2"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [(cluster / f"job-{n}").read_text() for n in (1, 2)] == ["4", "4"], "both have ended"
    shown = CliRunner().invoke(app, ["farm", "status", str(out)], terminal_width=200).output
    assert "0-of-2 2 of 2 pictures" in shown
    assert "not begun of 2 parts: 1" in shown
    assert "the joining job: error:" in shown
    assert "run its part again" in " ".join(shown.split())


# Options that would be ignored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--executor", "slurm", "--part", "0/2"], "--part does not go with --executor slurm"),
        (["--executor", "slurm", "--shard", "0/2"], "--part does not go with --executor slurm"),
        (["--fresh", "--extend"], "--extend does not go with --fresh"),
        (["--executor", "slurm", "--extend"], "--extend does not go with --executor slurm"),
        (["--executor", "slurm", "--token", "secret"], "set TORCHMULTIVERSE_TOKEN, which jobs inherit"),
        (["--executor", "slurm", "--address", "auto"], "--address does not go with --executor slurm"),
        (["--executor", "slurm", "--gpus", "1"], "--slurm gres=gpu:1"),
        (["--executor", "ray", "--slurm", "time=1"], "--slurm does not go with --executor ray"),
        (["--executor", "ray", "--adapter", "0"], "actors get their cards by --gpus"),
        (["--executor", "ray", "--memory", "3"], "an actor's memory is not seen from here"),
        (["--slurm", "time=1"], "--slurm does not go with --executor local"),
        (["--address", "auto"], "--address does not go with --executor local"),
        (["--gpus", "1"], "--gpus does not go with --executor local"),
        (["--part", "0/2", "--extend"], "--extend does not go with --part"),
        (["--adapter", "0"], "--adapter is for a packaged binary"),
        (["--token", "secret"], "--token goes with an engine at an address"),
        (["--engine", "inprocess", "--memory", "3"], "has no process of its own here"),
        (["--engine", "ws://127.0.0.1:1", "--memory", "3"], "has no process of its own here"),
    ],
)
def test_options_that_do_not_apply_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    """Taken and ignored, they would make another dataset than asked for, or none."""
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(SMALL))
    with pytest.raises(SpecError, match=message):
        CliRunner().invoke(app, ["render", str(spec), "--out", str(tmp_path / "d"), *options], catch_exceptions=False)
    assert not (tmp_path / "d").exists()


def test_the_status_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no run was seen"):
        CliRunner().invoke(app, ["farm", "status", str(tmp_path)], catch_exceptions=False)
    make(tmp_path / "d", workers=2)
    shown = CliRunner().invoke(app, ["farm", "status", str(tmp_path / "d"), "--watch"])
    assert "4 of 4 pictures" in shown.output
    assert "done" in shown.output
    status = json.loads((tmp_path / "d" / "status.json").read_text())
    (tmp_path / "d" / "status.json").write_text(json.dumps({**status, "done": False, "updated": 0, "host": "another"}))
    shown = CliRunner().invoke(app, ["farm", "status", str(tmp_path / "d"), "--watch"])
    assert "nothing runs" in shown.output, "a process of that number is here, but it ran elsewhere"


# Ray -----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_cluster_that_is_started_here_is_reached_from_here_alone(tmp_path: Path) -> None:
    """Ray's processes listen on every network interface unless told otherwise, and run what they are sent."""
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    program = (
        "import psutil\n"
        "from torchmultiverse.engines.marker import MarkerEngine\n"
        "from torchmultiverse.farm.ray_engine import ray_factory\n"
        "engine = ray_factory(MarkerEngine, address='local')()\n"
        "ours = [psutil.Process(), *psutil.Process().children(recursive=True)]\n"
        "for process in ours:\n"
        "    for c in process.net_connections('inet'):\n"
        "        if c.status == 'LISTEN': print('listens', c.laddr.ip)\n"
        "engine.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    addresses = {line.split()[1].removeprefix("::ffff:") for line in done.stdout.splitlines() if "listens" in line}
    assert addresses == {"127.0.0.1"}


def test_an_interruption_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Interrupts(MarkerEngine):
        """Is interrupted before it says what it has, or by its first picture."""

        early = True

        def catalogue(self) -> Any:
            if Interrupts.early:
                os.kill(os.getpid(), signal.SIGINT)
            return super().catalogue()

        def render(self, scenes: Any, options: Any = None) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(SMALL, tmp_path / "d", Interrupts)
    assert "interrupted before the first picture; the same command goes on" in capsys.readouterr().err
    Interrupts.early = False
    for fresh, said in ((False, "the same command continues"), (True, "the same command without --fresh continues")):
        with pytest.raises(KeyboardInterrupt):
            generate(SMALL, tmp_path / "d", Interrupts, fresh=fresh)
        assert said in capsys.readouterr().err
