"""Whether objects go through each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torchmultiverse.engines.builtin.crowd.further import FIRST
from torchmultiverse.engines.builtin.footprint import Field, field
from torchmultiverse.engines.builtin.placement import Actor
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.errors import SpecError

_CELL = 0.03
_DEPTH = 0.03
"""Metres by which two reach into each other where they only touch."""
_CELLS = 3
"""Cells in which they may: an edge that is drawn through another's."""


def check_apart(actors: Sequence[Actor], instances: Sequence[CharacterInstance | None]) -> None:
    """Look whether a further object goes through another object.

    Two that have factors of their own may: one of them may be inside the other.

    Raises:
        SpecError: some do; names them and where they are.
    """
    placed = [(actor, one) for actor in actors if (one := instances[actor.number - 1]) is not None]
    bounds = [(one.vertices.min(0) + _DEPTH / 2, one.vertices.max(0) - _DEPTH / 2) for _, one in placed]
    fields: dict[int, Field] = {}
    found = []
    for b in range(len(placed)):
        for a in range(b):
            if placed[b][0].number < FIRST:
                continue
            if (bounds[a][0] > bounds[b][1]).any() or (bounds[b][0] > bounds[a][1]).any():
                continue
            for k in (a, b):
                if k not in fields:
                    fields[k] = field(placed[k][1].vertices, placed[k][1].faces, _CELL)
            if _cells(fields[a], fields[b]) > _CELLS:
                found.append(f"{_said(placed[a][0])} and {_said(placed[b][0])} overlap")
    if found:
        more = f" (and {len(found) - 3} more pairs)" if len(found) > 3 else ""
        raise SpecError(f"Objects: {'; '.join(found[:3])}{more}; move them apart, or make them smaller")


def _said(actor: Actor) -> str:
    if actor.number < FIRST:
        return f"{actor.name} (Character{'' if actor.number == 1 else actor.number}_Name)"
    return f"{actor.name} at Location '{','.join(f'{part:g}' for part in actor.location)}'"


def _cells(one: Field, other: Field) -> int:
    """Return the number of cells in which two reach into each other."""
    low = np.maximum(one.first, other.first)
    high = np.minimum(np.add(one.first, one.top.shape[::-1]), np.add(other.first, other.top.shape[::-1]))
    if (high <= low).any():
        return 0
    cut = []
    for f in (one, other):
        (column, row), (end_column, end_row) = low - f.first, high - f.first
        cut += [f.top[row:end_row, column:end_column], f.bottom[row:end_row, column:end_column]]
    depth = np.minimum(cut[0], cut[2]) - np.maximum(cut[1], cut[3])
    return int(np.count_nonzero(depth > _DEPTH))
