"""What the processes of this room have in common: how they say that they are ready, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import Any

from torchmultiverse.errors import TorchMultiverseError

READY = "torchmultiverse-ready "


def announce(facts: dict[str, Any]) -> None:
    """Tell the parent, in one line on standard output, that this process is ready, and how it is reached."""
    print(READY + json.dumps(facts), flush=True)


class Announcer:
    """Announces what changes, from a thread of its own: a parent that does not read must not hold the process up.

    Only the latest facts are kept while the parent reads nothing; when it is gone, nothing more is said.
    """

    def __init__(self) -> None:
        self._facts: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def tell(self, **facts: Any) -> None:
        """Have facts announced, and return at once."""
        with self._changed:
            self._facts.update(facts)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._facts)
                facts, self._facts = self._facts, {}
            try:
                # Not by `sys.stdout`, whose lock this thread would hold when the process wants to end.
                os.write(sys.stdout.fileno(), f"{READY}{json.dumps(facts)}\n".encode())
            except (OSError, ValueError):  # nobody is there to be told
                return


async def until_stopped() -> None:
    """Wait for SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's coroutine; known errors are one line on standard error and the exit code."""
    try:
        asyncio.run(main)
    except (TorchMultiverseError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(getattr(error, "exit_code", 3))
    except KeyboardInterrupt:
        sys.exit(130)
