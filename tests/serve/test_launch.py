"""Processes: started, watched, and gone afterwards.

What could silently be wrong: an engine that runs on after its owner died, and holds the GPU for days.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from contract.test_pairing import check, shuffled
from serve.fake_unreal import game
from waiting import eventually
from websockets.sync.client import connect
from websockets.typing import Origin

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene
from torchmultiverse.serve import LocalStack, UnrealProcess, serve_forever
from torchmultiverse.serve.launch import RESTARTS, Child

OPTIONS = RenderOptions(size=(96, 96), format="jpeg")


def running(mark: str) -> list[int]:
    """Processes whose command line or environment holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if mark.encode() in text and " Z " not in (entry / "stat").read_text():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def gone(mark: str) -> bool:
    """Whether nothing runs any more. What was killed is there until the system has come to it."""
    return eventually(lambda: not running(mark))


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    text = f"tmv-test-{os.getpid()}-{abs(hash(request.node.name))}"
    monkeypatch.setenv("TMV_TEST_MARK", text)
    return text


def test_two_processes_render_and_a_killed_engine_comes_back(mark: str) -> None:
    scenes = shuffled(40)
    with LocalStack("marker") as stack:
        assert stack.url.startswith("ws://127.0.0.1:")
        engine = RemoteEngine(stack.url, in_flight=4, lost=stack.lost, hello_timeout=60)
        answers = []
        for number, answer in enumerate(engine.render(scenes, OPTIONS)):
            answers.append(answer)
            if number == 15:
                stack.kill_engine()
        engine.close()
        assert stack.restarts == 1
        assert running(mark)
    assert check(scenes, answers) == {"right": 40}
    assert gone(mark), running(mark)


def test_an_engine_that_cannot_start_says_why(mark: str) -> None:
    with (
        pytest.raises(EngineError, match=r"no engine 'nonsense'\. Known: builtin, inprocess") as error,
        LocalStack("nonsense"),
    ):
        pass
    assert "marker" in str(error.value), "the names that would be right are missing"
    assert gone(mark), running(mark)


def test_an_engine_that_keeps_dying_is_given_up_with_its_last_words(mark: str, tmp_path: Path) -> None:
    script, go = tmp_path / "Game.sh", tmp_path / "go"
    waiting = f"while [ ! -e '{go}' ]; do sleep 0.1; done"
    script.write_text(f"#!/bin/sh\n{waiting}\necho 'LogVulkan: no device found' >&2\nexit 7\n")
    script.chmod(0o755)
    with UnrealProcess(script, grace=0.1) as stack:
        go.touch()
        with pytest.raises(EngineError, match="no device found"):
            RemoteEngine(stack.url, lost=stack.lost, connect_timeout=1.0, reconnects=30)
        assert stack.restarts == RESTARTS
    assert gone(mark), running(mark)


def test_an_engine_that_works_between_its_deaths_is_started_again_as_often_as_it_takes(tmp_path: Path) -> None:
    """One that crashes every few hundred pictures is of use; six crashes within minutes would have ended a long run."""
    script, go = tmp_path / "Game.sh", tmp_path / "go"
    script.write_text(f"#!/bin/sh\nwhile [ ! -e '{go}' ]; do sleep 0.1; done\nexit 7\n")
    script.chmod(0o755)

    def still_useful() -> bool:
        stack.delivered()
        return stack.restarts > RESTARTS + 1

    with UnrealProcess(script, grace=0.1) as stack:
        go.touch()
        assert eventually(still_useful, 100)
        assert stack.lost() is None
        assert eventually(lambda: stack.lost() is not None, 100)


def test_an_early_death_is_told_at_once(tmp_path: Path) -> None:
    script = tmp_path / "Game.sh"
    script.write_text("#!/bin/sh\necho 'error while loading shared libraries: libvulkan.so.1' >&2\nexit 127\n")
    script.chmod(0o755)
    with pytest.raises(EngineError, match=r"code 127:\n.*libvulkan"), UnrealProcess(script):
        pass


def test_a_silent_process_is_not_waited_for_for_ever(mark: str) -> None:
    child = Child(["sleep", "60"], name="the sleeper")
    with pytest.raises(EngineError, match=r"the sleeper was not ready within 0\.2 s"):
        child.wait_ready(0.2)
    assert gone(mark), running(mark)


def test_what_a_start_script_started_ends_with_it(mark: str) -> None:
    child = Child(["sh", "-c", "sleep 77 & sleep 78 & wait"])
    assert eventually(lambda: len(running(mark)) >= 4)
    child.stop()
    child.stop()
    assert gone(mark), running(mark)


def test_everything_ends_when_the_parent_is_killed(mark: str) -> None:
    code = (
        "import sys, time\n"
        "from torchmultiverse.serve import LocalStack\n"
        "with LocalStack('marker'):\n"
        "    print('up', flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    assert len(running(mark)) >= 5
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(mark), running(mark)


@pytest.mark.parametrize("killed", ["outer", "inner"])
def test_everything_ends_when_a_guard_and_then_the_parent_are_killed(mark: str, killed: str) -> None:
    """One guard is not enough: it may be killed as well, before the process that would have noticed."""
    code = (
        "import os, sys, time\n"
        "from torchmultiverse.serve.launch import Child\n"
        "child = Child(['sh', '-c', 'sleep 77 & sleep 78 & wait'])\n"
        "print(child.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    outer = int(parent.stdout.readline())
    assert eventually(lambda: len(running(mark)) == 6), running(mark)
    os.kill(parent.pid, signal.SIGSTOP)  # it does not look after the guard, as one that is busy elsewhere
    (inner,) = psutil.Process(outer).children()
    os.kill(outer if killed == "outer" else inner.pid, signal.SIGKILL)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(mark), running(mark)


def test_the_exit_status_of_a_guarded_command_is_kept(mark: str) -> None:
    for command, status in (("exit 7", 7), ("kill -9 $$", 137), ("exit 0", 0)):
        assert Child(["sh", "-c", command]).process.wait(100) == status
    assert gone(mark), running(mark)


def test_serving_says_when_the_engine_dies_and_fails_when_it_stays_dead(mark: str, tmp_path: Path) -> None:
    """What could silently be wrong: `serve` goes on without an engine, and nobody knows why no picture comes."""
    script, go = tmp_path / "Game.sh", tmp_path / "go"
    waiting = "while [ ! -e go ]; do sleep 0.1; done"
    script.write_text(f"#!/bin/sh\n{waiting}\necho 'LogVulkan: no device found' >&2\nexit 7\n")
    script.chmod(0o755)
    serve = subprocess.Popen(
        [sys.executable, "-m", "torchmultiverse", "serve", "--port=0", "--streamer-port=0", "--engine", str(script)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert serve.stdout is not None
    assert "ws://127.0.0.1:" in serve.stdout.readline()
    go.touch()
    _, errors = serve.communicate(timeout=200)
    assert serve.returncode == EngineError.exit_code
    for number in range(1, RESTARTS + 1):
        assert f"Game.sh died with code 7 and is started again ({number} of {RESTARTS})" in errors
    assert "died 6 times in a row" in errors
    assert errors.count("no device found") == RESTARTS + 1
    assert "Traceback" not in errors
    assert gone(mark), running(mark)


def test_a_stack_tells_what_its_engine_says_and_lets_named_origins_in(mark: str) -> None:
    """The pug dialect has no way to say that a scene failed: nobody would know why no picture comes."""
    said: list[str] = []
    with LocalStack("marker", notify=said.append, allow_origins=["https://lab.example"]) as stack:
        with connect(stack.url, origin=Origin("https://lab.example"), proxy=None) as page:
            assert json.loads(page.recv())["type"] == "config"
        # A client that leaves before a busy engine has come to its scene is never answered, and nothing is said of it.
        for patience in (0.5, 2, 8, 32):
            engine = RemoteEngine(stack.url, dialect="pug", timeout=patience, retries=0, hello_timeout=60)
            (failure,) = engine.render([Scene({"World_Name": "Dessert"})], OPTIONS)
            assert not isinstance(failure, Frame)
            if eventually(lambda: any("Did you mean 'Desert'" in line for line in said), 10):
                break
            engine.close()
        assert any("Did you mean 'Desert'" in line for line in said), said
        stack.kill_engine()
        assert eventually(lambda: stack.restarts == 1)
        engine.close()
    died = f"the engine 'marker' died with code -9 and is started again (1 of {RESTARTS})"
    assert eventually(lambda: any(died in line for line in said)), said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_cleanly_on_a_signal(mark: str, number: int) -> None:
    code = (
        "from torchmultiverse.serve import serve_forever\n"
        "serve_forever(engine='marker', host='127.0.0.1', player_port=0, streamer_port=0, token=None)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    first = process.stdout.readline().decode()
    assert "ws://127.0.0.1:" in first
    assert "http://127.0.0.1:" in process.stdout.readline().decode()
    process.send_signal(number)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0
    assert errors == b""
    assert gone(mark), running(mark)


def test_serving_to_other_machines_needs_a_token() -> None:
    with pytest.raises(EngineError, match="token"):
        serve_forever(engine="marker", host="0.0.0.0", player_port=0, streamer_port=0, token=None)


def test_the_command_line_is_that_of_the_reference(tmp_path: Path) -> None:
    command = UnrealProcess(tmp_path / "Game.sh", size=(640, 480), adapter=3).command("ws://127.0.0.1:8888")
    assert command[0] == str(tmp_path / "Game.sh")
    assert set(command[1:]) == {
        "-AudioMixer", "-RenderOffScreen", "-NoScreenMessages", "-graphicsadapter=3", "-ForceRes", "-ResX=640",
        "-ResY=480", "-PixelStreamingIP=127.0.0.1", "-PixelStreamingPort=8888",
        "-PixelStreamingURL=ws://127.0.0.1:8888", "-PixelStreamingConnectionURL=ws://127.0.0.1:8888",
    }  # fmt: skip


@pytest.mark.parametrize("server", ["modern", "legacy"])
@pytest.mark.parametrize("unreal", ["modern", "legacy"])
def test_a_packaged_binary_of_either_generation(mark: str, tmp_path: Path, unreal: str, server: str) -> None:
    """A start script, the pug dialect, candidates trickled, and a server of either generation in between."""
    scenes = [Scene({"World_Name": "Desert", "Camera_Yaw": n}) for n in range(5)]
    with UnrealProcess(game(tmp_path), arguments=[f"-Generation={unreal}"], grace=0.1, generation=server) as stack:
        engine = RemoteEngine(stack.url, timeout=60, hello_timeout=0.3, lost=stack.lost)
        catalogue = engine.catalogue()
        answers = list(engine.render(scenes, OPTIONS))
        notes = engine.manifest_notes()
        engine.close()
    assert not catalogue.complete
    assert notes
    assert check(scenes, answers) == {"right": 5}
    assert all(isinstance(answer, Frame) and answer.format == "jpeg" for answer in answers)
    assert gone(mark), running(mark)
