"""Every error a user can cause or meet, with the exit code the command line ends with.

Messages name the place, the value, and what would be right.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TorchMultiverseError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class SpecError(TorchMultiverseError):
    """A spec, scene, filter or design that cannot mean anything."""

    exit_code = 2


class EngineError(TorchMultiverseError):
    """An engine that cannot be started, reached, or that broke."""

    exit_code = 3


class RenderError(EngineError):
    """One scene that could not be rendered within its budget; the message names the scene."""


class ProtocolError(TorchMultiverseError):
    """Bytes or messages from the other side that break the protocol."""

    exit_code = 3


class DatasetError(TorchMultiverseError):
    """A dataset folder that cannot be read, written or continued."""

    exit_code = 4


class ModelError(TorchMultiverseError):
    """A model string that names nothing, or weights that cannot be had here."""

    exit_code = 5


class AssetError(TorchMultiverseError):
    """A mesh, an environment map or a pack of them that cannot be read, used or installed."""

    exit_code = 7


class MissingExtra(TorchMultiverseError):
    """An optional package is needed; the message names the extra that brings it."""

    exit_code = 6

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'torchmultiverse[{extra}]'")


def nearest(name: str, known: Iterable[str], count: int = 3) -> str:
    """Return ``" Did you mean 'a' or 'b'?"`` for an unknown ``name``, or the known names when none is near."""
    known = list(known)
    by_fold = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=count, cutoff=0.55)
    if close:
        return " Did you mean " + " or ".join(f"'{by_fold[c]}'" for c in close) + "?"
    if len(known) <= 12:
        return " Known: " + ", ".join(known) + "."
    return f" Known: {', '.join(known[:10])}, … ({len(known)} in all)."
