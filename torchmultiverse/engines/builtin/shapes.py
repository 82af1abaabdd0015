"""Things put together from simple shapes by data: what a shape is, where its copies stand, and props made of shapes.

A `ShapeSpec` is one solid (box, cylinder, lathe, tube, …) with a paint, or a prop: a file ``scenes/props/NAME.json`` of
further shapes. Coordinates are metres, z up; a shape stands on its ``at`` with its middle above it, turned by ``yaw``
(about z, degrees, counter-clockwise from above), after ``tilt`` (about x) and ``roll`` (about y).
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from torchmultiverse.engines.builtin.mesh import Mesh, ball, box, grid_faces, merge, quad, smooth_normals, tube
from torchmultiverse.engines.builtin.surfaces import Paint
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder

Vector = tuple[float, float, float]
Array = NDArray[np.float64]


class Repeat(BaseModel):
    """Copies of a thing. One of:

    ``step`` with ``count``: a line of copies, ``centered`` on ``at`` or starting there; ``ring`` (radius) with
    ``count``: a circle around ``at`` between the angles of ``arc`` (degrees), all turned to face the middle (their
    +y); ``spots``: (x, y) or (x, y, yaw) of each; ``mirror``: a twin at -x or -y; ``scatter``: ``count`` copies
    between the radii ``scatter``, at random angles and turns, ``clear`` of a lane along y.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    step: Vector | None = None
    ring: float | None = None
    arc: tuple[float, float] = (0.0, 360.0)
    spots: list[tuple[float, float] | tuple[float, float, float]] | None = None
    mirror: Literal["x", "y"] | None = None
    scatter: tuple[float, float] | None = None
    clear: float = 0.0
    count: int = Field(default=2, ge=1, le=4000)
    centered: bool = True
    turned: bool = False

    @model_validator(mode="after")
    def _one(self) -> Repeat:
        given = [v for v in (self.step, self.ring, self.spots, self.mirror, self.scatter) if v is not None]
        if len(given) != 1:
            raise ValueError("a repeat has one of step, ring, spots, mirror, scatter")
        return self


class ShapeSpec(BaseModel):
    """One thing, or many copies of it.

    Shapes and what they read:
        box: ``size`` (x, y, z), ``bevel``. cylinder: ``r``, ``h``, ``r2`` (radius at the top, default ``r``).
        lathe: ``profile`` of (radius, height), bottom to top. ball: ``size`` (diameters); dome: its upper half.
        tube: ``path`` of points, ``r``. slab: a ``profile`` outline in x and z, ``size[1]`` deep along y (a gable, an
        arch, a sign); arch: an opening of ``size`` (width, depth, height) under a round (or ``pointed``) arch, in a
        wall that is ``wall`` wider on each side and on top. stairs: ``size`` with ``count`` steps rising along +y.
        panel: an upright flat rectangle of ``size`` (x, -, z) facing -y. floor: a flat one of ``size`` (x, y) facing
        up; ceiling: facing down. sheet: a curved cloth of ``path`` in x and z, ``size[1]`` deep. prop: a named one.

    Attributes:
        paint: name in the world's or prop's ``paints``, or of the common ones.
        paints: for a prop: which of its paints are replaced by which of ours.
        tint: sRGB factor on the colour. vary: 0 to 1, how much the brightness of copies differs.
        jitter: random offset of copies (metres), scaling (fraction) and yaw (degrees).
        grounded: whether z counts from the ground below.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    shape: Literal[
        "box", "cylinder", "lathe", "ball", "dome", "tube", "slab", "arch", "stairs", "panel", "floor", "ceiling",
        "sheet",
    ] | None = None  # fmt: skip
    prop: str | None = None
    size: Vector = (1.0, 1.0, 1.0)
    r: float = 0.5
    r2: float | None = None
    h: float = 1.0
    bevel: float = 0.0
    profile: list[tuple[float, float]] | None = None
    path: list[Vector] | None = None
    sides: int = Field(default=20, ge=3, le=96)
    count: int = Field(default=8, ge=1, le=200)
    wall: float = 0.5
    pointed: bool = False
    paint: str = "stone"
    paints: dict[str, str] = {}
    at: Vector = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    tilt: float = 0.0
    roll: float = 0.0
    scale: float | Vector = 1.0
    repeat: list[Repeat] = []
    tint: Vector = (1.0, 1.0, 1.0)
    vary: float = Field(default=0.0, ge=0, le=1)
    jitter: Vector = (0.0, 0.0, 0.0)
    grounded: bool = True

    @model_validator(mode="after")
    def _shape_or_prop(self) -> ShapeSpec:
        if (self.shape is None) == (self.prop is None):
            raise ValueError("a thing has either a shape or a prop")
        needs = {"lathe": "profile", "slab": "profile", "tube": "path", "sheet": "path"}
        need = needs.get(self.shape or "")
        if need and getattr(self, need) is None:
            raise ValueError(f"a {self.shape} needs '{need}'")
        return self


class Prop(BaseModel):
    """The content of ``scenes/props/NAME.json``: shapes with paints of their own, standing at the origin."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    about: str = ""
    paints: dict[str, Paint] = {}
    shapes: list[ShapeSpec] = Field(min_length=1)


@lru_cache(maxsize=1)
def common_paints() -> dict[str, Paint]:
    """Return the paints every world and prop may use by name (``scenes/paints.json``)."""
    data = json.loads((data_folder("scenes") / "paints.json").read_text())
    return {name: Paint.model_validate(value) for name, value in data.items()}


def prop_names() -> list[str]:
    """Return the names of all props, sorted."""
    return sorted(path.stem for path in (data_folder("scenes") / "props").glob("*.json"))


@lru_cache(maxsize=256)
def load_prop(name: str) -> Prop:
    """Return a prop.

    Raises:
        SpecError: no such prop, or a file that is wrong.
    """
    if name not in prop_names():
        raise SpecError(f"no prop '{name}'.{nearest(name, prop_names())}")
    path = data_folder("scenes") / "props" / f"{name}.json"
    try:
        return Prop.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SpecError(f"{path}: {error}") from None


def _uv(mesh: Mesh, uv: Array) -> Mesh:
    return replace(mesh, uv=uv.astype(np.float32))


def _revolve(profile: Array, sides: int) -> Mesh:
    """Return a body of revolution with hard edges where its outline turns, texture coordinates in metres."""
    parts = []
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    # Runs of the outline that turn by less than 40 degrees are smooth; between runs the vertices are doubled.
    steps = np.diff(profile, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    turn = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    cuts = [0, *(np.flatnonzero(turn > np.radians(40)) + 1), len(profile) - 1]
    along = np.concatenate([[0], np.cumsum(np.hypot(*steps.T))])
    widest = max(float(profile[:, 0].max()), 1e-6)
    for a, b in itertools.pairwise(cuts):
        run = profile[a : b + 1]
        rows = len(run)
        xyz = np.concatenate(
            [run[:, None, :1] * ring[None], np.broadcast_to(run[:, None, 1:], (rows, sides + 1, 1))], 2
        )
        tangent = np.gradient(run, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        normal = np.concatenate(
            [tangent[:, None, 1:] * ring[None], np.broadcast_to(-tangent[:, None, :1], (rows, sides + 1, 1))], 2
        )
        uv = np.stack(np.broadcast_arrays(angle[None] * widest, along[a : b + 1, None]), -1)
        parts.append(
            Mesh(
                xyz.reshape(-1, 3).astype(np.float32),
                grid_faces(rows, sides + 1),
                normal.reshape(-1, 3).astype(np.float32),
                uv.reshape(-1, 2).astype(np.float32),
            )
        )
    return merge(parts)


def _bevelled(size: Vector, bevel: float) -> Mesh:
    """Return a box with its upright and upper edges cut, standing at the origin."""
    x, y, z = size
    if bevel <= 0:
        return box([-x / 2, -y / 2, 0], [x / 2, y / 2, z])
    b = min(bevel, x / 2.01, y / 2.01, z / 1.01)
    outline = [
        (x / 2 - b, -y / 2), (x / 2, -y / 2 + b), (x / 2, y / 2 - b), (x / 2 - b, y / 2),
        (-x / 2 + b, y / 2), (-x / 2, y / 2 - b), (-x / 2, -y / 2 + b), (-x / 2 + b, -y / 2),
    ]  # fmt: skip
    lower = np.array([(*p, 0.0) for p in outline])
    upper = np.array([(*p, z - b) for p in outline])
    inner = np.array([(px * (1 - 2 * b / x), py * (1 - 2 * b / y), z) for px, py in outline])
    parts = []
    start = 0.0
    for k in range(8):
        j = (k + 1) % 8
        wide = float(np.linalg.norm(lower[j] - lower[k]))
        uv = [(start, 0), (start + wide, 0), (start + wide, z - b), (start, z - b)]
        parts.append(quad([lower[k], lower[j], upper[j], upper[k]], uv))
        uv = [(start, z - b), (start + wide, z - b), (start + wide, z), (start, z)]
        parts.append(quad([upper[k], upper[j], inner[j], inner[k]], uv))
        start += wide
    parts.append(_cap(inner, z, up=True))
    return merge(parts)


def _cap(ring: Array, z: float, up: bool) -> Mesh:
    """Return a flat polygon at a height, by ear cutting."""
    faces = _triangulate(ring[:, :2])
    vertices = np.concatenate([ring[:, :2], np.full((len(ring), 1), z)], 1).astype(np.float32)
    normals = np.tile(np.array([0, 0, 1 if up else -1], np.float32), (len(ring), 1))
    order = faces if up else faces[:, ::-1]
    return Mesh(vertices, order.astype(np.uint32).copy(), normals, ring[:, :2].astype(np.float32))


def _triangulate(points: Array) -> NDArray[np.int64]:
    """Return triangles (F, 3) of a simple polygon (N, 2), counter-clockwise."""
    x, y = points[:, 0], points[:, 1]
    order = list(range(len(points)))
    if np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) < 0:
        order.reverse()

    def cross(o: int, a: int, b: int) -> float:
        return float((x[a] - x[o]) * (y[b] - y[o]) - (y[a] - y[o]) * (x[b] - x[o]))

    faces = []
    guard = 0
    while len(order) > 3 and guard < 10000:
        guard += 1
        for k in range(len(order)):
            a, b, c = order[k - 1], order[k], order[(k + 1) % len(order)]
            if cross(a, b, c) <= 1e-12:
                continue
            if any(
                cross(a, b, p) > -1e-12 and cross(b, c, p) > -1e-12 and cross(c, a, p) > -1e-12
                for p in order
                if p not in (a, b, c)
            ):
                continue
            faces.append((a, b, c))
            order.pop(k)
            break
        else:
            break  # what is left is degenerate
    if len(order) >= 3:
        faces += [(order[0], order[k], order[k + 1]) for k in range(1, len(order) - 1)]
    return np.array(faces)


def _extrude(outline: Array, depth: float) -> Mesh:
    """Return an outline in x and z, ``depth`` along y, with its middle at y = 0."""
    area = np.sum(outline[:, 0] * np.roll(outline[:, 1], -1) - np.roll(outline[:, 0], -1) * outline[:, 1])
    ring = outline if area > 0 else outline[::-1]
    faces = _triangulate(ring)
    n = len(ring)
    front = np.stack([ring[:, 0], np.full(n, -depth / 2), ring[:, 1]], -1)
    back = front + np.array([0, depth, 0])
    uv = ring.astype(np.float32)
    parts = [
        Mesh(front.astype(np.float32), faces.astype(np.uint32), np.tile(np.array([0, -1, 0], np.float32), (n, 1)), uv),
        Mesh(
            back.astype(np.float32),
            faces[:, ::-1].astype(np.uint32).copy(),
            np.tile(np.array([0, 1, 0], np.float32), (n, 1)),
            uv,
        ),
    ]
    start = 0.0
    for k in range(n):
        j = (k + 1) % n
        wide = float(np.linalg.norm(ring[j] - ring[k]))
        edge = [(start, 0), (start, depth), (start + wide, depth), (start + wide, 0)]
        parts.append(quad([front[k], back[k], back[j], front[j]], edge))
        start += wide
    return _outward(merge(parts))


def _outward(mesh: Mesh) -> Mesh:
    """Return it with normals that agree with the winding of the faces."""
    corners = mesh.vertices[mesh.faces].astype(float)
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert mesh.normals is not None
    wrong = (face * mesh.normals[mesh.faces[:, 0]]).sum(1) < 0
    faces = mesh.faces.copy()
    faces[wrong] = faces[wrong][:, ::-1]
    return replace(mesh, faces=faces)


def _arch(s: ShapeSpec) -> Mesh:
    """Return a wall with an arched opening."""
    wide, deep, high = s.size
    half, n = wide / 2, 12
    rise = half * (1.35 if s.pointed else 1.0)
    spring = max(high - rise, 0.0)
    angle = np.linspace(0, np.pi, 2 * n + 1)
    if s.pointed:
        t = np.abs(np.linspace(-1, 1, 2 * n + 1))
        curve = np.stack([np.linspace(half, -half, 2 * n + 1), spring + rise * (1 - t**1.9) ** 0.75], -1)
    else:
        curve = np.stack([half * np.cos(angle), spring + rise * np.sin(angle)], -1)
    out = half + s.wall
    top = high + s.wall
    # Two halves, so that each outline is a simple polygon.
    right = [(half, 0.0), (out, 0.0), (out, top), (0.0, top), *[tuple(p) for p in curve[: n + 1][::-1]]]
    left = [(-half, 0.0), *[tuple(p) for p in curve[n:][::-1]], (0.0, top), (-out, top), (-out, 0.0)]
    return merge([_extrude(np.array(right, float), deep), _extrude(np.array(left, float), deep)])


def _sheet(path: Array, depth: float) -> Mesh:
    aside = np.array([0, depth / 2, 0])
    rows = np.stack([path - aside, path + aside])
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays(along[None], np.array([0.0, depth])[:, None]), -1)
    mesh = Mesh(rows.reshape(-1, 3).astype(np.float32), grid_faces(2, len(path)))
    return _uv(replace(mesh, normals=smooth_normals(mesh)), uv.reshape(-1, 2))


def make(s: ShapeSpec) -> Mesh:
    """Return a shape's mesh at the origin, texture coordinates in metres."""
    x, y, z = s.size
    if s.shape == "box":
        return _bevelled(s.size, s.bevel)
    if s.shape == "cylinder":
        top = s.r if s.r2 is None else s.r2
        b = min(s.bevel, s.h / 2, max(top, 1e-3) / 2)
        outline = [(0, 0), (s.r, 0), (top, s.h - b), (max(top - b, 0), s.h), (0, s.h)]
        kept = [p for k, p in enumerate(outline) if k == 0 or np.hypot(*np.subtract(p, outline[k - 1])) > 1e-6]
        return _revolve(np.array(kept, float), s.sides)
    if s.shape == "lathe":
        return _revolve(np.asarray(s.profile, float), s.sides)
    if s.shape == "tube":
        path = np.asarray(s.path, float)
        mesh = tube(path, s.r, min(s.sides, 12))
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        assert mesh.uv is not None
        return _uv(mesh, mesh.uv * [2 * np.pi * s.r, length])
    if s.shape in ("ball", "dome"):
        if s.shape == "dome":
            angle = np.linspace(0, np.pi / 2, 12)
            profile = np.stack([np.cos(angle), np.sin(angle)], -1) * [x / 2, z]
            mesh = _revolve(profile, max(s.sides, 24))
            return replace(mesh, vertices=(mesh.vertices * np.array([1, y / x, 1], np.float32)).astype(np.float32))
        rows, columns = max(s.sides // 2, 8), s.sides
        mesh = ball(rows, columns).moved((0, 0, z / 2), (x / 2, y / 2, z / 2))
        u, v = np.meshgrid(np.linspace(0, np.pi * x, columns), np.linspace(0, np.pi * z / 2, rows))
        return _uv(mesh, np.stack([u, v], -1).reshape(-1, 2))
    if s.shape == "slab":
        return _extrude(np.asarray(s.profile, float), y)
    if s.shape == "arch":
        return _arch(s)
    if s.shape == "stairs":
        deep, rise = y / s.count, z / s.count
        return merge(
            [
                box([-x / 2, -y / 2 + k * deep, 0], [x / 2, -y / 2 + (k + 1) * deep, (k + 1) * rise])
                for k in range(s.count)
            ]
        )
    if s.shape == "panel":
        return quad([[-x / 2, 0, 0], [x / 2, 0, 0], [x / 2, 0, z], [-x / 2, 0, z]], [(0, 0), (x, 0), (x, z), (0, z)])
    corners = np.array([[-x / 2, -y / 2, 0], [x / 2, -y / 2, 0], [x / 2, y / 2, 0], [-x / 2, y / 2, 0]])
    uv = corners[:, :2] + [x / 2, y / 2]
    if s.shape == "floor":
        return quad(corners, uv)
    if s.shape == "ceiling":
        return quad(corners[::-1], uv[::-1])
    return _sheet(np.asarray(s.path, float), y)


def turn(yaw: float, tilt: float, roll: float) -> Array:
    """Return the rotation: roll about y, then tilt about x, then yaw about z (degrees)."""
    a, b, c = np.radians([yaw, tilt, roll])
    about_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def _copies(r: Repeat, rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """Return of each copy a matrix (3, 3) and an offset."""
    if r.step is not None:
        start = -(r.count - 1) / 2 if r.centered else 0.0
        return [(np.eye(3), np.asarray(r.step) * (start + k)) for k in range(r.count)]
    if r.mirror is not None:
        flip = np.diag([-1.0, 1, 1]) if r.mirror == "x" else np.diag([1.0, -1, 1])
        return [(np.eye(3), np.zeros(3)), (flip, np.zeros(3))]
    if r.spots is not None:
        return [(turn(s[2] if len(s) == 3 else 0, 0, 0), np.array([s[0], s[1], 0.0])) for s in r.spots]
    if r.ring is not None:
        a, b = np.radians(r.arc)
        full = abs(abs(b - a) - 2 * np.pi) < 1e-6
        angles = a + (b - a) * (np.arange(r.count) / (r.count if full else max(r.count - 1, 1)))
        return [
            (turn(np.degrees(t) + 90, 0, 0), np.array([r.ring * np.cos(t), r.ring * np.sin(t), 0.0])) for t in angles
        ]
    assert r.scatter is not None
    near, far = r.scatter
    found: list[tuple[Array, Array]] = []
    for _ in range(r.count * 50):
        if len(found) == r.count:
            break
        d, t = np.sqrt(rng.uniform(near**2, far**2)), rng.uniform(0, 2 * np.pi)
        x, y = d * np.cos(t), d * np.sin(t)
        spin = rng.uniform(0, 360)
        if abs(x) >= r.clear:
            found.append((turn(0 if r.turned else spin, 0, 0), np.array([x, y, 0.0])))
    return found


@dataclass(frozen=True)
class PlacedMesh:
    """A mesh in its place, its paint, and a colour factor (linear light)."""

    mesh: Mesh
    paint: Paint
    tint: Array


def transformed(mesh: Mesh, matrix: Array, offset: Array) -> Mesh:
    """Return it under a linear map and an offset; normals follow, and faces turn round under a mirroring."""
    vertices = (mesh.vertices @ matrix.T + offset).astype(np.float32)
    normals = mesh.normals if mesh.normals is not None else smooth_normals(mesh)
    normals = normals @ np.linalg.inv(matrix)
    normals = (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)
    faces = mesh.faces if np.linalg.det(matrix) > 0 else mesh.faces[:, ::-1].copy()
    return replace(mesh, vertices=vertices, normals=normals, faces=faces)


def place(
    shapes: list[ShapeSpec], paints: dict[str, Paint], rng: np.random.Generator, where: str, deep: int = 0
) -> list[tuple[PlacedMesh, bool, Array]]:
    """Return all meshes of some shapes, props taken apart.

    Each comes with whether it counts its height from the ground, and the point (2,) whose ground counts.

    Raises:
        SpecError: an unknown paint or prop, or props within props without end; names the place.
    """
    if deep > 6:
        raise SpecError(f"{where}: props contain each other more than six levels deep")
    known = {**common_paints(), **paints}
    found: list[tuple[PlacedMesh, bool, Array]] = []
    for k, s in enumerate(shapes):
        spot = f"{where}[{k}]"
        scale = np.diag(np.broadcast_to(np.asarray(s.scale, float), 3))
        own = turn(s.yaw, s.tilt, s.roll) @ scale
        placings = [(own, np.zeros(3), np.asarray(s.at, float))]
        for r in s.repeat:
            # A mirror is the world's (or the prop's) own plane, so it moves what the copies stand around as well.
            placings = [
                (m2 @ m, m2 @ o + o2, m2 @ at if r.mirror else at)
                for m2, o2 in _copies(r, rng)
                for m, o, at in placings
            ]
        if s.prop is not None:
            prop = load_prop(s.prop)
            inner = dict(prop.paints)
            for slot, name in s.paints.items():
                if slot not in inner:
                    raise SpecError(f"{spot}: prop '{s.prop}' has no paint '{slot}'.{nearest(slot, inner)}")
                if name not in known:
                    raise SpecError(f"{spot}: no paint '{name}'.{nearest(name, known)}")
                inner[slot] = known[name]
            pieces = place(prop.shapes, inner, rng, f"scenes/props/{s.prop}.json: shapes", deep + 1)
            bodies = [p for p, _, _ in pieces]
        else:
            if s.paint not in known:
                raise SpecError(f"{spot}: no paint '{s.paint}'.{nearest(s.paint, known)}")
            bodies = [PlacedMesh(make(s), known[s.paint], np.ones(3))]
        tint = np.asarray(s.tint, float) ** 2.2
        for matrix, offset, at in placings:
            shift, grow, spin = s.jitter
            if any(s.jitter):
                extra = turn(rng.uniform(-spin, spin), 0, 0) * (1 + rng.uniform(-grow, grow))
                matrix = matrix @ extra
                offset = offset + np.array([*rng.uniform(-shift, shift, 2), 0.0])
            shade = 1 + s.vary * rng.uniform(-1, 1)
            move = offset + at
            for body in bodies:
                moved = replace(
                    body, mesh=transformed(body.mesh, matrix, move), tint=np.asarray(body.tint * tint * shade)
                )
                found.append((moved, s.grounded, np.asarray(move[:2])))
    return found
