"""Where in a picture the features of a layer come from: Grad-CAM, for any layer of any model.

Source: R. Selvaraju et al., *Grad-CAM: visual explanations from deep networks via gradient-based localization*, ICCV
2017. Of a layer that is the mean over a map it is the map's own channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError
from torchmultiverse.features.layers import OUTPUT, LayerExtractor, _axis, _inner, _tensor, choose, layers_of
from torchmultiverse.models import FloatArray, Images

if TYPE_CHECKING:
    import torch

_LEAST_PLACES = 4


class HeatMaps:
    """Heat maps of features of a layer.

    The heat of a place is the sum over channels of the map times the mean slope of the features by that channel,
    without what is negative. The map is the last one, at or before the layer, that all that comes later depends on.

    Args:
        model: any PyTorch model of this package.
        layer: name, as `torchmultiverse.features.layers.choose` takes it.

    Attributes:
        place: name of the layer whose map it is.

    Raises:
        ModelError: no such layer, or no map before it.
    """

    def __init__(self, model: Any, layer: str) -> None:
        import torch

        (layer,) = choose(model, [layer])
        self._model, self._extract = _inner(model), LayerExtractor(model, [layer])
        maps = [one.name for one in layers_of(model) if _side(one.shape) and one.name != OUTPUT]
        probe = torch.zeros(1, 3, *self._model.input_size, device=self._model.device)
        features, found = self._forward(probe, maps)
        slopes = torch.autograd.grad(features.sum(), list(found.values()), allow_unused=True) if found else ()
        before = [name for name, slope in zip(found, slopes, strict=True) if slope is not None]
        if not before:
            raise ModelError(f"no heat maps of '{layer}': no layer before it has places of the picture")
        self.place = before[-1]

    def __call__(self, images: Images, weights: FloatArray) -> FloatArray:
        """Return maps (N, h, w), 0 or larger, at the resolution of the layer.

        Args:
            images: a batch.
            weights: of the features whose sum is explained, (N, D); 0 for those that do not count.
        """
        import torch

        pixels = self._model.batch(images)
        features, found = self._forward(pixels, [self.place])
        of = torch.from_numpy(np.ascontiguousarray(weights, np.float32)).to(features.device)
        tensor = found[self.place]
        (slope,) = torch.autograd.grad((features * of).sum(), tensor)
        with torch.no_grad():
            values, slopes = (_grid(one, len(pixels)) for one in (tensor, slope))
            heat = (values * slopes.mean((2, 3), keepdim=True)).sum(1).clamp(min=0)
            out: FloatArray = heat.float().cpu().numpy()
            return out

    def _forward(self, pixels: torch.Tensor, places: Sequence[str]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the features of pictures, and the outputs of modules on the way to them, with gradients."""
        import torch

        found: dict[str, torch.Tensor] = {}

        def catch(name: str, output: Any) -> Any:
            if (tensor := _tensor(output)) is not None:
                found[name] = tensor
            # A copy goes on: what follows may change the tensor in place.
            return output.clone() if isinstance(output, torch.Tensor) else None

        handles = []
        for place in places:
            hook = partial(lambda name, _, __, output: catch(name, output), place)
            handles.append(self._model.module.get_submodule(place).register_forward_hook(hook))
        try:
            with torch.enable_grad():
                (features,) = self._extract.forward(pixels.requires_grad_(True))
        finally:
            for handle in handles:
                handle.remove()
        return features, found


def _side(shape: tuple[int, ...]) -> int:
    """Return how many places one picture has in a layer of this shape; 0 where it has none."""
    if len(shape) == 3:
        places = shape[1] * shape[2] if shape[1] == shape[2] else shape[0] * shape[1]
        return places if places >= _LEAST_PLACES else 0
    if len(shape) == 2:
        side = math.isqrt(shape[0])
        return side**2 if side**2 >= _LEAST_PLACES else 0
    return 0


def _grid(tensor: torch.Tensor, count: int) -> torch.Tensor:
    """Return a map or tokens as (N, C, h, w); tokens that stand before the grid are left out."""
    axis = _axis(tensor, count)
    assert axis is not None
    tensor = tensor.movedim(axis, 0).float()
    if tensor.ndim == 4:
        return tensor if tensor.shape[2] == tensor.shape[3] else tensor.permute(0, 3, 1, 2)
    side = math.isqrt(tensor.shape[1])
    return tensor[:, tensor.shape[1] - side**2 :].transpose(1, 2).reshape(len(tensor), -1, side, side)


def resized_maps(maps: NDArray[Any], size: tuple[int, int]) -> FloatArray:
    """Return maps (N, h, w) at another resolution (height, width), bilinear.

    >>> resized_maps(np.array([[[0.0, 1.0], [0.0, 1.0]]]), (2, 4))[0, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    import torch

    given = torch.from_numpy(np.ascontiguousarray(maps, np.float32))[:, None]
    found = torch.nn.functional.interpolate(given, size=size, mode="bilinear", align_corners=False)[:, 0]
    out: FloatArray = found.numpy()
    return out
