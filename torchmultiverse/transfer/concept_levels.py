"""Levels of classes that were not learnt: nearer to and farther from those that were, by what they mean.

Classes are ranked by their largest similarity to a seen one and cut into blocks of equal size over the whole span of
the ranking: the first level is nearest.

Source: M. B. Sariyildiz (2023), chapter 3 (ImageNet-CoG), section 3.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from torchmultiverse.documents import Document, Record
from torchmultiverse.errors import DatasetError, QuestionError, counted
from torchmultiverse.scenes import canonical_json
from torchmultiverse.transfer.wordnet import PERSON, SeenConcepts, WordNet

SEEN = "seen"
"""Name of the level of classes that were learnt, the reference."""
_SAME = 1e-9
_EASY = 8
"""Classes that a level has at least, where their number is not asked for."""


class Concept(Record):
    """A class and where it stands.

    Attributes:
        label: name of the class in the data.
        synset: its WordNet id.
        name: the usual word of the synset.
        similarity: to the nearest seen concept, 0 to 1; 1 of a seen one.
        nearest, nearest_name: that concept.
    """

    label: str
    synset: str
    name: str
    similarity: float
    nearest: str
    nearest_name: str


class Level(Record):
    """Classes that are about as near to the seen ones.

    Attributes:
        name: ``seen``, or ``L1`` (nearest) to ``LK`` (farthest).
        concepts: by falling similarity.
        within: mean similarity of two of its classes, which makes a level hard whatever was seen.
    """

    name: str
    concepts: tuple[Concept, ...]
    within: float

    @property
    def nearest(self) -> float:
        """Similarity of its nearest class."""
        return self.concepts[0].similarity

    @property
    def farthest(self) -> float:
        """Similarity of its farthest class."""
        return self.concepts[-1].similarity

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its classes in the data."""
        return tuple(one.label for one in self.concepts)


class Tie(Record):
    """An end of a level that classes of equal similarity stand on both sides of: only their ids say who is where.

    Attributes:
        place: which end, as ``after L1``.
        similarity: of the classes.
        inside, outside: their labels, in the level and beyond its end.
    """

    place: str
    similarity: float
    inside: tuple[str, ...]
    outside: tuple[str, ...]


class Dropped(Record):
    """A class that is in no level.

    Attributes:
        label, synset: of it.
        reason: why.
    """

    label: str
    synset: str
    reason: str


class ConceptLevels(Document):
    """Classes by level, with how they were ranked.

    Attributes:
        wordnet: which nouns.
        corpus: number of concepts that information content is counted in.
        seen_name: what is taken as learnt.
        seen: synsets of it.
        seen_level: classes of the data that are among the seen ones; as many as a level has, evenly drawn.
        levels: from the nearest to the farthest.
        ties: ends of levels that are drawn between equals.
        unused: classes that are ranked between two levels, where the number of classes is no multiple.
        dropped: classes in no level, by rule.
    """

    file: ClassVar[str] = "levels.json"
    wordnet: str
    corpus: int
    seen_name: str
    seen: tuple[str, ...]
    seen_level: Level | None
    levels: tuple[Level, ...]
    ties: tuple[Tie, ...] = ()
    unused: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @property
    def every(self) -> tuple[Level, ...]:
        """The seen level, if there is one, and all others."""
        return (*(() if self.seen_level is None else (self.seen_level,)), *self.levels)

    @property
    def digest(self) -> str:
        """SHA-256 of the content, which results carry."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json")).encode()).hexdigest()


def make_levels(
    classes: Mapping[str, str],
    seen: Iterable[str],
    wordnet: WordNet,
    levels: int | None = None,
    per_level: int | None = None,
    seen_name: str = "given",
) -> ConceptLevels:
    """Rank classes by their nearness to the seen ones and cut them into levels.

    Left out, in this order: classes of one concept but the first; seen ones; what is above a seen one; people; what the
    source set aside by hand; and what is above another class that is left.

    Args:
        classes: synset by label.
        seen: synsets that the model was trained on.
        wordnet: that has them all.
        levels: how many; default: five, or fewer where that leaves less than eight classes in each.
        per_level: classes in each; default: as many as there are. With fewer, levels keep equal distances, so that they
            still span the whole ranking.
        seen_name: what the seen classes are, for people.

    Raises:
        DatasetError: too few classes, or a synset that is not there.

    >>> from torchmultiverse.transfer import shipped_wordnet
    >>> animals = {"zebra": "n02391049", "crow": "n01579028", "robin": "n01558993"}
    >>> animals |= {"lion": "n02129165", "goat": "n02416519"}
    >>> found = make_levels(animals, ["n02391049"], shipped_wordnet(), levels=2)  # the zebra was seen
    >>> [level.labels for level in found.levels]
    [('goat', 'lion'), ('crow', 'robin')]
    """
    learnt = SeenConcepts(wordnet, [wordnet[synset].id for synset in seen])
    if not learnt.synsets:
        raise DatasetError("no class is seen: name some by --seen")
    kept, dropped, known = _eligible(classes, learnt)
    ranked = sorted((_concept(label, kept[label], learnt) for label in kept), key=_rank)
    count, size = _sizes(len(ranked), levels, per_level, dropped)
    starts = [0] if count == 1 else [k * (len(ranked) - size) // (count - 1) for k in range(count)]
    blocks = [ranked[start : start + size] for start in starts]
    made = tuple(_level(f"L{k + 1}", block, wordnet) for k, block in enumerate(blocks))
    used = {label for level in made for label in level.labels}
    here = sorted((_concept(label, synset, learnt) for label, synset in known.items()), key=lambda c: c.synset)
    if len(here) > size:
        here = [here[k * len(here) // size] for k in range(size)]
    return ConceptLevels(
        wordnet=wordnet.source, corpus=wordnet.corpus, seen_name=seen_name, seen=learnt.synsets,
        seen_level=_level(SEEN, here, wordnet) if len(here) > 1 else None, levels=made,
        ties=tuple(_ties(ranked, starts, size)), unused=tuple(one.label for one in ranked if one.label not in used),
        dropped=tuple(dropped),
    )  # fmt: skip


def _eligible(classes: Mapping[str, str], seen: SeenConcepts) -> tuple[dict[str, str], list[Dropped], dict[str, str]]:
    """Return the classes that may be in a level, those that are in none, and those that were seen."""
    wordnet, own = seen.wordnet, set(seen.synsets)
    kept: dict[str, str] = {}
    known: dict[str, str] = {}
    first: dict[str, str] = {}
    dropped = []
    for label, synset in sorted(classes.items()):
        reason = ""
        if synset in first:
            reason = f"the same concept as {first[synset]}"
        elif synset in own:
            known[label] = synset
        elif synset in seen.above:
            reason = "above a seen class"
        elif PERSON in wordnet.ancestors(synset):
            reason = "a person"
        elif synset in wordnet.set_aside:
            reason = "set aside by the source"
        else:
            kept[label] = synset
        first.setdefault(synset, label)
        if reason:
            dropped.append(Dropped(label=label, synset=synset, reason=reason))
    above = {up: label for label, synset in kept.items() for up in wordnet.ancestors(synset) if up != synset}
    for label, synset in list(kept.items()):
        if synset in above:
            dropped.append(Dropped(label=label, synset=synset, reason=f"above another class: {above[synset]}"))
            del kept[label]
    return kept, dropped, known


def _concept(label: str, synset: str, seen: SeenConcepts) -> Concept:
    similarity, near = seen.similarity(synset)
    wordnet = seen.wordnet
    return Concept(
        label=label, synset=synset, name=wordnet[synset].name, similarity=similarity, nearest=near,
        nearest_name=wordnet[near].name if near else "",
    )  # fmt: skip


def _rank(one: Concept) -> tuple[float, str]:
    return -round(one.similarity, 9), one.synset  # of equals the id decides, not the last digit of a sum


def _sizes(found: int, levels: int | None, per_level: int | None, dropped: Sequence[Dropped]) -> tuple[int, int]:
    """Return how many levels there are, and how many classes each has."""
    if levels is None:
        levels = min(5, max(1, found // (per_level or _EASY)))
    if levels < 1:
        raise QuestionError(f"--levels {levels}: one level at least is right")
    size = found // levels if per_level is None else per_level
    if size < 2 or levels * size > found:
        few = sum(one.reason == "above a seen class" for one in dropped)
        more = (
            f"; {few} more {'is' if few == 1 else 'are'} above a seen class, which would be nothing new" if few else ""
        )
        wanted = f"{counted(levels, 'level')} of {max(size, 2)}"
        most = f" --levels {found // 2} or fewer is right." if per_level is None and found > 3 else ""
        if found < 4:
            most = (
                " --seen says what the model learnt instead of all of ImageNet: names of classes with commas, a file "
                "of them, or COLUMN=LEVEL."
            )
        unseen = "1 class was" if found == 1 else f"{found} classes were"
        raise DatasetError(f"{unseen} not seen and may be ranked, too few for {wanted}{more}.{most}")
    return levels, size


def _level(name: str, concepts: Sequence[Concept], wordnet: WordNet) -> Level:
    pairs = [wordnet.lin(a.synset, b.synset) for k, a in enumerate(concepts) for b in concepts[:k]]
    return Level(name=name, concepts=tuple(concepts), within=float(np.mean(pairs)) if pairs else 1.0)


def _ties(ranked: Sequence[Concept], starts: Sequence[int], size: int) -> Iterable[Tie]:
    """Yield the ends of levels that cut through equals; one that two levels share once."""
    cuts: dict[int, tuple[str, bool]] = {}
    for k, start in enumerate(starts):
        cuts.setdefault(start, (f"before L{k + 1}", False))
        cuts.setdefault(start + size, (f"after L{k + 1}", True))
    for cut, (place, ends) in sorted(cuts.items()):
        if not 0 < cut < len(ranked) or abs(ranked[cut - 1].similarity - ranked[cut].similarity) > _SAME:
            continue
        value = ranked[cut].similarity
        sides = [
            tuple(one.label for one in part if abs(one.similarity - value) <= _SAME)
            for part in (ranked[:cut], ranked[cut:])
        ]
        inside, outside = sides if ends else sides[::-1]
        yield Tie(place=place, similarity=value, inside=inside, outside=outside)
