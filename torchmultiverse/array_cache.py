"""Arrays that take long to make, kept in the user's cache under a name and a hash of all that they are made of."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.files import atomic_file, remove_leftovers
from torchmultiverse.resources import cache_folder

log = logging.getLogger(__name__)

Arrays: TypeAlias = dict[str, NDArray[Any]]

_KEPT = 3
"""Files of one name that are always kept: more than one version of the code may be in use."""
_UNUSED = 86_400.0
"""Seconds without a reader after which others are removed."""


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
        with atomic_file(path, sync=False) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        _remove_unused(path.parent, name)
    except OSError as error:
        _warn(f"{path.parent}: what was built is not kept, and is built anew in each run: {error}")
    return arrays


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (MemoryError, OSError):  # which say nothing of what is in the file
        raise
    except Exception:  # of a damaged file readers of ZIP archives say many things; whatever it is, it is made again
        path.unlink(missing_ok=True)
        return None
    with suppress(OSError):
        os.utime(path)
    return arrays


@lru_cache
def _warn(message: str) -> None:
    """Warn of what is the same for hundreds of objects once."""
    log.warning("%s", message)


def _remove_unused(folder: Path, name: str) -> None:
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{24}}\.npz")
    used: list[tuple[float, str]] = []
    for entry in os.scandir(folder):
        if pattern.fullmatch(entry.name):
            with suppress(FileNotFoundError):  # another process has just removed it
                used.append((entry.stat().st_mtime, entry.path))
    oldest = time.time() - _UNUSED
    for when, path in sorted(used, reverse=True)[_KEPT:]:
        if when < oldest:
            Path(path).unlink(missing_ok=True)
    remove_leftovers(folder)
