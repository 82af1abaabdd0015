"""Experiments with samples: how confident a probe is, how near samples are, and how decoders of layers differ.

Source: F. Bordes et al., *High fidelity visualization of what your self-supervised representation knows about*, TMLR
2022, sections 4 and 5, appendices B to D.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.augmented import SINGLE, augmented_as_in_training
from torchmultiverse.analyze.experiment import MANY, Experiment, experiment, image_row, mean_cells
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.neighbours import nearest_rows
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import plain
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.study import ImageRow

AS_IN_TRAINING = "augmented as in training"


def confidence(setup: ExperimentSetup) -> Experiment:
    """Draw from the pictures that a linear probe is most and least confident of."""
    codes, levels = setup.codes[setup.label]
    fractions = setup.probes[setup.label].probabilities(setup.conditioned.vectors[setup.rows])
    prediction, sure = fractions.argmax(1), fractions.max(1)
    order = np.argsort(-sure, kind="stable")
    count = min(setup.examples, len(order))
    rows = []
    for name, places in (("most confident", order[:count]), ("least confident", order[::-1][:count])):
        drawn = setup.sample(setup.conditioned.vectors[setup.rows[places]])
        real = setup.real_images(setup.rows[places])
        for k, at in enumerate(places.tolist()):
            wrong = bool(prediction[at] != codes[setup.rows[at]])
            rows.append(
                image_row(
                    f"{name}: {levels[prediction[at]]}, {100 * sure[at]:.0f} %", (real[k],), tuple(drawn[k]), (), wrong
                )
            )
    half = len(order) // 2
    right = prediction == codes[setup.rows]
    numbers = [
        {"images": name, "accuracy %": float(right[part].mean()), "mean confidence %": float(sure[part].mean())}
        for name, part in (("the surer half", order[:half]), ("the other half", order[half:])) if len(part)
    ]  # fmt: skip
    return experiment(
        "confidence", "Sure and unsure",
        f"Held-out pictures whose {plain(setup.label)} a linear probe of the layer is most and least sure of. "
        "Red: it is wrong.", rows, numbers,
    )  # fmt: skip


def distances(setup: ExperimentSetup) -> Experiment:
    """Hold drawn pictures against real ones: how near is each to the vector, and is it a copy of what was learnt?"""
    x = setup.conditioned.vectors
    rng = np.random.default_rng((setup.seed, 4))
    codes = setup.codes[setup.label][0]
    many = setup.rows[:MANY]
    drawn = setup.sample(x[many], 1)[:, 0]
    vectors = setup.conditioned.encode_pixels(drawn)
    near = setup.training_rows[
        nearest_rows(x[many], x[setup.training_rows], min(setup.samples_per_image, len(setup.training_rows))).rows
    ]
    mates = np.array(
        [
            rng.choice(same) if len(same := setup.training_rows[codes[setup.training_rows] == codes[row]]) else row
            for row in many
        ]
    )
    random = rng.choice(setup.training_rows, len(many))
    augmented = _augmented(setup, many)
    lines = {
        "drawn from its vector": setup.relative_distance(vectors, many),
        **{name: setup.relative_distance(setup.conditioned.encode(some), many) for name, some in augmented.items()},
        "nearest that the decoder learnt": setup.relative_distance(x[near[:, 0]], many),
        f"of its {plain(setup.label)}": setup.relative_distance(x[mates], many),
        "any": setup.relative_distance(x[random], many),
    }
    numbers: list[dict[str, Any]] = [
        {"images": name, **mean_cells("distance", values)} for name, values in lines.items()
    ]
    # Copies, in pixels: a drawn picture must not be nearer to what was learnt than a real one is.
    kept = (
        setup.real_images(setup.training_rows[rng.permutation(len(setup.training_rows))[:2000]])
        .reshape(-1, drawn[0].size)
        .astype(np.float32)
    )
    apart = {}
    for name, pixels in (("drawn", drawn), ("real", setup.real_images(many))):
        flat = pixels.reshape(len(pixels), -1).astype(np.float32)
        apart[name] = np.sqrt(nearest_rows(flat, kept, 1).distances[:, 0] / flat.shape[1])
    edge = float(np.quantile(apart["real"], 0.01))
    copied = float((apart["drawn"] < edge).mean())
    return experiment(
        "distances", "How near drawn pictures are",
        "Distance of vectors to that of the framed picture, in percent of the distance between two pictures. A decoder "
        "that can be trusted draws pictures nearer to it than any real one; what the model was made invariant to is "
        "near too. Augmented as in training: cropped, mirrored, jittered, grey, blurred, solarized at random. Copies: "
        f"{100 * copied:.0f} % of drawn pictures are nearer in pixels to one that was learnt than 99 % of real ones "
        "are.",
        _distance_rows(setup, many, near, augmented), numbers,
    )  # fmt: skip


def _augmented(setup: ExperimentSetup, rows: NDArray[np.int64]) -> dict[str, list[Image.Image]]:
    """Return pictures changed in one way at a time, and as in training, by what was done."""
    images = setup.images(rows)
    rng = np.random.default_rng((setup.seed, 5))
    single = {name: [change(image, rng) for image in images] for name, change in SINGLE.items()}
    return {**single, AS_IN_TRAINING: augmented_as_in_training(images, setup.seed)}


def _distance_rows(
    setup: ExperimentSetup, many: NDArray[np.int64], near: NDArray[np.int64],
    augmented: Mapping[str, Sequence[Image.Image]],
) -> list[ImageRow]:  # fmt: skip
    """Return, for each example, what is drawn, the nearest that was learnt, and what was augmented, with distances."""
    rows = []
    for k in range(min(setup.examples, len(many))):
        own, images = setup.real_images(many[k : k + 1])[0], setup.images(many[k : k + 1])
        drawn = setup.sample(setup.conditioned.vectors[many[k : k + 1]])[0]
        changed = [some[k] for name, some in augmented.items() if name != AS_IN_TRAINING]
        again = [augmented_as_in_training(images, setup.seed, draw)[0] for draw in range(setup.samples_per_image)]
        shown = {
            "drawn": (drawn, setup.conditioned.encode_pixels(drawn)),
            "nearest that it learnt": (setup.real_images(near[k]), setup.conditioned.vectors[near[k]]),
            "mirrored, cropped, jittered, grey, solarized": (
                [setup.resized(image) for image in changed], setup.conditioned.encode(changed)
            ),
            AS_IN_TRAINING: ([setup.resized(image) for image in again], setup.conditioned.encode(again)),
        }  # fmt: skip
        for name, (pixels, vectors) in shown.items():
            apart = setup.relative_distance(vectors, np.full(len(vectors), many[k]))
            rows.append(image_row(name, (own,), tuple(pixels), _percents(apart)))
    return rows


def _percents(values: NDArray[np.float64]) -> tuple[str, ...]:
    return tuple(f"{100 * value:.0f} %" for value in values)


def compare_layers(setups: Sequence[ExperimentSetup], count: int = 24) -> Experiment:
    """Hold decoders of several layers against each other on the same pictures: where do drawn pictures vary more?

    Args:
        setups: of the same dataset and size; features of the first one's layer judge all of them.
        count: pictures whose vectors are taken.

    Raises:
        ModelError: decoders of other sizes or datasets.
    """
    first = setups[0]
    for other in setups[1:]:
        if (
            other.conditioned.decoder.config.size != first.conditioned.decoder.config.size
            or other.conditioned.features.dataset != first.conditioned.features.dataset
        ):
            raise ModelError("decoders are compared on one dataset and at one size")
    common = first.rows
    for other in setups[1:]:
        common = common[np.isin(common, other.rows)]
    if len(common) < 2:
        raise ModelError("the decoders have no two held-out pictures in common; train them with one seed")
    rows = common[:count]
    titles = _titles(setups)
    drawn = {
        title: setup.sample(setup.conditioned.vectors[rows], max(2, setup.samples_per_image), same_noise=False)
        for title, setup in zip(titles, setups, strict=True)
    }
    inside: dict[str, dict[str, NDArray[np.float64]]] = {"pixels": {}, "features": {}}
    for name, images in drawn.items():
        flat = images.reshape(*images.shape[:2], -1).astype(np.float64) / 255
        inside["pixels"][name] = flat.var(1, ddof=1).sum(-1) / max(
            flat.reshape(-1, flat.shape[-1]).var(0, ddof=1).sum(), 1e-30
        )
        seen = (
            first.conditioned.encode_pixels(images.reshape(-1, *images.shape[2:]))
            .reshape(*images.shape[:2], -1)
            .astype(np.float64)
        )
        inside["features"][name] = seen.var(1, ddof=1).sum(-1) / max(
            seen.reshape(-1, seen.shape[-1]).var(0, ddof=1).sum(), 1e-30
        )
    numbers = []
    base = titles[0]
    for name, images in drawn.items():
        line: dict[str, Any] = {"drawn from": name}
        for space, values in inside.items():
            line[f"varies in {space} %"] = float(values[name].mean())
            more = mean_interval(values[name] - values[base], np.arange(len(rows)), Intervals())
            line[f"more than {base} in {space}"] = (
                "" if name == base else f"{100 * more.mean:+.1f} [{100 * more.low:.1f}, {100 * more.high:.1f}]"
            )
        for factor, (levels, _) in first.codes.items():
            prediction = first.predicted_levels(images.reshape(-1, *images.shape[2:]), factor)
            line[f"{plain(factor)} kept %"] = float((prediction == np.repeat(levels[rows], images.shape[1])).mean())
        numbers.append(line)
    real = first.real_images(rows[: 2 * first.examples])
    pages = [image_row(name, (real[k],), tuple(drawn[name][k])) for k in range(len(real)) for name in drawn]
    return experiment(
        "layers", "One layer against another",
        "The same pictures, drawn from the vectors of several layers. What varies more is less in the vector. The "
        "table: variance of pictures of one vector, as a fraction of the variance of all, in pixels and in features of "
        f"{base}; and what a linear probe of {base} still sees.", pages, numbers,
    )  # fmt: skip


def _titles(setups: Sequence[ExperimentSetup]) -> list[str]:
    """Return names that tell the decoders apart: the layer, with the model or a number where that is not enough."""
    titles: list[str] = []
    for setup in setups:
        offers = (
            setup.conditioned.layer,
            setup.conditioned.name,
            *(f"{setup.conditioned.name} ({k})" for k in range(2, 99)),
        )
        titles.append(next(title for title in offers if title not in titles))
    return titles
