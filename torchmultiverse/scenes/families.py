"""The published families, as the shipped specs that stand for them have them: what each varies, and by which levels."""

from __future__ import annotations

from functools import cache

from torchmultiverse.scenes.factors import Value
from torchmultiverse.scenes.spec import load_spec

FAMILIES = {
    "Animals": ("animals",),
    "ImageNet": ("imagenet",),
    "SPAR": ("spar",),
    "AR4T": ("ar4t_relations", "ar4t_attributes"),
}
"""Family → names of the shipped specs that are as published."""


@cache
def published_levels() -> dict[str, dict[str, frozenset[Value]]]:
    """Return family → factor that it varies → its levels, none where values are drawn at random.

    >>> sorted(published_levels()["SPAR"]["Character_Texture"])
    ['Blue', 'Default', 'Grass']
    >>> [family for family, factors in published_levels().items() if "Scene_Light" in factors]
    ['ImageNet']
    """
    found: dict[str, dict[str, frozenset[Value]]] = {}
    for family, names in FAMILIES.items():
        mine = found.setdefault(family, {})
        for spec in map(load_spec, names):
            for factor, levels in spec.design.levels(spec.table, spec.seed).items():
                if len(levels) != 1 and not spec.table[factor].label:
                    mine[factor] = mine.get(factor, frozenset()) | frozenset(levels)
    return found
