"""Where in a picture the features of a layer come from: Grad-CAM, for any layer of any PyTorch model.

Of a feature that is the mean of a channel over a map Grad-CAM is the channel itself, divided by its number of places,
since the slope is the same at every place of this channel and 0 in all others. Patch tokens of a transformer are a map
once the class token is left out. Of a feature of a vector, or of the class token, the map is on the last layer before
it that has places, and enough of them.

Source: R. Selvaraju et al., *Grad-CAM: visual explanations from deep networks via gradient-based localization*, IJCV
2020, equations 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError
from torchmultiverse.features.layers import OUTPUT, LayerExtractor, _axis, _tensor, choose, layers_of
from torchmultiverse.models import FloatArray, HasLayers, Images
from torchmultiverse.progress import progress_bar
from torchmultiverse.store import ImageSet

if TYPE_CHECKING:
    import torch

LEAST_SIDE = 4
"""Places along a side of a map, below which an earlier layer is asked."""
_MOST_PREFIX = 16  # tokens before the patches: of the class, registers


class HeatMaps:
    """Heat maps of features of a layer.

    The heat of a place is the sum over channels of the map times the mean slope of the features by that channel,
    without what is negative. The map is the nearest one, at or before the layer, that all that comes later depends on
    and that has `LEAST_SIDE` places along a side; where none has so many, the nearest with two.

    Args:
        model: any PyTorch model of this package.
        layer: name, as `torchmultiverse.features.features_of` takes it.

    Attributes:
        place: name of the layer whose map it is.
        width: number of features.

    Raises:
        ModelError: no PyTorch model, no such layer, or no map before it.
    """

    def __init__(self, model: Any, layer: str) -> None:
        import torch

        if not isinstance(model, HasLayers):
            name = getattr(getattr(model, "info", None), "name", type(model).__name__)
            raise ModelError(f"'{name}' is no PyTorch model of this package: no gradient goes through it, so no map")
        (layer,) = choose(model, [layer])
        self._model, self._extract = model, LayerExtractor(model, [layer])
        known = [one.name for one in layers_of(model) if len(one.shape) > 1 and one.name != OUTPUT]
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(2, 3, *model.input_size, generator=generator).to(model.device)
        features, found = self._forward(probe, known)
        self.width = int(features.shape[1])
        # Not the sum of features: behind a layer normalisation that is constant.
        mixed = (features * torch.cos(torch.arange(self.width, device=features.device))).sum()
        slopes = torch.autograd.grad(mixed, list(found.values()), allow_unused=True) if found else ()
        sides: dict[str, int] = {}
        for (name, tensor), slope in zip(found.items(), slopes, strict=True):
            grid = None if slope is None or tensor is None else _spatial(slope, len(probe))
            # What acts through the class token alone has no slope at its places.
            if grid is not None and bool((grid != 0).any()) and min(grid.shape[2:]) > 1:
                sides[name] = min(grid.shape[2:])
        if not sides:
            raise ModelError(f"nothing before layer '{layer}' of '{model.info.name}' has places in the picture: no map")
        self.place = next((name for name in reversed(sides) if sides[name] >= LEAST_SIDE), [*sides][-1])

    def __call__(self, images: Images, weights: FloatArray) -> FloatArray:
        """Return maps (N, h, w) float32, 0 or larger, at the resolution of the layer, over the model's input.

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
            values, slopes = _spatial(tensor.float(), len(pixels)), _spatial(slope.float(), len(pixels))
            assert values is not None
            assert slopes is not None
            heat = (values * slopes.mean((2, 3), keepdim=True)).sum(1).clamp(min=0)
            out: FloatArray = heat.cpu().numpy()
            return out

    def _forward(self, pixels: torch.Tensor, places: Sequence[str]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the features of pictures, and the outputs of modules on the way to them, with gradients."""
        import torch

        found: dict[str, torch.Tensor] = {}

        def catch(name: str, output: Any) -> Any:
            if (tensor := _tensor(output)) is not None:
                found.pop(name, None)
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


def unit_maps(
    model: Any,
    layer: str,
    images: ImageSet,
    rows: NDArray[np.int64],
    units: NDArray[np.int64],
    batch_size: int = 32,
    quiet: bool = False,
) -> FloatArray:
    """Return where in pictures units are active.

    Args:
        model: any PyTorch model of this package.
        layer: whose units, as of `torchmultiverse.features.features_of`.
        images: the dataset.
        rows: of it, (P,); a picture may come several times.
        units: of the layer, (P,): the unit that is asked about beside each row.
        batch_size: pictures per call.
        quiet: show no bar.

    Returns:
        (P, h, w) float32, at least 0, over the model's input (its resized and cropped picture); all 0 where no place
        makes the unit more active.

    Raises:
        ModelError: see `HeatMaps`; or no such unit.
    """
    rows, units = np.asarray(rows, np.int64), np.asarray(units, np.int64)
    if rows.shape != units.shape or rows.ndim != 1:
        raise ModelError(f"{rows.shape} rows for {units.shape} units; as many of both are right")
    maps = HeatMaps(model, layer)
    if units.size and not (units.min() >= 0 and units.max() < maps.width):
        raise ModelError(f"layer '{layer}' has units 0 to {maps.width - 1}, not {int(units.max())}")
    found = []
    with progress_bar(quiet) as bar:
        task = bar.add_task("where units are active", total=len(rows))
        for start in range(0, len(rows), batch_size):
            some = slice(start, start + batch_size)
            pictures = [image.convert("RGB") for image in images.iter_images([int(row) for row in rows[some]])]
            weights = np.zeros((len(pictures), maps.width), np.float32)
            weights[np.arange(len(pictures)), units[some]] = 1
            found.append(maps(pictures, weights))
            bar.advance(task, len(pictures))
    return np.concatenate(found) if found else np.zeros((0, 1, 1), np.float32)


def _spatial(tensor: torch.Tensor, count: int) -> torch.Tensor | None:
    """Return a layer's output as maps (N, C, h, w); ``None`` where it has no places."""
    axis = _axis(tensor, count)
    if axis is None:
        return None
    tensor = tensor.movedim(axis, 0)
    if tensor.ndim == 4:
        # Convolutions have channels first, Swin's maps last, as `pooled` tells them.
        return tensor if tensor.shape[2] == tensor.shape[3] else tensor.permute(0, 3, 1, 2)
    if tensor.ndim != 3:
        return None
    side = isqrt(tensor.shape[1])
    prefix = tensor.shape[1] - side * side
    if side < 2 or prefix > _MOST_PREFIX:
        return None
    places: torch.Tensor = tensor[:, prefix:].transpose(1, 2).reshape(count, -1, side, side)
    return places


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
