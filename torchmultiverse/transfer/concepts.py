"""How far a representation carries: probes of classes that were not learnt, by their distance from those that were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError, ModelError, QuestionError, counted, nearest
from torchmultiverse.features import FeatureCache, features_of, layers_of
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import Intervals, Paired, paired_interval, unpaired_interval
from torchmultiverse.store import ImageSet, ImageSubset, open_images
from torchmultiverse.transfer.concept_factors import appearance_split, class_interval, near_and_far
from torchmultiverse.transfer.concept_pictures import ConceptData, LevelOptions, concept_data
from torchmultiverse.transfer.concept_probes import (
    ALL,
    ClassPictures,
    ProbedClasses,
    ProbeFolder,
    ProbeProtocol,
    most_shots,
    probe_classes,
)
from torchmultiverse.transfer.softmax import unit_rows

SHOTS = (1, 2, 4, 8, 16, 32, 64, 128, ALL)
"""Pictures of each class that probes learn from; `ALL` for all."""
_MOST_FACTORS = 8


@dataclass(frozen=True)
class ConceptOptions:
    """What is asked of how far models carry.

    Attributes:
        classes: how classes become levels.
        shots: pictures of each class; those that a class does not have are left out and told.
        protocol: how probes are trained.
        layers: of the models; ``None``: the penultimate of classifiers, the trunk of encoders trained here, else what
            the model gives.
        group: column whose groups stay together, ``auto`` or ``rows``.
        equal: whether pictures are held equal over classes.
        factors: to hold equal and to ask about; ``None``: all that vary and that classes share.
        baseline: name of the model that others are compared with; ``None``: the first.
        appearance: whether the cost of a change of appearance is measured.
    """

    classes: LevelOptions = field(default_factory=LevelOptions)
    shots: Sequence[int] = SHOTS
    protocol: ProbeProtocol = field(default_factory=ProbeProtocol)
    layers: Sequence[str] | None = None
    group: str = "auto"
    equal: bool = True
    factors: Sequence[str] | None = None
    baseline: str | None = None
    appearance: bool = True


@dataclass(frozen=True)
class LevelScore:
    """What is read of the classes of one level.

    Attributes:
        model, level: names.
        probed: accuracy of the probes of one number of shots.
        low, high: its 95 % interval, over classes or over groups that classes share, whichever is wider.
    """

    model: str
    level: str
    probed: ProbedClasses
    low: float
    high: float

    @property
    def shots(self) -> int:
        """Pictures of each class; `ALL` for all."""
        return self.probed.shots

    @property
    def accuracy(self) -> float:
        """Mean over seeds and test pictures."""
        return self.probed.accuracy


@dataclass(frozen=True)
class Share:
    """A share with the ends of its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AppearanceCost:
    """What the nearest classes lose in an appearance that was not learnt, beside what the farthest classes lose.

    All probes of one factor learn from its near levels alone.

    Attributes:
        model, factor: names.
        near, far: levels of the factor that were learnt from, and that were not.
        first, moved, last: accuracy on the nearest classes as learnt, on the same in the far appearance, and on the
            farthest classes as learnt.
        appearance: first minus moved, over classes.
        meaning: first minus last.
        more: meaning minus appearance, which is moved minus last.
    """

    model: str
    factor: str
    near: tuple[str, ...]
    far: tuple[str, ...]
    first: Share
    moved: Share
    last: Share
    appearance: Share
    meaning: Share
    more: Share


@dataclass(frozen=True)
class ConceptResults:
    """All that was found.

    Attributes:
        data: the levels and pictures.
        models: names.
        options: what was asked.
        scores: of every model, level and number of shots.
        costs: of every model and factor.
        notes: what could not be asked, and why.
    """

    data: ConceptData
    models: tuple[str, ...]
    options: ConceptOptions
    scores: tuple[LevelScore, ...]
    costs: tuple[AppearanceCost, ...]
    notes: tuple[str, ...]

    def score(self, model: str, level: str, shots: int = ALL) -> LevelScore:
        """Return one score.

        Raises:
            DatasetError: it was not asked for.
        """
        for one in self.scores:
            if (one.model, one.level, one.shots) == (model, level, shots):
                return one
        raise DatasetError(f"'{model}' was not asked about {level} with {shots or 'all'} pictures of each class")

    def difference(self, model: str, other: str, level: str, shots: int = ALL) -> Paired:
        """Return by how much a model is better than another on the same test pictures; classes are independent."""
        one, two = self.score(model, level, shots).probed, self.score(other, level, shots).probed
        pictures = self.data.pictures[level]
        return paired_interval(one.correct - two.correct, pictures.codes[pictures.test])

    @property
    def baseline(self) -> str:
        """The model that others are compared with."""
        return self.options.baseline or self.models[0]

    @property
    def most(self) -> int:
        """The number of shots that headlines speak of: all pictures, or the most that were asked for."""
        asked = {one.shots for one in self.scores}
        return ALL if ALL in asked else max(asked)


def measure_concepts(
    models: Sequence[Any],
    dataset: str | Path | ImageSet,
    options: ConceptOptions | None = None,
    run: RunOptions | None = None,
    out: str | Path | None = None,
) -> ConceptResults:
    """Say how well models tell classes apart that are farther and farther from those they learnt.

    Args:
        models: model strings or models.
        dataset: folder of a dataset or of pictures, or an opened one.
        options: what is asked.
        run: seed, store of features, whether bars are shown.
        out: where finished probes are kept, so that what is interrupted goes on; nowhere by default.

    Raises:
        DatasetError: the classes have no concepts, are too few, or cannot be divided.
        ModelError: a model that cannot be loaded, or no such layer.
    """
    options, run = options or ConceptOptions(), run or RunOptions()
    images = open_images(dataset)
    data = concept_data(images, options.classes, options.group, options.equal, options.factors, options.protocol.seed)
    features = read_features(models, ImageSubset(images, data.rows, data.name), options.layers, run)
    return probe_levels(features, data, options, out, run.quiet)


def read_features(
    models: Sequence[Any], images: ImageSet, layers: Sequence[str] | None, run: RunOptions
) -> dict[str, FloatArray]:
    """Return the features of pictures by the name of the model, and of its layer where several are asked for.

    Raises:
        ModelError: a model that cannot be loaded, no such layer, or two models of one name.
    """
    store = FeatureCache(run.store) if isinstance(run.store, str | Path) else run.store
    found: dict[str, FloatArray] = {}
    for given in models:
        model = load_model(given) if isinstance(given, str) else given
        wanted = [transfer_layer(model)] if layers is None else list(layers)
        features = features_of(model, images, wanted, store, quiet=run.quiet)
        for layer in wanted:
            name = features.model if layers is None or len(wanted) == 1 else f"{features.model} {layer}"
            if name in found:
                raise ModelError(f"two models are called '{name}'; give each its own name, NAME=STRING")
            found[name] = features.layers[layer]
    return found


def transfer_layer(model: Any) -> str:
    """Return the layer whose features are probed: trunk of an encoder trained here, penultimate cut of a classifier.

    Of all others what they give. Raises `ModelError` for a model without layers.
    """
    names = [layer.name for layer in layers_of(model)]
    if "trunk" in names:
        return "trunk"
    return names[-2] if model.info.kind == "classifier" and len(names) > 1 else names[-1]


def probe_levels(
    features: Mapping[str, FloatArray],
    data: ConceptData,
    options: ConceptOptions | None = None,
    out: str | Path | None = None,
    quiet: bool = False,
) -> ConceptResults:
    """Say the same of features that are there, in any way they were made.

    Args:
        features: by the name of a model, (U, D) float32, of the rows of ``data``.
        data: levels and pictures.
        options: what is asked.
        out: where finished probes are kept.
        quiet: show no bar.

    Raises:
        DatasetError: features of other pictures, no such baseline, or no shots that all classes have.
    """
    options = options or ConceptOptions()
    for name, of in features.items():
        if of.ndim != 2 or len(of) != len(data.rows):
            raise DatasetError(f"features of '{name}' have shape {of.shape}, {len(data.rows)} rows are needed")
    if options.baseline is not None and options.baseline not in features:
        raise QuestionError(f"no model is called '{options.baseline}'.{nearest(options.baseline, features)}")
    shots, notes = _possible(options, data)
    factors = data.factors[:_MOST_FACTORS] if options.appearance else ()
    kept = ProbeFolder(None if out is None else Path(out) / "probes")
    intervals, scores, costs = Intervals(options.protocol.seed), [], []
    with progress_bar(quiet) as progress:
        each = len(data.pictures) * len(shots) + 2 * len(factors)
        bar = progress.add_task("probes", total=len(features) * each, unit="probes")
        for name, of in features.items():
            unit = unit_rows(np.asarray(of, np.float32))
            for level, pictures in data.pictures.items():
                progress.update(bar, description=f"{name}, {level}")
                for probed in probe_classes(unit[pictures.rows], pictures, shots, options.protocol, kept):
                    scores.append(_scored(name, level, probed, pictures, data, intervals))
                    progress.advance(bar)
            progress.update(bar, description=f"{name}, appearance")
            for factor in factors:
                cost = _cost(name, factor, unit, data, options.protocol, kept, len(factors))
                progress.advance(bar, 2)
                if isinstance(cost, str):
                    notes.append(cost)
                else:
                    costs.append(cost)
    return ConceptResults(
        data, tuple(features), options, tuple(scores), tuple(costs), tuple(dict.fromkeys((*data.notes, *notes)))
    )


def _possible(options: ConceptOptions, data: ConceptData) -> tuple[list[int], list[str]]:
    """Return the numbers of shots that all classes have, and what is said of the others."""
    most = min(most_shots(pictures, options.protocol) for pictures in data.pictures.values())
    wanted = list(dict.fromkeys(options.shots))
    shots = [count for count in wanted if count == ALL or count <= most]
    left = [count for count in wanted if count not in shots]
    if not shots:
        raise DatasetError(f"every class has {counted(most, 'picture')} to learn from, fewer than {min(left)} shots")
    if left:
        return shots, [
            f"Some class has {counted(most, 'picture')} to learn from: {', '.join(map(str, left))} shots are left out."
        ]
    return shots, []


def _scored(
    model: str, level: str, probed: ProbedClasses, pictures: ClassPictures, data: ConceptData, intervals: Intervals
) -> LevelScore:
    codes, groups = pictures.codes[pictures.test], pictures.groups[pictures.test]
    low, high = class_interval(probed.correct, codes, groups if data.shared_groups else None, intervals.of_mean)
    return LevelScore(model, level, probed, low, high)


def _cost(
    model: str, factor: str, unit: FloatArray, data: ConceptData, protocol: ProbeProtocol, kept: ProbeFolder,
    asked: int,
) -> AppearanceCost | str:  # fmt: skip
    """Return what a far appearance costs, or why that cannot be said; intervals hold for all factors at once."""
    levels = [level.name for level in data.levels.levels]
    if len(levels) < 2:
        return "With one level there is no farther meaning to hold an appearance against."
    split = appearance_split(data.columns[factor], factor, np.random.default_rng((protocol.seed, 11)))
    if split is None:
        return f"{factor} does not vary in the pictures that are used."
    others = _other_cells(data, factor) if factor == data.by else None
    found = []
    for level in (levels[0], levels[-1]):
        pictures = data.pictures[level]
        some = None if others is None else others[pictures.rows]
        rng = np.random.default_rng((protocol.seed, 13))
        parts = near_and_far(pictures, split.is_far[pictures.rows], some, rng)
        if parts is None:
            return f"{factor}: too few groups or pictures to learn every class in one appearance and ask in both."
        made, far = parts
        probed = next(iter(probe_classes(unit[made.rows], made, [ALL], protocol, kept)))
        found.append((probed.correct, made.codes[made.test], far))
    (one, codes, far), (two, other, away) = found
    intervals = Intervals(protocol.seed, 1 - 0.05 / max(1, asked))
    first, moved = (_share(one[part], codes[part], intervals.of_mean) for part in (~far, far))
    last = _share(two[~away], other[~away], intervals.of_mean)
    by_class = np.array([one[(codes == k) & ~far].mean() - one[(codes == k) & far].mean() for k in np.unique(codes)])
    lost = paired_interval(by_class, level=intervals.level)
    return AppearanceCost(
        model, factor, split.near, split.far, first, moved, last, Share(lost.mean, lost.low, lost.high),
        _apart(last, first), _apart(last, moved),
    )  # fmt: skip


def _other_cells(data: ConceptData, factor: str) -> NDArray[np.int64]:
    """Return the combination of all other factors of each picture, (U,)."""
    others = [name for name in data.factors if name != factor]
    if not others:
        return np.zeros(len(data.rows), np.int64)
    codes = [np.unique(data.columns[name].astype(str), return_inverse=True)[1] for name in others]
    return np.asarray(np.unique(np.stack(codes, 1), axis=0, return_inverse=True)[1].reshape(-1), np.int64)


def _share(values: NDArray[np.float64], codes: NDArray[np.int64], of_mean: Callable[..., Any]) -> Share:
    low, high = class_interval(values, codes, None, of_mean)
    return Share(float(values.mean()), low, high)


def _apart(less: Share, more: Share) -> Share:
    """Return ``more − less``, of different classes."""
    low, high = unpaired_interval(less.value, (less.low, less.high), more.value, (more.low, more.high))
    return Share(more.value - less.value, low, high)


def lost_to_distance(results: ConceptResults, model: str) -> Share:
    """Return what a model loses from the nearest to the farthest level, of all pictures."""
    first, last = (results.score(model, results.data.levels.levels[k].name, results.most) for k in (0, -1))
    return _apart(Share(last.accuracy, last.low, last.high), Share(first.accuracy, first.low, first.high))


def costliest(results: ConceptResults, model: str) -> AppearanceCost | None:
    """Return the cost of the factor whose change costs a model most, if any was asked about."""
    mine: Iterable[AppearanceCost] = [one for one in results.costs if one.model == model]
    return max(mine, key=lambda one: one.appearance.value, default=None)
