"""What a character is: the classes of animals and objects, their numbers, and the published assets of each.

Two tables are read, ``scenes/classes.csv`` and ``scenes/object_assets.csv``. Both are only ever appended to: a number
or a name that a dataset was made with means the same in every later version.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from torchmultiverse.resources import data_folder

_OF_CLASS = re.compile(r"(.+)_[1-9][0-9]*")


@dataclass(frozen=True)
class SemanticClass:
    """A kind of thing that characters are of.

    Args:
        id: its number in the pass ``class``, from 1.
        name: as published (``Cofee_Mug``); an animal and a class of objects may share one, such as ``Bear``.
        kind: ``animal``, of which a character has the name; ``object``, whose characters are ``NAME_1``, ``NAME_2``, …;
            or ``own``, a character of a pack that is none of these.
        display: as people write it (``coffee mug``).
        synset: its WordNet 3.0 synset (``n03063599``), the lowest common one where there are several; empty for
            ``own``.
        imagenet: its indices among the 1000 ImageNet classes, as published for objects; for animals those that the
            evaluations use, none where ImageNet has no such class.
        assets: how many published characters there are of it.
    """

    id: int
    name: str
    kind: Literal["animal", "object", "own"]
    display: str
    synset: str = ""
    imagenet: tuple[int, ...] = ()
    assets: int = 1

    @property
    def characters(self) -> tuple[str, ...]:
        """The names of its published characters: ``("Cofee_Mug_1", …)``, or an animal's name."""
        if self.kind != "object":
            return (self.name,)
        return tuple(f"{self.name}_{k}" for k in range(1, self.assets + 1))


@dataclass(frozen=True)
class ObjectAsset:
    """One of the 724 assets of PUG: ImageNet.

    Args:
        name: ``CLASS_k``.
        label: its class, as published.
        uid: of the published asset at Sketchfab; empty for the three whose asset is not known.
        ar4t: whether PUG: AR4T uses it, as it does 680. The published assets of two that it uses are not known:
            ``Jeep_5`` and ``Submarine_5`` stand for them.
        confidence: how sure it is that the uid is of this class: ``sure``, ``likely``, ``guess``; empty without one.
    """

    name: str
    label: str
    uid: str
    ar4t: bool
    confidence: Literal["sure", "likely", "guess", ""]


@cache
def class_table() -> tuple[SemanticClass, ...]:
    """Return the classes in the order of their ids: the 70 animals, then the 151 classes of PUG: ImageNet."""
    with open(data_folder("scenes") / "classes.csv", encoding="utf-8", newline="") as file:
        return tuple(
            SemanticClass(
                id=int(row["id"]),
                name=row["name"],
                kind="animal" if row["kind"] == "animal" else "object",
                display=row["display"],
                synset=row["synset"],
                imagenet=tuple(map(int, row["imagenet"].split())),
                assets=int(row["assets"]),
            )
            for row in csv.DictReader(file)
        )


@cache
def object_assets() -> tuple[ObjectAsset, ...]:
    """Return the 724 assets of PUG: ImageNet, by class in the published order of labels, then by number."""
    confidences: dict[str, Literal["sure", "likely", "guess", ""]] = {
        "sure": "sure", "likely": "likely", "guess": "guess",
    }  # fmt: skip
    with open(data_folder("scenes") / "object_assets.csv", encoding="utf-8", newline="") as file:
        return tuple(
            ObjectAsset(
                name=row["name"],
                label=row["name"].rpartition("_")[0],
                uid=row["uid"],
                ar4t=row["ar4t"] == "yes",
                confidence=confidences.get(row["confidence"], ""),
            )
            for row in csv.DictReader(file)
        )


@cache
def _by_name(kind: str) -> dict[str, SemanticClass]:
    return {one.name: one for one in class_table() if one.kind == kind}


def class_of(character: str) -> SemanticClass | None:
    """Return the class of a character by its name, or ``None`` for one of a pack that is of none.

    A pack may give more characters of a class of objects than were published: they are of the class by their name.

    >>> [one and one.id for one in map(class_of, ["Cofee_Mug_3", "Bear", "Bear_2", "Teapot"])]
    [107, 7, 83, None]
    """
    found = _by_name("animal").get(character)
    if found is None and (match := _OF_CLASS.fullmatch(character)):
        found = _by_name("object").get(match[1])
    return found


def said_name(character: str) -> str:
    """Return what a caption or an answer calls a character: an object by its class, all others by their names.

    >>> said_name("Cofee_Mug_3"), said_name("GiantTortoise"), said_name("my_mug"), said_name("blank")
    ('Cofee_Mug', 'GiantTortoise', 'my_mug', 'blank')
    """
    found = class_of(character)
    return character if found is None else found.name


def classes_of(characters: Iterable[str], given: Mapping[str, str] | None = None) -> dict[str, SemanticClass]:
    """Return the class of each character of an engine; ids do not depend on which others it has, but for packs' own.

    Classes of packs that are not in the table have ids after the table's, in the order of their names.

    Args:
        characters: their names.
        given: names of classes that packs say of characters whose names do not tell: one of the table, of objects
            before animals, or one of their own, which several may have. A character that nothing is said of has one of
            its own, of its name.

    >>> {name: one.id for name, one in classes_of(["Zebra", "Teapot", "Bear_1", "Bear_2", "Lamp"]).items()}
    {'Zebra': 70, 'Teapot': 223, 'Bear_1': 83, 'Bear_2': 83, 'Lamp': 222}
    >>> given = {"my_mug": "Cofee_Mug", "Sofa_1": "Sofa", "Sofa_2": "Sofa", "Zebra": "Zebra"}
    >>> {name: one.id for name, one in classes_of(given, given).items()}
    {'my_mug': 107, 'Sofa_1': 222, 'Sofa_2': 222, 'Zebra': 70}
    """
    said = given or {}
    known: dict[str, SemanticClass | None] = {}
    for name in characters:
        label = said.get(name, name)
        known[name] = class_of(name) or _by_name("object").get(label) or _by_name("animal").get(label)
    own = sorted({said.get(name, name) for name, found in known.items() if found is None})
    first = class_table()[-1].id + 1
    ids = {label: SemanticClass(first + k, label, "own", label) for k, label in enumerate(own)}
    return {name: found or ids[said.get(name, name)] for name, found in known.items()}


def in_class_order(character: str) -> tuple[int, str, int, str]:
    """Return a key that sorts characters for people: animals, then objects by class and number, then all others.

    >>> sorted(["Bear_10", "Lamp", "Bear_9", "Zebra", "African_crocodile_1"], key=in_class_order)
    ['Zebra', 'African_crocodile_1', 'Bear_9', 'Bear_10', 'Lamp']
    """
    found = class_of(character)
    if found is None:
        return (2, "", 0, character)
    if found.kind == "animal":
        return (0, "", 0, character)
    return (1, found.name, int(character.rpartition("_")[2]), character)
