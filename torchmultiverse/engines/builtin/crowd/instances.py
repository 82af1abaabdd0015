"""Further objects in their places, at the detail that the picture shows of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.crowd.detail import Detail, coarser
from torchmultiverse.engines.builtin.lru import LruCache
from torchmultiverse.engines.builtin.mesh import MeshPart
from torchmultiverse.engines.builtin.motion import motion_of
from torchmultiverse.engines.builtin.part_arrays import placed_parts
from torchmultiverse.engines.builtin.placement import Actor, View, place, spot
from torchmultiverse.engines.builtin.tracer import CharacterInstance
from torchmultiverse.engines.builtin.world import World

_FULL = 3.42
"""Height that the picture shows at the place of one character alone, metres: what a mesh's detail is made for."""
_LEAST, _MOST = 2.0**-9, 2.0**-3
CELL = 2.0**-5
"""How fine the meshes are by which distractors are measured, metres."""


class Loaded(Protocol):
    """A character's mesh, and perhaps its ``parts`` and ``anchor`` (see `engine.Character`)."""

    @property
    def vertices(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def faces(self) -> NDArray[np.uint32]: ...  # noqa: D102
    @property
    def normals(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def color(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def roughness(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def hover(self) -> float: ...  # noqa: D102


class FurtherInstances:
    """Makes instances of further objects; the very same one for the same placing.

    Args:
        load: returns the mesh of a character in a texture for a picture of so many pixels a side.
    """

    def __init__(self, load: Callable[[str, str, int], Loaded]) -> None:
        self._load = load
        self._meshes = LruCache(256)
        self._placed = LruCache(64)

    def added(
        self,
        two: Sequence[CharacterInstance | None],
        actors: Sequence[Actor],
        world: World,
        world_key: Hashable,
        view: View,
    ) -> list[CharacterInstance | None]:
        """Return the characters that have factors of their own and, each in the slot of its number, the others."""
        slots = list(two)
        for actor in actors:
            slots += [None] * (actor.number - len(slots))
            slots[actor.number - 1] = self.instance(actor, world, world_key, view)
        return slots

    def instance(self, actor: Actor, world: World, world_key: Hashable, view: View) -> CharacterInstance:
        """Return an object in its place.

        Args:
            actor: the object.
            world, world_key: where it stands, and what that world is known by.
            view: from where it is seen: its mesh is about as fine as a pixel.
        """
        cell = cell_of(actor, world, view)

        def placed() -> CharacterInstance:
            mesh = self.mesh(actor.name, actor.texture, min(view.size), cell)
            vertices, normals = place(actor, [], world, mesh.vertices, mesh.normals, mesh.hover, mesh.anchor)
            parts = placed_parts(mesh.parts, vertices, normals)
            motion = motion_of(actor)
            return CharacterInstance(vertices, mesh.faces, normals, mesh.color, mesh.roughness, parts, motion)

        return self._placed.get((world_key, cell, actor), placed)  # type: ignore[no-any-return]

    def measure(self, name: str) -> Detail:
        """Return a character's mesh by which it is measured: the same for pictures of any size."""
        return self.mesh(name, "Default", 1 << 12, CELL)

    def mesh(self, name: str, texture: str, side: int, cell: float) -> Detail:
        """Return a character's mesh with cells of so many metres, for a picture of so many pixels a side."""
        side = min(side, int(np.ceil(_FULL / cell)))

        def made() -> Detail:
            found: Any = self._load(name, texture, side)
            parts: tuple[MeshPart, ...] = tuple(getattr(found, "parts", ()))
            full = Detail(
                found.vertices, found.faces, found.normals, found.color, found.roughness, found.hover, parts,
                getattr(found, "anchor", None),
            )  # fmt: skip
            return coarser(full, cell)

        return self._meshes.get((name, texture, side, cell), made)  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Forget what is kept."""
        self._meshes.values.clear()
        self._placed.values.clear()


def cell_of(actor: Actor, world: World, view: View) -> float:
    """Return how fine an object's mesh has to be, metres at its own scale: a power of two, half a pixel to a pixel."""
    x, y = spot(actor)
    away = np.array([x, y, world.ground(x, y)]) - view.position
    pixel = float(np.linalg.norm(away)) / view.focal / actor.scale
    return float(np.clip(2.0 ** np.floor(np.log2(max(pixel, 1e-9))), _LEAST, _MOST))
