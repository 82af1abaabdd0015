"""How much of what speaks for an answer lies on the object, by exact masks: energy and overlap of heat maps.

Source: N. Kalibhat et al., *Measuring self-supervised representation quality for downstream classification using
discriminative features*, AAAI 2024, the section on Salient ImageNet: overlap of the discriminative features' heat map
with core and spurious regions. There both are annotated; here the object is core, all else is spurious.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CUT = 0.5
"""Of the largest heat of a picture, above which a place belongs to the area of its map; the source gives none."""


@dataclass(frozen=True)
class Regions:
    """What share of heat maps lies on the core, by picture, (N,) each; not a number where a map is all zero.

    Attributes:
        core: share of the heat on the core, 0 to 1; the rest is spurious.
        area: share of the picture that is core: what a map without any place would give.
        overlap_core, overlap_spurious: heat in both the map's area and the region, over that in either (IoU of the
            source).
        soft_core, soft_spurious: sum of the smaller of heat and region over that of the larger, heat scaled to 1.
    """

    core: NDArray[np.float64]
    area: NDArray[np.float64]
    overlap_core: NDArray[np.float64]
    overlap_spurious: NDArray[np.float64]
    soft_core: NDArray[np.float64]
    soft_spurious: NDArray[np.float64]


def regions_of(heat: NDArray[Any], core: NDArray[Any], cut: float = CUT) -> Regions:
    """Compare heat maps with the regions of their pictures.

    Args:
        heat: (N, H, W), 0 or larger.
        core: share of each place that is core, (N, H, W), 0 to 1.
        cut: of the largest heat, see `CUT`.

    Example:
        >>> heat, core = np.array([[[3.0, 1.0]]]), np.array([[[1.0, 0.0]]])
        >>> float(regions_of(heat, core).core[0]), float(regions_of(heat, core).area[0])
        (0.75, 0.5)
    """
    heat = np.asarray(heat, np.float64).reshape(len(heat), -1)
    core = np.asarray(core, np.float64).reshape(len(core), -1)
    most = heat.max(1, keepdims=True)
    known = most[:, 0] > 0
    scaled = heat / np.where(most > 0, most, 1)

    def share(above: NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
        total = below.sum(1)
        found = np.divide(above.sum(1), total, out=np.zeros(len(total)), where=total > 0)
        return np.where(known, found, np.nan)

    def overlap(region: NDArray[np.bool_]) -> NDArray[np.float64]:
        area = scaled > cut
        return share(scaled * (area & region), scaled * (area | region))

    return Regions(
        share(scaled * core, scaled), core.mean(1), overlap(core > 0.5), overlap(core <= 0.5),
        share(np.minimum(scaled, core), np.maximum(scaled, core)),
        share(np.minimum(scaled, 1 - core), np.maximum(scaled, 1 - core)),
    )  # fmt: skip
