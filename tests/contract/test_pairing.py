"""Every picture belongs to its scene.

What could silently be wrong: a dataset whose rows hold each other's pictures. Nothing crashes, every file opens, every
score is a number; but a late, double, lost, stale or swapped picture has shifted the labels, and every conclusion is
noise. So each scene here is drawn as a test card that shows its own id, a shuffled hundred of them travel through the
real signalling server and real WebRTC with several in flight, the engine misbehaves in every way we could think of, and
each delivered picture is read back: it must show the scene it is labelled with, or be absent with an error.

What no client can notice: an engine that renders the wrong scene, says it was the right one, and hashes what it sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from contract.live import Faults, serve

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.protocol import bridge, messages
from torchmultiverse.scenes import Scene

OPTIONS = RenderOptions(size=(128, 128), format="jpeg")
FAULTS = [
    "delay", "duplicate", "drop", "stale", "stale pixels", "unsettled", "reorder", "crossed", "truncated", "death",
]  # fmt: skip


def shuffled(count: int, seed: int = 0) -> list[Scene]:
    scenes = [
        Scene({"World_Name": "Desert", "Character_Name": ["Camel", "Zebra"][n % 2], "Camera_Yaw": n})
        for n in range(count)
    ]
    return [scenes[n] for n in np.random.default_rng(seed).permutation(count)]


def check(scenes: list[Scene], answers: list[Frame | Failure]) -> Counter[str]:
    """Every scene is answered once, in the order asked, and every picture shows its own scene."""
    assert [answer.scene for answer in answers] == scenes
    found: Counter[str] = Counter()
    for scene, answer in zip(scenes, answers, strict=True):
        if isinstance(answer, Failure):
            assert answer.reason
            found["failure"] += 1
        else:
            shown = read_marker(answer.array("rgb"))
            found["right" if shown == scene.scene_id == answer.scene_id else "wrong"] += 1
    return found


def test_a_hundred_shuffled_scenes_through_a_faulty_engine() -> None:
    faults = Faults(0.4, FAULTS)
    scenes = shuffled(100)
    with serve(faults=faults) as served:
        engine = RemoteEngine(served.url, in_flight=8, dialect="tmv", timeout=2.0, retries=6)
        try:
            answers = list(engine.render(scenes, OPTIONS))
        finally:
            engine.close()
    assert set(faults.happened) == {*FAULTS, "none"}, f"not every fault was injected: {faults.happened}"
    found = check(scenes, answers)
    assert found["wrong"] == 0
    assert found["right"] >= 90, found


def test_a_picture_that_waits_for_its_turn_is_not_asked_for_again() -> None:
    """Else a slow engine is asked more and more, for pictures that nobody waits for any more, and gets no further."""
    rendered: list[Scene] = []

    class Slow(MarkerEngine):
        def render(self, scenes: Iterable[Scene], options: RenderOptions = OPTIONS) -> Iterator[Frame | Failure]:
            for answer in super().render(scenes, options):
                rendered.append(answer.scene)
                yield answer

    scenes = shuffled(10)
    with serve(lambda: Slow(delay=0.4)) as served:
        engine = RemoteEngine(served.url, in_flight=10, dialect="tmv", timeout=2.0, retries=10)
        try:
            answers = list(engine.render(scenes, OPTIONS))
        finally:
            engine.close()
    assert check(scenes, answers) == {"right": 10}
    assert rendered == scenes


def test_without_a_budget_faults_become_failures_and_not_wrong_pictures() -> None:
    faults = Faults(0.5, ["drop", "stale", "stale pixels", "truncated"], seed=1)
    scenes = shuffled(30, seed=1)
    with serve(faults=faults) as served:
        # All at once, so that all who wait in vain wait together: long enough that no other answer is late.
        engine = RemoteEngine(served.url, in_flight=30, dialect="tmv", timeout=6.0, retries=0)
        try:
            answers = list(engine.render(scenes, OPTIONS))
        finally:
            engine.close()
    found = check(scenes, answers)
    assert found["wrong"] == 0
    assert found["failure"] == sum(faults.happened[kind] for kind in faults.kinds) > 5


def test_these_tests_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the client's checks taken out, the same faults must show up as wrong pictures."""

    def believe(self: bridge.BridgeSession, request: str, done: messages.RenderDone) -> list[bridge.Outcome]:
        pending = self._pending.pop(request)
        done = done.model_copy(update={"scene_id": pending.scene.scene_id})
        return [bridge.Delivery(request, pending.files, done)]

    monkeypatch.setattr(bridge.BridgeSession, "_finish", believe)
    scenes = shuffled(30, seed=2)
    with serve(faults=Faults(0.5, ["stale", "stale pixels"], seed=2)) as served:
        engine = RemoteEngine(served.url, in_flight=4, dialect="tmv", timeout=2.0)
        try:
            answers = list(engine.render(scenes, OPTIONS))
        finally:
            engine.close()
    assert check(scenes, answers)["wrong"] > 3


@pytest.mark.slow
def test_pug_with_delays_duplicates_and_drops() -> None:
    """No ids: order is all there is, so a late or second picture must never be taken for the next one.

    A delayed picture here comes after the client gave up, and is sent to whoever is connected then, as Unreal does.
    """
    faults = Faults(0.3, ["delay", "duplicate", "drop"], seed=3)
    scenes = shuffled(25, seed=3)
    with serve(faults=faults, protocol_message=False, generation="legacy") as served:
        engine = RemoteEngine(served.url, dialect="pug", timeout=0.7, retries=4, pug_drain=0.05)
        try:
            answers = list(engine.render(scenes, OPTIONS))
            notes = engine.manifest_notes()
        finally:
            engine.close()
    assert set(faults.happened) == {"delay", "duplicate", "drop", "none"}
    found = check(scenes, answers)
    assert found["wrong"] == 0
    assert found["right"] >= 22, found
    assert any("no picture ids" in note for note in notes), "the weaker guarantee must reach the manifest"
