"""Some pictures of a finished dataset, rendered once more and compared with what is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from torchmultiverse.engines import Engine, Failure, RenderOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm.estimate import render_options
from torchmultiverse.images import read, rgb
from torchmultiverse.scenes import Scene
from torchmultiverse.store import StoredDataset, open_dataset, spec_of, table_of


@dataclass
class Agreement:
    """How well an engine repeats a dataset.

    Attributes:
        path: the dataset.
        differences: scene id → largest difference of a pixel, of 255.
        failures: scene id → why it could not be rendered.
        engine: fingerprint of the engine; ``stored`` those that the pictures were made with.
    """

    path: Path
    engine: str = ""
    stored: list[str] = field(default_factory=list)
    differences: dict[str, int] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether every picture is the same in every pixel."""
        return not self.failures and not any(self.differences.values())

    def __str__(self) -> str:
        count = len(self.differences) + len(self.failures)
        apart = [value for value in self.differences.values() if value]
        text = f"{self.path}: {count} pictures rendered once more, {count - len(apart) - len(self.failures)} the same"
        if apart:
            text += f", {len(apart)} differ by up to {max(apart)} of 255"
        for scene_id, reason in list(self.failures.items())[:5]:
            text += f"\n  {scene_id} could not be rendered: {reason}"
        if apart and self.stored != [self.engine]:
            text += f"\nmade with {', '.join(self.stored) or 'an unknown engine'}, rendered again with {self.engine}"
        return text


def rerender(
    path: str | Path,
    engine: Engine,
    count: int = 8,
    rng: np.random.Generator | None = None,
    tick: Callable[[int], None] | None = None,
) -> Agreement:
    """Render a random sample of a dataset's scenes once more and compare the pictures.

    Args:
        path: folder of the dataset.
        engine: what renders them.
        count: how many; all, where there are fewer.
        rng: of the choice.
        tick: called with the number of pictures compared.

    Raises:
        DatasetError: no dataset there, or one whose rows do not say their scene.
        EngineError: the engine is lost.
    """
    stored = open_dataset(path)
    if "scene" not in stored.columns:
        raise DatasetError(f"{path} has no column 'scene', so nothing says what to render")
    rng = rng or np.random.default_rng(0)
    rows = sorted(int(i) for i in rng.choice(len(stored), min(count, len(stored)), replace=False))
    table = table_of(stored.manifest)
    scenes = {row: Scene.from_json(stored.row(row, ["scene"])["scene"], table) for row in rows}
    rows.sort(key=lambda row: (str(scenes[row]["World_Name"]), row))
    found = Agreement(Path(path), engine.catalogue().fingerprint, _engines(stored, rows))
    answers = engine.render([scenes[row].unlabelled for row in rows], _options(stored))
    for done, (row, answer) in enumerate(zip(rows, answers, strict=True), 1):
        scene_id = scenes[row].scene_id
        if isinstance(answer, Failure):
            found.failures[scene_id] = answer.reason
        else:
            before = np.asarray(rgb(stored.image(row))).astype(int)
            now = np.asarray(read(answer.encoded("rgb"), f"scene {scene_id}, rendered again")).astype(int)
            if before.shape != now.shape:
                found.failures[scene_id] = (
                    f"{now.shape[1]} × {now.shape[0]}, stored {before.shape[1]} × {before.shape[0]}"
                )
            else:
                found.differences[scene_id] = int(np.abs(before - now).max())
        if tick is not None:
            tick(done)
    return found


def _options(stored: StoredDataset) -> RenderOptions:
    spec, identity = spec_of(stored.manifest), stored.manifest.identity
    if spec is None:
        return RenderOptions(size=stored.image(0).size)
    size = identity.get("size") or list(spec.render.size)
    options = render_options(spec, (size[0], size[1]), identity.get("samples"))
    return RenderOptions(options.size, format=options.format, seed=options.seed, samples=options.samples)


def _engines(stored: StoredDataset, rows: list[int]) -> list[str]:
    if "engine" not in stored.columns:
        return []
    return sorted({str(stored.row(row, ["engine"])["engine"]) for row in rows})
