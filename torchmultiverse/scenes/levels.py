"""Levels of factors as a spec gives them: lists, and ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes.factors import Factor, FactorTable, Value

DECIMALS = 3
"""Of numbers that are drawn from a range."""
MOST_STEPS = 100_000
"""Levels of a range."""
_RANGE = ("from", "to", "step", "count")
Span = tuple[float, float]
"""Both ends of a range of which any number may be drawn."""


def check_levels(name: str, levels: Any, table: FactorTable, where: str) -> list[Value]:
    """Return a factor's levels in canonical form; a range in a list stands for its levels.

    Raises:
        SpecError: not a list, empty, a duplicate, or a level that the factor cannot take.
    """
    factor = table[name]
    if isinstance(levels, Mapping):
        levels = steps(factor, levels, f"{where}.{name}")
    check_list(levels, f"{where}.{name}")
    if any(isinstance(level, Mapping) for level in levels):
        each = [
            steps(factor, level, f"{where}.{name}[{i}]") if isinstance(level, Mapping) else [level]
            for i, level in enumerate(levels)
        ]
        levels = [level for of in each for level in of]
        if len(levels) > MOST_STEPS:
            raise SpecError(f"{where}.{name}: {len(levels):,} levels; at most {MOST_STEPS:,}")
    canonical = [factor.canonical(level, f"{where}.{name}[{i}]") for i, level in enumerate(levels)]
    seen: dict[Value, int] = {}
    for i, level in enumerate(canonical):
        if level in seen:
            same = "" if levels[i] == levels[seen[level]] else f" (the same as {levels[seen[level]]!r})"
            raise SpecError(f"{where}.{name} has the level {levels[i]!r} twice{same}; remove one")
        seen[level] = i
    return canonical


def check_list(levels: Any, where: str) -> None:
    """Check that something is a list of levels.

    Raises:
        SpecError: it is none, or it is empty.
    """
    if not isinstance(levels, list | tuple):
        raise SpecError(f"{where} = {levels!r} is no list of levels; write [{levels!r}]")
    if not levels:
        raise SpecError(f"{where} is an empty list; a factor needs at least one level")


def drawn_parts(factor: Factor, levels: Any, where: str) -> list[Value | Span] | None:
    """Return the equal parts of an axis from which numbers are drawn: levels, and ranges without a step.

    ``None`` of one without such a range, which has levels alone.

    Raises:
        SpecError: a bad level or range, one that is there twice, or a level between two numbers of a range.

    >>> from torchmultiverse.scenes import FACTORS
    >>> drawn_parts(FACTORS["Fog_Visibility"], ["own", {"from": 20, "to": 200}], "here")
    ['own', (20.0, 200.0)]
    """
    if isinstance(levels, Mapping):
        return None if {"step", "count"} & set(levels) else [_drawn_ends(factor, levels, where)]
    if not isinstance(levels, list | tuple):
        return None
    if not any(isinstance(level, Mapping) and not {"step", "count"} & set(level) for level in levels):
        return None
    parts: list[Value | Span] = []
    for i, level in enumerate(levels):
        at = f"{where}[{i}]"
        if not isinstance(level, Mapping):
            found = factor.canonical(level, at)
            if not isinstance(found, str) and round(found, DECIMALS) != found:
                raise SpecError(f"{at} = {level!r}: beside a range, levels have {DECIMALS} decimals at most")
            parts.append(found)
        elif {"step", "count"} & set(level):
            parts += [factor.canonical(value, at) for value in steps(factor, level, at)]
        else:
            parts.append(_drawn_ends(factor, level, at))
        if parts[-1] in parts[:-1]:
            raise SpecError(f"{at} = {level!r} is there twice; remove one")
    return parts


def whole_levels(factor: Factor, levels: Any, where: str) -> Any:
    """Return levels as they are, but for a range without a step of a factor that counts: its whole numbers.

    Raises:
        SpecError: a bad range, or one in which there is no whole number.

    >>> from torchmultiverse.scenes import FACTORS
    >>> whole_levels(FACTORS["Distractors"], {"from": 0.5, "to": 3}, "here")
    {'from': 1.0, 'to': 3.0, 'step': 1}
    """
    if not factor.whole or not isinstance(levels, Mapping) or {"step", "count"} & set(levels):
        return levels
    low, high = _drawn_ends(factor, levels, where)
    return {"from": low, "to": high, "step": 1}


def _drawn_ends(factor: Factor, span: Mapping[str, Any], where: str) -> Span:
    """Return both ends of a range of which numbers are drawn; of a factor that counts, the whole numbers in it."""
    low, high = ends(factor, span, where)
    if not factor.whole:
        return low, high
    if math.ceil(low) > math.floor(high):
        raise SpecError(f"{where} = {dict(span)}: {factor.wire} is a whole number, and there is none in it")
    return float(math.ceil(low)), float(math.floor(high))


def steps(factor: Factor, span: Mapping[str, Any], where: str) -> list[float]:
    """Return the levels of a range: ``{"from": 0, "to": 360, "step": 45}``, or ``"count": 8`` instead of a step.

    The end belongs to it, except on a full turn, where it is the beginning again.

    Raises:
        SpecError: not a number's range, or not one that can be walked.

    >>> from torchmultiverse.scenes import FACTORS
    >>> steps(FACTORS["Camera_Yaw"], {"from": 0, "to": 360, "step": 90}, "here")
    [0.0, 90.0, 180.0, 270.0]
    """
    low, high = ends(factor, span, where)
    turn = factor.period is not None and high > low and (high - low) % factor.period == 0
    if ("step" in span) == ("count" in span):
        raise SpecError(f"{where} = {dict(span)}: give either 'step' or 'count'")
    if "step" in span:
        step = span["step"]
        if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step <= 1e300:
            raise SpecError(f"{where}.step = {step!r}: a number above 0 is needed")
        count = math.floor((high - low) / step + 1e-9) + 1
        if count > MOST_STEPS:
            raise SpecError(f"{where}: {count:,} levels; at most {MOST_STEPS:,}")
        values = [low + k * step for k in range(count)]
        if turn and math.isclose(values[-1], high):
            values.pop()
    else:
        count = span["count"]
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_STEPS:
            raise SpecError(f"{where}.count = {count!r}: a whole number from 1 to {MOST_STEPS:,} is needed")
        values = np.linspace(low, high, count, endpoint=not turn).tolist()
    return [round(value, 9) for value in values]


def ends(factor: Factor, span: Mapping[str, Any], where: str) -> tuple[float, float]:
    """Return both ends of a range.

    Raises:
        SpecError: no number, an end that is missing or out of range, or a key that means nothing.
    """
    if factor.kind != "number":
        raise SpecError(f"{where}: {factor.wire} is no number, so it has no range; write a list of levels")
    if unknown := sorted(set(span) - {"from", "to", "step", "count"}):
        raise SpecError(f"{where}: '{unknown[0]}' means nothing in a range.{nearest(unknown[0], _RANGE)}")
    found = []
    for end in ("from", "to"):
        if end not in span:
            raise SpecError(f"{where} = {dict(span)}: '{end}' is missing")
        factor.canonical(span[end], f"{where}.{end}")
        found.append(float(span[end]))
    if found[0] > found[1]:
        raise SpecError(f"{where}: from {found[0]:g} to {found[1]:g} runs backwards")
    return found[0], found[1]
