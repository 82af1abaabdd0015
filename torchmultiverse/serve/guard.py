"""Runs a command and ends it, with everything it started, when the process that asked for it is gone.

Started by path, before the package is imported: standard library only. A kernel's "signal on parent's death" would
reach only the command itself, not what a start script started, and it follows the parent's thread, not the parent.

Two processes guard each other: the outer one looks after the parent and the inner one, the inner one after the outer
one and the command. Whichever of the two is killed, the other ends the rest.

Usage: ``python guard.py PARENT_PID COMMAND …``; the exit status is the command's.
"""

import os
import select
import signal
import subprocess
import sys
import time

POLL = 0.5
"""Seconds between two looks at the parent."""
PATIENCE = 5.0
"""Seconds from asking to end to making it end."""


def _members() -> bool:
    """Whether anything but this process is left of its group."""
    group = os.getpgrp()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    state, _, of = stat.read().rpartition(")")[2].split()[:3]
            except (OSError, ValueError):
                continue
            if int(of) == group and state != "Z":
                return True
    return False


def _watch(pid: int, parent: int) -> int | None:
    """Wait for a child's end and return its wait status, or ``None`` when the parent is gone before."""
    ended = os.pidfd_open(pid)
    while not select.select([ended], [], [], POLL)[0]:
        if os.getppid() != parent:
            return None
    return os.waitpid(pid, 0)[1]


def _end() -> int:
    """End the whole group, this process included."""
    os.killpg(0, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while _members() and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(0, signal.SIGKILL)
    return 1


def main() -> int:
    """Guard one command."""
    parent = int(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # they are for the command; not inherited by it, unlike SIG_IGN
    outer = os.getpid()
    inner = os.fork()
    if inner:
        status = _watch(inner, parent)
        return _end() if status is None or os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    try:
        child = subprocess.Popen(sys.argv[2:])
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 127
    status = _watch(child.pid, outer)
    if status is None:
        return _end()
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


if __name__ == "__main__":
    sys.exit(main())
