"""The rendered animals of several trends: 1,680 pictures of 64 pixels, made once by the built-in engine (LLVM).

Twelve animals in fourteen worlds with four surfaces, each seen from its own side and in its own size: no two
backgrounds are the same. About ten minutes on two busy cores; what was interrupted goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse import generate, open_dataset
from torchmultiverse.store import ImageList, ImageSet, columns_of

SPEC: dict[str, Any] = {
    "name": "trend_hidden", "family": "Animals", "seed": 0, "render": {"size": [64, 64]},
    "design": {"kind": "latin_hypercube", "pictures": 1680, "factors": {
        "World_Name": [
            "Desert", "Snow", "Grass", "Opera", "SaltFlats", "Museum", "Beach", "Arena", "Racetrack", "Gallery",
            "TokyoNight", "OceanFloor", "Castle", "Library",
        ],
        "Character_Name": [
            "Elephant", "Camel", "Penguin", "Zebra", "Turtle", "Bear", "Goldfish", "Crow", "Cat", "Koi", "Lion",
            "Rabbit",
        ],
        "Character_Texture": ["Default", "Red", "Blue", "Grass"],
        "Camera_Yaw": {"from": 0, "to": 360}, "Character_Scale": {"from": 0.8, "to": 1.3},
    }},
}  # fmt: skip
FACTORS = ("world_name", "character_texture", "camera_yaw", "character_scale")


def animals(folder: Path) -> ImageSet:
    """Return the pictures, rendered where they are not yet there."""
    if not (folder / "manifest.json").is_file():
        generate(SPEC, folder, samples=4)
    return open_dataset(folder)


def part(images: ImageSet, rows: NDArray[np.int64], name: str) -> ImageList:
    """Return some of the pictures with animal and factors, in memory."""
    columns = columns_of(images)
    names = ("character_name", *FACTORS)
    labels = [{key: columns[key][row] for key in names} for row in rows.tolist()]
    return ImageList([images.image(row) for row in rows.tolist()], labels, name)
