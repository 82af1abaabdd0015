"""Whether a caption is true of a scene: what it names is there, and nothing else is named that could be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torchmultiverse.engines import CharacterClass
from torchmultiverse.errors import shortened
from torchmultiverse.scenes import spoken

_NEUTRAL = frozenset(
    word
    for line in (
        "a an the this that some one of in on at by with and to for near beside next behind before between under over",
        "above below front left right side middle is are it its there here my",
        "photo photograph picture image snapshot shot view scene render rendering jpeg close up cropped low high",
        "resolution quality good bad blurry dark bright pixelated corrupted clean nice cool type",
        "small large big little tiny huge standing lying sitting alone outdoors outside indoors inside",
    )
    for word in line.split()
)
"""Words of a caption that say nothing of what there is."""


@dataclass(frozen=True)
class Verdict:
    """Whether something is true of a scene; ``None``: it cannot be said, and ``why``."""

    right: bool | None
    why: str = ""


RIGHT, WRONG = Verdict(True), Verdict(False)


class Judge:
    """Knows what people call the things of an engine.

    A class is named by all of its names and by their ends, since these say what kind of thing it is: a brown bear is a
    bear. A longer name goes before a shorter one: "polar bear" does not name the brown bear.

    Args:
        classes: that a picture may show.
    """

    def __init__(self, classes: Iterable[CharacterClass]) -> None:
        self._phrases: dict[tuple[str, ...], set[str]] = {}
        for one in classes:
            for name in (one.name, one.display, *one.characters):
                words = _words(re.sub(r"[ _]+\d+$", "", spoken(name)))
                for k in range(len(words)):
                    *first, last = words[k:]
                    for ending in ("", "s", "es"):
                        self._phrases.setdefault((*first, last + ending), set()).add(one.display or one.name)
        self._longest = max(map(len, self._phrases), default=0)

    def of_name(self, name: str, true: frozenset[str]) -> Verdict:
        """Return whether the name of a class is true of a scene whose classes are ``true``."""
        return RIGHT if name in true or self._phrases.get(tuple(_words(name)), set()) & true else WRONG

    def of_caption(self, caption: str, true: frozenset[str]) -> Verdict:
        """Return whether a caption is true of a scene.

        It is if it names what is there and nothing else of the engine's classes. Nothing can be said of one that names
        what is there and has words of which nothing is known, such as another thing, a colour, or a "no".
        """
        words = _words(caption)
        named: list[set[str]] = []
        unknown: list[str] = []
        k = 0
        while k < len(words):
            lengths = range(min(self._longest, len(words) - k), 0, -1)
            length = next((n for n in lengths if tuple(words[k : k + n]) in self._phrases), 0)
            if length:
                named.append(self._phrases[tuple(words[k : k + length])])
            elif words[k] not in _NEUTRAL:
                unknown.append(words[k])
            k += max(length, 1)
        if not named or not all(classes & true for classes in named):
            return WRONG
        if unknown:
            told = ", ".join(shortened(word, 30) for word in dict.fromkeys(unknown[:5]))
            return Verdict(None, f"not judged: nothing is known of {told}")
        return RIGHT


def _words(text: str) -> Sequence[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
