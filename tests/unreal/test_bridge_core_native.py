"""The C++ bridge core says what the Python side says, byte for byte.

What could silently be wrong: a bridge in Unreal that reads a number, a default or a text a little otherwise than the
client. Its scene ids then differ from the client's, so that every picture is refused and asked for again for ever; or,
worse, two different scenes get one id, and pictures are stored under labels that they do not show.
"""

from __future__ import annotations

import hashlib
import json
import runpy
from typing import Any

import pytest
from unreal import native_core as core
from unreal.native_build import CORE, VECTORS

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import scene_seed

pytestmark = pytest.mark.timeout(600)


def vectors(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / f"{name}.json").read_text()))


def cases(name: str) -> list[dict[str, Any]]:
    return list(vectors(name)["cases"])


def outcome(function: Any, *arguments: Any) -> tuple[str, Any]:
    try:
        return "", function(*arguments)
    except (core.CoreError, SpecError) as error:
        return str(error), None


def test_the_generated_files_are_current() -> None:
    assert runpy.run_path(str(CORE / "generate.py"))["outdated"]() == [], "run unreal_bridge/core/generate.py"
    assert runpy.run_path(str(VECTORS / "generate.py"))["outdated"]() == [], "run unreal_bridge/vectors/generate.py"


def test_json_is_read_and_written_as_python_does() -> None:
    for case in cases("json"):
        error, found = outcome(core.canonical_json, case["text"])
        expected = {None: None, "nan": None}.get(case["canonical"], case["canonical"])
        assert found == expected, (case["text"][:200], error)
        assert (case["canonical"] == "nan") == (error == "a number that is not finite"), case["text"][:200]


def test_scenes_have_the_same_canonical_form_and_id() -> None:
    for case in cases("scenes"):
        error, found = outcome(core.scene_canonical, case["levels"])
        assert (error, found) == (case.get("error", ""), case.get("canonical")), case["levels"]
        assert outcome(core.scene_id, case["levels"])[1] == case.get("id")


def test_requests_get_the_same_answers() -> None:
    held = vectors("requests")
    for case in held["cases"]:
        bridge = core.NativeBridge({"catalogue": held["catalogue"]})
        bridge.receive("player", case["text"])
        commands = list(bridge.commands())
        said = [command for command in commands if command["command"] in ("respond", "note")]
        assert said[0]["text"] == case.get("answer", case.get("note")), case["text"][:300]
        assert said[0]["command"] == ("note" if "note" in case else "respond")
        files = [command["extension"] for command in commands if command["command"] == "send_file"]
        assert files == [case["file"] for _ in range(1) if "file" in case]


def test_the_data_channel_has_the_same_bytes() -> None:
    for case in cases("channel"):
        if "file" in case:
            file = case["file"]
            sent = core.encode_file(file["extension"], file["mime"], bytes(n * 7 % 251 for n in range(file["size"])))
            assert [len(one) for one in sent] == case["sizes"]
            assert hashlib.sha256(b"".join(sent)).hexdigest() == case["sha256"]
        elif "response" in case:
            assert b"".join(core.encode_response(case["response"])).hex() == case["hex"]
        else:
            error, found = outcome(core.decode_input, bytes.fromhex(case["input"]))
            assert error == case.get("error", ""), case
            assert found is None or found == {key: case[key] for key in ("name", "text", "payload")}


def test_seeds_of_pictures() -> None:
    for case in cases("scenes")[:20]:
        for seed, expected in case.get("seeds", {}).items():
            assert scene_seed(int(seed), case["id"]) == expected
