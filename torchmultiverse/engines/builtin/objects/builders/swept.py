"""Swept things: a section carried along a path: handles, pipes, frames, straps, wires, rings, springs."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin.objects.builders import Point, Shape, Vector, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, cap, creased, curve, frames, join, strip


class Swept(Shape):
    """A section carried along a path of points.

    Attributes:
        path: points (x, y, z); ``smooth`` curve segments between two (0: straight pieces). ``closed``: a ring.
        r: radius, one or one per point of ``path``. ``section``: half widths (to the side, up) that multiply a circle,
            or an outline of points (side, up), in place of a circle; both are multiplied with ``r``.
        power: superellipse of the circle; 2 is round, 4 a rounded square.
        up: keeps the section upright; by default it is carried along without twist. ``twist``: degrees, end to end.
        flare: how much the ends widen. ``ends``: flat, round or open.
        sharp: whether edges of an outline stay sharp.
    """

    path: list[Vector] = Field(min_length=2)
    smooth: int = Field(default=8, ge=0, le=64)
    closed: bool = False
    r: float | list[float] = 1.0
    section: Point | list[Point] = (1.0, 1.0)
    power: float = Field(default=2.0, ge=1, le=20)
    sides: int = Field(default=20, ge=3, le=160)
    up: Vector | None = None
    twist: float = 0.0
    flare: float = 0.0
    ends: str = Field(default="flat", pattern="^(flat|round|open)$")
    sharp: bool = False


def section(s: Swept) -> Array:
    """Return the section (N, 2), counter-clockwise, its first point repeated."""
    if isinstance(s.section, list):
        outline = np.asarray(s.section, float)
    else:
        t = np.linspace(0, 2 * np.pi, s.sides, endpoint=False)
        c, d = np.cos(t), np.sin(t)
        outline = np.stack([np.sign(v) * np.abs(v) ** (2 / s.power) for v in (c, d)], -1) * np.asarray(s.section)
    return np.concatenate([outline, outline[:1]])


@builder("sweep", Swept)
def swept(s: Swept) -> Built:
    """Return the body."""
    given = np.asarray(s.path, float)
    if isinstance(s.r, list) and len(s.r) != len(given):
        raise ValueError(f"'r' has {len(s.r)} numbers for {len(given)} points")
    radius = np.broadcast_to(np.asarray(s.r, float), len(given))
    both = curve(np.concatenate([given, radius[:, None]], 1), s.smooth, s.closed)
    path, radius = both[:, :3], np.maximum(both[:, 3], 1e-5)
    if len(path) == 2 and not s.closed:
        path, radius = np.linspace(path[0], path[1], 3), np.linspace(radius[0], radius[1], 3)
    if s.ends == "round" and not s.closed:
        path, radius = _rounded(path, radius, float(np.abs(section(s)).max(0).min()))
    if s.flare:
        radius = radius * (1 + s.flare * np.abs(np.linspace(-1, 1, len(path))) ** 6)
    along, side, up = frames(path, s.closed, s.up)
    turn = np.radians(s.twist) * np.linspace(0, 1, len(path))[:, None]
    side, up = side * np.cos(turn) + up * np.sin(turn), up * np.cos(turn) - side * np.sin(turn)
    outline = section(s)
    x = path[:, None] + radius[:, None, None] * (
        side[:, None] * outline[None, :, :1] + up[:, None] * outline[None, :, 1:]
    )
    if s.closed:
        x = np.concatenate([x, x[:1]])
        path = np.concatenate([path, path[:1]])
    far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    round_ = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=1))])
    unit = (1 - round_ / max(round_[-1], 1e-9), far / max(far[-1], 1e-9))  # to the right, seen from outside
    body = strip(x, unit, (round_ * float(radius.mean()), far), x - path[:, None])
    pieces = [body]
    if not s.closed and s.ends == "flat":
        pieces += [cap(x[0, :-1], -along[0]), cap(x[-1, :-1], along[-1])]
    if s.sharp:
        return Built(creased(*_soup(pieces)))
    return join(pieces)


def _soup(pieces: list[Built]) -> tuple[Array, Array]:
    both = join(pieces).mesh
    return both.vertices.astype(float), both.faces.astype(np.int64)  # type: ignore[return-value]


def _rounded(path: Array, radius: Array, wide: float) -> tuple[Array, Array]:
    """Return a path with half a circle of radii added at both ends; ``wide``: of a section of radius 1."""
    t = np.linspace(0, np.pi / 2, 7)[1:]
    first = path[0] - path[1]
    last = path[-1] - path[-2]
    first, last = first / max(np.linalg.norm(first), 1e-9), last / max(np.linalg.norm(last), 1e-9)
    head = path[0] + first * wide * radius[0] * np.sin(t)[:, None]
    tail = path[-1] + last * wide * radius[-1] * np.sin(t)[:, None]
    grown = np.concatenate([radius[0] * np.cos(t)[::-1], radius, radius[-1] * np.cos(t)])
    return np.concatenate([head[::-1], path, tail]), np.maximum(grown, 1e-5)


class Ring(Shape):
    """A ring of radius ``r`` about z at height 0, with a section of half widths (across, up) or an outline."""

    r: float
    section: Point | list[Point] = (0.05, 0.05)
    power: float = Field(default=2.0, ge=1, le=20)
    sides: int = Field(default=16, ge=3, le=80)
    around: int = Field(default=72, ge=8, le=400)
    sharp: bool = False


@builder("ring", Ring)
def ring(s: Ring) -> Built:
    """Return the ring."""
    t = np.linspace(0, 2 * np.pi, s.around, endpoint=False)
    path = [(float(s.r * np.cos(a)), float(s.r * np.sin(a)), 0.0) for a in t]
    return swept(
        Swept(
            path=path, smooth=0, closed=True, section=s.section, power=s.power, sides=s.sides, up=(0, 0, 1),
            sharp=s.sharp,
        )
    )  # fmt: skip


class Spring(Shape):
    """A helix about z: radius ``r`` (at the bottom and the top), ``turns``, height ``h``, wire of radius ``wire``."""

    r: float | tuple[float, float]
    h: float
    turns: float = Field(gt=0, le=200)
    wire: float
    sides: int = Field(default=10, ge=3, le=40)


@builder("spring", Spring)
def spring(s: Spring) -> Built:
    """Return the helix."""
    low, high = s.r if isinstance(s.r, tuple) else (s.r, s.r)
    t = np.linspace(0, 1, max(12, int(24 * s.turns)))
    a, radius = 2 * np.pi * s.turns * t, low + (high - low) * t
    path = np.stack([radius * np.cos(a), radius * np.sin(a), s.h * t], -1)
    return swept(Swept(path=[tuple(map(float, p)) for p in path], smooth=0, r=s.wire, sides=s.sides))  # type: ignore[misc]
