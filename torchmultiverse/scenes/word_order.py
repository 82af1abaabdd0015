"""Captions in another word order: the same words, shuffled in four ways, as models that read word by word can tell.

Source: M. Yuksekgonul et al., *When and why vision-language models behave like bags-of-words*, ICLR 2023, COCO-Order
and Flickr30k-Order. The source finds nouns and adjectives with spaCy. So does `parts_of_speech` where spaCy and its
model ``en_core_web_sm`` are installed; elsewhere it goes by a list of function words and by endings, and numbers are
comparable with the published ones only roughly. Which of both was used is said beside the shuffles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

MOST_WORDS = 30
"""Of a caption; later ones are cut off, as in the source."""
WAYS = ("nouns and adjectives", "all but nouns and adjectives", "within three words", "groups of three words")
"""How captions are shuffled, in the order of what `word_orders` returns."""
_DRAWS = 20
_PUNCTUATION = re.compile(r"[.!\"()*#:;~]")
_TOKENS = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
_FUNCTION_WORDS = """
a an the this that these those some any each every no both all another other of in on at by to from with without
into onto over under above below behind between beside besides near next through across along around against
during before after up down off out inside outside toward towards upon and or but nor so yet while as than if
because when where which who whom whose what how there here it its he him his she her hers they them their
theirs we us our you your i me my is are was were be been being am has have had do does did can could may might
must shall should will would not very too also just only then now
"""
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_VERBAL, _ADVERBIAL = ("ing", "ed", "ize", "ise"), ("ly",)
Tagger = Callable[[Sequence[str]], list[bool]]
"""From the tokens of a caption to whether each is a noun or an adjective."""


def normalised_caption(caption: str, most: int = MOST_WORDS) -> str:
    """Return a caption in lower case, without punctuation but commas and apostrophes, cut after some words.

    >>> normalised_caption("A man (with a hat) rides.  He waves!")
    'a man with a hat rides he waves'
    """
    return " ".join(_PUNCTUATION.sub(" ", caption.lower()).split()[:most])


def word_orders(caption: str, rng: np.random.Generator, tagger: Tagger | None = None) -> list[str]:
    """Return a caption in up to four other orders (`WAYS`), normalised; none equals the caption or another.

    A shuffle that says the same as what is there is drawn anew, and left out where the caption has no other order.

    Args:
        caption: as it was written.
        rng: of all draws.
        tagger: which words are nouns and adjectives; by default `by_ending`.

    >>> word_orders("a red dog", np.random.default_rng(0))
    ['a dog red', 'dog red a']
    """
    words = _TOKENS.findall(caption)
    kinds = np.array((tagger or by_ending)(words), bool)
    told, found = {normalised_caption(caption)}, []
    for way in (_within(kinds), _within(~kinds), _inside_threes, _of_threes):
        for _ in range(_DRAWS):
            text = normalised_caption(" ".join(way(words, rng)))
            if text not in told:
                told.add(text)
                found.append(text)
                break
    return found


def by_ending(words: Sequence[str]) -> list[bool]:
    """Return which words are nouns or adjectives, by a list of function words and by the endings of verbs and adverbs.

    >>> by_ending(["A", "man", "quickly", "riding", "a", "tall", "horse", "."])
    [False, True, False, False, False, True, True, False]
    """
    return [
        word.isalnum()
        and word.lower() not in _FUNCTION
        and not (len(word) > 4 and word.lower().endswith((*_VERBAL, *_ADVERBIAL)))
        for word in words
    ]


def parts_of_speech() -> tuple[Tagger, str]:
    """Return the best tagger that is installed, and what it is called."""
    try:
        import spacy  # type: ignore[import-not-found,unused-ignore]

        language = spacy.load("en_core_web_sm")
    except (ImportError, OSError):
        return by_ending, "function words and endings"

    def tag(words: Sequence[str]) -> list[bool]:
        from spacy.tokens import Doc  # type: ignore[import-not-found,unused-ignore]

        return [one.tag_[:2] in ("NN", "JJ") for one in language(Doc(language.vocab, list(words)))]

    return tag, f"spaCy {spacy.__version__}, en_core_web_sm {language.meta['version']}"


def _within(chosen: np.ndarray) -> Callable[[Sequence[str], np.random.Generator], list[str]]:
    def way(words: Sequence[str], rng: np.random.Generator) -> list[str]:
        moved, places = list(words), np.flatnonzero(chosen)
        for place, other in zip(places, rng.permutation(places), strict=True):
            moved[place] = words[other]
        return moved

    return way


def _threes(words: Sequence[str]) -> list[list[str]]:
    return [list(words[start : start + 3]) for start in range(0, len(words), 3)]


def _inside_threes(words: Sequence[str], rng: np.random.Generator) -> list[str]:
    return [three[k] for three in _threes(words) for k in rng.permutation(len(three))]


def _of_threes(words: Sequence[str], rng: np.random.Generator) -> list[str]:
    threes = _threes(words)
    return [word for k in rng.permutation(len(threes)) for word in threes[k]]
