"""Which engine renders which scene: a supervisor's bookkeeping, without its threads.

`RenderTask` is a scene that somebody waits for, `LeaseHolder` an engine and what is leased to it. `Dispatcher` decides
who gets what, how often it is tried, and when an engine hangs or is lost too often.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from torchmultiverse.engines.contract import Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene, Value

LEASE = 180.0
"""Seconds without an answer after which an engine counts as hanging."""
RESTARTS = 3
"""How often in a row an engine is made anew without a picture in between."""
START_LIMIT = 900.0
"""Seconds that an engine may take to start; more than a lease, because a binary loads its worlds first."""
_UNUSUAL = 4.0
"""How many times as long as usual a scene must be out before an idle engine tries it too."""
Rendered = Frame | Failure
State = Literal["starting", "rendering", "idle", "left"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When an engine is given up, and how often a scene is tried.

    Attributes:
        lease: seconds without an answer after which an engine is abandoned and its scenes go to others.
        retries: further attempts for a scene that fails.
        losses: further attempts for a scene whose engine was lost over it; by default as many as ``retries``.
        restarts: how often in a row an engine is made anew without a picture in between.
        max_pause: seconds between two such attempts, at most.
        recycle: pictures after which an engine is made anew; ``None``: never.
        memory: bytes of an engine's processes above which it is made anew; ``None``: no limit.
        max_in_flight: scenes that one engine may have at a time; ``None``: as many as it reads ahead.
    """

    lease: float = LEASE
    retries: int = 0
    losses: int | None = None
    restarts: int = RESTARTS
    max_pause: float = 10.0
    recycle: int | None = None
    memory: int | None = None
    max_in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How one engine stands.

    Attributes:
        number: of its slot, from 0.
        state: ``starting``, ``rendering``, ``idle``, or ``left``: lost too often.
        world: that it renders.
        images: frames of this slot so far.
        restarts: how often its engine was made anew.
        memory: bytes of its processes; ``None`` where it has none of its own.
        waiting: seconds since its last answer, while it has something to render.
    """

    number: int
    state: State
    world: str
    images: int
    restarts: int
    memory: int | None
    waiting: float


@dataclass(eq=False)
class RenderTask:
    """A scene and who waits for it. Its future stays cancellable until it has an answer."""

    scene: Scene  # as it was submitted
    sent: Scene  # without labels, which no engine is told
    options: RenderOptions
    wanted: Callable[[], bool]
    group: Value
    future: Future[Rendered] = field(default_factory=Future)
    attempts: int = 0
    out: dict[LeaseHolder, float] = field(default_factory=dict)  # who has it, since when
    answered: bool = False

    @property
    def over(self) -> bool:
        """Whether there is an answer, or nobody waits for one."""
        return self.answered or self.future.done()

    def settle(self, answer: Rendered | BaseException | None) -> None:
        """Rendered whoever waits, unless they have an answer; ``None``: there will be none."""
        with suppress(InvalidStateError):
            if answer is None:
                self.future.cancel()
            elif isinstance(answer, BaseException):
                self.future.set_exception(answer)
            elif isinstance(answer, Failure):
                self.future.set_result(replace(answer, scene=self.scene))
            else:
                self.future.set_result(answer if answer.scene == self.scene else answer.instead_of(self.scene))


Settled = list[tuple[RenderTask, Rendered | BaseException | None]]
"""What is said to whom, once the lock is free: callbacks may take their time."""


def settle_all(settled: Settled) -> None:
    """Say it, without the lock."""
    for task, answer in settled:
        task.settle(answer)


class TaskQueue:
    """Tasks that wait, in groups: an engine keeps to the group it is in while some of it are left."""

    def __init__(self) -> None:
        self._groups: dict[Value, deque[RenderTask]] = {}
        self._place: dict[int, Value] = {}

    def __len__(self) -> int:
        return sum(map(len, self._groups.values()))

    def put(self, task: RenderTask, first: bool = False) -> None:
        """Let a task wait, at the end or the beginning of its group."""
        group = self._groups.setdefault(task.group, deque())
        group.appendleft(task) if first else group.append(task)

    def take(self, slot: int, options: RenderOptions | None) -> RenderTask | None:
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

    def clear(self) -> list[RenderTask]:
        """Return all that wait, and let none wait any more."""
        tasks = [task for group in self._groups.values() for task in group]
        self._groups.clear()
        return tasks


@dataclass(eq=False)
class Slot:
    """Where an engine works, and those that replace it."""

    number: int
    state: State = "starting"
    world: str = ""
    images: int = 0
    restarts: int = 0
    losses: int = 0  # in a row


@dataclass(eq=False)
class LeaseHolder:
    """An engine, in a thread of its own, and the scenes that are leased to it.

    Attributes:
        slot: where it works.
        engine: ``None`` before it is made, and between two.
        leased: what it was given and has not answered; the oldest first.
        since: its last answer, or the first scene after it; ``None`` while it has nothing to do.
        images: of this engine.
        abandoned: whether another one has taken its place: whatever it still does counts no more.
    """

    slot: Slot
    engine: Engine | None = None
    leased: deque[RenderTask] = field(default_factory=deque)
    since: float | None = None
    images: int = 0
    abandoned: bool = False


class Dispatcher:
    """Gives scenes to engines. All methods are called with the lock of ``changed`` held.

    Args:
        limits: see `Limits`.
        workers: engines side by side.
        clock: seconds from any beginning.

    Attributes:
        changed: notified when there is something to do, or nothing any more.
        stopped: whether nothing more is given out.
        error: why no engine is left; ``None`` while there is one.
    """

    def __init__(self, limits: Limits, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.clock = clock
        self.changed = threading.Condition()
        self.queue = TaskQueue()
        self.out: dict[RenderTask, None] = {}  # the oldest first
        self.slots = [Slot(number) for number in range(workers)]
        self.holders: dict[Slot, LeaseHolder] = {}
        self.stopped = False
        self.error: BaseException | None = None
        self.ended: Future[None] = Future()
        self.lost: list[str] = []
        self.repeated = 0
        self.busy = 0.0
        self.idle = 0.0
        self._took: deque[float] = deque(maxlen=64)

    def take(self, holder: LeaseHolder, options: RenderOptions | None) -> RenderTask | None:
        """Return what an engine does next, if there is something; with the same options where it renders already."""
        if self.stopped or holder.abandoned:
            return None
        if self.limits.max_in_flight is not None and len(holder.leased) >= self.limits.max_in_flight:
            return None
        task = (
            self._overdue(holder, self.limits.lease, options)
            or self.queue.take(holder.slot.number, options)
            or (None if len(self.queue) else self._overdue(holder, self._patience(), options))
        )
        if task is not None:
            now = self.clock()
            if not holder.leased:
                holder.since = now
            holder.leased.append(task)
            holder.slot.world = task.sent.get_str("World_Name")
            task.out[holder] = now
            self.out[task] = None
        return task

    def answered(self, holder: LeaseHolder, answer: Rendered) -> Rendered | None:
        """Take note of an answer to the oldest leased scene; return it where it is the last word."""
        now = self.clock()
        task = holder.leased.popleft()
        since = task.out.pop(holder, now)
        holder.since = None  # until the callbacks are done: their time is not the engine's
        if isinstance(answer, Failure):
            return self._tried(task, answer, self.limits.retries)
        self._took.append(now - since)
        holder.images += 1
        holder.slot.images += 1
        holder.slot.losses = 0
        self.out.pop(task, None)
        task.answered = True
        return answer

    def requeue(self, holder: LeaseHolder, reason: str | None) -> Settled:
        """Put back what a lost engine had; the oldest scene may be what killed it, so that counts as a try.

        No scene is to blame for an engine that did not start: then ``reason`` is ``None``.
        """
        leased, holder.since = list(holder.leased), None
        holder.leased.clear()
        settled: Settled = []
        for number, task in reversed(list(enumerate(leased))):
            task.out.pop(holder, None)
            if not task.out:
                self.out.pop(task, None)
            if number == 0 and reason is not None:
                failure = Failure(task.scene, reason, engine_lost=True)
                budget = self.limits.retries if self.limits.losses is None else self.limits.losses
                if (last := self._tried(task, failure, budget)) is not None:
                    settled.append((task, last))
            elif not task.out and not task.over:
                self.queue.put(task, first=True)
        if self.stopped:  # nobody will take them
            settled += [(task, self.error) for task in self.queue.clear()]
        self.changed.notify_all()
        return settled

    def count_loss(self, slot: Slot, reason: str, cause: BaseException | None = None) -> EngineError | None:
        """Count an engine as lost; return an error where that is too often in a row."""
        slot.losses += 1
        if slot.losses <= self.limits.restarts:
            return None
        error = EngineError(f"the engine was lost {slot.losses} times in a row; the last: {reason}")
        error.__cause__ = cause
        return error

    def pause(self, slot: Slot) -> float:
        """Return how long to wait before the next engine is made, in seconds: not at first, then longer each time."""
        return min(0.1 * 4 ** (slot.losses - 2), self.limits.max_pause) if slot.losses > 1 else 0.0

    def leave(self, slot: Slot, error: BaseException | None) -> Settled:
        """End a slot; where no engine is left, that is the answer to everything."""
        slot.state = "left"
        self.holders.pop(slot, None)
        if error is not None:
            self.lost.append(str(error))
            # What no other engine would do better ends everything, and so does the loss of the last engine.
            if not isinstance(error, EngineError) or all(one.state == "left" for one in self.slots):
                self.error = self.error or error
                self.stopped = True
                with suppress(InvalidStateError):
                    self.ended.set_exception(self.error)
        self.changed.notify_all()
        if self.error is None:
            return []
        tasks = [*self.queue.clear(), *(task for task in self.out if not task.out)]
        if not self.holders:
            tasks += self.out
            self.out.clear()
        return [(task, self.error) for task in tasks]

    def stop(self) -> Settled:
        """Give out nothing more."""
        self.stopped = True
        self.changed.notify_all()
        return [(task, None) for task in self.queue.clear()]

    def hanging(self) -> list[tuple[LeaseHolder, str]]:
        """Return the engines whose lease has ended, and what to say of them."""
        now, lease = self.clock(), self.limits.lease
        found = []
        for holder in self.holders.values():
            starting = holder.engine is None and holder.slot.state == "starting"  # else it is being closed
            limit = max(lease, START_LIMIT) if starting else lease
            if holder.since is not None and now - holder.since > limit:
                hint = "" if starting else f" (lease={lease:g}: give more where one picture takes longer)"
                found.append((holder, f"nothing came for {limit:g} s{hint}"))
        return found

    def hangs_unawaited(self, holder: LeaseHolder) -> bool:
        """Whether an engine takes much longer than usual over scenes that nobody waits for."""
        return (
            holder.since is not None
            and bool(holder.leased)
            and all(task.over for task in holder.leased)
            and self.clock() - holder.since > self._patience()
        )

    def _tried(self, task: RenderTask, failure: Failure, budget: int) -> Failure | None:
        """Put a scene that failed back; return the failure where its budget is spent and nobody else tries."""
        task.attempts += 1
        if task.out:
            return None
        self.out.pop(task, None)
        if task.over:
            return None
        if not self.stopped and task.attempts <= budget:
            self.queue.put(task)
            self.changed.notify_all()
            return None
        task.answered = True
        return replace(failure, attempts=max(task.attempts, failure.attempts))

    def _overdue(self, holder: LeaseHolder, limit: float, options: RenderOptions | None) -> RenderTask | None:
        """Return what one other engine has had for longer than ``limit`` seconds."""
        now = self.clock()
        for task in islice(self.out, 256):
            if len(task.out) == 1 and holder not in task.out and now - min(task.out.values()) > limit:
                if task.over or (options is not None and options != task.options):
                    continue
                self.repeated += 1
                return task
        return None

    def _patience(self) -> float:
        """Return after how many seconds an idle engine tries what another one has."""
        lease = self.limits.lease
        return min(lease, max(1.0, _UNUSUAL * statistics.median(self._took))) if self._took else lease
