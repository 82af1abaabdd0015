"""What lies where launch profiles are kept and is none. What could silently be wrong: a folder, a pipe or a broken link
that is named as the profile one should have meant, a command that hangs on a pipe, or a folder of settings that cannot
be, of which nobody is told.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from command import run

from torchmultiverse.connect import open_engine
from torchmultiverse.errors import EngineError, SpecError, shortened
from torchmultiverse.profiles import (
    load_profile,
    made,
    profile_names,
    profiles_folder,
    remove_profile,
    save_profile,
)
from torchmultiverse.serve.failures import known_failures


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "Game.sh"
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_folder_a_pipe_and_a_broken_link_are_no_profiles_and_are_told(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_profile("good", made(script=str(script)))
    shelf = profiles_folder()
    (shelf / "cupboard.json").mkdir()
    os.mkfifo(shelf / "pipe.json")
    (shelf / "lost.json").symlink_to(shelf / "nowhere")
    assert profile_names() == ["good"]
    for name, what in (("cupboard", "is a folder"), ("pipe", "is no file"), ("lost", "is a link to nothing")):
        with pytest.raises(EngineError, match=rf"no launch profile '{name}': .*{name}\.json {what}; take it away"):
            load_profile(name)
        with pytest.raises(EngineError, match=f"{what}; take it away"):
            save_profile(name, made(script=str(script)), replace=True)
        with pytest.raises(EngineError, match=rf"no engine '{name}'.*{name}\.json {what}; take it away"):
            open_engine(name)
    with pytest.raises(EngineError, match="is a folder; take it away"):
        remove_profile("cupboard")
    code, out, _ = run(capsys, monkeypatch, "engine", "list", "--format", "json")
    assert code == 0
    about = {row["engine"]: row["about"] for row in json.loads(out)}
    assert "is a folder" in about["cupboard"]
    assert "is no file" in about["pipe"]


def test_settings_that_cannot_be_kept_are_told(
    script: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TORCHMULTIVERSE_CONFIG", str(tmp_path / "file"))
    code, _, err = run(capsys, monkeypatch, "engine", "list")
    assert code == 0
    assert "file is no folder, so that there can be no launch profiles; TORCHMULTIVERSE_CONFIG says so" in err
    with pytest.raises(EngineError, match="is no folder"):
        load_profile("mine")
    with pytest.raises(EngineError, match="TORCHMULTIVERSE_CONFIG says so: let it name a folder that can be written"):
        save_profile("mine", made(script=str(script)))
    monkeypatch.delenv("TORCHMULTIVERSE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(EngineError, match="the variable TORCHMULTIVERSE_CONFIG may name another folder"):
        save_profile("mine", made(script=str(script)))


def test_fields_are_values_for_programs(
    script: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = made(script=str(script), gpus=[0, 1], arguments=["-a b"], environment={"HOME": "/tmp"}, check_picture=True)
    save_profile("typed", found)
    code, out, _ = run(capsys, monkeypatch, "engine", "show", "typed", "--format", "json")
    assert code == 0
    value = {row["field"]: row["value"] for row in json.loads(out)}
    assert value["gpus"] == [0, 1]
    assert value["size"] == [512, 512]
    assert value["timeout"] == 120.0
    assert value["check_picture"] is True
    assert value["arguments"] == ["-a b"]
    assert value["environment"] == {"HOME": "/tmp"}
    code, out, _ = run(capsys, monkeypatch, "engine", "show", "typed")
    assert "0,1" in out
    assert "512x512" in out
    assert "'-a b'" in out


def test_a_long_name_is_cut_within_its_quotes() -> None:
    assert shortened("x" * 300) == f"'{'x' * 80}…'"
    with pytest.raises(SpecError, match=r"^'x{80}…' is no name of a launch profile"):
        save_profile("x" * 300, made(script="/Game.sh"))
    with pytest.raises(EngineError, match=r"no launch profile 'x{80}…'\. There are none"):
        load_profile("x" * 300)


def test_advice_names_the_profile_or_says_where_its_name_is() -> None:
    named = [one for one in known_failures() if "{profile}" in one.advice]
    assert named
    for one in named:
        assert "engine edit mine" in one.said_of("mine") or "engine logs mine" in one.said_of("mine")
        assert "torchmultiverse engine list" in str(one)
    assert not [one.id for one in known_failures() if "{profile}" in str(one)]
    assert all("edit NAME" not in one.advice for one in known_failures())
