"""Log files of processes that run for weeks: lines are appended, and old ones go, so that they never fill a disk."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

log = logging.getLogger(__name__)
LOG_BYTES = 8 * 2**20
"""Of one file."""
LOG_FILES = 3
"""The one that is written, and older ones."""


class LogFile:
    """A file that lines are appended to; when it is full it becomes ``NAME.1``, that one ``NAME.2``, and so on.

    May be used from several threads. A disk that is full or a folder that is gone ends the logging with one warning,
    not the process that is logged.

    Args:
        path: of the file; its folder is made.
        most_bytes: of one file.
        files: how many there are at most, the one that is written included; at least 1.
    """

    def __init__(self, path: Path, most_bytes: int = LOG_BYTES, files: int = LOG_FILES) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._files = files
        self._lock = threading.Lock()
        self._broken = False
        self._file: IO[bytes] | None = None

    def write(self, line: str) -> None:
        """Append a line; one that is longer than a file is cut."""
        data = line.encode(errors="replace")[: self._most_bytes - 1] + b"\n"
        with self._lock:
            if self._broken:
                return
            try:
                if self._file is None:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open as long as it is written
                if self._file.tell() + len(data) > self._most_bytes:
                    self._turn()
                self._file.write(data)
            except OSError as error:
                self._broken = True
                log.warning("%s: %s; nothing more is logged there", self.path, error.strerror or error)

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _turn(self) -> None:
        assert self._file is not None
        self._file.close()
        names = [self.path, *(self._older(number) for number in range(1, self._files))]
        for newer, older in reversed(list(itertools.pairwise(names))):
            with suppress(FileNotFoundError):
                newer.replace(older)
        self._file = open(self.path, "wb" if self._files == 1 else "ab", buffering=0)  # noqa: SIM115

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def log_files(path: Path) -> list[Path]:
    """Return the files of a log that are there, the oldest first."""
    older = [one for one in path.parent.glob(f"{path.name}.*") if one.suffix[1:].isdecimal()]
    found = sorted(older, key=lambda one: -int(one.suffix[1:]))
    return [*found, *([path] if path.is_file() else [])]


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of a log, of older files too where the newest has fewer."""
    kept: deque[str] = deque(maxlen=count)
    kept.extend(_lines(path))
    return list(kept)


def _lines(path: Path) -> Iterator[str]:
    for one in log_files(path):
        with suppress(FileNotFoundError), open(one, encoding="utf-8", errors="replace") as file:
            for line in file:
                yield line.rstrip("\n")
