"""What is asked of a representation and of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torchmultiverse.features import BAND, EPSILON, Sign


@dataclass(frozen=True)
class TrustOptions:
    """What is asked.

    Attributes:
        layer: whose features; the last before the head by default.
        label: column that the probe predicts; the animal or the label by default.
        group: column whose groups are in one part only.
        factors: columns by whose levels scores are shown; all that vary by default.
        epsilon, band, of, sign: of the Q-Score; see `torchmultiverse.features.active_features` and
            `torchmultiverse.features.discriminative_features`. Without a sign, features that are negative anywhere are
            taken by their positive part, and the study says so.
        limit: so many pictures at most.
        maps: test pictures whose heat maps are compared with the exact masks, where there are masks; 0 for none.
        core: number of the core in the masks (0 the background, 1 and 2 the characters); by default what the label is
            of.
        subsets: whether probes of parts of the features are compared.
        decoder: folder of a decoder of a layer of this model, by which inputs are typical or not; none by default.
        unlike: other pictures, which should be less typical: folder, or an opened dataset.
    """

    layer: str | None = None
    label: str | None = None
    group: str = "auto"
    factors: Sequence[str] | None = None
    epsilon: float = EPSILON
    band: tuple[float, float] = BAND
    of: Literal["all", "live", "share"] = "all"
    sign: Sign | None = None
    limit: int | None = None
    maps: int = 200
    core: int | None = None
    subsets: bool = False
    decoder: str | Path | None = None
    unlike: Any = None
