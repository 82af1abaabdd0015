"""The binary that a packaged project's start script starts: where it is, which processor it is for, what it lacks."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ELF = b"\x7fELF"
_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64", 0x03: "i686", 0x28: "armv7l"}
"""``e_machine`` of ELF headers."""
_MOST = 4
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Binary:
    """An ELF file.

    Attributes:
        path: of it.
        machine: processor, as ``uname -m`` says.
    """

    path: Path
    machine: str

    def missing_libraries(self, environment: Mapping[str, str]) -> list[str]:
        """Return the libraries that the loader would not find, as ``ldd`` says; none where there is no ``ldd``."""
        tool = shutil.which("ldd", path=environment.get("PATH"))
        if tool is None:
            return []
        with suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                [tool, str(self.path)], env=dict(environment), capture_output=True, text=True, timeout=_TIMEOUT
            )
            return sorted(set(re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE)))
        return []


def binaries(script: Path) -> list[Binary]:
    """Return the ELF files that a start script may start: itself, or those in ``*/Binaries/Linux*`` that it names."""
    if (own := _read(script)) is not None:
        return [own]
    words = script.read_text("utf-8", "replace")
    found = [
        path for path in sorted(script.parent.glob("*/Binaries/Linux*/*")) if path.is_file() and not path.is_symlink()
    ]
    elves = [binary for path in found if path.suffix != ".so" and (binary := _read(path)) is not None]
    named = [binary for binary in elves if re.search(rf"\b{re.escape(binary.path.name)}\b", words)]
    return (named or elves)[:_MOST]


def _read(path: Path) -> Binary | None:
    try:
        with open(path, "rb") as file:
            head = file.read(20)
    except OSError:
        return None
    if len(head) < 20 or not head.startswith(_ELF):
        return None
    order = "big" if head[5] == 2 else "little"
    number = int.from_bytes(head[18:20], order)  # type: ignore[arg-type]
    return Binary(path, _MACHINES.get(number, f"processor {number:#x}"))
