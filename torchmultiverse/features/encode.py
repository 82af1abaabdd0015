"""Pictures and captions through a model, each once, in batches, with a progress bar."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import ModelError, TorchMultiverseError
from torchmultiverse.images import rgb
from torchmultiverse.models import FloatArray, ImageTextModel, Prepared
from torchmultiverse.models import array as as_array
from torchmultiverse.progress import progress_bar
from torchmultiverse.store import ImageSet

_T = TypeVar("_T")


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Yield lists of ``size`` items; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@runtime_checkable
class PreparedBatches(Protocol):
    """Pictures that come prepared, in batches."""

    def batches(self, rows: NDArray[np.int64], size: Callable[[], int]) -> Iterator[Prepared]:
        """Yield the pictures of some rows; ``size`` is asked before each batch."""
        ...


def run_images(
    function: Callable[[Any], FloatArray],
    pictures: ImageSet | PreparedBatches,
    rows: NDArray[np.int64],
    name: str,
    batch_size: int | BatchSize = 64,
    quiet: bool = False,
) -> FloatArray:
    """Return what a model makes of some pictures, one row each, float32.

    Args:
        function: a batch of pictures to (N, …).
        pictures: the dataset, or pictures that come prepared.
        rows: which pictures, in which order.
        name: of the model, for the bar and for errors.
        batch_size: pictures per call; halved for good where memory runs out.
        quiet: show no bar.

    Raises:
        ModelError: the model fails, or returned something that is not one finite vector per picture.
    """
    size = batch_size if isinstance(batch_size, BatchSize) else BatchSize(batch_size, grow=False)
    parts: list[FloatArray] = []
    with progress_bar(quiet) as progress:
        bar = progress.add_task(name, total=len(rows))
        for batch in (
            pictures.batches(rows, size) if isinstance(pictures, PreparedBatches) else _decoded(pictures, rows, size)
        ):
            parts += size.run(lambda some: _asked(function, some, name), batch)
            progress.advance(bar, len(batch))
    return np.concatenate(parts) if parts else np.zeros((0, 1), np.float32)


def _decoded(pictures: ImageSet, rows: NDArray[np.int64], size: Callable[[], int]) -> Iterator[list[Image.Image]]:
    images = pictures.iter_images([int(row) for row in rows])
    while batch := list(islice(images, min(size(), max(1, len(rows))))):
        yield batch


class BatchSize:
    """How many pictures a model is given at once: found by trying.

    Grows by doubling as long as that makes each picture at least a tenth quicker, and halves where memory runs out.

    Args:
        first: to begin with.
        most: not to be exceeded.
        grow: whether to try larger ones at all; on a CPU it gains nothing.
    """

    def __init__(self, first: int = 64, most: int = 2048, grow: bool = True) -> None:
        self.size, self.most = first, most
        self._growing = grow
        self._speed = 0.0
        self._runs = 0

    def __call__(self) -> int:
        """Return the size of the next batch."""
        return self.size

    def run(self, function: Callable[[Any], FloatArray], batch: Any) -> list[FloatArray]:
        """Return what a function makes of a batch, in as many parts as memory asks for.

        Raises:
            ModelError: one picture alone is too much.
        """
        parts: list[FloatArray] = []
        start = 0
        while start < len(batch):
            some = _part(batch, start, min(start + self.size, len(batch)))
            before = time.perf_counter()
            try:
                parts.append(function(some))
            except Exception as error:
                if not _out_of_memory(error):
                    raise
                if len(some) == 1:
                    raise ModelError(f"one picture alone is too much for the memory: {error}") from error
                self.size, self._growing = max(1, len(some) // 2), False
                _forget()
                continue
            self._learn(len(some), time.perf_counter() - before)
            start += len(some)
        return parts

    def _learn(self, count: int, seconds: float) -> None:
        if not self._growing or count < self.size:
            return
        self._runs += 1
        if self._runs % 2:  # the first of a new size compiles and allocates
            return
        speed = count / max(seconds, 1e-9)
        if speed > 1.1 * self._speed and self.size < self.most:
            self._speed, self.size = speed, min(self.most, self.size * 2)
        else:
            self._growing = False


def _part(batch: Any, start: int, stop: int) -> Any:
    if start == 0 and stop == len(batch):
        return batch
    return Prepared(batch.pixels[start:stop]) if isinstance(batch, Prepared) else batch[start:stop]


_NO_MEMORY = (
    "CUDA out of memory", "CUDA error: out of memory", "MPS backend out of memory", "XPU out of memory",
    "DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED",
)  # fmt: skip
"""What PyTorch and its libraries say."""


def _out_of_memory(error: Exception) -> bool:
    """Whether an error is one of memory that is full, which fewer pictures may mend.

    PyTorch has a class for GPUs alone; elsewhere its message says so. A message of a user's code does not count.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _forget() -> None:
    """Give cached memory of a GPU back."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def image_array(
    pictures: ImageSet,
    rows: NDArray[np.int64],
    side: int,
    picture: Callable[[Image.Image], Image.Image],
    quiet: bool = False,
) -> NDArray[np.uint8]:
    """Return pictures in one array, uint8 (N, side, side, 3), as a training loop wants them.

    Args:
        pictures: the dataset.
        rows: which pictures, in which order.
        side: in pixels.
        picture: from an RGB picture to one of that size.
        quiet: show no bar.
    """
    out = np.empty((len(rows), side, side, 3), np.uint8)
    with progress_bar(quiet) as progress:
        bar = progress.add_task("pictures", total=len(rows))
        for place, image in enumerate(pictures.iter_images([int(row) for row in rows])):
            out[place] = np.asarray(picture(rgb(image)))
            progress.advance(bar)
    return out


def encode_texts(
    model: ImageTextModel, texts: Sequence[str], batch_size: int = 256, quiet: bool = False
) -> dict[str, FloatArray]:
    """Return the vector of every caption, (D,) each, each encoded once."""
    unique = sorted(set(texts))
    vectors: dict[str, FloatArray] = {}
    with progress_bar(quiet) as progress:
        bar = progress.add_task(f"{model.info.name}: captions", total=len(unique), unit="captions")
        for batch in batches(unique, batch_size):
            vectors.update(zip(batch, _asked(model.encode_text, batch, model.info.name), strict=True))
            progress.advance(bar, len(batch))
    return vectors


def _asked(function: Callable[[Any], Any], inputs: Any, name: str) -> FloatArray:
    """Return what a model makes of pictures or captions, (N, …).

    Raises:
        ModelError: it fails, or returns something else; what full memory raises comes through.
    """
    try:
        return _checked(function(inputs), len(inputs), name)
    except TorchMultiverseError:
        raise
    except Exception as error:
        if _out_of_memory(error):
            raise
        said = (str(error).splitlines() or [""])[0][:300]
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}, line {frame.lineno}"
        raise ModelError(f"model '{name}' fails: {type(error).__name__}: {said} ({where})") from error


def _checked(output: object, count: int, name: str) -> FloatArray:
    array = as_array(output)
    if array.ndim != 2 or len(array) != count:
        raise ModelError(f"model '{name}' returned shape {array.shape} for {count} inputs; ({count}, …) is needed")
    if not np.isfinite(array).all():
        raise ModelError(f"model '{name}' returned NaN or infinity")
    return array
