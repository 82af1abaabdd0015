"""Streams read by DataLoader workers, each of which has a copy of the stream.

What could be silently wrong: every epoch shows the same order, because each begins from the copy that the training
process never changed; a sampler that never learns what the training process says; a saved state that is still the
first; a resume that shows pictures twice or never; two readers of the same scenes.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.stream import Adaptive, RenderStream, Replay
from torchmultiverse.stream.shared import SharedState

SPEC = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 30, 60, 90, 120, 150], "Character_Name": ["Zebra", "Camel"]}
COUNT = 24


def stream(source: Any = SPEC, **more: Any) -> RenderStream:
    return RenderStream(source, **({"engine": MarkerEngine, "size": 32, "window": 6, "prefetch": 6} | more))


def ids(batches: Iterable[Any]) -> list[str]:
    return [name for batch in batches for name in batch["scene_id"]]


@pytest.mark.parametrize(
    ("workers", "more"),
    [
        (2, {}),
        (2, {"persistent_workers": True}),
        pytest.param(1, {"multiprocessing_context": "spawn"}, marks=pytest.mark.slow),
    ],
)
def test_each_epoch_has_an_order_of_its_own(workers: int, more: dict[str, Any]) -> None:
    live = stream()
    loader = DataLoader(live, batch_size=4, num_workers=workers, **more)
    epochs = [ids(loader) for _ in range(2 if more else 3)]
    for order in epochs:
        assert len(order) == len(set(order)) == COUNT
    assert len({tuple(order) for order in epochs}) == len(epochs)
    assert live.stats()["images"] == COUNT * len(epochs), "the training process knows what its workers showed"


def test_workers_show_what_the_training_process_would() -> None:
    with stream() as live:
        alone = [[item["scene_id"] for item in live] for _ in range(3)]
    loader = DataLoader(stream(), batch_size=1, num_workers=1)
    assert [ids(loader) for _ in range(3)] == alone


def test_an_epoch_that_is_left_early_goes_on() -> None:
    live = stream(Adaptive(parse_spec(SPEC).build(), seed=2))
    loader = DataLoader(live, batch_size=4, num_workers=1)
    first, second = (ids(islice(iter(loader), 3)) for _ in range(2))
    assert len(first) == len(second) == 12
    assert first != second, "the second begins with what the first began with"


def test_what_was_shown_before_an_epoch_was_left_is_not_shown_again() -> None:
    """The worker's last words were not heard: what it had shown since it last drew a window came twice."""
    loader = DataLoader(stream(), batch_size=1, num_workers=1, prefetch_factor=1)
    seen, rest = ids(islice(iter(loader), 5)), ids(loader)
    assert len(seen) == 5
    assert not set(seen) & set(rest)
    assert len(rest) >= COUNT - 7, "what was fetched ahead is not shown, and no more"


def test_feedback_reaches_the_copies() -> None:
    """In each epoch by itself, and in workers that persist: whoever draws next has learned it."""
    for more in ({}, {"persistent_workers": True}):
        live = stream(Adaptive(parse_spec(SPEC).build(), ["World_Name"], count=120, seed=1), window=5, prefetch=5)
        loader = DataLoader(live, batch_size=5, num_workers=2, prefetch_factor=1, **more)
        worlds: list[str] = []
        for batch in itertools.chain.from_iterable(islice(iter(loader), count) for count in (10, 10, None)):
            losses = torch.tensor([8.0 if world == "Snow" else 0.1 for world in batch["world_name"]])
            live.feedback(batch["scene_id"], losses)
            worlds += batch["world_name"]
        assert 200 < len(worlds) <= 240
        assert worlds[-60:].count("Snow") > 42, "levels that are hard are drawn more often"
        shown = live.scenes(batch["scene_id"])
        assert [scene["World_Name"] for scene in shown] == batch["world_name"]
        changed = list(live.counterfactuals(batch["scene_id"][:1], "World_Name"))
        assert len(changed) == 1
        with pytest.raises(SpecError, match="not among the last"):
            live.feedback(["0" * 32], [1.0])


def test_a_state_that_would_be_wrong_is_refused() -> None:
    live = stream()
    loader = DataLoader(live, batch_size=4, num_workers=1)
    batches = iter(loader)
    next(batches)
    with pytest.raises(SpecError, match=r"StatefulDataLoader"):
        live.state_dict()
    del batches
    with stream() as again:
        again.load_state_dict({**stream().state_dict(), "reader": [1, 2]})
        with pytest.raises(SpecError, match="reader 1 of 2, this is reader 0 of 1"):
            next(iter(again))


@pytest.mark.parametrize(("workers", "stop"), [(0, 3), (1, 2), (2, 1), (2, 3)])
def test_a_stateful_loader_resumes_in_the_middle_of_an_epoch(workers: int, stop: int) -> None:
    def loader() -> StatefulDataLoader:
        return StatefulDataLoader(stream(), batch_size=4, num_workers=workers)

    undisturbed = loader()
    whole = [ids(undisturbed) for _ in range(2)]
    begun = loader()
    seen = ids(islice(iter(begun), stop))
    state = begun.state_dict()
    again = loader()
    again.load_state_dict(state)
    assert seen + ids(again) == whole[0]
    assert sorted(ids(again)) == sorted(whole[1])


def test_what_the_training_process_was_given_reaches_a_worker() -> None:
    with stream() as live:
        seen = [item["scene_id"] for item in islice(live, 10)]
        state = json.loads(json.dumps(live.state_dict()))
    again = stream()
    again.load_state_dict(state)
    loader = DataLoader(again, batch_size=1, num_workers=1)
    assert len({*seen, *ids(loader)}) == COUNT
    assert len(ids(loader)) == COUNT, "the next epoch is whole"


class Failing(MarkerEngine):
    """Fails for one yaw."""

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            if scene["Camera_Yaw"] == 60:
                yield Failure(scene, "a planted fault")
            else:
                yield from super().render([scene], options)


def test_failures_of_workers_are_known() -> None:
    live = stream(engine=Failing, on_failure="skip")
    assert len(ids(DataLoader(live, batch_size=4, num_workers=2))) == COUNT - 4
    assert [(failure.scene["Camera_Yaw"], failure.reason) for failure in live.failures] == [(60, "a planted fault")] * 4


def test_a_recording_by_workers_goes_on_in_the_next_epoch(tmp_path: Path) -> None:
    live = stream(record=tmp_path / "d")
    loader = DataLoader(live, batch_size=4, num_workers=1)
    shown = [*ids(loader), *ids(loader)]
    kept = [item["scene_id"] for item in Replay(tmp_path / "d")]
    assert kept == shown


class Hanging(MarkerEngine):
    """Gives no answer until the test is over, the first times that it is asked."""

    over = threading.Event()
    hang = 1

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        wanted = list(scenes)
        yield from super().render(wanted[:1], options)
        if type(self).hang > 0:
            type(self).hang -= 1
            type(self).over.wait()
        yield from super().render(wanted[1:], options)


def test_an_engine_that_hangs_is_replaced_or_said() -> None:
    Hanging.hang = 2
    try:
        with stream(engine=Hanging, workers=2, lease=3.0) as live:
            seen = [item["scene_id"] for item in live]
        assert len(seen) == len(set(seen)) == COUNT, "another engine took over"

        class Dead(MarkerEngine):
            def render(self, *_: Any, **__: Any) -> Iterator[Frame | Failure]:
                Hanging.over.wait()
                yield from ()

        with stream(engine=Dead, lease=0.1) as live, pytest.raises(EngineError, match=r"nothing came for 0\.1 s"):
            next(iter(live))
        with pytest.raises(SpecError, match="lease"):
            stream(lease=0)
    finally:
        Hanging.over.set()


def test_what_is_shared_ends_with_the_stream() -> None:
    live = stream()
    folder = live._shared._folder
    ids(DataLoader(live, batch_size=4, num_workers=1))
    assert (folder / "shared.sqlite").exists()
    live.close()
    del live
    assert not folder.exists()


def test_only_the_last_scenes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmultiverse.stream.shared.REMEMBERED", 3)
    shared = SharedState()
    assert not shared.exists
    assert shared.scenes(["a"]) == {}
    shared.add_scenes((name, name.upper()) for name in "abcd")
    shared.add_scenes([("b", "B")])
    assert shared.scenes(list("abcd")) == {"b": "B", "c": "C", "d": "D"}
    shared.add_feedback([("A", 1.0), ("B", 2.0)])
    assert shared.feedback(1) == [(2, "B", 2.0)]
    shared.save_state((0, 1), {"a": 1}, 2, {"images": 2})
    assert shared.load_state((0, 1)) == ({"a": 1}, 2, {"images": 2})
    assert shared.load_state((1, 2)) == (None, 0, {})
    assert shared.stats() == [{"images": 2}]
    shared.clear()
    assert not shared.exists


@pytest.mark.parametrize(
    ("losses", "told"), [([1.0, float("nan")], "nan"), ([1.0, -1.0], "-1"), ([1.0], "1 losses for 2"), (3.0, "3.0")]
)
def test_what_a_sampler_cannot_learn_from_is_told_to_whoever_says_it(losses: Any, told: str) -> None:
    """A loss that is no number was taken, and ended this epoch and all later ones in the workers."""
    live = stream(Adaptive(parse_spec(SPEC).build(), ["World_Name"], count=24, seed=1))
    loader = DataLoader(live, batch_size=2, num_workers=1, prefetch_factor=1)
    shown = 0
    for batch in loader:
        if not shown:
            with pytest.raises(SpecError, match=told):
                live.feedback(batch["scene_id"], losses)
        shown += 2
    assert shown == 24


def test_a_sampler_of_ones_own_is_told_what_is_no_number() -> None:
    """SQLite keeps it as NULL."""
    shared = SharedState()
    shared.add_feedback([("{}", float("nan")), ("{}", float("inf"))])
    assert [str(loss) for _, _, loss in shared.feedback(0)] == ["nan", "inf"]
