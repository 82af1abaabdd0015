"""CPU time of a picture's annotations, and of whole pictures: `python benchmarks/speed/annotation.py [--cost]`.

CPU time of the whole process, so that other work on the machine changes it little.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, annotate
from torchmultiverse.scenes import Scene

WORLDS = ("Desert", "Museum", "TokyoNight", "Forest", "OceanFloor")


def scenes(names: list[str], rng: np.random.Generator) -> list[Scene]:
    """Return ten scenes in each of five worlds: one or two animals, turned, some large or far from the middle."""
    found = []
    for world in WORLDS:
        for k in range(10):
            factors: dict[str, Any] = {
                "World_Name": world,
                "Character_Name": str(rng.choice(names)),
                "Camera_Yaw": int(rng.integers(360)),
                "Character_Rotation_Yaw": int(rng.integers(360)),
            }
            if k % 3 == 0:
                factors["Character2_Name"] = str(rng.choice(names))
            if k % 5 == 4:
                factors |= {"Character_Scale": float(rng.choice([0.2, 2.0, 4.0])), "Camera_Pitch": 340}
            if k % 5 == 3:
                away = ",".join(str(n) for n in rng.integers(-400, 400, 3))
                factors |= {"Character1_Pos": "location", "Character_Location": away}
            found.append(Scene(factors))
    return found


def annotation(engine: BuiltinEngine, side: int) -> None:
    """Print the CPU time of the annotations of fifty pictures."""
    seconds, real = [], annotate.objects

    def timed(*arguments: Any) -> Any:
        start = time.process_time()
        answer = real(*arguments)
        seconds.append(time.process_time() - start)
        return answer

    annotate.objects = timed  # type: ignore[assignment]
    rng = np.random.default_rng(0)
    names = [str(name) for name in rng.choice(engine.catalogue().factors["Character_Name"].levels or [], 14, False)]
    for answer in engine.render(scenes(names, rng), RenderOptions(size=(side, side), samples=1)):
        assert isinstance(answer, Frame), answer
    low, middle, high = np.percentile(1000 * np.array(seconds), [10, 50, 90])
    print(f"{side} x {side}: {len(seconds)} pictures, median {middle:.1f} ms, 10 % below {low:.1f}, above {high:.1f}")


def cost(engine: BuiltinEngine) -> None:
    """Print the CPU time of whole pictures with their PNG, by size and samples."""
    for side, samples in ((64, 4), (64, 16), (128, 16), (256, 4), (256, 16)):
        seconds = []
        for world in ("SaltFlats", "Forest", "TokyoNight"):
            for k in range(5):
                animal = ("Zebra", "Elephant")[k % 2]
                scene = Scene({"World_Name": world, "Character_Name": animal, "Camera_Yaw": 10 * k})
                start = time.process_time()
                (frame,) = engine.render([scene], RenderOptions(size=(side, side), samples=samples))
                assert isinstance(frame, Frame), frame
                frame.encoded()
                if k > 1:
                    seconds.append(time.process_time() - start)
        print(f"{side} x {side}, {samples} samples: {np.mean(seconds):.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--cost", action="store_true", help="whole pictures instead")
    chosen = parser.parse_args()
    own = BuiltinEngine()
    cost(own) if chosen.cost else annotation(own, chosen.size)
