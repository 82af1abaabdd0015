"""How long exact equivariance over the whole of PUG: Animals takes: 215,040 vectors, all pairs, all four factors.

    python benchmarks/speed/equivariance.py [--size 512]

The vectors are random: the time does not depend on what they are.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchmultiverse.evaluation.displacements import arrange, parallelism
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import expanded, load_spec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    design = expanded(load_spec(data_folder("scenes") / "animals.json").build())
    columns = {name: np.array([design.values(i)[name] for i in range(design.count)], object) for name in design.factors}
    vectors = np.random.default_rng(0).normal(size=(design.count, arguments.size)).astype(np.float32)
    whole = time.perf_counter()
    for factor in ("World_Name", "Character_Scale", "Character_Texture", "Camera_Yaw"):
        start = time.perf_counter()
        index, levels = arrange(columns, factor, [name for name in columns if name != factor])
        clusters = columns["Character_Name"][index[:, 0]]
        value, low, high, _, _ = parallelism(vectors, index, clusters, np.random.default_rng(0))
        seconds = time.perf_counter() - start
        facts = f"{len(levels):>3} levels {len(index):>7,} contexts {value:.4f} [{low:.4f}, {high:.4f}]"
        print(f"{factor:<18} {facts} {seconds:.1f} s")
    print(f"{design.count:,} vectors of {arguments.size}: {time.perf_counter() - whole:.1f} s")


if __name__ == "__main__":
    main()
