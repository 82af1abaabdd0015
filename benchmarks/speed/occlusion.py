"""How near occluders come to the share that they are asked to hide, and what finding them costs.

    python benchmarks/speed/occlusion.py [--worlds Desert TokyoNight …] [--characters Elephant …] [--size 256]

Every occluder hides each of four shares of every character in every world, at four turns of the camera. Printed: mean
and greatest difference from the share in the picture, how many scenes were refused, and the CPU
seconds of a picture (median) over those of one without an occluder. The first picture of an
occluder in a world is not counted in the costs (meshes are read).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.scenes import Scene

OCCLUDERS = ("none", "fence", "leaves", "bars", "object", "edge")
SHARES = (0.2, 0.4, 0.6, 0.8)
WORLDS = ("Desert", "TokyoNight", "Forest", "VillageSquare", "Museum", "Beach")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", default=WORLDS, help="(default: %(default)s)")
    parser.add_argument("--characters", nargs="+", default=("Elephant", "Penguin", "Cofee_Mug_1"))
    parser.add_argument("--size", type=int, default=256, help="pixels of a side (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=16, help="per pixel (default: %(default)s)")
    args = parser.parse_args()
    engine = BuiltinEngine()
    options = RenderOptions((args.size, args.size), samples=args.samples)
    errors: dict[str, list[float]] = defaultdict(list)
    costs: dict[str, list[float]] = defaultdict(list)
    refused: dict[str, int] = defaultdict(int)
    for world in args.worlds:
        for occluder in OCCLUDERS:
            first = True
            for name in args.characters:
                for k, share in enumerate(SHARES):
                    hidden = {} if occluder == "none" else {"Occluder": occluder, "Occlusion": share}
                    scene = {"World_Name": world, "Character_Name": name, "Camera_Yaw": 90 * k, **hidden}
                    start = time.process_time()
                    (frame,) = engine.render([Scene(scene)], options)
                    cost, counted, first = time.process_time() - start, not first, False
                    if isinstance(frame, Failure):
                        refused[occluder] += 1
                        print(f"refused: {scene}: {frame.reason}")
                        continue
                    if hidden:
                        errors[occluder].append(abs(frame.info["objects"][0]["occluder_fraction"] - share))
                    if counted:
                        costs[occluder].append(cost)
    print("occluder  mean error  greatest  refused  CPU s  of none's")
    for occluder in OCCLUDERS:
        off = errors[occluder] or [0.0]
        cost = float(np.median(costs[occluder]))
        print(
            f"{occluder:<9} {np.mean(off):10.4f}  {max(off):8.4f}  {refused[occluder]:7}  {cost:5.2f}  "
            f"{cost / float(np.median(costs['none'])):9.2f}"
        )


if __name__ == "__main__":
    main()
