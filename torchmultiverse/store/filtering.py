"""Rows that pass a filter, of anything that has columns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from torchmultiverse.errors import QuestionError, SpecError, nearest
from torchmultiverse.scenes import Condition, Factor, FactorTable, from_stored, parse_where
from torchmultiverse.store.manifest import table_of
from torchmultiverse.store.object_column import with_texts
from torchmultiverse.store.views import ImageSet, dataset_name


def filter_factors(schema: pa.Schema, published: FactorTable) -> FactorTable:
    """Return every column that a filter can name, as a factor: those of text and numbers beside the published ones."""
    more = []
    for column in schema:
        if column.name in published:
            continue
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            more.append(Factor(column.name, column.name, "category"))
        elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            more.append(Factor(column.name, column.name, "number"))
    return published.extended(more)


def passing(
    conditions: Sequence[Condition], factors: FactorTable, columns: Callable[[str], pa.Table], count: int
) -> NDArray[np.bool_]:
    """Return which rows pass all conditions, (N,).

    Args:
        conditions: of a filter.
        factors: what it can name.
        columns: a column by name, as a table.
        count: N.
    """
    keep = np.ones(count, dtype=bool)
    for condition in conditions:
        factor = factors[condition.factor]
        table = with_texts(columns(factor.column), factors)
        column = table[factor.column].combine_chunks().dictionary_encode()
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        # Each level is judged once, however many rows have it; the last place stands for null.
        passes = [_passes(condition, factor, level) for level in [*column.dictionary.to_pylist(), None]]
        codes = pc.fill_null(column.indices, len(passes) - 1).to_numpy(zero_copy_only=False)
        keep &= np.array(passes)[codes]
    return keep


def rows_where(images: ImageSet, text: str) -> NDArray[np.bool_]:
    """Return which rows of any images pass a filter, (N,); see `torchmultiverse.scenes.parse_where`.

    Args:
        images: a dataset, a folder, or images in memory.
        text: the filter.

    Raises:
        SpecError: the filter cannot be read.
        DatasetError: the images have no such column.

    >>> from PIL import Image
    >>> from torchmultiverse.store import ImageList
    >>> images = ImageList([Image.new("RGB", (8, 8))] * 2, [{"label": "cat"}, {"label": "dog"}])
    >>> rows_where(images, "label in (dog, horse)").tolist()
    [False, True]
    """
    table = images.table()
    factors = filter_factors(table.schema, table_of(images.manifest))

    def column(name: str) -> pa.Table:
        if name not in table.column_names:
            raise QuestionError(f"'{dataset_name(images)}' has no column '{name}'.{nearest(name, table.column_names)}")
        return table.select([name])

    return passing(parse_where(text, factors), factors, column, len(images))


def missed_levels(images: ImageSet, text: str) -> str:
    """Return which level of a filter no row has, with the nearest that rows have; "" where each is there.

    Args:
        images: a dataset, a folder, or images in memory.
        text: a filter that can be read, of columns that are there.

    >>> from PIL import Image
    >>> from torchmultiverse.store import ImageList
    >>> images = ImageList([Image.new("RGB", (8, 8))] * 2, [{"label": "cat"}, {"label": "dog"}])
    >>> missed_levels(images, "label = dgo")
    "label has no level 'dgo'. Did you mean 'dog'?"
    """
    table = images.table()
    factors = filter_factors(table.schema, table_of(images.manifest))
    for condition in parse_where(text, factors):
        factor, level = factors[condition.factor], str(condition.values[0])
        if condition.op not in ("=", "==", "in") or pa.types.is_floating(table.schema.field(factor.column).type):
            continue
        if not passing((condition,), factors, lambda name: table.select([name]), len(images)).any():
            known = {str(from_stored(factor, one)) for one in table[factor.column].unique().to_pylist()}
            return f"{factor.column} has no level '{level}'.{nearest(level, sorted(known))}"
    return ""


def _passes(condition: Condition, factor: Factor, level: Any) -> bool:
    """Whether a stored level passes; one that no scene could have (in a dataset of others) is compared as it is."""
    level = from_stored(factor, level)
    if level is None:
        return False
    with contextlib.suppress(SpecError):
        level = factor.canonical(level)
    return condition.holds(level)
