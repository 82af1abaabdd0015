"""Meshes with more triangles than a picture can show."""

from __future__ import annotations

import numpy as np

from torchmultiverse.assets.bake import bake
from torchmultiverse.assets.model import MeshModel, Submesh, welded_normals
from torchmultiverse.errors import MissingExtra


def decimated(model: MeshModel, triangles: int) -> MeshModel:
    """Return a model of about so many triangles, its textures turned into colours of vertices.

    A mesh that is finer than a pixel needs no texture: each vertex takes its colour first, and keeps it.

    Args:
        model: in metres.
        triangles: fewer than it has.

    Raises:
        MissingExtra: fast-simplification is not installed.
    """
    try:
        from fast_simplification import simplify
    except ImportError:
        raise MissingExtra("fast-simplification", "assets", f"decimating {model.triangles:,} triangles") from None
    from scipy.spatial import cKDTree

    baked = bake(model, edge=np.inf)
    # Seams are closed first: a decimator takes them for borders and tears them open.
    places, index = np.unique(baked.vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[baked.faces].astype(np.int32)
    whole = (faces != np.roll(faces, 1, 1)).all(1)
    points, fewer = simplify(places.astype(np.float64), faces[whole], target_count=min(triangles, int(whole.sum())))
    points, fewer = np.asarray(points, np.float32), np.asarray(fewer, np.uint32)
    nearest = cKDTree(baked.vertices).query(points)[1]
    return MeshModel(
        (
            Submesh(
                points,
                welded_normals(points, fewer),
                fewer,
                colors=baked.color[nearest],
                roughness=float(baked.roughness.mean()),
            ),
        )
    )
