"""Models on sets of compositional questions: one record with the table of the published ones beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.errors import DatasetError, ModelError, counted
from torchmultiverse.evaluation.caption_prior import CaptionFacts, caption_facts
from torchmultiverse.evaluation.compositions import (
    ARO,
    ARO_MEAN,
    OVER_ROWS,
    PUBLISHED,
    Change,
    Question,
    Score,
    change_of,
    level_table,
    mean_change,
    mean_score,
    questions,
    score_of,
)
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.reference import tables
from torchmultiverse.evaluation.registry import choose_protocol, load_protocol
from torchmultiverse.evaluation.result import Result
from torchmultiverse.evaluation.run import evaluate
from torchmultiverse.models import Classifier, ImageTextModel, Model, ModelInfo, Scorer, as_models, without_pictures
from torchmultiverse.stats import Intervals
from torchmultiverse.store import ImageSet, columns_of, dataset_name, open_images
from torchmultiverse.study import Bar, BarChart, Cell, LineChart, Point, Section, Series, Study

_SOURCES = (
    "M. Yuksekgonul et al., When and why vision-language models behave like bags-of-words, ICLR 2023 (ARO)",
    "T. Thrush et al., Winoground, CVPR 2022",
    "F. Bordes et al., PUG, 2023, table 4 (fine-tuning on PUG: AR4T)",
    "Z. Lin et al., Revisiting the role of language priors in vision-language models, 2023 (models without pictures)",
)
_OF_CAPTIONS = ("pairs", "order", "minimal_pairs")
"""Kinds of protocols in which pictures have false captions of their own."""
_NAMED = 4
"""Sets that a headline names."""
_CHARTS = {
    "two captions": ("hard_negative",), "word orders": ("choice",), "among all captions": ("top1",),
    "Winoground, text and image": ("winoground_text", "winoground_image"), "Winoground, group": ("winoground_group",),
}  # fmt: skip


def score_compositions(
    datasets: Sequence[str | Path | ImageSet],
    models: Any,
    out: str | Path,
    *,
    protocol: str = "auto",
    blind: bool = True,
    seed: int = 0,
    quiet: bool = False,
    embeddings: str | Path | None = None,
    title: str = "",
) -> Study:
    """Score models on compositional questions, and return the record of it.

    Args:
        datasets: ARO's sets, Winoground, AR4T, SPAR, minimal pairs of one's own, or any that `evaluate` takes.
        models: as `evaluate` takes them. Of two, the second is compared with the first: before and after.
        out: folder of results, with one folder for each set.
        protocol, blind, seed, quiet, embeddings: see `composition_results`.
        title: of the page.

    Raises:
        DatasetError: no datasets, two of one name, or one that has nothing to ask.
        ModelError: no models.
    """
    opened = [open_images(one) for one in datasets]
    names = [dataset_name(one) for one in opened]
    if not opened:
        raise DatasetError("no dataset to score on")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DatasetError(f"two datasets are called '{twice}'; rename the folder of one")
    loaded = as_models(models)
    pairs = [(images, Path(out) / _folder(name)) for images, name in zip(opened, names, strict=True)]
    found = composition_results(
        pairs, loaded, protocol=protocol, blind=blind, seed=seed, quiet=quiet, embeddings=embeddings
    )
    return composition_study(found, [_info(model).name for model in loaded], seed, title)


def composition_results(
    datasets: Sequence[tuple[ImageSet, Path]],
    models: Any,
    *,
    protocol: str | Protocol = "auto",
    blind: bool = True,
    seed: int = 0,
    quiet: bool = False,
    embeddings: str | Path | None = None,
) -> list[tuple[Result, CaptionFacts | None]]:
    """Score models on datasets; return the result of each, and what its captions give away.

    What models make of pictures is kept in ``embeddings``, so that a run that was interrupted goes on.

    Args:
        datasets: each with the folder of its results, as `evaluate` writes them.
        models: as `evaluate` takes them.
        protocol: by default each dataset's own.
        blind: also ask each model that reads captions without pictures, where captions are asked about.
        seed: of intervals, and of the judge who reads captions alone.
        quiet: show no bars.
        embeddings: folder that keeps features; none are kept without.

    Raises:
        DatasetError: a dataset that has nothing to ask.
        ModelError: no models, or one that reads no captions where they are asked about.
    """
    loaded = as_models(models)
    if not loaded:
        raise ModelError("no model to score")
    asked_of = [(images, folder, _protocol(images, protocol)) for images, folder in datasets]
    for images, _, asked in asked_of:  # before the first picture of any
        _check_readers(loaded, asked, dataset_name(images))
    found: list[tuple[Result, CaptionFacts | None]] = []
    for images, folder, asked in asked_of:
        columns = columns_of(images)
        reads = blind and asked.kind in _OF_CAPTIONS
        readers = [model for model in loaded if isinstance(model, ImageTextModel | Scorer)]
        shown = [*loaded, *(without_pictures(model) for model in readers if reads)]
        result = evaluate(images, shown, asked, folder, seed=seed, quiet=quiet, embeddings=embeddings)
        found.append((result, _caption_facts(asked, columns, seed)))
    return found


def _protocol(images: ImageSet, protocol: str | Protocol) -> Protocol:
    if isinstance(protocol, Protocol):
        return protocol
    return choose_protocol(tuple(columns_of(images))) if protocol == "auto" else load_protocol(protocol)


def _check_readers(models: Sequence[Model], protocol: Protocol, dataset: str) -> None:
    """Check that each model can be asked.

    Raises:
        ModelError: one that reads no captions, where they are asked about, or that knows no classes either.
    """
    of_captions = protocol.kind in _OF_CAPTIONS
    for model in models:
        if isinstance(model, ImageTextModel | Scorer) or (isinstance(model, Classifier) and not of_captions):
            continue
        raise ModelError(
            f"'{_info(model).name}' reads no captions, and '{protocol.name}' asks about them on '{dataset}': a model "
            "of images and text is right, such as open_clip:ARCH/PRETRAINED or tiny:FOLDER"
        )


def _info(model: Model) -> ModelInfo:
    return model.info


def _folder(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:80] or "results"


def _caption_facts(protocol: Protocol, columns: Mapping[str, Any], seed: int) -> CaptionFacts | None:
    """Return what the captions of a protocol's first task give away; SPAR's are drawn anew for each picture."""
    if protocol.kind not in _OF_CAPTIONS:
        return None
    tasks = [task for task in protocol.compile(columns) if len(task.rows)]
    facts = [caption_facts(task, np.random.default_rng(seed)) for task in tasks]
    known = [(one, len(task.rows)) for one, task in zip(facts, tasks, strict=True) if one is not None]
    if not known:
        return None
    rows = sum(count for _, count in known)
    same, alone = (sum(getattr(one, name) * n for one, n in known) / rows for name in ("same_bag", "alone"))
    return CaptionFacts(same, alone, sum(one.asked for one, _ in known))


def composition_study(
    found: Sequence[tuple[Result, CaptionFacts | None]], models: Sequence[str], seed: int = 0, title: str = ""
) -> Study:
    """Return the record of results on sets of compositional questions.

    Args:
        found: results, each with what its captions give away.
        models: names, without those that saw no pictures; of two, the second is compared with the first.
        seed: of intervals.
        title: of the page.
    """
    intervals = Intervals(seed)
    asked = _ordered([one for result, _ in found for one in questions(result)])
    mean_of = _all_of_aro(asked)
    scores = _all_scores(asked, mean_of, models, intervals)
    changes = _all_changes(asked, mean_of, models)
    blind = {(one.benchmark, m): score_of(one, f"{m}, without pictures", intervals) for one in asked for m in models}
    sections = [
        _accuracies(scores, blind),
        *([_changes(changes, models)] if changes else []),
        _captions(found),
        *_levels(asked, models),
        *_difficulties(asked, models),
        *_published({one.benchmark for one in asked} | {one.benchmark for one in scores}),
    ]
    return Study(
        kind="compositions",
        title=title or "Who does what to whom: compositional questions",
        headline=_headline(scores, changes, models),
        models=tuple(models),
        dataset=", ".join(result.provenance.dataset.name for result, _ in found),
        facts={
            "sets": len(found), "questions": len(asked), "seed": seed,
            "fewest independent groups": min((one.clusters for one in scores), default=None),
        },
        sections=tuple(section for section in sections if section.table or section.charts),
        notes=_notes(found, asked),
        sources=_SOURCES,
    )  # fmt: skip


def _all_of_aro(asked: Sequence[Question]) -> list[Question]:
    """Return the questions of ARO's four sets, whose mean is published; nothing where one is not there."""
    found = [one for name in ARO for one in asked if one.benchmark == name]
    return found if len({one.benchmark for one in found}) == len(ARO) else []


def _all_scores(
    asked: Sequence[Question], mean_of: Sequence[Question], models: Sequence[str], intervals: Intervals
) -> list[Score]:
    found = [score_of(one, model, intervals) for one in asked for model in models]
    return [one for one in [*found, *(mean_score(mean_of, model) for model in models)] if one is not None]


def _all_changes(asked: Sequence[Question], mean_of: Sequence[Question], models: Sequence[str]) -> list[Change]:
    """Return what changed from the first of two models to the second; nothing of one, or of more."""
    if len(models) != 2:
        return []
    found = [change_of(one, *models) for one in asked] + [mean_change(mean_of, *models)]
    return [one for one in found if one is not None]


def _ordered(asked: Sequence[Question]) -> list[Question]:
    """Return questions in the order of the published tables, others after them."""
    place = {name: number for number, name in enumerate(PUBLISHED)}
    return sorted(
        asked, key=lambda one: place.get(one.benchmark.partition(", shared")[0].removesuffix(OVER_ROWS), len(place))
    )


def _accuracies(scores: Sequence[Score], blind: Mapping[tuple[str, str], Score | None]) -> Section:
    table: list[dict[str, Cell]] = []
    for one in scores:
        other = blind.get((one.benchmark, one.model))
        undecided = not one.metric.startswith("winoground")
        table.append({
            "set": one.benchmark, "model": one.model, "accuracy %": one.accuracy, "low %": one.low, "high %": one.high,
            "chance %": one.chance, "mean over rows %": one.micro,
            "without pictures %": None if other is None else other.accuracy,
            "ties %": one.ties if undecided else None, "levels": one.levels or None, "n": one.n,
            "groups": one.clusters,
        })  # fmt: skip
    charts = []
    for name, metrics in _CHARTS.items():
        shown = [one for one in scores if one.metric in metrics]
        bars = tuple(
            Bar(name=one.benchmark, value=one.accuracy, low=one.low, high=one.high, group=one.model) for one in shown
        )
        if bars:
            chance = float(np.mean([one.chance for one in shown]))
            charts.append(BarChart(title=f"Accuracy, {name}", y="accuracy", bars=bars, chance=chance))
    return Section(
        title="Accuracy",
        about="The number that each set's authors print: the mean over relations, or over pairs of attributes, each "
        "counting once, where there are levels; else the mean over rows, which stands beside it. Mean over rows, ties, "
        "n and groups are those of the rows that count: levels that are left out are in none. 'Without pictures' is "
        "the same model shown a grey picture: what it reaches there is no merit of seeing. A tie is shared among those "
        "that tie; Winoground counts a strict preference alone.",
        charts=tuple(charts),
        table=tuple(table),
    )


def _changes(changes: Sequence[Change], models: Sequence[str]) -> Section:
    table: tuple[Mapping[str, Cell], ...] = tuple(
        {
            "set": one.benchmark, "change %": one.difference, "low %": one.low, "high %": one.high,
            "rows lost": one.lost, "rows gained": one.gained, "n": one.n,
        }
        for one in changes
    )  # fmt: skip
    bars = tuple(Bar(name=one.benchmark, value=one.difference, low=one.low, high=one.high) for one in changes)
    return Section(
        title="What changed",
        about=f"{models[1]} minus {models[0]}, on the same rows, in points; 95 % intervals over independent groups.",
        charts=(BarChart(title="Change", y="points", bars=bars),),
        table=table,
    )


def _captions(found: Sequence[tuple[Result, CaptionFacts | None]]) -> Section:
    table: list[Mapping[str, Cell]] = []
    for result, facts in found:
        if facts is not None:
            named = questions(result)
            table.append({
                "set": named[0].benchmark.partition(", ")[0] if named else result.provenance.dataset.name,
                "captions alone %": facts.alone, "same words %": facts.same_bag, "questions": facts.asked,
            })  # fmt: skip
    return Section(
        title="What captions give away",
        about="Captions alone: how many questions a judge answers who sees no picture and was taught on captions of "
        "other groups which is true. Near chance the set asks for looking; well above it, it can be answered by what "
        "sounds likely. Same words: share of false captions that are made of the true one's words, which a model that "
        "does not read order cannot tell apart.",
        table=tuple(table),
    )


def _levels(asked: Sequence[Question], models: Sequence[str]) -> list[Section]:
    return [
        Section(
            title=f"{one.benchmark}, level by level",
            about=f"Mean over rows of each level of {one.macro.column} that counts; the 30 of most rows.",
            table=tuple(level_table(one, models)),
        )
        for one in asked
        if one.macro is not None and not one.shared
    ]


def _difficulties(asked: Sequence[Question], models: Sequence[str]) -> list[Section]:
    """Return accuracy against what makes a question hard, where the protocol names columns for it."""
    sections = []
    for one in asked:
        result = one.view.result
        for column in result.provenance.protocol.get("difficulty", ()):
            where = {"task": one.line.task, "metric": one.line.metric, "scope": "plain", "factor": column}
            where["setting"] = one.line.setting
            cells = [(m, sorted(result.cells(model=m, **where), key=lambda c: _number(c["level"]))) for m in models]
            if not any(len(own) > 1 for _, own in cells):
                continue
            series = tuple(
                Series(name=m, points=tuple(
                    Point(x=c["level"], y=c["accuracy"], low=c["low"], high=c["high"]) for c in own
                ))
                for m, own in cells
            )  # fmt: skip
            table = tuple(
                {"level": c["level"], "model": m, "accuracy %": c["accuracy"], "low %": c["low"], "high %": c["high"],
                 "n": c["n"]}
                for m, own in cells
                for c in own
            )  # fmt: skip
            chart = LineChart(
                title=f"{one.benchmark} by {column}", x=column, y="accuracy", series=series, chance=one.line.chance
            )
            sections.append(Section(title=f"{one.benchmark} by {column}", charts=(chart,), table=table))
    return sections


def _number(level: str) -> tuple[float, str]:
    try:
        return float(level.split(" ")[0]), level
    except ValueError:
        return float("inf"), level


def _published(benchmarks: set[str]) -> list[Section]:
    """Return the published tables that ask what was asked here."""
    sections = []
    for table in tables("compositions"):
        rows = [row for row in table["rows"] if row["benchmark"] in benchmarks]
        if rows:
            lines = tuple(
                {
                    "set": row["benchmark"],
                    **{f"{m} %": None if v is None else v / 100 for m, v in zip(table["models"], row["values"],
                                                                               strict=True)},
                }
                for row in rows
            )  # fmt: skip
            about = f"{table['source']}. {table['note']}"
            sections.append(Section(title=table["name"], about=about, table=lines, reference=True))
    return sections


def _headline(scores: Sequence[Score], changes: Sequence[Change], models: Sequence[str]) -> str:
    if changes:
        told = [
            f"{one.benchmark}: {100 * one.difference:+.1f} points [{100 * one.low:+.1f}, {100 * one.high:+.1f}] of "
            f"{counted(one.n, 'row')}"
            for one in sorted(changes, key=lambda one: one.benchmark != ARO_MEAN)
        ]
        return f"From {models[0]} to {models[1]}: {_some(told)}."
    if not scores:
        return "Nothing could be asked."
    found: list[tuple[str, str, str]] = []
    for name in sorted(dict.fromkeys(s.benchmark for s in scores), key=lambda name: name != ARO_MEAN):
        mine = [s for s in scores if s.benchmark == name]
        own = max(mine, key=lambda s: s.accuracy)
        best = [s.model for s in mine if s.accuracy > own.accuracy - 1e-9]
        who = "all models are" if len(best) == len(mine) > 1 else f"{' and '.join(best)} {'are' if best[1:] else 'is'}"
        right = (
            f"{100 * own.accuracy:.1f} % [{100 * own.low:.1f}, {100 * own.high:.1f}], chance {100 * own.chance:.1f} %"
        )
        found.append((name, who, right))
    if len({who for _, who, _ in found}) == 1:  # the same everywhere: it is named once
        who = found[0][1].replace("all models", "All models")
        return f"{who} right in {_some([f'{right} of {name}' for name, _, right in found])}."
    return f"{_some([f'{name}: {who} right in {right}' for name, who, right in found])}."


def _some(told: Sequence[str]) -> str:
    """Return what is said of each set, of many sets the first."""
    more = f"; and {counted(len(told) - _NAMED, 'set')} more" if len(told) > _NAMED else ""
    return "; ".join(told[:_NAMED]) + more


def _notes(found: Sequence[tuple[Result, CaptionFacts | None]], asked: Sequence[Question]) -> tuple[str, ...]:
    """Return limits, and which sets of the published table are not here."""
    here = {one.benchmark.removesuffix(OVER_ROWS) for one in asked}
    missing = [name for name in PUBLISHED if name not in here]
    of_photographs = len(missing) < len(PUBLISHED)
    notes = [f"Not here, and left out: {', '.join(missing)}."] if missing and of_photographs else []
    notes += [f"{result.provenance.dataset.name}: {note}" for result, _ in found for note in result.provenance.notes]
    notes += [
        f"{one.benchmark}: no level of {one.lacking.column} counts (none has {one.lacking.least} rows or more"
        f"{' beside those that are left out' if one.lacking.leave_out else ''}), so this is not the mean over levels "
        "that is published, and stands beside no published number."
        for one in asked
        if one.lacking is not None
    ]
    for result, _ in found:
        if left := result.provenance.dataset.facts.get("left_out"):
            notes.append(
                f"{result.provenance.dataset.name}: {left} captions of one word are not asked: no other order."
            )
        if tagger := result.provenance.dataset.facts.get("tagger"):
            notes.append(
                f"{result.provenance.dataset.name}: nouns and adjectives of the word orders were found by {tagger}; "
                "with another tagger the shuffles are others, and so are the numbers."
            )
    if here & set(ARO):
        notes.append(
            "The source breaks ties by position: wrong in VG-Relation and VG-Attribution, right in the word orders. "
            "Here a tie counts as the chance of guessing right among those that tie; their share is in the table."
        )
    return tuple(dict.fromkeys(notes))
