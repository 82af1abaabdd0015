"""What conditions cost the built-in engine at equal samples, and what they leave of a picture's quality.

    python benchmarks/speed/conditions.py [--only fog,rain] [--worlds Desert,TokyoDay] [--pairs 6] [--size 256]

Pictures with and without a condition are made in turn, each pair of another view, and their CPU times compared: the
ratio is that of the sums. PSNR is that of a picture against one of many more samples, with the condition and without;
the references are not denoised, so that what the denoiser smears counts as an error, and have the same drops, flakes
and noise of the sensor. "loss" is what the condition takes of it. Loading a world and its first pictures do not count.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.scenes import Scene


@dataclass(frozen=True)
class Row:
    """A condition: its levels, what the picture without it has, and the most that it may cost."""

    levels: dict[str, Any]
    most: float
    without: dict[str, Any] = field(default_factory=dict)


_TWO = {"Character2_Name": "Elephant", "Character2_Rotation_Yaw": 140}
ROWS = {
    "fog": Row({"Fog_Visibility": 40}, 1.5),
    "rain": Row({"Rain": 25}, 1.5),
    "snow": Row({"Snow": 5}, 1.5),
    "wet ground": Row({"Wetness": 1}, 1.5),
    "white ground": Row({"Snow_Cover": 0.5}, 1.5),
    "drops on the lens": Row({"Lens_Drops": 150}, 1.2),
    "depth of field": Row({"Camera_Aperture": 1.4}, 1.2, {"Camera_Focal_Length": 60}),
    "all out of focus": Row({"Camera_Aperture": 0.7, "Camera_Focus": 1.5}, 1.2),
    "motion blur": Row({"Camera_Shutter": 30, "Character_Speed": 8}, 1.2),
    "motion blur of two": Row({"Camera_Shutter": 30, "Character_Speed": 8}, 1.2, _TWO),
    "16 objects": Row({"Distractors": 14, **_TWO}, 2.0),
    "distortion": Row({"Camera_Distortion": -0.06}, 1.2),
    "resolution on target": Row({"Target_Pixels": 40}, 1.2),
}
"""A condition is a row here."""


def picture(engine: BuiltinEngine, scene: Scene, options: RenderOptions) -> tuple[np.ndarray, float]:
    start = time.process_time()
    (frame,) = engine.render([scene], options)
    if isinstance(frame, Failure):
        raise SystemExit(f"{scene}: {frame.reason}")
    return frame.array().astype(float), time.process_time() - start


def times(engine: BuiltinEngine, row: Row, world: str, options: RenderOptions, pairs: int) -> np.ndarray:
    """Return CPU seconds without and with the condition, (pairs, 2), the first of each pair by turns."""
    found = np.zeros((pairs + 1, 2))
    for k in range(pairs + 1):
        scene = Scene({"World_Name": world, "Character_Name": "Zebra", **row.without, "Camera_Yaw": 11 * k})
        both = (scene, scene.changed(**row.levels))
        for which in (0, 1) if k % 2 else (1, 0):
            found[k, which] = picture(engine, both[which], options)[1]
    return found[1:]


def psnr(engines: tuple[BuiltinEngine, BuiltinEngine], scene: Scene, options: RenderOptions, reference: int) -> float:
    """Return the PSNR of a picture in dB; the second engine does not denoise."""
    seen, _ = picture(engines[0], scene, options)
    truth, _ = picture(engines[1], scene, RenderOptions(size=options.size, samples=reference))
    return float(-10 * np.log10(max(((seen - truth) ** 2).mean(), 1e-3) / 255**2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="conditions with commas between; all by default")
    parser.add_argument("--worlds", default="Desert,TokyoDay,Forest")
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--reference", type=int, default=512, help="samples of the reference; 0: no PSNR")
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    names = [name.strip() for name in arguments.only.split(",") if name.strip()] or list(ROWS)
    if unknown := [name for name in names if name not in ROWS]:
        raise SystemExit(f"no condition {unknown}; there are {', '.join(ROWS)}")
    engines = (BuiltinEngine(worlds=1), BuiltinEngine(worlds=1, denoise=False))
    options = RenderOptions(size=(arguments.size, arguments.size), samples=arguments.samples)
    print(f"{engines[0].variant}, {arguments.samples} samples, {arguments.size} pixels, denoised: {engines[0].denoise}")
    heads = f"{'condition':<22} {'world':<14} {'s':>6} {'times':>6} {'range of pairs':>15} {'most':>5}"
    print(f"{heads} {'dB':>6} {'loss':>5}" if arguments.reference else heads)
    for name in names:
        row = ROWS[name]
        for world in arguments.worlds.split(","):
            found = times(engines[0], row, world, options, arguments.pairs)
            without, with_it = found.sum(0)
            ratios = np.sort(found[:, 1] / found[:, 0])
            quality = ""
            if arguments.reference:
                scene = Scene({"World_Name": world, "Character_Name": "Zebra", **row.without, "Camera_Yaw": 20})
                plain, seen = (
                    psnr(engines, s, options, arguments.reference) for s in (scene, scene.changed(**row.levels))
                )
                quality = f" {seen:6.1f} {plain - seen:5.1f}"
            spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
            line = f"{name:<22} {world:<14} {without / arguments.pairs:6.2f} {with_it / without:6.2f} {spread:>15}"
            print(f"{line} {row.most:5.1f}{quality}", flush=True)


if __name__ == "__main__":
    main()
