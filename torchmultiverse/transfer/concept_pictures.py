"""A dataset as levels of classes: which pictures stand for which class, and which are learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, counted
from torchmultiverse.scenes import in_class_order
from torchmultiverse.store import ImageSet, columns_of, dataset_name, label_column, open_images
from torchmultiverse.transfer.concept_classes import (
    IMAGENET,
    MatchedClasses,
    class_names,
    match_classes,
    read_names,
    read_synsets,
    seen_synsets,
)
from torchmultiverse.transfer.concept_factors import EqualPictures, cells_of, equal_pictures, shared_factors
from torchmultiverse.transfer.concept_levels import SEEN, ConceptLevels, make_levels
from torchmultiverse.transfer.concept_probes import TESTED, ClassPictures, group_column, held_out
from torchmultiverse.transfer.wordnet import WordNet, read_nouns, shipped_wordnet

FEWEST = 8
"""Pictures that a class has at least, or it is left out; the source has 782."""


@dataclass(frozen=True)
class LevelOptions:
    """How classes become levels.

    Attributes:
        seen: what was learnt, see `torchmultiverse.transfer.concept_classes.seen_synsets`.
        levels: how many, or the path of a file of levels; ``None``: five, or fewer where classes are few.
        per_level: classes in each.
        label: column of classes; ``None``: that of `torchmultiverse.store.usual_label`.
        synsets: file of what classes mean.
        wordnet: file of all nouns; ``None``: those that come with the package.
    """

    seen: str = IMAGENET
    levels: int | str | Path | None = None
    per_level: int | None = None
    label: str | None = None
    synsets: str | Path | None = None
    wordnet: str | Path | None = None


@dataclass(frozen=True)
class ConceptData:
    """Pictures of the classes of all levels.

    Attributes:
        name: of the dataset.
        levels: the classes.
        rows: of the dataset that are used, (U,), sorted.
        columns: of these rows, (U,) each.
        labels: class of each of them, (U,).
        pictures: by the name of a level; places are among these rows.
        by: column whose groups stay together; ``rows`` for none.
        factors: columns that vary and whose levels classes share.
        equal: how pictures are held equal; ``None`` where they are not.
        notes: what was left out, and why.
    """

    name: str
    levels: ConceptLevels
    rows: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]]
    labels: NDArray[Any]
    pictures: Mapping[str, ClassPictures]
    by: str
    factors: tuple[str, ...]
    equal: EqualPictures | None
    notes: tuple[str, ...]

    @property
    def shared_groups(self) -> bool:
        """Whether classes share groups, as they do worlds and never assets."""
        if self.by == "rows":
            return False
        pairs = {(str(group), label) for group, label in zip(self.columns[self.by], self.labels, strict=True)}
        return len(pairs) > len({group for group, _ in pairs})


def levels_from(source: str | Path, options: LevelOptions) -> tuple[ConceptLevels, MatchedClasses]:
    """Return the levels of the classes of a dataset, a folder of pictures, or a file of names.

    Raises:
        DatasetError: no such data, unknown names of what was learnt, or too few classes.
    """
    path = Path(source)
    if path.is_file() and path.suffix.lower() in (".txt", ".csv", ".json"):
        names = read_names(path)
        own = read_synsets(path) if _says_synsets(path) else {}
        return _levels(names, options, own, {}, names)
    images = open_images(source)
    columns = columns_of(images)
    label = label_column(columns, options.label, dataset_name(images))
    labels = class_names(columns[label])
    return _levels(labels, options, {}, columns, labels)


def _says_synsets(path: Path) -> bool:
    if path.suffix.lower() == ".csv":
        head = path.read_text("utf-8-sig").partition("\n")[0]
        return "synset" in head or "parent" in head
    return path.suffix.lower() == ".json" and path.read_text("utf-8-sig").lstrip().startswith("{")


def _levels(
    names: Sequence[str], options: LevelOptions, own: Mapping[str, Mapping[str, str]],
    columns: Mapping[str, NDArray[Any]], labels: Sequence[str],
) -> tuple[ConceptLevels, MatchedClasses]:  # fmt: skip
    wordnet: WordNet = shipped_wordnet() if options.wordnet is None else read_nouns(options.wordnet)
    given = {**own, **(read_synsets(options.synsets) if options.synsets is not None else {})}
    matched = match_classes(names, wordnet, given, objects=_objects(columns, options.label))
    if not matched.synsets:
        raise DatasetError(f"{matched.told()}. Say what they mean by --synsets FILE (class,synset)")
    if options.levels is not None and not isinstance(options.levels, int):
        if not Path(options.levels).exists():
            raise QuestionError(
                f"--levels {options.levels}: neither a number of levels, such as 5, nor a levels.json that is there"
            )
        return _checked(ConceptLevels.load(options.levels), names), matched
    seen = seen_synsets(options.seen, matched, columns, labels)
    found = make_levels(matched.synsets, seen, matched.wordnet, options.levels, options.per_level, options.seen)
    return found, matched


def _objects(columns: Mapping[str, NDArray[Any]], label: str | None) -> bool:
    """Return whether classes are those of objects: `Cat` may be an animal too."""
    if label is not None or "character_label" in columns or "character_name" not in columns:
        return "character_label" in columns and label in (None, "character_label")
    names = [str(name) for name in columns["character_name"][:1]]
    return bool(names) and in_class_order(names[0])[0] == 1


def _checked(levels: ConceptLevels, names: Sequence[str]) -> ConceptLevels:
    known = set(names)
    missing = [label for level in levels.levels for label in level.labels if label not in known]
    if missing:
        raise DatasetError(
            f"the levels have {counted(len(missing), 'class', 'classes')} that the data lack: {', '.join(missing[:5])}"
            + ("…" if len(missing) > 5 else "")
        )
    return levels


def concept_data(
    dataset: str | Path | ImageSet, options: LevelOptions, group: str = "auto", equal: bool = True,
    factors: Sequence[str] | None = None, seed: int = 0, fewest: int = FEWEST,
) -> ConceptData:  # fmt: skip
    """Return the pictures of the classes of each level, divided into what is learnt and what is asked about.

    Args:
        dataset: folder of a dataset or of pictures, or an opened one.
        options: how classes become levels.
        group: column whose groups stay together, ``auto`` or ``rows``.
        equal: whether every class gets as many pictures of each combination of factors; where there are no factors, as
            many pictures.
        factors: columns to hold equal and to break accuracy down by; default: all that vary and that classes share.
        seed: of the test split and of what is drawn.
        fewest: pictures that a class has at least.

    Raises:
        DatasetError: see the parts.
    """
    images = open_images(dataset)
    name = dataset_name(images)
    columns = columns_of(images)
    column = label_column(columns, options.label, name)
    every = np.array(class_names(columns[column]), object)
    counts = dict(zip(*np.unique(every.astype(str), return_counts=True), strict=True))
    notes = []
    few = sorted(label for label, count in counts.items() if count < fewest)
    if few:
        notes.append(
            f"Left out, with fewer than {fewest} pictures: "
            f"{counted(len(few), 'class', 'classes')}, {', '.join(few[:5])}"
        )
    kept = [label for label in every if counts[label] >= fewest]
    if not kept:
        raise DatasetError(f"{name}: no class has {fewest} pictures")
    levels, matched = _levels(kept, options, {}, columns, every.tolist())
    if told := matched.told():
        notes.append(f"{told}. --synsets FILE says what they mean.")
    notes += _told(levels)
    used = {label for level in levels.every for label in level.labels}
    rows = np.flatnonzero(np.isin(every.astype(str), list(used)))
    own = [one for one in ("character_name", "character_label", column) if one in columns]
    mine = {one: values[rows] for one, values in columns.items()}
    shared = shared_factors(mine, every[rows], own, factors)
    held = None
    if equal:
        held = equal_pictures(columns, every[rows], rows, shared, np.random.default_rng((seed, 7)))
        if held.each < 2:
            raise DatasetError(f"{name}: with pictures held equal {held.each} is left of each class; use --no-equal")
        rows = held.rows
        notes += _told_equal(held)
    labels = every[rows]
    by = group_column({one: columns[one][rows] for one in columns}, labels.tolist(), group, name)
    if by == "rows" and group == "auto":
        notes.append(
            "No column groups the pictures: each is taken as independent. Where several show one object, name the "
            "column that says which by --group."
        )
    groups = np.arange(len(rows)) if by == "rows" else np.unique(columns[by][rows].astype(str), return_inverse=True)[1]
    mine = {one: values[rows] for one, values in columns.items()}
    pictures = _parts(levels, labels, groups, _cells(mine, held), seed, by)
    return ConceptData(name, levels, rows, mine, labels, pictures, by, tuple(shared), held, tuple(notes))


def _cells(columns: Mapping[str, NDArray[Any]], held: EqualPictures | None) -> NDArray[np.int64] | None:
    """Return the combination of factors that each picture shows, where such are held equal."""
    if held is None or not held.factors:
        return None
    return cells_of(columns, np.arange(len(held.rows)), held.factors)


def _parts(
    levels: ConceptLevels, labels: NDArray[Any], groups: NDArray[np.int64], cells: NDArray[np.int64] | None, seed: int,
    by: str,
) -> dict[str, ClassPictures]:  # fmt: skip
    """Return the pictures of each level; the groups that are asked about are the same for all levels."""
    names = np.unique(labels.astype(str))
    codes = np.searchsorted(names, labels.astype(str))
    out = held_out(codes, groups, TESTED, np.random.default_rng((seed, 1)), cells)
    if out is None:
        raise DatasetError(
            f"groups of '{by}' cannot be divided so that every class is learnt and asked about; choose another --group"
        )
    found = {}
    for level in levels.every:
        wanted = {label: k for k, label in enumerate(level.labels)}
        places = np.flatnonzero(np.isin(labels.astype(str), level.labels))
        mine = out[places]
        found[level.name] = ClassPictures(
            places, np.array([wanted[label] for label in labels[places]], np.int64), groups[places],
            np.flatnonzero(~mine), np.flatnonzero(mine),
        )  # fmt: skip
    return found


def _told(levels: ConceptLevels) -> list[str]:
    notes = []
    if levels.dropped:
        reasons: dict[str, list[str]] = {}
        for one in levels.dropped:
            reasons.setdefault(one.reason.partition(":")[0], []).append(one.label)
        parts = [f"{len(names)} {reason} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})"
                 for reason, names in reasons.items()]  # fmt: skip
        notes.append(f"Classes in no level, as in the source: {'; '.join(parts)}.")
    if levels.unused:
        notes.append(f"Between two levels, so in none: {', '.join(levels.unused[:8])}.")
    for tie in levels.ties:
        notes.append(
            f"{tie.place} stand classes of equal similarity {tie.similarity:.3f}: {', '.join(tie.inside[:4])} inside, "
            f"{', '.join(tie.outside[:4])} outside; their ids alone say who is where."
        )
    size = len(levels.levels[0].concepts)
    if size < 15:
        notes.append(
            f"A level has {counted(size, 'class', 'classes')}. Which classes they are decides as much as "
            f"how far they are: read intervals, "
            "not the order of two levels. The source has 1000 in each."
        )
    if levels.seen_level is None:
        notes.append("The data show fewer than two seen classes: there is no reference level.")
    elif len(levels.seen_level.concepts) < size:
        notes.append(
            f"'{SEEN}' has {counted(len(levels.seen_level.concepts), 'class', 'classes')}, the other levels "
            f"{size}: its chance is higher."
        )
    return notes


def _told_equal(held: EqualPictures) -> list[str]:
    if not held.factors:
        return [f"Held equal is the number of pictures alone: {held.each} of each class, drawn at random."]
    text = (
        f"Pictures are held equal: each class has the same {counted(held.cells, 'combination')} of "
        f"{', '.join(held.factors)}, "
        f"{counted(held.each, 'picture')} in all."
    )
    if held.dropped:
        text += f" Classes share too few combinations with {', '.join(held.dropped)}, which are not held equal."
    return [text]
