"""The record of what was asked about domains: charts, tables, and the published numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torchmultiverse.errors import counted
from torchmultiverse.json_text import read_json
from torchmultiverse.resources import data_folder
from torchmultiverse.stats import format_difference
from torchmultiverse.study import (
    COMMONEST,
    Bar,
    BarChart,
    Cell,
    Heatmap,
    LineChart,
    Point,
    Section,
    Series,
    Study,
)
from torchmultiverse.transfer.domain_code import DomainCode
from torchmultiverse.transfer.domain_findings import DomainFindings, LayerFindings
from torchmultiverse.transfer.domain_gap import Gap

_SOURCE = (
    "N. Kalibhat et al., Adapting self-supervised representations to multi-domain setups, 2023, arXiv 2309.03999 "
    "(accuracy on seen and unseen domains, overlap of the features of a class, clusters as domains)"
)
_ERASURE = "N. Belrose et al., LEACE: perfect linear concept erasure in closed form, 2023, arXiv 2306.03819"
_MOST_BARS = 24


def domain_study(found: DomainFindings) -> Study:
    """Return the record of findings.

    Args:
        found: by `torchmultiverse.transfer.measure_domains`.
    """
    last = found.layers[-1]
    sections: list[Section] = [
        *_gap_section(found, last), _layer_section(found), *_level_section(found, last),
        *_erased_section(found, last), *_leak_section(found),
        *_correlated_section(found), *_cluster_section(found), *_heat_section(found), *_reference(),
    ]  # fmt: skip
    gap = last.gap
    facts: dict[str, Cell] = {
        "content": found.content, "domain": found.domain, "contents": found.contents, "domains": found.domains,
        "pictures": found.images, "unseen": found.kind, "intervals over": found.group,
        "trained on": gap.train if gap else last.code.train, "asked about": gap.test if gap else last.code.test,
        "chance of the content": round(gap.chance, 4) if gap else None, "layer of the last tables": last.layer,
    }  # fmt: skip
    return Study(
        kind="domains", title=f"Does {found.content} depend on {found.domain}?", headline=_headline(found, last),
        models=(found.model,), dataset=found.dataset, facts=facts, sections=tuple(sections),
        notes=(*_notes(found), *found.notes), sources=(_SOURCE, _ERASURE),
    )  # fmt: skip


def _headline(found: DomainFindings, last: LayerFindings) -> str:
    told = (
        f"{found.domain} is told {100 * last.code.score:.1f} % of the time "
        f"[{100 * last.code.low:.1f}, {100 * last.code.high:.1f}], by chance {100 * last.code.chance:.1f} %"
    )
    if last.gap is None:
        return f"At {last.layer}, {told}."
    gap = last.gap
    what = {"domains": found.domain, "combinations": "combination", "pictures": "kind of pictures"}[found.kind]
    cost = format_difference(gap.gap, gap.low, gap.high, gap.groups)
    return (
        f"At {last.layer}, {found.content} is named rightly in {100 * gap.seen:.1f} % of pictures whose {what} was "
        "seen "
        f"in training and in {100 * gap.unseen:.1f} % of the same where it was not: {cost} points; {told}."
    )


def _notes(found: DomainFindings) -> list[str]:
    notes = [
        "Seen and unseen are two probes with as many pictures to learn from, asked about the same test pictures. What "
        "makes a domain harder for both is no part of the gap.",
        COMMONEST,
    ]
    if found.group == "picture":
        notes.append(
            "Pictures count as independent here: no column groups them. Intervals are too short if they are not; "
            "--group names a column."
        )
    gap = found.layers[-1].gap
    if gap is not None and gap.left_out:
        notes.append(
            f"Not asked: {counted(gap.left_out, 'test picture')}, since training had nothing of their content."
        )
    if any(one.overlap is not None for one in found.layers) and found.contents * found.domains < 8:
        notes.append(
            f"Overlap of features: of {found.contents * found.domains} class means hardly any deviates by two standard "
            "deviations; eight at least are needed."
        )
    return notes


def _gap_line(what: str, gap: Gap) -> dict[str, Any]:
    return {
        "not trained on": what, "seen %": gap.seen, "unseen %": gap.unseen, "gap %": gap.gap, "low %": gap.low,
        "high %": gap.high, "p": gap.p, "chance %": gap.chance, "other domains %": gap.trained,
        "gap to these %": gap.trained_gap, "gap to these, low %": gap.trained_low,
        "gap to these, high %": gap.trained_high, "asked": gap.test,
        "groups": gap.groups, "trained on": gap.train, "folds": gap.folds,
    }  # fmt: skip


def _gap_section(found: DomainFindings, last: LayerFindings) -> Iterable[Section]:
    lines = [(found.kind, last.gap), ("combinations", found.combinations)]
    asked = [(name, gap) for name, gap in lines if gap is not None]
    if not asked:
        return
    bars = [
        bar
        for name, gap in asked
        for bar in (
            Bar(name=f"{name}, seen", value=gap.seen, low=gap.seen_low, high=gap.seen_high, group="seen in training"),
            Bar(name=f"{name}, unseen", value=gap.unseen, low=gap.unseen_low, high=gap.unseen_high, group="unseen"),
        )
    ]
    yield Section(
        title="Seen and unseen",
        about=(
            f"How often a probe of {found.content} is right at {last.layer}. Gap: seen minus unseen on the same "
            "pictures. "
            "Other domains: the probes that did not see these, on those that they did see; the gap to them is that of "
            "the "
            "source, in which harder domains count too. Combinations: every content and every domain is trained on, "
            "but not these together."
        ),
        charts=(
            BarChart(
                title=f"{found.content}, of the same pictures", y="right", bars=tuple(bars), chance=asked[0][1].chance
            ),
        ),
        table=tuple(_gap_line(name, gap) for name, gap in asked),
    )


def _layer_section(found: DomainFindings) -> Section:
    lines: list[dict[str, Cell]] = []
    for one in found.layers:
        code, gap, overlap = one.code, one.gap, one.overlap
        lines.append({
            "layer": one.layer, "domain told %": code.score, "low %": code.low, "high %": code.high,
            "labels shuffled %": code.shuffled, "chance %": code.chance, "p": code.p,
            "content, seen %": gap.seen if gap else None, "content, unseen %": gap.unseen if gap else None,
            "gap %": gap.gap if gap else None, "gap, low %": gap.low if gap else None,
            "gap, high %": gap.high if gap else None, "overlap %": overlap.between if overlap else None,
            "overlap, same domain %": overlap.within if overlap else None,
            "overlap, other contents %": overlap.others if overlap else None,
            "features standing out": overlap.features if overlap else None,
        })  # fmt: skip
    return Section(
        title="By layer",
        about=(
            f"How well {found.domain} is told, beside the same probe on shuffled labels, and what of {found.content} "
            "is "
            "named rightly. Overlap: of the features that deviate by two standard deviations in the mean of a content "
            "in "
            "one domain, how many do in another (Jaccard index); beside it the same content and domain from other "
            "pictures, the most that could be, and other contents in other domains."
        ),
        charts=_layer_charts(found),
        table=tuple(lines),
    )


def _layer_charts(found: DomainFindings) -> tuple[LineChart, ...]:
    """Return what is told of the domain, of the content, and the overlap, over the layers."""

    def line(name: str, parts: Sequence[Any], ends: Sequence[str], dashed: bool = False) -> Series:
        points = tuple(
            Point(
                x=one.layer, y=getattr(part, ends[0]), low=getattr(part, ends[1]) if len(ends) > 1 else None,
                high=getattr(part, ends[2]) if len(ends) > 1 else None,
            )
            for one, part in zip(found.layers, parts, strict=True)
            if part is not None and math.isfinite(getattr(part, ends[0]))
        )  # fmt: skip
        return Series(name=name, points=points, dashed=dashed)

    def chart(title: str, series: Sequence[Series], chance: float | None, height: str = "right") -> LineChart:
        return LineChart(title=title, x="layer", y=height, series=tuple(s for s in series if s.points), chance=chance)

    codes, gaps, overlaps = zip(*((one.code, one.gap, one.overlap) for one in found.layers), strict=True)
    shuffled = ("shuffled", "shuffled_low", "shuffled_high")
    told = (line(found.domain, codes, ("score", "low", "high")), line("labels shuffled", codes, shuffled, True))
    charts = [chart(f"{found.domain} told", told, codes[-1].chance)]
    if any(gaps):
        named = (
            line("seen in training", gaps, ("seen", "seen_low", "seen_high")),
            line("unseen", gaps, ("unseen", "unseen_low", "unseen_high")),
        )
        charts.append(chart(f"{found.content} named", named, next(gap.chance for gap in gaps if gap)))
    if any(overlaps):
        shared = (
            line("in two domains", overlaps, ("between", "low", "high")),
            line("in one domain", overlaps, ("within",), True),
            line("of two contents", overlaps, ("others",), True),
        )  # fmt: skip
        charts.append(chart("Overlap of features", shared, None, "Jaccard index"))
    return tuple(charts)


def _level_section(found: DomainFindings, last: LayerFindings) -> Iterable[Section]:
    if len(last.levels) < 2:
        return
    order = sorted(last.levels, key=lambda one: one.unseen)
    shown = order[:_MOST_BARS]
    first = f"{100 * order[0].unseen:.1f} % where it was not seen."
    tied = order[-1].unseen - order[0].unseen < 1e-9
    about = f"All of them alike: {first}" if tied else f"The worst first: {order[0].level}, {first}"
    bars = [
        bar
        for one in shown
        for bar in (
            Bar(name=one.level, value=one.seen, low=one.seen_low, high=one.seen_high, group="seen in training"),
            Bar(name=one.level, value=one.unseen, low=one.unseen_low, high=one.unseen_high, group="unseen"),
        )
    ]
    yield Section(
        title=f"By {found.domain}",
        about=about
        + (f" The {_MOST_BARS} worst of {len(order)} are drawn." if len(order) > len(shown) else ""),
        charts=(BarChart(title=f"{found.content} by {found.domain}", y="right", bars=tuple(bars)),),
        table=tuple(
            {"level": one.level, "seen %": one.seen, "unseen %": one.unseen, "low %": one.unseen_low,
             "high %": one.unseen_high, "asked": one.images}
            for one in order
        ),
    )  # fmt: skip


def _erased_section(found: DomainFindings, last: LayerFindings) -> Iterable[Section]:
    if found.erased is None:
        return

    def line(name: str, code: DomainCode, gap: Gap | None) -> dict[str, Cell]:
        return {
            "vectors": name, "domain told %": code.score, "chance %": code.chance,
            "content, seen %": gap.seen if gap else None, "content, unseen %": gap.unseen if gap else None,
            "gap %": gap.gap if gap else None, "low %": gap.low if gap else None, "high %": gap.high if gap else None,
        }  # fmt: skip

    yield Section(
        title="If the domain is erased",
        about=(
            f"The same probes on vectors from which all that is linear of {found.domain} was taken out, by the "
            "pictures that each probe learns from: the least that a training against the domain should reach. What a "
            "probe then still tells of it is in domains that the erasure never saw, or is not linear."
        ),
        table=(
            line("as they are", last.code, last.gap),
            line("erased", found.erased.code, found.erased.gap),
        ),
    )


def _leak_section(found: DomainFindings) -> Iterable[Section]:
    if not found.leaks:
        return
    order = sorted(found.leaks, key=lambda one: -(one.gap.gap if one.gap else -1))
    bars = [
        Bar(name=one.factor, value=one.gap.gap, low=max(one.gap.low, -1), high=one.gap.high, group="gap")
        for one in order
        if one.gap and one.gap.low > -1
    ]
    yield Section(
        title="What leaks",
        about=(
            f"Each factor in turn as the domain, the one that costs {found.content} most first. Told: how well the "
            "factor "
            "is told. Gap: what not having seen its level costs. Both p are corrected for all lines (Holm). A factor "
            "that "
            "is told and costs nothing is kept apart from the content; one that costs is mixed with it."
        ),
        charts=(BarChart(title="Gap of each factor", y="points", bars=tuple(bars)),) if bars else (),
        table=tuple(
            {
                "factor": one.factor, "levels": one.code.levels, "told %": one.code.score,
                "told, low %": one.code.low, "told, high %": one.code.high, "shuffled %": one.code.shuffled,
                "chance %": one.code.chance, "p told": one.code_p, "gap %": one.gap.gap if one.gap else None,
                "low %": one.gap.low if one.gap else None, "high %": one.gap.high if one.gap else None,
                "p gap": one.gap_p if one.gap else None, "seen %": one.gap.seen if one.gap else None,
                "unseen %": one.gap.unseen if one.gap else None,
                "overlap %": one.overlap.between if one.overlap else None,
                "groups": one.gap.groups if one.gap else one.code.groups,
            }
            for one in order
        ),
    )  # fmt: skip


def _correlated_section(found: DomainFindings) -> Iterable[Section]:
    points = found.correlated
    if not points:
        return

    def line(name: str, ends: Sequence[str], dashed: bool = False) -> Series:
        made = tuple(
            Point(x=one.rho, y=getattr(one, ends[0]), low=getattr(one, ends[1]), high=getattr(one, ends[2]))
            for one in points
        )
        return Series(name=name, points=made, dashed=dashed)

    first = points[0]
    what = "two halves of the levels" if found.merged else f"{first.domains} levels"
    yield Section(
        title="If they went together in training",
        about=(
            f"Each content has a home among {what} of {found.domain}; with the correlation ρ, a share ρ of its "
            "training "
            f"pictures is at home and the rest everywhere alike. {first.train} pictures at every ρ, of "
            f"{first.contents} "
            f"contents; the {first.test} test pictures are balanced. Away from home is where a shortcut fails."
        ),
        charts=(
            LineChart(
                title=f"{found.content} by correlation with {found.domain}", x="correlation ρ (Cramér's V)", y="right",
                series=(
                    line("balanced test", ("score", "low", "high")),
                    line("at home", ("home", "home_low", "home_high"), True),
                    line("away", ("away", "away_low", "away_high"), True),
                ),
                chance=first.chance,
            ),
        ),
        table=tuple(
            {"rho": one.rho, "Cramér's V": one.v, "balanced %": one.score, "low %": one.low, "high %": one.high,
             "at home %": one.home, "away %": one.away, "chance %": one.chance, "trained on": one.train,
             "asked": one.test, "draws": one.draws}
            for one in points
        ),
    )  # fmt: skip


def _cluster_section(found: DomainFindings) -> Iterable[Section]:
    if found.clusters is None:
        return
    lines = sorted(found.clusters.factors, key=lambda one: -one.score.rand)
    kept = [one for one in found.clusters.kept if one.pictures]
    share = Series(name="kept", points=tuple(Point(x=f"{one.epsilon:g}", y=one.share) for one in kept), dashed=True)
    rand = Series(
        name=f"adjusted Rand index with {found.clusters.best}",
        points=tuple(Point(x=f"{one.epsilon:g}", y=max(0.0, one.rand)) for one in kept if one.rand == one.rand),
    )
    series = (share, rand) if rand.points else (share,)
    yield Section(
        title="Domains that clusters find",
        about=(
            "k-means clusters of the vectors against each known factor: the adjusted Rand index is 1 for the same "
            "partition and 0 for chance; mutual information is above 0 by chance, so it stands beside that of the "
            "shuffled factor. The chart keeps pictures whose second nearest centroid is more than 1 + ε times as far "
            "as "
            "the nearest (squared), from ε = 1 to 0."
        ),
        charts=(
            LineChart(title="Without outliers", x="ε", y="share, index", series=series),
        ),
        table=tuple(
            {"factor": one.factor, "levels": one.score.levels, "clusters": one.score.clusters,
             "adjusted Rand": one.score.rand, "low": one.score.low, "high": one.score.high,
             "Rand, shuffled": one.score.shuffled_rand, "mutual information": one.score.information,
             "information, shuffled": one.score.shuffled_information, "p": one.score.p, "pictures": one.score.pictures}
            for one in lines
        ),
    )  # fmt: skip


def _heat_section(found: DomainFindings) -> Iterable[Section]:
    if found.heat is None:
        return
    yield Section(
        title="Features that stand out",
        about=(
            "Means of contents, domain by domain, in standard deviations of the feature over all means; the features "
            "that "
            "deviate most. If the blocks look alike, the content is written in the same features in each domain."
        ),
        charts=(
            Heatmap(
                title=f"Means at {found.layers[-1].layer}", rows=found.heat.rows, columns=found.heat.columns,
                values=found.heat.values, percent=False,
            ),
        ),
    )  # fmt: skip


def _reference() -> Iterable[Section]:
    """Yield the published numbers, of other data and models."""
    held = read_json((data_folder("benchmarks") / "reference" / "ddm.json").read_bytes())
    for table in held["tables"]:
        lines = []
        for row in table["rows"]:
            line: dict[str, Cell] = {"model": row["model"]}
            for name, (base, ours) in row["values"].items():
                if name in table["shown"]:
                    line |= {f"{name} %": base / 100, f"{name}, DDM %": ours / 100}
            lines.append(line)
        about = f"{table['about']} Source: {table['source']}."
        yield Section(title=table["title"], about=about, table=tuple(lines), reference=True)
