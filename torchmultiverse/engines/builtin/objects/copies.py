"""Where the copies of an object's part are: rows, rings, spirals, mirror images, and places on another part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from torchmultiverse.engines.builtin.mesh import Mesh, merge, smooth_normals
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, curve
from torchmultiverse.engines.builtin.shapes import transformed, turn

Vector = tuple[float, float, float]


class Copies(BaseModel):
    """Copies of a part. One of:

    ``step`` with ``count``: a row, ``centered`` on the part's place or starting there; ``ring`` (radius) with
    ``count``: around the part's place about ``axis``, each turned with it, between the angles of ``arc`` (degrees);
    ``spots``: (x, y, z), (x, y, z, yaw) or (x, y, z, yaw, tilt, roll) of each; ``mirror``: a twin at -x, -y or -z;
    ``spiral``: ``count`` copies in the order of a sunflower over the body that an outline of (radius, height) points
    makes when revolved about z (leaves, scales, seeds); ``sphere``: the same over a sphere of that radius;
    ``path``: ``count`` copies along a smooth curve of points (``closed``: a ring), each with its x along it and its z
    up, or away from the point ``center``; ``scatter``: ``count`` copies at random places on the surface of the parts
    of these names, where it faces ``up`` by more than a cosine.

    On a spiral, a sphere and a surface a part's z points outward and its y to the top (along z); ``lean`` turns it
    from outward to the top, degrees. ``sizes``: of the first and the last copy; ``jitter``: shift (in the object's
    units), share of size, degrees of turn; ``shade``: how much the brightness of copies differs (0 to 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    step: Vector | None = None
    ring: float | None = None
    axis: str = Field(default="z", pattern="^[xyz]$")
    arc: tuple[float, float] = (0.0, 360.0)
    turned: bool = True
    spots: list[list[float]] | None = None
    mirror: str | None = Field(default=None, pattern="^[xyz]$")
    spiral: list[tuple[float, float]] | None = None
    sphere: float | None = None
    path: list[Vector] | None = None
    closed: bool = False
    center: Vector | None = None
    scatter: list[str] | None = None
    up: float = -1.0
    count: int = Field(default=2, ge=1, le=6000)
    centered: bool = True
    lean: float | tuple[float, float] = 0.0
    sizes: tuple[float, float] = (1.0, 1.0)
    jitter: Vector = (0.0, 0.0, 0.0)
    shade: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _one(self) -> Copies:
        kinds = (self.step, self.ring, self.spots, self.mirror, self.spiral, self.sphere, self.path, self.scatter)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("copies have one of step, ring, spots, mirror, spiral, sphere, path, scatter")
        return self


def _outward(out: Array, lean: Array) -> Array:
    """Return for directions (N, 3) matrices (N, 3, 3) that turn z to them, and y to the top."""
    top = np.array([0, 0, 1.0]) - out * out[:, 2:]
    weak = np.linalg.norm(top, axis=1) < 1e-6
    top[weak] = [1.0, 0, 0]
    top /= np.linalg.norm(top, axis=1, keepdims=True)
    c, s = np.cos(np.radians(lean))[:, None], np.sin(np.radians(lean))[:, None]
    z, y = out * c + top * s, top * c - out * s
    return np.stack([np.cross(y, z), y, z], -1)


def placings(c: Copies, others: dict[str, Mesh], rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return matrices (N, 3, 3), offsets (N, 3) and shades (N,) of the copies.

    Raises:
        ValueError: a part to scatter over that is not there.
    """
    if c.step is not None:
        start = -(c.count - 1) / 2 if c.centered else 0.0
        offsets = np.asarray(c.step) * (start + np.arange(c.count))[:, None]
        matrices = np.tile(np.eye(3), (c.count, 1, 1))
    elif c.ring is not None:
        a, b = c.arc
        full = abs(abs(b - a) - 360) < 1e-6
        angles = a + (b - a) * np.arange(c.count) / (c.count if full else max(c.count - 1, 1))
        turns = np.stack([_about(c.axis, float(t)) for t in angles])
        first = np.array([0, 1.0, 0]) if c.axis == "x" else np.array([1.0, 0, 0])
        offsets = turns @ (first * c.ring)
        matrices = turns if c.turned else np.tile(np.eye(3), (c.count, 1, 1))
    elif c.spots is not None:
        rows = [[*spot, *[0.0] * (6 - len(spot))] for spot in c.spots]
        offsets = np.asarray([row[:3] for row in rows], float)
        matrices = np.stack([turn(*row[3:6]) for row in rows])
    elif c.path is not None:
        offsets, matrices = _along(c)
    elif c.mirror is not None:
        flip = np.diag([-1.0 if c.mirror == axis else 1.0 for axis in "xyz"])
        return np.stack([np.eye(3), flip]), np.zeros((2, 3)), np.ones(2)
    else:
        offsets, out = _on_surface(c, others, rng)
        lean = np.linspace(*c.lean, len(out)) if isinstance(c.lean, tuple) else np.full(len(out), c.lean)
        matrices = _outward(out, lean)
    return _varied(c, matrices, offsets, rng)


def _varied(c: Copies, matrices: Array, offsets: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    n = len(matrices)
    size = np.linspace(*c.sizes, n)
    shift, grow, spin = c.jitter
    if any(c.jitter):
        offsets = offsets + rng.uniform(-shift, shift, (n, 3))
        size = size * (1 + rng.uniform(-grow, grow, n))
        matrices = matrices @ np.stack([turn(float(t), 0, 0) for t in rng.uniform(-spin, spin, n)])
    return matrices * size[:, None, None], offsets, 1 + c.shade * rng.uniform(-1, 1, n)


def _along(c: Copies) -> tuple[Array, Array]:
    """Return places (N, 3) at even distances along a curve, and matrices (N, 3, 3) of its frames."""
    line = curve(c.path or [], 12, c.closed)
    if c.closed:
        line = np.concatenate([line, line[:1]])
    far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, far[-1], c.count, endpoint=not c.closed)
    offsets = np.stack([np.interp(at, far, column) for column in line.T], -1)
    step = far[-1] * 1e-3
    ends = [
        np.stack([np.interp(t % far[-1] if c.closed else np.clip(t, 0, far[-1]), far, q) for q in line.T], -1)
        for t in (at - step, at + step)
    ]
    x = ends[1] - ends[0]
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    up = np.tile([0.0, 0.0, 1.0], (c.count, 1)) if c.center is None else offsets - np.asarray(c.center)
    z = up - x * (up * x).sum(1, keepdims=True)
    weak = np.linalg.norm(z, axis=1) < 1e-9
    z[weak] = np.cross(x[weak], [0.0, 1.0, 0.0])
    z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    return offsets, np.stack([x, np.cross(z, x), z], -1)


def _about(axis: str, degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rows = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, -s], [0, 1, 0], [s, 0, c]]}
    return np.array(rows.get(axis, [[c, -s, 0], [s, c, 0], [0, 0, 1]]), float)


def _on_surface(c: Copies, others: dict[str, Mesh], rng: np.random.Generator) -> tuple[Array, Array]:
    """Return places (N, 3) and outward directions (N, 3)."""
    golden = np.pi * (3 - np.sqrt(5))
    k = np.arange(c.count)
    if c.sphere is not None:
        z = 1 - 2 * (k + 0.5) / c.count
        r = np.sqrt(1 - z**2)
        out = np.stack([r * np.cos(golden * k), r * np.sin(golden * k), z], -1)
        return out * c.sphere, out
    if c.spiral is not None:
        line = curve(c.spiral, 12)
        step = np.diff(line, axis=0)
        weight = np.linalg.norm(step, axis=1) * (line[1:, 0] + line[:-1, 0] + 1e-6)
        share = np.concatenate([[0], np.cumsum(weight)]) / weight.sum()
        at = np.interp((k + 0.5) / c.count, share, np.arange(len(line)))
        r, z = (np.interp(at, np.arange(len(line)), column) for column in line.T)
        tangent = step[np.clip(at.astype(int), 0, len(step) - 1)]
        tangent = tangent / np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        a = golden * k
        out = np.stack([tangent[:, 1] * np.cos(a), tangent[:, 1] * np.sin(a), -tangent[:, 0]], -1)
        return np.stack([r * np.cos(a), r * np.sin(a), z], -1), out
    assert c.scatter is not None
    missing = [name for name in c.scatter if name not in others]
    if missing:
        raise ValueError(f"no part '{missing[0]}' before this one to scatter over; there are {', '.join(others)}")
    mesh = merge([others[name] for name in c.scatter])
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    corners = mesh.vertices[mesh.faces].astype(float)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(face, axis=1)
    size = np.where(face[:, 2] > c.up * size, size, 0)
    if not size.any():
        raise ValueError(f"nothing faces up by more than {c.up}")
    chosen = rng.choice(len(size), c.count, p=size / size.sum())
    u, v = np.sqrt(rng.random(c.count)), rng.random(c.count)
    mix = np.stack([1 - u, u * (1 - v), u * v], -1)
    out = (normals[mesh.faces[chosen]] * mix[..., None]).sum(1).astype(float)
    return (corners[chosen] * mix[..., None]).sum(1), out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def copied(built: Built, c: Copies, others: dict[str, Mesh], rng: np.random.Generator) -> Built:
    """Return all copies as one; their shades go to the colours of the vertices."""
    matrices, offsets, shades = placings(c, others, rng)
    meshes = []
    for matrix, offset, shade in zip(matrices, offsets, shades, strict=True):
        moved = transformed(built.mesh, matrix, offset)
        if c.shade:
            own = moved.colors if moved.colors is not None else np.ones_like(moved.vertices)
            moved = replace(moved, colors=(own * np.float32(shade)).astype(np.float32))
        meshes.append(moved)
    unit = None if built.unit is None else np.tile(built.unit, (len(meshes), 1))
    return Built(merge(meshes), unit)
