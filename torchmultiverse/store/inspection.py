"""The quality of a whole dataset: pictures that fail, pictures that are alike, factor levels that change nothing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from torchmultiverse.images import read
from torchmultiverse.json_text import read_json
from torchmultiverse.store.minimal import differences
from torchmultiverse.store.quality import (
    BY_PLACE,
    FIGURE_GROUND,
    LIMITS,
    UNSEEN,
    figure_ground_in,
    limits_of,
    outside,
    quality,
)
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.thumbnails import THUMB, Thumbnails, runs

DEAD = 0.4, 110.0
"""Mean difference of thumbnails, of 255, below which two levels look the same: a floor, and what is added to it per
pixel of the picture's side (as one over the side). The noise of 16 denoised samples was measured as 1.2 at 128
pixels, 0.6 at 256 and 0.3 at 512."""


@dataclass
class Inspection:
    """What was found.

    Attributes:
        images: how many there are (``pictures`` in ``quality.json``).
        limits: what a good picture keeps to, by check.
        failed: by check, the rows that fail it.
        identical: groups of rows whose files are the same byte for byte, though their scenes differ.
        near_duplicates: groups of rows whose thumbnails are nearly the same, though their files and scenes differ.
        factors: by factor and pair of levels, the median difference (of 255) over minimal pairs, and how many.
        ineffective: the pairs of levels whose difference is below noise.
    """

    images: int
    limits: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(LIMITS))
    failed: dict[str, list[int]] = field(default_factory=dict)
    identical: list[list[int]] = field(default_factory=list)
    near_duplicates: list[list[int]] = field(default_factory=list)
    factors: dict[str, dict[str, tuple[float, int]]] = field(default_factory=dict)
    ineffective: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not (self.failed or self.identical or self.near_duplicates or self.ineffective)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "pictures": self.images,
            "limits": {name: list(limits) for name, limits in self.limits.items()},
            "failed": self.failed,
            "identical": self.identical,
            "alike": self.near_duplicates,
            "factors": {k: {p: list(v) for p, v in pairs.items()} for k, pairs in self.factors.items()},
            "dead": self.ineffective,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Inspection:
        """Return what `as_dict` was made of.

        Raises:
            KeyError, TypeError: it is something else.
        """
        return cls(
            data["pictures"],
            {name: (low, high) for name, (low, high) in data["limits"].items()},
            data["failed"],
            data["identical"],
            data["alike"],
            {k: {p: (v[0], v[1]) for p, v in pairs.items()} for k, pairs in data["factors"].items()},
            data["dead"],
        )

    def __str__(self) -> str:
        rows = {row for rows in self.failed.values() for row in rows}
        lines = [f"{self.images} pictures, {len(rows)} fail a check"]
        for name, failed in sorted(self.failed.items()):
            low, high = self.limits[name]
            by_place = " (or what its place asks for)" if name in BY_PLACE else ""
            lines.append(f"  {name} outside {low:g} to {high:g}{by_place}: rows {_some(failed)}")
        for what, groups in (
            ("identical files of different scenes", self.identical),
            ("look alike", self.near_duplicates),
        ):
            if groups:
                lines.append(f"  {what}: {len(groups)} groups, such as rows {_some(groups[0])}")
        for name, pairs in self.factors.items():
            if pairs:
                pair, (least, count) = min(pairs.items(), key=lambda item: item[1][0])
                lines.append(f"  {name}: least difference {least:.1f} of 255 ({pair}, {count} pairs)")
        lines += [f"  dead: {text} changes nothing" for text in self.ineffective]
        if self.good:
            lines.append("  nothing wrong was found")
        return "\n".join(lines)


def _some(rows: Sequence[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:6])
    return shown if len(rows) <= 6 else f"{shown} … ({len(rows)})"


def inspect(dataset: StoredDataset) -> Inspection:
    """Look at every picture of a dataset once.

    Works on any dataset with an image column; what its columns lack is measured here or left out. Time is linear in the
    rows, and memory about 0.1 kB a picture, with a temporary file of 0.8 kB each where there are very many.

    Raises:
        DatasetError: a picture cannot be read.
    """
    spec = dataset.manifest.identity.get("spec", {})
    usual = {k: v for k, v in LIMITS.items() if f"quality_{k}" != UNSEEN or UNSEEN in dataset.columns}
    own = {k: (v[0], v[1]) for k, v in spec.get("quality", {}).get("limits", {}).items()}
    limits = {**usual, **own}
    result = Inspection(len(dataset), limits)
    # Masks as this package defines them: those of what it rendered.
    masked = FIGURE_GROUND[0] not in dataset.columns and "mask" in spec.get("render", {}).get("passes", ())
    failed: dict[str, list[int]] = defaultdict(list)
    digests = np.zeros(len(dataset), "S16")
    thumbs = Thumbnails(len(dataset))
    side = 0
    for row, (values, scene) in enumerate(zip(_measured(dataset), _scenes(dataset), strict=True)):
        data = dataset.image_bytes(row)
        digests[row] = hashlib.sha256(data).digest()[:16]
        whole = read(data, dataset.place(row))
        side = min(whole.size)
        thumbs.put(row, np.asarray(whole.resize((THUMB, THUMB), Image.Resampling.BOX)))
        if values.get("quality_fireflies") is None:
            values |= quality(np.asarray(whole))
        if masked:
            values |= figure_ground_in(np.asarray(whole), np.asarray(dataset.image(row, "mask")))
        for name in outside(values, limits_of(scene, own)):
            failed[name].append(row)
    result.failed = dict(sorted(failed.items()))
    same = runs(digests)
    del digests
    result.identical = _of_different_scenes(dataset, [rows.tolist() for rows in same])
    first = np.ones(len(dataset), bool)
    for rows in same:
        first[rows[1:]] = False
    result.near_duplicates = _of_different_scenes(dataset, thumbs.near_duplicates(np.flatnonzero(first)))
    dead = DEAD[0] + DEAD[1] / side if side else 0.0
    for name in dataset.crossing.names:
        if pairs := differences(dataset.crossing, name, thumbs):
            result.factors[name] = pairs
            result.ineffective += [f"{name} {pair}" for pair, (least, _) in pairs.items() if least < dead]
    return result


def _measured(dataset: StoredDataset) -> Iterator[dict[str, Any]]:
    """Yield what was measured of each row when it was made; nothing, where nothing was."""
    known = [c for c in dataset.columns if c.startswith("quality_") and c != "quality_failed"]
    if not known:
        yield from ({} for _ in range(len(dataset)))
        return
    for table in dataset.tables(known):
        columns = {name: table[name].to_numpy() for name in known}
        for row in range(len(table)):
            yield {name: float(column[row]) for name, column in columns.items() if not np.isnan(column[row])}


def _scenes(dataset: StoredDataset) -> Iterator[Mapping[str, Any]]:
    """Yield the factors of each row by wire name; none, where its scene is not kept."""
    if "scene" not in dataset.columns:
        yield from ({} for _ in range(len(dataset)))
        return
    for table in dataset.tables(["scene"]):
        for text in table["scene"].to_pylist():
            try:
                found = read_json(text) if isinstance(text, str) else {}
            except ValueError:  # a column of somebody else's that is called so
                found = {}
            yield found if isinstance(found, dict) else {}


def _of_different_scenes(dataset: StoredDataset, groups: list[list[int]]) -> list[list[int]]:
    """Return those groups of rows that are not all of one scene; all, where nothing says which scene a row is of."""
    if not groups or "scene_id" not in dataset.columns:
        return groups
    wanted = np.unique(np.concatenate([np.array(group) for group in groups]))
    scenes: list[str] = []
    start = 0
    for table in dataset.tables(["scene_id"]):
        here = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, start + len(table))] - start
        scenes += table["scene_id"].take(pa.array(here)).to_pylist()
        start += len(table)
    scene_of = dict(zip(wanted.tolist(), scenes, strict=True))
    return [group for group in groups if len({scene_of[row] for row in group}) > 1]
