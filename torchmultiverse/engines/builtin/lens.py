"""What the lens of a camera does beyond a pinhole: depth of field and distortion.

Millimetres are those of a sensor whose shorter side is 24 mm (`SENSOR_SIDE`). The picture keeps the scale of the focal
length at any focus, as with a lens that focuses without breathing, so that K is that of the pinhole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene

SENSOR_SIDE = 24.0
"""Shorter side of the sensor for which ``Camera_Focal_Length`` is, millimetres."""


@dataclass(frozen=True)
class Lens:
    """A thin lens with radial distortion. Slopes are metres to the side per metre forward.

    Attributes:
        aperture: diameter, metres, of the circle on which rays start; 0: a pinhole.
        focus: metres along the axis that are sharp, where there is an aperture.
        distortion: k1 of Brown's model ("Close-Range Camera Calibration", 1971) in the form x (1 + k1 r²) that OpenCV
            has, of slopes: what a pinhole shows at x is seen there.
        corner: slope r at which the picture's corner is seen. Beyond it, where the polynomial would fold over, points
            keep its factor.
    """

    aperture: float = 0.0
    focus: float = 1.0
    distortion: float = 0.0
    corner: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it is that of a pinhole."""
        return self.aperture == 0 and self.distortion == 0

    def blur(self, depth: float, focal: float) -> float:
        """Return the diameter of a point's image, in the unit of the focal length.

        Args:
            depth: metres along the axis. focal: focal length, such as in pixels.
        """
        return self.aperture * abs(depth - self.focus) / depth * focal / self.focus

    def distorted(self, slopes: NDArray[Any]) -> NDArray[np.float64]:
        """Return the slopes (N, 2) at which those of a pinhole are seen."""
        limit = float(undistorted(np.array(self.corner), self.distortion))
        square = np.minimum((slopes**2).sum(-1, keepdims=True), limit**2)
        return np.asarray(slopes * (1 + self.distortion * square))


def undistorted(radius: NDArray[Any], k1: float) -> NDArray[np.float64]:
    """Return the r of a pinhole for those r (1 + k1 r²) that are seen, by the closed form of the cubic's root.

    Args:
        radius: at most that at which the picture folds over, 2 / sqrt(-27 k1) for a k1 below 0.
        k1: of Brown's model.
    """
    s = 1 / np.sqrt(3 * abs(k1))
    inner = 1.5 * np.asarray(radius, float) / s
    if k1 > 0:
        return np.asarray(2 * s * np.sinh(np.arcsinh(inner) / 3))
    return np.asarray(2 * s * np.sin(np.arcsin(np.clip(inner, -1, 1)) / 3))


def least_distortion(size: tuple[int, int]) -> float:
    """Return the ``Camera_Distortion`` at which the corners of a picture begin to fold over: -4 / (27 r²)."""
    return float(-4 / 27 / (np.hypot(*size) / min(size)) ** 2)


def lens_of(scene: Scene, size: tuple[int, int], focal: float, distance: float) -> Lens:
    """Return the lens of a scene's camera.

    Args:
        scene: with ``Camera_Aperture``, ``Camera_Focus`` and ``Camera_Distortion``.
        size, focal: of the picture, and the focal length, pixels.
        distance: metres to what the camera looks at, which is sharp where the scene does not say otherwise.

    Raises:
        SpecError: a lens that cannot focus there, or corners that fold over.
    """
    k1 = scene.get_float("Camera_Distortion")
    if k1 <= (least := least_distortion(size)):
        width, height = size
        raise SpecError(
            f"Camera_Distortion = {k1:g}: the corners of a picture of {width} x {height} would fold over; "
            f"it is to be above {least:.4f}"
        )
    unit = min(size) / 2 / focal  # r = 1
    k1, corner = k1 / unit**2, float(np.hypot(*size)) / 2 / focal
    stop = scene.get_number("Camera_Aperture")
    if stop is None:
        return Lens(distortion=k1, corner=corner)
    length = focal / min(size) * SENSOR_SIDE / 1000
    own = scene.get_number("Camera_Focus")
    focus = distance if own is None else own
    if focus <= length:
        name = f"Camera_Distance = {distance:g}" if own is None else f"Camera_Focus = {own:g}"
        raise SpecError(f"{name}: a lens of {length * 1000:.4g} mm focuses on what is further than {length:.4g} m")
    # A lens at its focal length from the sensor would blur by f / s, a focused one is further off: f / (s - f).
    return Lens(length / stop * focus / (focus - length), focus, k1, corner)
