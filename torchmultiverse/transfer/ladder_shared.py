"""Which pictures of a target a ladder was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.store import ImageSet
from torchmultiverse.transfer.ladder_runs import Step
from torchmultiverse.transfer.ladder_target import Target


def shared_pictures(steps: Sequence[Step], target: Target) -> dict[str, int]:
    """Return how many of the target's pictures of trained classes are among those of each step, by any seed.

    Pictures are the same where their files have the same bytes; of pictures in memory, where all pixels are the same.
    """
    trained = {id(step.images): step.images for step in steps}
    by_file = target.images.has_bytes and all(images.has_bytes for images in trained.values())
    asked = _digests(target.images, target.rows[target.seen], by_file)
    found = {}
    for key, images in trained.items():
        mine = [step for step in steps if id(step.images) == key]
        rows = {step.plan.name: np.unique(np.concatenate([drawn.train for drawn in step.drawn])) for step in mine}
        every = np.unique(np.concatenate(list(rows.values())))
        digests = np.array(_digests(images, every, by_file))
        for name, own in rows.items():
            known = set(digests[np.searchsorted(every, own)].tolist())
            found[name] = sum(one in known for one in asked)
    return found


def _digests(images: ImageSet, rows: NDArray[np.int64], by_file: bool) -> list[str]:
    if by_file:
        return [hashlib.sha256(images.image_bytes(int(row))).hexdigest() for row in rows]
    return [
        hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()
        for image in images.iter_images(rows.tolist())
    ]


def told_shared(shared: dict[str, int], count: int) -> list[str]:
    """Return a warning where pictures of the target were trained on.

    >>> told_shared({"narrow": 0, "full": 0}, 40)
    []
    """
    if not any(shared.values()):
        return []
    steps = ", ".join(f"{name} {number}" for name, number in shared.items())
    return [
        f"{max(shared.values())} of {count} target pictures are among the training pictures (by step: {steps}): "
        "accuracy on them is of pictures that were learnt, and a step that has more of them looks better. Use other "
        "pictures as the target"
    ]
