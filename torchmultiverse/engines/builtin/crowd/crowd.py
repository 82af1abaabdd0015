"""All objects of a scene beside the first two, in their places."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from torchmultiverse.engines.builtin.crowd.distractors import Distractors, wanted
from torchmultiverse.engines.builtin.crowd.further import FIRST
from torchmultiverse.engines.builtin.crowd.instances import FurtherInstances, Loaded
from torchmultiverse.engines.builtin.crowd.overlap import check_apart
from torchmultiverse.engines.builtin.lru import LruCache
from torchmultiverse.engines.builtin.placement import Actor, Layout, View
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.scenes import Scene, SemanticClass

_Slots = list[CharacterInstance | None]


class Crowd:
    """Puts the further objects of a scene and its distractors beside the first two.

    Args:
        load: returns the mesh of a character in a texture for a picture of so many pixels a side.
    """

    def __init__(self, load: Callable[[str, str, int], Loaded]) -> None:
        self._further = FurtherInstances(load)
        self._distractors = Distractors(self._further.measure)
        self._apart = LruCache(64)

    def joined(
        self,
        scene: Scene,
        actors: Sequence[Actor],
        two: Sequence[CharacterInstance | None],
        place: tuple[World, Hashable, Layout],
        view: View,
        classes: Mapping[str, SemanticClass],
    ) -> tuple[list[Actor], _Slots]:
        """Return all objects of a scene, distractors last, and these in the slots of their numbers.

        Args:
            scene: that says how many distractors it has.
            actors: the first two as far as they are there, and those of the list.
            two: the first two in their places.
            place: the world, what it is known by, and the layout.
            view: from where they are seen.
            classes: of all characters, by name.

        Raises:
            SpecError: objects that overlap, or distractors that cannot be had; names them.
        """
        world, key, _ = place
        found, slots = list(actors), list(two)
        if any(actor.number >= FIRST for actor in actors):
            slots = self._further.added(two, [a for a in actors if a.number >= FIRST], world, key, view)
            self._apart.get((key, *actors), lambda: check_apart(actors, slots))
        asked = wanted(scene)
        if asked is not None:
            more = self._distractors.find(asked, actors, slots, place, view.size, classes)
            found += more
            slots = self._further.added(slots, more, world, key, view)
        return found, slots

    def clear(self) -> None:
        """Forget what is kept."""
        self._further.clear()
        self._distractors.clear()
        self._apart.values.clear()
