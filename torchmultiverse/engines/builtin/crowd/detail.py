"""Meshes as fine as the picture can show them: vertices that fall into one cell of a grid become one.

Sixteen meshes at the detail of the one that fills the picture take a ray tracer several times as long to load as the
picture takes. (Rossignac and Borrel, "Multi-resolution 3D approximations for rendering complex scenes", 1993.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Mesh, MeshPart, smooth_normals

_LEAST_SAVED = 0.7
"""Share of its triangles beyond which a mesh is left as it is."""
_UV_CELLS = 16
"""Vertices whose texture coordinates are further apart than one part in this many stay apart: they are at a seam."""


@dataclass(frozen=True)
class Detail:
    """A mesh by vertex: its arrays as those of `characters.CharacterMesh`."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.uint32]
    normals: NDArray[np.float32]
    color: NDArray[np.float32]
    roughness: NDArray[np.float32]
    hover: float
    parts: tuple[MeshPart, ...] = ()
    anchor: NDArray[np.float64] | None = None


def coarser(mesh: Detail, cell: float) -> Detail:
    """Return a mesh whose vertices are one a cell, or the mesh itself where that saves little.

    What meets at a vertex goes on meeting there, so that no hole opens; where a surface folds (its normals are in
    other octants), and at the seams of textures, there are several vertices at one place.

    Args:
        mesh: of a character, in its own coordinates.
        cell: side of a cell, metres.
    """
    if not mesh.parts:
        return _whole(mesh, cell)
    ends = np.cumsum([len(part.mesh.vertices) for part in mesh.parts])
    parts, rough = [], []
    for part, roughness in zip(mesh.parts, np.split(mesh.roughness, ends[:-1]), strict=True):
        fewer, kept = _clustered(part.mesh, roughness, cell)
        parts.append(replace(part, mesh=fewer))
        rough.append(kept)
    if sum(len(p.mesh.faces) for p in parts) > _LEAST_SAVED * len(mesh.faces):
        return mesh
    offsets = np.cumsum([0, *(len(p.mesh.vertices) for p in parts[:-1])])
    faces = [p.mesh.faces + np.uint32(offset) for p, offset in zip(parts, offsets, strict=True)]
    vertices = np.concatenate([p.mesh.vertices for p in parts])
    normals = np.concatenate([p.mesh.normals for p in parts if p.mesh.normals is not None])
    return replace(
        mesh, vertices=vertices, faces=np.concatenate(faces).astype(np.uint32), normals=normals,
        color=np.ones_like(vertices), roughness=np.concatenate(rough), parts=tuple(parts),
    )  # fmt: skip


def _whole(mesh: Detail, cell: float) -> Detail:
    one = Mesh(mesh.vertices, mesh.faces, mesh.normals, None, mesh.color)
    fewer, rough = _clustered(one, mesh.roughness, cell)
    if len(fewer.faces) > _LEAST_SAVED * len(mesh.faces):
        return mesh
    assert fewer.normals is not None
    assert fewer.colors is not None
    return replace(
        mesh, vertices=fewer.vertices, faces=fewer.faces, normals=fewer.normals, color=fewer.colors, roughness=rough
    )


def _clustered(mesh: Mesh, roughness: NDArray[np.float32], cell: float) -> tuple[Mesh, NDArray[np.float32]]:
    """Return a mesh with one vertex for each cell, side and piece of texture, and the roughness of its vertices."""
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    places = np.floor(mesh.vertices / cell).astype(np.int64)
    at = _numbered(places)
    sides = [at, normals[:, 0] > 0, normals[:, 1] > 0, normals[:, 2] > 0]
    if mesh.uv is not None:
        sides += list(np.floor(mesh.uv * _UV_CELLS).astype(np.int64).T)
    which = _numbered(np.stack([np.asarray(side, np.int64) for side in sides], 1))
    count = int(which.max(initial=-1)) + 1
    at_of = np.zeros(count, np.int64)
    at_of[which] = at
    middle = _mean(mesh.vertices, at)
    pointing = _mean(normals, which)
    pointing /= np.maximum(np.linalg.norm(pointing, axis=1, keepdims=True), 1e-9)
    faces = which[mesh.faces]
    corners = at[mesh.faces]
    flat = (corners[:, 0] == corners[:, 1]) | (corners[:, 1] == corners[:, 2]) | (corners[:, 2] == corners[:, 0])
    faces = faces[~flat]
    _, first = np.unique(_numbered(np.sort(faces, 1)), return_index=True)
    faces = faces[np.sort(first)]
    made = Mesh(
        middle[at_of].astype(np.float32),
        faces.astype(np.uint32),
        pointing.astype(np.float32),
        None if mesh.uv is None else _mean(mesh.uv, which).astype(np.float32),
        None if mesh.colors is None else _mean(mesh.colors, which).astype(np.float32),
    )
    return made, _mean(roughness[:, None], which)[:, 0].astype(np.float32)


def _numbered(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each different row, int64 (N,)."""
    key = np.zeros(len(rows), np.int64)
    for column in rows.T:
        if not len(column):
            break
        low, high = int(column.min()), int(column.max())
        span = high - low + 1
        if int(key.max()) + 1 > 2**62 // span:
            key = np.unique(key, return_inverse=True)[1].astype(np.int64)
        key = key * span + (column - low)
    return np.asarray(np.unique(key, return_inverse=True)[1], np.int64)


def _mean(values: NDArray[np.floating], which: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of values (N, K) by number, (count, K)."""
    count = np.bincount(which)
    return np.stack([np.bincount(which, column) / count for column in values.T.astype(np.float64)], 1)
