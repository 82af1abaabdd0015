"""The conditions that make another world of a world: its region, its sun, clouds and lamps, wet and white ground.

Each step is a function of a built world and its levels alone, and leaves a world as it is where nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torchmultiverse.engines.builtin.evening import has_evening, with_lit_windows
from torchmultiverse.engines.builtin.lighting import sunlit, with_lamps
from torchmultiverse.engines.builtin.world import World
from torchmultiverse.scenes import OWN, Scene, base_world


@dataclass(frozen=True)
class WorldConditions:
    """What a scene says of its world, beside its name.

    Attributes:
        region: look that belongs to a place, or ``own``.
        sun_elevation, sun_azimuth: degrees, as `scenes.CONDITIONS` has them, or None for the world's own.
        overcast: share of the sky, or None.
        lamps: factor on the light of the world's lamps.
        wetness, snow_cover: 0 to 1.
        evening: whether the world is one in whose windows light goes on, and the sun has set.
    """

    region: str = OWN
    sun_elevation: float | None = None
    sun_azimuth: float | None = None
    overcast: float | None = None
    lamps: float = 1.0
    wetness: float = 0.0
    snow_cover: float = 0.0
    evening: bool = False

    @property
    def built(self) -> WorldConditions:
        """The same of a world in its own light on its own ground: all that its meshes and textures depend on."""
        return WorldConditions(self.region, evening=self.evening)


def world_conditions_of(scene: Scene) -> WorldConditions:
    """Return what a scene says of its world."""
    elevation, region = scene.get_number("Sun_Elevation"), scene.get_str("World_Region")
    return WorldConditions(
        region,
        elevation,
        scene.get_number("Sun_Azimuth"),
        scene.get_number("Overcast"),
        scene.get_float("Lamps"),
        scene.get_float("Wetness"),
        scene.get_float("Snow_Cover"),
        elevation is not None and elevation < 0 and has_evening(base_world(scene.get_str("World_Name")), region),
    )


def covered(world: World, asked: WorldConditions) -> World:
    """Return a world as wet and as white as is asked for; its meshes are the very same."""
    if (asked.wetness, asked.snow_cover) == (world.wetness, world.snow_cover):
        return world
    return replace(world, wetness=asked.wetness, snow_cover=asked.snow_cover)


def lit(world: World, asked: WorldConditions) -> World:
    """Return a world in the light that is asked for; its meshes are the very same.

    Raises:
        SpecError: a world that has no sun to move or no lamps.
    """
    world = sunlit(world, asked.sun_elevation, asked.sun_azimuth, asked.overcast)
    return with_lamps(world, asked.lamps)


def at_home(world: World, asked: WorldConditions) -> World:
    """Return a world with light in its windows, where that is asked for; it is another world to a renderer."""
    return with_lit_windows(world) if asked.evening else world


STEPS: tuple[Callable[[World, WorldConditions], World], ...] = (at_home, covered, lit)
"""In this order: whether somebody is at home, what the ground is like, then what lights it."""


def apply_conditions(world: World, asked: WorldConditions) -> World:
    """Return a world as its conditions make it; itself where they are all its own."""
    for step in STEPS:
        world = step(world, asked)
    return world
