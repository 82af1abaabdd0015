"""Triangle meshes as arrays, the shapes that worlds are put together from, and what their surfaces are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.uint32]


@dataclass(frozen=True)
class Material:
    """A surface. Without a texture its colour is that of the mesh's vertices.

    Attributes:
        name: parts with materials of one name are merged into one mesh.
        roughness: 0 mirror-like to 1 fully rough.
        specular: strength of the specular reflection, 0 to 1 (0.5 is that of most things).
        metallic: 0 or 1.
        color: uint8 (H, W, 3), sRGB, or None.
        rough: uint8 (H, W), roughness times 255, or None.
        height: float32 (H, W), metres, perturbs the normals, or None.
        emission: radiance of the surface; multiplied with its colour.
        samples_light: whether shadow rays look for it; off for the many small ones that only have to be seen.
        glass: 0 where it is opaque; above 0 the index of refraction of a solid body, whose colour is what a tenth of a
            metre of it lets through; below 0 that of a thin pane, whose colour is what it lets through.
        coat: strength of a clear coat over it, 0 to 1.
        translucency: share of the diffuse light that goes through to the other side, 0 to 1 (a leaf, a lampshade).
        lamp: whether its emission is that of a lamp, a sign or a fire; a window's day or a planet's light is not.
    """

    name: str
    roughness: float = 0.8
    specular: float = 0.3
    metallic: float = 0.0
    emission: float = 0.0
    samples_light: bool = False
    glass: float = 0.0
    coat: float = 0.0
    translucency: float = 0.0
    repeat: bool = False
    lamp: bool = True
    color: NDArray[np.uint8] | None = None
    rough: NDArray[np.uint8] | None = None
    height: Floats | None = None


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3), faces (F, 3), and per vertex normals, texture coordinates and linear-sRGB colours."""

    vertices: Floats
    faces: Indices
    normals: Floats | None = None
    uv: Floats | None = None
    colors: Floats | None = None

    def moved(self, offset: ArrayLike = (0, 0, 0), scale: ArrayLike = 1.0, yaw: float = 0.0, tilt: float = 0.0) -> Mesh:
        """Return it scaled, tilted about x, turned about z (radians), then moved."""
        c, s, ct, st = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
        normals = self.normals
        if normals is not None:
            normals = normals / np.asarray(scale, float)
            normals = (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)) @ turn.T
            normals = normals.astype(np.float32)
        vertices = (self.vertices * np.asarray(scale, float)) @ turn.T + np.asarray(offset, float)
        return replace(self, vertices=vertices.astype(np.float32), normals=normals)

    def tinted(self, color: ArrayLike) -> Mesh:
        """Return it in one linear colour, or with its own colours multiplied."""
        color = np.asarray(color, np.float32)
        own = self.colors if self.colors is not None else np.ones_like(self.vertices)
        return replace(self, colors=(own * color).astype(np.float32))


@dataclass
class MeshPart:
    """A mesh and its material; ``keeps``: a texture that replaces a character's surface leaves this part as it is."""

    material: Material
    mesh: Mesh
    keeps: bool = False


@dataclass
class Light:
    """A lamp: ``spot`` (cone, degrees) or ``point``; ``power`` is its radiant intensity by linear colour."""

    position: tuple[float, float, float]
    power: tuple[float, float, float]
    target: tuple[float, float, float] | None = None
    cone: float = 40.0
    image: NDArray[np.float32] | None = field(default=None)


def linear(color: ArrayLike) -> NDArray[np.float64]:
    """Return sRGB values of 0 to 1 as linear light."""
    c = np.asarray(color, float)
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def merge(meshes: Sequence[Mesh]) -> Mesh:
    """Return one mesh of several. What one of them lacks is filled in (normals from faces, uv 0, white)."""
    offsets = np.cumsum([0, *(len(m.vertices) for m in meshes[:-1])])

    def gather(name: str, fill: float, width: int) -> Floats | None:
        if all(getattr(m, name) is None for m in meshes):
            return None
        return np.concatenate(
            [
                getattr(m, name)
                if getattr(m, name) is not None
                else np.full((len(m.vertices), width), fill, np.float32)
                for m in meshes
            ]
        ).astype(np.float32)

    if any(m.normals is not None for m in meshes):
        meshes = [m if m.normals is not None else replace(m, normals=smooth_normals(m)) for m in meshes]
    return Mesh(
        np.concatenate([m.vertices for m in meshes]).astype(np.float32),
        np.concatenate([m.faces + np.uint32(o) for m, o in zip(meshes, offsets, strict=True)]).astype(np.uint32),
        gather("normals", 0, 3),
        gather("uv", 0, 2),
        gather("colors", 1, 3),
    )


def smooth_normals(mesh: Mesh) -> Floats:
    """Return area-weighted vertex normals."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((len(mesh.vertices), 3))
    for k in range(3):
        np.add.at(total, mesh.faces[:, k], face)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.where(length > 1e-12, total / np.maximum(length, 1e-12), [0, 0, 1]).astype(np.float32)


def grid_faces(rows: int, columns: int) -> Indices:
    """Return the triangles of a grid of vertices, counter-clockwise when rows run along +y and columns along +x."""
    i = np.arange(rows * columns, dtype=np.uint32).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1].ravel(), i[:-1, 1:].ravel(), i[1:, 1:].ravel(), i[1:, :-1].ravel()
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.uint32)


def quad(corners: ArrayLike, uv: ArrayLike = ((0, 0), (1, 0), (1, 1), (0, 1))) -> Mesh:
    """Return a flat quadrilateral of four corners, counter-clockwise seen from its front."""
    p = np.asarray(corners, np.float32)
    normal = np.cross(p[1] - p[0], p[3] - p[0])
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    return Mesh(
        p,
        np.array([[0, 1, 2], [0, 2, 3]], np.uint32),
        np.tile(normal, (4, 1)).astype(np.float32),
        np.asarray(uv, np.float32),
    )


def box(low: ArrayLike, high: ArrayLike, uv_per_metre: float = 1.0) -> Mesh:
    """Return an axis-aligned box with outward flat normals; texture coordinates in metres times ``uv_per_metre``."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    sides = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for end, order in ((a, (0, 3, 2, 1)), (b, (0, 1, 2, 3))):
            ring = np.zeros((4, 3))
            ring[:, axis] = end[axis]
            ring[:, u] = [a[u], b[u], b[u], a[u]]
            ring[:, v] = [a[v], a[v], b[v], b[v]]
            ring = ring[list(order)]
            flat = np.stack([ring[:, 0] + (ring[:, 1] if axis == 0 else 0), ring[:, 2] if axis < 2 else ring[:, 1]], -1)
            sides.append(quad(ring, flat * uv_per_metre))
    return merge(sides)


def tube(path: ArrayLike, radius: ArrayLike, sides: int = 8) -> Mesh:
    """Return a tube along a path (N, 3) with one radius or one per point; ends are open, so taper them."""
    p = np.asarray(path, float)
    r = np.broadcast_to(np.asarray(radius, float), len(p))
    along = np.gradient(p, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # The frame is carried along the path, so that a bend does not twist the tube.
    side = np.empty_like(along)
    helper = np.array([1.0, 0, 0]) if abs(along[0, 2]) > 0.9 else np.array([0, 0, 1.0])
    last = np.cross(along[0], helper)
    for k, direction in enumerate(along):
        last = last - direction * (last @ direction)
        last = last / max(float(np.linalg.norm(last)), 1e-9)
        side[k] = last
    up = np.cross(side, along)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    out = side[:, None] * np.cos(angle)[None, :, None] - up[:, None] * np.sin(angle)[None, :, None]
    vertices = p[:, None] + out * r[:, None, None]
    uv = np.stack(np.broadcast_arrays(np.linspace(0, 1, sides + 1)[None], np.linspace(0, 1, len(p))[:, None]), -1)
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        grid_faces(len(p), sides + 1),
        out.reshape(-1, 3).astype(np.float32),
        uv.reshape(-1, 2).astype(np.float32),
    )


def lathe(profile: ArrayLike, sides: int = 24) -> Mesh:
    """Return a body of revolution about z from (radius, height) pairs, bottom to top."""
    p = np.asarray(profile, float)
    path = np.stack([0 * p[:, 1], 0 * p[:, 1], p[:, 1]], -1)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    vertices = path[:, None] + ring[None] * p[:, 0][:, None, None]
    mesh = Mesh(vertices.reshape(-1, 3).astype(np.float32), grid_faces(len(p), sides + 1))
    return replace(mesh, normals=smooth_normals(mesh))


def ball(rows: int = 12, columns: int = 16) -> Mesh:
    """Return the unit sphere."""
    theta, phi = np.linspace(np.pi, 0, rows), np.linspace(0, 2 * np.pi, columns)
    t, f = np.meshgrid(theta, phi, indexing="ij")
    d = np.stack([np.sin(t) * np.cos(f), np.sin(t) * np.sin(f), np.cos(t)], -1).reshape(-1, 3).astype(np.float32)
    return Mesh(d, grid_faces(rows, columns), d.copy())


def scatter(mesh: Mesh, offsets: ArrayLike, scales: ArrayLike, yaws: ArrayLike, tints: ArrayLike | None = None) -> Mesh:
    """Return many copies as one mesh: offsets (N, 3), scales (N,) or (N, 3), yaws (N,) radians, tints (N, 3)."""
    offset, yaw = np.asarray(offsets, float), np.asarray(yaws, float)
    n, v = len(offset), len(mesh.vertices)
    scale = np.asarray(scales, float)
    scale = np.broadcast_to(scale[:, None] if scale.ndim == 1 else scale, (n, 3))
    c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]

    def turned(a: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([a[..., 0] * c - a[..., 1] * s, a[..., 0] * s + a[..., 1] * c, a[..., 2]], -1)

    vertices = turned(mesh.vertices[None] * scale[:, None]) + offset[:, None]
    normals: Floats | None = None
    if mesh.normals is not None:
        facing = turned(mesh.normals[None] / np.maximum(scale[:, None], 1e-6))
        facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-9)
        normals = facing.reshape(-1, 3).astype(np.float32)
    faces = (mesh.faces[None] + (np.arange(n, dtype=np.uint32) * np.uint32(v))[:, None, None]).reshape(-1, 3)
    colors = None
    if tints is not None or mesh.colors is not None:
        own = mesh.colors if mesh.colors is not None else np.ones_like(mesh.vertices)
        tint = np.ones((n, 3)) if tints is None else np.asarray(tints, float)
        colors = (own[None] * tint[:, None]).reshape(-1, 3).astype(np.float32)
    uv = None if mesh.uv is None else np.tile(mesh.uv, (n, 1))
    return Mesh(vertices.reshape(-1, 3).astype(np.float32), faces.astype(np.uint32), normals, uv, colors)
