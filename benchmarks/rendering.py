"""Pictures of many scenes as one array, rendered by several processes, for the benchmarks that train on them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.scenes import Scene

_PARTS = 4
"""Parts of the work of each process, so that one with slow scenes does not let the others wait."""
_engine: BuiltinEngine | None = None


def _start() -> None:
    global _engine
    _engine = BuiltinEngine()
    # Where pictures are traced on a GPU they are finished there as well, and nobody asks where anything is seen.
    _engine.on_device = _engine.variant == "cuda_ad_rgb"
    _engine.annotated = False


def _part(work: tuple[list[Scene], RenderOptions]) -> NDArray[np.uint8]:
    assert _engine is not None
    made = []
    for frame in _engine.render(*work):
        if isinstance(frame, Failure):
            raise SystemExit(f"{frame.scene}: {frame.reason}")
        made.append(frame.array("rgb"))
    return np.stack(made)


class Renderers:
    """Processes that render."""

    def __init__(self, pool: ProcessPoolExecutor | None, workers: int) -> None:
        self._pool, self._workers = pool, workers
        self._made, self._since = 0, time.perf_counter()

    def pictures(self, scenes: Sequence[Scene], options: RenderOptions) -> NDArray[np.uint8]:
        """Return the pictures of scenes, uint8 (N, H, W, 3); scenes of one world should follow each other."""
        size = max(1, -(-len(scenes) // (self._workers * _PARTS)))
        parts = [(list(scenes[k : k + size]), options) for k in range(0, len(scenes), size)]
        made = []
        for found in map(_part, parts) if self._pool is None else self._pool.map(_part, parts):
            made.append(found)
            self._made += len(found)
            rate = self._made / (time.perf_counter() - self._since)
            print(f"\r{self._made} pictures, {rate:.1f}/s ", end="", file=sys.stderr, flush=True)
        return np.concatenate(made)


@contextmanager
def renderers(workers: int) -> Iterator[Renderers]:
    """Open so many processes that render, or use this one for one."""
    if workers == 1:
        _start()
        yield Renderers(None, 1)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start) as pool:
        yield Renderers(pool, workers)
