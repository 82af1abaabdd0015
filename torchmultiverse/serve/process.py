"""What the processes of this room have in common: how they say that they are ready, and how they end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from torchmultiverse.errors import TorchMultiverseError

READY = "torchmultiverse-ready "


def announce(facts: dict[str, Any]) -> None:
    """Tell the parent, in one line on standard output, that this process is ready, and how it is reached."""
    print(READY + json.dumps(facts), flush=True)


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
