"""Motion between two frames of a clip: optical flow, what is hidden in the other frame, and which object is which.

All of it follows from what a frame's annotations say, whichever engine made them: the depth and the mask, the camera,
and the oriented box of each object. A pixel's centre and its depth are a point of the world; where an object is seen
there, the point moves as the object's box does (turned, moved and scaled), else it stays; the other frame's camera
says where it is then. What is infinitely far follows the camera's turn alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import EngineError

SEEN, HIDDEN, BEYOND, UNDEFINED = 0, 1, 2, 3
"""What becomes of a pixel's point in the other frame: seen there, behind something, outside the picture, or unknown."""
_NEAR = 0.01
"""Share by which a depth may differ from what is expected of the same surface."""
_ROUNDS = 20
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where an object is: a point ``p`` of it is at ``center + size * rotation @ p``."""

    center: Floats
    rotation: Floats
    size: float


@dataclass(frozen=True)
class Camera:
    """Intrinsics and extrinsics: ``pixel = K distorted([R|t] world)``, pixel centres at halves.

    Attributes:
        matrix: K, (3, 3).
        rotation, translation: (3, 3) and (3,), world to camera (x right, y down, z forward).
        radial: k1 and k2 of the lens.
    """

    matrix: Floats
    rotation: Floats
    translation: Floats
    radial: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Camera:
        """Read a frame's ``info["camera"]``.

        Raises:
            EngineError: it has no such matrices, or a lens of another kind.
        """
        try:
            matrix, extrinsic = np.array(facts["K"], float), np.array(facts["Rt"], float)
        except (KeyError, TypeError, ValueError):
            raise EngineError("a frame's annotations have no camera with 'K' and 'Rt'; flow needs both") from None
        if matrix.shape != (3, 3) or extrinsic.shape != (3, 4):
            raise EngineError(f"camera: K is {matrix.shape} and Rt {extrinsic.shape}; (3, 3) and (3, 4) are right")
        lens = facts.get("distortion") or {}
        if any(lens.get(name) for name in lens if name not in ("model", "k1", "k2")):
            raise EngineError(f"camera.distortion = {dict(lens)}: flow knows the radial terms k1 and k2")
        radial = (float(lens.get("k1", 0.0)), float(lens.get("k2", 0.0)))
        return cls(matrix, extrinsic[:, :3], extrinsic[:, 3], radial)

    def rays(self, width: int, height: int) -> Floats:
        """Return the direction through each pixel's centre in camera coordinates, one metre forward, (H, W, 3)."""
        x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        flat = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(self.matrix).T
        if any(self.radial):
            bent = np.maximum(np.hypot(flat[..., 0], flat[..., 1]), 1e-12)
            straight = bent.copy()
            for _ in range(_ROUNDS):
                straight -= (self._bent(straight) - bent) / self._stretch(straight)
            flat[..., :2] *= (straight / bent)[..., None]
        return np.asarray(flat)

    def _bent(self, radius: Floats) -> Floats:
        k1, k2 = self.radial
        return radius * (1 + k1 * radius**2 + k2 * radius**4)

    def _stretch(self, radius: Floats) -> Floats:
        k1, k2 = self.radial
        return np.maximum(1 + 3 * k1 * radius**2 + 5 * k2 * radius**4, 1e-3)

    def pixels(self, points: Floats) -> Floats:
        """Return pixel coordinates (…, 2) of points in camera coordinates (…, 3), NaN behind the camera."""
        depth = points[..., 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            flat = np.where(depth > 1e-9, points[..., :2] / depth, np.nan)
        if any(self.radial):
            k1, k2 = self.radial
            square = (flat**2).sum(-1, keepdims=True)
            flat = flat * (1 + k1 * square + k2 * square**2)
        return np.asarray(flat @ self.matrix[:2, :2].T + self.matrix[:2, 2])


@dataclass(frozen=True)
class Moment:
    """What is known of a frame.

    Attributes:
        depth: metres along the viewing axis, inf for what is infinitely far, float (H, W).
        mask: number of the object that is seen, 0 elsewhere, integers (H, W).
        camera: as annotations have it, with ``K`` and ``Rt``.
        objects: as annotations have them: ``instance``, ``name``, and ``box_3d_oriented``.
        world: what the world is; where it differs, nothing is known of how it moved.
    """

    depth: NDArray[Any]
    mask: NDArray[Any]
    camera: Mapping[str, Any]
    objects: Sequence[Mapping[str, Any]]
    world: str = ""

    def poses(self) -> dict[tuple[int, str], Pose]:
        """Return the pose of each object that has an oriented box, by number and name."""
        found = {}
        for one in self.objects:
            if box := one.get("box_3d_oriented"):
                center, rotation = np.array(box["center"], float), np.array(box["rotation"], float)
                found[identity(one)] = Pose(center, rotation, float(np.linalg.norm(box["size"])))
        return found


def world_of(scene: Mapping[str, Any]) -> str:
    """Return what a scene, by wire name, says of its world: things stand where they stood as long as it is the same."""
    return "/".join(str(scene.get(name, "")) for name in ("World_Name", "World_Region"))


def identity(one: Mapping[str, Any]) -> tuple[int, str]:
    """Return what makes an object of annotations the same in all frames of a clip: its number and its name."""
    return int(one["instance"]), str(one.get("name", ""))


def flow(here: Moment, there: Moment) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return how pixels of one frame move to another one, and whether they are seen there.

    Args:
        here: the frame whose pixels move.
        there: the next one, for forward flow, or the one before, for backward flow; of the same size.

    Returns:
        The motion in pixels, x to the right and y down, float32 (H, W, 2), NaN where it is not known; and of each pixel
        `SEEN`, `HIDDEN`, `BEYOND` or `UNDEFINED`, uint8 (H, W).

    Raises:
        EngineError: the frames have different sizes, or annotations without a camera.
    """
    if here.depth.shape != there.depth.shape or here.mask.shape != here.depth.shape:
        raise EngineError(f"flow: frames of {here.depth.shape} and {there.depth.shape} pixels; one size is needed")
    height, width = here.depth.shape
    camera, other = Camera.of(here.camera), Camera.of(there.camera)
    rays = camera.rays(width, height)
    far = ~np.isfinite(here.depth)
    depth = np.where(far, 1.0, here.depth).astype(float)
    there_is = np.where(far, 0.0, 1.0)[..., None]  # a translation does not reach what is infinitely far
    points = (rays * depth[..., None] - there_is * camera.translation) @ camera.rotation
    # Not the pixels' centres, but what comes out of the same arithmetic: what does not move has a motion of exactly 0.
    start = camera.pixels(points @ camera.rotation.T + there_is * camera.translation)
    known = np.full((height, width), here.world == there.world)
    after = there.poses()
    for (number, name), pose in here.poses().items():
        on = here.mask == number
        if not on.any():
            continue
        new = after.get((number, name))
        known[on] = new is not None
        if new is not None:
            points[on] = _carried(points[on], pose, new)
    named = [number for number, _ in here.poses()]
    known &= np.isin(here.mask, [0, *named])
    seen = points @ other.rotation.T + there_is * other.translation
    places = other.pixels(seen)
    places[~known] = np.nan
    state = _state(places, np.where(far, np.inf, seen[..., 2]), here.mask, there)
    return (places - start).astype(np.float32), state


def _carried(points: Floats, before: Pose, after: Pose) -> Floats:
    """Return points (N, 3) of an object where it is afterwards."""
    turn = after.rotation @ before.rotation.T
    grown = after.size / before.size if before.size > 0 else 1.0
    return np.asarray(after.center + grown * (points - before.center) @ turn.T)


def _state(places: Floats, depth: Floats, mask: NDArray[Any], there: Moment) -> NDArray[np.uint8]:
    """Return what becomes of points, which the other frame should show at some places (H, W, 2) and depths (H, W).

    A point is seen where the pixel that it is in shows the same thing, about as far away as it should be: 1/depth of a
    plane is linear in the picture, so that it lies between those of the four pixel centres around the point.
    """
    height, width = mask.shape
    state = np.full(mask.shape, UNDEFINED, np.uint8)
    known = np.isfinite(places).all(-1)
    x, y = places[known].T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    with np.errstate(divide="ignore"):
        near, around = 1 / depth[known], 1 / np.asarray(there.depth, float)
    low, high = np.full(len(x), np.inf), np.full(len(x), -np.inf)

    def within(place: Floats, size: int) -> NDArray[np.int64]:
        return np.clip(np.where(inside, place, 0), 0, size - 1).astype(np.int64)

    for right in (0, 1):
        for down in (0, 1):
            column, row = within(left + right, width), within(top + down, height)
            same = there.mask[row, column] == mask[known]
            value = around[row, column]
            low, high = np.where(same, np.minimum(low, value), low), np.where(same, np.maximum(high, value), high)
    seen = there.mask[within(np.floor(y), height), within(np.floor(x), width)] == mask[known]
    seen &= (near >= low * (1 - _NEAR)) & (near <= high * (1 + _NEAR))
    state[known] = np.where(~inside, BEYOND, np.where(seen, SEEN, HIDDEN))
    return state


def tracks(frames: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[int, int]]:
    """Return for each frame of a clip which object is which: its number in the mask → its number in the clip, from 1.

    An object is the same as long as its number and its name are.

    Args:
        frames: the objects of each frame, in order, as annotations have them.

    >>> animal, other = {"instance": 1, "name": "Zebra"}, {"instance": 2, "name": "Cat"}
    >>> tracks([[animal], [animal, other], [{**animal, "name": "Camel"}]])
    [{1: 1}, {1: 1, 2: 2}, {1: 3}]
    """
    numbers: dict[tuple[int, str], int] = {}
    found = []
    for objects in frames:
        ordered = sorted(objects, key=identity)
        found.append({int(one["instance"]): numbers.setdefault(identity(one), len(numbers) + 1) for one in ordered})
    return found


def track_pass(mask: NDArray[Any], numbers: Mapping[int, int]) -> NDArray[Any]:
    """Return the pass ``track`` of a frame: of each pixel the number of its object in the clip, 0 elsewhere.

    Args:
        mask: number of the object in the frame, uint8 (H, W).
        numbers: of `tracks`.
    """
    table = np.zeros(256, np.uint16)
    for number, track in numbers.items():
        table[number] = track
    return np.asarray(table[mask])


def between_frames(
    place: int, numbers: Sequence[int], moment: Callable[[int], Moment], names: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """Return the flow passes of one frame of a clip; all unknown where the clip lacks the frame beside it.

    Args:
        place: of the frame among those that are there.
        numbers: of these frames, ascending.
        moment: returns what is known of the frame at a place.
        names: of the passes: ``flow_forward``, ``hidden_forward``, and the same ``_backward``; others are left out.
    """
    found: dict[str, NDArray[Any]] = {}
    wanted = set(names)
    for way, step in (("forward", 1), ("backward", -1)):
        if not wanted & {f"flow_{way}", f"hidden_{way}"}:
            continue
        here, other = moment(place), place + step
        if 0 <= other < len(numbers) and numbers[other] == numbers[place] + step:
            motion, state = flow(here, moment(other))
        else:
            motion = np.full((*here.depth.shape, 2), np.nan, np.float32)
            state = np.full(here.depth.shape, UNDEFINED, np.uint8)
        found |= {f"flow_{way}": motion, f"hidden_{way}": state}
    return {name: array for name, array in found.items() if name in wanted}


def flow_colors(motion: NDArray[Any], most: float | None = None) -> NDArray[np.uint8]:
    """Return motion as colours for people, (H, W, 3): the hue is the direction, the saturation how far.

    To the right is red, downwards green-yellow, to the left cyan, upwards violet; what does not move is white, and what
    is not known black.

    Args:
        motion: pixels (H, W, 2).
        most: length of the fullest colour; by default the 99th percentile of the lengths.
    """
    known = np.isfinite(motion).all(-1)
    x, y = np.where(known, motion[..., 0], 0), np.where(known, motion[..., 1], 0)
    length = np.hypot(x, y)
    top = most or max(float(np.percentile(length[known], 99)) if known.any() else 0.0, 1e-9)
    turn = np.arctan2(y, x) / (2 * np.pi) % 1 * 6
    # The hue of HSV: each channel is full within a sixth of a turn around its own, and gone a third of a turn away.
    shade = np.clip(np.stack([np.abs(turn - 3) - 1, 2 - np.abs(turn - 2), 2 - np.abs(turn - 4)], -1), 0, 1)
    colors = 1 - np.clip(length / top, 0, 1)[..., None] * (1 - shade)
    return np.asarray(np.where(known[..., None], np.rint(colors * 255), 0), np.uint8)
