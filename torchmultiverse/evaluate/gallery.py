"""Small copies of the pictures that a report shows, so that a result can be read where the dataset is not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from torchmultiverse.evaluate.data import PictureSet

SIDE = 192
PER_GROUP = 4
LIMIT = 240


def chosen_rows(rows: pa.Table, per_group: int = PER_GROUP) -> Iterator[dict[str, Any]]:
    """Yield the per-picture rows that are worth showing.

    For every model, task and setting, captions without the world: the most confidently right and the most
    confidently wrong pictures, no true caption twice.
    """
    plain = rows.filter(pc.equal(rows["scope"], "plain"))
    keys = ["model", "task", "metric"]
    for group in plain.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        mask = pc.equal(plain[keys[0]], group[keys[0]])
        for key in keys[1:]:
            mask = pc.and_(mask, pc.equal(plain[key], group[key]))
        some = plain.filter(mask)
        margin, correct = some["margin"].to_numpy(), some["correct"].to_numpy()
        labels = np.asarray(some["label"].to_pylist(), dtype=object)
        for right in (True, False):
            candidates = np.flatnonzero(correct == 1 if right else correct == 0)
            order = candidates[np.argsort(-margin[candidates] if right else margin[candidates], kind="stable")]
            seen: set[str] = set()
            for row in order:
                if labels[row] not in seen:
                    seen.add(labels[row])
                    yield some.slice(int(row), 1).to_pylist()[0]
                    if len(seen) == per_group:
                        break


def gallery_pictures(pictures: PictureSet, rows: pa.Table, limit: int = LIMIT) -> dict[str, bytes]:
    """Return small JPEG pictures by scene id, for the rows that :func:`chosen_rows` finds, at most ``limit``."""
    # Turn and turn about, so that with many models and tasks each has its first pictures.
    chosen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in chosen_rows(rows):
        chosen.setdefault((row["model"], row["task"], row["metric"], row["correct"] == 1), []).append(row)
    wanted: dict[str, int] = {}
    for row in chain.from_iterable(zip_longest(*chosen.values())):
        if row is not None and len(wanted) < limit:
            wanted.setdefault(row["scene_id"], row["index"])
    found = {}
    for scene_id, image in zip(wanted, pictures.iter_images(list(wanted.values())), strict=True):
        small = image.convert("RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=85)
        found[scene_id] = buffer.getvalue()
    return found
