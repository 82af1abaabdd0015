"""Arrays that take long to make, kept in the user's cache under a name and a hash of all that they are made of."""

from __future__ import annotations

import logging
import os
import re
import secrets
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.resources import cache_folder

log = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, NDArray[Any]]

_KEPT = 3
"""Files of one name that are always kept: more than one version of the code may be in use."""
_UNUSED = 86_400.0
"""Seconds after which others are removed, and files that were never finished."""


def cached_arrays(folder: str, name: str, key: str, make: Callable[[], Arrays]) -> Arrays:
    """Return arrays from the cache, or make and keep them.

    A file that is damaged is made again. Where nothing can be written a warning says so, and the arrays are made each
    time. Files of the same name that nothing has read for a day are removed when a new one is written, all but the
    latest.

    Args:
        folder: of the cache.
        name: what they are; a name that comes from the package, never from a user's data.
        key: hash, 24 hexadecimal digits, of all that they are made of.
        make: makes them.
    """
    try:
        path = cache_folder(folder) / f"{name}-{key}.npz"
        found = _read(path)
    except OSError as error:
        _warn(f"the cache cannot be used, and what is in it is built anew in each run: {error}")
        return make()
    if found is not None:
        return found
    arrays = make()
    try:
        _write(path, arrays)
        _remove_unused(path.parent, name)
    except OSError as error:
        _warn(f"{path.parent}: what was built is not kept, and is built anew in each run: {error.strerror}")
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        path.unlink(missing_ok=True)  # not what was written
        return None
    with suppress(OSError):
        os.utime(path)
    return arrays


def _write(path: Path, arrays: Arrays) -> None:
    # Not by `tempfile`, whose files nobody else may read: a cache may be shared.
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.npz")
    try:
        with temporary.open("xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@lru_cache
def _warn(message: str) -> None:
    """Warn of what is the same for hundreds of objects once."""
    log.warning("%s", message)


def _remove_unused(folder: Path, name: str) -> None:
    finished = re.compile(rf"{re.escape(name)}-[0-9a-f]{{24}}\.npz")
    begun = re.compile(rf"\.{re.escape(name)}-.*\.npz")
    used: list[tuple[float, Path]] = []
    begun_at: list[tuple[float, Path]] = []
    for entry in os.scandir(folder):
        for pattern, found in ((finished, used), (begun, begun_at)):
            if pattern.fullmatch(entry.name):
                with suppress(FileNotFoundError):  # another process has just removed it
                    found.append((entry.stat().st_mtime, Path(entry.path)))
    oldest = time.time() - _UNUSED
    for when, path in [*sorted(used, reverse=True)[_KEPT:], *begun_at]:
        if when < oldest:
            path.unlink(missing_ok=True)
