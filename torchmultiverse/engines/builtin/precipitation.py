"""Rain and snow as they are in the air: how many drops or flakes of which size, how fast they fall, what they hide.

Rain: sizes of Marshall and Palmer ("The distribution of raindrops with size", 1948), fall speeds of Atlas, Srivastava
and Sekhon (1973), who fitted those that Gunn and Kinzer measured (1949). Snow: sizes of Sekhon and Srivastava ("Snow
size spectra and radar reflectivity", 1970), density of flakes after Holroyd (1971) and fall speeds after Langleben
(1954). What is much larger than a wavelength takes twice its cross section out of the light, as Atlas (1953) has it
for rain and Rasmussen et al. ("The estimation of snowfall rate using visibility", 1999) for snow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_RAIN_LARGEST, _SNOW_LARGEST = 6.0, 4.5
"""Millimetres, of flakes when melted: larger ones break up."""
_SNOW_DENSITY = 0.1
"""Of fresh snow on the ground, relative to water: a centimetre of it is a millimetre of water."""
_MEASURED = 2.5
"""Millimetres of water an hour up to which the sizes of flakes were measured; more snow than that is more flakes."""
_FLAKE_DENSITY = 0.17
"""Of a flake of 1 mm relative to water; it falls as the flake is wider (Holroyd)."""


@dataclass(frozen=True)
class Precipitation:
    """What falls.

    Attributes:
        kind: rain or snow.
        rate: mm/h of rain, cm/h of snow on the ground.
    """

    kind: Literal["rain", "snow"]
    rate: float

    @property
    def water(self) -> float:
        """Millimetres of water an hour."""
        return self.rate if self.kind == "rain" else self.rate * 10 * _SNOW_DENSITY

    @property
    def _spectrum(self) -> tuple[float, float]:
        """Number per m³ and mm at diameter 0, and its fall per mm of diameter (of flakes: when melted)."""
        if self.kind == "rain":
            return 8000.0, 4.1 * self.water**-0.21
        known = min(self.water, _MEASURED)
        return 2500.0 * known**-0.94 * (self.water / known), 2.29 * known**-0.45

    @property
    def smallest(self) -> float:
        """Diameter from which they are counted one by one, mm (of flakes: when melted)."""
        return 0.5 if self.kind == "rain" else 0.35

    @property
    def number(self) -> float:
        """Drops or flakes per cubic metre that are larger than the smallest that are counted."""
        most = _RAIN_LARGEST if self.kind == "rain" else _SNOW_LARGEST
        start, slope = self._spectrum
        return float(start / slope * (np.exp(-slope * self.smallest) - np.exp(-slope * most)))

    def diameters(self, count: int, rng: np.random.Generator) -> Array:
        """Draw diameters in millimetres (of flakes: when melted), (N,)."""
        most = _RAIN_LARGEST if self.kind == "rain" else _SNOW_LARGEST
        _, slope = self._spectrum
        span = 1 - np.exp(-slope * (most - self.smallest))
        return np.asarray(self.smallest - np.log(1 - span * rng.random(count)) / slope)

    def widths(self, diameters: Array) -> Array:
        """Return how wide they are in metres: a flake is wider than the drop it melts to."""
        if self.kind == "rain":
            return np.asarray(diameters * 1e-3)
        return np.asarray(np.sqrt(diameters**3 / _FLAKE_DENSITY) * 1e-3)  # mass is a constant times its width squared

    def speeds(self, diameters: Array) -> Array:
        """Return how fast they fall in m/s."""
        if self.kind == "rain":
            return np.asarray(np.maximum(9.65 - 10.3 * np.exp(-0.6 * diameters), 0.1))
        return np.asarray(1.6 * (diameters / 10) ** 0.31)

    @property
    def extinction(self) -> float:
        """Share of light that is lost per metre: twice the cross section of all."""
        start, slope = self._spectrum
        if self.kind == "rain":
            area = 2 / slope**3  # mean of the squared diameter, times number
        else:
            area = 6 / slope**4 / _FLAKE_DENSITY
        return float(2 * np.pi / 4 * start * area * 1e-6)
