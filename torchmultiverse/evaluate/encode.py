"""Pictures and captions through a model, each once, in batches, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as Bar
from rich.text import Text
from typing_extensions import override

from torchmultiverse.errors import ModelError
from torchmultiverse.evaluate.data import PictureSet
from torchmultiverse.models import ImageTextModel
from torchmultiverse.models.preprocess import FloatArray

_T = TypeVar("_T")


class _Speed(ProgressColumn):
    """Pictures per second."""

    @override
    def render(self, task: Bar) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.0f} {task.fields.get('unit', 'pictures')}/s")


def progress_bar(quiet: bool = False) -> Progress:
    """Return a bar on standard error that shows counts, speed and time left; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of ``size`` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def run_pictures(
    function: Callable[[list[Image.Image]], FloatArray],
    pictures: PictureSet,
    rows: NDArray[np.int64],
    name: str,
    batch_size: int = 64,
    quiet: bool = False,
) -> FloatArray:
    """Return what a model makes of some pictures, one row each, float32.

    Args:
        function: a batch of pictures to (N, …).
        pictures: the dataset.
        rows: which pictures, in which order.
        name: of the model, for the bar and for errors.
        batch_size: pictures per call.
        quiet: show no bar.

    Raises:
        ModelError: the model returned something that is not one finite vector per picture.
    """
    parts: list[FloatArray] = []
    with progress_bar(quiet) as progress:
        bar = progress.add_task(name, total=len(rows))
        for batch in batches(pictures.iter_images([int(row) for row in rows]), batch_size):
            parts.append(_checked(function(batch), len(batch), name))
            progress.advance(bar, len(batch))
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def encode_texts(
    model: ImageTextModel, texts: Sequence[str], batch_size: int = 256, quiet: bool = False
) -> dict[str, FloatArray]:
    """Return the vector of every caption, (D,) each, each encoded once."""
    unique = sorted(set(texts))
    vectors: dict[str, FloatArray] = {}
    with progress_bar(quiet) as progress:
        bar = progress.add_task(f"{model.info.name}: captions", total=len(unique), unit="captions")
        for batch in batches(unique, batch_size):
            vectors.update(zip(batch, _checked(model.encode_text(batch), len(batch), model.info.name), strict=True))
            progress.advance(bar, len(batch))
    return vectors


def _checked(output: object, count: int, name: str) -> FloatArray:
    array = np.asarray(output, dtype=np.float32)
    if array.ndim != 2 or len(array) != count:
        raise ModelError(f"model '{name}' returned shape {array.shape} for {count} inputs; ({count}, …) is needed")
    if not np.isfinite(array).all():
        raise ModelError(f"model '{name}' returned NaN or infinity")
    return array
