"""The Python front door. An engine that outlives its context would hold a GPU or a port for ever."""

from pathlib import Path

import psutil
import pytest
from waiting import eventually

from torchmultiverse import Multiverse, RenderOptions, Scene, open_engine
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import EngineError, SpecError


def children() -> set[int]:
    return {p.pid for p in psutil.Process().children(recursive=True)}


def test_render_and_leave_nothing_running() -> None:
    before = children()
    with Multiverse("marker", size=(64, 64)) as mv:
        frame = mv.render(World_Name="Desert", Character_Name="Zebra", Camera_Yaw=45)
        assert read_marker(frame.array()) == frame.scene.scene_id
        assert frame.image.size == (64, 64)
        assert mv.render(frame.scene, Camera_Yaw=90).scene["Camera_Yaw"] == 90
        assert children() - before, "the engine was to run in a process of its own"
        with pytest.raises(SpecError, match="Did you mean 'Zebra'"):
            mv.render(World_Name="Desert", Character_Name="Zebr")
    assert eventually(lambda: not children() - before), children() - before


def test_engine_objects_and_options() -> None:
    engine = MarkerEngine()
    assert open_engine(engine) is engine
    mv = Multiverse(engine, options=RenderOptions(format="jpeg"), size=(48, 32))
    frames = list(mv.render_many(Scene({"World_Name": "Snow", "Camera_Yaw": i}) for i in range(5)))
    assert [f.scene["Camera_Yaw"] for f in frames] == [0, 1, 2, 3, 4]
    assert frames[0].encoded().startswith(b"\xff\xd8")


def test_what_is_no_engine_is_named(tmp_path: Path) -> None:
    script = tmp_path / "Game.sh"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(EngineError, match="chmod"):
        open_engine(script)
    with pytest.raises(EngineError, match="path of a packaged Unreal binary"):
        open_engine("nonsense")
