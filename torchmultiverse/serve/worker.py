"""The one thread in which an engine is made, used and closed, and the queue before it."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError, TorchMultiverseError
from torchmultiverse.scenes import Scene

log = logging.getLogger(__name__)


@dataclass
class Job:
    """A scene to render; ``done`` is called in the engine's thread, unless ``cancelled`` says that nobody waits."""

    scene: Scene
    options: RenderOptions
    done: Callable[[Frame | Failure | EngineError], None]
    cancelled: Callable[[], bool] = lambda: False


class Worker:
    """The thread in which the engine lives: made, used and closed there (Mitsuba wants one thread)."""

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._ready: queue.Queue[Engine | BaseException] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.catalogue: Any = None
        self.breaks = 0
        """How often in a row the engine broke instead of answering."""

    def start(self) -> None:
        """Start the engine.

        Raises:
            TorchMultiverseError: the engine cannot start.
        """
        self._thread.start()
        answer = self._ready.get()
        if isinstance(answer, BaseException):
            raise answer

    def submit(self, job: Job) -> None:
        """Let a job wait its turn."""
        self._jobs.put(job)

    def waiting(self) -> int:
        """Return how many jobs wait."""
        return self._jobs.qsize()

    def stop(self) -> None:
        """Close the engine after the job at hand."""
        self._jobs.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            engine = self._make()
            self.catalogue = engine.catalogue()
            self._ready.put(engine)
        except BaseException as error:
            self._ready.put(error)
            return
        try:
            while (job := self._jobs.get()) is not None:
                if job.cancelled():
                    continue
                job.done(self._answer(engine, job))
        finally:
            engine.close()

    def _answer(self, engine: Engine, job: Job) -> Frame | Failure | EngineError:
        try:
            for answer in engine.render([job.scene], job.options):
                if isinstance(answer, Frame):
                    for name in job.options.passes:
                        answer.encoded(name)  # encode here, not on the event loop
                self.breaks = 0
                return answer
            error: Exception = EngineError("the engine gave no answer")
        except TorchMultiverseError as known:
            error = known
        except Exception as unknown:  # the engine is somebody's code: its scene fails, the server goes on
            log.exception("the engine broke on %r", job.scene)
            error = EngineError(f"{type(unknown).__name__}: {unknown}")
        self.breaks += 1
        return EngineError(str(error))
