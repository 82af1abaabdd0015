"""Archives of other people's files: read by name, within limits, never unpacked."""

from __future__ import annotations

import lzma
import posixpath
import zipfile
import zlib
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote

from torchmultiverse.assets.files import MAX_TEXTURE_BYTES, Siblings, inside, read_bounded, shown
from torchmultiverse.errors import AssetError


class Archive(Protocol):
    """Files by name, with ``/`` between the parts of a name."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is none.

        Raises:
            AssetError: it is too large, or broken.
        """
        ...

    def names(self) -> list[str]:
        """Return the names of its files."""
        ...


class ZipArchive(Archive):
    """A zip file.

    Args:
        file: its path, or an open file.
        what: names it in errors.
        limit: bytes that a file of it may have.

    Raises:
        AssetError: it is none.
    """

    def __init__(self, file: IO[bytes] | Path, what: str, limit: int = MAX_TEXTURE_BYTES) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError) as error:
            raise AssetError(f"{what} is no zip file that can be read: {error}") from None
        self._what, self._limit = what, limit

    def read(self, name: str) -> bytes | None:  # noqa: D102
        try:
            facts = self._zip.getinfo(name)
        except KeyError:
            return None
        if facts.file_size > self._limit:
            raise AssetError(f"{self._what}: {shown(name)} is larger than {self._limit >> 20} MiB")
        try:
            return self._zip.read(facts)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError) as error:
            raise AssetError(f"{self._what}: {shown(name)} cannot be read: {error}") from None

    def names(self) -> list[str]:  # noqa: D102
        return [facts.filename for facts in self._zip.infolist() if not facts.is_dir()]

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


class FolderArchive(Archive):
    """A folder that holds what an archive would, unpacked.

    Args:
        folder: nothing outside it is read.
        limit: bytes that a file of it may have.
    """

    def __init__(self, folder: Path, limit: int = MAX_TEXTURE_BYTES) -> None:
        self._folder, self._limit = folder, limit

    def read(self, name: str) -> bytes | None:  # noqa: D102
        if not (self._folder / name).exists():
            return None
        return read_bounded(inside(self._folder, name, str(self._folder)), self._limit, name)

    def names(self) -> list[str]:  # noqa: D102
        return sorted(p.relative_to(self._folder).as_posix() for p in self._folder.rglob("*") if p.is_file())


class ArchiveSiblings(Siblings):
    """The files beside a mesh of an archive that it may name: its materials and textures. It is read leniently.

    Args:
        archive: nothing outside it is read.
        base: name of the mesh.
        what: names the asset in errors.
    """

    def __init__(self, archive: Archive, base: str, what: str) -> None:
        self._archive, self._folder = archive, posixpath.dirname(base)
        self.what, self.lenient = what, True

    def has(self, name: str) -> bool:
        """Return whether there is a file that is named relative to the mesh."""
        return self._found(name) is not None

    def read(self, name: str) -> bytes:
        """Return a file that is named relative to the mesh, as it stands or percent-encoded as in an address.

        Raises:
            AssetError: there is none, it is too large or broken.
        """
        data = self._found(name)
        if data is None:
            raise AssetError(f"{self.what}: there is no file '{shown(name)}' beside it")
        return data

    def _found(self, name: str) -> bytes | None:
        for one in dict.fromkeys((name.strip(), unquote(name.strip()))):
            place = posixpath.normpath(posixpath.join(self._folder, one.replace("\\", "/")))
            if not place.startswith(("/", "..")) and (data := self._archive.read(place)) is not None:
                return data
        return None
