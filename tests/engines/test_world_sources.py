"""Worlds are cached under the code they are made of, which every engine's thread reads. CPython 3.11 counts the depth
of a syntax tree for all threads together: when the collector lets another thread in, both fail."""

from __future__ import annotations

import ast
import contextlib
import gc
import threading
import time
from pathlib import Path

from torchmultiverse.engines.builtin import world


class _Slow:
    """Garbage whose end lets other threads run."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        time.sleep(1e-4)


def test_threads_read_sources_at_once() -> None:
    files = sorted(Path(world.__file__).parent.glob("*.py"))[:12]
    errors: list[BaseException] = []

    def read() -> None:
        for file in files:
            try:
                _Slow()
                world._imports(file)
            except SystemError as error:
                errors.append(error)

    def other() -> None:
        """What a library may do meanwhile: ask for syntax trees, which no lock of ours knows of."""
        for file in files:
            _Slow()
            with contextlib.suppress(SystemError):
                ast.parse(file.read_text())

    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        threads = [threading.Thread(target=target) for target in (read, read, read, read, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*before)
    assert errors == []
