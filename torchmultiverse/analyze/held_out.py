"""Which pictures of a dataset each of two models is trained on, and which none of them sees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator
from typing_extensions import override

from torchmultiverse.documents import Document
from torchmultiverse.errors import DatasetError, QuestionError, counted, nearest
from torchmultiverse.store import ImageSet, columns_of, manifest_hash

SPLITS = ("A", "B", "shared", "public", "held out")


def _rows(value: Any) -> NDArray[np.int64]:
    rows = np.asarray(value)
    if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
        raise ValueError("rows are a list of whole numbers")
    return rows.astype(np.int64)


_Rows = Annotated[NDArray[np.int64], PlainValidator(_rows), PlainSerializer(lambda rows: rows.tolist())]


class HeldOutSplits(Document):
    """Rows of a dataset by who sees them; no row is in two splits.

    Attributes:
        rows: of each of `SPLITS`: A and B are seen by one model each and asked for; ``shared`` is seen by both;
            ``public`` is labelled and seen by none; ``held out`` is asked for and seen by none.
        label: column of the labels.
        data_sha256: of the dataset's manifest.
        seed: of the draw.
    """

    file: ClassVar[str] = "sets.json"
    made_by: ClassVar[str] = "; it is made by 'torchmultiverse data split DATA --out sets.json'"
    rows: Mapping[str, _Rows]
    label: str
    data_sha256: str
    seed: int

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return {name: value for name, value in data.items() if name != "format"}

    def seen_by(self, model: Literal["A", "B"]) -> NDArray[np.int64]:
        """Return the rows that a model is trained on, in order."""
        return np.sort(np.concatenate([self.rows[model], self.rows["shared"]]))

    def exchanged(self) -> HeldOutSplits:
        """Return the same with A and B exchanged, for the model that saw B."""
        return self.model_copy(update={"rows": {**self.rows, "A": self.rows["B"], "B": self.rows["A"]}})

    @classmethod
    def load_for(cls, path: str | Path, images: ImageSet) -> Self:
        """Read the splits of a dataset.

        Raises:
            DatasetError: no such file, or splits of another dataset.
        """
        found = cls.load(path)
        if missing := [name for name in SPLITS if name not in found.rows]:
            raise DatasetError(f"{path} has no split '{missing[0]}'")
        if found.data_sha256 != manifest_hash(images):
            raise DatasetError(f"{path} divides another dataset (manifest {found.data_sha256[:12]})")
        return found


def draw_splits(
    images: ImageSet,
    label: str,
    per_class: int,
    public: int | None = None,
    shared: int = 0,
    held_out: int = 0,
    seed: int = 0,
) -> HeldOutSplits:
    """Divide a dataset, as many pictures of each class to each split.

    Args:
        images: the dataset.
        label: column with the classes.
        per_class: pictures of each class in A, and as many in B.
        public: of each class; all that are left by default.
        shared, held_out: of each class.
        seed: of the draw.

    Raises:
        DatasetError: no such column, or a class that has too few pictures.
    """
    columns = columns_of(images)
    if label not in columns:
        raise QuestionError(f"no column '{label}'.{nearest(label, columns)}")
    values = columns[label].astype(str)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[NDArray[np.int64]]] = {name: [] for name in SPLITS}
    for level in np.unique(values):
        mine = rng.permutation(np.flatnonzero(values == level))
        wanted = {"A": per_class, "B": per_class, "shared": shared, "held out": held_out}
        least = sum(wanted.values()) + (public or 1)
        if len(mine) < least:
            extra = "".join(
                f" + {count} {name}" for name, count in (("shared", shared), ("held out", held_out)) if count
            )
            raise QuestionError(
                f"{label} '{level}' has {counted(len(mine), 'picture')}, {least} are needed: "
                f"2 × {per_class} for A and B{extra} + {public or 1} public"
            )
        at = 0
        for name, count in wanted.items():
            parts[name].append(mine[at : at + count])
            at += count
        parts["public"].append(mine[at:] if public is None else mine[at : at + public])
    rows = {name: np.sort(np.concatenate(held)) for name, held in parts.items()}
    return HeldOutSplits(rows=rows, label=label, data_sha256=manifest_hash(images), seed=seed)
