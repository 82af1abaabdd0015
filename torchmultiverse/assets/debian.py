"""Files of Debian packages, read without installing them."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, cast

from torchmultiverse.errors import AssetError


def package_files(package: Path, endings: Sequence[str], stack: ExitStack) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files of a Debian package (an ``ar`` file with a compressed ``tar`` inside) whose names end so.

    Each is copied to a temporary file without a name, which is closed with ``stack``. A name is only compared, it never
    becomes a path.

    Raises:
        AssetError: it is no such package, cannot be unpacked here, or there is no room for what is in it.
    """
    with open(package, "rb") as file:
        _to_data(file, package)
        try:
            with tarfile.open(fileobj=file, mode=cast("Any", f"r|{_compression(file)}")) as tar:
                for member in tar:
                    if member.isfile() and member.name.endswith(tuple(endings)):
                        out = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
                        _copy(tar, member, out, package)
                        yield member.name, out
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise AssetError(
                f"{package} cannot be unpacked here ({error}); unpack it with 'dpkg-deb -x {package.name} FOLDER' and "
                "give that folder"
            ) from None


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, out: IO[bytes], package: Path) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if member.size > free:
        raise AssetError(
            f"{tempfile.gettempdir()} has {free / 1e9:.1f} GB free; unpacking {package.name} needs "
            f"{member.size / 1e9:.1f} GB; set TMPDIR to another folder"
        )
    data = tar.extractfile(member)
    assert data is not None
    shutil.copyfileobj(data, out, 1 << 20)
    out.seek(0)


def _to_data(file: IO[bytes], package: Path) -> None:
    """Move to the header of the member with the data."""
    if file.read(8) != b"!<arch>\n":
        raise AssetError(f"{package} is no Debian package")
    while len(header := file.read(60)) == 60:
        size = header[48:58].strip()
        if header.startswith(b"data.tar"):
            file.seek(-60, 1)
            return
        if not size.isdigit():
            break
        file.seek(int(size) + int(size) % 2, 1)
    raise AssetError(f"{package} is a Debian package without data")


def _compression(file: IO[bytes]) -> str:
    """Return how the member that begins here is compressed, and move to its bytes."""
    name = file.read(60)[:16].decode("ascii", "replace").strip().rstrip("/")
    return name.rpartition(".")[2]


def download(name: str, folder: Path, otherwise: str) -> Path:
    """Return a Debian package, downloaded by the system's own client into a folder.

    Args:
        name: of the package.
        folder: that exists.
        otherwise: what to do where there is no such client; ends the error.

    Raises:
        AssetError: there is no ``apt-get``, or it failed.
    """
    try:
        done = subprocess.run(["apt-get", "download", name], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise AssetError(f"there is no apt-get here; {otherwise}") from None
    found = sorted(folder.glob(f"{name}_*.deb"))
    if done.returncode or not found:
        raise AssetError(f"'apt-get download {name}' failed: {done.stderr.strip()[-400:]}")
    return found[0]
