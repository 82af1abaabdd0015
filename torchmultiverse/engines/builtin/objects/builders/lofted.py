"""Lofted things: sections along a spine, each with its own width, height and roundness: hulls, fuselages, blades,
shoes, leaves, bodies of cars and of fruit."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines.builtin.objects.builders import Shape, Vector, builder
from torchmultiverse.engines.builtin.objects.geometry import Array, Built, cap, curve, frames, join, strip


class Section(BaseModel):
    """One section: its middle ``at`` (x, y, z), half ``width`` (to the side) and half ``height`` (up), and roundness:
    ``power`` of the superellipse (2 round, 4 and above a rounded rectangle, 1 a rhombus) above and, as ``below``,
    under its middle; ``low`` is the half height under its middle where that differs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    at: Vector
    width: float = Field(ge=0)
    height: float = Field(ge=0)
    low: float | None = Field(default=None, ge=0)
    power: float = Field(default=2.0, gt=0.3, le=30)
    below: float | None = Field(default=None, gt=0.3, le=30)


class Loft(Shape):
    """Sections joined by smooth curves.

    Attributes:
        sections: along the spine. ``smooth``: curve segments between two (0: straight). ``sides``: around.
        up: where sections' height points. ``ends``: flat, open, or a ``point``
            (the last section ends in one, the first is flat).
        upright: sections stay at right angles to this axis (x, y or z) rather than to the spine.
        wall: thickness of a hull that is open on top (a canoe, a bath); 0 is a solid body.
    """

    sections: list[Section] = Field(min_length=2)
    smooth: int = Field(default=6, ge=0, le=32)
    sides: int = Field(default=40, ge=6, le=240)
    up: Vector = (0.0, 0.0, 1.0)
    ends: str = Field(default="flat", pattern="^(flat|open|point)$")
    upright: str | None = Field(default=None, pattern="^[xyz]$")
    wall: float = Field(default=0.0, ge=0)


def _half(t: Array, power: Array) -> tuple[Array, Array]:
    c, s = np.cos(t)[None], np.sin(t)[None]
    p = 2 / power[:, None]
    return np.sign(c) * np.abs(c) ** p, np.sign(s) * np.abs(s) ** p


@builder("loft", Loft)
def loft(s: Loft) -> Built:
    """Return the body; a picture goes around it (u) and along it (v)."""
    rows = np.array(
        [
            [
                *q.at, q.width, q.height, q.height if q.low is None else q.low, np.log(q.power),
                np.log(q.power if q.below is None else q.below),
            ]
            for q in s.sections
        ]
    )  # fmt: skip
    rows = curve(rows, s.smooth)
    path, width, high, low = rows[:, :3], *(np.maximum(rows[:, k], 1e-5)[:, None] for k in (3, 4, 5))
    above, below = np.exp(rows[:, 6]), np.exp(rows[:, 7])
    if s.upright is not None:
        axis = np.eye(3)["xyz".index(s.upright)]
        along = np.tile(axis * np.sign((path[-1] - path[0]) @ axis or 1), (len(path), 1))
        side = np.cross(along, np.asarray(s.up, float))
        side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
        up = np.cross(side, along)
    else:
        along, side, up = frames(path, False, s.up)
    # From the right side over the top; an open hull runs from rim to rim below.
    t = np.linspace(-np.pi, 0, s.sides + 1) if s.wall else np.linspace(0, 2 * np.pi, s.sides + 1)
    x, z = _half(t, above)
    x2, z2 = _half(t, below)
    under = np.sin(t)[None] < 0
    x, z = np.where(under, x2, x), np.where(under, z2 * low, z * high)
    offset = side[:, None] * (x * width)[..., None] + up[:, None] * z[..., None]
    points = path[:, None] + offset
    far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    around = np.linspace(0, 1, s.sides + 1)
    girth = float(np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1).max())
    unit, uv = (1 - around, far / max(far[-1], 1e-9)), (around * girth, far)  # to the right, seen from outside
    pieces = [strip(points, unit, uv, offset)]
    if s.wall:
        return join([*pieces, *_inside(s, points, offset, unit, uv)])
    ends = [(points[0, :-1], -along[0])] if s.ends != "open" else []
    ends += [(points[-1, :-1], along[-1])] if s.ends == "flat" else []
    pieces += [cap(ring, way) for ring, way in ends if np.ptp(ring, axis=0).max() > 1e-3]
    if s.ends == "point":
        tip = np.concatenate([points[-1:], np.broadcast_to(path[-1], points[-1:].shape)])
        pieces.append(strip(tip, (around, np.array([1.0, 1])), (around * girth, far[[-1, -1]]), offset[[-1, -1]]))
    return join(pieces)


def _inside(s: Loft, points: Array, offset: Array, unit: tuple[Array, Array], uv: tuple[Array, Array]) -> list[Built]:
    """Return the inside of a hull, and its rim."""
    length = np.maximum(np.linalg.norm(offset, axis=-1, keepdims=True), 1e-9)
    inward = offset * np.maximum(0.02, 1 - s.wall / length)
    level = points - offset + inward
    inner = strip(level, unit, uv, -offset)
    rims = []
    up = np.asarray(s.up, float)
    for column in (0, -1):
        edge = np.stack([points[:, column], level[:, column]], 1)
        rims.append(
            strip(
                edge, (np.array([0.0, 1]), unit[1]), (np.array([0.0, s.wall]), uv[1]), np.broadcast_to(up, edge.shape)
            )
        )
    return [inner, *rims]


class Leaf(Shape):
    """A pointed blade growing along z, its upper side to -y.

    Attributes:
        length, width: of the blade; ``thick`` in its middle, thin at its edge.
        curl: bend of the tip towards +y, radians. ``cup``: how hollow it is across, as a share of its width.
        tip: above 1 slender, below 1 broad. ``wavy``: height of ``waves`` along its edges, a share of its width.
        base: width at its base over its width.
    """

    length: float = 1.0
    width: float = 0.3
    thick: float = 0.02
    curl: float = 0.5
    cup: float = 0.2
    tip: float = 0.8
    base: float = 0.4
    wavy: float = 0.0
    waves: float = 5.0
    rows: int = Field(default=14, ge=4, le=120)
    across: int = Field(default=7, ge=3, le=61)


@builder("leaf", Leaf)
def leaf(s: Leaf) -> Built:
    """Return the blade, both sides of it."""
    t = np.linspace(0, 1, s.rows)
    start = s.base / 2
    wide = np.clip(np.sin(np.pi * (t * (1 - start) + start)), 0, 1) ** s.tip
    wide = s.width / 2 * np.maximum(wide / max(wide.max(), 1e-9), 0.01)
    angle = s.curl * t**1.5
    step = s.length / (s.rows - 1)
    z = np.concatenate([[0], np.cumsum(np.cos(angle[:-1]))]) * step
    y = np.concatenate([[0], np.cumsum(np.sin(angle[:-1]))]) * step
    across = np.linspace(-1, 1, s.across)
    x = wide[:, None] * across
    hollow = s.cup * wide[:, None] * across**2
    hollow = hollow + s.wavy * wide[:, None] * np.sin(2 * np.pi * s.waves * t)[:, None] * np.abs(across) ** 2
    ny, nz = np.cos(angle)[:, None], -np.sin(angle)[:, None]
    thick = s.thick / 2 * (1 - 0.85 * across**2) * (1 - 0.7 * t[:, None])
    pieces = []
    for sign in (-1, 1):
        k = -hollow + sign * thick
        grid = np.stack([x, y[:, None] + k * ny, z[:, None] + k * nz], -1)
        facing = np.stack(np.broadcast_arrays(np.zeros_like(x), sign * ny, sign * nz), -1)
        unit = ((across + 1) / 2, t)
        pieces.append(strip(grid, unit, ((across + 1) * s.width / 2, t * s.length), facing))
    return join(pieces)
