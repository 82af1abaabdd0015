"""Toys on which the trends of the sources can be seen in minutes, and what comes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchmultiverse.analyze.dejavu import DejaVu
from torchmultiverse.analyze.dejavu_protocol import Controls, ModelFeatures, score_model_pair
from torchmultiverse.analyze.layer_accuracy import ProbeResults, probe_layers
from torchmultiverse.features.extract import Features
from torchmultiverse.models.ssl import network
from torchmultiverse.train import EncoderTraining
from torchmultiverse.train.ssl import SelfSupervisedLoss, fit

CLASSES, WIDTH = 20, 48
SIDE = 8
"""Of the pictures of squares."""


class Blocks:
    """Vectors of a background and a foreground; a view may lack either, as a crop does."""

    def __init__(self, vectors: NDArray[Any], seed: int) -> None:
        self.vectors, self.seed = vectors.astype(np.float32), seed

    def __call__(self, rows: NDArray[np.int64], epoch: int) -> Any:
        rng = np.random.default_rng((self.seed, epoch, int(rows[0])))
        views = []
        for _ in range(2):
            mask = np.ones((len(rows), 2 * WIDTH), np.float32)
            which = rng.random(len(rows))
            mask[which < 1 / 3, :WIDTH] = 0
            mask[which > 2 / 3, WIDTH:] = 0
            mask *= rng.random(mask.shape) > 0.2
            noise = 0.2 * rng.normal(size=mask.shape).astype(np.float32)
            views.append(torch.from_numpy(self.vectors[rows] * mask + noise))
        return views[0], views[1]


def memory(
    epochs: int,
    seed: int = 0,
    method: str = "vicreg",
    width: int = 256,
    count: int = 512,
    options: dict[str, Any] | None = None,
    layers: Sequence[str] = ("trunk", "head"),
) -> dict[str, tuple[DejaVu, Controls]]:
    """Train two models on vectors whose background is each one's own and whose foreground is its class; score them.

    Background and class go together in no vector but by memory. ``head`` is the projector's end, ``head.K`` its block.
    """
    rng = np.random.default_rng(seed)
    templates = rng.normal(size=(CLASSES, WIDTH))

    def draw(number: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        label = rng.integers(0, CLASSES, number)
        front = templates[label] + 0.7 * rng.normal(size=(number, WIDTH))
        return np.concatenate([rng.normal(size=(number, WIDTH)), front], 1), label

    sets = {name: draw(count) for name in ("A", "B", "held out")}
    public, labels = draw(3000)
    found: dict[str, dict[str, ModelFeatures]] = {}
    for number, name in enumerate(("A", "B")):
        torch.manual_seed(seed)
        trunk = torch.nn.Sequential(
            torch.nn.Linear(2 * WIDTH, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU(),
            torch.nn.Linear(width, width),
        )  # fmt: skip
        net: Any = network(trunk, width, (width, width, width))
        loss = SelfSupervisedLoss(method, net, width, CLASSES, options)
        views = Blocks(sets[name][0], number)
        training = EncoderTraining(epochs=epochs, batch_size=min(256, count), weight_decay=0, seed=number)
        fit(loss, views, count, training, labels=sets[name][1], quiet=True)
        net.eval()
        whole = _through(net, public, layers)
        crops = {}
        for key, (vectors, _) in sets.items():
            cut = vectors.copy()
            cut[:, WIDTH:] = 0  # the background alone
            crops[key] = _through(net, cut, layers)
        found[name] = {
            layer: ModelFeatures({key: held[layer] for key, held in crops.items()}, whole[layer]) for layer in layers
        }
    targets = {key: label for key, (_, label) in sets.items()}
    return {
        layer: score_model_pair(found["A"][layer], found["B"][layer], targets, labels, k=50)[:2] for layer in layers
    }


def _through(net: Any, vectors: NDArray[Any], layers: Sequence[str]) -> dict[str, NDArray[Any]]:
    with torch.no_grad():
        at = net.trunk(torch.from_numpy(vectors.astype(np.float32)))
        out = {"trunk": at.numpy()}
        for number, block in enumerate(net.head, 1):
            at = block(at)
            out[f"head.{number}"] = out["head"] = at.numpy()
    return {layer: out[layer] for layer in layers}


def blind_to_colour(method: str = "vicreg", epochs: int = 25, aligned: bool = False, seed: int = 0) -> ProbeResults:
    """Train on vectors of shape and colour whose views redraw the colour; probe trunk and head for both.

    Args:
        method: of training.
        epochs: of it.
        aligned: the views keep the colour, so that nothing asks for it to be forgotten.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    count = 1500
    shape, colour = rng.integers(0, 6, count), rng.integers(0, 4, count)
    a, b = rng.normal(size=(6, 24)), rng.normal(size=(4, 24))

    def draw(shapes: NDArray[np.int64], colours: NDArray[np.int64], draws: np.random.Generator) -> torch.Tensor:
        both = np.concatenate([a[shapes], b[colours]], 1)
        return torch.from_numpy((both + 0.5 * draws.normal(size=both.shape)).astype(np.float32))

    def views(rows: NDArray[np.int64], epoch: int) -> Any:
        draws = np.random.default_rng((seed, epoch, int(rows[0])))
        colours = [colour[rows] if aligned else draws.integers(0, 4, len(rows)) for _ in range(2)]
        return tuple(draw(shape[rows], mine, draws) for mine in colours)

    torch.manual_seed(seed)
    net: Any = network(torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.ReLU()), 64, (64, 32))
    training = EncoderTraining(epochs=epochs, batch_size=250, learning_rate=2e-3, weight_decay=0, seed=seed)
    fit(SelfSupervisedLoss(method, net, 32, 6), views, count, training, labels=shape, quiet=True)
    net.eval()
    with torch.no_grad():
        trunk = net.trunk(draw(shape, colour, rng))
        layers = {"trunk": trunk.numpy(), "head": net.head(trunk).numpy()}
    columns = {"shape": shape, "colour": colour}
    return probe_layers(Features("toy", "toy", layers, columns, np.arange(count), {}), by="rows", seed=seed, quiet=True)


def squares(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[Any]]:
    """Grey pictures with a 3 × 3 square of a random colour at a random place; the colours and the places."""
    rng = np.random.default_rng(seed)
    colours = rng.normal(size=(count, 3))
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    places = rng.integers(0, SIDE - 2, (count, 2))
    pixels = np.full((count, SIDE, SIDE, 3), 128, np.uint8)
    for k, (y, x) in enumerate(places):
        pixels[k, y : y + 3, x : x + 3] = np.round(128 + 110 * colours[k])
    return pixels, colours.astype(np.float32), places.astype(np.float32)


def seen(pixels: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The colour and the place that an analytic encoder sees."""
    change = pixels.astype(float) - 128
    energy = (change**2).sum(-1) + 1e-9
    weight = energy / energy.sum((1, 2), keepdims=True)
    colour = (change * weight[..., None]).sum((1, 2))
    grid = np.arange(SIDE)
    place = np.stack([(weight.sum(2) * grid).sum(1), (weight.sum(1) * grid).sum(1)], 1)
    return colour / np.maximum(np.linalg.norm(colour, axis=1, keepdims=True), 1e-9), place
