"""Does widening what is rendered pay on pictures of other worlds? On the built-in engine, in a quarter of an hour.

    python benchmarks/trends/ladder.py [--out ladder-trend] [--budget 96] [--seeds 3]

Six animals in four worlds; two animals are kept out of training. The target has three other worlds, all turns and
sizes. Each step is as many pictures, and a small network trained alike. What is interrupted goes on with the same
command. Prints the steps and says whether the trends of the source (Sarıyıldız et al., 2023, chapter 5) and of the
pilot of this project were found; that five times as many pictures help is printed with ``--x5`` and not asked, since
at so few epochs the amount says little.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from torchmultiverse.farm import generate
from torchmultiverse.scenes import Spec, parse_spec
from torchmultiverse.train import ClassifierTraining
from torchmultiverse.transfer import Ladder, LadderOptions, climb, ladder_study
from torchmultiverse.transfer.ladder_answers import group_gains, own_accuracy, points, target_accuracy, unseen_accuracy

ANIMALS = ["Elephant", "Penguin", "Zebra", "Goldfish", "GiantTortoise", "Rhinoceros"]
WORLDS = ["Desert", "Snow", "Museum", "Grass"]
OTHERS = ["SaltFlats", "Beach", "Arena"]
SIZE = 48
RECIPE = ClassifierTraining(model="test_resnet", size=SIZE, epochs=40, batch_size=32, learning_rate=4e-3)


def spec(name: str, worlds: list[str], pictures: int) -> Spec:
    factors: dict[str, Any] = {
        "World_Name": worlds, "Character_Name": ANIMALS, "Camera_Yaw": {"from": 0, "to": 360},
        "Character_Scale": {"from": 0.6, "to": 1.4},
    }  # fmt: skip
    design = {"kind": "latin_hypercube", "pictures": pictures, "factors": factors}
    return parse_spec({"name": name, "design": design, "render": {"size": [SIZE, SIZE], "samples": 4}})


def climbed(out: Path, budget: int, seeds: int, more: bool) -> Ladder:
    generate(spec("other-worlds", OTHERS, 24 * len(ANIMALS)), out / "target", size=SIZE)
    steps = ("narrow", "worlds", "poses", "full", *(("x5",) if more else ()))
    options = LadderOptions(steps=steps, budget=budget, seeds=seeds, unseen=2, size=SIZE)
    return climb(spec("worlds", WORLDS, 100), out / "target", out, RECIPE, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("ladder-trend"))
    parser.add_argument("--budget", type=int, default=96)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--x5", action="store_true")
    given = parser.parse_args()
    found = climbed(given.out, given.budget, given.seeds, given.x5)
    print(ladder_study(found).headline)
    print(f"accuracy in %, {given.budget} pictures a step, mean of {given.seeds} seeds, chance 25, probe 50")
    print(f"{'':>16} {'target':>20} {'own':>7} {'unseen classes':>21}")
    target, own, unseen = {}, {}, {}
    for plan in found.plans:
        name = plan.name
        one, probe = target_accuracy(found, name), unseen_accuracy(found, name)
        assert probe is not None
        target[name], own[name], unseen[name] = one.value, own_accuracy(found, name).value, probe.value
        print(
            f"{name:>16} {100 * one.value:6.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}] {100 * own[name]:7.1f} "
            f"{100 * probe.value:6.1f} [{100 * probe.low:.1f}, {100 * probe.high:.1f}]"
        )
    for gain in group_gains(found):
        print(f"varying {gain.name}: {points(gain.estimate)}, p {gain.p:.2g}")
    for trend, told in (
        ("the target gains from narrow to full", target["full"] > target["narrow"]),
        ("and from narrow over worlds to full", target["narrow"] < target["worlds"] < target["full"]),
        ("classes never trained on gain from narrow to full", unseen["full"] > unseen["narrow"]),
        ("own pictures are easier the narrower", own["narrow"] > own["full"]),
    ):
        print(f"{trend}: {'found' if told else 'NOT found'}")


if __name__ == "__main__":
    main()
