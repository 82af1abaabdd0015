"""Meshes with more triangles than a picture can show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.model import MeshModel, Submesh, keeping, look, welded_normals
from torchmultiverse.errors import MissingExtra

_FEW = 500
"""Triangles of a part that is left as it is."""


def decimated(model: MeshModel, triangles: int) -> MeshModel:
    """Return a model of about so many triangles, its textures turned into colours of vertices.

    A mesh that is finer than a pixel needs no texture: each vertex takes its colour first, and keeps it. Pieces that
    are one part (see `look`) become one piece; metal, glass and lamps stay what they are.

    Args:
        model: in metres.
        triangles: fewer than it has.

    Raises:
        MissingExtra: fast-simplification is not installed.
    """
    share = triangles / model.triangles
    groups: dict[tuple[float, ...], list[Submesh]] = {}
    for piece, keeps in zip(model.pieces, keeping(model), strict=True):
        groups.setdefault((*look(piece), keeps), []).append(piece)
    made = [_decimated(tuple(group), share, model.triangles) for group in groups.values()]
    return MeshModel(tuple(piece for piece in made if len(piece.faces)))


def _decimated(group: tuple[Submesh, ...], share: float, total: int) -> Submesh:
    """Return pieces of one look as one of about a share of their triangles."""
    try:
        from fast_simplification import simplify
    except ImportError:
        raise MissingExtra("fast-simplification", "assets", f"decimating {total:,} triangles") from None
    from scipy.spatial import cKDTree

    baked = bake(MeshModel(group), edge=np.inf)
    # Seams are closed first: a decimator takes them for borders and tears them open.
    places, index = np.unique(baked.vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[baked.faces].astype(np.int32)
    faces = faces[(faces != np.roll(faces, 1, 1)).all(1)]
    points = np.asarray(places, np.float32)
    # What has few triangles would lose its shape for nothing.
    if len(faces) > _FEW:
        wanted = max(round(share * len(faces)), _FEW)
        points, faces = simplify(places.astype(np.float64), faces, target_count=wanted)
    points, fewer = np.asarray(points, np.float32), np.asarray(faces, np.uint32)
    nearest = cKDTree(baked.vertices).query(points)[1]
    return replace(
        group[0],
        vertices=points,
        normals=welded_normals(points, fewer),
        faces=fewer,
        uv=None,
        colors=baked.color[nearest],
        image=None,
        rough=None,
        tint=(1.0, 1.0, 1.0),
        roughness=float(baked.roughness.mean()),
        cut=0.0,
    )
