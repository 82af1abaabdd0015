"""What is measured on every picture, and the limits outside of which a picture fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.color import figure_ground
from torchmultiverse.engines import Frame

QUALITY = tuple(
    f"quality_{name}"
    for name in (
        "luminance", "luminance_min", "luminance_max", "contrast", "saturation", "clipped", "fireflies",
        "visible1", "area1", "visible2", "area2", "nudge",
    )
)  # fmt: skip
"""Columns of a dataset, float32."""
FIGURE_GROUND = ("quality_figure_ground1", "quality_figure_ground2")
"""Further ones, where the engine says how far each character stands out (`Catalogue.figure_ground`)."""

OCCLUDED = "quality_occluded1"
"""A further one in datasets whose specs say ``Occlusion``: the share that the occluder hides, as it was measured."""
UNSEEN = "quality_unseen"
"""A further one in datasets whose specs say ``Distractors`` or ``Objects``: how many of these have no pixel."""

FIREFLY = 80
"""How much brighter than all its eight neighbours a pixel must be, of 255."""
LIMITS: dict[str, tuple[float, float]] = {
    "luminance": (0.03, 0.97),
    "contrast": (0.01, 1.0),
    "clipped": (0.0, 0.4),
    "fireflies": (0.0, 0.001),
    "visible1": (0.9, 1.0),
    "visible2": (0.9, 1.0),
    "figure_ground1": (7.0, 200.0),
    "figure_ground2": (7.0, 200.0),
    "unseen": (0.0, 0.0),
}
"""The range of each measured value outside of which a picture fails; a spec's ``quality.limits`` replace some."""

BY_PLACE = ("visible1", "visible2")
"""Values whose limits follow from the place of the characters (`limits_of`)."""
HIDING: dict[str, tuple[float, float]] = {
    "behind": (0.35, 0.9),
    "in front of": (0.9, 0.35),
    "on": (0.4, 0.4),
    "under": (0.4, 0.4),
    "inside": (0.0, 0.4),
}
"""Place of a character relative to the other → least share of it, and of the other one, that is to be seen."""
HIDING_BY_COORDINATES: dict[str, tuple[float, float]] = {"behind": (0.02, 0.9), "in front of": (0.9, 0.02)}
"""The same of relations that the published coordinates make: what is straight behind may be hidden almost whole."""


def limits_of(
    scene: Mapping[str, Any], limits: Mapping[str, Sequence[float]] | None = None
) -> dict[str, Sequence[float]]:
    """Return the limits that hold for a scene: those of `LIMITS`, but where one character is meant to hide the other.

    Args:
        scene: its factors by wire name, those at their defaults left out.
        limits: a spec's own, instead of all of these.
    """
    found: dict[str, Sequence[float]] = dict(LIMITS)
    for one, other in ((1, 2), (2, 1)):
        least = HIDING.get(str(scene.get(f"Character{one}_Pos")))
        if least is None and one == 1 and scene.get("Character1_Pos") == "location":
            least = HIDING_BY_COORDINATES.get(str(scene.get("Relation")))
        if least is not None:
            found |= {f"visible{number}": (low, 1.0) for number, low in zip((one, other), least, strict=True)}
    return found | dict(limits or {})


def measure(frame: Frame) -> dict[str, float | None]:
    """Return everything that is measured on a frame, by column."""
    nudge = frame.info.get("nudge", {})
    return {
        **quality(frame.array("rgb")),
        **visibility(frame),
        **figure_ground_of(frame),
        OCCLUDED: _occluded(frame),
        UNSEEN: _unseen(frame),
        "quality_nudge": float(next(iter(nudge.values()), 0.0)),
    }


def quality(rgb: NDArray[np.uint8]) -> dict[str, float]:
    """Measure a picture, uint8 (H, W, 3): values in 0..1.

    ``luminance`` mean, ``luminance_min``, ``luminance_max`` and ``contrast`` (standard deviation) of the Rec. 709
    luma, ``saturation`` mean of (max − min) / max, ``clipped`` share of pixels with every channel at 0 or every
    channel at 255, ``fireflies`` share of pixels far brighter than all around them. Sums are of integers, so the
    figures do not depend on the machine's vector width or threads.
    """
    red, green, blue = (np.ascontiguousarray(rgb[..., channel]) for channel in range(3))
    luma = (213 * red.astype(np.int32) + 715 * green.astype(np.int32) + 72 * blue.astype(np.int32)).ravel()
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    count, scale = luma.size, 255_000
    mean = int(luma.sum(dtype=np.int64)) / count
    wide = luma.astype(np.int64)
    variance = int(wide @ wide) / count - mean * mean
    # Division of one float32 by another is exact to the last bit on every machine; only the sum must be of integers.
    saturation = (high - low).astype(np.float32) / np.maximum(high, 1) * np.float32(1 << 16)
    return {
        "quality_luminance": mean / scale,
        "quality_luminance_min": int(luma.min()) / scale,
        "quality_luminance_max": int(luma.max()) / scale,
        "quality_contrast": math.sqrt(max(variance, 0.0)) / scale,
        "quality_saturation": int(saturation.astype(np.int32).sum(dtype=np.int64)) / (count << 16),
        "quality_clipped": int(np.count_nonzero((low == 255) | (high == 0))) / count,
        "quality_fireflies": _fireflies(high),
    }


def _fireflies(bright: NDArray[np.uint8]) -> float:
    """Return the share of pixels that are far brighter than all their neighbours, (H, W)."""
    height = bright.shape[0]
    # Of each three in a row, then of three rows; a pixel's own row without itself.
    sides = np.maximum(bright[:, :-2], bright[:, 2:])
    rows = np.maximum(sides, bright[:, 1:-1])
    around = np.maximum(np.maximum(rows[: height - 2], rows[2:]), sides[1:-1])
    inner = bright[1:-1, 1:-1]
    return int(np.count_nonzero((inner > around) & (inner - around > FIREFLY))) / int(bright.size)


def outside(values: Mapping[str, Any], limits: Mapping[str, Sequence[float]] | None = None) -> list[str]:
    """Return the names of the measured values that are out of their limits, sorted; what nobody measured passes.

    Compared in float32, as the columns are stored, so that a row's mark and a later look at the dataset agree. What an
    occluder was asked to hide of the first character is no fault: its ``visible1`` is compared as it would be without.

    Args:
        values: by column name, ``quality_…``.
        limits: instead of some of `LIMITS`.
    """
    found = []
    hidden = values.get(OCCLUDED)
    for name, (low, high) in {**LIMITS, **(limits or {})}.items():
        value = values.get(f"quality_{name}")
        if name == "visible1" and value is not None and hidden:
            value = min(np.float32(value) / max(1 - np.float32(hidden), np.float32(0.01)), np.float32(1))
        if value is not None and not np.float32(low) <= np.float32(value) <= np.float32(high):
            found.append(name)
    return sorted(found)


def visibility(frame: Frame) -> dict[str, float | None]:
    """Return how much of the first and the second character is seen; ``None`` where nobody says, or nobody is there.

    ``visible1`` and ``visible2``: the share of the character's outline that is in the picture and not hidden, as the
    engine reports it in ``objects``. ``area1`` and ``area2``: the share of the picture that shows it, from the mask
    where there is one, otherwise from what the engine reports.
    """
    values: dict[str, float | None] = {}
    objects = _objects(frame)
    height, width = frame.array("rgb").shape[:2]
    counts = np.bincount(frame.array("mask").ravel(), minlength=3) if "mask" in frame.passes else None
    for number in (1, 2):
        found = objects.get(number, {})
        share, pixels = found.get("visible_fraction"), found.get("pixels")
        if counts is not None:
            pixels = int(counts[number])
        values[f"quality_visible{number}"] = float(share) if isinstance(share, int | float) else None
        values[f"quality_area{number}"] = pixels / (height * width) if isinstance(pixels, int) else None
    return values


def figure_ground_of(frame: Frame) -> dict[str, float | None]:
    """Return how far each character stands out from what is around it, CIEDE2000 as `color.figure_ground` defines it.

    ``figure_ground1`` and ``figure_ground2``, as the engine reports them in ``objects``; ``None`` where it does not.
    """
    objects = _objects(frame)
    told = {number: objects.get(number, {}).get("figure_ground") for number in (1, 2)}
    return {f"quality_figure_ground{n}": float(v) if isinstance(v, int | float) else None for n, v in told.items()}


def figure_ground_in(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> dict[str, float]:
    """Return the same of a stored picture (H, W, 3) and its mask (H, W), for the characters that have an outline."""
    found = {f"quality_figure_ground{number}": figure_ground(rgb, mask == number) for number in (1, 2)}
    return {name: value for name, value in found.items() if value is not None}


def _occluded(frame: Frame) -> float | None:
    """Return the share of the first character that an occluder hides, as the engine reports it."""
    share = _objects(frame).get(1, {}).get("occluder_fraction")
    return float(share) if isinstance(share, int | float) else None


def _unseen(frame: Frame) -> float | None:
    """Return how many objects beside the first two have no pixel, as the engine reports it; ``None`` without such."""
    further = [one.get("pixels") for number, one in _objects(frame).items() if isinstance(number, int) and number > 2]
    told = [pixels for pixels in further if isinstance(pixels, int)]
    return float(told.count(0)) if told else None


def _objects(frame: Frame) -> dict[Any, Mapping[str, Any]]:
    """Return what the engine says of each character, by its number."""
    given = frame.info.get("objects")
    return {o.get("instance"): o for o in given if isinstance(o, Mapping)} if isinstance(given, list) else {}
