"""Convolutional networks trained from scratch on a few thousand small pictures, for the benchmarks that ask whether
things can be told apart. On a GPU where there is one; all random numbers but those of dropout are the CPU's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NETWORKS = ("small", "residual")


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        epochs, seed: how long, and with which random numbers.
        mirror: whether half of the pictures are shown from the other side; not where left and right are asked for.
        network: ``small``, four layers; or ``residual``, seventeen (He et al., 2016).
        varied: whether pictures are turned, scaled and shifted (each by itself), and lose colours and a square of
            pixels, beside what is done to all: shifted by up to five pixels, mirrored, colours multiplied.
    """

    epochs: int
    seed: int = 0
    mirror: bool = True
    network: str = "small"
    varied: bool = False


def _small(classes: int) -> Any:
    from torch import nn

    def block(a: int, b: int) -> list[Any]:
        return [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(3, 32), *block(32, 64), *block(64, 128), *block(128, 256), nn.Dropout(0.3), nn.AdaptiveMaxPool2d(2),
        nn.Flatten(), nn.Linear(1024, classes),
    )  # fmt: skip


def _residual(classes: int) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self, a: int, b: int) -> None:
            super().__init__()
            step = 1 if a == b else 2
            self.way = nn.Sequential(
                nn.Conv2d(a, b, 3, step, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
                nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b),
            )  # fmt: skip
            short = nn.Sequential(nn.Conv2d(a, b, 1, step, bias=False), nn.BatchNorm2d(b))
            self.short = nn.Identity() if a == b else short

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.way(x) + self.short(x))

    layers: list[Any] = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)]
    for a, b in ((64, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)):
        layers.append(Block(a, b))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(512, classes))


def _varied(picture: Any, generator: Any) -> Any:
    """Return pictures (N, 3, H, W) each turned, scaled and shifted, some without colours or without a square."""
    import torch
    from torch import nn

    n, device = len(picture), picture.device

    def uniform(low: float, high: float, *shape: int) -> Any:
        return torch.rand(n, *shape, generator=generator) * (high - low) + low

    angle, scale = uniform(-0.35, 0.35), torch.exp(uniform(-0.35, 0.25))
    aspect = torch.exp(uniform(-0.15, 0.15))
    turn = torch.zeros(n, 2, 3)
    turn[:, 0, 0], turn[:, 0, 1] = torch.cos(angle) * scale * aspect, -torch.sin(angle) * scale
    turn[:, 1, 0], turn[:, 1, 1] = torch.sin(angle) * scale * aspect, torch.cos(angle) * scale
    turn[:, :, 2] = uniform(-0.15, 0.15, 2)
    grid = nn.functional.affine_grid(turn.to(device), list(picture.shape), align_corners=False)
    picture = nn.functional.grid_sample(picture, grid, padding_mode="reflection", align_corners=False)
    grey = (uniform(0, 1, 1, 1, 1) < 0.2).to(device)
    picture = torch.where(grey, picture.mean(1, keepdim=True), picture)
    side = picture.shape[-1]
    x, y, half = uniform(0, side, 1, 1), uniform(0, side, 1, 1), uniform(0, 0.2 * side, 1, 1)
    place = torch.arange(side)
    hole = ((place[None, None] - x).abs() < half) & ((place[None, :, None] - y).abs() < half)
    return picture.masked_fill(hole[:, None].to(device), 0)


def classify(
    images: NDArray[np.uint8], labels: NDArray[np.int64], train: NDArray[np.bool_], classes: int, training: Training
) -> NDArray[np.int64]:
    """Train on the marked pictures, uint8 (N, S, S, 3), and return the answers for the others."""
    import torch
    from torch import nn

    torch.manual_seed(training.seed)
    net = _small(classes) if training.network == "small" else _residual(classes)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = net.to(device)
    x = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    x = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True)
    y = torch.from_numpy(labels).to(device)
    inside = torch.from_numpy(np.flatnonzero(train))
    generator = torch.Generator().manual_seed(training.seed)
    batch = 64
    steps = training.epochs * -(-len(inside) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    half = torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda" and training.network != "small")
    net.train()
    for epoch in range(training.epochs):
        order = inside[torch.randperm(len(inside), generator=generator)]
        for k in range(0, len(order), batch):
            at = order[k : k + batch]
            picture = x[at.to(device)]
            shift = torch.randint(-5, 6, (2,), generator=generator).tolist()
            picture = torch.roll(picture, shift, (2, 3))
            mirrored = (torch.rand(len(at), generator=generator) < (0.5 if training.mirror else 0)).to(device)
            picture = torch.where(mirrored[:, None, None, None], picture.flip(3), picture)
            if training.varied:
                picture = _varied(picture, generator)
            gain = 1 + 0.25 * torch.randn((len(at), 3, 1, 1), generator=generator).to(device)
            with half:
                loss = nn.functional.cross_entropy(net(picture * gain), y[at.to(device)], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"\r  epoch {epoch + 1}/{training.epochs}, loss {loss.item():.2f} ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    net.eval()
    outside = torch.from_numpy(np.flatnonzero(~train)).to(device)
    with torch.inference_mode():
        return np.concatenate([net(x[some]).argmax(1).cpu().numpy() for some in outside.split(256)])
