"""True captions against the same words in other orders: of each caption of a picture, which order is right? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.task import Task, joined
from torchmultiverse.json_text import read_json


class OrderProtocol(Protocol):
    """A caption or other orders of its words, caption by caption.

    Attributes:
        orders: column of JSON texts: of each caption of the picture a list of it and of its shuffles.
        split: only pictures of this split; all where the dataset has no splits.
        cluster: columns whose values name a cluster.
    """

    kind: Literal["order"]
    orders: str
    split: str | None = None
    cluster: tuple[str, ...] = ()

    @override
    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        if self.orders not in columns:
            raise DatasetError(f"protocol '{self.name}' needs the column '{self.orders}'; found {', '.join(columns)}")
        keep = np.ones(len(columns[self.orders]), bool)
        if self.split is not None and "split" in columns:
            keep &= columns["split"].astype(str) == self.split
        asked = [(row, order) for row in np.flatnonzero(keep).tolist() for order in self._read(columns, row)]
        if not asked:
            where = f" in the split '{self.split}'" if self.split else ""
            raise DatasetError(f"protocol '{self.name}': no picture{where} has a caption in another order")
        candidates = tuple(sorted({text for _, order in asked for text in order}))
        place = {caption: index for index, caption in enumerate(candidates)}
        most = max(len(order) for _, order in asked)
        options = np.full((len(asked), most), -1, np.int64)
        for line, (_, order) in zip(options, asked, strict=True):
            line[: len(order)] = [place[text] for text in order]
        rows = np.array([row for row, _ in asked], np.int64)
        return [
            Task(
                name="order", title="True caption or another word order", rows=rows, candidates=candidates,
                labels=options[:, 0].copy(), options=options, metrics=("choice",),
                clusters=joined([columns[name][rows] for name in self.cluster if name in columns]),
            )
        ]  # fmt: skip

    def _read(self, columns: Mapping[str, NDArray[Any]], row: int) -> list[list[str]]:
        """Return the orders of a picture's captions, the true one first.

        Raises:
            DatasetError: a text that says something else.
        """
        text = columns[self.orders][row]
        try:
            found = read_json(text or "[]")
            if not all(len(one) > 1 and all(isinstance(word, str) and word for word in one) for one in found):
                raise ValueError("a caption and at least one other order are needed, as texts")
        except (ValueError, TypeError) as error:
            raise DatasetError(
                f"protocol '{self.name}', row {row}: {self.orders} is no list of lists of captions: {error}"
            ) from None
        return [list(dict.fromkeys(one)) for one in found]
