"""Resolution on target: a sensor with so few pixels that the first character's longest side has a number of them.

The picture is traced, exposed, read out and, where that is asked, compressed with the sensor's pixels, each of which
sees a square of the picture (a box filter), and then enlarged to the picture's size by Pillow's bicubic kernel (a =
-0.5). Annotations are of the picture's own pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.engines.builtin.placement import View, extent
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene

_BEHIND = 1e-3


@dataclass(frozen=True)
class Sensor:
    """A sensor of larger pixels.

    Attributes:
        size: of the picture (width, height).
        scale: pixels of the sensor per pixel of the picture, at most 1.
        view: the camera with the sensor's pixels: as many as the picture has room for, rounded up; its middle is the
            picture's.
    """

    size: tuple[int, int]
    scale: float
    view: View

    def enlarged(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what the sensor saw (h, w, 3) in the size of the picture (H, W, 3)."""
        width, height = self.view.size
        across, down = (n * self.scale / 2 for n in self.size)
        box = (width / 2 - across, height / 2 - down, width / 2 + across, height / 2 + down)
        return np.asarray(Image.fromarray(image).resize(self.size, Image.Resampling.BICUBIC, box))

    def as_dict(self) -> dict[str, Any]:
        """Return its facts as JSON values."""
        return {"pixels": [n * self.scale for n in self.size], "scale": self.scale}


def longest_side(character: CharacterInstance, view: View) -> float | None:
    """Return the longer side, in pixels, of the box in the picture's plane around all of a character, seen or not;
    None where it reaches behind the eye."""
    pixels, depth = view.project(character.vertices)
    if (depth < _BEHIND).any():
        return None
    low, high = extent(pixels)
    return float((high - low).max())


def sensor_of(scene: Scene, view: View, characters: Sequence[CharacterInstance | None]) -> Sensor | None:
    """Return the sensor that a scene asks for with ``Target_Pixels``, or None where it has the picture's pixels.

    Raises:
        SpecError: there is no first character, or it has fewer pixels in the picture.
    """
    asked = scene.get_number("Target_Pixels")
    if asked is None:
        return None
    first = characters[0] if characters else None
    if first is None:
        raise SpecError(f"Target_Pixels = {asked:g}: they are those of the first character, and there is none")
    side = longest_side(first, view)
    if side is None:
        raise SpecError(f"Target_Pixels = {asked:g}: the first character reaches behind the camera")
    width, height = view.size
    if asked > side:
        raise SpecError(
            f"Target_Pixels = {asked:g}: the first character is {side:.1f} pixels long in a picture of {width} x "
            f"{height}; at most {np.floor(side):g} can be had there, more in a larger picture or with a longer lens"
        )
    scale = asked / side
    pixels = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
    return Sensor(view.size, scale, replace(view, size=pixels, focal=view.focal * scale))
