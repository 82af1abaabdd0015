"""PyTorch modules from pictures to one tensor: classifiers and encoders of any library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.base import ModelInfo
from torchmultiverse.models.preprocess import FloatArray, Images

if TYPE_CHECKING:
    import torch


class ModuleClassifier(tools.TorchModel):
    """A module with a classification head.

    Args:
        module: pictures (N, 3, H, W) to logits (N, C).
        info: the model's facts; its preprocessing is applied.
        classes: names of the logits; ``None`` means the 1000 of ImageNet.
        out: from what the module returns to the logits, where it returns more.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        info: ModelInfo,
        classes: Sequence[str] | None = None,
        out: Callable[[Any], Any] = lambda output: output,
    ) -> None:
        super().__init__(module, info)
        self.classes = classes
        self._out = out

    def logits(self, images: Images) -> FloatArray:
        """Return (N, C)."""
        with self.computing():
            return tools.out_of(self._out(self.module(self.batch(images))))


class ModuleEncoder(tools.TorchModel):
    """A module that turns pictures into vectors.

    Args:
        module: pictures (N, 3, H, W) to vectors (N, D).
        info: the model's facts; its preprocessing is applied.
        out: from what the module returns to the vectors, where it returns more.
    """

    def __init__(
        self, module: torch.nn.Module, info: ModelInfo, out: Callable[[Any], Any] = lambda output: output
    ) -> None:
        super().__init__(module, info)
        self._out = out

    def encode_image(self, images: Images) -> FloatArray:
        """Return one vector per picture, (N, D), as the module gives it."""
        with self.computing():
            return tools.out_of(self._out(self.module(self.batch(images))))
