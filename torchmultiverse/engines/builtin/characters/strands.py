"""Small closed sub-meshes on and in a body: eyes, rows of teeth, claws and scutes, and hair that grows on the skin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines.builtin.characters.implicit import Array, BodySurface, Vector, spline
from torchmultiverse.engines.builtin.characters.noise import fractal, srgb

_RING = 5


class Eye(BaseModel):
    """An eyeball, set into the skin where that is nearest to ``at``; its twin is on the other side."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    at: Vector
    r: float
    look: Vector = (0.5, 1, 0.1)
    iris: str = "#2a1808"
    white: str = "#120c08"
    pupil: float = Field(default=0.45, description="half angle in radians")
    ring: float = Field(default=0.85, description="half angle of the iris in radians")


class ConeRow(BaseModel):
    """Cones in a row along a spline: teeth, claws, spines. ``lean`` is their direction."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    along: list[Vector]
    count: int
    length: list[float] = Field(description="from the first to the last, evenly")
    radius: float
    lean: Vector
    curve: Vector = Field(default=(0, 0, 0), description="what bends them: added to the direction towards the tip")
    color: str
    rough: float = 0.35
    mirror: bool = False
    swing: tuple[float, float] | None = None


class Hair(BaseModel):
    """Strands that grow on the skin of some labels, outwards and towards ``lean``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    labels: list[str]
    count: int
    length: float
    radius: float
    lean: Vector = (0, 0, 0)
    droop: float = 0.0
    spread: float = Field(default=0.3, description="disorder of the directions")
    color: str | None = Field(default=None, description="the skin's own where none is given")
    tip: str | None = None
    low: Vector = Field(default=(-9, -9, -9), description="roots grow inside this box")
    high: Vector = (9, 9, 9)
    facing: Vector | None = Field(default=None, description="roots grow where the skin faces this way")
    tone: float = Field(default=0.2, description="how much strands differ in brightness")
    rough: float = 0.8


@dataclass(frozen=True)
class ColoredMesh:
    """Vertices (V, 3), faces, linear colours and roughness (V,) of closed sub-meshes."""

    vertices: Array
    faces: NDArray[np.uint32]
    color: Array
    rough: Array


def eyes(eye: Eye, s: BodySurface) -> ColoredMesh:
    """Return both eyeballs, two fifths of their radius deep in the surface."""
    nearest = np.argmin(((s.vertices - np.asarray(eye.at, np.float32)) ** 2).sum(1))
    center = s.vertices[nearest] - np.float32(0.4 * eye.r) * s.normals[nearest]
    rows, around = 20, 28
    theta = np.linspace(0, np.pi, rows + 1)[1:-1]
    phi = np.arange(around) / around * 2 * np.pi
    body = np.stack(
        [
            np.repeat(np.cos(theta), around),
            np.outer(np.sin(theta), np.cos(phi)).ravel(),
            np.outer(np.sin(theta), np.sin(phi)).ravel(),
        ],
        1,
    )
    local = np.concatenate([[[1, 0, 0]], body, [[-1, 0, 0]]])
    angle = np.concatenate([[0], np.repeat(theta, around), [np.pi]])
    faces: list[tuple[int, int, int]] = []
    last = len(local) - 1
    for j in range(around):
        k = (j + 1) % around
        faces.append((0, 1 + j, 1 + k))
        faces.append((last, last - around + k, last - around + j))
        for i in range(rows - 2):
            a, b = 1 + i * around + j, 1 + i * around + k
            faces += [(a, a + around, b + around), (a, b + around, b)]
    look = np.asarray(eye.look) / np.linalg.norm(eye.look)
    side = np.cross([0, 0, 1], look)
    side /= np.linalg.norm(side)
    frame = np.stack([look, side, np.cross(look, side)])
    left = (center + eye.r * (local @ frame)).astype(np.float32)
    color = np.where((angle < eye.ring)[:, None], srgb(eye.iris), srgb(eye.white))
    color = np.where((angle < eye.pupil)[:, None], srgb("#050505"), color).astype(np.float32)
    f = np.asarray(faces, np.uint32)
    right = left * np.array([1, -1, 1], np.float32)
    return ColoredMesh(
        np.concatenate([left, right]),
        np.concatenate([f, f[:, ::-1] + np.uint32(len(left))]),
        np.concatenate([color, color]),
        np.full(2 * len(left), 0.08, np.float32),
    )


def cone_row(r: ConeRow) -> ColoredMesh:
    """Return the cones of a row, and of its twin."""
    pieces = []
    for sign in (1.0, -1.0) if r.mirror else (1.0,):
        path = np.asarray(r.along, np.float32).copy()
        if r.swing is not None:
            path[:, 0] += sign * r.swing[0] * np.clip(1 - path[:, 2] / r.swing[1], 0, 1)
        curve = spline(path, 12)
        t = np.linspace(0, len(curve) - 1, r.count)
        roots = np.stack([np.interp(t, np.arange(len(curve)), curve[:, i]) for i in range(3)], 1)
        length = np.interp(np.linspace(0, 1, r.count), np.linspace(0, 1, len(r.length)), r.length)
        flip = np.array([1, sign, 1])
        lean = np.tile(np.asarray(r.lean) / np.linalg.norm(r.lean) * flip, (r.count, 1))
        bend = np.tile(np.asarray(r.curve) * flip, (r.count, 1))
        radius = r.radius * (0.5 + 0.5 * length / length.max())
        v, f = _cones(roots * flip, lean, bend, length, radius)
        color = np.tile(srgb(r.color), (len(v), 1)).astype(np.float32)
        pieces.append(ColoredMesh(v, f, color, np.full(len(v), r.rough, np.float32)))
    return join(pieces)


def hair(h: Hair, s: BodySurface, skin: Array, rng: np.random.Generator) -> ColoredMesh:
    """Return strands rooted in the surface, with even density over its area."""
    weight = s.weights[:, [s.labels.index(name) for name in h.labels]].sum(1)
    inside = ((s.vertices > h.low) & (s.vertices < h.high)).all(1) & (weight > 0.5)
    if h.facing is not None:
        inside &= s.normals @ (np.asarray(h.facing, np.float32) / np.linalg.norm(h.facing)) > 0.35
    where = np.flatnonzero(inside)
    if not len(where):
        raise ValueError(f"no skin of {h.labels} for hair between {h.low} and {h.high}")
    chosen = np.sort(rng.choice(where, min(h.count, len(where)), replace=False))
    n = len(chosen)
    normals = s.normals[chosen]
    wave = np.stack([fractal(s.vertices[chosen] / np.float32(4 * h.length), 2, k) - 0.5 for k in (31, 32, 33)], 1)
    direction = normals + np.asarray(h.lean) + h.spread * (rng.normal(size=(n, 3)) * 0.6 + 2.0 * wave)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    # Never into the skin.
    deep = np.minimum((direction * normals).sum(1) - 0.12, 0)
    direction -= deep[:, None] * normals
    length = h.length * rng.uniform(0.65, 1.15, n)
    roots = s.vertices[chosen] - normals * np.float32(0.6 * h.radius)
    bend = np.tile([0, 0, -h.droop], (n, 1))
    v, f = _cones(roots, direction, bend, length, np.full(n, h.radius))
    base = skin[chosen] if h.color is None else np.tile(srgb(h.color), (n, 1))
    end = base if h.tip is None else np.tile(srgb(h.tip), (n, 1))
    tone = rng.uniform(1 - h.tone, 1 + h.tone, (n, 1))
    per = len(v) // n
    t = np.concatenate([np.repeat(np.linspace(0, 0.75, (per - 2) // _RING), _RING), [0, 1]])
    color = (base * tone)[:, None] * (1 - t[:, None]) + (end * tone)[:, None] * t[:, None]
    return ColoredMesh(
        v, f, color.reshape(-1, 3).clip(0.003, 0.95).astype(np.float32), np.full(len(v), h.rough, np.float32)
    )


def _cones(
    roots: NDArray[Any], direction: NDArray[Any], bend: NDArray[Any], length: NDArray[Any], radius: NDArray[Any]
) -> tuple[Array, NDArray[np.uint32]]:
    """Return closed, bent cones: rings of vertices, the middle of the base, the tip."""
    levels = np.array([0.0, 0.35, 0.7])
    thick = np.array([1.0, 0.85, 0.5])
    n = len(roots)
    centers = [roots + (direction + bend * t) * (t * length)[:, None] for t in (*levels, 1.0)]
    helper = np.where(np.abs(direction[:, 2:]) < 0.8, [[0, 0, 1.0]], [[1.0, 0, 0]])
    u = np.cross(helper, direction)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(direction, u)
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    phi = np.arange(_RING) / _RING * 2 * np.pi
    rings = [
        c[:, None]
        + (radius * k)[:, None, None] * (np.cos(phi)[:, None] * u[:, None] + np.sin(phi)[:, None] * v[:, None])
        for c, k in zip(centers[:-1], thick, strict=True)
    ]
    vertices = np.concatenate([*rings, centers[0][:, None], centers[-1][:, None]], 1)
    faces = []
    base, tip = _RING * len(levels), _RING * len(levels) + 1
    for j in range(_RING):
        k = (j + 1) % _RING
        faces.append((base, k, j))
        for i in range(len(levels) - 1):
            a, b = i * _RING + j, i * _RING + k
            faces += [(a, b, b + _RING), (a, b + _RING, a + _RING)]
        faces.append(((len(levels) - 1) * _RING + j, (len(levels) - 1) * _RING + k, tip))
    per = vertices.shape[1]
    all_faces = np.asarray(faces)[None] + per * np.arange(n)[:, None, None]
    return vertices.reshape(-1, 3).astype(np.float32), all_faces.reshape(-1, 3).astype(np.uint32)


def join(pieces: list[ColoredMesh]) -> ColoredMesh:
    """Return several pieces as one."""
    offset = np.cumsum([0, *(len(p.vertices) for p in pieces)])
    return ColoredMesh(
        np.concatenate([p.vertices for p in pieces]),
        np.concatenate([p.faces + np.uint32(o) for p, o in zip(pieces, offset, strict=False)]),
        np.concatenate([p.color for p in pieces]),
        np.concatenate([p.rough for p in pieces]),
    )
