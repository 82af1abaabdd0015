"""Whether a share of the first character is to be hidden, and nothing hides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torchmultiverse.scenes import Condition, Design, Scene


def unhidden(what: Scene | Design, occluders: Sequence[str] | None) -> list[str]:
    """Return one line if scenes say ``Occlusion`` and no ``Occluder``; nothing if all is well.

    Args:
        what: a scene, or a whole design, which is not expanded.
        occluders: levels of ``Occluder`` that the engine has.
    """
    shares: list[Any] = []
    if isinstance(what, Scene):
        if "Occlusion" in what.wire and "Occluder" not in what.wire:
            shares = [what["Occlusion"]]
    elif "Occlusion" in what.factors:
        bare = what.where([Condition("Occluder", "in", ("none",))])
        shares = bare.levels().get("Occlusion", []) if bare.count else []
    wrong = [share for share in shares if share]
    if not wrong:
        return []
    known = ", ".join(level for level in occluders or () if level != "none")
    return [
        f"Occlusion = {wrong[0]} with Occluder = 'none': nothing hides the first character. Occluders: {known}; or "
        "exclude these scenes"
    ]
