"""Training against transfer: how well models read what they were trained on, and how far the rest of them carries.

Source: M. B. Sarıyıldız et al., *No reason for no supervision: improved generalization in supervised models*, ICLR
2023; chapter 4 of the thesis, equation 4.3 and figure 4.1. Its tasks are thirteen datasets; here they are factors and
classes that training did not see, so that what is lost has a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import ModelError, QuestionError
from torchmultiverse.features import FeatureCache, Features, encode_images, factor_names, features_of
from torchmultiverse.json_text import read_json
from torchmultiverse.models import ENCODER_CONFIG, FloatArray, as_models
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import LEVEL, Intervals, Paired, holm, paired_interval, student_quantile, wilson
from torchmultiverse.store import columns_of, dataset_name, label_column, manifest_hash, open_images
from torchmultiverse.transfer.feature_statistics import FeatureStatistics, feature_statistics
from torchmultiverse.transfer.log_odds import TaskScore, odds_of, task_score
from torchmultiverse.transfer.tasks import Task, outcomes_of, transfer_tasks


class LogOdds(NamedTuple):
    """A mean of log-odds over tasks with its interval, and the independent groups behind it."""

    mean: float
    low: float
    high: float
    groups: int


@dataclass(frozen=True)
class ModelTransfer:
    """What is read of one model.

    Attributes:
        name: of the model.
        training: of the task that it was trained on.
        tasks: of the tasks of transfer, in their order.
        log_odds: mean over them (equation 4.3).
        statistics: of its features.
        outcomes: 0 or 1 of each test picture, of training and then of each task.
    """

    name: str
    training: TaskScore
    tasks: tuple[TaskScore, ...]
    log_odds: LogOdds
    statistics: FeatureStatistics
    outcomes: tuple[NDArray[np.float64], ...]


class Change(NamedTuple):
    """How much better a model reads a task than the first model, on the same pictures.

    Attributes:
        model, task: which.
        difference: of accuracies, with its interval.
        corrected_p: of no difference, corrected for all that is compared.
    """

    model: str
    task: str
    difference: Paired
    corrected_p: float

    @property
    def sure(self) -> bool:
        """Whether it stands the correction."""
        return self.corrected_p < 0.05 and self.difference.low * self.difference.high > 0


@dataclass(frozen=True)
class TransferPlane:
    """All models of a plane.

    Attributes:
        dataset: name.
        train_task: column of the classes that models were trained on.
        training, tasks: what was asked.
        models: in the order asked for; the first is what others are compared with.
        changes: of every other model and task, the task of training first.
        log_odds_changes: mean log-odds of every other model less those of the first.
        unseen: classes that training did not see.
        notes: what could not be asked and why.
        facts: settings.
    """

    dataset: str
    train_task: str
    training: Task
    tasks: tuple[Task, ...]
    models: tuple[ModelTransfer, ...]
    changes: tuple[Change, ...]
    log_odds_changes: Mapping[str, LogOdds]
    unseen: tuple[str, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


def vectors_of(
    model: Any, images: Any, layer: str | None, cache: FeatureCache | None, quiet: bool, rows: Any = None
) -> FloatArray:
    """Return features of all pictures of a dataset, (N, D): of a layer, or what the model gives of itself.

    Args:
        model: a loaded one.
        images: the dataset.
        layer: as 'analyze layers' names it; the embedding by default (of an encoder with a projector: its trunk).
        cache: where they are kept.
        quiet: show no bar.
        rows: of the dataset; all by default.

    Raises:
        ModelError: a model without features, or no such layer.
    """
    if layer is not None:
        return features_of(model, images, [layer], cache, quiet=quiet).layers[layer]
    every = np.arange(len(images)) if rows is None else rows
    for method, output in (("encode_image", "image"), ("logits", "logits")):
        if hasattr(model, method):
            return encode_images(model, output, getattr(model, method), images, every, quiet=quiet, cache=cache)
    raise ModelError(f"'{model.info.name}' has no features of pictures; name a layer of it with --layer")


def mean_log_odds_of(
    outcomes: Sequence[NDArray[np.float64]], clusters: Sequence[NDArray[np.int64]], by: Sequence[str],
    minus: Sequence[NDArray[np.float64]] | None = None,
) -> LogOdds:  # fmt: skip
    """Return the mean of log-odds over tasks, with its 95 % interval over groups.

    The interval is that of the linear part: what each group of pictures pulls each task's log-odds by, added over tasks
    whose pictures are grouped by the same column, since they share pictures; with Student's t for the fewest groups. A
    task of which all pictures say the same has the width that the number of its groups leaves (Wilson).

    Args:
        outcomes: of the test pictures of each task, 0 or 1.
        clusters: their groups in the whole dataset.
        by: column that groups, of each task.
        minus: outcomes of another model on the same pictures, whose mean log-odds are taken off.

    >>> right = [np.array([1.0, 1, 1, 0] * 20), np.array([1.0, 0] * 40)]
    >>> groups = [np.repeat(np.arange(20), 4)] * 2
    >>> found = mean_log_odds_of(right, groups, ["asset", "asset"])
    >>> round(found.mean, 3), found.groups  # (ln 3 + ln 1) / 2
    (0.549, 20)
    """
    sizes: dict[str, int] = {}
    for column, codes in zip(by, clusters, strict=True):
        sizes[column] = max(sizes.get(column, 0), int(codes.max()) + 1)
    pulls = {column: np.zeros(size) for column, size in sizes.items()}
    used = {column: np.zeros(size, bool) for column, size in sizes.items()}
    points, extra = [], 0.0
    for k, (codes, column) in enumerate(zip(clusters, by, strict=True)):
        used[column][codes] = True
        point, pull, more = _pull(outcomes[k], codes, sizes[column])
        if minus is not None:
            other, theirs, further = _pull(minus[k], codes, sizes[column])
            same = bool((outcomes[k] == minus[k]).all())
            point, pull, more = point - other, pull - theirs, 0.0 if same else more + further
        points.append(point)
        pulls[column] += pull
        extra += more
    counts = {column: int(held.sum()) for column, held in used.items()}
    few, mean = min(counts.values()), float(np.mean(points))
    if few < 2:
        return LogOdds(mean, -np.inf, np.inf, few)
    variance = extra + sum(counts[c] / (counts[c] - 1) * float((pulls[c] ** 2).sum()) for c in counts)
    half = student_quantile((1 - LEVEL) / 2, few - 1) * float(np.sqrt(variance)) / len(points)
    return LogOdds(mean, mean - half, mean + half, few)


def _pull(values: NDArray[np.float64], codes: NDArray[np.int64], size: int) -> tuple[float, NDArray[np.float64], float]:
    """Return the log-odds of a task, what each group pulls them by, and a variance where no group differs."""
    n, groups = len(values), len(np.unique(codes))
    point = odds_of(float(values.mean()), n)
    p = 1 / (1 + float(np.exp(-point)))
    if np.ptp(values) == 0:
        low, _ = wilson(groups, groups)
        end = odds_of(low, groups)
        return point, np.zeros(size), ((abs(point) - end) / 2) ** 2
    pull = np.bincount(codes, values - p, minlength=size) / (n * p * (1 - p))
    return point, pull, 0.0


def measure_transfer(
    models: Sequence[Any], dataset: Any, train_task: str | None = None, factors: Sequence[str] | None = None,
    unseen: Sequence[str] | None = None, layer: str | None = None, probe: str = "logistic", group: str = "auto",
    run: RunOptions | None = None,
) -> TransferPlane:  # fmt: skip
    """Read the training task and all others from the frozen features of some models.

    Args:
        models: model strings, ``NAME=STRING`` or models; the first is what others are compared with.
        dataset: folder or opened dataset; better of other pictures than those trained on.
        train_task: column of classes that the models were trained on; ``None``: the usual one.
        factors: other columns; default: all that vary.
        unseen: classes that training did not see; default: what encoders of `train_encoder` say of themselves.
        layer: whose features are read; see `vectors_of`.
        probe: of `torchmultiverse.analyze.PROBES`.
        group: column whose groups are in one part only.
        run: seed, store of features, quiet.

    Raises:
        DatasetError: no such column or class, or models that were trained without different classes.
        ModelError: no such model or layer.
    """
    run = run or RunOptions()
    images = open_images(dataset)
    columns = columns_of(images)
    named = as_models(list(models))
    if not named:
        raise ModelError("no model was named; one is such as ssl:encoder or timm:resnet18")
    told = [_told(model) for model in named]
    train_task = label_column(columns, train_task, dataset_name(images), "--train-task")
    absent: list[str] = []
    if unseen is None:
        said = _agreed(told)
        unseen = [one for one in said if one in columns[train_task].astype(str)]
        absent = [one for one in said if one not in unseen]
    some = Features("", dataset_name(images), {}, columns, np.arange(len(images)), {})
    others = [name for name in factor_names(some, factors) if not _same(columns, name, train_task)]
    training, tasks, notes = transfer_tasks(columns, train_task, others, unseen, group, run.seed)
    cache = run.store if isinstance(run.store, FeatureCache) or run.store is None else FeatureCache(run.store)
    found = []
    with progress_bar(run.quiet) as progress:
        bar = progress.add_task("probes", total=len(named) * (1 + len(tasks)), unit="probes")
        for model in named:
            vectors = vectors_of(model, images, layer, cache, run.quiet)
            right = []
            for task in (training, *tasks):
                progress.update(bar, description=f"{model.info.name}, {task.name}")
                right.append(outcomes_of(task, vectors, probe, run.seed))
                progress.advance(bar)
            found.append(_model(model.info.name, training, tasks, right, vectors, columns[train_task], run.seed))
    mine = manifest_hash(images)
    if absent:
        named_so = f"{', '.join(absent[:5])}{', …' if len(absent) > 5 else ''}"
        notes += (
            f"The encoders were trained without {named_so}: no picture here has such a {train_task}, so nothing is "
            "asked of them. Of other classes that training did not see, name those of these pictures with --unseen.",
        )
    notes += tuple(
        f"{model.info.name} was trained on these pictures: what is read of the classes it knows is of pictures it saw"
        for model, config in zip(named, told, strict=True) if config.get("data") == mine
    )  # fmt: skip
    changes, shifts = _changes(found, training, tasks)
    facts = {
        "pictures": len(images), "probe": probe, "layer": layer or "the embedding", "tasks of transfer": len(tasks),
        "classes trained on": len(training.levels), "unseen classes": len(unseen), "seed": run.seed,
    }  # fmt: skip
    return TransferPlane(
        dataset_name(images), train_task, training, tasks, tuple(found), changes, shifts, tuple(unseen), notes, facts
    )


def _model(
    name: str, training: Task, tasks: Sequence[Task], right: Sequence[NDArray[np.float64]], vectors: FloatArray,
    classes: NDArray[Any], seed: int,
) -> ModelTransfer:  # fmt: skip
    intervals = Intervals(seed)
    scores = [
        task_score(task.name, mine, task.test_groups, task.chance, intervals)
        for task, mine in zip((training, *tasks), right, strict=True)
    ]
    rows = np.random.default_rng(seed).permutation(len(vectors))[:2000]  # pairs within classes are many
    return ModelTransfer(
        name, scores[0], tuple(scores[1:]),
        mean_log_odds_of(right[1:], [t.test_groups for t in tasks], [t.by for t in tasks]),
        feature_statistics(vectors[rows], classes[rows].astype(str)), tuple(right),
    )  # fmt: skip


def _changes(
    models: Sequence[ModelTransfer], training: Task, tasks: Sequence[Task]
) -> tuple[tuple[Change, ...], dict[str, LogOdds]]:
    """Return how other models differ from the first."""
    first, found = models[0], []
    every = (training, *tasks)
    for model in models[1:]:
        for task, one, two in zip(every, first.outcomes, model.outcomes, strict=True):
            groups = np.unique(task.test_groups, return_inverse=True)[1]
            found.append((model.name, task.name, paired_interval(two - one, groups)))
    corrected = holm([difference.p for *_, difference in found])
    clusters, by = [t.test_groups for t in tasks], [t.by for t in tasks]
    shifts = {
        model.name: mean_log_odds_of(model.outcomes[1:], clusters, by, first.outcomes[1:]) for model in models[1:]
    }
    return tuple(Change(*one, p) for one, p in zip(found, corrected, strict=True)), shifts


def _told(model: Any) -> dict[str, Any]:
    """Return what an encoder that was trained here says of its training; nothing of other models."""
    if getattr(model, "adapter", "") != "SslEncoder" or not model.info.weights:
        return {}
    try:
        found = read_json((Path(model.info.weights) / ENCODER_CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _agreed(told: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the classes that all models that say so were trained without.

    Raises:
        DatasetError: they say different ones.
    """
    said = {tuple(config["unseen"]) for config in told if config.get("unseen")}
    if len(said) > 1:
        first, second = sorted(said)[:2]
        raise QuestionError(
            f"models were trained without different classes ({', '.join(first[:3])}; {', '.join(second[:3])}): name "
            "with --unseen those that none of them saw"
        )
    return list(said.pop()) if said else []


def _same(columns: Mapping[str, NDArray[Any]], one: str, two: str) -> bool:
    """Tell whether two columns say the same of all pictures."""
    if two not in columns:
        return False
    a, b = (np.unique(columns[name].astype(str), return_inverse=True)[1] for name in (one, two))
    pairs = len(np.unique(np.stack([a, b], 1), axis=0))
    return bool(pairs == a.max() + 1 == b.max() + 1)
