"""Augmented views of each image, from a seed: crops of the whole, and small ones."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SettingError, nearest
from torchmultiverse.models import IMAGENET_MEAN, IMAGENET_STD
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.train.settings import AUGMENTATIONS, FOURIER

if TYPE_CHECKING:
    import torch

_FEW = 512  # images of an epoch for which other processes are not worth their start


_Kind = Literal["only", "first", "second", "other", "small"]
"""The only crop of the whole, the first or second of them, any other; or a small crop."""


@dataclass(frozen=True)
class SmallCrops:
    """Small crops of each image.

    Attributes:
        count: how many.
        size: side in pixels.
        scale: smallest and largest fraction of the area that one keeps.
    """

    count: int
    size: int
    scale: tuple[float, float] = (0.05, 0.25)


class AugmentedViews:
    """Crops of each image with changed colours, the same for the same seed, epoch and image.

    Args:
        pixels: uint8 (N, S, S, 3), larger than the crops.
        size: side of the crops in pixels.
        augment: of `AUGMENTATIONS`; those of the Fourier domain are made to the first view alone, after its crop.
        scale: smallest fraction of the area that a crop keeps.
        seed: of the draws.
        codes: levels that pair images, (N,): the second view is of any image of the level.
        partners: or images, (N, K): the second view is of any of the row's.
        small: what small crops there are beside the others; none by default.
        whole: how many crops of the whole there are.

    Source of the small crops: M. Caron et al., *Unsupervised learning of visual features by contrasting cluster
    assignments*, NeurIPS 2020.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        size: int,
        augment: Sequence[str],
        scale: float,
        seed: int,
        codes: NDArray[np.int64] | None = None,
        partners: NDArray[np.int64] | None = None,
        small: SmallCrops | None = None,
        whole: int = 2,
    ) -> None:
        v2: Any = tools.need("torchvision.transforms.v2", "augmentations")
        for name in augment:
            if name not in AUGMENTATIONS:
                raise SettingError(f"no augmentation '{name}'.{nearest(name, AUGMENTATIONS)}")
        self._pixels, self._seed = pixels, seed
        self._partners: Sequence[NDArray[np.int64]] | NDArray[np.int64] | None = partners
        if codes is not None:
            of_level = [np.flatnonzero(codes == c) for c in range(int(codes.max()) + 1)]
            self._partners = [of_level[code] for code in codes]
        kinds: list[_Kind] = ["only"] if whole == 1 else ["first", "second"]
        kinds += ["other"] * (whole - 2)
        chosen = set(augment)
        self._views = [v2.Compose(_transforms(v2, kind, size, chosen, (scale, 1.0))) for kind in kinds]
        if small is not None:
            one = v2.Compose(_transforms(v2, "small", small.size, chosen, small.scale))
            self._views += [one] * small.count

    def prefetched(
        self, plan: Sequence[NDArray[np.int64]], epoch: int, workers: int | None = None
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the views of several batches, made by other processes while the network is busy.

        Who makes them changes nothing: the seed of a view is its image's.

        Args:
            plan: rows of each batch.
            epoch: number of the epoch.
            workers: processes; all cores but one by default, none for few images.
        """
        import torch

        count = sum(len(rows) for rows in plan)
        if workers is None:
            workers = 0 if count < _FEW else max(0, min(16, (os.cpu_count() or 1) - 1))
        if not workers:
            for rows in plan:
                yield self(rows, epoch)
            return
        batches: Any = _PlannedBatches(self, plan, epoch)
        yield from torch.utils.data.DataLoader(
            batches,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context="fork",
            generator=torch.Generator(),  # of its own, so that how many workers there are changes no other draw
        )

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> tuple[torch.Tensor, ...]:
        """Return the views, crops of the whole before small ones, normalised float32 (N, 3, side, side) each."""
        import torch

        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        out = []
        with torch.random.fork_rng(devices=[]):
            for view, transform in enumerate(self._views):
                made = []
                for row in rows.tolist():
                    torch.manual_seed(tools.seed_of(self._seed, epoch, row, view))
                    source = self._partner(row, epoch) if view == 1 else row
                    made.append(transform(torch.from_numpy(self._pixels[source]).permute(2, 0, 1)))
                out.append((torch.stack(made).float() / 255 - mean) / std)
        return tuple(out)

    def _partner(self, row: int, epoch: int) -> int:
        """Return the image of the second view."""
        if self._partners is None:
            return row
        return int(np.random.default_rng((self._seed, epoch, row)).choice(self._partners[row]))


class _PlannedBatches:
    """The batches of an epoch, as a loader asks for them."""

    def __init__(self, views: AugmentedViews, plan: Sequence[NDArray[np.int64]], epoch: int) -> None:
        self._views, self._plan, self._epoch = views, plan, epoch

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, step: int) -> tuple[torch.Tensor, ...]:
        if step >= len(self._plan):
            raise IndexError(step)
        return self._views(self._plan[step], self._epoch)


def _transforms(v2: Any, kind: _Kind, size: int, chosen: set[str], scale: tuple[float, float]) -> list[Any]:
    """Return what is done to an image for a view.

    Of two views one is blurred and the other solarized, as in the sources of their methods; an only crop of the whole
    may be either, and small crops are blurred.
    """
    steps: list[Any] = [
        v2.RandomResizedCrop(size, scale=scale, antialias=True)
        if "crop" in chosen
        else v2.Resize((size, size), antialias=True)
    ]
    if kind in ("only", "first") and (fourier := [name for name in FOURIER if name in chosen]):
        from torchmultiverse.train.fourier import FourierAugmentation

        steps.append(FourierAugmentation(fourier))
    if "flip" in chosen:
        steps.append(v2.RandomHorizontalFlip())
    if "color" in chosen:
        steps.append(v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8))
    if "gray" in chosen:
        steps.append(v2.RandomGrayscale(0.2))
    if "blur" in chosen and kind in ("only", "first", "small"):
        steps.append(v2.RandomApply([v2.GaussianBlur(max(3, size // 10 | 1), (0.1, 2.0))], _BLURRED.get(kind, 0.5)))
    if "solarize" in chosen and kind in ("only", "second", "other"):
        steps.append(v2.RandomSolarize(128, 0.2))
    return steps


_BLURRED = {"only": 0.2}
