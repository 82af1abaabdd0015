"""Groups of factors that a ladder frees one after the other, and what stays of a factor that is held. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.scenes import CONDITIONS, FACTORS, Factor

GROUPS = ("worlds", "lights", "poses", "sizes", "textures", "assets", "conditions", "others")
"""What factors are grouped in where no ``--group`` says otherwise."""
STEPS = ("narrow", "worlds", "lights", "poses", "full", "x5")
_WORDS = (
    ("assets", r"^character2?_name$|^actor[12]name$|asset"),
    ("lights", r"light|lamp|sun_|overcast|illumin|bright"),
    ("worlds", r"world|background|level$|region|place|scene_name"),
    ("textures", r"texture|material|surface"),
    ("sizes", r"scale|size$|sizes$"),
    ("poses", r"yaw|pitch|roll|pose|rotation|angle|location|_pos$|camera_(distance|height|focal|yaw)|view"),
)
_TIMES = re.compile(r"x([1-9][0-9]{0,2})")
_CONDITIONS = frozenset(fields["wire"].lower() for of in CONDITIONS.values() for fields in of)


@dataclass(frozen=True)
class Plan:
    """One step before it has pictures.

    Attributes:
        name: of the step.
        free: groups that vary; all others are held.
        times: of the budget.
        without: the group that is held although all others are free; "" for a step of the ladder itself.
    """

    name: str
    free: tuple[str, ...]
    times: int = 1
    without: str = ""


def group_of(name: str) -> str:
    """Return the group of a factor by its column or wire name.

    >>> [group_of(name) for name in ("world_name", "Sun_Elevation", "camera_yaw", "character_scale", "rain", "hue")]
    ['worlds', 'lights', 'poses', 'sizes', 'conditions', 'others']
    """
    word = name.lower()
    for group, pattern in _WORDS:
        if re.search(pattern, word):
            return group
    return "conditions" if word in _CONDITIONS else "others"


def parse_groups(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the groups that texts such as ``poses=character_yaw,camera_yaw`` say.

    Raises:
        DatasetError: not of this form, or a group or factor that stands twice.

    >>> parse_groups(["poses=character_yaw, camera_yaw"])
    {'poses': ('character_yaw', 'camera_yaw')}
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        name, factors = name.strip(), tuple(one.strip() for one in rest.split(",") if one.strip())
        if not equals or not name or not factors:
            raise QuestionError(f"--group {text}: write NAME=FACTOR,FACTOR, such as poses=character_yaw,camera_yaw")
        if name in found or name in ("narrow", "full") or _TIMES.fullmatch(name):
            raise DatasetError(
                f"--group {text}: '{name}' is {'given twice' if name in found else 'the name of a step'}"
            )
        if again := [factor for other in found.values() for factor in other if factor in factors]:
            raise DatasetError(f"--group {text}: '{again[0]}' is in another group already")
        found[name] = factors
    return found


def grouped(names: Sequence[str], given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the groups of the factors that vary; a group that is given takes its factors out of the usual ones.

    Args:
        names: columns that vary.
        given: groups by name, of column or wire names.

    Raises:
        DatasetError: a group names a factor that does not vary here.

    >>> grouped(["world_name", "camera_yaw", "hue"], {"colours": ["hue"]})
    {'colours': ('hue',), 'worlds': ('world_name',), 'poses': ('camera_yaw',)}
    """
    column = {FACTORS[name].wire: name for name in names if name in FACTORS} | {name: name for name in names}
    found: dict[str, list[str]] = {}
    taken = set()
    for group, wanted in given.items():
        for factor in wanted:
            if factor not in column:
                raise QuestionError(f"group '{group}': no factor '{factor}' varies here.{nearest(factor, column)}")
            found.setdefault(group, []).append(column[factor])
            taken.add(column[factor])
    usual: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in names:
        if name not in taken:
            usual[group_of(name)].append(name)
    for group in GROUPS:
        if usual[group]:
            found[group] = [*found.get(group, []), *usual[group]]
    return {group: tuple(factors) for group, factors in found.items()}


def plans_of(steps: Sequence[str] | None, groups: Mapping[str, Sequence[str]]) -> tuple[list[Plan], list[str]]:
    """Return the steps, each with all groups that those before it freed, and what had to be left out.

    Args:
        steps: names: ``narrow``, a group, ``full`` (all groups), ``x5`` (five times the budget of ``full``); ``None``
            for those of `STEPS` that can be.
        groups: of the factors that vary.

    Raises:
        DatasetError: no such step, one that stands twice, or fewer than two.

    >>> [(one.name, one.free) for one in plans_of(["narrow", "poses", "full"], {"worlds": ["w"], "poses": ["p"]})[0]]
    [('narrow', ()), ('poses', ('poses',)), ('full', ('worlds', 'poses'))]
    """
    notes: list[str] = []
    if steps is None:
        lacking = [name for name in STEPS[1:4] if name not in groups]
        notes = [f"step '{name}' is left out: no factor of that group varies" for name in lacking]
        steps = [name for name in STEPS if name not in lacking]
    plans: list[Plan] = []
    for name in steps:
        plan = _plan(name, plans[-1].free if plans else (), groups)
        if any(one.name == name for one in plans):
            raise DatasetError(f"step '{name}' stands twice")
        if name == "narrow" and plans:
            raise DatasetError("step 'narrow' comes first: each step frees what those before it freed, and more")
        plans.append(plan)
    if len(plans) < 2:
        raise DatasetError(f"a ladder has at least two steps, such as narrow,full; {len(plans)} given")
    if held := [group for group in groups if group not in plans[-1].free]:
        notes.append(f"held in all steps: {', '.join(held)}")
    return plans, notes


def _plan(name: str, before: tuple[str, ...], groups: Mapping[str, Sequence[str]]) -> Plan:
    """Return a step that frees what the one before it freed, and more.

    Raises:
        DatasetError: no such step.
    """
    times = _TIMES.fullmatch(name)
    if name == "narrow":
        return Plan(name, ())
    if name == "full" or times:
        return Plan(name, tuple(groups), int(times[1]) if times else 1)
    if name in groups:
        return Plan(name, tuple(group for group in groups if group in {*before, name}))
    raise QuestionError(
        f"no step '{name}': narrow, a group of factors that vary ({', '.join(groups)}), full, or x5."
        f"{nearest(name, ['narrow', *groups, 'full', 'x5'])}"
    )


def without_plans(groups: Sequence[str]) -> list[Plan]:
    """Return a step for each group: all groups are free but this one.

    >>> [(one.name, one.free) for one in without_plans(["worlds", "poses"])]
    [('without worlds', ('poses',)), ('without poses', ('worlds',))]
    """
    if len(groups) < 2:
        return []
    return [Plan(f"without {one}", tuple(g for g in groups if g != one), without=one) for one in groups]


def narrow_levels(values: NDArray[Any], name: str, share: float) -> NDArray[np.bool_]:
    """Return which pictures remain where a factor is held, (N,): those at the levels nearest to its usual one.

    The usual level is the factor's default, or the level nearest to it; of a factor without one the most frequent
    level, and of numbers that hardly repeat the median. Of numbers the levels nearest to it remain, of words the next
    most frequent; of numbers with more than 24 levels, those within a part of their range about it.

    Args:
        values: the column, (N,).
        name: of the column, for its default and whether it is periodic.
        share: of its levels, or of its range, that remains, 0 to 1; one level at least.

    >>> narrow_levels(np.array([0, 10, 350, 180]), "camera_yaw", 0.75).tolist()
    [True, True, True, False]
    """
    factor = next((one for one in FACTORS if name in (one.column, one.wire)), None)
    numbers = values.dtype.kind in "iuf"
    levels, codes, counts = np.unique(
        values if numbers else values.astype(str), return_inverse=True, return_counts=True
    )
    keep = max(1, round(share * len(levels)))
    if not numbers:
        usual = _usual_word(levels.tolist(), counts, factor)
        distance = np.where(np.arange(len(levels)) == usual, -1.0, counts.max() - counts)
    else:
        period = factor.period if factor is not None else None
        distance = _apart(levels.astype(np.float64), _usual_number(levels, counts, factor), period)
        if len(levels) > _MANY:
            turns = period is not None and np.ptp(levels) >= period * (1 - 2 / len(levels))
            span = float(period) if turns and period is not None else float(np.ptp(levels))
            return np.asarray((distance <= max(share * span / 2, float(distance.min())))[codes])
    chosen = np.zeros(len(levels), bool)
    chosen[np.argsort(distance, kind="stable")[:keep]] = True
    return np.asarray(chosen[codes])


_MANY = 24
"""Levels above which a column of numbers has a range, not levels."""


def _usual_word(levels: Sequence[str], counts: NDArray[np.int64], factor: Factor | None) -> int:
    """Return the place of a factor's default, or of the most frequent level, the first of several."""
    default = None if factor is None or factor.default is None else str(factor.default)
    return levels.index(default) if default in levels else int(np.argmax(counts))


def _usual_number(levels: NDArray[Any], counts: NDArray[np.int64], factor: Factor | None) -> float:
    """Return the level nearest to a factor's default; without one the most frequent level, or the median of many."""
    if factor is not None and isinstance(factor.default, int | float):
        return float(levels[np.argmin(_apart(levels.astype(np.float64), float(factor.default), factor.period))])
    if len(levels) > _MANY:
        return float(levels[np.searchsorted(np.cumsum(counts), counts.sum() / 2)])
    return float(levels[np.argmax(counts)])


def _apart(levels: NDArray[np.float64], usual: float, period: float | None) -> NDArray[np.float64]:
    """Return the distance of each level, the shorter way round a turn."""
    apart = np.abs(levels - usual)
    return apart if period is None else np.minimum(apart % period, period - apart % period)
