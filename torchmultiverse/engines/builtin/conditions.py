"""Which conditions this engine can vary (see `torchmultiverse.scenes.CONDITIONS`)."""

from __future__ import annotations

OFFERED: frozenset[str] = frozenset()
"""Their wire names; a scene with another one is refused."""
