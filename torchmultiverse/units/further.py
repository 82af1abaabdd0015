"""What is asked of a layer's units beyond what they detect: words, groups, errors, other models, counterfactuals."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError, ModelError, TorchMultiverseError
from torchmultiverse.features import FeatureCache, Features, features_of, last_of_trunk
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.store import ImageSet, table_of
from torchmultiverse.study import Section
from torchmultiverse.units.counterfactual_study import counterfactual_section, shifts_of
from torchmultiverse.units.counterfactuals import plan_changes, render_changes, scenes_of
from torchmultiverse.units.describing import Viewer, cropped_at, viewer_of
from torchmultiverse.units.detection import Concepts, Expression, UnitDetections
from torchmultiverse.units.error_study import answers_of, error_section
from torchmultiverse.units.group_study import group_sections, groups_of
from torchmultiverse.units.transfer_study import transfer_section, transferred
from torchmultiverse.units.unit_kinds import Kind, UnitOptions, factor_names_of, halves, said
from torchmultiverse.units.word_study import Told, put_into_words

_SUREST = 100
"""Units that are put into words, or looked for in other models."""
_CHANGED = 6
"""Units that detect different things, whose scenes are changed."""


@dataclass
class Further:
    """The layer, and what its units were found to detect.

    Attributes:
        model, layer: whose units.
        vectors: of the layer, (N, U).
        features: with the columns and rows of the pictures.
        images: the dataset.
        concepts: its factors.
        kind: the units themselves.
        run: seed, kept features, bars.
        out: folder for what is rendered.
    """

    model: Any
    layer: str
    vectors: FloatArray
    features: Features
    images: ImageSet
    concepts: Concepts
    kind: Kind
    run: RunOptions
    out: str | Path | None
    _told: dict[int, Told] = field(default_factory=dict)

    @property
    def options(self) -> UnitOptions:
        """What is asked."""
        return self.kind.options

    def sections(self) -> tuple[list[Section], list[str]]:
        """Return what was asked, and why some of it has no answer."""
        asked: list[tuple[str, bool, Callable[[], list[Section]]]] = [
            ("groups of units", self.options.groups is not None, self._groups),
            ("wrong answers", self.options.errors, self._errors),
            ("counterfactuals", self.options.scenes > 0, self._counterfactuals),
        ]
        found, notes = self._words() if self.options.words is not None else ([], [])
        reference = [section for section in found if section.reference]
        found = [section for section in found if not section.reference]
        for name, wanted, function in asked:
            if wanted:
                try:
                    found += function()
                except TorchMultiverseError as error:
                    notes.append(f"{name}: {error}")
        for other in self.options.also:
            found += self._transfer(other)
        return [*found, *reference], notes

    @cached_property
    def _parts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return halves(self.concepts.images, self.run.seed)

    @cached_property
    def _surest(self) -> list[UnitDetections]:
        return self.kind.surest()

    @property
    def _said(self) -> Mapping[int, str]:
        return {unit.unit: said(unit.expressions[0]) for unit in self._surest}

    @property
    def _named(self) -> Mapping[int, str] | None:
        if self.options.words is None:
            return None
        return {unit: ", ".join(word for word, _ in one.best.words[:3]) for unit, one in self._told.items()}

    @cached_property
    def _viewer(self) -> Viewer | None:
        if self.options.words is None:
            return None
        model = load_model(self.options.words) if isinstance(self.options.words, str) else self.options.words
        store = FeatureCache(self.run.store) if isinstance(self.run.store, str | Path) else self.run.store
        rng = np.random.default_rng((self.run.seed, 3))
        return viewer_of(model, self.images, self.features.rows, self.concepts, rng, store, self.run.quiet)

    def _words(self) -> tuple[list[Section], list[str]]:
        viewer = self._viewer
        assert viewer is not None
        texts = put_into_words(
            self._surest[:_SUREST], self.kind.activations, viewer, self.model, self.layer, self.options.crops
        )
        self._told = {one.unit: one for one in texts.told}
        return list(texts.sections), list(texts.notes)

    def _groups(self) -> list[Section]:
        deviations = self.options.groups
        assert deviations is not None
        rng = np.random.default_rng((self.run.seed, 4))
        activations = self.kind.activations
        found = groups_of(activations, self.concepts, *self._parts, deviations, rng, self.options.pairs)
        named = {group.expression: said(group.expression) for group in found}
        return list(
            group_sections(
                found, named, deviations, activations, self.images, self.features.rows, self._viewer,
                self.model if self.options.crops else None, self.layer,
            )
        )  # fmt: skip

    def _errors(self) -> list[Section]:
        rng = np.random.default_rng((self.run.seed, 5))
        answers = answers_of(self.vectors, self.features, self.options.label, self.options.group, rng)
        factors = {unit.unit: factor_names_of(unit.expressions[0]) for unit in self._surest}

        def crops(rows: NDArray[np.int64], units: NDArray[np.int64]) -> list[Image.Image]:
            try:
                return cropped_at(self.model, self.layer, self.images, rows, units, self.run.quiet)
            except ModelError:  # a layer without places: told without pictures
                return []

        section = error_section(answers, self._said, factors, self.images, self.features.rows, crops, self._named)
        return [section]

    def _transfer(self, other: Any) -> list[Section]:
        model = load_model(other) if isinstance(other, str) else other
        layer = last_of_trunk(model)
        features = features_of(
            model, self.images, [layer], self.run.store, self.options.limit, self.run.seed, quiet=self.run.quiet
        )
        target = features.layers[layer]
        searched, tested = self._parts
        lines = transferred(self._surest[:_SUREST], self.kind.activations, target, self.concepts, searched, tested)
        return [
            transfer_section(
                lines, self._said, self.features.model, layer, features.model, len(searched), target.shape[1],
                self._named,
            )
        ]  # fmt: skip

    def _counterfactuals(self) -> list[Section]:
        if self.out is not None:
            return self._rendered(Path(self.out))
        with tempfile.TemporaryDirectory() as folder:
            return self._rendered(Path(folder))

    def _rendered(self, out: Path) -> list[Section]:
        """Ask the surest units that detect different things."""
        expressions: dict[int, Expression] = {}
        for unit in self._surest:
            if len(expressions) < _CHANGED and unit.expressions[0] not in expressions.values():
                expressions[unit.unit] = unit.expressions[0]
        if not expressions:
            raise DatasetError("no unit detects anything, so that no scene can be changed in it")
        scenes = scenes_of(self.images, self.features.rows)
        rng = np.random.default_rng((self.run.seed, 6))
        changes, notes = plan_changes(
            expressions, self.concepts, scenes, rng, self.options.scenes, table_of(self.images.manifest)
        )
        pictures, rows = render_changes(changes, self.images, out, self.options.engine, self.run.quiet)
        features = features_of(self.model, pictures, [self.layer], self.run.store, quiet=self.run.quiet)
        activations = features.layers[self.layer]
        deviation = self.kind.activations.std(0).astype(np.float64)
        lost = sum(one.after.scene_id not in rows for one in changes)
        if lost:
            notes.append(f"{lost} changed scenes could not be rendered.")
        observed = {}
        for number, expression in expressions.items():
            inside = self.concepts.members(expression)
            values = self.kind.activations[:, number]
            observed[number] = float((values[inside].mean() - values[~inside].mean()) / max(deviation[number], 1e-30))
        shifts = shifts_of(changes, activations, rows, deviation, self.run.seed)
        return [counterfactual_section(shifts, self._said, observed, pictures, activations, rows, deviation, notes)]
