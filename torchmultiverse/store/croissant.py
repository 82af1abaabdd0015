"""``croissant.json``: the dataset in the Croissant 1.0 format of MLCommons, one record set for each split.

Source: the specification at https://docs.mlcommons.org/croissant/docs/croissant-spec.html, read by ``mlcroissant``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchmultiverse.files import disk_errors, write_atomic
from torchmultiverse.scenes import FactorTable
from torchmultiverse.store.licence import licence_of
from torchmultiverse.store.manifest import Manifest, spec_of, table_of
from torchmultiverse.store.object_column import is_list
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.schema import column_note
from torchmultiverse.store.splitfiles import SplitFiles, split_files

CROISSANT = "croissant.json"
_CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection", "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field",
    "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
    "samplingRate": "cr:samplingRate", "rai": "http://mlcommons.org/croissant/RAI/", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip


def write_croissant(out: Path, manifest: Manifest, dataset: StoredDataset) -> None:
    """Write ``croissant.json``.

    Raises:
        DatasetError: it cannot be written.
    """
    text = json.dumps(croissant(manifest, dataset), indent=1, ensure_ascii=False) + "\n"
    with disk_errors(out):
        write_atomic(out / CROISSANT, text.encode())


def croissant(manifest: Manifest, dataset: StoredDataset) -> dict[str, Any]:
    """Return the description of a whole dataset as JSON-LD.

    Its files are named from the folder that it lies in, so that both can be moved; each has its SHA-256.
    """
    spec = spec_of(manifest)
    splits = split_files(dataset)
    hashes = {name: entry.sha256 for name, entry in manifest.shards.items()}
    data: dict[str, Any] = {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.name or dataset.path.name,
        "description": (spec.description if spec is not None else "") or "Factor-labelled pictures.",
        "license": licence_of(manifest).name, "version": "1.0.0",
    }  # fmt: skip
    if spec is not None and spec.about.creators:
        data["creator"] = {"@type": "Organization", "name": spec.about.creators}
    place = dataset.files[0].parent.relative_to(dataset.path).as_posix()
    distribution: list[dict[str, Any]] = []
    for split in splits:
        distribution.append(
            {
                "@type": "cr:FileSet", "@id": f"{split.name}-files", "name": f"{split.name}-files",
                "description": f"{len(split.files)} Parquet files of the split {split.name}.",
                "encodingFormat": "application/x-parquet", "includes": split.pattern,
            }
        )  # fmt: skip
        distribution += [
            {
                "@type": "cr:FileObject", "@id": f"{place}/{name}", "name": name, "contentUrl": f"{place}/{name}",
                "encodingFormat": "application/x-parquet", "sha256": hashes[name],
            }
            for name in split.files if name in hashes
        ]  # fmt: skip
    data["distribution"] = distribution
    table = table_of(manifest)
    data["recordSet"] = [_records(split, dataset.schema, table) for split in splits]
    return data


def _records(split: SplitFiles, schema: pa.Schema, table: FactorTable) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet", "@id": split.name, "name": split.name,
        "description": f"{split.rows} rows, one for each picture.",
        "field": [_field(split.name, column, table) for column in schema],
    }  # fmt: skip


def _field(split: str, column: pa.Field, table: FactorTable) -> dict[str, Any]:
    kind = column.type
    source: dict[str, Any] = {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": column.name}}
    if pa.types.is_struct(kind):
        source["transform"] = {"jsonPath": "bytes"}
    types = {pa.int64(): "sc:Integer", pa.float64(): "sc:Float", pa.float32(): "sc:Float", pa.string(): "sc:Text"}
    return {
        "@type": "cr:Field", "@id": f"{split}/{re.sub(r'[^A-Za-z0-9_]', '_', column.name)}", "name": column.name,
        "description": column_note(column.name, table) or "as in the source",
        "dataType": "sc:Text" if is_list(kind) else types.get(kind, "sc:ImageObject"), "source": source,
    }  # fmt: skip
