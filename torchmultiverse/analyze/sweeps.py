"""How memory depends on how a model was trained, and on how it is asked: pairs of models for several settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.dejavu import K
from torchmultiverse.analyze.memorization import memory
from torchmultiverse.analyze.probes import Data, logistic
from torchmultiverse.analyze.withheld import MODES, Mode, Sets
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features import features_of
from torchmultiverse.files import write_atomic
from torchmultiverse.models import load_model
from torchmultiverse.paths import component
from torchmultiverse.store import columns_of, dataset_name, open_images
from torchmultiverse.train import EncoderTraining, parse_setting, train_encoder

ASKED = ("crops", "k", "pictures")
"""What can be varied beside the settings of a training: how the object is taken out, the number of neighbours, and how
many pictures of each class are seen."""


@dataclass(frozen=True)
class Point:
    """What one setting comes to at one layer.

    Attributes:
        value, layer: the setting, and where it was asked.
        score, low, high: déjà vu over all pictures.
        score20: over the most confident fifth; not a number where there are too few.
        memorized, correlated, misrepresented: shares of pictures.
        held_out: the control; not a number without held-out pictures.
    """

    value: str
    layer: str
    score: float
    low: float
    high: float
    score20: float
    memorized: float
    correlated: float
    misrepresented: float
    held_out: float


@dataclass(frozen=True)
class Probed:
    """What a linear probe of the trunk's features says, which is what is looked at otherwise.

    Attributes:
        value: the setting.
        learnt, unseen: accuracy on the pictures that model and probe were trained on, and on public ones.
    """

    value: str
    learnt: float
    unseen: float


@dataclass(frozen=True)
class Sweep:
    """What came of varying one thing.

    Attributes:
        dataset, vary: what was asked.
        training: settings of all, as plain data.
        points: by setting and layer.
        probed: by setting.
    """

    dataset: str
    vary: str
    training: dict[str, Any]
    points: tuple[Point, ...]
    probed: tuple[Probed, ...]

    def save(self, out: str | Path) -> Path:
        """Write ``sweep.json``, ``sweep.csv`` and the page; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report import rows_as_csv, sweep_page

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "sweep.json", (json.dumps(asdict(self), indent=1) + "\n").encode())
        write_atomic(out / "sweep.csv", rows_as_csv([asdict(point) for point in self.points]).encode())
        write_atomic(out / "index.html", sweep_page(self).encode())
        return out / "index.html"


def sweep(
    dataset: Any,
    sets: str | Path | Sets,
    out: str | Path,
    vary: str,
    values: Sequence[str],
    training: EncoderTraining | None = None,
    mode: Mode = "boxes",
    boxes: str | Path | None = None,
    least: float = 0.2,
    k: int = K,
    engine: Any = None,
    label: str | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Sweep:
    """Train pairs of models for several values of one setting, and score each pair.

    Encoders lie below ``out/encoders``; what is there is not trained again. Epochs are checkpoints of one pair.

    Args:
        dataset: that was divided.
        sets: who sees what.
        out: folder.
        vary: a setting of `EncoderTraining`, ``option.NAME`` of the loss, or one of `ASKED`.
        values: of it, as text.
        training: all other settings.
        mode, boxes, least, k, engine: how the models are asked; see `torchmultiverse.analyze.memorization.memory`.
        label: column of classes, for ``supervised``.
        seed: of resampling.
        store: where features are kept.
        quiet: show no bars.

    Raises:
        ModelError: no such setting or value.
        DatasetError: more pictures of a class than there are, or other sets in the folder.
    """
    training = training or EncoderTraining()
    pictures = open_images(dataset)
    divided = sets if isinstance(sets, Sets) else Sets.load(sets, pictures)
    folder = Path(out) / "encoders"
    codes = np.unique(columns_of(pictures)[divided.label].astype(str), return_inverse=True)[1]
    points: list[Point] = []
    probed: list[Probed] = []
    if vary == "epochs":
        every = sorted({int(value) for value in _numbers(vary, values)})
        training = training.changed(epochs=every[-1], keep=tuple(every))
        values = [str(epoch) for epoch in every]
    recipes = [(value, *_recipe(vary, value, training, divided, codes)) for value in values]  # all checked first
    for value, recipe, mine in recipes:
        name = "all" if vary in ("epochs", "crops", "k") else component(f"{vary}-{value}")
        models = {}
        for side in ("A", "B"):
            place = folder / name / side
            train_encoder(pictures, place, recipe, label or divided.label, mine.seen_by(side), quiet)  # type: ignore[arg-type]
            models[side] = load_model(f"ssl:{place}@{value}" if vary == "epochs" else f"ssl:{place}")
        found = memory(
            pictures, mine, models["A"], models["B"], None, value if vary == "crops" else mode,  # type: ignore[arg-type]
            boxes, least, int(value) if vary == "k" else k, engine, "torch", seed, store, quiet=quiet,
        )  # fmt: skip
        for one in found.layers:
            whole, p, held = one.score.at(1.0), one.score.partition, one.controls.held_out
            fifth = next((s.score for s in one.score.scores if s.share == 0.2), float("nan"))
            points.append(
                Point(value, one.layer, whole.score, whole.low, whole.high, fifth, p.memorized, p.correlated,
                      p.misrepresented, float("nan") if held is None else held.score)
            )  # fmt: skip
        probed.append(Probed(value, *_probe(models["A"], pictures, mine, codes, store, quiet)))
    return Sweep(dataset_name(pictures), vary, training.as_dict(), tuple(points), tuple(probed))


def _numbers(vary: str, values: Sequence[str]) -> list[int]:
    try:
        return [int(value) for value in values]
    except ValueError:
        raise ModelError(f"{vary} are whole numbers, not {', '.join(values)}") from None


def _recipe(
    vary: str, value: str, training: EncoderTraining, sets: Sets, codes: NDArray[np.int64]
) -> tuple[EncoderTraining, Sets]:
    """Return how the pair of one value is trained, and on what."""
    if vary == "crops":
        if value not in MODES:
            raise ModelError(f"crops are {', '.join(MODES)}, not '{value}'")
        return training, sets
    if vary == "k":
        _numbers(vary, [value])
        return training, sets
    if vary == "pictures":
        count = _numbers(vary, [value])[0]
        rows = dict(sets.rows)
        for name in ("A", "B"):
            chosen = [_first(rows[name], codes, level, count) for level in np.unique(codes[rows[name]])]
            rows[name] = np.sort(np.concatenate(chosen))
        return training, replace(sets, rows=rows)
    return (training if vary == "epochs" else parse_setting(training, vary, value)), sets


def _first(rows: NDArray[np.int64], codes: NDArray[np.int64], level: int, count: int) -> NDArray[np.int64]:
    mine = rows[codes[rows] == level]
    if len(mine) < count:
        raise DatasetError(f"{count} pictures of each class are asked for, {len(mine)} are in the sets")
    return np.random.default_rng(0).permutation(mine)[:count]


def _probe(
    model: Any, pictures: Any, sets: Sets, codes: NDArray[np.int64], store: Any, quiet: bool
) -> tuple[float, float]:
    """Return what a linear probe says of the pictures it learnt, and of public ones."""
    x = features_of(model, pictures, ["trunk"], store, quiet=quiet).layers["trunk"]
    seen, public = sets.seen_by("A"), sets.rows["public"]
    validation, train = np.split(np.random.default_rng(0).permutation(seen), [max(1, len(seen) // 5)])
    both = np.concatenate([train, public])
    data = Data(x[train], x[validation], x[both], codes[train], codes[validation], int(codes.max()) + 1)
    right = logistic(data, np.random.default_rng(0)).said == codes[both]
    return float(right[: len(train)].mean()), float(right[len(train) :].mean())
