"""Which conditions cannot be in which worlds, and why: no rain falls indoors."""

from __future__ import annotations

from collections.abc import Callable

from torchmultiverse.engines.builtin.world import OUTDOORS, World
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene


def _no_weather(world: World) -> str | None:
    setting = world.spec.setting
    return (
        None
        if setting == OUTDOORS
        else f"{world.name} is {setting}, where no rain or snow falls; worlds that are outdoors"
    )


RULES: dict[str, Callable[[World], str | None]] = dict.fromkeys(("Rain", "Snow", "Wetness", "Snow_Cover"), _no_weather)
"""Condition → function that says why a world cannot have it and, after a semicolon, which worlds can; or None."""


def refuse(world: World, scene: Scene) -> None:
    """Look whether a scene asks its world for what that cannot have.

    Raises:
        SpecError: it does; names the factor, its value, the reason and which worlds have it.
    """
    for wire, value in scene.wire.items():
        rule = RULES.get(wire)
        reason = None if rule is None else rule(world)
        if reason is not None:
            raise SpecError(f"{wire} = {value}: {reason} can have it (`torchmultiverse catalogue worlds` says which)")
