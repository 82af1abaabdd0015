"""What a protocol is: facts about itself, and the tasks that it makes of a dataset's columns.

``dataset`` is the name of the dataset that a protocol is meant for (its spec's name); another one is evaluated as well,
and the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from numpy.typing import NDArray

from torchmultiverse.evaluation.strict import StrictModel
from torchmultiverse.evaluation.task import Task
from torchmultiverse.models import Preprocess


class DeclaredPreprocess(StrictModel):
    """A preprocessing that a protocol prescribes for every model, see :class:`~torchmultiverse.models.Preprocess`."""

    size: int
    window: int = 0
    resize: Literal["shortest", "squash", "longest"] = "squash"
    crop: float = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def preprocess(self) -> Preprocess:
        """Return it as models use it."""
        return Preprocess(
            (self.size, self.size), self.resize, self.crop, self.interpolation, self.mean, self.std, window=self.window
        )


class Macro(StrictModel):
    """Of which levels the mean of accuracies is taken, each level counting once.

    Attributes:
        column: of the levels.
        least: levels of fewer rows are left out.
        leave_out: levels that are left out, such as relations that hold both ways.
        shared: levels, or the two words of levels such as ``red_white``, whose mean is told apart as well: those that
            training data have too.
        shared_with: what the training data are called.
    """

    column: str
    least: int = 1
    leave_out: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    shared_with: str = ""

    def counts(self, level: str, rows: int) -> bool:
        """Return whether a level of so many rows counts."""
        return rows >= self.least and level not in self.leave_out

    def is_shared(self, level: str) -> bool:
        """Return whether training data have a level too."""
        return level in self.shared or {*level.split("_")} <= {*self.shared}


class Protocol(StrictModel):
    """What every protocol says of itself; a subclass adds its options and `compile`.

    Attributes:
        kind: of a protocol file; which subclass reads it.
        name, version, title, description, source: for results and for people.
        dataset: that it belongs to, where it belongs to one.
        preprocess: of every model; by default each has its own.
    """

    kind: str = ""
    name: str
    version: int
    title: str
    description: str = ""
    source: str = ""
    dataset: str | None = None
    preprocess: DeclaredPreprocess | None = None

    def compile(self, columns: Mapping[str, NDArray[Any]]) -> Sequence[Task]:
        """Return every task that a dataset allows, in the order of results.

        Args:
            columns: of the dataset, (N,) each, strings as objects.

        Raises:
            DatasetError: a column is missing, or there is nothing to ask.
        """
        raise NotImplementedError
