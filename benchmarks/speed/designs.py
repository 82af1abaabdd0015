"""What it costs to count a design of ten million scenes and to give the first hundred of them.

    python benchmarks/speed/designs.py

Each design is built in a process of its own, after what it imports: CPU time and growth of the largest memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from typing import Any

from torchmultiverse.scenes import parse_spec

WORLDS, CHARACTERS = [f"World{n}" for n in range(100)], [f"Animal{n}" for n in range(100)]
FACTORS: dict[str, Any] = {
    "World_Name": WORLDS,
    "Character_Name": CHARACTERS,
    "Camera_Yaw": {"from": 0, "to": 360, "count": 100},
    "Camera_Pitch": {"from": 0, "to": 50, "count": 10},
}
LARGER = {**FACTORS, "Camera_Roll": {"from": 0, "to": 90, "count": 50}}
RANGES = {**FACTORS, "Camera_Yaw": {"from": 0, "to": 360}, "Camera_Pitch": {"from": 0, "to": 60}}
FINER = {**RANGES, "Camera_Roll": {"from": 0, "to": 360}, "Character_Rotation_Yaw": {"from": 0, "to": 360}}
HALF = {"kind": "factorial", "factors": {**FACTORS, "World_Name": WORLDS[:60]}}
OTHER = {"kind": "factorial", "factors": {**FACTORS, "World_Name": WORLDS[40:]}}
WRITTEN = {"kind": "explicit", "scenes": [{"World_Name": w, "Character_Name": c} for w in WORLDS for c in CHARACTERS]}
EXCLUDE = ["World_Name = World3 and Character_Name = Animal7", "Camera_Yaw > 300 and Camera_Pitch < 10"]
TEN = 10**7
DESIGNS: dict[str, dict[str, Any]] = {
    "factorial": {"kind": "factorial", "factors": FACTORS},
    "exclude": {"kind": "factorial", "factors": FACTORS, "exclude": EXCLUDE},
    "fraction": {"kind": "fraction", "one_in": 50, "factors": LARGER},
    "union of two that overlap": {"kind": "union", "of": [HALF, OTHER]},
    "union with 10,000 written ones": {"kind": "union", "of": [HALF, WRITTEN, OTHER]},
    "difference": {"kind": "difference", "of": {"kind": "factorial", "factors": FACTORS}, "minus": [WRITTEN]},
    "one at a time": {
        "kind": "one_at_a_time", "reference": {"World_Name": "World0"},
        "vary": {"Camera_Yaw": {"from": 0, "to": 359, "count": 1000}},
        "over": {"Character_Name": CHARACTERS, "Camera_Roll": {"from": 0, "to": 90, "count": 100}},
    },
    "random": {"kind": "random", "pictures": TEN, "factors": LARGER},
    "random, of ranges": {"kind": "random", "pictures": TEN, "factors": RANGES},
    "sobol": {"kind": "sobol", "pictures": TEN, "factors": RANGES},
    "random, of lists, a million": {"kind": "random", "pictures": 10**6, "factors": FACTORS},
    "sobol, a million": {"kind": "sobol", "pictures": 10**6, "factors": FINER},
    "latin hypercube, a million": {"kind": "latin_hypercube", "pictures": 10**6, "factors": FINER},
    "random, with exclude": {"kind": "random", "pictures": TEN, "factors": LARGER, "exclude": EXCLUDE},
}  # fmt: skip


def largest() -> float:
    """Return the largest memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def measure(name: str) -> tuple[int, float, float]:
    """Return scenes, seconds and MB of a design."""
    import scipy.stats.qmc  # noqa: F401 - what Sobol designs import

    before, start = largest(), time.process_time()
    design = parse_spec({"name": "benchmark", "design": DESIGNS[name]}).build()
    count = design.count
    assert len({design[index].scene_id for index in range(100)}) == 100
    return count, time.process_time() - start, largest() - before


def main() -> None:
    argparse.ArgumentParser(description="What it costs to count a large design.").parse_args()
    print(f"{'':<34}{'scenes':>14}{'CPU':>10}{'memory':>10}")
    for name in DESIGNS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            count, seconds, memory = pool.apply(measure, (name,))
        print(f"{name:<34}{count:>14,}{seconds:>8.2f} s{memory:>7.0f} MB")


if __name__ == "__main__":
    main()
