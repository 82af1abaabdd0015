"""Nouns of WordNet, how much each says, and how near two of them are in meaning (Lin).

What comes with the package is the part of WordNet 3.0 that is above the classes of ImageNet-1k and of the animals and
objects here, with the counts of the corpus of the source; a whole ``data.noun`` can be read instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import ItemsView, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from torchmultiverse.errors import DatasetError, nearest, shortened
from torchmultiverse.json_text import read_json
from torchmultiverse.resources import data_folder

PERSON = "n00007846"
_MOST_BYTES = 200 * 2**20  # of a file of nouns; that of WordNet 3.0 has 16 MB
_NUMBER = re.compile(r"n?([0-9]{1,8})")


@dataclass(frozen=True)
class Synset:
    """A concept: words that mean the same.

    Attributes:
        id: as ImageNet writes it, ``n02124075``: part of speech, and eight digits of WordNet 3.0.
        lemmas: its words, the usual one first.
        hypernyms: ids of what it is a kind of; several where it is a kind of several things.
        below: how many concepts of the corpus are at or under it, itself included; each is counted once.
        gloss: its definition.
    """

    id: str
    lemmas: tuple[str, ...]
    hypernyms: tuple[str, ...]
    below: int
    gloss: str = ""

    @property
    def name(self) -> str:
        """Its usual word."""
        return self.lemmas[0] if self.lemmas else self.id


class WordNet:
    """Concepts and what is above them.

    Args:
        synsets: by id; the hypernyms of each are among them.
        corpus: number of concepts that probabilities are shares of; those under the root.
        source: which nouns, for records.
        imagenet1k: ids of the classes of ImageNet-1k in their order, where known.
        set_aside: ids that the source removed by hand, as ambiguous or offensive.

    >>> toy = WordNet.of_hypernyms({"thing": [], "pet": ["thing"], "beast": ["thing"], "cat": ["pet", "beast"]})
    >>> toy["thing"].below, toy["pet"].below, sorted(toy.ancestors("cat"))
    (4, 2, ['beast', 'cat', 'pet', 'thing'])
    """

    def __init__(
        self, synsets: Mapping[str, Synset], corpus: int, source: str, imagenet1k: Iterable[str] = (),
        set_aside: Iterable[str] = (),
    ) -> None:  # fmt: skip
        self._synsets = dict(synsets)
        self._above: dict[str, frozenset[str]] = {}
        self.corpus, self.source = corpus, source
        self.imagenet1k, self.set_aside = tuple(imagenet1k), frozenset(set_aside)

    @classmethod
    def of_hypernyms(cls, hypernyms: Mapping[str, Iterable[str]], source: str = "given") -> WordNet:
        """Return concepts that are given by what they are kinds of; the corpus is all of them.

        Raises:
            DatasetError: a hypernym that is not there, or a concept that is above itself.
        """
        plain = {name: Synset(name, (name,), tuple(above), 0) for name, above in hypernyms.items()}
        return counted(plain, source)

    def __contains__(self, synset: object) -> bool:
        return synset in self._synsets

    def __len__(self) -> int:
        return len(self._synsets)

    def items(self) -> ItemsView[str, Synset]:
        """Return ids and concepts."""
        return self._synsets.items()

    def __getitem__(self, synset: str) -> Synset:
        """Return a concept by its id.

        Raises:
            DatasetError: it is not among these.
        """
        if synset not in self._synsets:
            raise DatasetError(
                f"{shortened(synset)} is no synset of {self.source} ({len(self):,} nouns); give one of its hypernyms "
                "as its parent, or all nouns by --wordnet data.noun"
            )
        return self._synsets[synset]

    def ancestors(self, synset: str) -> frozenset[str]:
        """Return the ids at or above a concept."""
        if synset not in self._above:
            found, todo = {synset}, [synset]
            while todo:
                for above in self[todo.pop()].hypernyms:
                    if above not in found:
                        found.add(above)
                        todo.append(above)
            self._above[synset] = frozenset(found)
        return self._above[synset]

    def information(self, synset: str) -> float:
        """Return −ln of the share of the corpus that is at or under a concept: 0 of the root, most of a leaf."""
        return -math.log(min(1.0, self[synset].below / self.corpus)) or 0.0

    def lin(self, one: str, other: str) -> float:
        """Return how near two concepts are, 0 to 1: twice what the best concept above both says, over what they say.

        Source: D. Lin, ICML 1998; equation 3.1 of M. B. Sariyildiz (2023).

        >>> round(shipped_wordnet().lin("n02124075", "n02123159"), 5)  # Egyptian cat, tiger cat
        0.70751
        """
        total = self.information(one) + self.information(other)
        shared = self.ancestors(one) & self.ancestors(other)
        if not total or not shared:
            return 0.0
        return 2 * max(self.information(above) for above in shared) / total

    def with_leaf(self, synset: str, name: str, hypernyms: Iterable[str]) -> WordNet:
        """Return the same with one concept more, of which nothing is a kind.

        What is above it keeps its counts: they are those of the corpus, which does not have it.

        Raises:
            DatasetError: a hypernym is not there.
        """
        above = tuple(self[parent].id for parent in hypernyms)
        made = {**self._synsets, synset: Synset(synset, (name,), above, 1)}
        return WordNet(made, self.corpus, self.source, self.imagenet1k, self.set_aside)


class SeenConcepts:
    """A set of concepts that others are compared with.

    Args:
        wordnet: that has them.
        seen: their ids.
    """

    def __init__(self, wordnet: WordNet, seen: Iterable[str]) -> None:
        self.wordnet, self.synsets = wordnet, tuple(sorted(set(seen)))
        # Of all that are under a concept, the one that says least is the nearest to whatever else is under it.
        self._least: dict[str, tuple[float, str]] = {}
        self.above: frozenset[str] = frozenset()
        for synset in self.synsets:
            key = (wordnet.information(synset), synset)
            for above in wordnet.ancestors(synset):
                self._least[above] = min(self._least.get(above, key), key)
        self.above = frozenset(self._least) - set(self.synsets)

    def similarity(self, synset: str) -> tuple[float, str]:
        """Return the largest similarity of a concept to any seen one, and that one's id; of equals the first.

        Source: equation 3.2 of M. B. Sariyildiz (2023).

        >>> seen = SeenConcepts(shipped_wordnet(), ["n02123159", "n07753592"])
        >>> similarity, nearest_seen = seen.similarity("n02124075")
        >>> round(similarity, 3), nearest_seen
        (0.708, 'n02123159')
        """
        own = self.wordnet.information(synset)
        best, named = 0.0, ""
        for above in self.wordnet.ancestors(synset):
            if above not in self._least:
                continue
            least, one = self._least[above]
            found = 2 * self.wordnet.information(above) / (own + least) if own + least else 0.0
            if found > best + 1e-12 or (abs(found - best) <= 1e-12 and (not named or one < named)):
                best, named = max(found, best), one
        return best, named


def counted(synsets: Mapping[str, Synset], source: str, imagenet1k: Iterable[str] = ()) -> WordNet:
    """Return concepts with the number that is at or under each, counted among themselves.

    Raises:
        DatasetError: a hypernym that is not there, or a concept that is above itself.
    """
    for one in synsets.values():
        for above in one.hypernyms:
            if above not in synsets:
                raise DatasetError(f"{source}: '{one.id}' is a kind of '{above}', which is not there")
    order = _parents_first(synsets, source)
    above_of: dict[str, frozenset[str]] = {}
    below = dict.fromkeys(synsets, 0)
    for name in order:
        found = frozenset({name}).union(*(above_of[above] for above in synsets[name].hypernyms))
        above_of[name] = found
        for above in found:
            below[above] += 1
    made = {name: Synset(name, s.lemmas, s.hypernyms, below[name], s.gloss) for name, s in synsets.items()}
    return WordNet(made, len(made), source, imagenet1k)


def _parents_first(synsets: Mapping[str, Synset], source: str) -> list[str]:
    left = {name: len(set(one.hypernyms)) for name, one in synsets.items()}
    under: dict[str, list[str]] = {}
    for name, one in synsets.items():
        for above in set(one.hypernyms):
            under.setdefault(above, []).append(name)
    order = [name for name, count in left.items() if not count]
    for name in order:  # grows while it is read
        for child in under.get(name, ()):
            left[child] -= 1
            if not left[child]:
                order.append(child)
    if len(order) < len(synsets):
        circle = next(name for name, count in left.items() if count)
        raise DatasetError(f"{source}: '{circle}' is above itself")
    return order


@cache
def shipped_wordnet() -> WordNet:
    """Return the nouns that come with the package: 1898 of them, with counts of a corpus of 23,547.

    Source: WordNet 3.0, Princeton University; ``scenes/wordnet/LICENSE.txt``.

    >>> len(shipped_wordnet()), shipped_wordnet().corpus, len(shipped_wordnet().imagenet1k)
    (1898, 23547, 1000)
    """
    data = read_json((data_folder("scenes") / "wordnet" / "subgraph.json").read_bytes())
    synsets = {
        name: Synset(name, tuple(lemmas.split("; ")), tuple(above.split()), below, gloss)
        for name, (lemmas, above, below, gloss) in data["synsets"].items()
    }
    about = f"WordNet {data['wordnet']}, the part that comes with the package"
    return WordNet(synsets, data["corpus_size"], about, data["imagenet1k"], data["set_aside"])


def read_nouns(path: str | Path) -> WordNet:
    """Read a ``data.noun`` of WordNet; the corpus is then all of its nouns, so that similarities differ a little.

    Raises:
        DatasetError: it cannot be read, or is no such file; the message names the line.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{file} is larger than {_MOST_BYTES:,} bytes: no data.noun of WordNet")
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: a data.noun of WordNet is needed: {error}") from None
    synsets = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("  "):  # the licence
            continue
        try:
            one = _noun(line)
        except (ValueError, IndexError):
            raise DatasetError(f"{file}, line {number}: no line of a data.noun: {shortened(line)}") from None
        synsets[one.id] = one
    if not synsets:
        raise DatasetError(f"{file} holds no noun")
    shipped = shipped_wordnet()
    found = counted(synsets, f"{file.name}, {len(synsets):,} nouns", shipped.imagenet1k)
    return WordNet(dict(found.items()), found.corpus, found.source, shipped.imagenet1k, shipped.set_aside)


def _noun(line: str) -> Synset:
    """Return the concept of a line: offset, file, type, words, pointers, gloss (wndb(5WN))."""
    words = line.split("|")[0].split()
    if words[2] != "n" or not words[0].isdigit():
        raise ValueError
    count = int(words[3], 16)
    lemmas = tuple(words[4 + 2 * k].replace("_", " ") for k in range(count))
    at = 4 + 2 * count
    above = [
        f"n{words[at + 2 + 4 * k]}"
        for k in range(int(words[at])) if words[at + 1 + 4 * k] in ("@", "@i") and words[at + 3 + 4 * k] == "n"
    ]  # fmt: skip
    gloss = line.partition("|")[2].strip()
    return Synset(f"n{int(words[0]):08}", lemmas, tuple(above), 0, gloss)


def synset_id(text: str) -> str | None:
    """Return the id that a text is, zeros in front put back, or ``None`` where it is none.

    >>> synset_id("2124075"), synset_id("n02124075"), synset_id("tabby")
    ('n02124075', 'n02124075', None)
    """
    found = _NUMBER.fullmatch(text.strip())
    return f"n{int(found[1]):08}" if found and (text.strip().startswith("n") or len(found[1]) >= 6) else None


def words_of(name: str) -> str:
    """Return a name as lower-case words: ``GiantTortoise``, ``giant_tortoise`` and ``Giant tortoise`` are one.

    >>> words_of("GiantTortoise"), words_of("African_crocodile"), words_of("tabby-cat ")
    ('giant tortoise', 'african crocodile', 'tabby cat')
    """
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\s_\-]+", apart.strip())).lower()


def named(wordnet: WordNet) -> dict[str, list[str]]:
    """Return the ids of the concepts that each word means, by `words_of` it."""
    found: dict[str, list[str]] = {}
    for synset, one in wordnet.items():
        for lemma in one.lemmas:
            found.setdefault(words_of(lemma), []).append(synset)
    return found


def nearest_words(name: str, words: Iterable[str]) -> str:
    """Return which words are near an unknown name, for messages."""
    return nearest(words_of(name), words).strip()
