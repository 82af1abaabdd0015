"""What an engine cannot render of scenes that are written out one by one, said of the places where they are."""

from __future__ import annotations

from collections.abc import Sequence

from torchmultiverse.engines import Catalogue
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Design, Spec, written_scenes

_MOST = 20
"""Scenes of which it is said."""
_MOST_READ = 100_000


def at_their_places(problems: Sequence[str], spec: Spec, design: Design, catalogue: Catalogue) -> list[str]:
    """Return problems of a design scene by scene, where its scenes are written out; else as they are.

    Args:
        problems: what the whole design has.
        spec: what the design is of.
        design: all of it, or what a filter left.
        catalogue: of the engine that refuses it.
    """
    if not problems or design.count > _MOST_READ or spec.design.kind != "explicit":
        return list(problems)
    asked = {scene.scene_id for scene in design}
    found = []
    for place, scene in written_scenes(spec):
        if scene.scene_id in asked:
            try:
                catalogue.check(scene)
            except SpecError as error:
                found += [f"{place}: {line}" for line in str(error).splitlines()]
    more = [f"and {len(found) - _MOST:,} more"] if len(found) > _MOST else []
    return [*found[:_MOST], *more] or list(problems)
