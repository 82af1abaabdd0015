"""Groups of units that are active together, and whether they say more than each unit alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import ModelError
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import wilson
from torchmultiverse.store import ImageSet
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, Section
from torchmultiverse.units.describing import Asked, Described, Viewer, described_crops
from torchmultiverse.units.detection import Concepts, Expression, detect
from torchmultiverse.units.word_study import CROPS, TOP, WHOLE, told_of
from torchmultiverse.units.words import LEAST, UnitWords, interpretability, rows_of_length_one, unit_groups

ALIKE = 0.8
"""Mean cosine of a group's pictures from which the source calls it interpretable (its public code)."""
_SHOWN = 40
_CARDS = 8
_WORDED = 40
_PAIRS_EACH = 2  # of a unit: units that always go together would fill the table with each other


@dataclass(frozen=True)
class Group:
    """Units that are active together, and what they detect.

    Attributes:
        units: more than one.
        exactly: whether its pictures make exactly these active; else at least these, of a pair.
        rows: its pictures, (T,).
        expression: of which most of them are, and few others, in the half that was searched.
        pure: of its pictures in the other half, how many there are, and how many are of it.
        least: of those that make at least these active, the same.
        alone: the largest share among each unit's own active pictures of the other half.
        chance: share of all pictures of the other half that are of it.
    """

    units: tuple[int, ...]
    exactly: bool
    rows: NDArray[np.int64]
    expression: Expression
    pure: tuple[int, int]
    least: tuple[int, int]
    alone: float
    chance: float

    @property
    def purity(self) -> float:
        """Share of its pictures in the other half that are of the expression; 0 where there are none."""
        return self.pure[1] / max(self.pure[0], 1)


def groups_of(
    activations: FloatArray, concepts: Concepts, searched: NDArray[np.int64], other: NDArray[np.int64],
    deviations: float, rng: np.random.Generator, pairs: bool = True,
) -> list[Group]:  # fmt: skip
    """Find groups of two units or more, and what each detects.

    What a group detects is searched on some pictures, and how pure it is told of others.

    Args:
        activations: (N, U).
        concepts: of the same pictures.
        searched, other: places of both parts.
        deviations: above each unit's mean, in its standard deviations, from which it is active.
        rng: of the search.
        pairs: also two values.

    Returns:
        Those of more than ten pictures that make exactly the same units active, and, where these are few, pairs that
        are active together more often than by chance; the purest first. Of each the expression with the largest
        intersection over union.

    Source: algorithm 1 of the thesis: pictures with the same set of active units are a group of more than ten.
    """
    rows = np.asarray(activations, np.float32)
    active = (rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-30) > deviations
    exact = {units: of for units, of in unit_groups(rows, deviations, LEAST, each=True).items() if len(units) > 1}
    groups = {**exact, **_pairs(active, set(exact), max(0, _SHOWN - len(exact)))}
    if not groups:
        return []
    marks = np.zeros((len(rows), len(groups)), np.float32)
    for place, of in enumerate(groups.values()):
        marks[of, place] = 1
    detected = detect(marks[searched], concepts.some(searched), rng, pairs, permutations=0).units
    found = []
    for (units, of), one in zip(groups.items(), detected, strict=True):
        if not one.expressions:
            continue
        mine = np.zeros(len(rows), bool)
        mine[of] = True
        overlaps = [_overlap(concepts.members(e)[searched], mine[searched]) for e in one.expressions]
        expression = one.expressions[int(np.argmax(overlaps))]
        true = concepts.members(expression)[other]
        pure, least = mine[other], active[other][:, units].all(1)
        alone = max(_share(true, active[other][:, unit]) for unit in units)
        found.append(
            Group(
                units, units in exact, of, expression, (int(pure.sum()), int(true[pure].sum())),
                (int(least.sum()), int(true[least].sum())), alone, float(true.mean()),
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: (-one.purity, one.units))


def _pairs(
    active: NDArray[np.bool_], known: set[tuple[int, ...]], most: int
) -> dict[tuple[int, ...], NDArray[np.int64]]:
    """Return pairs of units that are active together more often than by chance, and the pictures of each.

    Where most units are active somewhat, hardly two pictures make exactly the same ones active, and pairs are all that
    can be asked. The first are those with the largest number of common pictures over what chance would give.
    """
    counts = active.sum(0).astype(np.float64)
    both = active.astype(np.float32).T @ active.astype(np.float32)
    expected = np.maximum(np.outer(counts, counts) / len(active), 1e-30)
    ratio = np.triu(np.where(both > LEAST, both / expected, 0), 1)
    found: dict[tuple[int, ...], NDArray[np.int64]] = {}
    used = np.zeros(len(counts), np.int64)
    for place in np.argsort(-ratio, axis=None, kind="stable").tolist():
        one, other = divmod(place, len(counts))
        if ratio[one, other] <= 1 or len(found) == most:
            break
        if (one, other) not in known and max(used[one], used[other]) < _PAIRS_EACH:
            found[one, other] = np.flatnonzero(active[:, one] & active[:, other])
            used[[one, other]] += 1
    return found


def _overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max((one | other).sum(), 1))


def _share(of: NDArray[np.bool_], inside: NDArray[np.bool_]) -> float:
    return float(of[inside].mean()) if inside.any() else 0.0


def group_sections(
    groups: Sequence[Group], said: Mapping[Expression, str], deviations: float, activations: FloatArray,
    images: ImageSet, rows: NDArray[np.int64], viewer: Viewer | None = None, model: Any = None, layer: str = "",
) -> tuple[Section, ...]:  # fmt: skip
    """Return groups as a section of a study; in words where there is an image-text model.

    Args:
        groups: of `groups_of`.
        said: expressions as people say them.
        deviations: from which units are active.
        activations: of all units, (N, U).
        images, rows: the pictures.
        viewer: describes pictures.
        model, layer: whose units.
    """
    about = (
        f"A unit is active from {deviations:g} of its standard deviations above its mean; pictures that make exactly "
        f"the same units active, more than {LEAST} of them, are a group; where few are, there follow pairs of units "
        "that are active together more often than by chance (at least these). What a group detects is searched on one "
        "half of the pictures; its purity is the share of its pictures in the other half that are so, beside "
        "the purest of its units alone, and beside all pictures that make at least these units active."
    )
    if not groups:
        return (
            Section(
                title="Groups of units",
                about="There is none: with more pictures, or another threshold (--groups), there may be. " + about,
            ),
        )
    described = _described(groups[:_WORDED], viewer, model, layer)
    shared = rows_of_length_one(activations)
    lines: list[Mapping[str, Cell]] = []
    cards: list[ImageRow] = []
    shown: set[Expression] = set()
    for place, group in enumerate(groups[:_SHOWN]):
        seen = described[place] if place < len(described) else None
        words, likeness = "", None
        if viewer is not None:
            told = told_of(shared, Asked(group.units, group.rows), viewer, seen)
            words = _words(told.get(CROPS, told[WHOLE]))
            likeness = interpretability(viewer.vectors[group.rows] if seen is None else seen.vectors)
        lines.append(_line(group, said, words, likeness, viewer is not None))
        if len(cards) < _CARDS and group.expression not in shown:
            shown.add(group.expression)
            cards.append(_card(group, said, images, rows, seen))
    more = sum(group.purity > group.alone for group in groups if group.pure[0])
    asked = sum(group.pure[0] > 0 for group in groups)
    about += f" Of {asked} groups {more} are purer than the purest of their units."
    if viewer is not None:
        everything = interpretability(viewer.vectors)
        about += (
            f" Likeness: mean cosine of two of its pictures to {viewer.model.info.name}; of any two pictures "
            f"{everything:.2f}; the source calls a group interpretable above {ALIKE:g}."
        )
    sizes = Counter(len(group.units) for group in groups)
    chart = BarChart(
        title="Sizes", y="groups", percent=False,
        bars=tuple(Bar(name=f"{size} units", value=float(count)) for size, count in sorted(sizes.items())),
    )  # fmt: skip
    return (
        Section(
            title="Groups of units",
            about=about,
            charts=(chart,) if len(sizes) > 1 else (),
            table=tuple(lines),
            pictures=tuple(cards),
        ),
    )


def _described(groups: Sequence[Group], viewer: Viewer | None, model: Any, layer: str) -> Sequence[Described]:
    if viewer is None:
        return ()
    try:
        return described_crops(viewer, model, layer, [Asked(group.units, group.rows) for group in groups])
    except ModelError:  # a layer without places, which is told beside the words of units
        return ()


def _words(words: UnitWords) -> str:
    return ", ".join(word for word, _ in words.words[:TOP])


def _line(
    group: Group, said: Mapping[Expression, str], words: str, likeness: float | None, worded: bool
) -> Mapping[str, Cell]:
    low, high = wilson(group.pure[1], group.pure[0])
    line: dict[str, Cell] = {
        "units": ", ".join(map(str, group.units)), "active": "exactly these" if group.exactly else "at least these",
        "detect": said[group.expression], "pictures": len(group.rows),
        "purity %": group.purity if group.pure[0] else None, "low %": low, "high %": high,
        "of (other half)": group.pure[0], "purest unit alone %": group.alone, "chance %": group.chance,
        "at least these %": group.least[1] / group.least[0] if group.least[0] else None, "of": group.least[0],
    }  # fmt: skip
    return {**line, "likeness": likeness, "words": words} if worded else line


def _card(
    group: Group, said: Mapping[Expression, str], images: ImageSet, rows: NDArray[np.int64], seen: Described | None
) -> ImageRow:
    pictures = list(images.iter_images([int(rows[k]) for k in group.rows[:_CARDS]])) if seen is None else seen.pictures
    return ImageRow(
        label=f"units {', '.join(map(str, group.units))}: {said[group.expression]}", inputs=(),
        samples=tuple(EncodedImage(data=thumbnail(rgb(one))) for one in pictures),
    )  # fmt: skip
