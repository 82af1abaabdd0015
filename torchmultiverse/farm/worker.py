"""One engine in one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import Queue

from typing_extensions import override

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import DatasetError, EngineError, ProtocolError
from torchmultiverse.farm.schedule import Schedule
from torchmultiverse.spec import Design, Scene

ENGINE_RESTARTS = 3
"""How often in a row a worker makes its engine anew without a picture in between."""
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class Answered:
    """A scene got its frame, or is given up."""

    index: int
    answer: Frame | Failure


@dataclass(frozen=True)
class Left:
    """A worker ended: nothing was left to do, or an error ended it."""

    error: BaseException | None = None


@dataclass(frozen=True)
class Job:
    """What the workers of one run share."""

    design: Design
    options: RenderOptions
    schedule: Schedule
    results: Queue[Answered | Left]
    fingerprint: str


class Worker(threading.Thread):
    """Renders what the schedule hands out; makes its engine in this thread, and anew when it is lost.

    The first worker makes its engine before the job is known, because the engine's catalogue decides whether there
    is a job; the others make theirs when there is something to do.

    Args:
        number: 0 for the first worker.
        make: returns an engine.
    """

    def __init__(self, number: int, make: Callable[[], Engine]) -> None:
        super().__init__(name=f"farm-{number}", daemon=True)
        self.catalogue: Future[Catalogue] = Future()
        self.notes: list[str] = []
        self.job: Future[Job | None] = Future()
        self.number = number
        self._make = make
        self._stopping = threading.Event()
        self._answers = 0

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    def dismiss(self, patience: float) -> None:
        """End a worker that waits for its job in vain, and wait ``patience`` seconds for its engine to close."""
        if not self.job.done():
            self.job.set_result(None)
        if self.is_alive():
            self.join(patience)

    @override
    def run(self) -> None:
        engine: Engine | None = None
        try:
            if self.number == 0:
                try:
                    engine = self._make()
                    self.notes = list(engine.manifest_notes()) if hasattr(engine, "manifest_notes") else []
                    self.catalogue.set_result(engine.catalogue())
                except BaseException as error:
                    self.catalogue.set_exception(error)
                    return
            job = self.job.result()
            if job is None:
                return
            mine, engine = engine, None
            try:
                self._work(job, mine)
            except BaseException as error:
                job.results.put(Left(error))
            else:
                job.results.put(Left())
        finally:
            if engine is not None:
                engine.close()

    def _work(self, job: Job, engine: Engine | None) -> None:
        """Render until nothing is left.

        Raises:
            EngineError: the engine was lost more often in a row than is worth trying.
            DatasetError: the engine is not the one that the dataset is made with.
        """
        lost = 0
        try:
            while not self._stopping.is_set():
                index = job.schedule.take(self.number)
                if index is None:
                    return
                begun = deque([index])
                answers = self._answers
                try:
                    if engine is None:
                        engine = self._make()
                        _same(job, engine.catalogue().fingerprint)
                    self._render(job, engine, begun)
                except (EngineError, ProtocolError, OSError) as error:
                    lost = 1 if self._answers > answers else lost + 1
                    broken, engine = engine, None
                    self._return(job, begun, None if broken is None else str(error))
                    if broken is not None:
                        broken.close()
                    if lost > ENGINE_RESTARTS:
                        raise EngineError(f"the engine was lost {lost} times in a row; the last: {error}") from error
                    self._stopping.wait(min(0.1 * 4 ** (lost - 1), _LONGEST_PAUSE))
                except BaseException:
                    for left in reversed(begun):
                        job.schedule.give_back(left)
                    raise
        finally:
            if engine is not None:
                engine.close()

    def _render(self, job: Job, engine: Engine, begun: deque[int]) -> None:
        first = begun[0]

        def scenes() -> Iterator[Scene]:
            yield job.design[first]
            while not self._stopping.is_set() and (index := job.schedule.take(self.number)) is not None:
                begun.append(index)
                yield job.design[index]

        for answer in engine.render(scenes(), job.options):
            if not begun:
                raise EngineError("the engine answered more often than it was asked")
            if isinstance(answer, Frame) and answer.engine:
                _same(job, answer.engine)  # behind one address the engine may have been replaced
            index = begun[0]
            checked = _checked(answer, job.design[index], job.options)
            self._answers += isinstance(checked, Frame)
            begun.popleft()
            if isinstance(checked, Failure):
                attempts = job.schedule.attempts(index)
                if job.schedule.retry(index):
                    continue
                checked = replace(checked, attempts=max(attempts, checked.attempts))
            job.results.put(Answered(index, checked))
        if begun:
            raise EngineError(f"the engine left {len(begun)} scenes unanswered")

    def _return(self, job: Job, begun: deque[int], reason: str | None) -> None:
        """Put back what a lost engine had; the oldest scene may be what killed it, so that counts as a try.

        No scene is to blame for an engine that did not start: then ``reason`` is ``None``.
        """
        oldest = begun.popleft() if begun and reason is not None else None
        for index in reversed(begun):
            job.schedule.give_back(index)
        if oldest is None or reason is None:
            return
        attempts = job.schedule.attempts(oldest)
        if not job.schedule.retry(oldest):
            job.results.put(Answered(oldest, Failure(job.design[oldest], reason, attempts)))


def _same(job: Job, fingerprint: str) -> None:
    if fingerprint != job.fingerprint:
        raise DatasetError(
            f"an engine with fingerprint '{fingerprint}' joined; this dataset is made with '{job.fingerprint}', "
            "and one dataset has one engine"
        )


def _checked(answer: Frame | Failure, wanted: Scene, options: RenderOptions) -> Frame | Failure:
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
            shape = answer.array(name).shape
            if shape[:2] != (height, width):
                return Failure(wanted, f"{name} is {shape[1]} × {shape[0]}, not {width} × {height}")
    except ProtocolError as error:
        return Failure(wanted, str(error))
    return answer
