"""Does widening the training pictures pay on pictures of other worlds? On drawn glyphs in minutes, or on renders.

    python benchmarks/trends/ladder.py [--out ladder-trend] [--budget 240] [--seeds 2]
    python benchmarks/trends/ladder.py --render [--out ladder-trend] [--budget 240] [--seeds 2]

The source (Sarıyıldız et al., 2023, chapter 5; ResNet-50 on clones of ImageNet-100 by a text-to-image model): on real
pictures 43.1 % after training on the classes' names alone, 51.5 % with backgrounds, 64.8 % with more varied pictures,
73.3 % with 50 times as many, and 87.4 % after real ones (`benchmarks/reference/clone_ladder.json`).

Here, without ``--render``: eight glyphs, of which two are kept out of training, in eight worlds. With it: six animals,
of which two are kept out, in four worlds, rendered by the built-in engine (about 1,000 pictures of 48 pixels, some
minutes). The target has other worlds, and all lights (of glyphs), sides and sizes. Each step is as many pictures, and a
small network is trained alike. What is interrupted goes on with the same command. Prints the steps with intervals over
groups of the target and trainings, and says whether the trends of the source were found; that more pictures help is not
asked: at so few epochs the amount says little.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from glyphs import WORLDS as WORLDS_OF_GLYPHS
from glyphs import glyphs
from verdicts import verdict

from torchmultiverse.farm import generate
from torchmultiverse.scenes import Spec, parse_spec
from torchmultiverse.train import ClassifierTraining
from torchmultiverse.transfer import Ladder, LadderOptions, climb, crossed_difference, ladder_study
from torchmultiverse.transfer.ladder_answers import (
    group_gains,
    own_accuracy,
    points,
    target_accuracy,
    target_outcomes,
    unseen_accuracy,
)

ANIMALS = ["Elephant", "Penguin", "Zebra", "Goldfish", "GiantTortoise", "Rhinoceros"]
WORLDS = ["Desert", "Snow", "Museum", "Grass"]
OTHERS = ["SaltFlats", "Beach", "Arena"]
SIZE = 48
RECIPE = ClassifierTraining(model="test_resnet", size=32, epochs=12, batch_size=32, learning_rate=4e-3)


def spec(name: str, worlds: list[str], pictures: int) -> Spec:
    factors: dict[str, Any] = {
        "World_Name": worlds, "Character_Name": ANIMALS, "Camera_Yaw": {"from": 0, "to": 360},
        "Character_Scale": {"from": 0.6, "to": 1.4},
    }  # fmt: skip
    design = {"kind": "latin_hypercube", "pictures": pictures, "factors": factors}
    return parse_spec({"name": name, "design": design, "render": {"size": [SIZE, SIZE], "samples": 4}})


FREE = {
    "narrow": (), "worlds": ("worlds",), "poses": ("worlds", "poses"), "full": ("worlds", "poses", "sizes", "lights"),
}  # fmt: skip


def rendered(out: Path, budget: int, seeds: int) -> Ladder:
    generate(spec("other-worlds", OTHERS, 24 * len(ANIMALS)), out / "target", size=SIZE)
    options = LadderOptions(steps=tuple(FREE), budget=budget, seeds=seeds, unseen=2, size=SIZE)
    return climb(spec("worlds", WORLDS, 100), out / "target", out, RECIPE.changed(size=SIZE, epochs=40), options)


def drawn(out: Path, budget: int, seeds: int) -> Ladder:
    folders = {name: glyphs(budget // 4, free, k, name=name) for k, (name, free) in enumerate(FREE.items())}
    target = glyphs(40, FREE["full"], 99, name="other worlds", first=WORLDS_OF_GLYPHS)
    return climb(folders, target, out, RECIPE, LadderOptions(budget=budget, seeds=seeds, unseen=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("ladder-trend"))
    parser.add_argument("--budget", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    found = (rendered if given.render else drawn)(given.out, given.budget, given.seeds)
    print(ladder_study(found).headline)
    chance, probed = 1 / len(found.target.common), found.target.unseen
    assert probed is not None
    print(
        f"accuracy in %, {given.budget} pictures a step, mean of {given.seeds} seeds; "
        f"chance {100 * chance:.1f}, of the probe {100 * probed.chance:.1f}"
    )
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
    groups = found.target.groups[found.target.seen]
    whole = crossed_difference(*(target_outcomes(found.runs[name]) for name in ("full", "narrow")), groups)
    print(f"from narrow to full: {points(whole)}")
    verdict("the target gains from narrow to full", whole.low, whole.high)
    for trend, told in (
        ("the mean rises from narrow over worlds to full", target["narrow"] < target["worlds"] < target["full"]),
        ("the mean of classes never trained on rises from narrow to full", unseen["full"] > unseen["narrow"]),
        ("own pictures are easier the narrower", own["narrow"] > own["full"]),
    ):
        print(f"{trend}: {'found' if told else 'NOT found'}")


if __name__ == "__main__":
    main()
