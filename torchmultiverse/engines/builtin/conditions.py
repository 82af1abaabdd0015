"""The conditions that this engine can vary (see `torchmultiverse.scenes.CONDITIONS`), and what they do to a picture.

In the order of light: fog lies between things and the lens, the exposure scales what reaches the sensor, the sensor
counts electrons, and the finished picture may have been a JPEG.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import SpecError
from torchmultiverse.images import jpeg
from torchmultiverse.scenes import Scene, setting_seed

Array = NDArray[np.float32]
_BY_GROUP: dict[str, tuple[str, ...]] = {
    "light": ("Sun_Elevation", "Sun_Azimuth", "Overcast", "Lamps"),
    "weather": ("Fog_Visibility", "Dust_Visibility", "Rain", "Snow", "Wetness", "Snow_Cover", "Lens_Drops"),
    "camera": (
        "Camera_Focal_Length", "Camera_Distance", "Camera_Height", "Camera_Aperture", "Camera_Focus",
        "Camera_Exposure", "Camera_Shutter", "Character_Speed", "Camera_Electrons", "Camera_Read_Noise",
        "Camera_Distortion", "JPEG_Quality", "Target_Pixels",
    ),
    "occlusion": ("Occluder", "Occlusion"),
    "crowding": ("Objects", "Distractors", "Distractor_Kind", "Distractor_Spacing", "Distractor_Yaw"),
    "region": ("World_Region",),
}  # fmt: skip
OFFERED = frozenset(wire for group in _BY_GROUP.values() for wire in group)
"""Wire names; a scene with another condition is refused."""
KOSCHMIEDER = -float(np.log(0.02))
"""Optical depth at which 2 % of the contrast is left (Koschmieder, 1924): 3.912."""
_DUST = np.array([0.75, 0.52, 0.30])


@dataclass(frozen=True)
class Conditions:
    """What happens to light between things and the file.

    Attributes:
        fog, dust: visibility in metres, or None.
        exposure: stops.
        electrons: of a pixel at white (1 after exposure, before the tone curve), or None for no noise.
        read_noise: std in electrons.
        jpeg: quality, or None.
        rain, snow: mm/h and cm/h.
        shutter: seconds that it is open while something falls, where the scene says.
        lens_drops: number of them.
        setting: seed of where they are, which is the same in all frames of a clip.
    """

    fog: float | None = None
    dust: float | None = None
    exposure: float = 0.0
    electrons: float | None = None
    read_noise: float = 0.0
    jpeg: int | None = None
    rain: float = 0.0
    snow: float = 0.0
    shutter: float = 0.0
    lens_drops: int = 0
    setting: int = field(default=0, compare=False)

    @property
    def airy(self) -> bool:
        """Whether there is anything in the air, for which distances and its light are needed."""
        return self.fog is not None or self.dust is not None or self.rain > 0 or self.snow > 0

    @property
    def plain(self) -> bool:
        """Whether nothing happens."""
        return self == Conditions()


def conditions_of(scene: Scene, seed: int = 0) -> Conditions:
    """Return the conditions of a scene in a dataset of some seed.

    Raises:
        SpecError: a part of a drop.
    """
    quality = scene.get_number("JPEG_Quality")
    rain, snow = scene.get_float("Rain"), scene.get_float("Snow")
    drops = round(scene.get_float("Lens_Drops"))
    if drops != scene.get_float("Lens_Drops"):
        raise SpecError(f"Lens_Drops = {scene['Lens_Drops']}: a number of drops is whole, such as {drops}")
    return Conditions(
        scene.get_number("Fog_Visibility"),
        scene.get_number("Dust_Visibility"),
        scene.get_float("Camera_Exposure"),
        scene.get_number("Camera_Electrons"),
        scene.get_float("Camera_Read_Noise"),
        None if quality is None else round(quality),
        rain,
        snow,
        scene.get_float("Camera_Shutter") / 1000 if rain or snow else 0.0,
        drops,
        setting_seed(seed, scene) if drops else 0,
    )


def through_air(color: Array, distance: Array, light: NDArray[np.float64], conditions: Conditions) -> Array:
    """Return radiance (H, W, 3) as it arrives through fog and dust.

    Contrast falls as exp(-3.912 · distance / visibility); what is lost is made up by the light of the air itself.

    Args:
        color: radiance that leaves things.
        distance: metres to them (H, W), or through the air where they are behind it.
        light: radiance that a bright fog sends to the eye (3,).
        conditions: with the visibilities.
    """
    for visibility, tint in ((conditions.fog, np.ones(3)), (conditions.dust, _DUST)):
        if visibility is not None:
            kept = np.exp(-KOSCHMIEDER * distance[..., None].astype(np.float64) / visibility)
            color = (color * kept + light * tint * (1 - kept)).astype(np.float32)
    return color


def exposed(color: Array, conditions: Conditions, rng: np.random.Generator) -> Array:
    """Return what a sensor reads of exposed radiance (H, W, 3), 1 at white: shot noise and the noise of reading.

    The variance is (x / electrons) + (read noise / electrons)², of each channel by itself. A sensor holds what it
    holds: nothing above 16 times white is counted.
    """
    color = color * np.float32(2.0**conditions.exposure)
    if conditions.electrons is None:
        return color
    counted = rng.poisson(np.clip(color, 0, 16).astype(np.float64) * conditions.electrons).astype(np.float64)
    if conditions.read_noise > 0:
        counted += rng.normal(0, conditions.read_noise, counted.shape)
    return np.asarray(counted / conditions.electrons, np.float32)


def compressed(image: NDArray[np.uint8], quality: int | None) -> NDArray[np.uint8]:
    """Return the picture as it is after having been a JPEG of a quality."""
    if quality is None:
        return image
    return np.asarray(Image.open(io.BytesIO(jpeg(Image.fromarray(image), quality))))
