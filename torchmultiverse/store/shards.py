"""Which scenes of a design are in which shard: stretches of one length, and of clips, as many as there is room for."""

from __future__ import annotations

import bisect

import numpy as np

from torchmultiverse.scenes import Design, clip_starts


class ShardPlan:
    """How a design is cut into shards; no clip is in two of them.

    Args:
        design: which scenes, in which order.
        rows: of a shard, at most; a clip that has more has a shard of its own.

    >>> from torchmultiverse.scenes import Factorial
    >>> plan = ShardPlan(Factorial.of({"World_Name": ["Snow"], "Camera_Yaw": [0, 90, 180]}), rows=2)
    >>> plan.count, plan.range(1), plan.of(2)
    (2, range(2, 3), 1)
    """

    def __init__(self, design: Design, rows: int) -> None:
        self._rows, self._whole = rows, design.count
        self._ends: list[int] | None = None
        if (starts := clip_starts(design)) is not None:
            self._ends = []
            begin = 0
            while begin < self._whole:
                last = int(np.searchsorted(starts, begin + rows, side="right")) - 1
                if starts[last] <= begin:
                    last += 1
                begin = int(starts[last])
                self._ends.append(begin)

    @property
    def count(self) -> int:
        """Number of shards."""
        return -(-self._whole // self._rows) if self._ends is None else len(self._ends)

    def range(self, shard: int) -> range:
        """Return the design indices of a shard."""
        if self._ends is None:
            return range(shard * self._rows, min((shard + 1) * self._rows, self._whole))
        return range(self._ends[shard - 1] if shard else 0, self._ends[shard])

    def of(self, index: int) -> int:
        """Return the shard of a scene."""
        return index // self._rows if self._ends is None else bisect.bisect_right(self._ends, index)
