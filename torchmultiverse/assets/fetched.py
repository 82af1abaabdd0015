"""Files of models that were fetched, as characters of a pack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any

from torchmultiverse.assets.archives import ArchiveSiblings, ZipArchive
from torchmultiverse.assets.files import MAX_FILE_BYTES
from torchmultiverse.assets.folder import character_item
from torchmultiverse.assets.library import Item
from torchmultiverse.assets.model import MeshModel, Pose
from torchmultiverse.assets.reading import FRONTS, read_mesh, read_model
from torchmultiverse.errors import AssetError, nearest
from torchmultiverse.scenes import class_table

FLAT = 0.1
"""A body that is lower than this share of its longest edge lies flat."""
LEAN = 35.0
"""Degrees by which it is tilted then: from the camera's height a keyboard on the ground is a line."""


def fetched_character(path: Path, facts: Mapping[str, Any], max_triangles: int) -> tuple[Item, bytes]:
    """Return a fetched model as a character of a pack, normalised, and the bytes of its file.

    Args:
        path: a GLB or glTF file, or a zip archive with one in it.
        facts: see `torchmultiverse.assets.folder.character_item`.
        max_triangles: it may have no more.

    Raises:
        AssetError: it cannot be read, or has more triangles.
    """
    what = str(facts["name"])
    model, notes = _archived(path, what) if path.suffix == ".zip" else read_model(path, path.parent, what)
    if model.triangles > max_triangles:
        raise AssetError(f"{what}: {model.triangles:,} triangles, at most {max_triangles:,} are wanted")
    up, forward = FRONTS[".glb"]
    lean = 0.0
    low, high = model.bounds()
    if (high - low)[1] < FLAT * float((high - low).max()):
        lean = LEAN
        notes = [*notes, f"it lies flat, and was tilted by {LEAN:g} degrees to be seen"]
    return character_item(model, Pose(up, forward, lean=lean), facts, notes, what)


def _archived(path: Path, what: str) -> tuple[MeshModel, list[str]]:
    with closing(ZipArchive(path, what, MAX_FILE_BYTES)) as archive:
        found = [name for name in archive.names() if PurePosixPath(name).suffix.lower() in (".gltf", ".glb")]
        if not found:
            raise AssetError(f"{what}: its archive holds no glTF file")
        name = min(found, key=lambda one: (one.count("/"), one))
        data = archive.read(name) or b""
        return read_mesh(data, PurePosixPath(name).suffix.lower(), ArchiveSiblings(archive, name, what), what)


def check_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of classes of objects, or all of them where none are named.

    Raises:
        AssetError: one is none of the published classes.
    """
    known = [one.name for one in class_table() if one.kind == "object"]
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if name not in known:
            raise AssetError(f"'{name}' is none of the 151 published classes.{nearest(name, known)}")
    return wanted or tuple(known)
