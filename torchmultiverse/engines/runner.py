"""A thread in which engines are made, used and closed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from typing_extensions import override

from torchmultiverse.engines.codec import LAYOUTS
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
from torchmultiverse.engines.dispatch import Dispatcher, LeaseHolder, Rendered, RenderTask, Slot, settle_all
from torchmultiverse.errors import EngineError, ProtocolError, TorchMultiverseError, shortened
from torchmultiverse.scenes import Scene

log = logging.getLogger(__name__)
TICK = 0.25
"""Seconds between two looks at what others have had for too long."""
Description = tuple[Catalogue, list[str]]
"""What the first engine says of itself: its catalogue, and notes for a dataset's manifest."""


class Runner(threading.Thread):
    """Renders what a dispatcher gives out, on engines made one after the other, until it is abandoned.

    Args:
        dispatcher: gives out scenes.
        slot: where this thread's engines work.
        make: makes an engine.
        check: called with the fingerprint of each engine, and of each frame.
        name: of the thread.
        described: gets what the first engine says of itself, which is then made at once.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        slot: Slot,
        make: Callable[[], Engine],
        *,
        check: Callable[[str], None] | None = None,
        name: str,
        described: Future[Description] | None = None,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.holder = LeaseHolder(slot)
        self._make_engine = make
        self._check = check
        self._described = described
        self._dispatcher = dispatcher
        dispatcher.holders[slot] = self.holder

    @override
    def run(self) -> None:
        dispatcher, holder = self._dispatcher, self.holder
        error: BaseException | None = None
        try:
            self._describe()
            while self._wait():
                self._work()
        except BaseException as raised:
            error = raised
        if holder.engine is not None:
            close_quietly(holder.engine)
        with dispatcher.changed:
            if holder.abandoned:
                return
            holder.engine = None
            settled = [*dispatcher.requeue(holder, None), *dispatcher.leave(holder.slot, error)]
        settle_all(settled)

    def _describe(self) -> None:
        """Make the engine now, for whoever wants to know what it is."""
        if self._described is None:
            return
        with self._dispatcher.changed:
            self.holder.since = self._dispatcher.clock()  # an engine may hang before the first scene as well
        try:
            engine = self._make()
            notes = capability(engine, HasManifestNotes)
            found = engine.catalogue(), notes.manifest_notes() if notes else []
        except BaseException as raised:
            known = isinstance(raised, TorchMultiverseError | OSError)
            error = raised if known else EngineError(f"the engine cannot be made: {_reason(raised)}")
            error.__cause__ = raised.__cause__ if known else raised
            self.cannot_be_described(error)
            raise error from error.__cause__
        with suppress(InvalidStateError):  # where it came too late
            self._described.set_result(found)

    def cannot_be_described(self, error: BaseException) -> bool:
        """Say so to whoever waits to know what the engine is; return whether somebody does."""
        try:
            if self._described is not None:
                self._described.set_exception(error)
        except InvalidStateError:
            return False
        return self._described is not None

    def _make(self) -> Engine:
        self.holder.slot.state = "starting"
        engine = self._make_engine()
        with self._dispatcher.changed:
            self.holder.engine, self.holder.images = engine, 0
            if self.holder.since is not None:
                self.holder.since = self._dispatcher.clock()
            if self.holder.abandoned:
                raise EngineError("it took too long to start")
        return engine

    def _wait(self) -> bool:
        """Wait for something to do, and take it; return whether there will be something."""
        dispatcher, holder = self._dispatcher, self.holder
        begun = time.perf_counter()
        with dispatcher.changed:
            holder.since = None
            while not dispatcher.stopped and not holder.abandoned:
                if dispatcher.take(holder, None) is not None:
                    dispatcher.idle += time.perf_counter() - begun
                    return True
                holder.slot.state = "idle"
                dispatcher.changed.wait(TICK if dispatcher.out else None)
        return False

    def _work(self) -> None:
        """Render what is leased and what comes after it, until there is nothing more; replace an engine that is lost.

        Raises:
            EngineError: engines were lost more often in a row than is worth trying.
            TorchMultiverseError: of any other kind, which another engine would not mend.
        """
        dispatcher, holder = self._dispatcher, self.holder
        begun = time.perf_counter()
        try:
            if holder.engine is None:
                engine = self._make()
                if self._check is not None:
                    self._check(engine.catalogue().fingerprint)
            holder.slot.state = "rendering"
            self._render()
            if self._worn():
                holder.slot.restarts += 1
                self._drop()
        except KeyboardInterrupt:  # somebody wants all of it to end
            raise
        except BaseException as error:  # an engine that ends its thread, as by `sys.exit`, is lost like any other
            if isinstance(error, TorchMultiverseError) and not isinstance(error, EngineError | ProtocolError):
                raise
            self._lost(error)
        finally:
            with dispatcher.changed:
                dispatcher.busy += time.perf_counter() - begun

    def _render(self) -> None:
        dispatcher, holder = self._dispatcher, self.holder
        engine, options = holder.engine, holder.leased[0].options
        assert engine is not None
        for answer in engine.render(self._scenes(), options):
            if holder.abandoned:
                return
            if not isinstance(answer, Frame | Failure):
                raise EngineError(f"the engine yielded {shortened(answer)}: neither a Frame nor a Failure")
            if not holder.leased:
                raise EngineError("the engine answered more often than it was asked")
            if self._check is not None and isinstance(answer, Frame) and answer.engine:
                self._check(answer.engine)  # behind one address the engine may have been replaced
            task = holder.leased[0]
            checked = _checked(answer, task.sent, options)
            with dispatcher.changed:
                if holder.abandoned:
                    return
                last = dispatcher.answered(holder, checked)
            if last is not None:
                task.settle(last)
            with dispatcher.changed:
                holder.since = dispatcher.clock()  # an engine may hang between two scenes as well
        if holder.leased and not holder.abandoned:
            raise EngineError(f"the engine left {len(holder.leased)} scenes unanswered")

    def _scenes(self) -> Iterator[Scene]:
        """Yield the leased scene, and then what else there is, as the engine asks for it."""
        task: RenderTask | None = self.holder.leased[0]
        options = self.holder.leased[0].options
        while task is not None:
            yield task.sent
            if self._worn():
                return
            with self._dispatcher.changed:
                task = self._dispatcher.take(self.holder, options)

    def _worn(self) -> bool:
        """Whether this engine has rendered, or eaten, its budget."""
        limits = self._dispatcher.limits
        if limits.recycle is not None and self.holder.images >= limits.recycle:
            return True
        used = memory_of(self.holder.engine) if limits.memory is not None else None
        return used is not None and limits.memory is not None and used > limits.memory

    def _drop(self) -> None:
        """Close the engine; the next one is made when there is something to do."""
        with self._dispatcher.changed:
            engine, self.holder.engine = self.holder.engine, None
            self.holder.since = self._dispatcher.clock()  # an engine may hang while it is closed as well
        if engine is not None:
            close_quietly(engine)
        with self._dispatcher.changed:
            self.holder.since = None

    def _lost(self, error: BaseException) -> None:
        """Put back what the engine had, and wait a little.

        Raises:
            EngineError: engines were lost more often in a row than is worth trying.
        """
        dispatcher, holder = self._dispatcher, self.holder
        known = isinstance(error, TorchMultiverseError | OSError)
        reason = _reason(error)
        with dispatcher.changed:
            if holder.abandoned:
                return
            there = holder.engine is not None
            holder.slot.restarts += there
            settled = dispatcher.requeue(holder, reason if there else None)
            over = dispatcher.count_loss(holder.slot, reason, error)
        settle_all(settled)
        self._drop()
        if not known:
            log.error("an engine broke", exc_info=error)
        if over is not None:
            raise over
        with dispatcher.changed:
            dispatcher.changed.wait_for(lambda: dispatcher.stopped or holder.abandoned, dispatcher.pause(holder.slot))


def _reason(error: BaseException) -> str:
    """Return what was wrong; of a bug in an engine, with its kind."""
    return str(error) if isinstance(error, TorchMultiverseError | OSError) else f"{type(error).__name__}: {error}"


def _checked(answer: Rendered, wanted: Scene, options: RenderOptions) -> Rendered:
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
            values = answer.array(name) if held is None else held
            shape, dtype = tuple(values.shape), str(values.dtype).removeprefix("torch.")
            channels, right = LAYOUTS[name]
            if len(shape) not in (2, 3) or shape[2:] != channels or dtype not in right:
                what = f"{' or '.join(right)} {(height, width, *channels)}"
                return Failure(wanted, f"{name} is {dtype} {shape}, not {what}")
            if shape[:2] != (height, width):
                return Failure(wanted, f"{name} is {shape[1]} × {shape[0]}, not {width} × {height}")
    except ProtocolError as error:
        return Failure(wanted, str(error))
    return answer


def memory_of(engine: Engine | None) -> int | None:
    """Return the bytes of an engine's processes, where it has some of its own."""
    measured = None if engine is None else capability(engine, ReportsMemory)
    return None if measured is None else measured.memory()


def close_quietly(engine: Engine) -> None:
    """Close an engine that may be broken, or be closed by two threads at once: what it raises is only logged."""
    try:
        engine.close()
    except BaseException as error:
        log.info("an engine did not close: %s: %s", type(error).__name__, error)
