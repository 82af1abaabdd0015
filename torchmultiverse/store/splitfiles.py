"""Which files of a dataset are which split, for its card and its Croissant description."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from torchmultiverse.store.manifest import SHARD_NAME
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.splits import TRAIN, split_name


@dataclass
class SplitFiles:
    """The files of one split.

    Attributes:
        name: as ``datasets`` calls it.
        pattern: that these files match and no others of the folder.
        files: names below ``data/``.
        rows: how many.
        bytes: of their content, unpacked.
    """

    name: str
    pattern: str
    files: list[str] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0


def split_files(dataset: StoredDataset) -> list[SplitFiles]:
    """Return the splits of a whole dataset, in the order of their first file.

    Files that hold rows of several splits, which are those of older datasets and of recordings, are one split under the
    name that is in their own.

    Raises:
        DatasetError: a file that cannot be read.
    """
    found: dict[str, SplitFiles] = {}
    labelled: dict[str, set[str]] = {}
    named = all(SHARD_NAME.fullmatch(file.name) for file in dataset.files)
    labels = dataset.tables(["split"]) if "split" in dataset.columns else None
    for file in dataset.files:
        prefix = file.name.rpartition("-")[0] if named else TRAIN
        split = found.setdefault(prefix, SplitFiles(prefix, ""))
        metadata = pq.read_metadata(file)
        split.files.append(file.name)
        split.rows += metadata.num_rows
        split.bytes += sum(metadata.row_group(g).total_byte_size for g in range(metadata.num_row_groups))
        if labels is not None:
            labelled.setdefault(prefix, set()).update(map(split_name, next(labels)["split"].unique().to_pylist()))
    folder = Path(dataset.files[0]).parent.relative_to(dataset.path).as_posix()
    where = "" if folder == "." else f"{folder}/"
    for prefix, split in found.items():
        split.pattern = f"{where}*.parquet" if len(found) == 1 else f"{where}{prefix}-*.parquet"
        if len(labelled.get(prefix, ())) == 1:
            (split.name,) = labelled[prefix]
    if len({split.name for split in found.values()}) < len(found):
        for prefix, split in found.items():
            split.name = prefix
    return list(found.values())
