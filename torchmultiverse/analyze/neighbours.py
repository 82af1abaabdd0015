"""Exact nearest neighbours by matrix products, on CPU and GPU, or through faiss where it is installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models import FloatArray, device, need

if TYPE_CHECKING:
    import torch

    _Squared = Callable[[slice, torch.Tensor], torch.Tensor]
    """Squared distances of some queries and the rows of a block, (Q, rows), written into a tensor."""
    _Distances = Callable[[torch.Tensor, torch.Tensor], _Squared]
    """What gives them, from the rows of a block, (rows, D), and their squared lengths, (rows,)."""

Backend = Literal["auto", "torch", "faiss"]
_MANY = 20_000_000
"""Pairs of a query and a row for which it is worth to load faiss."""
_ONE_OPENMP = sys.platform == "darwin"
"""Whether a process may have no second OpenMP runtime, which faiss brings."""


class NearestRows(NamedTuple):
    """The nearest of every query.

    Attributes:
        rows: places in the index, (Q, K), the nearest first.
        distances: squared Euclidean, (Q, K) float32.
    """

    rows: NDArray[np.int64]
    distances: FloatArray


def nearest_rows(
    queries: FloatArray,
    index: FloatArray,
    k: int,
    backend: Backend = "auto",
    chunk: int = 256,
    block: int = 65_536,
) -> NearestRows:
    """Return the ``k`` nearest rows of an index by Euclidean distance, exactly.

    Both are centred first, since float32 loses the distances of points that are far from zero. The index is read in
    blocks with a running best, so that it may be a memory map larger than memory or the GPU. Of equal distances the
    earlier row comes first.

    Args:
        queries: (Q, D).
        index: (N, D).
        k: how many; at most N.
        backend: ``torch``, on a GPU where there is one; ``faiss`` (flat, exact); or ``auto``, see `searched_by`.
        chunk: queries at once.
        block: rows of the index at once.

    Raises:
        DatasetError: fewer rows than ``k``, other widths, or numbers that are not finite.
        MissingExtra: faiss is asked for and not installed.
    """
    if len(index) < k or k < 1:
        raise DatasetError(f"{k} neighbours of an index of {len(index)} rows")
    if queries.shape[1] != index.shape[1]:
        raise DatasetError(f"queries have {queries.shape[1]} features, the index {index.shape[1]}")
    if backend not in get_args(Backend):
        raise ModelError(f"neighbours are found by torch or faiss, not by '{backend}'")
    _sum(queries, block, "queries")
    centre = (_sum(index, block, "index") / len(index)).astype(np.float32)
    if searched_by(backend, len(queries), len(index)) == "torch":
        return _torch(queries, index, centre, k, chunk, block)
    found, unsure = _faiss(queries - centre, index, centre, k, block)
    if len(unsure):
        again = _torch(queries[unsure], index, centre, k, chunk, block)
        found.rows[unsure], found.distances[unsure] = again
    return found


def searched_by(backend: Backend, queries: int, rows: int) -> Literal["torch", "faiss"]:
    """Return what searches: for ``auto`` faiss where it is installed and has much to do, and torch on a GPU.

    On macOS two OpenMP runtimes, faiss's and torch's, may end a process in which both are loaded: there it is torch.
    """
    if backend != "auto":
        return backend
    if queries * rows < _MANY or _ONE_OPENMP or device().type != "cpu":
        return "torch"
    return "faiss" if importlib.util.find_spec("faiss") else "torch"


def _torch(queries: FloatArray, index: FloatArray, centre: FloatArray, k: int, chunk: int, block: int) -> NearestRows:
    import torch

    where = device()
    middle = torch.from_numpy(centre).to(where)
    query = torch.from_numpy(np.ascontiguousarray(queries)).to(where) - middle
    distances = _on_cpu(query) if where.type == "cpu" else _on_gpu(query)
    best = torch.empty(len(query), 0, dtype=torch.int64, device=where)
    # One buffer for all blocks and one for all products: memory that is new costs more than what is written to it.
    centred = torch.empty(min(block, len(index)), index.shape[1], device=where)
    buffer = torch.empty(min(chunk, len(query)) * len(centred), device=where)
    for first in range(0, len(index), block):
        given = torch.from_numpy(np.ascontiguousarray(index[first : first + block])).to(where)
        part = torch.sub(given, middle, out=centred[: len(given)])
        square = torch.cat([torch.linalg.vecdot(some, some) for some in torch.split(part, _SQUARED)])
        squared_of = distances(part, square)
        found = []
        for start in range(0, len(query), chunk):
            some = slice(start, start + chunk)
            squared = squared_of(some, buffer[: len(query[some]) * len(part)].view(-1, len(part)))
            found.append(_smallest(torch.cat([best[some], _candidates(squared, first, k)], 1), k))
        best = torch.cat(found)
    rows, bits = (best & _ROWS).cpu().numpy(), (best >> 32).to(torch.int32).cpu().numpy()
    return NearestRows(rows, bits.view(np.float32))


def _on_gpu(query: torch.Tensor) -> _Distances:
    """Return what gives squared distances of queries, (Q, D), and rows by torch's product."""
    import torch

    length = (query**2).sum(1, keepdim=True)

    def of_rows(part: torch.Tensor, square: torch.Tensor) -> _Squared:
        def squared(some: slice, out: torch.Tensor) -> torch.Tensor:
            return torch.add(length[some], square, out=out).addmm_(query[some], part.T, alpha=-2)

        return squared

    return of_rows


def _on_cpu(query: torch.Tensor) -> _Distances:
    """Return the same by NumPy's product, which is faster than torch's on processors of several makers.

    One product has the squares too, [-2q, 1, |q|²] · [p, |p|², 1]: to add them afterwards would be as much reading and
    writing as all that looks for the nearest.
    """
    widened = np.ones((len(query), query.shape[1] + 2), np.float32)
    np.multiply(query.numpy(), -2, out=widened[:, :-2])
    widened[:, -1] = (query**2).sum(1).numpy()

    def of_rows(part: torch.Tensor, square: torch.Tensor) -> _Squared:
        rows = np.ones((len(part), part.shape[1] + 2), np.float32)
        rows[:, :-2], rows[:, -2] = part.numpy(), square.numpy()

        def squared(some: slice, out: torch.Tensor) -> torch.Tensor:
            np.matmul(widened[some], rows.T, out=out.numpy())
            return out

        return squared

    return of_rows


_ROWS = (1 << 32) - 1
_SQUARED = 1024
"""Rows whose squares stay in a cache."""
_GROUP = 32
"""Rows of an index of which the nearest one is looked at first."""


def _candidates(squared: torch.Tensor, first: int, k: int) -> torch.Tensor:
    """Return keys among which those of the ``k`` nearest of each query are, int64 (Q, some).

    A key is a distance's bits and below them its row: it orders by distance, then by row. The nearest rows are in the
    groups of adjacent rows whose own nearest come first in the same order, so that few distances have to be sorted.

    Args:
        squared: distances (Q, rows).
        first: the row of the first of them.
    """
    import torch

    count = squared.shape[1]
    numbers = torch.arange(count, device=squared.device)
    groups = count // _GROUP
    if groups <= 2 * k:
        return _keys(squared, first + numbers)
    whole = groups * _GROUP
    grouped = squared[:, :whole].view(len(squared), groups, _GROUP)
    group = (_smallest(_keys(grouped.amin(2), numbers[:groups]), k) & _ROWS)[:, :, None]
    values = grouped.gather(1, group.expand(-1, -1, _GROUP))
    keys = _keys(values, first + group * _GROUP + numbers[:_GROUP]).flatten(1)
    return torch.cat([keys, _keys(squared[:, whole:], first + numbers[whole:])], 1)


def _keys(squared: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    import torch

    positive = squared.clamp(min=0) + 0.0  # minus zero is zero; bits of other numbers order as the numbers do
    return positive.view(torch.int32).to(torch.int64) << 32 | rows


def _smallest(keys: torch.Tensor, k: int) -> torch.Tensor:
    return keys.topk(min(k, keys.shape[1]), 1, largest=False, sorted=True).values


def _sum(rows: FloatArray, block: int, name: str) -> NDArray[np.float64]:
    """Return the sum of all rows, float64 (D,), which is finite where all of them are."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), block):
        total += rows[start : start + block].sum(0, dtype=np.float64)
    if not np.isfinite(total).all():
        raise DatasetError(f"the {name} hold numbers that are not finite")
    return total


def _faiss(
    queries: FloatArray, index: FloatArray, centre: FloatArray, k: int, block: int
) -> tuple[NearestRows, NDArray[np.int64]]:
    """Return the nearest rows, and the queries of which it is not sure that of equally near rows the first came.

    faiss returns any of the rows that are as near as the last one: one more than asked for tells of such.

    Args:
        queries: centred, (Q, D).
    """
    faiss = need("faiss", "finding neighbours through faiss", "faiss")
    import torch

    queries = np.ascontiguousarray(queries, np.float32)
    best = np.empty((len(queries), 0), np.int64)
    unsure = np.zeros(len(queries), bool)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())  # as many as whoever set torch's wants, or the system's default
    try:
        for first in range(0, len(index), block):
            part = np.ascontiguousarray(index[first : first + block] - centre, np.float32)
            distances, rows = faiss.knn(queries, part, min(k + 1, len(part)))
            if distances.shape[1] > k:
                unsure |= distances[:, k] == distances[:, k - 1]
                distances, rows = distances[:, :k], rows[:, :k]
            positive = np.ascontiguousarray(np.maximum(distances, 0) + np.float32(0))
            keys = (positive.view(np.int32).astype(np.int64) << 32) | (first + rows)
            best = np.sort(np.concatenate([best, keys], 1), 1)[:, :k]
    finally:
        faiss.omp_set_num_threads(threads)
    bits = (best >> 32).astype(np.int32)
    return NearestRows(best & _ROWS, bits.view(np.float32)), np.flatnonzero(unsure)
