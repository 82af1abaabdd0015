"""Columns of the dataset: from a frame to a row, and the Arrow schema with the Hugging Face features in it.

*Data columns* are bit-identical whenever the same spec is rendered by the same engine: all but ``render_ms``, and
all of them as far as the engine is deterministic.

| columns | content |
|---|---|
| ``image`` | the picture, struct<bytes, path> |
| factor columns | the family's published ones with their published types, then what else the design varies |
| ``scene_id``, ``scene`` | hash and text of the scene's canonical JSON |
| ``caption``, … | where the family has some, see `scenes.caption_columns` |
| ``negative_scene_id`` | the row of the hard negative, in families that have some |
| ``split`` | name of the split |
| ``mask``, ``class``, ``depth``, ``normals`` | annotation passes that were asked for (see `engines.codec`) |
| ``flow_forward``, …, ``track`` | the same of frames of a video (see `store.clips`) |
| ``annotations`` | camera, objects and whatever else the engine says, JSON |
| ``quality_…`` | measured on the picture and its characters, see `store.quality` |
| ``engine`` | fingerprint of the engine |
| ``render_ms`` | milliseconds |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from torchmultiverse.engines import Frame, codec, motion
from torchmultiverse.scenes import (
    CAPTIONS,
    CLIP,
    CLIP_PASSES,
    Design,
    Factor,
    FactorTable,
    Scene,
    Spec,
    Splits,
    caption_columns,
    hard_negative,
    implied_labels,
    may_be_own,
    to_stored,
)
from torchmultiverse.store.object_column import is_list, object_features, object_type
from torchmultiverse.store.quality import FIGURE_GROUND, OCCLUDED, QUALITY, UNSEEN, limits_of, measure, outside

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VOLATILE = ("render_ms",)
"""Columns that differ from run to run."""

COLUMN_NOTES = {
    "image": "the picture",
    "scene_id": "first 32 hex digits of the SHA-256 of `scene`",
    "caption": "the family's published caption template, filled with this row's factors",
    "caption_clean": "the same with names as people write them",
    "alt_caption": "the same said the other way round",
    "negative_caption": "the true caption of the hard negative, which is false here",
    "negative_scene_id": "`scene_id` of the hard negative's row",
    "split": "name of the split",
    "scene": "the scene as canonical JSON: every factor that is not at its default",
    "mask": "PNG, 8 bit: 0 background, 1 the first character, 2 the second, from 3 on further ones as in `annotations`",
    "class": "PNG, 8 bit, 16 bit where a number is above 255: 0 background, else the number of the character's class "
    "(see `classes` in manifest.json)",
    "depth": "TIFF, float32: metres along the viewing axis, inf for sky",
    "normals": "PNG: (n + 1) · 127.5, camera coordinates (x right, y down, z forward); 0,0,0 for sky",
    "flow_forward": "TIFF, float32, twice the height: motion to the next frame in pixels, above to the right, below "
    "downwards; NaN where it is not known",
    "flow_backward": "the same to the frame before",
    "hidden_forward": "PNG, 8 bit: what becomes of the pixel in the next frame: 0 seen, 1 hidden, 2 outside, 3 unknown",
    "hidden_backward": "the same in the frame before",
    "track": "PNG, 8 bit, 16 bit where a number is above 255: 0 background, else the number of the object in its clip",
    "annotations": "camera, objects and what else the engine says, JSON",
    "quality_luminance": "mean Rec. 709 luma, 0..1",
    "quality_luminance_min": "darkest pixel's luma",
    "quality_luminance_max": "brightest pixel's luma",
    "quality_contrast": "standard deviation of the luma",
    "quality_saturation": "mean of (max − min) / max",
    "quality_clipped": "share of pixels that are black or white in every channel",
    "quality_fireflies": "share of pixels that are far brighter than all their neighbours",
    "quality_failed": "names of the checks that this picture fails, comma-separated; empty if it is good",
    "quality_visible1": "share of the first character's outline that is seen, where the engine says",
    "quality_visible2": "the same of the second",
    "quality_occluded1": "share that the occluder hides of the pixels at which the first character would be seen",
    "quality_unseen": "how many distractors and further objects have no pixel in the picture, where the engine says",
    "quality_nudge": "degrees by which the camera was moved after a picture had failed; which way, see annotations",
    "quality_figure_ground1": "how far the first character stands out: mean CIEDE2000 across its outline, within "
    "3 pixels, where the engine says",
    "quality_figure_ground2": "the same of the second",
    "quality_area1": "share of the picture that shows the first character",
    "quality_area2": "the same of the second",
    "source": "the dataset that the row is from",
    "engine": "fingerprint of the engine",
    "render_ms": "milliseconds; the one column that differs from run to run",
}
"""What the columns hold, for people."""

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
        "character_label": pa.string(),
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
    "AR4T": {
        "Relation": pa.string(),
        "Actor1Category": pa.string(),
        "Actor2Category": pa.string(),
        "Actor1Name": pa.string(),
        "Actor2Name": pa.string(),
        "Actor1Location": pa.string(),
        "Actor2Location": pa.string(),
        "Actor1Scale": pa.float64(),
        "Actor2Scale": pa.float64(),
        "Actor1Texture": pa.string(),
        "Actor2Texture": pa.string(),
        "Actor1Attribute": pa.string(),
        "Actor2Attribute": pa.string(),
        "Camera_roll": pa.int64(),
        "Camera_pitch": pa.int64(),
        "Camera_yaw": pa.int64(),
        "Level": pa.string(),
    },
}
"""Factor columns of the published families, with the names and types of their CSV files."""


def column_note(name: str, table: FactorTable) -> str | None:
    """Return what a column holds, for people; ``None`` of one that is not ours."""
    if name in COLUMN_NOTES or name not in table:
        return COLUMN_NOTES.get(name)
    factor = table[name]
    own = "; null: own, as the world or the layout has it" if may_be_own(factor) else ""
    return f"{factor.doc or 'factor'}{f', {factor.unit}' if factor.unit else ''}{own}"


def factor_columns(family: str, table: FactorTable, design: Design) -> dict[str, tuple[Factor, pa.DataType]]:
    """Return the factor columns: the family's published ones, then whatever else the design varies."""
    columns: dict[str, tuple[Factor, pa.DataType]] = {}
    for name, kind in PUBLISHED.get(family, {}).items():
        columns[name] = (table[name], kind)
    levels = design.levels()
    for wire, values in levels.items():
        factor = table[wire]
        whole = all(isinstance(v, int) for v in values)
        number = pa.int64() if whole and (factor.label or factor.period is not None) else pa.float64()
        natural = number if factor.kind == "number" else pa.string()
        if factor.kind == "list":
            natural = object_type(factor)
        if factor.column not in columns:
            columns[factor.column] = (factor, natural)
        elif natural == pa.float64() and columns[factor.column][1] == pa.int64():
            columns[factor.column] = (factor, natural)  # an angle of half a degree does not fit the published type
    return columns


def levels(family: str, scene: Scene, columns: Mapping[str, tuple[Factor, pa.DataType]]) -> dict[str, Any]:
    """Return factor columns of a scene; null where a number is the world's own, labels also where it implies them."""
    found: dict[str, Any] = {}
    implied = implied_labels(family, scene)
    for name, (factor, kind) in columns.items():
        value = to_stored(factor, implied.get(factor.wire, scene[factor.wire]))
        found[name] = float(value) if kind == pa.float64() and value is not None else value
    return found


class RowSchema:
    """The columns of one dataset and how a frame fills them.

    Args:
        spec: with the family, splits and limits of quality; ``None``: family ``Custom``, one split, the usual limits.
        design: whose varied factors are columns.
        passes: annotation passes that are stored, ``rgb`` among them.
        figure_ground: whether the engine says how far characters stand out.

    Attributes:
        arrow: the Arrow schema, with the features of Hugging Face ``datasets`` in its metadata.
        splits: names of the splits, ``train`` first.
    """

    def __init__(self, spec: Spec | None, design: Design, passes: tuple[str, ...], figure_ground: bool = False) -> None:
        self._table = design.table if spec is None else spec.table
        self._family = "Custom" if spec is None else spec.family
        self._limits = {} if spec is None else spec.quality.limits
        self._splits = Splits({}, self._table, 0) if spec is None else spec.split_rules()
        self.splits = self._splits.names
        """Names of the splits, ``train`` first."""
        self._factors = factor_columns(self._family, self._table, design)
        self.passes = passes
        """Passes that are stored."""
        self.clip_column = self._table[CLIP].column if CLIP in design.factors else None
        """Column with the name of the clip, in a dataset of frames."""
        self._captions = CAPTIONS.get(self._family, ())
        fields: list[tuple[str, pa.DataType]] = [("image", IMAGE)]
        fields += [(name, kind) for name, (_, kind) in self._factors.items()]
        fields.append(("scene_id", pa.string()))
        fields += [(name, pa.string()) for name in self._captions]
        if "negative_caption" in self._captions:
            fields.append(("negative_scene_id", pa.string()))
        fields += [("split", pa.string()), ("scene", pa.string())]
        fields += [(name, IMAGE) for name in passes if name != "rgb"]
        fields.append(("annotations", pa.string()))
        fields += [(name, pa.float32()) for name in QUALITY + FIGURE_GROUND * figure_ground]
        occluded = any(factor.wire == "Occlusion" for factor, _ in self._factors.values())
        fields += [(OCCLUDED, pa.float32())] * occluded
        crowded = any(factor.wire in ("Distractors", "Objects") for factor, _ in self._factors.values())
        fields += [(UNSEEN, pa.float32())] * crowded
        fields.append(("quality_failed", pa.string()))
        fields += [("engine", pa.string()), ("render_ms", pa.float32())]
        self.arrow = huggingface(dict(fields))

    def split_of(self, scene: Scene) -> str:
        """Return the split of a scene."""
        return self._splits.of(scene)

    def row(self, frame: Frame) -> dict[str, Any]:
        """Return the row of a frame.

        Raises:
            EngineError: flow is wanted, and the engine does not say where its camera is.
        """
        scene = frame.scene
        if any(name.startswith(("flow_", "hidden_")) for name in self.passes):
            motion.Camera.of(frame.info.get("camera", {}))  # now, not when the whole clip is there
        values: dict[str, Any] = {"image": _image(scene, frame, "rgb")}
        values |= levels(self._family, scene, self._factors)
        values["scene_id"] = scene.scene_id
        values |= caption_columns(self._family, scene)
        if "negative_caption" in self._captions:
            other = hard_negative(self._family, scene)
            values["negative_scene_id"] = None if other is None else other.scene_id
        values |= {"split": self._splits.of(scene), "scene": scene.canonical}
        for name in self.passes:
            if name != "rgb":
                # Passes of clips are made when all frames of the clip are there.
                values[name] = None if name in CLIP_PASSES else _image(scene, frame, name)
        values["annotations"] = json.dumps(frame.info, sort_keys=True, allow_nan=False)
        values |= measure(frame)
        values["quality_failed"] = ",".join(outside(values, limits_of(scene.wire, self._limits)))
        values |= {"engine": frame.engine, "render_ms": frame.timings.get("render_ms")}
        return values

    def fit(self, table: pa.Table) -> pa.Table:
        """Return a stored row as a row of this schema: further factors are in its scene, its split is as it is now."""
        old = table.to_pylist()[0]
        scene = Scene.from_json(old["scene"], self._table)
        row: dict[str, Any] = {name: old.get(name) for name in self.arrow.names}
        row |= levels(self._family, scene, self._factors)
        row["split"] = self._splits.of(scene)
        return self.table(row)

    def table(self, row: Mapping[str, Any]) -> pa.Table:
        """Return a table of one row."""
        return pa.Table.from_pylist([dict(row)], schema=self.arrow)


def _image(scene: Scene, frame: Frame, name: str) -> dict[str, Any]:
    tag = "" if name == "rgb" else f".{name}"
    if frame.format == "raw":
        frame = frame.in_format("png")  # a dataset keeps pictures that everybody's tools open
    return {"bytes": frame.encoded(name), "path": f"{scene.scene_id}{tag}.{codec.extension(name, frame.format)}"}


def huggingface(fields: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return an Arrow schema with the Hugging Face features in its metadata."""
    names = {pa.string(): "string", pa.float64(): "float64", pa.float32(): "float32", pa.float16(): "float16"}
    features: dict[str, Any] = {
        name: {"_type": "Image"} if kind == IMAGE else {"dtype": names.get(kind, str(kind)), "_type": "Value"}
        for name, kind in fields.items()
        if not is_list(kind)
    }
    # In the order of the columns: where they differ, `datasets` reads the file as it is, without its features.
    features = {n: object_features(k) if is_list(k) else features[n] for n, k in fields.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(fields.items())).with_metadata(metadata)
