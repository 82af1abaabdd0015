"""Sections of the page: what tells that the probe is right, the curve of activity, the score by factor, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import factor_target
from torchmultiverse.documents import EncodedImage
from torchmultiverse.evaluation import plain, tables
from torchmultiverse.features import Features, factor_names
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.store import ImageSet
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, LineChart, Point, Section, Series
from torchmultiverse.trust.judgement import Judgement
from torchmultiverse.trust.scored import Q, Scored

_LEAST = 5  # pictures of a level that is shown
_MOST_BARS = 12


def compared_section(judgements: Mapping[str, Judgement | None], found: Scored) -> Section:
    """Return how well each score tells what the probe gets right."""
    known = {name: one for name, one in judgements.items() if one is not None}
    table: list[dict[str, Cell]] = [
        {
            "score": name, "AUROC %": one.roc, "low %": one.roc_low, "high %": one.roc_high, "AUPRC %": one.precision,
            "AUPRC, low %": one.precision_low, "AUPRC, high %": one.precision_high,
            "AUPRC of chance %": one.chance, "n": one.images, "groups": one.groups,
        }
        for name, one in known.items()
    ]  # fmt: skip
    bars = tuple(Bar(name=name, value=one.roc, low=one.roc_low, high=one.roc_high) for name, one in known.items())
    about = (
        "The Q-Score sees neither labels nor the probe. The probe's confidence has seen labels of training "
        "pictures; nearness is that to the ten nearest of them. The shuffled band scores by other features, as many: "
        "the control. AUPRC of chance is the accuracy."
    )
    if not known:
        which = "right" if found.right.all() else "wrong"
        about = (
            f"The probe is {which} about all of the {len(found.right):,} test pictures: nothing is to be told apart. "
            "Ask for a column that is harder to read (--label), of an earlier layer (--layer), or of more pictures."
        )
    return Section(
        title="What tells that the probe is right", about=about,
        charts=(BarChart(title="Right or wrong", y="AUROC", bars=bars, chance=0.5),) if bars else (),
        table=tuple(table),
    )  # fmt: skip


def activity_section(found: Scored) -> Section:
    """Return how many pictures make each feature active."""
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
                "discriminative": int(found.band.sum()),
                "of them ever active": int((found.band & (found.active.activity() > 0)).sum()),
                "active in a picture (mean)": float(counts.mean()),
                "at most": int(counts.max()),
            },
        ),
    )  # fmt: skip


def by_level(
    features: Features, factors: Sequence[str] | None, places: NDArray[np.int64], without: Sequence[str]
) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Return factor, level and which pictures have it, of every level with enough of them.

    Args:
        features: with the columns.
        factors: names; all that vary by default.
        places: of the pictures among the features, (P,).
        without: columns that are left out: what is predicted, and what groups.
    """
    found = []
    for name in factor_names(features, factors):
        target = factor_target(features.columns, name)
        if name in without or target.numbers is not None:
            continue
        codes = target.codes[places]
        for code, level in enumerate(target.levels):
            mine = codes == code
            if mine.sum() >= _LEAST:
                found.append((name, level, mine))
    return found


def levels_section(features: Features, label: str, factors: Sequence[str] | None, found: Scored) -> list[Section]:
    """Return one section: the score and the accuracy at each level of each factor; none where there is no score."""
    lines: list[dict[str, Cell]] = []
    bars: dict[str, list[Bar]] = {}
    scores, intervals = found.scores[Q], Intervals()
    for name, level, mine in (
        by_level(features, factors, found.rows, (label, found.parts.by)) if found.known.any() else ()
    ):
        groups = np.unique(found.groups[mine], return_inverse=True)[1]
        of = mean_interval(scores[mine], groups, intervals, (0.0, 1.0))
        right = intervals.of_mean(found.right[mine].astype(float), groups)
        bars.setdefault(name, []).append(Bar(name=level, value=of.mean, low=of.low, high=of.high))
        lines.append(
            {
                "factor": plain(name), "level": level, "Q-Score": of.mean, "low": of.low, "high": of.high,
                "accuracy %": float(found.right[mine].mean()), "low %": right.low, "high %": right.high,
                "n": int(mine.sum()), "groups": len(np.unique(groups)),
            }
        )  # fmt: skip
    if not lines:
        return []
    charts = tuple(
        BarChart(title=plain(name), y="Q-Score", bars=tuple(some), percent=False)
        for name, some in bars.items()
        if 2 <= len(some) <= _MOST_BARS
    )
    return [
        Section(
            title="By factor",
            about="The mean score of the test pictures at each level, and the accuracy of the probe there, with 95 % "
            "intervals over groups: does a low score mean a hard pose, an odd light, or an odd world?",
            charts=charts, table=tuple(lines),
        )
    ]  # fmt: skip


def pictures_section(images: ImageSet, features: Features, found: Scored) -> list[Section]:
    """Return one section: the pictures with the lowest and highest scores; none where there is no score."""
    if not found.known.any():
        return []
    order = np.argsort(found.scores[Q], kind="stable")
    rows = []
    for label, places in (("lowest scores", order[:8]), ("highest scores", order[::-1][:8])):
        asked = [int(features.rows[found.rows[k]]) for k in places]
        shown = tuple(EncodedImage(data=thumbnail(rgb(image))) for image in images.iter_images(asked))
        captions = tuple("right" if found.right[k] else "wrong" for k in places)
        rows.append(ImageRow(label=label, inputs=(), samples=shown, captions=captions))
    return [Section(title="Pictures", about="Whether the probe was right is below each.", pictures=tuple(rows))]


def published_section() -> tuple[Section, ...]:
    """Return what is published about the score, marked as such."""
    found = []
    for table in tables("qscore"):
        lines = [{name: row.get(name) for name in table["columns"]} for row in table["rows"]]
        found.append(Section(title="Published", about=table["source"], table=tuple(lines), reference=True))
    return tuple(found)
