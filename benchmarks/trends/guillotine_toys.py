"""Toys of vectors on which the trends of the head can be seen in seconds: pairs, classes, epochs, settings, tails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchmultiverse.analyze.layer_accuracy import Reading, layer_readings
from torchmultiverse.features.extract import Features
from torchmultiverse.models.ssl import network
from torchmultiverse.train import EncoderTraining
from torchmultiverse.train.pairs import nearest_images
from torchmultiverse.train.ssl import SelfSupervisedLoss, fit

WIDTH = 32
"""Of each block of a vector: what is behind, and what is before it."""


@dataclass(frozen=True)
class Toy:
    """Vectors of a background that each image has alone, and a foreground that its class has.

    Attributes:
        vectors: (N, 2 · WIDTH).
        classes: of each, (N,).
        colours: a second factor of the background: a direction of it, in four levels, (N,).
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    colours: NDArray[np.int64]


def toy(count: int, classes: int = 12, seed: int = 0, share: NDArray[np.float64] | None = None) -> Toy:
    """Draw one.

    Args:
        count: images.
        classes: of the foreground.
        seed: of the draws; templates are those of seed 0 whatever it is.
        share: of each class; equal ones by default.
    """
    fixed, rng = np.random.default_rng(0), np.random.default_rng((seed, 1))
    templates, tints = fixed.normal(size=(classes, WIDTH)), fixed.normal(size=(4, WIDTH))
    label = rng.choice(classes, count, p=share)
    colour = rng.integers(0, 4, count)
    front = templates[label] + 1.3 * rng.normal(size=(count, WIDTH))
    back = 0.7 * tints[colour] + rng.normal(size=(count, WIDTH))
    return Toy(np.concatenate([back, front], 1).astype(np.float32), label, colour)


def views_of(data: Toy, seed: int, partners: NDArray[np.int64] | None = None) -> Callable[..., Any]:
    """Return what makes two views: each may lack the background or the foreground, as a crop does.

    Args:
        data: the vectors.
        seed: of the draws.
        partners: (N, K): the second view is of one of these rows; of the same image by default.
    """

    def made(rows: NDArray[np.int64], epoch: int) -> Any:
        rng = np.random.default_rng((seed, epoch, int(rows[0])))
        out = []
        for view in range(2):
            source = rows
            if view and partners is not None:
                source = partners[rows, rng.integers(0, partners.shape[1], len(rows))]
            mask, which = np.ones((len(rows), 2 * WIDTH), np.float32), rng.random(len(rows))
            mask[which < 1 / 3, :WIDTH] = 0
            mask[which > 2 / 3, WIDTH:] = 0
            mask *= rng.random(mask.shape) > 0.2
            noise = 0.2 * rng.normal(size=mask.shape).astype(np.float32)
            out.append(torch.from_numpy(data.vectors[source] * mask + noise))
        return tuple(out)

    return made


def partners_of(data: Toy, pairs: str, seed: int) -> NDArray[np.int64] | None:
    """Return the second views of ``views``, ``near`` (by a model that sees the foreground best) or ``class``."""
    if pairs == "near":
        seen = data.vectors.copy()
        seen[:, :WIDTH] *= 0.5
        return nearest_images(seen, 1)
    if pairs == "class":
        rng = np.random.default_rng(seed)
        return np.stack([rng.permutation(np.flatnonzero(data.classes == c))[:8] for c in data.classes])
    return None


def trained(
    data: Toy,
    training: EncoderTraining,
    partners: NDArray[np.int64] | None = None,
    after: Callable[[int, Any], None] | None = None,
) -> Any:
    """Return a network of a trunk and a head, trained on the vectors; ``after`` is called with epoch and network."""
    torch.manual_seed(training.seed)
    width = round(96 * training.backbone_width)
    trunk = torch.nn.Sequential(
        torch.nn.Linear(2 * WIDTH, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()
    )
    net: Any = network(trunk, width, training.head)
    loss = SelfSupervisedLoss(
        training.method, net, training.head[-1], int(data.classes.max()) + 1, dict(training.options)
    )
    told = None if after is None else (lambda epoch, losses: after(epoch, net))
    fit(
        loss, views_of(data, training.seed, partners), len(data.classes), training, labels=data.classes, after=told,
        quiet=True,
    )  # fmt: skip
    return net.eval()


def read(
    net: Any, data: Toy, rows: NDArray[np.int64] | None = None, factors: Sequence[str] = ("class", "colour")
) -> Mapping[str, list[Reading]]:
    """Return what is read of vectors that were not trained on, from the trunk to the end of the head."""
    rows = np.arange(len(data.classes)) if rows is None else rows
    training = net.training
    net.eval()
    with torch.no_grad():
        at = net.trunk(torch.from_numpy(data.vectors[rows]))
        layers = {"trunk": at.numpy()}
        for number, block in enumerate(net.head, 1):
            at = block(at)
            layers[f"head.{number}"] = at.numpy()
    net.train(training)
    columns = {"class": data.classes[rows], "colour": data.colours[rows]}
    features = Features("toy", "toy", layers, {name: columns[name] for name in factors}, rows, {})
    return layer_readings(features, list(factors), by="rows", quiet=True)[0]
