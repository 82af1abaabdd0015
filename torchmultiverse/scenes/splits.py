"""Declared splits: which scenes are held out, said in the spec and true of every picture.

A rule is a filter (``"World_Name = Desert and Character_Name in (Cat, Wolf)"``: a level, a combination, an A only with
a B) or a share drawn by hash, ``{"share": 0.1, "by": ["Character_Name"]}``: whole groups of the factors it names, so
that no asset is on both sides. What no rule takes is in the split ``train``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.design import Explicit
from torchmultiverse.scenes.factors import FactorTable
from torchmultiverse.scenes.scene import Scene, canonical_json
from torchmultiverse.scenes.video import CLIP, NO_CLIP
from torchmultiverse.scenes.where import Condition, parse_where

TRAIN = "train"


@dataclass(frozen=True)
class HashFraction:
    """A part of the scenes, drawn by hash of some factors; where none is named, of the whole scene, of a frame of its
    clip."""

    fraction: float
    by: tuple[str, ...]
    seed: int

    def takes(self, scene: Scene) -> bool:
        """Whether a scene is in it."""
        if self.by:
            what = canonical_json([scene[name] for name in self.by])
        else:
            what = scene.get_str(CLIP) if scene[CLIP] != NO_CLIP else scene.canonical
        digest = hashlib.sha256(f"{self.seed}:{what}".encode()).digest()
        return int.from_bytes(digest[:8], "little") < self.fraction * 2**64


class Splits:
    """The splits of a spec.

    Args:
        rules: name of the split → its rules; one that holds is enough, and the first split that takes a scene has it.
        table: the factors that are known.
        seed: of the shares.

    Raises:
        SpecError: a rule that cannot be read.

    >>> from torchmultiverse.scenes import FACTORS
    >>> splits = Splits({"test": ["World_Name = Snow and Camera_Yaw > 0"]}, FACTORS, seed=0)
    >>> splits.names, [splits.of(Scene({"World_Name": "Snow", "Camera_Yaw": yaw})) for yaw in (0, 90)]
    (['train', 'test'], ['train', 'test'])
    """

    def __init__(self, rules: Mapping[str, Sequence[Any]], table: FactorTable, seed: int) -> None:
        self._rules: dict[str, list[tuple[Condition, ...] | HashFraction]] = {}
        for name, entries in rules.items():
            if name == TRAIN:
                raise SpecError(f"splits.{TRAIN}: it is what no other split takes, so it has no rules")
            if same := [other for other in (TRAIN, *self._rules) if other.replace("-", "_") == name.replace("-", "_")]:
                raise SpecError(f"splits.{name}: '{same[0]}' is there too; outside, where '-' is '_', they were one")
            self._rules[name] = []
            for i, entry in enumerate(entries):
                at = f"splits.{name}[{i}]"
                if isinstance(entry, str):
                    try:
                        self._rules[name].append(parse_where(entry, table))
                    except SpecError as error:
                        raise SpecError(f"{at}: {str(error).removeprefix('--where: ')}") from None
                else:
                    by = tuple(table[factor].wire for factor in entry.get("by", ()))
                    self._rules[name].append(HashFraction(float(entry["share"]), by, seed))

    @property
    def names(self) -> list[str]:
        """Names of the splits, ``train`` first."""
        return [TRAIN, *self._rules]

    def named(self) -> dict[str, set[str]]:
        """Return the factors that each rule names, by its place in the spec."""
        return {
            f"splits.{name}[{i}]": set(rule.by) if isinstance(rule, HashFraction) else {c.factor for c in rule}
            for name, rules in self._rules.items()
            for i, rule in enumerate(rules)
        }

    def of(self, scene: Scene) -> str:
        """Return the split of a scene."""
        for name, rules in self._rules.items():
            for rule in rules:
                if rule.takes(scene) if isinstance(rule, HashFraction) else all(c.holds(scene[c.factor]) for c in rule):
                    return name
        return TRAIN

    def counts(self, design: Explicit) -> dict[str, int]:
        """Return how many scenes of a design each split has."""
        left = np.ones(design.count, bool)
        counts: dict[str, int] = {}
        for name, rules in self._rules.items():
            taken = np.zeros(design.count, bool)
            for rule in rules:
                taken |= _shared(design, rule) if isinstance(rule, HashFraction) else design.matches(rule)
            counts[name] = int((taken & left).sum())
            left &= ~taken
        return {TRAIN: int(left.sum()), **counts}


def _shared(design: Explicit, rule: HashFraction) -> NDArray[np.bool_]:
    return np.array([rule.takes(scene) for scene in design])
