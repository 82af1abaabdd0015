"""Which conditions cannot be in which worlds, and why: no rain falls indoors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torchmultiverse.engines.builtin.lighting import LAMPLESS, why_no_sun
from torchmultiverse.engines.builtin.world import OUTDOORS, World, WorldSpec
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene


def _no_weather(name: str, spec: WorldSpec) -> str | None:
    setting = spec.setting
    return (
        None if setting == OUTDOORS else f"{name} is {setting}, where no rain or snow falls; worlds that are outdoors"
    )


def _no_sun(name: str, spec: WorldSpec) -> str | None:
    why = why_no_sun(spec)
    return None if why is None else f"{name} is {why}; worlds with a sun, such as Desert or Grass,"


def _no_lamps(name: str, spec: WorldSpec) -> str | None:
    return f"{name} has none; worlds with lamps" if name in LAMPLESS else None


SUN = ("Sun_Elevation", "Sun_Azimuth", "Overcast")
RULES: dict[str, Callable[[str, WorldSpec], str | None]] = {
    **dict.fromkeys(("Rain", "Snow", "Wetness", "Snow_Cover"), _no_weather),
    **dict.fromkeys(SUN, _no_sun),
    "Lamps": _no_lamps,
}
"""Condition → function that says why a world cannot have it and, after a semicolon, which worlds can; or None."""


def refuse(world: World, scene: Scene) -> None:
    """Look whether a scene asks its world for what that cannot have.

    Raises:
        SpecError: it does; names the factor, its value, the reason and which worlds have it.
    """
    for wire, value in scene.wire.items():
        rule = RULES.get(wire)
        reason = None if rule is None else rule(world.name, world.spec)
        if reason is not None:
            raise SpecError(f"{wire} = {value}: {reason} can have it (`torchmultiverse catalogue worlds` says which)")


def worlds_with(specs: Mapping[str, WorldSpec]) -> dict[str, list[str]]:
    """Return which of some worlds have each condition that not every world has, by its wire name."""
    return {wire: [name for name, spec in specs.items() if rule(name, spec) is None] for wire, rule in RULES.items()}
