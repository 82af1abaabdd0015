"""Where there is room on a world's ground: no wall, no furniture, no tree, and nothing that hides what stands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import Mesh
from torchmultiverse.engines.builtin.world import GROUND_EXTENT, World

CELL = 0.1
"""Side of a cell, metres."""
_HIGHEST = 2.2
"""Height above the ground up to which something is in the way, metres."""
_LOWEST = 0.45
"""Height above the ground from which something is in the way, metres: below it is grass, a kerb, a stone."""
_STEP = 0.5
"""Least difference between the ground's height and that in the middle from which it is another floor, metres."""
_MOST_STEPS = 160
_STEPS = np.linspace(0.1, 0.95, 24)


@dataclass(frozen=True)
class FreeGround:
    """The ground of a world on a grid over its centre, rows along +y.

    Attributes:
        top: height above the ground of what stands on a cell, 0 where nothing does, metres.
        clearance: distance of a cell to the nearest that something stands on, or to the edge of the ground that the
            world knows, metres.
    """

    top: NDArray[np.float64]
    clearance: NDArray[np.float64]

    def room(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far from anything points (N, 2) are, metres; 0 outside of what is known."""
        i, j, inside = _cells(points, len(self.top))
        return np.where(inside, self.clearance[j, i], 0.0)

    def seen(self, eye: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether points (N, 3) are seen from an eye past what stands on the ground.

        Heights are those above the ground, of the eye as well.
        """
        way = eye + (points[:, None] - eye) * _STEPS[:, None]
        i, j, inside = _cells(way[..., :2].reshape(-1, 2), len(self.top))
        top = np.where(inside, self.top[j, i], 0.0).reshape(way.shape[:2])
        return np.asarray(~(top > way[..., 2]).any(1))


def free_ground(world: World) -> FreeGround:
    """Return where there is room in a world."""
    from scipy.ndimage import distance_transform_edt

    count = round(2 * GROUND_EXTENT / CELL)
    top = np.zeros((count, count))
    for part in world.parts:
        _stand(top, part.mesh, world)
    busy = np.pad(top > 0, 1, constant_values=True)
    low, high = world.spec.camera.low, world.spec.camera.high
    middle = (np.arange(count) + 0.5) * CELL - GROUND_EXTENT
    beyond_x = (middle < low[0]) | (middle > high[0])
    beyond_y = (middle < low[1]) | (middle > high[1])
    heights = np.array([[world.ground(x, y) for x in middle] for y in middle])
    busy[1:-1, 1:-1] |= beyond_x[None] | beyond_y[:, None] | (np.abs(heights - world.ground(0, 0)) > _STEP)
    clearance = distance_transform_edt(~busy)[1:-1, 1:-1] * CELL - CELL / 2
    return FreeGround(top, np.maximum(clearance, 0))


def _cells(points: NDArray[np.float64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the column and the row of points (N, 2), and which are on the grid."""
    place = np.floor((points + GROUND_EXTENT) / CELL).astype(np.int64)
    inside = ((place >= 0) & (place < count)).all(1)
    place = np.clip(place, 0, count - 1)
    return place[:, 0], place[:, 1], np.asarray(inside)


def _stand(top: NDArray[np.float64], mesh: Mesh, world: World) -> None:
    """Raise the heights of what stands on the cells to those of a mesh."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    low, high = corners.min(1), corners.max(1)
    ground = float(world.heights.min()), float(world.heights.max())
    near = (high[:, :2] > -GROUND_EXTENT).all(1) & (low[:, :2] < GROUND_EXTENT).all(1)
    near &= (high[:, 2] > ground[0] + _LOWEST) & (low[:, 2] < ground[1] + _HIGHEST)
    corners = corners[near]
    longest = np.linalg.norm(corners - np.roll(corners, 1, 1), axis=2).max(1)
    steps = np.clip(np.ceil(longest / CELL).astype(int), 1, _MOST_STEPS)
    for step in np.unique(steps).tolist():
        some = corners[steps == step]
        a, b = np.meshgrid(np.arange(step + 1), np.arange(step + 1), indexing="ij")
        weights = np.stack([a, b, step - a - b], -1)[a + b <= step] / step
        for start in range(0, len(some), max(1, 2_000_000 // len(weights))):
            part = some[start : start + max(1, 2_000_000 // len(weights))]
            _raise(top, np.einsum("wk,nkd->nwd", weights, part).reshape(-1, 3), world)


def _raise(top: NDArray[np.float64], points: NDArray[np.float64], world: World) -> None:
    i, j, inside = _cells(points[:, :2], len(top))
    count = len(world.heights)
    place = np.clip((points[:, :2] + GROUND_EXTENT) / (2 * GROUND_EXTENT) * (count - 1), 0, count - 1).round()
    above = points[:, 2] - world.heights[place[:, 1].astype(int), place[:, 0].astype(int)]
    kept = inside & (above > _LOWEST) & (above < _HIGHEST)
    np.maximum.at(top, (j[kept], i[kept]), above[kept])
