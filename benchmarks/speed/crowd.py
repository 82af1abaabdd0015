"""What sixteen objects cost beside two: CPU time of one picture with its mask, at equal samples.

python benchmarks/speed/crowd.py                  # 256 pixels a side, 16 samples, three worlds
python benchmarks/speed/crowd.py --worlds Museum  # of one
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.scenes import Scene

NAMES = [
    "Zebra", "Cat", "Elephant", "Goat", "Ant", "Chicken_hen_4", "Wolf_2", "Binocular_2", "Desk_3", "Running_Shoe_4",
    "Pineapple_3", "Mouse_1", "Street_Sign_3", "Backpack_4",
]  # fmt: skip
SPOTS = [(y, x) for y in (70, 150, 230) for x in (-240, -150, -60, 60, 150, 240)]
TWO = {
    "Character_Name": "Lion", "Character2_Name": "Bear", "Character1_Pos": "location", "Character2_Pos": "location",
    "Character_Location": "-60,-110,0", "Character2_Location": "-60,110,0",
}  # fmt: skip


def scene(world: str, count: int, turn: int = 0, **more: Any) -> Scene:
    """Return a scene of two and so many further objects, all of them turned."""
    objects = [
        {"Name": name, "Location": f"{y},{x},0", "Scale": 0.45, "Rotation_Yaw": (37 * k + turn) % 360}
        for k, (name, (y, x)) in enumerate(zip(NAMES[:count], SPOTS, strict=False))
    ]
    return Scene({"World_Name": world, **TWO, "Objects": objects, "Character_Rotation_Yaw": turn, **more})


def main() -> None:
    """Print the median seconds of two and of sixteen, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", nargs="*", default=["Desert", "TokyoDay", "Museum"])
    parser.add_argument("--repeats", type=int, default=6)
    given = parser.parse_args()
    engine = BuiltinEngine()
    options = RenderOptions(size=(256, 256), samples=16, passes=("rgb", "mask"))

    def seconds(scenes: list[Scene]) -> float:
        spent = []
        for one in scenes:
            start = time.process_time()
            (found,) = engine.render([one], options)
            assert isinstance(found, Frame), found
            spent.append(time.process_time() - start)
        return statistics.median(spent[1:])

    for world in given.worlds:
        steps = range(given.repeats + 1)
        for what, vary in (("camera turns", "Camera_Yaw"), ("all turn", "turn")):
            found = {n: seconds([scene(world, n, **{vary: 9 * k}) for k in steps]) for n in (0, 14)}
            few = seconds([scene(world, 0, Distractors=14, Distractor_Yaw=0, **{vary: 9 * k}) for k in steps])
            print(
                f"{world}, {what}: 2 objects {found[0]:.2f} s, 16 {found[14]:.2f} s, {found[14] / found[0]:.2f} times; "
                f"2 and 14 distractors {few:.2f} s, {few / found[0]:.2f} times",
                flush=True,
            )


if __name__ == "__main__":
    main()
