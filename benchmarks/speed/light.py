"""What a change of light costs in a world that is loaded: another sun, a kept one, clouds, lamps; CPU seconds.

python benchmarks/speed/light.py [--worlds VillageSquare,TokyoDay] [--rounds 5]
"""

from __future__ import annotations

import argparse
import time

from torchmultiverse.engines.builtin.renderer import WorldRenderer
from torchmultiverse.engines.builtin.variant import activate
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.engines.builtin.world_conditions import WorldConditions
from torchmultiverse.errors import SpecError


def cost(renderer: WorldRenderer, asked: WorldConditions) -> float:
    """Return the CPU seconds of a change; not a number where the world cannot have it."""
    start = time.process_time()
    try:
        renderer.change(asked)
    except SpecError:
        return float("nan")
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", default="VillageSquare,Desert,TokyoDay,EuropeanStreet,TrainStation")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    activate(None)
    print("world           load   sun  kept clouds lamps")
    for name in arguments.worlds.split(","):
        world = load_world(name)
        start = time.process_time()
        renderer = WorldRenderer(world)
        load = time.process_time() - start
        cost(renderer, WorldConditions(sun_elevation=33, overcast=0.2))
        of: dict[str, list[float]] = {"sun": [], "kept": [], "clouds": [], "lamps": []}
        for k in range(arguments.rounds):
            of["sun"].append(cost(renderer, WorldConditions(sun_elevation=10.5 + 7 * k, sun_azimuth=k)))
            of["clouds"].append(cost(renderer, WorldConditions(overcast=0.3 + 0.1 * k)))
            of["kept"].append(cost(renderer, WorldConditions(sun_elevation=10.5 + 7 * k, sun_azimuth=k)))
            of["lamps"].append(cost(renderer, WorldConditions(lamps=0.5 + 0.1 * k)))
        print(f"{name:15} {load:5.2f}", *(f"{min(values):5.2f}" for values in of.values()), flush=True)


if __name__ == "__main__":
    main()
