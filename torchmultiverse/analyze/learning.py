"""Which factor is learned first? All factors are read at each kept checkpoint, at the trunk and at the head.

A factor is half learned at the epoch at which half of what training gains, from the first checkpoint to the last, is
reached; between checkpoints what is read is taken to change in a line. A factor that is read worse in the end than
before is half lost at that epoch.

Source: F. Bordes et al., *Guillotine regularization*, TMLR 2023, figure B4 (probes over epochs, by layer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.layer_accuracy import Reading, layer_readings
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.published import published_sections
from torchmultiverse.analyze.trainings import group_notes, mean_gap, mean_reading
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError, ModelError, counted
from torchmultiverse.evaluation import plain
from torchmultiverse.features import features_of
from torchmultiverse.models import load_model
from torchmultiverse.stats import LEVEL, MIN_CLUSTERS, RESAMPLES, expanded_tail, holm, resampling_weights
from torchmultiverse.store import dataset_name, drawn_images, open_images
from torchmultiverse.study import COMMONEST, Cell, LineChart, Point, Section, Series, Study
from torchmultiverse.train import checkpoints


def half_epoch(epochs: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Return the epoch at which half of the change from the first score to the last is reached first.

    Args:
        epochs: increasing, (E,).
        scores: at these, (E,).

    Returns:
        The epoch; not a number where first and last score are the same.

    >>> half_epoch(np.array([0.0, 2, 4]), np.array([0.2, 0.3, 0.8]))
    2.8
    >>> half_epoch(np.array([0.0, 2, 4]), np.array([0.9, 0.5, 0.5]))  # lost
    1.0
    """
    change = scores[-1] - scores[0]
    if not abs(change) > 1e-12:
        return float("nan")
    done = (scores - scores[0]) / change
    after = int(np.argmax(done >= 0.5 - 1e-12))
    before = after - 1
    share = (0.5 - done[before]) / (done[after] - done[before])
    return float(epochs[before] + share * (epochs[after] - epochs[before]))


class LearnedFactor(Record):
    """When one factor is learned at one layer.

    Attributes:
        factor, layer: what was asked where.
        first, last: accuracy, or R², at the first and the last checkpoint.
        gain, gain_low, gain_high: last minus first, with its interval.
        p: of no gain.
        half, half_low, half_high: epoch of half of the gain, with its interval; none where nothing is surely gained or
            lost.
    """

    factor: str
    layer: str
    first: float
    last: float
    gain: float
    gain_low: float
    gain_high: float
    p: float
    half: float | None
    half_low: float | None
    half_high: float | None


def learned_factor(
    epochs: Sequence[int], readings: Sequence[Sequence[Reading]], seed: int = 0, resamples: int = RESAMPLES
) -> LearnedFactor:
    """Return when a factor is learned at a layer.

    Args:
        epochs: of the checkpoints, increasing.
        readings: of each training (outer) at each checkpoint (inner), all of the same test pictures.
        seed: of resampling.
        resamples: for the interval of the epoch; groups of pictures are drawn anew, and trainings where there are
            several.
    """
    accuracy = readings[0][-1].accuracy
    gap = mean_gap([one[-1] for one in readings], [one[0] for one in readings], seed)
    outcomes = np.stack([[one.outcomes for one in training] for training in readings])  # (S, E, N)
    groups = readings[0][0].groups
    # Sums by group make a resample a product; a group counts as often as it is drawn.
    sums = np.stack([[np.bincount(groups, row) for row in training] for training in outcomes])  # (S, E, G)
    sizes = np.bincount(groups).astype(float)
    at = np.asarray(epochs, np.float64)
    scores = sums.sum(2).mean(0) / sizes.sum()
    half = half_epoch(at, scores) if gap.low > 0 or gap.high < 0 else float("nan")
    low = high = None
    if np.isfinite(half) and len(sizes) >= MIN_CLUSTERS:
        rng = np.random.default_rng((seed, len(sizes)))
        weights = resampling_weights(len(sizes), rng, resamples).astype(float)
        of_trainings = resampling_weights(len(readings), rng, resamples) / len(readings)
        drawn = np.einsum("rs,seg,rg->re", of_trainings, sums, weights, optimize=True) / (weights @ sizes)[:, None]
        halves = np.array([half_epoch(at, row) for row in drawn])
        tail = expanded_tail(len(sizes))
        low, high = (float(v) for v in np.nanquantile(halves, [tail, 1 - tail]))
        low, high = min(low, half), max(high, half)
    return LearnedFactor(
        factor=accuracy.factor, layer=accuracy.layer, first=float(scores[0]), last=float(scores[-1]), gain=gap.gap,
        gain_low=gap.low, gain_high=gap.high, p=gap.p, half=half if np.isfinite(half) else None, half_low=low,
        half_high=high,
    )  # fmt: skip


@dataclass(frozen=True)
class LearningOptions:
    """What is read over epochs.

    Attributes:
        layers: the trunk and the end of the head by default.
        factors: columns; all that vary by default.
        group: see `torchmultiverse.analyze.layer_accuracy.probe_layers`.
        limit: so many pictures at most, drawn at random.
    """

    layers: Sequence[str] | None = None
    factors: Sequence[str] | None = None
    group: str = "auto"
    limit: int | None = None


def learning_order(
    encoders: Sequence[str], dataset: Any, options: LearningOptions | None = None, run: RunOptions | None = None
) -> Study:
    """Say which factor is learned first: probes of all factors at each kept checkpoint.

    Args:
        encoders: ``ssl:FOLDER`` of encoders trained with ``keep``; several are trainings of one recipe that differ in
            their seed.
        dataset: folder or opened dataset, which the encoders were best not trained on.
        options: what is read.
        run: seed of probes, store of features, and so on.

    Raises:
        ModelError: no such encoder, fewer than two checkpoints, or encoders with other ones.
        DatasetError: no such column, or nothing to ask for.
    """
    options, run = options or LearningOptions(), run or RunOptions()
    images = drawn_images(open_images(dataset), options.limit, run.seed)
    epochs, models = kept_checkpoints(encoders)
    layers = list(options.layers or _ends(models[0][0]))
    read: list[list[dict[str, list[Reading]]]] = []
    notes: list[str] = []
    for training in models:
        mine = []
        for model in training:
            features = features_of(model, images, layers, run.store, quiet=run.quiet)
            found, told = layer_readings(features, options.factors, by=options.group, seed=run.seed, quiet=run.quiet)
            mine.append(found)
            notes += told
        read.append(mine)
    names = tuple(str(one) for one in encoders)
    return learning_study(epochs, read, names, dataset_name(images), tuple(dict.fromkeys(notes)), run.seed)


def kept_checkpoints(encoders: Sequence[str]) -> tuple[list[int], list[list[str]]]:
    """Return the epochs whose checkpoints all encoders have, and the model strings of each encoder at these.

    Raises:
        ModelError: fewer than two checkpoints, or encoders with other ones.
    """
    found: list[dict[int, str]] = []
    for encoder in encoders:
        if not encoder.startswith("ssl:") or "@" in encoder:
            raise ModelError(f"'{encoder}' is no trained encoder with checkpoints; one is ssl:FOLDER")
        folder = Path(encoder.removeprefix("ssl:"))
        kept = dict(checkpoints(folder))
        if len(kept) < 2:
            raise ModelError(
                f"{folder} keeps {counted(len(kept), 'checkpoint')}, 2 are needed: train it with --keep, "
                f"such as --keep 0,1,2,5,10"
            )
        found.append(kept)
    if any(one.keys() != found[0].keys() for one in found):
        told = "; ".join(f"{name}: {', '.join(map(str, one))}" for name, one in zip(encoders, found, strict=True))
        raise ModelError(f"encoders that are compared keep the same epochs: {told}")
    epochs = sorted(found[0])
    return epochs, [[one[epoch] for epoch in epochs] for one in found]


def _ends(model: str) -> list[str]:
    """Return the names of the trunk and of the end of the head."""
    blocks: Any = load_model(model)
    from torchmultiverse.features import layers_of

    heads = [layer.name for layer in layers_of(blocks) if layer.name.startswith("head.")]
    return ["trunk", *heads[-1:]]


def learning_study(
    epochs: Sequence[int],
    read: Sequence[Sequence[Mapping[str, Sequence[Reading]]]],
    models: tuple[str, ...],
    dataset: str,
    notes: tuple[str, ...] = (),
    seed: int = 0,
) -> Study:
    """Return the study of what was read over epochs.

    Args:
        epochs: of the checkpoints, increasing.
        read: of each training, at each checkpoint, by factor and layer.
        models, dataset: names.
        notes: what could not be asked.
        seed: of resampling.
    """
    factors = list(read[0][0])
    if not factors:
        raise DatasetError(f"{dataset}: nothing can be asked for")
    layers = [one.accuracy.layer for one in read[0][0][factors[0]]]
    found = [
        learned_factor(epochs, [[at[factor][depth] for at in training] for training in read], seed)
        for depth in range(len(layers))
        for factor in factors
    ]
    corrected = holm([one.p for one in found])
    found = [
        one if p < 1 - LEVEL else one.model_copy(update={"half": None, "half_low": None, "half_high": None})
        for one, p in zip(found, corrected, strict=True)
    ]
    charts = tuple(_chart(epochs, read, factors, depth, layer, seed) for depth, layer in enumerate(layers))
    halves: list[dict[str, Cell]] = [
        {"layer": one.layer, "factor": plain(one.factor), "half at epoch": one.half, "low": one.half_low,
         "high": one.half_high, "what happens": _happens(one), "before %": one.first, "after %": one.last,
         "gain %": one.gain, "gain from %": one.gain_low, "gain to %": one.gain_high}
        for one in sorted(found, key=lambda one: (layers.index(one.layer), one.half is None, one.half or 0))
    ]  # fmt: skip
    sections = [
        Section(
            title="Which factor is learned first", charts=charts, table=tuple(halves),
            about="Half at epoch: where half of what training gains from the first checkpoint to the last is reached, "
            "with its 95 % interval. Factors that surely gain or lose nothing have none (Holm over all of them).",
        ),
        Section(title="What is read at each checkpoint", table=tuple(_table(epochs, read, factors, layers, seed))),
    ]  # fmt: skip
    first = read[0][0][factors[0]][0]
    limits = (
        *group_notes(one for curve in read[0][0].values() for one in curve),
        f"Between checkpoints what is read is taken to change in a line: the epochs asked are "
        f"{', '.join(map(str, epochs))}, and an order within one gap between them is not shown.",
        "Untrained networks read colours, sizes and places well already; what they read is no gain of training.",
        *(("One training: intervals hold for other pictures, not for another training.",) if len(read) == 1 else ()),
        COMMONEST, *(f"Not asked: {note}" for note in notes),
    )  # fmt: skip
    return Study(
        kind="epochs", title="Which factor is learned first", headline=_headline(found, layers), models=models,
        dataset=dataset, sections=(*sections, *published_sections("epochs")), notes=limits,
        facts={"trainings": len(read), "checkpoints": ", ".join(map(str, epochs)), "layers": ", ".join(layers),
               "test pictures": len(first.outcomes), "groups by": first.accuracy.group_column or "picture"},
        sources=(
            "F. Bordes et al., Guillotine regularization: why removing layers is needed to improve generalization in "
            "self-supervised learning, TMLR 2023, figure B4.",
        ),
    )  # fmt: skip


def _chart(
    epochs: Sequence[int], read: Sequence[Sequence[Mapping[str, Sequence[Reading]]]], factors: Sequence[str],
    depth: int, layer: str, seed: int,
) -> LineChart:  # fmt: skip
    series = []
    for factor in factors:
        points = []
        for k, epoch in enumerate(epochs):
            found = mean_reading([training[k][factor][depth] for training in read], seed)
            points.append(Point(x=float(epoch), y=found.score, low=found.low, high=found.high))
        series.append(Series(name=plain(factor), points=tuple(points)))
    return LineChart(title=f"Read at {layer}", x="epoch", y="accuracy or R²", series=tuple(series))


def _table(
    epochs: Sequence[int], read: Sequence[Sequence[Mapping[str, Sequence[Reading]]]], factors: Sequence[str],
    layers: Sequence[str], seed: int,
) -> list[dict[str, Cell]]:  # fmt: skip
    lines: list[dict[str, Cell]] = []
    for depth, layer in enumerate(layers):
        for factor in factors:
            for k, epoch in enumerate(epochs):
                found = mean_reading([training[k][factor][depth] for training in read], seed)
                lines.append(
                    {"layer": layer, "factor": plain(factor), "epoch": epoch, "read rightly %": found.score,
                     "low %": found.low, "high %": found.high, "± over trainings %": found.std,
                     "chance %": found.chance, "test pictures": found.images, "groups": found.groups}
                )  # fmt: skip
    return lines


def _untold(one: LearnedFactor) -> bool:
    """Tell whether the test pictures are of too few groups to say anything."""
    return one.gain_low <= -1 and one.gain_high >= 1


def _happens(one: LearnedFactor) -> str:
    if _untold(one):
        return "too few groups"
    return "no sure change" if one.half is None else "learned" if one.gain > 0 else "lost"


def _headline(found: Sequence[LearnedFactor], layers: Sequence[str]) -> str:
    said = []
    if all(map(_untold, found)):
        return "The test pictures are of too few groups to say what is learned when; see the limits below."
    for layer in layers:
        mine = [one for one in found if one.layer == layer]
        learned = sorted((one for one in mine if one.half is not None and one.gain > 0), key=lambda one: one.half or 0)
        lost = [plain(one.factor) for one in mine if one.half is not None and one.gain < 0]
        if learned:
            first, last = learned[0], learned[-1]
            text = f"{plain(first.factor)} is half learned at epoch {_epoch(first)}"
            if last is not first:
                text += f", {plain(last.factor)} last, at {_epoch(last)}"
        elif all(map(_untold, mine)):
            text = "too few groups of test pictures are there to say"
        else:
            text = "nothing is surely learned"
        said.append(f"at {layer} {text}" + (f"; lost: {', '.join(lost)}" if lost else ""))
    text = "; ".join(said)
    return text[:1].upper() + text[1:] + "."


def _epoch(one: LearnedFactor) -> str:
    ends = "" if one.half_low is None or one.half_high is None else f" [{one.half_low:.1f}, {one.half_high:.1f}]"
    return f"{one.half or 0:.1f}{ends}"
