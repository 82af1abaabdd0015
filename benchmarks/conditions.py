"""Contact sheets of all conditions of the built-in engine, and unlabelled ones to find out whether they can be named.

Sheets for people who know what is shown: one of each world, a row of each condition, its levels from left to right.
A condition that a world does not have has no row; regions have a sheet of their own (``benchmarks/gallery.py``).

    python benchmarks/conditions.py [--out docs/gallery/conditions] [--worlds Desert,TokyoDay] [--only Rain,Snow]

Sheets for people who do not know: strips of one condition each, in an order drawn at random, the levels of each strip
as well. The answers, ``{"1": {"name": "rain", "order": [3, 1, 2, 4], "right": true}}`` (positions in the strip from the
lowest level to the highest; ``right`` is the judgement of whoever knows the key), are scored: the share of strips that
are named, and the mean rank correlation (Spearman) of the levels.

    python benchmarks/conditions.py --blind 1 --out /tmp/blind
    python benchmarks/conditions.py --score answers.json --out /tmp/blind
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.conditions import OFFERED
from torchmultiverse.images import jpeg
from torchmultiverse.scenes import OWN, Scene
from torchmultiverse.sheets import Tile, contact_sheet

WORLDS = ("Desert", "TokyoDay", "VillageSquare", "Forest", "TokyoNight", "Museum")
ANIMALS = ("Elephant", "Zebra", "Cattle", "Bear", "Lion", "Horse")
_CROWD = [
    {"Name": name, "Location": f"{30 + 110 * (k % 2)},{-270 + 90 * (k // 2)},0", "Scale": 0.35, "Rotation_Yaw": 25 * k}
    for k, name in enumerate(
        (
            "Cat",
            "Penguin",
            "Camel",
            "Wolf",
            "Goat",
            "Rabbit",
            "Ostrich",
            "Pig",
            "Swan",
            "Tapir",
            "Crow",
            "Impala",
            "Koi",
            "Turtle",
        )
    )
]
STRIPS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Sun_Elevation": ([4, 12, 30, 70], {}),
    "Sun_Elevation, dusk": ([-7, -5, -3, -1], {"Camera_Exposure": 10}),
    "Sun_Azimuth": ([0, 90, 180, 270], {"Sun_Elevation": 25}),
    "Overcast": ([0, 0.5, 1], {"Sun_Elevation": 40}),
    "Lamps, night": ([0, 1, 3, 10], {"Sun_Elevation": -7, "Camera_Exposure": 8}),
    "Lamps": ([0, 1, 3, 10], {}),
    "Fog_Visibility": ([OWN, 100, 40, 20, 10], {}),
    "Dust_Visibility": ([OWN, 100, 40, 20, 10], {}),
    "Rain": ([0, 5, 25, 70, 150], {}),
    "Snow": ([0, 1, 3, 8, 20], {}),
    "Wetness": ([0, 0.35, 0.7, 1], {}),
    "Snow_Cover": ([0, 0.25, 0.5, 0.75, 1], {}),
    "Lens_Drops": ([0, 10, 40, 150], {}),
    "Camera_Focal_Length": ([12, 24, 33, 50, 85], {}),
    "Camera_Distance": ([3, 4.7, 7, 11], {}),
    "Camera_Height": ([0.3, 1.4, 2.5, 4], {}),
    "Camera_Aperture": ([OWN, 2.8, 1.4, 0.7], {"Camera_Focal_Length": 70, "Camera_Distance": 6}),
    "Camera_Focus": ([2, 3.5, 6, 30], {"Camera_Aperture": 0.7, "Camera_Focal_Length": 70, "Camera_Distance": 6}),
    "Camera_Exposure": ([-4, -2, 0, 2, 3.5], {}),
    "Camera_Shutter": ([0, 15, 40, 100], {"Character_Speed": 10}),
    "Character_Speed": ([0, 3, 10, 25], {"Camera_Shutter": 40}),
    "Camera_Electrons": ([OWN, 1000, 200, 50, 15], {}),
    "Camera_Read_Noise": ([0, 20, 60, 150], {"Camera_Electrons": 1000}),
    "Camera_Distortion": ([-0.07, 0, 0.12, 0.3, 0.5], {}),
    "JPEG_Quality": ([OWN, 30, 12, 5, 1], {}),
    "Target_Pixels": ([60, 30, 15, 8], {}),
    "Occluder=fence": ([0, 0.2, 0.4, 0.6, 0.8], {}),
    "Occluder=leaves": ([0, 0.2, 0.4, 0.6, 0.8], {}),
    "Occluder=bars": ([0, 0.2, 0.4, 0.6], {}),
    "Occluder=object": ([0, 0.2, 0.4, 0.6, 0.8], {}),
    "Occluder=edge": ([0, 0.2, 0.4, 0.6, 0.8], {}),
    "Distractors": ([0, 2, 5, 9, 14], {}),
    "Distractor_Kind": (["animal", "object", "Pizza"], {"Distractors": 8}),
    "Distractor_Spacing": ([0.1, 0.4, 0.8, 1.2], {"Distractors": 6}),
    "Objects": ([[], *(_CROWD[:count] for count in (3, 7, 14))], {}),
}
"""Condition → the levels that are shown, from the left, and what else is said of the scenes."""


def _wire(strip: str) -> str:
    return strip.partition(",")[0].partition("=")[0]


def scene_of(strip: str, level: Any, world: str, animal: str, more: dict[str, Any]) -> Scene:
    """Return the scene of a level of a strip."""
    wire, _, kind = strip.partition(",")[0].partition("=")
    said = {"World_Name": world, "Character_Name": animal, **more}
    if kind:
        return Scene(said | ({wire: kind, "Occlusion": level} if level else {}))
    return Scene(said | {wire: level})


def _label(level: Any) -> str:
    return f"{len(level)} objects" if isinstance(level, list) else f"{level}"


def pictures(engine: BuiltinEngine, scenes: list[Scene], side: int) -> list[Image.Image | str]:
    """Return the picture of each scene, or why there is none."""
    options = RenderOptions(size=(side, side))
    return [
        one.reason if isinstance(one, Failure) else Image.fromarray(one.array("rgb"))
        for one in engine.render(scenes, options)
    ]


def offered(only: list[str]) -> dict[str, tuple[list[Any], dict[str, Any]]]:
    """Return the strips of what the engine offers."""
    found = {name: strip for name, strip in STRIPS.items() if {_wire(name), *strip[1]} <= OFFERED}
    return {name: strip for name, strip in found.items() if not only or _wire(name) in only or name in only}


def sheets(out: Path, worlds: list[str], only: list[str], side: int) -> None:
    """Write a sheet of each world."""
    out.mkdir(parents=True, exist_ok=True)
    engine = BuiltinEngine(worlds=4)
    for k, world in enumerate(worlds):
        rows, names = [], []
        for name, (levels, more) in offered(only).items():
            scenes = [scene_of(name, level, world, ANIMALS[k % len(ANIMALS)], more) for level in levels]
            shown = pictures(engine, scenes, side)
            if sum(not isinstance(one, str) for one in shown) < 2 or (name == "Lamps" and "Lamps, night" in names):
                print(f"{world}: {name}: {next((one for one in shown if isinstance(one, str)), 'shown at night')}")
                continue
            rows.append([
                Tile(None, "none") if isinstance(one, str) else Tile(one, _label(level))
                for one, level in zip(shown, levels, strict=True)
            ])  # fmt: skip
            names.append(name.replace("=", ": "))
        path = out / f"{world}.jpg"
        path.write_bytes(jpeg(contact_sheet(rows, side, names=names), 80))
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB", flush=True)


def blind(out: Path, seed: int, worlds: list[str], only: list[str], side: int) -> None:
    """Write unlabelled sheets, six strips on each, and ``key.json`` with what they show."""
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    engine = BuiltinEngine(worlds=4)
    strips = list(offered(only).items())
    drawn: list[tuple[str, str, list[Any], list[Image.Image]]] = []
    for at in rng.permutation(len(strips)):
        name, (levels, more) = strips[at]
        order = [levels[j] for j in rng.permutation(len(levels))]
        for world in rng.permutation(worlds):  # the first that has it
            animal = str(rng.choice(ANIMALS))
            shown = pictures(engine, [scene_of(name, level, str(world), animal, more) for level in order], side)
            if not any(isinstance(one, str) for one in shown):
                drawn.append((name, str(world), order, [one for one in shown if isinstance(one, Image.Image)]))
                break
        else:
            print(f"{name}: no world of these has all its levels", flush=True)
    key = {}
    for first in range(0, len(drawn), 6):
        some = drawn[first : first + 6]
        rows = [[Tile(one, str(k + 1)) for k, one in enumerate(strip[3])] for strip in some]
        sheet = contact_sheet(rows, side, names=[str(first + k + 1) for k in range(len(some))])
        sheet.save(out / f"sheet{first // 6 + 1}.png")
        for k, (name, world, order, _) in enumerate(some):
            places = [STRIPS[name][0].index(level) for level in order]
            key[str(first + k + 1)] = {"name": name, "world": world, "levels": order, "places": places}
    (out / "key.json").write_text(json.dumps(key, indent=1))
    print(f"{out}: {len(drawn)} strips", flush=True)


def score(answers: Path, out: Path) -> None:
    """Say how many strips were named, by hand-checked ``"right"`` of each answer, and how well levels were ranked."""
    from scipy.stats import spearmanr

    key, given = json.loads((out / "key.json").read_text()), json.loads(answers.read_text())
    named, found = [], []
    for number, strip in key.items():
        answer = given[number]
        places = strip["places"]  # of the levels, in the order of `STRIPS`
        # A direction is a matter of words (more fog is less visibility): what counts is the order.
        correlation = abs(spearmanr([places[k - 1] for k in answer["order"]], range(len(places))).statistic)
        named.append(bool(answer["right"]))
        if strip["name"] != "Sun_Azimuth":
            found.append(correlation)
        print(f"{number:>3} {strip['name']:22} {answer['name']:40} {'' if named[-1] else 'wrong':6} {correlation:.2f}")
    print(f"named {np.mean(named):.3f} of {len(named)}; rank correlation {np.mean(found):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/gallery/conditions"))
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--only", default="", help="conditions, with commas between; by default all that are offered")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--blind", type=int, metavar="SEED", help="write unlabelled sheets, drawn with a seed")
    parser.add_argument("--score", type=Path, metavar="ANSWERS", help="of unlabelled sheets in --out")
    arguments = parser.parse_args()
    worlds, only = arguments.worlds.split(","), [one for one in arguments.only.split(",") if one]
    if arguments.score:
        score(arguments.score, arguments.out)
    elif arguments.blind is not None:
        blind(arguments.out, arguments.blind, worlds, only, arguments.size)
    else:
        sheets(arguments.out, worlds, only, arguments.size)


if __name__ == "__main__":
    main()
