"""What ``assets build`` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BuildRequest:
    """How a pack is to be made of other people's files. Each builder reads what concerns it.

    Attributes:
        source: a package, an archive or a folder; by default where it is usually installed.
        fetch: get what is missing by the system's own client.
        out: a folder that the pack is written to, instead of being installed under its name.
    """

    source: Path | None = None
    fetch: bool = False
    out: Path | None = None
