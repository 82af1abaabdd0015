"""Where the data that travels with the package is: beside it in a checkout, inside it in a wheel."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder ``scenes`` or ``benchmarks`` as installed.

    Raises:
        FileNotFoundError: neither a wheel's copy nor a checkout's folder exists.
    """
    for base in (_PACKAGE / "_data", _PACKAGE.parent):
        if (base / name).is_dir():
            return base / name
    raise FileNotFoundError(f"the data folder '{name}' is missing from this installation")


def packs_folder() -> Path:
    """Return the folder of installed packs of assets, which need not exist yet.

    It is ``packs`` under ``$TORCHMULTIVERSE_DATA``, or under ``~/.local/share/torchmultiverse``.
    """
    return _data_homes()[0] / "packs"


def config_folder(*parts: str) -> Path:
    """Return a folder of what users set up, which need not exist yet.

    It is under ``$TORCHMULTIVERSE_CONFIG``, or under ``$XDG_CONFIG_HOME/torchmultiverse`` (``~/.config``).
    """
    base = os.environ.get("TORCHMULTIVERSE_CONFIG")
    if not base:
        base = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "torchmultiverse")
    return Path(base).joinpath(*parts)


def llvm_folders() -> list[Path]:
    """Return where a fetched LLVM library may lie, none of which need exist; one that is fetched goes to the first.

    It is kept apart from the cache, which may be emptied or moved, and found whatever ``$TORCHMULTIVERSE_DATA`` and
    ``$TORCHMULTIVERSE_CACHE`` say: a library that is not found makes rendering several times as slow. Earlier versions
    had it in the cache.
    """
    cache = Path(os.path.expanduser("~/.cache")) / "torchmultiverse"
    return list(dict.fromkeys(base / "llvm" for base in (*_data_homes(), _cache_home(), cache)))


def _data_homes() -> list[Path]:
    named = os.environ.get("TORCHMULTIVERSE_DATA")
    home = Path(os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")) / "torchmultiverse"
    return [Path(named), home] if named else [home]


def cache_folder(*parts: str) -> Path:
    """Return (and create) a folder under ``$TORCHMULTIVERSE_CACHE``, or ``~/.cache/torchmultiverse``."""
    folder = _cache_home().joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _cache_home() -> Path:
    base = os.environ.get("TORCHMULTIVERSE_CACHE")
    if base is None:
        base = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "torchmultiverse")
    return Path(base)


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    return {package: found for package in packages if (found := _version(package)) is not None}


@cache
def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
