"""Augmented pictures, to hold what a decoder draws against what a model was made invariant to.

Source: F. Bordes et al., *High fidelity visualization of what your self-supervised representation knows about*, TMLR
2022, figures 21 and 22: one row of mirrored, cropped, jittered, grey and solarized pictures, one of pictures augmented
as those that the models were trained on (M. Caron et al., NeurIPS 2020; ICCV 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from torchmultiverse.models import IMAGENET_MEAN, IMAGENET_STD
from torchmultiverse.train import AugmentedViews

_TRAINING = ("crop", "flip", "color", "gray", "blur", "solarize")
_LEAST_AREA = 0.14  # of a crop, as in SwAV
_LARGEST = 256  # side of pictures that are augmented as for training
_HUE = 0.1  # of the circle, at most
_JITTER = 0.4


def _middle(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    side = round(0.875 * min(image.size))
    return ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC, bleed=0.0625)


def _jittered(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(float(rng.uniform(1 - _JITTER, 1 + _JITTER)))
    h, s, v = image.convert("HSV").split()
    turn = round(256 * float(rng.uniform(-_HUE, _HUE)))
    return Image.merge("HSV", (h.point(lambda x: (x + turn) % 256), s, v)).convert("RGB")


SINGLE: Mapping[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = MappingProxyType(
    {
        "mirrored": lambda image, rng: ImageOps.mirror(image),
        "its middle": _middle,
        "jittered": _jittered,
        "grey": lambda image, rng: ImageOps.grayscale(image).convert("RGB"),
        "solarized": lambda image, rng: ImageOps.solarize(image, 128),
    }
)
"""One change at a time, by name: an RGB picture and a generator of draws to a picture."""


def augmented_as_in_training(images: Sequence[Image.Image], seed: int, draw: int = 0) -> list[Image.Image]:
    """Return pictures as a self-supervised training sees them: cropped, mirrored, jittered, grey, blurred, solarized.

    Args:
        images: RGB.
        seed: of the draws.
        draw: others of the same pictures.
    """
    side = min(_LARGEST, *(min(image.size) for image in images))
    pixels = np.stack([np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BICUBIC)) for image in images])
    views = AugmentedViews(pixels, max(8, side * 7 // 8), _TRAINING, _LEAST_AREA, seed, whole=1)
    (found,) = views(np.arange(len(images)), draw)
    bright = found.permute(0, 2, 3, 1).numpy() * np.array(IMAGENET_STD) + np.array(IMAGENET_MEAN)
    return [Image.fromarray(one) for one in (bright.clip(0, 1) * 255).round().astype(np.uint8)]
