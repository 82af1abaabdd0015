"""A user's folder of meshes and environment maps with a manifest or a table, and the pack that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets import model as models
from torchmultiverse.assets.classes import ClassedName, class_remark, classed_names, name_remarks
from torchmultiverse.assets.decimate import decimated
from torchmultiverse.assets.environment import pack_map
from torchmultiverse.assets.files import inside, suffixed
from torchmultiverse.assets.library import ASSET_NAME, PACK_NAME, Item, Kind, Pack, install
from torchmultiverse.assets.maps import MAP_SUFFIXES, read_map
from torchmultiverse.assets.model import Axis, MeshModel, Pose
from torchmultiverse.assets.reading import FRONTS, MESH_SUFFIXES, read_model
from torchmultiverse.assets.table import TABLE_SUFFIXES, read_table
from torchmultiverse.errors import AssetError, nearest

MANIFEST = "assets.json"
TABLE = "assets.csv"
"""Read where there is no manifest: the same entries as rows."""
MOST_FAULTS = 20
"""Faults of a folder that are shown; the others are counted."""
Progress = Callable[[str, bool], None]
"""Told what is done now, and whether it takes long."""
_SIZES = (0.2, 3.0)
_KINDS: dict[str, Kind] = {
    s: "character" if s in MESH_SUFFIXES else "environment" for s in (*MESH_SUFFIXES, *MAP_SUFFIXES)
}


class _FolderRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Entry(_FolderRecord):
    """One asset as its owner describes it; what is not given is guessed from the file, but never the licence."""

    name: Annotated[
        str | None, Field(pattern=ASSET_NAME, description="level of Character_Name or World_Name; or CLASS_k")
    ] = None
    class_name: Annotated[
        str | None, Field(alias="class", pattern=ASSET_NAME, description="one of the published, or an own one")
    ] = None
    file: Annotated[str, Field(min_length=1, max_length=500, description="path inside the folder")]
    kind: Kind | None = Field(default=None, description="guessed from the file's ending")
    license: str | None = Field(default=None, description="SPDX identifier where there is one; or the folder's")
    attribution: str | None = Field(default=None, description="whom to name; or the folder's")
    source: str | None = Field(default=None, description="where it is from; or the folder's")
    display_name: str | None = Field(default=None, description="what a person calls it; guessed from the name")
    size: float | None = Field(default=None, ge=_SIZES[0], le=_SIZES[1], description="largest dimension, metres")
    up: Axis | None = Field(default=None, description="the file's axis that points up")
    forward: Axis | None = Field(default=None, description="the file's axis that it looks along")
    yaw: float = Field(default=0.0, ge=-360, le=360, description="turn about the vertical, degrees, then")
    lean: float = Field(default=0.0, ge=-180, le=180, description="tilt of its upper side to the camera of yaw 0")
    hover: float = Field(default=0.0, ge=0, le=3, description="height of its lowest point above the ground, metres")
    exposure: float = Field(default=0.0, ge=-8, le=8, description="of an environment, stops")


_COLUMNS = tuple(field.alias or name for name, field in Entry.model_fields.items())


class FolderManifest(_FolderRecord):
    """What ``assets.json`` holds."""

    name: Annotated[str | None, Field(pattern=PACK_NAME, description="of the pack; else the folder's")] = None
    license: str | None = None
    attribution: str | None = None
    source: str | None = None
    assets: Annotated[list[Entry], Field(min_length=1, max_length=10_000)]


@dataclass
class _Given:
    """What a folder is said to hold.

    Attributes:
        manifest: with the entries that can be read.
        places: what errors call each of these.
        faults: what is wrong so far, a line each.
    """

    manifest: FolderManifest
    places: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def add(
    folder: Path, name: str | None = None, table: Path | None = None, progress: Progress = lambda text, long: None
) -> Pack:
    """Install what a folder holds as a pack.

    Args:
        folder: with ``assets.json``, or ``assets.csv``.
        name: of the pack; by default the manifest's, else the folder's.
        table: a manifest (JSON) or table (CSV) elsewhere; its files are named relative to the folder.
        progress: told what is done now.

    Raises:
        AssetError: names the place, the value, and what would be right, of everything that is wrong (`MOST_FAULTS` at
            most). Nothing is installed then.
        MissingExtra: the package that decimates meshes is needed and not installed.
    """
    given = _read(folder, table)
    name = name or given.manifest.name or folder.resolve().name
    assets = _assets(folder, given, progress)
    if not re.match(PACK_NAME, name):
        given.faults.append(
            f"'{name}' is no name of a pack: letters, digits, - and _, at most 64; give one with --name"
        )
        next(assets)  # raises all that is wrong
    return install(name, assets)


def _table_of(folder: Path, table: Path | None) -> Path:
    """Return the file that says what a folder holds.

    Raises:
        AssetError: the folder or its manifest is not there (then it shows one to start from), or is no table.
    """
    if not folder.is_dir():
        raise AssetError(f"{folder} is no folder")
    if table is None:
        given = next((n for n in (MANIFEST, TABLE) if (folder / n).exists()), None)
        if given is None:
            raise AssetError(f"{folder} has no {MANIFEST}; write one, for example:\n{_suggestion(folder)}")
        table = inside(folder, given, str(folder))
    if table.suffix.lower() not in TABLE_SUFFIXES:
        raise AssetError(f"{table}: a table is a file that ends in {' or '.join(TABLE_SUFFIXES)}")
    return table


def _read(folder: Path, table: Path | None) -> _Given:
    """Return what a folder is said to hold.

    Raises:
        AssetError: see `_table_of`; or the file is wrong as a whole.
    """
    table = _table_of(folder, table)
    faults: list[str] = []
    data = read_table(table, _COLUMNS, faults)
    entries: Any = data.get("assets")
    if entries == []:
        raise AssetError(f"{table}: it lists no assets; write them, for example:\n{_suggestion(folder)}")
    numbers = list(range(len(entries))) if isinstance(entries, list) else []
    told = {k for k in numbers if entries[k] is None and table.suffix.lower() == ".csv"}
    try:
        manifest = FolderManifest.model_validate(data)
    except ValidationError as error:
        problems = [(p, _number(p)) for p in error.errors() if _number(p) not in told]
        faults += [f"{table}: {_problem(p)}" for p, _ in problems]
        wrong = told | {number for _, number in problems}
        numbers = [k for k in numbers if k not in wrong]
        if None in wrong or not numbers:  # the file as a whole, or all of it
            raise _error(faults) from None
        # What is wrong with one asset hides nothing of the others.
        manifest = FolderManifest.model_validate({**data, "assets": [entries[k] for k in numbers]})
    found = _Given(manifest, faults=faults)
    for k, entry in zip(numbers, manifest.assets, strict=True):
        found.places.append(f"assets[{k}] ({entry.name or entry.file})")
    return found


def _number(problem: Any) -> int | None:
    """Return of which asset, from 0, one error of pydantic is; None: of the file as a whole."""
    place = problem["loc"]
    return int(place[1]) if place[:1] == ("assets",) and len(place) > 1 else None


def _error(faults: Sequence[str]) -> AssetError:
    """Return all that is wrong as one error."""
    if len(faults) == 1:
        return AssetError(faults[0])
    lines = [f"{len(faults)} faults, so nothing is installed:", *faults[:MOST_FAULTS]]
    if len(faults) > MOST_FAULTS:
        lines.append(f"… and {len(faults) - MOST_FAULTS} more")
    return AssetError("\n".join(lines))


_EXAMPLE = '{"name": "Fox", "file": "fox.glb"}'
_WORDS = {
    "list_type": f"a list of assets is needed, such as [{_EXAMPLE}]",
    "model_type": f"an object is needed, such as {_EXAMPLE}",
    "extra_forbidden": "no such key is known",
    "string_type": "a text is needed, in quotes",
    "float_type": "a number is needed",
    "string_pattern_mismatch": "a name is needed: letters, digits, - and _, 64 at most, the first a letter",
}
"""What pydantic's errors are for people who write a manifest."""


def _problem(problem: Any) -> str:
    """Return one error of pydantic as a line."""
    place = ".".join(str(part) for part in problem["loc"]) or "the file"
    hint = ""
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(problem["loc"][-1]), _COLUMNS)
    found = "" if problem["type"] == "missing" else f" (found {str(problem.get('input'))[:80]!r})"
    return f"{place}: {_WORDS.get(problem['type'], problem['msg'])}{found}.{hint}"


def _suggestion(folder: Path) -> str:
    found = suffixed(folder, (*MESH_SUFFIXES, *MAP_SUFFIXES))
    names: dict[str, str] = {}
    for file in found[:20] or ["fox.glb"]:
        stem = re.sub(r"[^A-Za-z0-9]+", " ", Path(file).stem).title().replace(" ", "")
        name = stem if stem[:1].isalpha() else f"My{stem}"
        names[name if name not in names else f"{name}{len(names) + 1}"] = file
    lines = ",\n  ".join(json.dumps({"name": name, "file": file}) for name, file in names.items())
    shared = '"license": "CC0-1.0", "attribution": "who made them", "source": "where they are from"'
    return f'{{{shared},\n "assets": [\n  {lines}]}}'


def _licence(entry: Entry, manifest: FolderManifest, what: str) -> dict[str, str]:
    """Return licence, attribution and source of an asset.

    Raises:
        AssetError: no licence, or one that wants a name where there is none.
    """
    terms = {
        key: (getattr(entry, key) if getattr(entry, key) is not None else getattr(manifest, key)) or ""
        for key in ("license", "attribution", "source")
    }
    if not terms["license"].strip():
        raise AssetError(
            f"{what}: it has no license; write its SPDX identifier, such as 'CC-BY-4.0', or what allows you to use it"
        )
    if terms["license"].upper().startswith("CC-BY") and not terms["attribution"].strip():
        raise AssetError(f"{what}: the licence {terms['license']} asks to name who made it; write 'attribution'")
    return terms


def _assets(folder: Path, given: _Given, progress: Progress) -> Iterator[tuple[Item, bytes]]:
    """Yield the assets of a folder; none more from the first fault on, but all faults in the end.

    Raises:
        AssetError: all that is wrong.
    """
    faults, entries = given.faults, given.manifest.assets
    names = classed_names([(entry.name, entry.class_name) for entry in entries], given.places, faults)
    checked: list[tuple[Entry, ClassedName, str, Path, dict[str, Any]]] = []
    kinds: set[tuple[str, str]] = set()
    for entry, named, what in zip(entries, names, given.places, strict=True):
        try:
            facts: dict[str, Any] = {"name": named.name, **_licence(entry, given.manifest, what)}
            path = inside(folder, entry.file, what)
            facts["kind"] = kind = _kind(entry, named.name, path, what)
            if (kind, named.name) in kinds:
                raise AssetError(f"{what}: the {kind} '{named.name}' is there twice")
            kinds.add((kind, named.name))
            facts["display_name"] = entry.display_name or name_in_words(named.name)
            checked.append((entry, named, what, path, facts))
        except AssetError as error:
            faults.append(str(error))
    for entry, named, what, path, facts in checked:
        progress(f"reading {named.name}", False)
        try:
            read = _environment if facts["kind"] == "environment" else _character
            make = read(entry, named, path, folder, what, facts)
            if not faults:
                item, data = make(progress)
                remarks = name_remarks(named.name, item.kind, kinds) if entry.name else []
                yield item.model_copy(update={"notes": [*remarks, *item.notes]}), data
        except AssetError as error:
            faults.append(str(error))
    if faults:
        raise _error(faults)


Make = Callable[[Progress], tuple[Item, bytes]]
"""Makes what is kept of a file that was read."""


def _environment(
    entry: Entry, named: ClassedName, path: Path, folder: Path, what: str, facts: Mapping[str, Any]
) -> Make:
    """Read and check an environment map.

    Raises:
        AssetError: what is wrong with it.
    """
    for key in ("size", "up", "forward", "class_name"):
        if getattr(entry, key) is not None:
            raise AssetError(f"{what}: an environment has no '{key.removesuffix('_name')}'")
    radiance, notes = read_map(path, what)
    return lambda progress: (Item(**facts, exposure=entry.exposure, notes=notes), pack_map(radiance))


def _character(entry: Entry, named: ClassedName, path: Path, folder: Path, what: str, facts: Mapping[str, Any]) -> Make:
    """Read and check a mesh.

    Raises:
        AssetError: what is wrong with it.
    """
    up, forward = FRONTS[path.suffix.lower()]
    pose = Pose(entry.up or up, entry.forward or forward, entry.yaw, entry.lean, entry.size or models.DISPLAY_SIZE)
    if pose.up[-1] == pose.forward[-1]:
        raise AssetError(f"{what}: up is '{pose.up}' and forward '{pose.forward}', on one axis; give both")
    model, notes = read_model(path, folder, what)
    model, more = normalized_model(model, what, pose)
    facts = {**facts, "class_name": named.class_name, "hover": entry.hover}
    return lambda progress: kept_character(model, pose.size, facts, [*notes, *more], progress)


def _kind(entry: Entry, name: str, path: Path, what: str) -> Kind:
    """Return the kind of an asset.

    Raises:
        AssetError: its file is of another, or its name means something else.
    """
    guess = _KINDS.get(path.suffix.lower())
    kind = entry.kind or guess
    if guess is None or kind != guess:
        ends = ", ".join(s for s, of in _KINDS.items() if kind in (None, of))
        raise AssetError(f"{what}: '{entry.file}' is no {kind or 'asset'}: its name should end in one of {ends}")
    if name == "blank" or (kind == "environment" and re.search(r"_\d+$", name)):
        raise AssetError(f"{what}: the name '{name}' means something else; choose another")
    return guess


def character_item(
    model: MeshModel, pose: Pose, facts: Mapping[str, Any], notes: Sequence[str], what: str
) -> tuple[Item, bytes]:
    """Return a character of a pack, normalised, and the bytes of its file.

    Args:
        model: as its file has it.
        pose: how it is to stand.
        facts: fields of `Item`: name, display_name, license, and whatever else there is to say.
        notes: remarks for its owner.
        what: names the asset in errors.

    Raises:
        AssetError: see `normalized_model`.
    """
    model, more = normalized_model(model, what, pose)
    return kept_character(model, pose.size, facts, [*notes, *more])


def normalized_model(model: MeshModel, what: str, pose: Pose) -> tuple[MeshModel, list[str]]:
    """Return a model checked, turned, scaled and grounded; and remarks.

    Raises:
        AssetError: see `models.cleaned` and `models.placed`.
    """
    model, notes = models.cleaned(model, what)
    model, more = models.placed(model, what, pose)
    return model, [*notes, *more]


def kept_character(
    model: MeshModel,
    size: float,
    facts: Mapping[str, Any],
    notes: Sequence[str],
    progress: Progress = lambda text, long: None,
) -> tuple[Item, bytes]:
    """Return a character of a pack, decimated where it is too fine, and the bytes of its file.

    Args:
        model: in its place.
        size: its largest edge, metres.
        facts: see `character_item`.
        notes: remarks for its owner.
        progress: told what is done now.
    """
    more = []
    if model.triangles > models.KEPT_TRIANGLES:
        before = model.triangles
        progress(f"decimating {facts['name']}, {before:,} triangles", True)
        model = decimated(model, models.KEPT_TRIANGLES)
        more.append(f"decimated from {before:,} to {model.triangles:,} triangles")
    if remark := class_remark(str(facts.get("class_name") or "")):
        more.append(remark)
    given = {"kind": "character", **facts}
    item = Item(**given, size=size, triangles=model.triangles, notes=[*notes, *more])
    return item, models.pack(model)


def name_in_words(name: str) -> str:
    """Return a name as words: ``GiantTortoise`` is a giant tortoise."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+", " ", name).lower().strip()
