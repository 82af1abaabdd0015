"""What the farm costs and what it survives: a subset of Animals, undisturbed and with kills and a worker that hangs.

    python benchmarks/farm.py [--pictures 2000] [--workers 4] [--kill 5] [--engine delayed|builtin] [--delay 0.1]

The engine ``delayed`` shows test cards that take a fixed time, so what is above that time is the farm's own: leasing,
checking, measuring, packing, writing. Printed: its share of the render time, how often the run was killed, and whether
the data columns are the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.farm import generate
from torchmultiverse.scenes import Scene
from torchmultiverse.store import VOLATILE, open_dataset

WORLDS = ["Desert", "Snow", "Forest", "Museum", "SaltFlats"]
ANIMALS = [
    "Elephant", "Zebra", "Lion", "Camel", "Penguin", "Toucan", "Wolf", "Pig", "Goat", "Horse", "Bear", "Rabbit",
    "Tapir", "Swan", "Crow", "Robin", "Koi", "Orca", "Tuna", "Gecko",
]  # fmt: skip


def spec(pictures: int) -> dict[str, object]:
    factors = {
        "World_Name": WORLDS,
        "Character_Name": ANIMALS,
        "Character_Scale": [0.7, 1.0, 1.3],
        "Camera_Yaw": [0, 45, 225, 315],
        "Character_Texture": ["Default", "Sky", "Grass", "Asphalt"],
    }
    return {
        "name": "animals-subset", "family": "Animals", "render": {"size": [64, 64], "samples": 4},
        "design": {"kind": "factorial", "factors": factors},
    } | {"description": f"the first {pictures} scenes"}  # fmt: skip


class Delayed(MarkerEngine):
    """Test cards that take a while; one that hangs stops for good after a few."""

    def __init__(self, delay: float, hangs: bool = False) -> None:
        super().__init__(delay)
        self.hangs = hangs
        self.closed = threading.Event()

    def catalogue(self) -> Catalogue:
        return super().catalogue().model_copy(update={"complete": False})

    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        for k, frame in enumerate(super().render(scenes, options)):
            if self.hangs and k == 20:
                self.closed.wait()
                raise EngineError("closed")
            yield frame

    def close(self) -> None:
        self.closed.set()


def engines(kind: str, delay: float, disturbed: bool) -> Callable[[], Engine]:
    """Return a factory; where it is disturbed, every fourth engine hangs after some pictures."""
    if kind == "builtin":
        from torchmultiverse.connect import open_engine

        return lambda: open_engine("builtin")
    count = iter(range(1_000_000))
    return lambda: Delayed(delay, disturbed and next(count) % 4 == 1)


def make(arguments: argparse.Namespace, out: Path, disturbed: bool) -> float:
    start = time.perf_counter()
    generate(
        spec(arguments.pictures), out, engines(arguments.engine, arguments.delay, disturbed), progress=False,
        workers=arguments.workers, limit=arguments.pictures, shard_rows=256, lease=5 if disturbed else 180, check=0,
    )  # fmt: skip
    return time.perf_counter() - start


def digest(folder: Path) -> str:
    stored = open_dataset(folder)
    found = hashlib.sha256()
    for name in sorted(set(stored.columns) - set(VOLATILE)):
        for value in stored.table([name])[name].to_pylist():
            found.update(repr(value).encode())
    return found.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kill", type=float, default=5.0, help="seconds between two kills, on average")
    parser.add_argument("--engine", choices=["delayed", "builtin"], default="delayed")
    parser.add_argument("--delay", type=float, default=0.1, help="seconds a picture of 'delayed' takes")
    parser.add_argument("--into", type=Path, help="used by the script itself")
    arguments = parser.parse_args()
    if arguments.into is not None:
        make(arguments, arguments.into, True)
        return
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        undisturbed = make(arguments, out / "whole", False)
        ideal = arguments.pictures * arguments.delay / arguments.workers
        print(f"undisturbed: {arguments.pictures} pictures in {undisturbed:.1f} s with {arguments.workers} workers")
        if arguments.engine == "delayed":
            print(f"  rendering alone would take {ideal:.1f} s: overhead {undisturbed / ideal - 1:.1%}")
        rng = random.Random(0)
        command = [sys.executable, __file__, *sys.argv[1:], "--into", str(out / "killed")]
        kills, start = 0, time.perf_counter()
        while True:
            process = subprocess.Popen(command)
            try:
                process.wait(rng.uniform(0.6, 1.4) * arguments.kill + 1.5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                continue
            if process.returncode:
                raise SystemExit(f"the run ended with {process.returncode}")
            break
        print(f"killed {kills} times, every fourth engine hung: {time.perf_counter() - start:.1f} s")
        same = digest(out / "whole") == digest(out / "killed")
        print(f"data columns: {'the same bytes' if same else 'DIFFERENT'}")
        sys.exit(not same)


if __name__ == "__main__":
    main()
