"""Which pictures a probe of a layer can be trusted on, told without labels, as a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import ProbeData, RunOptions, factor_target, nearest_rows, probe_of, split
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import (
    BAND,
    EPSILON,
    ActiveFeatures,
    Features,
    Sign,
    active_features,
    discriminative_features,
    factor_names,
    features_of,
    last_of_trunk,
)
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import load_model
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.store import ImageSet, open_images
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, LineChart, Point, Section, Series, Study
from torchmultiverse.trust.judgement import Judgement, judged

Q, CONFIDENCE, DENSITY, SHUFFLED = (
    "Q-Score",
    "confidence of the probe",
    "nearness to training pictures",
    "Q-Score of a shuffled band",
)
NEIGHBOURS = 10
_LEAST = 5  # pictures of a level that is shown
_MOST_EMPTY = 0.5  # of test pictures without a score, above which nothing is concluded
SOURCES = (
    "N. Kalibhat et al.: Measuring self-supervised representation quality for downstream classification using "
    "discriminative features, AAAI 2024.",
)


@dataclass(frozen=True)
class TrustOptions:
    """What is asked.

    Attributes:
        layer: whose features; the last before the head by default.
        label: column that the probe predicts; the animal or the label by default.
        group: column whose groups are in one part only.
        factors: columns by whose levels scores are shown; all that vary by default.
        epsilon, band, of, sign: of the Q-Score; see `torchmultiverse.features.active_features` and
            `torchmultiverse.features.discriminative_features`. Without a sign, features that are negative anywhere are
            taken by their positive part, and the study says so.
        limit: so many pictures at most.
    """

    layer: str | None = None
    label: str | None = None
    group: str = "auto"
    factors: Sequence[str] | None = None
    epsilon: float = EPSILON
    band: tuple[float, float] = BAND
    of: Literal["all", "live", "share"] = "all"
    sign: Sign | None = None
    limit: int | None = None


@dataclass(frozen=True)
class _Trusted:
    """Scores of the test pictures, and what the probe said of them.

    Attributes:
        rows: places among the features, (T,).
        scores: by name, (T,) each, high where the answer should be right.
        right: (T,).
        groups: (T,).
        active: features of all pictures.
        band: discriminative features.
        empty: share of test pictures without a discriminative active feature.
        answers: classes.
        by: column that grouped.
    """

    rows: NDArray[np.int64]
    scores: Mapping[str, NDArray[np.float64]]
    right: NDArray[np.bool_]
    groups: NDArray[np.int64]
    active: ActiveFeatures
    band: NDArray[np.bool_]
    empty: float
    answers: int
    by: str


def study_trust(
    model: Any, dataset: str | Path | ImageSet, options: TrustOptions | None = None, run: RunOptions | None = None
) -> tuple[Study, list[dict[str, Cell]]]:
    """Ask whether the Q-Score, which sees no labels, tells which pictures a linear probe gets wrong.

    Args:
        model: a model string or model.
        dataset: folder of a dataset or of pictures, or an opened one.
        options: what is asked.
        run: seed, kept features, bars.

    Returns:
        The study, and a line for every test picture: row, score, whether the probe was right.

    Raises:
        ModelError: no such layer.
        DatasetError: no such column, too few groups, or too few features for so high an epsilon.
    """
    options, run = options or TrustOptions(), run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    layer = options.layer or last_of_trunk(loaded)
    features = features_of(loaded, images, [layer], run.store, options.limit, run.seed, quiet=run.quiet)
    vectors = features.layers[layer]
    sign = options.sign or ("positive" if float(vectors.min()) < 0 else "as it is")
    label = options.label or next((n for n in ("character_name", "label") if n in features.columns), None)
    if label is None:
        raise DatasetError(f"{features.dataset} has no column character_name or label; name one with --label")
    found = _trusted(vectors, features, label, sign, options, run)
    rng = np.random.default_rng((run.seed, 2))
    judgements = {name: judged(scores, found.right, found.groups, rng) for name, scores in found.scores.items()}
    lines: list[dict[str, Cell]] = [
        {"row": int(features.rows[row]), "right": "yes" if right else "no"}
        | {name: float(scores[k]) for name, scores in found.scores.items()}
        for k, (row, right) in enumerate(zip(found.rows, found.right, strict=True))
    ]
    return _study(features, images, layer, label, sign, options, found, judgements), lines


def _trusted(
    vectors: NDArray[np.float32], features: Features, label: str, sign: Sign, options: TrustOptions, run: RunOptions
) -> _Trusted:
    rng = np.random.default_rng(run.seed)
    target = factor_target(features.columns, label)
    if target.numbers is not None:
        raise DatasetError(f"'{label}' is a number; a column of classes is needed")
    parts = split(features.columns, target, rng, options.group)
    data = ProbeData(
        vectors[parts.train], vectors[parts.validation], vectors[parts.test], target.codes[parts.train],
        target.codes[parts.validation], len(target.levels),
    )  # fmt: skip
    said = probe_of("logistic")(data, rng)
    assert said.confidence is not None
    active = active_features(vectors, options.epsilon, sign)
    learnt = active_features(vectors[parts.train], options.epsilon, sign).activity()
    band = discriminative_features(learnt, options.band, options.of)
    scores, known = active.scores(band)
    shuffled, _ = active.scores(rng.permutation(band))
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    near = nearest_rows(unit[parts.test], unit[parts.train], min(NEIGHBOURS, len(parts.train))).distances
    return _Trusted(
        parts.test,
        {
            Q: scores[parts.test], CONFIDENCE: said.confidence.astype(np.float64),
            DENSITY: -np.sqrt(np.maximum(near, 0)).mean(1).astype(np.float64), SHUFFLED: shuffled[parts.test],
        },
        np.asarray(said.prediction == target.codes[parts.test]), parts.groups[parts.test], active, band,
        float((~known[parts.test]).mean()), len(target.levels), parts.by,
    )  # fmt: skip


def _study(
    features: Features, images: ImageSet, layer: str, label: str, sign: Sign, options: TrustOptions, found: _Trusted,
    judgements: Mapping[str, Judgement | None],
) -> Study:  # fmt: skip
    mine, accuracy = judgements[Q], float(found.right.mean())
    if found.empty > _MOST_EMPTY:
        headline = (
            f"The Q-Score says nothing here: {found.empty:.0%} of the pictures have no active feature that is "
            f"discriminative. Try a lower --epsilon, now {options.epsilon:g}, or --band-of live."
        )
    elif mine is None:
        headline = (
            f"The probe of {plain(label)} is right about {accuracy:.0%} of the pictures: nothing is left to tell."
        )
    else:
        tells = (
            "tells" if mine.roc_low > 0.5 else "tells the wrong way round" if mine.roc_high < 0.5 else "does not tell"
        )
        headline = (
            f"The Q-Score {tells} which pictures a probe of {plain(label)} gets right: AUROC {100 * mine.roc:.1f} % "
            f"[{100 * mine.roc_low:.1f}, {100 * mine.roc_high:.1f}], chance 50 %"
        )
        other = judgements[CONFIDENCE]
        headline += f"; the probe's own confidence: {100 * other.roc:.1f} %." if other else "."
    dead = float((found.active.activity() == 0).mean())
    notes = [
        "The score needs no labels, but a representation whose units mean something each: rotate it and the score says "
        "nothing, while the probe stays the same. Where what all pictures share carries the length of the vectors it "
        "fails too: compare with the confidence, which needs labels of other pictures.",
        f"{found.empty:.1%} of the test pictures have no discriminative active feature: their score is 0. "
        f"{dead:.1%} of the features are never active.",
    ]
    if sign != "as it is":
        part = "size" if sign == "absolute" else "positive part"
        notes.insert(0, f"Some features are negative: their {part} was taken, for which the source makes no claim.")
    return Study(
        kind="trust", title=f"Which pictures {features.model} can be trusted on", headline=headline,
        models=(features.model,), dataset=features.dataset,
        facts={
            "layer": layer, "probe": f"logistic regression of {plain(label)}", "classes": found.answers,
            "accuracy": accuracy, "test pictures": len(found.rows), "groups": len(np.unique(found.groups)),
            "grouped by": plain(found.by) if found.by else "nothing", "epsilon": options.epsilon,
            "band": f"{options.band[0]:g} to {options.band[1]:g} ({options.of})",
            "discriminative features": int(found.band.sum()),
            "of them never active": int((found.band & (found.active.activity() == 0)).sum()),
            "features": found.active.size,
        },
        sections=(
            _compared(judgements), _activity(found), *_levels(features, label, options, found),
            _pictures(images, features, found),
        ),
        notes=tuple(notes), sources=SOURCES,
    )  # fmt: skip


def _compared(judgements: Mapping[str, Judgement | None]) -> Section:
    known = {name: one for name, one in judgements.items() if one is not None}
    table: list[dict[str, Cell]] = [
        {
            "score": name, "AUROC %": one.roc, "low %": one.roc_low, "high %": one.roc_high, "AUPRC %": one.precision,
            "AUPRC, interval": f"{100 * one.precision_low:.1f} – {100 * one.precision_high:.1f}",
            "AUPRC of chance %": one.chance, "n": one.images, "groups": one.groups,
        }
        for name, one in known.items()
    ]  # fmt: skip
    bars = tuple(Bar(name=name, value=one.roc, low=one.roc_low, high=one.roc_high) for name, one in known.items())
    return Section(
        title="What tells that the probe is right",
        about="The Q-Score sees neither labels nor the probe. The probe's confidence has seen labels of training "
        "pictures; nearness is that to the ten nearest of them. The shuffled band scores by other features, as many: "
        "the control. AUPRC of chance is the accuracy.",
        charts=(BarChart(title="Right or wrong", y="AUROC", bars=bars, chance=0.5),) if bars else (),
        table=tuple(table),
    )  # fmt: skip


def _activity(found: _Trusted) -> Section:
    activity = np.sort(found.active.activity())
    places = np.unique(np.linspace(0, len(activity) - 1, 60).astype(int))
    points = tuple(Point(x=round(100 * (k + 1) / len(activity), 1), y=float(activity[k])) for k in places)
    counts = found.active.counts
    return Section(
        title="How often features are active",
        about="Features by the share of pictures in which they stand out. Left: rare ones, of single pictures; right: "
        "generic ones; the band between is what the score looks at.",
        charts=(
            LineChart(
                title="Share of pictures", x="features, %, the rarest first", y="pictures",
                series=(Series(name="", points=points),),
            ),
        ),
        table=(
            {
                "features": found.active.size, "never active": int((activity == 0).sum()),
                "discriminative": int(found.band.sum()), "active in a picture (mean)": float(counts.mean()),
                "at most": int(counts.max()),
            },
        ),
    )  # fmt: skip


def _levels(features: Features, label: str, options: TrustOptions, found: _Trusted) -> list[Section]:
    """Return one section: the score and the accuracy at each level of each factor."""
    lines: list[dict[str, Cell]] = []
    charts = []
    scores = found.scores[Q]
    for name in factor_names(features, options.factors):
        target = factor_target(features.columns, name)
        if name == label or target.numbers is not None:
            continue
        codes = target.codes[found.rows]
        bars = []
        for code, level in enumerate(target.levels):
            mine = codes == code
            if mine.sum() < _LEAST:
                continue
            groups = np.unique(found.groups[mine], return_inverse=True)[1]
            of = mean_interval(scores[mine], groups, Intervals())
            bars.append(Bar(name=level, value=of.mean, low=of.low, high=of.high))
            lines.append(
                {
                    "factor": plain(name), "level": level, "Q-Score": of.mean, "low": of.low, "high": of.high,
                    "accuracy %": float(found.right[mine].mean()), "n": int(mine.sum()),
                }
            )  # fmt: skip
        if 2 <= len(bars) <= 12:
            charts.append(BarChart(title=plain(name), y="Q-Score", bars=tuple(bars), percent=False))
    if not lines:
        return []
    return [
        Section(
            title="By factor",
            about="The mean score of the test pictures at each level, with 95 % intervals over groups: does a low "
            "score mean a hard pose, an odd light, or an odd world?",
            charts=tuple(charts), table=tuple(lines),
        )
    ]  # fmt: skip


def _pictures(images: ImageSet, features: Features, found: _Trusted) -> Section:
    order = np.argsort(found.scores[Q], kind="stable")
    rows = []
    for label, places in (("lowest scores", order[:8]), ("highest scores", order[::-1][:8])):
        asked = [int(features.rows[found.rows[k]]) for k in places]
        shown = tuple(EncodedImage(data=thumbnail(rgb(image))) for image in images.iter_images(asked))
        captions = tuple("right" if found.right[k] else "wrong" for k in places)
        rows.append(ImageRow(label=label, inputs=(), samples=shown, captions=captions))
    return Section(title="Pictures", about="Whether the probe was right is below each.", pictures=tuple(rows))
