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
from torchmultiverse.engines.builtin.occlusion.edge import beyond, cropped
from torchmultiverse.engines.builtin.occlusion.family import Family, check, grown
from torchmultiverse.engines.builtin.occlusion.fence import fence
from torchmultiverse.engines.builtin.occlusion.leaves import leaves
from torchmultiverse.engines.builtin.occlusion.stand_in import candidate, stand_in
from torchmultiverse.engines.builtin.occlusion.target import SIDE, Target, searched
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
_ROUGH = 0.02
"""By how much a small picture's share may differ from the one that is searched in a larger one."""


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
            (name,) = (actor.name for actor in actors if actor.number == 1)
            self._kept[key] = _Search(occluder, share, name, instances, renderer, classes).found(view)
        self._kept.move_to_end(key)
        return self._kept[key]


@dataclass(frozen=True)
class _Search:
    """What is looked for: an occluder that hides a share of the first of some characters, of that name, in a world."""

    occluder: str
    share: float
    name: str
    instances: list[CharacterInstance | None]
    renderer: Shown
    classes: Collection[int]

    def found(self, view: View) -> Occluded:
        """Return the occluder for a picture.

        Raises:
            SpecError: the share cannot be had.
        """
        small = searched(view)
        try:
            found, reached = self._on(small, view)
        except SpecError:
            if min(view.size) >= SIDE:
                raise
            reached = -1.0
        if min(view.size) < SIDE and abs(reached - self.share) > _ROUGH:
            # What is fine in the larger picture beats with the pixels of so small a one.
            found, reached = self._on(view, view)
        check(self.occluder, self.share, reached)
        return found

    def _on(self, searching: View, view: View) -> tuple[Occluded, float]:
        """Return the occluder that is found on one view, and the share that it hides in the picture of another."""
        first, *rest = self.instances
        assert first is not None
        # What it looks like does not depend on where things are: pictures of one clip have one occluder.
        seed = hashlib.sha256("\0".join([self.renderer.world.name, self.occluder, self.name]).encode()).digest()
        rng = np.random.default_rng(list(seed[:8]))
        if self.occluder == "edge":
            turned = replace(view, rotation=cropped(searching, first, self.share, rng).rotation)
            return Occluded(turned, (), self.occluder, self.share), beyond(turned, first)
        self.renderer.set_characters(self.instances)
        seen = self.renderer.instances(searching) == 1
        others = tuple(one for one in rest if one is not None)
        target = Target(self.renderer.world, searching, seen, first, others, self.occluder)
        family = _family(target, rng, self.classes)
        parts = family.made(grown(family, target, self.share))
        scenery = _instance(parts, family.roughness)
        alone = seen if view.size == searching.size else self.renderer.instances(view) == 1
        hidden = covered(scenery.vertices, scenery.faces, view) & alone
        reached = float(np.count_nonzero(hidden) / max(int(np.count_nonzero(alone)), 1))
        return Occluded(view, (scenery,), self.occluder, self.share, alone), reached


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
