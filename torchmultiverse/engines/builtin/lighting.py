"""The light of a world as its conditions ask for it: sun, clouds and lamps. Its meshes stay what they are.

The exposure stays, too: it is made for the world's own light, so that dusk is dark, and ``Camera_Exposure`` is the
means against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin import daylight
from torchmultiverse.engines.builtin.mesh import MeshPart
from torchmultiverse.engines.builtin.sky import horizontal_irradiance
from torchmultiverse.engines.builtin.world import World, WorldSpec
from torchmultiverse.errors import SpecError

_HORIZON = 15.0
_GRADIENT = "under a sky of its own, which no sun lights"

LAMPLESS = frozenset((
    "AncientAgora", "Arena", "AustralianRoad", "Battleground", "Beach", "Castle", "Courtyard", "Desert", "DryGrass",
    "Egypt", "Forest", "Grass", "IceRoad", "Jungle", "JunkYard", "OceanFloor", "Racetrack", "Ruins", "RuralAustralia",
    "SaltFlats", "Snow", "StylizedEgypt", "Tableland",
))  # fmt: skip
"""The package's worlds that have no lamps, in no region and at no hour: known without building each of them."""


def why_no_sun(spec: WorldSpec) -> str | None:
    """Return why no sun can be moved and no clouds drawn up in a world; None where they can."""
    return spec.no_sun or (None if spec.sky.kind == "daylight" else _GRADIENT)


def has_lamps(world: World) -> bool:
    """Return whether anything in a world shines of which ``Lamps`` is a factor."""
    return any(light.image is None for light in world.lights) or any(_is_lamp(part) for part in world.parts)


def _is_lamp(part: MeshPart) -> bool:
    return part.material.lamp and part.material.emission > 0


def sunlit(world: World, elevation: float | None, azimuth: float | None, overcast: float | None) -> World:
    """Return a world under another sun and other clouds; what is None stays the world's own.

    Args:
        world: as it is built.
        elevation: degrees above the horizon, -18 to 90.
        azimuth: degrees; 0 is behind the scene (+y), 90 at its right (+x).
        overcast: share of the sky that clouds cover.

    Raises:
        SpecError: a world where that means nothing.
    """
    asked = {"Sun_Elevation": elevation, "Sun_Azimuth": azimuth, "Overcast": overcast}
    named = [f"{name} = {value:g}" for name, value in asked.items() if value is not None]
    if not named:
        return world
    if (why := why_no_sun(world.spec)) is not None:
        raise SpecError(
            f"{named[0]}: {world.name} is {why}; leave it 'own', or take a world with a sun, such as Desert or Grass"
        )
    sky = world.spec.sky
    light = float(horizontal_irradiance(world.environment) @ daylight.LUMINANCE)
    up = sky.sun_elevation if elevation is None else elevation
    turn = sky.sun_azimuth if azimuth is None else 90.0 - azimuth
    environment = daylight.environment(world.name, sky, light, up, turn, overcast)
    spec = world.spec
    if spec.haze is not None:  # its colour is that of the light in it
        ratio = _horizon(environment) / np.maximum(_horizon(world.environment), 1e-12)
        r, g, b = (float(old * new) for old, new in zip(spec.haze.color, ratio, strict=True))
        spec = spec.model_copy(update={"haze": spec.haze.model_copy(update={"color": (r, g, b)})})
    return replace(world, spec=spec, environment=environment)


def _horizon(environment: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the radiance about the horizon (3,), without the sun's disc."""
    rows = len(environment)
    elevation = 90 - (np.arange(rows) + 0.5) / rows * 180
    return np.asarray(np.median(environment[np.abs(elevation) < _HORIZON].reshape(-1, 3), 0), float)


def with_lamps(world: World, factor: float) -> World:
    """Return a world whose lamps, signs and fires shine by a factor.

    Raises:
        SpecError: there are none.
    """
    if factor == 1:
        return world
    if not has_lamps(world):
        if world.spec.lit_windows > 0 and not world.evening:
            raise SpecError(
                f"Lamps = {factor:g}: {world.name} has none but its windows, which are lit when the sun has set; leave "
                "it 1, or set Sun_Elevation below 0"
            )
        raise SpecError(f"Lamps = {factor:g}: {world.name} has none; leave it 1")
    lights = [
        light if light.image is not None else replace(light, power=(r * factor, g * factor, b * factor))
        for light in world.lights
        for r, g, b in [light.power]
    ]
    lights = [light for light in lights if factor > 0 or light.image is not None]
    return replace(world, lights=lights, parts=_shining(world.parts, factor))


def _shining(parts: Sequence[MeshPart], factor: float) -> list[MeshPart]:
    return [
        replace(part, material=replace(part.material, emission=part.material.emission * factor))
        if _is_lamp(part)
        else part
        for part in parts
    ]
