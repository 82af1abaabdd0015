"""Folders and files of other machines, read through copies in the cache: ``hf://``, ``s3://`` and all else of fsspec.

What is at an address is copied file by file when it is opened, and what is unchanged there is not copied again. Nothing
is ever written to an address.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from torchmultiverse.errors import DatasetError, MissingExtra, nearest, shortened
from torchmultiverse.files import FolderLock, atomic_file
from torchmultiverse.paths import address_of, component
from torchmultiverse.progress import transfer_bar
from torchmultiverse.resources import cache_folder

_COPIED = ".copied.json"
_STAMPS = ("ETag", "etag", "sha256", "blob_id", "md5Hash", "content_md5", "mtime", "LastModified", "created")
"""What file systems say of a file that changes with its content: each says some of it, few say nothing."""
_CHUNK = 1 << 20
_OURS = {"hf": "huggingface_hub", "s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}
"""Packages of file systems that the extra brings; of others fsspec says what it needs."""


def local_copy(place: str | Path, quiet: bool = False) -> Path:
    """Return a path of this machine as it is, and of an address the copy that was made of it in the cache.

    Args:
        place: a path, or an address of `fsspec`, such as ``hf://datasets/OWNER/NAME`` or ``s3://BUCKET/FOLDER``; also
            one whose second slash a `pathlib.Path` has folded. Options of a file system are fsspec's, from its
            configuration or environment (``FSSPEC_S3='{"anon": true}'``).
        quiet: show no progress.

    Raises:
        DatasetError: nothing is there, or it cannot be reached or kept; what was copied before is kept.
        MissingExtra: the package of the file system is not installed.

    >>> local_copy("data/spar").as_posix()
    'data/spar'
    """
    address = address_of(place)
    if address is None:
        return Path(place)
    scheme, _, rest = address.partition("://")
    if scheme == "file":
        return Path("/", rest)
    files, root = _file_system(address)
    single, found = _listed(address, files, root)
    base = cache_folder("remote", hashlib.sha256(address.encode()).hexdigest()[:16])
    name = next(iter(found)) if single else PurePosixPath(rest).name or scheme
    lock = FolderLock(base)
    try:
        _copy(address, files, found, base if single else base / component(name), quiet)
    finally:
        lock.release()
    return base / (name if single else component(name))


def _copy(address: str, files: Any, found: Mapping[str, _Found], target: Path, quiet: bool) -> None:
    """Bring a folder of the cache to what is at an address: copy what is new there, remove what is gone."""
    record = target / _COPIED
    target.mkdir(parents=True, exist_ok=True)
    try:
        copied: dict[str, Any] = dict(json.loads(record.read_bytes()))
    except (OSError, ValueError):
        copied = {}
    for name in [name for name in copied if name not in found]:
        (target / name).unlink(missing_ok=True)
        del copied[name]
    # A file of which nothing says whether it changed is copied again.
    kept = {n for n, file in found.items() if file.stamp and copied.get(n) == file.stamp and (target / n).is_file()}
    new = [name for name in found if name not in kept]
    total, free = sum(found[name].size or 0 for name in new), shutil.disk_usage(target).free
    if total > free:
        raise DatasetError(
            f"{address} has {total / 1e9:.1f} GB to copy, and the disk of {target} {free / 1e9:.1f} GB free: set "
            "TORCHMULTIVERSE_CACHE to a folder of another disk"
        )
    with transfer_bar(quiet) as bar:
        task = bar.add_task(f"copying {len(new)} files of {address}", total=total or None)
        for name in new:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            place = atomic_file(target / name, sync=False)
            with _told(address), files.open(found[name].path, "rb") as source, place as out:
                while chunk := source.read(_CHUNK):
                    out.write(chunk)
                    bar.advance(task, len(chunk))
                if (size := found[name].size) not in (None, out.tell()):
                    raise OSError(f"{name} broke off after {out.tell():,} of {size:,} bytes")
            copied[name] = found[name].stamp
            with atomic_file(record, sync=False) as file:
                file.write(json.dumps(copied).encode())


@dataclass(frozen=True, slots=True)
class _Found:
    """A file at an address: its path there, its size in bytes if known, and what changes with its content."""

    path: str
    size: int | None
    stamp: dict[str, str]


def _listed(address: str, files: Any, root: str) -> tuple[bool, dict[str, _Found]]:
    """Return whether an address is that of a file, and its files by their names in the copy."""
    with _told(address):
        try:
            files.invalidate_cache()  # what this process saw there before
            single = not files.isdir(root)  # which knows a listing of a web server where `info` sees a file
            listed = {root: files.info(root)} if single else files.find(root, detail=True)
        except FileNotFoundError:
            raise DatasetError(f"{address}: nothing is there") from None
    found = {}
    for path, info in listed.items():
        name = PurePosixPath(path).name if single else _inside(address, root, path)
        if any(part.startswith(".") for part in name.split("/")):
            continue
        stamp = {key: str(info[key]) for key in _STAMPS if info.get(key) is not None}
        found[name] = _Found(path, info.get("size"), stamp)
    if not found:
        raise DatasetError(f"{address} holds no files")
    return single, found


def _inside(address: str, root: str, path: str) -> str:
    """Return where a file lies in a folder: what a listing says is a path of this machine only where it lies inside."""
    name = path.removeprefix(f"{root}/")
    if name == path or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in name.split("/")):
        raise DatasetError(f"{address} lists {shortened(path, 200)}, which is not inside it")
    return name


@contextlib.contextmanager
def _told(address: str) -> Iterator[None]:
    """Make one error of what the many file systems raise when they cannot read."""
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {error}".strip(": ")
        raise DatasetError(
            f"{address} cannot be read: {told:.400}. What was copied is kept: run the same command again"
        ) from error


def _file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise MissingExtra("fsspec", "remote", address) from None
    scheme = address.partition("://")[0]
    known = sorted({*fsspec.available_protocols()})
    if scheme not in known:
        raise DatasetError(f"{address}: no file system '{scheme}'.{nearest(scheme, known)}")
    try:
        with _told(address):
            files, root = fsspec.core.url_to_fs(address)
    except DatasetError as error:
        if isinstance(error.__cause__, ImportError) and (package := _OURS.get(scheme)):
            raise MissingExtra(package, "remote", address) from None
        raise
    return files, str(root).rstrip("/")
