"""Live streams. Silently wrong would be a picture under another's label, a scene that two readers share or none has,
a weight that biases the mean, or a resume that skips.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from waiting import eventually

from torchmultiverse.connect import open_engine
from torchmultiverse.engines import Annotates, Engine, Failure, Frame, RenderOptions
from torchmultiverse.engines.builtin.variant import probe
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import EngineError, RenderError, SpecError
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.store import open_dataset
from torchmultiverse.stream import Adaptive, Curriculum, RenderStream, Uniform
from torchmultiverse.stream.render_stream import keep_on_device

SPEC = {
    "World_Name": ["Desert", "Snow", "Museum"],
    "Camera_Yaw": list(range(0, 360, 12)),
    "Character_Name": ["Zebra", "Camel"],
}
COUNT = 180
SIZE = 48


def stream(**keywords: object) -> RenderStream:
    return RenderStream(SPEC, **({"engine": MarkerEngine, "size": SIZE} | keywords))  # type: ignore[arg-type]


def ids(items: Iterable[dict]) -> list[str]:
    return [item["scene_id"] for item in items]


def test_every_scene_once_an_epoch_under_its_own_labels() -> None:
    with stream(workers=3) as live:
        first = list(live)
        second = ids(live)
    assert len({item["scene_id"] for item in first}) == COUNT
    assert sorted(ids(first)) == sorted(second)
    assert ids(first) != second, "another order in the next epoch"
    for item in first:
        picture = (item["image"].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
        assert read_marker(picture) == item["scene_id"]
        scene = live.scenes([item["scene_id"]])[0]
        assert (scene["World_Name"], scene["Camera_Yaw"]) == (item["world_name"], item["camera_yaw"])
        assert item["weight"] == 1
    changes = sum(a["world_name"] != b["world_name"] for a, b in itertools.pairwise(first))
    assert changes <= 3 * 3, "three worlds in each of three windows"


def test_the_order_depends_on_the_seed_alone() -> None:
    orders = []
    for workers, ahead, seed in ((1, 4, 0), (3, 40, 0), (1, 4, 1)):
        with stream(workers=workers, prefetch=ahead, seed=seed) as live:
            orders.append(ids(live))
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("stop", [0, 1, 37, 64, 170, 179, 180])
def test_a_resume_in_the_middle_of_an_epoch(stop: int) -> None:
    with stream() as live:
        whole = [*ids(live), *ids(live)]
    with stream() as live:
        before = ids(itertools.islice(live, stop))
        state = json.loads(json.dumps(live.state_dict()))
    with stream(workers=2) as live:
        live.load_state_dict(state)
        rest = ids(live)
        after = ids(live)
    if stop == COUNT:
        assert before + rest == whole
    else:
        assert before + rest + after == whole


def test_a_loop_that_is_left_and_entered_again_goes_on() -> None:
    with stream() as live:
        seen = ids(itertools.islice(live, 50)) + ids(live)
    assert len(seen) == len(set(seen)) == COUNT


def test_dataloader_workers_and_ranks_share_without_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        loader = DataLoader(stream(), batch_size=8, num_workers=2)
        for batch in loader:
            assert batch["image"].shape[1:] == (3, SIZE, SIZE)
            assert batch["image"].dtype == torch.float32
            seen += batch["scene_id"]
    assert len(seen) == len(set(seen)) == COUNT


class Fragile(MarkerEngine):
    """Test cards; dies now and then, or fails for some scenes, or counts how far ahead it is asked."""

    asked = 0
    deaths = 0
    lock = threading.Lock()

    def __init__(self, every: int = 0, bad: int | None = None) -> None:
        super().__init__()
        self.every = every
        self.bad = bad

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            with self.lock:  # two engines count together
                type(self).asked += 1
                dies = self.every and type(self).asked % self.every == 0
                type(self).deaths += bool(dies)
            if dies:
                raise EngineError("a planted death")
            if scene["Camera_Yaw"] == self.bad:
                yield Failure(scene, "a planted fault")
            else:
                yield from super().render([scene], options)


def test_an_engine_that_dies_is_made_anew_and_nothing_is_lost() -> None:
    Fragile.asked = Fragile.deaths = 0
    with stream(engine=lambda: Fragile(every=17), workers=2) as live:
        seen = ids(live)
    assert len(seen) == len(set(seen)) == COUNT
    assert Fragile.deaths >= 10
    with stream(engine=lambda: Fragile(every=1)) as live, pytest.raises(EngineError, match="times in a row"):
        next(iter(live))
    assert eventually(lambda: not [one for one in threading.enumerate() if one.name.startswith("stream-")])


def test_a_scene_that_fails_is_said() -> None:
    with stream(engine=lambda: Fragile(bad=24)) as live, pytest.raises(RenderError, match="a planted fault"):
        list(live)
    with stream(engine=lambda: Fragile(bad=24), on_failure="skip") as live:
        assert len(list(live)) == COUNT - 6
        assert len(live.failures) == 6


def test_no_more_is_rendered_than_is_allowed_ahead() -> None:
    Fragile.asked = 0
    with stream(engine=Fragile, prefetch=12, workers=2) as live:
        each = iter(live)
        for k in range(40):
            next(each)
            assert Fragile.asked <= k + 1 + 12


def test_weighted_means_are_unbiased_whatever_is_drawn() -> None:
    design = parse_spec(SPEC).build()
    sampler = Adaptive(design, ["World_Name", "Character_Name"], seed=3)
    hard = {"Desert": 0.1, "Snow": 3.0, "Museum": 0.5}
    values, weights, worlds = [], [], Counter()
    for _ in range(20_000):
        scene, weight = sampler.draw()  # type: ignore[misc]
        loss = hard[str(scene["World_Name"])] * (2 if scene["Character_Name"] == "Zebra" else 1)
        sampler.feedback(scene, loss)
        values.append(loss)
        weights.append(weight)
        worlds[scene["World_Name"]] += 1
    assert worlds["Snow"] > 3 * worlds["Desert"]
    truth = np.mean([*hard.values()]) * 1.5
    estimate = np.multiply(values, weights)
    assert abs(estimate.mean() - truth) < 4 * estimate.std() / np.sqrt(len(values))
    assert abs(np.mean(weights) - 1) < 4 * np.std(weights) / np.sqrt(len(weights))
    assert abs(np.mean(values) - truth) > 0.3, "without weights the mean is another"
    again = Adaptive(design, ["World_Name", "Character_Name"])
    again.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    assert [again.draw() for _ in range(20)] == [sampler.draw() for _ in range(20)]


def test_feedback_changes_what_is_rendered() -> None:
    design = parse_spec(SPEC).build()
    with RenderStream(Adaptive(design, count=600, seed=1), MarkerEngine, size=SIZE, prefetch=8, window=16) as live:
        seen = []
        for batch in DataLoader(live, batch_size=20):
            live.feedback(batch["scene_id"], torch.tensor([3.0 if w == "Snow" else 0.2 for w in batch["world_name"]]))
            seen += batch["world_name"]
    assert seen[300:].count("Snow") > 0.6 * 300
    assert seen[:16].count("Snow") < 14
    with pytest.raises(SpecError, match="not among the last"):
        live.feedback(["0" * 32], [1.0])


def test_a_curriculum_lets_scenes_in_by_and_by() -> None:
    design = parse_spec(SPEC).build()
    sampler = Curriculum(design, lambda n, scene: n >= 50 or scene["Character_Name"] == "Camel", count=120)
    with RenderStream(sampler, MarkerEngine, size=SIZE, window=10) as live:
        names = [item["character_name"] for item in live]
    assert len(names) == 120
    assert set(names[:50]) == {"Camel"}
    assert names[50:].count("Zebra") > 15
    with pytest.raises(SpecError, match="none of 10,000"):
        Curriculum(design, lambda n, scene: False).draw()


def test_counterfactuals_differ_in_one_factor() -> None:
    with stream() as live:
        shown = ids(itertools.islice(live, 5))
        changed = list(live.counterfactuals(shown[:2], "World_Name"))
        assert len(changed) == 4
        for item in changed:
            (old,) = live.scenes([item["of"]])
            (new,) = live.scenes([item["scene_id"]])
            assert [name for name in old.complete if old[name] != new[name]] == ["World_Name"]


def test_it_says_what_limits_it() -> None:
    with stream() as live:  # which loads whatever preparing needs
        next(iter(live))
    with stream(engine=lambda: MarkerEngine(0.04)) as live:
        list(itertools.islice(live, 20))
        assert live.stats()["limit"] == "rendering"
        assert live.stats()["images"] == 20
        assert "limit: rendering" in repr(live)


def test_uniform_without_an_end_and_without_a_shuffle() -> None:
    design = parse_spec(SPEC).build()
    sampler = Uniform(design, forever=True, shuffle=False, part=(1, 90))
    drawn = [sampler.draw() for _ in range(5)]
    assert [found[0] for found in drawn if found] == [design[k] for k in (1, 91, 1, 91, 1)]


def test_a_device_gets_the_same_pictures() -> None:
    """On the CPU the hand-over is the same code as on a GPU: the tracer's tensor, or one copy of the engine's array."""
    with stream() as plain, stream(device="cpu") as there:
        for a, b in zip(plain, there, strict=True):
            assert torch.equal(a["image"], b["image"])
            assert a["scene_id"] == b["scene_id"]
    with stream(device="cpu", transform=lambda tensor: tensor.mean((1, 2))) as means:
        assert tuple(next(iter(means))["image"].shape) == (3,)
    built_in = {"World_Name": ["SaltFlats"], "Character_Name": ["Zebra", "Camel"]}
    with (
        RenderStream(built_in, "inprocess", size=32, samples=2) as plain,
        RenderStream(built_in, "inprocess", size=32, samples=2, device="cpu") as there,
    ):
        for a, b in zip(plain, there, strict=True):
            assert b["image"].shape == (3, 32, 32)
            assert (a["image"] - b["image"]).abs().max() <= 2.5 / 255
    engine = keep_on_device(open_engine("inprocess"))
    try:
        (frame,) = engine.render([Scene({"World_Name": "SaltFlats"})], RenderOptions(size=(32, 32), samples=2))
        assert (frame.tensor() is None) == (probe().chosen == "scalar_rgb"), "the tensor itself is handed over"
    finally:
        engine.close()


def test_only_a_recording_is_annotated(tmp_path: Path) -> None:
    """Silently slow would be: work for each picture, on the host, that nobody sees."""
    made: list[Engine] = []

    def engine() -> Engine:
        made.append(open_engine("inprocess"))
        return made[-1]

    spec = {"World_Name": ["SaltFlats"], "Character_Name": ["Zebra"]}
    for record in (None, tmp_path / "kept"):
        with RenderStream(spec, engine, size=32, samples=2, record=record) as live:
            assert len(list(live)) == 1
    assert [one.annotated for one in made if isinstance(one, Annotates)] == [False, True]
    (row,) = open_dataset(tmp_path / "kept").table(["annotations"]).to_pylist()
    assert json.loads(row["annotations"])["objects"][0]["name"] == "Zebra"


def test_pictures_that_are_wanted_on_a_gpu_are_made_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silently wrong would be: each picture over a socket, when the engine could leave it in the GPU's memory."""
    named: list[str] = []
    monkeypatch.setattr("torchmultiverse.stream.render_stream._factory", lambda name, *_: named.append(name))
    for device in (None, "cpu", "cuda", "cuda:1"):
        RenderStream(SPEC, device=device)
    RenderStream(SPEC, "marker", device="cuda")
    assert named == ["builtin", "builtin", "inprocess", "inprocess", "marker"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"size": 0}, "size"),
        ({"seed": -1}, "seed = -1"),
        ({"source": ["Desert"]}, "a list is no source"),
        ({"source": None}, "a NoneType is no source"),
    ],
)
def test_arguments_that_cannot_be_are_told(more: dict[str, Any], told: str) -> None:
    """A size of 0 meant the default size."""
    with pytest.raises(SpecError, match=told):
        RenderStream(**{"source": SPEC, "engine": "marker", **more})


@pytest.mark.parametrize("state", [None, {}, [], {"sampler": {}}])
def test_a_state_of_something_else_is_refused(state: Any) -> None:
    with RenderStream(SPEC, MarkerEngine, size=SIZE) as live, pytest.raises(SpecError, match="no state of a Render"):
        live.load_state_dict(state)


class Mute(MarkerEngine):
    """Test cards; the first engine that is made never answers its second picture, until it is closed."""

    made: ClassVar[Iterator[int]]

    def __init__(self) -> None:
        super().__init__()
        self.first = next(self.made) == 0
        self.closed = threading.Event()

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for number, answer in enumerate(super().render(scenes, options), 1):
            if self.first and number == 2:
                self.closed.wait()
                raise EngineError("closed")
            yield answer

    def close(self) -> None:
        self.closed.set()


def test_an_idle_engine_takes_over_what_another_one_does_not_answer() -> None:
    """A stream would give one picture and then wait for its lease, three minutes, beside an engine without work."""
    Mute.made = itertools.count()
    seen: list[str] = []
    with stream(engine=Mute, workers=2, lease=100_000) as live:
        reading = threading.Thread(target=lambda: seen.extend(ids(live)), daemon=True)
        reading.start()
        reading.join(60)
        assert not reading.is_alive(), f"it waits after {len(seen)} of {COUNT} pictures"
    assert len(seen) == len(set(seen)) == COUNT
