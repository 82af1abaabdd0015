"""Tables of assets, CSV or JSON, as the entries of a manifest."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torchmultiverse.assets.files import MAX_MANIFEST_BYTES, read_bounded
from torchmultiverse.errors import AssetError, nearest
from torchmultiverse.json_text import read_json

TABLE_SUFFIXES = (".csv", ".json")
ALIASES = {"licence": "license", "author": "attribution"}
"""Other names of columns."""
_NUMBERS = frozenset({"size", "yaw", "lean", "hover", "exposure"})


def read_table(path: Path, columns: Iterable[str], faults: list[str]) -> dict[str, Any]:
    """Return a table as a manifest: its ``assets``, and for a JSON object whatever stands beside them.

    Args:
        path: a CSV file with a row of columns, in UTF-8; or JSON, a list of objects or an object with ``assets``.
        columns: that are known.
        faults: gets what is wrong with single rows, a line each; these are None among the assets.

    Raises:
        AssetError: it cannot be read, or has a column that is not known.
    """
    data = read_bounded(path, MAX_MANIFEST_BYTES, path.name)
    if path.suffix.lower() == ".csv":
        return {"assets": _csv(data, path, sorted(columns), faults)}
    try:
        table = read_json(data)
        json.dumps(table, ensure_ascii=False).encode()  # half of a surrogate pair is read, but can be written nowhere
    except UnicodeDecodeError:
        raise AssetError(f"{path}: its bytes are no text; save it as JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise AssetError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except ValueError as error:
        raise AssetError(f"{path}: not JSON: {error}") from None
    found: dict[str, Any] = dict(_renamed(table)) if isinstance(table, dict) else {"assets": table}
    if isinstance(found.get("assets"), list):
        found["assets"] = [_renamed(row) if isinstance(row, dict) else row for row in found["assets"]]
    return found


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {key if ALIASES.get(key, key) in row else ALIASES.get(key, key): value for key, value in row.items()}


def _csv(data: bytes, path: Path, columns: list[str], faults: list[str]) -> list[dict[str, Any] | None]:
    try:
        text = data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except UnicodeDecodeError:
        raise AssetError(f"{path}: its bytes are no text; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise AssetError(f"{path}: no CSV table: {error}") from None
    if not rows:
        raise AssetError(f"{path}: it is empty; its first row names the columns, such as: file,class,license,author")
    heads = [ALIASES.get(head.strip().lower(), head.strip().lower()) for head in rows[0]]
    for head in heads:
        if head not in columns:
            raise AssetError(f"{path}: the column '{head}' is unknown.{nearest(head, [*columns, *ALIASES])}")
        if heads.count(head) > 1:
            raise AssetError(f"{path}: the column '{head}' is there twice")
    found: list[dict[str, Any] | None] = []
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = zip(heads, row, strict=False)
        try:
            if len(row) > len(heads):
                raise AssetError(f"{path}: row {number} has {len(row)} cells, there are {len(heads)} columns")
            found.append(
                {head: _value(head, cell.strip(), f"{path}: row {number}") for head, cell in cells if cell.strip()}
            )
        except AssetError as error:
            faults.append(str(error))
            found.append(None)
    return found


def _value(head: str, cell: str, place: str) -> str | float:
    if head not in _NUMBERS:
        return cell
    try:
        return float(cell)
    except ValueError:
        raise AssetError(f"{place}: {head} = '{cell[:40]}' is no number") from None
