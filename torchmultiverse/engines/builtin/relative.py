"""Places of one character relative to the other: words that are made true of their meshes.

``on`` and ``under`` touch, ``above`` and ``below`` do not, ``behind`` is further away and partly hidden, ``in front
of`` its mirror, ``to the left of`` and ``to the right of`` are clear of each other, ``inside`` is smaller than the
other and within it. Left, right, behind and in front are as the camera at yaw 0 sees them. The character that carries,
or that the other is beside, stands where its own coordinates say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from torchmultiverse.engines.builtin.footprint import Field, field, flooded
from torchmultiverse.engines.builtin.resting import rest
from torchmultiverse.engines.builtin.stances import Array, Body

Ground = Callable[[float, float], float]
RELATIVE = (
    "above", "behind", "below", "in front of", "inside", "on", "to the left of", "to the right of", "under",
)  # fmt: skip
"""Levels of ``Character1_Pos`` and ``Character2_Pos`` that say how a character stands to the other one."""
CLEARANCE = 0.25
"""Least height between what is above and what is below it, metres."""
_HIGHEST = 4.5
"""Height above the ground that the picture shows where characters stand, metres."""
_APART = 0.3
"""Least distance of two that are beside or behind each other, metres."""
_HIDDEN = 0.35
"""Share of what is behind that the one in front hides, where that can be had."""
_SLOPE = 0.005
"""Step of slopes in which outlines are compared: some pixels."""
_FILL = 0.7
"""Share of the other's hollow, or of its extent, that what is inside it takes."""


def arrange(relation: str, subject: Body, other: Body, ground: Ground, eye: Array) -> tuple[Body, Body]:
    """Return the subject and the other, moved so that the subject stands to the other as the word says.

    Args:
        relation: one of `RELATIVE`.
        subject, other: where their own coordinates put them.
        ground: its height at a place, of x and y.
        eye: the camera at yaw 0, (3,).
    """
    under = _height(ground, subject if relation in ("under", "below") else other)
    if relation == "on":
        return rest(subject, other, under)
    if relation == "under":
        above, below = rest(other, subject, under)
        return below, above
    if relation == "above":
        other = other.grounded(under)
        return _raised(subject, other), other
    if relation == "below":
        subject = subject.grounded(under)
        return subject, _raised(other, subject)
    if relation == "behind":
        return _followed(subject, _behind(subject, other, eye), ground), other
    if relation == "in front of":
        return subject, _followed(other, _behind(other, subject, eye), ground)
    if relation == "inside":
        other = other.grounded(under)
        return _enclosed(subject, other), other
    side = -1 if relation == "to the left of" else 1
    return _followed(subject, _beside(subject, other, side, float(eye[1])), ground), other


def _height(ground: Ground, body: Body) -> float:
    return ground(float(body.middle[0]), float(body.middle[1]))


def _followed(before: Body, after: Body, ground: Ground) -> Body:
    """Return a body that was moved across the ground as high above it as it was."""
    return after.moved(np.array([0, 0, _height(ground, after) - _height(ground, before)]))


def _raised(upper: Body, lower: Body) -> Body:
    """In the picture where it can be, high enough to be clear, and over the lower one's extent."""
    up = min(lower.low[2] + _HIGHEST - upper.high[2], 0.0)
    up = max(lower.high[2] + CLEARANCE - upper.low[2], up)
    target = np.clip(upper.middle[:2], lower.low[:2], lower.high[:2])
    return upper.moved(np.array([*(target - upper.middle[:2]), up]))


def _seen(body: Body, eye: float) -> tuple[float, float]:
    """Return the ends of a body in the picture, left and right, as slopes from the eye."""
    slopes = body.vertices[:, 0] / np.maximum(body.vertices[:, 1] - eye, 0.1)
    return float(slopes.min()), float(slopes.max())


def _behind(rear: Body, front: Body, eye: Array) -> Body:
    """Straight away from the eye, then to the side on which it is already, as far as hides `_HIDDEN` of it."""
    rear = rear.moved(np.array([0, front.high[1] + _APART - rear.low[1], 0]))
    before, after = _outline(front, eye), _outline(rear, eye)
    seen = np.isfinite(after.top)
    rows, columns = np.nonzero(seen)
    rows += after.first[1] - before.first[1]
    columns += after.first[0] - before.first[0]
    mask = np.isfinite(before.top)
    inside = (rows >= 0) & (rows < mask.shape[0])
    side = 1 if rear.middle[0] >= front.middle[0] else -1
    # The steps to the side after which the two are side by side in the picture, from the middle of the one in front.
    home = round((mask.shape[1] - columns.min() - columns.max() - 1) / 2)
    best, shift = np.inf, 0
    for step in range(mask.shape[1] // 2 + int(np.ptp(columns)) + 2):
        at = columns + home + side * step
        known = inside & (at >= 0) & (at < mask.shape[1])
        hidden = float(mask[rows[known], at[known]].sum()) / len(at)
        if abs(hidden - _HIDDEN) < best:
            best, shift = abs(hidden - _HIDDEN), home + side * step
    return rear.moved(np.array([shift * before.cell * (rear.middle[1] - eye[1]), 0, 0]))


def _outline(body: Body, eye: Array) -> Field:
    """Return what a body covers as seen from the eye, as a field over slopes to the right and up."""
    depth = np.maximum(body.vertices[:, 1] - eye[1], 0.1)
    slopes = np.stack([body.vertices[:, 0] / depth, (body.vertices[:, 2] - eye[2]) / depth, 0 * depth], 1)
    return field(slopes, body.faces, _SLOPE)


def _beside(subject: Body, other: Body, side: int, eye: float) -> Body:
    for _ in range(3):  # the wider apart, the further each side is seen round its near edge
        gap = subject.low[0] - other.high[0] if side > 0 else other.low[0] - subject.high[0]
        (left, right), (mine_left, mine_right) = _seen(other, eye), _seen(subject, eye)
        depth = float(subject.vertices[:, 1].max() - eye)
        angle = mine_left - right if side > 0 else left - mine_right
        step = max(_APART - gap, (_APART / depth - angle) * depth, 0.0)
        if step <= 1e-9:
            break
        subject = subject.moved(np.array([side * step, 0, 0]))
    return subject


def _enclosed(subject: Body, other: Body) -> Body:
    """In the hollow of what is open above; else in the middle of what it is in, within its extent."""
    hollow = _hollow(other)
    if hollow is None:
        size = other.high - other.low
        scale = min(1.0, float((_FILL * size / np.maximum(subject.high - subject.low, 1e-6)).min()))
        small = subject.moved(np.zeros(3), scale)
        return small.moved((other.low + other.high) / 2 - (small.low + small.high) / 2)
    centre, width, floor, rim = hollow
    extent = np.maximum(subject.high - subject.low, 1e-6)
    scale = min(1.0, _FILL * width / float(np.hypot(extent[0], extent[1])), 0.9 * (rim - floor) / float(extent[2]))
    over = field(other.vertices, other.faces, max(float((other.high - other.low)[:2].max()) / 256, 1e-4))
    for _ in range(8):  # a hollow that narrows downward holds less than its width says
        small = _dropped(subject.moved(np.zeros(3), scale), over, centre, float(other.high[2]))
        if small.high[2] <= other.high[2]:
            break
        scale *= 0.8
    return small


def _dropped(small: Body, over: Field, centre: Array, high: float) -> Body:
    """Straight down from a height over a place (2,) until it touches what has this surface."""
    small = small.moved(np.array([*(centre - (small.low + small.high)[:2] / 2), high - small.low[2]]))
    under = field(small.vertices, small.faces, over.cell)
    rows, columns = np.nonzero(np.isfinite(under.bottom))
    at_row = rows + under.first[1] - over.first[1]
    at_column = columns + under.first[0] - over.first[0]
    known = (at_row >= 0) & (at_column >= 0) & (at_row < over.top.shape[0]) & (at_column < over.top.shape[1])
    gaps = over.top[at_row[known], at_column[known]] - under.bottom[rows[known], columns[known]]
    gaps = gaps[np.isfinite(gaps)]
    return small.moved(np.array([0, 0, float(gaps.max())])) if len(gaps) else small


def _hollow(body: Body) -> tuple[Array, float, float, float] | None:
    """Return middle (2,), width, floor and rim of the hollow of a body that is open above; None where it has none.

    Found as water would: the level at which it would run over, less the height of the surface below.
    """
    from scipy.ndimage import label

    size = body.high - body.low
    cell = max(float(size[:2].max()) / 96, 1e-4)
    over = field(body.vertices, body.faces, cell)
    top = np.pad(np.where(np.isfinite(over.top), over.top, body.low[2]), 1, constant_values=body.low[2])
    level = flooded(top)
    deep = level - top > 0.15 * size[2]
    labels, count = label(deep)
    if not count:
        return None
    biggest = int(np.bincount(labels.ravel())[1:].argmax()) + 1
    rows, columns = np.nonzero(labels == biggest)
    width = 2 * float(np.sqrt(len(rows) / np.pi)) * cell
    if width < 0.15 * float(size[:2].max()):
        return None
    middle = np.array([columns.mean() - 0.5 + over.first[0], rows.mean() - 0.5 + over.first[1]]) * cell
    inside = labels == biggest
    return middle, width, float(np.median(top[inside])), float(np.median(level[inside]))
