"""Records of experiments with a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.decoders import DecoderFacts, encoded
from torchmultiverse.documents import Document, Record
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.study import Cell, ImageRow

MANY = 64
"""Pictures over which numbers are taken."""


def image_row(
    label: str,
    inputs: Iterable[NDArray[np.uint8]],
    samples: Iterable[NDArray[np.uint8]],
    captions: Sequence[str] = (),
    misclassified: bool = False,
) -> ImageRow:
    """Return a row of pictures, uint8 (S, S, 3) each."""
    return ImageRow(
        label=label, inputs=encoded(inputs), samples=encoded(samples), captions=tuple(captions),
        misclassified=misclassified,
    )  # fmt: skip


class Experiment(Record):
    """What came of one experiment.

    Attributes:
        name, title, about: its key, its heading, and how to read it.
        rows: of pictures.
        table: each line has the same columns. Fractions are 0 to 1, under names that end in ``%``.
    """

    name: str
    title: str
    about: str = ""
    rows: tuple[ImageRow, ...] = ()
    table: tuple[Mapping[str, Cell], ...] = ()

    @model_validator(mode="after")
    def _has_all_columns(self) -> Self:
        for number, line in enumerate(self.table):
            if missing := self.table[0].keys() - line.keys():
                raise ValueError(f"table: line {number} has no {', '.join(sorted(missing))}")
        return self


def experiment(
    name: str, title: str, about: str, rows: Sequence[ImageRow], table: Sequence[Mapping[str, Any]]
) -> Experiment:
    """Return the record of an experiment."""
    return Experiment(name=name, title=title, about=about, rows=tuple(rows), table=tuple(table))


def mean_cells(name: str, values: NDArray[Any]) -> dict[str, float]:
    """Return the cells of a table that hold a mean over independent pictures, with its interval."""
    found = mean_interval(values.astype(float), np.arange(len(values)), Intervals())
    return {f"{name} %": found.mean, "low %": found.low, "high %": found.high}


class Experiments(Document):
    """Several experiments with one decoder.

    Attributes:
        config: of the decoder.
        dataset: name.
        experiments: in the order that they were run.
        notes: experiments that could not be run, and why.
    """

    file: ClassVar[str] = "experiments.json"
    former_files: ClassVar[tuple[str, ...]] = ("studies.json",)
    config: DecoderFacts
    dataset: str
    experiments: tuple[Experiment, ...]
    notes: tuple[str, ...] = ()

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return migrations.experiments(data) if version < 1 else data
