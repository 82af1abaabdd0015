"""Do filters change a network's features as the camera and the weather do? On rendered conditions, in many minutes.

    python benchmarks/trends/filters.py --out filters-trend [--data data/conditions] [--train data/animals] [--epochs 8]

The sources: corruptions of pictures stand for physical conditions (Hendrycks and Dietterich, 2019), and those that know
depth look more like them than 2-D ones, and cost other errors at the same strength (Kar et al., 2022; shown on real
photographs by eye and by the errors of a network, without a rendered truth beside them).

Here the truth is rendered: twelve animals in four worlds of 96 pixels (1,056 pictures with depth, LLVM, about six
minutes on two quiet cores), each with one condition at a time: the lens's aperture and focus, the shutter (what moves
is blurred), fog, dust, sensor noise, JPEG, exposure, rain, snow, and few pixels. The plain picture is also changed by
the 2-D filter and, where there is one, by the filter that knows depth, at the severity at which its PSNR is that of
the render (`compare_filters`). A ResNet-10 that learnt the animals from other pictures (`animals.py`; a few minutes)
reads all four. Prints for each condition how far features move (1: as two plain pictures differ) and the cosine of the
move with that of the render, with intervals over animals; and says by the paired interval whether the filter that
knows depth moves features more as the render does. Levels at which a filter's highest severity is weaker than the
render (by more than 1 dB) are printed and not counted. JPEG at quality 95 changes next to nothing: it is the control,
and its PSNR is that of two renders of one scene, whose noise differs; levels within 3 dB of it are not counted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from animals import animals
from numpy.typing import NDArray
from verdicts import verdict

from torchmultiverse import generate
from torchmultiverse.analyze import RunOptions, compare_filters
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.train import EncoderTraining, train_encoder

OVER = {
    "World_Name": ["TokyoDay", "VillageSquare", "Grass", "Desert"],
    "Character_Name": [
        "Elephant", "Camel", "Penguin", "Zebra", "Turtle", "Bear", "Goldfish", "Crow", "Cat", "Koi", "Lion", "Rabbit",
    ],
}  # fmt: skip
CAMERA = {"Camera_Focal_Length": 70, "Camera_Distance": 7, "Character_Speed": 8}
VARIED = {
    "Camera_Aperture": [1.4, 0.7], "Camera_Shutter": [20, 60], "Fog_Visibility": [400, 150, 40, 15],
    "Dust_Visibility": [150, 20], "Camera_Electrons": [200, 40], "JPEG_Quality": [95, 12], "Camera_Exposure": [1.5, 3],
    "Rain": [100], "Snow": [10], "Target_Pixels": [16],
}  # fmt: skip
FILTERS = {"2-D filter", "filter with depth"}
NOISE = 3.0
"""Decibels by which a condition has to change more than another render of the same scene."""
SPEC: dict[str, Any] = {
    "name": "trend_conditions", "family": "Custom", "seed": 0,
    "render": {"size": [96, 96], "passes": ["rgb", "depth"]},
    "design": {"kind": "union", "of": [
        {"kind": "one_at_a_time", "reference": CAMERA, "vary": VARIED, "over": OVER},
        {"kind": "one_at_a_time", "reference": {**CAMERA, "Camera_Aperture": 0.7}, "vary": {"Camera_Focus": [2.5, 4]},
         "over": OVER},
    ]},
}  # fmt: skip


def interval(values: NDArray[np.float64], groups: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the mean of any numbers and its interval over groups."""
    known = np.isfinite(values)
    if not known.any():
        return float("nan"), float("-inf"), float("inf")
    found = mean_interval(values[known], np.unique(groups[known], return_inverse=True)[1], Intervals())
    return found.mean, found.low, found.high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("filters-trend"))
    parser.add_argument("--data", type=Path, help="such pictures with conditions, rendered before")
    parser.add_argument("--train", type=Path, help="the rendered animals that the encoder learns, made before")
    parser.add_argument("--epochs", type=int, default=8)
    given = parser.parse_args()
    data = given.data or given.out / "conditions"
    if given.data is None:
        generate(SPEC, data, samples=8)
    training = EncoderTraining(
        method="supervised", size=64, batch_size=64, head=(128, 64), epochs=given.epochs, crops=(1, 0),
        augment=("crop", "flip", "color", "gray"),
    )  # fmt: skip
    taught = animals(given.train or given.out / "animals")
    encoder = train_encoder(taught, given.out / "encoder", training, "character_name", quiet=True)
    found = compare_filters(f"ssl:{encoder}", data, label="character_name", layer="trunk", side=None,
                            run=RunOptions(store=given.out / "features", quiet=True))  # fmt: skip
    print(f"{len(found[0].shift)} scenes of 12 animals in 4 worlds for each level")
    print(f"{'condition':>24} {'way':>18} {'filter':>17} {'severity':>9} {'PSNR':>6} {'moved':>7} "
          f"{'cosine with the render':>24}")  # fmt: skip
    cells: dict[tuple[str, str], dict[str, Any]] = {}
    for one in found:
        cells.setdefault((one.condition, one.level), {})[one.way] = one
        if one.way == "plain":
            continue
        same, low, high = interval(one.direction, one.groups)
        cosine = f"{same:8.2f} [{low:5.2f}, {high:5.2f}]" if one.filter else ""
        severity = f"{one.severity:.1f}" if one.filter else ""
        print(f"{one.condition + ' ' + one.level:>24} {one.way:>18} {one.filter:>17} {severity:>9} {one.psnr:6.1f} "
              f"{np.nanmean(one.shift):7.2f} {cosine:>24}", flush=True)  # fmt: skip
    noise = max(ways["rendered"].psnr for (name, _), ways in cells.items() if name == "jpeg_quality")
    for condition in dict.fromkeys(name for name, _ in cells):
        levels = {level: ways for (name, level), ways in cells.items() if name == condition}
        strong = [ways for ways in levels.values() if ways["rendered"].psnr < noise - NOISE]
        equal = [ways for ways in strong if max(ways[name].psnr for name in FILTERS & ways.keys())
                 < ways["rendered"].psnr + 1]  # fmt: skip
        print(f"{condition}: of {len(levels)} levels {len(strong)} above the noise, {len(equal)} with equal filters")
        if not equal:
            print("  not decided: no such level")
            continue
        flat = np.concatenate([ways["2-D filter"].direction for ways in equal])
        groups = np.concatenate([ways["2-D filter"].groups for ways in equal])
        mean, low, high = interval(flat, groups)
        print(f"  cosine of the 2-D filter {mean:.2f} [{low:.2f}, {high:.2f}]")
        verdict("  the 2-D filter moves features more as the render does than otherwise (above 0.5)", low, high, 0.5)
        if "filter with depth" in equal[0]:
            deep = np.concatenate([ways["filter with depth"].direction for ways in equal])
            mean, low, high = interval(deep - flat, groups)
            print(f"  with depth {mean:+.2f} [{low:+.2f}, {high:+.2f}] more")
            verdict("  the filter that knows depth moves features more as the render does", low, high)


if __name__ == "__main__":
    main()
