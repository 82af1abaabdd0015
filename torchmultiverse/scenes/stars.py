"""Designs that change one factor at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.design import Design, Explicit, Factorial
from torchmultiverse.scenes.factors import FACTORS, FactorTable, Value
from torchmultiverse.scenes.levels import check_levels


def one_at_a_time(
    reference: Mapping[str, Any],
    vary: Mapping[str, Any],
    table: FactorTable = FACTORS,
    over: Mapping[str, Any] | None = None,
) -> Design:
    """Change one factor at a time around a reference scene; the reference itself comes first.

    Args:
        reference: the scene around which is varied.
        vary: factor → levels; a level equal to the reference's is not repeated.
        table: the factors that are known.
        over: factors that are crossed with the whole set (e.g. every character gets its own star).

    Returns:
        an explicit design, or for ``over`` the product of it with the crossed factors, crossed ones slowest.

    >>> reference = {"World_Name": "Desert", "Character_Name": "Zebra"}
    >>> star = one_at_a_time(reference, {"Camera_Yaw": [0, 90], "World_Name": ["Snow"]})
    >>> [scene["World_Name"] for scene in star], [scene["Camera_Yaw"] for scene in star]
    (['Desert', 'Desert', 'Snow'], [0, 90, 0])
    """
    star: list[dict[str, Value]] = []
    base = {table[n].wire: table[n].canonical(v, "reference") for n, v in reference.items()}
    over = over or {}
    names = {table[n].wire for n in over}
    for name in [*base, *(table[n].wire for n in vary)]:
        if name in names:
            raise SpecError(f"over.{name} is crossed with everything, so the star may not set it too")
    # Every row names every factor the star touches, so that rows are complete and linked together.
    for name in vary:
        factor = table[name]
        if factor.wire not in base:
            if factor.default is None:
                raise SpecError(f"vary.{name}: the reference must give {factor.wire}")
            base[factor.wire] = factor.default
    star.append(base)
    for name, levels in vary.items():
        wire = table[name].wire
        for level in check_levels(name, levels, table, "vary"):
            if level != base[wire]:
                star.append({**base, wire: level})
    if over:
        return Factorial.of(over, [star], table, "over")
    return Explicit.of(star, table)


def subsets(
    parts: Mapping[str, tuple[str, Any, Mapping[str, Any]]],
    reference: Mapping[str, Any],
    table: FactorTable = FACTORS,
    over: Mapping[str, Any] | None = None,
    linked: Sequence[Sequence[Mapping[str, Any]]] = (),
) -> Factorial:
    """Change one factor at a time, with all levels of each in a subset of its own, as PUG: ImageNet does.

    Unlike in `one_at_a_time`, the reference's level is there once for each factor: every subset is whole by itself.
    The label ``Subset`` says which one a scene belongs to.

    Args:
        parts: name of the subset → the factor, its levels, and what is otherwise than in the reference.
        reference: the scene around which is varied.
        table: the factors that are known.
        over, linked: factors and linked factors that are crossed with all subsets.
    """
    base = {table[n].wire: table[n].canonical(v, "reference") for n, v in reference.items()}
    star: list[dict[str, Value]] = []
    for name, (factor, levels, instead) in parts.items():
        here = base | {table[n].wire: table[n].canonical(v, f"subsets.{name}") for n, v in instead.items()}
        wire = table[factor].wire
        for level in check_levels(factor, levels, table, f"subsets.{name}"):
            star.append({**here, wire: level, "Subset": name})
    named = [f.wire for f in table if any(f.wire in row for row in star)]
    for row in star:
        for wire in named:
            default = table[wire].default
            if default is None and wire not in row:
                raise SpecError(f"subsets.{row['Subset']}: the reference must give {wire}")
            row.setdefault(wire, default if default is not None else "")
    return Factorial.of(over or {}, [*linked, star], table, "over")
