"""A growing occluder: shapes for each level of growth, and the growth at which it hides a given share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import MeshPart
from torchmultiverse.engines.builtin.occlusion.coverage import covered
from torchmultiverse.engines.builtin.occlusion.target import Target
from torchmultiverse.errors import SpecError

TOLERANCE = 0.05
"""By how much the share that is reached may differ from the one that is asked for."""
_CLOSE = 0.006
_STEPS = 16


@dataclass(frozen=True)
class Family:
    """An occluder that grows: at 0 it hides nothing, and the more the greater the growth, up to 1.

    Attributes:
        made: parts in their places at a growth.
        hides: pixels that it hides at a growth, where that is known without making it.
        roughness: of the vertices of all parts, where it is not that of their materials.
    """

    made: Callable[[float], list[MeshPart]]
    hides: Callable[[float], NDArray[np.bool_]] | None = None
    roughness: NDArray[np.float32] | None = None


def grown(family: Family, target: Target, share: float) -> float:
    """Return the growth at which a share of the target is hidden: false position between two ends.

    Raises:
        SpecError: no growth comes within `TOLERANCE` of it; says which share is nearest.
    """

    def at(growth: float) -> float:
        if family.hides is not None:
            return target.share(family.hides(growth))
        masks = [covered(part.mesh.vertices, part.mesh.faces, target.view) for part in family.made(growth)]
        return target.share(np.logical_or.reduce(masks))

    best, found = 1.0, at(1.0)
    low, high, least, most = 0.0, 1.0, 0.0, found
    for _ in range(_STEPS if found > share else 0):
        # Where a straight line has the share, but no nearer to an end than a tenth, so that the ends come together.
        part = float(np.clip((share - least) / max(most - least, 1e-9), 0.1, 0.9))
        growth = low + (high - low) * part
        reached = at(growth)
        if abs(reached - share) < abs(found - share):
            best, found = growth, reached
        if abs(found - share) < _CLOSE:
            break
        if reached < share:
            low, least = growth, reached
        else:
            high, most = growth, reached
    check(target.occluder, share, found)
    return best


def check(occluder: str, share: float, found: float) -> None:
    """Refuse a share that is not near enough to the one that is asked for.

    Raises:
        SpecError: it differs by more than `TOLERANCE`.
    """
    if abs(found - share) > TOLERANCE:
        raise SpecError(
            f"Occlusion = {share:g} cannot be had with Occluder = '{occluder}' in this scene; the nearest share that "
            f"can be is {found:.2f}"
        )
