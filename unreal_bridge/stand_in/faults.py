"""What goes wrong, every so many pictures: with the level before the picture is taken, or with the answer after."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from stand_in.settings import FAULTS, Settings

log = logging.getLogger("LogStandIn")


@dataclass(frozen=True)
class Part:
    """A file of an answer: its extension, MIME type and content; or a text."""

    extension: str
    mime: str
    data: bytes


@dataclass
class Faults:
    """Counts pictures, and says what is wrong with each."""

    settings: Settings
    applied: int = 0
    answered: int = 0
    _before: dict[str, bytes] = field(default_factory=dict)

    def of_level(self) -> set[str]:
        """Count a scene that is applied, and return the faults it has."""
        self.applied += 1
        return {name for name in ("wrong_scene", "unsettled") if self._due(name, self.applied)}

    def of_answer(self) -> set[str]:
        """Count an answer, and return the faults it has."""
        self.answered += 1
        level = {"wrong_scene", "unsettled"}
        return {name for name in FAULTS if name not in level and self._due(name, self.answered)}

    def files(self, parts: list[Part], wrong: set[str]) -> list[Part]:
        """Return the files that are sent instead of these."""
        before, self._before = self._before, {_pass(part): part.data for part in parts}
        if "stale" not in wrong:
            return parts
        return [Part(part.extension, part.mime, before.get(_pass(part), part.data)) for part in parts]

    def _due(self, name: str, count: int) -> bool:
        every = getattr(self.settings, name)
        due = every > 0 and count % every == 0
        if due:
            log.warning("fault of picture %d: %s", count, name)
        return bool(due)


def _pass(part: Part) -> str:
    return part.extension.partition(".")[2]
