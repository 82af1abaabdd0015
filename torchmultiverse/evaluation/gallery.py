"""Small copies of the pictures that a report shows, so that a result can be read where the dataset is not."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.evaluation.counterfactual import FactorEffect
from torchmultiverse.evaluation.paired import RowView
from torchmultiverse.evaluation.result import Result, word_codes
from torchmultiverse.evaluation.slices import Slice
from torchmultiverse.images import jpeg, rgb
from torchmultiverse.paths import component
from torchmultiverse.store import ImageSet

SIDE = 192
PER_GROUP = 4
LIMIT = 240
_SORTED = 256


def chosen_rows(rows: pa.Table, per_group: int = PER_GROUP) -> Iterator[dict[str, Any]]:
    """Yield the per-picture rows that are worth showing.

    For every model, task and setting, captions without the world: the most confidently right and the most
    confidently wrong pictures, no true caption twice.
    """
    plain = rows.filter(pc.equal(rows["scope"], "plain"))
    keys = ["model", "task", "metric"]
    for group in plain.group_by(keys, use_threads=False).aggregate([]).to_pylist():
        mask = pc.equal(plain[keys[0]], group[keys[0]])
        for key in keys[1:]:
            mask = pc.and_(mask, pc.equal(plain[key], group[key]))
        some = plain.filter(mask)
        margin, correct = some["margin"].to_numpy(), some["correct"].to_numpy()
        labels = word_codes(some["label"])[0]
        for right in (True, False):
            candidates = np.flatnonzero(correct == 1 if right else correct == 0)
            seen: set[int] = set()
            for place in _ascending(-margin[candidates] if right else margin[candidates]):
                row = candidates[place]
                if labels[row] not in seen:
                    seen.add(int(labels[row]))
                    yield some.slice(int(row), 1).to_pylist()[0]
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
    from PIL import ImageDraw, ImageFont

    view = RowView(result)
    font, high = ImageFont.load_default(13), side + 50
    sheet = Image.new("RGB", (8 * (side + 6) + 6, max(1, len(slices)) * (high + 26)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, found in enumerate(slices):
        top = row * (high + 26)
        text = f"{found}: {100 * found.accuracy:.0f} % right of {found.n:,}, elsewhere {100 * found.rest:.0f} %"
        pen.text((6, top + 5), text, "black", font)
        rows = view.rows(found.model, view.question(found.task, found.metric))
        assert rows is not None
        predictions = dict(zip(rows.index.tolist(), rows.predictions, strict=True))
        for place, (index, image) in enumerate(
            zip(found.examples, images.iter_images(list(found.examples)), strict=True)
        ):
            left = 6 + place * (side + 6)
            sheet.paste(rgb(image).resize((side, side), Image.Resampling.LANCZOS), (left, top + 26))
            answer = str(predictions[index]).removeprefix("This is a photo of ")
            pen.text((left, top + side + 28), _two_lines(answer), (150, 40, 30), font, spacing=1)
    return sheet


def pair_sheet(images: ImageSet, result: Result, effects: Sequence[FactorEffect], side: int = 128) -> Image.Image:
    """Return a sheet with a row of pairs for each effect: the same scene at both levels, and what the model said."""
    from PIL import ImageDraw, ImageFont

    view = RowView(result)
    shown = [effect for effect in effects if effect.examples]
    font, high = ImageFont.load_default(13), side + 62
    sheet = Image.new("RGB", (4 * (2 * side + 22) + 6, max(1, len(shown)) * (high + 6)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, effect in enumerate(shown):
        top = row * (high + 6)
        rows = view.rows(effect.model, view.question(effect.task))
        assert rows is not None
        predictions = dict(zip(rows.index.tolist(), rows.predictions, strict=True))
        right = dict(zip(rows.index.tolist(), rows.correct, strict=True))
        head = f"{effect.model}, {effect.task}: {effect.factor} from {effect.first} to {effect.second}, "
        head += f"{100 * effect.effect:+.0f} points"
        pen.text((6, top + 5), head, "black", font)
        for place, pair in enumerate(effect.examples):
            for k, (index, image) in enumerate(zip(pair, images.iter_images(list(pair)), strict=True)):
                left = 6 + place * (2 * side + 22) + k * (side + 2)
                sheet.paste(rgb(image).resize((side, side), Image.Resampling.LANCZOS), (left, top + 24))
                answer = str(predictions[index]).removeprefix("This is a photo of ")
                colour = (26, 127, 75) if right[index] > 0.5 else (179, 56, 44)
                pen.text((left, top + side + 26), _two_lines(answer), colour, font, spacing=1)
    return sheet


def _two_lines(text: str) -> str:
    """Return a text in two lines that fit under a picture."""
    lines = textwrap.wrap(text, 21)
    return "\n".join([*lines[:1], lines[1] + (" …" if len(lines) > 2 else "")] if len(lines) > 1 else lines)


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
