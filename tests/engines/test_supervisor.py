"""Engines that fail in every way an engine can, under one supervisor.

What could silently be wrong: a scene that nobody renders any more and somebody waits for; one that gets another's
picture; an engine that hangs and takes its scenes along; one that is left running; a run that cannot be ended.

No test waits for a time: leases end when the test's clock says so.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from waiting import eventually

from torchmultiverse.engines import Catalogue, Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.engines.supervisor import Limits, Supervisor
from torchmultiverse.errors import DatasetError, EngineError, SpecError
from torchmultiverse.scenes import Scene

OPTIONS = RenderOptions(size=(48, 48))
SCENES = [Scene({"World_Name": "Desert", "Camera_Yaw": yaw}) for yaw in range(8)]
WAIT = 60.0
"""Seconds after which a test fails: more than a busy machine takes."""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Engines:
    """Makes engines, each with a fault; ``fault(engine, scene, k)`` is called before the k-th picture of each."""

    def __init__(self, fault: Callable[[Broken, Scene, int], None] = lambda *_: None) -> None:
        self.fault = fault
        self.made: list[Broken] = []
        self._lock = threading.Lock()

    def __call__(self) -> Broken:
        with self._lock:
            self.made.append(Broken(self, len(self.made)))
            return self.made[-1]

    @property
    def all_closed(self) -> bool:
        return all(engine.closed.is_set() for engine in self.made)


class Broken(MarkerEngine):
    """Test cards and a fault."""

    def __init__(self, engines: Engines, number: int) -> None:
        super().__init__()
        self.engines = engines
        self.number = number
        self.asked: list[Scene] = []
        self.reached = threading.Event()
        self.closed = threading.Event()
        self.bytes = 0

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            self.asked.append(scene)
            self.engines.fault(self, scene, len(self.asked))
            yield from super().render([scene], options)

    def hang(self) -> None:
        self.reached.set()
        assert self.closed.wait(WAIT)
        raise EngineError("it was closed")

    def memory(self) -> int:
        return self.bytes

    def close(self) -> None:
        self.closed.set()


def check(scenes: Iterable[Scene], futures: Iterable[Future[Frame | Failure]]) -> list[Failure]:
    """Assert that each frame is of its own scene; return the failures."""
    failures = []
    for scene, future in zip(scenes, futures, strict=True):
        answer = future.result(WAIT)
        assert answer.scene == scene
        if isinstance(answer, Frame):
            assert answer.scene_id == scene.scene_id
            assert read_marker(answer.array()) == scene.unlabelled.scene_id
        else:
            failures.append(answer)
    return failures


def no_thread_left() -> bool:
    return eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("test-")])


def supervise(engines: Callable[[], Any], workers: int = 1, **more: Any) -> Supervisor:
    return Supervisor(engines, workers, **{"name": "test", **more})


def test_every_scene_gets_its_own_frame_and_engines_are_told_no_labels() -> None:
    engines = Engines()
    labelled = [scene.changed(Relation="left of", Sample=n) for n, scene in enumerate(SCENES)]
    supervisor = supervise(engines, 3)
    catalogue, notes = supervisor.start()
    assert (catalogue.engine, notes, len(engines.made)) == ("marker", [], 1)
    assert check(labelled, supervisor.submit_all(labelled, OPTIONS)) == []
    assert sorted(scene.canonical for engine in engines.made for scene in engine.asked) == sorted(
        scene.canonical for scene in SCENES
    )
    supervisor.close()
    supervisor.close()
    assert engines.all_closed
    assert no_thread_left()


def test_a_hanging_engine_is_replaced_when_its_lease_ends_and_costs_nothing() -> None:
    clock = Clock()
    engines = Engines(lambda engine, scene, k: engine.hang() if (engine.number, k) == (0, 2) else None)
    supervisor = supervise(engines, limits=Limits(lease=100, retries=1), clock=clock)
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert eventually(lambda: engines.made and engines.made[0].reached.wait(0.01))
    assert futures[0].result(WAIT)
    clock.now = 99.0
    supervisor.watch()
    assert not engines.made[0].closed.is_set(), "its lease has not ended"
    clock.now = 101.0
    assert check(SCENES, futures) == []
    assert [engine.number for engine in engines.made] == [0, 1]
    (status,) = supervisor.status()
    assert (status.images, status.restarts) == (8, 1)
    supervisor.close()
    assert engines.all_closed
    assert no_thread_left()


def test_a_thread_that_never_comes_back_is_left_behind() -> None:
    """An engine in this process that does not even end when it is closed: nothing waits for it."""
    clock, never = Clock(), threading.Event()
    engines = Engines(lambda engine, scene, k: never.wait(WAIT) and None if (engine.number, k) == (0, 2) else None)
    supervisor = supervise(engines, limits=Limits(lease=100, retries=1), clock=clock)
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert eventually(lambda: engines.made and len(engines.made[0].asked) == 2)
    clock.now = 101.0
    assert check(SCENES, futures) == []
    never.set()
    supervisor.close()
    assert no_thread_left()


def test_an_engine_that_hangs_between_two_scenes_is_replaced_too() -> None:
    """It owes nobody a picture then, and what waits would wait for ever."""
    clock = Clock()

    class Lazy(Broken):
        def render(
            self,
            scenes: Iterable[Scene],
            options: RenderOptions = RenderOptions(),  # noqa: B008
        ) -> Iterator[Frame | Failure]:
            for answer in super().render(scenes, options):
                yield answer
                if self.number == 0:
                    self.hang()

    engines = Engines()
    made: list[Lazy] = []

    def make() -> Lazy:
        made.append(Lazy(engines, len(made)))
        return made[-1]

    supervisor = supervise(make, limits=Limits(lease=100), clock=clock)
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert eventually(lambda: made and made[0].reached.is_set())
    clock.now = 101.0
    assert check(SCENES, futures) == []
    supervisor.close()
    assert all(engine.closed.is_set() for engine in made)


def test_an_idle_engine_takes_what_another_does_not_answer_and_the_first_answer_counts() -> None:
    clock, hung = Clock(), threading.Event()

    def fault(engine: Broken, scene: Scene, k: int) -> None:
        if scene == SCENES[7] and not hung.is_set():
            hung.set()
            engine.hang()

    engines = Engines(fault)
    supervisor = supervise(engines, 2, limits=Limits(lease=1e9), clock=clock)
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert check(SCENES[:7], futures[:7]) == []
    assert hung.wait(WAIT)
    clock.now += 5  # the others took no time at all
    assert check(SCENES[7:], futures[7:]) == []
    assert supervisor.repeated == 1
    supervisor.close()
    assert engines.all_closed, "that of the engine that still hangs too"
    assert no_thread_left()


@pytest.mark.parametrize("retries", [0, 1])
def test_an_engine_that_dies_in_the_middle_is_replaced(retries: int) -> None:
    def fault(engine: Broken, scene: Scene, k: int) -> None:
        if scene == SCENES[3]:
            raise EngineError("a planted death")

    engines = Engines(fault)
    supervisor = supervise(engines, limits=Limits(retries=retries))
    (failure,) = check(SCENES, supervisor.submit_all(SCENES, OPTIONS))
    assert (failure.scene, failure.reason, failure.attempts) == (SCENES[3], "a planted death", retries + 1)
    assert failure.engine_lost
    assert len(engines.made) == 2, "the last death leaves nothing to do"
    supervisor.close()
    assert engines.all_closed


def test_a_bug_in_an_engine_is_a_lost_engine_and_an_error_of_ours_ends_everything() -> None:
    def bug(engine: Broken, scene: Scene, k: int) -> None:
        if scene == SCENES[3]:
            raise ZeroDivisionError("a bug")

    supervisor = supervise(Engines(bug))
    (failure,) = check(SCENES, supervisor.submit_all(SCENES, OPTIONS))
    assert failure.reason == "ZeroDivisionError: a bug"
    supervisor.close()

    def wrong(engine: Broken, scene: Scene, k: int) -> None:
        raise SpecError("no engine would mend this")

    engines = Engines(wrong)
    supervisor = supervise(engines, 2)
    for future in supervisor.submit_all(SCENES, OPTIONS):
        with pytest.raises(SpecError, match="no engine would mend"):
            future.result(WAIT)
    with pytest.raises(SpecError, match="no engine would mend"):
        supervisor.submit(SCENES[0], OPTIONS).result(WAIT)
    supervisor.close()
    assert len(engines.made) <= 2, "it was tried again"
    assert engines.all_closed


def test_an_engine_that_never_works_ends_its_slot_and_the_last_one_ends_everything() -> None:
    lock, made = threading.Lock(), itertools.count()

    def make() -> MarkerEngine:
        with lock:
            if next(made) > 0:
                raise EngineError("no second engine today")
        return engines()

    engines = Engines()
    supervisor = supervise(make, 2, limits=Limits(max_pause=0.001))
    supervisor.start()
    assert check(SCENES, supervisor.submit_all(SCENES, OPTIONS)) == []
    while not supervisor.lost:
        supervisor.submit_all(SCENES, OPTIONS)[-1].result(WAIT)
    assert supervisor.lost == ["the engine was lost 4 times in a row; the last: no second engine today"]
    assert check(SCENES, supervisor.submit_all(SCENES, OPTIONS)) == [], "the other one goes on"
    supervisor.close()

    def dead(engine: Broken, scene: Scene, k: int) -> None:
        raise EngineError("a planted death")

    engines = Engines(dead)
    supervisor = supervise(engines, limits=Limits(losses=9, max_pause=0.001))
    for future in supervisor.submit_all(SCENES, OPTIONS):
        with pytest.raises(EngineError, match="lost 4 times in a row; the last: a planted death"):
            future.result(WAIT)
    supervisor.close()
    assert len(engines.made) == 4
    assert engines.all_closed


def test_an_engine_that_cannot_be_made_is_said_at_once() -> None:
    def make() -> MarkerEngine:
        raise EngineError("no variant works here")

    supervisor = supervise(make)
    with pytest.raises(EngineError, match="no variant"):
        supervisor.start()
    supervisor.close()
    assert no_thread_left()


@pytest.mark.parametrize("where", ["made", "asked"])
def test_a_first_engine_that_does_not_start_is_said_when_its_time_is_over(where: str) -> None:
    """Whoever asks what an engine is waits for it: without an end, for ever."""
    reached, end, clock = threading.Event(), threading.Event(), Clock()

    def hang() -> None:
        reached.set()
        assert end.wait(WAIT)

    class Silent(MarkerEngine):
        def __init__(self) -> None:
            super().__init__()
            if where == "made":
                hang()

        def catalogue(self) -> Catalogue:
            hang()
            return super().catalogue()

    supervisor = supervise(Silent, limits=Limits(lease=10), clock=clock)
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(supervisor.start)
        assert reached.wait(WAIT)
        clock.now = 1000.0
        try:
            with pytest.raises(EngineError, match="does not say what it is: nothing came"):
                started.result(WAIT)
        finally:
            end.set()
    supervisor.close()
    assert no_thread_left()


def test_an_engine_that_hangs_while_it_is_closed_is_replaced() -> None:
    """Its scenes were given back: nobody renders them if the slot waits for the end of the engine before them."""
    end, clock = threading.Event(), Clock()

    class Stuck(Broken):
        def close(self) -> None:
            super().close()
            if self.number == 0:
                assert end.wait(WAIT)

    def break_first(engine: Broken, scene: Scene, k: int) -> None:
        if engine.number == 0 and k == 3:
            raise EngineError("a planted fault")

    engines = Engines(break_first)

    def make() -> Broken:
        with engines._lock:
            engines.made.append(Stuck(engines, len(engines.made)))
            return engines.made[-1]

    supervisor = supervise(make, limits=Limits(retries=1, lease=10), clock=clock)
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert eventually(lambda: bool(engines.made) and engines.made[0].closed.is_set())
    clock.now = 11.0
    try:
        assert check(SCENES, futures) == []
    finally:
        end.set()
    supervisor.close()
    assert no_thread_left()


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_an_engine_that_ends_its_thread_is_lost_like_any_other(error: type[BaseException]) -> None:
    """Passed on, `sys.exit()` in an engine would end a run halfway, with exit code 0."""

    def exit_once(engine: Broken, scene: Scene, k: int) -> None:
        if engine.number == 0 and k == 3:
            raise error

    supervisor = supervise(Engines(exit_once), limits=Limits(retries=1))
    supervisor.start()
    assert check(SCENES, supervisor.submit_all(SCENES, OPTIONS)) == []
    supervisor.close()

    def never() -> MarkerEngine:
        raise error

    supervisor = supervise(never)
    with pytest.raises(EngineError, match=f"cannot be made: {error.__name__}"):
        supervisor.start()
    supervisor.close()


class Odd(MarkerEngine):
    """Answers in a wrong way when the camera is turned by 3 degrees."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def render(self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()) -> Iterator[Frame | Failure]:  # noqa: B008
        for scene in scenes:
            (right,) = super().render([scene], options)
            if scene != SCENES[3]:
                yield right
            elif self.how == "another":
                yield from super().render([SCENES[0]], options)
            elif self.how == "nothing":
                yield Frame(scene)
            elif self.how == "small":
                yield from super().render([scene], RenderOptions(size=(32, 48)))
            elif self.how == "grey":
                yield Frame(scene, arrays={"rgb": np.zeros((48, 48), np.uint8)})
            elif self.how == "floats":
                yield Frame(scene, arrays={"rgb": np.zeros((48, 48, 3), np.float32)})
            elif self.how == "none":
                yield None  # type: ignore[misc]
            elif self.how == "noise":
                yield Frame(scene, encoded={"rgb": b"\x89PNG no picture at all"})
            elif self.how == "not mine":
                yield Failure(SCENES[0], "a planted fault")
            elif self.how == "quiet":
                return


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("another", "with another scene"), ("nothing", "sent no rgb"), ("small", "is 32 × 48, not 48 × 48"),
        ("grey", "rgb is uint8 (48, 48), not uint8 (48, 48, 3)"), ("floats", "rgb is float32"),
        ("none", "yielded None"),
        ("noise", "no picture"), ("not mine", "answered for"), ("quiet", "left 1 scenes unanswered"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_what_was_asked_for_is_a_failure(how: str, reason: str) -> None:
    supervisor = supervise(lambda: Odd(how), limits=Limits(retries=1))
    (failure,) = check(SCENES, supervisor.submit_all(SCENES, OPTIONS))
    assert failure.scene == SCENES[3]
    assert reason in failure.reason
    assert failure.attempts == 2
    supervisor.close()


def test_an_engine_that_answers_twice_shifts_nothing() -> None:
    """Paired by order alone, every later picture would be under the label of another."""

    class Twice(MarkerEngine):
        def render(
            self,
            scenes: Iterable[Scene],
            options: RenderOptions = RenderOptions(),  # noqa: B008
        ) -> Iterator[Frame | Failure]:
            for answer in super().render(scenes, options):
                yield answer
                if answer.scene in (SCENES[3], SCENES[7]):
                    yield answer

    supervisor = supervise(Twice, limits=Limits(retries=5, restarts=10, max_pause=0.0))
    assert check(SCENES, supervisor.submit_all(SCENES, OPTIONS)) == []
    supervisor.close()


def test_a_scene_that_fails_is_tried_again_and_then_given_up() -> None:
    tries = []

    class Failing(MarkerEngine):
        def render(
            self,
            scenes: Iterable[Scene],
            options: RenderOptions = RenderOptions(),  # noqa: B008
        ) -> Iterator[Frame | Failure]:
            for scene in scenes:
                if scene in SCENES[2:4]:
                    tries.append(scene)
                    if scene == SCENES[3] or tries.count(scene) == 1:
                        yield Failure(scene, "a planted fault")
                        continue
                yield from super().render([scene], options)

    supervisor = supervise(Failing, 2, limits=Limits(retries=2))
    (failure,) = check(SCENES, supervisor.submit_all(SCENES, OPTIONS))
    assert (failure.scene, failure.attempts, failure.engine_lost) == (SCENES[3], 3, False)
    assert (tries.count(SCENES[2]), tries.count(SCENES[3])) == (2, 3)
    supervisor.close()


def test_an_engine_that_grows_or_is_worn_is_made_anew() -> None:
    def grow(engine: Broken, scene: Scene, k: int) -> None:
        engine.bytes = 400 * k

    engines = Engines(grow)
    supervisor = supervise(engines, limits=Limits(memory=1000))
    assert check(SCENES, supervisor.submit_all(SCENES, OPTIONS)) == []
    assert [len(engine.asked) for engine in engines.made] == [3, 3, 2]
    assert supervisor.status()[0].memory == 800
    supervisor.close()
    engines = Engines()
    supervisor = supervise(engines, limits=Limits(recycle=5))
    assert check(SCENES, supervisor.submit_all(SCENES, OPTIONS)) == []
    assert [len(engine.asked) for engine in engines.made] == [5, 3]
    supervisor.close()
    assert engines.all_closed


def test_closing_with_pictures_in_flight_ends_and_answers_everyone() -> None:
    engines = Engines(lambda engine, scene, k: engine.hang() if k == 2 else None)
    supervisor = supervise(engines, 2)
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert eventually(lambda: len(engines.made) == 2 and all(engine.reached.is_set() for engine in engines.made))
    supervisor.close(patience=0)
    assert all(future.done() for future in futures), "somebody waits for ever"
    assert sum(1 for future in futures if not future.cancelled() and future.exception() is None) == 2
    assert engines.all_closed
    assert no_thread_left()
    with pytest.raises(EngineError, match="closed"):
        supervisor.submit(SCENES[0], OPTIONS).result(WAIT)


def test_an_engine_may_finish_a_picture_that_nobody_waits_for_before_it_is_closed() -> None:
    """A renderer in this process that is closed from another thread, or left behind at the end, may crash it."""
    begun, go, order = threading.Event(), threading.Event(), list[str]()

    class Renderer(Broken):
        def close(self) -> None:
            order.append(threading.current_thread().name)
            super().close()

    def fault(engine: Broken, scene: Scene, k: int) -> None:
        if k == 2:
            begun.set()
            assert go.wait(WAIT)
            order.append("rendered")

    engines = Engines(fault)
    supervisor = supervise(lambda: Renderer(engines, 0), clock=Clock())
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert begun.wait(WAIT)
    for future in futures:
        future.cancel()
    closing = threading.Thread(target=supervisor.close, args=(WAIT,))
    closing.start()
    go.set()
    closing.join(WAIT)
    assert order == ["rendered", "test-0"]


def test_what_is_being_rendered_when_it_is_stopped_comes_to_its_end() -> None:
    begun, go = threading.Event(), threading.Event()

    def fault(engine: Broken, scene: Scene, k: int) -> None:
        begun.set()
        assert go.wait(WAIT)

    supervisor = supervise(Engines(fault))
    futures = supervisor.submit_all(SCENES, OPTIONS)
    assert begun.wait(WAIT)
    supervisor.stop()
    assert not supervisor.join(0)
    go.set()
    assert check(SCENES[:1], futures[:1]) == []
    assert supervisor.join(WAIT)
    assert all(future.cancelled() for future in futures[1:])
    supervisor.close()


def test_what_nobody_waits_for_is_not_rendered() -> None:
    begun, go = threading.Event(), threading.Event()

    def fault(engine: Broken, scene: Scene, k: int) -> None:
        begun.set()
        assert go.wait(WAIT)

    engines = Engines(fault)
    supervisor = supervise(engines)
    first = supervisor.submit(SCENES[0], OPTIONS)
    assert begun.wait(WAIT)
    cancelled = supervisor.submit(SCENES[1], OPTIONS)
    unwanted = supervisor.submit(SCENES[2], OPTIONS, wanted=lambda: False)
    last = supervisor.submit(SCENES[3], OPTIONS)
    assert first.cancel(), "until it has an answer"
    assert cancelled.cancel()
    go.set()
    assert check(SCENES[3:4], [last]) == []
    assert unwanted.cancelled()
    assert engines.made[0].asked == [SCENES[0], SCENES[3]]
    supervisor.close()


def test_an_engine_keeps_to_its_world_and_the_order_is_kept_where_worlds_do_not_count() -> None:
    mixed = [Scene({"World_Name": world, "Camera_Yaw": yaw}) for yaw in range(5) for world in ("Desert", "Snow")]
    orders: dict[bool, list[Scene]] = {}
    for by_world in (True, False):
        engines = Engines()
        supervisor = supervise(engines, by_world=by_world)
        assert check(mixed, supervisor.submit_all(mixed, OPTIONS)) == []
        supervisor.close()
        orders[by_world] = engines.made[0].asked
    assert orders[False] == mixed
    assert sum(a["World_Name"] != b["World_Name"] for a, b in itertools.pairwise(orders[True])) == 1


def test_requests_of_other_options_get_their_own_and_the_urgent_one_comes_first() -> None:
    begun, go = threading.Event(), threading.Event()

    def fault(engine: Broken, scene: Scene, k: int) -> None:
        begun.set()
        assert go.wait(WAIT)

    engines = Engines(fault)
    supervisor = supervise(engines)
    futures = [
        supervisor.submit(SCENES[n], RenderOptions(size=(48 + 16 * (n % 2), 48), passes=("rgb", "depth")))
        for n in (0, 1, 2)
    ]
    assert begun.wait(WAIT)
    futures.append(supervisor.submit(SCENES[3], OPTIONS, first=True))
    go.set()
    shapes = [future.result(WAIT).array().shape for future in futures]  # type: ignore[union-attr]
    assert shapes == [(48, 48, 3), (48, 64, 3), (48, 48, 3), (48, 48, 3)]
    assert engines.made[0].asked == [SCENES[0], SCENES[3], SCENES[1], SCENES[2]]
    supervisor.close()


def test_another_engine_is_noticed_by_its_fingerprint() -> None:
    seen: list[str] = []

    def same(fingerprint: str) -> None:
        seen.append(fingerprint)
        if len(seen) == 3:
            raise DatasetError("another engine joined")

    supervisor = supervise(Engines(), check=same)
    supervisor.start()
    futures = supervisor.submit_all(SCENES, OPTIONS)
    with pytest.raises(DatasetError, match="another engine joined"):
        futures[-1].result(WAIT)
    assert len(set(seen)) == 1
    supervisor.close()


def test_callbacks_that_take_their_time_do_not_count_as_a_hanging_engine() -> None:
    clock, entered, go = Clock(), threading.Event(), threading.Event()

    def slow(_: Any) -> None:
        entered.set()
        assert go.wait(WAIT)

    engines = Engines()
    supervisor = supervise(engines, limits=Limits(lease=100), clock=clock)
    futures = supervisor.submit_all(SCENES, OPTIONS, [slow] * len(SCENES))
    assert entered.wait(WAIT)
    clock.now = 1000.0
    supervisor.watch()
    go.set()
    assert check(SCENES, futures) == []
    assert len(engines.made) == 1, "the engine was replaced"
    supervisor.close()


def test_callbacks_run_in_the_threads_of_engines() -> None:
    """Whoever submits may wait for what the callbacks do: in that thread it would wait for itself."""
    threads: set[str] = set()
    scenes = SCENES * 50
    supervisor = supervise(Engines(), 2)
    callbacks = [lambda _: threads.add(threading.current_thread().name)] * len(scenes)
    assert check(scenes, supervisor.submit_all(scenes, OPTIONS, callbacks)) == []
    supervisor.close()
    assert threads <= {"test-0", "test-1"}


def test_chaos_loses_and_mixes_up_nothing() -> None:
    """Hangs, deaths, bugs and failures at random, by three engines: each scene gets its own picture once."""
    clock = Clock()
    rng = np.random.default_rng(3)
    lock = threading.Lock()

    def fault(engine: Broken, scene: Scene, k: int) -> None:
        with lock:
            chance = rng.random()
        if chance < 0.02:
            engine.hang()
        elif chance < 0.1:
            raise EngineError("a planted death")
        elif chance < 0.15:
            raise ValueError("a bug")

    scenes = [Scene({"World_Name": world, "Camera_Yaw": yaw}) for yaw in range(90) for world in ("Desert", "Snow")]
    engines = Engines(fault)
    limits = Limits(lease=100, retries=1000, restarts=1000, max_pause=0.0)
    supervisor = supervise(engines, 3, limits=limits, by_world=True, clock=clock)
    futures = supervisor.submit_all(scenes, OPTIONS)
    while not all(future.done() for future in futures):
        if any(engine.reached.is_set() and not engine.closed.is_set() for engine in engines.made):
            clock.now += 101
        threading.Event().wait(0.01)
    assert check(scenes, futures) == []
    supervisor.close()
    assert len(engines.made) > 10
    assert engines.all_closed
    assert no_thread_left()
