"""What was found of concept levels, as the record that pages and terminals show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import counted
from torchmultiverse.images import thumbnail
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import level_words
from torchmultiverse.stats import MIN_CLUSTERS, Intervals, Paired
from torchmultiverse.store import ImageSet
from torchmultiverse.study import (
    COMMONEST,
    Bar,
    BarChart,
    Cell,
    Heatmap,
    ImageRow,
    LineChart,
    Point,
    ScatterChart,
    Section,
    Series,
    Study,
)
from torchmultiverse.tables import column_in_words
from torchmultiverse.transfer.concept_factors import class_interval
from torchmultiverse.transfer.concept_levels import SEEN, ConceptLevels
from torchmultiverse.transfer.concept_probes import ALL
from torchmultiverse.transfer.concepts import (
    AppearanceCost,
    ConceptResults,
    LevelScore,
    Share,
    costliest,
    lost_to_distance,
)

_PUBLISHED = ("ResNet50", "s-DINO", "d-CLIP", "a-DeiT-B distilled", "r-CutMix", "s-SimCLR-v2", "r-Mixup", "a-VGG19")
_SHOWN = 8
_NAMED = 4
"""Other models in a headline."""
SOURCES = (
    "M. B. Sariyildiz, Y. Kalantidis, D. Larlus, K. Alahari, Concept generalization in visual representation learning, "
    "ICCV 2021; M. B. Sariyildiz, thesis, 2023, chapter 3",
    "D. Lin, An information-theoretic definition of similarity, ICML 1998",
    "WordNet 3.0, Princeton University, 2006",
)


def concept_study(results: ConceptResults, images: ImageSet | None = None) -> Study:
    """Return the record of what was found.

    Args:
        results: of `torchmultiverse.transfer.measure_concepts`.
        images: the dataset, to show some pictures of each level; none are shown by default.
    """
    sections = [_by_level(results), *_few(results), *_against(results), *_appearance(results), *_by_factor(results)]
    sections += [_classes(results.data.levels), *_pictures(results, images), _all_probes(results), published_section()]
    return Study(
        kind="concepts", title="How far it carries", headline=headline(results), models=results.models,
        dataset=results.data.name, facts=_facts(results), sections=tuple(sections),
        notes=(*results.notes, *_limits(results)), sources=SOURCES,
    )  # fmt: skip


def levels_study(levels: ConceptLevels, name: str, notes: Sequence[str] = ()) -> Study:
    """Return the record of levels alone.

    Args:
        levels: of `make_levels`.
        name: of the data.
        notes: what was left out.
    """
    first, last = levels.levels[0], levels.levels[-1]
    text = (
        f"{counted(sum(len(level.concepts) for level in levels.levels), 'class', 'classes')} that were not seen, in "
        f"{counted(len(levels.levels), 'level')} of {len(first.concepts)}: similarity to the nearest seen "
        f"class {first.nearest:.2f} to "
        f"{last.farthest:.2f}."
    )
    dropped = [{"class": one.label, "synset": one.synset, "why": one.reason} for one in levels.dropped]
    more = (Section(title="In no level", table=tuple(dropped)),) if dropped else ()
    facts: dict[str, Cell] = {
        "seen": levels.seen_name, "seen concepts": len(levels.seen), "nouns": levels.wordnet,
        "concepts counted": levels.corpus, "levels (SHA-256)": levels.digest[:16],
    }  # fmt: skip
    return Study(
        kind="concept-levels", title="Levels of classes", headline=text, dataset=name, facts=facts,
        sections=(_classes(levels), *more), notes=tuple(notes), sources=SOURCES,
    )  # fmt: skip


def headline(results: ConceptResults) -> str:
    """Return the answer in a sentence or two: what distance in meaning costs, and whether appearance costs more."""
    model, levels = results.baseline, results.data.levels.levels
    learnt = f"learnt from {_shots_word(results.most)}"
    others = [name for name in results.models if name != model]
    if len(levels) == 1:
        one = results.score(model, levels[0].name, results.most)
        chance = 100 * _chances(results)[results.data.levels.levels[0].name]
        rest = [f"{name} in {_percent(results.score(name, levels[0].name, results.most))} %" for name in others]
        return f"{model} tells unseen classes apart in {_percent(one)} %{_told(rest)}, chance {chance:.1f} %, {learnt}."
    lost = lost_to_distance(results, model)
    rest = [f"{name} {_points(lost_to_distance(results, name))}" for name in others]
    text = (
        f"{model} loses {_points(lost)} points from the nearest to the farthest unseen classes{_told(rest)}, {learnt}"
    )
    if not lost.low <= 0 <= lost.high:
        text += "."
    else:
        text += f": no loss {'of ' + model + ' ' if others else ''}that can be told from the choice of classes."
    cost = costliest(results, model)
    return text if cost is None else f"{text} {costs_more(cost)}"


def _told(rest: Sequence[str]) -> str:
    """Return what is said of the other models."""
    more = f" and {len(rest) - _NAMED} more" if len(rest) > _NAMED else ""
    return f" ({', '.join(rest[:_NAMED])}{more})" if rest else ""


def costs_more(cost: AppearanceCost) -> str:
    """Return which costs more, meaning or appearance, in a sentence with its intervals."""
    there = f"{_points(cost.more, signed=False)} points"
    word = column_in_words(cost.factor)
    values = (
        f"the farthest classes cost {_points(cost.meaning)} points, a {word} that was not learnt "
        f"{_points(cost.appearance)}"
    )
    if cost.more.low > 0:
        return f"Meaning costs more than appearance, by {there}: {values}."
    if cost.more.high < 0:
        turned = Share(-cost.more.value, -cost.more.high, -cost.more.low)
        return f"Appearance costs more than meaning, by {_points(turned, signed=False)} points: {values}."
    return f"Whether meaning or appearance costs more cannot be told: {values}."


def _points(one: Share, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{100 * one.value:{sign}.1f} [{100 * one.low:{sign}.1f}, {100 * one.high:{sign}.1f}]"


def _percent(one: LevelScore) -> str:
    return f"{100 * one.accuracy:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def _chances(results: ConceptResults) -> dict[str, float]:
    """Return the chance of each level; that of what was seen may be of fewer classes."""
    return {level.name: results.data.pictures[level.name].chance for level in results.data.levels.every}


def _chance(results: ConceptResults) -> float | None:
    """Return the chance of all levels; ``None`` where they differ, and a line of one height would be wrong."""
    found = {round(one, 9) for one in _chances(results).values()}
    return found.pop() if len(found) == 1 else None


def _point(one: LevelScore, x: str | float) -> Point:
    return Point(x=x, y=one.accuracy, low=one.low, high=one.high)


def _by_level(results: ConceptResults) -> Section:
    levels = results.data.levels.every
    most = results.most
    series = tuple(
        Series(name=model, points=tuple(_point(results.score(model, one.name, most), one.name) for one in levels))
        for model in results.models
    )
    if _chance(results) is None:
        points = tuple(Point(x=name, y=chance) for name, chance in _chances(results).items())
        series = (*series, Series(name="chance", points=points, dashed=True))
    table: list[dict[str, Cell]] = []
    for model in results.models:
        for level in levels:
            one, pictures = results.score(model, level.name, most), results.data.pictures[level.name]
            table.append(
                {
                    "model": model, "level": level.name, "accuracy %": one.accuracy, "low %": one.low,
                    "high %": one.high, "std over seeds %": one.probed.spread, "chance %": pictures.chance,
                    "classes": pictures.classes, "test pictures": len(pictures.test),
                    "similarity": f"{level.nearest:.2f} to {level.farthest:.2f}", "within": round(level.within, 3),
                }
            )  # fmt: skip
    return Section(
        title="Accuracy by level",
        about=(
            f"A linear classifier of the classes of each level, learnt from {_shots_word(most)}. L1 is nearest in "
            "meaning to what was seen. Intervals are over classes (or over groups that classes share, where wider): "
            "how much other classes of the level would differ. 'within' is the mean similarity of two classes of the "
            "level: alike classes are hard, whatever was seen."
        ),
        charts=(
            LineChart(
                title="Accuracy by distance in meaning", x="level", y="accuracy", series=series,
                chance=_chance(results),
            ),
        ),
        table=tuple(table),
    )  # fmt: skip


def _shots_word(shots: int) -> str:
    return "all training pictures" if shots == ALL else f"{counted(shots, 'picture')} of each class"


def _few(results: ConceptResults) -> Iterator[Section]:
    """Yield accuracy by number of pictures, where several numbers were asked for."""
    shots = list(dict.fromkeys(one.shots for one in results.scores))
    if len(shots) < 2:
        return
    levels = [level.name for level in results.data.levels.every]
    whole = {name: results.data.pictures[name] for name in levels}
    at = {
        name: {count: float(count) if count != ALL else len(p.train) / p.classes for count in shots}
        for name, p in whole.items()
    }
    charts = tuple(
        LineChart(
            title=model, x="pictures of each class", y="accuracy", log_x=True, chance=_chance(results),
            series=tuple(
                Series(
                    name=name, dashed=name == SEEN,
                    points=tuple(
                        Point(x=at[name][count], y=results.score(model, name, count).accuracy) for count in shots
                    ),
                )
                for name in levels
            ),
        )
        for model in results.models
    )  # fmt: skip
    table = []
    for model in results.models:
        for name in levels:
            line: dict[str, Cell] = {"model": model, "level": name, "chance %": whole[name].chance}
            line |= {f"{count or 'all'} %": results.score(model, name, count).accuracy for count in shots}
            table.append(line)
    protocol = results.options.protocol
    told = {
        "shots": "Few-shot probes are chosen on as many pictures as they learn from.",
        "full": "Few-shot probes are chosen on a fifth of all training pictures, as in the source: that is more "
        "labels than shots.",
        "none": "Few-shot probes have a fixed penalty.",
    }[protocol.validation]
    yield Section(
        title="With few labels",
        about=(
            f"The same by how many pictures of each class are learnt from, drawn "
            f"{counted(protocol.seeds, 'time')}. {told} "
            "Intervals, settings and spread over draws are under 'All probes'."
        ),
        charts=charts, table=tuple(table),
    )  # fmt: skip


def _all_probes(results: ConceptResults) -> Section:
    """Return every accuracy with its interval, its spread, and how it was made."""
    table: tuple[dict[str, Cell], ...] = tuple(
        {
            "model": one.model, "level": one.level,
            "pictures of each class": "all" if one.shots == ALL else str(one.shots),
            "accuracy %": one.accuracy, "low %": one.low, "high %": one.high, "std over seeds %": one.probed.spread,
            "chance %": results.data.pictures[one.level].chance, "setting": _setting(one),
            "converged %": one.probed.converged,
        }
        for one in results.scores
    )  # fmt: skip
    about = "'setting' is the median over seeds of what the validation pictures chose."
    return Section(title="All probes", about=about, table=table)


def _setting(one: LevelScore) -> str:
    parts = [f"{name} {np.median(values):.2g}" for name, values in one.probed.chosen.items()]
    return ", ".join(parts)


def _against(results: ConceptResults) -> Iterator[Section]:
    base = results.baseline
    others = [model for model in results.models if model != base]
    if not others:
        return
    most, levels = results.most, [level.name for level in results.data.levels.every]
    found = {(m, level): results.difference(m, base, level, most) for m in others for level in levels}
    series = tuple(
        Series(
            name=model,
            points=tuple(
                Point(x=level, y=100 * found[model, level].mean, **_ends(found[model, level])) for level in levels
            ),
        )
        for model in others
    )  # fmt: skip
    table: tuple[dict[str, Cell], ...] = tuple(
        {
            "model": model, "level": level, "difference %": d.mean, "low %": d.low, "high %": d.high, "p": d.p,
            "classes": d.clusters,
        }
        for (model, level), d in found.items()
    )  # fmt: skip
    yield Section(
        title=f"Against {base}",
        about=(
            f"Accuracy minus that of {base} on the same test pictures, learnt from {_shots_word(most)}; intervals over "
            "classes, p not corrected for the number of levels and models."
        ),
        charts=(
            LineChart(
                title="Difference", x="level", y="points",
                series=(*series, Series(name=base, dashed=True, points=tuple(Point(x=v, y=0.0) for v in levels))),
                percent=False,
            ),
        ),
        table=table,
    )  # fmt: skip


def _ends(one: Paired) -> dict[str, Any]:
    """Return the ends of an interval in points, where there are classes enough to say something."""
    return {"low": 100 * one.low, "high": 100 * one.high} if one.clusters >= MIN_CLUSTERS else {}


def _appearance(results: ConceptResults) -> Iterator[Section]:
    if not results.costs:
        return
    table: tuple[dict[str, Cell], ...] = tuple(
        {
            "model": one.model, "factor": one.factor,
            "nearest classes %": one.first.value, "same, not learnt appearance %": one.moved.value,
            "farthest classes %": one.last.value,
            "meaning costs %": one.meaning.value, "appearance costs %": one.appearance.value,
            "meaning minus appearance %": one.more.value, "low %": one.more.low, "high %": one.more.high,
            "not learnt": _some(one.far),
        }
        for one in results.costs
    )  # fmt: skip
    charts = []
    for model in results.models:
        mine = [one for one in results.costs if one.model == model]
        bars = [
            bar
            for one in mine
            for bar in (
                _bar(column_in_words(one.factor), one.appearance, "appearance"),
                _bar("farthest classes", one.meaning, "meaning"),
            )
        ]
        charts.append(BarChart(title=f"{model}: what is lost", y="accuracy lost", bars=tuple(bars)))
    said = " ".join(costs_more(one) for one in [costliest(results, results.baseline)] if one is not None)
    yield Section(
        title="What costs more, meaning or appearance?",
        about=(
            "For each factor the classifier learns from some levels alone. 'appearance costs' is what the nearest "
            "classes lose on the levels that were not learnt; 'meaning costs' what the farthest classes lose on levels "
            f"that were. Intervals hold for all factors at once. {said}"
        ),
        charts=tuple(charts), table=table,
    )  # fmt: skip


def _bar(name: str, one: Share, group: str) -> Bar:
    return Bar(name=name, value=one.value, low=one.low, high=one.high, group=group)


def _some(levels: Sequence[str], most: int = 4) -> str:
    return ", ".join(levels[:most]) + (f", … ({len(levels)})" if len(levels) > most else "")


def _by_factor(results: ConceptResults) -> Iterator[Section]:
    """Yield accuracy by level and level of each factor, of the baseline as a chart and of all models as a table."""
    data = results.data
    charts: list[Heatmap] = []
    table: list[dict[str, Cell]] = []
    names = [level.name for level in data.levels.every]
    for factor in data.factors:
        column = data.columns[factor]
        values, codes = np.unique(column if column.dtype.kind in "iufb" else column.astype(str), return_inverse=True)
        words = level_words(factor, values.tolist())
        for model in results.models:
            lines = [line for k, word in enumerate(words) if (line := _factor_line(results, model, codes == k, word))]
            table += [{"model": model, "factor": factor, **line} for line in lines]
            if model == results.baseline and lines:
                charts.append(
                    Heatmap(
                        title=column_in_words(factor), rows=tuple(str(line["value"]) for line in lines),
                        columns=tuple(names), values=tuple(tuple(line[f"{n} %"] for n in names) for line in lines),
                    )
                )  # fmt: skip
    if charts:
        yield Section(
            title="By factor",
            about=(
                f"Accuracy on the test pictures that show each value of a factor, by level: of {results.baseline} in "
                "colours, of all models in the table. Intervals are over classes; n are the test pictures of one cell."
            ),
            charts=tuple(charts), table=tuple(table),
        )  # fmt: skip


def _factor_line(results: ConceptResults, model: str, shown: NDArray[np.bool_], word: str) -> dict[str, Cell]:
    """Return the accuracy on pictures that show one value of a factor, by level; empty where no test picture does."""
    data, intervals = results.data, Intervals(results.options.protocol.seed)
    line: dict[str, Cell] = {"value": word}
    count = 0
    for level in data.levels.every:
        pictures = data.pictures[level.name]
        here = shown[pictures.rows[pictures.test]]
        if not here.any():
            line |= dict.fromkeys((f"{level.name} %", f"{level.name}, low %", f"{level.name}, high %"))
            line |= {f"{level.name}, n": 0}
            continue
        probed = results.score(model, level.name, results.most).probed
        right = probed.correct[here]
        low, high = class_interval(right, pictures.codes[pictures.test][here], None, intervals.of_mean)
        line |= {f"{level.name} %": float(right.mean()), f"{level.name}, low %": low, f"{level.name}, high %": high}
        line |= {f"{level.name}, n": len(right)}
        count += len(right)
    return line if count else {}


def _classes(levels: ConceptLevels) -> Section:
    table: list[dict[str, Cell]] = []
    series, rank = [], 0
    for level in levels.levels:
        points = []
        for one in level.concepts:
            rank += 1
            points.append(Point(x=float(rank), y=one.similarity, label=one.label))
            table.append(
                {
                    "level": level.name, "class": one.label, "synset": one.synset, "word": one.name,
                    "similarity": round(one.similarity, 4), "nearest seen": one.nearest_name,
                    "nearest synset": one.nearest,
                }
            )  # fmt: skip
        series.append(Series(name=level.name, points=tuple(points)))
    if levels.seen_level is not None:
        for one in levels.seen_level.concepts:
            table.append(
                {
                    "level": SEEN, "class": one.label, "synset": one.synset, "word": one.name, "similarity": 1.0,
                    "nearest seen": one.nearest_name, "nearest synset": one.nearest,
                }
            )  # fmt: skip
    return Section(
        title="The classes",
        about="Similarity is that of Lin over WordNet to the nearest seen class: 1 the same, 0 nothing in common.",
        charts=(
            ScatterChart(
                title="Ranked by nearness to what was seen", x="rank", y="similarity", series=tuple(series),
            ),
        ),
        table=tuple(table),
    )  # fmt: skip


def _pictures(results: ConceptResults, images: ImageSet | None) -> Iterator[Section]:
    if images is None:
        return
    rows = []
    for level in results.data.levels.every:
        pictures = results.data.pictures[level.name]
        firsts = [int(np.flatnonzero(pictures.codes == k)[0]) for k in range(min(_SHOWN, pictures.classes))]
        shown = [results.data.rows[pictures.rows[place]] for place in firsts]
        rows.append(
            ImageRow(
                label=level.name, inputs=(),
                samples=tuple(EncodedImage(data=thumbnail(images.image(int(row)))) for row in shown),
                captions=tuple(f"{one.name} {one.similarity:.2f}" for one in level.concepts[: len(shown)]),
            )
        )  # fmt: skip
    yield Section(title="Some pictures of each level", pictures=tuple(rows))


def published_section() -> Section:
    """Return the published accuracies of some models on ImageNet-CoG, to be held beside one's own and never mixed."""
    data = json.loads((data_folder("benchmarks") / "reference" / "imagenet_cog.json").read_text())
    levels = data["levels"]
    values = {(row["model"], row["level"]): row["values"] for row in data["rows"]}
    spread = {(row["model"], row["level"]): row["spread"] for row in data["rows"]}
    names = [SEEN if level == "IN1K" else level for level in levels]
    series = tuple(
        Series(
            name=model,
            points=tuple(Point(x=n, y=values[model, v][-1] / 100) for n, v in zip(names, levels, strict=True)),
        )
        for model in _PUBLISHED[:5]
    )
    table: list[dict[str, Any]] = [
        {"model": model}
        | {f"{name} %": values[model, level][-1] / 100 for name, level in zip(names, levels, strict=True)}
        | {"std of runs, at most %": max(spread[model, level][-1] for level in levels) / 100}
        for model in _PUBLISHED
    ]
    return Section(
        title="Published: ImageNet-CoG",
        about=(
            f"{data['source']}. {data['note']} All 31 models, also with few pictures, are in "
            "benchmarks/reference/imagenet_cog.json."
        ),
        charts=(LineChart(title="Accuracy by level, all pictures", x="level", y="accuracy", series=series),),
        table=tuple(table), reference=True,
    )  # fmt: skip


def _facts(results: ConceptResults) -> dict[str, Cell]:
    data, options = results.data, results.options
    protocol, levels = options.protocol, data.levels
    first = data.pictures[levels.levels[0].name]
    chance = ", ".join(f"{name} {100 * one:.1f}" for name, one in _chances(results).items())
    of_solver: Callable[[str], str] = {
        "lbfgs": "L-BFGS, the L2 penalty chosen on 20 %",
        "sgd": f"SGD as in the source: {protocol.trials} trials of rate and decay on 20 %, {protocol.epochs} epochs",
    }.get  # type: ignore[assignment]
    return {
        "pictures": len(data.rows), "classes in a level": first.classes, "chance %": chance,
        "training pictures of a class": f"{min(p.fewest for p in data.pictures.values())} at least",
        "seen": f"{levels.seen_name}, {len(levels.seen)} concepts", "nouns": levels.wordnet,
        "concepts counted": levels.corpus, "levels (SHA-256)": levels.digest[:16],
        "layers": "by default" if options.layers is None else ", ".join(options.layers),
        "features": "rows of length 1", "probe": of_solver(protocol.solver),
        "validation of few shots": protocol.validation, "seeds": protocol.seeds,
        "groups": "each picture" if data.by == "rows" else _groups(results),
        "held equal": "nothing" if data.equal is None else ", ".join(data.equal.factors) or "number of pictures",
        "intervals": "95 %, over classes, or over groups that classes share where wider",
    }  # fmt: skip


def _groups(results: ConceptResults) -> str:
    """Return what groups the pictures, and how many groups are asked about."""
    data = results.data
    every = np.unique(data.columns[data.by].astype(str))
    places = np.concatenate([pictures.rows[pictures.test] for pictures in data.pictures.values()])
    asked = np.unique(data.columns[data.by][places].astype(str))
    return f"{data.by}: {len(asked)} of {len(every)} are asked about, the others learnt from"


def _limits(results: ConceptResults) -> list[str]:
    notes = [
        "Seen means that the concept is among those of --seen. Whether a model trained on the web saw a class, nobody "
        "knows: its levels are of distance from the seen set, not of novelty.",
        COMMONEST,
    ]
    if results.data.levels.seen_name == "imagenet1k":
        notes.append(
            "Levels are of distance from ImageNet-1k. For a model that learnt other classes name these by --seen."
        )
    return notes
