"""What cannot be with the characters that scenes have, told from the scenes alone.

Scenes are filtered: each question is which levels are left of some factors. Products are never expanded for it; draws
whose scenes are made when they are asked for are made once, unless there are too many.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torchmultiverse.scenes import MOST_OBJECTS, OWN, Condition, Design, Explicit, Scene, expanded, listed

_NAMES = ("Character_Name", "Character2_Name")
_LONGEST = 0.4
"""Focal length of the longest lens, metres: what focuses further away is no question."""
_ASKED = frozenset(("Occlusion", "Target_Pixels", "Distractors", "Camera_Focus"))
_MOST_DRAWN = 500_000
"""Scenes of a draw that are made; of more only `Occlusion` is looked at."""


def unfit(what: Scene | Design, occluders: Sequence[str] | None, classes: Mapping[str, Collection[str]]) -> list[str]:
    """Return one line for each kind of scenes whose factors cannot go together; nothing if all is well.

    Args:
        what: a scene, or a whole design, which is not expanded.
        occluders: levels of ``Occluder`` that the engine has.
        classes: characters of each class, by its name.
    """
    design = Explicit.of_rows([dict(what.complete)], what.table) if isinstance(what, Scene) else what
    named = set(design.factors)
    found: list[str] = []
    if design.drawn and named & _ASKED:
        if design.count > _MOST_DRAWN:
            return _unhidden(design, occluders) if "Occlusion" in named else []
        design = expanded(design)
    if "Occlusion" in named:
        found += _unhidden(design, occluders)
    if "Target_Pixels" in named:
        found += _nobody(design, "Target_Pixels", OWN, "they are those of the first character, and there is none")
    if "Distractors" in named:
        crowded = _varied(design, "Distractors", 0)
        if crowded.count:
            found += _too_many(crowded) + _of_a_class(crowded, classes)
    if {"Camera_Focus", "Camera_Focal_Length", "Camera_Aperture"} <= named:
        found += _too_near(design)
    return found


def _varied(design: Design, name: str, default: Any) -> Design:
    """Return the scenes in which a factor is not at a level."""
    return design.where([Condition(name, "not in", (default,))])


def _levels(design: Design, name: str) -> list[Any]:
    """Return the levels of a factor in some scenes; its default where they do not mention it."""
    levels: Mapping[str, list[Any]] = design.levels() if design.count else {name: []}
    return levels.get(name, [design.table[name].default])


def _unhidden(design: Design, occluders: Sequence[str] | None) -> list[str]:
    """Return one line if scenes say ``Occlusion`` and no ``Occluder``, and one if there is nobody to hide."""
    hidden = _varied(design, "Occlusion", 0)
    bare = _levels(hidden.where([Condition("Occluder", "in", ("none",))]), "Occlusion")
    found = []
    if bare:
        known = ", ".join(level for level in occluders or () if level != "none")
        found.append(
            f"Occlusion = {bare[0]} with Occluder = 'none': nothing hides the first character. Occluders: {known}; or "
            "exclude these scenes"
        )
    return found + _nobody(
        _varied(hidden, "Occluder", "none"), "Occluder", "none", "there is no first character to hide"
    )


def _nobody(design: Design, name: str, default: Any, why: str) -> list[str]:
    """Return one line if a factor that is of the first character stands in scenes without one."""
    blank = ("Character_Name", "in", (str(design.table["Character_Name"].default),))
    levels = _levels(_varied(design, name, default).where([Condition(*blank)]), name)
    return [f"{name} = {levels[0]!r}: {why}; give Character_Name, or exclude these scenes"] if levels else []


def _too_many(crowded: Design) -> list[str]:
    """Return one line if scenes have more distractors and objects than there may be."""
    if "Objects" not in crowded.factors:
        return []
    for count in sorted(_levels(crowded, "Distractors"), reverse=True):
        lists = _levels(crowded.where([Condition("Distractors", "in", (count,))]), "Objects")
        most = max(len(listed(objects)) for objects in lists)
        if count + most > MOST_OBJECTS:
            return [
                f"Distractors = {count:g} and {most} Objects are more than the {MOST_OBJECTS} that there may be beside "
                f"the first two; with these Objects at most {MOST_OBJECTS - most}"
            ]
    return []


def _of_a_class(crowded: Design, classes: Mapping[str, Collection[str]]) -> list[str]:
    """Return one line if distractors are to be of the class of a character that is there."""
    if "Distractor_Kind" not in crowded.factors:
        return []
    for kind in _levels(crowded, "Distractor_Kind"):
        members = classes.get(kind, ())
        if not members:
            continue
        some = crowded.where([Condition("Distractor_Kind", "in", (kind,))])
        names = [name for factor in _NAMES for name in _levels(some, factor)]
        names += [row["Name"] for objects in _levels(some, "Objects") for row in listed(objects)]
        if here := [name for name in names if name in members]:
            return [
                f"Distractor_Kind = '{kind}' is the class of '{here[0]}', which the scene has already; distractors are "
                "of other classes, such as 'any'"
            ]
    return []


def _too_near(design: Design) -> list[str]:
    """Return one line if a lens is to focus on what is not further away than its focal length."""
    near = [
        Condition("Camera_Focus", "<=", (_LONGEST,)), Condition("Camera_Focal_Length", "not in", (OWN,)),
        Condition("Camera_Aperture", "not in", (OWN,)),
    ]  # fmt: skip
    some = design.where(near)
    for focus in sorted(_levels(some, "Camera_Focus")):
        lenses = _levels(some.where([Condition("Camera_Focus", "in", (focus,))]), "Camera_Focal_Length")
        if (longest := max(lenses)) >= focus * 1000:
            return [
                f"Camera_Focus = {focus:g}: a lens of {longest:g} mm focuses on what is further than "
                f"{longest / 1000:.4g} m"
            ]
    return []
