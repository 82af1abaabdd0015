"""The sheet of clips in the documentation: pictures, forward flow, what is hidden in the next frame, tracks.

python benchmarks/gallery_video.py [--out docs/gallery/video.jpg] [--size 144]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from torchmultiverse.engines import Failure, RenderOptions, motion
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.images import jpeg
from torchmultiverse.scenes import parse_spec
from torchmultiverse.sheets import Tile, contact_sheet

CLIPS = (
    (
        "the camera goes round",
        {"World_Name": "VillageSquare", "Character_Name": "Elephant"},
        {"Camera_Yaw": {"keys": [[0, 0], [1, 50]], "interpolation": "smooth"}},
    ),
    (
        "two animals pass each other",
        {
            "World_Name": "Grass", "Character_Name": "Zebra", "Character2_Name": "Lion",
            "Character1_Pos": "location", "Character2_Pos": "location", "Character2_Rotation_Yaw": 180,
        },
        {
            "Character_Location": {"keys": [[0, "40,-200,0"], [1, "40,180,0"]]},
            "Character2_Location": {"keys": [[0, "-110,180,0"], [1, "-110,-150,0"]]},
        },
    ),
    (
        "the camera rolls and comes closer; fog comes up",
        {"World_Name": "TokyoDay", "Character_Name": "Penguin"},
        {
            "Camera_Roll": {"keys": [[0, -8], [1, 8]]},
            "Camera_Distance": {"keys": [[0, 6], [1, 3.2]]},
            "Fog_Visibility": {"keys": [[0, 400], [1, 40]]},
        },
    ),
)  # fmt: skip
HIDDEN = np.array([[255, 255, 255], [220, 40, 40], [90, 90, 220], [0, 0, 0]], np.uint8)
TRACKS = np.array([[235, 235, 235], [240, 140, 30], [40, 120, 200]], np.uint8)


def rows(engine: BuiltinEngine, scene: dict[str, object], path: dict[str, object], size: int) -> list[list[Tile]]:
    """Return four rows of tiles of a clip."""
    clips = {"kind": "explicit", "scenes": [scene]}
    design = {"kind": "video", "clips": clips, "path": path, "fps": 18, "seconds": 1}
    scenes = list(parse_spec({"name": "clip", "design": design}).build())[::3]
    frames = list(engine.render([s.unlabelled for s in scenes], RenderOptions((size, size), ("rgb", "mask", "depth"))))
    for frame in frames:
        if isinstance(frame, Failure):
            raise SystemExit(frame.reason)
    moments = [motion.Moment(f.array("depth"), f.array("mask"), f.info["camera"], f.info["objects"]) for f in frames]
    made = [motion.flow(here, there) for here, there in pairwise(moments)]
    tracks = motion.tracks([moment.objects for moment in moments])
    shown = [
        [frame.array() for frame in frames[:-1]],
        [motion.flow_colors(found) for found, _ in made],
        [HIDDEN[state] for _, state in made],
        [TRACKS[motion.track_pass(m.mask, t)] for m, t in zip(moments[:-1], tracks, strict=False)],
    ]
    return [[Tile(Image.fromarray(picture)) for picture in row] for row in shown]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/gallery/video.jpg"))
    parser.add_argument("--size", type=int, default=144)
    arguments = parser.parse_args()
    engine = BuiltinEngine()
    tiles, names = [], []
    for name, scene, path in CLIPS:
        tiles += rows(engine, scene, path, arguments.size)
        names += [name, "flow", "hidden", "tracks"]
    sheet = contact_sheet(tiles, arguments.size, names=names)
    arguments.out.write_bytes(jpeg(sheet, 80))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
