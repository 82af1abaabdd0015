"""A textured mesh as the parts of a character of the built-in engine, each with its material.

What has a texture keeps it; only a surface with holes is split until its edges are a pixel long, because a material has
no alpha. Pieces that differ in nothing but the colours of their vertices become one part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.model import Floats, MeshModel, Submesh, keeping, look, used_vertices
from torchmultiverse.engines.builtin import Material, Mesh, MeshPart

TEXELS = ((192, 256), (320, 512), (640, 1024), (1 << 16, 2048))
"""Longest side of a texture by the side of the picture in pixels: one texture is mostly laid around a whole body."""
_BRIGHTEST = 0.95
_LAMP = 4096
"""Shadow rays look for lamps of at most so many faces."""
_SPECULAR = 0.5
"""That of most things."""


def texels_for(side: int) -> int:
    """Return the longest side of a texture that a picture of ``side`` pixels needs."""
    return next(texels for limit, texels in TEXELS if side <= limit)


def parts_of(model: MeshModel, edge: float, texels: int) -> tuple[MeshPart, ...]:
    """Return a model as parts.

    Args:
        model: in metres.
        edge: longest edge of a triangle of a surface with holes, metres.
        texels: longest side of a texture.
    """
    plain: dict[tuple[float, ...], list[Mesh]] = {}
    parts: list[MeshPart] = []
    for piece, keeps in zip(model.pieces, keeping(model), strict=True):
        if piece.image is not None and piece.uv is not None and piece.cut == 0:
            parts.append(_textured(piece, texels, f"texture {len(parts)}", keeps))
        else:
            plain.setdefault((*look(piece), keeps), []).append(_plain(piece, edge))
    for (roughness, metallic, glass, emission, coat, kept), meshes in plain.items():
        name = f"plain {len(parts)}"
        lamp = emission > 0 and sum(len(mesh.faces) for mesh in meshes) <= _LAMP
        material = Material(name, roughness, _SPECULAR, metallic, emission, glass=glass, coat=coat, samples_light=lamp)
        parts.append(MeshPart(material, _joined(meshes), keeps=bool(kept)))
    return tuple(parts)


def surface_part(mesh: Mesh, roughness: float) -> MeshPart:
    """Return what a texture replaces, as one part with colours of vertices."""
    return MeshPart(Material("surface", roughness, _SPECULAR), mesh)


def _textured(piece: Submesh, texels: int, name: str, keeps: bool) -> MeshPart:
    assert piece.image is not None
    rough = None if piece.rough is None else np.ascontiguousarray(_halved(piece.rough, texels)[::-1])
    material = Material(
        name,
        piece.roughness,
        _SPECULAR,
        piece.metallic,
        piece.emission,
        glass=piece.glass,
        coat=piece.coat,
        repeat=True,
        # A material's first row is at v = 0, a picture's at v = 1.
        color=np.ascontiguousarray(_halved(piece.image[..., :3], texels)[::-1]),
        rough=rough,
    )
    colors = piece.colors if piece.colors is not None else np.ones_like(piece.vertices)
    colors = np.minimum(colors * np.asarray(piece.tint, np.float32), _BRIGHTEST).astype(np.float32)
    mesh = Mesh(*_used(piece.vertices, piece.faces, (_unit(piece.normals), piece.uv, colors)))
    return MeshPart(material, mesh, keeps)


def _plain(piece: Submesh, edge: float) -> Mesh:
    baked = bake(MeshModel((piece,)), edge)
    return Mesh(baked.vertices, baked.faces, baked.normals, colors=baked.color)


def _used(vertices: Floats, faces: NDArray[Any], others: Sequence[Floats | None]) -> tuple[Any, ...]:
    """Return vertices, faces and what else there is of vertices, without vertices that no face has."""
    used, index = used_vertices(faces, len(vertices))
    rest = (None if values is None else np.ascontiguousarray(values[used], np.float32) for values in others)
    return (np.ascontiguousarray(vertices[used], np.float32), index.astype(np.uint32), *rest)


def _unit(normals: Floats) -> Floats:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-6, normals / np.maximum(length, 1e-6), [0, 0, 1]).astype(np.float32)


def _joined(meshes: Sequence[Mesh]) -> Mesh:
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    faces = [mesh.faces + np.uint32(offset) for mesh, offset in zip(meshes, offsets, strict=True)]
    return replace(
        meshes[0],
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate(faces).astype(np.uint32),
        normals=np.concatenate([mesh.normals for mesh in meshes if mesh.normals is not None]),
        colors=np.concatenate([mesh.colors for mesh in meshes if mesh.colors is not None]),
    )


def _halved(image: NDArray[np.uint8], texels: int) -> NDArray[np.uint8]:
    """Return a picture averaged down until no side is longer than ``texels``."""
    while max(image.shape[:2]) > texels:
        height, width = image.shape[:2]
        padding = [(0, height % 2), (0, width % 2), *[(0, 0)] * (image.ndim - 2)]
        even = np.pad(image, padding, mode="edge").astype(np.uint16)
        total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
        image = ((total + 2) // 4).astype(np.uint8)
    return image


def whole(parts: Sequence[MeshPart]) -> tuple[Floats, NDArray[np.uint32], Floats, Floats, Floats]:
    """Return vertices, faces, normals, colours and roughness of all parts, one after the other."""
    mesh = _joined([replace(part.mesh, uv=None) for part in parts])
    assert mesh.normals is not None
    assert mesh.colors is not None
    counts = [len(part.mesh.vertices) for part in parts]
    roughness = np.repeat(np.array([part.material.roughness for part in parts], np.float32), counts)
    return mesh.vertices, mesh.faces, mesh.normals, mesh.colors, roughness
