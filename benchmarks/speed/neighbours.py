"""How fast exact neighbours are found: by matrix products, and by faiss's flat index.

    python benchmarks/speed/neighbours.py [--rounds 5]

Both get the same random vectors and search all of them, the two sides of a ratio in turns; the best round of each
counts. faiss makes its index in each round, as ours reads its own. Needs the extra ``faiss``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from torchmultiverse.analyze.neighbours import nearest_rows

CASES = ((2_000, 30_000, 64, 50), (1_000, 100_000, 128, 100), (2_000, 100_000, 512, 100), (2_000, 100_000, 768, 20))
"""Queries, rows of the index, features, neighbours."""


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast exact neighbours are found.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    import faiss

    rng = np.random.default_rng(0)
    print(f"{'queries × rows × features, k':<36}{'ours':>9}{'faiss':>9}{'ratio':>8}{'same rows':>12}")
    for queries, rows, features, k in CASES:
        asked, index = (rng.normal(size=(n, features)).astype(np.float32) for n in (queries, rows))

        def ours(asked: Any = asked, index: Any = index, k: int = k) -> Any:
            return nearest_rows(asked, index, k).rows

        def theirs(asked: Any = asked, index: Any = index, k: int = k) -> Any:
            flat = faiss.IndexFlatL2(index.shape[1])
            flat.add(index)
            return flat.search(asked, k)[1]

        sides: tuple[Callable[[], Any], ...] = (ours, theirs)
        best, found = [float("inf"), float("inf")], [None, None]
        for _ in range(rounds):
            for side, work in enumerate(sides):
                start = time.perf_counter()
                found[side] = work()
                best[side] = min(best[side], time.perf_counter() - start)
        same = float(np.mean(np.asarray(found[0]) == np.asarray(found[1])))
        name = f"{queries:,} × {rows:,} × {features}, {k}"
        print(f"{name:<36}{best[0]:>8.2f}s{best[1]:>8.2f}s{best[1] / best[0]:>8.2f}{same:>12.4f}")


if __name__ == "__main__":
    main()
