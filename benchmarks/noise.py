"""How much noise is left in a picture of the built-in engine: PSNR against a picture of many more samples.

    python benchmarks/noise.py [--worlds Desert,Snow] [--reference 512] [--size 256] [--samples 16] [--animal Zebra]

Pictures are compared as people and models get them: 8 bits, sRGB, denoised. The reference is not denoised, so that
what the denoiser smears counts as an error. Its own noise, known from its two halves, is taken off: the squared
error of their mean is a quarter of their squared difference.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.world import world_names
from torchmultiverse.scenes import Scene

BAR = 32.0
"""Decibels that every world has to reach."""


def picture(engine: BuiltinEngine, scene: Scene, options: RenderOptions) -> np.ndarray:
    (frame,) = engine.render([scene], options)
    if isinstance(frame, Failure):
        raise SystemExit(f"{scene}: {frame.reason}")
    return frame.array().astype(float)


def decibels(error: float) -> float:
    return float(-10 * np.log10(max(error, 1e-3) / 255**2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="", help="names with commas between; all by default")
    parser.add_argument("--animal", default="Zebra")
    parser.add_argument("--reference", type=int, default=4096, help="samples of the reference")
    parser.add_argument("--samples", type=int, help="samples of the picture; each world's own number by default")
    parser.add_argument("--size", type=int, default=256)
    arguments = parser.parse_args()
    worlds = [name for name in arguments.worlds.split(",") if name] or world_names()
    engine, exact = BuiltinEngine(worlds=1), BuiltinEngine(worlds=1, denoise=False)
    size = (arguments.size, arguments.size)
    options = RenderOptions(size=size, samples=arguments.samples)
    halves = [RenderOptions(size=size, samples=max(1, arguments.reference // 2), seed=k) for k in (1, 2)]
    own = arguments.samples or "each world's own"
    print(f"{engine.variant}, {own} samples against {arguments.reference}, denoised: {engine.denoise}")
    print(f"{'world':<20} {'PSNR dB':>8} {'reference':>10} {'brightness':>11} {'seconds':>8}")
    found: dict[str, float] = {}
    for world in worlds:
        start = time.perf_counter()
        scene = Scene({"World_Name": world, "Character_Name": arguments.animal, "Camera_Yaw": 20})
        one, two = (picture(exact, scene, half) for half in halves)
        truth, seen = (one + two) / 2, picture(engine, scene, options)
        own = ((one - two) ** 2).mean() / 4
        found[world] = decibels(((seen - truth) ** 2).mean() - own)
        mark = "" if found[world] >= BAR else "  below the bar"
        ratio = seen.mean() / truth.mean()
        facts = f"{found[world]:>8.2f} {decibels(own):>10.2f} {ratio:>11.4f} {time.perf_counter() - start:>8.1f}"
        print(f"{world:<20} {facts}{mark}", flush=True)
    least = min(found, key=found.__getitem__)
    print(f"least: {found[least]:.2f} dB ({least}); bar {BAR:g} dB; below it: {sum(v < BAR for v in found.values())}")


if __name__ == "__main__":
    main()
