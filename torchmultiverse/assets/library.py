"""Packs of assets: what a pack says of itself, how one is installed, and where installed ones are.

A pack is a folder with ``pack.json`` and one ``.npz`` file per asset. It appears under its name when everything is in
it, and what it holds is known by its hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets.environment import unpack_map
from torchmultiverse.assets.files import MAX_MANIFEST_BYTES, read_bounded
from torchmultiverse.assets.model import MeshModel, unpack
from torchmultiverse.errors import AssetError, nearest
from torchmultiverse.resources import packs_folder

PROCEDURAL = "procedural"
"""The name of what comes with the package."""
BUILDABLE = ("0ad",)
"""Packs that ``assets build`` makes."""
MANIFEST = "pack.json"
PAGE = "turntable.html"
PACK_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
ASSET_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
_MAX_ARRAYS = 2**30

T = TypeVar("T")
Kind = Literal["character", "environment"]


class Item(BaseModel):
    """One asset of an installed pack."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, Field(pattern=ASSET_NAME)]
    kind: Kind
    display_name: str
    license: str
    attribution: str = ""
    source: str = ""
    hover: float = 0.0
    size: float = 0.0
    triangles: int = 0
    exposure: float = 0.0
    notes: list[str] = Field(default_factory=list)
    sha256: str = ""

    @property
    def file(self) -> str:
        """Name of the file with the arrays."""
        return f"{self.kind}-{self.name}.npz"


class PackManifest(BaseModel):
    """What ``pack.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=PACK_NAME)]
    assets: list[Item]


class Pack:
    """An installed pack.

    Args:
        folder: with ``pack.json``.

    Raises:
        AssetError: it holds no pack of this format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        data = read_bounded(folder / MANIFEST, MAX_MANIFEST_BYTES, f"pack '{folder.name}'")
        try:
            self.manifest = PackManifest.model_validate_json(data)
        except ValidationError as error:
            raise AssetError(f"pack '{folder.name}': {folder / MANIFEST} is wrong; install it again: {error}") from None
        self.fingerprint = hashlib.sha256(data).hexdigest()
        self._items = {(item.kind, item.name): item for item in self.manifest.assets}

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name

    def names(self, kind: Kind) -> list[str]:
        """Return the names of its assets of a kind, sorted."""
        return sorted(name for of, name in self._items if of == kind)

    def item(self, kind: Kind, name: str) -> Item:
        """Return what is known of an asset.

        Raises:
            KeyError: it has none of that name.
        """
        return self._items[kind, name]

    def model(self, name: str) -> MeshModel:
        """Return a character's mesh.

        Raises:
            AssetError: its file is not what was installed.
        """
        item = self.item("character", name)
        return self._read(item, unpack)

    def radiance(self, name: str) -> NDArray[np.float32]:
        """Return an environment's map, float32 (H, 2H, 3).

        Raises:
            AssetError: its file is not what was installed.
        """
        item = self.item("environment", name)
        return self._read(item, unpack_map)

    def _read(self, item: Item, reader: Callable[[bytes], T]) -> T:
        what = f"{item.name} of the pack '{self.name}'"
        data = read_bounded(self.folder / item.file, _MAX_ARRAYS, what)
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise AssetError(f"{what}: {self.folder / item.file} has changed since it was installed; install it again")
        return reader(data)


def installed() -> list[str]:
    """Return the names of the installed packs, sorted."""
    folder = packs_folder()
    return sorted(p.parent.name for p in folder.glob(f"*/{MANIFEST}") if not p.parent.name.startswith("."))


def everything() -> list[str]:
    """Return the names of all packs that can be drawn from: what comes with the package, then the installed ones."""
    return [PROCEDURAL, *installed()]


def open_pack(name: str) -> Pack:
    """Return an installed pack.

    Raises:
        AssetError: there is none of that name; says how to install it.
    """
    known = installed()
    if name not in known:
        missing = f"no pack of assets '{name}' is installed."
        if name in BUILDABLE:
            raise AssetError(f"{missing} Install: torchmultiverse assets build {name}")
        others = sorted({*BUILDABLE} - {*known})
        build = "".join(f"; '{pack}' is made by: torchmultiverse assets build {pack}" for pack in others)
        how = f"Install: torchmultiverse assets add FOLDER{build}"
        raise AssetError(f"{missing}{nearest(name, [*known, PROCEDURAL])} {how}")
    return Pack(packs_folder() / name)


def check_packs(names: Sequence[str]) -> None:
    """Raise an error unless every pack of a spec's ``assets`` is there.

    Raises:
        AssetError: one is not installed; says how to install it.
    """
    for name in names:
        if name != PROCEDURAL:
            open_pack(name)


def install(name: str, assets: Iterable[tuple[Item, bytes]]) -> Pack:
    """Install a pack; one of the same name is replaced when everything of the new one is there.

    Args:
        name: of the pack.
        assets: what is known of each, and the bytes of its ``.npz`` file.

    Raises:
        AssetError: there is nothing in it, a name is there twice, or it cannot be written.
    """
    base = packs_folder()
    if name == PROCEDURAL:
        raise AssetError(f"'{PROCEDURAL}' is what comes with the package; give the pack another name")
    try:
        base.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=base))
    except OSError as error:
        raise AssetError(f"{base}: {error.strerror or error}") from None
    try:
        items: list[Item] = []
        for item, data in assets:
            if any(item.name == other.name and item.kind == other.kind for other in items):
                raise AssetError(f"the {item.kind} '{item.name}' is there twice")
            (building / item.file).write_bytes(data)
            items.append(item.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}))
        if not items:
            raise AssetError(f"the pack '{name}' would be empty")
        manifest = PackManifest(name=name, assets=items)
        (building / MANIFEST).write_text(manifest.model_dump_json(indent=1), "utf-8")
        os.chmod(building, 0o755)
        _swap(building, base / name)
    except OSError as error:
        raise AssetError(f"{building}: {error.strerror or error}; nothing was installed") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Pack(base / name)


def _swap(new: Path, place: Path) -> None:
    """Give a folder its name; the one that had it is deleted."""
    old = place.with_name(f".{place.name}.old-{os.getpid()}")
    if place.exists():
        os.rename(place, old)
    try:
        os.rename(new, place)
    except OSError:
        if old.exists():
            os.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def remove(name: str) -> None:
    """Delete an installed pack.

    Raises:
        AssetError: there is none of that name.
    """
    folder = open_pack(name).folder
    gone = folder.with_name(f".{name}.old-{os.getpid()}")
    os.rename(folder, gone)
    shutil.rmtree(gone)
