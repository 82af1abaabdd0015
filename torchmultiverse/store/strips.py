"""Film strips: which frames of which clips stand for a dataset of videos."""

from __future__ import annotations

import numpy as np

from torchmultiverse.scenes import CLIP, FRAME, NO_CLIP
from torchmultiverse.store.manifest import table_of
from torchmultiverse.store.views import ImageSet


def clip_rows(images: ImageSet) -> dict[str, list[int]]:
    """Return the rows of each clip, in order of its frames; empty of a dataset without clips."""
    table = table_of(images.manifest)
    clip, frame = (table[name].column if name in table else "" for name in (CLIP, FRAME))
    if clip not in (columns := images.table().column_names) or frame not in columns:
        return {}
    labels = images.table([clip, frame])
    found: dict[str, list[tuple[int, int]]] = {}
    for row, (name, number) in enumerate(zip(*(labels[c].to_pylist() for c in (clip, frame)), strict=True)):
        if name is not None and name != NO_CLIP:
            found.setdefault(name, []).append((number, row))
    return {name: [row for _, row in sorted(of)] for name, of in found.items()}


def film_strips(images: ImageSet, rng: np.random.Generator, clips: int, frames: int) -> dict[str, list[int]]:
    """Return some clips, drawn at random, and of each its rows at equal distances, the first and the last among them.

    Args:
        images: a dataset.
        rng: draws the clips.
        clips: how many, at most.
        frames: of each, at most.
    """
    rows = clip_rows(images)
    names = list(rows)
    drawn = np.sort(rng.choice(len(names), min(clips, len(names)), replace=False)).tolist() if names else []
    return {names[k]: _spread(rows[names[k]], frames) for k in drawn}


def _spread(rows: list[int], count: int) -> list[int]:
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in places.tolist()]
