"""The files of objects: one per class, ``scenes/objects/CLASS.json``, with all its variants.

``params`` are numbers that any other number may be an expression of ("=r1 + ear * 0.45"); ``paints`` and ``pictures``
are found by name; ``parts`` are named, so that a variant can change one, add one, or remove one (null). Each variant is
merged over the file's own content, or first over the variant that it is ``like``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.engines.builtin.objects.copies import Copies
from torchmultiverse.engines.builtin.objects.expression import parameters, solved
from torchmultiverse.engines.builtin.objects.paints import ObjectPaint
from torchmultiverse.engines.builtin.objects.pictures import Picture
from torchmultiverse.engines.builtin.objects.pressed import Press
from torchmultiverse.engines.builtin.objects.species import started
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.resources import data_folder

Vector = tuple[float, float, float]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stand(_Model):
    """How an object stands: turned by ``yaw`` about z, after its far side was raised by ``lean`` (about x) and its
    right side lowered by ``roll`` (about y), degrees; its longest edge is ``longest`` metres, and it is ``hover``
    above the ground."""

    yaw: float = 0.0
    lean: float = 0.0
    roll: float = 0.0
    longest: float = Field(default=1.6, gt=0, le=3)
    hover: float = 0.0


class Part(_Model):
    """One part: a mesh of a builder (``build`` and its ``shape`` parameters), or a group of ``parts``.

    It is scaled, turned (``turn``: yaw about z, after tilt about x, after roll about y, degrees), moved to ``at``, laid
    onto others (``press``), then copied as each of ``copies`` says. ``cut``: parts whose bodies are taken out of it.
    ``hidden`` parts are only there to cut or to be scattered over.
    """

    build: str | None = None
    shape: dict[str, Any] = {}
    parts: dict[str, Part] = {}
    paint: str = ""
    at: Vector = (0.0, 0.0, 0.0)
    turn: Vector = (0.0, 0.0, 0.0)
    scale: float | Vector = 1.0
    copies: list[Copies] = []
    cut: list[str] = []
    press: Press | None = None
    crease: float = 35.0
    hidden: bool = False


_PART = set(Part.model_fields) - {"shape"}


class ObjectSpec(_Model):
    """One variant, its expressions solved."""

    about: str = ""
    stand: Stand = Stand()
    paints: dict[str, ObjectPaint] = {}
    pictures: dict[str, Picture] = {}
    parts: dict[str, Part] = {}
    species: dict[str, Any] | None = None


class ObjectClass(BaseModel):
    """The content of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    name: str = Field(alias="class")
    about: str = ""
    stand: dict[str, Any] = {}
    params: dict[str, Any] = {}
    paints: dict[str, Any] = {}
    pictures: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    species: dict[str, Any] | None = None
    variants: dict[str, dict[str, Any]]


_CONTENT = ("about", "stand", "params", "paints", "pictures", "parts", "species")


def class_files() -> list[str]:
    """Return the names of the classes that have a file, sorted."""
    return sorted(path.stem for path in (data_folder("scenes") / "objects").glob("*.json"))


@lru_cache(maxsize=256)
def load_class(name: str) -> ObjectClass:
    """Return a class's file.

    Raises:
        SpecError: no such class, or a file that is wrong.
    """
    if name not in class_files():
        raise SpecError(f"no class of objects '{name}'.{nearest(name, class_files())}")
    where = f"scenes/objects/{name}.json"
    try:
        found = ObjectClass.model_validate_json((data_folder("scenes") / "objects" / f"{name}.json").read_bytes())
    except ValidationError as error:
        raise SpecError(f"{where}: {error}") from None
    if found.name != name:
        raise SpecError(f"{where}: its class is '{found.name}'; it must be that of the file")
    return found


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return JSON merged over JSON, key by key: null removes, an object is merged, all else replaces."""
    out = dict(base)
    for key, value in over.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            # A part that says how it is built has nothing of the old one.
            out[key] = value if "build" in value else merged(out[key], value)
        else:
            out[key] = value
    return out


def variant(object_class: ObjectClass, name: str) -> ObjectSpec:
    """Return a variant of a class.

    Raises:
        SpecError: no such variant, or wrong content; names the place.
    """
    where = f"scenes/objects/{object_class.name}.json: {name}"
    content = _merged_variant(object_class, name, where, ())
    values = parameters(content.pop("params", {}), f"{where}: params")
    content = solved(content, values, where)
    if "species" in content:
        content["species"] = started(content["species"], merged, f"{where}: species")
    for key, paint in list(content.get("paints", {}).items()):
        seen = {key}
        while isinstance(paint, str):  # one paint may be another
            if paint in seen or paint not in content["paints"]:
                raise SpecError(f"{where}: paints.{key}: no paint '{paint}'.{nearest(paint, content['paints'])}")
            seen.add(paint)
            paint = content["paints"][paint]
        content["paints"][key] = paint
    content["parts"] = {key: _part(part, f"{where}: parts.{key}") for key, part in content.get("parts", {}).items()}
    try:
        return ObjectSpec.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise SpecError(f"{where}: {error}") from None


def _merged_variant(object_class: ObjectClass, name: str, where: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name not in object_class.variants or name in seen:
        raise SpecError(f"{where}: no variant '{name}'.{nearest(name, object_class.variants)}")
    own = dict(object_class.variants[name])
    like = own.pop("like", None)
    if like is None:
        base = {key: value for key in _CONTENT if (value := getattr(object_class, key)) is not None}
    else:
        base = _merged_variant(object_class, like, where, (*seen, name))
    wrong = set(own) - set(_CONTENT)
    if wrong:
        raise SpecError(f"{where}: '{min(wrong)}' is unknown.{nearest(min(wrong), [*_CONTENT, 'like'])}")
    return merged(base, own)


def _part(value: Any, where: str) -> dict[str, Any]:
    """Return a part with its builder's parameters apart from what all parts have."""
    if not isinstance(value, dict):
        raise SpecError(f"{where}: a part is an object")
    part = {key: item for key, item in value.items() if key in _PART}
    shape = {key: item for key, item in value.items() if key not in _PART}
    if ("build" in part) == ("parts" in part):
        raise SpecError(f"{where}: a part has either 'build' or 'parts'")
    if "parts" in part:
        if shape:
            raise SpecError(f"{where}: '{min(shape)}' is unknown in a group.{nearest(min(shape), _PART)}")
        part["parts"] = {key: _part(item, f"{where}.parts.{key}") for key, item in part["parts"].items()}
    return part | ({"shape": shape} if shape else {})
