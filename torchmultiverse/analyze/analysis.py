"""All that is asked of one representation, and the folder that keeps the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.analyze.depth import Depths, budgets, depths
from torchmultiverse.analyze.geometry import Shape, cka_matrix, shapes
from torchmultiverse.analyze.memorization import Memory, memory
from torchmultiverse.analyze.portraits import Portrait, portrait, sitter, train_on_layer
from torchmultiverse.analyze.studies import Studies, ask
from torchmultiverse.analyze.studio import Studio
from torchmultiverse.analyze.withheld import Mode, Sets
from torchmultiverse.errors import DatasetError, MissingExtra
from torchmultiverse.features import Features, features_of
from torchmultiverse.files import write_atomic
from torchmultiverse.models import load_model
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.paths import component
from torchmultiverse.store import (
    ImageSubset,
    dataset_name,
    manifest_hash,
    open_images,
    require_generative_use,
)

SHARES = (0.02, 0.05, 0.15, 0.4, 1.0)
"""Label budgets: shares of the training pictures."""
FACTORS = 6
"""Factors at most for which label budgets are asked."""


@dataclass(frozen=True)
class Budget:
    """What is read with a share of the labels.

    Attributes:
        factor, layer, share: what was asked where, with how many.
        score, low, high: accuracy, or R² of a regression, with its interval.
    """

    factor: str
    layer: str
    share: float
    score: float
    low: float
    high: float


@dataclass(frozen=True)
class Alike:
    """How alike the layers of two models are, shown the same pictures.

    Attributes:
        other: name of the other model.
        layers: of the other.
        cka: linear, by layer of the first and of the other, 0 to 1.
    """

    other: str
    layers: tuple[str, ...]
    cka: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Painting:
    """How decoders are trained for the pictures of layers.

    Attributes:
        steps, batch_size, learning_rate: of training.
        size, preset: of the decoders.
        sampling: steps of the sampler.
    """

    steps: int
    batch_size: int
    learning_rate: float
    size: int
    preset: str
    sampling: int


def painting() -> Painting:
    """Return what this machine can train in some minutes: 64 pixels and the published network on a GPU."""
    if tools.device().type == "cuda":
        return Painting(20_000, 128, 1e-4, 64, "64", 50)
    return Painting(2_000, 32, 2e-3, 32, "tiny", 25)


@dataclass(frozen=True)
class Analysis:
    """What came of analysing a model.

    Attributes:
        model: its facts, as `ModelInfo.as_dict` gives them.
        dataset: name, pictures and manifest hash of what it was shown.
        depths: what is read where, if it was asked.
        shapes: geometry by layer, if it was asked.
        provenance: versions, seed and command.
        budgets: what is read with fewer labels, at the best cut and at the end.
        alike: layers of another model beside these.
        portraits: pictures of layers, with the folder of each decoder.
        studies: questions to the first decoder.
        memory: what was memorized.
        notes: what was not asked, and why.
    """

    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    depths: Depths | None = None
    shapes: tuple[Shape, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    alike: Alike | None = None
    portraits: tuple[Portrait, ...] = ()
    studies: Studies | None = None
    memory: Memory | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "model": dict(self.model),
            "dataset": dict(self.dataset),
            "depths": self.depths.as_dict() if self.depths else None,
            "shapes": [asdict(shape) for shape in self.shapes],
            "budgets": [asdict(one) for one in self.budgets],
            "alike": asdict(self.alike) if self.alike else None,
            "portraits": [one.as_dict() for one in self.portraits],
            "studies": self.studies.as_dict() if self.studies else None,
            "memory": self.memory.as_dict() if self.memory else None,
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def save(self, out: str | Path) -> Path:
        """Write ``analysis.json``, the tables as CSV, and the page ``index.html``; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report import analysis_page, rows_as_csv

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "analysis.json", (json.dumps(self.as_dict(), indent=1) + "\n").encode())
        tables: dict[str, Sequence[Any]] = {"budgets.csv": self.budgets}
        if self.depths:
            tables |= {
                "depths.csv": self.depths.reaches,
                "cuts.csv": self.depths.cuts,
                "levels.csv": self.depths.levels,
            }
        for name, rows in tables.items():
            if rows:
                write_atomic(out / name, rows_as_csv([asdict(row) for row in rows]).encode())
        if self.shapes:
            write_atomic(out / "geometry.csv", rows_as_csv([_flat(shape) for shape in self.shapes]).encode())
        if self.memory:
            write_atomic(out / "classes.csv", rows_as_csv(self.memory.classes).encode())
            write_atomic(out / "answers.csv", rows_as_csv(self.memory.answers).encode())
        write_atomic(out / "index.html", analysis_page(self).encode())
        return out / "index.html"


def _flat(shape: Shape) -> dict[str, Any]:
    row: dict[str, Any] = {
        "layer": shape.layer, "depth": shape.depth, "size": shape.size, "rank_me": shape.rank_me,
        "effective_rank": shape.effective_rank, "uniformity": shape.uniformity,
        "disentanglement": shape.disentanglement.disentanglement,
    }  # fmt: skip
    row |= {f"sensitivity {r.factor}": r.sensitivity for r in shape.responses}
    row |= {f"completeness {name}": value for name, value in shape.disentanglement.completeness.items()}
    return row | {f"information gap {name}": value for name, value in shape.gap.items()}


def analyse(
    model: str,
    dataset: Any,
    layers: Sequence[str] | str = "cuts",
    factors: Sequence[str] | None = None,
    probes: Sequence[str] = ("logistic",),
    geometry: bool = True,
    group: str = "auto",
    labels: float | int | None = None,
    few: bool = False,
    against: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Analysis:
    """Say what a model knows at every layer, where to cut it, and how its layers are shaped.

    Args:
        model: model string.
        dataset: folder or opened dataset.
        layers: see `torchmultiverse.features.extract.features_of`.
        factors, probes, group, labels, seed: see `torchmultiverse.analyze.depth.depths`.
        geometry: whether to ask for it.
        few: whether to ask what is read with fewer labels.
        against: another model whose layers are held beside these.
        limit: so many pictures at most, drawn at random.
        store: where features are kept.
        quiet: show no bars.

    Raises:
        ModelError: no such model, layer or probe.
        DatasetError: no such column, or nothing to ask for.
    """
    pictures = some_of(dataset, limit, seed)
    loaded = load_model(model)
    features = features_of(loaded, pictures, layers, store, quiet=quiet)
    found = depths(features, factors, probes, group, labels, seed, quiet)
    shaped = shapes(features, factors, seed) if geometry else []
    alike = None
    if against is not None:
        other = features_of(against, pictures, "cuts", store, quiet=quiet)
        matrix = cka_matrix(features.layers, other.layers)
        alike = Alike(other.model, tuple(other.layers), tuple(tuple(row) for row in matrix.tolist()))
    return Analysis(
        features.facts,
        {"name": features.dataset, "pictures": len(features), "manifest_sha256": manifest_hash(pictures)},
        found,
        tuple(shaped),
        budgets=_budgets(features, found, group, seed, quiet) if few else (),
        alike=alike,
    )


def some_of(dataset: Any, limit: int | None, seed: int) -> Any:
    """Return a dataset, or so many of its pictures, drawn at random."""
    pictures = open_images(dataset)
    if limit is None or limit >= len(pictures):
        return pictures
    rows = np.sort(np.random.default_rng(seed).choice(len(pictures), limit, replace=False))
    return ImageSubset(pictures, rows, f"{dataset_name(pictures)}, {limit} pictures")


def _budgets(features: Features, found: Depths, group: str, seed: int, quiet: bool) -> tuple[Budget, ...]:
    cuts = found.first_cuts
    out = []
    for factor in list(dict.fromkeys(cut.factor for cut in found.cuts))[:FACTORS]:
        cut = cuts[factor]
        probe = "logistic" if cut.probe == "ridge" else cut.probe
        at = list(dict.fromkeys((cut.best, cut.end)))
        for share, some in budgets(features, factor, at, SHARES, probe, group, seed, quiet).items():
            out += [Budget(factor, one.layer, share, one.score, one.low, one.high) for one in some.reaches]
    return tuple(out)


def portrayed(found: Depths) -> list[str]:
    """Return the layers that pictures are drawn of: where most is read that the end has lost, and the end."""
    end = found.layers[-1]
    costly = [cut for cut in found.first_cuts.values() if cut.lost]
    if not costly:
        return [end]
    return list(dict.fromkeys([max(costly, key=lambda cut: cut.cost).best, end]))


def paint(
    analysis: Analysis,
    model: str,
    dataset: Any,
    out: str | Path,
    how: Painting | None = None,
    layers: Sequence[str] | None = None,
    limit: int | None = None,
    licence: str | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Analysis:
    """Return an analysis with pictures of layers: decoders are trained in ``out/decoders``, drawn from and asked.

    What cannot be done, for the data's licence or without a library, is noted.

    Args:
        analysis: so far.
        model, dataset, limit, seed, store, quiet: as in `analyse`.
        out: folder of the analysis.
        how: decoders are trained.
        layers: to be drawn; see `portrayed`.
        licence: of data that forbid it, by name, from those who have other rights.
    """
    how = how or painting()
    pictures = some_of(dataset, limit, seed)
    names = list(layers) if layers else portrayed(analysis.depths) if analysis.depths else []
    try:
        require_generative_use(pictures.manifest, dataset_name(pictures), licence)
        tools.need("diffusers", "pictures of layers", "rcdm")
    except (DatasetError, MissingExtra) as error:
        return replace(analysis, notes=(*analysis.notes, f"pictures of layers: {error}"))
    sitters = []
    for name in names:
        folder = train_on_layer(
            model, pictures, Path(out) / "decoders" / component(name), name, how.size, how.preset, how.steps,
            how.batch_size, how.learning_rate, licence=licence, seed=seed, store=store, quiet=quiet,
        )  # fmt: skip
        sitters.append(sitter(folder, pictures, store, quiet))
    if not sitters:
        return analysis
    drawn = tuple(
        portrait(one, pictures, None, 64, 4, 6, how.sampling, seed=seed, store=store, quiet=quiet) for one in sitters
    )
    studios = [Studio(one, 3, 2, how.sampling, seed=seed, quiet=quiet) for one in sitters]
    return replace(analysis, portraits=drawn, studies=ask(studios[0], None, studios[1:]))


def remember(
    analysis: Analysis,
    model: str,
    dataset: Any,
    sets: str | Path | None = None,
    other: str | None = None,
    boxes: str | Path | None = None,
    mode: Mode | None = None,
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Analysis:
    """Return an analysis with what was memorized, where it is known which pictures the model saw.

    Args:
        analysis: so far.
        model, dataset, seed, store, quiet: as in `analyse`.
        sets: file of `data split`; that of an encoder of this package by default, if it was trained on sets.
        other: model that saw B; without it the model is scored alone.
        boxes: of photographs.
        mode: how the object is taken out; boxes where they are known, corners else.
    """
    pictures = open_images(dataset)
    try:
        known = _known_sets(model, pictures) if sets is None else Sets.load(sets, pictures)
    except DatasetError as error:
        if sets is not None:
            raise
        return replace(analysis, notes=(*analysis.notes, f"what was memorized: {error}"))
    if known is None:
        note = "what was memorized: nobody said which pictures the model saw (--sets, of 'data split')"
        return replace(analysis, notes=(*analysis.notes, note))
    if mode is None:
        mode = "boxes" if boxes is not None or "annotations" in pictures.table().column_names else "corner"
    found = memory(pictures, known, model, other, None, mode, boxes, seed=seed, store=store, views=6, quiet=quiet)
    return replace(analysis, memory=found)


def _known_sets(model: str, pictures: Any) -> Sets | None:
    """Return the sets that an encoder of this package keeps beside its weights, if it was trained on some."""
    rest = model.removeprefix("ssl:")
    folder = Path(rest.rpartition("@")[0] if "@" in rest else rest)
    file = folder / "sets.json"
    return Sets.load(file, pictures) if model.startswith("ssl:") and file.is_file() else None


__all__ = ["Alike", "Analysis", "Budget", "Painting", "analyse", "paint", "painting", "remember"]
