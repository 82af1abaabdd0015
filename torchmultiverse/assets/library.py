"""Packs of assets: what a pack says of itself, how one is installed, and where installed ones are.

A pack is a folder with ``pack.json`` and one ``.npz`` file per asset. It appears under its name when everything is in
it, and what it holds is known by its hashes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets.environment import unpack_map
from torchmultiverse.assets.files import MAX_MANIFEST_BYTES, read_bounded
from torchmultiverse.assets.model import MeshModel, unpack
from torchmultiverse.assets.texture_maps import TextureMap, unpack_texture
from torchmultiverse.errors import AssetError, nearest
from torchmultiverse.resources import packs_folder
from torchmultiverse.scenes import object_assets

PROCEDURAL = "procedural"
"""The name of what comes with the package."""
BUILDABLE = {
    "0ad": "the animals of the game 0 A.D., CC-BY-SA 3.0, of the Debian package 0ad-data",
    "objaverse": "models of Objaverse for the 151 published classes, each under its own licence",
    "polyhaven": "environment maps, models and textures of Poly Haven, CC0",
    "published": "the 724 assets of PUG: ImageNet and AR4T, each under its own licence",
    "sweethome3d": "the furniture of Sweet Home 3D, CC0 and CC-BY 3.0, of the Debian package sweethome3d-furniture",
}
"""Packs that ``assets build`` makes, with what each holds."""
MANIFEST = "pack.json"
PAGE = "turntable.html"
PACK_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
ASSET_NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
_MAX_ARRAYS = 2**30

Kind = Literal["character", "environment", "texture"]


class Item(BaseModel):
    """One asset of an installed pack."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: Annotated[str, Field(pattern=ASSET_NAME)]
    kind: Kind
    class_name: str = ""
    """What a character is, the class that its pictures show; empty where that is its name."""
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
    filled: dict[str, str] = Field(default_factory=dict)
    """Names that the pack was to give and does not, with the reason: `PROCEDURAL` has objects of these names."""


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
        return unpack(self.read(item))

    def radiance(self, name: str) -> NDArray[np.float32]:
        """Return an environment's map, float32 (H, 2H, 3).

        Raises:
            AssetError: its file is not what was installed.
        """
        item = self.item("environment", name)
        return unpack_map(self.read(item))

    def texture(self, name: str) -> TextureMap:
        """Return a surface for characters.

        Raises:
            AssetError: its file is not what was installed.
        """
        return unpack_texture(self.read(self.item("texture", name)))

    def read(self, item: Item) -> bytes:
        """Return the bytes of an asset's file.

        Raises:
            AssetError: they are not what was installed.
        """
        what = f"{item.name} of the pack '{self.name}'"
        data = read_bounded(self.folder / item.file, _MAX_ARRAYS, what)
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise AssetError(f"{what}: {self.folder / item.file} has changed since it was installed; install it again")
        return data


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
        missing, command = f"no pack of assets '{name}' is installed.", "torchmultiverse assets build"
        if name in BUILDABLE:
            raise AssetError(f"{missing} Install: {command} {name}")
        others = sorted({*BUILDABLE} - {*known})
        build = "".join(f"; '{pack}' is made by: {command} {pack}" for pack in others)
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


def install(
    name: str,
    assets: Iterable[tuple[Item, bytes]],
    out: Path | None = None,
    filled: Mapping[str, str] = MappingProxyType({}),
) -> Pack:
    """Install a pack; one of the same name is replaced when everything of the new one is there.

    Args:
        name: of the pack.
        assets: what is known of each, and the bytes of its ``.npz`` file.
        out: a folder that becomes the pack, instead of the one of its name among the installed packs. It is replaced
            where it holds a pack.
        filled: see `PackManifest`; looked at when all assets are there.

    Raises:
        AssetError: there is nothing in it, a name is there twice, or it cannot be written.
    """
    place = packs_folder() / name if out is None else out.absolute()
    base = place.parent
    if name == PROCEDURAL:
        raise AssetError(f"'{PROCEDURAL}' is what comes with the package; give the pack another name")
    if out is not None and place.exists() and not (place / MANIFEST).is_file():
        raise AssetError(f"{place} is there already, and is no pack; give a folder that is new")
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
        manifest = PackManifest(name=name, assets=items, filled=dict(filled))
        (building / MANIFEST).write_text(manifest.model_dump_json(indent=1), "utf-8")
        os.chmod(building, 0o755)
        _swap(building, place)
    except OSError as error:
        raise AssetError(f"{building}: {error.strerror or error}; nothing was installed") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return Pack(place)


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


def drop(name: str, unwanted: Sequence[str]) -> Pack:
    """Take assets out of an installed pack.

    Args:
        name: of the pack.
        unwanted: names of its assets.

    Raises:
        AssetError: there is no such pack or asset, or nothing would be left.
    """
    pack = open_pack(name)
    known = {item.name for item in pack.manifest.assets}
    for one in unwanted:
        if one not in known:
            raise AssetError(f"the pack '{name}' has no asset '{one}'.{nearest(one, known)}")
    kept = [item for item in pack.manifest.assets if item.name not in unwanted]
    ours = {asset.name for asset in object_assets()}
    gone = {one: "dropped" for one in unwanted if one in ours}
    return install(name, ((item, pack.read(item)) for item in kept), filled=pack.manifest.filled | gone)


def remove(name: str) -> None:
    """Delete an installed pack.

    Raises:
        AssetError: there is none of that name.
    """
    folder = open_pack(name).folder
    gone = folder.with_name(f".{name}.old-{os.getpid()}")
    os.rename(folder, gone)
    shutil.rmtree(gone)
