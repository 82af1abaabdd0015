"""How well words of an image-text model say what units detect: scored against the known values of factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import tables
from torchmultiverse.images import thumbnail
from torchmultiverse.stats import wilson
from torchmultiverse.study import Cell, ImageRow, LineChart, Point, Section, Series
from torchmultiverse.units.describing import Asked, Described, Viewer, described_crops, phrase
from torchmultiverse.units.detection import Expression, UnitDetections
from torchmultiverse.units.words import LEAST, UnitWords, active_rows, rows_of_length_one, words_of

TOP = 6
"""Words of a unit that are looked at, as in the source."""
CROPS, WHOLE = "crops", "whole pictures"
_SHOWN = 40
_CARDS = 8


@dataclass(frozen=True)
class Told:
    """A unit, what it detects, and its words.

    Attributes:
        unit: its number.
        known: words of the values that it detects.
        words: by what was described: `CROPS`, or `WHOLE` pictures.
        crops: of its most active pictures.
    """

    unit: int
    known: tuple[str, ...]
    words: Mapping[str, UnitWords]
    crops: tuple[EncodedImage, ...] = ()

    @property
    def best(self) -> UnitWords:
        """The words of crops where there are any, else those of whole pictures."""
        return self.words.get(CROPS, self.words[WHOLE])

    def said(self, source: str, contrast: bool) -> list[str]:
        """Return the first words of a source, with or without what the contrast struck out."""
        of = self.words[source]
        return [word for word, _ in (of.words if contrast else of.raw)][:TOP]


@dataclass(frozen=True)
class UnitTexts:
    """Units in words.

    Attributes:
        told: the units.
        silent: how many have too few active pictures, or no word.
        sections: of the study.
        notes: what could not be done, and why.
    """

    told: Sequence[Told]
    silent: int
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()


def known_words(expression: Expression) -> tuple[str, ...]:
    """Return the words of an expression's values; none where one of them has no words, or is excluded.

    >>> known_words(Expression(("colour", "DarkRed"), "and", ("object", "mug")))
    ('dark red', 'mug')
    """
    values = [expression.first[1], *([expression.second[1]] if expression.second else [])]
    found = tuple(phrase(value) for value in values)
    return () if expression.operator == "and not" or "" in found else tuple(dict.fromkeys(found))


def put_into_words(
    units: Sequence[UnitDetections], activations: NDArray[np.float32], viewer: Viewer, model: Any, layer: str,
    crops: bool = True,
) -> UnitTexts:  # fmt: skip
    """Put units into words, and score the words against what the units are known to detect.

    Args:
        units: detectors with positive expressions; others are passed over.
        activations: of all units of the layer, (N, U).
        viewer: who describes the pictures.
        model, layer: whose units.
        crops: describe the parts of pictures that make a unit active, beside whole pictures.
    """
    rows = rows_of_length_one(activations)
    asked: list[Asked] = []
    known: list[tuple[str, ...]] = []
    silent = 0
    for unit in units:
        words = known_words(unit.expressions[0])
        if not words:
            continue
        high = active_rows(rows, unit.unit, viewer.options.deviations, viewer.options.each)
        if len(high) <= LEAST:
            silent += 1
            continue
        asked.append(Asked((unit.unit,), high))
        known.append(words)
    notes: list[str] = []
    described: Sequence[Described | None] = [None] * len(asked)
    if crops and asked:
        try:
            described = described_crops(viewer, model, layer, asked)
        except ModelError as error:
            notes.append(f"Words are of whole pictures, not of crops: {error}.")
    told = []
    for one, words, seen in zip(asked, known, described, strict=True):
        found = told_of(rows, one, viewer, seen)
        if found[WHOLE].words or (CROPS in found and found[CROPS].words):
            pictures = () if seen is None else tuple(EncodedImage(data=thumbnail(p)) for p in seen.pictures)
            told.append(Told(one.units[0], words, found, pictures))
        else:
            silent += 1
    return UnitTexts(told, silent, _sections(told, silent, viewer), tuple(notes))


def told_of(rows: NDArray[np.float32], asked: Asked, viewer: Viewer, seen: Described | None) -> dict[str, UnitWords]:
    """Return the words of a unit, or group, of whole pictures and of crops."""
    found: dict[str, UnitWords] = {}
    whole = words_of(rows, asked.units, viewer.vectors, viewer.bank, viewer.options, asked.high)
    assert whole is not None  # it was asked for so many pictures
    found[WHOLE] = whole
    if seen is not None:
        cropped = words_of(rows, asked.units, viewer.vectors, viewer.bank, viewer.options, asked.high, seen.vectors)
        assert cropped is not None
        found[CROPS] = cropped
    return found


def _sections(told: Sequence[Told], silent: int, viewer: Viewer) -> tuple[Section, ...]:
    captions, name = len(viewer.bank.words), viewer.model.info.name
    if not told:
        about = f"No unit could be put into words ({silent} were asked)."
        return (Section(title="In words", about=about),)
    vocabulary = len(frozenset().union(*viewer.bank.words))
    chance = float(np.mean([len(set(one.known)) for one in told])) / vocabulary
    sources = [source for source in (CROPS, WHOLE) if source in told[0].words]
    ways = [(source, contrast) for source in sources for contrast in (True, False)]
    lines = [_scored(told, source, contrast, chance) for source, contrast in ways]
    right = 100 * float(lines[0]["first word right %"] or 0)
    what = "parts of pictures at which" if CROPS in sources else "pictures for which"
    about = (
        f"The {what} a unit is most active are described by the most alike of {captions:,} captions of {name}; a word "
        "counts by its mean similarity, less that of pictures that differ in little but the unit (contrast). The "
        f"factors say which words are right: of {len(told)} units ({silent} more have no words) the first word is for "
        f"{right:.0f} %, one drawn at random for {100 * chance:.0f} % ({vocabulary} words)."
    )
    chart = LineChart(
        title="Words that are right", x="first words looked at", y="share",
        series=tuple(
            Series(
                name=f"{measure}, {source}, {'less contrast' if contrast else 'all'}", dashed=not contrast,
                points=tuple(
                    Point(x=count, y=_at(told, source, contrast, count)[place]) for count in range(1, TOP + 1)
                ),
            )
            for place, measure in enumerate(("precision", "recall"))
            for source, contrast in ways[:2]
        ),
    )  # fmt: skip
    return (
        Section(title="In words", about=about, charts=(chart,), table=tuple(lines)),
        _table(told),
        *_cards(told),
        *published(),
    )


def _scored(told: Sequence[Told], source: str, contrast: bool, chance: float) -> dict[str, Cell]:
    hits = sum(one.said(source, contrast)[:1] != [] and one.said(source, contrast)[0] in one.known for one in told)
    low, high = wilson(hits, len(told))
    precision, recall = _at(told, source, contrast, TOP)
    said = sum(len(one.said(source, contrast)) for one in told)
    return {
        "described": source, "words": "less contrast" if contrast else "all", "units": len(told),
        "first word right %": hits / len(told), "low %": low, "high %": high, "chance %": chance,
        f"precision at {TOP} %": precision, f"recall at {TOP} %": recall, "words of a unit": said / len(told),
        "wrong words of a unit": (1 - precision) * said / len(told),
    }  # fmt: skip


def _at(told: Sequence[Told], source: str, contrast: bool, count: int) -> tuple[float, float]:
    """Return precision and recall of the first words."""
    said = [one.said(source, contrast)[:count] for one in told]
    right = [len(set(words) & set(one.known)) for words, one in zip(said, told, strict=True)]
    recall = [hits / len(set(one.known)) for hits, one in zip(right, told, strict=True)]
    return sum(right) / max(sum(map(len, said)), 1), float(np.mean(recall))


def _table(told: Sequence[Told]) -> Section:
    lines: list[Mapping[str, Cell]] = [
        {
            "unit": str(one.unit), "known": ", ".join(one.known),
            "words": ", ".join(f"{word} {score:.2f}" for word, score in one.best.words[:TOP]),
            "struck out": ", ".join(one.best.discarded[:TOP]), "active": len(one.best.high),
            "contrast": len(one.best.low), "likeness of the contrast": one.best.low_similarity,
        }
        for one in told[:_SHOWN]
    ]  # fmt: skip
    return Section(
        title="Units and their words",
        about="Known: the values that a unit detects, by the factors. Struck out: words that the contrast has as much "
        "of; of a unit that detects two values at once that may be one of them. Where the likeness of the contrast is "
        "below 0.5, it says little.",
        table=tuple(lines),
    )


def _cards(told: Sequence[Told]) -> tuple[Section, ...]:
    rows: list[ImageRow] = []
    seen: set[tuple[str, ...]] = set()
    for one in told:
        if one.crops and one.known not in seen and len(rows) < _CARDS:
            seen.add(one.known)
            words = ", ".join(word for word, _ in one.best.words[:3])
            label = f"unit {one.unit}: {' and '.join(one.known)}; in words: {words or 'none'}"
            rows.append(ImageRow(label=label, inputs=(), samples=one.crops))
    if not rows:
        return ()
    about = (
        "The parts of their most active pictures at which the units are active: around the largest region above 60 % "
        "of the largest value of the unit's map, or of its gradient (Grad-CAM) where the layer has no places."
    )
    return (Section(title="Where they look", about=about, pictures=tuple(rows)),)


def published() -> tuple[Section, ...]:
    """Return what is published about words of units."""
    return tuple(
        Section(
            title=table["title"], about=f"{table['about']} Source: {table['source']}.", table=tuple(table["rows"]),
            reference=True,
        )
        for held in tables("units")
        for table in held["tables"]
    )  # fmt: skip
