"""Distractors: further objects of other classes than the labelled ones, placed by the engine.

Which they are and where they stand follows from the world, the names of the objects that are said to be there, and the
place of these; light, weather, lens and the numbers of a picture change nothing of it. The first of many are those of
few. They are arranged for the layout's own camera at one yaw, so that a clip that keeps that yaw fixed keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.crowd.arrangement import Stage, Standing, arranged
from torchmultiverse.engines.builtin.crowd.detail import Detail
from torchmultiverse.engines.builtin.crowd.free_ground import free_ground
from torchmultiverse.engines.builtin.crowd.further import FIRST
from torchmultiverse.engines.builtin.lru import LruCache
from torchmultiverse.engines.builtin.placement import UNIT, Actor, Layout, rotation, view
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes import MOST_OBJECTS, Scene, SemanticClass

ANY = "any"
KINDS = ("animal", "object")
"""Levels of ``Distractor_Kind`` beside the names of classes."""
_SCALES = (0.28, 0.42)
"""Sizes that they are drawn from: of the longest edge of an object at scale 1."""
_DRAWS = 12
"""Draws after which none is found that stands on the ground and is not of glass."""
_TRIES = 9
"""Draws until one has a place, each smaller by `_SHRINKS` than the one before."""
_SHRINKS = 0.9
_SIDE = 1024


@dataclass(frozen=True)
class Wanted:
    """What a scene says of its distractors."""

    count: int
    kind: str
    spacing: float
    yaw: float


def wanted(scene: Scene) -> Wanted | None:
    """Return what a scene asks for, or None where it asks for no distractors.

    Raises:
        SpecError: more than there may be, or no whole number of them.
    """
    count = scene.get_float("Distractors")
    if not count:
        return None
    if not count.is_integer():
        raise SpecError(f"Distractors = {count:g}: a whole number is needed")
    if count + len(scene.objects) > MOST_OBJECTS:
        raise SpecError(
            f"Distractors = {count:g} and {len(scene.objects)} Objects are more than the {MOST_OBJECTS} that there may "
            f"be beside the first two; with these Objects at most {MOST_OBJECTS - len(scene.objects)}"
        )
    yaw = scene.get_number("Distractor_Yaw")
    return Wanted(
        int(count), scene.get_str("Distractor_Kind"), scene.get_float("Distractor_Spacing"),
        scene.get_float("Camera_Yaw") if yaw is None else yaw,
    )  # fmt: skip


class Distractors:
    """Draws and places distractors, and keeps what it found.

    Args:
        mesh: returns a character's mesh, the same for pictures of any size.
    """

    def __init__(self, mesh: Callable[[str], Detail]) -> None:
        self._mesh = mesh
        self._ground = LruCache(8)
        self._found = LruCache(64)

    def find(
        self,
        asked: Wanted,
        actors: Sequence[Actor],
        instances: Sequence[CharacterInstance | None],
        place: tuple[World, Hashable, Layout],
        size: tuple[int, int],
        classes: Mapping[str, SemanticClass],
    ) -> list[Actor]:
        """Return the distractors of a scene, with their numbers in the mask.

        Args:
            asked: what the scene says of them.
            actors, instances: the objects that are said to be there, and these in their places.
            place: the world, what it is known by, and the layout.
            size: of the picture, whose proportions matter.
            classes: of all characters, by name.

        Raises:
            SpecError: a kind that there is not or that is labelled, or more than there is room for; says how many.
        """
        world, key, kind = place
        proportion = np.asarray(size) / min(size) * _SIDE
        shape = (round(float(proportion[0])), round(float(proportion[1])))
        known = (key, kind, asked, tuple(actors), shape)

        def made() -> list[Actor]:
            names = _names(asked, actors, classes)
            looking = Scene({"World_Name": world.name, "Camera_Yaw": asked.yaw})
            stage = Stage(world, self._ground.get(key, lambda: free_ground(world)), view(looking, world, kind, shape))
            standing = [_standing(one) for one in instances if one is not None]
            return self._placed(asked, names, actors, standing, stage)

        return self._found.get(known, made)  # type: ignore[no-any-return]

    def _placed(
        self,
        asked: Wanted,
        names: Mapping[str, list[str]],
        actors: Sequence[Actor],
        standing: list[Standing],
        stage: Stage,
    ) -> list[Actor]:
        said = [stage.world.name, asked.kind, *(actor.name for actor in actors)]
        seed = list(hashlib.sha256("\0".join(said).encode()).digest()[:8])
        others, found = list(standing), []
        first = max((actor.number for actor in actors if actor.number >= FIRST), default=FIRST - 1) + 1
        for k in range(asked.count):
            for attempt in range(_TRIES):
                rng = np.random.default_rng([*seed, k, attempt])
                actor = self._drawn(names, _SHRINKS**attempt, rng)
                one = arranged(self._measured(actor), others, asked.spacing, stage, rng)
                if one is not None:
                    break
            else:
                raise SpecError(
                    f"Distractors = {asked.count}: {k} have room in world '{stage.world.name}' with "
                    f"Distractor_Spacing = {asked.spacing:g}; take at most {k}, or stand them closer"
                )
            others.append(one)
            spot = (one.y / UNIT, one.x / UNIT, 0.0)
            found.append(replace(actor, number=first + k, location=spot, distractor=True))
        return found

    def _drawn(self, names: Mapping[str, list[str]], size: float, rng: np.random.Generator) -> Actor:
        """Return one that stands on the ground and is not of glass; of a class that has none, whatever it has."""
        for _ in range(_DRAWS):
            of = list(names)[int(rng.integers(len(names)))]
            name = names[of][int(rng.integers(len(names[of])))]
            mesh = self._mesh(name)
            if mesh.hover <= 0 and not any(part.material.glass for part in mesh.parts):
                break
        yaw, scale = round(float(rng.uniform(0, 360))), round(float(rng.uniform(*_SCALES)) * size, 2)
        return Actor(0, name, scale, float(yaw), 0.0, 0.0, "Default", "location")

    def _measured(self, actor: Actor) -> Standing:
        mesh = self._mesh(actor.name)
        turned = mesh.vertices.astype(np.float64) @ rotation(actor.yaw, 0, 0).T * actor.scale
        low, high = turned.min(0), turned.max(0)
        middle = (low + high)[:2] / 2
        if mesh.anchor is not None:
            own = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
            middle = (rotation(actor.yaw, 0, 0) @ (mesh.anchor - own) * actor.scale + (low + high) / 2)[:2]
        width = 2 * float(np.linalg.norm(turned[:, :2] - middle, axis=1).max())
        half = np.maximum(high[:2] - middle, middle - low[:2])
        return Standing(
            0, 0, width, (float(half[0]), float(half[1])), float(high[2] - low[2]), mesh.hover * actor.scale, True
        )

    def clear(self) -> None:
        """Forget what is kept."""
        self._ground.values.clear()
        self._found.values.clear()


def _names(asked: Wanted, actors: Sequence[Actor], classes: Mapping[str, SemanticClass]) -> dict[str, list[str]]:
    """Return the characters that may be drawn, by class."""
    labelled = {classes[actor.name].name for actor in actors}
    by_class: dict[str, list[str]] = {}
    for name, one in sorted(classes.items()):
        by_class.setdefault(one.name, []).append(name)
    kinds = {one.name: one.kind for one in classes.values()}
    if asked.kind in by_class:
        if asked.kind in labelled:
            raise SpecError(
                f"Distractor_Kind = '{asked.kind}' is the class of an object that the scene has already; distractors "
                f"are of other classes, such as '{ANY}'"
            )
        return {asked.kind: by_class[asked.kind]}
    if asked.kind not in (ANY, *KINDS):
        raise SpecError(f"Distractor_Kind = '{asked.kind}' is no class.{nearest(asked.kind, [ANY, *KINDS, *by_class])}")
    return {name: of for name, of in by_class.items() if name not in labelled and asked.kind in (ANY, kinds[name])}


def _standing(one: CharacterInstance) -> Standing:
    """Return what an object takes of the ground, to a centimetre."""
    points: NDArray[np.float64] = one.vertices.astype(np.float64)
    low, high = points.min(0), points.max(0)
    middle = np.round((low + high) / 2, 2)
    width = 2 * float(np.linalg.norm(points[:, :2] - middle[:2], axis=1).max())
    half = np.maximum(high - middle, middle - low)
    return Standing(
        float(middle[0]), float(middle[1]), round(width, 2), (float(half[0]), float(half[1])), float(high[2] - low[2])
    )


def width_of(one: CharacterInstance) -> float:
    """Return how wide an object is: the diameter of the circle about its middle that holds it, metres."""
    return _standing(one).width
