"""Experiments with pictures: whether a layer sees a change, and what deceives a probe of it.

Source: F. Bordes et al., *High fidelity visualization of what your self-supervised representation knows about*, TMLR
2022, sections 4 and 5, appendices B to D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from torchmultiverse.analyze.experiment import MANY, Experiment, experiment, image_row, mean_cells
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.neighbours import nearest_rows
from torchmultiverse.errors import ModelError, QuestionError, nearest
from torchmultiverse.evaluation import plain
from torchmultiverse.study import ImageRow


def _by_image(rows: Sequence[ImageRow], kinds: int) -> tuple[ImageRow, ...]:
    """Return rows of one kind after the other as all kinds of one picture together."""
    count = len(rows) // kinds
    return tuple(rows[kind * count + image] for image in range(count) for kind in range(kinds))


def _hue(image: Image.Image) -> Image.Image:
    h, s, v = image.convert("HSV").split()
    return Image.merge("HSV", (h.point(lambda x: (x + 85) % 256), s, v)).convert("RGB")


def _nearer(image: Image.Image) -> Image.Image:
    wide, high = image.size
    return image.crop((wide * 15 // 100, high * 15 // 100, wide * 85 // 100, high * 85 // 100)).resize(image.size)


def _farther(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image.resize((max(1, image.width * 2 // 3), max(1, image.height * 2 // 3))))
    short = [a - b for a, b in zip(np.asarray(image).shape[:2], pixels.shape[:2], strict=True)]
    sides = [(gap // 2, gap - gap // 2) for gap in short]
    return Image.fromarray(np.pad(pixels, (*sides, (0, 0)), "reflect"))


def _lower(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    gap = len(pixels) // 5
    return Image.fromarray(np.concatenate([pixels[:gap][::-1], pixels[: len(pixels) - gap]]))


CHANGES: Mapping[str, Callable[[Image.Image], Image.Image]] = MappingProxyType(
    {
        "as it is": lambda image: image,
        "mirrored": ImageOps.mirror,
        "a fifth lower": _lower,
        "nearer": _nearer,
        "farther": _farther,
        "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
        "other colours": _hue,
        "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(max(1, image.width / 32))),
    }
)


def changes(setup: ExperimentSetup) -> Experiment:
    """Change pictures, and see whether the vector follows: what a model is invariant to."""
    many = setup.rows[:MANY]
    images = setup.images(many)
    held = setup.conditioned.vectors[np.sort(setup.rows)]
    places = np.searchsorted(np.sort(setup.rows), many)
    rows, numbers = [], []
    for name, change in CHANGES.items():
        changed = [change(image) for image in images]
        vectors = setup.conditioned.encode(changed)
        again = nearest_rows(vectors, held, 1).rows[:, 0] == places
        moved = mean_cells("vector moved by", setup.relative_distance(vectors, many))
        numbers.append({"image": name, **moved, "nearest is still its own %": float(again.mean())})
        drawn = setup.sample(vectors[: setup.examples])
        rows += [image_row(name, (setup.resized(changed[k]),), tuple(drawn[k])) for k in range(len(drawn))]
    return experiment(
        "changes", "When the picture changes",
        "Framed: a changed picture, whose vector is taken. Where the drawn pictures do not show the change, the layer "
        "does not see it. The table: how far the vector moves, in percent of the distance between two pictures, over "
        f"{len(many)} pictures.", _by_image(rows, len(CHANGES)), numbers,
    )  # fmt: skip


def _aims(setup: ExperimentSetup, codes: NDArray[np.int64], levels: Sequence[str]) -> NDArray[np.int64]:
    """Return the class that each picture is to be taken for; of pictures of the target itself the next one."""
    wanted = setup.attack.target
    if wanted is None:
        return np.asarray((codes + 1) % len(levels))
    if wanted not in levels:
        raise QuestionError(f"no {plain(setup.label)} '{wanted}' to be taken for.{nearest(wanted, levels)}")
    aim = list(levels).index(wanted)
    return np.where(codes == aim, (codes + 1) % len(levels), aim)


def attacks(setup: ExperimentSetup) -> Experiment:
    """Change pictures towards another class by the sign of the gradient, and see what is drawn."""
    import torch

    model = setup.conditioned.model
    codes, levels = setup.codes[setup.label]
    probe = setup.probes[setup.label]
    many = setup.rows[:MANY]
    targets, aim = codes[many], _aims(setup, codes[many], levels)
    epsilons = sorted({0.0, *setup.attack.epsilons})
    preprocess = model.info.preprocess
    if preprocess is None:
        raise ModelError(f"'{model.info.name}' prepares pictures in a way of its own: an attack cannot be drawn")
    mean, std = (
        torch.tensor(v, device=model.device).view(1, 3, 1, 1).float() for v in (preprocess.mean, preprocess.std)
    )
    weight, bias = (torch.from_numpy(part).to(model.device) for part in (probe.weight, probe.bias))
    parts: dict[float, list[Any]] = {epsilon: [] for epsilon in epsilons}
    shown: dict[float, list[Any]] = {epsilon: [] for epsilon in epsilons}
    for start in range(0, len(many), 32):
        part = slice(start, start + 32)
        pixels = model.batch(setup.images(many[part])).requires_grad_(True)
        logits = setup.extractor.forward(pixels)[0] @ weight + bias
        wanted = torch.from_numpy(aim[part]).to(model.device)
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"), [pixels])
        with torch.no_grad():
            bright = pixels * std + mean
            for epsilon in epsilons:
                changed = (bright - epsilon * slope.sign()).clamp(0, 1)
                parts[epsilon].append(setup.extractor.forward((changed - mean) / std)[0].float().cpu().numpy())
                shown[epsilon].append((changed * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    rows, numbers = [], []
    for epsilon in epsilons:
        vectors, images = np.concatenate(parts[epsilon]), np.concatenate(shown[epsilon])
        prediction = probe.probabilities(vectors).argmax(1)
        numbers.append(
            {"change of a pixel at most": f"{255 * epsilon:.0f} of 255",
             "still right %": float((prediction == targets).mean()),
             "says the other class %": float((prediction == aim).mean()),
             "vector moved by %": float(setup.relative_distance(vectors, many).mean())}
        )  # fmt: skip
        drawn = setup.sample(vectors[: setup.examples])
        rows += [
            image_row(f"± {255 * epsilon:.0f}: {levels[prediction[k]]}", (setup.resized(Image.fromarray(images[k])),),
                tuple(drawn[k]), misclassified=bool(prediction[k] != targets[k]))
            for k in range(len(drawn))
        ]  # fmt: skip
    return experiment(
        "attacks", "When the picture is made to deceive",
        f"Every pixel is moved by the same small amount in the direction that makes a linear probe of the layer "
        f"say another {plain(setup.label)} (FGSM). Red: it is deceived. What is drawn shows what the layer itself "
        "has come to hold.", _by_image(rows, len(epsilons)), numbers,
    )  # fmt: skip
