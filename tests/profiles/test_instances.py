"""Instances of launch profiles as processes: side by side, dying, silent, hanging, and what is logged of them.

What could silently be wrong: two commands start more engines than the cards bear, an engine that never registers is
waited for for ever, a dataset is made of black pictures, a log fills the disk, or an instance stays locked after its
owner is gone.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from contract.test_pairing import check, shuffled
from serve.fake_unreal import game
from waiting import eventually

from torchmultiverse import Multiverse
from torchmultiverse.connect import open_engine
from torchmultiverse.engines import RemoteEngine, RenderOptions
from torchmultiverse.errors import EngineError
from torchmultiverse.farm import generate
from torchmultiverse.profiles import (
    Profile,
    ProfileProcess,
    diagnose,
    instance_folder,
    log_path,
    made,
    picture_problem,
    save_profile,
)
from torchmultiverse.serve import LogFile, last_lines
from torchmultiverse.serve.logs import log_files

OPTIONS = RenderOptions(size=(96, 96), format="jpeg")


def script(folder: Path, text: str) -> Path:
    path = folder / "Game.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def profile(path: Path, **fields: object) -> Profile:
    return made(**{"script": str(path), "dialect": "pug", "start_timeout": 120, "timeout": 60, "restarts": 1, **fields})


def test_two_instances_and_a_second_command(home: Path) -> None:
    """Both render; a third is refused, and free again when one ends."""
    save_profile("my-env", profile(game(home), gpus=[3, 5]))
    scenes = shuffled(6)
    first, second = open_engine("my-env", pug_batch=3), open_engine("my-env", pug_batch=3)
    try:
        with pytest.raises(EngineError, match=r"all 2 instances of 'my-env' .*in use \(process \d+\).*per_gpu=2"):
            ProfileProcess("my-env", patience=0)
        assert check(scenes, list(first.render(scenes, OPTIONS))) == {"right": 6}
        assert check(scenes, list(second.render(scenes, OPTIONS))) == {"right": 6}
    finally:
        first.close()
        second.close()
    for number, card in enumerate((3, 5)):
        logged = log_path("my-env", number).read_text()
        assert f"-graphicsadapter={card}" in logged
        assert "LogInit: the fake engine starts" in logged
        assert "connected to its signalling server" in logged
    stack = ProfileProcess("my-env", patience=0)
    assert stack.instance == 0
    stack.stop()


def test_an_instance_of_a_process_that_was_killed_is_free(home: Path) -> None:
    save_profile("my-env", profile(script(home, "sleep 60")))
    code = (
        "import time\n"
        "from torchmultiverse.profiles import ProfileProcess\n"
        "held = ProfileProcess('my-env')\n"
        "print('held', flush=True)\n"
        "time.sleep(100)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(EngineError, match=f"process {holder.pid}"):
        ProfileProcess("my-env", patience=0)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    ProfileProcess("my-env", patience=10).stop()


@pytest.mark.slow
def test_a_dataset_of_all_instances_with_one_that_dies(home: Path) -> None:
    """As many workers as instances without being told; what dies comes back, and no picture is lost."""
    save_profile("my-env", profile(game(home, f'export FAKE_UNREAL_DIES="{home}/died"'), gpus=[0, 1], restarts=3))
    spec = {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"], "Camera_Yaw": list(range(60))}
    report = generate(spec, home / "data", "my-env", size=64, progress=False, check=0)
    assert report.rendered == 120
    assert not report.failures
    assert (home / "died").exists()
    assert {path.parent.name for path in (home / "cache" / "engines").rglob("engine.log")} == {"0", "1"}


def test_death_at_the_start_is_told_with_advice(home: Path) -> None:
    lines = "echo 'LogLinux: Warning: MessageBox: Cannot find a compatible Vulkan driver (ICD).'\nseq 1 100\nexit 1"
    save_profile("my-env", profile(script(home, lines), gpus=[0]))
    with pytest.raises(EngineError) as error, ProfileProcess("my-env"):
        pass
    said = str(error.value)
    assert "my-env, instance 0 on card 0: Game.sh ended with code 1" in said
    assert "NVIDIA_DRIVER_CAPABILITIES=all" in said, "what it printed a hundred lines before is not recognised"
    assert "engine logs my-env --instance 0" in said
    assert "Cannot find a compatible" in log_path("my-env", 0).read_text()


def test_one_that_never_registers_is_not_waited_for_for_ever(home: Path) -> None:
    save_profile("my-env", profile(script(home, "echo LogInit: ready; sleep 600"), start_timeout=1))
    with (
        pytest.raises(EngineError, match=r"(?s)did not connect within 1 s.*Pixel Streaming enabled"),
        Multiverse("my-env") as mv,
    ):
        mv.catalogue()
    ProfileProcess("my-env", patience=0).stop()  # nothing is locked any more


def test_what_cannot_be_mended_is_not_tried_again(home: Path) -> None:
    """It registers once, dies, and then a library is gone: five more starts would say the same."""
    words = "error while loading shared libraries: libvulkan.so.1: cannot open shared object file"
    path = game(home, f'if [ -e "{home}/gone" ]; then echo "{words}" >&2; exit 127; fi')
    save_profile("my-env", profile(path, restarts=50))
    said: list[str] = []
    with ProfileProcess("my-env", notify=said.append) as stack:
        (home / "gone").touch()
        stack.kill_engine()
        assert eventually(stack.lost)
        assert "would again" in str(stack.lost())
        assert "libvulkan1" in str(stack.lost())
        assert stack.restarts == 1
    assert "died with code -9 and is started again (1 of 50)" in said[0]
    assert "would again" not in said[0]


@pytest.mark.slow
def test_one_that_loses_its_connection_is_started_again(home: Path) -> None:
    """Alive is not enough: an engine that hangs holds its card and answers nobody."""
    path = game(home, f'if [ -e "{home}/quiet" ]; then exec sleep 600; fi')
    save_profile("my-env", profile(path, restarts=1, start_timeout=5))
    with ProfileProcess("my-env") as stack:
        (home / "quiet").touch()
        stack.kill_engine()
        assert eventually(stack.lost, 100)
        assert "without a connection for 5 s" in str(stack.lost())


@pytest.mark.slow
def test_one_that_ignores_signals_is_ended(home: Path) -> None:
    path = game(home, "trap '' TERM INT HUP\n(trap '' TERM; while true; do sleep 1; done) &")
    save_profile("my-env", profile(path))
    stack = ProfileProcess("my-env")
    stack.start()
    stack.stop()
    assert stack._engine is not None
    assert not stack._engine.alive()
    ProfileProcess("my-env", patience=0).stop()


@pytest.mark.slow
def test_two_profiles_at_once(home: Path) -> None:
    scenes = shuffled(4)
    for name in ("one", "two"):
        (home / name).mkdir()
        save_profile(name, profile(game(home / name)))
    with ProfileProcess("one") as one, ProfileProcess("two") as two:
        assert one.url != two.url
        for stack in (one, two):
            engine = RemoteEngine(stack.url, **stack.profile.client)
            assert check(scenes, list(engine.render(scenes, OPTIONS))) == {"right": 4}
            engine.close()


def test_a_port_that_is_in_use_is_said(home: Path) -> None:
    save_profile("my-env", profile(game(home), per_gpu=2))
    with ProfileProcess("my-env") as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(EngineError, match="address already in use"), ProfileProcess("my-env", player_port=port):
            pass


@pytest.mark.slow
def test_a_server_that_asks_for_a_token_lets_its_engine_in(home: Path) -> None:
    save_profile("my-env", profile(game(home)))
    with ProfileProcess("my-env", token="a b&c") as stack:
        assert stack.streamers == 1
        engine = open_engine(stack.url, token="a b&c", dialect="pug")
        (frame,) = engine.render(shuffled(1), OPTIONS)
        engine.close()
        assert check(shuffled(1), [frame]) == {"right": 1}
    assert "token" not in log_path("my-env", 0).read_text()


def test_the_log_of_one_that_prints_without_end_is_bounded(home: Path) -> None:
    save_profile(
        "my-env", profile(script(home, "yes LogTemp: again and again"), log_bytes=4096, log_files=3, start_timeout=2)
    )
    with pytest.raises(EngineError, match="did not connect"), ProfileProcess("my-env"):
        pass
    files = log_files(log_path("my-env", 0))
    assert [path.name for path in files] == ["engine.log.2", "engine.log.1", "engine.log"]
    assert all(path.stat().st_size <= 4096 for path in files)


def test_logs_turn_over_and_are_read_across_files(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "a" / "x.log", most_bytes=100, files=3)
    threads = [threading.Thread(target=lambda n=n: [log.write(f"{n} {k:03}") for k in range(50)]) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.write("z" * 500)
    log.close()
    log.write("the last, after it was closed")
    log.close()
    files = log_files(tmp_path / "a" / "x.log")
    assert len(files) == 3
    assert all(path.stat().st_size <= 100 for path in files)
    assert last_lines(tmp_path / "a" / "x.log", 2) == ["z" * 99, "the last, after it was closed"]
    assert last_lines(tmp_path / "none.log", 2) == []


def test_a_log_that_cannot_be_written_does_not_end_the_engine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    log = LogFile(tmp_path / "file" / "x.log")
    log.write("one")
    log.write("two")
    assert len([record for record in caplog.records if "nothing more is logged" in record.message]) == 1


def test_a_place_for_logs_that_cannot_be_made(home: Path) -> None:
    (home / "cache").write_text("")
    with pytest.raises(EngineError, match="TORCHMULTIVERSE_CACHE"):
        instance_folder("my-env", 0)


def test_pictures_of_one_colour() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    assert picture_problem(np.zeros((8, 8, 3), np.uint8)) == "it is black all over"
    assert picture_problem(grey) == "it is of one colour all over, (128, 128, 128)"
    noisy = grey + np.random.default_rng(0).integers(0, 4, grey.shape).astype(np.uint8)
    assert picture_problem(noisy) is not None, "what JPEG does to one colour hides it"
    grey[0, 0] = 255
    assert picture_problem(grey) is None


@pytest.mark.slow
def test_a_first_picture_that_is_black_is_refused(home: Path) -> None:
    save_profile("my-env", profile(game(home, "export FAKE_UNREAL_BLACK=1"), check_picture=True))
    with pytest.raises(EngineError, match="the first picture: it is black all over"):
        open_engine("my-env")
    ProfileProcess("my-env", patience=0).stop()
    found = diagnose("my-env", profile(game(home, "export FAKE_UNREAL_BLACK=1")))
    assert any(one.state == "broken" and "black all over" in one.detail for one in found)


@pytest.mark.slow
def test_a_diagnosis_of_instances_that_work(home: Path) -> None:
    mine = profile(game(home), per_gpu=2)
    found = diagnose("my-env", mine)
    for number in range(2):
        said = [one.detail for one in found if one.subject == f"instance {number}"]
        assert any("registered within" in text for text in said)
        assert any("a picture of 256 × 256" in text for text in said)
        assert any("MiB" in text for text in said)
    assert all(one.state != "broken" for one in found), "what is proven to work is said to be broken"
    assert len(diagnose("my-env", mine, start=False)) < len(found)


def test_a_diagnosis_names_what_fails_for_each_instance(home: Path) -> None:
    text = 'case "$*" in *graphicsadapter=7*) echo "LogRHI: graphicsadapter 7 does not exist"; exit 1;; esac'
    found = diagnose("my-env", profile(game(home, text), gpus=[0, 7]))
    right = [one for one in found if one.subject == "instance 0 on card 0"]
    wrong = [one for one in found if one.subject == "instance 1 on card 7"]
    assert all(one.state == "ok" for one in right)
    assert [one.state for one in wrong] == ["broken"]
    assert "set gpus=0" in wrong[0].detail


@pytest.mark.slow
def test_a_diagnosis_leaves_instances_in_use_alone(home: Path) -> None:
    mine = profile(game(home), per_gpu=1)
    with ProfileProcess("my-env", mine):
        found = diagnose("my-env", mine)
    (one,) = [one for one in found if one.subject == "instance 0"]
    assert (one.state, "in use" in one.detail) == ("note", True)
