"""What is to be hidden, and the room between it and the eye."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.placement import View, entry
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.errors import SpecError

Array = NDArray[np.float64]
SIDE = 256
"""Shorter side of the picture on which shares are searched, pixels: the occluder of a scene is one, whatever the size
of the picture."""
_LEAST = 24
"""Fewest pixels of such a picture that have to show the character."""
_ROOM = 0.25
"""Least room between the eye and the character in which something can stand, metres."""


def searched(view: View) -> View:
    """Return a view in the size in which shares are searched."""
    scale = SIDE / min(view.size)
    width, height = (max(1, round(n * scale)) for n in view.size)
    return replace(view, size=(width, height), focal=view.focal * min(width, height) / min(view.size))


@dataclass(frozen=True)
class Gap:
    """The room between the eye and the first character along an axis.

    Attributes:
        axis: unit vector (3,) from the eye towards the character.
        start, end: metres along it from the eye: where the eye begins to see, and where the character begins.
    """

    axis: Array
    start: float
    end: float

    @property
    def length(self) -> float:
        """Metres."""
        return self.end - self.start


@dataclass(frozen=True)
class Target:
    """What is to be hidden.

    Attributes:
        world: where.
        view: from where, in the size in which shares are searched.
        mask: pixels (H, W) at which the first character is seen where no occluder is.
        character, others: its mesh in its place, and those of the other characters.
        occluder: its name, for errors.
    """

    world: World
    view: View
    mask: NDArray[np.bool_]
    character: CharacterInstance
    others: tuple[CharacterInstance, ...]
    occluder: str

    def __post_init__(self) -> None:
        if np.count_nonzero(self.mask) < _LEAST:
            raise SpecError(
                f"Occluder = '{self.occluder}': the first character is not seen without it, or too small; bring it "
                "into the picture, or leave the occluder out"
            )

    @cached_property
    def rays(self) -> Array:
        """Directions (N, 3) of the pixels that show the character, of length 1 along the viewing axis."""
        rows, columns = np.nonzero(self.mask)
        x, y = self.view.slopes(columns + 0.5, rows + 0.5)
        return np.asarray(np.stack([x, y, np.ones(len(x))], -1) @ self.view.rotation)

    @cached_property
    def upright(self) -> tuple[Array, Array, Array]:
        """Right, up and forward of the camera without its roll."""
        forward = self.view.rotation[2]
        right = np.cross(forward, [0.0, 0.0, 1.0])
        if np.linalg.norm(right) < 1e-3:  # it looks straight up or down
            right = self.view.rotation[0]
        right = right / np.linalg.norm(right)
        return right, np.cross(right, forward), forward

    @cached_property
    def level(self) -> tuple[Array, Array]:
        """Right and forward along the ground, towards the character.

        Raises:
            SpecError: it is straight below or above the eye.
        """
        low, high = self.character.vertices.min(0), self.character.vertices.max(0)
        forward = ((low + high).astype(float) / 2 - self.view.position) * [1, 1, 0]
        length = float(np.linalg.norm(forward))
        if length < 1e-3:
            raise self.no_room()
        forward = forward / length
        return np.array([forward[1], -forward[0], 0.0]), forward

    def gap(self, axis: Array) -> Gap:
        """Return the room along an axis.

        Raises:
            SpecError: there is none, or too little for anything.
        """
        camera = self.world.spec.camera
        begin = np.maximum(entry(self.view, np.asarray(camera.low), np.asarray(camera.high), self.rays), 0)
        start = max(float((begin * (self.rays @ axis)).max()), 0.05)
        end = float(((self.character.vertices - self.view.position) @ axis).min())
        if end - start < _ROOM or (self.rays @ axis).min() <= 0:
            raise self.no_room()
        return Gap(axis, start, end)

    def clear_of_others(self, gap: Gap, place: float, half: float) -> float:
        """Return a place along a gap, moved before another character that it would go through, where there is room."""
        for other in self.others:
            along = (other.vertices - self.view.position) @ gap.axis
            low, high = float(along.min()) - half, float(along.max()) + half
            if low < place < high and low > gap.start + half:
                place = low
        return place

    def no_room(self) -> SpecError:
        """Return the error that nothing can stand between the eye and the character."""
        return SpecError(
            f"Occluder = '{self.occluder}': there is no room for it between the camera and the first character; move "
            "the camera back (Camera_Distance), or down (Camera_Pitch), make the character smaller, or take "
            "Occluder = 'edge'"
        )

    def share(self, hidden: NDArray[np.bool_]) -> float:
        """Return the share of the character's pixels that are hidden."""
        return float(np.count_nonzero(hidden & self.mask) / np.count_nonzero(self.mask))

    def extent(self, right: Array, up: Array, axis: Array, distance: float) -> tuple[Array, Array]:
        """Return least and greatest coordinates (2,), right and up from the eye, of the character's rays in a plane.

        Args:
            right, up: axes of the plane.
            axis, distance: its normal, and how far along it from the eye it is.
        """
        scale = distance / (self.rays @ axis)
        places = np.stack([self.rays @ right * scale, self.rays @ up * scale], -1)
        return places.min(0), places.max(0)

    def reach(self, distance: float) -> float:
        """Return half the diagonal of the picture at a distance along the viewing axis, metres."""
        return float(np.hypot(*self.view.size) / 2 / self.view.focal * distance)
