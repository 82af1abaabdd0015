"""Contact sheets of datasets: pictures drawn at random, or arranged by the levels of one or two factors."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.files import write_atomic
from torchmultiverse.scenes import CLIP, FRAME_TIME, OWN, FactorTable, canonical_json, in_level_order, unit_of
from torchmultiverse.sheets import MOST_PIXELS, Tile, contact_sheet
from torchmultiverse.store.manifest import table_of
from torchmultiverse.store.strips import film_strips
from torchmultiverse.store.views import ImageSet, columns_of, factor_table

Column = NDArray[Any]
Places = list[list[int | None]]
SHEET_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
STRIP = 8
"""Frames of a film strip."""
_LABELS = 2  # below a picture, where nobody says which
_CONDITIONS = 4  # of them, where so many are not at their defaults


@dataclass(frozen=True, slots=True)
class Sheet:
    """A contact sheet of a dataset.

    Attributes:
        image: the sheet.
        rows: the dataset's rows on it, from left to right, then down.
        same: column → value, of the factors that vary in the dataset and not on the sheet, as far as they are not at
            their defaults.
    """

    image: Image.Image
    rows: tuple[int, ...]
    same: dict[str, Any]

    def save(self, path: str | Path) -> None:
        """Write it as JPEG, PNG or WebP, whichever the name says; whole or not at all. Its folder is made.

        Raises:
            DatasetError: the name says none of them, or it cannot be written.
        """
        path = Path(path)
        if (suffix := path.suffix.lower()) not in SHEET_SUFFIXES:
            raise DatasetError(f"{path}: a name that ends in {', '.join(SHEET_SUFFIXES)} is needed")
        buffer = io.BytesIO()
        self.image.save(buffer, Image.registered_extensions()[suffix], quality=88)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, buffer.getvalue())
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror or error}") from None


def drawn_rows(images: ImageSet, count: int) -> list[int]:
    """Return some rows of a dataset, ascending, drawn at random: always the same ones of the same dataset.

    The seed is a hash of the dataset's identity and size, so that nothing but the data decides.
    """
    rows: list[int] = np.sort(data_rng(images).choice(len(images), min(count, len(images)), replace=False)).tolist()
    return rows


def data_rng(images: ImageSet) -> np.random.Generator:
    """Return random numbers of which nothing but the data decides."""
    facts = canonical_json({"identity": images.manifest.identity, "count": len(images)})
    return np.random.default_rng(int.from_bytes(hashlib.sha256(facts.encode()).digest()[:8], "little"))


def dataset_sheet(
    images: ImageSet,
    rng: np.random.Generator,
    *,
    by: str | None = None,
    across: str | None = None,
    labels: Sequence[str] | None = None,
    count: int | None = None,
    side: int = 160,
) -> Sheet:
    """Return a contact sheet.

    With neither ``by`` nor ``across`` it shows pictures drawn at random, of a dataset of clips film strips: in each row
    some frames of a clip, at equal distances; with one of them a row, or a column, of such
    for each level; with both one picture for each pair of levels, and as far as there are such pictures those that
    are equal in all else.

    Args:
        images: the dataset.
        rng: draws the pictures.
        by: factor, by column or name in specs, of the rows.
        across: factor of the columns.
        labels: columns that are said below each picture; by default, of the factors that vary on the sheet and are not
            said by its rows and columns, up to four conditions that are not at their defaults in that picture, and as
            far as these are fewer than two the first others.
        count: of pictures, by default 24; with one factor, of pictures for each level at most, by default 8.
        side: pixels that a picture has at most, either way.

    Raises:
        DatasetError: no such column, no pictures, or a sheet that would be too large.
    """
    columns, table = columns_of(images), table_of(images.manifest)
    by, across, *named = (_column(name, columns, table) for name in (by, across, *(labels or ())))
    _check_two(by, across)
    factors = _varying(factor_table(columns).column_names, columns, range(len(images)))
    others = [name for name in factors if name not in (by, across)]
    most = count or (8 if by or across else 24)
    strips = {} if by or across else film_strips(images, rng, max(1, most // STRIP), min(most, STRIP))
    if strips:
        by, others = table[CLIP].column, [table[FRAME_TIME].column]
    places, down, right = _in_strips(strips) or _arranged(
        columns, by, across, others, rng.permutation(len(images)), most
    )
    _check(sum(map(len, places)), side)
    shown = _rows(places)
    vary = _varying(factors, columns, shown)
    vary_here = [name for name in others if name in vary]
    said = {row: _chosen(vary_here, columns, row, table) if labels is None else named for row in shown}
    texts = _texts(columns, said, table)
    pictures = dict(zip(shown, images.iter_images(shown), strict=True))
    image = contact_sheet(
        _tiles(places, pictures, texts), side, heads=_all_said(across, right, table), names=_all_said(by, down, table)
    )
    same = [name for name in factors if name not in vary and not _at_default(name, columns[name][shown[0]], table)]
    return Sheet(image, tuple(shown), {name: _plain(columns[name][shown[0]]) for name in same})


def _check_two(by: str | None, across: str | None) -> None:
    """Refuse a sheet whose rows and columns are of one factor."""
    if by is not None and by == across:
        raise DatasetError(f"rows and columns are both of '{by}': two factors are needed, or one of them alone")


def _in_strips(strips: Mapping[str, Sequence[int]]) -> tuple[Places, list[Any], list[Any]] | None:
    """Return film strips as rows of pictures, and what the rows are of; ``None`` where there are none."""
    return ([list(rows) for rows in strips.values()], list(strips), []) if strips else None


def _rows(places: Places) -> list[int]:
    return [row for line in places for row in line if row is not None]


def _chosen(vary: Sequence[str], columns: Mapping[str, Column], row: int, table: FactorTable) -> list[str]:
    """Return the factors that are said below a picture where nobody says which, in their order.

    Those are its conditions, which a reader looks for in it, then the first others: of what varies, a world or a
    character is seen anyway.
    """
    conditions = [name for name in vary if name in table and table[name].group]
    present = [name for name in conditions if not _at_default(name, columns[name][row], table)][:_CONDITIONS]
    rest = [name for name in vary if name not in conditions] + [name for name in conditions if name not in present]
    chosen = present + rest[: max(0, _LABELS - len(present))]
    return [name for name in vary if name in chosen]


def _at_default(name: str, value: Any, table: FactorTable) -> bool:
    """Whether a column's value is its factor's default, of lists none; what is no factor has none."""
    if name not in table:
        return False
    factor = table[name]
    return bool(_plain(value) == (0 if factor.kind == "list" else factor.default))


def _tiles(places: Places, pictures: Mapping[int, Image.Image], texts: Mapping[int, str]) -> list[list[Tile]]:
    """Return the tiles of a sheet."""
    return [[Tile(None) if row is None else Tile(pictures[row], texts[row]) for row in line] for line in places]


def _column(name: str | None, columns: Mapping[str, Column], table: FactorTable) -> str | None:
    """Return the column that a factor's name in specs, or a column's, means."""
    if name is None or name in columns:
        return name
    if name in table and table[name].column in columns:
        return table[name].column
    raise QuestionError(f"the dataset has no column '{name}'.{nearest(name, columns)}")


def _check(count: int, side: int) -> None:
    """Refuse a sheet before its pictures are read."""
    if not count:
        raise DatasetError("there is no picture to show")
    if count * side**2 > MOST_PIXELS:
        raise DatasetError(
            f"{count:,} pictures of {side} pixels are too many for a sheet: choose fewer levels, or make them smaller"
        )


def _varying(names: Iterable[str], columns: Mapping[str, Column], rows: Sequence[int]) -> list[str]:
    """Return the columns that have more than one value in some rows."""
    return [name for name in names if any(columns[name][a] != columns[name][b] for a, b in pairwise(rows))]


def _arranged(
    columns: Mapping[str, Column],
    by: str | None,
    across: str | None,
    others: Sequence[str],
    order: NDArray[np.int64],
    count: int,
) -> tuple[Places, list[Any], list[Any]]:
    """Return the rows of pictures, ``None`` where there is none, and the levels down and across."""
    if by and across:
        return _crossed(columns, by, across, others, order)
    if by or across:
        groups = _groups(columns[by or across or ""], order, count)
        if by:
            return list(groups.values()), list(groups), []
        return [list(line) for line in zip_longest(*groups.values())], [], list(groups)
    some: list[int | None] = np.sort(order[:count]).tolist()
    wide = max(1, round((1.5 * len(some)) ** 0.5))
    return [some[k : k + wide] for k in range(0, len(some), wide)], [], []


def _levels(values: Column) -> list[Any]:
    """Return the different values: ``own``, numbers ascending, then words in order."""
    if OWN in (different := list(dict.fromkeys(values.tolist()))):
        return in_level_order(different)

    def rank(value: Any) -> tuple[bool, bool, Any]:
        return value is None, isinstance(value, str), 0 if value is None else value

    return sorted(different, key=rank)


def _groups(values: Column, order: NDArray[np.int64], count: int) -> dict[Any, list[int | None]]:
    """Return level → some of its rows, the first of an order."""
    groups: dict[Any, list[int | None]] = {level: [] for level in _levels(values)}
    for row in order.tolist():
        if len(group := groups[_plain(values[row])]) < count:
            group.append(row)
    return groups


def _crossed(
    columns: Mapping[str, Column], by: str, across: str, others: Sequence[str], order: NDArray[np.int64]
) -> tuple[Places, list[Any], list[Any]]:
    """Return a row for each pair of levels, where there is one, and the levels of both factors."""
    settings: dict[Hashable, dict[tuple[Any, Any], int]] = {}
    for row in order.tolist():
        setting = tuple(_plain(columns[name][row]) for name in others)
        settings.setdefault(setting, {}).setdefault((_plain(columns[by][row]), _plain(columns[across][row])), row)
    # Of the settings of all else, those that fill the most places come first; among equals, chance has put them.
    cells: dict[tuple[Any, Any], int] = {}
    for filled in sorted(settings.values(), key=len, reverse=True):
        cells = {**filled, **cells}
    down, right = _levels(columns[by]), _levels(columns[across])
    return [[cells.get((one, two)) for two in right] for one in down], down, right


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _said(column: str, value: Any, table: FactorTable) -> str:
    """Return a value as people read it: a word by itself or by its name, a number with what it is of."""
    value = _plain(value)
    if (unit := unit_of(column)) or (column in table and table[column].group and table[column].kind == "number"):
        number = "own" if value == OWN else f"{float(value):.10g}"
        said = column.replace("_", " ")
        return f"{said} {number}" + (f" {unit}" if unit and value != OWN else "")
    if isinstance(value, str):
        if column in table and table[column].group and _at_default(column, value, table):
            return f"{column.replace('_', ' ')} {value}"  # "none" and "own" say nothing by themselves
        names = table[column].names if column in table else {}
        return next((name for name, level in names.items() if level == value), value)
    number = f"{value:g}" if isinstance(value, int | float) else f"{value}"
    return f"{column.replace('_', ' ')} {number}"


def _texts(
    columns: Mapping[str, Column], names: Mapping[int, Sequence[str | None]], table: FactorTable
) -> dict[int, str]:
    """Return row → what is said below its picture, a line for each of its columns."""
    return {
        row: "\n".join(_said(name, columns[name][row], table) for name in said if name) for row, said in names.items()
    }


def _all_said(column: str | None, levels: Sequence[Any], table: FactorTable) -> list[str]:
    return [] if column is None else [_said(column, level, table) for level in levels]
