"""Bodies, and the ways in which each can stand or lie by itself: stable rests of its convex hull on a plane."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_DIRECTIONS = 400
_FLAT = 0.05
"""Share of a body's longest edge by which points that it stands on may differ in height."""
_ALIKE = np.cos(np.radians(25))
_SAME = 0.02
"""Share of the longest edge by which the sizes of two stances must differ, or they are of one kind."""
_MOST = 3


@dataclass(frozen=True)
class Body:
    """A character in its place: vertices (V, 3), faces (F, 3), and the middle (3,) of its volume, world metres.

    Attributes:
        turn: (3, 3), how it was turned from where its own factors have it.
        fixed: whether it may not be turned, as where its own factors tilt it.
        heading: radians by which its own factors turn it about the vertical, counter-clockwise from above.
    """

    vertices: Array
    faces: Array
    middle: Array
    turn: Array = field(default_factory=lambda: np.eye(3))
    fixed: bool = False
    heading: float = 0.0

    @property
    def low(self) -> Array:
        """Least coordinates (3,)."""
        return np.asarray(self.vertices.min(0))

    @property
    def high(self) -> Array:
        """Greatest coordinates (3,)."""
        return np.asarray(self.vertices.max(0))

    def moved(self, offset: Array, scale: float = 1.0) -> Body:
        """Return it scaled about its middle, then moved."""
        vertices = (self.vertices - self.middle) * scale + self.middle + offset
        return replace(self, vertices=vertices, middle=self.middle + offset)

    def turned(self, turn: Array) -> Body:
        """Return it turned about its middle."""
        vertices = (self.vertices - self.middle) @ turn.T + self.middle
        return replace(self, vertices=vertices, turn=turn @ self.turn)

    def grounded(self, ground: float) -> Body:
        """Return it moved up or down until it stands on the ground."""
        return self.moved(np.array([0, 0, ground - self.low[2]]))


def stands(points: Array, middle: Array) -> bool:
    """Return whether a body stands by itself: its middle is over what it has on the ground.

    Args:
        points: of the body, or of its hull, (N, 3). middle: of its volume, (3,).
    """
    size = np.ptp(points, axis=0)
    edge = float(size.max())
    base = points[points[:, 2] < points[:, 2].min() + _FLAT * edge, :2]
    return beside(base, middle[:2]) <= 0.01 * edge


def beside(points: Array, place: Array) -> float:
    """Return how far a place (2,) is outside the convex hull of points (N, 2), seen along many directions."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    return float((place @ directions - (points @ directions).max(0)).max())


def laid(body: Body) -> list[Body]:
    """Return the body in other stable stances, those with the lowest middle first, its long side across the picture
    where its own factors do not turn it, and turned by as much from there as they say.

    At most three, none of them nearly upright; none where it may not be turned.
    """
    if body.fixed:
        return []
    from scipy.spatial import ConvexHull, QhullError

    points = _outer(body.vertices)
    try:
        hull = ConvexHull(points)
    except QhullError:  # flat: a sheet has two sides
        return []
    normals = hull.equations[:, :3]
    reach = -hull.equations[:, 3] - normals @ body.middle  # how high the middle is over each facet
    found: list[Array] = [np.array([0.0, 0.0, -1.0])]
    stances: list[Body] = []
    sizes: list[Array] = []
    for k in np.argsort(reach).tolist():
        down = normals[k]
        if max(float(down @ other) for other in found) > _ALIKE:
            continue
        turn = _down(down)
        if not stands((points - body.middle) @ turn.T, np.zeros(3)):
            continue
        found.append(down)
        turn = _across((points - body.middle) @ turn.T, body.heading) @ turn
        size = np.ptp(points @ turn.T, axis=0)
        if any(np.abs(size - other).max() < _SAME * size.max() for other in sizes):
            continue
        sizes.append(size)
        stances.append(body.turned(turn))
        if len(stances) == _MOST:
            break
    return stances


def _outer(points: Array) -> Array:
    """Return points that are outermost in directions all around."""
    k = np.arange(_DIRECTIONS) + 0.5
    polar, around = np.arccos(1 - 2 * k / _DIRECTIONS), np.pi * (1 + 5**0.5) * k
    directions = np.stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], 1)
    directions = np.vstack([directions, np.eye(3), -np.eye(3)]).astype(np.float32)
    found = [(points.astype(np.float32) @ directions[i : i + 32].T).argmax(0) for i in range(0, len(directions), 32)]
    return np.asarray(points[np.unique(np.concatenate(found))])


def _down(direction: Array) -> Array:
    """Return the shortest turn (3, 3) that brings a direction to point down."""
    target = np.array([0.0, 0.0, -1.0])
    axis, cosine = np.cross(direction, target), float(direction @ target)
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + cross + cross @ cross / (1 + cosine))


def _across(points: Array, heading: float) -> Array:
    """Return the turn (3, 3) about the vertical that brings the longer side of points (N, 3) to an angle to x.

    As the body lies where that angle is 0, turned by it: where its ends differ none is taken for the other.
    """
    cosine, sine = np.cos(heading), np.sin(heading)
    about_z = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    flat = (points @ about_z)[:, :2]
    flat = flat - flat.mean(0)
    values, vectors = np.linalg.eigh(flat.T @ flat)
    if values[1] < 1.2 * values[0]:  # about as long as it is wide
        return np.eye(3)
    axis = vectors[:, 1]
    along = flat @ axis
    lopsided = float((along**3).mean() / (along**2).mean() ** 1.5)  # whichever side it lies on, its ends stay its ends
    x, y = axis if (lopsided > 0 if abs(lopsided) > 0.05 else axis[0] > 0) else -axis
    return np.asarray(about_z @ np.array([[x, y, 0], [-y, x, 0], [0, 0, 1]]) @ about_z.T)
