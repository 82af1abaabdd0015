"""Pictures of a vector without a decoder: an untrained network is fitted until its picture has the vector.

What it draws is what the model cannot tell from the picture; a decoder that has learnt what pictures look like shows
the same in pictures that can be read.

Source: D. Ulyanov, A. Vedaldi and V. Lempitsky, *Deep image prior*, CVPR 2018; N. Zhao et al., *What makes instance
discrimination good for transfer learning?*, ICLR 2021, which fits it to representations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.experiment import Experiment, experiment, image_row, mean_cells
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.errors import ModelError
from torchmultiverse.models import FloatArray
from torchmultiverse.models import torch_tools as tools

if TYPE_CHECKING:
    import torch

PRIOR_STEPS = 300
"""Steps of Adam for each picture."""
_WIDTHS = (16, 32, 64)
_NOISE = 32  # channels of the fixed noise that a picture is made of
_RATE, _PERTURBED = 0.01, 1 / 30


def prior_images(
    encode: Callable[[torch.Tensor], torch.Tensor], vectors: FloatArray, size: tuple[int, int],
    steps: int = PRIOR_STEPS, seed: int = 0, device: Any = "cpu",
) -> NDArray[np.uint8]:  # fmt: skip
    """Return a picture of each vector by a deep image prior, uint8 (N, H, W, 3); each has a network of its own.

    Args:
        encode: pictures in [0, 1], (N, 3, H, W), to vectors (N, D), with gradients.
        vectors: to be reached, (N, D).
        size: height and width of the pictures.
        steps: of Adam for each.
        seed: of networks and noise.
        device: where.
    """
    import torch

    out = []
    for k, vector in enumerate(vectors):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(tools.seed_of(seed, k))
            network = _hourglass().to(device)
            noise = 0.1 * torch.rand(1, _NOISE, *size)
            generator = torch.Generator().manual_seed(tools.seed_of(seed, k, 1))
        wanted = torch.from_numpy(np.asarray(vector, np.float32)).to(device)
        scale = float(wanted.square().sum().clamp(min=1e-12))
        optimizer = torch.optim.Adam(network.parameters(), _RATE)
        for _ in range(steps):
            moved = noise + _PERTURBED * 0.1 * torch.randn(noise.shape, generator=generator)
            loss = (encode(network(moved.to(device)))[0] - wanted).square().sum() / scale
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            found = network(noise.to(device))[0].permute(1, 2, 0).cpu().numpy()
        out.append((found * 255).round().astype(np.uint8))
    return np.stack(out)


def _hourglass() -> torch.nn.Module:
    """Return an untrained network from noise to a picture in [0, 1]: down by strides, and up again beside skips."""
    import torch
    from torch import nn

    def block(before: int, after: int, stride: int = 1) -> nn.Sequential:
        conv = nn.Conv2d(before, after, 3, stride, 1, padding_mode="reflect")
        return nn.Sequential(conv, nn.BatchNorm2d(after, track_running_stats=False), nn.LeakyReLU(0.2))

    class Hourglass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (_NOISE, *_WIDTHS)
            self.down = nn.ModuleList(block(a, b, 2) for a, b in zip(widths, _WIDTHS, strict=False))
            self.skip = nn.ModuleList(block(a, 4) for a in widths[:-1])
            self.up = nn.ModuleList(
                block(_WIDTHS[min(k + 1, len(_WIDTHS) - 1)] + 4, _WIDTHS[k]) for k in range(len(_WIDTHS))
            )
            self.last = nn.Conv2d(_WIDTHS[0], 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            beside = []
            for down, skip in zip(self.down, self.skip, strict=True):
                beside.append(skip(x))
                x = down(x)
            for up, kept in zip(reversed(self.up), reversed(beside), strict=True):
                x = nn.functional.interpolate(x, kept.shape[-2:], mode="bilinear", align_corners=False)
                x = up(torch.cat([x, kept], 1))
            found: torch.Tensor = torch.sigmoid(self.last(x))
            return found

    return Hourglass()


def prior(setup: ExperimentSetup, steps: int = PRIOR_STEPS) -> Experiment:
    """Draw from the vectors of some pictures by a deep image prior too: what is seen without a decoder?"""
    import torch

    model = setup.conditioned.model
    preprocess = model.info.preprocess
    if preprocess is None:
        raise ModelError(
            f"'{model.info.name}' prepares pictures in a way of its own: none can be fitted to its vectors"
        )
    mean, std = (
        torch.tensor(v, device=model.device).view(1, 3, 1, 1).float() for v in (preprocess.mean, preprocess.std)
    )
    rows = setup.rows[: setup.examples]
    each = np.repeat(rows, setup.samples_per_image)
    size = tuple(model.batch(setup.images(rows[:1])).shape[-2:])
    with torch.enable_grad():
        fitted = prior_images(
            lambda bright: setup.extractor.forward((bright - mean) / std)[0].float(), setup.conditioned.vectors[each],
            (int(size[0]), int(size[1])), steps, setup.seed, model.device,
        )  # fmt: skip
    drawn = setup.sample(setup.conditioned.vectors[rows], same_noise=False)
    kinds = {
        "drawn by the decoder": drawn.reshape(-1, *drawn.shape[2:]),
        "deep image prior": fitted,
    }
    numbers = []
    for name, some in kinds.items():
        apart = setup.relative_distance(setup.conditioned.encode_pixels(some), each)
        of_vector = apart.reshape(len(rows), -1).mean(1)  # pictures of one vector are not independent
        numbers.append(
            {"images": name, **mean_cells("distance", of_vector), "vectors": len(rows), "pictures": len(some)}
        )
    shown = []
    for k, row in enumerate(rows):
        own = setup.real_images(np.array([row]))[0]
        for name, some in kinds.items():
            mine = some[k * setup.samples_per_image : (k + 1) * setup.samples_per_image]
            shown.append(image_row(name, (own,), tuple(_at(setup, one) for one in mine)))
    return experiment(
        "prior", "Without a decoder",
        f"A deep image prior: an untrained network is fitted in {steps} steps until its picture has the framed "
        "picture's vector, anew for each. Distances are those of vectors, in percent of the distance between two "
        "pictures: where the prior is nearer and its picture is noise, the vector does not say what the picture looks "
        "like, and the decoder fills in what pictures are like.", shown, numbers,
    )  # fmt: skip


def _at(setup: ExperimentSetup, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture at the decoder's size."""
    from PIL import Image

    return setup.resized(Image.fromarray(pixels))
