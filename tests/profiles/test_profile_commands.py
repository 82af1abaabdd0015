"""Commands of launch profiles, and that a profile can be named wherever an engine can.

Silently wrong would be a command that takes a profile for a path, starts one instance where all were wanted, or prints
for people what a program reads.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from command import run
from serve.fake_unreal import game

from torchmultiverse.cli import completion
from torchmultiverse.cli.doctor import examine
from torchmultiverse.errors import EngineError
from torchmultiverse.profiles import load_profile, log_path, profile_path


@pytest.fixture
def added(home: Path, capsys, monkeypatch) -> Path:
    path = game(home)
    options = ("--gpus", "0,1", "--per-gpu", "2", "--set", "dialect=pug", "--set", "timeout=60")
    code, out, err = run(capsys, monkeypatch, "engine", "add", "my-env", path, *options)
    assert code == 0, err
    assert f"my-env: {path} on cards 0, 1, 2 on each" in out
    return path


def test_a_profile_from_beginning_to_end(added: Path, capsys, monkeypatch) -> None:
    assert load_profile("my-env").instances == 4
    code, out, _ = run(capsys, monkeypatch, "engine", "show", "my-env", "--format", "json")
    fields = {row["field"]: row["value"] for row in json.loads(out)}
    assert (code, fields["gpus"], fields["per_gpu"], fields["dialect"]) == (0, [0, 1], 2, "pug")
    code, out, _ = run(capsys, monkeypatch, "engine", "list", "--format", "json")
    kinds = {row["engine"]: row["kind"] for row in json.loads(out)}
    assert kinds["my-env"] == "launch profile"
    assert kinds["builtin"] == "built in"
    code, out, _ = run(capsys, monkeypatch, "engine", "edit", "my-env", "--set", "gpus=", "--set", "per_gpu=1")
    assert (code, load_profile("my-env").instances) == (0, 1)
    code, out, _ = run(capsys, monkeypatch, "engine", "logs", "my-env")
    assert (code, "nothing was logged yet" in out) == (0, True)
    code, out, _ = run(capsys, monkeypatch, "engine", "remove", "my-env")
    assert (code, profile_path("my-env").exists(), added.exists()) == (0, False, True)
    code, _, err = run(capsys, monkeypatch, "engine", "show", "my-env")
    assert (code, "torchmultiverse engine add" in err) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("engine", "add", "builtin", "{script}"), 2, "stays it"),
        (("engine", "add", "my-env", "{script}"), 2, "--replace"),
        (("engine", "add", "x/y", "{script}"), 2, "no name of a launch profile"),
        (("engine", "add", "other", "none.sh"), 3, "is not there"),
        (("engine", "add", "other", "{script}", "--gpus", "a"), 2, "graphics cards by number"),
        (("engine", "edit", "my-env"), 2, "--set FIELD=VALUE"),
        (("engine", "edit", "my-env", "--set", "gpu=1"), 2, "Did you mean 'gpus'"),
        (("engine", "edit", "my-evn", "--set", "per_gpu=1"), 3, "Did you mean 'my-env'"),
        (("engine", "logs", "my-env", "--instance", "4"), 2, "instances 0 to 3"),
        (("engine", "diagnose", "none"), 3, "no launch profile 'none'"),
        (("serve", "--engine", "my-env", "--instances", "5"), 2, "has 4"),
        (("serve", "--engine", "marker", "--instances", "1"), 2, "is of launch profiles"),
        (("render", "spar", "--out", "x", "--engine", "my-env", "--workers", "5"), 2, "has 4 instances"),
        (("render", "spar", "--out", "x", "--engine", "my-env", "--adapter", "0"), 2, "has its cards"),
        (("render", "spar", "--out", "x", "--engine", "my-env", "--token", "a"), 2, "ws://host:port"),
    ],
)
def test_what_cannot_be(added: Path, capsys, monkeypatch, arguments: tuple[str, ...], code: int, said: str) -> None:
    found, _, err = run(capsys, monkeypatch, *(one.format(script=added) for one in arguments))
    assert (found, said in err) == (code, True), err


def test_logs_are_read_with_advice(added: Path, capsys, monkeypatch) -> None:
    path = log_path("my-env", 1)
    path.write_text("\n".join([*map(str, range(100)), "VK_ERROR_DEVICE_LOST"]) + "\n")
    code, out, _ = run(capsys, monkeypatch, "engine", "logs", "my-env", "--lines", "2")
    assert code == 0
    assert f"{path}:\n99\nVK_ERROR_DEVICE_LOST\n→ the graphics card or its driver gave up" in out
    code, out, err = run(capsys, monkeypatch, "engine", "logs", "my-env", "--lines", "2", "--format", "json")
    assert json.loads(out) == [{"instance": 1, "line": "99"}, {"instance": 1, "line": "VK_ERROR_DEVICE_LOST"}]
    assert "gave up" in err


def test_the_doctor_and_the_shell_know_profiles(added: Path) -> None:
    assert "my-env" in completion.engines("my")
    assert completion.profiles("") == ["my-env"]
    assert completion.profile_fields("per") == ["per_gpu="]
    (check,) = [one for one in examine().checks if one.subject == "launch profiles"]
    assert check.detail.startswith("my-env")
    added.unlink()
    (check,) = [one for one in examine().checks if one.subject == "launch profile"]
    assert "set script=" in check.remedy


def test_a_diagnosis_for_programs(added: Path, capsys, monkeypatch) -> None:
    code, out, err = run(capsys, monkeypatch, "engine", "diagnose", "my-env", "--no-start", "--format", "json")
    rows = json.loads(out)
    assert {"state", "subject", "finding", "remedy"} == set(rows[0])
    assert code == (1 if any(row["state"] == "broken" for row in rows) else 0)
    assert "looking at this machine" in err
    added.unlink()
    code, out, _ = run(capsys, monkeypatch, "engine", "diagnose", "my-env")
    assert (code, "is not there" in out) == (1, True)


def test_a_name_is_a_profile_before_it_is_a_file(added: Path, home: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(home)
    (home / "my-env").write_text("a file of that name")
    code, _, _ = run(capsys, monkeypatch, "render", "spar", "--out", "x", "--engine", "my-env", "--adapter", "0")
    assert code == 2, "the file was taken for a packaged binary"


@pytest.mark.slow
def test_show_check_and_render_with_a_profile(added: Path, home: Path, capsys, monkeypatch) -> None:
    run(capsys, monkeypatch, "engine", "edit", "my-env", "--set", "per_gpu=1")
    out = home / "zebra.png"
    code, _, err = run(capsys, monkeypatch, "show", "Desert", "Zebra", "--engine", "my-env", "--size", 64, "--out", out)
    assert code == 0, err
    assert out.stat().st_size > 100
    code, said, err = run(capsys, monkeypatch, "engine", "check", "my-env")
    assert code == 0, err
    assert "registered within" in said
    assert "rendered" in said
    spec = home / "spec.json"
    spec.write_text(json.dumps({"World_Name": ["Desert"], "Character_Name": ["Zebra"], "Camera_Yaw": list(range(8))}))
    code, said, err = run(
        capsys, monkeypatch, "render", spec, "--out", home / "data", "--engine", "my-env", "--size", 64, "--check", 0
    )
    assert code == 0, err
    status = json.loads((home / "data" / "status.json").read_text())
    assert len(status["workers"]) == 2


@pytest.mark.slow
def test_serving_all_instances(added: Path, home: Path) -> None:
    """Each has its own page; all end with one signal."""
    command = [sys.executable, "-m", "torchmultiverse", "serve", "--engine", "my-env", "--port", "0",
               "--streamer-port", "0", "--instances", "2"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    pages = []
    for line in process.stdout:
        if line.startswith("look at it: "):
            pages.append(line.split()[-1])
        if line.startswith("Ctrl-C"):
            break
    assert len(set(pages)) == 2
    for page in pages:
        assert b"<html" in urllib.request.urlopen(page).read()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert "graphicsadapter=1" in log_path("my-env", 1).read_text()


def test_the_exit_code_of_an_engine_that_fails(home: Path, capsys, monkeypatch) -> None:
    script = home / "Game.sh"
    script.write_text("#!/bin/sh\necho 'Refusing to run with the root privileges.'\nexit 1\n")
    script.chmod(0o755)
    run(capsys, monkeypatch, "engine", "add", "my-env", script)
    code, _, err = run(capsys, monkeypatch, "show", "Desert", "--engine", "my-env", "--out", home / "x.png")
    assert code == EngineError.exit_code
    assert "runAsUser in Kubernetes" in err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dialect=foo", "tmv, pug, or auto"),
        ("arguments='unclosed", "a quotation mark is not closed"),
        ("environment.=1", "write NAME=VALUE"),
        ("gpus=0,,1", "such as 0,1"),
        ("script=", "script cannot be empty"),
    ],
)
def test_a_setting_that_cannot_be_says_what_can(added: Path, capsys, monkeypatch, setting: str, said: str) -> None:
    code, _, err = run(capsys, monkeypatch, "engine", "edit", "my-env", "--set", setting)
    assert (code, said in err) == (2, True), err


def test_a_script_that_cannot_be_started_is_told_at_once(added: Path, home: Path, capsys, monkeypatch) -> None:
    """Silently wrong otherwise: a profile that looks well until the first job of the night."""
    plain = home / "Plain.sh"
    plain.write_text("#!/bin/sh\n")
    for script, said in ((plain, "chmod +x"), (home, "is a folder"), (home / "none.sh", "is not there")):
        code, _, err = run(capsys, monkeypatch, "engine", "add", "other", script)
        assert (code, said in err) == (3, True), err
        assert not profile_path("other").exists()
    added.unlink()
    _, out, _ = run(capsys, monkeypatch, "engine", "list", "--format", "json")
    about = {row["engine"]: row["about"] for row in json.loads(out)}["my-env"]
    assert "cannot start: it is not there" in about
    for command in (("show", "my-env"), ("edit", "my-env", "--set", "retries=2")):
        code, _, err = run(capsys, monkeypatch, "engine", *command)
        assert (code, "is not there" in err) == (0, True), err


def test_ports_and_instances_that_cannot_be_are_refused_before_anything_starts(
    added: Path, capsys, monkeypatch
) -> None:
    code, out, err = run(capsys, monkeypatch, "serve", "--engine", "my-env", "--port", "65533", "--streamer-port", "0")
    assert (code, "at most 65532" in err, out) == (2, True, ""), err
    code, _, err = run(capsys, monkeypatch, "serve", "--engine", "my-env", "--instances", "9")
    assert (code, "has 4" in err) == (2, True), err


def test_a_wrong_stack_is_told_before_anything_starts(added: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_WEBRTC", "foo")
    code, _, err = run(capsys, monkeypatch, "engine", "check", "marker")
    assert (code, err.count("aiortc"), "ended with" in err) == (3, 1, False), err
