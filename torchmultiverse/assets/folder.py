"""A user's folder of meshes and environment maps with ``assets.json``, and the pack that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.assets import model as models
from torchmultiverse.assets.decimate import decimated
from torchmultiverse.assets.environment import pack_map
from torchmultiverse.assets.files import MAX_MANIFEST_BYTES, inside, read_bounded, suffixed
from torchmultiverse.assets.library import ASSET_NAME, PACK_NAME, Item, Kind, Pack, install
from torchmultiverse.assets.maps import MAP_SUFFIXES, read_map
from torchmultiverse.assets.model import Axis, MeshModel
from torchmultiverse.assets.reading import FRONTS, MESH_SUFFIXES, read_model
from torchmultiverse.errors import AssetError, nearest

MANIFEST = "assets.json"
_SIZES = (0.2, 3.0)
_KINDS: dict[str, Kind] = {
    s: "character" if s in MESH_SUFFIXES else "environment" for s in (*MESH_SUFFIXES, *MAP_SUFFIXES)
}


class _FolderRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Entry(_FolderRecord):
    """One asset as its owner describes it; what is not given is guessed from the file, but never the licence."""

    name: Annotated[str, Field(pattern=ASSET_NAME, description="level of Character_Name or World_Name")]
    file: Annotated[str, Field(min_length=1, max_length=500, description="path inside the folder")]
    kind: Kind | None = Field(default=None, description="guessed from the file's ending")
    license: str | None = Field(default=None, description="SPDX identifier where there is one; or the folder's")
    attribution: str | None = Field(default=None, description="whom to name; or the folder's")
    source: str | None = Field(default=None, description="where it is from; or the folder's")
    display_name: str | None = Field(default=None, description="what a person calls it; guessed from the name")
    size: float | None = Field(default=None, ge=_SIZES[0], le=_SIZES[1], description="largest dimension, metres")
    up: Axis | None = Field(default=None, description="the file's axis that points up")
    forward: Axis | None = Field(default=None, description="the file's axis that it looks along")
    hover: float = Field(default=0.0, ge=0, le=3, description="height of its lowest point above the ground, metres")
    exposure: float = Field(default=0.0, ge=-8, le=8, description="of an environment, stops")


class FolderManifest(_FolderRecord):
    """What ``assets.json`` holds."""

    name: Annotated[str | None, Field(pattern=PACK_NAME, description="of the pack; else the folder's")] = None
    license: str | None = None
    attribution: str | None = None
    source: str | None = None
    assets: Annotated[list[Entry], Field(min_length=1, max_length=10_000)]


def add(folder: Path, name: str | None = None) -> Pack:
    """Install what a folder holds as a pack.

    Args:
        folder: with ``assets.json``.
        name: of the pack; by default the manifest's, else the folder's.

    Raises:
        AssetError: names the place, the value, and what would be right. Nothing is installed then.
        MissingExtra: the package that decimates meshes is needed and not installed.
    """
    manifest = read_manifest(folder)
    name = name or manifest.name or folder.resolve().name
    if not re.match(PACK_NAME, name):
        raise AssetError(f"'{name}' is no name of a pack: letters, digits, - and _, at most 64; give one with --name")
    return install(name, _assets(folder, manifest))


def read_manifest(folder: Path) -> FolderManifest:
    """Return a folder's manifest.

    Raises:
        AssetError: the folder or its manifest is not there (then it shows one to start from), or wrong.
    """
    if not folder.is_dir():
        raise AssetError(f"{folder} is no folder")
    if not (folder / MANIFEST).exists():
        raise AssetError(f"{folder} has no {MANIFEST}; write one, for example:\n{_suggestion(folder)}")
    path = inside(folder, MANIFEST, str(folder))
    try:
        data = json.loads(read_bounded(path, MAX_MANIFEST_BYTES, MANIFEST))
        json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair is read, but can be written nowhere
    except (ValueError, RecursionError) as error:
        raise AssetError(f"{path}: not JSON: {error}") from None
    try:
        manifest = FolderManifest.model_validate(data)
    except ValidationError as error:
        raise AssetError("\n".join(f"{path}: {_problem(p)}" for p in error.errors())) from None
    for k, entry in enumerate(manifest.assets):
        _licence(entry, manifest, f"{MANIFEST}: assets[{k}] ({entry.name})")
    return manifest


def _problem(problem: Any) -> str:
    """Return one error of pydantic as a line."""
    place = ".".join(str(part) for part in problem["loc"]) or "the file"
    hint = ""
    if problem["type"] == "extra_forbidden":
        hint = nearest(str(problem["loc"][-1]), Entry.model_fields)
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
    for k, entry in enumerate(manifest.assets):
        what = f"assets[{k}] ({entry.name})"
        path = inside(folder, entry.file, what)
        guess = _KINDS.get(path.suffix.lower())
        kind = entry.kind or guess
        if guess is None or kind != guess:
            ends = ", ".join(s for s, of in _KINDS.items() if kind in (None, of))
            raise AssetError(f"{what}: '{entry.file}' is no {kind or 'asset'}: its name should end in one of {ends}")
        if entry.name == "blank" or (kind == "environment" and re.search(r"_\d+$", entry.name)):
            raise AssetError(f"{what}: the name '{entry.name}' means something else; choose another")
        facts: dict[str, Any] = {"name": entry.name, "kind": kind, **_licence(entry, manifest, what)}
        facts["display_name"] = entry.display_name or name_in_words(entry.name)
        if kind == "environment":
            for key in ("size", "up", "forward"):
                if getattr(entry, key) is not None:
                    raise AssetError(f"{what}: an environment has no '{key}'")
            radiance, notes = read_map(path, what)
            yield Item(**facts, exposure=entry.exposure, notes=notes), pack_map(radiance)
            continue
        up, forward = FRONTS[path.suffix.lower()]
        up, forward = entry.up or up, entry.forward or forward
        if up[-1] == forward[-1]:
            raise AssetError(f"{what}: up is '{up}' and forward '{forward}', on one axis; give both")
        size = entry.size or models.DISPLAY_SIZE
        model, notes = read_model(path, folder, what)
        model, more = normalized_model(model, what, size, up, forward)
        item = Item(**facts, hover=entry.hover, size=size, triangles=model.triangles, notes=notes + more)
        yield item, models.pack(model)


def normalized_model(model: MeshModel, what: str, size: float, up: Axis, forward: Axis) -> tuple[MeshModel, list[str]]:
    """Return a model checked, turned, scaled, grounded, and decimated where it is too fine; and remarks.

    Raises:
        AssetError: see `models.cleaned` and `models.placed`.
    """
    model, notes = models.cleaned(model, what)
    model, more = models.placed(model, what, size, up, forward)
    notes += more
    if model.triangles > models.KEPT_TRIANGLES:
        before = model.triangles
        model = decimated(model, models.KEPT_TRIANGLES)
        notes.append(f"decimated from {before:,} to {model.triangles:,} triangles")
    return model, notes


def name_in_words(name: str) -> str:
    """Return a name as words: ``GiantTortoise`` is a giant tortoise."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+", " ", name).lower().strip()
