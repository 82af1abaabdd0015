"""What a scene's ``Occluder`` and ``Occlusion`` ask for, found: a shape before the character, or another view."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.mesh import MeshPart, merge
from torchmultiverse.engines.builtin.occlusion.bars import bars
from torchmultiverse.engines.builtin.occlusion.coverage import covered
from torchmultiverse.engines.builtin.occlusion.edge import cropped
from torchmultiverse.engines.builtin.occlusion.family import Family, check, grown
from torchmultiverse.engines.builtin.occlusion.fence import fence
from torchmultiverse.engines.builtin.occlusion.leaves import leaves
from torchmultiverse.engines.builtin.occlusion.stand_in import candidate, stand_in
from torchmultiverse.engines.builtin.occlusion.target import Target, searched
from torchmultiverse.engines.builtin.placement import Actor, View
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes import Scene

NONE = "none"
OCCLUDERS = {
    NONE: "nothing stands before the first character",
    "fence": "a wooden fence on the ground before it",
    "leaves": "branches with leaves that hang before it",
    "bars": "a grille of iron bars before it, across the picture",
    "object": "an object of another class on the ground before it",
    "edge": "the picture's edge: the camera is turned",
}
"""Levels of ``Occluder``, and what each is."""
_KEPT = 8


class Shown(Protocol):
    """A loaded world, as far as it is needed here (see `renderer.WorldRenderer`)."""

    world: World

    def set_characters(self, characters: list[CharacterInstance | None]) -> None: ...  # noqa: D102
    def instances(self, view: View) -> NDArray[np.uint8]: ...  # noqa: D102


@dataclass(frozen=True)
class Occluded:
    """A scene's occluder.

    Attributes:
        view: the camera, which the picture's edge turns.
        scenery: what stands before the character.
        occluder: its name; ``none`` where nothing hides anything.
        share: what it was asked to hide.
        alone: pixels (H, W) of the picture at which the first character would be seen without it; None where they are
            not needed.
        number: of the first character in masks.
    """

    view: View
    scenery: tuple[CharacterInstance, ...] = ()
    occluder: str = NONE
    share: float = 0.0
    alone: NDArray[np.bool_] | None = None
    number: int = 1

    def recorded(self, objects: list[Mapping[str, Any]], instance: NDArray[np.uint8]) -> list[Mapping[str, Any]]:
        """Return the facts of characters with those of the first one's occluder, where there is one.

        ``occluder``: its name. ``occluder_fraction``: of the pixels at which the character would be seen without it
        the share that it hides; of the picture's edge the share of its outline that lies beyond it.

        Args:
            objects: as `annotate.objects` gives them.
            instance: number of the character that is seen at each pixel (H, W).

        Raises:
            SpecError: the share is not the one that was asked for.
        """
        if self.occluder == NONE:
            return objects
        found: list[Mapping[str, Any]] = []
        for facts in objects:
            if facts["instance"] == self.number:
                share = facts["truncated_fraction"]
                if self.alone is not None:
                    hidden = int(np.count_nonzero(self.alone & (instance != self.number)))
                    share = round(hidden / max(int(np.count_nonzero(self.alone)), 1), 4)
                    check(self.occluder, self.share, share)
                facts = {**facts, "occluder": self.occluder, "occluder_fraction": share}
            found.append(facts)
        return found


def asked(scene: Scene, actors: Sequence[Actor]) -> tuple[str, float]:
    """Return a scene's occluder and the share it has to hide; ``none`` where there is nothing to hide.

    Raises:
        SpecError: an unknown occluder, a share without one, or nobody to hide.
    """
    occluder, share = scene.get_str("Occluder"), scene.get_float("Occlusion")
    if occluder not in OCCLUDERS:
        raise SpecError(f"Occluder = '{occluder}' is unknown.{nearest(occluder, OCCLUDERS)}")
    if share == 0:
        return NONE, 0.0
    if occluder == NONE:
        names = ", ".join(name for name in OCCLUDERS if name != NONE)
        raise SpecError(f"Occlusion = {share:g} needs an Occluder that hides so much: {names}")
    if not any(actor.number == 1 for actor in actors):
        raise SpecError(f"Occluder = '{occluder}': there is no first character to hide; give Character_Name")
    return occluder, share


@dataclass
class Occlusion:
    """The occluders of scenes, the last few of them kept."""

    _kept: OrderedDict[tuple[Any, ...], Occluded] = field(default_factory=OrderedDict)

    def find(
        self,
        scene: Scene,
        actors: Sequence[Actor],
        instances: list[CharacterInstance | None],
        renderer: Shown,
        view: View,
        classes: Collection[int] = (),
    ) -> Occluded:
        """Return a scene's occluder: a function of the scene and the picture's proportions alone.

        Args:
            scene, actors: what is asked for, and who is there.
            instances: the characters in their places.
            renderer: the loaded world; characters may be set in it.
            view: the camera, in the picture's size.
            classes: numbers of the characters' classes, of which no occluder is.

        Raises:
            SpecError: as `asked`, or the share cannot be had here; says which is nearest.
        """
        occluder, share = asked(scene, actors)
        if occluder == NONE:
            return Occluded(view)
        key = (scene.unlabelled.scene_id, view.size)
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.popitem(last=False)
            self._kept[key] = _found(occluder, share, actors, instances, renderer, view, classes)
        self._kept.move_to_end(key)
        return self._kept[key]


def _found(
    occluder: str,
    share: float,
    actors: Sequence[Actor],
    instances: list[CharacterInstance | None],
    renderer: Shown,
    view: View,
    classes: Collection[int],
) -> Occluded:
    first = instances[0]
    assert first is not None
    names = [actor.name for actor in actors]
    # What it looks like does not depend on where things are: pictures of one clip have one occluder.
    seed = hashlib.sha256("\0".join([renderer.world.name, occluder, *names]).encode()).digest()
    rng = np.random.default_rng(list(seed[:8]))
    small = searched(view)
    if occluder == "edge":
        return Occluded(replace(view, rotation=cropped(small, first, share, rng).rotation), (), occluder, share)
    renderer.set_characters(instances)
    seen = renderer.instances(small) == 1
    others = tuple(one for one in instances[1:] if one is not None)
    target = Target(renderer.world, small, seen, first, others, occluder)
    family = _family(target, rng, classes)
    parts = family.made(grown(family, target, share))
    scenery = _instance(parts, family.roughness)
    alone = seen if view.size == small.size else renderer.instances(view) == 1
    hidden = covered(scenery.vertices, scenery.faces, view) & alone
    if alone.any():
        check(occluder, share, float(np.count_nonzero(hidden) / np.count_nonzero(alone)))
    return Occluded(view, (scenery,), occluder, share, alone)


def _family(target: Target, rng: np.random.Generator, classes: Collection[int]) -> Family:
    if target.occluder == "object":
        return stand_in(target, rng, candidate(classes, rng))
    return {"fence": fence, "leaves": leaves, "bars": bars}[target.occluder](target, rng)


def _instance(parts: list[MeshPart], roughness: NDArray[np.float32] | None) -> CharacterInstance:
    """Return parts as one thing that a renderer shows."""
    whole = merge([part.mesh for part in parts])
    assert whole.normals is not None
    color = whole.colors if whole.colors is not None else np.full_like(whole.vertices, 0.5)
    if roughness is None:
        roughness = np.concatenate([np.full(len(p.mesh.vertices), p.material.roughness, np.float32) for p in parts])
    return CharacterInstance(whole.vertices, whole.faces, whole.normals, color, roughness, tuple(parts))
