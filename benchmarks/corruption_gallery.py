"""The contact sheet of all corruptions: one rendered scene, plain and at five severities of every type.

python benchmarks/corruption_gallery.py [--out docs/gallery/corruptions.jpg] [--world VillageSquare]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from torchmultiverse.corruptions import CORRUPTIONS, SEVERITIES, SIDE, corrupt, picture_rng
from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.images import jpeg
from torchmultiverse.scenes import Scene
from torchmultiverse.sheets import Tile, contact_sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/gallery/corruptions.jpg"))
    parser.add_argument("--world", default="VillageSquare")
    parser.add_argument("--animal", default="Zebra")
    parser.add_argument("--side", type=int, default=84, help="pixels of each picture on the sheet")
    asked = parser.parse_args()
    scene = Scene({"World_Name": asked.world, "Character_Name": asked.animal, "Camera_Yaw": 35})
    (found,) = BuiltinEngine().render([scene], RenderOptions(size=(SIDE, SIDE), passes=("rgb", "depth"), samples=64))
    if isinstance(found, Failure):
        raise SystemExit(found.reason)
    image, depth = found.array("rgb"), np.asarray(found.array("depth"), np.float32)
    names = list(CORRUPTIONS)
    half = (len(names) + 1) // 2
    rows = [[*_tiles(names[k], image, depth), Tile(None), *_tiles(names[half + k], image, depth)] for k in range(half)]
    asked.out.write_bytes(jpeg(contact_sheet(rows, asked.side), 84))
    print(f"{asked.out}: {asked.out.stat().st_size / 1000:.0f} kB")


def _tiles(name: str, image: np.ndarray, depth: np.ndarray) -> list[Tile]:
    """Return the picture under a type, severity by severity, with the name under the first."""
    made = [corrupt(image, name, s, picture_rng(name, 0, b"gallery"), depth) for s in SEVERITIES]
    titles = [name.replace("_", " "), *("" for _ in SEVERITIES[1:])]
    return [Tile(Image.fromarray(one), title) for one, title in zip(made, titles, strict=True)]


if __name__ == "__main__":
    main()
