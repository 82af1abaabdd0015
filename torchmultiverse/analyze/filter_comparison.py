"""A physical condition as it is rendered, beside a 2-D filter and a filter that knows depth, all of one strength.

Of every scene that was rendered with and without a condition, the plain picture is also changed by the filters that
stand for the condition, each at the severity at which its change has the PSNR of the rendered change. What then differs
is how the picture was changed and not how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.corrupted_layers import label_target
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.probes import ProbeData, logistic
from torchmultiverse.corruptions import CORRUPTIONS, SIDE, corrupt, matched_severity, picture_rng, psnr, rms_contrast
from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.features import features_of
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.progress import progress_bar
from torchmultiverse.scenes import FACTORS, is_default, level_words
from torchmultiverse.store import (
    CorruptedImages,
    ImageList,
    ImageSet,
    columns_of,
    dataset_name,
    factor_table,
    fitted_depth,
    open_images,
)

PLAIN, REAL, FLAT, DEEP = "plain", "rendered", "2-D filter", "filter with depth"
WAYS = (PLAIN, REAL, FLAT, DEEP)
COUNTERPARTS: Mapping[str, tuple[str, str | None]] = MappingProxyType({
    "fog_visibility": ("fog", "fog_3d"), "dust_visibility": ("fog", "fog_3d"),
    "camera_aperture": ("defocus_blur", "near_focus"), "camera_focus": ("defocus_blur", "near_focus"),
    "character_speed": ("motion_blur", "xy_motion_blur"), "camera_shutter": ("motion_blur", "xy_motion_blur"),
    "camera_electrons": ("shot_noise", None), "camera_read_noise": ("gaussian_noise", None),
    "jpeg_quality": ("jpeg_compression", None), "target_pixels": ("pixelate", None),
    "camera_exposure": ("brightness", "flash"), "rain": ("snow", None), "snow": ("snow", None),
})  # fmt: skip
"""By the column of a condition: the 2-D filter, and the one that knows depth, that stand for it."""
_FOLDS = 4
_MOST = 400  # pairs of one condition: each is matched by ten changes of two filters


@dataclass(frozen=True)
class WayErrors:
    """What became of the pictures of one condition and level, changed in one way; arrays are (P,).

    Attributes:
        condition, level: column, and its level as words.
        way: of `WAYS`.
        filter: name of the corruption; "" for what was rendered.
        severity: mean over pictures; NaN where there is none.
        psnr: mean in dB; infinite for plain pictures.
        contrast: mean standard deviation of brightness.
        wrong: errors, 0 or 1; NaN where no probe could be asked.
        shift: squared distance to the features of the plain picture over that between two plain pictures.
        direction: cosine of that move with the move of what was rendered.
        groups: of the scenes, 0 to G − 1.
        example: the picture of the first scene.
    """

    condition: str
    level: str
    way: str
    filter: str
    severity: float
    psnr: float
    contrast: float
    wrong: NDArray[np.float64]
    shift: NDArray[np.float64]
    direction: NDArray[np.float64]
    groups: NDArray[np.int64]
    example: NDArray[np.uint8]


def condition_columns(images: ImageSet) -> tuple[str, ...]:
    """Return the columns of conditions that vary in a dataset and have a filter that stands for them."""
    columns = columns_of(images)
    return tuple(name for name in COUNTERPARTS if name in columns and len(np.unique(columns[name].astype(str))) > 1)


def compare_filters(
    model: Any,
    dataset: str | Path | ImageSet,
    conditions: Sequence[str] | None = None,
    label: str | None = None,
    layer: str = "",
    side: int | None = SIDE,
    run: RunOptions | None = None,
) -> list[WayErrors]:
    """Compare what a condition does when it is rendered with what filters of the same PSNR do.

    Args:
        model: a model string or model.
        dataset: with scenes that differ in one condition alone, such as of a design ``one_at_a_time``.
        conditions: columns; all that vary by default.
        label: column of classes that a probe of plain pictures tells.
        layer: that is read; the last by default.
        side: pixels of the shorter side that pictures are resized to before; ``None`` leaves them.
        run: seed and whether bars are shown.

    Raises:
        DatasetError: no such condition, or no scene with and without it.
    """
    run = run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    names = chosen_conditions(images, conditions)
    target = label_target(images, label)
    reader = _Reader(loaded, layer, images, side, run)
    found: list[WayErrors] = []
    for name in names:
        pairs = scene_pairs(images, name)
        if not pairs:
            if conditions is not None:
                raise DatasetError(f"no two scenes differ in '{name}' alone")
            continue
        for level, (changed, plain) in pairs.items():
            found += reader.compare(name, level, changed[:_MOST], plain[:_MOST], target.codes)
    if not found:
        raise DatasetError(f"no two scenes differ in one condition alone: {', '.join(names)}")
    return found


def scene_pairs(images: ImageSet, condition: str) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the rows with and without a condition, all else equal, by the level that it has.

    Without is the condition at its default (``own`` in most), or at its most frequent level.
    """
    columns = columns_of(images)
    names = [name for name in factor_table(columns).column_names if name != condition and name in FACTOR_COLUMNS]
    words = np.array(level_words(condition, columns[condition].tolist()), object)
    levels, counts = np.unique(words.astype(str), return_counts=True)
    usual = [level for level in levels.tolist() if condition in FACTORS and is_default(FACTORS[condition], level)]
    without = usual[0] if usual else str(levels[counts.argmax()])
    keys = (
        list(zip(*(columns[name].astype(str).tolist() for name in names), strict=True)) if names else [()] * len(words)
    )
    plain = {key: row for row, (key, word) in enumerate(zip(keys, words.tolist(), strict=True)) if word == without}
    found: dict[str, list[tuple[int, int]]] = {}
    for row, (key, word) in enumerate(zip(keys, words.tolist(), strict=True)):
        if word != without and key in plain:
            found.setdefault(str(word), []).append((row, plain[key]))
    order = sorted(found, key=lambda level: (len(level), level))
    return {level: tuple(np.array(found[level], np.int64).T) for level in order}  # type: ignore[misc]


FACTOR_COLUMNS = frozenset(factor.column for factor in FACTORS)
"""Columns of factors: what else a dataset says of a picture follows from the picture."""


def chosen_conditions(images: ImageSet, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of conditions that are asked about: those named, or all that vary.

    Raises:
        DatasetError: one that no filter stands for, or that does not vary.
    """
    there = condition_columns(images)
    for name in asked or ():
        if name not in COUNTERPARTS:
            near = nearest(name, there or COUNTERPARTS)
            raise QuestionError(f"'{name}' is no condition that a filter stands for.{near}")
    of = dataset_name(images)
    if not there:
        raise DatasetError(f"no condition varies in '{of}': render some of {', '.join(COUNTERPARTS)} at two levels")
    for name in asked or ():
        if name not in there:
            raise QuestionError(f"'{name}' does not vary in '{of}'; what varies is {', '.join(there)}")
    return tuple(asked) if asked else there


class _Reader:
    """Reads pictures with a model and asks probes of plain ones."""

    def __init__(self, model: Any, layer: str, images: ImageSet, side: int | None, run: RunOptions) -> None:
        self._model, self._images, self._side, self._run = model, images, side, run
        self._sized = CorruptedImages(images, side=side)
        found = features_of(model, self._sized, [layer] if layer else "cuts", run.store, quiet=run.quiet)
        self._layer = list(found.layers)[-1]
        self._features = found.layers[self._layer]

    def compare(
        self, name: str, level: str, changed: NDArray[np.int64], plain: NDArray[np.int64], codes: NDArray[np.int64]
    ) -> list[WayErrors]:
        """Return what becomes of the scenes of one condition and level in each way."""
        flat, deep = COUNTERPARTS[name]
        deep = deep if "depth" in self._images.passes else None
        pictures: dict[str, list[NDArray[np.uint8]]] = {
            PLAIN: [self._sized.pixels(row) for row in plain.tolist()],
            REAL: [self._sized.pixels(row) for row in changed.tolist()],
        }
        severities: dict[str, list[float]] = {}
        for way, kind in ((FLAT, flat), (DEEP, deep)):
            if kind is not None:
                made = self._matched(kind, f"{name} {level}", pictures, plain)
                severities[way], pictures[way] = [one[0] for one in made], [one[1] for one in made]
        features = {PLAIN: self._features[plain], REAL: self._features[changed]}
        features |= {way: self._read(pictures[way]) for way in pictures if way not in features}
        wrong = self._asked(features, codes[plain], codes, plain)
        groups = np.unique(codes[plain], return_inverse=True)[1]
        return [
            WayErrors(
                name, level, way, {FLAT: flat, DEEP: deep or ""}.get(way, ""),
                float(np.mean(severities[way])) if way in severities else float("nan"),
                float(np.mean([psnr(a, b) for a, b in zip(pictures[way], pictures[PLAIN], strict=True)])),
                float(np.mean([rms_contrast(one) for one in pictures[way]])), wrong[way],
                *_moves(features, way), groups, pictures[way][0],
            )
            for way in WAYS if way in pictures
        ]  # fmt: skip

    def _matched(
        self, kind: str, title: str, pictures: Mapping[str, list[NDArray[np.uint8]]], rows: NDArray[np.int64]
    ) -> list[tuple[float, NDArray[np.uint8]]]:
        """Return the severity and the picture whose change is as strong as the rendered one."""
        found = []
        with progress_bar(self._run.quiet) as progress:
            bar = progress.add_task(f"{title}: {kind}", total=len(rows))
            for row, clean, real in zip(rows.tolist(), pictures[PLAIN], pictures[REAL], strict=True):
                depth = _depth(self._images, row, clean.shape[:2]) if CORRUPTIONS[kind].needs_depth else None

                def apply(
                    severity: float, clean: NDArray[np.uint8] = clean, depth: NDArray[np.float32] | None = depth
                ) -> NDArray[np.uint8]:
                    rng = picture_rng(kind, self._run.seed, clean.tobytes())
                    return corrupt(clean, kind, severity, rng, depth)

                found.append(matched_severity(apply, clean, psnr(real, clean), CORRUPTIONS[kind].strongest))
                progress.advance(bar)
        return found

    def _read(self, pictures: Sequence[NDArray[np.uint8]]) -> FloatArray:
        made = ImageList([Image.fromarray(one) for one in pictures], [{"label": ""}] * len(pictures))
        return features_of(self._model, made, [self._layer], quiet=True).layers[self._layer]

    def _asked(
        self, features: Mapping[str, FloatArray], truth: NDArray[np.int64], codes: NDArray[np.int64],
        plain: NDArray[np.int64],
    ) -> dict[str, NDArray[np.float64]]:  # fmt: skip
        """Return the errors of probes of plain pictures of other scenes, in each way."""
        rng = np.random.default_rng(self._run.seed)
        folds = rng.permutation(len(plain)) % _FOLDS
        wrong = {way: np.full(len(plain), np.nan) for way in features}
        for fold in range(_FOLDS):
            inside = folds == fold
            train = plain[~inside]
            if not inside.any() or len(train) < 4 or len(np.unique(codes[train])) < 2:
                continue
            order = rng.permutation(len(train))
            cut = max(1, len(train) // 5)
            kept, held = train[order[cut:]], train[order[:cut]]
            for way, of in features.items():
                data = ProbeData(self._features[kept], self._features[held], of[inside], codes[kept], codes[held],
                                 int(codes.max()) + 1)  # fmt: skip
                predicted = logistic(data, np.random.default_rng(self._run.seed)).prediction
                wrong[way][inside] = predicted != truth[inside]
        return wrong


def _moves(features: Mapping[str, FloatArray], way: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each picture moved, and the cosine with the move of what was rendered."""
    plain = features[PLAIN].astype(np.float64)
    spread = max(2 * float(plain.var(0, ddof=1).sum()) if len(plain) > 1 else 0.0, 1e-12)
    move, real = features[way] - plain, features[REAL] - plain
    lengths = np.linalg.norm(move, axis=1) * np.linalg.norm(real, axis=1)
    cosine = np.divide((move * real).sum(1), lengths, out=np.full(len(plain), np.nan), where=lengths > 1e-12)
    return (move**2).sum(1) / spread, cosine


def _depth(images: ImageSet, row: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return fitted_depth(np.asarray(images.annotation(row, "depth"), np.float32), shape)
