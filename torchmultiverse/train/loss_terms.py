"""What terms beside any loss of an encoder have in common: their form, the vectors they see, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class LossTerms(Protocol):
    """What stands beside any loss of an encoder, and changes it.

    Attributes:
        table: name of the file with what it was, epoch by epoch.
    """

    table: str

    def __call__(self, loss: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return what is minimised, scalar, from the loss just computed by one pass over views of these images."""
        ...

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return what of it has weights, by name."""
        ...

    def follow(self, done: float) -> None:
        """Take note of how much of the training is done, 0 to 1."""
        ...

    def end_epoch(self) -> str:
        """Return the table of all epochs so far, as CSV."""
        ...

    def state(self) -> dict[str, Any]:
        """Return what beside its modules the next step depends on, under names of its own."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state` returned, among what others did."""
        ...


class TrunkVectors:
    """What the trunk gives while a loss is computed, of however many views: no loss needs to know of it.

    Args:
        module: with ``trunk``.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self._caught: list[torch.Tensor] = []
        trunk: torch.nn.Module = module.trunk  # type: ignore[assignment]
        trunk.register_forward_hook(self._catch)

    def _catch(self, module: torch.nn.Module, given: Any, made: torch.Tensor) -> None:
        if module.training and made.requires_grad:
            self._caught.append(made)

    def take(self) -> torch.Tensor:
        """Return (views · B, D) float32, views one after the other, and forget them."""
        import torch

        of, self._caught = self._caught, []
        return torch.cat([part.float() for part in of])


class EpochMeans:
    """Means of some numbers over the steps of each epoch.

    Args:
        columns: names, of the epoch and of each number.

    Attributes:
        history: means of each epoch that has ended.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._steps, self._sums = 0, [0.0] * (len(columns) - 1)
        self.history: list[list[float]] = []

    def add(self, values: Sequence[float]) -> None:
        """Take the numbers of a step."""
        self._steps += 1
        self._sums = [held + value for held, value in zip(self._sums, values, strict=True)]

    def end_epoch(self) -> str:
        """Return the table of all epochs so far, with means of the one that ends, as CSV."""
        if self._steps:
            self.history.append([value / self._steps for value in self._sums])
            self._steps, self._sums = 0, [0.0] * len(self._sums)
        lines = [[str(epoch), *(f"{value:.6g}" for value in row)] for epoch, row in enumerate(self.history, 1)]
        return "\n".join(",".join(line) for line in [list(self._columns), *lines]) + "\n"

    def load(self, history: Sequence[Sequence[float]]) -> None:
        """Take the means of the epochs before."""
        self.history = [list(map(float, row)) for row in history]
