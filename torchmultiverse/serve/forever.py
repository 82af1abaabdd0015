"""Serving until a signal: engines and their signalling servers, with what happens to them on standard error."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from torchmultiverse.engines import engine_names
from torchmultiverse.errors import EngineError
from torchmultiverse.serve.launch import LocalStack, Stack
from torchmultiverse.serve.security import check_bind, check_origins
from torchmultiverse.serve.unreal import UnrealProcess

to_stderr = partial(print, file=sys.stderr, flush=True)
"""Where `serve_forever` tells what happens to its engines."""


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
    check_bind(host, token)
    check_origins(allow_origins)
    server: dict[str, Any] = {
        "host": host, "player_port": player_port, "streamer_port": streamer_port, "token": token,
        "allow_origins": allow_origins, "notify": to_stderr,
    }  # fmt: skip
    stack: Stack
    if engine not in engine_names() and Path(engine).is_file():
        stack = UnrealProcess(Path(engine), **server)
    else:
        stack = LocalStack(engine, assets, **server)
    run_stacks({f"engine '{engine}'": stack}, token)


def run_stacks(stacks: Mapping[str, Stack], token: str | None) -> None:
    """Start stacks one after the other and keep them until SIGINT or SIGTERM.

    Args:
        stacks: what to call each, and it.
        token: that their signalling servers ask for; it becomes a part of the addresses of their pages.

    Raises:
        EngineError: one does not start, or none is left.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        with ExitStack() as running:
            for name, stack in stacks.items():
                running.enter_context(stack)
                page = stack.url.replace("ws://", "http://") + (f"/?token={token}" if token else "")
                print(f"{name} at {stack.url}\nlook at it: {page}", flush=True)
            print("Ctrl-C ends it", flush=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stopped.set())
            _keep(dict(stacks), stopped)
    except _Interrupted:
        return


def _keep(stacks: dict[str, Stack], stopped: threading.Event) -> None:
    """Wait; say which stacks are lost, and fail with the last one."""
    while not stopped.wait(0.5):
        for name, stack in list(stacks.items()):
            if reason := stack.lost():
                del stacks[name]
                if not stacks:
                    raise EngineError(reason)
                to_stderr(f"{name} is lost: {reason}")


class _Interrupted(BaseException):
    """A signal came while the processes were starting."""


def _interrupt(*_: object) -> None:
    raise _Interrupted
