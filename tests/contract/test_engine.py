"""What every engine must pass, in this process as well as behind WebRTC of either generation.

What could silently be wrong: an engine that skips or repeats a scene shifts every later label; one whose pictures
depend on what was rendered before makes datasets that no restart can repeat; one whose bytes differ with the way they
came makes two datasets of one spec; one that reads ahead without limit eats the memory of a lazy design.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from contract.live import serve
from unreal.packaged import game
from waiting import eventually

from torchmultiverse.connect import OwningEngine
from torchmultiverse.engines import (
    Annotates,
    AnswersInBatches,
    Engine,
    Failure,
    Frame,
    HasManifestNotes,
    RenderOptions,
    RendersOnDevice,
    ReportsMemory,
    ReportsPixels,
    WrapsEngine,
    capability,
    codec,
)
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import FACTORS, Scene
from torchmultiverse.serve import UnrealProcess

pytestmark = pytest.mark.timeout(900)  # whoever comes first builds the C++ core

SIZE = (64, 48)
OPTIONS = RenderOptions(size=SIZE, samples=2)


class Able(MarkerEngine):
    """Claims every capability, so that a wrapper has to have them too."""

    on_device = False
    annotated = True

    def memory(self) -> int:
        return 12_345_678

    def manifest_notes(self) -> list[str]:
        return ["These are test cards."]

    def batch_size(self) -> int:
        return 1

    @property
    def pixels(self) -> str:
        return "shared"


def builtin() -> Engine:
    from torchmultiverse.engines.builtin import BuiltinEngine

    return BuiltinEngine()


def builtin_missing() -> str | None:
    try:
        from torchmultiverse.engines.builtin import BuiltinEngine  # noqa: F401
    except ImportError as error:
        return f"the built-in engine cannot be imported: {error}"
    return None


_UNREAL = {
    "Sun_Elevation", "Sun_Azimuth", "Fog_Visibility", "Rain", "Snow", "Wetness", "Snow_Cover", "Camera_Focal_Length",
    "Camera_Distance", "Camera_Height", "Camera_Aperture", "Camera_Focus", "Camera_Exposure", "Camera_Shutter",
    "Character_Speed",
}  # fmt: skip
_BUILTIN = _UNREAL | {
    "Overcast", "Lamps", "Dust_Visibility", "Lens_Drops", "Camera_Electrons", "Camera_Read_Noise", "Camera_Distortion",
    "JPEG_Quality", "Target_Pixels", "Occluder", "Occlusion", "World_Region",
    "Objects", "Distractors", "Distractor_Kind", "Distractor_Spacing", "Distractor_Yaw",
}  # fmt: skip
OFFERS = {"builtin": _BUILTIN, "packaged binary": _UNREAL}
"""Conditions that an engine offers; one that is not here offers none. A project offers what its plugin finds."""
FEW = ("Fog_Visibility", "Camera_Exposure")
"""Conditions of which a picture is rendered: each one's own tests look at what it shows."""
CASES = ["marker", "wrapped marker", "marker over modern", "marker over legacy", "packaged binary", "builtin"]


@pytest.fixture(scope="module", params=CASES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with ExitStack() as stack:
        one: Engine
        if request.param == "builtin":
            if reason := builtin_missing():
                pytest.skip(reason)
            one = builtin()
        elif request.param == "marker":
            one = MarkerEngine()
        elif request.param == "wrapped marker":
            one = OwningEngine(Able(), ExitStack())
        elif request.param == "packaged binary":
            script = game(stack.enter_context(pytest.MonkeyPatch.context()))
            one = RemoteEngine(stack.enter_context(UnrealProcess(script, grace=0.1)).url, hello_timeout=60)
        else:
            generation = request.param.rpartition(" ")[2]
            served = stack.enter_context(serve(generation=generation, protocol_message=generation == "modern"))
            one = RemoteEngine(served.url)
        stack.callback(one.close)
        yield one


@pytest.fixture(scope="module")
def scenes(engine: Engine) -> list[Scene]:
    """Six scenes that the engine says it can render."""
    factors = engine.catalogue().factors
    worlds = factors["World_Name"].levels or []
    characters = [name for name in factors["Character_Name"].levels or [] if name != "blank"]
    return [
        Scene({"World_Name": worlds[n % 2], "Character_Name": characters[n % len(characters)], "Camera_Yaw": 40 * n})
        for n in range(6)
    ]


def frames(answers: Iterator[Frame | Failure]) -> list[Frame]:
    found = list(answers)
    assert not [one for one in found if isinstance(one, Failure)], found
    return [one for one in found if isinstance(one, Frame)]


def test_the_catalogue_names_the_engine_and_accepts_its_own_scenes(engine: Engine, scenes: list[Scene]) -> None:
    catalogue = engine.catalogue()
    assert catalogue.engine
    assert catalogue.fingerprint
    assert catalogue.complete
    assert "rgb" in catalogue.passes
    for scene in scenes:
        catalogue.check(scene)
    assert engine.catalogue() == catalogue
    for name, choice in catalogue.factors.items():
        levels = choice.levels or []
        assert len(set(levels)) == len(levels), f"{name}: a level that is listed twice"
        assert not set(choice.aliases) & set(levels), f"{name}: an alias that is listed as a level of its own"
        assert set(choice.aliases.values()) <= set(levels)
        for alias in choice.aliases:
            assert not catalogue.problems({name: [alias]}, scenes[0].table)


def test_every_scene_is_answered_once_and_in_order(engine: Engine, scenes: list[Scene]) -> None:
    found = frames(engine.render(scenes, OPTIONS))
    assert [frame.scene for frame in found] == scenes
    assert [frame.scene_id for frame in found] == [scene.scene_id for scene in scenes]
    for frame in found:
        assert frame.array("rgb").shape == (SIZE[1], SIZE[0], 3)
        assert frame.array("rgb").dtype == np.uint8
        assert frame.settle.get("settled") is True
        assert frame.engine
    assert len({frame.sha256() for frame in found}) == len(scenes), "different scenes gave one picture"


def test_pictures_do_not_depend_on_what_came_before(engine: Engine, scenes: list[Scene]) -> None:
    forward = {frame.scene_id: frame.sha256() for frame in frames(engine.render(scenes, OPTIONS))}
    backward = {frame.scene_id: frame.sha256() for frame in frames(engine.render(scenes[::-1], OPTIONS))}
    assert forward == backward


def test_every_pass_has_its_shape_type_and_range(engine: Engine, scenes: list[Scene]) -> None:
    passes = tuple(name for name in ("rgb", "mask", "depth", "normals") if name in engine.catalogue().passes)
    (frame,) = frames(engine.render(scenes[:1], RenderOptions(size=SIZE, passes=passes, samples=2)))
    assert set(passes) <= set(frame.passes)
    height, width = SIZE[1], SIZE[0]
    wanted = {
        "rgb": ((height, width, 3), np.uint8), "mask": ((height, width), np.uint8),
        "depth": ((height, width), np.float32), "normals": ((height, width, 3), np.float32),
    }  # fmt: skip
    for name in passes:
        array = frame.array(name)
        assert (array.shape, array.dtype) == wanted[name], name
    if "normals" in passes:
        length = np.linalg.norm(frame.array("normals"), axis=-1)
        assert np.all((length < 0.01) | (np.abs(length - 1) < 0.02))
    if "depth" in passes:
        assert np.all(frame.array("depth") >= 0)


def test_conditions_are_offered_in_range_or_refused_by_name(
    engine: Engine, scenes: list[Scene], request: pytest.FixtureRequest
) -> None:
    """A condition that is neither drawn nor refused makes a factor that changes nothing, and nobody sees it."""
    catalogue = engine.catalogue()
    wanted = OFFERS.get(request.node.callspec.params["engine"], set())
    conditions = {factor.wire: factor for factor in FACTORS if factor.group}
    assert wanted <= catalogue.factors.keys()
    for name, factor in conditions.items():
        level = {"number": factor.high, "category": "Something", "list": [{"Name": "Zebra"}]}[factor.kind]
        if (choice := catalogue.factors.get(name)) is None:
            with pytest.raises(SpecError, match=f"{name}: engine '.+' cannot vary it"):
                catalogue.check(scenes[0].changed(**{name: level}))
            continue
        assert name in wanted, name
        assert not catalogue.problems({name: [factor.default]}, scenes[0].table), name
        if factor.kind == "number":
            assert choice.low is not None
            assert choice.high is not None
            assert factor.low <= choice.low < choice.high <= factor.high, name
        elif factor.kind == "category":
            assert choice.levels, name
            assert set(choice.levels) - {factor.default}, f"{name}: no level but the default"


def test_a_condition_is_drawn_or_the_scene_fails_by_its_name(
    engine: Engine, scenes: list[Scene], request: pytest.FixtureRequest
) -> None:
    offered = OFFERS.get(request.node.callspec.params["engine"], set())
    plain, *others = engine.render([scenes[0], *(scenes[0].changed(**{name: 6}) for name in FEW)], OPTIONS)
    assert isinstance(plain, Frame)
    for name, answer in zip(FEW, others, strict=True):
        if name in offered:
            assert isinstance(answer, Frame), answer
            assert answer.scene == scenes[0].changed(**{name: 6})
            assert answer.sha256() != plain.sha256()
        else:
            assert isinstance(answer, Failure)
            assert name in answer.reason


def test_jpeg_and_png_are_what_was_asked_for(engine: Engine, scenes: list[Scene]) -> None:
    (png,) = frames(engine.render(scenes[:1], RenderOptions(size=SIZE, samples=2, format="png")))
    (jpeg,) = frames(engine.render(scenes[:1], RenderOptions(size=SIZE, samples=2, format="jpeg")))
    assert png.encoded().startswith(b"\x89PNG")
    assert jpeg.encoded().startswith(b"\xff\xd8")
    assert jpeg.encoded() == codec.encode("rgb", png.array(), "jpeg"), "the JPEG is not of the same pixels"


def test_an_unknown_level_is_a_failure_of_that_scene_alone(engine: Engine, scenes: list[Scene]) -> None:
    wrong = scenes[1].changed(Character_Name="Jabberwock")
    answers = list(engine.render([scenes[0], wrong, scenes[2]], OPTIONS))
    assert [type(answer) for answer in answers] == [Frame, Failure, Frame]
    assert "Jabberwock" in answers[1].reason  # type: ignore[union-attr]
    assert answers[1].scene == wrong


def test_scenes_are_read_a_few_ahead_at_most(engine: Engine, scenes: list[Scene]) -> None:
    read = 0

    def endless() -> Iterator[Scene]:
        nonlocal read
        while True:
            read += 1
            yield scenes[read % len(scenes)]

    answers: Any = engine.render(endless(), OPTIONS)
    for _ in range(3):
        next(answers)
    answers.close()
    assert 3 <= read <= 3 + 8


def test_an_engine_does_what_its_capabilities_say(engine: Engine, scenes: list[Scene]) -> None:
    """What is asked for by a name that nobody has is silently not done: no limit of memory, no note, a slow copy."""
    if wrapping := capability(engine, WrapsEngine):
        for kind in (ReportsMemory, ReportsPixels, HasManifestNotes, RendersOnDevice, Annotates, AnswersInBatches):
            assert capability(engine, kind) is capability(wrapping.wrapped, kind) is wrapping.wrapped
    if measured := capability(engine, ReportsMemory):
        found: list[int] = []
        asking = threading.Thread(target=lambda: found.append(measured.memory()))  # from any thread
        asking.start()
        asking.join(60)
        assert type(found[0]) is int
        assert found[0] >= 0
    if told := capability(engine, ReportsPixels):
        assert told.pixels in {"shared", "websocket", "channel"}
    if described := capability(engine, HasManifestNotes):
        assert all(isinstance(note, str) and note for note in described.manifest_notes())
    if batching := capability(engine, AnswersInBatches):
        assert batching.batch_size() >= 1
    if device := capability(engine, RendersOnDevice):
        (before,) = frames(engine.render(scenes[:1], OPTIONS))
        device.on_device = True
        try:
            (after,) = frames(engine.render(scenes[:1], OPTIONS))
        finally:
            device.on_device = False
        assert after.array().shape == before.array().shape
        assert np.abs(after.array().astype(int) - before.array()).max() <= 2
        held = after.tensor()
        assert held is None or tuple(held.shape) == (SIZE[1], SIZE[0], 3)
    if annotating := capability(engine, Annotates):
        (before,) = frames(engine.render(scenes[:1], OPTIONS))
        annotating.annotated = False
        try:
            (after,) = frames(engine.render(scenes[:1], OPTIONS))
        finally:
            annotating.annotated = True
        assert np.array_equal(after.array(), before.array()), "the picture is the same"
        assert "objects" not in after.info


def test_a_capability_that_an_engine_has_not_is_none() -> None:
    for kind in (ReportsMemory, HasManifestNotes, RendersOnDevice, Annotates, AnswersInBatches, WrapsEngine):
        assert capability(MarkerEngine(), kind) is None
    assert capability(OwningEngine(MarkerEngine(), ExitStack()), ReportsMemory) is None


def test_the_other_way_gives_the_same_bytes() -> None:
    """In process and over WebRTC, byte for byte."""
    scene = Scene({"World_Name": "Snow", "Character_Name": "Zebra"})
    options = RenderOptions(size=SIZE, passes=("rgb", "mask", "depth", "normals"))
    (here,) = frames(MarkerEngine().render([scene], options))
    with serve() as served:
        engine = RemoteEngine(served.url)
        (there,) = frames(engine.render([scene], options))
        engine.close()
    for name in options.passes:
        assert here.encoded(name) == there.encoded(name), name
    assert here.settle == there.settle
    assert here.engine == there.engine


def test_closing_twice_is_allowed_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with serve() as served:
        engine = RemoteEngine(served.url)
        engine.catalogue()
        engine.close()
        engine.close()

    def left() -> list[threading.Thread]:
        return [t for t in set(threading.enumerate()) - before if not t.name.startswith("asyncio")]

    assert eventually(lambda: not left()), left()
