"""How long the built-in engine takes per world: the first picture (loading included) and the following ones.

    python benchmarks/speed/builtin.py [--sizes 128 256 512] [--samples 16] [--worlds Desert Snow]

Every following picture has another animal or another view. Wall time and CPU time of this process are printed: on a
machine that is busy with other things only the second one means much.
"""

from __future__ import annotations

import argparse
import statistics
import time

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.characters import character_names
from torchmultiverse.engines.builtin.world import world_names
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.scenes import Scene


def picture(engine: BuiltinEngine, scene: Scene, options: RenderOptions) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    (frame,) = engine.render([scene], options)
    if isinstance(frame, Failure):
        raise SystemExit(f"{scene}: {frame.reason}")
    frame.encoded()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--worlds", nargs="+", default=world_names())
    parser.add_argument("--count", type=int, default=5)
    arguments = parser.parse_args()
    names = character_names()
    for world in arguments.worlds:
        load_world(world)  # the mesh cache is warm from here on
    engine = BuiltinEngine(worlds=1)
    print(f"{engine.variant}, {arguments.samples} samples, denoised: {engine.denoise}")
    print(f"{'world':<12} {'size':>5} {'first s':>9} {'next s':>9} {'next cpu s':>11}")
    medians: dict[int, list[float]] = {}
    for world in arguments.worlds:
        for size in arguments.sizes:
            options = RenderOptions(size=(size, size), samples=arguments.samples)
            scenes = [
                Scene({"World_Name": world, "Character_Name": names[k % len(names)], "Camera_Yaw": 7 * k})
                for k in range(arguments.count + 1)
            ]
            first, *following = [picture(engine, scene, options) for scene in scenes]
            wall, cpu = (statistics.median(t[k] for t in following) for k in (0, 1))
            medians.setdefault(size, []).append(wall)
            print(f"{world:<12} {size:>5} {first[0]:>9.2f} {wall:>9.3f} {cpu:>11.3f}", flush=True)
    for size, values in medians.items():
        print(f"median world at {size}×{size}: {statistics.median(values):.3f} s a picture")


if __name__ == "__main__":
    main()
