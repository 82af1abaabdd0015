"""What a dataset holds of a factor: null where a number is the world's or the layout's own, and how levels are called.

Datasets have numbers in columns of numbers, in which ``own`` is null. Wherever levels are counted, compared or shown,
null stands for ``own`` again; in batches of a training loop it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.scenes.conditions import OWN
from torchmultiverse.scenes.factors import FACTORS, Factor, Value
from torchmultiverse.scenes.object_list import column_rows, from_columns


def may_be_own(factor: Factor) -> bool:
    """Whether a factor is a number that the world or the layout has one of its own."""
    return factor.kind == "number" and factor.default == OWN


def to_stored(factor: Factor, value: Value) -> Any:
    """Return what a dataset holds of a scene's value: null of a number that is the world's own, of a list its rows.

    >>> to_stored(FACTORS["Fog_Visibility"], "own"), to_stored(FACTORS["World_Region"], "own")
    (None, 'own')
    """
    if factor.kind == "list":
        return column_rows(factor, str(value))
    return None if value == OWN and may_be_own(factor) else value


def from_stored(factor: Factor, value: Any) -> Any:
    """Return the level that a dataset's value stands for; `to_stored` the other way round.

    >>> from_stored(FACTORS["Fog_Visibility"], None), from_stored(FACTORS["Fog_Visibility"], 30.0)
    ('own', 30.0)
    """
    if factor.kind == "list" and isinstance(value, list):
        return from_columns(factor, value)
    lacks = value is None or (isinstance(value, float) and math.isnan(value))
    return OWN if lacks and may_be_own(factor) else value


def as_number(factor: Factor, value: Value) -> Value:
    """Return a scene's value as a label of a batch: of a number that may be ``own`` always a float, NaN where it is.

    >>> as_number(FACTORS["Fog_Visibility"], "own"), as_number(FACTORS["Fog_Visibility"], 30)
    (nan, 30.0)
    """
    if not may_be_own(factor):
        return value
    return math.nan if value == OWN else float(value)


def level_text(factor: Factor | None, value: Any) -> str:
    """Return a dataset's value as a word: levels of conditions as specs write them, all others as they are.

    >>> [level_text(FACTORS["Fog_Visibility"], value) for value in (None, 30.0, 0.5)]
    ['own', '30', '0.5']
    >>> level_text(FACTORS["Character_Scale"], 1.0), level_text(None, None)
    ('1.0', '')
    """
    if factor is not None:
        value = from_stored(factor, value)
        if factor.group and isinstance(value, float) and value.is_integer():
            value = int(value)
    return "" if value is None else str(value)


def level_words(name: str, values: Iterable[Any]) -> NDArray[np.object_]:
    """Return a column's values as words, see `level_text`: (N,).

    Args:
        name: of the column; one that is no factor is taken as it is.
        values: as datasets have them.
    """
    factor = next((one for one in FACTORS if name in (one.wire, one.column)), None)
    if isinstance(values, np.ndarray):
        values = values.tolist()
    return np.array([level_text(factor, value) for value in values], object)


def in_level_order(levels: Iterable[Any]) -> list[str]:
    """Return levels as words in the order of an axis: ``own`` first, the others by number where all are, else by name.

    >>> in_level_order(["120", "own", "30"]), in_level_order(["Snow", "Desert"])
    (['own', '30', '120'], ['Desert', 'Snow'])
    """
    words = [str(level) for level in levels]
    own, rest = [word for word in words if word == OWN], [word for word in words if word != OWN]
    try:
        return own + sorted(rest, key=float)
    except ValueError:
        return own + sorted(rest)


def is_default(factor: Factor, level: str) -> bool:
    """Whether a word stands for a factor's default: ``1.0`` and ``1`` are one number.

    >>> is_default(FACTORS["Character_Scale"], "1.0"), is_default(FACTORS["Fog_Visibility"], "own")
    (True, True)
    """
    if level == str(factor.default):
        return True
    if factor.kind != "number" or isinstance(factor.default, str) or factor.default is None:
        return False
    try:
        return float(level) == factor.default
    except ValueError:
        return False


def axis_title(name: str) -> str:
    """Return what stands beside an axis or above a column: a factor by its column, a condition with its unit.

    >>> axis_title("fog_visibility"), axis_title("Camera_Electrons"), axis_title("camera_yaw")
    ('fog visibility (m)', 'Camera Electrons', 'camera yaw')
    """
    said = name.replace("_", " ")
    unit = unit_of(name)
    return f"{said} ({unit})" if unit else said


def unit_of(name: str) -> str:
    """Return the unit of a condition by its wire or column name; empty of all other factors, and where the name has it.

    >>> unit_of("Rain"), unit_of("Camera_Electrons"), unit_of("Camera_Yaw")
    ('mm/h', '', '')
    """
    unit = FACTORS[name].unit if name in FACTORS and FACTORS[name].group else ""
    return "" if name.lower().endswith(unit.lower()) else unit
