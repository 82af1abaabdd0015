"""Classes as directions: the cosine loss of supervised training that transfers, and classes as means of a memory.

Source: M. B. Sarıyıldız et al., *No reason for no supervision: improved generalization in supervised models*, ICLR
2023; chapter 4 of the thesis, equations 4.1 and 4.2.
"""

from __future__ import annotations

import torch
from torch.nn import functional
from typing_extensions import override

from torchmultiverse.errors import SettingError

TEMPERATURE = 0.1
MOMENTUM = 0.999
MEMORY = 8192


class ClassWeights(torch.nn.Module):
    """Learnt directions of classes: logits are cosines over a temperature (equation 4.1).

    Args:
        width: of the embeddings.
        classes: how many.
        temperature: of the softmax.
    """

    def __init__(self, width: int, classes: int, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.temperature = temperature
        self.weight = torch.nn.Parameter(torch.nn.init.trunc_normal_(torch.empty(classes, width), std=0.02))

    @override
    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of embeddings (N, D)."""
        return cosine_logits(embeddings, self.weight, self.temperature)


class ClassMemory(torch.nn.Module):
    """Directions of classes that are not learnt: means of the embeddings of each in a memory (equation 4.2).

    The memory is first in, first out, and empty at first. A class of which it holds nothing has no direction: its
    logit is 0 whatever the picture, as a cosine of nothing, and not −∞.

    Args:
        width: of the embeddings.
        classes: how many.
        size: embeddings that are remembered.
        temperature: of the softmax.

    Raises:
        ModelError: a memory of nothing.
    """

    embeddings: torch.Tensor
    labels: torch.Tensor
    place: torch.Tensor
    written: torch.Tensor
    times: torch.Tensor

    def __init__(self, width: int, classes: int, size: int = MEMORY, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        if size < 1:
            raise SettingError(f"'{size}' is no value of option.memory, such as {MEMORY}: it holds embeddings")
        self.temperature, self.classes = temperature, classes
        self.register_buffer("embeddings", torch.zeros(size, width))
        self.register_buffer("labels", torch.full((size,), -1, dtype=torch.int64))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))
        self.register_buffer("times", torch.zeros((), dtype=torch.int64))

    @override
    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of embeddings (N, D); no gradient flows into the memory."""
        return cosine_logits(embeddings, self.prototypes(), self.temperature)

    @torch.no_grad()
    def prototypes(self) -> torch.Tensor:
        """Return the mean embedding of each class, (C, D); 0 for a class that the memory lacks."""
        held = self.labels >= 0
        sums = self.embeddings.new_zeros(self.classes, self.embeddings.shape[1])
        sums.index_add_(0, self.labels[held], self.embeddings[held])
        counts = torch.bincount(self.labels[held], minlength=self.classes)
        return sums / counts.clamp(min=1)[:, None]

    @torch.no_grad()
    def remember(self, embeddings: torch.Tensor, labels: torch.Tensor) -> None:
        """Put embeddings (N, D) and their classes (N,) in, over the oldest ones."""
        size = len(self.labels)
        self.written += len(labels)
        self.times += 1
        start = int(self.place) + max(0, len(labels) - size)  # of more than fit the last ones stay
        embeddings, labels = embeddings[-size:], labels[-size:]
        places = (start + torch.arange(len(labels), device=self.labels.device)) % size
        self.embeddings[places] = functional.normalize(embeddings.float(), dim=1)
        self.labels[places] = labels
        self.place.fill_((start + len(labels)) % size)

    @property
    def full(self) -> bool:
        """Whether nothing is left of its first, empty, state."""
        return int(self.written) >= len(self.labels)

    def absent(self) -> list[int]:
        """Return the classes of which the memory holds nothing."""
        counts = torch.bincount(self.labels[self.labels >= 0], minlength=self.classes)
        found: list[int] = torch.nonzero(counts == 0).flatten().tolist()
        return found


def cosine_logits(embeddings: torch.Tensor, directions: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return cosines over a temperature, (N, C), of embeddings (N, D) and directions (C, D); 0 for a direction of 0.

    Example:
        >>> import torch
        >>> cosine_logits(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 0.0]]), 0.1).tolist()
        [[10.0, 0.0]]
    """
    one, two = functional.normalize(embeddings.float(), dim=1), functional.normalize(directions.float(), dim=1)
    return one @ two.T / temperature
