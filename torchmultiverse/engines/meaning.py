"""Whether scenes ask worlds for what means nothing there, such as a sun indoors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchmultiverse.scenes import Condition, Design, Scene

_LISTED = 8


def meaningless(what: Scene | Design, name: str, only: Sequence[str], views: Mapping[str, str]) -> list[str]:
    """Return one line if levels of a factor beside its default stand with worlds that have only that.

    Args:
        what: a scene, or a whole design, which is not expanded.
        name: of the factor.
        only: the worlds that have other levels.
        views: other names of worlds, each with the world that it is of.
    """
    default = what.table[name].default
    if isinstance(what, Scene):
        worlds, levels = [what["World_Name"]], [what[name]] if what[name] != default else []
    else:
        rest = what.where([Condition(name, "not in", (default,))])  # type: ignore[arg-type]
        of: dict[str, list[Any]] = {k: list(v) for k, v in rest.levels().items()} if rest.count else {}
        worlds, levels = of.get("World_Name", []), of.get(name, [])
    lacking = [world for world in worlds if views.get(str(world), str(world)) not in only]
    if not levels or not lacking:
        return []
    more = f" and {len(lacking) - 1} more worlds" if len(lacking) > 1 else ""
    others = ", ".join(only[:_LISTED]) + (", …" if len(only) > _LISTED else "")
    means = f"means nothing in world '{lacking[0]}'{more}, which must have its default, {default}"
    return [f"{name} = {levels[0]}: it {means}; {len(only)} worlds have it: {others}"]
