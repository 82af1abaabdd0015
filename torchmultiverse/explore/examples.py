"""Pictures of a dataset that an explorer goes on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from torchmultiverse.errors import DatasetError
from torchmultiverse.explore.events import Example
from torchmultiverse.explore.studio import small_picture
from torchmultiverse.scenes import Scene
from torchmultiverse.store import open_dataset


def examples_of(
    folder: str | Path, count: int = 24, where: str = "", rng: np.random.Generator | None = None
) -> list[Example]:
    """Return rows of a rendered dataset, drawn at random, in their order.

    Args:
        folder: of the dataset, or its address.
        count: how many, at most.
        where: a filter, as for ``--where``; "" takes all rows.
        rng: draws them; by default the same ones each time.

    Raises:
        DatasetError: no such dataset, no row that passes, or one without scenes, such as a folder of photographs.
        SpecError: a filter that cannot be read.
    """
    dataset = open_dataset(folder)
    if where:
        dataset = dataset.where(where)
    if "scene" not in dataset.table().column_names:
        raise DatasetError(
            f"{folder}: its rows name no scenes, so none of them can be rendered; a rendered one is right"
        )
    if not len(dataset):
        raise DatasetError(f"{folder}: no row passes {where!r}")
    rng = rng or np.random.default_rng(0)
    rows = sorted(rng.choice(len(dataset), min(count, len(dataset)), replace=False).tolist())
    texts = dataset.table(["scene"])["scene"].to_pylist()
    shown = [Scene.from_json(texts[row]).unlabelled for row in rows]
    return [
        Example(row=row, factors=dict(scene.wire), image=small_picture(dataset.image(row)))
        for row, scene in zip(rows, shown, strict=True)
    ]
