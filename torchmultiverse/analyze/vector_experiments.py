"""Experiments with vectors: exchanged dimensions, means, sums, and noise.

Rendered data add one to those of the source: sums of vectors can be held against the picture that they should give.

Source: F. Bordes et al., *High fidelity visualization of what your self-supervised representation knows about*, TMLR
2022, sections 4 and 5, appendices B to D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.experiment import MANY, Experiment, experiment, image_row
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.fidelity import frechet_distance
from torchmultiverse.analyze.geometry import minimal_pairs
from torchmultiverse.analyze.neighbours import nearest_rows
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import plain

NEIGHBOURS, COMMON = 20, 14
"""Of the source: dimensions that more than 14 of 20 neighbours use are what they have in common."""
KDE = 0.1
"""Standard deviation of the noise that is added to a vector to draw a picture of none, in those of each feature."""


def manipulations(setup: ExperimentSetup) -> Experiment:
    """Exchange the dimensions that neighbours have in common, or those that they have not."""
    x = setup.conditioned.vectors
    middle, deviation = x.mean(0), x.std(0)
    sparse = bool((x == 0).mean() > 0.2)
    active = (x != 0) if sparse else np.abs(x - middle) > deviation
    rest = np.zeros_like(middle) if sparse else middle
    rng = np.random.default_rng((setup.seed, 1))
    codes = setup.codes[setup.label][0]
    sources = setup.rows[:MANY]
    near = nearest_rows(x[sources], x[setup.training_rows], min(NEIGHBOURS, len(setup.training_rows))).rows
    used = active[setup.training_rows][near].mean(1)  # fraction of neighbours that use each dimension
    limit = COMMON / NEIGHBOURS
    others = np.array([_other(rng, setup.rows, codes, int(row)) for row in sources])
    masks = {"common": used > limit}
    sizes = masks["common"].sum(1)
    rare = np.where(used > 0, used, 2)
    place = np.argsort(np.argsort(rare, 1, kind="stable"), 1)
    masks["rare"] = (place < sizes[:, None]) & (used > 0) & ~masks["common"]
    masks["random"] = np.argsort(np.argsort(rng.random(used.shape), 1), 1) < sizes[:, None]
    variants = {
        "as it is": x[sources],
        "common ones at rest": np.where(masks["common"], rest, x[sources]),
        "common ones of another": np.where(masks["common"], x[others], x[sources]),
        "rare ones of another": np.where(masks["rare"], x[others], x[sources]),
        "random ones of another": np.where(masks["random"], x[others], x[sources]),
    }
    changed = {name: float(masks[name.split()[0]].mean()) if name != "as it is" else 0.0 for name in variants}
    drawn = {name: setup.sample(vectors, 1)[:, 0] for name, vectors in variants.items()}
    more = {name: setup.sample(vectors[: setup.examples]) for name, vectors in variants.items()}
    numbers = []
    for name, images in drawn.items():
        line: dict[str, Any] = {"dimensions": name, "changed %": changed[name]}
        for factor, (levels, _) in setup.codes.items():
            prediction = setup.predicted_levels(images, factor)
            differ = levels[sources] != levels[others]
            line[f"{plain(factor)}: its own %"] = float((prediction == levels[sources]).mean())
            line[f"{plain(factor)}: the other's %"] = (
                float((prediction == levels[others])[differ].mean()) if differ.any() else 0.0
            )
        numbers.append(line)
    given = setup.real_images(sources[: setup.examples]), setup.real_images(others[: setup.examples])
    rows = [
        image_row(name, (given[0][k], given[1][k]) if "another" in name else (given[0][k],), tuple(more[name][k]))
        for k in range(min(setup.examples, len(sources)))
        for name in variants
    ]
    kind = "are not zero" if sparse else "are further than one standard deviation from their mean"
    return experiment(
        "manipulations", "When dimensions of the vector are exchanged",
        f"Common dimensions: those that {kind} in more than {COMMON} of the {NEIGHBOURS} nearest pictures. They are "
        "set to rest, or taken from another picture (framed second); beside it rare ones, and random ones as many. "
        "The table says what a linear probe sees in the drawn pictures: the level of the first picture, or that of "
        "the other one where it is another.", rows, numbers,
    )  # fmt: skip


def _other(rng: np.random.Generator, rows: NDArray[np.int64], codes: NDArray[np.int64], row: int) -> int:
    """Return a picture of another class, or any other."""
    apart = rows[codes[rows] != codes[row]]
    apart = apart if len(apart) else rows[rows != row] if len(rows) > 1 else rows
    return int(rng.choice(apart))


def means(setup: ExperimentSetup) -> Experiment:
    """Draw from the mean vector of neighbours, and of classes."""
    x = setup.conditioned.vectors
    codes, levels = setup.codes[setup.label]
    rows = []
    for row in setup.rows[: setup.examples]:
        own = setup.real_images(np.array([row]))[0]
        near = setup.training_rows[
            nearest_rows(x[row][None], x[setup.training_rows], min(20, len(setup.training_rows))).rows[0]
        ]
        for count in (1, 5, 20):
            some = near[:count]
            drawn = setup.sample(x[some].mean(0)[None])[0]
            rows.append(image_row(f"mean of the {count} nearest" if count > 1 else "nearest", (own,), tuple(drawn)))
    numbers = []
    which = np.linspace(0, len(levels) - 1, min(8, len(levels))).astype(int)
    centres = np.stack([x[setup.training_rows][codes[setup.training_rows] == level].mean(0) for level in which])
    drawn = setup.sample(centres)
    for k, level in enumerate(which.tolist()):
        mine = np.flatnonzero(codes == level)[:1]
        rows.append(image_row(f"mean of {levels[level]}", (setup.real_images(mine)[0],), tuple(drawn[k])))
        numbers.append(
            {plain(setup.label): levels[level],
             "drawn pictures that are seen as it %":
                 float((setup.predicted_levels(drawn[k], setup.label) == level).mean())}
        )  # fmt: skip
    return experiment(
        "means", "When vectors are averaged",
        "What is drawn from the mean vector of a picture's nearest neighbours (the picture itself is framed, and not "
        "among them), and of all pictures of a class (framed: one of them).", rows, numbers,
    )  # fmt: skip


def sums(setup: ExperimentSetup) -> Experiment:
    """Add the difference of two pictures to a third, where the picture that should come of it is known.

    Raises:
        DatasetError: the data have no two pictures that differ in one factor alone.
    """
    columns = setup.conditioned.features.columns
    factors = [name for name in setup.codes if len(setup.codes[name][1]) < len(columns[name])]
    pairs = minimal_pairs(columns, factors) if len(factors) > 1 else {}
    asked = [name for name in pairs if name != setup.label and len(pairs[name])]
    if not asked or setup.label not in pairs:
        raise DatasetError("no two factors that are varied one at a time")
    x = setup.conditioned.vectors
    rng = np.random.default_rng((setup.seed, 2))
    label = setup.codes[setup.label][0]
    rows, numbers = [], []
    for name in asked[:4]:
        codes = setup.codes[name][0]
        rest = [setup.codes[f][0] for f in factors if f not in (name, setup.label)]
        quads = _quadruples(label, codes, rest, rng)
        if not quads:
            continue
        one, two, three, targets = np.array(quads).T
        vectors = x[one] + (x[three] - x[two])
        near = nearest_rows(vectors, x, 4).rows
        # The three pictures themselves do not count as an answer.
        given = np.stack([one, two, three], 1)
        known = (near[:, :, None] == given[:, None, :]).any(2)
        best = near[np.arange(len(near)), known.argmin(1)]
        numbers.append(
            {"changed": plain(name), "nearest has the new level %": float((codes[best] == codes[targets]).mean()),
             f"and the {plain(setup.label)} %": float((label[best] == label[targets]).mean()),
             "is the very picture %": float((best == targets).mean()), "sums": len(quads),
             "distance to it, of that of two pictures %": float(setup.relative_distance(vectors, targets).mean())}
        )  # fmt: skip
        drawn = setup.sample(vectors[:1])
        levels = setup.codes[name][1]
        line = setup.real_images(np.array([one[0], three[0], two[0], targets[0]]))
        rows.append(
            image_row(f"{plain(name)}: {levels[codes[one[0]]]} to {levels[codes[targets[0]]]}", tuple(line[:3]),
                (line[3], *drawn[0]), ("as it should be", *[""] * len(drawn[0])))
        )  # fmt: skip
    if not rows:
        raise DatasetError("no four pictures that differ in two factors alone")
    return experiment(
        "sums", "When vectors are added",
        "First framed picture, plus the second, minus the third. Rendered data have the picture that should come of "
        "it: it is the first of those to the right. The table asks for the nearest picture to the sum of vectors, "
        "without any drawing.", rows, numbers,
    )  # fmt: skip


def _quadruples(
    label: NDArray[np.int64], codes: NDArray[np.int64], rest: Sequence[NDArray[np.int64]], rng: np.random.Generator
) -> list[tuple[int, ...]]:
    """Return rows of a picture, of another label, of that with another level too, and of that level alone."""
    columns = [column.tolist() for column in (label, codes, *rest)]
    place = {key: row for row, key in enumerate(zip(*columns, strict=True))}
    found: list[tuple[int, ...]] = []
    for _ in range(40 * MANY):
        first = int(rng.integers(len(label)))
        a, u = int(label[first]), int(codes[first])
        tail = tuple(int(column[first]) for column in rest)
        b, v = int(rng.choice(label)), int(rng.choice(codes))
        others = [place[key] for key in ((b, u, *tail), (b, v, *tail), (a, v, *tail)) if key in place]
        if a != b and u != v and len(others) == 3:
            found.append((first, *others))
        if len(found) == 4 * MANY:
            break
    return found


def imagined(setup: ExperimentSetup) -> Experiment:
    """Draw pictures of none: vectors of learnt pictures with noise (a kernel density estimate)."""
    rng = np.random.default_rng((setup.seed, 3))
    x = setup.conditioned.vectors
    rows = rng.choice(setup.training_rows, 4 * MANY)
    vectors = x[rows] + (KDE * x.std(0) * rng.normal(size=(len(rows), x.shape[1]))).astype(np.float32)
    drawn = setup.sample(vectors, 1, same_noise=False)[:, 0]
    real, other = (
        x[setup.rows[: len(rows)]],
        x[rng.choice(setup.training_rows, len(rows), len(setup.training_rows) < len(rows))],
    )
    name = f"Fréchet distance to held-out pictures (features: {setup.conditioned.name})"
    numbers = [
        {"images": "drawn", name: frechet_distance(setup.conditioned.encode_pixels(drawn), real)},
        {"images": "real ones, as many", name: frechet_distance(other, real)},
    ]
    wide = 2 * setup.samples_per_image
    lines = [image_row("", (), tuple(drawn[k : k + wide])) for k in range(0, 3 * wide, wide)]
    return experiment(
        "imagined", "Pictures of no picture",
        f"Vectors of pictures that the decoder learnt, with noise of {KDE:g} of each feature's standard deviation.",
        lines, numbers,
    )  # fmt: skip
