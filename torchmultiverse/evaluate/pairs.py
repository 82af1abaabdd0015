"""True captions against hard negatives, and Winoground's scores on pairs of pictures. Pure.

Winoground asks of two pictures and two captions: does each picture prefer its own caption (text), does each caption
prefer its own picture (image), and both (group)? Only a strict preference counts.
Source: T. Thrush et al., *Winoground: probing vision and language models for visio-linguistic compositionality*, 2022.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        asked: pictures with a hard negative.
        left_out: why some of them are no question, and how many.
    """

    single: Task
    pairs: Task
    partners: NDArray[np.int64]
    asked: int
    left_out: Mapping[str, int]

    def told(self) -> list[str]:
        """Return a sentence for each reason that pictures are left out."""
        return [f"{count:,} of {self.asked:,} pictures are not asked: {why}" for why, count in self.left_out.items()]


def pair_tasks(
    protocol: PairsProtocol,
    columns: Mapping[str, NDArray[Any]],
    tokens: Callable[[Sequence[str]], NDArray[np.int64]] | None = None,
) -> PairTasks:
    """Return what the pictures allow to ask; questions that nobody can answer are counted and left out.

    Args:
        protocol: what to ask.
        columns: of the dataset, (N,) each.
        tokens: what a model reads of captions, (K, L): those that it reads alike are no question to it.

    Raises:
        DatasetError: a column is missing, or no picture has a hard negative that can be told.
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
    count = len(rows)
    rows, left_out = _answerable(protocol, columns, rows, tokens)
    if not len(rows):
        why = ", ".join(left_out)
        raise DatasetError(f"protocol '{protocol.name}': none of {count} questions has an answer: {why}")
    keep = np.isin(np.arange(len(keep)), rows)
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
    tasks = task("hard_negative", rows), task("winoground", rows[first])
    return PairTasks(*tasks, partner[first], count, left_out)


def _answerable(
    protocol: PairsProtocol,
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
    tokens: Callable[[Sequence[str]], NDArray[np.int64]] | None,
) -> tuple[NDArray[np.int64], dict[str, int]]:
    """Return the rows whose false caption can be told from the true one, and how many cannot, by reason."""
    groups = {word: group[0] for group in protocol.alike for word in group}

    def folded(text: str) -> str:
        return " ".join(groups.get(word, word) for word in text.lower().split())

    true, false = (columns[name][rows] for name in (protocol.caption, protocol.negative))
    known = protocol.alternate is not None and protocol.alternate in columns
    other = columns[protocol.alternate][rows] if known and protocol.alternate is not None else true
    also = np.array([b in (a, c) for a, b, c in zip(true, false, other, strict=True)])
    same = np.array([folded(b) in (folded(a), folded(c or a)) for a, b, c in zip(true, false, other, strict=True)])
    read = np.zeros(len(rows), bool)
    if tokens is not None:
        texts = sorted({*true, *false})
        place = {text: k for k, text in enumerate(texts)}
        codes = np.unique(tokens(texts), axis=0, return_inverse=True)[1].ravel()
        read = np.array([codes[place[a]] == codes[place[b]] for a, b in zip(true, false, strict=True)])
    reasons = {
        "the false caption is true as well": also,
        "the pictures are the same under other words": same & ~also,
        "the captions differ only where the model does not read them": read & ~also & ~same,
    }
    left_out = {why: int(mask.sum()) for why, mask in reasons.items() if mask.any()}
    return rows[~(also | same | read)], left_out


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
