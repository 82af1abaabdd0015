"""How captions call classes, characters and worlds: as people write them, with the article that belongs to them."""

from __future__ import annotations

import re
from functools import cache

from torchmultiverse.scenes.semantics import SemanticClass, class_of, class_table

_AN = re.compile(r"8|1[18](?!\d)|[aio]|e(?!u)|u(?!ni|k)", re.IGNORECASE)
_PAIRS = frozenset(("binoculars", "jeans", "sunglasses"))
_MASSES = frozenset(("broccoli", "hay"))
_ANIMALS = {
    "Anlylosaurus": "ankylosaurus", "KomodoDragon": "Komodo dragon", "RedCrownedCrane": "red-crowned crane",
    "Secretarybird": "secretary bird", "Triceraptos": "triceratops", "Wildbeest": "wildebeest",
}  # fmt: skip
"""Animals whose published names are spelt otherwise. The catalogue's words for others say more than captions did
(*African elephant*), which would move what is measured with them."""
_CAPITALS = re.compile(r"\b(?:australian?|egypt|european|tokyo)\b")


def spoken(name: str) -> str:
    """Return a name as people write it: ``GiantTortoise`` → ``giant tortoise``, ``SaltFlats_0`` → ``salt flats``.

    >>> spoken("TokyoNight"), spoken("SaltFlats")
    ('tokyo night', 'salt flats')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", base_world(name)).replace("_", " ").lower()


def base_world(name: str) -> str:
    """Return the name of a world without the suffix of a view, ``SaltFlats_0`` → ``SaltFlats``.

    >>> base_world("SaltFlats_0"), base_world("Desert")
    ('SaltFlats', 'Desert')
    """
    return re.sub(r"_\d+$", "", name)


def article(word: str) -> str:
    """Return the indefinite article before a word or a number, as it is spoken: an 8, an 11.5, an 18, an 85.

    >>> [article(word) for word in ("50", "85", "11.5", "110", "18", "Elephant", "Unicycle")]
    ['a', 'an', 'an', 'a', 'an', 'an', 'a']
    """
    return "an" if _AN.match(word) else "a"


def written_class(label: str, character: str = "") -> str:
    """Return a class as people write it; one that is in no table as `spoken`.

    Args:
        label: its name.
        character: one that is of it: of an animal and a class of objects that share a name, it tells which is meant.

    >>> written_class("African_crocodile"), written_class("Cofee_Mug"), written_class("Triceraptos")
    ('African crocodile', 'coffee mug', 'triceratops')
    """
    found = class_of(character)
    if found is None or found.name != label:
        found = _classes().get(label)
    if found is not None and found.kind == "object":
        return found.display
    return _ANIMALS.get(label) or spoken(label)


def written_name(character: str) -> str:
    """Return what people call a character: by its class.

    >>> written_name("Cofee_Mug_3"), written_name("GiantTortoise"), written_name("MyMug")
    ('coffee mug', 'giant tortoise', 'my mug')
    """
    found = class_of(character)
    return spoken(character) if found is None else written_class(found.name, character)


def written_world(world: str) -> str:
    """Return a world's name as people write it.

    >>> written_world("TokyoNight"), written_world("SaltFlats_0")
    ('Tokyo night', 'salt flats')
    """
    return _CAPITALS.sub(lambda word: word[0].capitalize(), spoken(world))


def one_of(name: str, adjective: str = "") -> str:
    """Return one of what is so called, with its article: of what has two legs or lenses a pair, of a mass some.

    >>> one_of("African crocodile"), one_of("jeans"), one_of("hay"), one_of("ant", "big sized")
    ('an African crocodile', 'a pair of jeans', 'hay', 'a big sized ant')
    """
    thing = f"pair of {name}" if name in _PAIRS else name
    thing = f"{adjective} {thing}".strip()
    return thing if name in _MASSES else f"{article(thing)} {thing}"


@cache
def _classes() -> dict[str, SemanticClass]:
    """Return the classes by name; of a name that is an animal's and a class of objects', the latter."""
    return {one.name: one for one in class_table()}
