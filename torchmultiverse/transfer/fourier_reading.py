"""Which half of a picture's spectrum a model reads each factor from, and how much of either it can do without.

A picture is made of the phases of one render and the amplitudes of another that differ in known factors. What a reader
of the model's features (a probe, or its own texts) then says of a factor is the level of the one, of the other, or of
neither. Photographs can be exchanged so as well, but not say which factor went with which half.

Source of the exchange: A. Oppenheim and J. Lim, *The importance of phase in signals*, Proceedings of the IEEE 1981. Of
the changes of single spectra: N. Kalibhat et al., 2023, see `fourier_images`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze import ProbeData, RunOptions, probe_of
from torchmultiverse.errors import DatasetError, SettingError, nearest
from torchmultiverse.evaluation import plain
from torchmultiverse.features import FeatureCache, Features, factor_names, image_array, text_vectors
from torchmultiverse.models import FloatArray, ImageTextModel, load_model, unit
from torchmultiverse.progress import progress_bar
from torchmultiverse.scenes import level_name
from torchmultiverse.stats import Intervals, Paired, holm, paired_interval
from torchmultiverse.store import ImageSet, columns_of, dataset_name, drawn_images, open_images
from torchmultiverse.transfer.fourier_images import (
    BANDS,
    CUT,
    FOURIER_CHANGES,
    FourierChange,
    changed_images,
    swapped_images,
)
from torchmultiverse.transfer.plane import vectors_of
from torchmultiverse.transfer.tasks import Task, task_of

READERS = ("probe", "texts")
SOURCES = ("phase", "amplitude", "neither")
_MOST_SIDE = 224
_SHOWN = 2
_FRACTIONS = (0.4, 0.1, 0.5)  # half is asked: pairs of few groups say little


@dataclass(frozen=True)
class FourierOptions:
    """How a model is asked.

    Attributes:
        factors: columns; all that vary by default.
        layer: whose features are read; the embedding by default.
        reader: ``probe`` for a linear probe of the unchanged pictures, ``texts`` for the model's own captions.
        probe: of `torchmultiverse.analyze.PROBES`.
        prompt: caption of a level, for ``texts``.
        group: column whose groups are in one part only.
        limit: pictures of the dataset that are used, drawn at random.
        pictures: of them that are changed.
        pairs: for each factor, that exchange halves.
        cut: cycles per pixel that part low frequencies from high ones.
        changes: of `FOURIER_CHANGES`; none to ask only for the exchange.
    """

    factors: Sequence[str] | None = None
    layer: str | None = None
    reader: str = "probe"
    probe: str = "logistic"
    prompt: str = "a picture of {}"
    group: str = "auto"
    limit: int | None = 3000
    pictures: int = 300
    pairs: int = 200
    cut: float = CUT
    changes: Sequence[str] = tuple(FOURIER_CHANGES)


class Share(NamedTuple):
    """A share of pictures with its interval, over groups."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Swap:
    """What is read of a factor where phase and amplitude are of pictures that differ in it.

    Attributes:
        factor: what was asked.
        clean: accuracy on the unchanged pictures that give the phase.
        shares: of pairs whose answer is the level of the ``phase``, of the ``amplitude``, of ``neither``.
        chance: share that would follow the phase, and the amplitude, if answers had nothing to do with the pictures.
        difference: share of phase minus that of amplitude.
        corrected_p: of none, corrected for all factors.
        answers: how many levels there are.
        n, groups: pairs, and independent groups of the pictures that give the phase.
        by: the column that groups.
    """

    factor: str
    clean: Share
    shares: Mapping[str, Share]
    chance: Mapping[str, float]
    difference: Paired
    corrected_p: float
    answers: int
    n: int
    groups: int
    by: str

    @property
    def follows(self) -> str:
        """``phase`` or ``amplitude`` where one is surely read more often than the other and than chance; else ""."""
        if self.corrected_p >= 0.05 or self.difference.low * self.difference.high <= 0:
            return ""
        found = "phase" if self.difference.mean > 0 else "amplitude"
        return found if self.shares[found].low > self.chance[found] else ""


class Sensitivity(NamedTuple):
    """What is read of a factor after one change of one strength.

    Attributes:
        factor, name, band: what was asked after what.
        strength: 0 for the unchanged pictures.
        accuracy: with its interval.
        chance: of the most frequent answer.
        n, groups: test pictures, and independent groups of them.
    """

    factor: str
    name: str
    band: str
    strength: float
    accuracy: Share
    chance: float
    n: int
    groups: int


class Shown(NamedTuple):
    """A pair of pictures and what becomes of it, as PNG files.

    Attributes:
        label: what it is.
        sources: the pictures that give the phase and the amplitude.
        made: phase of the first with amplitude of the second, and the other way round or nothing.
        captions: what is read of them.
    """

    label: str
    sources: tuple[bytes, ...]
    made: tuple[bytes, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class FourierReading:
    """All that was asked of a model.

    Attributes:
        model, dataset: names.
        swaps: of every factor that could be asked for.
        sensitivities: of every factor, change, band and strength.
        shown: pairs, and each change at each strength.
        notes: what could not be asked and why.
        facts: settings.
    """

    model: str
    dataset: str
    swaps: tuple[Swap, ...]
    sensitivities: tuple[Sensitivity, ...]
    shown: tuple[Shown, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


Reader = Callable[[FloatArray], NDArray[np.int64]]
"""From features (M, D) to codes (M,)."""


@dataclass(frozen=True)
class _Asked:
    """A factor, its reader, and the pictures that the reader did not learn from."""

    task: Task
    read: Reader
    held_out: NDArray[np.int64]  # places among the pictures


@dataclass(frozen=True)
class _World:
    """A model and the pictures it is asked about."""

    model: Any
    images: ImageSet
    pixels: NDArray[np.uint8]
    cache: FeatureCache | None
    options: FourierOptions
    run: RunOptions

    def vectors(self, images: ImageSet) -> FloatArray:
        return vectors_of(self.model, images, self.options.layer, self.cache, self.run.quiet)


def read_spectra(
    model: Any, dataset: Any, options: FourierOptions | None = None, run: RunOptions | None = None
) -> FourierReading:
    """Ask a model about pictures whose spectra are exchanged, and about pictures whose spectra are changed.

    All pictures, also those that readers learn from, are first brought to one square side: that of the
    model's input or of the first picture, whichever is smaller, 224 at most.

    Args:
        model: a model string or model.
        dataset: folder or opened dataset.
        options: what is asked.
        run: seed, store of features, quiet.

    Raises:
        DatasetError: no factor can be asked for.
        ModelError: no such reader or layer, or texts of a model that has none.
    """
    options, run = options or FourierOptions(), run or RunOptions()
    if options.reader not in READERS:
        raise SettingError(f"no reader '{options.reader}'.{nearest(options.reader, READERS)}")
    model = load_model(model) if isinstance(model, str) else model
    if options.reader == "texts" and not isinstance(model, ImageTextModel):
        raise SettingError(f"'{model.info.name}' knows no texts; --reader probe asks a linear probe")
    images = drawn_images(open_images(dataset), options.limit, run.seed)
    preprocess = model.info.preprocess
    side = min(_MOST_SIDE, max(images.image(0).size), preprocess.size[0] if preprocess is not None else _MOST_SIDE)
    pixels = image_array(
        images, np.arange(len(images)), side, lambda image: image.resize((side, side), Image.Resampling.BICUBIC),
        run.quiet,
    )  # fmt: skip
    cache = run.store if isinstance(run.store, FeatureCache) or run.store is None else FeatureCache(run.store)
    world = _World(model, images, pixels, cache, options, run)
    asked, notes = _readers(world)
    swaps, shown = _swaps(world, asked)
    sensitivities: list[Sensitivity] = []
    if options.changes:
        sensitivities = _sensitivities(world, asked)
        shown += _shown_changes(world)
    facts = {
        "pictures": len(images), "side": side, "reader": options.reader, "layer": options.layer or "the embedding",
        "pairs a factor": options.pairs, "pictures changed": min(options.pictures, len(images)), "cut": options.cut,
        "seed": run.seed,
    }  # fmt: skip
    return FourierReading(
        model.info.name, dataset_name(images), tuple(swaps), tuple(sensitivities), tuple(shown), tuple(notes), facts
    )


def _readers(world: _World) -> tuple[list[_Asked], list[str]]:
    """Return every factor with what reads it, and why others cannot be asked for."""
    options, seed = world.options, world.run.seed
    columns, every = columns_of(world.images), np.arange(len(world.images))
    some = Features("", dataset_name(world.images), {}, columns, every, {})
    vectors = world.vectors(changed_images(world.images, world.pixels, every, FourierChange("phase", 0.0)))
    asked: list[_Asked] = []
    notes: list[str] = []
    for number, factor in enumerate(factor_names(some, options.factors)):
        try:
            rng = np.random.default_rng((seed, number))
            task = task_of(columns, factor, every, rng, options.group, fractions=_FRACTIONS)
        except DatasetError as error:
            notes.append(f"{factor}: {error}")
            continue
        if options.reader == "texts":
            if columns[factor].dtype.kind != "O":
                notes.append(f"{factor}: its levels are numbers, which no caption names")
                continue
            asked.append(_Asked(task, _by_texts(world, task.levels), every))
        else:
            asked.append(_Asked(task, _by_probe(vectors, task, options.probe, seed), task.parts.test))
    if not asked:
        raise DatasetError(f"{some.dataset}: nothing can be asked for. {'; '.join(notes)}")
    return asked, notes


def _by_probe(vectors: FloatArray, task: Task, name: str, seed: int) -> Reader:
    """Return a probe that has learnt from the unchanged pictures; it learns the same again where it is not linear."""
    parts = task.parts

    def fit(test: FloatArray) -> Any:
        data = ProbeData(
            vectors[parts.train], vectors[parts.validation], test, task.codes[parts.train],
            task.codes[parts.validation], len(task.levels),
        )  # fmt: skip
        return probe_of(name)(data, np.random.default_rng(seed))

    linear = fit(vectors[:1]).probe

    def read(some: FloatArray) -> NDArray[np.int64]:
        if linear is None:
            return np.asarray(fit(some).prediction, np.int64)
        return np.asarray((some @ linear.weight + linear.bias).argmax(1), np.int64)

    return read


def _by_texts(world: _World, levels: Sequence[str]) -> Reader:
    """Return a reader by the nearest caption."""
    captions = [world.options.prompt.format(level_name(level)) for level in levels]
    names, found = text_vectors(world.model, captions, world.run.quiet, world.cache)
    texts = unit(np.stack([found[names.index(caption)] for caption in captions]))
    return lambda some: np.asarray((unit(some) @ texts.T).argmax(1), np.int64)


def _swaps(world: _World, asked: Sequence[_Asked]) -> tuple[list[Swap], list[Shown]]:
    """Return what is read of each factor from pairs that differ in it."""
    found: list[Swap] = []
    shown: list[Shown] = []
    with progress_bar(world.run.quiet) as progress:
        bar = progress.add_task("phases and amplitudes", total=len(asked), unit="factors")
        for number, one in enumerate(asked):
            progress.update(bar, description=f"exchanging, {one.task.name}")
            rng = np.random.default_rng((world.run.seed, number))
            phase, amplitude = draw_pairs(one.task.codes, one.held_out, world.options.pairs, rng)
            if len(phase):
                mixed = swapped_images(world.images, world.pixels, phase, amplitude)
                said = one.read(world.vectors(mixed))
                clean = one.read(world.vectors(_unchanged(world, phase)))
                found.append(swap_of(one.task, phase, amplitude, said, clean, world.run.seed))
                shown += _shown_pairs(world, one, phase, amplitude, said)
            progress.advance(bar)
    corrected = holm([swap.difference.p for swap in found])
    return [Swap(**{**swap.__dict__, "corrected_p": p}) for swap, p in zip(found, corrected, strict=True)], shown


def _unchanged(world: _World, rows: NDArray[np.int64]) -> ImageSet:
    return changed_images(world.images, world.pixels, rows, FourierChange("phase", 0.0))


def draw_pairs(
    codes: NDArray[np.int64], rows: NDArray[np.int64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of rows whose codes differ, (P,) each; every row gives phases about as often as any other.

    Args:
        codes: levels, (N,).
        rows: which may be drawn, (R,).
        count: most pairs.
        rng: of the draws.

    >>> one, two = draw_pairs(np.array([0, 0, 1, 1]), np.arange(4), 4, np.random.default_rng(0))
    >>> sorted(one.tolist()), bool((np.array([0, 0, 1, 1])[one] != np.array([0, 0, 1, 1])[two]).all())
    ([0, 1, 2, 3], True)
    """
    order = np.concatenate([rng.permutation(rows) for _ in range(-(-count // max(1, len(rows))))])[:count]
    pairs = [(row, int(rng.choice(others))) for row in order.tolist() if len(others := rows[codes[rows] != codes[row]])]
    both = np.array(pairs, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def swap_of(
    task: Task, phase: NDArray[np.int64], amplitude: NDArray[np.int64], said: NDArray[np.int64],
    clean: NDArray[np.int64], seed: int = 0,
) -> Swap:  # fmt: skip
    """Return the shares of answers that follow phase, amplitude or neither.

    Intervals are the wider of those over groups of the pictures that give the phase and of those that give the
    amplitude.

    Args:
        task: the factor.
        phase, amplitude: rows of the pairs, (P,), whose codes differ.
        said: what is read of each mixed picture, (P,).
        clean: what is read of the unchanged pictures that give the phase, (P,).
        seed: of intervals.
    """
    codes, groups = task.codes, task.groups
    follow = {"phase": said == codes[phase], "amplitude": said == codes[amplitude]}
    follow["neither"] = ~(follow["phase"] | follow["amplitude"])
    clusters = [np.unique(groups[rows], return_inverse=True)[1] for rows in (phase, amplitude)]
    intervals = Intervals(seed)

    def share(values: NDArray[np.bool_]) -> Share:
        found = [intervals.of_mean(values.astype(np.float64), part)[:2] for part in clusters]
        low, high = max(found, key=lambda ends: ends[1] - ends[0])
        return Share(float(values.mean()), low, high)

    size = len(task.levels)
    answers = np.bincount(said, minlength=size) / len(said)
    chance = {
        name: float(answers @ np.bincount(codes[rows], minlength=size) / len(rows))
        for name, rows in (("phase", phase), ("amplitude", amplitude))
    }
    chance["neither"] = max(0.0, 1 - chance["phase"] - chance["amplitude"])
    apart = follow["phase"].astype(np.float64) - follow["amplitude"]
    difference = max((paired_interval(apart, part) for part in clusters), key=lambda found: (found.p, found.error))
    return Swap(
        task.name, share(clean == codes[phase]), {name: share(values) for name, values in follow.items()}, chance,
        difference, difference.p, size, len(phase), int(clusters[0].max()) + 1, task.by,
    )  # fmt: skip


def _sensitivities(world: _World, asked: Sequence[_Asked]) -> list[Sensitivity]:
    """Return what is read of every factor after every change, on some of the pictures its reader did not learn from."""
    options, seed = world.options, world.run.seed
    for name in options.changes:
        FourierChange(name, 1.0)  # says what cannot be before pictures are made
    count = min(options.pictures, len(world.images))
    rows = np.sort(np.random.default_rng((seed, 77)).permutation(len(world.images))[:count])
    steps = [FourierChange(options.changes[0], 0.0)] + [
        FourierChange(name, float(strength), band, options.cut)
        for name in options.changes for band in BANDS for strength in FOURIER_CHANGES[name]
    ]  # fmt: skip
    intervals, found = Intervals(seed), []
    with progress_bar(world.run.quiet) as progress:
        bar = progress.add_task("changes", total=len(steps), unit="changes")
        for change in steps:
            progress.update(bar, description=f"{change.name} {change.strength:g}, {change.band}")
            vectors = world.vectors(changed_images(world.images, world.pixels, rows, change, seed))
            for one in asked:
                mine = np.flatnonzero(np.isin(rows, one.held_out))
                if len(mine):
                    right = one.read(vectors[mine]) == one.task.codes[rows[mine]]
                    found.append(_sensitivity(one.task, change, rows[mine], right, intervals))
            progress.advance(bar)
    return found


def _sensitivity(
    task: Task, change: FourierChange, rows: NDArray[np.int64], right: NDArray[np.bool_], intervals: Intervals
) -> Sensitivity:
    groups = np.unique(task.groups[rows], return_inverse=True)[1]
    low, high, _ = intervals.of_mean(right.astype(np.float64), groups)
    chance = float(np.bincount(task.codes[rows]).max() / len(rows))
    return Sensitivity(
        task.name, change.name, change.band, change.strength, Share(float(right.mean()), low, high), chance, len(rows),
        int(groups.max()) + 1,
    )  # fmt: skip


def _shown_pairs(
    world: _World, one: _Asked, phase: NDArray[np.int64], amplitude: NDArray[np.int64], said: NDArray[np.int64]
) -> list[Shown]:
    """Return some pairs as pictures."""
    levels = [level_name(level) for level in one.task.levels]
    found = []
    for k in range(min(_SHOWN, len(phase))):
        pair = swapped_images(world.images, world.pixels, phase[[k]], amplitude[[k]])
        names = [levels[one.task.codes[row]] for row in (phase[k], amplitude[k])]
        found.append(
            Shown(
                f"{plain(one.task.name)}: phase of {names[0]}, amplitude of {names[1]}",
                tuple(_png(Image.fromarray(world.pixels[row])) for row in (phase[k], amplitude[k])),
                (_png(pair.image(0)),), (f"read as {levels[said[k]]}",),
            )
        )  # fmt: skip
    return found


def _shown_changes(world: _World) -> list[Shown]:
    """Return one picture after each change at each strength."""
    row = np.array([int(np.random.default_rng((world.run.seed, 78)).integers(len(world.images)))])
    found = []
    for name in world.options.changes:
        for band in BANDS:
            made = [
                changed_images(
                    world.images, world.pixels, row, FourierChange(name, float(s), band, world.options.cut)
                ).image(0)
                for s in FOURIER_CHANGES[name]
            ]
            found.append(
                Shown(
                    f"{name}, {'all' if band == 'all' else band} frequencies",
                    (_png(Image.fromarray(world.pixels[row[0]])),), tuple(_png(image) for image in made),
                    tuple(f"{s:g}" for s in FOURIER_CHANGES[name]),
                )
            )  # fmt: skip
    return found


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
