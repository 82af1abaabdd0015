"""The spec file: what to render, as pydantic models with the JSON Schema that is exported from them."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.json_text import read_json
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes.design import MOST_PROBLEMS, Design
from torchmultiverse.scenes.factors import FACTORS, FAMILY_COLUMNS, Factor, FactorTable, Value
from torchmultiverse.scenes.kinds import AnyDesign, Level, SpecModel
from torchmultiverse.scenes.spec_schema import with_factors
from torchmultiverse.scenes.splits import Splits
from torchmultiverse.scenes.video import FRAME, FRAME_TIME, check_steady

MAX_SPEC_BYTES = 64 * 1024 * 1024
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
PASSES = ("rgb", "mask", "class", "depth", "normals")
"""Passes that engines render."""
CLIP_PASSES = ("flow_forward", "flow_backward", "hidden_forward", "hidden_backward", "track")
"""Passes of frames, which are made of those of neighbouring frames."""


_Sides = Annotated[list[int], Field(min_length=2, max_length=2)]


def _sides(size: Any) -> Any:
    """Return width and height, which are also one number where they are equal.

    Raises:
        PydanticCustomError: neither.
    """
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) == 2 and all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        return sides
    raise PydanticCustomError(
        "sides", "whole numbers of pixels are needed: [512, 512] is width and height, 512 is both"
    )


class RenderSettings(SpecModel):
    """How every picture is rendered."""

    size: Annotated[_Sides, BeforeValidator(_sides, json_schema_input_type=_Sides | int)] = Field(
        default=[512, 512], description="width and height in pixels, 16 to 4096; one number is both"
    )
    passes: list[
        Literal[
            "rgb", "mask", "class", "depth", "normals",
            "flow_forward", "flow_backward", "hidden_forward", "hidden_backward", "track",
        ]
    ] = Field(default=["rgb"])  # fmt: skip
    format: Literal["png", "jpeg"] = Field(default="png", description="of the rgb pass; png is lossless")
    samples: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description="samples per pixel of a path tracer; null: the engine's default",
    )


class QualitySettings(SpecModel):
    """What a good picture is, and what is done about another one."""

    limits: dict[str, Annotated[list[float], Field(min_length=2, max_length=2)]] = Field(
        default_factory=dict,
        description='measured value → [low, high]; instead of the defaults, e.g. {"visible1": [0.5, 1]}',
    )
    nudge: float = Field(
        default=0.0,
        ge=0.0,
        le=15.0,
        description="degrees by which the camera may be turned or tilted for a picture that fails; 0: failing pictures "
        "are only marked. Factors that the design varies are never touched",
    )


class About(SpecModel):
    """What the datasheet says that only its makers know."""

    purpose: str = ""
    creators: str = ""
    funding: str = ""
    contact: str = ""
    maintenance: str = ""


class DeclaredFactor(SpecModel):
    """A factor that the user's own Unreal environment understands and the published families do not have."""

    name: str = Field(min_length=1, max_length=100)
    kind: Literal["category", "number"] = "category"
    default: Level | None = None
    column: str | None = None
    label: bool = Field(default=False, description="only said about the scene: no engine has to know it")


class SplitFraction(SpecModel):
    """A split drawn by hash: whole groups of the factors that are named, of single scenes where none is."""

    share: float = Field(gt=0, lt=1)
    by: list[str] = Field(default_factory=list)


class Spec(SpecModel):
    """A spec: a name, a design, and how to render it."""

    name: str = Field(pattern=NAME, description="name of the dataset")
    family: Literal["Animals", "ImageNet", "SPAR", "AR4T", "Custom"] = Field(
        default="Custom", description="which published columns and captions the dataset has"
    )
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    assets: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]] = Field(
        default_factory=list,
        description="packs of assets; the first that has a name gives it; 'procedural' is the package's own, which is "
        "also what an empty list means",
    )
    design: AnyDesign
    splits: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")], list[str | SplitFraction]] = Field(
        default_factory=dict,
        description="held-out splits: name → rules, of which one has to hold; what no split takes is 'train'",
    )
    render: RenderSettings = RenderSettings()
    quality: QualitySettings = QualitySettings()
    about: About = About()
    declare: list[DeclaredFactor] = Field(default_factory=list, description="factors beyond the published ones")

    @cached_property
    def _built(self) -> Design:
        return self.design.build(self.table, self.seed)

    @property
    def table(self) -> FactorTable:
        """The published factors and the declared ones, with the column names of the family."""
        declared = (Factor(d.name, d.column or d.name.lower(), d.kind, d.default, label=d.label) for d in self.declare)
        return FACTORS.renamed(FAMILY_COLUMNS.get(self.family, {})).extended(declared)

    def build(self) -> Design:
        """Return the design.

        Raises:
            SpecError: names the place and the value that is wrong.
        """
        return self._built

    def check_design(self) -> None:
        """Build the design, and check that nothing in its clips jumps.

        Raises:
            SpecError: the design is wrong, or something would jump.
        """
        design = self.build()
        if moving := [self.table[name].wire for name in self.design.moving()]:
            check_steady(design, sorted(moving))

    def split_rules(self) -> Splits:
        """Return the held-out splits.

        Raises:
            SpecError: a rule that cannot be read.
        """
        rules = {
            name: [r if isinstance(r, str) else r.model_dump() for r in given] for name, given in self.splits.items()
        }
        return Splits(rules, self.table, self.seed)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a spec file.

    >>> json_schema()["required"]
    ['name', 'design']
    """
    schema = with_factors(Spec.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _reject_constant(text: str) -> float:
    raise SpecError(f"{text} stands in the spec; JSON numbers must be finite")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise SpecError(f"the key '{key}' stands twice in one object of the spec")
        result[key] = value
    return result


def parse_spec(data: object, name: str = "spec") -> Spec:
    """Make a spec of a decoded JSON value.

    A published PUG config, an object of lists, is the full factorial of its factors as it stands.

    Raises:
        SpecError: names each place that is wrong, what was found and what would be right.

    >>> spec = parse_spec({"World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"], "Camera_Yaw": [0, 90, 180]})
    >>> design = spec.build()
    >>> len(design), design[0]
    (6, Scene({"Character_Name":"Zebra","World_Name":"Desert"}))
    """
    if not isinstance(data, dict):
        raise SpecError(f"a spec is a JSON object, not a {type(data).__name__}")
    problems: list[str] = []
    if "design" not in data:
        if not data:
            raise SpecError("the spec is empty; see an example with: torchmultiverse specs show spar")
        known = [f.wire for f in FACTORS]
        keys = list(Spec.model_fields)
        for key, value in data.items():
            if key not in FACTORS:
                hint = nearest(key, [*known, *keys])
                problems.append(f"unknown factor '{key}' (and no 'design').{hint}")
            elif not isinstance(value, list):
                problems.append(f"{key} = {value!r} is no list of levels; write [{value!r}]")
        if problems:
            raise SpecError("\n".join(problems[:MOST_PROBLEMS]))
        data = {"name": name, "design": {"kind": "factorial", "factors": data}}
    try:
        spec = Spec.model_validate(data)
    except ValidationError as error:
        problems, wrong = _read_problems(error)
        # What is wrong at one place hides nothing at the others.
        rest = {"name": name, **{key: value for key, value in data.items() if key not in wrong}}
        try:
            spec = Spec.model_validate(rest)
        except ValidationError:
            raise SpecError("\n".join(problems[:MOST_PROBLEMS])) from None
    problems += _built_problems(spec)
    if problems:
        raise SpecError("\n".join(problems[:MOST_PROBLEMS]))
    return spec


def _read_problems(error: ValidationError) -> tuple[list[str], set[str]]:
    """Return what in a spec cannot be read, a line for each place, and which of its keys these are below."""
    lines, wrong = [], set()
    for problem in error.errors():
        place = ".".join(str(p) for p in problem["loc"]) or "spec"
        hint = ""
        if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:  # deeper down there are other names
            hint = nearest(str(problem["loc"][-1]), Spec.model_fields)
        lines.append(f"{place}: {problem['msg']} (found {str(problem.get('input'))[:80]!r}).{hint}")
        wrong |= {str(problem["loc"][0])} if problem["loc"] else set()
    return lines, wrong


def _built_problems(spec: Spec) -> list[str]:
    """Return what is wrong with a spec that can be read."""
    problems = []
    for side in spec.render.size:
        if not 16 <= side <= 4096:
            problems.append(f"render.size: {side} is out of range: 16 to 4096 pixels")
    if "rgb" not in spec.render.passes or len(set(spec.render.passes)) != len(spec.render.passes):
        problems.append(f"render.passes = {spec.render.passes}: 'rgb' must be there, and each pass once")
    problems += _clip_problems(spec)
    for check in (spec.split_rules, spec.check_design):  # a spec that loads has a design that can be built
        try:
            check()
        except SpecError as error:
            problems.append(str(error))
    return list(dict.fromkeys(problems))  # what hinders two of the checks is said once


def _clip_problems(spec: Spec) -> list[str]:
    """Return what does not go with clips, or not without them."""
    problems = []
    passes, moving = spec.render.passes, spec.design.moving()
    asked = [name for name in passes if name in CLIP_PASSES]
    if asked and not moving:
        problems.append(f"render.passes: '{asked[0]}' is of frames; a design of the kind 'video' has them")
    for name in asked:
        needs = ("mask",) if name == "track" else ("mask", "depth")
        if lacking := [f"'{other}'" for other in needs if other not in passes]:
            problems.append(f"render.passes: '{name}' is made of {' and '.join(lacking)}; list that as well")
    if moving and spec.quality.nudge:
        problems.append(f"quality.nudge = {spec.quality.nudge:g}: the camera of a clip keeps to its path; 0 is right")
    try:
        wires = {spec.table[name].wire for name in moving}
        named = spec.split_rules().named() if moving else {}
    except SpecError:
        return problems  # said where it is built
    for place, factors in named.items():
        if (cut := sorted(factors & wires)) and not factors & {FRAME, FRAME_TIME}:
            problems.append(
                f"{place} names {cut[0]}, which moves, so that it would cut clips; name what is the same in all of a "
                f"clip, or {FRAME_TIME} as well to cut them"
            )
    return problems


def mentioned_levels(path: str | Path) -> dict[str, list[Value]]:
    """Return the levels that a spec's file mentions anywhere, by factor, also of one that cannot be built.

    What is no level of its factor is left out, and all of a file that cannot be read.
    """
    try:
        data = read_json(spec_path(path).read_text("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    found: dict[str, dict[Value, None]] = {}
    open_ = [data]
    while open_:
        one = open_.pop()
        open_ += one if isinstance(one, list) else one.values() if isinstance(one, dict) else ()
        for name, levels in one.items() if isinstance(one, dict) else ():
            if name in FACTORS and not isinstance(levels, dict):
                found.setdefault(FACTORS[name].wire, {}).update(dict.fromkeys(_levels(FACTORS[name], levels)))
    return {name: list(levels) for name, levels in found.items() if levels}


def _levels(factor: Factor, levels: Any) -> list[Value]:
    """Return those of some values that are levels of a factor."""
    kept = []
    if factor.kind == "list" and isinstance(levels, list) and not any(isinstance(one, list) for one in levels):
        levels = [levels]  # a scene's own, not the levels of a design
    for level in levels if isinstance(levels, list) else [levels]:
        try:
            kept.append(factor.canonical(level))
        except SpecError:
            continue
    return kept


def shipped_specs() -> dict[str, Path]:
    """Return the specs that come with the package: name → file.

    >>> "spar" in shipped_specs()
    True
    """
    found = {}
    for path in sorted(data_folder("scenes").glob("*.json")):
        data = json.loads(path.read_text("utf-8"))
        # The other files there are tables of the built-in engine.
        if isinstance(data, dict) and ("design" in data or all(key in FACTORS for key in data)):
            found[path.stem] = path
    return found


def spec_path(path: str | Path) -> Path:
    """Return the file that a path means, or a shipped spec's name: ``spar``, ``spar.json`` or ``scenes/spar.json``.

    >>> spec_path("spar").name, str(spec_path("my/spar.json"))
    ('spar.json', 'my/spar.json')
    """
    path = Path(path)
    if not path.is_file() and path.parent.as_posix() in (".", "scenes") and path.suffix in ("", ".json"):
        return shipped_specs().get(path.stem, path)
    return path


def _dataset_name(stem: str) -> str:
    """Return the name that a spec without one has from its file's: ``my spec (1).json`` → ``my_spec_1``."""
    return stem if re.match(NAME, stem) else re.sub(r"[^A-Za-z0-9.-]+", "_", stem).strip("_.-")[:100] or "spec"


def load_spec(path: str | Path) -> Spec:
    """Read a spec file, or a spec that comes with the package.

    Args:
        path: of the file, or a shipped spec's name, see `shipped_specs`; a file that is there comes first.

    Raises:
        SpecError: the file is missing, too large, no JSON, or its content is wrong; the message names the file.

    >>> len(load_spec("spar").build())
    43560
    """
    path = spec_path(path)
    try:
        if path.stat().st_size > MAX_SPEC_BYTES:
            raise SpecError(f"{path}: larger than {MAX_SPEC_BYTES // 2**20} MiB")
        text = path.read_text("utf-8-sig")  # editors on Windows put a byte order mark first
    except FileNotFoundError:
        raise SpecError(f"no spec at {path}.{nearest(path.stem, shipped_specs())}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from None
    try:
        data = read_json(text, parse_constant=_reject_constant, object_pairs_hook=_no_duplicates)
        return parse_spec(data, _dataset_name(path.stem))
    except json.JSONDecodeError as error:
        raise SpecError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from None
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None
    except ValueError as error:  # what Python does not read as an integer: more than 4300 digits
        raise SpecError(f"{path}: {str(error).partition(';')[0]}") from None
