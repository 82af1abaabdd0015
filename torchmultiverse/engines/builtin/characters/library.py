"""Species files, the meshes made of them, and the cache that keeps those."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from torchmultiverse.engines.builtin.characters import coat, solids
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import cache_folder, data_folder

LICENSE = "Apache-2.0"
_CODE = (solids.__file__, coat.__file__, __file__, str(Path(__file__).with_name("noise.py")))


class Species(BaseModel):
    """One animal: proportions as implicit parts, and its coat."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    display_name: str
    display_size: float
    hover: float = 0.0
    parts: list[solids.Part]
    skins: dict[str, coat.Skin]
    patterns: list[coat.Pattern] = []


@dataclass(frozen=True)
class CharacterMesh:
    """A character, ready to be placed.

    Metres, z up, facing +x, y to its left, origin on the ground under the middle of its bounding box, lowest
    vertex at z = 0. ``vertices`` and ``normals`` float32 (V, 3), ``faces`` uint32 (F, 3), ``uv`` float32 (V, 2)
    (angle about the long axis, position along it), ``color`` linear sRGB albedo (V, 3), ``roughness`` (V,),
    ``hover`` height of the lowest point above ground.
    """

    name: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.uint32]
    normals: NDArray[np.float32]
    uv: NDArray[np.float32]
    color: NDArray[np.float32]
    roughness: NDArray[np.float32]
    hover: float
    license: str = LICENSE


def character_names() -> list[str]:
    """Return the names of all species, sorted."""
    return sorted(path.stem for path in (data_folder("scenes") / "characters").glob("*.json"))


def texture_names() -> list[str]:
    """Return the levels of ``Character_Texture``, sorted."""
    return list(coat.TEXTURES)


def load_species(name: str) -> tuple[Species, bytes]:
    """Return a species and the bytes of its file.

    Raises:
        SpecError: no such species, or a file that is wrong.
    """
    if name not in character_names():
        raise SpecError(f"no character '{name}'.{nearest(name, character_names())}")
    data = (data_folder("scenes") / "characters" / f"{name}.json").read_bytes()
    try:
        return Species.model_validate_json(data), data
    except ValidationError as error:
        raise SpecError(f"scenes/characters/{name}.json: {error}") from None


@lru_cache(maxsize=1)
def _code_hash() -> str:
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in _CODE)).hexdigest()


def load_character(name: str) -> CharacterMesh:
    """Return a character's mesh, built or from the cache.

    Raises:
        SpecError: no such species.
    """
    species, data = load_species(name)
    key = hashlib.sha256(data + _code_hash().encode()).hexdigest()[:24]
    path = cache_folder("meshes") / f"{name}-{key}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return CharacterMesh(name, **{k: arrays[k] for k in arrays.files}, hover=species.hover)
        except (OSError, ValueError, TypeError):
            path.unlink(missing_ok=True)  # half a file of a crash; it is built again
    arrays = build(name, species)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(temporary, **arrays)
    os.replace(temporary, path)
    return CharacterMesh(name, **arrays, hover=species.hover)


def build(name: str, species: Species, voxels: int = solids.VOXELS) -> dict[str, NDArray[Any]]:
    """Build the arrays of a species' mesh."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:3], "little")
    rest, faces, normals, labels, weights = solids.mesh(species.parts, voxels)
    color, rough = coat.paint(rest, normals, labels, weights, species.skins, species.patterns, seed)
    vertices = rest + normals * coat.fur(rest, labels, weights, species.skins, seed)[:, None]
    low, high = vertices.min(0), vertices.max(0)
    scale = np.float32(species.display_size / float((high - low).max()))
    origin = np.array([(low[0] + high[0]) / 2, 0, low[2]], np.float32)
    vertices = ((vertices - origin) * scale).astype(np.float32)
    angle = np.arctan2(rest[:, 1], rest[:, 2] - (low[2] + high[2]) / 2)
    uv = np.stack([angle / (2 * np.pi) + 0.5, (rest[:, 0] - low[0]) / (high[0] - low[0])], -1).astype(np.float32)
    return {
        "vertices": vertices, "faces": faces, "normals": solids.vertex_normals(vertices, faces), "uv": uv,
        "color": color, "roughness": rough,
    }  # fmt: skip


def texture_character(mesh: CharacterMesh, texture: str) -> CharacterMesh:
    """Return the character with another surface; shape and shading stay.

    Raises:
        SpecError: no such texture.
    """
    if texture == "Default":
        return mesh
    if texture not in coat.TEXTURES:
        raise SpecError(f"no texture '{texture}'.{nearest(texture, coat.TEXTURES)}")
    size = float(np.ptp(mesh.vertices, axis=0).max())
    color, roughness = coat.texture(texture, (mesh.vertices / np.float32(size)).astype(np.float32))
    return replace(mesh, color=color, roughness=roughness)
