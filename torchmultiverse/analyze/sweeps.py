"""How memorization depends on how a model was trained, and on how it is asked: pairs of models for several settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.held_out import HeldOutSplits
from torchmultiverse.analyze.memorization import MemorizationOptions, measure_memorization
from torchmultiverse.analyze.object_removal import MODES
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.probes import ProbeData, logistic
from torchmultiverse.documents import Document, Record
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features import features_of
from torchmultiverse.models import load_model
from torchmultiverse.paths import component
from torchmultiverse.store import columns_of, dataset_name, open_images
from torchmultiverse.train import EncoderTraining, parse_setting, train_encoder

VARIABLES = ("crops", "k", "images")
"""What can be varied beside the settings of a training: how the object is removed, the number of neighbours, and how
many images of each class are seen."""


class SweepPoint(Record):
    """What one setting comes to at one layer.

    Attributes:
        value, layer: the setting, and where it was asked.
        score, low, high: déjà vu over all pictures.
        top20_score: over the most confident fifth; not a number where there are too few.
        memorized, correlated, misrepresented: fractions of pictures.
        held_out: the control; not a number without held-out pictures.
    """

    value: str
    layer: str
    score: float
    low: float
    high: float
    top20_score: float
    memorized: float
    correlated: float
    misrepresented: float
    held_out: float


class SweepProbe(Record):
    """What a linear probe of the trunk's features reads, which is what is looked at otherwise.

    Attributes:
        value: the setting.
        train_accuracy: on the pictures that model and probe were trained on.
        public_accuracy: on public ones.
    """

    value: str
    train_accuracy: float
    public_accuracy: float


class MemorizationSweep(Document):
    """What came of varying one thing.

    Attributes:
        dataset, vary: what was asked.
        training: settings of all, as plain data.
        points: by setting and layer.
        probes: by setting.
    """

    file: ClassVar[str] = "sweep.json"
    version: ClassVar[int] = 2
    dataset: str
    vary: str
    training: Mapping[str, Any]
    points: tuple[SweepPoint, ...]
    probes: tuple[SweepProbe, ...]

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        data = migrations.sweep(data) if version < 1 else data
        return migrations.sweep_of_images(data) if version < 2 else data


@dataclass(frozen=True)
class _Setting:
    """One value of what is varied.

    Attributes:
        value: as text.
        training, splits, options: with this value.
        folder: of its pair of encoders.
        model: end of their model strings.
    """

    value: str
    training: EncoderTraining
    splits: HeldOutSplits
    options: MemorizationOptions
    folder: str
    model: str = ""


def sweep_memorization(
    dataset: Any,
    splits: str | Path | HeldOutSplits,
    out: str | Path,
    vary: str,
    values: Sequence[str],
    training: EncoderTraining | None = None,
    options: MemorizationOptions | None = None,
    label: str | None = None,
    run: RunOptions | None = None,
) -> MemorizationSweep:
    """Train pairs of models for several values of one setting, and score each pair.

    Encoders lie below ``out/encoders``; what is there is not trained again. Epochs are checkpoints of one pair.

    Args:
        dataset: that was divided.
        splits: who sees what.
        out: folder.
        vary: a setting of `EncoderTraining`, ``option.NAME`` of the loss, or one of `VARIABLES`.
        values: of it, as text.
        training: all other settings.
        options: how the models are asked.
        label: column of classes, for ``supervised``.
        run: seed of resampling, store of features, and so on.

    Raises:
        ModelError: no such setting or value.
        DatasetError: more pictures of a class than there are, or other splits in the folder.
    """
    training, options, run = training or EncoderTraining(), options or MemorizationOptions(), run or RunOptions()
    images = open_images(dataset)
    divided = splits if isinstance(splits, HeldOutSplits) else HeldOutSplits.load_for(splits, images)
    codes = np.unique(columns_of(images)[divided.label].astype(str), return_inverse=True)[1]
    points: list[SweepPoint] = []
    probes: list[SweepProbe] = []
    if vary == "epochs":
        every = sorted({int(value) for value in _numbers(vary, values)})
        training = training.changed(epochs=every[-1], keep=tuple(every))
        values = [str(epoch) for epoch in every]
    settings = [_setting(vary, value, training, divided, options, codes) for value in values]  # all checked first
    for setting in settings:
        models = []
        for side in ("A", "B"):
            place = Path(out) / "encoders" / setting.folder / side
            rows = setting.splits.seen_by(side)  # type: ignore[arg-type]
            train_encoder(images, place, setting.training, label or divided.label, rows, run.quiet)
            models.append(load_model(f"ssl:{place}{setting.model}"))
        found = measure_memorization(images, setting.splits, models[0], models[1], setting.options, run)
        for one in found.layers:
            whole, p, held = one.score.at(1.0), one.score.partition, one.controls.held_out
            fifth = next((s.score for s in one.score.scores if s.fraction == 0.2), float("nan"))
            points.append(
                SweepPoint(
                    value=setting.value, layer=one.layer, score=whole.score, low=whole.low, high=whole.high,
                    top20_score=fifth, memorized=p.memorized, correlated=p.correlated, misrepresented=p.misrepresented,
                    held_out=float("nan") if held is None else held.score,
                )
            )  # fmt: skip
        probes.append(_probe(setting, models[0], images, codes, run))
    return MemorizationSweep(
        dataset=dataset_name(images), vary=vary, training=training.as_dict(), points=tuple(points), probes=tuple(probes)
    )


def _numbers(vary: str, values: Sequence[str]) -> list[int]:
    try:
        return [int(value) for value in values]
    except ValueError:
        raise ModelError(f"{vary} are whole numbers, not {', '.join(values)}") from None


def _setting(
    vary: str, value: str, training: EncoderTraining, splits: HeldOutSplits, options: MemorizationOptions,
    codes: NDArray[np.int64],
) -> _Setting:  # fmt: skip
    """Return how the pair of one value is trained, on what, and how it is asked."""
    setting = _Setting(value, training, splits, options, component(f"{vary}-{value}"))
    if vary == "epochs":
        return replace(setting, folder="all", model=f"@{value}")
    if vary == "crops":
        if value not in MODES:
            raise ModelError(f"crops are {', '.join(MODES)}, not '{value}'")
        removal = replace(options.removal, mode=value)  # type: ignore[arg-type]
        return replace(setting, options=replace(options, removal=removal), folder="all")
    if vary == "k":
        return replace(setting, options=replace(options, k=_numbers(vary, [value])[0]), folder="all")
    if vary == "images":
        count = _numbers(vary, [value])[0]
        rows = dict(splits.rows)
        for name in ("A", "B"):
            chosen = [_first(rows[name], codes, level, count) for level in np.unique(codes[rows[name]])]
            rows[name] = np.sort(np.concatenate(chosen))
        return replace(setting, splits=splits.model_copy(update={"rows": rows}))
    return replace(setting, training=parse_setting(training, vary, value))


def _first(rows: NDArray[np.int64], codes: NDArray[np.int64], level: int, count: int) -> NDArray[np.int64]:
    mine = rows[codes[rows] == level]
    if len(mine) < count:
        raise DatasetError(f"{count} pictures of each class are asked for, {len(mine)} are in the sets")
    return np.random.default_rng(0).permutation(mine)[:count]


def _probe(setting: _Setting, model: Any, images: Any, codes: NDArray[np.int64], run: RunOptions) -> SweepProbe:
    """Return what a linear probe reads of the pictures it was trained on, and of public ones."""
    x = features_of(model, images, ["trunk"], run.store, quiet=run.quiet).layers["trunk"]
    seen, public = setting.splits.seen_by("A"), setting.splits.rows["public"]
    validation, train = np.split(np.random.default_rng(0).permutation(seen), [max(1, len(seen) // 5)])
    both = np.concatenate([train, public])
    data = ProbeData(x[train], x[validation], x[both], codes[train], codes[validation], int(codes.max()) + 1)
    correct = logistic(data, np.random.default_rng(0)).prediction == codes[both]
    return SweepProbe(
        value=setting.value, train_accuracy=float(correct[: len(train)].mean()),
        public_accuracy=float(correct[len(train) :].mean()),
    )  # fmt: skip
