"""Which column of a dataset says the class, where nobody names one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest

LABEL_COLUMNS = ("character_label", "character_name", "label", "Actor1Category", "Actor1Name")
"""Columns that may say the class, the most likely first: of rendered datasets, of folders, of captioned relations."""


def usual_label(columns: Mapping[str, NDArray[Any]]) -> str | None:
    """Return the first of `LABEL_COLUMNS` that varies; of those that do not, the first; ``None`` without any.

    >>> usual_label({"label": np.array(["photo", "photo"]), "folder_2": np.array(["cat", "dog"])})
    'label'
    >>> usual_label({"character_name": np.array(["cat", "cat"]), "label": np.array(["near", "far"])})
    'label'
    """
    there = [name for name in LABEL_COLUMNS if name in columns]
    varied = (name for name in there if len(np.unique(columns[name].astype(str))) > 1)
    return next(varied, there[0] if there else None)


def label_column(columns: Mapping[str, NDArray[Any]], wanted: str | None, dataset: str, option: str = "--label") -> str:
    """Return the column of classes: the one that is named, else `usual_label`.

    Args:
        columns: of the dataset.
        wanted: its name; ``None``: the usual one.
        dataset: its name, for errors.
        option: that names the column, for errors.

    Raises:
        DatasetError: none of that name, or none at all.
    """
    if wanted is not None:
        if wanted not in columns:
            raise QuestionError(f"{dataset} has no column '{wanted}' ({option}).{nearest(wanted, columns)}")
        return wanted
    found = usual_label(columns)
    if found is None:
        raise DatasetError(
            f"{dataset} has none of the columns {', '.join(LABEL_COLUMNS)}: name the one of classes by {option}."
            f"{nearest('', columns)}"
        )
    return found
