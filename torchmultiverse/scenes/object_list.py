"""The further objects of a scene, after its first two: one list, in one canonical order, and one column of datasets.

A list is given as JSON has it, ``[{"Name": "Zebra", "Location": "0,120,0"}]``, or as the text of that. What stands for
it everywhere else is its canonical JSON text: what an object has at its default is left out, and objects are in the
order of what is shown of them, so that whatever order they were given in, they are one scene.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.json_text import read_json

MOST_OBJECTS = 14
"""Objects of a list: with the two that have factors of their own a scene has 16."""
EMPTY = "[]"
_LONGEST = 1 << 16
_EXAMPLE = '[{"Name": "Zebra", "Location": "0,120,0"}]'


class Field(Protocol):
    """A factor of an object (see `factors.Factor`)."""

    @property
    def wire(self) -> str: ...  # noqa: D102
    @property
    def column(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def default(self) -> Any: ...  # noqa: D102
    @property
    def label(self) -> bool: ...  # noqa: D102
    def canonical(self, value: Any, where: str = "") -> Any: ...  # noqa: D102
    def parts(self, value: Any, at: str = "") -> tuple[float, float, float]: ...  # noqa: D102


class ListFactor(Protocol):
    """The factor of a list of objects."""

    @property
    def wire(self) -> str: ...  # noqa: D102
    @property
    def fields(self) -> Sequence[Field]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One further object of a scene.

    Attributes:
        name: the character.
        label: its class, only said about it.
        location: where it stands, as ``Character_Location``: away from the camera, to the right, up.
        yaw, roll, pitch: degrees.
        scale: size.
        texture: surface.
    """

    name: str
    label: str
    location: tuple[float, float, float]
    yaw: float
    roll: float
    pitch: float
    scale: float
    texture: str


def canonical_list(factor: ListFactor, value: Any, at: str = "") -> str:
    """Return the canonical JSON text of a list of objects.

    Args:
        factor: with the factors of an object, ``fields``.
        value: a list of mappings, or its JSON text.
        at: what an error begins with.

    Raises:
        SpecError: no list, too many, or an object with a wrong field; names the object and the field.
    """
    rows = _rows(factor, value, at)
    if len(rows) > MOST_OBJECTS:
        raise SpecError(
            f"{at}{factor.wire} has {len(rows)} objects; at most {MOST_OBJECTS}, which with the two that have factors "
            f"of their own are {MOST_OBJECTS + 2}"
        )
    found = [_canonical(factor, k, row, at) for k, row in enumerate(rows)]
    labels = {field.wire for field in factor.fields if field.label}

    def order(one: Mapping[str, Any]) -> tuple[str, str]:
        # Labels last: without them the order is the same, and so are the numbers in the mask.
        return _json({name: level for name, level in one.items() if name not in labels}), _json(one)

    return _json(sorted(found, key=order))


def _rows(factor: ListFactor, value: Any, at: str) -> Sequence[Any]:
    given = value
    if isinstance(value, str):
        try:
            value = read_json(value) if len(value) <= _LONGEST else None
        except ValueError:
            value = None
    if not isinstance(value, list | tuple):
        raise SpecError(f"{at}{factor.wire} = {str(given)[:40]!r}: a list of objects is needed, such as {_EXAMPLE}")
    return value


def _canonical(factor: ListFactor, k: int, row: Any, at: str) -> dict[str, Any]:
    place = f"{factor.wire}[{k}]"
    if not isinstance(row, Mapping):
        raise SpecError(f"{at}{place} is a {type(row).__name__}; an object is needed, such as {_EXAMPLE[1:-1]}")
    known = {field.wire: field for field in factor.fields}
    found = {}
    for name, level in row.items():
        if name not in known:
            raise SpecError(f"{at}{place} has no '{name}'.{nearest(str(name), known)}")
        try:
            found[name] = known[name].canonical(level)
        except SpecError as error:
            raise SpecError(f"{at}{place}.{error}") from None
    for field in factor.fields:
        if field.default is None and found.get(field.wire, "blank") == "blank":
            raise SpecError(f"{at}{place} needs a {field.wire}; what is not there is left out of the list")
    return {
        field.wire: found[field.wire]
        for field in factor.fields
        if found.get(field.wire, field.default) != field.default
    }


def listed(text: str) -> list[dict[str, Any]]:
    """Return a canonical list as JSON has it."""
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def unlabelled_list(factor: ListFactor, text: str) -> str:
    """Return a canonical list without what is only said about its objects."""
    labels = {field.wire for field in factor.fields if field.label}
    return _json([{name: level for name, level in row.items() if name not in labels} for row in listed(text)])


def scene_objects(factor: ListFactor, text: str) -> tuple[SceneObject, ...]:
    """Return the objects of a canonical list, in its order."""
    rows = column_rows(factor, text)
    return tuple(SceneObject(location=(row.pop("x"), row.pop("y"), row.pop("z")), **row) for row in rows)


def column_rows(factor: ListFactor, text: str) -> list[dict[str, Any]]:
    """Return a canonical list as datasets have it: every field, by its column; a vector as ``x``, ``y``, ``z``."""
    found = []
    for row in listed(text):
        one: dict[str, Any] = {}
        for field in factor.fields:
            value = row.get(field.wire, field.default)
            if field.kind == "vector":
                one |= zip("xyz", field.parts(value), strict=True)
            elif field.kind == "number":
                one[field.column] = float(str(value))
            else:
                one[field.column] = value
        found.append(one)
    return found


def from_columns(factor: ListFactor, rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the canonical list of what `column_rows` made.

    Raises:
        SpecError: what no scene can have.
    """
    found = []
    for row in rows:
        one: dict[str, Any] = {}
        for field in factor.fields:
            if field.kind == "vector":
                if all(row.get(axis) is not None for axis in "xyz"):
                    one[field.wire] = ",".join(f"{row[axis]:.10g}" for axis in "xyz")
            elif row.get(field.column) is not None:
                one[field.wire] = row[field.column]
        found.append(one)
    return canonical_list(factor, found)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
