"""What a model reads from phases and amplitudes, as a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from torchmultiverse.documents import EncodedImage
from torchmultiverse.evaluation import plain
from torchmultiverse.resources import data_folder
from torchmultiverse.study import (
    Bar,
    BarChart,
    Cell,
    Chart,
    Heatmap,
    ImageRow,
    LineChart,
    Point,
    Section,
    Series,
    Study,
)
from torchmultiverse.transfer.fourier_images import BANDS, FOURIER_CHANGES, UNITS
from torchmultiverse.transfer.fourier_reading import SOURCES, FourierReading, Sensitivity, Shown, Swap

_SOURCES = (
    "N. Kalibhat et al., Disentangling the effects of data augmentation and format transform in self-supervised "
    "learning of image representations, 2023 (the changes, equation 5.1 of the thesis)",
    "A. Oppenheim and J. Lim, The importance of phase in signals, Proceedings of the IEEE 1981 (the exchange)",
)


def fourier_study(found: FourierReading, reference: bool = True) -> Study:
    """Return the page of a reading.

    Args:
        found: what was measured.
        reference: whether the published numbers of the changes as augmentations stand beside it.
    """
    sections = [_swap_section(found), *([_change_section(found)] if found.sensitivities else [])]
    return Study(
        kind="fourier",
        title="Phase or amplitude",
        headline=headline(found.swaps),
        models=(found.model,),
        dataset=found.dataset,
        facts={name: str(value) if isinstance(value, bool) else value for name, value in found.facts.items()},
        sections=(*sections, *(reference_sections() if reference else ())),
        notes=(
            "A mixed picture looks like neither of its sources: that a factor cannot be read from one half does not "
            "say that the half does not hold it, only that this reader does not find it there. 'neither' says how "
            "often that is.",
            "Chance is how often answers would agree with a half if they had nothing to do with the pictures: a reader "
            "that always says the same agrees with whatever is frequent. Of changed pictures chance is the commonest "
            "answer, its share of the pictures asked about.",
            *_asked(found),
            "Columns of numbers are asked as classes: a few values each as one, more of them in four bins of as many "
            "pictures each, angles in sectors of 45°. 'answers' says how many there are.",
            "Phases are those of whole pictures: what is at another place has another phase. Where a factor moves or "
            "turns the object, its level is in the phase by that alone.",
            *found.notes,
        ),
        sources=_SOURCES,
    )


def headline(swaps: Sequence[Swap]) -> str:
    """Return which factors follow which half, in a sentence."""
    if not swaps:
        return "No pair of pictures differs in a factor that could be asked for."
    told = []
    for half in ("phase", "amplitude"):
        mine = sorted((s for s in swaps if s.follows == half), key=lambda s: -abs(s.difference.mean))
        if mine:
            named = ", ".join(
                f"{plain(s.factor)} ({100 * s.shares[half].value:.0f} % of mixed pictures "
                f"[{100 * s.shares[half].low:.0f}, {100 * s.shares[half].high:.0f}], by the other half "
                f"{100 * s.shares[_other(half)].value:.0f} %)"
                for s in mine
            )
            told.append(f"{named} {'follow' if len(mine) > 1 else 'follows'} the {half}")
    rest = [plain(s.factor) for s in swaps if not s.follows]
    if rest:
        told.append(f"of {', '.join(rest)} neither half is surely read more often")
    if not any(s.follows for s in swaps):
        most = max(swaps, key=lambda s: abs(s.difference.mean))
        half = "phase" if most.difference.mean > 0 else "amplitude"
        of, other = most.shares[half], most.shares[_other(half)]
        told.append(
            f"most nearly {plain(most.factor)}: {100 * of.value:.0f} % [{100 * of.low:.0f}, {100 * of.high:.0f}] by "
            f"the {half}, {100 * other.value:.0f} % by the {_other(half)}"
        )
    text = "; ".join(told) + "."
    return text[0].upper() + text[1:]


def _asked(found: FourierReading) -> list[str]:
    """Return why fewer pictures are asked about than are changed."""
    changed = found.facts.get("pictures changed")
    counts = sorted({one.n for one in found.sensitivities})
    if not counts or not isinstance(changed, int) or counts[0] >= changed:
        return []
    some = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return [
        f"{changed} pictures are changed; of these each factor is asked about those that its reader did not learn "
        f"from, {some} by factor (n). --pictures changes more."
    ]


def _other(half: str) -> str:
    return "amplitude" if half == "phase" else "phase"


def _swap_section(found: FourierReading) -> Section:
    bars = tuple(
        Bar(
            name=f"{plain(swap.factor)}: {source}", value=swap.shares[source].value, low=swap.shares[source].low,
            high=swap.shares[source].high, group=source,
        )
        for swap in found.swaps for source in SOURCES
    )  # fmt: skip
    lines: list[dict[str, Cell]] = [
        {
            "factor": plain(swap.factor), "read as that of": source, "share %": swap.shares[source].value,
            "low %": swap.shares[source].low, "high %": swap.shares[source].high, "chance %": swap.chance[source],
            "phase picture unmixed %": swap.clean.value, "answers": swap.answers, "n": swap.n, "groups": swap.groups,
            "by": plain(swap.by), "phase over amplitude, corrected p": swap.corrected_p, "follows": swap.follows,
        }
        for swap in found.swaps for source in SOURCES
    ]  # fmt: skip
    return Section(
        title="Phase of one picture, amplitude of another",
        about="Both pictures differ in the factor that is asked for, and in whatever else they differ. 'phase "
        "picture unmixed' is how often the picture that gives the phase is read rightly when nothing is done to it.",
        charts=(BarChart(title="What is read", y="share of mixed pictures", bars=bars),) if bars else (),
        table=tuple(lines),
        pictures=tuple(_row(one) for one in found.shown if len(one.sources) == 2),
    )


def _row(shown: Shown) -> ImageRow:
    return ImageRow(
        label=shown.label, inputs=tuple(EncodedImage(data=data) for data in shown.sources),
        samples=tuple(EncodedImage(data=data) for data in shown.made), captions=shown.captions,
    )  # fmt: skip


def _change_section(found: FourierReading) -> Section:
    factors = list(dict.fromkeys(one.factor for one in found.sensitivities))
    clean = {one.factor: one for one in found.sensitivities if not one.strength}
    names = list(dict.fromkeys(one.name for one in found.sensitivities if one.strength))
    charts: list[Chart] = [_lines(found.sensitivities, name, factors, clean) for name in names]
    charts.append(_bands(found.sensitivities, names, factors, clean))
    lines = [
        _steps(found.sensitivities, clean[factor], name, band) for factor in factors for name in names for band in BANDS
    ]
    return Section(
        title="What each factor can do without",
        about="Readers have learnt from unchanged pictures; 'unchanged' is how often they are right about the pictures "
        "of this table before any change. Steps: "
        + "; ".join(f"{name} {', '.join(f'{s:g}' for s in FOURIER_CHANGES[name])} ({UNITS[name]})" for name in names)
        + f". Low frequencies are up to {found.facts['cut']:g} cycles per pixel.",
        charts=tuple(charts),
        table=tuple(lines),
        pictures=tuple(_row(one) for one in found.shown if len(one.sources) == 1),
    )


def _steps(every: Sequence[Sensitivity], clean: Sensitivity, name: str, band: str) -> dict[str, Cell]:
    """Return a line of the table: accuracy after each strength, the interval of the strongest."""
    mine = [one for one in every if (one.factor, one.name, one.band) == (clean.factor, name, band) and one.strength]
    steps = {f"step {k} %": one.accuracy.value for k, one in enumerate(mine, 1)}
    last = mine[-1].accuracy
    return {
        "factor": plain(clean.factor), "change": name, "band": band, "unchanged %": clean.accuracy.value, **steps,
        "low %": last.low, "high %": last.high, "chance %": clean.chance, "n": clean.n, "groups": clean.groups,
    }  # fmt: skip


def _lines(every: Sequence[Sensitivity], name: str, factors: Sequence[str], clean: dict[str, Sensitivity]) -> LineChart:
    series = []
    for factor in factors:
        mine = [clean[factor]] + [
            one for one in every if (one.factor, one.name, one.band) == (factor, name, "all") and one.strength
        ]
        points = tuple(
            Point(x=one.strength, y=one.accuracy.value, low=one.accuracy.low, high=one.accuracy.high) for one in mine
        )
        series.append(Series(name=plain(factor), points=points))
    return LineChart(title=f"{name.capitalize()}", x=UNITS[name], y="accuracy", series=tuple(series))


def _bands(
    every: Sequence[Sensitivity], names: Sequence[str], factors: Sequence[str], clean: dict[str, Sensitivity]
) -> Heatmap:
    """Return what the strongest change costs each factor, by band."""
    columns = [(name, band) for name in names for band in BANDS]
    held = {(one.factor, one.name, one.band, one.strength): one.accuracy.value for one in every}
    values = tuple(
        tuple(clean[f].accuracy.value - held[f, n, b, float(FOURIER_CHANGES[n][-1])] for n, b in columns)
        for f in factors
    )
    return Heatmap(
        title="Accuracy lost at the strongest change", rows=tuple(plain(f) for f in factors),
        columns=tuple(f"{name}, {band}" for name, band in columns), values=values,
    )  # fmt: skip


def published() -> dict[str, Any]:
    """Return the published numbers of Fourier changes as augmentations, as they lie in ``benchmarks/reference``."""
    found: dict[str, Any] = json.loads((data_folder("benchmarks") / "reference" / "fourier.json").read_text())
    return found


def reference_sections() -> list[Section]:
    """Return what the changes gave as augmentations."""
    held = published()
    gains: list[dict[str, Cell]] = [
        {
            "method": row["method"], "without %": row["base"] / 100, "with %": row["fourier"] / 100,
            "deviation without": row["base_sd"], "deviation with": row["fourier_sd"],
        }
        for row in held["pretraining"]
    ]  # fmt: skip
    views: list[dict[str, Cell]] = [
        {"left view": row["left"], "right view": row["right"], "accuracy %": row["accuracy"] / 100}
        for row in held["views"]
    ]
    return [
        Section(title="Published: as augmentations", about=held["source"], table=tuple(gains), reference=True),
        Section(title="Published: pairs of views", about=held["views_source"], table=tuple(views), reference=True),
    ]
