"""Engines side by side, kept at work: scenes go in, futures of their frames come out.

The one mechanism by which a farm, a stream and a streamer use engines. It knows nothing of datasets: a farm is a
supervisor and a writer, a stream a supervisor and a sampler, a streamer a supervisor and a queue of requests.

What it guarantees, whatever the engines do:

- Each future gets one answer: a frame of its own scene in the size and with the passes that were asked for, a
  `Failure`, or an error when no engine is left. An answer that is of something else is a failure of its scene.
- *Lease.* An engine that gives no answer for ``lease`` seconds is abandoned and replaced, and what it had goes to
  others. A thread cannot be ended from outside, so its engine is closed, which frees most, and it is left behind.
- *Re-lease.* A scene that is out for much longer than is usual goes to an idle engine as well; whoever comes first
  counts.
- *Retries.* A scene that fails, or whose engine is lost over it, is tried again within a budget.
- *Recycling.* An engine is made anew after a number of pictures, above a size in memory, and when it is lost, with
  growing pauses; one that is lost too often in a row without a picture in between ends its slot.
- *End.* `Supervisor.close` ends within a bounded time.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from typing_extensions import override

from torchmultiverse.engines.contract import (
    Catalogue,
    Engine,
    Failure,
    Frame,
    HasManifestNotes,
    RenderOptions,
    ReportsMemory,
    capability,
)
from torchmultiverse.errors import EngineError, ProtocolError, TorchMultiverseError
from torchmultiverse.spec import Scene, Value

log = logging.getLogger(__name__)
LEASE = 180.0
"""Seconds without an answer after which an engine counts as hanging."""
RESTARTS = 3
"""How often in a row an engine is made anew without a picture in between."""
START_LIMIT = 900.0
"""Seconds that an engine may take to start; more than a lease, because a binary loads its worlds first."""
_UNUSUAL = 4.0
"""How many times as long as usual a scene must be out before an idle engine tries it too."""
_TICK = 0.25
_GRACE = 3.0
"""Seconds that a thread may take to end when its engine was closed."""
Answer = Frame | Failure
State = Literal["starting", "rendering", "idle", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an engine is given up, and how often a scene is tried.

    Attributes:
        lease: seconds without an answer after which an engine is abandoned and its scenes go to others.
        retries: further attempts for a scene that fails.
        losses: further attempts for a scene whose engine was lost over it; by default as many as ``retries``.
        restarts: how often in a row an engine is made anew without a picture in between.
        longest_pause: seconds between two such attempts, at most.
        recycle: pictures after which an engine is made anew; ``None``: never.
        memory: bytes of an engine's processes above which it is made anew; ``None``: no limit.
        in_hand: scenes that one engine may have at a time; ``None``: as many as it reads ahead.
    """

    lease: float = LEASE
    retries: int = 0
    losses: int | None = None
    restarts: int = RESTARTS
    longest_pause: float = 10.0
    recycle: int | None = None
    memory: int | None = None
    in_hand: int | None = None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How one engine stands.

    Attributes:
        number: of its slot, from 0.
        state: ``starting``, ``rendering``, ``idle``, or ``left``: lost too often.
        world: that it renders.
        pictures: frames of this slot so far.
        restarts: how often its engine was made anew.
        memory: bytes of its processes; ``None`` where it has none of its own.
        waits: seconds since its last answer, while it has something to render.
    """

    number: int
    state: State
    world: str
    pictures: int
    restarts: int
    memory: int | None
    waits: float


@dataclass(eq=False)
class _Task:
    """A scene and who waits for it. Its future stays cancellable until it has an answer."""

    scene: Scene  # as it was submitted
    sent: Scene  # without labels, which no engine is told
    options: RenderOptions
    wanted: Callable[[], bool]
    group: Value
    future: Future[Answer] = field(default_factory=Future)
    tries: int = 0
    out: dict[_Runner, float] = field(default_factory=dict)  # who has it, since when
    answered: bool = False

    @property
    def over(self) -> bool:
        """Whether there is an answer, or nobody waits for one."""
        return self.answered or self.future.done()

    def settle(self, answer: Answer | BaseException | None) -> None:
        """Answer whoever waits, unless they have an answer; ``None``: there will be none."""
        with suppress(InvalidStateError):
            if answer is None:
                self.future.cancel()
            elif isinstance(answer, BaseException):
                self.future.set_exception(answer)
            elif isinstance(answer, Failure):
                self.future.set_result(replace(answer, scene=self.scene))
            else:
                self.future.set_result(answer if answer.scene == self.scene else answer.instead_of(self.scene))


_Settled = list[tuple[_Task, Answer | BaseException | None]]
"""What is said to whom, once the lock is free: callbacks may take their time."""


def _settle(settled: _Settled) -> None:
    for task, answer in settled:
        task.settle(answer)


class _Queue:
    """Tasks that wait, in groups: an engine keeps to the group it is in while some of it are left."""

    def __init__(self) -> None:
        self._groups: dict[Value, deque[_Task]] = {}
        self._place: dict[int, Value] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def put(self, task: _Task, first: bool = False) -> None:
        group = self._groups.setdefault(task.group, deque())
        group.appendleft(task) if first else group.append(task)

    def take(self, slot: int, options: RenderOptions | None) -> _Task | None:
        """Return the next task of a slot; none whose options are not those given."""
        while self._groups:
            place = self._place.get(slot)
            if place not in self._groups:
                taken = {group for other, group in self._place.items() if other != slot}
                place = max(self._groups, key=lambda group: (group not in taken, len(self._groups[group])))
                self._place[slot] = place
            group = self._groups[place]
            wanted = not group[0].over and group[0].wanted()
            if wanted and options is not None and group[0].options != options:
                return None
            task = group.popleft()
            if not group:
                del self._groups[place]
            if wanted:
                return task
            task.future.cancel()
        return None

    def clear(self) -> list[_Task]:
        tasks = [task for group in self._groups.values() for task in group]
        self._groups.clear()
        return tasks


@dataclass(eq=False)
class _Slot:
    """Where an engine works, and those that replace it."""

    number: int
    state: State = "starting"
    world: str = ""
    pictures: int = 0
    restarts: int = 0
    losses: int = 0  # in a row


class Supervisor:
    """Engines in threads of their own; see this module for what it guarantees.

    All methods may be called from any thread. Callbacks of futures run in the thread of the engine that answered, and
    may take their time: the engine waits.

    Args:
        make: makes an engine; called in the thread in which the engine is used and closed, and again when it is lost.
        workers: engines side by side.
        limits: see `Limits`.
        by_world: let an engine keep to the world it is in while scenes of it wait, because a change of world is what
            costs an engine most; else first come, first served.
        check: called with the fingerprint of each engine but that of `start`, and of each frame; what it raises ends
            the run, unless it is an `EngineError`.
        name: of the threads.
        clock: seconds from any beginning.
    """

    def __init__(
        self,
        make: Callable[[], Engine],
        workers: int = 1,
        *,
        limits: Limits = Limits(),
        by_world: bool = False,
        check: Callable[[str], None] | None = None,
        name: str = "engine",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.lost: list[str] = []
        """Why slots were given up; the others do their work."""
        self.ended: Future[None] = Future()
        """Gets an exception when no engine is left, or when there is something that another engine would not mend."""
        self.repeated = 0
        """How many scenes were handed to a second engine."""
        self.busy = 0.0
        """Seconds that engines had something to do, summed."""
        self.idle = 0.0
        """Seconds that engines waited for something to do, summed."""
        self._make = make
        self._by_world = by_world
        self._check = check
        self._name = name
        self._clock = clock
        self._changed = threading.Condition()
        self._queue = _Queue()
        self._out: dict[_Task, None] = {}  # the oldest first
        self._took: deque[float] = deque(maxlen=64)
        self._slots = [_Slot(number) for number in range(workers)]
        self._runners: dict[_Slot, _Runner] = {}
        self._abandoned: list[threading.Thread] = []
        self._closers: list[threading.Thread] = []
        self._watcher: threading.Thread | None = None
        self._error: BaseException | None = None
        self._stopped = False

    def start(self) -> tuple[Catalogue, list[str]]:
        """Make the first engine now; return its catalogue, and what a dataset made with it should say of itself.

        Raises:
            TorchMultiverseError: it cannot be made.
        """
        described: Future[tuple[Catalogue, list[str]]] = Future()
        with self._changed:
            self._begin(self._slots[0], described)
        return described.result()

    def submit(
        self,
        scene: Scene,
        options: RenderOptions,
        *,
        first: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Future[Answer]:
        """Have a scene rendered.

        Args:
            scene: with or without labels, of which engines are told nothing.
            options: how.
            first: before all others of its world.
            wanted: asked before the scene is given to an engine; where it says no, the future is cancelled.

        Returns:
            the future of its frame, or of the `Failure` that its budget ended in; an `EngineError` where no engine is
            left. It may be cancelled until it has an answer.
        """
        return self._put([self._task(scene, options, wanted)], first)[0]

    def submit_all(self, scenes: Iterable[Scene], options: RenderOptions) -> list[Future[Answer]]:
        """Have scenes rendered; engines choose their worlds when all are known."""
        return self._put([self._task(scene, options) for scene in scenes])

    def _task(self, scene: Scene, options: RenderOptions, wanted: Callable[[], bool] = lambda: True) -> _Task:
        return _Task(scene, scene.unlabelled, options, wanted, scene["World_Name"] if self._by_world else "")

    def _put(self, tasks: list[_Task], first: bool = False) -> list[Future[Answer]]:
        with self._changed:
            error = self._error
            if error is None and self._stopped:
                error = EngineError("the engines were closed")
            if error is None and tasks:
                for task in tasks:
                    self._queue.put(task, first)
                for slot in self._slots:
                    if slot not in self._runners and slot.state != "left":
                        self._begin(slot)
                self._changed.notify_all()
        if error is not None:
            _settle([(task, error) for task in tasks])
        return [task.future for task in tasks]

    @property
    def waiting(self) -> int:
        """How many scenes wait for an engine."""
        with self._changed:
            return len(self._queue)

    def status(self) -> list[EngineStatus]:
        """Return how each engine stands."""
        found = []
        for slot in self._slots:
            with self._changed:
                runner = self._runners.get(slot)
                engine, since = (runner.engine, runner.since) if runner else (None, None)
                waits = 0.0 if since is None else self._clock() - since
            memory = _memory(engine)
            found.append(
                EngineStatus(slot.number, slot.state, slot.world, slot.pictures, slot.restarts, memory, round(waits, 1))
            )
        return found

    def stop(self) -> None:
        """Begin nothing more: what waits is cancelled, what is being rendered comes to its end."""
        with self._changed:
            self._stopped = True
            tasks = self._queue.clear()
            self._changed.notify_all()
        for task in tasks:
            task.future.cancel()

    def join(self, seconds: float) -> bool:
        """Wait, after `stop`, for the engines to end; return whether all have, but those that were abandoned."""
        return self._join(lambda: list(self._runners.values()), time.monotonic() + seconds)

    def close(self, patience: float = 30.0) -> None:
        """End the engines; may be called twice.

        Args:
            patience: seconds that an engine gets to finish what it renders, where somebody waits for it; then it is
                closed from outside, and after a moment left to itself.
        """
        self.stop()
        end = time.monotonic() + patience
        with self._changed:
            for runner in list(self._runners.values()):
                if runner.held and all(task.over for task in runner.held):
                    self._abandon(runner)
        if not self.join(patience):
            with self._changed:
                for runner in list(self._runners.values()):
                    self._abandon(runner)
        self._join(lambda: self._closers, max(end, time.monotonic() + _GRACE))
        self._join(lambda: self._abandoned, time.monotonic() + _GRACE)
        with self._changed:
            out = list(self._out)
            self._out.clear()
            watcher, self._watcher = self._watcher, None
            self._changed.notify_all()
        _settle([(task, self._error or EngineError("the engines were closed")) for task in out])
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join(_GRACE)

    def watch(self) -> None:
        """Replace engines whose lease has ended; called all the time by a thread of this supervisor."""
        settled: _Settled = []
        with self._changed:
            now = self._clock()
            for slot, runner in list(self._runners.items()):
                lease = self.limits.lease
                limit = lease if runner.engine is not None else max(lease, START_LIMIT)
                if runner.since is None or now - runner.since <= limit:
                    continue
                reason = f"nothing came for {limit:g} s"
                if runner.engine is not None:
                    reason += f" (lease={lease:g}: give more where one picture takes longer)"
                there = runner.engine is not None
                self._abandon(runner)
                settled += self._return(runner, reason if there else None)
                slot.restarts += there
                if (error := self._lose(slot, reason)) is None and not self._stopped:
                    self._begin(slot)
                else:
                    settled += self._leave(slot, error)
        _settle(settled)

    # What follows is called with the lock held, but where it says otherwise ------------------------------------

    def _begin(self, slot: _Slot, described: Future[tuple[Catalogue, list[str]]] | None = None) -> None:
        """Start a thread, with an engine to be made, in a slot."""
        self._runners[slot] = _Runner(self, slot, f"{self._name}-{slot.number}", described)
        self._runners[slot].start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watching, name=f"{self._name}-watch", daemon=True)
            self._watcher.start()

    def _watching(self) -> None:
        """Call `watch` until everything has ended; without the lock."""
        while True:
            with self._changed:
                if self._watcher is not threading.current_thread() or (self._stopped and not self._runners):
                    return
                self._changed.wait(_TICK)
            self.watch()

    def _take(self, runner: _Runner, options: RenderOptions | None) -> _Task | None:
        """Return what an engine does next, if there is something; with the same options where it renders already."""
        if self._stopped or runner.abandoned:
            return None
        if self.limits.in_hand is not None and len(runner.held) >= self.limits.in_hand:
            return None
        task = (
            self._overdue(runner, self.limits.lease, options)
            or self._queue.take(runner.slot.number, options)
            or (None if len(self._queue) else self._overdue(runner, self._patience(), options))
        )
        if task is not None:
            now = self._clock()
            if not runner.held:
                runner.since = now
            runner.held.append(task)
            runner.slot.world = task.sent.get_str("World_Name")
            task.out[runner] = now
            self._out[task] = None
        return task

    def _overdue(self, runner: _Runner, limit: float, options: RenderOptions | None) -> _Task | None:
        """Return what one other engine has had for longer than ``limit`` seconds."""
        now = self._clock()
        for task in islice(self._out, 256):
            if len(task.out) == 1 and runner not in task.out and now - min(task.out.values()) > limit:
                if task.over or (options is not None and options != task.options):
                    continue
                self.repeated += 1
                return task
        return None

    def _patience(self) -> float:
        """Return after how many seconds an idle engine tries what another one has."""
        lease = self.limits.lease
        return min(lease, max(1.0, _UNUSUAL * statistics.median(self._took))) if self._took else lease

    def _answered(self, runner: _Runner, answer: Answer) -> Failure | Frame | None:
        """Take note of an answer to the first scene in hand; return it where it is the last word."""
        now = self._clock()
        task = runner.held.popleft()
        since = task.out.pop(runner, now)
        runner.since = None  # until the callbacks are done: their time is not the engine's
        if isinstance(answer, Frame):
            self._took.append(now - since)
            runner.pictures += 1
            runner.slot.pictures += 1
            runner.slot.losses = 0
            self._out.pop(task, None)
            task.answered = True
            return answer
        return self._tried(task, answer, self.limits.retries)

    def _tried(self, task: _Task, failure: Failure, budget: int) -> Failure | None:
        """Put a scene that failed back; return the failure where its budget is spent and nobody else tries."""
        task.tries += 1
        if task.out or task.over:
            return None
        self._out.pop(task, None)
        if not self._stopped and task.tries <= budget:
            self._queue.put(task)
            self._changed.notify_all()
            return None
        task.answered = True
        return replace(failure, attempts=max(task.tries, failure.attempts))

    def _return(self, runner: _Runner, reason: str | None) -> _Settled:
        """Put back what a lost engine had; the oldest scene may be what killed it, so that counts as a try.

        No scene is to blame for an engine that did not start: then ``reason`` is ``None``.
        """
        held, runner.since = list(runner.held), None
        runner.held.clear()
        settled: _Settled = []
        for number, task in reversed(list(enumerate(held))):
            task.out.pop(runner, None)
            if number == 0 and reason is not None:
                failure = Failure(task.scene, reason, engine_lost=True)
                budget = self.limits.retries if self.limits.losses is None else self.limits.losses
                if (last := self._tried(task, failure, budget)) is not None:
                    settled.append((task, last))
            elif not task.out and not task.over:
                self._out.pop(task, None)
                self._queue.put(task, first=True)
        if self._stopped:  # nobody will take them
            settled += [(task, self._error) for task in self._queue.clear()]
        self._changed.notify_all()
        return settled

    def _lose(self, slot: _Slot, reason: str, cause: BaseException | None = None) -> EngineError | None:
        """Count an engine as lost; return an error where that is too often in a row."""
        slot.losses += 1
        if slot.losses <= self.limits.restarts:
            return None
        error = EngineError(f"the engine was lost {slot.losses} times in a row; the last: {reason}")
        error.__cause__ = cause
        return error

    def _leave(self, slot: _Slot, error: BaseException | None) -> _Settled:
        """End a slot; where no engine is left, that is the answer to everything."""
        slot.state = "left"
        self._runners.pop(slot, None)
        if error is not None:
            self.lost.append(str(error))
            # What no other engine would do better ends everything, and so does the loss of the last engine.
            if not isinstance(error, EngineError) or all(one.state == "left" for one in self._slots):
                self._error = self._error or error
                self._stopped = True
                with suppress(InvalidStateError):
                    self.ended.set_exception(self._error)
        self._changed.notify_all()
        if self._error is None:
            return []
        tasks = [*self._queue.clear(), *(task for task in self._out if not task.out)]
        if not self._runners:
            tasks += self._out
            self._out.clear()
        return [(task, self._error) for task in tasks]

    def _abandon(self, runner: _Runner) -> None:
        """Close an engine from outside and wait no more for its thread."""
        runner.abandoned = True
        self._runners.pop(runner.slot, None)
        self._abandoned.append(runner)
        if runner.engine is not None:
            closer = threading.Thread(
                target=close_quietly, args=(runner.engine,), name=f"{runner.name}-close", daemon=True
            )
            self._closers.append(closer)
            closer.start()
        self._changed.notify_all()

    def _join(self, threads: Callable[[], list[threading.Thread] | list[_Runner]], end: float) -> bool:
        """Wait for threads; without the lock."""
        while alive := [one for one in threads() if one.is_alive()]:
            if time.monotonic() >= end:
                return False
            if (one := alive[0]) is threading.current_thread():
                return False
            one.join(min(0.1, max(end - time.monotonic(), 0.01)))
        return True


class _Runner(threading.Thread):
    """A thread in which engines are made, used and closed, one after the other, until it is abandoned."""

    def __init__(
        self,
        supervisor: Supervisor,
        slot: _Slot,
        name: str,
        described: Future[tuple[Catalogue, list[str]]] | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.slot = slot
        self.engine: Engine | None = None
        self.held: deque[_Task] = deque()  # the oldest first
        self.since: float | None = None  # the last answer, or the first scene after it; None: nothing to do
        self.pictures = 0  # of this engine
        self.abandoned = False
        self._described = described
        self._supervisor = supervisor

    @override
    def run(self) -> None:
        boss = self._supervisor
        error: BaseException | None = None
        try:
            self._describe()
            while self._wait():
                self._work()
        except BaseException as raised:
            error = raised
        if self.engine is not None:
            close_quietly(self.engine)
        with boss._changed:
            if self.abandoned:
                return
            self.engine = None
            settled = [*boss._return(self, None), *boss._leave(self.slot, error)]
        _settle(settled)

    def _describe(self) -> None:
        """Make the engine now, for whoever wants to know what it is."""
        if self._described is None:
            return
        try:
            engine = self._make()
            notes = capability(engine, HasManifestNotes)
            self._described.set_result((engine.catalogue(), notes.manifest_notes() if notes else []))
        except BaseException as error:
            self._described.set_exception(error)
            raise

    def _make(self) -> Engine:
        self.slot.state = "starting"
        engine = self._supervisor._make()
        with self._supervisor._changed:
            self.engine, self.pictures = engine, 0
            self.since = None if self.since is None else self._supervisor._clock()
            if self.abandoned:
                raise EngineError("it took too long to start")
        return engine

    def _wait(self) -> bool:
        """Wait for something to do, and take it; return whether there will be something."""
        boss = self._supervisor
        begun = time.perf_counter()
        with boss._changed:
            while not boss._stopped and not self.abandoned:
                if boss._take(self, None) is not None:
                    boss.idle += time.perf_counter() - begun
                    return True
                self.slot.state = "idle"
                boss._changed.wait(_TICK if boss._out else None)
        return False

    def _work(self) -> None:
        """Render what is in hand and what comes after it, until there is nothing more; replace an engine that is lost.

        Raises:
            EngineError: engines were lost more often in a row than is worth trying.
            TorchMultiverseError: of any other kind, which another engine would not mend.
        """
        boss = self._supervisor
        begun = time.perf_counter()
        try:
            if self.engine is None:
                engine = self._make()
                if boss._check is not None:
                    boss._check(engine.catalogue().fingerprint)
            self.slot.state = "rendering"
            self._render()
            if self._worn():
                self._drop()
                with boss._changed:
                    self.slot.restarts += 1
        except Exception as error:
            if isinstance(error, TorchMultiverseError) and not isinstance(error, EngineError | ProtocolError):
                raise
            self._lost(error)
        finally:
            with boss._changed:
                boss.busy += time.perf_counter() - begun

    def _render(self) -> None:
        boss = self._supervisor
        engine, options = self.engine, self.held[0].options
        assert engine is not None
        for answer in engine.render(self._scenes(), options):
            with boss._changed:
                if self.abandoned:
                    return
            if not self.held:
                raise EngineError("the engine answered more often than it was asked")
            if boss._check is not None and isinstance(answer, Frame) and answer.engine:
                boss._check(answer.engine)  # behind one address the engine may have been replaced
            task = self.held[0]
            checked = _checked(answer, task.sent, options)
            with boss._changed:
                if self.abandoned:
                    return
                last = boss._answered(self, checked)
            if last is not None:
                task.settle(last)
            with boss._changed:
                if self.held:
                    self.since = boss._clock()
        if self.held and not self.abandoned:
            raise EngineError(f"the engine left {len(self.held)} scenes unanswered")

    def _scenes(self) -> Iterator[Scene]:
        """Yield the scene in hand, and then what else there is, as the engine asks for it."""
        boss = self._supervisor
        task: _Task | None = self.held[0]
        options = self.held[0].options
        while task is not None:
            yield task.sent
            if self._worn():
                return
            with boss._changed:
                task = boss._take(self, options)

    def _worn(self) -> bool:
        """Whether this engine has rendered, or eaten, its budget."""
        limits = self._supervisor.limits
        if limits.recycle is not None and self.pictures >= limits.recycle:
            return True
        memory = _memory(self.engine) if limits.memory is not None else None
        return memory is not None and limits.memory is not None and memory > limits.memory

    def _drop(self) -> None:
        """Close the engine; the next one is made when there is something to do."""
        with self._supervisor._changed:
            engine, self.engine = self.engine, None
        if engine is not None:
            close_quietly(engine)

    def _lost(self, error: Exception) -> None:
        """Put back what the engine had, and wait a little.

        Raises:
            EngineError: engines were lost more often in a row than is worth trying.
        """
        boss, slot = self._supervisor, self.slot
        known = isinstance(error, TorchMultiverseError | OSError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        with boss._changed:
            if self.abandoned:
                return
            there = self.engine is not None
            slot.restarts += there
            settled = boss._return(self, reason if there else None)
            over = boss._lose(slot, reason, error)
        _settle(settled)
        self._drop()
        if not known:
            log.error("an engine broke", exc_info=error)
        if over is not None:
            raise over
        pause = min(0.1 * 4 ** (slot.losses - 2), boss.limits.longest_pause) if slot.losses > 1 else 0.0
        with boss._changed:
            boss._changed.wait_for(lambda: boss._stopped or self.abandoned, pause)


def _checked(answer: Answer, wanted: Scene, options: RenderOptions) -> Answer:
    """Return the answer, or a failure that says why it is not what was asked for."""
    if isinstance(answer, Failure):
        return answer if answer.scene == wanted else Failure(wanted, f"the engine answered for {answer.scene!r}")
    if answer.scene != wanted or answer.scene_id != wanted.scene_id:
        return Failure(wanted, f"the engine answered with another scene, {answer.scene_id}")
    lacking = [name for name in options.passes if name not in answer.passes]
    if lacking:
        return Failure(wanted, f"the engine sent no {', '.join(lacking)}")
    width, height = options.size
    try:
        for name in options.passes:
            held = answer.tensor(name)  # stays on its device
            shape = tuple((answer.array(name) if held is None else held).shape)
            if shape[:2] != (height, width):
                return Failure(wanted, f"{name} is {shape[1]} × {shape[0]}, not {width} × {height}")
    except ProtocolError as error:
        return Failure(wanted, str(error))
    return answer


def _memory(engine: Engine | None) -> int | None:
    measured = None if engine is None else capability(engine, ReportsMemory)
    return None if measured is None else measured.memory()


def close_quietly(engine: Engine) -> None:
    """Close an engine that may be broken, or be closed by two threads at once: what it raises is only logged."""
    try:
        engine.close()
    except BaseException as error:
        log.info("an engine did not close: %s: %s", type(error).__name__, error)
