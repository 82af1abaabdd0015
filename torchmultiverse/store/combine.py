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
from torchmultiverse.store.assemble import assemble
from torchmultiverse.store.card import write_card
from torchmultiverse.store.licence import joint, licence_of
from torchmultiverse.store.manifest import family_of
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
        pictures: number of common scenes whose pictures differ in a pixel.
        largest: the largest difference of a pixel, of 255; None where sizes differ.
        mean: mean absolute difference of the pictures that differ, of 255.
        levels: factor column → level → (rows in the first, rows in the second), where these differ.
    """

    only_first: list[str] = field(default_factory=list)
    only_second: list[str] = field(default_factory=list)
    common: int = 0
    columns: list[str] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    largest: int | None = 0
    mean: float = 0.0
    levels: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.only_first or self.only_second or self.columns or self.values or self.pictures)

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
        if self.pictures:
            how = "in size" if self.largest is None else f"by up to {self.largest} of 255, {self.mean:.2f} on average"
            lines.append(f"{self.pictures:,} pictures differ {how}")
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
    found = Difference()
    scalars = [
        c for c in first.columns if c in second.columns and c not in {*first.image_columns, *second.image_columns}
    ]
    # Of a scene that stands twice in one dataset, the first row counts.
    ids: list[dict[str, int]] = [{}, {}]
    for per, dataset in zip(ids, (first, second), strict=True):
        for i, key in enumerate(_ids(dataset)):
            per.setdefault(key, i)
    found.only_first = [_scene(first, i) for key, i in ids[0].items() if key not in ids[1]]
    found.only_second = [_scene(second, i) for key, i in ids[1].items() if key not in ids[0]]
    found.columns = [c for c in first.columns if c not in second.columns]
    found.columns += [c for c in second.columns if c not in first.columns]
    pairs = [(i, ids[1][key]) for key, i in ids[0].items() if key in ids[1]]
    found.common = len(pairs)
    for name in scalars:
        if name in VOLATILE or name == "scene_id":
            continue
        a, b = (d.table([name])[name].to_pylist() for d in (first, second))
        if n := sum(a[i] != b[j] for i, j in pairs):
            found.values[name] = n
        if name in first.factors:
            counts = [Counter(map(str, column)) for column in (a, b)]
            levels = sorted({level for per in counts for level in per if counts[0][level] != counts[1][level]})
            if levels:
                found.levels[name] = {level: (counts[0][level], counts[1][level]) for level in levels}
    if pixels:
        _compare(first, second, pairs, found, tick)
    return found


def _compare(
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
                found.pictures, found.largest = found.pictures + 1, None
            elif (apart := np.abs(a - b)).any():
                found.pictures += 1
                total += float(apart.mean())
                if found.largest is not None:
                    found.largest = max(found.largest, int(apart.max()))
        if tick is not None:
            tick(done)
    found.mean = total / max(found.pictures, 1)


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
    first = datasets[0]
    families = {family_of(dataset.manifest) for dataset in datasets}
    if len(families) > 1:
        raise DatasetError(f"merge: the datasets are of the families {', '.join(sorted(families))}; one is needed")
    columns = [c for c in first.columns if all(c in other.columns for other in datasets)]
    if not common:
        odd = sorted({c for d in datasets for c in d.columns} - set(columns))
        if odd:
            raise DatasetError(f"merge: not all have the column '{odd[0]}'; --common keeps what all have")
    fields: dict[str, pa.DataType] = {}
    for name in columns:
        if all(name in dataset.image_columns for dataset in datasets):
            fields[name] = IMAGE
            continue
        kinds = {d.schema.field(name).type for d in datasets}
        odd = [kind for kind in kinds if pa.types.is_nested(kind) or pa.types.is_binary(kind)]
        if odd:
            raise DatasetError(f"merge: the column '{name}' is {odd[0]}; text, numbers and pictures can be merged")
        if len(kinds) > 1 and kinds != {pa.int64(), pa.float64()}:
            raise DatasetError(f"merge: the column '{name}' is {' and '.join(sorted(map(str, kinds)))}")
        fields[name] = pa.float64() if len(kinds) > 1 else kinds.pop()
    pictures = [name for name, kind in fields.items() if kind == IMAGE]
    fields["source"] = pa.string()
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
        for column in pictures:
            if made[column] is not None and made[column]["bytes"] is not None:
                decode(made[column]["bytes"], f"{datasets[number].place(index)}: {column}")

    lineage = [_origin(dataset, name) for dataset, name in zip(datasets, names, strict=True)]
    assets = dict.fromkeys(asset for dataset in datasets for asset in dataset.manifest.assets)
    about = {
        "name": Path(out).name, "lineage": lineage, "counts": _counts(datasets, rows), "assets": list(assets),
        "license": joint(licence_of(dataset.manifest) for dataset in datasets),
    }  # fmt: skip
    identity = {"family": families.pop(), "merged": lineage, "columns": columns, "keep_first": keep_first}
    assemble(
        Path(out), fields, len(rows), row, identity, about,
        tick=None if tick is None else lambda done: tick(done, len(rows)),
        check=check,
        splits=splits,
    )  # fmt: skip
    made = open_dataset(out)
    write_card(Path(out), made.manifest, made)
    return made


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
            for level, n in Counter(str(column[index]) for index in kept).items():
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
