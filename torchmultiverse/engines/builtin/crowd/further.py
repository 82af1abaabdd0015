"""The further objects of a scene as characters of the engine, and what overlaps of them."""

from __future__ import annotations

from torchmultiverse.engines.builtin.placement import Actor
from torchmultiverse.scenes import Scene

FIRST = 3
"""Number of the first further object in the mask; 1 and 2 are the characters that have factors of their own."""


def further_actors(scene: Scene) -> list[Actor]:
    """Return the objects of a scene's list, in its order, with their numbers in the mask."""
    return [
        Actor(FIRST + k, one.name, one.scale, one.yaw, one.roll, one.pitch, one.texture, "location", one.location)
        for k, one in enumerate(scene.objects)
    ]
