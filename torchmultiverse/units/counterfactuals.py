"""Scenes of a dataset with one factor changed, rendered anew: whether a unit's activation follows the factor.

That a unit ranks the pictures of a factor's value above the others may come from another factor that goes along with
it in the data. Two pictures of one scene that differ in this factor alone tell: what they differ in is the factor's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.farm import generate
from torchmultiverse.scenes import FACTORS, FactorTable, Scene, canonical_json, parse_spec
from torchmultiverse.store import ImageSet, StoredDataset, open_dataset, spec_of, table_of
from torchmultiverse.units.detection import Concepts, Expression

SCENES = 12
"""Scenes that are changed for each factor and direction, by default."""
_TRIES = 20


@dataclass(frozen=True)
class Change:
    """One scene with one factor changed.

    Attributes:
        unit: whose expression the factor is of.
        factor: column.
        removed: whether the expression was true of the scene and is no more; else it became true.
        control: whether the factor is another one, of which the expression says nothing.
        row: of the scene in the dataset.
        before, after: the scene, and what was made of it.
        values: of the factor, before and after.
    """

    unit: int
    factor: str
    removed: bool
    control: bool
    row: int
    before: Scene
    after: Scene
    values: tuple[str, str]


def plan_changes(
    expressions: Mapping[int, Expression], concepts: Concepts, scenes: Sequence[Scene], rng: np.random.Generator,
    count: int = SCENES, table: FactorTable = FACTORS,
) -> tuple[list[Change], list[str]]:  # fmt: skip
    """Choose scenes and what is changed in each.

    For each factor of a unit's expression: scenes of which it is true, in which the factor takes a value that makes it
    false, and scenes of which it is false and becomes true. The new value is that of another scene of the dataset. As
    control, one other factor of the scenes of the first kind is changed.

    Args:
        expressions: by unit.
        concepts: factors of the scenes.
        scenes: in the order of the concepts' pictures.
        rng: draws scenes and values.
        count: scenes for each factor and direction.
        table: factors by column.

    Returns:
        Changes, and why some factors have none.
    """
    plan = _Plan(concepts, scenes, rng, table)
    found: list[Change] = []
    notes: list[str] = []
    for unit, expression in expressions.items():
        names = [expression.first[0], *([expression.second[0]] if expression.second else [])]
        for name in dict.fromkeys(names):
            if not plan.renders(name):
                notes.append(f"'{name}' is no factor of a scene: it cannot be rendered anew.")
                continue
            for removed in (True, False):
                found += plan.of_factor(unit, expression, name, removed, count)
    found += [control for change in found if change.removed and (control := plan.control(expressions, change))]
    return found, list(dict.fromkeys(notes))


class _Plan:
    def __init__(
        self, concepts: Concepts, scenes: Sequence[Scene], rng: np.random.Generator, table: FactorTable
    ) -> None:
        self._concepts, self._scenes, self._rng, self._table = concepts, scenes, rng, table
        self._rows = {name: [np.flatnonzero(codes == k) for k in range(len(concepts.names[name]))]
                      for name, codes in concepts.codes.items()}  # fmt: skip
        self._others = [name for name in concepts.codes if self.renders(name)]

    def renders(self, name: str) -> bool:
        """Tell whether a column is a factor that engines know."""
        return name in self._table and not self._table[name].label

    def of_factor(self, unit: int, expression: Expression, name: str, removed: bool, count: int) -> list[Change]:
        """Return changes of one factor that turn an expression."""
        truth = self._concepts.members(expression)
        rows = self._rng.permutation(np.flatnonzero(truth == removed))
        found: list[Change] = []
        for row in rows.tolist():
            if len(found) == count:
                break
            codes = [k for k in range(len(self._rows[name])) if self._turns(expression, row, name, k, removed)]
            change = self._changed(unit, name, row, codes, removed, control=False)
            if change is not None:
                found.append(change)
        return found

    def _turns(self, expression: Expression, row: int, name: str, code: int, removed: bool) -> bool:
        if code == int(self._concepts.codes[name][row]) or not len(self._rows[name][code]):
            return False
        one = {
            other: (np.array([code if other == name else codes[row]]), self._concepts.names[other])
            for other, codes in self._concepts.codes.items()
        }
        return bool(Concepts(one).members(expression)[0]) != removed

    def control(self, expressions: Mapping[int, Expression], change: Change) -> Change | None:
        """Return the same scene with another factor changed."""
        said = expressions[change.unit]
        taken = {said.first[0], *([said.second[0]] if said.second else [])}
        others = [name for name in self._others if name not in taken]
        for name in self._rng.permutation(others).tolist():
            codes = [k for k, rows in enumerate(self._rows[name])
                     if len(rows) and k != int(self._concepts.codes[name][change.row])]  # fmt: skip
            found = self._changed(change.unit, name, change.row, codes, change.removed, control=True)
            if found is not None:
                return replace(found, factor=change.factor)
        return None

    def _changed(
        self, unit: int, name: str, row: int, codes: Sequence[int], removed: bool, control: bool
    ) -> Change | None:
        """Return a scene with the value that another scene has; ``None`` where no value makes another scene."""
        factor, before = self._table[name], self._scenes[row]
        for _ in range(_TRIES if codes else 0):
            code = int(self._rng.choice(np.array(codes)))
            donor = self._scenes[int(self._rng.choice(self._rows[name][code]))]
            try:
                after = before.changed(**{factor.wire: donor[factor.wire]})
            except SpecError:
                continue
            if after != before:
                names = self._concepts.names[name]
                values = names[int(self._concepts.codes[name][row])], names[code]
                return Change(unit, name, removed, control, row, before, after, values)
        return None


def scenes_of(images: ImageSet, rows: NDArray[np.int64]) -> list[Scene]:
    """Return the scenes of pictures of a rendered dataset.

    Raises:
        DatasetError: a folder of pictures, or a dataset without scenes.
    """
    import pyarrow as pa

    if "scene" not in images.table().column_names:
        raise DatasetError(f"{images.manifest.name} has no scenes to render anew: it was not rendered here")
    texts = images.table(["scene"]).take(pa.array(rows))["scene"].to_pylist()
    table = table_of(images.manifest)
    return [Scene(json.loads(text), table) for text in texts]


def render_changes(
    changes: Sequence[Change], images: ImageSet, out: Path, engine: Any = None, quiet: bool = False
) -> tuple[StoredDataset, dict[str, int]]:
    """Render scenes and what was made of them, in size and samples as their dataset; what is there is kept.

    Args:
        changes: at least one.
        images: the dataset.
        out: folder; the pictures come into one below it that is named after the scenes.
        engine: as for `torchmultiverse.open_engine`; the built-in one by default.
        quiet: show no progress.

    Returns:
        The pictures, and their rows by scene id; scenes that could not be rendered have none.

    Raises:
        EngineError: no engine.
        DatasetError: nothing to render.
    """
    if not changes:
        raise DatasetError(f"{images.manifest.name}: no scene can be changed in what the units detect")
    scenes = {scene.scene_id: scene for one in changes for scene in (one.before, one.after)}
    spec, identity = spec_of(images.manifest), images.manifest.identity
    held: dict[str, Any] = {} if spec is None else spec.model_dump(mode="json")
    rendering = {**held.get("render", {}), "passes": ["rgb"], "format": "png"}
    if identity.get("size"):
        rendering["size"] = list(identity["size"])
    if identity.get("samples"):
        rendering["samples"] = identity["samples"]
    data = {
        "name": "counterfactuals", "family": held.get("family", "Custom"), "seed": held.get("seed", 0),
        "assets": held.get("assets", []), "declare": held.get("declare", []), "render": rendering,
        "design": {"kind": "explicit", "scenes": [scenes[key].wire for key in sorted(scenes)]},
    }  # fmt: skip
    called = engine if isinstance(engine, str) else getattr(engine, "__qualname__", type(engine).__qualname__)
    name = hashlib.sha256(canonical_json([data, called]).encode()).hexdigest()[:12]
    folder = out / f"counterfactuals-{name}"
    generate(parse_spec(data), folder, engine or "builtin", progress=not quiet, check=0)
    made = open_dataset(folder)
    return made, {key: row for row, key in enumerate(made.table(["scene_id"])["scene_id"].to_pylist())}
