"""Does the best cut move when the classes that are asked for were not those of the training?

An encoder is trained on some classes of a column alone. Probes at every layer then tell these classes apart, in
pictures that the encoder never saw, and as many others, several times over. Every question has as many classes and as
many pictures, so that accuracies can be compared.

Source: F. Bordes et al., *Guillotine regularization*, TMLR 2023, figure 3b: 250 classes seen, six times 250 unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.layer_accuracy import LayerGap, Reading, layer_readings
from torchmultiverse.analyze.misalignment import TrainingRecipe, head_layers, seeded
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.published import published_sections
from torchmultiverse.analyze.trainings import by_layer, group_notes, mean_gap, mean_reading
from torchmultiverse.errors import DatasetError, QuestionError, counted, nearest
from torchmultiverse.evaluation import plain
from torchmultiverse.features import features_of
from torchmultiverse.paths import component
from torchmultiverse.stats import LEVEL, holm
from torchmultiverse.store import ImageSet, ImageSubset, columns_of, dataset_name, open_images
from torchmultiverse.study import COMMONEST, Cell, LineChart, Point, Section, Series, Study
from torchmultiverse.train import train_encoder

SEEN = "seen"


@dataclass(frozen=True)
class ClassSplit:
    """Which classes an encoder sees, and which pictures are asked about.

    Attributes:
        train: rows that the encoder is trained on: half of the pictures of the seen classes.
        asked: rows of each question, by its name: ``seen`` and ``unseen 1`` to ``unseen K``.
        classes: of each question.
    """

    train: NDArray[np.int64]
    asked: Mapping[str, NDArray[np.int64]]
    classes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class ClassQuestion:
    """How classes are divided.

    Attributes:
        column: with the classes.
        seen: how many the encoder is trained on; by default so many that ``splits`` sets of as many are left.
        splits: sets of as many unseen classes.
    """

    column: str
    seen: int | None = None
    splits: int = 6


def class_split(values: NDArray[Any], question: ClassQuestion, rng: np.random.Generator) -> ClassSplit:
    """Divide pictures by their classes, which are drawn.

    Args:
        values: class of each picture, (N,).
        question: how many classes are seen, and of how many sets the unseen ones are.
        rng: draws classes and pictures.

    Raises:
        DatasetError: too few classes, or pictures of one.

    >>> found = class_split(np.repeat(list("abcdef"), 8), ClassQuestion("animal", 2, 2), np.random.default_rng(0))
    >>> len(found.train), {name: len(rows) for name, rows in found.asked.items()}
    (8, {'seen': 8, 'unseen 1': 8, 'unseen 2': 8})
    """
    names, codes = np.unique(values.astype(str), return_inverse=True)
    splits = question.splits
    seen = question.seen if question.seen is not None else len(names) // (splits + 1)
    if splits < 1 or seen < 2 or seen * (splits + 1) > len(names):
        raise DatasetError(
            f"{question.column} has {counted(len(names), 'class', 'classes')}: "
            f"{counted(splits, 'unseen set')} of as many as are seen need "
            f"{max(2, seen) * (splits + 1)}; see fewer classes, at least 2, or ask for fewer sets"
        )
    counts = np.bincount(codes)
    each = int(counts.min()) // 2
    if each < 5:
        name = names[int(counts.argmin())]
        raise DatasetError(
            f"{question.column} '{name}' has {counted(int(counts.min()), 'picture')}; 10 are needed, half to train on"
        )
    order = rng.permutation(len(names))
    train: list[NDArray[np.int64]] = []
    asked: dict[str, NDArray[np.int64]] = {}
    classes: dict[str, tuple[str, ...]] = {}
    for number in range(splits + 1):
        name = f"unseen {number}" if number else SEEN
        mine = np.sort(order[number * seen : (number + 1) * seen])
        chosen = []
        for code in mine:
            rows = rng.permutation(np.flatnonzero(codes == code))
            chosen.append(rows[:each])
            if not number:
                train.append(rows[each : 2 * each])
        asked[name] = np.sort(np.concatenate(chosen))
        classes[name] = tuple(names[mine].tolist())
    return ClassSplit(np.sort(np.concatenate(train)), asked, classes)


def unseen_classes(
    dataset: Any,
    out: str | Path,
    question: ClassQuestion,
    recipe: TrainingRecipe,
    factors: Sequence[str] | None = None,
    group: str = "auto",
    run: RunOptions | None = None,
    seeds: int = 1,
) -> Study:
    """Train encoders on some classes, and say at which layer these and other classes are read best.

    Encoders lie below ``out/encoders``; what is there is not trained again.

    Args:
        dataset: folder or opened dataset.
        out: folder.
        question: which classes are seen.
        recipe: of the training; of ``supervised`` the label is the column of classes by default.
        factors: columns that are asked for; the classes by default.
        group: see `torchmultiverse.analyze.layer_accuracy.probe_layers`.
        run: seed of the classes and of probes, store of features, and so on.
        seeds: encoders, trained with the recipe's seed and the ones after.

    Raises:
        DatasetError: no such column, or too few classes.
        ModelError: no such setting.
    """
    run = run or RunOptions()
    images = open_images(dataset)
    columns = columns_of(images)
    if question.column not in columns:
        raise QuestionError(f"no column '{question.column}' of classes.{nearest(question.column, columns)}")
    divided = class_split(columns[question.column], question, np.random.default_rng((run.seed, 2)))
    training = recipe.training
    label = (recipe.label or question.column) if training.method == "supervised" else None
    places = [
        train_encoder(images, Path(out) / "encoders" / place, one, label, divided.train, run.quiet)
        for place, one in seeded(component(recipe.name), training, seeds)
    ]
    names = list(factors or [question.column])
    read = {
        name: _readings(places, ImageSubset(images, rows), head_layers(training), names, group, run)
        for name, rows in divided.asked.items()
    }
    return unseen_study(read, divided, question, recipe, dataset_name(images), run.seed)


def _readings(
    places: Sequence[Path], images: ImageSet, layers: Sequence[str], factors: Sequence[str], group: str, run: RunOptions
) -> list[dict[str, list[Reading]]]:
    """Return what each encoder says of the pictures of one question, by factor and layer."""
    return [
        layer_readings(
            features_of(f"ssl:{place}", images, layers, run.store, quiet=run.quiet), factors, by=group, seed=run.seed,
            quiet=run.quiet,
        )[0]
        for place in places
    ]  # fmt: skip


def unseen_study(
    read: Mapping[str, Sequence[Mapping[str, Sequence[Reading]]]],
    divided: ClassSplit,
    question: ClassQuestion,
    recipe: TrainingRecipe,
    dataset: str,
    seed: int = 0,
) -> Study:
    """Return the study of what was read of seen and of unseen classes.

    Args:
        read: by question, of each training, by factor and layer; ``seen`` is one of them.
        divided: the classes.
        question, recipe, dataset: what was asked of what.
        seed: of resampling.
    """
    factors = list(read[SEEN][0])
    unseen = [name for name in read if name != SEEN]
    sections: list[Section] = []
    gaps: list[tuple[str, str, LayerGap]] = []
    cuts: list[dict[str, Cell]] = []
    for factor in factors:
        layers = {name: by_layer(mine, factor) for name, mine in read.items()}
        pooled = [_pooled([layers[name][depth] for name in unseen]) for depth in range(len(layers[SEEN]))]
        sections.append(_by_layer(factor, layers, pooled, seed))
        for who, mine in ((SEEN, layers[SEEN]), ("unseen", pooled)):
            gap = mean_gap(mine[0], mine[-1], seed)
            gaps.append((factor, who, gap))
            cuts.append(
                {"asked for": plain(factor), "classes": who, "trunk minus head %": gap.gap, "low %": gap.low,
                 "high %": gap.high, "± over trainings %": gap.gap_std, "trunk %": gap.first,
                 "end of the head %": gap.last, "chance %": gap.chance, "best layer": _best(mine), "groups": gap.groups}
            )  # fmt: skip
    about = "Best layers are chosen on validation pictures. Of unseen classes all sets together."
    sections.insert(0, Section(title="What cutting the head gains", about=about, table=tuple(cuts)))
    trainings = len(read[SEEN])
    few = group_notes(one for mine in read.values() for curve in mine[0].values() for one in curve)
    facts: dict[str, Cell] = {
        "training": recipe.name, **{k: _plain(v) for k, v in recipe.training.as_dict().items()},
        "trainings": trainings, "column of classes": question.column, "classes of each question":
        len(divided.classes[SEEN]), "unseen sets": len(divided.asked) - 1, "pictures trained on": len(divided.train),
        "pictures of each question": len(divided.asked[SEEN]),
        **{f"classes, {name}": ", ".join(mine) for name, mine in divided.classes.items()},
    }  # fmt: skip
    notes = [
        "Intervals hold for other pictures"
        + (" and for another training" if trainings > 1 else ", not for another training: see --seeds")
        + "; for other classes they do not hold: the spread over the unseen sets is in the tables.",
        "Half of the pictures of each seen class are trained on; what is asked is the other half, and of unseen "
        "classes as many.",
        COMMONEST,
    ]
    return Study(
        kind="unseen", title="Where to cut for classes that were not trained on",
        headline=_headline(gaps, question.column), models=(recipe.name,), dataset=dataset, facts=facts,
        sections=(*sections, *published_sections("unseen")), notes=(*few, *notes),
        sources=(
            "F. Bordes et al., Guillotine regularization: why removing layers is needed to improve generalization in "
            "self-supervised learning, TMLR 2023, figure 3b.",
        ),
    )  # fmt: skip


def _by_layer(
    factor: str, layers: Mapping[str, Sequence[Sequence[Reading]]], pooled: Sequence[Sequence[Reading]], seed: int
) -> Section:
    """Return the section of a factor: what every layer reads of seen classes and of each set of unseen ones."""
    unseen = [name for name in layers if name != SEEN]
    table: list[dict[str, Cell]] = []
    for who, mine in ((SEEN, layers[SEEN]), ("unseen", pooled)):
        for depth, readings in enumerate(mine):
            found = mean_reading(readings, seed)
            sets = [float(np.mean([r.accuracy.score for r in layers[name][depth]])) for name in unseen]
            spread = float(np.std(sets, ddof=1)) if who != SEEN and len(sets) > 1 else None
            table.append(
                {"classes": who, "layer": found.layer, "read rightly %": found.score, "low %": found.low,
                 "high %": found.high, "± over trainings %": found.std, "± over sets %": spread,
                 "chance %": found.chance, "test pictures": found.images}
            )  # fmt: skip
    series = [_series(SEEN, layers[SEEN], seed), _series("unseen, all sets", pooled, seed)]
    series += [_series(name, layers[name], seed, dashed=True) for name in unseen] if len(unseen) > 1 else []
    first = layers[SEEN][0][0].accuracy
    chart = LineChart(
        title=f"{plain(factor)} by layer", x="layer", y="accuracy" if first.levels else "R²", series=tuple(series),
        chance=first.chance, note="Dashed: single sets of unseen classes.",
    )  # fmt: skip
    return Section(
        title=f"{plain(factor).capitalize()} of seen and unseen classes", charts=(chart,), table=tuple(table)
    )


def _pooled(sets: Sequence[Sequence[Reading]]) -> list[Reading]:
    """Return the readings of each training over several sets of pictures as one; groups of one name stay together."""
    out = []
    for mine in zip(*sets, strict=True):
        numbers = [one.accuracy for one in mine]
        pictures = np.array([len(one.outcomes) for one in mine])
        update = {
            name: float(np.average([getattr(one, name) for one in numbers], weights=pictures))
            for name in ("score", "low", "high", "chance", "validation")
        }
        outcomes = np.concatenate([one.outcomes for one in mine])
        names = [
            one.group_names if one.accuracy.group_column else np.char.add(f"{k}:", one.group_names)
            for k, one in enumerate(mine)
        ]
        accuracy = numbers[0].model_copy(update={**update, "test": int(pictures.sum())})
        out.append(Reading(accuracy, outcomes, np.concatenate(names)))
    return out


def _series(name: str, layers: Sequence[Sequence[Reading]], seed: int, dashed: bool = False) -> Series:
    points = []
    for readings in layers:
        found = mean_reading(readings, seed)
        low, high = (None, None) if dashed else (found.low, found.high)
        points.append(Point(x=found.layer, y=found.score, low=low, high=high))
    return Series(name=name, points=tuple(points), dashed=dashed)


def _best(layers: Sequence[Sequence[Reading]]) -> str:
    """Return the layer that validation pictures prefer, the deeper one of equals."""
    means = [float(np.mean([one.accuracy.validation for one in mine])) for mine in layers]
    return layers[max(range(len(means)), key=lambda k: (means[k], k))][0].accuracy.layer


def _headline(gaps: Sequence[tuple[str, str, LayerGap]], column: str) -> str:
    corrected = holm([gap.p for *_, gap in gaps])
    said = []
    for (factor, who, gap), p in zip(gaps, corrected, strict=True):
        whose = f"{who} classes of {plain(column)}" if factor == column else f"{plain(factor)} of {who} classes"
        if gap.low <= -1 and gap.high >= 1:
            said.append(f"{whose}: too few groups ({gap.groups}) to say")
        elif p >= 1 - LEVEL:
            said.append(f"{whose}: no difference between trunk and head is shown")
        else:
            better = "trunk" if gap.gap > 0 else "head"
            low, high = (gap.low, gap.high) if gap.gap > 0 else (-gap.high, -gap.low)
            points = f"{100 * abs(gap.gap):.0f} points [{100 * low:.0f}, {100 * high:.0f}]"
            said.append(f"{whose}: the {better} is better by {points}")
    text = "; ".join(said)
    return text[:1].upper() + text[1:] + "."


def _plain(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else ", ".join(map(str, value))
