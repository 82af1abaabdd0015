"""How fast it is found what each unit detects, beside SciPy's U statistic of one value at a time.

    python benchmarks/speed/units.py [--units 2048] [--images 20000]

500 values of ten factors. SciPy is asked for 200 of the areas, drawn at random, and its time for all of them
is extrapolated; the areas are the same.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchmultiverse.units import Concepts, Expression, centred_ranks, detect, single_areas


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast it is found what each unit detects.")
    parser.add_argument("--units", type=int, default=2048)
    parser.add_argument("--images", type=int, default=20_000)
    asked = parser.parse_args()
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(0)
    names = tuple(str(value) for value in range(50))
    concepts = Concepts({f"f{k}": (rng.integers(0, 50, asked.images), names) for k in range(10)})
    features = np.maximum(rng.normal(size=(asked.images, asked.units)), 0).astype(np.float32)

    start = time.perf_counter()
    areas = single_areas(centred_ranks(features), concepts)
    single = time.perf_counter() - start

    start = time.perf_counter()
    detect(features, concepts, rng, permutations=0)
    pairs = time.perf_counter() - start

    start = time.perf_counter()
    detect(features[:, :64], concepts, rng, permutations=100)
    control = time.perf_counter() - start

    values = [Expression(value) for value in concepts.values]
    drawn = [(int(rng.integers(len(values))), int(rng.integers(asked.units))) for _ in range(200)]
    start = time.perf_counter()
    theirs = []
    for value, unit in drawn:
        inside, column = concepts.members(values[value]), features[:, unit]
        statistic = mannwhitneyu(column[inside], column[~inside], method="asymptotic").statistic
        theirs.append(statistic / (inside.sum() * (~inside).sum()))
    each = (time.perf_counter() - start) / len(drawn)
    apart = max(abs(area - areas[at]) for area, at in zip(theirs, drawn, strict=True))

    print(f"{asked.units:,} units × {len(values)} values × {asked.images:,} pictures")
    print(f"all single values          {single:8.1f} s")
    print(f"all pairs, and, or, and not {pairs:7.1f} s")
    print(f"control, 64 units × 100    {control:8.1f} s")
    print(f"SciPy, single values        {each * len(values) * asked.units:7.0f} s (extrapolated)")
    print(f"largest difference of areas {apart:.1e}")


if __name__ == "__main__":
    main()
