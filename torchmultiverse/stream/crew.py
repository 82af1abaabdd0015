"""Engines side by side that render what a stream shows next."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.scenes import Scene

RESTARTS = 3
"""How often in a row an engine is made anew without a picture in between."""


class _Work:
    """One engine in a thread: what it has in hand, and since when nothing came from it."""

    def __init__(self, lost: int) -> None:
        self.lost = lost  # engines lost in a row before
        self.engine: Engine | None = None
        self.first, self.turn = 0, 0  # number of the scene that comes next, and the turn it belongs to
        self.scenes: list[Scene] = []
        self.since: float | None = None  # None: it has nothing to do
        self.given_up = False


class Crew:
    """Engines in threads; chunks of scenes go in, answers come out by number.

    A thread cannot be ended from outside. So one whose engine gives no answer for ``lease`` seconds is given up, and
    another, with an engine of its own, takes over what it had in hand.

    Args:
        make: makes an engine.
        workers: engines side by side.
        options: how they render.
        lease: seconds without an answer after which an engine counts as hanging.
    """

    def __init__(self, make: Callable[[], Engine], workers: int, options: RenderOptions, lease: float) -> None:
        self._make = make
        self._options = options
        self._lease = lease
        self._changed = threading.Condition()
        self._chunks: deque[tuple[int, int, list[Scene]]] = deque()  # number of the first, turn, scenes
        self._answers: dict[int, Frame | Failure] = {}
        self._error: BaseException | None = None
        self._closed = False
        self._turn = 0
        self.next = 0
        self.busy = 0.0
        self.idle = 0.0
        self._threads: dict[_Work, threading.Thread] = {}
        for _ in range(workers):
            self._start(_Work(0))

    def submit(self, scenes: list[Scene]) -> None:
        """Hand in scenes; they are numbered from ``next``."""
        with self._changed:
            self._chunks.append((self.next, self._turn, scenes))
            self.next += len(scenes)
            self._changed.notify_all()

    def get(self, number: int) -> Frame | Failure:
        """Return the answer to a scene, by its number.

        Raises:
            EngineError: no engine is left.
        """
        with self._changed:
            while number not in self._answers:
                if self._error is not None:
                    raise self._error
                self._replace_hanging()
                # In steps, so that Ctrl-C comes through.
                self._changed.wait(0.5)
            return self._answers.pop(number)

    def forget(self) -> None:
        """Drop what nobody waits for any more."""
        with self._changed:
            self._turn += 1
            self._chunks.clear()
            self._answers.clear()

    def close(self) -> None:
        """End the engines; those that hang are left to themselves."""
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._changed.notify_all()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(30)

    def _start(self, work: _Work) -> None:
        self._threads[work] = threading.Thread(
            target=self._run, args=(work,), name=f"stream-{len(self._threads)}", daemon=True
        )
        self._threads[work].start()

    def _replace_hanging(self) -> None:
        now = time.monotonic()
        for work in list(self._threads):
            if work.since is None or now - work.since <= self._lease:
                continue
            work.given_up = True
            del self._threads[work]
            if work.engine is not None:
                # Closing it may free the thread; it may hang as well.
                threading.Thread(target=_close, args=(work.engine,), daemon=True).start()
            if work.lost + 1 > RESTARTS:
                self._error = EngineError(
                    f"engines were lost {work.lost + 1} times in a row; from the last nothing came for "
                    f"{self._lease:g} s (lease={self._lease:g}: give more where one picture takes longer)"
                )
                raise self._error
            if work.scenes:
                self._chunks.appendleft((work.first, work.turn, work.scenes))
            self._start(_Work(work.lost + 1))

    def _run(self, work: _Work) -> None:
        try:
            while self._take(work):
                self._render(work)
        except BaseException as error:
            with self._changed:
                if not work.given_up:
                    self._error = self._error or error
                    self._changed.notify_all()
        finally:
            if work.engine is not None:
                _close(work.engine)

    def _take(self, work: _Work) -> bool:
        """Wait for the next chunk; return whether there is one."""
        begun = time.perf_counter()
        with self._changed:
            work.since = None
            while not self._chunks and not self._closed and not work.given_up:
                self._changed.wait()
            if self._closed or work.given_up:
                return False
            work.first, work.turn, work.scenes = self._chunks.popleft()
            work.since = time.monotonic()
            self.idle += time.perf_counter() - begun
        return True

    def _render(self, work: _Work) -> None:
        """Render what is in hand, on engines made anew where one is lost."""
        while work.scenes:
            begun = time.perf_counter()
            try:
                work.engine = work.engine or self._make()
                for answer in work.engine.render([scene.unlabelled for scene in work.scenes], self._options):
                    if not self._put(work, answer):
                        return
                if work.scenes:
                    raise EngineError("the engine left scenes unanswered")
            except (EngineError, ProtocolError, OSError) as error:
                broken, work.engine = work.engine, None
                if broken is not None:
                    _close(broken)
                work.lost += 1
                if work.lost > RESTARTS or self._closed or work.given_up:
                    raise EngineError(f"the engine was lost {work.lost} times in a row; the last: {error}") from error
                work.since = time.monotonic()
            finally:
                with self._changed:
                    self.busy += time.perf_counter() - begun

    def _put(self, work: _Work, answer: Frame | Failure) -> bool:
        """Keep the answer to the first scene in hand; return whether more is wanted of this engine."""
        if isinstance(answer, Frame) and answer.tensor() is None:
            answer.array("rgb")  # decoded here, beside the other engines
        with self._changed:
            if work.given_up:
                return False
            if work.turn == self._turn:
                self._answers[work.first] = answer
                self._changed.notify_all()
            work.lost = 0
            work.first += 1
            work.scenes = work.scenes[1:]
            work.since = time.monotonic()
        return True


def _close(engine: Engine) -> None:
    with suppress(Exception):  # it is broken, or no longer needed: what matters is the next one
        engine.close()
