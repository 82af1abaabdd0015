"""PUG: AR4T: two objects in a relation, objects with attributes, captions and hard negatives.

Source: appendix D.2.5 of the PUG chapter: Table 4 (relations, coordinates, negatives), Table 5 (attributes), Algorithms
1 and 2, and the paragraphs on splits and on alternate captions.

What the source leaves open, and what was chosen:

- Table 4 allows three negatives for each vertical relation. One is fixed for each, so that the negative of a negative
  is the positive again and every relation has the same number of scenes, which the published balance needs.
- The algorithms as printed give the test sets; the train sets have more samples of the same kinds. A label ``Sample``
  numbers the draws of a kind, and the spec's splits say which are held out.
- An attribute's texture and size go together: the hard negative of an attribute scene swaps both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.design import Design, Explicit, lazy_design
from torchmultiverse.scenes.factors import FactorTable, Value
from torchmultiverse.scenes.scene import Scene

RELATIONS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int], str]] = {
    "above": ((0, 0, 300), (0, 0, 0), "below"),
    "on top of": ((0, 0, 300), (0, 0, 0), "beneath"),
    "on": ((0, 0, 300), (0, 0, 0), "under"),
    "below": ((0, 0, 0), (0, 0, 300), "above"),
    "beneath": ((0, 0, 0), (0, 0, 300), "on top of"),
    "under": ((0, 0, 0), (0, 0, 300), "on"),
    "behind": ((150, 0, 0), (-150, 0, 0), "in front of"),
    "in front of": ((-150, 0, 0), (150, 0, 0), "behind"),
    "to the left of": ((0, -150, 0), (0, 150, 0), "to the right of"),
    "to the right of": ((0, 150, 0), (0, -150, 0), "to the left of"),
}
"""Binary relation → where its objects are (away from the camera, to the right, up), and its negative."""
PHYSICAL = {name: {"on top of": "on", "beneath": "under"}.get(name, name) for name in RELATIONS}
"""Binary relation → the place of the first character by which an engine makes it true of what the two look like."""
UNARY = ("at", "in", "inside")
"""Relations of one object to the world."""
BACKGROUNDS = {
    "Arena": "arena", "VillageOutskirt": "village", "VillageSquare": "village", "Battleground": "battleground",
    "Beach": "beach", "Bridge": "bridge", "Circus": "circus", "Cliff": "cliff", "Courtyard": "courtyard",
    "Egypt": "egypt", "ElvenRuins": "ruins", "EuropeanStreet": "european street", "FightingArena": "fighting arena",
    "Forge": "forge", "IceRoad": "icy road", "Jungle": "jungle", "Library": "library", "Museum": "museum",
    "OceanFloor": "ocean floor", "AncientAgora": "castle outskirts", "Racetrack": "race track",
    "RuralAustralia": "rural wilderness", "AustralianRoad": "desert road", "SaltFlats": "salt flats",
    "SpaceIsland": "space", "StylizedEgypt": "egypt", "Temple": "temple", "TrainStation": "train station",
}  # fmt: skip
"""World → how captions call it (Table 3; its "icv road" is a misprint)."""
SYNONYMS = (("big", "large", "tall", "long"), ("short", "small", "little", "tiny"))
"""Attributes that are one size of the object (200 and 50): pictures do not tell them apart."""
_EDGE = 150
"""Longest edge of an object at scale 1, in units of the coordinates."""


@dataclass(frozen=True)
class Placing:
    """How objects are drawn and placed.

    Attributes:
        jitter: most that each coordinate is moved by.
        distinct: whether the two objects are always of different classes; the published ones may be of one.
        physical: whether relations are made true as words (`PHYSICAL`), and what stands is on the ground: then only
            what is above the other is moved up or down. The draws are the same.
    """

    jitter: int = 25
    distinct: bool = False
    physical: bool = False


class _Draws:
    """Objects, places and sizes of many scenes, each column of its own stream, so that none moves another."""

    def __init__(self, assets: Mapping[str, Sequence[str]], placing: Placing, seed: int) -> None:
        self._labels = list(assets)
        self._names = [list(assets[label]) for label in self._labels]
        if not self._labels or not all(self._names):
            raise SpecError("design.assets: every class needs an asset, and there must be a class")
        if placing.distinct and len(self._labels) < 2:
            raise SpecError("design.distinct: two different classes need two classes in design.assets")
        self._placing, self._seed, self._stream = placing, seed, 0

    def rng(self) -> np.random.Generator:
        self._stream += 1
        return np.random.default_rng([self._seed, self._stream])

    def objects(self, n: int, two: bool) -> list[dict[str, Value]]:
        """Return names, labels, sizes and offsets of the objects of n scenes, by wire name."""
        classes = len(self._labels)
        first = self.rng().integers(classes, size=n)
        step = self.rng().integers(1 if self._placing.distinct else 0, classes, size=n)
        second = (first + step) % classes
        rows: list[dict[str, Value]] = [{} for _ in range(n)]
        for prefix, picked in (("Character", first), ("Character2", second))[: 2 if two else 1]:
            which, sizes = self.rng().random(n), self.rng().integers(1, 11, size=n)
            for row, label, u, size in zip(rows, picked.tolist(), which.tolist(), sizes.tolist(), strict=True):
                names = self._names[label]
                row[f"{prefix}_Name"] = names[int(u * len(names))]
                row[f"{prefix}_Label"] = self._labels[label]
                row[f"{prefix}_Scale"] = scale(100 + 10 * size)
        return rows

    def places(self, relations: Sequence[str | None]) -> list[dict[str, Value]]:
        """Return the coordinates of the objects of scenes with these relations; ``None``: one object, at the origin."""
        offsets = self.rng().integers(0, self._placing.jitter + 1, size=(len(relations), 2, 3))
        physical = self._placing.physical
        rows: list[dict[str, Value]] = []
        for relation, offset in zip(relations, offsets.tolist(), strict=True):
            spots = [(0, 0, 0)] if relation is None else RELATIONS[relation][:2]
            row: dict[str, Value] = {}
            for number, (spot, moved) in enumerate(zip(spots, offset, strict=False), 1):
                prefix = "Character" if number == 1 else "Character2"
                if physical and spot[2] == 0:
                    moved = [*moved[:2], 0]
                row[f"{prefix}_Location"] = ",".join(str(a + b) for a, b in zip(spot, moved, strict=True))
                row[f"Character{number}_Pos"] = "location"
            if physical and relation is not None:
                row["Character1_Pos"] = PHYSICAL[relation]
            rows.append(row)
        return rows

    def pick(self, choices: Sequence[str], n: int) -> list[str]:
        return [choices[i] for i in self.rng().integers(len(choices), size=n).tolist()]

    def worlds(self, choices: Sequence[str], each: int, cells: int) -> list[str]:
        """Return ``each`` worlds for every cell: all of them equally often (± 1), in an order of the cell's own."""
        turns = -(-each // len(choices))
        order = self.rng().random((cells, turns, len(choices))).argsort(-1).reshape(cells, -1)[:, :each]
        return [choices[i] for i in order.ravel().tolist()]


def scale(edge: float) -> Value:
    """Return the ``Character_Scale`` of an object whose longest edge has this length; 150 is 1."""
    if not 0 < edge <= 100 * _EDGE:
        raise SpecError(f"design.attributes: {str(edge)[:40]} is no length of an edge; {_EDGE} is scale 1")
    value = round(edge / _EDGE, 4)
    return int(value) if value.is_integer() else value


def relations(
    worlds: Sequence[str],
    assets: Mapping[str, Sequence[str]],
    *,
    pairs: int,
    single: int,
    table: FactorTable,
    seed: int,
    placing: Placing = Placing(),
) -> Design:
    """Return the scenes of PUG: AR4T-Relations (Algorithm 1).

    Args:
        worlds: backgrounds.
        assets: class → names of its assets.
        pairs: scenes of each binary relation in each world, each followed by its hard negative.
        single: scenes of each unary relation in each world.
        table: the factors that are known.
        seed: of all draws.
        placing: how objects are drawn and placed.
    """
    draws = _Draws(assets, placing, seed)
    count = len(worlds) * (len(UNARY) * single + 2 * len(RELATIONS) * pairs)
    return lazy_design(count, lambda: _relations(draws, worlds, pairs, single, table), table)


def _relations(draws: _Draws, worlds: Sequence[str], pairs: int, single: int, table: FactorTable) -> Explicit:
    kinds = [(world, name, sample) for world in worlds for name in UNARY for sample in range(single)]
    rows: list[dict[str, Value]] = []
    bodies, spots = draws.objects(len(kinds), two=False), draws.places([None] * len(kinds))
    for (world, name, sample), body, spot in zip(kinds, bodies, spots, strict=True):
        given: dict[str, Value] = {"World_Name": world, "Relation": name, "Sample": sample, "Subset": "Relations"}
        rows.append({**given, **body, **spot})
    kinds = [(world, name, sample) for world in worlds for name in RELATIONS for sample in range(pairs)]
    bodies, spots = draws.objects(len(kinds), two=True), draws.places([name for _, name, _ in kinds])
    inside = draws.pick(UNARY, len(kinds))
    for (world, name, sample), body, spot, of in zip(kinds, bodies, spots, inside, strict=True):
        given = {"World_Name": world, "Relation": name, "World_Relation": of, "Sample": sample, "Subset": "Relations"}
        row = {**given, **body, **spot}
        rows += [row, _negated(row)]
    return _in_world_order(rows, worlds, table)


def attributes(
    worlds: Sequence[str],
    assets: Mapping[str, Sequence[str]],
    attributes: Mapping[str, Sequence[str] | float],
    *,
    pairs: int,
    single: int,
    table: FactorTable,
    seed: int,
    further_pairs: int = 0,
    placing: Placing = Placing(),
) -> Design:
    """Return the scenes of PUG: AR4T-Attributes (Algorithm 2).

    Args:
        worlds: backgrounds.
        assets: class → names of its assets.
        attributes: attribute → textures that show it, each a variant, or the longest edge that does.
        pairs: scenes of every two variants, in order, each followed by its hard negative; worlds take turns.
        single: scenes of each variant alone; worlds take turns.
        table: the factors that are known.
        seed: of all draws.
        further_pairs: so many more pairs of variants and worlds drawn at random, each with its hard negative.
        placing: as in `relations`.
    """
    draws = _Draws(assets, placing, seed)
    variants: list[dict[str, Value]] = []
    for name, shown in attributes.items():
        if isinstance(shown, int | float):
            variants.append({"Attribute": name, "Texture": "Default", "Scale": scale(shown)})
        else:
            variants += [{"Attribute": name, "Texture": texture} for texture in shown]
    count = len(variants) * single + 2 * (len(variants) ** 2 * pairs + further_pairs)
    return lazy_design(count, lambda: _attributes(draws, worlds, variants, pairs, single, further_pairs, table), table)


def _attributes(
    draws: _Draws,
    worlds: Sequence[str],
    variants: Sequence[Mapping[str, Value]],
    pairs: int,
    single: int,
    further_pairs: int,
    table: FactorTable,
) -> Explicit:
    rows: list[dict[str, Value]] = []
    n = len(variants)
    cells = [(i, sample) for i in range(n) for sample in range(single)]
    places = draws.worlds(worlds, single, n)
    bodies, spots = draws.objects(len(cells), two=False), draws.places([None] * len(cells))
    for (i, sample), world, body, spot, of in zip(
        cells, places, bodies, spots, draws.pick(UNARY, len(cells)), strict=True
    ):
        given: dict[str, Value] = {"World_Name": world, "Relation": of, "Sample": sample, "Subset": "Attributes"}
        rows.append({**given, **body, **spot, **_shown("Character", variants[i])})
    triples = [(i, j, sample) for i in range(n) for j in range(n) for sample in range(pairs)]
    places = draws.worlds(worlds, pairs, n * n)
    more: NDArray[Any] = draws.rng().integers(n, size=(further_pairs, 2))
    triples += [(int(i), int(j), pairs + k) for k, (i, j) in enumerate(more)]
    places += draws.pick(worlds, further_pairs)
    between, inside = draws.pick(list(RELATIONS), len(triples)), draws.pick(UNARY, len(triples))
    bodies, spots = draws.objects(len(triples), two=True), draws.places(between)
    for (i, j, sample), world, relation, of, body, spot in zip(
        triples, places, between, inside, bodies, spots, strict=True
    ):
        given = {"World_Name": world, "Relation": relation, "World_Relation": of, "Sample": sample}
        looks = {**_shown("Character", variants[i]), **_shown("Character2", variants[j])}
        row = {**given, "Subset": "Attributes", **body, **spot, **looks}
        rows += [row, _negated(row)]
    return _in_world_order(rows, worlds, table)


def negative(scene: Scene) -> Scene | None:
    """Return the hard negative of a scene, and of a negative the scene that it was made of.

    Of a relation: the objects change places. Of attributes: they change textures and sizes. ``None`` for one object.
    """
    if scene["Subset"] not in {"Relations", "Attributes"} or scene["Relation"] not in RELATIONS:
        return None
    return scene.changed(**_negated(scene.complete))


def _negated(row: Mapping[str, Value]) -> dict[str, Value]:
    swapped = ["Location"] if row["Subset"] == "Relations" else ["Texture", "Scale", "Attribute"]
    changed = dict(row)
    for what in swapped:
        one, two = f"Character_{what}", f"Character2_{what}"
        changed |= {a: row[b] for a, b in ((one, two), (two, one)) if b in row}
    if row["Subset"] == "Relations":
        changed["Relation"] = opposite = RELATIONS[str(row["Relation"])][2]
        if row["Character1_Pos"] != "location":
            changed["Character1_Pos"] = PHYSICAL[opposite]
    changed["Negative"] = 1 - int(row.get("Negative", 0))
    return changed


def _shown(prefix: str, variant: Mapping[str, Value]) -> dict[str, Value]:
    return {f"{prefix}_{what}": value for what, value in variant.items()}


def _in_world_order(rows: list[dict[str, Value]], worlds: Sequence[str], table: FactorTable) -> Explicit:
    """World after world, so that an engine loads each once; else as drawn."""
    place = {world: k for k, world in enumerate(worlds)}
    rows.sort(key=lambda row: place[str(row["World_Name"])])
    return Explicit.of_rows(rows, table)
