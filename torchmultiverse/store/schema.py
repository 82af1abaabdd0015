"""Columns of the dataset: from a frame to a row, and the Arrow schema with the Hugging Face features in it.

*Data columns* are bit-identical whenever the same spec is rendered by the same engine: all but ``render_ms``, and
all of them as far as the engine is deterministic.

| columns | content |
|---|---|
| ``image`` | the picture, struct<bytes, path> |
| factor columns | the family's published ones with their published types, then what else the design varies |
| ``scene_id``, ``scene`` | hash and text of the scene's canonical JSON |
| ``caption`` | where the family has one |
| ``split`` | name of the split |
| ``mask``, ``class``, ``depth``, ``normals`` | annotation passes that were asked for (see `engines.codec`) |
| ``annotations`` | camera, objects and whatever else the engine says, JSON |
| ``quality_…`` | measured on the picture (see `quality`) and on its characters (see `visibility`) |
| ``engine`` | fingerprint of the engine |
| ``render_ms`` | milliseconds |
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from torchmultiverse.engines import Frame, codec
from torchmultiverse.spec import Design, Factor, FactorTable, Scene, Spec, caption

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VOLATILE = ("render_ms",)
"""Columns that differ from run to run."""

QUALITY = tuple(
    f"quality_{name}"
    for name in (
        "luminance", "luminance_min", "luminance_max", "contrast", "saturation", "clipped", "fireflies",
        "visible1", "area1", "visible2", "area2",
    )
)  # fmt: skip

PUBLISHED: dict[str, dict[str, pa.DataType]] = {
    "Animals": {
        "world_name": pa.string(),
        "character_name": pa.string(),
        "character_scale": pa.float64(),
        "camera_yaw": pa.int64(),
        "character_texture": pa.string(),
    },
    "ImageNet": {
        "world_name": pa.string(),
        "character_name": pa.string(),
        "character_rotation_yaw": pa.int64(),
        "character_rotation_roll": pa.int64(),
        "character_rotation_pitch": pa.int64(),
        "character_scale": pa.float64(),
        "camera_roll": pa.int64(),
        "camera_pitch": pa.int64(),
        "camera_yaw": pa.int64(),
        "character_texture": pa.string(),
        "scene_light": pa.string(),
    },
    "SPAR": {
        "world_name": pa.string(),
        "character_name": pa.string(),
        "character2_name": pa.string(),
        "character1_pos": pa.string(),
        "character2_pos": pa.string(),
        "character_texture": pa.string(),
        "character2_texture": pa.string(),
    },
}
"""Factor columns of the published families, with the names and types of their CSV files."""


def factor_columns(spec: Spec, design: Design) -> dict[str, tuple[Factor, pa.DataType]]:
    """Return the factor columns: the family's published ones, then whatever else the design varies."""
    table: FactorTable = spec.table
    columns: dict[str, tuple[Factor, pa.DataType]] = {}
    for name, kind in PUBLISHED.get(spec.family, {}).items():
        columns[name] = (table[name], kind)
    levels = design.levels()
    for wire, values in levels.items():
        factor = table[wire]
        whole = all(isinstance(v, int) for v in values)
        number = pa.int64() if whole and factor.period is not None else pa.float64()
        natural = pa.string() if factor.kind == "category" else number
        if factor.column not in columns:
            columns[factor.column] = (factor, natural)
        elif natural == pa.float64() and columns[factor.column][1] == pa.int64():
            columns[factor.column] = (factor, natural)  # an angle of half a degree does not fit the published type
    return columns


class RowSchema:
    """The columns of one dataset and how a frame fills them."""

    def __init__(self, spec: Spec, design: Design, passes: tuple[str, ...], split: str) -> None:
        self._spec = spec
        self._factors = factor_columns(spec, design)
        self._passes = passes
        self._split = split
        self.captioned = spec.family in {"SPAR", "Animals"}
        fields: list[tuple[str, pa.DataType]] = [("image", IMAGE)]
        fields += [(name, kind) for name, (_, kind) in self._factors.items()]
        fields.append(("scene_id", pa.string()))
        if self.captioned:
            fields.append(("caption", pa.string()))
        fields += [("split", pa.string()), ("scene", pa.string())]
        fields += [(name, IMAGE) for name in passes if name != "rgb"]
        fields.append(("annotations", pa.string()))
        fields += [(name, pa.float32()) for name in QUALITY]
        fields.append(("quality_failed", pa.string()))
        fields += [("engine", pa.string()), ("render_ms", pa.float32())]
        self.arrow = pa.schema(fields).with_metadata({"huggingface": json.dumps({"info": {"features": _hf(fields)}})})

    def row(self, frame: Frame) -> dict[str, Any]:
        """Return the row of a frame."""
        scene = frame.scene
        values: dict[str, Any] = {"image": _image(scene, frame, "rgb")}
        for name, (factor, kind) in self._factors.items():
            values[name] = float(scene[factor.wire]) if kind == pa.float64() else scene[factor.wire]
        values["scene_id"] = scene.scene_id
        if self.captioned:
            columns = scene.table.columns(scene.complete)
            values["caption"] = caption(self._spec.family, columns)
        values |= {"split": self._split, "scene": scene.canonical}
        for name in self._passes:
            if name != "rgb":
                values[name] = _image(scene, frame, name)
        values["annotations"] = json.dumps(frame.info, sort_keys=True, allow_nan=False)
        values |= quality(frame.array("rgb"))
        values |= visibility(frame)
        values["quality_failed"] = ",".join(failures(values))
        values |= {"engine": frame.engine, "render_ms": frame.timings.get("render_ms")}
        return values

    def table(self, row: Mapping[str, Any]) -> pa.Table:
        """Return a table of one row."""
        return pa.Table.from_pylist([dict(row)], schema=self.arrow)


def quality(rgb: np.ndarray[Any, Any]) -> dict[str, float]:
    """Measure a picture, uint8 (H, W, 3): values in 0..1.

    ``luminance`` mean, ``luminance_min``, ``luminance_max`` and ``contrast`` (standard deviation) of the Rec. 709
    luma, ``saturation`` mean of (max − min) / max, ``clipped`` share of pixels with every channel at 0 or every
    channel at 255, ``fireflies`` share of pixels far brighter than all around them. Sums are of integers, so the
    figures do not depend on the machine's vector width or threads.
    """
    red, green, blue = (rgb[..., channel].astype(np.int64) for channel in range(3))
    luma = 213 * red + 715 * green + 72 * blue
    count, scale = luma.size, 255_000
    mean = int(luma.sum()) / count
    variance = int((luma * luma).sum()) / count - mean * mean
    high, low = rgb.max(-1).astype(np.int64), rgb.min(-1).astype(np.int64)
    return {
        "quality_luminance": mean / scale,
        "quality_luminance_min": int(luma.min()) / scale,
        "quality_luminance_max": int(luma.max()) / scale,
        "quality_contrast": math.sqrt(max(variance, 0.0)) / scale,
        "quality_saturation": int((((high - low) << 16) // np.maximum(high, 1)).sum()) / (count << 16),
        "quality_clipped": int(((low == 255) | (high == 0)).sum()) / count,
        "quality_fireflies": fireflies(rgb),
    }


FIREFLY = 80
"""How much brighter than all its eight neighbours a pixel must be, of 255."""
LIMITS: dict[str, tuple[float, float]] = {
    "luminance": (0.03, 0.97),
    "contrast": (0.01, 1.0),
    "clipped": (0.0, 0.4),
    "fireflies": (0.0, 0.001),
    "visible1": (0.9, 1.0),
    "visible2": (0.9, 1.0),
}
"""The range of each measured value outside of which a picture fails."""


def fireflies(rgb: np.ndarray[Any, Any]) -> float:
    """Return the share of pixels that are far brighter than all their neighbours, uint8 (H, W, 3)."""
    bright = rgb.max(-1).astype(np.int16)
    around = np.zeros_like(bright[1:-1, 1:-1])
    height, width = bright.shape
    for dy in range(3):
        for dx in range(3):
            if (dy, dx) != (1, 1):
                np.maximum(around, bright[dy : height - 2 + dy, dx : width - 2 + dx], out=around)
    return int(np.count_nonzero(bright[1:-1, 1:-1] - around > FIREFLY)) / int(bright.size)


def failures(values: Mapping[str, Any]) -> list[str]:
    """Return the names of the measured values that are out of their limits, sorted; what nobody measured passes.

    Compared in float32, as the columns are stored, so that a row's mark and a later look at the dataset agree.
    """
    found = []
    for name, (low, high) in LIMITS.items():
        value = values.get(f"quality_{name}")
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
    given = frame.info.get("objects")
    objects = {o.get("instance"): o for o in given if isinstance(o, Mapping)} if isinstance(given, list) else {}
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


def _image(scene: Scene, frame: Frame, name: str) -> dict[str, Any]:
    tag = "" if name == "rgb" else f".{name}"
    return {"bytes": frame.encoded(name), "path": f"{scene.scene_id}{tag}.{codec.extension(name, frame.format)}"}


def _hf(fields: list[tuple[str, pa.DataType]]) -> dict[str, Any]:
    names = {pa.string(): "string", pa.float64(): "float64", pa.float32(): "float32", pa.int64(): "int64"}
    return {
        name: {"_type": "Image"} if kind == IMAGE else {"dtype": names[kind], "_type": "Value"} for name, kind in fields
    }
