"""What goes into the tracer and comes out of it, as numpy arrays: triangles, characters, rendered buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Mesh, MeshPart, smooth_normals

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]


@dataclass
class CharacterInstance:
    """A character as one picture shows it: arrays in world coordinates; ``parts`` as in `CharacterMesh`, each mesh in
    its place; ``motion`` is how far it goes while the shutter is open, metres, at the middle of which it is there."""

    vertices: Array
    faces: NDArray[np.uint32]
    normals: Array
    color: Array
    roughness: Array
    parts: tuple[MeshPart, ...] = ()
    motion: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Air(NamedTuple):
    """What takes light away on its way: share per metre, up to a height above the eye in metres."""

    extinction: float
    top: float


@dataclass
class RenderBuffers:
    """What a renderer returns, all (H, W, …), linear and not denoised.

    Attributes:
        color: radiance (H, W, 3).
        albedo, normal: of the first surface, world coordinates, averaged over the pixel.
        transmittance: fraction of light that reaches the eye through haze, by colour.
        instance: number of the character's slot + 1, or 0 for the world, at the pixel's centre.
        distance: along the ray through the pixel's centre, inf for sky.
        shading_normal: there, world coordinates, 0 for sky.
        noisy_maps: whether albedo and normal are of places that a lens or a motion blurs, and so have noise of that.
        air: metres of air (H, W) before what is seen, as fog takes light away on average over the pixel, where that was
            asked for; unlike ``distance`` it is as blurred as the colour.
        on_device: where the image stays on the device: color, albedo, normal and, with haze, transmittance, as one
            torch tensor (H, W, 9 or 12) there; the first four fields are empty then.
    """

    color: Array
    albedo: Array
    normal: Array
    transmittance: Array
    instance: NDArray[np.uint8]
    distance: Array
    shading_normal: Array
    on_device: torch.Tensor | None = None
    noisy_maps: bool = False
    air: Array | None = None


class Triangles(NamedTuple):
    """Triangles as rows: corners (F, 4) are three indices and the material's row; points (V, 12) hold position,
    roughness; normal, u; colour, v."""

    corners: NDArray[np.uint32]
    points: Array


def mesh_triangles(mesh: Mesh, roughness: Array | float, material: int) -> Triangles:
    """Return a mesh as rows."""
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    points = np.zeros((len(mesh.vertices), 12), np.float32)
    points[:, 0:3], points[:, 3] = mesh.vertices, roughness
    points[:, 4:7] = normals
    points[:, 8:11] = 0.5 if mesh.colors is None else mesh.colors
    if mesh.uv is not None:
        points[:, 7], points[:, 11] = mesh.uv.T
    corners = np.empty((len(mesh.faces), 4), np.uint32)
    corners[:, :3], corners[:, 3] = mesh.faces, material
    return Triangles(corners, points)


def character_triangles(character: CharacterInstance, skin: int, first: int) -> list[tuple[MeshPart | None, Triangles]]:
    """Return the triangles of a character by part.

    Args:
        character: with or without parts.
        skin: the material's row of one without parts.
        first: that of the first part of one that has them.
    """
    c = character
    if not c.parts:
        return [(None, mesh_triangles(Mesh(c.vertices, c.faces, c.normals, colors=c.color), c.roughness, skin))]
    found: list[tuple[MeshPart | None, Triangles]] = []
    start = 0
    for k, part in enumerate(c.parts):
        mesh = part.mesh
        if mesh.colors is None and part.material.color is not None:
            mesh = replace(mesh, colors=np.ones_like(mesh.vertices))  # a texture is multiplied with these
        end = start + len(mesh.vertices)
        found.append((part, mesh_triangles(mesh, c.roughness[start:end], first + k)))
        start = end
    return found


def concatenate_triangles(rows: Sequence[Triangles]) -> Triangles:
    """Return several meshes as one; a single one itself."""
    if len(rows) == 1:
        return rows[0]
    corners = np.concatenate([r.corners for r in rows])
    start = face = 0
    for r in rows:
        corners[face : face + len(r.corners), :3] += np.uint32(start)
        start, face = start + len(r.points), face + len(r.corners)
    return Triangles(corners, np.concatenate([r.points for r in rows]))
