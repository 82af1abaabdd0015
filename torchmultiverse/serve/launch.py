"""Starting, watching and ending the processes of an engine: signalling server, built-in engine, Unreal binary."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from torchmultiverse.engines import engine_names
from torchmultiverse.errors import EngineError
from torchmultiverse.serve import guard
from torchmultiverse.serve.process import READY

log = logging.getLogger(__name__)
START_TIMEOUT = 120.0
"""Seconds that a process may take to say that it is ready."""
RESTARTS = 5
"""How often in a row an engine that dies within `STABLE` seconds, and without a picture, is started again."""
STABLE = 60.0
TAIL_LINES = 30
LINE_BYTES = 8192


class Child:
    """A process with the end of its output kept, its readiness awaited, and its end made sure.

    It runs under `torchmultiverse.serve.guard`, in a process group of its own, and is ended when this process ends,
    however that happens.

    Args:
        command: what is run.
        environment: variables besides those of this process.
        name: for messages.
        heard: called with every line of its output, in a thread of its own.
    """

    def __init__(
        self,
        command: list[str],
        *,
        environment: dict[str, str] | None = None,
        name: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name or Path(command[0]).name
        self.on_line = on_line
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ready: dict[str, Any] | None = None
        self._announced = threading.Event()
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, timeout: float = START_TIMEOUT) -> dict[str, Any]:
        """Return what the process announced.

        Raises:
            EngineError: it died or stayed silent; with the end of its output.
        """
        self._announced.wait(timeout)
        if self._ready is None:
            try:
                state = f"ended with code {self.process.wait(timeout=0.5 if self._announced.is_set() else 0)}"
            except subprocess.TimeoutExpired:
                state = f"was not ready within {timeout:g} s"
            self.stop()
            raise EngineError(f"{self.name} {state}:\n{self.tail()}")
        return self._ready

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def tail(self) -> str:
        """Return the last lines of the output."""
        return "\n".join(self._tail) or "(it printed nothing)"

    def memory(self) -> int:
        """Return the bytes of memory of the process and everything it started."""
        total = 0
        for folder in Path("/proc").glob("[0-9]*"):
            # A process may end between the look at the folder and the look at its files.
            with suppress(OSError, ValueError, IndexError):
                if int((folder / "stat").read_text().rpartition(")")[2].split()[2]) == self.process.pid:
                    total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total

    def kill(self) -> None:
        """End the process as a crash would, without a chance to clean up."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the process and everything it started; may be called twice."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.kill()
        self.process.wait()
        self._reader.join(timeout=5)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            while line := output.readline(LINE_BYTES):
                text = line.decode(errors="replace").rstrip()
                if text.startswith(READY):
                    self._ready = json.loads(text[len(READY) :])
                    self._announced.set()
                    continue
                self._tail.append(text)
                if self.on_line is not None:
                    self.on_line(text)
        self._announced.set()


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


class _Stack(ABC):
    """A signalling server and an engine that is started again when it dies.

    Args:
        notify: called with what happens to the engine, and with what a hosted engine prints.
        server: arguments of `signalling_child`.
    """

    def __init__(self, notify: Callable[[str], None] | None = None, **server: Any) -> None:
        self._notify = notify or log.warning
        self._heard = notify
        self._server_arguments = server
        self._resources = ExitStack()
        self._engine: Child | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._lost: str | None = None
        self._deaths = 0  # in a row
        self.restarts = 0
        self.url = ""

    @abstractmethod
    def _engine_child(self, streamer_url: str) -> Child:
        """Start the engine's process."""

    def _await_engine(self, child: Child) -> None:
        child.wait_ready()

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
        """Take note that the engine made a picture: it may die `RESTARTS` times again."""
        self._deaths = 0

    def memory(self) -> int:
        """Return the bytes of memory of the engine's processes."""
        return self._engine.memory() if self._engine is not None else 0

    def lost(self) -> str | None:
        """Return why the engine will not come back, or ``None`` while it runs or is started again."""
        return self._lost

    def _stop_engine(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            assert self._engine is not None
            if not self._server.alive():
                self._lost = f"{self._server.name} died:\n{self._server.tail()}"
                return
            if self._engine.alive():
                continue
            self._engine.stop()
            self._deaths = in_a_row = self._deaths + 1 if time.monotonic() - self._engine.started < STABLE else 1
            if in_a_row > RESTARTS:
                self._lost = f"{self._engine.name} died {in_a_row} times in a row:\n{self._engine.tail()}"
                return
            code, words = self._engine.process.returncode, f"; its last words:\n{self._engine.tail()}"
            self._notify(
                f"{self._engine.name} died with code {code} and is started again ({in_a_row} of {RESTARTS})"
                f"{'' if self._engine.on_line else words}"
            )
            self.restarts += 1
            self._engine = self._engine_child(self._streamer_url)

    def __enter__(self) -> Any:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LocalStack(_Stack):
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


class UnrealProcess(_Stack):
    """A packaged Unreal binary and its signalling server.

    Args:
        script: the binary's start script.
        size: resolution the binary starts with.
        adapter: graphics adapter (``-graphicsadapter``), for machines with several GPUs.
        grace: seconds to wait for an early death; readiness itself shows when a client connects.
        arguments: further arguments of the binary.
        notify: called with what happens to the engine.
        server: arguments of `signalling_child`; ``generation="legacy"`` for UE 5.0.
    """

    def __init__(
        self,
        script: Path,
        *,
        size: tuple[int, int] = (512, 512),
        adapter: int | None = None,
        grace: float = 2.0,
        arguments: Sequence[str] = (),
        notify: Callable[[str], None] | None = None,
        **server: Any,
    ) -> None:
        super().__init__(notify, **server)
        self._script = script
        self._size = size
        self._adapter = adapter
        self._grace = grace
        self._arguments = list(arguments)

    def command(self, streamer_url: str) -> list[str]:
        """Return the command line: the address in the spelling of every UE version, each ignores the others'."""
        host, _, port = streamer_url.removeprefix("ws://").rpartition(":")
        width, height = self._size
        arguments = [
            str(self._script.resolve()), "-AudioMixer", "-RenderOffScreen", "-NoScreenMessages", "-ForceRes",
            f"-ResX={width}", f"-ResY={height}", f"-PixelStreamingIP={host}", f"-PixelStreamingPort={port}",
            f"-PixelStreamingURL={streamer_url}", f"-PixelStreamingConnectionURL={streamer_url}",
        ]  # fmt: skip
        adapter = [f"-graphicsadapter={self._adapter}"] if self._adapter is not None else []
        return [*arguments, *adapter, *self._arguments]

    def _engine_child(self, streamer_url: str) -> Child:
        return Child(self.command(streamer_url), name=self._script.name)

    def _await_engine(self, child: Child) -> None:
        end = time.monotonic() + self._grace
        while time.monotonic() < end:
            if not child.alive():
                raise EngineError(f"{child.name} ended with code {child.process.poll()}:\n{child.tail()}")
            time.sleep(0.05)


def serve_forever(
    *,
    engine: str,
    host: str,
    player_port: int,
    streamer_port: int,
    token: str | None,
    assets: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
) -> None:
    """Run a signalling server and an engine until SIGINT or SIGTERM; what happens to the engine goes to stderr.

    Raises:
        EngineError: a bind beyond loopback without a token, an origin that is none, something does not start, or the
            engine does not come back.
    """
    from torchmultiverse.serve.security import check_bind, check_origins

    check_bind(host, token)
    check_origins(allow_origins)
    server: dict[str, Any] = {
        "host": host, "player_port": player_port, "streamer_port": streamer_port, "token": token,
        "allow_origins": allow_origins, "notify": partial(print, file=sys.stderr, flush=True),
    }  # fmt: skip
    stack: _Stack
    if engine not in engine_names() and Path(engine).is_file():
        stack = UnrealProcess(Path(engine), **server)
    else:
        stack = LocalStack(engine, assets, **server)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with stack:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopped.set())
            page = stack.url.replace("ws://", "http://") + (f"/?token={token}" if token else "")
            print(f"engine '{engine}' at {stack.url}\nlook at it: {page}\nCtrl-C ends it", flush=True)
            while not stopped.wait(0.5):
                if reason := stack.lost():
                    raise EngineError(reason)
    except _Interrupted:
        return


class _Interrupted(BaseException):
    """A signal came while the processes were starting."""


def _interrupt(*_: object) -> None:
    raise _Interrupted
