"""Every type of corruption by its name, and how one is applied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.corruptions import blur, digital, noise, spatial, weather
from torchmultiverse.corruptions.constants import BEYOND, NOTHING, PUBLISHED, STRONGEST, Constants
from torchmultiverse.errors import SpecError, nearest

VERSION = 1
"""Of what the functions draw; another number makes kept features of corrupted pictures be made anew."""
SEVERITIES = (1, 2, 3, 4, 5)
_Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Corruption:
    """A type of corruption.

    Attributes:
        name: as ImageNet-C and 3D Common Corruptions call it.
        family: noise, blur, weather, digital, extra (the four that ImageNet-C keeps for validation), depth, camera.
        needs_depth: whether it asks how far away things are.
        function: of image, (depth,) constants and generator.
    """

    name: str
    family: str
    needs_depth: bool
    function: Callable[..., _Image]

    @property
    def strongest(self) -> float:
        """The highest severity that it can have: 5, or more of types that go on as from 4 to 5."""
        return STRONGEST if self.name in BEYOND else 5

    def constants(self, severity: float) -> Constants:
        """Return the constants of a severity; between whole ones, below 1 and above 5 in proportion.

        Raises:
            SpecError: no severity from 1 to 5 (0 for types that can do nothing, more for those that go on), or between
                those of a type that cannot be in between.
        """
        published = PUBLISHED[self.name]
        if severity in SEVERITIES:
            return published[int(severity) - 1]
        if self.name not in NOTHING:
            raise SpecError(f"{self.name}: severity {severity}; 1, 2, 3, 4 or 5 is right")
        if not 0 <= severity <= self.strongest:
            raise SpecError(f"{self.name}: severity {severity}; from 0 to {self.strongest} is right")
        known = np.array([NOTHING[self.name], *published])
        if severity > 5:
            return tuple((known[5] + (known[5] - known[4]) * (severity - 5)).tolist())
        return tuple(float(np.interp(severity, np.arange(6), column)) for column in known.T)


def _family(family: str, depth: bool, *functions: Callable[..., _Image]) -> list[Corruption]:
    return [Corruption(function.__name__, family, depth, function) for function in functions]


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType({
    one.name: one
    for one in (
        *_family("noise", False, noise.gaussian_noise, noise.shot_noise, noise.impulse_noise),
        *_family("blur", False, blur.defocus_blur, blur.glass_blur, blur.motion_blur, blur.zoom_blur),
        *_family("weather", False, weather.snow, weather.frost, weather.fog, weather.brightness),
        *_family(
            "digital", False, digital.contrast, digital.elastic_transform, digital.pixelate, digital.jpeg_compression
        ),
        *_family("extra", False, noise.speckle_noise, blur.gaussian_blur, weather.spatter, digital.saturate),
        *_family(
            "depth", True, spatial.fog_3d, spatial.near_focus, spatial.far_focus, spatial.xy_motion_blur,
            spatial.z_motion_blur, spatial.flash,
        ),
        *_family("camera", False, noise.low_light, noise.iso_noise, digital.color_quant),
    )
})  # fmt: skip
"""All types: the 15 of ImageNet-C, its four more, six that need depth, and three of a camera from the same source."""

IMAGENET_C = tuple(one.name for one in CORRUPTIONS.values() if one.family in ("noise", "blur", "weather", "digital"))
"""The 15 types over which the mean corruption error is taken."""
SETS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "imagenet-c": IMAGENET_C,
    **{
        family: tuple(one.name for one in CORRUPTIONS.values() if one.family == family)
        for family in dict.fromkeys(one.family for one in CORRUPTIONS.values())
    },
})  # fmt: skip
"""Names of several types at once; ``all`` is every type that the pictures can have."""
LEFT_OUT: Mapping[str, str] = MappingProxyType({
    "shadow": "needs the geometry outside the picture; render Sun_Elevation and Sun_Azimuth",
    "multi_illumination": "needs geometry and materials; render Sun_Azimuth and Lamps",
    "occlusion": "needs the scene from other views; render Occluder and Occlusion",
    "scale": "needs the scene from other views; render Camera_Distance",
    "h264_crf": "needs a video and an encoder", "h264_abr": "needs a video and an encoder",
    "h265_crf": "needs a video and an encoder", "h265_abr": "needs a video and an encoder",
    "bit_error": "needs a video and an encoder",
})  # fmt: skip
"""What 3D Common Corruptions has and is not here, and why."""


def corruption_names(words: str | Iterable[str] = "all", depth: bool = True) -> tuple[str, ...]:
    """Return the types that words name: their own names, those of `SETS`, or ``all``; several with commas.

    Args:
        words: names.
        depth: whether the pictures have depth; without it ``all`` is what needs none.

    Raises:
        SpecError: none is named, no such type, one that is left out, or one that needs depth where there is none.

    Example:
        >>> corruption_names("blur,fog")
        ('defocus_blur', 'glass_blur', 'motion_blur', 'zoom_blur', 'fog')
    """
    asked = [word.strip() for text in ([words] if isinstance(words, str) else words) for word in text.split(",")]
    found: dict[str, None] = {}
    for word in (word for word in asked if word):
        if word == "all":
            found.update((name, None) for name, one in CORRUPTIONS.items() if depth or not one.needs_depth)
        elif word in SETS or word in CORRUPTIONS:
            found.update((name, None) for name in SETS.get(word, (word,)))
        elif word in LEFT_OUT:
            raise SpecError(f"corruption '{word}' is not built: it {LEFT_OUT[word]}")
        else:
            raise SpecError(f"no corruption '{word}'.{nearest(word, ['all', *SETS, *CORRUPTIONS])}")
    if not found:
        raise SpecError(f"no corruption is named; {', '.join(['all', *SETS])} or names of types are right")
    if missing := [name for name in found if CORRUPTIONS[name].needs_depth and not depth]:
        raise SpecError(
            f'{", ".join(missing)}: the pictures have no depth. Render them with "passes": ["rgb", "depth"] in '
            "the spec, or ask for others"
        )
    return tuple(found)


def parse_severities(text: str) -> tuple[int, ...]:
    """Return severities that stand in a text with commas.

    Raises:
        SpecError: one is not from 1 to 5.

    Example:
        >>> parse_severities("1,3,5")
        (1, 3, 5)
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or any(word not in "12345" or len(word) != 1 for word in words):
        raise SpecError(f"severities '{text}': numbers from 1 to 5 with commas, such as 1,3,5, are right")
    return tuple(sorted({int(word) for word in words}))


def corrupt(
    image: _Image,
    name: str,
    severity: float,
    rng: np.random.Generator,
    depth: NDArray[np.float32] | None = None,
    focal: float | None = None,
) -> _Image:
    """Return a corrupted picture.

    Args:
        image: (H, W, 3) uint8, RGB.
        name: of `CORRUPTIONS`.
        severity: 1 to 5; numbers between, and below 1, where the type can have any strength.
        rng: of all that is random. The same state gives the same picture.
        depth: metres along the viewing axis, (H, W), infinite for sky; for types that need it.
        focal: focal length in pixels, for the shading of a flash.

    Returns:
        (H, W, 3) uint8.

    Raises:
        SpecError: no such type or severity, a picture of another form, or no depth where it is needed.

    Source: Hendrycks and Dietterich 2019; Kar et al. 2022.

    Example:
        >>> grey = np.full((224, 224, 3), 128, np.uint8)
        >>> noisy = corrupt(grey, "gaussian_noise", 1, np.random.default_rng(0))
        >>> round(float(noisy.std()) / 255, 2)
        0.08
    """
    if name not in CORRUPTIONS:
        corruption_names(name)
        raise SpecError(f"'{name}' names several corruptions; one is right here")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise SpecError(f"{name}: a picture of {image.dtype} {image.shape}; uint8 (H, W, 3) is right")
    one = CORRUPTIONS[name]
    constants = one.constants(severity)
    if not one.needs_depth:
        return one.function(image, constants, rng)
    if depth is None:
        raise SpecError(f"{name} needs the depth of the picture")
    if depth.shape != image.shape[:2]:
        raise SpecError(f"{name}: depth of {depth.shape} for a picture of {image.shape[:2]}")
    more: dict[str, Any] = {"focal": focal} if name == "flash" else {}
    return one.function(image, depth, constants, rng, **more)


def picture_rng(name: str, seed: int, picture: bytes) -> np.random.Generator:
    """Return the generator of one picture under one type: a function of name, seed and picture alone.

    All severities of a picture draw the same numbers, so that they differ in strength and not in luck.

    Args:
        name: of the type.
        seed: of the run.
        picture: what identifies it: the bytes of its file or of its pixels.
    """
    digest = hashlib.sha256(f"{name}\0{seed}\0".encode() + hashlib.sha256(picture).digest()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32).tolist())
