"""Turned things: an outline revolved about an upright axis, whole or in part, thin-walled, ribbed or many-sided."""

from __future__ import annotations

import itertools

import numpy as np
from pydantic import Field

from torchmultiverse.engines.builtin.objects.builders import Point, Shape, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, curve, join, resampled, strip


class Ribs(Shape):
    """Folds around a turned body: ``count`` of them, each ``depth`` of the radius; at the first and the last point of
    the outline, between which it runs evenly. ``sharp`` above 1 makes ridges narrow, below 1 valleys; ``twist`` in
    degrees from end to end; ``slot`` cuts square notches (teeth)."""

    count: int = Field(ge=1, le=400)
    depth: float | tuple[float, float] = 0.05
    sharp: float = Field(default=1.0, gt=0)
    twist: float = 0.0
    slot: bool = False


class Turned(Shape):
    """An outline of (radius, height) points, from bottom to top along the outside, revolved about z.

    Attributes:
        profile: the points. Edges that turn by more than ``crease`` degrees stay sharp.
        smooth: curve segments between two points; 0 keeps straight lines. ``wall``: thickness of a vessel whose
            outside the outline is (inside and rim are added; ``floor`` is the thickness of its bottom).
        sides: around; a number of ``corners`` makes it that many-sided (3 to 12), ``round`` (0 to 1) rounds them.
        arc: from and to, degrees (0 is +x, 90 is +y); part-circles are open unless ``closed``.
        rows: the outline is cut into as many rings (for ribs and for paint that needs fine meshes).
        squash: scales along x and y.
    """

    profile: list[Point] = Field(min_length=2)
    smooth: int = Field(default=0, ge=0, le=32)
    crease: float = 40.0
    wall: float = Field(default=0.0, ge=0)
    floor: float | None = None
    sides: int = Field(default=64, ge=3, le=720)
    corners: int = Field(default=0, ge=0, le=12)
    round: float = Field(default=0.25, ge=0, le=1)
    arc: tuple[float, float] = (0.0, 360.0)
    rows: int = Field(default=0, ge=0, le=1200)
    ribs: Ribs | None = None
    squash: tuple[float, float] = (1.0, 1.0)


def outline(s: Turned) -> Array:
    """Return the outline (N, 2) with its inside."""
    p = curve(s.profile, s.smooth) if s.smooth > 1 else np.asarray(s.profile, float)
    p[:, 0] = np.maximum(p[:, 0], 0)
    if s.wall:
        tangent = np.gradient(p, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        inner = p + s.wall * np.stack([-tangent[:, 1], tangent[:, 0]], -1)
        bottom = p[0, 1] + (s.wall if s.floor is None else s.floor)
        inner = inner[(inner[:, 1] > bottom) & (inner[:, 0] > 0)][::-1]
        if not len(inner):
            raise ValueError("the wall is thicker than the body")
        middle = (p[-1] + inner[0]) / 2 + np.array([0, s.wall * 0.35])
        p = np.concatenate([p, [middle], inner, [[inner[-1, 0], bottom], [0, bottom]]])
        if p[0, 0] > 0:
            p = np.concatenate([[[0, p[0, 1]]], p])
    kept = np.concatenate([[True], np.linalg.norm(np.diff(p, axis=0), axis=1) > 1e-7])
    return np.asarray(p[kept])


def _polygon(angle: Array, corners: int, rounding: float) -> Array:
    """Return the radius of a regular polygon with rounded corners at angles, 1 at the middle of its sides' reach."""
    half = np.pi / corners
    t = (angle + half) % (2 * half) - half
    flat = np.cos(half) / np.cos(t)
    return np.asarray(flat * (1 - rounding) + rounding * (1 + np.cos(half)) / 2)


@builder("turn", Turned)
def turned(s: Turned) -> Built:
    """Return the body."""
    p = outline(s)
    steps = np.diff(p, axis=0)
    heading = np.arctan2(steps[:, 1], steps[:, 0])
    bend = np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi)
    cuts = [0, *(np.flatnonzero(bend > np.radians(s.crease)) + 1), len(p) - 1]
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(steps, axis=1))])
    total = max(float(along[-1]), 1e-9)
    a, b = np.radians(s.arc)
    angle = np.linspace(a, b, s.sides + 1)
    widest = max(float(p[:, 0].max()), 1e-6)
    pieces = []
    for i, j in itertools.pairwise(cuts):
        run, reach = p[i : j + 1], along[i : j + 1]
        if s.rows:
            count = max(2, round(s.rows * (reach[-1] - reach[0]) / total) + 1)
            run, reach = resampled(run, count), np.linspace(reach[0], reach[-1], count)
        radius = run[:, None, 0] * np.ones_like(angle)[None]
        if s.corners:
            radius = radius * _polygon(angle, s.corners, s.round)[None]
        if s.ribs is not None:
            radius = radius * (1 + _ribs(s.ribs, angle, reach / total))
        x = np.stack(
            [
                s.squash[0] * radius * np.cos(angle),
                s.squash[1] * radius * np.sin(angle),
                np.broadcast_to(run[:, 1:], radius.shape),
            ],
            -1,
        )
        tangent = np.gradient(run, axis=0)
        outside = np.stack(
            [
                tangent[:, 1:] * np.cos(angle), tangent[:, 1:] * np.sin(angle),
                np.broadcast_to(-tangent[:, :1], radius.shape),
            ],
            -1,
        )  # fmt: skip
        unit = ((angle - a) / (b - a), reach / total)
        pieces.append(strip(x, unit, ((angle - a) * widest, reach), outside))
    return join(pieces)


def _ribs(ribs: Ribs, angle: Array, along: Array) -> Array:
    depth = ribs.depth if isinstance(ribs.depth, tuple) else (ribs.depth, ribs.depth)
    t = ribs.count * (angle[None] + np.radians(ribs.twist) * along[:, None])
    wave = 0.5 + 0.5 * np.cos(t)
    wave = (wave > 0.5).astype(float) if ribs.slot else wave**ribs.sharp
    return np.asarray((depth[0] + (depth[1] - depth[0]) * along)[:, None] * (wave - 1))


class Ball(Shape):
    """An ellipsoid of diameters ``size`` standing on its lowest point, or the part of it between two heights of 0 to 1
    (``between``)."""

    size: float | tuple[float, float, float] = 1.0
    sides: int = Field(default=64, ge=8, le=400)
    between: tuple[float, float] = (0.0, 1.0)


@builder("ball", Ball)
def ball(s: Ball) -> Built:
    """Return the ellipsoid; a cut end is open."""
    x, y, z = s.size if isinstance(s.size, tuple) else (s.size,) * 3
    low, high = (np.arccos(np.clip(1 - 2 * c, -1, 1)) for c in s.between)
    t = np.linspace(low, high, max(6, s.sides // 2))
    profile = np.stack([np.sin(t) / 2, (1 - np.cos(t)) / 2], -1)
    return turned(
        Turned(profile=[(float(r), float(h * z)) for r, h in profile], sides=s.sides, squash=(x, y), crease=179)
    )
