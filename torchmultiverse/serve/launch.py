"""A signalling server and an engine behind it as processes: started together, watched, and ended together."""

from __future__ import annotations

import logging
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from torchmultiverse.serve.child import START_TIMEOUT, Child

log = logging.getLogger(__name__)
__all__ = ["RESTARTS", "STABLE", "START_TIMEOUT", "Child", "LocalStack", "Stack", "signalling_child"]
RESTARTS = 5
"""How often in a row an engine that dies within `STABLE` seconds, and without a picture, is started again."""
STABLE = 60.0


def signalling_child(
    *,
    host: str = "127.0.0.1",
    player_port: int = 0,
    streamer_port: int = 0,
    generation: str = "modern",
    token: str | None = None,
    allow_origins: Sequence[str] = (),
) -> Child:
    """Start a signalling server as a process."""
    command = [
        sys.executable, "-m", "torchmultiverse.serve.signalling", "--host", host, "--player-port", str(player_port),
        "--streamer-port", str(streamer_port), "--generation", generation,
        *(part for origin in allow_origins for part in ("--allow-origin", origin)),
    ]  # fmt: skip
    return Child(command, environment={"TORCHMULTIVERSE_TOKEN": token or ""}, name="the signalling server")


class Stack(ABC):
    """A signalling server and an engine that is started again when it dies.

    Args:
        notify: called with what happens to the engine, and with what a hosted engine prints.
        restarts: how often in a row the engine is started again.
        server: arguments of `signalling_child`.
    """

    def __init__(self, notify: Callable[[str], None] | None = None, *, restarts: int = RESTARTS, **server: Any) -> None:
        self._notify = notify or log.warning
        self._heard = notify
        self._most_restarts = restarts
        self._server_arguments = server
        self._resources = ExitStack()
        self._engine: Child | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._lost: str | None = None
        self._deaths = 0  # in a row
        self.restarts = 0
        self.on_restart: Callable[[str], None] | None = None
        """Called with one line when the engine is started again, beside ``notify``."""
        self.url = ""

    @abstractmethod
    def _engine_child(self, streamer_url: str) -> Child:
        """Start the engine's process."""

    def _await_engine(self, child: Child) -> None:
        child.wait_ready()

    def _illness(self, child: Child) -> str | None:
        """Return why an engine that runs is to be started again, or ``None`` while it does what it should."""
        return None

    def _words(self, child: Child) -> str:
        """Return the last words of an engine."""
        return child.tail()

    def _hopeless(self, child: Child) -> bool:
        """Whether an engine that died would die of the same when it is started again."""
        return False

    def start(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            EngineError: something does not start; with the end of its error output.
        """
        with ExitStack() as starting:
            server = self._server = signalling_child(**self._server_arguments)
            starting.callback(server.stop)
            facts = server.wait_ready(60)
            self.url = facts["url"]
            self._streamer_url = facts["streamer_url"]
            self._engine = self._engine_child(self._streamer_url)
            starting.callback(self._stop_engine)
            self._await_engine(self._engine)
            self._resources = starting.pop_all()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """End everything; may be called twice."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join(timeout=10)
        self._resources.close()

    def kill_engine(self) -> None:
        """Kill the engine's process, as a crash would; it is started again."""
        assert self._engine is not None
        self._engine.kill()

    def delivered(self) -> None:
        """Take note that the engine made a picture: it may die as often again as if it never had."""
        self._deaths = 0

    def memory(self) -> int:
        """Return the bytes of memory of the engine's processes."""
        return self._engine.memory() if self._engine is not None else 0

    def lost(self) -> str | None:
        """Return why the engine will not come back, or ``None`` while it runs or is started again."""
        return self._lost

    @property
    def streamers(self) -> int:
        """How many streamers are connected to the signalling server."""
        return int(self._server.facts.get("streamers", 0))

    def _stop_engine(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            assert self._engine is not None
            if not self._server.alive():
                self._lost = f"{self._server.name} died:\n{self._server.tail()}"
                return
            illness = self._illness(self._engine) if self._engine.alive() else None
            if self._engine.alive() and illness is None:
                continue
            self._engine.stop()
            if not self._again(self._engine, illness):
                return
            self._engine = self._engine_child(self._streamer_url)

    def _again(self, child: Child, illness: str | None) -> bool:
        """Tell that an engine has ended, and return whether it is to be started again."""
        stable = illness is None and time.monotonic() - child.started >= STABLE
        self._deaths = in_a_row = 1 if stable else self._deaths + 1
        what = illness or f"died with code {child.process.returncode}"
        words = f":\n{self._words(child)}"
        if self._hopeless(child):
            self._lost = f"{child.name} {what}, and would again{words}"
            return False
        if in_a_row > self._most_restarts:
            failed = "died" if illness is None else f"{illness}: failed"
            self._lost = f"{child.name} {failed} {in_a_row} times in a row{words}"
            return False
        self._notify(
            f"{child.name} {what} and is started again ({in_a_row} of {self._most_restarts})"
            f"{'' if child.on_line is not None and child.on_line is self._heard else f'; its last words{words}'}"
        )
        self.restarts += 1
        if self.on_restart is not None:
            self.on_restart(f"{child.name} {what.splitlines()[0]}")
        return True

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LocalStack(Stack):
    """A hosted engine (``builtin``, ``marker``) and its signalling server, as processes on free loopback ports.

    Nothing is left running when the context ends or this process dies.
    """

    def __init__(
        self,
        engine: str = "builtin",
        assets: Sequence[str] = (),
        *,
        notify: Callable[[str], None] | None = None,
        **server: Any,
    ) -> None:
        super().__init__(notify, **server)
        self._name = engine
        self._assets = assets

    def _engine_child(self, streamer_url: str) -> Child:
        command = [
            sys.executable, "-m", "torchmultiverse.serve.engine_process", "--engine", self._name,
            "--signalling", streamer_url, *(part for name in self._assets for part in ("--assets", name)),
        ]  # fmt: skip
        token = self._server_arguments.get("token") or ""
        environment = {"TORCHMULTIVERSE_TOKEN": token}
        return Child(command, environment=environment, name=f"the engine '{self._name}'", on_line=self._heard)
