"""Contact sheets of the built-in engine, to be looked at, and the pages of the documentation that show them.

Every world, animal, class of objects, texture and light, and SPAR pairs; the page has them beside what the catalogue
says.

python benchmarks/gallery.py [--out docs/gallery] [--page docs/catalogue.md] [--size 144] [--only worlds,…,page]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import rgb2lab

from torchmultiverse.connect import engine_catalogue
from torchmultiverse.engines import Catalogue, Failure, RenderOptions, catalogue_rows
from torchmultiverse.engines.builtin import TEXTURES, BuiltinEngine, texture
from torchmultiverse.engines.builtin.characters import character_names, texture_names
from torchmultiverse.engines.builtin.objects import object_names
from torchmultiverse.engines.builtin.regions import load_region, region_names
from torchmultiverse.engines.builtin.relative import RELATIVE
from torchmultiverse.engines.builtin.world import world_names
from torchmultiverse.images import jpeg
from torchmultiverse.scenes import LIGHTS, Scene, class_of, class_table, published_levels
from torchmultiverse.scenes.ar4t import RELATIONS
from torchmultiverse.sheets import Tile, contact_sheet, in_rows
from torchmultiverse.tables import Table, encode, number, text

PAIRS = (
    ({"Character1_Pos": "left", "Character2_Pos": "right"}, "Default", "Default"),
    ({"Character1_Pos": "bottom", "Character2_Pos": "top"}, "Default", "Default"),
    ({"Character1_Pos": "left", "Character2_Pos": "right"}, "Blue", "Red"),
    ({"Character1_Pos": "left", "Character2_Pos": "right"}, "Grass", "Stone"),
)
SPAR = ("Desert", "Arena", "OceanFloor", "Racetrack", "TokyoDay", "Circus", "BoxingRing", "Museum", "AustralianRoad")
PLAIN = {"World_Name": "SaltFlats", "Character_Name": "Elephant"}
ALIKE = 8.0
"""Distance in CIELAB below which the page names two textures as hard to tell apart."""


def worlds() -> Iterator[tuple[str, dict[str, object]]]:
    animals = character_names()
    for k, name in enumerate(world_names()):
        yield name, {"World_Name": name, "Character_Name": animals[7 * k % len(animals)], "Camera_Yaw": 45 * (k % 2)}


def animals() -> Iterator[tuple[str, dict[str, object]]]:
    for name in character_names():
        for yaw in (0, 45):
            yield f"{name}, {yaw}°" if yaw else name, PLAIN | {"Character_Name": name, "Camera_Yaw": yaw}


def objects() -> Iterator[tuple[str, dict[str, object]]]:
    """The first object of each class."""
    shown: set[int] = set()
    for name in object_names():
        found = class_of(name)
        if found is not None and found.id not in shown:
            shown.add(found.id)
            yield found.display, PLAIN | {"Character_Name": name}


def textures() -> Iterator[tuple[str, dict[str, object]]]:
    for name in texture_names():
        yield name, PLAIN | {"Character_Texture": name}


def lights() -> Iterator[tuple[str, dict[str, object]]]:
    for name in LIGHTS:
        yield name, PLAIN | {"Scene_Light": name}


def pairs() -> Iterator[tuple[str, dict[str, object]]]:
    animals = character_names()
    for world in SPAR:
        for k, (places, first, second) in enumerate(PAIRS):
            one, two = (animals[place % len(animals)] for place in (11 * k + 5, 17 * k + 30))
            named = {"World_Name": world, "Character_Name": one, "Character2_Name": two}
            yield world, {**named, "Character_Texture": first, "Character2_Texture": second, **places}


def placements() -> Iterator[tuple[str, dict[str, object]]]:
    """Words that are made true of two characters."""
    for one, two in (("Cat", "Elephant"), ("Cofee_Mug_1", "Barrel_1"), ("Soccer_Ball_1", "Soup_Bowl_1")):
        for word in RELATIVE:
            mine, its, _ = RELATIONS.get(word, ((0, 0, 0), (0, 0, 0), ""))
            named: dict[str, object] = {"World_Name": "SaltFlats", "Character_Name": one, "Character2_Name": two}
            named |= {"Character1_Pos": word, "Character2_Pos": "location"}
            named |= {"Character_Scale": 1.3, "Character2_Scale": 1.3}
            spots = {"Character_Location": ",".join(map(str, mine)), "Character2_Location": ",".join(map(str, its))}
            yield word, named | spots


def regions() -> Iterator[tuple[str, dict[str, object]]]:
    """The looks of each world that has any beside its own, one row a world and side."""
    animals = ("Elephant", "Zebra", "Cat")
    for animal, (world, levels) in zip(animals, region_names().items(), strict=False):
        for yaw in (0, 90):
            for level in ("own", *levels):
                label = f"{world}, {level.replace('_', ' ')}"
                looked = {"World_Name": world, "Character_Name": animal, "Camera_Yaw": yaw}
                yield label, looked | ({} if level == "own" else {"World_Region": level})


SHEETS: dict[str, tuple[Callable[[], Iterator[tuple[str, dict[str, object]]]], int, int]] = {
    "worlds": (worlds, 8, 0), "animals": (animals, 8, 2), "objects": (objects, 10, 0),
    "textures": (textures, 8, 0), "lights": (lights, 7, 0),
    "pairs": (pairs, 8, 4), "placements": (placements, 9, 0), "regions": (regions, 7, 0),
}  # fmt: skip
"""Name of a sheet → its scenes with their labels, its columns, and how many of these stand together."""


def look_alikes(limit: float = ALIKE) -> list[tuple[str, str, float]]:
    """Return pairs of textures and how far apart they are, the nearest first.

    The distance is that of the means and standard deviations of their colours on a ball, in CIELAB: where a pattern
    lies does not count.
    """
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(20_000, 3)).astype(np.float32)
    ball /= 2 * np.linalg.norm(ball, axis=1, keepdims=True)
    found = {}
    for name in TEXTURES:
        if name != "Default":
            linear = texture(name, ball)[0].clip(0, 1)
            shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
            lab = rgb2lab(shown[None])[0]
            found[name] = np.concatenate([lab.mean(0), lab.std(0)])
    apart = ((a, b, float(np.linalg.norm(found[a] - found[b]))) for a, b in combinations(found, 2))
    return sorted((pair for pair in apart if pair[2] < limit), key=lambda pair: pair[2])


def objects_table() -> Table:
    """Return the classes of objects, with how many there are of each."""
    found = Table(
        (
            text("name", "class"), number("id", "number in the pass class"), text("what", "what it is"),
            number("count", "objects"), text("synset", "WordNet 3.0"), text("imagenet", "ImageNet-1k"),
            text("families", "published families"),
        )
    )  # fmt: skip
    families = {
        family: {str(level) for name, levels in factors.items() if name.endswith("_Name") for level in levels}
        for family, factors in published_levels().items()
    }
    for one in class_table():
        if one.kind == "object":
            varied = [family for family, levels in families.items() if levels & set(one.characters)]
            found.add(one.name, one.id, one.display, one.assets, one.synset, [str(k) for k in one.imagenet], varied)
    return found


def page(catalogue: Catalogue) -> str:
    """Return the page of the documentation."""
    name, what, families = text("name"), text("what", "what it is"), text("families", "published families")
    kinds = {
        "worlds": (name, text("aliases"), what, text("regions"), families), "characters": (name, what, families),
        "textures": (name, what, families), "lights": (name, text("level"), families),
        "factors": (
            text("factor"), text("type"), text("levels", "range or levels"), text("unit"), text("default"), families,
            text("what", "what it does"),
        ),
    }  # fmt: skip
    tables = {}
    for kind, columns in kinds.items():
        tables[kind] = Table(columns)
        for row in catalogue_rows(catalogue, kind):
            if kind == "characters" and (one := class_of(row["name"])) is not None and one.kind == "object":
                continue  # by class, below
            if str(row.get("factor", "")).endswith("_Name") and str(row["levels"]).endswith("characters"):
                row["levels"] = "animals and objects"
            tables[kind].add(*(row[column.keys[0]] or None for column in columns))
    tables["objects"] = objects_table()
    alike = Table((text("one"), text("other"), number("distance", form=".1f")))
    for pair in look_alikes():
        alike.add(*pair)
    shown = {kind: encode([table], "md") for kind, table in (tables | {"alike": alike}).items()}
    return PAGE.format(**shown, limit=f"{ALIKE:g}")


REGIONS = """# Regions

<!-- Written by `python benchmarks/gallery.py`, from scenes/regions. -->

`World_Region` gives a world the look of a part of the earth: a street (`ShadyRoad`), a home (`Appartment`) and the
countryside (`VillageOutskirt`) have the same levels, so that designs can cross them. `own`, the default, is the world
as it is; such scenes keep their ids and pictures. A world that has not the level that is asked for is refused, by
`--dry-run` before anything is drawn; `torchmultiverse catalogue worlds` says which world has which.

```json
{{"World_Name": ["ShadyRoad", "Appartment", "VillageOutskirt"], "Character_Name": ["Cat"],
 "World_Region": ["northern_europe", "mediterranean", "east_asia", "south_asia", "west_africa", "north_america"]}}
```

![The looks of each world from two sides; the first of each row is the world's own](gallery/regions.jpg)

## What stands for what

{facts}
## What a look is not

A look shows some of what is typical of a part of the earth and documented; it measures no place. Each region is far
larger and more varied than its look: northern Europe has the look of Swedish villages, East Asia that of Japan, and
what is typical of the villages of a region is not of its cities, nor of all that live there. The levels differ in all
that belongs to them at once (houses, road, plants, soil, light), so that a difference between them says nothing of any
one of these. Seasons, wealth and the hour of the day are not balanced between them. A model that does worse in one look
is found to do worse in that look; whether it does in the place takes photographs from there: GeoDE (Ramaswamy et al.,
2023) has some of 40 classes from six regions, Dollar Street (Gapminder; Gaviria Rojas et al., 2022) of homes by income.

## A region of your own

A look is a file, `scenes/regions/WORLD/LEVEL.json`: `caption`; `facts`, what stands for the place and where that is
written; `changes`, fields of the world that are otherwise; `blocks`, what it is built of. `{{"keep": 0}}` is the
world's own first block, with parameters beside it that replace its own. A file that is wrong is refused with its place.
"""


def regions_page() -> str:
    """Return the page of the documentation on regions."""
    facts = Table((text("region"), text("world"), text("shows"), text("source")))
    rows = [(level, world) for world, levels in region_names().items() for level in levels]
    for level, world in sorted(rows):
        for fact in load_region(world, level)[0].facts:
            facts.add(level, world, fact.shows, fact.source)
    return REGIONS.format(facts=encode([facts], "md"))


PAGE = """# Catalogue

<!-- Written by `python benchmarks/gallery.py`, from what the engine says of itself. -->

What a scene of the built-in engine can be made of. The same is listed, with packs of your own and their licences, by
`torchmultiverse catalogue factors`, `worlds`, `characters`, `classes`, `textures` and `lights`; `--format json`, `csv`
or `md` is for programs, and `--engine` asks another engine.

## Factors

A scene that does not mention a factor has its default. Angles are taken modulo a turn: -45 and 315 are one scene.

{factors}
## Worlds

Each once; an alias is accepted as well. On the sheet each has another animal.

![Every world](gallery/worlds.jpg)

{worlds}
## Characters

Animals and objects are levels of `Character_Name` and of `Character2_Name`: any of them can stand where another can.
Each is of a class, whose number in the pass `class` never changes: animals are 1 to 70, classes of objects 71 to 221;
what packs bring that is of none of these comes after them, and a dataset's `manifest.json` says how.

### Animals

From the side, and with the camera turned by 45°.

![Every animal](gallery/animals.jpg)

{characters}
### Objects, by class

The objects of a class are `CLASS_1`, `CLASS_2`, … in the spelling of PUG: ImageNet. How they differ is said by
`torchmultiverse catalogue characters --of CLASS`. The sheet has the first of each class.

![An object of every class](gallery/objects.jpg)

{objects}
## Textures

`Character2_Texture` has the same levels. Names with numbers are the variants of attributes of PUG: AR4T.

![Every texture](gallery/textures.jpg)

{textures}
### Textures that look alike

Names that differ do not always look different: these are less than {limit} apart in CIELAB, by the mean and standard
deviation of their colours. A model that takes one for the other is not wrong by much.

{alike}
## Lights

In specs, filters and commands a name stands for its level; white is the world's own light.

![Every light](gallery/lights.jpg)

{lights}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/gallery"))
    parser.add_argument("--page", type=Path, default=Path("docs/catalogue.md"))
    parser.add_argument("--size", type=int, default=144)
    parser.add_argument("--only", default=",".join([*SHEETS, "page"]))
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if unknown := set(wanted) - {*SHEETS, "page"}:
        parser.error(f"--only: {', '.join(sorted(unknown))}; {', '.join([*SHEETS, 'page'])} are right")
    if "page" in wanted:
        arguments.page.write_text(page(engine_catalogue("builtin", assets=["procedural"])), encoding="utf-8")
        beside = arguments.page.with_name("regions.md")
        beside.write_text(regions_page(), encoding="utf-8")
        print(arguments.page, beside, sep="\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    engine = BuiltinEngine() if set(wanted) & set(SHEETS) else None
    for name in wanted:
        if name == "page" or engine is None:
            continue
        scenes, columns, group = SHEETS[name]
        tiles = []
        for label, factors in scenes():
            (frame,) = engine.render([Scene(factors)], RenderOptions(size=(arguments.size, arguments.size)))
            if isinstance(frame, Failure):
                raise SystemExit(f"{factors}: {frame.reason}")
            tiles.append(Tile(Image.fromarray(frame.array("rgb")), label))
        path = arguments.out / f"{name}.jpg"
        path.write_bytes(jpeg(contact_sheet(in_rows(tiles, columns), arguments.size, group=group), 80))
        print(f"{path}: {len(tiles)} pictures, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
