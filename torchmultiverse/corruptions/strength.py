"""How strong a change of a picture is, and which severity of a type is as strong as another change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_Image = NDArray[np.uint8]
_STEPS = 10


def psnr(first: _Image, second: _Image) -> float:
    """Return the peak signal-to-noise ratio of two pictures in dB; infinite where they are equal.

    Example:
        >>> round(psnr(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 25, np.uint8)), 1)
        20.2
    """
    error = float(np.mean((first.astype(np.float32) - second.astype(np.float32)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def rms_contrast(image: _Image) -> float:
    """Return the standard deviation of the mean of the channels, from 0 to 0.5."""
    return float(image.astype(np.float32).mean(2).std() / 255)


def matched_severity(
    apply: Callable[[float], _Image], clean: _Image, wanted: float, most: float = 5
) -> tuple[float, _Image]:
    """Return the severity from 0 to the highest whose change of a picture has a PSNR, by halving, and the picture.

    Args:
        apply: from a severity to the changed picture; the PSNR falls with the severity.
        clean: the picture.
        wanted: PSNR in dB. Where no severity changes so much, it is the highest; where so little, close to 0.
        most: the highest severity.

    Example:
        >>> from torchmultiverse.corruptions import corrupt
        >>> clean = np.full((64, 64, 3), 120, np.uint8)
        >>> noisy = lambda severity: corrupt(clean, "gaussian_noise", severity, np.random.default_rng(0))
        >>> severity, found = matched_severity(noisy, clean, 20.0)
        >>> round(severity, 1), round(psnr(found, clean))
        (1.5, 20)
    """
    low, high = 0.0, float(most)
    best = (high, apply(high))
    if psnr(best[1], clean) >= wanted:
        return best
    for _ in range(_STEPS):
        middle = (low + high) / 2
        found = apply(middle)
        value = psnr(found, clean)
        if abs(value - wanted) < abs(psnr(best[1], clean) - wanted):
            best = (middle, found)
        if value > wanted:
            low = middle
        else:
            high = middle
    return best
