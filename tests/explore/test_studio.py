"""The explorer without a page. What could silently be wrong: a picture or a score of one scene that is shown for
another, or a change that is measured from the wrong reference.
"""

from __future__ import annotations

import io
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from explore.worlds import START, Broken, Colours, Fields, Words
from PIL import Image

from torchmultiverse.engines import RenderOptions
from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.explore import Reader, Studio, read_finding
from torchmultiverse.explore.events import Ask, Event, Look, Open, Pin, Search, Share, Stop, Sweep
from torchmultiverse.scenes import Scene, parse_spec


class Desk:
    """A studio and what it has told."""

    def __init__(self, *models: Any) -> None:
        self.engine = Fields()
        self.told: queue.Queue[Event] = queue.Queue()
        self.number = 0
        options = RenderOptions(size=(32, 32), format="raw")
        readers = [Reader(model) for model in models]
        self.studio = Studio(lambda: self.engine, readers, self.told.put, options, Scene(START))

    def until(self, *kinds: str) -> Any:
        while True:
            event = self.told.get(timeout=100)
            if event.type in kinds:
                return event
            assert event.type != "problem", event

    def look(self, **levels: Any) -> Any:
        self.number += 1
        self.studio.ask(Look(number=self.number, factors=START | levels))
        return self.number


@contextmanager
def desk(*models: Any) -> Iterator[Desk]:
    made = Desk(*models)
    made.studio.open()
    made.until("ready")
    yield made
    made.studio.close()


def colour(event: Any) -> list[int]:
    return np.asarray(Image.open(io.BytesIO(event.image.data)).convert("RGB"))[0, 0].tolist()


def test_a_noisy_picture_comes_first_and_the_scores_are_of_the_clean_one() -> None:
    with desk(Colours()) as at:
        number = at.look(Camera_Yaw=90)
        first, final = at.until("picture"), at.until("picture")
        readings = at.until("readings")
        assert (first.stage, first.samples, final.stage, final.samples) == ("first", 1, "final", 16)
        assert first.number == final.number == readings.number == number
        assert colour(final) == [64, 0, 40]
        assert final.scene_id == Scene(START | {"Camera_Yaw": 90}).scene_id
        assert final.visible == 1
        assert final.area == pytest.approx(0.1, abs=1e-3)
        (said,) = readings.readings
        odds = np.exp([4 * (0.5 - 64 / 255), 4 * (64 / 255 - 0.5), -3])
        assert said.right == pytest.approx(odds[0] / odds.sum(), rel=1e-5)


def test_only_the_newest_of_what_was_asked_is_finished() -> None:
    with desk(Colours()) as at:
        at.engine.held = threading.Event()
        at.look(Camera_Yaw=1)
        while not at.engine.asked:
            pass
        for yaw in range(2, 30):
            last = at.look(Camera_Yaw=yaw)
        at.engine.held.set()
        while (readings := at.until("readings")).number != last:
            pass
        assert {scene["Camera_Yaw"] for scene, _ in at.engine.asked} == {1, 29}
        assert readings.readings[0].model == "colours"


def test_changes_are_measured_from_what_was_pinned() -> None:
    with desk(Colours()) as at:
        at.look(Camera_Yaw=30)
        before = at.until("readings")
        assert before.reference == []
        at.studio.ask(Pin())
        assert at.until("pinned").readings[0].right == pytest.approx(before.readings[0].right)
        at.look(Camera_Yaw=300)
        after = at.until("readings")
        assert after.reference[0].right == pytest.approx(before.readings[0].right)
        assert after.readings[0].right < 0.2 < after.reference[0].right


def test_a_sweep_goes_through_the_levels_and_leaves_a_gap_where_there_is_none() -> None:
    with desk(Colours()) as at:
        at.look(World_Name="Museum")
        at.until("readings")
        at.studio.ask(Sweep(factor="Camera_Roll", levels=[0, 90]))
        first, second = at.until("point"), at.until("point")
        assert first.image is not None
        assert second.image is None
        assert "no roll in a museum" in second.problem
        assert at.until("done").of == "sweep"
        at.studio.ask(Sweep(factor="Camera_Yaw", levels=[0, 90, 180, 270]))
        points = [at.until("point") for _ in range(4)]
        right = [point.readings[0].right for point in points]
        assert right == sorted(right, reverse=True)
        assert [point.level for point in points] == [0, 90, 180, 270]
        assert points[-1].seconds_left == 0


def test_a_search_finds_the_planted_failure_and_keeps_what_is_easy() -> None:
    with desk(Colours()) as at:
        at.look()
        at.until("readings")
        at.studio.ask(Search(model="colours", factors=["Camera_Yaw", "Character_Scale"], pictures=300, area=0.09))
        done = at.until("done")
        assert done.found, done.text
        assert done.factors["Camera_Yaw"] > 180
        assert done.factors.get("Character_Scale", 1) >= 0.9
        assert done.factors["Character_Name"] == "Zebra"
        tried = [scene for scene, _ in at.engine.asked]
        at.engine.asked.clear()
        at.studio.ask(Search(model="colours", factors=["Camera_Yaw", "Character_Scale"], pictures=300, area=0.09))
        at.until("done")
        assert [scene for scene, _ in at.engine.asked][:5] == tried[2:7], "a search depends on its start alone"


def test_what_cannot_be_searched_is_told() -> None:
    with desk(Colours()) as at:
        at.look()
        at.until("readings")
        at.studio.ask(Search(model="colour", factors=["Camera_Yaw"]))
        assert "colours" in at.told.get(timeout=100).text
        at.studio.ask(Search(model="colours", factors=["Character_Name"]))
        assert "names of characters" in at.told.get(timeout=100).text


def test_a_search_counts_what_is_not_judged_as_neither_right_nor_wrong() -> None:
    with desk(Words()) as at:
        at.look(Camera_Yaw=350)
        at.until("readings")
        at.studio.ask(Ask(captions=["a zebra in camellias", "a zebra", "a zebra"]))
        said = at.until("readings")
        assert said.captions == ["a zebra in camellias", "a zebra"]
        assert (said.readings[0].verdict, said.readings[0].margin) == ("not judged", None)
        at.studio.ask(Search(model="words", factors=["Character_Scale"], pictures=4))
        done = at.until("done")
        assert (done.found, done.factors) == (False, {})
        assert done.text == (
            "no failure among 4 pictures; 4 of them are not judged, since their likeliest answer is not"
        )


def test_a_search_that_is_stopped_says_what_it_has() -> None:
    with desk(Colours()) as at:
        at.look()
        at.until("readings")
        at.studio.ask(Search(model="colours", factors=["Character_Scale"], pictures=2000))
        at.until("point")
        at.studio.ask(Stop())
        assert at.until("done").text == "stopped"


def test_an_engine_that_dies_is_started_again_and_one_that_stays_dead_is_told() -> None:
    with desk(Colours()) as at:
        at.engine.dies = 1
        at.look()
        problem = at.told.get(timeout=100)
        while problem.type != "problem":
            problem = at.told.get(timeout=100)
        assert "its process ended" in problem.text
        assert not problem.lasting
        at.until("readings")
        at.engine.dies = 99
        at.look(Camera_Yaw=5)
        while (event := at.told.get(timeout=100)).type != "problem" or not event.lasting:
            pass
        at.engine.dies = 0
        at.look(Camera_Yaw=6)
        while (event := at.told.get(timeout=100)).type != "readings":
            pass


def test_a_scene_that_the_engine_refuses_leaves_the_engine_as_it_is() -> None:
    """It was taken for the end of the engine, which was started three times: seconds for a number out of place."""
    started: list[Fields] = []
    told: queue.Queue[Event] = queue.Queue()

    def start() -> Fields:
        started.append(Fields())
        return started[-1]

    studio = Studio(start, [], told.put, RenderOptions(size=(32, 32), format="raw"), Scene(START))
    studio.open()
    studio.ask(Look(number=1, factors=START | {"World_Name": "Museum", "Camera_Roll": 90}))
    while (event := told.get(timeout=100)).type != "problem":
        pass
    assert (event.text, event.number, event.again) == ("no roll in a museum", 1, False)
    studio.ask(Look(number=2, factors=START))
    while (event := told.get(timeout=100)).type != "readings":
        pass
    assert len(started) == 1
    studio.close()


def test_a_model_that_fails_says_so_and_the_others_go_on() -> None:
    with desk(Broken(), Colours()) as at:
        at.look()
        broken, fine = at.until("readings").readings
        assert broken.error == "RuntimeError: out of memory"
        assert fine.top


def test_what_is_wrong_with_a_scene_is_told_and_nothing_else_is_lost() -> None:
    with desk(Colours()) as at:
        at.studio.ask(Look(number=7, factors={"World_Name": "Dessert"}))
        while (event := at.told.get(timeout=100)).type != "problem":
            pass
        assert event.number == 7
        assert "Desert" in event.text
        at.look()
        at.until("readings")


def test_captions_are_asked_of_the_picture_that_is_shown() -> None:
    with desk(Words()) as at:
        at.look(Camera_Yaw=350)
        assert at.until("readings").readings[0].top[0].text == "a photo of a dromedary camel"
        at.studio.ask(Ask(captions=["no camel", "a zebra"]))
        assert {said.text for said in at.until("readings").readings[0].top} == {"no camel", "a zebra"}


def test_a_finding_is_one_file_that_opens_and_its_neighbourhood_is_a_spec() -> None:
    with desk(Colours()) as at:
        at.look(Camera_Yaw=300, Camera_Roll=10)
        said = at.until("readings").readings
        at.studio.ask(Share(note="turned too far"))
        shared = at.until("shared")
        found = read_finding(shared.finding)
        assert found.scene == START | {"Camera_Yaw": 300, "Camera_Roll": 10}
        assert found.readings == said
        assert found.models[0].weights_sha256 == "c0" * 32
        assert colour(found) == [212, 0, 40]
        spec = parse_spec(json.loads(shared.spec))
        scenes = list(spec.build())
        assert len({scene.scene_id for scene in scenes}) == len(scenes)
        assert all(scene["Character_Name"] == "Zebra" for scene in scenes)
        assert {scene["Camera_Yaw"] for scene in scenes} == {260, 280, 300, 320, 340}
        at.studio.ask(Open(finding=shared.finding))
        opened = at.until("opened")
        assert opened.factors == found.scene
        assert (opened.note, opened.missing, opened.same_engine) == ("turned too far", [], False)
    with desk(Words()) as other:
        other.studio.ask(Open(finding=shared.finding))
        assert other.until("opened").missing == ["colours"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data | {"schema_version": 9}, "version 9"),
        (lambda data: data | {"image_sha256": "0" * 64}, "SHA-256"),
        (lambda data: data | {"scene": {"World_Name": 5}}, "World_Name"),
        (lambda data: data | {"size": "big"}, "no finding"),
        (lambda data: data | {"image": {"file": "images/../../etc/passwd"}}, "no finding"),
        (lambda data: [data], "no finding"),
    ],
)
def test_a_file_that_is_no_finding_is_refused(change: Any, told: str) -> None:
    with desk() as at:
        at.look()
        at.until("readings")
        at.studio.ask(Share())
        text = at.until("shared").finding
    with pytest.raises((DatasetError, SpecError), match=told):
        read_finding(json.dumps(change(json.loads(text))))


def test_at_most_four_models_look() -> None:
    with pytest.raises(SpecError, match="5 models"):
        Desk(*[Colours()] * 5)
