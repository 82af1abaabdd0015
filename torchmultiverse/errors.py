"""Every error a user can cause or meet, with the exit code the command line ends with.

Messages name the place, the value, and what would be right.
"""

from __future__ import annotations

import difflib
import re
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


class SettingError(ModelError):
    """A setting or a name that was given and that cannot be: of a training, a probe, a layer, a baseline."""

    exit_code = 2


class QuestionError(DatasetError):
    """What was asked of data that are sound: a column, level, class or number that they do not have."""

    exit_code = 2


class AssetError(TorchMultiverseError):
    """A mesh, an environment map or a pack of them that cannot be read, used or installed."""

    exit_code = 7


class DivergedError(ModelError):
    """A training whose loss is no longer a finite number."""


class MissingExtra(TorchMultiverseError):
    """An optional package is needed; the message names the extra that brings it."""

    exit_code = 6

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'torchmultiverse[{extra}]'")


def missing_extra(error: ModuleNotFoundError, command: str, extra: str | None = None) -> MissingExtra | None:
    """Return what a failed import means for the user of a command; ``None`` if the module is in none of our extras.

    Where several extras bring it, ``extra``, or the one that the command has in its name, else the first.
    """
    from importlib.metadata import PackageNotFoundError, requires

    module = (error.name or "").partition(".")[0]
    package = {"open_clip": "open-clip-torch", "faiss": "faiss-cpu"}.get(module, module.replace("_", "-"))
    try:
        listed = requires("torchmultiverse") or []
    except PackageNotFoundError:
        return None
    found = (re.fullmatch(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", line) for line in listed)
    extras = [match[2] for match in found if match and match[1].replace("_", "-") == package and match[2] != "dev"]
    if not extras:
        return None
    wanted = [name for name in (extra or "", *command.split()) if name in extras]
    return MissingExtra(module, (wanted or extras)[0], f"torchmultiverse {command}")


def shortened(value: object, most: int = 80) -> str:
    """Return a value from outside as a message shows it, a text in quotes; what is too long ends in an ellipsis.

    >>> shortened("abc"), shortened("abcdefgh", 4), shortened(-1)
    ("'abc'", "'abcd…'", '-1')
    """
    if isinstance(value, str):
        return repr(value) if len(value) <= most else repr(value[:most] + "…")
    whole = repr(value)
    return whole if len(whole) <= most else whole[:most] + "…"


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with what it counts, in the singular or the plural.

    >>> counted(1, "level"), counted(2000, "level"), counted(2, "class", "classes"), counted(0, "picture")
    ('1 level', '2,000 levels', '2 classes', '0 pictures')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def nearest_of(names: Iterable[str], known: Iterable[str]) -> str:
    """Return ``" (nearest: a → b, c → d)"`` for the unknown names that have a known one near them.

    >>> nearest_of(["Deset", "Xylophone", "Snw"], ["Desert", "Snow"])
    ' (nearest: Deset → Desert, Snw → Snow)'
    >>> nearest_of(["Xylophone"], ["Desert", "Snow"])
    ' (known: Desert, Snow)'
    """
    by_fold = {k.casefold(): k for k in known}
    found = ((name, difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.55)) for name in names)
    if near := [f"{name} → {by_fold[close[0]]}" for name, close in found if close]:
        return f" (nearest: {', '.join(near)})"
    some = list(by_fold.values())[:12]
    return f" (known: {', '.join(some)}{', …' if len(by_fold) > len(some) else ''})"


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
