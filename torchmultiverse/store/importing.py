"""Published datasets as ours: the PUG archives (PNG and a CSV) and their Parquet mirrors.

Every row becomes a scene, so that a picture that was imported and one that was rendered from the same factors have the
same ``scene_id``. Columns that are no factors are kept as text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.images import decode
from torchmultiverse.scenes import (
    BLANK,
    CAPTIONS,
    FACTORS,
    FAMILY_COLUMNS,
    FactorTable,
    Scene,
    caption_columns,
    from_columns,
    hard_negative,
    implied_labels,
    may_be_own,
    parse_where,
)
from torchmultiverse.store.assemble import assemble
from torchmultiverse.store.card import write_card
from torchmultiverse.store.exporting import PROVENANCE
from torchmultiverse.store.layouts import BROKEN, SUBSETS
from torchmultiverse.store.licence import PUG
from torchmultiverse.store.manifest import Manifest, Terms
from torchmultiverse.store.object_column import object_type
from torchmultiverse.store.reader import StoredDataset, open_dataset
from torchmultiverse.store.schema import IMAGE, PUBLISHED, levels
from torchmultiverse.store.sources import Source, read_source

_OWN = {"image", "scene_id", "scene", "split", "engine", "render_ms", "annotations", "negative_scene_id"}
_NOT_SAID = {"", "nan", "none", "null", "n/a"}
_READABLE: dict[str, Any] = {
    "number": (str, int, float, Decimal),
    "vector": (str, list, tuple, dict),
    "category": (str, int, float, Decimal, bool),
    "list": (str, list),
}
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
# Which columns, all there, tell a family; the first that fits.
_TELLING = {
    "AR4T": ("Relation", "Actor1Category", "Level"),
    "SPAR": ("character2_name", "character1_pos", "character2_pos"),
    "ImageNet": ("character_label", "character_rotation_yaw", "scene_light"),
    "Animals": ("world_name", "character_name", "character_scale", "camera_yaw", "character_texture"),
}


def import_dataset(
    source: str | Path,
    out: str | Path,
    *,
    family: str | None = None,
    licence: str | None = None,
    generative: bool | None = None,
    split: str | None = None,
    leave_out: str | None = None,
    tick: Callable[[int, int], None] | None = None,
) -> StoredDataset:
    """Import a folder of pictures with a CSV, a CSV file, or a folder of Parquet files.

    Args:
        source: the published archive, unpacked, its CSV file, or a mirror's Parquet folder.
        out: folder of the dataset; an interrupted import is continued, and pictures that changed are read again.
        family: Animals, ImageNet, SPAR, AR4T or Custom; by default told from the columns.
        licence: of the pictures; by default what the source says of itself, and of the published families CC-BY-NC-4.0.
        generative: whether generative models may be trained on them; by default false for the published families.
        split: of rows that say nothing about it; by default what the names of files tell, or ``train``.
        leave_out: rows that are not wanted, a filter as of ``render --where``, or ``broken``: those that the publisher
            calls badly rendered (`layouts.BROKEN`).
        tick: called with rows done and rows in all.

    Raises:
        SpecError: a filter that cannot be read.
        DatasetError: no such source, pictures that are missing or broken, or rows that are no scenes; names the file
            or the line.
    """
    source, out = Path(source), Path(out)
    found = read_source(source)
    family = _family(family, found.rows[0])
    terms = _terms(source, family, licence, generative)
    if family == "ImageNet":
        recover_subsets(found.rows, found.paths)
    rows = _ImportedRows.of(found, family, leave_out)

    def split_of_row(index: int) -> str:
        return str(rows.source.rows[index].get("split") or split or rows.source.splits[index] or "train")

    def check(index: int, made: Mapping[str, Any]) -> None:
        decode(made["image"]["bytes"], rows.source.file(index))

    count, origin = len(rows.scenes), {"imported": rows.source.identity}
    assemble(
        out, rows.fields(), count, lambda index: rows.row(index, split_of_row(index)),
        {**origin, "family": family},
        {"name": out.name, "license": terms, "counts": rows.counts(), "lineage": [origin], "assets": []},
        tick=None if tick is None else lambda done: tick(done, count),
        check=check,
        splits=[split_of_row(index) for index in range(count)],
    )  # fmt: skip
    made = open_dataset(out)
    write_card(out, made.manifest, made)
    return made


@dataclass(frozen=True)
class _ImportedRows:
    """The rows of a source as those of a dataset.

    Attributes:
        source: what is read.
        family: of the dataset.
        scenes: of each row.
        factors: factor column → its type.
        extra: columns that are no factors → what they are called here.
    """

    source: Source
    family: str
    scenes: list[Scene]
    factors: dict[str, pa.DataType]
    extra: dict[str, str]

    @classmethod
    def of(cls, source: Source, family: str, leave_out: str | None) -> _ImportedRows:
        """Read the scenes of all rows, or of those that stay.

        Raises:
            SpecError: a filter that cannot be read.
            DatasetError: columns that are missing or called alike, or rows that are no scenes.
        """
        table = FACTORS.renamed(FAMILY_COLUMNS.get(family, {}))
        columns = list(source.rows[0])
        factors = _factors(family, columns, table)
        own = {*_OWN, *CAPTIONS.get(family, ())}
        extra = {
            c: _name(c, table) for c in columns if c not in table and c not in own and not c.startswith("quality_")
        }
        _check_names(extra, {*own, *factors})
        scenes = [_scene(row, factors, table, source.place(i), family) for i, row in enumerate(source.rows)]
        if leave_out is not None:
            kept = _kept_rows(scenes, family, leave_out, table)
            source, scenes = _only(source, kept, leave_out), [scenes[i] for i in kept]
        whole = {c for c in factors if all(isinstance(s[c], int) for s in scenes)}
        return cls(source, family, scenes, _kinds(family, factors, whole, table), extra)

    @property
    def captions(self) -> Sequence[str]:
        """Names of the caption columns."""
        return CAPTIONS.get(self.family, ())

    @cached_property
    def partners(self) -> dict[int, int]:
        """The rows that are hard negatives of each other, as the source says."""
        return _partners(self.source.rows) if self.family == "AR4T" else {}

    def fields(self) -> dict[str, pa.DataType]:
        """Return the columns and their types."""
        fields: dict[str, pa.DataType] = {"image": IMAGE, **self.factors, "scene_id": pa.string()}
        fields |= dict.fromkeys(self.captions, pa.string())
        if "negative_caption" in fields:
            fields["negative_scene_id"] = pa.string()
        return fields | {"split": pa.string(), "scene": pa.string(), **dict.fromkeys(self.extra.values(), pa.string())}

    def counts(self) -> dict[str, dict[str, int]]:
        """Return factor column → level → number of rows."""
        return {name: dict(Counter(str(scene[name]) for scene in self.scenes)) for name in self.factors}

    def row(self, index: int, split: str) -> dict[str, Any]:
        """Return a row by column."""
        given, scene = self.source.rows[index], self.scenes[index]
        made: dict[str, Any] = {"image": {"bytes": self.source.image(index), "path": self.source.paths[index]}}
        made |= levels(self.family, scene, {name: (scene.table[name], kind) for name, kind in self.factors.items()})
        made["scene_id"] = scene.scene_id
        made |= caption_columns(self.family, scene)
        # A caption that came with the row is the one that the image was published with.
        made |= {c: given[c] for c in self.captions if given.get(c)}
        if "negative_caption" in self.captions:
            partner = self.partners.get(index)
            negative = hard_negative(self.family, scene) if partner is None else self.scenes[partner]
            made["negative_scene_id"] = None if negative is None else negative.scene_id
            if partner is not None:
                made["negative_caption"] = self.source.rows[partner].get("caption") or made["negative_caption"]
        made |= {"split": split, "scene": scene.canonical}
        return made | {name: None if given[c] is None else str(given[c]) for c, name in self.extra.items()}


def _family(asked: str | None, columns: Iterable[str]) -> str:
    """Return the family that was asked for, or that the columns tell.

    Raises:
        DatasetError: there is no such family.
    """
    found = asked or next((name for name, telling in _TELLING.items() if set(telling) <= set(columns)), "Custom")
    if found not in {*_TELLING, "Custom"}:
        raise DatasetError(f"family = '{found}': one of {', '.join(_TELLING)} or Custom")
    return found


def _kept_rows(scenes: Sequence[Scene], family: str, leave_out: str, table: FactorTable) -> list[int]:
    """Return the rows that stay.

    Raises:
        DatasetError: nothing is known to be broken, no row is left out, or none stays.
    """
    if leave_out == "broken" and family not in BROKEN:
        raise DatasetError(f"nothing is known to be broken in {family}, only in {', '.join(BROKEN)}; give a filter")
    where = parse_where(BROKEN[family] if leave_out == "broken" else leave_out, table)
    kept = [i for i, scene in enumerate(scenes) if not all(one.holds(scene[one.factor]) for one in where)]
    if len(kept) in (0, len(scenes)):
        raise DatasetError(f"{leave_out!r} leaves out {'no row' if kept else f'all {len(scenes)} rows'}")
    return kept


def _only(found: Source, rows: Sequence[int], leave_out: str) -> Source:
    """Return a source with some of its rows: lists are cut, and what is asked by row is asked by its former number."""
    changed: dict[str, Any] = {"identity": {**found.identity, "left_out": leave_out}}
    for name in (one.name for one in fields_of(found) if one.name != "identity"):
        value = getattr(found, name)
        changed[name] = [value[i] for i in rows] if isinstance(value, list) else partial(_at, value, rows)
    return replace(found, **changed)


def _at(value: Callable[[int], Any], rows: Sequence[int], index: int) -> Any:
    return value(rows[index])


def _terms(source: Path, family: str, licence: str | None, generative: bool | None) -> Terms:
    """Return the terms of a source: what is asked for, else what lies beside it, else what is known of its family."""
    folder = source if source.is_dir() else source.parent
    found: Terms | None = None
    for name in (PROVENANCE, Manifest.file):
        if found is None and (folder / name).is_file():
            try:
                given = json.loads((folder / name).read_text()).get("license")
                found = Terms.model_validate(given) if given else None
            except (ValueError, AttributeError):
                raise DatasetError(f"{folder / name}: no JSON object with a license") from None
    if found is None:
        found = PUG if family != "Custom" else Terms(name="unknown", generative=True, source=source.name)
    changed = {"name": licence, "generative": generative}
    return found.model_copy(update={name: value for name, value in changed.items() if value is not None})


def _name(column: str, table: FactorTable) -> str:
    """Return what a column that is no factor is called: a dot means something else in Parquet."""
    name = column.replace(".", "_").replace(" ", "_")
    return f"published_{name}" if name in table else name


def _check_names(kept: Mapping[str, str], taken: Iterable[str]) -> None:
    """Check that columns that are called otherwise here are not called as another one is.

    Raises:
        DatasetError: they are; names both.
    """
    by_name = {name: name for name in taken}
    for column, name in kept.items():
        if by_name.setdefault(name, column) != column:
            raise DatasetError(
                f"the columns '{by_name[name]}' and '{column}' would both be '{name}'; rename one of them"
            )


def _factors(family: str, columns: Iterable[str], table: FactorTable) -> list[str]:
    """Return the factor columns: the family's published ones, then what else the source has."""
    published = list(PUBLISHED.get(family, {}))
    lacking = [c for c in published if c not in columns and not table[c].label]
    if lacking:
        raise DatasetError(f"a {family} dataset needs the column '{lacking[0]}'; there are {', '.join(columns)}")
    return published + [table[c].column for c in columns if c in table and table[c].column not in published]


def _scene(row: Mapping[str, Any], factors: Sequence[str], table: FactorTable, place: str, family: str) -> Scene:
    """Return the scene of a row: what its columns say, but for labels that its own scene only implies."""
    said = _scene_of_columns(row, factors, table, place)
    text, scene_id = row.get("scene"), row.get("scene_id")
    if not isinstance(text, str) or said.scene_id == scene_id:
        return said
    try:
        kept = Scene.from_json(text, table)
    except (ValueError, TypeError, AttributeError, SpecError):  # another program's
        return said
    implied = implied_labels(family, kept)
    same = kept.scene_id == scene_id and all(
        said[name] in (kept[name], implied.get(table[name].wire)) for name in factors
    )
    return kept if same else said


def _scene_of_columns(row: Mapping[str, Any], factors: Sequence[str], table: FactorTable, place: str) -> Scene:
    values: dict[str, Any] = {}
    for name in factors:
        factor = table[name]
        value = row.get(name)
        if value is None or (
            isinstance(value, str) and value.strip().lower() in _NOT_SAID and factor.default != "none"
        ):
            continue  # what a row does not say is at its default
        try:
            if not isinstance(value, _READABLE[factor.kind]):
                raise SpecError(f"a {type(value).__name__} is no {'number' if factor.kind == 'number' else 'text'}")
            if factor.kind == "number" and not (may_be_own(factor) and value == factor.default):
                value = float(value)
            elif factor.kind == "vector":
                value = ",".join(_NUMBER.findall(str(value)))
            elif factor.kind == "list":
                value = value if isinstance(value, str) else from_columns(factor, value)
            else:
                value = str(value)
            values[name] = factor.canonical(value)
        except (ValueError, SpecError) as error:
            raise DatasetError(f"{place}: {name} = {row[name]!r}: {error}") from None
    if "Relation" in values:  # AR4T says where by coordinates alone
        for number, name in ((1, "Character_Name"), (2, "Character2_Name")):
            if values.get(table[name].column, BLANK) != BLANK:
                values.setdefault(table[f"Character{number}_Pos"].column, "location")
    try:
        return Scene(values, table)
    except SpecError as error:
        raise DatasetError(f"{place}: {error}") from None


def _kinds(family: str, factors: Sequence[str], whole: set[str], table: FactorTable) -> dict[str, pa.DataType]:
    kinds: dict[str, pa.DataType] = {}
    for name in factors:
        factor = table[name]
        number = pa.int64() if name in whole and (factor.label or factor.period is not None) else pa.float64()
        if factor.kind == "list":
            kinds[name] = object_type(factor)
            continue
        kinds[name] = PUBLISHED.get(family, {}).get(name, number if factor.kind == "number" else pa.string())
        if kinds[name] == pa.int64() and name not in whole:
            kinds[name] = pa.float64()
    return kinds


def recover_subsets(rows: list[dict[str, Any]], paths: Sequence[str]) -> None:
    """Give every row of PUG: ImageNet its subset: the folder it is in, or the factor that departs from its default.

    The Parquet mirror has no folders. There, a row in which nothing departs belongs to any of the subsets that have
    the default; equal rows get these one after the other.
    """
    folders = [path.split("/")[0] for path in paths]
    seen: Counter[tuple[Any, ...]] = Counter()
    for row, folder in zip(rows, folders, strict=True):
        if row.get("subset"):
            continue
        if folder in SUBSETS:
            row["subset"] = folder
            continue
        departs = [name for name, column in SUBSETS.items() if _departs(row, column)]
        if departs in (["Worlds"], ["Worlds", "Scene_Light"]) and str(row["world_name"]).startswith("Opera"):
            open_to = ["Scene_Light"] if "Scene_Light" in departs else ["Worlds", "Scene_Light"]
        elif not departs:
            open_to = ["Worlds", "Camera_Yaw", "Object_Yaw", "Object_Texture"]
        else:
            open_to = departs[:1]
        key = tuple(str(row[c]) for c in ("character_name", "world_name", *SUBSETS.values()))
        row["subset"] = open_to[min(seen[key], len(open_to) - 1)]
        seen[key] += 1


def _departs(row: Mapping[str, Any], column: str) -> bool:
    factor = FACTORS[column]
    if column == "world_name":
        return not str(row[column]).startswith("SaltFlats")
    value = float(row[column]) if factor.kind == "number" else str(row[column])
    return factor.canonical(value) != factor.default


def _partners(rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return for each row of AR4T that names the file of its hard negative, which row that is."""
    files = {str(row["filename"]): index for index, row in enumerate(rows) if row.get("filename")}
    named = {index: str(row["filename neg"]) for index, row in enumerate(rows) if row.get("filename neg")}
    return {index: files[name] for index, name in named.items() if name in files}
