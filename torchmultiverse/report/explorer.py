"""Every answer of every model on one static page that opens offline and stays quick at a million rows.

Columns travel inside the page: words as numbers into a list, small integers in as few bytes as they need, all of it
compressed and in base64. The browser unpacks them once into typed arrays; filters and sorting run over those, and only
the rows in sight are drawn. With the dataset at hand, pictures are written beside the page as sheets of small tiles.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.evaluation import Result, word_codes
from torchmultiverse.files import write_atomic
from torchmultiverse.images import jpeg, rgb
from torchmultiverse.progress import progress_bar
from torchmultiverse.report.templates import template
from torchmultiverse.scenes import axis_title, level_name, level_words
from torchmultiverse.store import ImageSet

TILE = 96
_SIDE = 16  # tiles in a row and in a column of a sheet
_WORDS = ("model", "task", "setting", "scope", "metric", "label", "prediction")


def explore(result: Result, out: str | Path, dataset: ImageSet | None = None, quiet: bool = False) -> Path:
    """Write ``explore.html``, and ``tiles/`` where a dataset is given; returns the page.

    Args:
        result: of an evaluation.
        out: folder to write.
        dataset: what was evaluated: its pictures are written as sheets of 256 tiles each.
        quiet: show no bar.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    tiles = 0 if dataset is None else _tiles(dataset, out / "tiles", quiet)
    page = template("explore.html.j2").render(
        title=result.provenance.dataset.name, data=packed(result, tiles), rows=result.rows.num_rows
    )
    path = out / "explore.html"
    write_atomic(path, page.encode())
    return path


def packed(result: Result, tiles: int = 0) -> str:
    """Return all rows as base64 of compressed JSON: per column a type, its numbers in base64, and its words."""
    columns: list[dict[str, Any]] = []
    for name in _WORDS:
        codes, words = word_codes(result.rows[name])
        columns.append(_column(name, "word", codes, words))
    columns.append(_column("index", "number", result.rows["index"].to_numpy()))
    correct = np.rint(result.rows["correct"].to_numpy() * 100).astype(np.uint8)
    columns.append(_column("correct", "percent", correct))
    margin = result.rows["margin"].to_numpy().astype(np.float32)
    columns.append(_column("margin", "float", margin))
    factors = []
    for name in result.factors.column_names:
        words = [level_name(word, name) for word in level_words(name, result.factors[name].to_pylist())]
        levels, codes = np.unique(np.array(words, object).astype(str), return_inverse=True)
        if 1 < len(levels) <= 2000:
            factors.append({**_column(name, "word", codes, levels.tolist()), "title": axis_title(name)})
    small = json.dumps({"rows": columns, "factors": factors, "tiles": tiles, "tile": TILE, "side": _SIDE})
    return base64.b64encode(gzip.compress(small.encode(), 6, mtime=0)).decode()


def _column(name: str, kind: str, values: NDArray[Any], words: list[str] | None = None) -> dict[str, Any]:
    if values.dtype.kind == "f":
        packed_, form = values.astype("<f4"), "f4"
    else:
        top = int(values.max(initial=0))
        form = "u1" if top < 2**8 else "u2" if top < 2**16 else "u4"
        packed_ = values.astype("<" + form)
    data = base64.b64encode(packed_.tobytes()).decode()
    return {"name": name, "kind": kind, "form": form, "data": data, "words": words or []}


def _tiles(dataset: ImageSet, folder: Path, quiet: bool) -> int:
    """Write all pictures as sheets; returns how many sheets there are."""
    folder.mkdir(parents=True, exist_ok=True)
    per = _SIDE * _SIDE
    count = -(-len(dataset) // per)
    with progress_bar(quiet) as progress:
        bar = progress.add_task("pictures", total=len(dataset))
        for number in range(count):
            path = folder / f"{number}.jpg"
            rows = range(number * per, min((number + 1) * per, len(dataset)))
            sheet = Image.new("RGB", (_SIDE * TILE, _SIDE * TILE), (40, 40, 40))
            for place, image in enumerate(dataset.iter_images(list(rows))):
                small = rgb(image).resize((TILE, TILE), Image.Resampling.BOX)
                sheet.paste(small, (place % _SIDE * TILE, place // _SIDE * TILE))
                progress.advance(bar)
            write_atomic(path, jpeg(sheet, 80), sync=False)
    return count
