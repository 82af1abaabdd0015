"""Probes of every layer, trained on plain pictures and tested on corrupted ones.

Which layer one reads decides how much corruptions cost: a probe of each is trained on features of plain pictures, its
penalty chosen on plain validation pictures, and asked about the test pictures plain and under every corruption.

Source: F. Bordes et al., *Guillotine regularization: why removing layers is needed to improve generalization in
self-supervised learning*, TMLR 2023, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.probes import LinearProbe, ProbeData, logistic
from torchmultiverse.analyze.splits import FactorTarget, Split, factor_target, split
from torchmultiverse.corruptions import IMAGENET_C, SEVERITIES, SIDE, corruption_names
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features, features_of
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import Intervals, Paired, mean_interval, paired_interval
from torchmultiverse.store import (
    CorruptedImages,
    ImageSet,
    ImageSubset,
    columns_of,
    dataset_name,
    label_column,
    open_images,
)


@dataclass(frozen=True)
class CorruptedLayerOptions:
    """What is asked.

    Attributes:
        names: of corruptions, or sets of them, with commas.
        severities: of 1 to 5.
        label: column that probes are to tell; that of `torchmultiverse.store.usual_label` by default.
        layers: names, or ``cuts`` for all places where the model can be cut.
        group: column whose groups are in one part only; ``auto`` or ``rows``.
        side: pixels of the shorter side that pictures are resized to before; ``None`` leaves them.
    """

    names: str = ",".join(IMAGENET_C)
    severities: Sequence[int] = SEVERITIES
    label: str | None = None
    layers: Sequence[str] | str = "cuts"
    group: str = "auto"
    side: int | None = SIDE


@dataclass(frozen=True)
class CorruptedLayers:
    """What was found.

    Attributes:
        model, dataset, label: names.
        layers: from the first to the last, L of them.
        names, severities: of corruptions.
        plain: errors on plain test pictures, (L, N), 0 or 1.
        wrong: errors under corruptions, (names, severities, L, N).
        shift: how far corruptions move the features, of the distance between two plain pictures, same shape as errors
            but for the pictures: (names, severities, L).
        groups: of the test pictures, (N,), 0 to G − 1.
        group_column: by which pictures are grouped; "" for none.
        chance: error of always giving the most frequent answer.
        train: pictures that probes learnt from.
        penalties: of the probes, L.
        chosen: the layer that the validation pictures prefer under corruptions, at the middle severity: its error on
            the test pictures is not flattered by the choice.
        chosen_by_type: the same for each corruption, as many as names.
    """

    model: str
    dataset: str
    label: str
    layers: tuple[str, ...]
    names: tuple[str, ...]
    severities: tuple[int, ...]
    plain: NDArray[np.float64]
    wrong: NDArray[np.float64]
    shift: NDArray[np.float64]
    groups: NDArray[np.int64]
    group_column: str
    chance: float
    train: int
    penalties: tuple[float, ...]
    chosen: int
    chosen_by_type: tuple[int, ...]

    def mean_error(self, layer: int, intervals: Intervals) -> Paired:
        """Return the mean error over corruptions and severities at a layer, with its interval over groups."""
        return mean_interval(self.wrong[:, :, layer].mean((0, 1)), self.groups, intervals, (0.0, 1.0))

    def against_last(self, layer: int) -> Paired:
        """Return the mean error at a layer minus that at the last, on the same pictures."""
        each = self.wrong.mean((0, 1))
        return paired_interval(each[layer] - each[-1], self.groups)


def probe_corruptions(
    model: Any,
    dataset: str | Path | ImageSet,
    options: CorruptedLayerOptions | None = None,
    run: RunOptions | None = None,
) -> CorruptedLayers:
    """Probe every layer of a model on plain pictures, and ask the probes about corrupted ones.

    Args:
        model: a model string or model.
        dataset: folder of a dataset or of pictures in folders of classes, or an opened one.
        options: what is asked.
        run: seed, where features are kept, and whether bars are shown.

    Raises:
        DatasetError: no such column, one that is not of levels, or a grouping that cannot be.
        ModelError: a model without layers, or no such layer.
        SpecError: no such corruption, or one that the pictures cannot have.
    """
    options, run = options or CorruptedLayerOptions(), run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    names = corruption_names(options.names, "depth" in images.passes)
    target = label_target(images, options.label)
    parts = split(columns_of(images), target, np.random.default_rng(run.seed), options.group)
    plain = features_of(loaded, CorruptedImages(images, side=options.side), options.layers, run.store, quiet=run.quiet)
    fitted = [_fit(plain.layers[layer], target, parts, run.seed) for layer in plain.layers]
    severities = tuple(options.severities)
    middle = severities[len(severities) // 2]
    known = _Known(loaded, images, plain, [probe for probe, _ in fitted], target, options.side, run)
    shape = (len(names), len(severities), len(plain.layers))
    wrong, shift = np.zeros((*shape, len(parts.test))), np.zeros(shape)
    preferred = np.zeros((len(names), len(plain.layers)))
    total = len(names) * (len(severities) * len(parts.test) + len(parts.validation))
    with progress_bar(run.quiet) as progress:
        bar = progress.add_task("corruptions", total=total)
        for row, name in enumerate(names):
            progress.update(bar, description=name)
            preferred[row] = known.under(name, middle, parts.validation)[0].mean(1)
            progress.advance(bar, len(parts.validation))
            for column, severity in enumerate(severities):
                progress.update(bar, description=f"{name} {severity}")
                wrong[row, column], shift[row, column] = known.under(name, severity, parts.test)
                progress.advance(bar, len(parts.test))
    codes = target.codes[parts.test]
    before = np.stack(
        [_wrong(probe, plain.layers[layer][parts.test], codes)
         for (probe, _), layer in zip(fitted, plain.layers, strict=True)]
    )  # fmt: skip
    return CorruptedLayers(
        plain.model, dataset_name(images), target.factor, tuple(plain.layers), names, severities, before,
        wrong, shift, np.unique(parts.groups[parts.test], return_inverse=True)[1], parts.by,
        1 - float(np.bincount(codes).max() / len(codes)), len(parts.train), tuple(penalty for _, penalty in fitted),
        int(preferred.mean(0).argmin()), tuple(preferred.argmin(1).tolist()),
    )  # fmt: skip


class _Known:
    """Probes of plain pictures, and what plain pictures are at every layer."""

    def __init__(
        self, model: Any, images: ImageSet, plain: Features, probes: Sequence[LinearProbe], target: FactorTarget,
        side: int | None, run: RunOptions,
    ) -> None:  # fmt: skip
        self._model, self._images, self._plain, self._probes = model, images, plain, probes
        self._target, self._side, self._run = target, side, run

    def under(
        self, name: str, severity: int, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return errors under a corruption, (L, N), and how far features move, (L,)."""
        changed = CorruptedImages(ImageSubset(self._images, rows), name, severity, self._run.seed, self._side)
        found = features_of(self._model, changed, list(self._plain.layers), self._run.store, quiet=True)
        wrong, shift = [], []
        for probe, layer in zip(self._probes, self._plain.layers, strict=True):
            moved, before = found.layers[layer], self._plain.layers[layer][rows]
            wrong.append(_wrong(probe, moved, self._target.codes[rows]))
            shift.append(float(((moved - before) ** 2).sum(1).mean()) / _spread(before))
        return np.stack(wrong), np.array(shift)


def label_target(images: ImageSet, label: str | None) -> FactorTarget:
    """Return the column that probes are to tell.

    Raises:
        DatasetError: no such column, or one without levels.
    """
    columns = columns_of(images)
    label = label_column(columns, label, dataset_name(images))
    target = factor_target(columns, label)
    if target.numbers is not None:
        raise DatasetError(f"'{label}' has too many levels; a column of classes is right")
    if len(target.levels) < 2:
        some = "1 level" if target.levels else "no level"
        raise DatasetError(f"'{label}' has {some}; two classes are needed")
    return target


def _fit(features: FloatArray, target: FactorTarget, parts: Split, seed: int) -> tuple[LinearProbe, float]:
    data = ProbeData(
        features[parts.train], features[parts.validation], features[parts.test], target.codes[parts.train],
        target.codes[parts.validation], len(target.levels),
    )  # fmt: skip
    found = logistic(data, np.random.default_rng(seed))
    assert found.probe is not None
    return found.probe, float(found.hyperparameters["penalty"])


def _wrong(probe: LinearProbe, features: FloatArray, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(probe.probabilities(features).argmax(1) != codes, np.float64)


def _spread(features: FloatArray) -> float:
    """Return the mean squared distance between two different pictures."""
    return max(2 * float(features.var(0, ddof=1).sum()) if len(features) > 1 else 0.0, 1e-12)
