"""Exact nearest neighbours by matrix products, on CPU and GPU, or through faiss where it is installed."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.models import FloatArray, device, need

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
    chunk: int = 4096,
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
    for name, given in (("queries", queries), ("index", index)):
        if not np.isfinite(given).all():
            raise DatasetError(f"the {name} hold numbers that are not finite")
    centre = index.mean(0, dtype=np.float64).astype(np.float32)
    if backend == "faiss":
        return _faiss(queries - centre, index, centre, k, block)
    if backend != "torch":
        raise ModelError(f"neighbours are found by torch or faiss, not by '{backend}'")
    import torch

    where = device()
    middle = torch.from_numpy(centre).to(where)
    rows: list[NDArray[np.int64]] = []
    distances: list[FloatArray] = []
    for start in range(0, len(queries), chunk):
        query = torch.from_numpy(np.ascontiguousarray(queries[start : start + chunk])).to(where) - middle
        length = (query**2).sum(1, keepdim=True)
        best = torch.empty(len(query), 0, device=where)
        place = torch.empty(len(query), 0, dtype=torch.int64, device=where)
        for first in range(0, len(index), block):
            part = torch.from_numpy(np.ascontiguousarray(index[first : first + block])).to(where) - middle
            squared = (length + (part**2).sum(1)).addmm_(query, part.T, alpha=-2)
            best = torch.cat([best, squared.clamp_(min=0)], 1)
            numbers = torch.arange(first, first + len(part), device=where).expand(len(query), -1)
            place = torch.cat([place, numbers], 1)
            best, order = torch.topk(best, min(k, best.shape[1]), 1, largest=False, sorted=True)
            place = place.gather(1, order)
        rows.append(place.cpu().numpy())
        distances.append(best.cpu().numpy())
    every, far = np.concatenate(rows), np.concatenate(distances)
    by_distance = np.lexsort((every, far))  # equal ones in the order of rows, whatever the blocks were
    return NearestRows(np.take_along_axis(every, by_distance, 1), np.take_along_axis(far, by_distance, 1))


def _faiss(queries: FloatArray, index: FloatArray, centre: FloatArray, k: int, block: int) -> NearestRows:
    faiss = need("faiss", "finding neighbours through faiss", "faiss")
    flat = faiss.IndexFlatL2(index.shape[1])
    for first in range(0, len(index), block):
        flat.add(np.ascontiguousarray(index[first : first + block] - centre))
    distances, rows = flat.search(np.ascontiguousarray(queries), k)
    return NearestRows(rows.astype(np.int64), np.maximum(distances, 0).astype(np.float32))
