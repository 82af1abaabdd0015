"""What the trainings of a ladder say: accuracies of steps, gains from step to step, and what each group is worth."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats import holm
from torchmultiverse.transfer.crossed import Estimate, crossed_difference, crossed_mean
from torchmultiverse.transfer.ladder import Ladder
from torchmultiverse.transfer.ladder_runs import StepRun
from torchmultiverse.transfer.ladder_target import Question
from torchmultiverse.transfer.log_odds import MeanLogOdds, TaskScore, mean_log_odds


class Gain(NamedTuple):
    """What a widening adds on the target.

    Attributes:
        name: of the step, or of the group.
        before, after: steps that are compared.
        estimate: top-1 after less before, with its interval.
        p: Holm's, over all gains of its kind.
    """

    name: str
    before: str
    after: str
    estimate: Estimate
    p: float

    @property
    def sure(self) -> bool:
        """Whether it is not zero for sure, at 5 % over all gains of its kind."""
        return self.p < 0.05


def target_outcomes(runs: Sequence[StepRun]) -> NDArray[np.float64]:
    """Return which pictures each training of a step gets right, (S, N)."""
    return np.array([run.target for run in runs], np.float64)


def target_accuracy(ladder: Ladder, step: str) -> Estimate:
    """Return top-1 on the target's pictures of classes trained on."""
    target = ladder.target
    return crossed_mean(target_outcomes(ladder.runs[step]), target.groups[target.seen])


def own_accuracy(ladder: Ladder, step: str) -> Estimate:
    """Return top-1 on held-out pictures of a step's own kind; trainings may have other pictures."""
    runs = ladder.runs[step]
    parts = [np.array(run.own, np.float64) for run in runs]
    few = min(map(len, parts))
    return crossed_mean(np.stack([part[:few] for part in parts]), np.arange(few))


def gains(ladder: Ladder) -> list[Gain]:
    """Return what each step adds to the one before it."""
    steps = [plan.name for plan in ladder.plans if not plan.without]
    pairs = [(after, before, after) for before, after in pairwise(steps)]
    return _gains(ladder, pairs)


def group_gains(ladder: Ladder) -> list[Gain]:
    """Return what each group's widening adds: the full step less the one in which this group alone is held."""
    return _gains(ladder, [(plan.without, plan.name, "full") for plan in ladder.plans if plan.without])


def _gains(ladder: Ladder, pairs: Sequence[tuple[str, str, str]]) -> list[Gain]:
    clusters = ladder.target.groups[ladder.target.seen]
    found = [
        crossed_difference(target_outcomes(ladder.runs[after]), target_outcomes(ladder.runs[before]), clusters)
        for _, before, after in pairs
    ]
    adjusted = holm([one.p for one in found]) if found else []
    return [Gain(*pair, one, float(p)) for pair, one, p in zip(pairs, found, adjusted, strict=True)]


def unseen_accuracy(ladder: Ladder, step: str) -> Estimate | None:
    """Return what a linear probe reads of classes that were not trained on; ``None`` where it is not asked."""
    question = ladder.target.unseen
    if question is None:
        return None
    return crossed_mean(np.array([run.unseen for run in ladder.runs[step]], np.float64), question.groups)


def factor_accuracy(ladder: Ladder, step: str, question: Question) -> Estimate:
    """Return what a linear probe reads of a factor of the target."""
    return crossed_mean(
        np.array([run.factors[question.name] for run in ladder.runs[step]], np.float64), question.groups
    )


def class_log_odds(ladder: Ladder, step: str) -> MeanLogOdds:
    """Return the mean log-odds of the tasks that widening is for: the target's classes, and those never trained on."""
    tasks = [_task("target", target_accuracy(ladder, step), 1 / len(ladder.target.common))]
    unseen = unseen_accuracy(ladder, step)
    if unseen is not None and ladder.target.unseen is not None:
        tasks.append(_task("unseen classes", unseen, ladder.target.unseen.chance))
    return mean_log_odds(tasks, independent=True)


def factor_log_odds(ladder: Ladder, step: str) -> MeanLogOdds | None:
    """Return the mean log-odds over the target's factors, which ask the same pictures; ``None`` where there is none."""
    tasks = [_task(one.name, factor_accuracy(ladder, step, one), one.chance) for one in ladder.target.factors]
    return mean_log_odds(tasks, independent=False) if tasks else None


def _task(name: str, found: Estimate, chance: float) -> TaskScore:
    return TaskScore(name, found.value, found.low, found.high, found.n, chance)


def points(estimate: Estimate) -> str:
    """Return a difference in points with its interval.

    >>> points(Estimate(0.123, 0.081, 0.164, 0.001, 100, 20, 3))
    '+12.3 points [+8.1, +16.4]'
    """
    return f"{100 * estimate.value:+.1f} points [{100 * estimate.low:+.1f}, {100 * estimate.high:+.1f}]"


def headline(ladder: Ladder) -> str:
    """Return the answer in one sentence: which step pays on this target, and by how many points."""
    found = gains(ladder)
    best = max(found, key=lambda one: one.estimate.value)
    before, after = (target_accuracy(ladder, step).value for step in (best.before, best.after))
    chance = 100 / max(1, len(ladder.target.common))
    moved = f"from {100 * before:.1f} to {100 * after:.1f} % top-1, chance {chance:.1f} %"
    if best.sure and best.estimate.value > 0:
        told = f"On {ladder.target_name} step '{best.name}' pays most: {points(best.estimate)}, {moved}"
    else:
        told = (
            f"On {ladder.target_name} no step pays for sure: the largest gain is that of '{best.name}', "
            f"{points(best.estimate)}, {moved}"
        )
    groups = group_gains(ladder)
    if groups:
        worth = max(groups, key=lambda one: one.estimate.value)
        if worth.sure and worth.estimate.value > 0:
            told += f"; with all else free, varying {worth.name} is worth {points(worth.estimate)}"
        else:
            told += "; with all else free, no group's widening is worth anything for sure"
    return told + "."
