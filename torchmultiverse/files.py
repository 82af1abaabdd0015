"""Files that are there whole or not at all, and errors of the disk that say what to do."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import platform
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from torchmultiverse.errors import DatasetError
from torchmultiverse.paths import address_of

_HINTS = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the quota is used up; free some space and run the same command again",
    errno.EFBIG: "the file-size limit is reached; raise it and run the same command again",
    errno.EACCES: "the folder is not writable",
    errno.EPERM: "the folder is not writable",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a file stands where the folder should be",
    errno.EEXIST: "a file stands where the folder should be",
    errno.EISDIR: "a folder stands where the file should be; move it away",
    errno.ENOENT: "no folder can be made there",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextlib.contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn the operating system's refusals into a `DatasetError` that says what to do."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "what was written before is safe; run the same command again")
        raise DatasetError(f"{place}: {error.strerror or error}; {hint}") from None


def check_folder(out: Path) -> None:
    """Say before any work whether a folder can be made at a place, or be written into; nothing is made.

    Raises:
        DatasetError: a file is in the way, the folder is not writable, or it is on another machine.
    """
    if address := address_of(out):
        raise DatasetError(f"{address}: data are written on this machine alone; name a folder, and copy it there after")
    for place in (out, *out.parents):
        if os.path.lexists(place):
            wrong = errno.ENOTDIR if not place.is_dir() else 0 if os.access(place, os.W_OK | os.X_OK) else errno.EACCES
            with disk_errors(out):
                if wrong:
                    raise OSError(wrong, os.strerror(wrong))
            return


@contextlib.contextmanager
def atomic_file(path: Path, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a file for writing that gets its name only when everything is in it.

    Ctrl-C is raised when the file is there: what writes into it may be compiled code, which makes another error of it.
    What a killed process leaves, `remove_leftovers` removes.

    Args:
        path: the file; the temporary one lies beside it, hidden, and ends in ``.tmp``.
        sync: wait until the disk has it, so that it survives a power cut.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}@{platform.node()}.tmp")
    with uninterrupted():
        try:
            with open(temporary, "wb") as file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if sync:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Raise the ``KeyboardInterrupt`` of a Ctrl-C at the end of the block instead of within; a second one at once."""
    usual = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or usual is not signal.default_int_handler:
        yield
        return
    asked: list[int] = []

    def later(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)
        asked.append(number)

    signal.signal(signal.SIGINT, later)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
        if asked:
            raise KeyboardInterrupt


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of `atomic_file` in a folder whose processes, of this machine, are no more."""
    for left in folder.glob(f".*@{glob.escape(platform.node())}.tmp"):
        owner = left.name.rpartition("@")[0].split(".")[-2]
        if owner.isdecimal() and not _alive(int(owner)):
            left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def write_atomic(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a file so that it is there whole or not at all."""
    with atomic_file(path, sync) as file:
        file.write(data)


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def foreign_files(out: Path) -> list[str]:
    """Return what lies in the folder of a dataset that has no manifest, but for hidden files and an empty ``data/``.

    Those are what a run leaves that was killed before its first file was whole.
    """
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    if "data" in names and not any(path for path in (out / "data").glob("*") if not path.name.startswith(".")):
        names.discard("data")
    return sorted(names)


def remove_temporary_files(*folders: Path) -> None:
    """Remove the temporary files that killed runs left; for whoever holds the lock, so that none is in use."""
    for folder in folders:
        for left in folder.glob(".*.tmp"):
            left.unlink()


class FolderLock:
    """Keeps a second writer out of a folder.

    The lock belongs to the open file, so the system releases it when its process dies, however it dies.

    Raises:
        DatasetError: another process has it; names the process.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        while True:
            file = open(self._path, "a+")  # noqa: SIM115 - open as long as the lock is held
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read(40).strip()
                file.close()
                raise DatasetError(
                    f"{folder} is being written by process {holder or '?'}; wait for it or end it"
                ) from None
            except BaseException:
                file.close()
                raise
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(self._path)):
                    break
            file.close()  # its holder removed it between our two steps: take the new one
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    @property
    def held(self) -> bool:
        """Whether the lock is still held."""
        return not self._file.closed

    def release(self) -> None:
        """Let go; may be called twice."""
        if self.held:
            self._path.unlink(missing_ok=True)
            self._file.close()
