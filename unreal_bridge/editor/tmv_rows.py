"""Rows of the bridge's data tables, and lines of Unreal's .ini files. No call of Unreal's: runs and is tested anywhere.

Python 3.9, which Unreal 5.0 has.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

MESHES = (".fbx", ".glb", ".gltf", ".obj")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
GAME_PATH = re.compile(r"/[A-Za-z0-9_]+(/[A-Za-z0-9_.-]+)+")
TABLE = "characters.csv"
SETTINGS = "/Script/TorchMultiverseBridge.TmvSettings"


class RowError(ValueError):
    """Names the place and the value that is wrong, and what would be right."""


def level_name(text: str) -> str:
    """Return the level on the wire that a file or an asset gives: letters, digits, '_' and '-'.

    Raises:
        RowError: nothing is left of it.
    """
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:100]
    if not NAME.fullmatch(name):
        raise RowError(f"{text!r} gives no name; letters and digits are right")
    return name


def object_path(package: str) -> str:
    """Return ``/Game/A/B.B`` for ``/Game/A/B``, which is how tables name assets.

    Raises:
        RowError: no path of an asset.
    """
    if not GAME_PATH.fullmatch(package):
        raise RowError(f"{package!r} is no path of an asset; /Game/Characters/Zebra is of the right form")
    last = package.rsplit("/", 1)[1]
    return package if "." in last else f"{package}.{last}"


def rotator(yaw: float = 0, pitch: float = 0, roll: float = 0) -> str:
    """Return an FRotator as tables hold it."""
    return f"(Pitch={pitch:.6f},Yaw={yaw:.6f},Roll={roll:.6f})"


def vector(x: float, y: float, z: float) -> str:
    """Return an FVector as tables hold it."""
    return f"(X={x:.6f},Y={y:.6f},Z={z:.6f})"


@dataclass(frozen=True)
class Character:
    """A row of the table of characters; the fields are those of FTmvCharacterRow."""

    name: str
    static_mesh: str = ""
    skeletal_mesh: str = ""
    pose: str = ""
    pose_time: float = 0.0
    yaw: float = 0.0
    longest_edge: float = 160.0
    hover: float = 0.0
    class_id: int = 0
    class_name: str = ""
    source: str = ""
    license: str = ""
    attribution: str = ""

    def row(self) -> dict[str, str]:
        """Return the row by property.

        Raises:
            RowError: a name, a path or a number that cannot be.
        """
        if not NAME.fullmatch(self.name):
            raise RowError(f"character {self.name!r}: letters, digits, '_' and '-' are right")
        if bool(self.static_mesh) == bool(self.skeletal_mesh):
            raise RowError(f"character {self.name!r}: one mesh is right, static or skeletal")
        if not 0 <= self.class_id <= 65535 or self.longest_edge < 0:
            raise RowError(f"character {self.name!r}: class {self.class_id}, longest edge {self.longest_edge}")
        return {
            "Wire": self.name,
            "SkeletalMesh": object_path(self.skeletal_mesh) if self.skeletal_mesh else "",
            "StaticMesh": object_path(self.static_mesh) if self.static_mesh else "",
            "Pose": object_path(self.pose) if self.pose else "",
            "PoseTime": f"{self.pose_time:g}",
            "Turn": rotator(self.yaw),
            "LongestEdge": f"{self.longest_edge:g}",
            "Hover": f"{self.hover:g}",
            "ClassId": str(self.class_id),
            "ClassName": self.class_name,
            "Source": self.source,
            "License": self.license,
            "Attribution": self.attribution,
        }


@dataclass(frozen=True)
class World:
    """A row of the table of worlds; the fields are those of FTmvWorldRow."""

    name: str
    level: str
    stage: tuple[float, float, float] = (0.0, 0.0, 0.0)
    stage_yaw: float = 0.0
    elevation: float = 5.0
    reach: float = 1.0
    exposure: float = 0.0
    sky_from: float = 2000.0
    source: str = ""
    license: str = ""
    attribution: str = ""

    def row(self) -> dict[str, str]:
        """Return the row by property.

        Raises:
            RowError: a name, a path or a number that cannot be.
        """
        if not NAME.fullmatch(self.name):
            raise RowError(f"world {self.name!r}: letters, digits, '_' and '-' are right")
        if not -90 < self.elevation < 90 or not self.reach > 0 or not self.sky_from > 0:
            raise RowError(f"world {self.name!r}: elevation {self.elevation}, reach {self.reach}, sky {self.sky_from}")
        return {
            "Wire": self.name,
            "Level": object_path(self.level),
            "Stage": vector(*self.stage),
            "StageYaw": f"{self.stage_yaw:g}",
            "CameraElevation": f"{self.elevation:g}",
            "CameraReach": f"{self.reach:g}",
            "ExposureBias": f"{self.exposure:g}",
            "SkyFrom": f"{self.sky_from:g}",
            "Source": self.source,
            "License": self.license,
            "Attribution": self.attribution,
        }


@dataclass(frozen=True)
class Texture:
    """A row of the table of textures: a material for all slots of a character."""

    name: str
    material: str
    scalars: Mapping[str, float] = field(default_factory=dict)
    license: str = ""

    def row(self) -> dict[str, str]:
        """Return the row by property.

        Raises:
            RowError: a name or a path that cannot be.
        """
        if not NAME.fullmatch(self.name) or self.name == "Default":
            raise RowError(f"texture {self.name!r}: letters, digits, '_' and '-' are right, and not 'Default'")
        pairs = ",".join(f'("{key}", {value:.6f})' for key, value in sorted(self.scalars.items()))
        return {
            "Wire": self.name,
            "Material": object_path(self.material),
            "Scalars": f"({pairs})" if pairs else "",
            "Colors": "",
            "License": self.license,
        }


def table_csv(rows: Sequence[Any]) -> str:
    """Return the CSV text that ``fill_data_table_from_csv_string`` takes, of rows with different names.

    Raises:
        RowError: a name stands twice, or a row is wrong.
    """
    made = [(one.name, one.row()) for one in rows]
    names = [name.casefold() for name, _ in made]  # an FName does not tell small letters from large ones
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RowError(f"{', '.join(twice)} stand twice; to Unreal, names that differ in case are one")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    columns = list(made[0][1]) if made else []
    writer.writerow(["---", *columns])
    writer.writerows([name, *(row[column] for column in columns)] for name, row in made)
    return out.getvalue()


def mesh_files(folder: Path) -> list[Path]:
    """Return the mesh files of a folder and the folders in it, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in MESHES and path.is_file())


def read_table(folder: Path) -> dict[str, dict[str, str]]:
    """Return the rows of ``characters.csv`` in a folder, by file; nothing where there is none.

    Columns: ``file``, and any of ``name``, ``class_id``, ``class_name``, ``yaw``, ``longest_edge``, ``hover``,
    ``source``, ``license``, ``attribution``.

    Raises:
        RowError: an unknown column, or a file that is not in the folder.
    """
    path = folder / TABLE
    if not path.is_file():
        return {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        known = {"file", *Character.__dataclass_fields__} - {"static_mesh", "skeletal_mesh", "pose", "pose_time"}
        unknown = sorted(set(reader.fieldnames or ()) - known)
        if unknown or "file" not in (reader.fieldnames or ()):
            raise RowError(f"{path}: columns {unknown or 'without file'}; {', '.join(sorted(known))} are known")
        rows = {row["file"]: row for row in reader}
    there = {mesh.relative_to(folder).as_posix() for mesh in mesh_files(folder)}
    missing = sorted(set(rows) - there)
    if missing:
        raise RowError(f"{path}: {missing[0]!r} is no mesh in the folder")
    return rows


def character(file: str, mesh: str, skeletal: bool, said: Mapping[str, str] | None = None) -> Character:
    """Return the row of an imported file, with what the folder's table says of it.

    Raises:
        RowError: a number that is none.
    """
    said = {key: value for key, value in (said or {}).items() if value and key != "file"}
    values: dict[str, Any] = dict(said)
    for key, kind in (("yaw", float), ("longest_edge", float), ("hover", float), ("class_id", int)):
        if key in said:
            try:
                values[key] = kind(said[key])
            except ValueError:
                raise RowError(f"{file}: {key} = {said[key]!r} is no number") from None
    values.setdefault("name", level_name(PurePosixPath(file).stem))
    values["skeletal_mesh" if skeletal else "static_mesh"] = mesh
    return Character(**values)


def set_ini(text: str, section: str, key: str, value: str, *, add: bool = False) -> str:
    """Return an .ini text in which a key of a section has a value; with ``add`` another line of it, unless it is there.

    >>> set_ini("[A]\\nx=1\\n", "A", "x", "2")
    '[A]\\nx=2\\n'
    """
    lines = text.splitlines()
    wanted = f"{'+' if add else ''}{key}={value}"
    head = f"[{section}]"
    if head not in lines:
        return "\n".join([*lines, *([""] if lines and lines[-1] else []), head, wanted]) + "\n"
    start = lines.index(head) + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith("[")), len(lines))
    body = lines[start:end]
    if wanted in body:
        return "\n".join(lines) + "\n"
    if not add:
        body = [line for line in body if line.split("=", 1)[0].strip() != key]
    while body and not body[-1]:
        body.pop()
    tail = [""] if end < len(lines) else []
    return "\n".join([*lines[:start], *body, wanted, *tail, *lines[end:]]) + "\n"


def settings_lines(paths: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return keys and values of the plugin's settings for assets: ``Worlds``, ``Characters``, ``StencilMaterial``, …

    Raises:
        RowError: no path of an asset.
    """
    return [(key, object_path(path)) for key, path in paths.items()]


def maps_to_cook(levels: Iterable[str]) -> list[tuple[str, str]]:
    """Return keys and values of the packaging settings for levels that are packaged.

    Raises:
        RowError: no path of an asset.
    """
    return [("MapsToCook", f'(FilePath="{object_path(level).split(".")[0]}")') for level in levels]
