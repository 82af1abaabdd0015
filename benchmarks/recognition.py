"""Can the animals and worlds of the built-in engine be told apart? A small classifier trained from scratch says so.

    python benchmarks/recognition.py --out /tmp/recognition [--views 1] [--size 64] [--worlds A,B] [--animals C,D]
    python benchmarks/recognition.py --out /tmp/recognition --objects --views 3 [--worlds A,B]

With ``--objects``, the classes of objects: a random half of each class's objects (at least one, two of five) is held
out, trained on the others in all the worlds, tested on the held out; or, with ``--held-out worlds``, on all objects in
a random half of the worlds. Without it, every animal is rendered in every world from random published yaws. Then
(a) animals: trained on a random half of the worlds, tested on the other half; (b) worlds: trained on a random half of
the animals, tested on the other half.

Printed: accuracy, every class under 60 %, every pair of which one is taken for the other in more than 20 % of its
pictures. Written: ``result.json`` and the two confusion matrices as pictures. Pictures are kept in the folder, one
file per world, so that a second run continues, and renders only the objects that were changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from classifier import NETWORKS, Training, classify
from numpy.typing import NDArray
from rendering import renderers

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.characters import character_names
from torchmultiverse.engines.builtin.engine import REVISION
from torchmultiverse.engines.builtin.objects import object_class, object_names
from torchmultiverse.engines.builtin.objects.library import load_spec, object_key
from torchmultiverse.engines.builtin.world import world_names
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import Scene

YAWS = (0, 45, 225, 315)
LOW, CONFUSED = 0.6, 0.2


@dataclass
class Pictures:
    """uint8 (N, S, S, 3) pictures with the number of each one's world and animal."""

    images: NDArray[np.uint8]
    world: NDArray[np.int64]
    animal: NDArray[np.int64]


def _keys(engine: BuiltinEngine, animals: list[str]) -> list[str]:
    """Return what the pictures of each animal or object depend on, hashed: an object on its own data alone."""
    scenes = data_folder("scenes")
    common = hashlib.sha256(f"{REVISION} {engine.variant} {version('torchmultiverse')}".encode())
    for path in sorted(scenes.rglob("*.json")):
        name = path.relative_to(scenes)
        if name.parts[0] in ("worlds", "props", "characters", "regions", "paints.json", "textures.json"):
            common.update(str(name).encode() + path.read_bytes())
    keys = []
    for animal in animals:
        digest = common.copy()
        digest.update(animal.encode())
        if animal in object_names():
            digest.update(object_key(load_spec(animal)).encode())
        keys.append(digest.hexdigest()[:24])
    return keys


def render(
    out: Path, worlds: list[str], animals: list[str], views: int, size: int, samples: int, workers: int = 1
) -> Pictures:
    """Render what is missing in the folder, in so many processes, and return everything."""
    engine = BuiltinEngine()
    options = RenderOptions(size=(size, size), samples=samples)
    keys = _keys(engine, animals)
    images, of_world, of_animal = [], [], []
    with renderers(workers) as processes:
        for w, world in enumerate(worlds):
            path = out / f"{world}-{views}-{size}-{samples}.npz"
            known = dict(np.load(path)) if path.exists() else {}
            rng = np.random.default_rng([*world.encode()])
            wanted = {}  # what the pictures of an animal are kept by: what it is and from where it is seen
            for animal, key in zip(animals, keys, strict=True):
                yaws = [int(yaw) for yaw in rng.choice(YAWS, views, replace=False)]
                wanted["-".join([key, *map(str, yaws)])] = (animal, yaws)
            missing = {name: told for name, told in wanted.items() if name not in known}
            if missing:
                scenes = [
                    Scene({"World_Name": world, "Character_Name": animal, "Camera_Yaw": yaw})
                    for animal, yaws in missing.values()
                    for yaw in yaws
                ]
                made = processes.pictures(scenes, options)
                known |= {name: made[k * views : (k + 1) * views] for k, name in enumerate(missing)}
                temporary = path.with_suffix(".part.npz")
                np.savez(temporary, **{name: known[name] for name in wanted})
                temporary.rename(path)
                print(f"{w + 1}/{len(worlds)} {world}", file=sys.stderr, flush=True)
            images += [known[name] for name in wanted]
            of_world += [w] * len(animals) * views
            of_animal += [a for a in range(len(animals)) for _ in range(views)]
    return Pictures(np.concatenate(images), np.array(of_world), np.array(of_animal))


def report(name: str, names: list[str], truth: NDArray[np.int64], said: NDArray[np.int64], out: Path) -> dict[str, Any]:
    """Print and return accuracy per class and what is confused; write the confusion matrix as a picture."""
    from PIL import Image

    n = len(names)
    matrix = np.zeros((n, n))
    np.add.at(matrix, (truth, said), 1)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    own = np.diag(share)
    low = {names[k]: round(float(own[k]), 3) for k in np.argsort(own) if own[k] < LOW}
    pairs = [
        (names[i], names[j], round(float(share[i, j]), 3))
        for i, j in zip(*np.nonzero(share > CONFUSED), strict=True)
        if i != j
    ]
    print(f"{name}: {np.mean(truth == said):.1%} over {len(truth)} pictures, {n} classes, chance {1 / n:.1%}")
    print(f"  lowest: {', '.join(f'{names[k]} {own[k]:.0%}' for k in np.argsort(own)[:8])}")
    print(f"  under {LOW:.0%}: {len(low)}; taken for another in more than {CONFUSED:.0%}: {pairs or 'none'}")
    pixels = (255 * (1 - share)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(out / f"{name}.png")
    return {
        "accuracy": float(np.mean(truth == said)),
        "pictures": len(truth),
        "per_class": {names[k]: float(own[k]) for k in range(n)},
        "low": low,
        "confused": pairs,
    }


def _training(arguments: Any) -> Training:
    return Training(arguments.epochs, arguments.seed, network=arguments.network, varied=arguments.varied)


OBJECT_WORLDS = ("SaltFlats", "Mansion", "Desert", "TokyoDay", "Opera", "SpaceHangar", "VillageSquare", "Beach")


def objects(pictures: Pictures, names: list[str], rng: np.random.Generator, arguments: Any) -> dict[str, Any]:
    """Hold out a random half of each class's objects, at least one and two of five, or half of the worlds; train on the
    rest, and report the held out by class."""
    classes = sorted({object_class(name) for name in names})
    label = np.array([classes.index(object_class(name)) for name in names])
    if arguments.held_out == "worlds":
        count = int(pictures.world.max()) + 1
        inside = np.isin(pictures.world, rng.permutation(count)[: count // 2])
    else:
        train = np.zeros(len(names), bool)
        for k in range(len(classes)):
            own = rng.permutation(np.flatnonzero(label == k))
            train[own[max(1, len(own) // 2) :]] = True
        inside = train[pictures.animal]
    truth = label[pictures.animal]
    said = classify(pictures.images, truth, inside, len(classes), _training(arguments))
    found = report("objects", classes, truth[~inside], said, arguments.out)
    values = list(found["per_class"].values())
    print(f"  median over classes {np.median(values):.1%}, lowest {min(values):.1%}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", help="comma-separated; all by default")
    parser.add_argument("--animals", help="comma-separated; all by default")
    parser.add_argument("--objects", action="store_true", help="the classes of objects in place of animals and worlds")
    parser.add_argument("--held-out", choices=("objects", "worlds"), default="objects", help="with --objects: of what")
    parser.add_argument("--views", type=int, default=1, choices=range(1, 5), help="yaws of each animal in each world")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--workers", type=int, default=1, help="processes that render")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--network", choices=NETWORKS, default="small")
    parser.add_argument("--varied", action="store_true", help="train on pictures that are turned, scaled and cut")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    every = OBJECT_WORLDS if arguments.objects else world_names()
    worlds = arguments.worlds.split(",") if arguments.worlds else list(every)
    known = object_names() if arguments.objects else character_names()
    animals = arguments.animals.split(",") if arguments.animals else list(known)
    pictures = render(
        arguments.out, worlds, animals, arguments.views, arguments.size, arguments.samples, arguments.workers
    )
    rng = np.random.default_rng(arguments.seed)
    if arguments.objects:
        result = {"worlds": worlds, "views": arguments.views, "size": arguments.size}
        result["objects"] = objects(pictures, animals, rng, arguments)
        (arguments.out / "result.json").write_text(json.dumps(result, indent=1))
        return
    result = {"worlds": worlds, "animals": animals, "views": arguments.views, "size": arguments.size}
    for name, names, label, other, count in (
        ("animals", animals, pictures.animal, pictures.world, len(worlds)),
        ("worlds", worlds, pictures.world, pictures.animal, len(animals)),
    ):
        half = rng.permutation(count)[: count // 2]
        train = np.isin(other, half)
        said = classify(pictures.images, label, train, len(names), _training(arguments))
        result[name] = report(name, names, label[~train], said, arguments.out)
    (arguments.out / "result.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
