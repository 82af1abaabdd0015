"""How many pictures a question needs: from an effect worth knowing to the smallest design that would show it.

How many pairs show an effect is in `torchmultiverse.stats.power`; here is what that means for a design.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes import Design, Explicit, Factorial, Value
from torchmultiverse.stats import PowerQuestion, detectable_drop, pairs_needed


@dataclass(frozen=True)
class SampleSize:
    """The smallest design, in numbers.

    Attributes:
        levels: of the factor, and of the second one (1 where there is none).
        contexts: how often each combination of these levels is rendered, in settings of the other factors that are
            the same for all of them.
        available: how many settings of the other factors the design has.
        images: contexts × levels.
        detectable: the drop that this design shows with the wanted power: of the question, or the larger one that
            all available settings show.
    """

    levels: tuple[int, int]
    contexts: int
    available: int
    images: int
    detectable: float

    @property
    def sufficient(self) -> bool:
        """Whether the design has settings enough for the question."""
        return self.contexts <= self.available


def size(design: Design, question: PowerQuestion) -> SampleSize:
    """Return how large a part of a full factorial a question needs.

    Every level of the factor is compared with the first; the error rate is shared among these comparisons.

    Raises:
        SpecError: the design is no factorial, or does not vary the factors.
    """
    axes = _axes(design, question)
    levels = [len(design.axes[axis]) for axis in axes]  # type: ignore[attr-defined]
    comparisons = (levels[0] - 1) * (math.comb(levels[1], 2) if question.by else 1)
    available = design.count // math.prod(levels)
    contexts = pairs_needed(question, comparisons)
    used = min(contexts, available)
    return SampleSize(
        (levels[0], levels[1] if question.by else 1),
        contexts,
        available,
        used * math.prod(levels),
        question.drop if contexts <= available else detectable_drop(question, available, comparisons),
    )


def smallest(design: Design, question: PowerQuestion, rng: np.random.Generator) -> Explicit:
    """Return that part: settings of the other factors that differ, each level of each about as often.

    Raises:
        SpecError: as `size`.
    """
    answer = size(design, question)
    assert isinstance(design, Factorial)
    crossed = _axes(design, question)
    others = [axis for k, axis in enumerate(design.axes) if k not in crossed]
    count = min(answer.contexts, answer.available)
    rows = _spread([len(axis) for axis in others], count, rng)
    inner = Factorial([design.axes[k] for k in crossed], design.table)
    scenes: list[dict[str, Value]] = []
    for row in rows:
        setting = {name: value for axis, k in zip(others, row, strict=True) for name, value in axis[k].items()}
        scenes += [{**setting, **inner.values(i)} for i in range(inner.count)]
    return Explicit.of_rows(scenes, design.table)


def _axes(design: Design, question: PowerQuestion) -> list[int]:
    if not isinstance(design, Factorial):
        raise SpecError("a plan needs a factorial design: the levels of a factor must meet in equal settings")
    found = []
    for name in (question.factor, question.by):
        if name is None:
            continue
        wire = design.table[name].wire
        at = [k for k, axis in enumerate(design.axes) if wire in axis[0]]
        if not at or len(design.axes[at[0]]) < 2:
            raise SpecError(f"the design does not vary {name}.{nearest(name, design.factors)}")
        found.append(at[0])
    if len(set(found)) < len(found):
        raise SpecError(f"{question.factor} and {question.by} change together in this design")
    return found


def _spread(levels: list[int], count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return ``count`` different combinations in which the levels of each axis come about equally often.

    A counter's digits, each with all the faster ones added to it, name every combination once, and run through the
    levels of every axis at the pace of the fastest. Which level is called which is drawn.
    """
    order = sorted(range(len(levels)), key=lambda axis: -levels[axis])
    names = [rng.permutation(n) for n in levels]
    start = int(rng.integers(math.prod(levels)))
    rows = []
    for k in range(start, start + count):
        row, total = [0] * len(levels), 0
        for axis in order:
            k, digit = divmod(k, levels[axis])
            total += digit
            row[axis] = int(names[axis][total % levels[axis]])
        rows.append(tuple(row))
    return rows
