"""One process: started under a guard, its output read, its readiness awaited, and its end made sure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from torchmultiverse.errors import EngineError
from torchmultiverse.serve import guard
from torchmultiverse.serve.process import READY

START_TIMEOUT = 120.0
"""Seconds that a process may take to say that it is ready."""
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
        on_line: called with every line of its output, in a thread of its own.
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

    @property
    def facts(self) -> dict[str, Any]:
        """What the process has announced so far; a later word of the same name replaces an earlier one."""
        return self._ready or {}

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
                    with suppress(ValueError, TypeError):  # of a program that is not ours
                        self._ready = {**(self._ready or {}), **json.loads(text[len(READY) :])}
                    self._announced.set()
                    continue
                self._tail.append(text)
                if self.on_line is not None:
                    self.on_line(text)
        self._announced.set()
