"""Contact sheets of the built-in engine's objects: each variant of a class from three yaws, in one world.

python benchmarks/objects.py Cofee_Mug Vase --out sheets        # one PNG a class
python benchmarks/objects.py --names Cofee_Mug_2 --side 256     # a closer look
python benchmarks/objects.py --out docs/gallery/objects --side 96 --jpeg   # those of the documentation
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.objects import load_object, object_class, object_names
from torchmultiverse.scenes import Scene


def sheet(engine: BuiltinEngine, names: list[str], yaws: list[float], options: RenderOptions, world: str):
    """Return an image (H, W, 3): a row for each yaw, a column for each object."""
    scenes = [
        Scene({"World_Name": world, "Character_Name": name, "Character_Rotation_Yaw": yaw})
        for yaw in yaws
        for name in names
    ]
    tiles = []
    for frame in engine.render(scenes, options):
        if isinstance(frame, Failure):
            sys.exit(f"{frame.scene['Character_Name']}: {frame.reason}")
        tiles.append(frame.array())
    rows = [np.concatenate(tiles[k : k + len(names)], 1) for k in range(0, len(tiles), len(names))]
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classes", nargs="*", help="classes; by default all")
    parser.add_argument("--names", nargs="*", help="single objects, in one sheet, in place of classes")
    parser.add_argument("--out", type=Path, default=Path("object_sheets"), help="folder (default: %(default)s)")
    parser.add_argument("--side", type=int, default=144, help="pixels of a tile (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=12, help="samples a pixel (default: %(default)s)")
    parser.add_argument("--yaws", type=float, nargs="*", default=[0, 60, 210], help="(default: %(default)s)")
    parser.add_argument("--world", default="SaltFlats", help="(default: %(default)s)")
    parser.add_argument("--jpeg", action="store_true", help="smaller files")
    args = parser.parse_args()
    from PIL import Image

    args.out.mkdir(parents=True, exist_ok=True)
    engine = BuiltinEngine(samples=args.samples)
    engine.annotated = False
    options = RenderOptions(size=(args.side, args.side))
    by_class: dict[str, list[str]] = {}
    for name in object_names():
        by_class.setdefault(object_class(name), []).append(name)
    jobs = {"names": args.names} if args.names else {c: by_class[c] for c in args.classes or by_class}
    for title, names in jobs.items():
        start = time.perf_counter()
        built = {name: load_object(name) for name in names}
        took = time.perf_counter() - start
        faces = sum(len(mesh.faces) for mesh in built.values()) // len(names)
        path = args.out / f"{title}.{'jpg' if args.jpeg else 'png'}"
        Image.fromarray(sheet(engine, names, args.yaws, options, args.world)).save(path, quality=82)
        print(f"{path}: {len(names)} objects, {took:.1f} s to build, {faces:,} triangles each", flush=True)


if __name__ == "__main__":
    main()
