"""What the builders of objects share: curves, frames along them, flat polygons, normals that keep edges sharp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchmultiverse.engines.builtin.characters import spline
from torchmultiverse.engines.builtin.mesh import Floats, Mesh, grid_faces, merge

Array = NDArray[np.float64]
Faces = NDArray[np.int64]


@dataclass(frozen=True)
class Built:
    """What a builder makes: a mesh whose texture coordinates are in the object's units, and where it has a natural
    wrapping, coordinates ``unit`` (V, 2) of 0 to 1 for a picture (u to the right, v up, seen from outside)."""

    mesh: Mesh
    unit: Floats | None = None


def join(pieces: Sequence[Built]) -> Built:
    """Return several as one; the wrapping stays where all have one."""
    unit = [p.unit for p in pieces if p.unit is not None]
    return Built(merge([p.mesh for p in pieces]), np.concatenate(unit) if len(unit) == len(pieces) else None)


def curve(points: ArrayLike, steps: int, closed: bool = False) -> Array:
    """Return a smooth curve (Catmull-Rom) through points (N, D), ``steps`` segments between two; 0 or 1 keeps them."""
    p = np.asarray(points, np.float32)
    if steps <= 1:
        return p.astype(float)
    if not closed:
        return spline(p, steps).astype(float)
    return spline(np.concatenate([p[-1:], p, p[:2]]), steps)[steps : -steps - 1].astype(float)


def resampled(points: Array, count: int) -> Array:
    """Return ``count`` points (count, D) at even distances along a polyline, its corners kept where they fall close."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, along[-1], count)
    return np.stack([np.interp(at, along, column) for column in points.T], -1)


def frames(path: Array, closed: bool, up: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Return of each point (N, 3) of a path the unit vectors along it, to its side and up.

    Without ``up`` the frame is carried along without twist.
    """
    along = np.roll(path, -1, 0) - np.roll(path, 1, 0) if closed else np.gradient(path, axis=0)
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.empty_like(along)
    if up is not None:
        side = np.cross(along, np.asarray(up, float))
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    else:
        helper = np.array([1.0, 0, 0]) if abs(along[0, 2]) > 0.9 else np.array([0, 0, 1.0])
        last = np.cross(along[0], helper)
        for k, direction in enumerate(along):
            last = last - direction * (last @ direction)
            last = last / max(float(np.linalg.norm(last)), 1e-9)
            side[k] = last
    return along, side, np.cross(side, along)


def wound(mesh: Mesh) -> Mesh:
    """Return it with faces wound as its normals say."""
    assert mesh.normals is not None
    corners = mesh.vertices[mesh.faces].astype(float)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    wrong = (face * mesh.normals[mesh.faces].mean(1)).sum(1) < 0
    faces = mesh.faces.copy()
    faces[wrong] = faces[wrong][:, ::-1]
    return replace(mesh, faces=faces)


def welded(vertices: ArrayLike, faces: ArrayLike, digits: int = 6) -> tuple[Array, Faces]:
    """Return vertices of one place as one, and the faces that keep three corners."""
    v, f = np.asarray(vertices, float), np.asarray(faces, np.int64)
    _, first, inverse = np.unique(np.round(v, digits), axis=0, return_index=True, return_inverse=True)
    f = inverse.reshape(-1)[f]
    kept = (f[:, 0] != f[:, 1]) & (f[:, 1] != f[:, 2]) & (f[:, 2] != f[:, 0])
    return v[first], f[kept]


def creased(vertices: ArrayLike, faces: ArrayLike, angle: float = 35.0) -> Mesh:
    """Return a mesh whose normals are smooth between faces that meet at less than ``angle`` degrees, sharp elsewhere.

    Its texture coordinates are the two coordinates along which each face lies most.
    """
    v, f = welded(vertices, faces)
    corners = v[f]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-15)
    order = np.argsort(f.ravel(), kind="stable")
    degree = np.bincount(f.ravel(), minlength=len(v))
    start = np.cumsum(degree) - degree
    # All pairs of corners that share a vertex.
    vertex = f.ravel()[order]
    many = degree[vertex]
    first = np.repeat(np.arange(len(order)), many)
    within = np.arange(len(first)) - np.repeat(np.cumsum(many) - many, many)
    second = start[vertex][first] + within
    a, b = order[first] // 3, order[second] // 3
    near = (unit[a] * unit[b]).sum(1) > np.cos(np.radians(angle))
    normals = np.zeros((len(order), 3))
    for axis in range(3):
        normals[order, axis] = np.bincount(first[near], cross[b[near], axis], len(order))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-15)
    places = corners.reshape(-1, 3)
    lies = np.repeat(np.abs(unit).argmax(1), 3)
    uv = np.where((lies == 0)[:, None], places[:, [1, 2]], places[:, [0, 2]])
    uv = np.where((lies == 2)[:, None], places[:, [0, 1]], uv)
    # Corners of one place with one normal are one vertex.
    key = np.round(np.concatenate([places, normals, uv], 1), 5)
    _, kept, index = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return Mesh(
        places[kept].astype(np.float32),
        index.reshape(-1, 3).astype(np.uint32),
        normals[kept].astype(np.float32),
        uv[kept].astype(np.float32),
    )


def triangulated(outlines: Sequence[Array]) -> Faces:
    """Return the triangles (F, 3) of polygons with holes, indices into the outlines one after the other.

    Outer outlines run counter-clockwise, holes clockwise.
    """
    import manifold3d

    return np.asarray(manifold3d.triangulate([np.asarray(o, float) for o in outlines]), np.int64).reshape(-1, 3)


def area(outline: Array) -> float:
    """Return the signed area of a closed outline (N, 2); positive where it runs counter-clockwise."""
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def strip(rows: Array, unit: tuple[Array, Array], uv: tuple[Array, Array], outside: Array) -> Built:
    """Return a grid of points (R, C, 3), its columns a closed ring with the first repeated last, as a smooth surface.

    Args:
        rows: the points.
        unit, uv: coordinates along the columns (C,) and the rows (R,): of 0 to 1, and in the object's units.
        outside: a direction (R, C, 3) that is roughly outward.
    """
    count, columns = rows.shape[:2]
    ring = rows[:, :-1]
    closed = bool(np.allclose(rows[:, 0], rows[:, -1]))
    across = np.roll(ring, -1, 1) - np.roll(ring, 1, 1) if closed else np.gradient(rows, axis=1)
    along = np.gradient(ring if closed else rows, axis=0) if count > 1 else np.zeros_like(across)
    normal = np.cross(across, along)
    if closed:
        normal = np.concatenate([normal, normal[:, :1]], 1)
    # At a pole the ring has no width: the next row says where it faces.
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    for row, other in ((0, 1), (count - 1, count - 2)):
        if count > 1 and length[row].max() < 1e-9:
            mean = normal[other].mean(0)
            normal[row] = mean if np.linalg.norm(mean) > 1e-12 else outside[row]
    normal = normal * np.sign((normal * outside).sum() or 1.0)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-15)

    def grid(pair: tuple[Array, Array]) -> Floats:
        both = np.stack(np.broadcast_arrays(pair[0][None, :], pair[1][:, None]), -1)
        return both.reshape(-1, 2).astype(np.float32)

    mesh = Mesh(
        rows.reshape(-1, 3).astype(np.float32),
        grid_faces(count, columns),
        normal.reshape(-1, 3).astype(np.float32),
        grid(uv),
    )
    return Built(wound(mesh), grid(unit))


def cap(ring: Array, outward: ArrayLike) -> Built:
    """Return a flat end (N, 3) that faces ``outward``; of any simple outline."""
    facing = np.asarray(outward, float) / max(float(np.linalg.norm(outward)), 1e-12)
    helper = np.array([0, 0, 1.0]) if abs(facing[2]) < 0.9 else np.array([0, 1.0, 0])
    x = np.cross(helper, facing)
    x /= np.linalg.norm(x)
    flat = np.stack([ring @ x, ring @ np.cross(facing, x)], -1)
    reverse = area(flat) < 0
    order = np.arange(len(ring))[::-1] if reverse else np.arange(len(ring))
    faces = order[triangulated([flat[order]])]
    span = np.maximum(np.ptp(flat, axis=0), 1e-9)
    mesh = Mesh(
        ring.astype(np.float32),
        faces.astype(np.uint32),
        np.tile(facing, (len(ring), 1)).astype(np.float32),
        flat.astype(np.float32),
    )
    return Built(wound(mesh), ((flat - flat.min(0)) / span).astype(np.float32))
