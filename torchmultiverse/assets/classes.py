"""Which class an asset is of, and the names that assets of a class have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from torchmultiverse.engines.builtin import world_names
from torchmultiverse.errors import AssetError
from torchmultiverse.scenes import class_table

_NUMBERED = re.compile(r"(.+)_([1-9]\d{0,5})")


@dataclass(frozen=True)
class ClassedName:
    """An asset's name, a level of ``Character_Name``, and its class."""

    name: str
    class_name: str


@cache
def published_classes() -> dict[str, int]:
    """Return the classes of PUG: ImageNet in its spelling, each with how many assets it has; sorted.

    >>> len(published_classes()), sum(published_classes().values())
    (151, 724)
    """
    return {one.name: one.assets for one in class_table() if one.kind == "object"}


def class_of(name: str) -> str:
    """Return the class of an asset by its name alone: ``Desk_2`` is of the published class ``Desk``; else the name.

    >>> class_of("Desk_2"), class_of("Desk_90"), class_of("Sofa_1")
    ('Desk', 'Desk', 'Sofa_1')
    """
    found = _NUMBERED.fullmatch(name)
    return found[1] if found and found[1] in published_classes() else name


def classed_names(
    wanted: Sequence[tuple[str | None, str | None]], places: Sequence[str] = (), faults: list[str] | None = None
) -> list[ClassedName]:
    """Return a name and a class for each asset, in their order.

    Assets that have a class and no name are called ``CLASS_k``, by the lowest numbers that no given name has taken. The
    first of a published class so get the names that the published designs ask for.

    Args:
        wanted: name and class of each, where it has them; one of both at least.
        places: name each in errors.
        faults: gets what is wrong, a line each, instead of an error for the first.

    Raises:
        AssetError: neither name nor class, or the name is one of another class.

    >>> [(n.name, n.class_name) for n in classed_names([(None, "Desk"), ("Desk_1", None), (None, "Sofa")])]
    [('Desk_2', 'Desk'), ('Desk_1', 'Desk'), ('Sofa_1', 'Sofa')]
    """
    taken = {name for name, _ in wanted if name}
    found = []
    for k, (name, of) in enumerate(wanted):
        what = places[k] if k < len(places) else f"asset {k}"
        if not name and not of:
            _wrong(f"{what}: it has neither a name nor a class", faults)
        if not name:
            name = _free(str(of), taken)
            taken.add(name)
        said = class_of(name)
        if of and said in published_classes() and said != of and said != name:
            _wrong(f"{what}: '{name}' is an asset of the class '{said}', not of '{of}'; name it otherwise", faults)
        found.append(ClassedName(name, of or said))
    return found


def _wrong(line: str, faults: list[str] | None) -> None:
    if faults is None:
        raise AssetError(line)
    faults.append(line)


def _free(of: str, taken: set[str]) -> str:
    k = 1
    while f"{of}_{k}" in taken:
        k += 1
    return f"{of}_{k}"


def class_remark(of: str) -> str:
    """Return what its owner may want to know of a class that is not published: that a published one is close; else "".

    >>> class_remark("Desk"), class_remark("Coffee_Mug")
    ('', "'Coffee_Mug' is none of the published classes; one of them is 'Cofee_Mug'")
    """
    if of in published_classes():
        return ""
    by_fold = {name.casefold(): name for name in published_classes()}
    near = difflib.get_close_matches(of.casefold(), by_fold, n=1, cutoff=0.8)
    return f"'{of}' is none of the published classes; one of them is '{by_fold[near[0]]}'" if near else ""


@cache
def own_worlds() -> frozenset[str]:
    """Return the names of the worlds that come with the package."""
    return frozenset(world_names())


def name_remarks(name: str, kind: str, others: Collection[tuple[str, str]] = ()) -> list[str]:
    """Return what its owner may want to know of a name: that something else has it, or that no published design does.

    Args:
        name: of an asset.
        kind: ``character`` or ``environment``.
        others: kind and name of each asset of the pack.

    >>> name_remarks("Banana_99", "character")
    ["no published design asks for it: the class 'Banana' has Banana_1 to Banana_5; it is one more of the class"]
    """
    first = f"the package has the name '{name}' too: it stands in where a spec names this pack first"
    animal = any(one.name == name for one in class_table() if one.kind == "animal")
    if kind == "environment":
        said = [f"a world of {first}"] if name in own_worlds() else []
        return [*said, f"'{name}' is also the name of an animal"] if animal else said
    remarks = [f"an animal of {first}"] if animal else []
    if (numbered := _NUMBERED.fullmatch(name)) and (count := published_classes().get(numbered[1], 0)) > 0:
        of = numbered[1]
        if int(numbered[2]) > count:
            known = f"the class '{of}' has {of}_1 to {of}_{count}"
            remarks.append(f"no published design asks for it: {known}; it is one more of the class")
    if name in own_worlds() or ("environment", name) in others:
        remarks.append(f"'{name}' is also the name of a world; captions and tables will say '{name}' of both")
    return remarks


def missing_names(given: Iterable[str], of: str) -> list[str]:
    """Return the published names of a class that are not among those given."""
    have = set(given)
    return [name for k in range(published_classes()[of]) if (name := f"{of}_{k + 1}") not in have]
