"""The level as an engine shows it: changes load over several frames, and earlier pictures show through for a while.

A picture that is read back too early is another scene's, or a mixture of two. Nothing here waits: that is the bridge
core's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stand_in.drawing import Picture, blend, card

SHOWS_THROUGH = 0.4
"""How much of the picture before is left after each frame of history."""
_PER_FRAME = {"levels": 1, "textures": 6, "shaders": 1}
"""Things that may be loading, and how many of them come in a frame."""
# What a change has to load of each kind.
_WORLD, _CHARACTER, _MATERIAL, _REST = (3, 20, 4), (0, 9, 2), (0, 5, 3), (0, 1, 0)


@dataclass
class Level:
    """What is shown.

    Attributes:
        scene_id: returns the id of factors.
        size: width and height in pixels.
        load: factor of what changes have to load.
        history: frames over which the picture before shows through.
        factors: levels by wire name, as really set.
        pending: what is still to come, by kind.
        stuck: a texture never comes.
    """

    scene_id: Callable[[Mapping[str, Any]], str]
    size: tuple[int, int]
    load: float = 1.0
    history: int = 8
    factors: dict[str, Any] = field(default_factory=dict)
    pending: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_PER_FRAME, 0))
    stuck: bool = False
    _shown: Picture | None = None
    _before: Picture | None = None
    _since: int = 0

    def apply(self, changes: Sequence[tuple[str, Any]], size: tuple[int, int]) -> None:
        """Change factors, in order. A new world is empty, and a new character plain: all they carry is said again."""
        before = self.view() if self._shown is not None and size == self.size else None
        if not changes and before is not None:
            return
        for name, value in changes:
            self.factors = {other: level for other, level in self.factors.items() if not _carries(name, other)}
            self.factors[name] = value
            for kind, amount in zip(_PER_FRAME, _cost(name), strict=True):
                self.pending[kind] += round(amount * self.load)
        self.size, self._before, self._since = size, before, 0
        self._shown = card(self.scene_id(self.factors), *size)

    def tick(self) -> None:
        """One frame: some of what is pending comes."""
        if not self.loading():
            self._since += 1
            return
        # Textures and shaders are asked for when their level is there.
        for kind in ("levels",) if self.pending["levels"] else ("textures", "shaders"):
            self.pending[kind] = max(self.pending[kind] - _PER_FRAME[kind], int(self.stuck and kind == "textures"))

    def loading(self) -> int:
        """Return how much is still to come."""
        return sum(self.pending.values())

    def view(self) -> Picture:
        """Return what a camera would read back now: uint8 (height, width, 3)."""
        if self._shown is None:
            return card("0" * 32, *self.size)
        if self._before is None:
            return self._shown
        if self.loading():
            return self._before
        return blend(self._before, self._shown, SHOWS_THROUGH**self._since if self._since < self.history else 0)


def _carries(name: str, other: str) -> bool:
    """Whether a factor is lost where another is set anew."""
    if name == "World_Name":
        return other != name
    return name.endswith("_Name") and other.startswith(name.removesuffix("Name")) and other != name


def _cost(name: str) -> tuple[int, int, int]:
    if name == "World_Name":
        return _WORLD
    if name.endswith("_Name"):
        return _CHARACTER
    return _MATERIAL if name.endswith("_Texture") else _REST
