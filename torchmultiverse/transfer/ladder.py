"""A ladder: encoders that were trained on ever wider pictures of one budget, and which widening pays on a target.

Source: M. B. Sarıyıldız et al., *Fake it till you make it: learning transferable representations from synthetic
ImageNet clones*, CVPR 2023 (chapter 5 of the thesis), where prompts of a text-to-image model make the ladder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError, QuestionError, counted
from torchmultiverse.progress import progress_bar
from torchmultiverse.scenes import FACTORS, Spec
from torchmultiverse.store import (
    ImageSet,
    columns_of,
    dataset_name,
    factor_table,
    label_column,
    open_images,
)
from torchmultiverse.train import SMALL, EncoderTraining
from torchmultiverse.transfer.ladder_classes import class_names, matched, unseen_classes
from torchmultiverse.transfer.ladder_encoders import PixelStore, Recipe
from torchmultiverse.transfer.ladder_groups import Plan, group_of, grouped, plans_of, without_plans
from torchmultiverse.transfer.ladder_rows import LEAST, Pool, check_enough, draw, most_per_class
from torchmultiverse.transfer.ladder_runs import Step, StepRun, check_classes, is_done, run_of
from torchmultiverse.transfer.ladder_scenes import folder_name, frame_of, rendered_step, step_spec
from torchmultiverse.transfer.ladder_shared import shared_pictures, told_shared
from torchmultiverse.transfer.ladder_target import Target, make_target

_FEW = 20
BUDGET = 2000
_MOST_CLASSES = 1000  # a column of more levels names pictures
"""Pictures of a step where none is said, and the pictures that are there allow it."""


@dataclass(frozen=True)
class LadderOptions:
    """How a ladder is climbed.

    Attributes:
        steps: names, see `torchmultiverse.transfer.ladder_groups.plans_of`; those that can be by default.
        groups: of factors, by name, beside the usual ones.
        budget: pictures of a step; as many as the narrowest step allows by default, 2,000 at most.
        narrow: share of a held factor's levels, or of its range, that remains.
        seeds: trainings of each step.
        unseen: classes that are kept out of training; a quarter by default.
        leave_one_out: whether the full step is also made with each group held.
        label, target_label: columns of classes.
        label_map: training class by class of the target.
        group: column whose groups are resampled in the target.
        limit: pictures of the target at most.
        engine, size: that renders a spec, and the side of its pictures; twice that of the encoder's input by default.
    """

    steps: tuple[str, ...] | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    budget: int | None = None
    narrow: float = 0.1
    seeds: int = 3
    unseen: int | None = None
    leave_one_out: bool = True
    label: str | None = None
    target_label: str | None = None
    label_map: Mapping[str, str] = field(default_factory=dict)
    group: str = "auto"
    limit: int | None = 2000
    engine: str = "builtin"
    size: int | None = None


@dataclass(frozen=True)
class Ladder:
    """What a ladder found.

    Attributes:
        plans: steps in their order; those that leave one group out last.
        groups: factors of each group.
        runs: trainings of each step by its name, one for each seed.
        target: what was asked.
        trained, unseen: classes.
        unmatched: classes of the target that no training picture is of.
        source, target_name: names of both sides.
        per_class: pictures of each class in a step.
        recipe: of training.
        shared: whether all trainings of a step have the same pictures.
        notes: what could not be.
        learnt: how many of the target's pictures of trained classes each step was trained on, by its name.
    """

    plans: tuple[Plan, ...]
    groups: Mapping[str, tuple[str, ...]]
    runs: Mapping[str, tuple[StepRun, ...]]
    target: Target
    trained: tuple[str, ...]
    unseen: tuple[str, ...]
    unmatched: tuple[str, ...]
    source: str
    target_name: str
    per_class: int
    recipe: Recipe
    shared: bool
    notes: tuple[str, ...]
    learnt: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Classes:
    """Which classes are trained on, and what the target is."""

    trained: list[str]
    unseen: list[str]
    unmatched: list[str]
    target: Target


def climb(
    source: Spec | ImageSet | str | Path | Mapping[str, ImageSet | str | Path],
    target: ImageSet | str | Path,
    out: str | Path,
    recipe: Recipe = SMALL,
    options: LadderOptions | None = None,
    run: RunOptions | None = None,
) -> Ladder:
    """Train the encoders of a ladder and ask them about a target; what is finished is not made again.

    Args:
        source: a spec, whose steps are rendered; a dataset, of whose rows they are made; or folders of pictures by the
            names of steps.
        target: folder of photographs in folders of classes, or a dataset.
        out: folder: pictures below ``pictures``, one folder for each training below ``runs``.
        recipe: of every training; its seed is not asked.
        options: see `LadderOptions`.
        run: seed, and whether to be quiet.

    Raises:
        SpecError: a spec that no ladder can be made of.
        DatasetError: too few pictures, no class on both sides, no such step, group or column.
        ModelError: the recipe names no model.
    """
    options, run, folder = options or LadderOptions(), run or RunOptions(), Path(out)
    if options.seeds < 1 or not 0 < options.narrow <= 1:
        raise DatasetError(
            f"seeds = {options.seeds}, narrow = {options.narrow:g}: one seed or more, and a share above 0, up to 1"
        )
    goal = open_images(target)
    if isinstance(source, Spec):
        steps, groups, classes, notes = _of_spec(source, goal, folder, recipe, options, run)
    elif isinstance(source, Mapping):
        steps, groups, classes, notes = _of_folders(source, goal, options, run)
    else:
        steps, groups, classes, notes = _of_dataset(open_images(source), goal, options, run)
    learnt = shared_pictures(steps, classes.target)
    runs = _climbed(steps, classes, recipe, folder, options, run)
    first = steps[0]
    if (few := len(first.rows(0).train) // len(classes.trained)) < _FEW:
        notes.append(f"{few} pictures of a class train no network well: use a larger --budget")
    return Ladder(
        tuple(step.plan for step in steps), groups, runs, classes.target, tuple(classes.trained),
        tuple(classes.unseen), tuple(classes.unmatched), _source_name(source), dataset_name(goal),
        len(first.rows(0).train) // len(classes.trained) // first.plan.times, recipe, len(first.drawn) == 1,
        (*told_shared(learnt, len(classes.target.seen)), *notes, *classes.target.notes), learnt,
    )  # fmt: skip


def _source_name(source: Spec | ImageSet | str | Path | Mapping[str, ImageSet | str | Path]) -> str:
    if isinstance(source, Spec):
        return source.name
    return "folders" if isinstance(source, Mapping) else dataset_name(open_images(source))


def _climbed(
    steps: Sequence[Step], classes: _Classes, recipe: Recipe, out: Path, options: LadderOptions, run: RunOptions
) -> dict[str, tuple[StepRun, ...]]:
    """Return all trainings, with a bar that counts the pictures they see."""
    pixels = PixelStore()
    found: dict[str, list[StepRun]] = {step.plan.name: [] for step in steps}
    jobs = [(step, number) for number in range(options.seeds) for step in steps]
    for step, number in jobs:
        check_classes(step, len(classes.trained), number)
    epochs = max(1, recipe.epochs)
    todo = [not is_done(step, number, run.seed, recipe, classes.target, out) for step, number in jobs]
    seen = [len(step.rows(number).train) * epochs for step, number in jobs]
    with progress_bar(run.quiet) as progress:
        bar = progress.add_task("ladder", total=sum(n for n, new in zip(seen, todo, strict=True) if new))
        for (step, number), new, count in zip(jobs, todo, seen, strict=True):
            progress.update(bar, description=f"{step.plan.name}, {number + 1} of {options.seeds}")
            found[step.plan.name].append(run_of(step, number, run.seed, recipe, classes.target, out, pixels))
            if new:
                progress.advance(bar, count)
    return {name: tuple(runs) for name, runs in found.items()}


def _classes(
    ours: Sequence[str], target: ImageSet, options: LadderOptions, run: RunOptions
) -> _Classes:  # fmt: skip
    """Match the classes of both sides, keep some out, and make the questions."""
    columns = columns_of(target)
    label = label_column(columns, options.target_label, dataset_name(target), "--target-label")
    named = class_names(columns[label])
    theirs = np.unique(named).tolist()
    matches = matched(ours, theirs, options.label_map)
    if len(matches) < 2:
        raise DatasetError(
            f"'{dataset_name(target)}' shares {counted(len(matches), 'class', 'classes')} with the training "
            f"pictures (theirs: "
            f"{', '.join(theirs[:6])}; ours: {', '.join(sorted(ours)[:6])}); two are needed: --label-map says which "
            f"class of the target is which{_other_label(ours, columns, label)}"
        )
    rng = np.random.default_rng((run.seed, 7))
    unseen = unseen_classes(list(matches.values()), options.unseen, rng)
    trained = sorted(name for name in ours if name not in unseen)
    made = make_target(target, named, matches, trained, label, options.group, options.limit, run.seed)
    return _Classes(trained, unseen, [name for name in theirs if name not in matches], made)


def _other_label(ours: Sequence[str], columns: Mapping[str, NDArray[Any]], label: str) -> str:
    """Return which option names a column of the target that has our classes; "" where none has."""
    for name, values in columns.items():
        if name == label or values.dtype.kind not in "OU":
            continue
        levels = np.unique(class_names(values)).tolist()
        if len(levels) <= _MOST_CLASSES and len(matched(ours, levels)) >= 2:
            return f", or --target-label {name}, which has some of them"
    return ""


def _codes(names: NDArray[np.str_], trained: Sequence[str]) -> NDArray[np.int64]:
    place = {name: code for code, name in enumerate(trained)}
    return np.array([place.get(str(name), -1) for name in names], np.int64)


def _plans(
    groups: Mapping[str, tuple[str, ...]], options: LadderOptions
) -> tuple[list[Plan], list[str]]:  # fmt: skip
    plans, notes = plans_of(options.steps, groups)
    if options.leave_one_out:
        if not any(plan.name == "full" for plan in plans):
            notes.append("which factor's widening pays is not asked without the step 'full'")
        elif len(groups) < 2:
            notes.append("which factor's widening pays is not asked of a single group of factors")
        else:
            plans += without_plans(list(groups))
    return plans, notes


_Made = tuple[list[Step], Mapping[str, tuple[str, ...]], _Classes, list[str]]


def _of_dataset(images: ImageSet, goal: ImageSet, options: LadderOptions, run: RunOptions) -> _Made:
    """Make the steps of the rows of a dataset, drawn anew for each seed."""
    columns = columns_of(images)
    label = label_column(columns, options.label, dataset_name(images))
    named = class_names(columns[label])
    varied = _varied(columns, label, named)
    groups = grouped(varied, options.groups)
    if label == "character_name" and len(np.unique(columns[label].astype(str))) > len(np.unique(named)):
        groups = {**groups, "assets": (label,)}
    if not groups:
        raise QuestionError(
            f"'{dataset_name(images)}' has no column of a factor that varies beside '{label}': a ladder needs some, or "
            "folders by step (--step NAME=FOLDER)"
        )
    plans, notes = _plans(groups, options)  # a misspelt step is told before what the target lacks
    classes = _classes(np.unique(named).tolist(), goal, options, run)
    codes = _codes(named, classes.trained)
    pool = Pool(columns, groups, named, codes, len(classes.trained))
    count = pool.classes
    wanted = (options.budget or BUDGET) // count
    if options.steps is None:
        plans = pool.affordable(plans, options.narrow, wanted, notes)
    most = pool.most(plans, options.narrow)
    per_class = wanted if options.budget else min(wanted, most[0])
    if per_class > most[0] or per_class < LEAST:
        remedy = pool.remedy(plans, options.narrow, max(per_class, LEAST))
        check_enough(per_class, most, options.budget, count, f"{remedy}; or use another --budget")
    masks = pool.masks(plans, options.narrow)
    steps = []
    for plan in plans:
        drawn = tuple(
            draw(masks[plan.name], codes, count, per_class * plan.times, np.random.default_rng((run.seed, number, 9)))
            for number in range(options.seeds)
        )
        steps.append(Step(plan, images, codes, drawn, label))
    return steps, groups, classes, notes


def _varied(columns: Mapping[str, NDArray[np.generic]], label: str, named: NDArray[np.str_]) -> list[str]:
    """Return the columns of factors that vary, but for those that say the class."""
    found = []
    for name in factor_table(columns).column_names:
        values = columns[name].astype(str)
        count = len(np.unique(values))
        if name == label or count < 2 or (name in FACTORS and FACTORS[name].label):
            continue
        pairs = len({*zip(values.tolist(), named.tolist(), strict=True)})
        asset = group_of(name) == "assets"
        repeats = count <= 0.5 * len(values)
        if not asset and (pairs == len(np.unique(named)) or (repeats and pairs == count)):
            continue  # the class says it, or it says the class
        if not asset and columns[name].dtype == object and not repeats:
            continue  # a name of the picture
        found.append(name)
    return found


def _of_spec(
    spec: Spec, goal: ImageSet, out: Path, recipe: Recipe, options: LadderOptions, run: RunOptions
) -> _Made:  # fmt: skip
    """Render the steps of a spec, the same pictures for all seeds."""
    if options.label is not None:
        raise DatasetError(f"--label {options.label}: of a spec, classes are those of its characters")
    frame = frame_of(spec, options.groups)
    plans, notes = _plans(frame.groups, options)
    classes = _classes(list(frame.assets), goal, options, run)
    per_class = (options.budget or BUDGET) // len(classes.trained)
    if per_class < 1:
        raise DatasetError(f"--budget {options.budget}: one picture of each of {len(classes.trained)} classes at least")
    size = options.size or max(64, 2 * recipe.size)
    # All specs are made before any is rendered, so that what cannot be is said at once.
    specs = [
        step_spec(frame, plan, classes.trained, per_class * plan.times, options.narrow, run.seed) for plan in plans
    ]
    steps = []
    for plan, made in zip(plans, specs, strict=True):
        folder = out / "pictures" / folder_name(plan.name)
        images, drawn = rendered_step(made, folder, options.engine, size, per_class * plan.times, run.quiet)
        named = class_names(columns_of(images)["character_name"])
        steps.append(Step(plan, images, _codes(named, classes.trained), (drawn,), "character_name"))
    return steps, frame.groups, classes, notes


def _of_folders(
    folders: Mapping[str, ImageSet | str | Path], goal: ImageSet, options: LadderOptions, run: RunOptions
) -> _Made:
    """Make one step of each folder, of as many pictures of each class, drawn anew for each seed."""
    if len(folders) < 2:
        raise DatasetError(f"a ladder has at least two steps; {len(folders)} given with --step")
    opened = {name: open_images(folder) for name, folder in folders.items()}
    labels = {name: label_column(columns_of(images), options.label, name) for name, images in opened.items()}
    named = {name: class_names(columns_of(images)[labels[name]]) for name, images in opened.items()}
    ours = sorted(set.intersection(*(set(names.tolist()) for names in named.values())))
    if len(ours) < 2:
        raise DatasetError(
            f"the steps {', '.join(opened)} share {counted(len(ours), 'class', 'classes')}; two are needed"
        )
    classes = _classes(ours, goal, options, run)
    count = len(classes.trained)
    plans, notes = [_folder_plan(name) for name in opened], []
    if lost := sorted({str(one) for names in named.values() for one in names} - set(ours)):
        notes.append(f"classes that not every step has are left out: {', '.join(lost[:8])}")
    codes = {name: _codes(names, classes.trained) for name, names in named.items()}
    bounds = [
        most_per_class({plan.name: np.ones(len(codes[plan.name]), bool)}, [plan], codes[plan.name], count)
        for plan in plans
    ]
    most = min(bounds)
    per_class = options.budget // count if options.budget else min(BUDGET // count, most[0])
    check_enough(per_class, most, options.budget, count)
    steps = []
    for plan in plans:
        mine, every = codes[plan.name], np.ones(len(codes[plan.name]), bool)
        drawn = tuple(
            draw(every, mine, count, per_class * plan.times, np.random.default_rng((run.seed, number, 9)))
            for number in range(options.seeds)
        )
        steps.append(Step(plan, opened[plan.name], mine, drawn, labels[plan.name]))
    return steps, {}, classes, notes


def _folder_plan(name: str) -> Plan:
    """Return the step of a folder; ``NAME@5`` has five times the budget."""
    plain, at, times = name.rpartition("@")
    if at and plain and times.isdecimal() and 1 <= int(times) <= 1000:
        return Plan(name, (), int(times))
    return Plan(name, ())


def trained_by(recipe: Recipe) -> str:
    """Return in words how encoders are trained.

    >>> trained_by(SMALL)
    'resnet10t at 64 pixels, 12 epochs'
    """
    if isinstance(recipe, EncoderTraining):
        return f"{recipe.method}, {recipe.backbone} at {recipe.size} pixels, {recipe.epochs} epochs"
    return f"{recipe.model} at {recipe.size} pixels, {recipe.epochs} epochs"
