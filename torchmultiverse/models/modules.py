"""PyTorch modules from pictures to one tensor: classifiers and encoders of any library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.models.preprocess import FloatArray, Images

if TYPE_CHECKING:
    import torch


class _Module(tools.TorchModel):
    """A module from pictures (N, 3, H, W) to one tensor; ``out`` takes it from what the module returns."""

    def __init__(
        self, module: torch.nn.Module, info: ModelInfo, out: Callable[[Any], Any] = lambda output: output
    ) -> None:
        super().__init__(module, info)
        self._out = out

    @override
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self._out(self.module(pixels))
        return found

    def _run(self, images: Images) -> FloatArray:
        with self.computing():
            return tools.out_of(self.forward(self.batch(images)))


class ModuleClassifier(_Module):
    """A module with a classification head.

    Args:
        module: pictures (N, 3, H, W) to logits (N, C).
        info: the model's facts; its preprocessing is applied.
        classes: names of the logits; ``None`` means the 1000 of ImageNet.
        out: from what the module returns to the logits, where it returns more.
    """

    adapter = "ModuleClassifier"

    def __init__(
        self,
        module: torch.nn.Module,
        info: ModelInfo,
        classes: Sequence[str] | None = None,
        out: Callable[[Any], Any] = lambda output: output,
    ) -> None:
        super().__init__(module, info, out)
        self.classes = classes

    def logits(self, images: Images) -> FloatArray:
        """Return (N, C)."""
        return self._run(images)


class WithoutBackground(ModuleClassifier):
    """A classifier whose first logit is a class for the background, which no picture here is of: it is left out."""

    adapter = "WithoutBackground"

    @override
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return super().forward(pixels)[:, 1:]


class ModuleEncoder(_Module):
    """A module that turns pictures into vectors.

    Args:
        module: pictures (N, 3, H, W) to vectors (N, D).
        info: the model's facts; its preprocessing is applied.
        out: from what the module returns to the vectors, where it returns more.
    """

    adapter = "ModuleEncoder"

    def encode_image(self, images: Images) -> FloatArray:
        """Return one vector per picture, (N, D), as the module gives it."""
        return self._run(images)
