"""The page of déjà vu by factor: which hidden factor was remembered most, and which were not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torchmultiverse.analyze.dejavu_factors import FactorMemory
from torchmultiverse.analyze.memorization import Memorization
from torchmultiverse.analyze.published import published_sections
from torchmultiverse.errors import QuestionError
from torchmultiverse.study import Bar, BarChart, Cell, Heatmap, Section, Study
from torchmultiverse.tables import column_in_words as _plain

SOURCES = (
    "C. Meehan, F. Bordes, P. Vincent, K. Chaudhuri, C. Guo, Do SSL models have déjà vu? NeurIPS 2023, sections 3 and "
    "4, appendix C.4",
)
_TOGETHER = 0.3  # Cramér's V above which a factor goes together with the label
_LIMITS = (
    "A share of zero does not prove that nothing was memorized: one way of asking found nothing.",
    "A factor that the background itself shows (the world, often the light) is told by the reference as well, and what "
    "it could have remembered is small.",
)


def factor_memory_study(memorization: Memorization) -> Study:
    """Return what was remembered of each factor as a study.

    Args:
        memorization: of `measure_memorization` with ``factors`` in its options.

    Raises:
        QuestionError: no factor was asked for.
    """
    if not memorization.factors:
        raise QuestionError("no factor was asked for: name columns, as --factor object_texture")
    last = memorization.factors[-1].layer
    found = sorted((one for one in memorization.factors if one.layer == last), key=lambda one: -one.share)
    models = tuple(name for name in (memorization.target_model, memorization.reference_model) if name)
    notes = [f"Not asked: {name}: {why}." for name, why in memorization.not_asked.items()]
    for one in found:
        if one.factor != memorization.label and one.association >= _TOGETHER:
            notes.append(
                f"{_plain(one.factor)} goes together with {_plain(memorization.label)} in these data (Cramér's V "
                f"{one.association:.2f}): who remembers one knows something of the other."
            )
        held = one.controls.held_out
        if held is not None and not held.low <= 0 <= held.high:
            notes.append(
                f"{_plain(one.factor)}: the control on pictures that were not trained on is {100 * held.score:.1f} "
                f"points [{100 * held.low:.1f}, {100 * held.high:.1f}], not zero: doubt its score."
            )
        notes += [f"{_plain(one.factor)}: {note}" for note in one.score.notes if note.startswith("k is")]
    return Study(
        kind="dejavu-factors", title="Which hidden factor was remembered", headline=_headline(memorization, found),
        models=models, dataset=memorization.dataset,
        facts={
            "layer": last, "object removed by": memorization.removal, "reference": memorization.reference,
            "label": memorization.label, "n (pictures)": memorization.images, "factors": len(found),
            "correction": "Holm over the factors, 5 %",
        },
        sections=(
            _by_factor(found), *_by_layer(memorization.factors), _by_confidence(found), _controls(found),
            *published_sections("memory", "layers", "beyond", kind="dejavu"),
        ),
        notes=(*dict.fromkeys(notes), *_LIMITS), sources=SOURCES,
    )  # fmt: skip


def _reference(memorization: Memorization) -> str:
    return {
        "model": "a model that did not see the pictures",
        "held-out": "the same model on pictures that it never saw",
    }.get(memorization.reference, "a classifier of backgrounds")


def _headline(memorization: Memorization, found: Sequence[FactorMemory]) -> str:
    told = [one for one in found if one.remembered]
    rest = ", ".join(_plain(one.factor) for one in found if not one.remembered)
    if not told:
        return f"Of no factor is memory told from none, beside {_reference(memorization)}: {rest}."
    most, *others = told
    words = (
        f"Remembered most: {_plain(most.factor)}, of {_share(most)} of the pictures, beyond what "
        f"{_reference(memorization)} says"
    )
    words += f"; also {', '.join(f'{_plain(one.factor)} ({_share(one)})' for one in others)}" if others else ""
    return words + (f". Not told from none: {rest}." if rest else ".")


def _share(one: FactorMemory) -> str:
    return f"{100 * one.share:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}]"


def _by_factor(found: Sequence[FactorMemory]) -> Section:
    bars = tuple(
        Bar(
            name=_plain(one.factor), value=one.share, low=one.low, high=one.high,
            group="remembered (Holm, 5 %)" if one.remembered else "not told from none",
        )
        for one in found
    )  # fmt: skip
    table: list[Mapping[str, Cell]] = []
    for one in found:
        whole = one.score.at(1.0)
        table.append({
            "factor": one.factor, "remembered %": one.share, "low %": one.low, "high %": one.high,
            "DV_100 %": whole.score, "target %": whole.target_accuracy, "reference %": whole.reference_accuracy,
            "chance %": one.controls.chance, "levels": one.levels, "n": one.score.images, "groups": one.groups,
            "grouped by": one.by or "picture", "k": one.k, "p": one.p, "p (Holm)": one.adjusted,
            "with the label (V)": one.association,
        })  # fmt: skip
    return Section(
        title="By factor",
        about="Of how many pictures the factor of the removed object was remembered: the accuracy of the model that saw"
        " them minus that of the reference (DV_100), over what chance leaves open, so that factors of few and of many "
        "levels compare. Intervals are of groups that are drawn again.",
        charts=(BarChart(title="Remembered, by factor", y="share of pictures", bars=bars, chance=0.0),),
        table=tuple(table),
    )


def _by_layer(every: Sequence[FactorMemory]) -> tuple[Section, ...]:
    layers = tuple(dict.fromkeys(one.layer for one in every))
    if len(layers) < 2:
        return ()
    factors = tuple(dict.fromkeys(one.factor for one in every))
    at = {(one.factor, one.layer): one for one in every}
    table: list[Mapping[str, Cell]] = []
    for factor in factors:
        for layer in layers:
            one = at[factor, layer]
            table.append({
                "factor and layer": f"{factor} at {layer}", "remembered %": one.share, "low %": one.low,
                "high %": one.high, "p (Holm)": one.adjusted,
            })  # fmt: skip
    chart = Heatmap(
        title="Remembered, by factor and layer", rows=tuple(map(_plain, factors)), columns=layers,
        values=tuple(tuple(at[factor, layer].share for layer in layers) for factor in factors),
    )  # fmt: skip
    return (
        Section(
            title="By layer", about="Holm's correction is over the factors of one layer.", charts=(chart,),
            table=tuple(table),
        ),
    )  # fmt: skip


def _by_confidence(found: Sequence[FactorMemory]) -> Section:
    table: list[Mapping[str, Cell]] = [
        {
            "factor and p": f"{one.factor} at {100 * score.fraction:g} %", "DV_p %": score.score, "low %": score.low,
            "high %": score.high, "target %": score.target_accuracy, "reference %": score.reference_accuracy,
            "answers per side": score.images,
        }
        for one in found
        for score in one.score.scores
    ]  # fmt: skip
    return Section(
        title="By confidence",
        about="The score on the most confident p % of the answers, each model on its own: DV_20 is the number that is "
        "usually quoted. Not divided by what chance leaves open.",
        table=tuple(table),
    )


def _controls(found: Sequence[FactorMemory]) -> Section:
    table: list[Mapping[str, Cell]] = []
    for one in found:
        held, controls = one.controls.held_out, one.controls
        table.append({
            "factor": one.factor, "not trained on %": held.score if held else None,
            "low %": held.low if held else None, "high %": held.high if held else None,
            "shuffled labels %": controls.shuffled_accuracy, "chance %": controls.chance,
            "exchanged %": controls.swapped_score, "DV_100 %": one.score.at(1.0).score,
        })  # fmt: skip
    return Section(
        title="Controls",
        about="The score on pictures that were not trained on is zero, the accuracy with shuffled labels is chance, and"
        " the models exchanged together with their pictures give the same score.",
        table=tuple(table),
    )
