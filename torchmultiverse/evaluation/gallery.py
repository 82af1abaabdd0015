"""Small copies of the pictures that a report shows, so that a result can be read where the dataset is not."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.evaluation.counterfactual import FactorEffect
from torchmultiverse.evaluation.dictionaries import encoded
from torchmultiverse.evaluation.paired import Rows, RowView
from torchmultiverse.evaluation.result import Result
from torchmultiverse.evaluation.slices import Slice
from torchmultiverse.images import jpeg, rgb
from torchmultiverse.paths import component
from torchmultiverse.scenes import level_name
from torchmultiverse.sheets import Tile, contact_sheet
from torchmultiverse.store import ImageSet

SIDE = 192
PER_GROUP = 4
LIMIT = 240
_RIGHT, _WRONG = (26, 127, 75), (179, 56, 44)
_SORTED = 256


def chosen_rows(rows: pa.Table, per_group: int = PER_GROUP) -> Iterator[dict[str, Any]]:
    """Yield the per-picture rows that are worth showing.

    For every model, task and setting, captions without the world: the most confidently right and the most
    confidently wrong pictures, no true caption twice.
    """
    plain = rows.filter(pc.equal(rows["scope"], "plain"))
    keys = ["model", "task", "metric"]
    margins, rights = plain["margin"].to_numpy(), plain["correct"].to_numpy()
    captions = encoded(plain["label"]).indices.to_numpy()
    for group in plain.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        mask = pc.equal(plain[keys[0]], group[keys[0]])
        for key in keys[1:]:
            mask = pc.and_(mask, pc.equal(plain[key], group[key]))
        some = np.flatnonzero(mask.to_numpy())  # three columns are read, not all
        margin, correct, labels = margins[some], rights[some], captions[some]
        for right in (True, False):
            candidates = np.flatnonzero(correct == 1 if right else correct == 0)
            seen: set[int] = set()
            for place in _ascending(-margin[candidates] if right else margin[candidates]):
                row = candidates[place]
                if labels[row] not in seen:
                    seen.add(int(labels[row]))
                    yield plain.slice(int(some[row]), 1).to_pylist()[0]
                    if len(seen) == per_group:
                        break


def _ascending(values: NDArray[np.float32]) -> Iterator[int]:
    """Yield the positions of values, the least first and of equal ones the first; few are asked for as a rule."""
    near = np.zeros(len(values), bool)
    if len(values) > _SORTED:
        near = values <= np.partition(values, _SORTED)[_SORTED]
    for part in (np.flatnonzero(near), np.flatnonzero(~near)):
        yield from part[np.argsort(values[part], kind="stable")].tolist()


def slice_sheet(images: ImageSet, result: Result, slices: Sequence[Slice], side: int = 128) -> Image.Image:
    """Return a sheet with a row of failures for each slice: what was there, and what the model said."""
    view = RowView(result)
    rows, titles = [], []
    for found in slices:
        titles.append(f"{found}: {100 * found.accuracy:.0f} % right of {found.n:,}, elsewhere {100 * found.rest:.0f} %")
        answers = view.rows(found.model, view.question(found.task, found.metric, models=[found.model]))
        assert answers is not None
        rows.append(_tiles(images, answers, found.examples))
    return contact_sheet(rows or [[Tile(None)]], side, titles=titles)


def pair_sheet(images: ImageSet, result: Result, effects: Sequence[FactorEffect], side: int = 128) -> Image.Image:
    """Return a sheet with a row of pairs for each effect: the same scene at both levels, and what the model said."""
    view = RowView(result)
    rows, titles = [], []
    for effect in effects:
        if not effect.examples:
            continue
        titles.append(
            f"{effect.model}, {effect.task}: {effect.factor} from "
            f"{level_name(effect.first, effect.factor)} to {level_name(effect.second, effect.factor)}, "
            f"{100 * effect.effect:+.0f} points"
        )
        answers = view.rows(effect.model, view.question(effect.task, models=[effect.model]))
        assert answers is not None
        rows.append(_tiles(images, answers, list(chain.from_iterable(effect.examples))))
    return contact_sheet(rows or [[Tile(None)]], side, titles=titles, group=2)


def _tiles(images: ImageSet, answers: Rows, indices: Sequence[int]) -> list[Tile]:
    """Return pictures with what the model said of each, in the colour of right or wrong."""
    predictions = dict(zip(answers.index.tolist(), answers.predictions, strict=True))
    right = dict(zip(answers.index.tolist(), answers.correct, strict=True))
    return [
        Tile(image, str(predictions[k]).removeprefix("This is a photo of "), _RIGHT if right[k] > 0.5 else _WRONG)
        for k, image in zip(indices, images.iter_images(list(indices)), strict=True)
    ]


def gallery_images(images: ImageSet, rows: pa.Table, limit: int = LIMIT) -> dict[str, bytes]:
    """Return small JPEG pictures of the rows that :func:`chosen_rows` finds, at most ``limit``, by scene id as
    `paths.component` writes it.
    """
    # Turn and turn about, so that with many models and tasks each has its first pictures.
    chosen: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in chosen_rows(rows):
        chosen.setdefault((row["model"], row["task"], row["metric"], row["correct"] == 1), []).append(row)
    wanted: dict[str, int] = {}
    for row in chain.from_iterable(zip_longest(*chosen.values())):
        if row is not None and len(wanted) < limit:
            wanted.setdefault(row["scene_id"], row["index"])
    found = {}
    for scene_id, image in zip(wanted, images.iter_images(list(wanted.values())), strict=True):
        small = rgb(image)
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        found[component(scene_id)] = jpeg(small, 85)
    return found


def data_uri(data: bytes) -> str:
    """Return a JPEG file as the address of a picture that a page holds itself."""
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()
