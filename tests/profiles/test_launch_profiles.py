"""Launch profiles as records: what is kept, what is refused, and which name means what.

Silently wrong would be a profile that hides an engine of the same name, a typing mistake in a field that is ignored, or
a half-written file that starts something else.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from torchmultiverse import Multiverse
from torchmultiverse.connect import open_engine, side_by_side
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.profiles import (
    Profile,
    as_text,
    changed,
    is_profile,
    load_profile,
    made,
    profile_names,
    profile_path,
    profiles_folder,
    remove_profile,
    save_profile,
)

GAME = made(script="/games/Linux/Game.sh", gpus=[0, 1], per_gpu=2)


def test_a_profile_is_kept_read_and_removed(home: Path) -> None:
    path = save_profile("my-env", GAME)
    assert path == home / "config" / "engines" / "my-env.json"
    assert json.loads(path.read_text())["schema_version"] == Profile.version
    assert load_profile("my-env") == GAME
    assert profile_names() == ["my-env"]
    assert is_profile("my-env")
    remove_profile("my-env")
    assert not is_profile("my-env")
    with pytest.raises(EngineError, match="no launch profile 'my-env'"):
        remove_profile("my-env")


def test_instances_are_spread_over_the_cards() -> None:
    assert GAME.instances == 4
    assert [GAME.adapter(number) for number in range(4)] == [0, 1, 0, 1]
    alone = made(script="/games/Game.sh", per_gpu=3)
    assert (alone.instances, alone.adapter(2)) == (3, None)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "My-Env", "x" * 64, "game.sh", "x.json", "-x", "a b", "é"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(SpecError, match="no name of a launch profile"):
        save_profile(name, GAME)
    assert not is_profile(name)


@pytest.mark.parametrize("name", ["builtin", "inprocess", "marker"])
def test_an_installed_engine_keeps_its_name(name: str) -> None:
    with pytest.raises(SpecError, match="stays it"):
        save_profile(name, GAME)
    profiles_folder().mkdir(parents=True)
    (profiles_folder() / f"{name}.json").write_text(GAME.model_dump_json())
    assert not is_profile(name)
    assert profile_names() == []
    assert side_by_side(name) == 1


def test_a_profile_is_not_overwritten_by_chance() -> None:
    save_profile("my-env", GAME)
    with pytest.raises(SpecError, match=r"engine edit my-env"):
        save_profile("my-env", GAME)
    save_profile("my-env", changed(GAME, ["per_gpu=1"]), replace=True)
    assert load_profile("my-env").instances == 2


def test_fields_are_changed_by_text_and_read_back_from_it() -> None:
    settings = [
        "gpus=2,3", "per_gpu=1", "size=640x480", "generation=legacy", "dialect=pug", "start_timeout=60.5",
        "arguments=-unattended '-ExecCmds=r.Streaming.PoolSize 1000'", "environment.HOME=/tmp/a b",
        "environment.EMPTY=x", "check_picture=yes", "log_bytes=65536", "about=the desert",
    ]  # fmt: skip
    profile = changed(GAME, settings)
    assert profile.gpus == (2, 3)
    assert profile.size == (640, 480)
    assert profile.arguments == ("-unattended", "-ExecCmds=r.Streaming.PoolSize 1000")
    assert profile.environment == {"HOME": "/tmp/a b", "EMPTY": "x"}
    assert profile.check_picture
    again = changed(made(script="/x"), [f"{field}={as_text(profile, field)}" for field in Profile.model_fields])
    assert again == profile
    assert changed(profile, ["environment.EMPTY=", "gpus=", "size=512"]).environment == {"HOME": "/tmp/a b"}
    assert changed(profile, ["gpus="]).gpus == ()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("per_gpus=2", "Did you mean 'per_gpu'"),
        ("per_gpu", "write NAME=VALUE"),
        ("per_gpu.x=1", "write NAME=VALUE"),
        ("per_gpu=0", "instances on each card"),
        ("per_gpu=two", "instances on each card"),
        ("gpus=0,0", "names a card twice"),
        ("gpus=a", "graphics cards by number"),
        ("gpus=-1", "graphics cards by number"),
        ("size=4x4", "width and height"),
        ("generation=5.0", "modern, or legacy"),
        ("arguments=-PixelStreamingURL=ws://x", "set by the launcher"),
        ("arguments='unclosed", "further arguments"),
        ("environment.A-B=1", "no name of a variable"),
        ("start_timeout=nan", "connected to its signalling server"),
        ("script=", "absolute path"),
    ],
)
def test_what_cannot_be_names_the_field(setting: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        changed(GAME, [setting])


def test_more_instances_than_a_machine_has() -> None:
    with pytest.raises(SpecError, match="256 at most"):
        made(script="/x", gpus=list(range(60)), per_gpu=60)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[]", "script"),
        ('{"schema_version": 99, "script": "/x"}', "a newer one wrote it"),
        ('{"schema_version": 1, "script": "/x", "gpu": [0]}', "gpu: Extra inputs"),
        ('{"schema_version": 1, "script": "Game.sh"}', "no absolute path"),
    ],
)
def test_a_file_that_is_no_profile_is_said(text: str, said: str) -> None:
    save_profile("my-env", GAME)
    profile_path("my-env").write_text(text)
    with pytest.raises(EngineError, match=said):
        load_profile("my-env")


def test_a_name_that_is_near_is_said() -> None:
    save_profile("my-env", GAME)
    with pytest.raises(EngineError, match="Did you mean 'my-env'"):
        load_profile("my-evn")
    with pytest.raises(EngineError, match="the launch profile 'my-env'"):
        open_engine("my-evn")


def test_a_folder_that_cannot_be_written(home: Path) -> None:
    (home / "config").write_text("a file stands here")
    with pytest.raises(EngineError, match="TORCHMULTIVERSE_CONFIG"):
        save_profile("my-env", GAME)
    assert profile_names() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(home: Path) -> None:
    (home / "config").mkdir(mode=0o500)
    with pytest.raises(EngineError, match="not writable"):
        save_profile("my-env", GAME)


def test_a_script_that_is_gone(home: Path) -> None:
    save_profile("my-env", made(script=str(home / "Game.sh")))
    with Multiverse("my-env") as mv, pytest.raises(EngineError, match=r"(?s)code 127.*was the project moved"):
        mv.catalogue()


def test_as_many_side_by_side_as_there_are_instances() -> None:
    save_profile("my-env", GAME)
    assert side_by_side("my-env") == 4
    assert side_by_side("my-env", 2) == 2
    with pytest.raises(SpecError, match="has 4 instances"):
        side_by_side("my-env", 5)
    assert (side_by_side("builtin"), side_by_side("builtin", 7)) == (1, 7)


def test_a_profile_has_its_own_cards() -> None:
    save_profile("my-env", GAME)
    with pytest.raises(EngineError, match="its field gpus"):
        open_engine("my-env", adapter=1)


def test_a_stream_uses_all_instances() -> None:
    pytest.importorskip("torch")
    from torchmultiverse.stream import RenderStream

    save_profile("my-env", GAME)
    spec = {"World_Name": ["Desert"], "Character_Name": ["Zebra"]}
    assert "4 engines" in repr(RenderStream(spec, "my-env"))
    assert "2 engines" in repr(RenderStream(spec, "my-env", workers=2))
    with pytest.raises(SpecError, match="has 4 instances"):
        RenderStream(spec, "my-env", workers=5)
