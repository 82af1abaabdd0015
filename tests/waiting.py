"""Waiting for a condition, never for a time: what takes a moment on a quiet machine takes seconds on a busy one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Return whether a condition comes true within a time that is generous on a busy machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


async def soon(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Return the same, in an event loop that goes on meanwhile."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        await asyncio.sleep(0.02)
    return bool(condition())
