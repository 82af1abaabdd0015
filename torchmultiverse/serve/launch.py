"""Starting, watching and ending the processes of an engine: signalling server, built-in engine, Unreal binary."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from torchmultiverse.errors import EngineError
from torchmultiverse.serve.process import READY

START_TIMEOUT = 120.0
"""Seconds that a process may take to say that it is ready."""
RESTARTS = 5
"""How often a dead engine is started again in the life of a stack."""


class Child:
    """A process with its output kept, its readiness awaited, and its end made sure."""

    def __init__(self, command: list[str], *, environment: dict[str, str] | None = None, name: str = "") -> None:
        self.name = name or Path(command[0]).name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the child
        self._ready: dict[str, Any] | None = None
        self._announced = threading.Event()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **(environment or {}), "TORCHMULTIVERSE_PARENT": str(os.getpid())},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, timeout: float = START_TIMEOUT) -> dict[str, Any]:
        """Return what the process announced.

        Raises:
            EngineError: it died or stayed silent; with the end of its error output.
        """
        self._announced.wait(timeout)
        if self._ready is None:
            died = self.process.poll()
            state = f"ended with code {died}" if died is not None else f"was not ready within {timeout:g} s"
            tail = self.tail()
            self.stop()
            raise EngineError(f"{self.name} {state}:\n{tail}")
        return self._ready

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def tail(self, size: int = 2000) -> str:
        """Return the end of the error output."""
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, end - size))
        return self._log.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """End the process and everything it started."""
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()
        self._reader.join(timeout=5)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace")
                if text.startswith(READY):
                    self._ready = json.loads(text[len(READY) :])
                    self._announced.set()
        self._announced.set()


def signalling_child(
    *,
    host: str = "127.0.0.1",
    player_port: int = 0,
    streamer_port: int = 0,
    generation: str = "modern",
    token: str | None = None,
) -> Child:
    """Start a signalling server as a process."""
    command = [
        sys.executable, "-m", "torchmultiverse.serve.signalling", "--host", host, "--player-port", str(player_port),
        "--streamer-port", str(streamer_port), "--generation", generation,
    ]  # fmt: skip
    return Child(command, environment={"TORCHMULTIVERSE_TOKEN": token or ""}, name="the signalling server")


class _Stack:
    """A signalling server and an engine that is started again when it dies."""

    def __init__(self, **server: Any) -> None:
        self._server_arguments = server
        self._resources = ExitStack()
        self._engine: Child | None = None
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self.restarts = 0
        self.url = ""

    def _engine_child(self, streamer_url: str) -> Child:
        raise NotImplementedError

    def _await_engine(self, child: Child) -> None:
        child.wait_ready()

    def start(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            EngineError: something does not start; with the end of its error output.
        """
        with ExitStack() as starting:
            server = signalling_child(**self._server_arguments)
            starting.callback(server.stop)
            facts = server.wait_ready(30)
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
        os.killpg(self._engine.process.pid, signal.SIGKILL)

    def _stop_engine(self) -> None:
        if self._engine is not None:
            self._engine.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            if self._engine is not None and not self._engine.alive():
                if self.restarts >= RESTARTS:
                    return
                self.restarts += 1
                self._engine.stop()
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

    def __init__(self, engine: str = "builtin", **server: Any) -> None:
        super().__init__(**server)
        self._name = engine

    def _engine_child(self, streamer_url: str) -> Child:
        command = [
            sys.executable, "-m", "torchmultiverse.serve.engine_process", "--engine", self._name,
            "--signalling", streamer_url,
        ]  # fmt: skip
        token = self._server_arguments.get("token") or ""
        return Child(command, environment={"TORCHMULTIVERSE_TOKEN": token}, name=f"the engine '{self._name}'")


class UnrealProcess(_Stack):
    """A packaged Unreal binary and its signalling server.

    Args:
        script: the binary's start script.
        size: resolution the binary starts with.
        adapter: graphics adapter (``-graphicsadapter``), for machines with several GPUs.
        generation: of the signalling server; ``legacy`` for UE 5.0.
        grace: seconds to wait for an early death; readiness itself shows when a client connects.
    """

    def __init__(
        self,
        script: Path,
        *,
        size: tuple[int, int] = (512, 512),
        adapter: int | None = None,
        generation: str = "modern",
        grace: float = 2.0,
    ) -> None:
        super().__init__(generation=generation)
        self._script = script
        self._size = size
        self._adapter = adapter
        self._grace = grace

    def command(self, streamer_url: str) -> list[str]:
        """Return the command line: the address in the spelling of every UE version, each ignores the others'."""
        host, _, port = streamer_url.removeprefix("ws://").rpartition(":")
        width, height = self._size
        arguments = [
            str(self._script.resolve()), "-AudioMixer", "-RenderOffScreen", "-NoScreenMessages", "-ForceRes",
            f"-ResX={width}", f"-ResY={height}", f"-PixelStreamingIP={host}", f"-PixelStreamingPort={port}",
            f"-PixelStreamingURL={streamer_url}", f"-PixelStreamingConnectionURL={streamer_url}",
        ]  # fmt: skip
        return arguments + ([f"-graphicsadapter={self._adapter}"] if self._adapter is not None else [])

    def _engine_child(self, streamer_url: str) -> Child:
        return Child(self.command(streamer_url), name=self._script.name)

    def _await_engine(self, child: Child) -> None:
        end = time.monotonic() + self._grace
        while time.monotonic() < end:
            if not child.alive():
                raise EngineError(f"{child.name} ended with code {child.process.poll()}:\n{child.tail()}")
            time.sleep(0.05)


def serve_forever(*, engine: str, host: str, player_port: int, streamer_port: int, token: str | None) -> None:
    """Run a signalling server and an engine until SIGINT or SIGTERM.

    Raises:
        EngineError: a bind beyond loopback without a token, or something does not start.
    """
    from torchmultiverse.serve.security import check_bind

    check_bind(host, token)
    stack: _Stack
    server = {"host": host, "player_port": player_port, "streamer_port": streamer_port, "token": token}
    if Path(engine).is_file():
        stack = UnrealProcess(Path(engine))
        stack._server_arguments |= server
    else:
        stack = LocalStack(engine, **server)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with stack:
        page = stack.url.replace("ws://", "http://") + (f"/?token={token}" if token else "")
        print(f"engine '{engine}' at {stack.url}\nlook at it: {page}\nCtrl-C ends it", flush=True)
        stopped.wait()
