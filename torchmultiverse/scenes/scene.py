"""A scene: a complete, validated, canonical assignment of factors, and the ids and seeds made from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.conditions import OWN
from torchmultiverse.scenes.factors import FACTORS, FactorTable, Value
from torchmultiverse.scenes.object_list import SceneObject, listed, scene_objects, unlabelled_list


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, no NaN, ASCII.

    >>> canonical_json({"b": 1, "a": ["Zebra", 0.5]})
    '{"a":["Zebra",0.5],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


class Scene:
    """A complete assignment of factors. Immutable, hashable, equal when it means the same picture.

    Factors at their default are left out of the canonical form, so that a table which grows a factor
    keeps every old scene id.

    Args:
        values: wire (or column) names to values.
        table: the factors that are known.
        where: what to name in an error, e.g. ``"scenes[3]"``.

    Raises:
        SpecError: unknown factor, wrong type, value out of range, or a required factor missing.

    >>> scene = Scene({"World_Name": "Snow", "Character_Name": "Zebra", "Camera_Yaw": -45})
    >>> scene["Camera_Yaw"], scene.changed(Camera_Yaw=315.0).scene_id == scene.scene_id
    (315, True)
    >>> scene.changed(World_Name="Desert")
    Scene({"Camera_Yaw":315,"Character_Name":"Zebra","World_Name":"Desert"})
    """

    __slots__ = ("__dict__", "_values", "table")

    def __init__(self, values: Mapping[str, Any], table: FactorTable = FACTORS, where: str = "") -> None:
        given: dict[str, Value] = {}
        for name, value in values.items():
            factor = table[name]
            if factor.wire in given:
                raise SpecError(f"{where + ': ' if where else ''}{factor.wire} is given twice")
            given[factor.wire] = factor.canonical(value, where)
        for factor in table:
            if factor.default is None and factor.wire not in given:
                raise SpecError(f"{where + ': ' if where else ''}a scene needs {factor.wire}")
        self.table = table
        self._values = {f.wire: given[f.wire] for f in table if given.get(f.wire, f.default) != f.default}

    @classmethod
    def from_json(cls, text: str, table: FactorTable = FACTORS) -> Scene:
        """Read a scene from its canonical JSON."""
        return cls(json.loads(text), table)

    def __getitem__(self, name: str) -> Value:
        factor = self.table[name]
        value = self._values.get(factor.wire, factor.default)
        assert value is not None
        return value

    def get_str(self, name: str) -> str:
        """Return a category factor's level."""
        return str(self[name])

    def get_float(self, name: str) -> float:
        """Return a number factor's value."""
        return float(self[name])

    def get_number(self, name: str) -> float | None:
        """Return a number factor's value; ``None`` where the world or the layout has its own."""
        value = self[name]
        return None if value == OWN else float(value)

    @property
    def wire(self) -> dict[str, Any]:
        """Non-default factors by wire name, in table order, as JSON values: what travels to an engine."""
        return {n: listed(str(v)) if self.table[n].kind == "list" else v for n, v in self._values.items()}

    @cached_property
    def objects(self) -> tuple[SceneObject, ...]:
        """The further objects, in canonical order.

        >>> [one.name for one in Scene({"World_Name": "Snow", "Objects": [{"Name": "Zebra"}, {"Name": "Cat"}]}).objects]
        ['Cat', 'Zebra']
        """
        return scene_objects(self.table["Objects"], self.get_str("Objects")) if "Objects" in self._values else ()

    @property
    def complete(self) -> dict[str, Value]:
        """Every factor by wire name, defaults filled in."""
        return {f.wire: self[f.wire] for f in self.table}

    @cached_property
    def canonical(self) -> str:
        """The canonical JSON text."""
        return canonical_json(self.wire)

    @cached_property
    def scene_id(self) -> str:
        """First 32 hex digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()[:32]

    @cached_property
    def unlabelled(self) -> Scene:
        """The scene without its labels: what an engine is asked for. Itself, where it has none."""
        shown = {name: value for name, value in self._values.items() if not self.table[name].label}
        for name, value in shown.items():
            if self.table[name].kind == "list":
                shown[name] = unlabelled_list(self.table[name], str(value))
        return self if shown == self._values else Scene(shown, self.table)

    def changed(self, **values: Any) -> Scene:
        """Return the scene with some factors changed: a counterfactual."""
        merged: dict[str, Any] = dict(self._values)
        for name, value in values.items():
            merged[self.table[name].wire] = value
        return Scene(merged, self.table)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scene) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self.canonical)

    def __repr__(self) -> str:
        return f"Scene({self.canonical})"


def setting_seed(dataset_seed: int, scene: Scene) -> int:
    """Return the 32-bit seed of what stays where it is while things move, such as drops on a lens.

    It depends on the dataset's seed and on the levels of the scene's categories alone (the world, who is there, in
    which surface, in which place), which no path moves through: in all frames of a clip it is the same.

    >>> first = Scene({"World_Name": "Snow", "Character_Name": "Zebra", "Camera_Yaw": 10})
    >>> other = first.changed(Camera_Yaw=20, Lens_Drops=40)
    >>> setting_seed(0, first) == setting_seed(0, other), setting_seed(0, first) == setting_seed(1, first)
    (True, False)
    """
    named = {name: value for name, value in scene.unlabelled.wire.items() if scene.table[name].kind == "category"}
    digest = hashlib.sha256(f"{dataset_seed}:{canonical_json(named)}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def scene_seed(dataset_seed: int, scene_id: str) -> int:
    """Return the 32-bit seed of one picture: it depends on the dataset's seed and the scene, on nothing else.

    >>> scene_seed(0, "00" * 16) == scene_seed(0, "00" * 16), scene_seed(0, "00" * 16) == scene_seed(1, "00" * 16)
    (True, False)
    """
    digest = hashlib.sha256(f"{dataset_seed}:{scene_id}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
