"""How well words of an image-text model say what units detect: scored against the known values of factors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError
from torchmultiverse.features import FeatureCache, encode_images, text_vectors
from torchmultiverse.models import FloatArray, ImageTextModel, Model
from torchmultiverse.stats import wilson
from torchmultiverse.store import ImageSet
from torchmultiverse.study import Cell, Section
from torchmultiverse.units.detection import Concepts, UnitDetections
from torchmultiverse.units.words import CaptionBank, UnitWords, WordOptions, words_of

MOST_CAPTIONS = 400
"""Of each choice of factors."""
_TOP = 6
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def phrase(value: str) -> str:
    """Return a value as words of a caption; "" for one without words.

    >>> phrase("AustralianRoad"), phrase("red-crowned crane"), phrase("0.83")
    ('australian road', 'red crowned crane', '')
    """
    return " ".join(_PARTS.findall(value)).lower()


def bank_of(
    concepts: Concepts, model: ImageTextModel, rng: np.random.Generator, store: FeatureCache | None, quiet: bool
) -> CaptionBank:
    """Return captions of one to three values of different factors, each value being one word of the bank.

    Values without words (numbers, ``none``) are in no caption.

    Args:
        concepts: factors and values.
        model: whose vectors.
        rng: draws captions where there are more than 400 of the same factors.
        store: keeps vectors.
        quiet: show no bar.

    Raises:
        ModelError: no value has words.
    """
    named = {name: [v for v in values if phrase(v)] for name, values in concepts.names.items()}
    named = {name: values for name, values in named.items() if values}
    if not named:
        raise ModelError("no factor has values with words: captions cannot be made of numbers alone")
    captions: dict[str, frozenset[str]] = {}
    for count in range(1, min(3, len(named)) + 1):
        for some in combinations(named, count):
            every = list(product(*(named[name] for name in some)))
            if len(every) > MOST_CAPTIONS:
                every = [every[k] for k in np.sort(rng.choice(len(every), MOST_CAPTIONS, replace=False))]
            for values in every:
                captions["a picture of " + ", ".join(phrase(v) for v in values)] = frozenset(map(phrase, values))
    texts, vectors = text_vectors(model, list(captions), quiet, store)
    return CaptionBank(vectors, [captions[text] for text in texts])


@dataclass(frozen=True)
class _Told:
    """A unit, what it detects, and its words."""

    unit: UnitDetections
    known: tuple[str, ...]
    words: UnitWords

    def hits(self, count: int) -> int:
        """Return how many of the first words are known ones."""
        return sum(word in self.known for word, _ in self.words.words[:count])


def words_section(
    units: Sequence[UnitDetections],
    activations: NDArray[np.float32],
    concepts: Concepts,
    images: ImageSet,
    rows: NDArray[np.int64],
    model: Model,
    rng: np.random.Generator,
    store: FeatureCache | None = None,
    quiet: bool = False,
    options: WordOptions | None = None,
) -> Section:
    """Put units into words, and score the words against what the units are known to detect.

    Args:
        units: detectors with positive expressions; others are passed over.
        activations: of all units of the layer, (N, U).
        concepts: of the same pictures.
        images, rows: the pictures.
        model: an image-text model.
        rng, store, quiet: as in `bank_of`.
        options: how units are put into words.

    Raises:
        ModelError: no image-text model, or no value has words.
    """
    if not isinstance(model, ImageTextModel):
        raise ModelError(f"{model.info.name} has no captions: an image-text model is needed for words, as open_clip:…")
    bank = bank_of(concepts, model, rng, store, quiet)
    vectors: FloatArray = encode_images(model, "image", model.encode_image, images, rows, quiet=quiet, cache=store)
    options = options or WordOptions(deviations=1.0, each=True)
    told, silent = [], 0
    for unit in units:
        known = _known(unit)
        if not known:
            continue
        found = words_of(activations, unit.unit, vectors, bank, options)
        if found is None or not found.words:
            silent += 1
            continue
        told.append(_Told(unit, known, found))
    return _section(told, silent, bank, model.info.name)


def _known(unit: UnitDetections) -> tuple[str, ...]:
    """Return the words of the values that a unit detects; none where one of them has no words, or is excluded."""
    best = unit.expressions[0]
    values = [best.first[1], *([best.second[1]] if best.second else [])]
    found = tuple(phrase(value) for value in values)
    return () if best.operator == "and not" or "" in found else found


def _section(told: Sequence[_Told], silent: int, bank: CaptionBank, model: str) -> Section:
    captions = len(bank.words)
    about = (
        f"The pictures that make a unit most active are described by the most alike of {captions:,} captions of "
        f"{model}; a word counts by its mean similarity, less that of pictures that differ in little but the unit "
        "(contrast). Known: the values that the unit detects, by the factors. Words that the contrast has too are "
        "struck out."
    )
    if not told:
        return Section(title="In words", about=about + f" No unit could be put into words ({silent} were asked).")
    hits = sum(one.hits(1) > 0 for one in told)
    low, high = wilson(hits, len(told))
    raw = sum(one.words.raw[0][0] in one.known for one in told)
    vocabulary = np.mean([len(one.words.raw) for one in told])
    facts: dict[str, Cell] = {
        "units": f"{len(told)} in words, {silent} without", "first word is known %": hits / len(told), "low %": low,
        "high %": high, "without contrast %": raw / len(told), "words told (mean)": float(vocabulary),
    }  # fmt: skip
    for count in (1, 3, _TOP):
        shown = [min(count, len(one.words.words)) for one in told]
        found = [one.hits(count) for one in told]
        facts[f"precision at {count} %"] = float(np.sum(found) / max(np.sum(shown), 1))
        facts[f"recall at {count} %"] = float(
            np.mean([f / len(set(o.known)) for f, o in zip(found, told, strict=True)])
        )
    lines: list[Mapping[str, Cell]] = [
        {
            "unit": str(one.unit.unit), "known": ", ".join(one.known),
            "words": ", ".join(f"{word} {score:.2f}" for word, score in one.words.words[:_TOP]),
            "struck out": ", ".join(one.words.discarded[:_TOP]), "active": len(one.words.high),
            "contrast": len(one.words.low), "likeness of the contrast": one.words.low_similarity,
        }
        for one in told[:40]
    ]  # fmt: skip
    chance = np.mean([len(set(one.known)) for one in told]) / len(frozenset().union(*bank.words))
    rate = f" Of {len(told)} units the first word is a known one for {hits} ({100 * low:.0f} to {100 * high:.0f} %); "
    rate += f"chance {100 * chance:.0f} %."
    return Section(title="In words", about=about + rate + _facts(facts), table=tuple(lines))


def _facts(facts: Mapping[str, Cell]) -> str:
    parts = [
        f"{name.removesuffix(' %')} {100 * float(value or 0):.0f} %" if name.endswith(" %") else f"{name}: {value}"
        for name, value in facts.items()
        if name not in ("low %", "high %", "first word is known %")
    ]
    return " " + "; ".join(parts) + "."
