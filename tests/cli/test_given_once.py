"""Options that are given twice, and ways of pictures that are none. What could silently be wrong: the last of two
options wins, and a whole dataset is rendered by another engine than the one that was meant.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from command import run

from torchmultiverse.engines.client import ClientOptions
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import SpecError


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "Desert", "--engine", "marker", "--engine=builtin"], "--engine is given 2 times: marker, builtin;"),
        (["eval", "d", "--model", "tiny:x/random", "--out", "a", "--out", "b"], "--out is given 2 times: a, b;"),
        (["engine", "check", "marker", "--pixels=auto", "--pixels", "auto"], "--pixels is given 2 times: auto, auto;"),
        (["render", "spar", "--out", "d", "--limit", "1", "--limit", "2", "--dry-run"], "--limit is given 2 times"),
    ],
)
def test_an_option_of_one_value_is_given_once(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, monkeypatch, *arguments)
    assert code == 2
    assert said in err


def test_what_may_be_repeated_still_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A value that looks like an option is none.
    code, out, err = run(
        capsys, monkeypatch, "show", "Desert", "--engine", "marker", "--set", "Camera_Yaw=3", "--set", "Camera_Roll=5",
        "--size", "32", "--out", tmp_path / "x.png",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "x.png" in out


def test_a_way_of_pictures_that_is_none_is_a_mistake_of_the_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (["engine", "check", "marker"], ["show", "Desert"], ["render", "spar", "--out", "d", "--dry-run"]):
        code, _, err = run(capsys, monkeypatch, *command, "--pixels", "pigeon")
        assert code == 2, command
        assert "pigeon" in err
    monkeypatch.setenv("TORCHMULTIVERSE_PIXELS", "dove")
    with pytest.raises(SpecError, match=r"pixels = 'dove' is unknown"):
        RemoteEngine("ws://127.0.0.1:1", options=ClientOptions())


def test_an_engine_that_is_not_there_is_answered_with_one_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, monkeypatch, "engine", "check", "nope")
    assert code == 3
    assert err.count("inprocess") == 1
    assert "no engine 'nope'. Known: builtin, inprocess, marker" in err
