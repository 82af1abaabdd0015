"""The published layouts of the PUG archives: CSV files, their columns, and where pictures lie.

Source: the datasheet in appendix D.2.1 of the PUG chapter, and the published loaders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torchmultiverse.scenes import BACKGROUNDS, base_world, spoken
from torchmultiverse.store.schema import PUBLISHED

METADATA = "metadata.csv"
"""What Hugging Face ``datasets`` reads beside a folder of pictures, one for each split."""
SUBSETS = {
    "Worlds": "world_name",
    "Camera_Yaw": "camera_yaw",
    "Camera_Pitch": "camera_pitch",
    "Camera_Roll": "camera_roll",
    "Object_Yaw": "character_rotation_yaw",
    "Object_Pitch": "character_rotation_pitch",
    "Object_Roll": "character_rotation_roll",
    "Object_Scale": "character_scale",
    "Object_Texture": "character_texture",
    "Scene_Light": "scene_light",
}
"""Folders of PUG: ImageNet, and the column that varies in each."""

BROKEN = {"Animals": "Character_Name = Goldfish"}
"""Pictures that the publisher calls badly rendered, by family: of PUG: Animals around 192 goldfish (of 3,072). Which
they are was not published; its advice is to leave out the class."""


@dataclass(frozen=True)
class Layout:
    """One family's archive.

    Attributes:
        csv: name of its CSV file.
        file: the column with the file's name.
        folder: folder of a row's picture, a format string over the row's columns; empty: the root.
        columns: of the CSV, published names in the published order.
    """

    csv: str
    file: str
    folder: str
    columns: tuple[str, ...]


def layout_of(family: str, factors: list[str]) -> Layout:
    """Return the layout of a family; of ``Custom``, one folder per character and all its factors as columns."""
    if family in _LAYOUTS:
        return _LAYOUTS[family]
    folder = "{character_name}" if "character_name" in factors else ""
    return Layout("labels.csv", "filename", folder, ("filename", *factors))


_AR4T = (
    "Relation", "Actor1Category", "Actor2Category", "Actor1Name", "Actor2Name", "Actor1Location", "Actor2Location",
    "Actor1Rotation", "Actor2Rotation", "Actor1Scale", "Actor2Scale", "Actor1Texture", "Actor2Texture",
    "Actor1Attribute", "Actor2Attribute", "Camera_roll", "Camera_pitch", "Camera_yaw", "caption", "alt_caption",
    "Level", "World.Name", "filename", "filename neg", "filepath",
)  # fmt: skip
_LAYOUTS = {
    "Animals": Layout("labels_pug_animal.csv", "filename", "{character_name}", ("filename", *PUBLISHED["Animals"])),
    "ImageNet": Layout(
        "labels_pug_imagenet.csv", "filename", "{subset}/{character_label}", ("filename", *PUBLISHED["ImageNet"])
    ),
    "SPAR": Layout("labels.csv", "filename", "", ("filename", *PUBLISHED["SPAR"])),
    "AR4T": Layout("labels.csv", "filepath", "images", _AR4T),
}
SHEETS = {"labels.csv", *(layout.csv for layout in _LAYOUTS.values())}
"""Names of the CSV files of all layouts."""


def derived(column: str, row: Mapping[str, Any]) -> Any:
    """Return a published column of AR4T that no row has: it follows from the others, or is the same everywhere."""
    if column == "World.Name":
        world = base_world(row["Level"])
        return BACKGROUNDS.get(world, spoken(world))
    if column in {"Actor1Rotation", "Actor2Rotation"}:
        return "0,0,0"
    raise KeyError(column)
