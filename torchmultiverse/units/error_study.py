"""Which units carry a wrong answer, and what they detect.

A linear probe of a layer answers by the sum of products of activations and weights: the units with the largest products
for the answer that was given are those that made it be given.

Source: N. Kalibhat, PhD thesis, section 4.5: the largest of h ⊙ U of the predicted class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze import ProbeData, factor_target, probe_of, split
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import contrast, holm, student_quantile
from torchmultiverse.store import ImageSet
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, Section

Cropper = Callable[[NDArray[np.int64], NDArray[np.int64]], Sequence[Image.Image]]
"""From rows of a dataset, (P,), and units, (P,), to the part of each picture at which its unit is active."""
FIRST = 3
"""Units with the largest part that are looked at."""
_CARDS = 12
_PAIRS = 20


def contributions(
    features: FloatArray, weights: FloatArray, answers: NDArray[np.int64], against: NDArray[np.int64] | None = None
) -> FloatArray:
    """Return what each unit adds to the logit of an answer, (N, U).

    Args:
        features: (N, U).
        weights: of a linear classifier, (U, C).
        answers: classes, (N,).
        against: other classes, (N,), over which the answer was preferred: then what each unit adds to the difference
            of both logits.

    >>> contributions(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [2.0, 1.0]]), np.array([0])).tolist()
    [[1.0, 4.0]]
    >>> contributions(np.array([[1.0, 2.0]]), np.array([[1.0, 0], [2, 1]]), np.array([0]), np.array([1])).tolist()
    [[1.0, 2.0]]
    """
    weight = weights.T[answers]
    if against is not None:
        weight = weight - weights.T[against]
    return np.asarray(features * weight)


@dataclass(frozen=True)
class Answers:
    """What a probe of a layer says of test pictures.

    Attributes:
        label: column that it predicts.
        levels: its classes.
        rows: places of the test pictures among the features, (T,).
        true, said: codes of their classes, (T,).
        parts: what each unit adds to the logit of the answer, (T, U).
        preferred: what it adds to the logit of the answer less that of the true class, (T, U); 0 of right answers.
        groups: of the test pictures, 0 to G − 1, (T,).
        by: the column that groups, "" for none.
    """

    label: str
    levels: tuple[str, ...]
    rows: NDArray[np.int64]
    true: NDArray[np.int64]
    said: NDArray[np.int64]
    parts: FloatArray
    preferred: FloatArray
    groups: NDArray[np.int64]
    by: str

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which answers are wrong, (T,)."""
        return np.asarray(self.true != self.said)


def answers_of(
    vectors: FloatArray, features: Features, label: str | None, group: str, rng: np.random.Generator
) -> Answers:
    """Train a logistic probe on some groups of pictures, and ask it about the others.

    Args:
        vectors: of a layer, (N, U).
        features: with the columns.
        label: column that is predicted; character_name, or label, by default.
        group: column whose groups are in one part only.
        rng: draws the groups.

    Raises:
        DatasetError: no such column, too few groups, or a column of numbers.
    """
    label = label or next((n for n in ("character_name", "label") if n in features.columns), None)
    if label is None:
        raise DatasetError(f"{features.dataset} has no column character_name or label; name one with --label")
    if label not in features.columns:
        raise DatasetError(f"{features.dataset} has no column '{label}'.{nearest(label, features.columns)}")
    target = factor_target(features.columns, label)
    if target.numbers is not None:
        raise DatasetError(f"'{label}' is a number; a column of classes is needed")
    parts = split(features.columns, target, rng, group)
    data = ProbeData(
        vectors[parts.train], vectors[parts.validation], vectors[parts.test], target.codes[parts.train],
        target.codes[parts.validation], len(target.levels),
    )  # fmt: skip
    said = probe_of("logistic")(data, rng)
    assert said.probe is not None
    tested, true = vectors[parts.test], target.codes[parts.test]
    predicted = np.asarray(said.prediction, np.int64)
    return Answers(
        label, target.levels, parts.test, true, predicted, contributions(tested, said.probe.weight, predicted),
        contributions(tested, said.probe.weight, predicted, true), parts.groups[parts.test], parts.by,
    )  # fmt: skip


def error_section(
    answers: Answers, detected: Mapping[int, str], factors: Mapping[int, Sequence[str]], images: ImageSet,
    rows: NDArray[np.int64], crops: Cropper | None = None, words: Mapping[int, str] | None = None,
) -> Section:  # fmt: skip
    """Say what the units detect that carry wrong answers.

    Args:
        answers: of a probe.
        detected: what units detect, by unit; others detect nothing that is known.
        factors: the factors of it.
        images, rows: the pictures of the features.
        crops: from rows of the dataset and units to the part of each picture at which the unit is active.
        words: of units, of an image-text model.
    """
    wrong = answers.wrong
    tests, accuracy = len(wrong), float((~wrong).mean())
    asked = f"{plain(answers.label)}, {len(answers.levels)} classes; grouped by {plain(answers.by) or 'nothing'}"
    about = (
        f"A logistic probe of this layer ({asked}) is right about {100 * accuracy:.0f} % of {tests:,} test pictures "
        f"(chance {100 / len(answers.levels):.0f} %). Each unit adds its activation times its weight to the answer; "
        f"the {FIRST} that add most carry it. Share: how often they detect a value of the factor, in wrong answers and "
        f"in right ones ({int(wrong.sum())} and {int((~wrong).sum())}); p is corrected for the number of factors "
        "(Holm). A factor that is in more wrong answers than right ones is what the model takes for the class."
    )
    if not wrong.any():
        return Section(title="Wrong answers, explained", about="No answer is wrong: there is nothing to say. " + about)
    table, bars = _by_factor(answers, factors)
    return Section(
        title="Wrong answers, explained", about=about,
        charts=(BarChart(title="What carries wrong answers", y="share of wrong answers, less right", bars=bars),),
        table=table, pictures=_cards(answers, detected, words or {}, images, rows, crops),
    )  # fmt: skip


def carriers(parts: FloatArray, count: int = FIRST) -> NDArray[np.int64]:
    """Return the units that add most, the first first, (N, count) or fewer."""
    return np.argsort(-parts, axis=1, kind="stable")[:, :count]


def _by_factor(
    answers: Answers, factors: Mapping[int, Sequence[str]]
) -> tuple[tuple[Mapping[str, Cell], ...], tuple[Bar, ...]]:
    first = carriers(answers.parts)
    names = list(dict.fromkeys(name for unit in np.unique(first).tolist() for name in factors.get(unit, ())))
    wrong = answers.wrong
    found = []
    for name in names:
        has = np.array([[name in factors.get(unit, ()) for unit in units] for units in first.tolist()])
        shares = has.mean(1)
        difference = contrast(shares, wrong, ~wrong, answers.groups) if (~wrong).any() else None
        found.append((name, float(shares[wrong].mean()), shares, difference))
    corrected = holm([1.0 if one is None else one.p for *_, one in found])
    lines: list[Mapping[str, Cell]] = []
    bars = []
    more = [inside if one is None else one.difference for _, inside, _, one in found]
    order = sorted(range(len(found)), key=lambda k: -more[k])
    for k in order:
        name, inside, shares, difference = found[k]
        low = high = None
        if difference is not None and np.isfinite(difference.error):
            half = student_quantile(0.025, difference.clusters - 1) * difference.error
            low, high = difference.difference - half, difference.difference + half
        less = None if difference is None else difference.difference
        lines.append(
            {
                "factor": plain(name), "wrong answers %": inside,
                "right answers %": float(shares[~wrong].mean()) if (~wrong).any() else None,
                "difference %": less, "low %": low, "high %": high, "p": corrected[k],
                "groups": None if difference is None else difference.clusters,
            }
        )  # fmt: skip
        if less is not None:
            bars.append(Bar(name=plain(name), value=less, low=low, high=high))
    return tuple(lines), tuple(bars[:_PAIRS])


def _cards(
    answers: Answers, detected: Mapping[int, str], words: Mapping[int, str], images: ImageSet,
    rows: NDArray[np.int64], crops: Cropper | None,
) -> tuple[ImageRow, ...]:  # fmt: skip
    """Return wrong answers, the firmest first, with what the units detect that carry them."""
    wrong = np.flatnonzero(answers.wrong)
    firmest = wrong[np.argsort(-answers.preferred[wrong].sum(1), kind="stable")][:_CARDS]
    places = rows[answers.rows[firmest]]
    first, over = carriers(answers.parts[firmest]), carriers(answers.preferred[firmest])
    pictures = crops(np.repeat(places, first.shape[1]), first.ravel()) if crops is not None else []
    found = []
    for k, place in enumerate(firmest.tolist()):
        said, true = answers.levels[answers.said[place]], answers.levels[answers.true[place]]
        speak = [_named(unit, detected, words) for unit in first[k].tolist()]
        label = f"{true}, taken for {said}. Over the true answer: "
        label += "; ".join(_named(unit, detected, words) for unit in over[k].tolist())
        mine = pictures[k * len(speak) : (k + 1) * len(speak)]
        found.append(
            ImageRow(
                label=label if mine else f"{label}. For the answer: {'; '.join(speak)}",
                inputs=(EncodedImage(data=thumbnail(rgb(images.image(int(places[k]))))),),
                samples=tuple(EncodedImage(data=thumbnail(one)) for one in mine),
                captions=tuple(speak) if mine else (), misclassified=True,
            )
        )  # fmt: skip
    return tuple(found)


def _named(unit: int, detected: Mapping[int, str], words: Mapping[int, str]) -> str:
    told = f" (“{words[unit]}”)" if words.get(unit) else ""
    return f"{detected.get(unit, 'nothing known')}{told}"
