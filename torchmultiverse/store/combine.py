"""Two datasets compared, several made one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from torchmultiverse.errors import DatasetError
from torchmultiverse.images import decode, rgb
from torchmultiverse.scenes import from_stored, level_text
from torchmultiverse.store.assemble import assemble
from torchmultiverse.store.card import write_card
from torchmultiverse.store.classes import CLASS, joint_classes
from torchmultiverse.store.licence import joint, licence_of
from torchmultiverse.store.manifest import family_of, table_of
from torchmultiverse.store.object_column import is_list
from torchmultiverse.store.reader import StoredDataset, open_dataset
from torchmultiverse.store.schema import IMAGE, VOLATILE

_SHOWN = 5


@dataclass
class Difference:
    """What two datasets have in common and what not.

    Attributes:
        only_first, only_second: scenes (canonical JSON) that one of them has.
        common: number of scenes that both have.
        columns: columns that only one has.
        values: column → number of common scenes in which it differs, pictures apart.
        images: number of common scenes whose images differ in a pixel.
        largest: the largest difference of a pixel, of 255; None where sizes differ.
        mean: mean absolute difference of the pictures that differ, of 255.
        levels: factor column → level → (rows in the first, rows in the second), where these differ.
    """

    only_first: list[str] = field(default_factory=list)
    only_second: list[str] = field(default_factory=list)
    common: int = 0
    columns: list[str] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    images: int = 0
    largest: int | None = 0
    mean: float = 0.0
    levels: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_first or self.only_second or self.columns or self.values or self.images)

    def __str__(self) -> str:
        lines = [f"{self.common:,} scenes in both"]
        for name, scenes in (("first", self.only_first), ("second", self.only_second)):
            if scenes:
                lines.append(f"{len(scenes):,} scenes only in the {name}:")
                lines += [f"  {scene}" for scene in scenes[:_SHOWN]]
                lines += [f"  … and {len(scenes) - _SHOWN:,} more"] if len(scenes) > _SHOWN else []
        for name, per in self.levels.items():
            shown = ", ".join(f"{level} {a:,} → {b:,}" for level, (a, b) in list(per.items())[:_SHOWN])
            lines.append(f"{name}: {shown}" + (", …" if len(per) > _SHOWN else ""))
        if self.columns:
            lines.append(f"columns that only one has: {', '.join(self.columns)}")
        lines += [f"{name} differs in {n:,} scenes" for name, n in self.values.items()]
        if self.images:
            how = "in size" if self.largest is None else f"by up to {self.largest} of 255, {self.mean:.2f} on average"
            lines.append(f"{self.images:,} pictures differ {how}")
        if self.same:
            lines.append("nothing differs")
        return "\n".join(lines)


def diff(
    first: StoredDataset, second: StoredDataset, pixels: bool = True, tick: Callable[[int], None] | None = None
) -> Difference:
    """Compare two datasets, scene by scene.

    Args:
        first, second: datasets; the order of their rows does not matter.
        pixels: whether pictures are compared; those whose files are equal are not decoded.
        tick: called with the number of scenes compared.

    Raises:
        DatasetError: one of them has no ``scene_id`` column.
    """
    # Of a scene that stands twice in one dataset, the first row counts.
    first_rows, second_rows = (_first_rows(dataset) for dataset in (first, second))
    pairs = [(row, second_rows[key]) for key, row in first_rows.items() if key in second_rows]
    found = Difference(
        only_first=[_scene(first, row) for key, row in first_rows.items() if key not in second_rows],
        only_second=[_scene(second, row) for key, row in second_rows.items() if key not in first_rows],
        common=len(pairs),
        columns=_unlike(first.columns, second.columns),
    )
    _compare_values(first, second, pairs, found)
    if pixels:
        _compare_images(first, second, pairs, found, tick)
    return found


def _unlike(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the names that one of two lists has."""
    return [c for c in first if c not in second] + [c for c in second if c not in first]


def _compare_values(
    first: StoredDataset, second: StoredDataset, pairs: Sequence[tuple[int, int]], found: Difference
) -> None:
    not_compared = {*first.image_columns, *second.image_columns, *VOLATILE, "scene_id"}
    for name in (c for c in first.columns if c in second.columns and c not in not_compared):
        values, other = (dataset.table([name])[name].to_pylist() for dataset in (first, second))
        if n := sum(values[i] != other[j] for i, j in pairs):
            found.values[name] = n
        if name in first.factors:
            factor = table_of(first.manifest)[name]
            words = [[from_stored(factor, value) for value in column] for column in (values, other)]
            if levels := _level_counts(*words):
                found.levels[name] = levels


def _first_rows(dataset: StoredDataset) -> dict[str, int]:
    """Return the first row of each scene, by id."""
    rows: dict[str, int] = {}
    for row, key in enumerate(_ids(dataset)):
        rows.setdefault(key, row)
    return rows


def _level_counts(first: Sequence[object], second: Sequence[object]) -> dict[str, tuple[int, int]]:
    """Return level → (rows in the first, rows in the second), of levels of which there are not as many in both."""
    counts = Counter(map(str, first)), Counter(map(str, second))
    return {k: (counts[0][k], counts[1][k]) for k in sorted({*counts[0], *counts[1]}) if counts[0][k] != counts[1][k]}


def _compare_images(
    first: StoredDataset,
    second: StoredDataset,
    pairs: Sequence[tuple[int, int]],
    found: Difference,
    tick: Callable[[int], None] | None,
) -> None:
    total = 0.0
    for done, (i, j) in enumerate(pairs, 1):
        if first.image_bytes(i) != second.image_bytes(j):
            a, b = (np.asarray(rgb(p)).astype(int) for p in (first.image(i), second.image(j)))
            if a.shape != b.shape:
                found.images, found.largest = found.images + 1, None
            elif (apart := np.abs(a - b)).any():
                found.images += 1
                total += float(apart.mean())
                if found.largest is not None:
                    found.largest = max(found.largest, int(apart.max()))
        if tick is not None:
            tick(done)
    found.mean = total / max(found.images, 1)


def merge(
    datasets: Sequence[StoredDataset],
    out: str | Path,
    *,
    common: bool = False,
    keep_first: bool = False,
    tick: Callable[[int, int], None] | None = None,
) -> StoredDataset:
    """Put datasets one after the other; a column ``source`` says where a row is from.

    The manifest keeps what each was made of (its lineage), and the terms of the whole are the strictest of all.

    Args:
        datasets: at least two, of one family.
        out: folder of the new dataset; an interrupted merge is continued.
        common: keep only the columns that all have; otherwise they must have the same.
        keep_first: of a scene that several have, keep the first; otherwise that is an error.
        tick: called with rows done and rows in all.

    Raises:
        DatasetError: other columns, other families, scenes that stand twice, or a picture that is broken.
    """
    if len(datasets) < 2:
        raise DatasetError("merge: at least two datasets are needed")
    families = {family_of(dataset.manifest) for dataset in datasets}
    if len(families) > 1:
        raise DatasetError(f"merge: the datasets are of the families {', '.join(sorted(families))}; one is needed")
    fields = _merged_fields(datasets, common)
    columns = list(fields)
    image_columns = [name for name, kind in fields.items() if kind == IMAGE]
    rows = _merged_rows(datasets, keep_first)
    names = _names(datasets)
    splits: list[str] | None = None
    if "split" in columns:
        of_each = [dataset.table(["split"])["split"].to_pylist() for dataset in datasets]
        splits = [of_each[number][index] for number, index in rows]

    def row(place: int) -> dict[str, Any]:
        number, index = rows[place]
        return {**datasets[number].row(index, columns), "source": names[number]}

    def check(place: int, made: Mapping[str, Any]) -> None:
        number, index = rows[place]
        for column in image_columns:
            if made[column] is not None and made[column]["bytes"] is not None:
                decode(made[column]["bytes"], f"{datasets[number].place(index)}: {column}")

    lineage = [_origin(dataset, name) for dataset, name in zip(datasets, names, strict=True)]
    assets = dict.fromkeys(asset for dataset in datasets for asset in dataset.manifest.assets)
    about: dict[str, Any] = {
        "name": Path(out).name, "lineage": lineage, "counts": _counts(datasets, rows), "assets": list(assets),
        "license": joint(licence_of(dataset.manifest) for dataset in datasets),
    }  # fmt: skip
    manifests = [dataset.manifest for dataset in datasets]
    if classes := joint_classes(manifests, names, CLASS in columns):
        about["classes"] = classes
    identity = {"family": families.pop(), "merged": lineage, "columns": columns, "keep_first": keep_first}
    assemble(
        Path(out), {**fields, "source": pa.string()}, len(rows), row, identity, about,
        tick=None if tick is None else lambda done: tick(done, len(rows)),
        check=check,
        splits=splits,
    )  # fmt: skip
    made = open_dataset(out)
    write_card(Path(out), made.manifest, made)
    return made


def _merged_fields(datasets: Sequence[StoredDataset], common: bool) -> dict[str, pa.DataType]:
    """Return the columns of a merged dataset and their types.

    Raises:
        DatasetError: not all have a column, or they have it with types that no one type holds.
    """
    columns = [c for c in datasets[0].columns if all(c in other.columns for other in datasets)]
    lacking = sorted({c for d in datasets for c in d.columns} - set(columns))
    if lacking and not common:
        raise DatasetError(f"merge: not all have the column '{lacking[0]}'; --common keeps what all have")
    return {name: _merged_type(datasets, name) for name in columns}


def _merged_type(datasets: Sequence[StoredDataset], name: str) -> pa.DataType:
    if all(name in dataset.image_columns for dataset in datasets):
        return IMAGE
    kinds = {d.schema.field(name).type for d in datasets}
    if len(kinds) == 1 and all(is_list(kind) for kind in kinds):
        return kinds.pop()
    if other := [kind for kind in kinds if pa.types.is_nested(kind) or pa.types.is_binary(kind)]:
        raise DatasetError(f"merge: the column '{name}' is {other[0]}; text, numbers and pictures can be merged")
    if len(kinds) > 1 and kinds != {pa.int64(), pa.float64()}:
        raise DatasetError(f"merge: the column '{name}' is {' and '.join(sorted(map(str, kinds)))}")
    return pa.float64() if len(kinds) > 1 else kinds.pop()


def _merged_rows(datasets: Sequence[StoredDataset], keep_first: bool) -> list[tuple[int, int]]:
    """Return the rows of a merged dataset: the number of the dataset that each is from, and its row there.

    Raises:
        DatasetError: two have a scene, and the first is not to be kept.
    """
    rows: list[tuple[int, int]] = []
    seen: dict[str, int] = {}
    for number, dataset in enumerate(datasets):
        for index, key in enumerate(_ids(dataset)):
            twice = seen.setdefault(key, number) != number
            if twice and not keep_first:
                raise DatasetError(
                    f"merge: {dataset.path} and {datasets[seen[key]].path} both have the scene "
                    f"{_scene(dataset, index)}; --keep-first keeps the one of the first"
                )
            if not twice:
                rows.append((number, index))
    return rows


def _ids(dataset: StoredDataset) -> list[str]:
    if "scene_id" not in dataset.columns:
        raise DatasetError(f"{dataset.path} has no column 'scene_id'; import it first")
    ids: list[str] = dataset.table(["scene_id"])["scene_id"].to_pylist()
    return ids


def _scene(dataset: StoredDataset, index: int) -> str:
    return str(dataset.row(index, ["scene"])["scene"]) if "scene" in dataset.columns else f"row {index}"


def _counts(datasets: Sequence[StoredDataset], rows: Sequence[tuple[int, int]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for number, dataset in enumerate(datasets):
        kept = [index for n, index in rows if n == number]
        for name in dataset.factors:
            column = dataset.table([name])[name].to_pylist()
            per = counts.setdefault(name, {})
            factor = table_of(dataset.manifest)[name]
            for level, n in Counter(level_text(factor, column[index]) for index in kept).items():
                per[level] = per.get(level, 0) + n
    return counts


def _names(datasets: Sequence[StoredDataset]) -> list[str]:
    names = [d.manifest.name or d.path.name for d in datasets]
    return [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names, 1)]


def _origin(dataset: StoredDataset, name: str) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "name": name,
        "rows": len(dataset),
        "engine": None if manifest.engine is None else manifest.engine.fingerprint,
        "license": licence_of(manifest).model_dump(),
        "shards": {shard: entry.sha256 for shard, entry in manifest.shards.items()},
        "lineage": manifest.lineage,
    }
