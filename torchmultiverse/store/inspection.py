"""The quality of a whole dataset: pictures that fail, pictures that are alike, factor levels that change nothing."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from torchmultiverse.pictures import read
from torchmultiverse.store.quality import LIMITS, outside, quality
from torchmultiverse.store.reader import StoredDataset

THUMB = 16
"""Side of the thumbnails by which pictures are compared: 0.8 kB a picture."""
_NEAREST = 4
"""With how many of the nearest a picture is compared in the search for pictures that look alike."""
PAIRS = 200
"""How many pairs of a factor's two levels are compared at most."""
ALIKE = 4
"""Largest difference, of 255, that two thumbnails may have anywhere and still look the same."""
DEAD = 0.4, 110.0
"""Mean difference of thumbnails, of 255, below which two levels look the same: a floor, and what is added to it per
pixel of the picture's side (as one over the side). The noise of 16 denoised samples was measured as 1.2 at 128
pixels, 0.6 at 256 and 0.3 at 512."""


@dataclass
class Inspection:
    """What was found.

    Attributes:
        pictures: how many there are.
        limits: what a good picture keeps to, by check.
        failed: by check, the rows that fail it.
        identical: groups of rows whose files are the same byte for byte, though their scenes differ.
        alike: groups of rows whose thumbnails are nearly the same, though their files and scenes differ.
        factors: by factor and pair of levels, the median difference (of 255) over minimal pairs, and how many.
        dead: the pairs of levels whose difference is below noise.
    """

    pictures: int
    limits: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(LIMITS))
    failed: dict[str, list[int]] = field(default_factory=dict)
    identical: list[list[int]] = field(default_factory=list)
    alike: list[list[int]] = field(default_factory=list)
    factors: dict[str, dict[str, tuple[float, int]]] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not (self.failed or self.identical or self.alike or self.dead)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "pictures": self.pictures,
            "limits": {name: list(limits) for name, limits in self.limits.items()},
            "failed": self.failed,
            "identical": self.identical,
            "alike": self.alike,
            "factors": {k: {p: list(v) for p, v in pairs.items()} for k, pairs in self.factors.items()},
            "dead": self.dead,
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
        lines = [f"{self.pictures} pictures, {len(rows)} fail a check"]
        for name, failed in sorted(self.failed.items()):
            low, high = self.limits[name]
            lines.append(f"  {name} outside {low:g} to {high:g}: {_some(failed)}")
        for what, groups in (("identical files of different scenes", self.identical), ("look alike", self.alike)):
            if groups:
                lines.append(f"  {what}: {len(groups)} groups, such as rows {_some(groups[0])}")
        for name, pairs in self.factors.items():
            if pairs:
                pair, (least, count) = min(pairs.items(), key=lambda item: item[1][0])
                lines.append(f"  {name}: least difference {least:.1f} of 255 ({pair}, {count} pairs)")
        lines += [f"  dead: {text} changes nothing" for text in self.dead]
        if self.good:
            lines.append("  nothing wrong was found")
        return "\n".join(lines)


def _some(rows: Sequence[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:6])
    return shown if len(rows) <= 6 else f"{shown} … ({len(rows)})"


def inspect(dataset: StoredDataset) -> Inspection:
    """Look at every picture of a dataset once.

    Works on any dataset with an image column; what its columns lack is measured here or left out. Needs about 2 kB of
    memory a picture.

    Raises:
        DatasetError: a picture cannot be read.
    """
    known = [c for c in dataset.columns if c.startswith("quality_") and c != "quality_failed"]
    table = dataset.table(known) if known else None
    measured = {name: table[name].to_numpy() for name in known} if table is not None else {}
    spec = dataset.manifest.get("identity", {}).get("spec", {})
    limits = {**LIMITS, **{k: (v[0], v[1]) for k, v in spec.get("quality", {}).get("limits", {}).items()}}
    result = Inspection(len(dataset), limits)
    failed: dict[str, list[int]] = defaultdict(list)
    same: dict[bytes, list[int]] = defaultdict(list)
    thumbs = np.empty((len(dataset), THUMB, THUMB, 3), np.uint8)
    side = 0
    for row in range(len(dataset)):
        data = dataset.image_bytes(row)
        same[hashlib.sha256(data).digest()].append(row)
        whole = read(data, dataset.place(row))
        side = min(whole.size)
        thumbs[row] = np.asarray(whole.resize((THUMB, THUMB), Image.Resampling.BOX))
        values = {name: float(column[row]) for name, column in measured.items() if not np.isnan(column[row])}
        if values.get("quality_fireflies") is None:
            values |= quality(np.asarray(whole))
        for name in outside(values, limits):
            failed[name].append(row)
    result.failed = dict(sorted(failed.items()))
    scenes = dataset.table(["scene_id"])["scene_id"].to_pylist() if "scene_id" in dataset.columns else None

    def differ(rows: list[int]) -> bool:
        return len(rows) > 1 and (scenes is None or len({scenes[row] for row in rows}) > 1)

    result.identical = [rows for rows in same.values() if differ(rows)]
    first = {row: rows[0] for rows in same.values() for row in rows}
    unique = [row for row in range(len(dataset)) if first[row] == row]
    result.alike = [rows for rows in _alike(thumbs, unique) if differ(rows)]
    _levels(dataset, thumbs, result, DEAD[0] + DEAD[1] / side if side else 0.0)
    return result


def _alike(thumbs: NDArray[np.uint8], rows: list[int]) -> list[list[int]]:
    """Return groups of rows whose thumbnails differ by no more than `ALIKE` anywhere, directly or by way of others."""
    # First those that are equal, so that a thousand equal ones are not half a million pairs.
    equal: dict[bytes, list[int]] = defaultdict(list)
    for row in rows:
        equal[thumbs[row].tobytes()].append(row)
    groups = list(equal.values())
    heads = thumbs[[group[0] for group in groups]] if groups else thumbs[:0]
    # Means of blocks differ by no more than what they are the means of: few candidates are left to be compared.
    side = THUMB // 4
    means = heads.reshape(-1, 4, side, 4, side, 3).mean((2, 4), dtype=np.float32).reshape(len(heads), -1)
    neighbours = min(_NEAREST + 1, len(heads))
    found_near = (
        cKDTree(means).query(means, neighbours, p=np.inf, distance_upper_bound=ALIKE + 0.01)[1] if groups else []
    )
    near = [
        (i, int(j))
        for i, row in enumerate(np.reshape(found_near, (len(heads), neighbours)))
        for j in row
        if i != j and j < len(heads) and np.abs(heads[i].astype(np.int16) - heads[j]).max() <= ALIKE
    ]
    one, two = np.array(near, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one), bool), (one, two)), (len(heads), len(heads)))
    count, labels = connected_components(graph, directed=False)
    found: list[list[int]] = [[] for _ in range(count)]
    for group, label in zip(groups, labels, strict=True):
        found[label] += group
    return [sorted(group) for group in found if len(group) > 1]


def _levels(dataset: StoredDataset, thumbs: NDArray[np.uint8], result: Inspection, dead: float) -> None:
    """Compare, for each factor, the pictures that differ in nothing but its level."""
    crossing = dataset.crossing
    for name in crossing.names:
        column, levels = crossing.names.index(name), crossing.levels[name]
        found: dict[str, list[float]] = defaultdict(list)
        for a, b in crossing.pairs(name, str(dataset.path)).tolist():
            one, two = sorted(str(levels[crossing.codes[row, column]]) for row in (a, b))
            pair = f"{one} / {two}"
            if len(found[pair]) < PAIRS:
                found[pair].append(float(np.abs(thumbs[a].astype(int) - thumbs[b]).mean()))
        pairs = {pair: (round(float(np.median(v)), 3), len(v)) for pair, v in sorted(found.items()) if v}
        if pairs:
            result.factors[name] = pairs
            result.dead += [f"{name} {pair}" for pair, (least, _) in pairs.items() if least < dead]
