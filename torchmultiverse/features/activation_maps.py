"""Where in a picture a unit is active: its own map where a layer has places, Grad-CAM where it has none.

A unit that is the mean of a channel over a map has the channel itself as its map: that is what Grad-CAM says too, since
the gradient is the same at every place of this channel and 0 in all others. Patch tokens of a transformer are a map
once the class token is left out. Of a unit of a vector, or of the class token, the map is Grad-CAM on the last layer
before it that has places, and enough of them.

Source: R. Selvaraju et al., *Grad-CAM: visual explanations from deep networks via gradient-based localization*, IJCV
2020.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError
from torchmultiverse.features.layers import OUTPUT, _axis, _hooks, _inner, layers_of, pooled
from torchmultiverse.models import FloatArray
from torchmultiverse.progress import progress_bar
from torchmultiverse.store import ImageSet

if TYPE_CHECKING:
    import torch

LEAST_SIDE = 4
"""Places along a side of a map, below which an earlier layer is asked."""
_MOST_PREFIX = 16  # tokens before the patches: of the class, registers


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
        ModelError: no layer at or before this one has places, or no such unit.

    Source: Grad-CAM, IJCV 2020, equations 1 and 2.
    """
    rows, units = np.asarray(rows, np.int64), np.asarray(units, np.int64)
    if rows.shape != units.shape or rows.ndim != 1:
        raise ModelError(f"{rows.shape} rows for {units.shape} units; as many of both are right")
    looked = _Maps(model, layer)
    unique, place = np.unique(rows, return_inverse=True)
    found: list[FloatArray | None] = [None] * len(rows)
    with progress_bar(quiet) as bar:
        task = bar.add_task("where units are active", total=len(unique))
        for start in range(0, len(unique), batch_size):
            some = unique[start : start + batch_size]
            pairs = np.flatnonzero((place >= start) & (place < start + len(some)))
            pictures = [image.convert("RGB") for image in images.iter_images([int(row) for row in some])]
            for pair, one in zip(pairs, looked(pictures, place[pairs] - start, units[pairs]), strict=True):
                found[int(pair)] = one
            bar.advance(task, len(some))
    return np.stack([one for one in found if one is not None]) if len(rows) else np.zeros((0, 1, 1), np.float32)


class _Maps:
    """Maps of the units of one layer.

    Args:
        model: whose.
        layer: name, with or without pooling.

    Raises:
        ModelError: nothing at or before the layer has places.
    """

    def __init__(self, model: Any, layer: str) -> None:
        self._model = _inner(model)
        self.name, _, self.pooling = layer.partition("@")
        self._earlier = [one.name for one in layers_of(model) if len(one.shape) > 1 and one.name != OUTPUT]

    def __call__(self, pictures: list[Any], place: NDArray[np.int64], units: NDArray[np.int64]) -> list[FloatArray]:
        """Return a map for each pair of a picture (its place in the batch) and a unit."""
        import torch

        kept: dict[str, torch.Tensor] = {}

        def keep(name: str, tensor: torch.Tensor) -> None:
            kept.pop(name, None)
            kept[name] = tensor.clone() if name == self.name else tensor  # what follows may change it in place

        wanted = {self.name, *self._earlier} - {OUTPUT}
        with _hooks(self._model.module, keep, wanted), torch.enable_grad():
            pixels = self._model.batch(pictures).requires_grad_(True)
            end = self._model.forward_full(pixels)
            target = end if self.name == OUTPUT else kept.get(self.name)
            if target is None:
                raise ModelError(f"layer '{self.name}' of '{self._model.info.name}' is not computed for a picture")
            own = None if self.pooling == "cls" else _spatial(target, len(pictures))
            rows = pooled(target, len(pictures), self.pooling or "mean")
            if units.size and not (units.min() >= 0 and units.max() < rows.shape[1]):
                raise ModelError(f"layer '{self.name}' has units 0 to {rows.shape[1] - 1}, not {int(units.max())}")
            if own is not None and min(own.shape[2:]) >= LEAST_SIDE:
                return [_positive(own[int(p), int(u)]) for p, u in zip(place, units, strict=True)]
            before = [(name, tensor) for name, tensor in kept.items() if name != self.name]
            return self._by_gradient(before[::-1], rows, place, units, len(pictures))

    def _by_gradient(
        self, before: list[tuple[str, torch.Tensor]], rows: torch.Tensor, place: NDArray[np.int64],
        units: NDArray[np.int64], count: int,
    ) -> list[FloatArray]:  # fmt: skip
        """Return Grad-CAM on the nearest layer that reaches the units through its places, the nearest first."""
        import torch

        maps = [(tensor, _spatial(tensor, count)) for _, tensor in before]
        places = [(tensor, own) for tensor, own in maps if own is not None and min(own.shape[2:]) > 1]
        places.sort(key=lambda one: min(one[1].shape[2:]) < LEAST_SIDE)  # stable: the nearest of those that are large
        # Not their sum: behind a layer normalisation that is constant.
        mixed = (rows * torch.cos(torch.arange(rows.shape[1], device=rows.device))).sum()
        for tensor, own in places:
            probe = torch.autograd.grad(mixed, tensor, retain_graph=True, allow_unused=True)[0]
            reaching = None if probe is None else _spatial(probe, count)
            if reaching is None or not bool((reaching != 0).any()):
                continue  # what comes later, or acts through the class token alone
            return self._cams(tensor, own.detach(), rows, place, units, count)
        raise ModelError(
            f"nothing before layer '{self.name}' of '{self._model.info.name}' has places in the picture: no map"
        )

    def _cams(
        self, tensor: torch.Tensor, own: torch.Tensor, rows: torch.Tensor, place: NDArray[np.int64],
        units: NDArray[np.int64], count: int,
    ) -> list[FloatArray]:  # fmt: skip
        import torch

        found: list[FloatArray | None] = [None] * len(place)
        turn = np.zeros(len(place), np.int64)  # the how manieth unit of its picture each pair is
        seen: dict[int, int] = {}
        for k, picture in enumerate(place.tolist()):
            turn[k] = seen.get(picture, 0)
            seen[picture] = int(turn[k]) + 1
        for number in range(int(turn.max(initial=-1)) + 1):
            mine = np.flatnonzero(turn == number)  # one unit of each picture: pictures do not mix
            chosen = rows[torch.as_tensor(place[mine]), torch.as_tensor(units[mine])].sum()
            slope = torch.autograd.grad(chosen, tensor, retain_graph=True)[0]
            gradient = _spatial(slope, count)
            assert gradient is not None
            cams = (gradient.mean((2, 3), keepdim=True) * own).sum(1)
            for pair in mine.tolist():
                found[pair] = _positive(cams[int(place[pair])])
        return [one for one in found if one is not None]


def _positive(values: torch.Tensor) -> FloatArray:
    return np.asarray(values.detach().float().clamp(min=0).cpu().numpy(), np.float32)


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
