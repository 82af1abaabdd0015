"""``manifest.json``: what is known of a dataset as a whole, whether it was rendered, recorded, imported or merged."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchmultiverse.engines import Asset, CharacterClass
from torchmultiverse.errors import DatasetError, shortened
from torchmultiverse.files import write_atomic
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import FACTORS, FAMILY_COLUMNS, FactorTable, Spec

SHARD_NAME = re.compile(r"\w{1,80}-\d{5,}\.parquet", re.ASCII)
"""Of a file in ``data/``; a manifest that names another is none of ours."""


def shard_name(number: int, split: str = "train") -> str:
    """Return the name of a file in ``data/``."""
    return f"{split}-{number:05d}.parquet"


def shard_number(name: str) -> int:
    """Return the number in a file's name."""
    return int(name.removesuffix(".parquet").rpartition("-")[2])


ANNOUNCED = "*.shard"
"""Files in ``_work/`` with the manifest's entries of a shard's files: the manifest is not written every time."""
FORMAT = 1
FORMAT_OF_SPLITS = 2
"""Of datasets of several splits: until each had files of its own, they were of format 1 as well."""


class _ManifestPart(BaseModel):
    """A part of a manifest. Keys that this version does not know are kept."""

    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=True)


class ShardEntry(_ManifestPart):
    """A Parquet file.

    Attributes:
        rows: how many it has.
        bytes: its size.
        sha256: of the file, 64 hex digits.
        rows_sha256: of the rows that it was made of, where it was assembled from rows that exist.
    """

    rows: int
    bytes: int | None = None
    sha256: str
    rows_sha256: str | None = None


class FailedScene(_ManifestPart):
    """A scene that could not be rendered.

    Attributes:
        scene: its factors, by wire name.
        reason: why not.
    """

    scene: dict[str, Any] = Field(default_factory=dict)
    reason: str = ""


class EngineRecord(_ManifestPart):
    """The engine that rendered the dataset."""

    name: str = ""
    version: str = ""
    fingerprint: str | None = None


class Terms(_ManifestPart):
    """What a dataset may be used for.

    Attributes:
        name: of the licence, or of several with commas between.
        generative: whether generative models may be trained on it.
        source: whom the images are from.
    """

    name: str = "unknown"
    generative: bool = True
    source: str = ""


class Manifest(_ManifestPart):
    """What ``manifest.json`` holds. Its schema version is the ``format`` of its identity.

    A dataset that is being rendered or was interrupted has one as well. Of a folder of others it may be empty: then
    no field is set (`known` is false). Fields that were not set are not written.

    Attributes:
        identity: what must be equal for a run to be continued, as JSON: format, spec, size, engine, …; the order of its
            keys is kept, because that of a design's factors is that of its scenes.
        shards: the Parquet files in ``data/``, by name.
        failures: scenes that could not be rendered, by scene id.
        checked: of scenes that were rendered twice, by scene id: the largest difference of a pixel, of 255; ``None``
            where the second rendering failed.
        untrusted: images that show something else when rendered again, by scene id: in what.
        complete: whether all rows are there.
        images: how many images there are to be (``pictures`` in the file).
        counts: column → level → number of images.
        name: of the dataset.
        torchmultiverse: version that rendered it.
        engine: that rendered it.
        packs: packs of assets that the engine drew from.
        assets: of the levels that were rendered.
        classes: what the numbers in the pass ``class`` and in the annotations mean, of the characters that were
            rendered; empty where the engine does not say, or the dataset was made before it did.
        license: terms of an imported or merged dataset.
        lineage: what a dataset was imported or merged from, as JSON.
        notes: what a reader has to know, for people.
        count: number of images in memory or in a folder of others.
        rows_sha256: of the rows that a part of a dataset is made of.
        files_sha256: of the names and contents of all files of an image folder.
        of: hash of the manifest of the dataset that images were derived from.

    >>> manifest = Manifest(name="small", shards={"train-00000.parquet": ShardEntry(rows=8, sha256="…")})
    >>> manifest.set(images=8, complete=True)
    >>> manifest.rows, manifest.as_json()["pictures"]
    (8, 8)
    """

    model_config = ConfigDict(extra="allow", strict=True, populate_by_name=True)
    file: ClassVar[str] = "manifest.json"
    version: ClassVar[int] = FORMAT_OF_SPLITS

    identity: dict[str, Any] = Field(default_factory=dict)
    shards: dict[str, ShardEntry] = Field(default_factory=dict)
    failures: dict[str, FailedScene] = Field(default_factory=dict)
    checked: dict[str, int | None] = Field(default_factory=dict)
    untrusted: dict[str, str] = Field(default_factory=dict)
    complete: bool = False
    images: int | None = Field(default=None, alias="pictures")
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    name: str | None = None
    torchmultiverse: str = ""
    engine: EngineRecord | None = None
    packs: list[str] = Field(default_factory=list)
    assets: list[Asset] = Field(default_factory=list)
    classes: list[CharacterClass] = Field(default_factory=list)
    license: Terms | None = None
    lineage: list[dict[str, Any]] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    count: int | None = None
    rows_sha256: str | None = None
    files_sha256: str | None = None
    of: str | None = None

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return bool(self.model_fields_set or self.model_extra)

    @property
    def lists_files(self) -> bool:
        """Whether `shards` is all files that there are, rather than not given."""
        return "shards" in self.model_fields_set

    @property
    def format(self) -> int:
        """The schema version; 0 where it has none."""
        found = self.identity.get("format", 0)
        return found if isinstance(found, int) else 0

    @property
    def rows(self) -> int:
        """Number of rows in the files."""
        return sum(entry.rows for entry in self.shards.values())

    def set(self, **fields: Any) -> None:
        """Set fields to values of their types, or to JSON values of them."""
        checked = Manifest.model_validate(fields)
        for name in fields:
            setattr(self, name, getattr(checked, name))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, without the fields that were not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def to_bytes(self) -> bytes:
        """Return the content of ``manifest.json``; what comes in no particular order is sorted, `identity` is not."""
        data = self.as_json()
        data = {key: data[key] for key in sorted(data)}
        data |= {key: dict(sorted(data[key].items())) for key in _SORTED if key in data}
        return (json.dumps(data, indent=1) + "\n").encode()

    def save(self, folder: str | Path) -> Path:
        """Write ``manifest.json`` into a folder, whole or not at all; return its path.

        Raises:
            OSError: the folder cannot be written.
        """
        path = Path(folder) / self.file
        write_atomic(path, self.to_bytes())
        return path

    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Return what an older version wrote in the shape of this one.

        Formats 1 and 2 differ in the files alone: in format 1 a file may hold rows of several splits.
        """
        return data

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read the manifest of a dataset's folder, of this or an older version; an empty one where there is none.

        Of a dataset that is being rendered, or was interrupted, the files that were written since are in it as well.

        Raises:
            DatasetError: it is no JSON object, names files that no dataset has, or a newer version wrote it.
        """
        folder = Path(folder)
        file = folder / cls.file
        if not file.is_file():
            return cls()
        try:
            data = read_json(file.read_text())
        except ValueError as error:
            raise DatasetError(f"{file}: no JSON: {error}") from None
        if not isinstance(data, dict):
            raise DatasetError(f"{file}: no JSON object")
        manifest = cls.parse(data, file)
        if manifest.lists_files:
            for announced in sorted((folder / "_work").glob(ANNOUNCED)):
                with suppress(OSError):  # it is in the manifest by now
                    for name, entry in read_announced(announced).items():
                        if (folder / "data" / name).stat().st_size == entry.bytes:
                            manifest.shards[name] = entry
        return manifest

    @classmethod
    def parse(cls, data: Mapping[str, Any], place: object) -> Self:
        """Return the manifest that a JSON object is.

        Args:
            data: the object.
            place: names it in errors.

        Raises:
            DatasetError: it is none, names files that no dataset has, or a newer version wrote it.
        """
        if not {"identity", "shards"} & data.keys():
            # A file of somebody else's that is called so as well; where a key means something else, nothing is known.
            try:
                return cls.model_validate(data)
            except ValidationError:
                return cls()
        check_shards(data.get("shards", {}), place)
        identity = data.get("identity")
        version = identity.get("format", 0) if isinstance(identity, Mapping) else 0
        if not isinstance(version, int) or version > cls.version:
            raise DatasetError(
                f"{place} is of format {version!r}, and this version of torchmultiverse reads up to {cls.version}: a "
                "newer one wrote it"
            )
        try:
            return cls.model_validate(cls.migrate(dict(data), version))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DatasetError(f"{place} is no manifest of this format: {where}: {first['msg']}") from None


_SORTED = ("shards", "failures", "checked")


def read_announced(file: Path) -> dict[str, ShardEntry]:
    """Return the entries of an announcement, one for each of a shard's files.

    Raises:
        OSError: it cannot be read.
        DatasetError: it names files that no dataset has.
    """
    try:
        entries: dict[str, Any] = read_json(file.read_text())["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file}: no JSON object of files: {error}") from None
    check_shards(entries, file)
    try:
        return {name: ShardEntry.model_validate(entry) for name, entry in entries.items()}
    except ValidationError as error:
        raise DatasetError(f"{file}: no JSON object of files: {error.errors()[0]['msg']}") from None


def check_shards(shards: object, place: object) -> None:
    """Check that entries name no files but those that a dataset has: the names become paths.

    Raises:
        DatasetError: they do.
    """
    if not isinstance(shards, Mapping):
        raise DatasetError(f"{place}: 'shards' is no object of files")
    for name, entry in shards.items():
        if not SHARD_NAME.fullmatch(name):
            raise DatasetError(f"{place} names files that no dataset has, such as {shortened(name)}")
        if not isinstance(entry, Mapping) or not {"rows", "sha256"} <= entry.keys():
            raise DatasetError(f"{place}: of {name} rows and sha256 are not given")


def engine_difference(before: object, now: object) -> str:
    """Return how the engines of two fingerprints differ, with their picture revisions where these do.

    A fingerprint holds its engine's picture revision as ``-r2-``; one without any is of the first revision.
    """
    text = f"engine was {json.dumps(before)}, is {json.dumps(now)}"
    old, new = (re.search(r"-r(\d+)-", str(fingerprint)) for fingerprint in (before, now))
    revisions = [int(found[1]) if found else 1 for found in (old, new)]
    if revisions[0] == revisions[1]:
        return text
    return (
        f"its pictures are of revision {revisions[0]}, this engine's are of revision {revisions[1]}, which draws some "
        f"scenes otherwise ({text})"
    )


def spec_of(manifest: Manifest) -> Spec | None:
    """Return the spec that a dataset was rendered from; ``None`` for one that was not, or not by this version."""
    try:
        return Spec.model_validate(manifest.identity["spec"]) if "spec" in manifest.identity else None
    except ValidationError:
        return None


def family_of(manifest: Manifest) -> str:
    """Return the family of a dataset, ``Custom`` where it says nothing."""
    spec = spec_of(manifest)
    return str(manifest.identity.get("family", "Custom")) if spec is None else spec.family


def table_of(manifest: Manifest) -> FactorTable:
    """Return the factors of a dataset, with the column names of its family."""
    spec = spec_of(manifest)
    return FACTORS.renamed(FAMILY_COLUMNS.get(family_of(manifest), {})) if spec is None else spec.table
