"""What the classes of a dataset mean: from names to concepts of WordNet; and which of them a model was trained on.

Nothing is guessed: a name that is no class of this package, no id, and no word of exactly one concept is told, with the
names that are near, and stays out until a file says what it is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, counted, nearest, shortened
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import class_of
from torchmultiverse.transfer.wordnet import WordNet, named, nearest_words, synset_id, words_of

IMAGENET = "imagenet1k"
"""Name of the 1000 classes of ImageNet-1k as a seen set."""
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class MatchedClasses:
    """Names and what they mean.

    Attributes:
        synsets: concept by name.
        unmatched: why not, by name.
        wordnet: that has all of the concepts, those that a file added among them.
    """

    synsets: Mapping[str, str]
    unmatched: Mapping[str, str]
    wordnet: WordNet

    def told(self, most: int = 5) -> str:
        """Return what is said of the names that have no concept; empty where all have one."""
        if not self.unmatched:
            return ""
        some = [f"'{name}' ({why})" for name, why in list(self.unmatched.items())[:most]]
        more = len(self.unmatched) - len(some)
        return (
            f"{len(self.unmatched)} of {counted(len(self.unmatched) + len(self.synsets), 'class', 'classes')} "
            f"{'has' if len(self.unmatched) == 1 else 'have'} no concept: "
            + ", ".join(some) + (f" and {more} more" if more else "")
        )  # fmt: skip


def class_names(values: Iterable[Any]) -> list[str]:
    """Return the name of the class of each value of a column: of an object its class, else what stands there.

    >>> class_names(["Cofee_Mug_3", "Zebra", "n02391049", "tabby"])
    ['Cofee_Mug', 'Zebra', 'n02391049', 'tabby']
    """
    words = [str(value) for value in values]
    known = {word: found.name if (found := class_of(word)) and found.kind == "object" else word for word in set(words)}
    return [known[word] for word in words]


def match_classes(
    names: Iterable[str], wordnet: WordNet, given: Mapping[str, Mapping[str, str]] | None = None, objects: bool = False
) -> MatchedClasses:
    """Return the concept of each name.

    In this order: what a file says; an id of WordNet (``n02124075``); a class of this package; a word of exactly one
    concept.

    Args:
        names: of classes.
        wordnet: the concepts.
        given: of `read_synsets`: ``synset`` or ``parent`` by name.
        objects: whether names that an animal and a class of objects of this package share mean the latter.

    Raises:
        DatasetError: the file names a concept that is not there.

    >>> from torchmultiverse.transfer import shipped_wordnet
    >>> found = match_classes(["Zebra", "n02124075", "tiger cat", "crane", "blorb"], shipped_wordnet())
    >>> found.synsets["Zebra"], found.synsets["tiger cat"], sorted(found.unmatched)
    ('n02391049', 'n02123159', ['blorb', 'crane'])
    """
    said = given or {}
    by_word = named(wordnet)
    synsets: dict[str, str] = {}
    unmatched: dict[str, str] = {}
    for name in sorted(set(names)):
        try:
            if name in said:
                wordnet, synsets[name] = _told(name, said[name], wordnet, by_word)
                continue
            synset = synset_id(name)
            if synset is not None and synset not in wordnet:
                unmatched[name] = "no synset of those at hand"
                continue
        except DatasetError as error:
            raise DatasetError(f"class '{name}': {error}") from None
        both = class_of(name), class_of(f"{name}_1")  # a class of objects is known by its assets
        package = (both[1] or both[0]) if objects else (both[0] or both[1])
        found = [synset] if synset else [package.synset] if package else by_word.get(words_of(name), [])
        if len(found) == 1:
            synsets[name] = found[0]
        elif found:
            unmatched[name] = "means " + " or ".join(f"{one} {shortened(wordnet[one].gloss, 40)}" for one in found)
        else:
            unmatched[name] = nearest_words(name, by_word).rstrip(".") if name else "no name"
    return MatchedClasses(synsets, unmatched, wordnet)


def _told(
    name: str, entry: Mapping[str, str], wordnet: WordNet, by_word: Mapping[str, Sequence[str]]
) -> tuple[WordNet, str]:
    """Return the concept that a file says a name is, and the concepts with it; a new one below its parent."""
    if entry.get("synset"):
        return wordnet, _one(entry["synset"], wordnet, by_word)
    parent = _one(entry["parent"], wordnet, by_word)
    made = f"own:{name}"
    return wordnet.with_leaf(made, name, [parent]), made


def _one(text: str, wordnet: WordNet, by_word: Mapping[str, Sequence[str]]) -> str:
    synset = synset_id(text)
    if synset is not None:
        return wordnet[synset].id
    found = by_word.get(words_of(text), [])
    if len(found) != 1:
        near = f" It means {' or '.join(found)}." if found else nearest(words_of(text), by_word)
        raise DatasetError(f"'{text}' is no word of one concept; give its id, as n02124075.{near}")
    return found[0]


def read_synsets(path: str | Path) -> dict[str, dict[str, str]]:
    """Read what classes mean: CSV with the columns ``class`` and ``synset`` or ``parent``, or a JSON object.

    ``parent`` is for a class that WordNet, or the part of it at hand, does not have: it becomes a new concept below it.
    In JSON each value is a synset or an object with ``synset`` or ``parent``. Synsets are ids, or words of one concept.

    Raises:
        DatasetError: it cannot be read, or a class has neither.
    """
    file = Path(path)
    text = _text(file)
    found: dict[str, dict[str, str]] = {}
    if file.suffix.lower() == ".json":
        try:
            data = read_json(text)
        except ValueError as error:
            raise DatasetError(f"{file}: no JSON: {error}") from None
        if not isinstance(data, dict):
            raise DatasetError(f"{file}: a JSON object of class → synset is needed")
        rows = [(str(k), v if isinstance(v, dict) else {"synset": v}) for k, v in data.items()]
    else:
        reader = csv.DictReader(text.splitlines())
        if "class" not in (reader.fieldnames or ()):
            raise DatasetError(f"{file}: the columns class and synset (or parent) are needed, not {reader.fieldnames}")
        rows = [(row["class"] or "", row) for row in reader]
    for name, row in rows:
        entry = {key: str(row[key]).strip() for key in ("synset", "parent") if row.get(key)}
        if not entry:
            raise DatasetError(f"{file}: class '{name}' has neither synset nor parent")
        found[name] = entry
    return found


def read_names(path: str | Path) -> list[str]:
    """Read names of classes or concepts: a line each, the column ``class`` of a CSV, or a JSON list or object's keys.

    Raises:
        DatasetError: it cannot be read, or holds no name.
    """
    file = Path(path)
    text = _text(file)
    if file.suffix.lower() == ".json":
        try:
            data = read_json(text)
        except ValueError as error:
            raise DatasetError(f"{file}: no JSON: {error}") from None
        names = [str(one) for one in data] if isinstance(data, list | dict) else []
    elif file.suffix.lower() == ".csv":
        names = [row.get("class") or "" for row in csv.DictReader(text.splitlines())]
    else:
        names = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not (names := [name for name in names if name]):
        raise DatasetError(f"{file} holds no name of a class")
    return names


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DatasetError(f"{file} is larger than {_MOST_BYTES:,} bytes")
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file} cannot be read: {error}") from None


def seen_synsets(
    text: str, matched: MatchedClasses, columns: Mapping[str, NDArray[Any]] | None = None, labels: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the concepts that were learnt.

    Args:
        text: ``imagenet1k``; the path of a file of names or ids; ``COLUMN=LEVEL,…``: the classes of the rows that have
            one of these levels; or names, with commas.
        matched: the classes of the data.
        columns: of the data, where there are any.
        labels: class of each row.

    Raises:
        DatasetError: a name that is nothing known, or no such column or level.
    """
    wordnet = matched.wordnet
    if text == IMAGENET:
        if not wordnet.imagenet1k:
            raise DatasetError(f"{wordnet.source} does not say which concepts ImageNet-1k has")
        return wordnet.imagenet1k
    column, equals, levels = text.partition("=")
    if equals and not Path(text).exists():
        names = _of_levels(column.strip(), levels, columns or {}, labels)
        names = [name for name in names if name in matched.synsets]
    elif Path(text).is_file():
        names = read_names(text)
    else:
        names = [name.strip() for name in text.split(",") if name.strip()]
    found = match_classes([name for name in names if name not in matched.synsets], wordnet)
    if found.unmatched:
        raise DatasetError(
            f"--seen {shortened(text)}: {found.told()}. It is {IMAGENET}, a file of names, COLUMN=LEVEL, or names"
        )
    return tuple(matched.synsets.get(name) or found.synsets[name] for name in names)


def _of_levels(column: str, levels: str, columns: Mapping[str, NDArray[Any]], labels: Sequence[str]) -> list[str]:
    if column not in columns:
        raise QuestionError(f"--seen: no column '{column}'.{nearest(column, columns)}")
    values = columns[column].astype(str)
    wanted = [level.strip() for level in levels.split(",")]
    for level in wanted:
        if level not in values:
            raise QuestionError(f"--seen: '{column}' is never '{level}'.{nearest(level, np.unique(values).tolist())}")
    rows = np.flatnonzero(np.isin(values, wanted))
    return sorted({labels[int(row)] for row in rows})
