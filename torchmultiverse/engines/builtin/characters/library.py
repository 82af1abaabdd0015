"""Species files, the meshes made of them, and the cache that keeps those."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.array_cache import cached_arrays
from torchmultiverse.engines.builtin import mesh as mesh_module
from torchmultiverse.engines.builtin.characters import appearance, implicit, noise, plans, strands
from torchmultiverse.engines.builtin.mesh import Material, Mesh, MeshPart
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder

LICENSE = "Apache-2.0"
_CODE = (implicit.__file__, strands.__file__, appearance.__file__, __file__, noise.__file__, mesh_module.__file__)


class Species(BaseModel):
    """One animal: proportions as implicit parts, and its appearance."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    display_name: str
    display_size: float
    hover: float = 0.0
    detail: float = Field(default=1.0, gt=0, le=4, description="share of the usual number of grid points")
    parts: list[implicit.ImplicitPart]
    skins: dict[str, appearance.Skin]
    patterns: list[appearance.Pattern] = []
    eyes: list[strands.Eye] = []
    rows: list[strands.ConeRow] = []
    hair: list[strands.Hair] = []


@dataclass(frozen=True)
class CharacterMesh:
    """A character, ready to be placed.

    Metres, z up, facing +x, y to its left, origin on the ground under the middle of its bounding box, lowest
    vertex at z = 0. ``vertices`` and ``normals`` float32 (V, 3), ``faces`` uint32 (F, 3), ``uv`` float32 (V, 2)
    (angle about the long axis, position along it), ``color`` linear sRGB albedo (V, 3), ``roughness`` (V,),
    ``hover`` height of the lowest point above ground. ``parts``: none where the whole is one surface by vertex
    colours; otherwise ``vertices``, ``faces`` and ``normals`` are theirs, one after the other, and they say what each
    is made of. ``anchor``: the point (3,) that comes over the spot where it is placed, such as its centre of mass;
    None: the middle of the bounding box that it has when it is turned.
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
    parts: tuple[MeshPart, ...] = ()
    anchor: NDArray[np.float64] | None = None


def character_names() -> list[str]:
    """Return the names of all species, sorted."""
    return sorted(path.stem for path in (data_folder("scenes") / "characters").glob("*.json"))


def texture_names() -> list[str]:
    """Return the levels of ``Character_Texture``, sorted."""
    return list(appearance.TEXTURES)


def character_label(name: str) -> str:
    """Return what people call a species."""
    file = data_folder("scenes") / "characters" / f"{name}.json"
    return str(json.loads(file.read_bytes())["display_name"])


def load_species(name: str) -> Species:
    """Return a species, its plan carried out.

    Raises:
        SpecError: no such species, or a file that is wrong.
    """
    if name not in character_names():
        raise SpecError(f"no character '{name}'.{nearest(name, character_names())}")
    where = f"scenes/characters/{name}.json"
    try:
        data = json.loads((data_folder("scenes") / "characters" / f"{name}.json").read_bytes())
    except json.JSONDecodeError as error:
        raise SpecError(f"{where}: not JSON: {error}") from None
    return _species(data, where)


def _species(data: dict[str, Any], where: str) -> Species:
    try:
        # Back to text, so that JSON's rules apply (a list stands for a tuple).
        return Species.model_validate_json(json.dumps(plans.grow(data, where)))
    except ValidationError as error:
        raise SpecError(f"{where}: {error}") from None


def animal(name: str, data: dict[str, Any], where: str, voxels: int) -> CharacterMesh:
    """Return an animal built from a species' data, not kept.

    Args:
        name: of the animal; its hair and speckles are drawn from it.
        data: what a species' file holds.
        where: the place that errors name.
        voxels: size of the grid it is meshed from.

    Raises:
        SpecError: wrong data.
    """
    species = _species(data, where)
    arrays: dict[str, Any] = build(name, species, voxels)
    return CharacterMesh(name=name, hover=species.hover, **arrays)


@lru_cache(maxsize=1)
def _code_hash() -> str:
    """Return a hash of the code that every mesh is made by."""
    return hashlib.sha256(b"".join(Path(path).read_bytes() for path in _CODE)).hexdigest()


def load_character(name: str, voxels: int = implicit.VOXELS) -> CharacterMesh:
    """Return a character's mesh, built or from the cache.

    Args:
        name: one of ``character_names()``.
        voxels: size of the grid it is meshed from; fewer are faster and coarser.

    Raises:
        SpecError: no such species.
    """
    species = load_species(name)
    # The grown species is hashed, not the plans' code: a plan that changes spoils only the meshes it changes.
    key = hashlib.sha256(f"{species.model_dump_json()} {voxels} {_code_hash()}".encode()).hexdigest()[:24]
    arrays: dict[str, Any] = cached_arrays("meshes", name, key, lambda: build(name, species, voxels))
    return CharacterMesh(name=name, hover=species.hover, **arrays)


def build(name: str, species: Species, voxels: int = implicit.VOXELS) -> dict[str, NDArray[Any]]:
    """Build the arrays of a species' mesh from a grid of ``voxels``."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:3], "little")
    rng = np.random.default_rng(seed)
    surface = implicit.mesh(species.parts, int(voxels * species.detail))
    color, rough, lift = appearance.vertex_appearance(surface, species.skins, species.patterns, seed)
    body = surface.vertices + surface.normals * lift[:, None]
    skin = strands.ColoredMesh(body, surface.faces, color, rough)
    grown = dataclasses.replace(surface, vertices=body)
    piece = strands.join(
        [
            skin,
            *(strands.eyes(e, grown) for e in species.eyes),
            *(strands.cone_row(r) for r in species.rows),
            *(strands.hair(h, grown, color, rng) for h in species.hair),
        ]
    )
    rest, faces = piece.vertices, piece.faces
    low, high = rest.min(0), rest.max(0)
    scale = np.float32(species.display_size / float((high - low).max()))
    origin = np.array([(low[0] + high[0]) / 2, 0, low[2]], np.float32)
    vertices = ((rest - origin) * scale).astype(np.float32)
    angle = np.arctan2(rest[:, 1], rest[:, 2] - (low[2] + high[2]) / 2)
    uv = np.stack([angle / (2 * np.pi) + 0.5, (rest[:, 0] - low[0]) / (high[0] - low[0])], -1).astype(np.float32)
    return {
        "vertices": vertices, "faces": faces, "normals": implicit.vertex_normals(vertices, faces), "uv": uv,
        "color": piece.color, "roughness": piece.rough,
    }  # fmt: skip


def texture_character(mesh: CharacterMesh, texture: str) -> CharacterMesh:
    """Return the character with another surface; shape and shading stay, and so do the parts that keep their own and
    panes of glass. Metal and glass give parts to a character that has none; a part that is no closed body becomes a
    pane of glass.

    Raises:
        SpecError: no such texture.
    """
    if texture == "Default":
        return mesh
    if texture not in appearance.TEXTURES:
        raise SpecError(f"no texture '{texture}'.{nearest(texture, appearance.TEXTURES)}")
    size = float(np.ptp(mesh.vertices, axis=0).max())
    color, roughness = appearance.texture(texture, (mesh.vertices / np.float32(size)).astype(np.float32))
    if not mesh.parts:
        body = Mesh(mesh.vertices, mesh.faces, mesh.normals, mesh.uv, color)
        return replace(mesh, color=color, roughness=roughness, parts=textured_parts(texture, body, closed=True))
    parts, start = [], 0
    for part in mesh.parts:
        end = start + len(part.mesh.vertices)
        if part.keeps or part.material.glass < 0:
            color[start:end], roughness[start:end] = mesh.color[start:end], mesh.roughness[start:end]
        else:
            body = replace(part.mesh, colors=color[start:end])
            metallic, glass = appearance.texture_substance(texture)
            index = glass if not glass or _closed(body) else -glass
            rough = float(roughness[start:end].mean())
            part = replace(part, material=_substance(texture, rough, metallic, index), mesh=body)
        parts.append(part)
        start = end
    return replace(mesh, color=color, roughness=roughness, parts=tuple(parts))


def textured_parts(texture: str, body: Mesh, closed: bool = False) -> tuple[MeshPart, ...]:
    """Return what a body in a texture of metal or glass is made of: one part; none in any other texture.

    Args:
        texture: one of ``texture_names()``.
        body: with the texture's colours at its vertices.
        closed: whether it is known to be closed; otherwise glass is solid only where it is.
    """
    metallic, glass = appearance.texture_substance(texture)
    if not metallic and not glass:
        return ()
    index = glass if not glass or closed or _closed(body) else -glass
    return (MeshPart(_substance(texture, appearance.TEXTURE_SPECS[texture].rough, metallic, index), body),)


def _substance(name: str, roughness: float, metallic: float, glass: float) -> Material:
    return Material(name, roughness=roughness, specular=0.35, metallic=metallic, glass=glass)


def _closed(mesh: Mesh) -> bool:
    """Return whether each edge of a mesh is in two triangles that run along it in opposite directions, or in several
    such pairs; vertices at one place are one."""
    _, place = np.unique(mesh.vertices.round(5), axis=0, return_inverse=True)
    corners = place.reshape(-1)[mesh.faces].astype(np.int64)
    corners = corners[(corners != np.roll(corners, 1, 1)).all(1)]  # without triangles that are lines
    start, end = corners.ravel(), np.roll(corners, -1, 1).ravel()
    count = int(place.max()) + 1
    return np.array_equal(np.sort(start * count + end), np.sort(end * count + start))
