"""Light on its way through what is in the air: fog, dust, rain, snow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.conditions import KOSCHMIEDER, Conditions, through_air
from torchmultiverse.engines.builtin.falling import SHUTTER, through_fall
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.precipitation import Precipitation
from torchmultiverse.engines.builtin.surround import mean_light
from torchmultiverse.engines.builtin.tracer import Air

Array = NDArray[np.float32]
FOG_TOP = 300.0
"""Metres above the eye to which fog and dust reach: through thin fog the sky is seen overhead, not at the horizon."""
RAIN_TOP = 3000.0
"""Metres above the eye from which rain and snow fall."""
_RAIN, _SNOW = 2, 3
"""Streams of random numbers, beside those of the paths and of the sensor."""


def air_of(conditions: Conditions) -> Air | None:
    """Return what takes light away between things and the camera, or None where nothing does."""
    if not conditions.airy:
        return None
    seen = [visibility for visibility in (conditions.fog, conditions.dust) if visibility is not None]
    lost = sum(KOSCHMIEDER / visibility for visibility in seen)
    for falling in (Precipitation("rain", conditions.rain), Precipitation("snow", conditions.snow)):
        lost += falling.extinction if falling.rate > 0 else 0
    return Air(lost, FOG_TOP if seen else RAIN_TOP)


def through_weather(
    color: Array, distance: Array, view: View, conditions: Conditions, light: Array, seed: int
) -> Array:
    """Return radiance (H, W, 3) as it arrives through what is in the air, which reaches to a height of its own.

    Args:
        color: radiance that leaves things.
        distance: metres to them (H, W); infinite for the sky.
        view: the camera.
        conditions: with what is in the air.
        light: from all sides, as `surround.surround` returns it.
        seed: of the picture.
    """
    climb = _climb(view)
    color = through_air(color, _below(distance, climb, FOG_TOP), mean_light(light), conditions)
    shutter = conditions.shutter or SHUTTER
    for stream, falling in (
        (_RAIN, Precipitation("rain", conditions.rain)),
        (_SNOW, Precipitation("snow", conditions.snow)),
    ):
        if falling.rate > 0:
            rng = np.random.default_rng([seed, stream])
            color = through_fall(color, _below(distance, climb, RAIN_TOP), falling, view, light, shutter, rng)
    return color


def _climb(view: View) -> NDArray[np.float64]:
    """Return how many metres up one metre along each pixel's ray is, (H, W)."""
    x, y = view.grid()
    right, down, forward = view.rotation[:, 2]
    return np.asarray((x * right + y * down + forward) / np.sqrt(1 + x**2 + y**2))


def _below(distance: Array, climb: NDArray[np.float64], top: float) -> Array:
    """Return how far rays go through air up to a height before they meet something."""
    return np.minimum(distance, np.where(climb > 1e-6, top / np.maximum(climb, 1e-6), np.inf)).astype(np.float32)
