"""Launch profiles with a packaged binary that is not made of this package: other WebRTC, other bridge, in C++.

Silently wrong would be a launcher that only starts what was written beside it: that counts on Python's words, ports or
ways to end.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from contract.test_pairing import check, shuffled
from unreal.packaged import game

from torchmultiverse.connect import open_engine
from torchmultiverse.engines import RenderOptions
from torchmultiverse.farm import generate
from torchmultiverse.profiles import diagnose, log_path, made, save_profile

pytestmark = pytest.mark.slow


def test_a_diagnosis_tells_a_card_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = made(script=str(game(monkeypatch, adapters=2)), gpus=[1, 5], start_timeout=120, hello_timeout=60)
    found = diagnose("stand-in", mine)
    right = [one for one in found if one.subject == "instance 0 on card 1"]
    assert all(one.state == "ok" for one in right), right
    assert any("dialect tmv" in one.detail for one in right)
    (wrong,) = [one for one in found if one.subject == "instance 1 on card 5"]
    assert wrong.state == "broken"
    assert "no adapter 5" in wrong.detail
    assert "gpus=0" in wrong.detail, "what it printed is not recognised"


def test_instances_that_crash_lose_no_picture(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process is killed in the middle of its twentieth answer."""
    script = game(monkeypatch, adapters=2, die=20)
    mine = made(script=str(script), gpus=[0, 1], start_timeout=120, hello_timeout=60, restarts=5)
    save_profile("stand-in", mine)
    spec = {"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"], "Camera_Yaw": list(range(40))}
    report = generate(spec, home / "data", "stand-in", size=64, progress=False, check=0)
    assert (report.rendered, report.failures, report.lost) == (80, [], [])
    status = json.loads((home / "data" / "status.json").read_text())
    assert [worker["images"] > 0 for worker in status["workers"]] == [True, True]
    logged = "".join(log_path("stand-in", number).read_text() for number in range(2))
    assert "is started again" in logged
    scenes = shuffled(10)
    engine = open_engine("stand-in")
    answers = list(engine.render(scenes, RenderOptions(size=(96, 96))))
    engine.close()
    assert check(scenes, answers) == {"right": 10}
