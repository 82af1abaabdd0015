"""Where further objects stand about those that are there: at a chosen spacing, in the picture, hiding none of them.

One after the other takes a place on the ring around one that stands already, so that its nearest neighbour is exactly
as far away as is asked for; of the places that are free it takes one near the middle, so that many fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.crowd.free_ground import FreeGround
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.world import World

Array = NDArray[np.float64]
_RAYS = 48
"""Places that are looked at on each ring, beside those on two."""
_JITTER = 0.6
"""Most by which chance sets a place back behind others, in widths."""
_HIDES = 0.04
"""Most that they may hide of an object that is said to be there, as a share of its box in the picture."""
_HIDDEN = 0.7
"""Most of one's own box that others may hide."""
_EDGE = 0.01
"""Least distance from the picture's edge, as a share of its shorter side."""


@dataclass(frozen=True)
class Standing:
    """What stands on the ground: its middle, its width (the diameter of the circle about the middle that holds it),
    half its extent along x and y, its height, how far it is above the ground, metres, and whether it may be hidden."""

    x: float
    y: float
    width: float
    half: tuple[float, float]
    height: float
    above: float = 0.0
    hideable: bool = False

    def corners(self, world: World) -> Array:
        """Return the corners of its box, (8, 3)."""
        low = world.ground(self.x, self.y) + self.above
        return np.array(
            [
                (self.x + i * self.half[0], self.y + j * self.half[1], low + k * self.height)
                for i in (-1, 1)
                for j in (-1, 1)
                for k in (0, 1)
            ]
        )


@dataclass(frozen=True)
class Stage:
    """Where objects are arranged: a world, where there is room in it, and a camera."""

    world: World
    ground: FreeGround
    view: View

    def box(self, one: Standing) -> tuple[Array, float]:
        """Return the box of an object in the picture (left, top, right, bottom), and how far away its middle is."""
        pixels, _ = self.view.project(one.corners(self.world))
        at = np.array([one.x, one.y, self.world.ground(one.x, one.y)])
        depth = float((self.view.rotation @ (at - self.view.position))[2])
        return np.array([*pixels.min(0), *pixels.max(0)]), depth

    def in_picture(self, one: Standing) -> bool:
        """Return whether all of an object is in the picture."""
        box, depth = self.box(one)
        margin = _EDGE * min(self.view.size)
        width, height = self.view.size
        inside = box[:2].min() >= margin and box[2] <= width - margin and box[3] <= height - margin
        return bool(depth > max(one.half) and inside)


def arranged(
    one: Standing, others: Sequence[Standing], spacing: float, stage: Stage, rng: np.random.Generator
) -> Standing | None:
    """Return an object in a place, or None where there is none.

    Args:
        one: the object; where it is, is not looked at.
        others: what stands already.
        spacing: gap to its nearest neighbour, in widths: the mean of both.
        stage: where.
        rng: chooses among places that are equally good.
    """
    spots = _spots(one, others, spacing, rng)
    room = stage.ground.room(spots)
    spots = spots[room >= one.width / 2]
    if not len(spots):
        return None
    if others:
        rings = (1 + spacing) * (np.array([o.width for o in others]) + one.width) / 2
        away = np.linalg.norm(spots[:, None] - np.array([(o.x, o.y) for o in others]), axis=2)
        spots = spots[(away >= rings - 1e-6).all(1)]
    eye = stage.view.position.copy()
    eye[2] -= stage.world.ground(0, 0)
    middles = np.concatenate([spots, np.full((len(spots), 1), one.height / 2)], 1)
    spots = spots[stage.ground.seen(eye, middles)]
    fixed = [o for o in others if not o.hideable] or others
    middle = np.mean([(o.x, o.y) for o in fixed], 0) if fixed else np.zeros(2)
    score = np.linalg.norm(spots - middle, axis=1) + rng.uniform(0, _JITTER * one.width, len(spots))
    boxes = [stage.box(o) for o in others]
    for x, y in spots[np.argsort(score)].tolist():
        here = Standing(x, y, one.width, one.half, one.height, one.above, one.hideable)
        if stage.in_picture(here) and _keeps_seen(here, others, boxes, stage):
            return here
    return None


def _spots(one: Standing, others: Sequence[Standing], spacing: float, rng: np.random.Generator) -> Array:
    """Return places (N, 2) on the rings around what stands, those on two rings among them."""
    turn = rng.uniform(0, 2 * np.pi)
    if not others:
        grid = np.linspace(-1.5, 1.5, 7) + rng.uniform(-0.2, 0.2)
        return np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    angles = turn + np.arange(_RAYS) * 2 * np.pi / _RAYS
    rays = np.stack([np.cos(angles), np.sin(angles)], 1)
    middles = np.array([(o.x, o.y) for o in others])
    radii = (1 + spacing) * (np.array([o.width for o in others]) + one.width) / 2
    found = [(middles[:, None] + radii[:, None, None] * rays).reshape(-1, 2)]
    for a in range(len(others)):
        for b in range(a):
            found.append(_crossings(middles[a], radii[a], middles[b], radii[b]))
    return np.concatenate(found)


def _crossings(a: Array, ra: float, b: Array, rb: float) -> Array:
    """Return the points (2, 2) on two circles, none where they do not meet."""
    way = b - a
    d = float(np.hypot(*way))
    if d < 1e-9 or d > ra + rb or d < abs(ra - rb):
        return np.empty((0, 2))
    along = (ra**2 - rb**2 + d**2) / (2 * d)
    across = np.sqrt(max(ra**2 - along**2, 0.0))
    foot, normal = a + way / d * along, np.array([-way[1], way[0]]) / d
    return np.stack([foot + across * normal, foot - across * normal])


def _keeps_seen(here: Standing, others: Sequence[Standing], boxes: list[tuple[Array, float]], stage: Stage) -> bool:
    """Return whether with an object in a place all are seen that have to be, and it itself."""
    mine, depth = stage.box(here)
    nearer = [box for box, away in boxes if away < depth]
    if _covered(mine, nearer) > _HIDDEN:
        return False
    for k, other in enumerate(others):
        box, away = boxes[k]
        if away <= depth:
            continue
        hiding = [mine, *(b for (b, near), o in zip(boxes, others, strict=True) if near < away and o.hideable)]
        if not other.hideable:
            if _covered(box, hiding) > _HIDES:
                return False
        elif _covered(box, [mine, *(b for b, near in boxes if near < away)]) > _HIDDEN:
            return False
    return True


def _covered(box: Array, by: Sequence[Array]) -> float:
    """Return the share of a box that others cover, counted on a grid of 12 by 12."""
    if not len(by):
        return 0.0
    steps = (np.arange(12) + 0.5) / 12
    x, y = box[0] + (box[2] - box[0]) * steps, box[1] + (box[3] - box[1]) * steps
    hidden = np.zeros((12, 12), bool)
    for b in by:
        hidden |= ((y >= b[1]) & (y < b[3]))[:, None] & ((x >= b[0]) & (x < b[2]))[None]
    return float(hidden.mean())
