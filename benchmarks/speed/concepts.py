"""How long the probes of concept levels take: 5 levels × 8 numbers of shots × 5 seeds, 20,000 features of 768 numbers.

    python benchmarks/speed/concepts.py [--classes 50] [--pictures 20000] [--width 768] [--solver lbfgs]

Features are drawn: each class is a direction that fades with its distance from what was seen, over noise whose spectrum
falls as that of real features does. Every level has so many classes. The bar is 300 s on two cores.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from torchmultiverse.transfer import ALL, ConceptOptions, ProbeProtocol, probe_levels
from torchmultiverse.transfer.concept_levels import Concept, ConceptLevels, Level
from torchmultiverse.transfer.concept_pictures import ConceptData
from torchmultiverse.transfer.concept_probes import ClassPictures, most_shots

SHOTS = (1, 2, 4, 8, 16, 32, 48, 64, 128)


def drawn(levels: int, classes: int, pictures: int, width: int) -> tuple[np.ndarray, ConceptData]:
    rng = np.random.default_rng(0)
    each = pictures // (levels * classes)
    spectrum = (0.15 + np.exp(-np.arange(width) / (width / 5))).astype(np.float32)
    features, parts, made = [], {}, []
    for k in range(levels):
        codes = np.repeat(np.arange(classes), each)
        means = rng.normal(size=(classes, width)).astype(np.float32)
        gain = 0.35 - 0.05 * k
        noise = rng.normal(size=(len(codes), width)).astype(np.float32)
        features.append((gain * means[codes] + noise) * spectrum)
        tested = np.tile(np.arange(each) < each // 4, classes)
        places = np.arange(len(codes)) + k * len(codes)
        name = f"L{k + 1}"
        parts[name] = ClassPictures(
            places, codes, np.arange(len(codes)), np.flatnonzero(~tested), np.flatnonzero(tested)
        )
        concepts = tuple(
            Concept(label=f"{name} {c}", synset="", name="", similarity=0.9 - 0.2 * k, nearest="", nearest_name="")
            for c in range(classes)
        )
        made.append(Level(name=name, concepts=concepts, within=0.0))
    of = ConceptLevels(wordnet="", corpus=1, seen_name="drawn", seen=(), seen_level=None, levels=tuple(made))
    rows = np.arange(levels * classes * each)
    data = ConceptData("drawn", of, rows, {}, np.zeros(len(rows), object), parts, "rows", (), None, ())
    return np.concatenate(features), data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=50, help="in each level")
    parser.add_argument("--pictures", type=int, default=20_000, help="in all")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--solver", choices=("lbfgs", "sgd"), default="lbfgs")
    arguments = parser.parse_args()
    features, data = drawn(arguments.levels, arguments.classes, arguments.pictures, arguments.width)
    protocol = ProbeProtocol(arguments.solver, seeds=arguments.seeds)
    most = min(most_shots(pictures, protocol) for pictures in data.pictures.values())
    shots = [*[count for count in SHOTS if count <= most], ALL][-8:]
    begun, busy = time.perf_counter(), time.process_time()
    found = probe_levels({"drawn": features}, data, ConceptOptions(shots=shots, protocol=protocol), quiet=True)
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    print(f"{'':>6}" + "".join(f"{count or 'all':>8}" for count in shots) + "   accuracy in % by shots")
    for level in data.levels.levels:
        row = [100 * found.score("drawn", level.name, count).accuracy for count in shots]
        print(f"{level.name:>6}" + "".join(f"{value:8.1f}" for value in row))
    probes = len(found.scores) * arguments.seeds
    converged = np.mean([one.probed.converged for one in found.scores])
    print(
        f"{probes} probes in {seconds:.1f} s ({busy:.1f} s of CPU time), {seconds / probes:.2f} s each; "
        f"{100 * converged:.0f} % converged"
    )
    bar = 300
    if arguments.solver == "lbfgs":
        print(f"under {bar} s: {'yes' if seconds < bar else 'NO'}")


if __name__ == "__main__":
    main()
