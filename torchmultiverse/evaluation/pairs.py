"""True captions against hard negatives, and Winoground's scores on pairs of pictures. Pure.

Winoground asks of two pictures and two captions: does each picture prefer its own caption (text), does each caption
prefer its own picture (image), and both (group)? Only a strict preference counts.
Source: T. Thrush et al., *Winoground: probing vision and language models for visio-linguistic compositionality*, 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.protocol import Macro, Protocol
from torchmultiverse.evaluation.task import Task, joined

METRICS = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}
"""Winoground's scores and what random scores reach."""


class PairsProtocol(Protocol):
    """True caption or hard negative, picture by picture, and Winoground's scores where both pictures are there.

    Attributes:
        caption, negative: columns of the true and the false caption.
        partner: column with the scene id of the picture of which the false caption is true; ``None`` where there is no
            such picture, and Winoground's scores are not asked for.
        alternate: column of another true caption, where there is one.
        alike: groups of words that a picture does not tell apart.
        split: only pictures of this split; all where the dataset has no splits.
        by: columns by which results are broken down.
        cluster: columns whose values, in any order, name a cluster.
        macro: of which levels the mean accuracy is published.
    """

    kind: Literal["pairs"]
    caption: str
    negative: str
    partner: str | None = None
    alternate: str | None = None
    alike: tuple[tuple[str, ...], ...] = ()
    split: str | None = None
    by: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    macro: Macro | None = None

    @override
    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        return [pair_task(self, columns)]


def pair_task(protocol: PairsProtocol, columns: Mapping[str, NDArray[Any]]) -> Task:
    """Return what the images allow to ask; questions that nobody can answer are counted and left out.

    Raises:
        DatasetError: a column is missing, or no image has a hard negative that can be told.
    """
    for name in (protocol.caption, protocol.negative, protocol.partner):
        if name is not None and name not in columns:
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
    rows, excluded = _answerable(protocol, columns, rows)
    if not len(rows):
        raise DatasetError(f"protocol '{protocol.name}': {no_answer(count, excluded)}")
    true, false = columns[protocol.caption][rows], negative[rows]
    candidates = tuple(sorted({*true, *false}))
    place = {caption: index for index, caption in enumerate(candidates)}
    return Task(
        name="hard_negative",
        title="True caption or hard negative",
        rows=rows,
        candidates=candidates,
        labels=np.array([place[text] for text in true], dtype=np.int64),
        negatives=np.array([place[text] for text in false], dtype=np.int64),
        partners=None
        if protocol.partner is None
        else _partners(columns.get("scene_id"), columns[protocol.partner], rows, true, false),
        clusters=joined([columns[name][rows] for name in protocol.cluster if name in columns], ordered=False),
        factors={
            name.lower(): (columns[name][rows].astype(str).astype(object),) for name in protocol.by if name in columns
        },
        metrics=("hard_negative",) if protocol.partner is None else ("hard_negative", "winoground"),
        exclude_identical=True,
        eligible=count,
        excluded=excluded,
    )


def no_answer(count: int, excluded: Mapping[str, int]) -> str:
    """Return that nothing is left to ask, and why."""
    return f"none of {count} questions has an answer: {', '.join(excluded)}"


def _partners(
    ids: NDArray[Any] | None, partners: NDArray[Any], rows: NDArray[np.int64], true: NDArray[Any], false: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the position of the other image of each pair, (N,), where each is the other's hard negative; else −1."""
    if ids is None:
        return np.full(len(rows), -1, np.int64)
    at = {scene: position for position, scene in enumerate(ids[rows])}
    partner = np.array([at.get(scene, -1) for scene in partners[rows]], dtype=np.int64)
    mutual = (partner >= 0) & (true[partner] == false) & (false[partner] == true)
    return np.where(mutual, partner, -1)


def _answerable(
    protocol: PairsProtocol,
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
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
    reasons = {
        "the false caption is true as well": also,
        "the pictures are the same under other words": same & ~also,
    }
    excluded = {why: int(mask.sum()) for why, mask in reasons.items() if mask.any()}
    return rows[~(also | same)], excluded


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
