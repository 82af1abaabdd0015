"""One engine in one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Queue

from typing_extensions import override

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import DatasetError, EngineError, ProtocolError
from torchmultiverse.farm.schedule import Schedule
from torchmultiverse.scenes import Design, Scene, Spec
from torchmultiverse.store import measure, outside

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
class Nudges:
    """What is tried for a picture that fails a check of quality: the same scene with the camera moved a little.

    Attributes:
        limits: of the checks, see `torchmultiverse.store.quality`.
        steps: (factor, degrees added to it), one after the other. Only factors that the design does not vary.
    """

    limits: Mapping[str, Sequence[float]]
    steps: Sequence[tuple[str, float]]

    @classmethod
    def of(cls, spec: Spec, design: Design) -> Nudges | None:
        """Return what a spec allows; ``None`` where it allows nothing, or its design varies the camera itself."""
        most = spec.quality.nudge
        free = [name for name in ("Camera_Yaw", "Camera_Pitch") if name not in design.factors]
        steps = [(name, part * most) for part in (0.5, -0.5, 1.0, -1.0) for name in free]
        return cls(spec.quality.limits, steps) if most and steps else None

    def failed(self, frame: Frame) -> int:
        """Return how many checks a frame fails."""
        return len(outside(measure(frame), self.limits))

    def scene(self, scene: Scene, step: int) -> Scene:
        """Return a scene with the camera moved."""
        name, degrees = self.steps[step]
        return scene.changed(**{name: scene.get_float(name) + degrees})


@dataclass(frozen=True)
class Asked:
    """A scene that an engine was asked for: the design's own (``step`` −1), or a nudged one instead of it."""

    index: int
    scene: Scene
    step: int = -1
    best: Frame | None = None
    """What was rendered before it and failed."""


@dataclass(frozen=True)
class Job:
    """What the workers of one run share."""

    design: Design
    options: RenderOptions
    schedule: Schedule
    results: Queue[Answered | Left]
    fingerprint: str
    nudges: Nudges | None = None
    recycle: int | None = None
    """Pictures after which an engine is made anew."""
    memory: int | None = None
    """Bytes of an engine's processes above which it is made anew."""


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
        self._engine: Engine | None = None
        self._ended = ""  # why the engine was ended from outside
        self._since = 0  # answers of this engine's predecessors
        self.state = "starting"
        self.world = ""
        self.restarts = 0

    @property
    def answers(self) -> int:
        """Pictures so far."""
        return self._answers

    @property
    def memory(self) -> int | None:
        """Bytes of memory of the engine's processes, where it has some of its own."""
        measure: Callable[[], int] | None = getattr(self._engine, "memory", None)
        return measure() if measure is not None else None

    def end_engine(self, reason: str) -> None:
        """End an engine that does not answer, from another thread; the worker then makes a new one."""
        engine, self._engine = self._engine, None
        if engine is not None:
            self._ended = reason
            threading.Thread(target=_close, args=(engine,), name=f"{self.name}-end", daemon=True).start()

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
                    self.state = "idle"
                    if not job.schedule.wait(0.25):
                        return
                    continue
                begun = deque([Asked(index, job.design[index].unlabelled)])
                answers = self._answers
                try:
                    if engine is None:
                        self.state = "starting"
                        engine = self._make()
                        _same(job, engine.catalogue().fingerprint)
                    self._engine, self.state = engine, "rendering"
                    self._render(job, engine, begun)
                    if self._worn(job):
                        self._engine, worn, engine = None, engine, None
                        self._since = self._answers
                        self.restarts += 1
                        worn.close()
                except (EngineError, ProtocolError, OSError, CancelledError) as raised:
                    error = EngineError(self._ended) if self._ended else raised
                    self._engine, self._ended, self._since = None, "", self._answers
                    lost = 1 if self._answers > answers else lost + 1
                    broken, engine = engine, None
                    self._return(job, begun, None if broken is None else str(error))
                    if broken is not None:
                        self.restarts += 1
                        _close(broken)
                    if lost > ENGINE_RESTARTS:
                        raise EngineError(f"the engine was lost {lost} times in a row; the last: {error}") from error
                    self._stopping.wait(min(0.1 * 4 ** (lost - 1), _LONGEST_PAUSE))
                except BaseException:
                    for left in reversed(begun):
                        job.schedule.give_back(left.index, self.number)
                    raise
        finally:
            self.state, self._engine = "left", None
            if engine is not None:
                engine.close()

    def _worn(self, job: Job) -> bool:
        """Whether this engine has rendered, or eaten, its budget."""
        if job.recycle is not None and self._answers - self._since >= job.recycle:
            return True
        memory = self.memory if job.memory is not None else None
        return memory is not None and job.memory is not None and memory > job.memory

    def _render(self, job: Job, engine: Engine, begun: deque[Asked]) -> None:
        waiting = deque(begun)  # to be asked, in front of what the schedule has
        begun.clear()

        def scenes() -> Iterator[Scene]:
            while not self._stopping.is_set():
                if waiting:
                    asked = waiting.popleft()
                elif self._worn(job):
                    return
                elif (index := job.schedule.take(self.number)) is not None:
                    asked = Asked(index, job.design[index].unlabelled)
                else:
                    return
                begun.append(asked)
                self.world = asked.scene.get_str("World_Name")
                yield asked.scene

        try:
            while waiting and not self._stopping.is_set():  # the last picture of all may be the one that is nudged
                for answer in engine.render(scenes(), job.options):
                    if not begun:
                        raise EngineError("the engine answered more often than it was asked")
                    if isinstance(answer, Frame) and answer.engine:
                        _same(job, answer.engine)  # behind one address the engine may have been replaced
                    checked = _checked(answer, begun[0].scene, job.options)
                    self._answers += isinstance(checked, Frame)
                    if (nudged := self._settle(job, begun.popleft(), checked)) is not None:
                        waiting.append(nudged)
                if begun:
                    raise EngineError(f"the engine left {len(begun)} scenes unanswered")
        finally:
            begun.extend(waiting)

    def _settle(self, job: Job, asked: Asked, answer: Frame | Failure) -> Asked | None:
        """Hand in an answer; or return what is to be asked instead of a picture that fails a check."""
        if isinstance(answer, Failure):
            if asked.best is not None:  # the nudge failed, the picture before it is there
                self._answer(job, asked.index, asked.best)
                return None
            attempts = job.schedule.attempts(asked.index)
            if not job.schedule.retry(asked.index, self.number):
                scene = job.design[asked.index]
                failure = replace(answer, scene=scene, attempts=max(attempts, answer.attempts))
                job.results.put(Answered(asked.index, failure))
            return None
        frame = answer
        if job.nudges is not None:
            if asked.step >= 0:
                name, degrees = job.nudges.steps[asked.step]
                frame = answer.instead_of(job.design[asked.index], nudge={name: degrees})
            failed = job.nudges.failed(frame)
            if asked.best is not None and failed >= job.nudges.failed(asked.best):
                frame = asked.best
            if failed and asked.step + 1 < len(job.nudges.steps):
                scene = job.nudges.scene(job.design[asked.index], asked.step + 1).unlabelled
                return Asked(asked.index, scene, asked.step + 1, frame)
        self._answer(job, asked.index, frame)
        return None

    def _answer(self, job: Job, index: int, frame: Frame) -> None:
        job.schedule.came(index, self.number)
        scene = job.design[index]  # with its labels, which no engine was told
        job.results.put(Answered(index, frame if frame.scene == scene else frame.instead_of(scene)))

    def _return(self, job: Job, begun: deque[Asked], reason: str | None) -> None:
        """Put back what a lost engine had; the oldest scene may be what killed it, so that counts as a try.

        No scene is to blame for an engine that did not start: then ``reason`` is ``None``.
        """
        oldest = begun.popleft().index if begun and reason is not None else None
        for asked in reversed(begun):
            job.schedule.give_back(asked.index, self.number)
        if oldest is None or reason is None:
            return
        attempts = job.schedule.attempts(oldest)
        if not job.schedule.retry(oldest, self.number):
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


def _close(engine: Engine) -> None:
    # Two threads may end one engine, and an engine that is broken may break once more.
    with suppress(Exception, CancelledError):
        engine.close()
