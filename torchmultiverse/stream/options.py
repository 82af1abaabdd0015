"""How a stream renders and hands out pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torchmultiverse.engines import LEASE
from torchmultiverse.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a `RenderStream` renders and hands out pictures.

    Attributes:
        workers: engines side by side; by default one, and of a launch profile all its instances.
        size: square size or (width, height) in pixels; by default the spec's, or 224.
        samples: samples per pixel; by default the spec's, or the engine's.
        prefetch: pictures that may be rendered before they are asked for; bounds memory.
        window: scenes that are drawn, and ordered by world, at a time.
        transform: applied to the PIL picture.
        on_failure: whether a scene that cannot be rendered ends the stream, or is left out and kept in ``failures``.
        seed: of the order, and of the pictures.
        device: where pictures are wanted, as for ``torch.device``, such as ``"cuda"``; items then hold tensors there,
            and ``transform`` is given the float32 tensor (3, H, W) instead of the PIL picture. With
            ``engine="inprocess"`` on the same GPU a picture never leaves it; from other engines it is copied there
            once, from pinned memory.
        lease: seconds without a picture from an engine after which another takes over what it was asked for; after
            three in a row the stream ends with an error.
        record: folder that keeps what is shown, as a dataset (see `torchmultiverse.stream.Replay`). Of several
            readers each has a folder in it, ``reader-0-of-2`` and so on; ``torchmultiverse data merge`` makes them one.

    Raises:
        SpecError: a number is out of range.
    """

    workers: int | None = None
    size: int | tuple[int, int] | None = None
    samples: int | None = None
    prefetch: int = 32
    window: int = 64
    transform: Callable[[Any], Any] | None = None
    on_failure: Literal["raise", "skip"] = "raise"
    seed: int = 0
    device: Any = None
    lease: float = LEASE
    record: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.workers is not None and self.workers < 1) or self.window < 1 or self.prefetch < (self.workers or 1):
            raise SpecError(
                f"workers = {self.workers}, window = {self.window}, prefetch = {self.prefetch}: at least 1, 1, and "
                "one per worker"
            )
        if not self.lease > 0:
            raise SpecError(f"lease = {self.lease:g}: seconds above 0")
        if self.on_failure not in ("raise", "skip"):
            raise SpecError(f"on_failure = {self.on_failure!r}: 'raise' or 'skip'")
        if self.seed < 0:
            raise SpecError(f"seed = {self.seed}: numbers from 0")
