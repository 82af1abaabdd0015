"""Strangers' nonsense, a little of it on every run; `fuzz_wire.py` makes as much as one likes.

What could silently be wrong: one peer's bytes end the service of all others, or fill its memory, its files or its log.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import subprocess
import sys
import threading

import pytest
from fuzz_server import attack
from fuzz_wire import codec
from websockets.asyncio.client import connect

from torchmultiverse.serve import signalling
from torchmultiverse.serve.process import READY


@pytest.mark.parametrize("seed", [1, 2])
def test_parsers_raise_what_they_promise_and_nothing_else(seed: int) -> None:
    happened = codec(15_000, seed).happened
    parsers = {name.partition(":")[0] for name in happened}
    assert len(parsers) == 8
    for parser in parsers:  # each got inputs that it takes and such that it refuses
        assert happened[f"{parser}: ProtocolError"] + happened[f"{parser}: Refusal"] > 100, parser
        assert sum(n for name, n in happened.items() if name.startswith(parser) and "Error" not in name) > 100, parser


def test_a_server_serves_on_among_strangers_of_every_kind() -> None:
    report = asyncio.run(asyncio.wait_for(attack(2_000, seed=1), 250))
    assert report.rounds > 1, "those who behave were not served"
    start, most, end = report.files
    assert end <= start < most
    early, late = report.memory
    assert late < early + 30, "megabytes stay"
    assert report.log[1] < 200 * sum(report.kinds.values()) * 2, "strangers fill the log"


def test_a_server_whose_parent_reads_nothing_serves_on() -> None:
    """What could silently be wrong: each streamer that comes and goes is told the parent, until the pipe is full."""
    process = subprocess.Popen(
        [sys.executable, "-m", "torchmultiverse.serve.signalling", "--player-port=0", "--streamer-port=0"],
        stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    url = json.loads(process.stdout.readline().decode().removeprefix(READY))["streamer_url"]
    # As small as a pipe can be, so that it is full soon.
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)

    async def test() -> None:
        for _ in range(120):
            async with connect(url, proxy=None) as socket:
                assert json.loads(await socket.recv())["type"] == "config"

    try:
        asyncio.run(asyncio.wait_for(test(), 200))
        process.terminate()
        assert process.wait(100) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_broken_handshake_is_one_line_and_a_fault_of_ours_keeps_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What could silently be wrong: tracebacks that strangers make the server write, or ours that nobody sees."""
    caplog.set_level(logging.INFO)
    for message in ("opening handshake failed", "connection handler failed"):
        try:
            raise EOFError("a stranger\nleft")
        except EOFError:
            signalling._library_log.error(message, exc_info=True)
    # What earlier tests left running may say its last words meanwhile, in threads of its own.
    stranger, ours = [one for one in caplog.records if one.thread == threading.get_ident()]
    assert (stranger.levelname, stranger.exc_info) == ("INFO", None)
    assert "\n" not in stranger.getMessage()
    assert (ours.levelname, bool(ours.exc_info)) == ("ERROR", True)
