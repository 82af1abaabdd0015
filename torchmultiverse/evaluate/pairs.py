"""True captions against hard negatives, and Winoground's scores on pairs of pictures. Pure.

Winoground asks of two pictures and two captions: does each picture prefer its own caption (text), does each caption
prefer its own picture (image), and both (group)? Only a strict preference counts.
Source: T. Thrush et al., *Winoground: probing vision and language models for visio-linguistic compositionality*, 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluate.protocol import PairsProtocol
from torchmultiverse.evaluate.spar import Task

METRICS = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}
"""Winoground's scores and what random scores reach."""


@dataclass(frozen=True)
class PairTasks:
    """What is asked.

    Attributes:
        single: each picture with its two captions.
        pairs: of each two pictures that are each other's hard negative, the first.
        partners: the row of the second picture of each pair, (P,).
    """

    single: Task
    pairs: Task
    partners: NDArray[np.int64]


def pair_tasks(protocol: PairsProtocol, columns: Mapping[str, NDArray[Any]]) -> PairTasks:
    """Return what the pictures allow to ask.

    Raises:
        DatasetError: a column is missing, or no picture has a hard negative.
    """
    for name in (protocol.caption, protocol.negative, protocol.partner):
        if name not in columns:
            raise DatasetError(f"protocol '{protocol.name}' needs the column '{name}'; found {', '.join(columns)}")
    negative = columns[protocol.negative]
    keep = np.array([isinstance(text, str) and text != "" for text in negative])
    if protocol.split is not None and "split" in columns:
        keep &= columns["split"].astype(str) == protocol.split
    rows = np.flatnonzero(keep)
    if not len(rows):
        where = f" in the split '{protocol.split}'" if protocol.split else ""
        raise DatasetError(f"protocol '{protocol.name}': no picture{where} has a hard negative")
    candidates = tuple(sorted({*columns[protocol.caption][rows], *negative[rows]}))
    place = {caption: index for index, caption in enumerate(candidates)}
    factors = {name.lower(): (columns[name].astype(str).astype(object),) for name in protocol.by if name in columns}
    names = [columns[name].astype(str) for name in protocol.cluster if name in columns]
    clusters = None
    if names:
        clusters = np.array(["|".join(sorted(values)) for values in zip(*names, strict=True)], dtype=object)

    def task(name: str, kept: NDArray[np.int64]) -> Task:
        return Task(
            name,
            "",
            "plain",
            kept,
            candidates,
            np.array([place[text] for text in columns[protocol.caption][kept]], dtype=np.int64),
            np.array([place[text] for text in negative[kept]], dtype=np.int64),
            None if clusters is None else clusters[kept],
            {factor: tuple(v[kept] for v in values) for factor, values in factors.items()},
        )

    ids = columns.get("scene_id", np.zeros(0, object))
    at = {scene: row for row, scene in enumerate(ids) if keep[row]}
    partner = np.array([at.get(scene, -1) for scene in columns[protocol.partner][rows]], dtype=np.int64)
    # Each other's hard negative: the false caption of one is the true one of the other.
    mutual = (partner >= 0) & (columns[protocol.caption][partner] == negative[rows])
    first = mutual & (rows < partner) & (negative[partner] == columns[protocol.caption][rows])
    return PairTasks(task("hard_negative", rows), task("winoground", rows[first]), partner[first])


def winoground(
    own: NDArray[Any], other: NDArray[Any], partner_own: NDArray[Any], partner_other: NDArray[Any]
) -> dict[str, NDArray[np.bool_]]:
    """Return which pairs are right, by score, (P,) each.

    Args:
        own, other: scores of the first picture with its own and with the other caption, (P,).
        partner_own, partner_other: the same of the second picture.
    """
    text = (own > other) & (partner_own > partner_other)
    # A caption's scores: the first caption with both pictures, the second caption with both.
    image = (own > partner_other) & (partner_own > other)
    return {"text": text, "image": image, "group": text & image}
