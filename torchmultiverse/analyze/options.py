"""Options that several analyses share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchmultiverse.features import FeatureCache


@dataclass(frozen=True)
class RunOptions:
    """How an analysis runs.

    Attributes:
        seed: of all draws, splits, probes and noise.
        store: where features are kept; nowhere by default.
        quiet: show no progress bars.
    """

    seed: int = 0
    store: FeatureCache | str | Path | None = None
    quiet: bool = False
