"""How much each factor changes in pictures that differ in nothing else. Linear in the rows, whatever the levels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.scenes import OWN
from torchmultiverse.store.crossing import Crossing
from torchmultiverse.store.thumbnails import Thumbnails

PAIRS = 200
"""How many pairs of a factor's two levels are compared at most."""
MOST_LEVELS = 200
"""Levels of a factor up to which every two of them are compared; of more, each is compared with one other."""
_BLOCK = 1_000_000
"""Pairs that are looked at together."""
_LEAST = 15
_MOST_ROWS = 2_000
"""Of rows that agree in all other factors, how many of each level take part: so many that every two levels have
`PAIRS` pairs, and so few that all together are about two thousand."""


def differences(crossing: Crossing, name: str, thumbs: Thumbnails) -> dict[str, tuple[float, int]]:
    """Return the median difference of thumbnails, of 255, and the number of pairs, for each two levels of a factor.

    The first `PAIRS` minimal pairs of two levels count. Of a factor of more than `MOST_LEVELS` levels, which has
    steps too small to be seen, each is compared with the one that is half of all the levels away.
    """
    column, levels = crossing.names.index(name), crossing.levels[name]
    order = sorted(range(len(levels)), key=lambda code: _sortable(levels[code]))
    place = np.empty(len(levels), np.int32)
    place[order] = np.arange(len(levels))
    many = len(levels) > MOST_LEVELS
    texts = [str(levels[code]) for code in order]
    count = np.zeros(len(levels) if many else len(levels) ** 2, np.int64)
    keys, values = [np.zeros(0, np.int64)], [np.zeros(0)]
    rows, starts = _groups(crossing, column)
    at = place[crossing.codes[rows, column]]
    blocks = _opposite(rows, starts, at, len(levels)) if many else _every(*_thinned(rows, starts, at, len(levels)))
    full = len(levels) * (len(levels) - 1) // 2
    if many:
        full = len(levels) if len(levels) % 2 else len(levels) // 2
    for first, second, low, high in blocks:
        key = low.astype(np.int64) if many else low.astype(np.int64) * len(levels) + high
        key, one, two = (values_[count[key] < PAIRS] for values_ in (key, first, second))
        chosen = _first_of_each(key, one, two, PAIRS - count)
        key = key[chosen]
        keys.append(key)
        values.append(thumbs.difference(one[chosen], two[chosen]))
        count += np.bincount(key, minlength=len(count))
        if int(np.count_nonzero(count >= PAIRS)) == full:
            break
    key, value = np.concatenate(keys), np.concatenate(values)
    sort = np.argsort(key, kind="stable")
    found: dict[str, tuple[float, int]] = {}
    for part in np.split(sort, np.flatnonzero(np.diff(key[sort])) + 1) if len(sort) else ():
        number = int(key[part[0]])
        pair = (number, (number + len(levels) // 2) % len(levels)) if many else divmod(number, len(levels))
        label = " / ".join(sorted(texts[p] for p in pair))
        found[label] = (round(float(np.median(value[part])), 3), len(part))
    return dict(sorted(found.items()))


_Block = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""First and second row of each pair, and the places of their levels, the lower one first."""


def _sortable(level: object) -> tuple[int, float, str]:
    if level == OWN:
        return -1, 0.0, ""
    if isinstance(level, int | float):
        return 0, float(level), ""
    return (2, 0.0, "") if level is None else (1, 0.0, str(level))


def _groups(crossing: Crossing, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that have others which differ from them in this column at most, group after group, and where
    each group begins; groups in the order of their first row, rows in a group ascending."""
    rest = Crossing.numbered(crossing.codes, column)
    kind = np.int32 if len(rest) < 2**31 else np.int64  # of ten million rows, each array is 40 MB instead of 80
    order = np.argsort(rest, kind="stable").astype(kind)
    rest = rest[order]
    new = np.ones(len(rest), bool)
    np.not_equal(rest[1:], rest[:-1], out=new[1:])
    del rest
    starts = np.flatnonzero(new).astype(kind)
    sizes = np.diff(np.r_[starts, kind(len(order))])
    several = sizes > 1
    order = order[np.repeat(several, sizes)]
    starts, sizes = np.r_[kind(0), np.cumsum(sizes[several], dtype=kind)][:-1], sizes[several]
    rank = np.argsort(order[starts])
    starts, sizes = starts[rank], sizes[rank]
    begins = np.r_[kind(0), np.cumsum(sizes, dtype=kind)]
    place = np.arange(len(order), dtype=kind)
    np.add(place, np.repeat(starts - begins[:-1], sizes), out=place)
    return order[place], begins


def _thinned(
    rows: NDArray[np.int64], begins: NDArray[np.int64], at: NDArray[np.int64], levels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Leave out rows of groups in which levels come many times."""
    sizes = np.diff(begins)
    if not len(sizes) or sizes.max() <= levels:
        return rows, begins, at
    group = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    key = group * levels + at
    order = np.argsort(key, kind="stable")
    new = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0])
    nth = np.empty(len(rows), np.int64)
    nth[order] = np.arange(len(rows)) - np.repeat(new, np.diff(np.r_[new, len(rows)]))
    keep = nth < min(PAIRS, max(_LEAST, _MOST_ROWS // levels))
    return rows[keep], np.r_[0, np.cumsum(np.bincount(group[keep], minlength=len(sizes)))], at[keep]


def _every(rows: NDArray[np.int64], begins: NDArray[np.int64], at: NDArray[np.int64]) -> Iterator[_Block]:
    """Yield all pairs of rows of one group and of two levels, some groups at a time."""
    sizes = np.diff(begins).astype(np.int64)
    done = np.cumsum(np.r_[0, sizes * (sizes - 1) // 2])
    start = 0
    while start < len(sizes):
        stop = max(start + 1, int(np.searchsorted(done, done[start] + _BLOCK, side="right")) - 1)
        for one, two in _two_of(begins[start:stop], sizes[start:stop]):
            apart = at[one] != at[two]
            one, two = one[apart], two[apart]
            yield rows[one], rows[two], np.minimum(at[one], at[two]), np.maximum(at[one], at[two])
        start = stop


def _two_of(begins: NDArray[np.int64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield all two places of each of some groups, (2, pairs); of one large group some first places at a time."""
    if len(sizes) > 1:
        found = []
        for size in np.unique(sizes):
            members = begins[sizes == size][:, None] + np.arange(size)
            i, j = np.triu_indices(int(size), 1)
            found.append(np.stack([members[:, i].ravel(), members[:, j].ravel()]))
        yield np.concatenate(found, 1)
        return
    (begin,), (size,) = begins, sizes
    step = max(1, _BLOCK // int(size))
    for first in range(0, int(size) - 1, step):
        i = np.arange(first, min(first + step, int(size) - 1))
        after = size - 1 - i
        one = np.repeat(i, after)
        nth = np.arange(len(one)) - np.repeat(np.cumsum(after) - after, after)
        yield begin + np.stack([one, one + 1 + nth])


def _opposite(
    rows: NDArray[np.int64], begins: NDArray[np.int64], at: NDArray[np.int64], levels: int
) -> Iterator[_Block]:
    """Yield, of each group, the first row of each level with the first of the level half of them away."""
    start = 0
    while start < len(begins) - 1:
        stop = max(start + 1, int(np.searchsorted(begins, begins[start] + _BLOCK, side="right")) - 1)
        here = slice(int(begins[start]), int(begins[stop]))
        key = np.repeat(np.arange(stop - start, dtype=np.int64), np.diff(begins[start : stop + 1])) * levels
        known, first = np.unique(key + at[here], return_index=True)
        low = at[here][first]
        half = (low + levels // 2) % levels
        wanted = key[first] + half
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        # Of an even number of levels each pair would come twice.
        good = (known[place] == wanted) & ((levels % 2 == 1) | (low < half))
        one, two = rows[here][first[good]], rows[here][first[place[good]]]
        yield np.minimum(one, two), np.maximum(one, two), low[good], half[good]
        start = stop


def _first_of_each(
    key: NDArray[np.int64], one: NDArray[np.int64], two: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the places of the first pairs of each key, as many as are wanted, in the order of their rows."""
    order = np.lexsort((two, one, key))
    new = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0]) if len(key) else np.zeros(0, np.int64)
    nth = np.arange(len(key)) - np.repeat(new, np.diff(np.r_[new, len(key)]))
    return order[nth < wanted[key[order]]]
