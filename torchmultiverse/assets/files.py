"""Files of a folder that somebody else filled: nothing outside it is read, nothing larger than its limit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from torchmultiverse.errors import AssetError, nearest

MAX_FILE_BYTES = 512 * 2**20
"""Of a mesh or an environment map."""
MAX_TEXTURE_BYTES = 64 * 2**20
MAX_MANIFEST_BYTES = 4 * 2**20

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[/~\\]")
"""How an address and an absolute path begin."""


def shown(name: str) -> str:
    """Return a name that a file gives as it may stand in a message: short, and without control characters."""
    plain = "".join(letter if letter.isprintable() else "�" for letter in name[:60])
    return plain if len(name) <= 60 else f"{plain}…"


def inside(folder: Path, name: str, what: str) -> Path:
    """Return the path of a file that lies in a folder.

    Args:
        folder: which nothing may leave.
        name: as a manifest or a mesh gives it, relative to the folder, with ``/`` between its parts.
        what: names the place in errors.

    Raises:
        AssetError: an address, an absolute path, one that leads out (by ``..`` or a link), or no file there.
    """
    if _ELSEWHERE.match(name):
        raise AssetError(f"{what}: '{shown(name)}' is no path inside {folder}; only files of the folder are read")
    path = folder.joinpath(*name.replace("\\", "/").split("/"))
    base = folder.resolve()
    try:
        real = path.resolve()
        real.is_file()  # a name may be too long for the system to ask
    except (OSError, RuntimeError, ValueError) as error:
        raise AssetError(f"{what}: '{shown(name)}' cannot be followed: {error}") from None
    if not real.is_relative_to(base):
        raise AssetError(f"{what}: '{shown(name)}' leads out of {folder}; only files of the folder are read")
    if not real.is_file():
        known = [str(p.relative_to(folder)) for p in sorted(path.parent.glob("*")) if p.is_file()]
        raise AssetError(
            f"{what}: there is no file '{shown(name)}' in {folder}.{nearest(name, known) if known else ''}"
        )
    return real


def read_bounded(path: Path, limit: int, what: str) -> bytes:
    """Return a file's bytes.

    Raises:
        AssetError: larger than ``limit`` bytes, or it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise AssetError(f"{what}: {path} cannot be read: {error.strerror or error}") from None
    if len(data) > limit:
        raise AssetError(f"{what}: {path} is larger than {limit / 2**20:.0f} MiB, the most that is read")
    return data


class Siblings(Protocol):
    """The files beside a mesh that it may name.

    ``what`` names the asset in errors. A mesh of other people's, which nobody here can mend, is read leniently
    (``lenient``): without a texture or a file of materials that is not there, and with a remark.
    """

    what: str
    lenient: bool

    def has(self, name: str) -> bool:
        """Return whether there is a file that is named relative to the mesh."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file that is named relative to the mesh.

        Raises:
            AssetError: there is none, or it may not or cannot be read.
        """
        ...


class SiblingFiles(Siblings):
    """The files beside a mesh that it may name: its materials and textures.

    Args:
        folder: nothing outside it is read.
        base: the mesh.
        what: names the asset in errors.
    """

    def __init__(self, folder: Path, base: Path, what: str) -> None:
        self._folder = folder
        self._base = base
        self.what, self.lenient = what, False

    def has(self, name: str) -> bool:
        """Return whether there is a file that is named relative to the mesh."""
        try:
            self._path(name)
        except AssetError:
            return False
        return True

    def read(self, name: str) -> bytes:
        """Return a file that is named relative to the mesh, as it stands or percent-encoded as in an address.

        Raises:
            AssetError: see `inside` and `read_bounded`.
        """
        plain = unquote(name)
        return read_bounded(
            self._path(name if plain != name and self.has(name) else plain), MAX_TEXTURE_BYTES, self.what
        )

    def _path(self, name: str) -> Path:
        name = name.strip()
        if _ELSEWHERE.match(name):
            inside(self._folder, name, self.what)  # which refuses it in its words
        here = self._base.parent.resolve().relative_to(self._folder.resolve())
        return inside(self._folder, "/".join([*here.parts, name]), self.what)


def suffixed(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Return the names of the folder's files that end in one of ``suffixes``, sorted, relative to the folder."""
    found = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in suffixes and p.is_file()]
    return [p.relative_to(folder).as_posix() for p in found[:1000]]
