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

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from torchmultiverse.engines.contract import Engine, RenderOptions
from torchmultiverse.engines.dispatch import (
    LEASE,
    RESTARTS,
    Dispatcher,
    EngineStatus,
    Limits,
    Rendered,
    RenderTask,
    Settled,
    Slot,
    settle_all,
)
from torchmultiverse.engines.runner import TICK, Description, Runner, close_quietly, memory_of
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene

__all__ = ["LEASE", "RESTARTS", "EngineStatus", "Limits", "Supervisor"]
_GRACE = 3.0
"""Seconds that a thread may take to end when its engine was closed."""


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
        limits: Limits = Limits(),  # noqa: B008 - frozen
        by_world: bool = False,
        check: Callable[[str], None] | None = None,
        name: str = "engine",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._by_world = by_world
        self._check = check
        self._name = name
        self._dispatcher = Dispatcher(limits, workers, clock)
        self._runners: list[Runner] = []
        self._closers: list[threading.Thread] = []
        self._watcher: threading.Thread | None = None

    def start(self) -> Description:
        """Make the first engine now; return its catalogue, and what a dataset made with it should say of itself.

        Raises:
            TorchMultiverseError: it cannot be made.
        """
        described: Future[Description] = Future()
        with self._dispatcher.changed:
            self._begin(self._dispatcher.slots[0], described)
        return described.result()

    def submit(
        self,
        scene: Scene,
        options: RenderOptions,
        *,
        first: bool = False,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Future[Rendered]:
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

    def submit_all(
        self,
        scenes: Sequence[Scene],
        options: RenderOptions,
        callbacks: Sequence[Callable[[Future[Rendered]], None]] = (),
    ) -> list[Future[Rendered]]:
        """Have scenes rendered; engines choose their worlds when all are known.

        Args:
            scenes: with or without labels.
            options: how.
            callbacks: one for each scene, called with its future in the thread of the engine that answered, or of this
                supervisor. One that is added to a future later may be called at once, in the thread that adds it.

        Returns:
            a future for each scene, see `submit`.
        """
        tasks = [self._task(scene, options) for scene in scenes]
        for task, callback in zip(tasks, callbacks, strict=True) if callbacks else ():
            task.future.add_done_callback(callback)
        return self._put(tasks)

    @property
    def waiting(self) -> int:
        """How many scenes wait for an engine."""
        with self._dispatcher.changed:
            return len(self._dispatcher.queue)

    @property
    def ended(self) -> Future[None]:
        """Gets an exception when no engine is left, or when there is something that another engine would not mend."""
        return self._dispatcher.ended

    @property
    def lost(self) -> list[str]:
        """Why slots were given up; the others do their work."""
        return list(self._dispatcher.lost)

    @property
    def repeated(self) -> int:
        """How many scenes were handed to a second engine."""
        return self._dispatcher.repeated

    @property
    def busy(self) -> float:
        """Seconds that engines had something to do, summed."""
        return self._dispatcher.busy

    @property
    def idle(self) -> float:
        """Seconds that engines waited for something to do, summed."""
        return self._dispatcher.idle

    def status(self) -> list[EngineStatus]:
        """Return how each engine stands."""
        found = []
        for slot in self._dispatcher.slots:
            with self._dispatcher.changed:
                holder = self._dispatcher.holders.get(slot)
                engine, since = (holder.engine, holder.since) if holder else (None, None)
                waits = 0.0 if since is None else self._dispatcher.clock() - since
            memory = memory_of(engine)
            found.append(
                EngineStatus(slot.number, slot.state, slot.world, slot.images, slot.restarts, memory, round(waits, 1))
            )
        return found

    def stop(self) -> None:
        """Begin nothing more: what waits is cancelled, what is being rendered comes to its end."""
        with self._dispatcher.changed:
            settled = self._dispatcher.stop()
        settle_all(settled)

    def join(self, seconds: float) -> bool:
        """Wait, after `stop`, for the engines to end; return whether all have, but those that were abandoned."""
        with self._dispatcher.changed:
            runners = [runner for runner in self._runners if not runner.holder.abandoned]
        return _join(runners, time.monotonic() + seconds)

    def close(self, patience: float = 30.0) -> None:
        """End the engines; may be called twice.

        Args:
            patience: seconds that an engine gets to finish what it renders; then, and before where it takes much longer
                than usual over something that nobody waits for, it is closed from outside, and after a moment left to
                itself.
        """
        self.stop()
        end = time.monotonic() + patience
        while not self.join(min(TICK, max(end - time.monotonic(), 0))):
            late = time.monotonic() >= end
            with self._dispatcher.changed:
                for runner in self._runners:
                    if late or self._dispatcher.hangs_unawaited(runner.holder):
                        self._abandon(runner)
        _join(self._closers, max(end, time.monotonic() + _GRACE))
        _join(self._runners, time.monotonic() + _GRACE)
        with self._dispatcher.changed:
            out = list(self._dispatcher.out)
            self._dispatcher.out.clear()
            watcher, self._watcher = self._watcher, None
            self._dispatcher.changed.notify_all()
        error = self._dispatcher.error or EngineError("the engines were closed")
        settle_all([(task, error) for task in out])
        _join([watcher] if watcher is not None else [], time.monotonic() + _GRACE)

    def watch(self) -> None:
        """Replace engines whose lease has ended; called all the time by a thread of this supervisor."""
        settled: Settled = []
        dispatcher = self._dispatcher
        with dispatcher.changed:
            for holder, reason in dispatcher.hanging():
                slot, there = holder.slot, holder.engine is not None
                runner = next(runner for runner in self._runners if runner.holder is holder)
                self._abandon(runner)
                settled += dispatcher.requeue(holder, reason if there else None)
                slot.restarts += there
                error = dispatcher.count_loss(slot, reason)
                silent = EngineError(f"the engine does not say what it is: {reason}")
                error = silent if runner.cannot_be_described(silent) else error
                if error is None and not dispatcher.stopped:
                    self._begin(slot)
                else:
                    settled += dispatcher.leave(slot, error)
        settle_all(settled)

    def _task(self, scene: Scene, options: RenderOptions, wanted: Callable[[], bool] = lambda: True) -> RenderTask:
        return RenderTask(scene, scene.unlabelled, options, wanted, scene["World_Name"] if self._by_world else "")

    def _put(self, tasks: list[RenderTask], first: bool = False) -> list[Future[Rendered]]:
        dispatcher = self._dispatcher
        with dispatcher.changed:
            error = dispatcher.error
            if error is None and dispatcher.stopped:
                error = EngineError("the engines were closed")
            if error is None and tasks:
                for task in tasks:
                    dispatcher.queue.put(task, first)
                for slot in dispatcher.slots:
                    if slot not in dispatcher.holders and slot.state != "left":
                        self._begin(slot)
                dispatcher.changed.notify_all()
        if error is not None:
            settle_all([(task, error) for task in tasks])
        return [task.future for task in tasks]

    # With the lock held ---------------------------------------------------------------------------------------

    def _begin(self, slot: Slot, described: Future[Description] | None = None) -> None:
        """Start a thread, with an engine to be made, in a slot."""
        self._runners = [runner for runner in self._runners if runner.is_alive()]
        self._closers = [closer for closer in self._closers if closer.is_alive()]
        name = f"{self._name}-{slot.number}"
        runner = Runner(self._dispatcher, slot, self._make, check=self._check, name=name, described=described)
        self._runners.append(runner)
        runner.start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watching, name=f"{self._name}-watch", daemon=True)
            self._watcher.start()

    def _abandon(self, runner: Runner) -> None:
        """Close an engine from outside and wait no more for its thread."""
        holder = runner.holder
        if holder.abandoned or not runner.is_alive():
            return
        holder.abandoned = True
        self._dispatcher.holders.pop(holder.slot, None)
        if holder.engine is not None:
            closer = threading.Thread(
                target=close_quietly, args=(holder.engine,), name=f"{runner.name}-close", daemon=True
            )
            self._closers.append(closer)
            closer.start()
        self._dispatcher.changed.notify_all()

    def _watching(self) -> None:
        """Call `watch` until everything has ended; without the lock."""
        while True:
            with self._dispatcher.changed:
                if self._watcher is not threading.current_thread():
                    return
                self._dispatcher.changed.wait(TICK)
            self.watch()


def _join(threads: Sequence[threading.Thread], end: float) -> bool:
    """Wait for threads until a time of the monotonic clock; return whether all have ended."""
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(end - time.monotonic(), 0))
    return not any(thread.is_alive() for thread in threads)
