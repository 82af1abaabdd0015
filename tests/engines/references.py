"""The reference pictures of the built-in engine's picture revision: twelve scenes, 64 × 64, drawn to a folder.

Whoever changes what a scene looks like raises `REVISION` in ``torchmultiverse/engines/builtin/engine.py`` and makes
them anew:

    python tests/engines/references.py

They show sun, lamps, sky through windows, haze, water with beams, glow, every kind of texture, every angle, every place
and a coloured light, in the scalar variant and in the path tracer of the LLVM variant. They are not denoised: another
version of the denoiser is no other revision.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FOLDER = Path(__file__).with_name("references")
SIDE, ACROSS = 64, 4
SAMPLES = {"scalar_rgb": 4, "llvm_ad_rgb": 8}


def _two(first: str, second: str, places: tuple[str, str], *textures: str) -> dict[str, Any]:
    return {
        "Character_Name": first, "Character2_Name": second, "Character1_Pos": places[0], "Character2_Pos": places[1],
        "Character_Texture": textures[0], "Character2_Texture": textures[1],
    }  # fmt: skip


SCENES: list[dict[str, Any]] = [
    {"World_Name": "SaltFlats", "Character_Name": "Zebra"},
    {"World_Name": "SaltFlats", **_two("Zebra", "Elephant", ("left", "right"), "Brick_1", "Metal_1"), "Camera_Yaw": 45},
    {"World_Name": "SaltFlats", **_two("Zebra", "Elephant", ("left", "right"), "Wood_1", "Rock_1"),
     "Camera_Pitch": 300},
    {"World_Name": "SaltFlats", **_two("Elephant", "Zebra", ("bottom", "top"), "Cloth_1", "Glass_1")},
    {"World_Name": "SaltFlats", **_two("Zebra", "Elephant", ("location", "location"), "Plastic_1", "Default"),
     "Character_Location": "-40,-60,0", "Character2_Location": "60,40,10", "Character2_Rotation_Yaw": 135,
     "Character2_Rotation_Pitch": 20, "Character2_Rotation_Roll": 340, "Camera_Yaw": 20, "Camera_Roll": 350},
    {"World_Name": "Museum", "Character_Name": "Elephant", "Character_Texture": "Red_1",
     "Character_Rotation_Yaw": 60, "Camera_Pitch": 340},
    {"World_Name": "Museum", **_two("Zebra", "Elephant", ("left", "right"), "Striped_1", "Cloudy_1"),
     "Camera_Roll": 30},
    {"World_Name": "Museum", **_two("Zebra", "Elephant", ("left", "right"), "Grass", "Asphalt"),
     "Scene_Light": "255,0,0,0"},
    {"World_Name": "TokyoNight", "Character_Name": "Zebra", "Character_Texture": "Gold_1",
     "Character_Rotation_Pitch": 45, "Camera_Yaw": 315},
    {"World_Name": "TokyoNight", **_two("Zebra", "Elephant", ("left", "right"), "Sky", "Stone"), "Camera_Pitch": 240},
    {"World_Name": "OceanFloor", "Character_Name": "Elephant", "Character_Rotation_Roll": 60, "Character_Scale": 1.3},
    {"World_Name": "OceanFloor", **_two("Zebra", "Elephant", ("left", "right"), "Color", "Curtain"), "Camera_Yaw": 180},
]  # fmt: skip


def draw(variant: str) -> np.ndarray:
    """Return the pictures in a variant, (12, 64, 64, 3). A process has one variant."""
    from torchmultiverse.engines import Failure, RenderOptions
    from torchmultiverse.engines.builtin import BuiltinEngine
    from torchmultiverse.scenes import Scene

    engine = BuiltinEngine(variant=variant, denoise=False)
    options = RenderOptions(size=(SIDE, SIDE), samples=SAMPLES[variant])
    pictures = []
    for answer in engine.render([Scene(scene) for scene in SCENES], options):
        if isinstance(answer, Failure):
            raise answer.error()
        pictures.append(answer.array())
    return np.stack(pictures)


def kept(variant: str, folder: Path = FOLDER) -> np.ndarray:
    """Return the pictures that are kept in a folder, (12, 64, 64, 3)."""
    sheet = np.asarray(Image.open(folder / f"{variant}.png"))
    return sheet.reshape(-1, SIDE, ACROSS, SIDE, 3).swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3)


def facts() -> dict[str, Any]:
    """Return what the pictures depend on beside the scenes."""
    from torchmultiverse.engines.builtin.engine import REVISION

    return {"revision": REVISION, "mitsuba": version("mitsuba")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=sorted(SAMPLES), help="only this one")
    parser.add_argument("--out", type=Path, default=FOLDER, help="another folder")
    arguments = parser.parse_args()
    if arguments.variant is None:
        for variant in sorted(SAMPLES):
            subprocess.run([sys.executable, __file__, "--variant", variant, "--out", arguments.out], check=True)
        return
    pictures = draw(arguments.variant)
    sheet = pictures.reshape(-1, ACROSS, SIDE, SIDE, 3).swapaxes(1, 2).reshape(-1, ACROSS * SIDE, 3)
    arguments.out.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(arguments.out / f"{arguments.variant}.png", optimize=True)
    (arguments.out / "facts.json").write_text(json.dumps(facts()) + "\n")


if __name__ == "__main__":
    main()
