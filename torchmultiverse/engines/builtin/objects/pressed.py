"""Parts pressed onto the surface of others: windows, lamps, labels, seams on curved bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines.builtin.mesh import Mesh, merge, smooth_normals
from torchmultiverse.engines.builtin.objects.geometry import Array

Vector = tuple[float, float, float]


class Press(BaseModel):
    """Onto which parts (``on``, of the same group, before this one), coming ``along`` a side: ``front`` is -y, ``back``
    y, ``left`` -x, ``right`` x, ``top`` z, ``bottom`` -z. What lay at the part's own place (``at``) lies on the surface
    then, raised by ``lift``; the rest follows (a plate keeps its depth). Vertices beside the surface take the height of
    the nearest one that is over it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    on: list[str] = Field(min_length=1)
    along: Literal["front", "back", "left", "right", "top", "bottom"] = "front"
    lift: float = 0.0


_SIDES: dict[str, tuple[int, int]] = {
    "front": (1, -1), "back": (1, 1), "left": (0, -1), "right": (0, 1), "top": (2, 1), "bottom": (2, -1),
}  # fmt: skip


def pressed(mesh: Mesh, press: Press, at: Vector, others: dict[str, Mesh]) -> Mesh:
    """Return a mesh moved onto the surface of others.

    Raises:
        ValueError: a part that is not there, or a mesh that is nowhere over the surface.
    """
    missing = [name for name in press.on if name not in others]
    if missing:
        raise ValueError(f"no part '{missing[0]}' before this one to press onto; there are {', '.join(others)}")
    axis, sign = _SIDES[press.along]
    flat = [k for k in range(3) if k != axis]
    vertices = mesh.vertices.astype(float)
    places, index = np.unique(np.round(vertices[:, flat], 7), axis=0, return_inverse=True)
    height = _heights(places, merge([others[name] for name in press.on]), axis, sign)
    over = np.isfinite(height)
    if not over.any():
        raise ValueError(f"nothing of it is over {', '.join(press.on)}, seen from the {press.along}")
    if not over.all():
        from scipy.spatial import cKDTree

        _, nearest = cKDTree(places[over]).query(places[~over])
        height[~over] = height[over][nearest]
    own = sign * (vertices[:, axis] - at[axis])
    vertices[:, axis] = sign * (height[index.reshape(-1)] + own + press.lift)
    moved = replace(mesh, vertices=vertices.astype(np.float32))
    return replace(moved, normals=smooth_normals(moved))


def _heights(places: Array, mesh: Mesh, axis: int, sign: int) -> Array:
    """Return how far out along an axis a surface is over points (N, 2); minus infinity beside it."""
    corners = mesh.vertices[mesh.faces].astype(float)
    out, corners = sign * corners[:, :, axis], np.delete(corners, axis, 2)
    low, span = places.min(0) - 1e-6, np.ptp(places, axis=0) + 2e-6
    side = int(np.clip(np.sqrt(len(places)), 1, 64))
    kept = ((corners.max(1) >= low) & (corners.min(1) <= low + span)).all(1)
    corners, out = corners[kept], out[kept]
    first = np.clip((corners.min(1) - low) / span * side, 0, side - 1).astype(int)
    last = np.clip((corners.max(1) - low) / span * side, 0, side - 1).astype(int)
    cell = np.clip((places - low) / span * side, 0, side - 1).astype(int)
    found = np.full(len(places), -np.inf)
    for i, j in np.unique(cell, axis=0):
        points = np.flatnonzero((cell == (i, j)).all(1))
        faces = np.flatnonzero(((first <= (i, j)) & (last >= (i, j))).all(1))
        if len(faces):
            a, b, c = np.moveaxis(corners[faces], 1, 0)
            p = places[points][:, None]
            area = _cross(b - a, c - a)
            area = np.where(np.abs(area) < 1e-14, np.inf, area)
            u, v = _cross(p - a, c - a) / area, _cross(b - a, p - a) / area
            within = (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & np.isfinite(area)
            z = out[faces]
            at = z[:, 0] + u * (z[:, 1] - z[:, 0]) + v * (z[:, 2] - z[:, 0])
            found[points] = np.where(within, at, -np.inf).max(1)
    return found


def _cross(a: Array, b: Array) -> Array:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
