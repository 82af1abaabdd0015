"""A user's folder of meshes and environment maps with a manifest or a table, and the pack that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets import model as models
from torchmultiverse.assets.classes import class_remark, classed_names
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


def add(folder: Path, name: str | None = None, table: Path | None = None) -> Pack:
    """Install what a folder holds as a pack.

    Args:
        folder: with ``assets.json``, or ``assets.csv``.
        name: of the pack; by default the manifest's, else the folder's.
        table: a manifest (JSON) or table (CSV) elsewhere; its files are named relative to the folder.

    Raises:
        AssetError: names the place, the value, and what would be right. Nothing is installed then.
        MissingExtra: the package that decimates meshes is needed and not installed.
    """
    manifest = read_manifest(folder, table)
    name = name or manifest.name or folder.resolve().name
    if not re.match(PACK_NAME, name):
        raise AssetError(f"'{name}' is no name of a pack: letters, digits, - and _, at most 64; give one with --name")
    return install(name, _assets(folder, manifest))


def read_manifest(folder: Path, table: Path | None = None) -> FolderManifest:
    """Return a folder's manifest.

    Raises:
        AssetError: the folder or its manifest is not there (then it shows one to start from), or wrong.
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
    data = read_table(table, _COLUMNS)
    try:
        manifest = FolderManifest.model_validate(data)
    except ValidationError as error:
        raise AssetError("\n".join(f"{table}: {_problem(p)}" for p in error.errors())) from None
    for k, entry in enumerate(manifest.assets):
        if entry.name is None and entry.class_name is None:
            raise AssetError(f"{table.name}: assets[{k}] ({entry.file}): it has neither a name nor a class")
        _licence(entry, manifest, f"{table.name}: assets[{k}] ({entry.name or entry.file})")
    return manifest


def _problem(problem: Any) -> str:
    """Return one error of pydantic as a line."""
    place = ".".join(str(part) for part in problem["loc"]) or "the file"
    hint = ""
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(problem["loc"][-1]), _COLUMNS)
    found = "" if problem["type"] == "missing" else f" (found {str(problem.get('input'))[:80]!r})"
    return f"{place}: {problem['msg']}{found}.{hint}"


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


def _assets(folder: Path, manifest: FolderManifest) -> Iterator[tuple[Item, bytes]]:
    places = [f"assets[{k}] ({entry.name or entry.file})" for k, entry in enumerate(manifest.assets)]
    names = classed_names([(entry.name, entry.class_name) for entry in manifest.assets], places)
    for entry, named, what in zip(manifest.assets, names, places, strict=True):
        path = inside(folder, entry.file, what)
        kind = _kind(entry, named.name, path, what)
        facts: dict[str, Any] = {"name": named.name, "kind": kind, **_licence(entry, manifest, what)}
        facts["display_name"] = entry.display_name or name_in_words(named.name)
        if kind == "environment":
            for key in ("size", "up", "forward", "class_name"):
                if getattr(entry, key) is not None:
                    raise AssetError(f"{what}: an environment has no '{key.removesuffix('_name')}'")
            radiance, notes = read_map(path, what)
            yield Item(**facts, exposure=entry.exposure, notes=notes), pack_map(radiance)
            continue
        up, forward = FRONTS[path.suffix.lower()]
        pose = Pose(entry.up or up, entry.forward or forward, entry.yaw, entry.lean, entry.size or models.DISPLAY_SIZE)
        if pose.up[-1] == pose.forward[-1]:
            raise AssetError(f"{what}: up is '{pose.up}' and forward '{pose.forward}', on one axis; give both")
        model, notes = read_model(path, folder, what)
        yield character_item(model, pose, facts | {"class_name": named.class_name, "hover": entry.hover}, notes, what)


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
    """Return a character of a pack, normalised (see `normalized_model`), and the bytes of its file.

    Args:
        model: as its file has it.
        pose: how it is to stand.
        facts: fields of `Item`: name, display_name, license, and whatever else there is to say.
        notes: remarks for its owner.
        what: names the asset in errors.
    """
    model, more = normalized_model(model, what, pose)
    if remark := class_remark(str(facts.get("class_name") or "")):
        more = [*more, remark]
    given = {"kind": "character", **facts}
    item = Item(**given, size=pose.size, triangles=model.triangles, notes=[*notes, *more])
    return item, models.pack(model)


def normalized_model(model: MeshModel, what: str, pose: Pose) -> tuple[MeshModel, list[str]]:
    """Return a model checked, turned, scaled, grounded, and decimated where it is too fine; and remarks.

    Raises:
        AssetError: see `models.cleaned` and `models.placed`.
    """
    model, notes = models.cleaned(model, what)
    model, more = models.placed(model, what, pose)
    notes += more
    if model.triangles > models.KEPT_TRIANGLES:
        before = model.triangles
        model = decimated(model, models.KEPT_TRIANGLES)
        notes.append(f"decimated from {before:,} to {model.triangles:,} triangles")
    return model, notes


def name_in_words(name: str) -> str:
    """Return a name as words: ``GiantTortoise`` is a giant tortoise."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+", " ", name).lower().strip()
