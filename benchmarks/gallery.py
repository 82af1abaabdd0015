"""Contact sheets of the built-in engine, to be looked at: every world, animal, texture and light, and SPAR pairs.

python benchmarks/gallery.py [--out docs/gallery] [--size 144] [--only worlds,animals,textures,lights,pairs]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.characters import character_names, texture_names
from torchmultiverse.engines.builtin.engine import LIGHTS
from torchmultiverse.engines.builtin.world import world_names
from torchmultiverse.scenes import Scene

PAIRS = (
    ({"Character1_Pos": "left", "Character2_Pos": "right"}, "Default", "Default"),
    ({"Character1_Pos": "bottom", "Character2_Pos": "top"}, "Default", "Default"),
    ({"Character1_Pos": "left", "Character2_Pos": "right"}, "Blue", "Red"),
    ({"Character1_Pos": "left", "Character2_Pos": "right"}, "Grass", "Stone"),
)
SPAR = ("Desert", "Arena", "OceanFloor", "Racetrack", "TokyoDay", "Circus", "BoxingRing", "Museum", "AustralianRoad")


def sheet(pictures: list[tuple[str, NDArray[np.uint8]]], columns: int) -> Image.Image:
    """Return labelled pictures in rows."""
    side = pictures[0][1].shape[0]
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * side, rows * (side + 14)), "white")
    draw = ImageDraw.Draw(page)
    for k, (name, picture) in enumerate(pictures):
        x, y = k % columns * side, k // columns * (side + 14)
        page.paste(Image.fromarray(picture), (x, y + 14))
        draw.text((x + 3, y + 1), name, fill="black")
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/gallery"))
    parser.add_argument("--size", type=int, default=144)
    parser.add_argument("--only", default="worlds,animals,textures,lights,pairs")
    arguments = parser.parse_args()
    engine = BuiltinEngine()
    options = RenderOptions(size=(arguments.size, arguments.size))

    def one(**factors: object) -> NDArray[np.uint8]:
        (frame,) = engine.render([Scene(factors)], options)
        if isinstance(frame, Failure):
            raise SystemExit(f"{factors}: {frame.reason}")
        return frame.array("rgb")

    animals, yaws = list(character_names()), (0, 45, 225, 315)
    plain = {"World_Name": "SaltFlats", "Character_Name": "Elephant"}
    sheets = {
        "worlds": lambda: (
            [
                (w, one(World_Name=w, Character_Name=animals[7 * k % len(animals)], Camera_Yaw=yaws[k % 2]))
                for k, w in enumerate(world_names())
            ],
            10,
        ),
        "animals": lambda: (
            [(a, one(World_Name="SaltFlats", Character_Name=a, Camera_Yaw=y)) for a in animals for y in (0, 45)],
            14,
        ),
        "textures": lambda: ([(t, one(**plain, Character_Texture=t)) for t in texture_names()], 6),
        "lights": lambda: ([(light, one(**plain, Scene_Light=light)) for light in LIGHTS], 7),
        "pairs": lambda: (
            [
                (
                    w,
                    one(
                        World_Name=w,
                        Character_Name=animals[(11 * k + 5) % len(animals)],
                        Character2_Name=animals[(17 * k + 30) % len(animals)],
                        Character_Texture=first,
                        Character2_Texture=second,
                        **places,
                    ),
                )
                for w in SPAR
                for k, (places, first, second) in enumerate(PAIRS)
            ],
            12,
        ),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.only.split(","):
        pictures, columns = sheets[name]()
        path = arguments.out / f"{name}.jpg"
        sheet(pictures, columns).save(path, quality=82)
        print(f"{path}: {len(pictures)} pictures, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
