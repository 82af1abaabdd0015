"""What the JSON Schema of a spec says of factors: their names, units and ranges, for editors and other checkers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torchmultiverse.scenes.conditions import OWN
from torchmultiverse.scenes.factors import FACTORS, Factor
from torchmultiverse.scenes.levels import MOST_STEPS
from torchmultiverse.scenes.object_list import MOST_OBJECTS

_NUMBER_TEXT = {"type": "string", "pattern": r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"}


def with_factors(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a spec's JSON Schema in which objects of factors name them; other names, of declared factors, stay free.

    Args:
        schema: as pydantic makes it: objects of levels have arrays or objects as values, objects of one level each
            (``Row``) texts and numbers.
    """
    definitions = schema["$defs"]
    definitions["Range"] = _range()
    definitions["FactorLevels"] = {"properties": dict(_named(_levels))}
    definitions["FactorValues"] = {"properties": dict(_named(_value))}
    for _, place in _objects(schema):
        kinds = {one.get("type") for one in place["additionalProperties"].get("anyOf", ())}
        if kinds == {"array", "object"}:
            place["allOf"] = [{"$ref": "#/$defs/FactorLevels"}]
        elif {"string", "integer", "number"} <= kinds:
            place["allOf"] = [{"$ref": "#/$defs/FactorValues"}]
    return schema


def _objects(node: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, list):
        for one in node:
            yield from _objects(one, name)
    elif isinstance(node, dict):
        if isinstance(node.get("additionalProperties"), dict):
            yield name, node
        for key, one in node.items():
            yield from _objects(one, key)


def _named(make: Any) -> Iterator[tuple[str, Any]]:
    for factor in FACTORS:
        for name in dict.fromkeys((factor.wire, factor.column)):
            yield name, make(factor)


def _described(factor: Factor) -> str:
    unit = f", in {factor.unit}" if factor.unit else ""
    default = "must be given" if factor.default is None else f"{factor.default} by default"
    return f"{factor.doc or 'a factor'}{unit}; {default}"


def _value(factor: Factor) -> dict[str, Any]:
    """Return what one level of a factor is."""
    if factor.kind == "list":
        return {**_objects_of(factor), "description": _described(factor)}
    if factor.kind != "number":
        return {"type": "string", "minLength": 1, "description": _described(factor)}
    number: dict[str, Any] = {"type": "integer" if factor.whole else "number"}
    number |= {key: end for key, end in (("minimum", factor.low), ("maximum", factor.high)) if math.isfinite(end)}
    own = [{"const": OWN}] if factor.default == OWN else []
    return {"anyOf": [number, _NUMBER_TEXT, *own], "description": _described(factor)}


def _objects_of(factor: Factor) -> dict[str, Any]:
    """Return what a list of objects is: objects of their own factors, or the text of that."""
    fields = {name: _value(field) for field in factor.fields for name in dict.fromkeys((field.wire, field.column))}
    items = {"type": "object", "properties": fields, "additionalProperties": False}
    return {"anyOf": [{"type": "array", "maxItems": MOST_OBJECTS, "items": items}, {"type": "string"}]}


def _levels(factor: Factor) -> dict[str, Any]:
    """Return what stands for the levels of a factor: a list, in which ranges may stand, or a range."""
    value = _value(factor)
    text = value.pop("description")
    if factor.kind != "number":
        return {"type": "array", "minItems": 1, "items": value, "description": text}
    span = {"$ref": "#/$defs/Range"}
    items = {"anyOf": [*value["anyOf"], span]}
    return {"anyOf": [{"type": "array", "minItems": 1, "items": items}, span], "description": text}


def _range() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "numbers from one to another, in steps or so many; without either, of draws: any between them",
        "properties": {
            "from": {"type": "number"},
            "to": {"type": "number"},
            "step": {"type": "number", "exclusiveMinimum": 0},
            "count": {"type": "integer", "minimum": 1, "maximum": MOST_STEPS},
        },
        "required": ["from", "to"],
        "additionalProperties": False,
    }
