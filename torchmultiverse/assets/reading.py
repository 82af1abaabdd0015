"""GLB, glTF, OBJ and PLY files as models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from torchmultiverse.assets.files import MAX_FILE_BYTES, SiblingFiles, Siblings, read_bounded
from torchmultiverse.assets.gltf_model import read_glb
from torchmultiverse.assets.model import Axis, MeshModel
from torchmultiverse.assets.obj import read_obj
from torchmultiverse.assets.ply import read_ply
from torchmultiverse.assets.textures import visible_faces
from torchmultiverse.errors import AssetError

_READERS = {".glb": read_glb, ".gltf": read_glb, ".obj": read_obj, ".ply": read_ply}
MESH_SUFFIXES = tuple(_READERS)
FRONTS: dict[str, tuple[Axis, Axis]] = {
    ".glb": ("y", "z"), ".gltf": ("y", "z"), ".obj": ("y", "z"), ".ply": ("z", "x"),
}  # fmt: skip
"""Up and forward axes of a format, where the manifest does not say: glTF's own, what exporters write, and ours."""
MAX_REMARKS = 30


def read_model(path: Path, folder: Path, what: str) -> tuple[MeshModel, list[str]]:
    """Return the model of a file in a folder, and remarks for its owner: whatever of the file is not drawn.

    Args:
        path: a GLB, glTF, OBJ or PLY file.
        folder: nothing outside it is read, whatever the file names.
        what: names the asset in errors.

    Raises:
        AssetError: it cannot be read, names what is missing or outside, or is too large.
    """
    data = read_bounded(path, MAX_FILE_BYTES, what)
    return read_mesh(data, path.suffix.lower(), SiblingFiles(folder, path, what), what)


def read_mesh(data: bytes, suffix: str, siblings: Siblings, what: str) -> tuple[MeshModel, list[str]]:
    """Return the model of a file's bytes, and remarks for its owner: whatever of the file is not drawn.

    Args:
        data: a GLB, glTF, OBJ or PLY file.
        suffix: one of `MESH_SUFFIXES`.
        siblings: the files that it may name.
        what: names the asset in errors.

    Raises:
        AssetError: it cannot be read, or names what is missing.
    """
    try:
        # Numbers that overflow become infinite, and are refused with all that are not finite.
        with np.errstate(all="ignore"):
            pieces, notes = _READERS[suffix](data, siblings, what)
            there = [visible_faces(piece) for piece in pieces]
    except MemoryError:
        raise AssetError(f"{what}: there is not enough memory to read it") from None
    clear = sum(int((~seen).sum()) for seen in there)
    if clear:
        notes.append(f"{clear:,} faces lie where their texture is clear and are not drawn")
        shown = zip(pieces, there, strict=True)
        pieces = [replace(piece, faces=piece.faces[seen]) for piece, seen in shown if seen.any()]
    if not pieces:
        raise AssetError(f"{what}: nothing of it is to be seen: {'; '.join(notes)}")
    if len(notes) > MAX_REMARKS:
        notes = [*notes[:MAX_REMARKS], f"… and {len(notes) - MAX_REMARKS} more"]
    if all(piece.image is None and piece.colors is None for piece in pieces):
        notes.append("it has neither a texture nor colours of vertices: it is in the plain colours of its materials")
    return MeshModel(tuple(pieces)), notes
