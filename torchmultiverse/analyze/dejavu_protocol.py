"""The déjà vu protocol on features: scores of two models, or of one alone, with the controls that they need.

Source: C. Meehan, F. Bordes, P. Vincent, K. Chaudhuri and C. Guo, *Do SSL models have déjà vu? A case of unintended
memorization in self-supervised learning*, NeurIPS 2023, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.dejavu import (
    FRACTIONS,
    DejaVu,
    DejaVuScore,
    InferencePair,
    dejavu_scores,
    score_against_unseen,
)
from torchmultiverse.analyze.label_inference import Inference, K, find_neighbours, infer_from, joined
from torchmultiverse.analyze.neighbours import Backend, NearestRows, searched_by
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import Interval, Intervals

Near = Mapping[str, Sequence[NearestRows]]
"""Nearest public pictures of the crops of each set, by each model."""

_SHUFFLED = 10_000  # answers for which the public labels are shuffled again, up to 20 times


class Controls(Record):
    """What must be near zero, or chance, if the score means what it says.

    Attributes:
        held_out: score on pictures that neither model saw, with its interval; another value measures that the two
            models are unequally good. ``None`` without such pictures.
        shuffled_accuracy, chance: accuracy of the target when the public labels are shuffled, and what chance gives.
        swapped_score: score with A and B exchanged together with their pictures: the same number.
    """

    held_out: DejaVuScore | None
    shuffled_accuracy: float
    chance: float
    swapped_score: float


class ClassAccuracy(Record):
    """How often one class is inferred.

    Attributes:
        label: the class.
        images: of it, of both sides.
        accuracy, low, high: of the model that was trained on them, with its interval.
        reference_accuracy: of the reference.
        gap: of the two.
    """

    label: str
    images: int
    accuracy: float
    low: float
    high: float
    reference_accuracy: float
    gap: float


@dataclass(frozen=True)
class ModelFeatures:
    """Features of one model for all that the protocol asks for; one row each.

    Attributes:
        crops: of A's pictures, of B's, and, where there are any, of pictures that neither saw.
        public: of public pictures.
    """

    crops: Mapping[str, FloatArray]
    public: FloatArray


def score_model_pair(
    first: ModelFeatures,
    second: ModelFeatures,
    targets: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    k: int = K,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    backend: Backend = "auto",
) -> tuple[DejaVu, Controls, dict[str, InferencePair]]:
    """Run the whole protocol on the features of two models.

    Args:
        first, second: of the model that saw A, and of the one that saw B.
        targets: labels of the crops ``A`` and ``B``, and of ``held out`` where there are any; codes.
        labels: of the public pictures.
        k: neighbours; lowered to the pictures of the rarest label where there are fewer.
        fractions: as p.
        seed: of resampling and shuffling.
        backend: see `nearest_rows`.

    Returns:
        The score, the controls, and the answers by set.

    Raises:
        DatasetError: see `infer` and `dejavu_scores`.
    """
    k, notes = fitting_neighbours(k, labels)
    near = neighbours_of((first, second), targets, labels, k, backend)
    notes += _searched(backend, targets, labels)
    found, controls, sides = pair_scores(near, targets, labels, fractions, seed)
    return _with_notes(found, notes), controls, sides


def neighbours_of(
    models: Sequence[ModelFeatures],
    targets: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    k: int,
    backend: Backend = "auto",
) -> Near:
    """Return the public pictures nearest to the crops of each set, of each model.

    Args:
        models: features of one or two.
        targets: labels of the crops of each set, codes.
        labels: of the public pictures, codes.
        k, backend: see `nearest_rows`.

    Raises:
        DatasetError: see `infer`.
    """
    return {
        name: [find_neighbours(model.crops[name], mine, model.public, labels, k, backend) for model in models]
        for name, mine in targets.items()
    }


def pair_scores(
    near: Near,
    targets: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    groups: Mapping[str, NDArray[np.int64]] | None = None,
) -> tuple[DejaVu, Controls, dict[str, InferencePair]]:
    """Score two models by neighbours that were found before, so that many questions cost one search.

    Args:
        near: of both models, see `neighbours_of`.
        targets, labels, fractions, seed: as in `score_model_pair`.
        groups: of the pictures of each set, codes over all of them: they are resampled together.
    """
    answers = {name: [infer_from(found, targets[name], labels) for found in both] for name, both in near.items()}
    sides = {"A": InferencePair(*answers["A"]), "B": InferencePair(*answers["B"][::-1])}
    classes = int(labels.max()) + 1
    both = None if groups is None else [groups["A"], groups["B"]]
    found = dejavu_scores([sides["A"], sides["B"]], classes, fractions, seed, groups=both)
    held = None
    if "held out" in answers:
        sides["held out"] = InferencePair(*answers["held out"])
        own = None if groups is None else [groups["held out"]]
        held = dejavu_scores([sides["held out"]], classes, (1.0,), seed, groups=own).at(1.0)
    exchanged = dejavu_scores([sides["B"], sides["A"]], classes, (1.0,), seed, resamples=1).at(1.0).score
    return found, _controls(held, exchanged, near["A"][0], targets["A"], labels, seed), sides


def score_model(
    model: ModelFeatures,
    targets: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    k: int = K,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    backend: Backend = "auto",
    background_inference: Mapping[str, Inference] | None = None,
) -> tuple[DejaVu, Controls, dict[str, InferencePair]]:
    """Run the protocol on one model.

    Args:
        model: that saw A.
        targets: labels of the crops ``A``, and of ``B`` and ``held out``, which it did not see; codes.
        labels: of the public pictures.
        k, fractions, seed, backend: as in `score_model_pair`.
        background_inference: what a classifier of backgrounds infers of each set. Without it the reference is the model
            itself on the pictures that it did not see.

    Returns:
        The score, the controls, and the answers on A and on the others.

    Raises:
        DatasetError: nothing that the model did not see; see also `infer` and `score_against_unseen`.
    """
    k, notes = fitting_neighbours(k, labels)
    near = neighbours_of((model,), targets, labels, k, backend)
    notes += _searched(backend, targets, labels)
    found, controls, sides = single_scores(near, targets, labels, fractions, seed, background_inference)
    return _with_notes(found, notes), controls, sides


def single_scores(
    near: Near,
    targets: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    background_inference: Mapping[str, Inference] | None = None,
    groups: Mapping[str, NDArray[np.int64]] | None = None,
) -> tuple[DejaVu, Controls, dict[str, InferencePair]]:
    """Score one model by neighbours that were found before; see `score_model` and `pair_scores`.

    Raises:
        DatasetError: see `score_model`.
    """
    answers = {name: infer_from(found[0], targets[name], labels) for name, found in near.items()}
    unseen = [name for name in targets if name != "A"]
    if not unseen:
        raise DatasetError("a model alone needs pictures that it did not see: those of B, or held-out ones")
    classes = int(labels.max()) + 1
    others = np.concatenate([targets[name] for name in unseen])
    held = joined([answers[name] for name in unseen])
    control: DejaVuScore | None = None
    mine = None if groups is None else [groups["A"]]
    rest_of = None if groups is None else np.concatenate([groups[name] for name in unseen])
    if background_inference is None:
        found, side = score_against_unseen(
            answers["A"], held, targets["A"], others, classes, fractions, seed,
            groups=None if mine is None or rest_of is None else [*mine, rest_of],
        )  # fmt: skip
        if len(unseen) > 1:  # both unseen: the difference must be chance
            control = score_against_unseen(
                answers["held out"], answers["B"], targets["held out"], targets["B"], classes, (1.0,), seed,
                groups=None if groups is None else [groups["held out"], groups["B"]],
            )[0].at(1.0)  # fmt: skip
        sides = {"A": side, "held out": InferencePair(held, held)}
    else:
        side = InferencePair(answers["A"], background_inference["A"])
        rest = InferencePair(held, joined([background_inference[name] for name in unseen]))
        found = dejavu_scores([side], classes, fractions, seed, groups=mine)
        control = dejavu_scores([rest], classes, (1.0,), seed, groups=None if rest_of is None else [rest_of]).at(1.0)
        sides = {"A": side, "held out": rest}
    return found, _controls(control, found.at(1.0).score, near["A"][0], targets["A"], labels, seed), sides


def _controls(
    held_out: DejaVuScore | None,
    swapped: float,
    near: NearestRows,
    targets: NDArray[np.int64],
    labels: NDArray[np.int64],
    seed: int,
) -> Controls:
    """Return the controls, with how often neighbours are right when the public labels are shuffled.

    Pictures that have most neighbours in common are right or wrong together: one shuffle of few pictures says little.
    """
    shuffles = int(np.clip(_SHUFFLED // len(targets), 1, 20))
    rng = np.random.default_rng(seed)
    shuffled = [infer_from(near, targets, rng.permutation(labels)).correct.mean() for _ in range(shuffles)]
    frequency = np.bincount(labels) / len(labels)
    return Controls(
        held_out=held_out, shuffled_accuracy=float(np.mean(shuffled)), chance=float(frequency[targets].mean()),
        swapped_score=swapped,
    )  # fmt: skip


def _with_notes(found: DejaVu, notes: Sequence[str]) -> DejaVu:
    return found.model_copy(update={"notes": (*notes, *found.notes)})


def _searched(backend: Backend, targets: Mapping[str, NDArray[np.int64]], labels: NDArray[np.int64]) -> list[str]:
    """Return that faiss was taken, if it was."""
    names = [name for name, mine in targets.items() if searched_by(backend, len(mine), len(labels)) == "faiss"]
    return [f"neighbours of {', '.join(names)} found by faiss, exactly, as torch finds them"] if names else []


def fitting_neighbours(k: int, labels: NDArray[np.int64]) -> tuple[int, list[str]]:
    """Return how many neighbours can be asked, and what is to be said of that."""
    most = int(np.bincount(labels)[np.unique(labels)].min())
    if k > most:
        return most, [f"k is {most} instead of {k}: the rarest label has no more public pictures"]
    return k, [f"k is {k}; the source holds it steady for 50 and above"] if k < 50 else []


def selections(side: InferencePair, count: int = 10) -> dict[str, NDArray[np.int64]]:
    """Return the pictures that are most memorized, and those that are most correlated, as places in the set.

    Memorized ones by how much more confident the target is than the reference; correlated ones by the less confident
    of the two.
    """
    a, b = side.target, side.reference
    memorized = np.flatnonzero(a.correct & ~b.correct)
    correlated = np.flatnonzero(a.correct & b.correct)
    gain = a.confidence - b.confidence
    both = np.minimum(a.confidence, b.confidence)
    return {
        "memorized": memorized[np.argsort(-gain[memorized], kind="stable")][:count],
        "correlated": correlated[np.argsort(-both[correlated], kind="stable")][:count],
    }


def class_accuracies(
    sides: Sequence[InferencePair], targets: Sequence[NDArray[np.int64]], labels: Sequence[str]
) -> list[ClassAccuracy]:
    """Return accuracy of target and reference, and their gap, by label, both sides together.

    Args:
        sides: the answers of both models.
        targets: labels of the pictures of each side, codes (N,).
        labels: names, by code.
    """
    found = []
    intervals = Intervals()
    every = np.concatenate(list(targets))
    ours, theirs = (np.concatenate([getattr(s, which).correct for s in sides]) for which in ("target", "reference"))
    for code, label in enumerate(labels):
        a, b = ours[every == code].astype(float), theirs[every == code].astype(float)
        if not len(a):
            continue
        interval: Interval = intervals.of_mean(a, None)
        found.append(
            ClassAccuracy(
                label=str(label), images=len(a), accuracy=float(a.mean()), low=interval.low, high=interval.high,
                reference_accuracy=float(b.mean()), gap=float(a.mean() - b.mean()),
            )
        )  # fmt: skip
    return found
