"""Exact nearest neighbours by matrix products, on CPU and GPU, or through faiss where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models import FloatArray, device, need

if TYPE_CHECKING:
    import torch

Backend = Literal["torch", "faiss"]


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
    backend: Backend = "torch",
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
        backend: ``torch``, on a GPU where there is one, or ``faiss`` (flat, exact).
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
    _sum(queries, block, "queries")
    centre = (_sum(index, block, "index") / len(index)).astype(np.float32)
    if backend == "faiss":
        return _faiss(queries - centre, index, centre, k, block)
    if backend != "torch":
        raise ModelError(f"neighbours are found by torch or faiss, not by '{backend}'")
    import torch

    where = device()
    middle = torch.from_numpy(centre).to(where)
    query = torch.from_numpy(np.ascontiguousarray(queries)).to(where) - middle
    length = (query**2).sum(1, keepdim=True)
    best = torch.empty(len(query), 0, dtype=torch.int64, device=where)
    # One buffer for all blocks and one for all products: memory that is new costs more than what is written to it.
    centred = torch.empty(min(block, len(index)), index.shape[1], device=where)
    buffer = torch.empty(min(chunk, len(query)) * len(centred), device=where)
    for first in range(0, len(index), block):
        given = torch.from_numpy(np.ascontiguousarray(index[first : first + block])).to(where)
        part = torch.sub(given, middle, out=centred[: len(given)])
        square = torch.cat([torch.linalg.vecdot(some, some) for some in torch.split(part, _SQUARED)])
        found = []
        for start in range(0, len(query), chunk):
            some = slice(start, start + chunk)
            squared = buffer[: len(query[some]) * len(part)].view(-1, len(part))
            torch.add(length[some], square, out=squared).addmm_(query[some], part.T, alpha=-2)
            found.append(_smallest(torch.cat([best[some], _candidates(squared, first, k)], 1), k))
        best = torch.cat(found)
    rows, bits = (best & _ROWS).cpu().numpy(), (best >> 32).to(torch.int32).cpu().numpy()
    return NearestRows(rows, bits.view(np.float32))


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


def _faiss(queries: FloatArray, index: FloatArray, centre: FloatArray, k: int, block: int) -> NearestRows:
    faiss = need("faiss", "finding neighbours through faiss", "faiss")
    flat = faiss.IndexFlatL2(index.shape[1])
    for first in range(0, len(index), block):
        flat.add(np.ascontiguousarray(index[first : first + block] - centre))
    distances, rows = flat.search(np.ascontiguousarray(queries), k)
    return NearestRows(rows.astype(np.int64), np.maximum(distances, 0).astype(np.float32))
