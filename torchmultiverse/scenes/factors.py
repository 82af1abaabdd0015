"""The one table of factors: wire name, column name, type, unit, range, default, period.

Wire names are those of the published configs (``World_Name``), column names those of the published
CSV files (``world_name``). Nothing else in the project maps one to the other.

A *label* is a factor that is only said about a scene: a class, a relation, the subset that a picture belongs to. It is
part of the row and of the scene's identity, is never sent to an engine, and changes no picture.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes.conditions import CONDITIONS, OWN
from torchmultiverse.scenes.object_list import EMPTY, MOST_OBJECTS, canonical_list

Value = str | int | float
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)
Kind = Literal["category", "number", "vector", "list"]


@dataclass(frozen=True, slots=True)
class Factor:
    """A named axis of variation.

    Attributes:
        wire: name in specs and on the wire.
        column: name in datasets.
        kind: ``category`` (a string level), ``number`` (int or float in ``unit``), ``vector`` (three numbers in a
            string, ``"0,-150,0"``) or ``list`` (of objects, each of which has ``fields``; see `object_list`).
        default: the value of a scene that does not mention the factor; ``None`` means it must be given, ``own`` of a
            number that the world or the layout has one of its own.
        unit: unit of a number, for people.
        low, high: inclusive range of a number.
        period: a number is taken modulo this (degrees of a turn), so that -45 and 315 are one scene.
        doc: one line for people.
        label: whether it is only said about the scene, and no engine has to know it.
        names: words that stand for levels of a category; a scene holds the level.
        group: of a condition: light, weather, camera, occlusion, crowding or region; empty of the published factors.
        fields: of a list: the factors of each of its objects.
        whole: of a number: whether it counts something, so that a fraction means nothing. A scene may hold one; engines
            that vary the factor refuse it.

    >>> yaw = Factor("Camera_Yaw", "camera_yaw", "number", 0, "degrees", -360, 360, period=360)
    >>> yaw.canonical(-45), yaw.canonical("7.5"), yaw.canonical(315.0)
    (315, 7.5, 315)
    """

    wire: str
    column: str
    kind: Kind
    default: Value | None = None
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    period: float | None = None
    doc: str = ""
    label: bool = False
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    group: str = ""
    fields: tuple[Factor, ...] = ()
    whole: bool = False

    def canonical(self, value: Any, where: str = "") -> Value:
        """Return the one form of ``value`` that stands for it everywhere.

        Whole floats become ints (``1.0`` → ``1``), periodic values fall into ``[0, period)``, and a name becomes its
        level.

        Raises:
            SpecError: wrong type, NaN or infinite, or out of range.

        >>> FACTORS["Camera_Yaw"].canonical(-45.0), FACTORS["Character_Scale"].canonical("0.70")
        (315, 0.7)
        >>> FACTORS["Scene_Light"].canonical("red")
        '255,0,0,0'
        >>> FACTORS["Character_Scale"].canonical(9)
        Traceback (most recent call last):
        torchmultiverse.errors.SpecError: Character_Scale = 9 is out of range: 0.1 to 4 ×
        """
        at = f"{where}: " if where else ""
        if self.kind == "category":
            if not isinstance(value, str):
                raise SpecError(f"{at}{self.wire} = {value!r} is a {type(value).__name__}; a string is needed")
            if not value.strip() or len(value) > 200:
                raise SpecError(f"{at}{self.wire} has an empty or over-long level {value[:40]!r}")
            return self.names.get(value, value)
        if self.kind == "vector":
            return ",".join(f"{part:.10g}" for part in self.parts(value, at))
        if self.kind == "list":
            return canonical_list(self, value, at)
        if self.default == OWN == value:
            return OWN
        if isinstance(value, str) and _NUMBER.fullmatch(value):  # the published configs send "0.7"
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            own = f", or '{OWN}'" if self.default == OWN else ""
            raise SpecError(f"{at}{self.wire} = {value!r} is a {type(value).__name__}; a number is needed{own}")
        if not -1e300 < value < 1e300:  # NaN as well, and integers that no float holds
            raise SpecError(f"{at}{self.wire} = {str(value)[:40]} is not a finite number")
        if not self.low <= value <= self.high:
            raise SpecError(
                f"{at}{self.wire} = {value!r} is out of range: {self.low:g} to {self.high:g} {self.unit}".rstrip()
            )
        if self.period is not None:
            value = value % self.period
            if value == self.period:  # what a negative number next to zero is rounded to
                value = 0
        return int(value) if float(value).is_integer() else float(value)

    def parts(self, value: Any, at: str = "") -> tuple[float, float, float]:
        """Return the three numbers of a vector.

        Raises:
            SpecError: not a string of three numbers with commas between, or one out of range.
        """
        try:
            x, y, z = (float(part) + 0.0 for part in value.split(","))  # + 0.0: minus zero is zero
        except (ValueError, AttributeError):
            raise SpecError(f"{at}{self.wire} = {value!r}: three numbers are needed, such as '0,-150,0'") from None
        for part in (x, y, z):
            if not self.low <= part <= self.high:  # NaN as well
                raise SpecError(f"{at}{self.wire} = {value!r}: each is from {self.low:g} to {self.high:g} {self.unit}")
        return x, y, z


@dataclass(frozen=True)
class FactorTable:
    """An ordered set of factors, looked up by wire or column name.

    >>> FACTORS["World_Name"].column, FACTORS["camera_yaw"].unit
    ('world_name', 'degrees')
    >>> fog = Factor("Fog", "fog", "number", 0, low=0, high=1)
    >>> "Fog" in FACTORS, "Fog" in FACTORS.extended([fog])
    (False, True)
    """

    factors: tuple[Factor, ...]
    _by_name: dict[str, Factor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {f.wire: f for f in self.factors} | {f.column: f for f in self.factors}
        object.__setattr__(self, "_by_name", by_name)

    def __iter__(self) -> Iterator[Factor]:
        return iter(self.factors)

    def __getitem__(self, name: str) -> Factor:
        try:
            return self._by_name[name]
        except KeyError:
            known = [f.wire for f in self.factors]
            raise SpecError(f"unknown factor '{name}'.{nearest(name, known)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def extended(self, more: Iterable[Factor]) -> FactorTable:
        """Return a table with further factors (those that a user's own Unreal environment understands).

        Raises:
            SpecError: a name that the table already has.
        """
        factors = self.factors
        for factor in more:
            if factor.wire in self._by_name or factor.column in self._by_name:
                raise SpecError(f"declared factor '{factor.wire}' exists already")
            factors += (factor,)
        return FactorTable(factors)

    def renamed(self, columns: Mapping[str, str]) -> FactorTable:
        """Return a table in which some factors, by wire name, have other column names."""
        return FactorTable(tuple(replace(f, column=columns.get(f.wire, f.column)) for f in self.factors))

    def columns(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Map wire names to column names.

        >>> FACTORS.columns({"World_Name": "Snow", "Camera_Yaw": 45})
        {'world_name': 'Snow', 'camera_yaw': 45}
        """
        return {self[name].column: value for name, value in values.items()}


def _angle(wire: str, doc: str) -> Factor:
    """An angle of an Unreal rotator, whose axes are forward, right and up: a positive yaw is to the right (clockwise
    seen from above), a positive pitch up, a positive roll right side down; roll comes first, then pitch, then yaw."""
    return Factor(wire, wire.lower(), "number", 0, "degrees", -360, 360, period=360, doc=doc)


def _character(n: int) -> tuple[Factor, ...]:
    """The factors of the n-th character. The published names of the first carry no number, except its position."""
    name, of = ("Character", "the first character") if n == 1 else (f"Character{n}", "the second character")
    side = f"Character{n}_Pos"
    return (
        Factor(f"{name}_Name", f"{name.lower()}_name", "category", "blank", doc=f"{of}; 'blank' is none"),
        Factor(f"{name}_Scale", f"{name.lower()}_scale", "number", 1, "×", 0.1, 4, doc=f"size of {of}"),
        _angle(f"{name}_Rotation_Yaw", f"turn of {of} to its right; at 0 it faces the right of the camera at yaw 0"),
        _angle(f"{name}_Rotation_Roll", f"tilt of {of}, its right side down; at 0 it is upright"),
        _angle(f"{name}_Rotation_Pitch", f"tilt of {of}, its nose up; at 0 it is level"),
        Factor(f"{name}_Texture", f"{name.lower()}_texture", "category", "Default", doc=f"surface of {of}"),
        Factor(
            side, side.lower(), "category", "center",
            doc=f"place of {of}: center, left, right, bottom, top; location: where its coordinates say; or what is "
            "made true of it and the other character: on, under, above, below, behind, in front of, inside, …",
        ),
        Factor(
            f"{name}_Location", f"{name.lower()}_location", "vector", "0,0,0", "of 1/150 of an object's longest edge",
            -1000, 1000, doc=f"where {of} stands: away from the camera, to the right, up",
        ),
    )  # fmt: skip


def _object_fields() -> tuple[Factor, ...]:
    """The factors of a further object: those of a character, under short names."""
    return (
        Factor("Name", "name", "category", None, doc="the object"),
        Factor("Label", "label", "category", "none", doc="its class", label=True),
        Factor("Location", "location", "vector", "0,0,0", "of 1/150 of an object's longest edge", -1000, 1000,
               doc="where it stands: away from the camera, to the right, up"),
        *(replace(_angle(f"Rotation_{axis}", "as a character's"), column=axis.lower()) for axis in _AXES),
        Factor("Scale", "scale", "number", 1, "×", 0.1, 4, doc="its size"),
        Factor("Texture", "texture", "category", "Default", doc="its surface"),
    )  # fmt: skip


_AXES = ("Yaw", "Roll", "Pitch")


def _label(wire: str, doc: str, default: Value = "none", unit: str = "") -> Factor:
    kind: Kind = "category" if isinstance(default, str) else "number"
    return Factor(wire, wire.lower(), kind, default, unit, low=0, doc=doc, label=True)


LIGHTS = {
    "white": "255,255,255,0", "red": "255,0,0,0", "green": "0,255,0,0", "blue": "0,0,255,0", "yellow": "255,255,0,0",
    "magenta": "255,0,255,0", "cyan": "0,255,255,0",
}  # fmt: skip
"""Names of the published levels of ``Scene_Light``, which have none of their own."""
FACTORS = FactorTable(
    (
        Factor("World_Name", "world_name", "category", None, doc="the environment; may end in a view suffix, _0"),
        *_character(1),
        *_character(2),
        _angle("Camera_Yaw", "turn of the camera to its right, about the scene's centre; 90 sees it from the left"),
        _angle(
            "Camera_Pitch",
            "tilt of the camera upwards from the world's own view, about the scene's centre: 340 (-20) looks down from "
            "above, 240 from over the top, upside down",
        ),
        _angle("Camera_Roll", "turn of the camera about its viewing axis, its right side down"),
        Factor(
            "Scene_Light",
            "scene_light",
            "category",
            "255,255,255,0",
            names=LIGHTS,
            doc=f"colour of the light, 'R,G,B,A', or {', '.join(LIGHTS)}; white is the world's own",
        ),
        _label("Subset", "the part of the dataset that the picture belongs to"),
        _label("Character_Label", "class of the first character"),
        _label("Character2_Label", "class of the second character"),
        _label("Character_Attribute", "what the first character is said to be"),
        _label("Character2_Attribute", "what the second character is said to be"),
        _label("Relation", "how the first character stands to the second, or to the world"),
        _label("World_Relation", "how the characters are said to stand to the world"),
        _label("Sample", "number of the draw among those of its kind", 0),
        _label("Negative", "1 for the hard negative of the scene that has 0 and is else of the same draw", 0),
        _label("Clip", "the clip of a video that the picture is a frame of"),
        _label("Frame", "number of the frame in its clip", 0),
        _label("Frame_Time", "time of the frame since the begin of its clip", 0, "s"),
        *(Factor(**fields, group=group) for group, of_group in CONDITIONS.items() for fields in of_group),
        Factor(
            "Objects",
            "objects",
            "list",
            EMPTY,
            low=0,
            high=MOST_OBJECTS,
            group="crowding",
            fields=_object_fields(),
            doc="further objects, after the first two; each has a Name, and a Label, Location (as Character_Location), "
            "Rotation_Yaw, Rotation_Roll, Rotation_Pitch, Scale and Texture where it is not at its default",
        ),
    )
)
"""Every factor that the published families use, and the conditions."""


def level_name(level: str, factor: str | None = None) -> str:
    """Return what a level is called for people: its own name where it has one, else itself.

    Args:
        level: as datasets and results hold it.
        factor: its wire or column name; one that no table knows names nothing. ``None``: any that has names.

    >>> level_name("255,0,0,0", "scene_light"), level_name("255,0,0,0", "world_name"), level_name("12", "my_column")
    ('red', '255,0,0,0', '12')
    >>> level_name("255,0,0,0")
    'red'
    """
    if factor is None:
        named = [one.names for one in FACTORS]
    else:
        named = [FACTORS[factor].names] if factor in FACTORS else []
    return next((name for names in named for name, one in names.items() if one == level), level)


FAMILY_COLUMNS = {
    "AR4T": {
        "Character_Label": "Actor1Category",
        "Character2_Label": "Actor2Category",
        "Character_Name": "Actor1Name",
        "Character2_Name": "Actor2Name",
        "Character_Location": "Actor1Location",
        "Character2_Location": "Actor2Location",
        "Character_Scale": "Actor1Scale",
        "Character2_Scale": "Actor2Scale",
        "Character_Texture": "Actor1Texture",
        "Character2_Texture": "Actor2Texture",
        "Character_Attribute": "Actor1Attribute",
        "Character2_Attribute": "Actor2Attribute",
        "Relation": "Relation",
        "Camera_Roll": "Camera_roll",
        "Camera_Pitch": "Camera_pitch",
        "Camera_Yaw": "Camera_yaw",
        "World_Name": "Level",
    }
}
"""Families whose published columns have other names: wire name → column."""
