"""The steps of a ladder as rows of a dataset that is there: which pictures each trains on, and which test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.transfer.ladder_groups import Plan, narrow_levels

OWN_SHARE = 0.25
"""Held-out pictures of a step's own kind, as a share of those it trains on."""
LEAST = 4
"""Pictures of a class below which a step cannot be trained on."""


class Drawn(NamedTuple):
    """Rows of a step.

    Attributes:
        train: to train on, as many of each class.
        own: of the same kind, and not trained on.
    """

    train: NDArray[np.int64]
    own: NDArray[np.int64]


def own_count(per_class: int) -> int:
    """Return how many held-out pictures of a class a step has for so many that it trains on."""
    return max(2, round(OWN_SHARE * per_class))


def supports(
    columns: Mapping[str, NDArray[Any]],
    groups: Mapping[str, Sequence[str]],
    plans: Sequence[Plan],
    share: float,
    classes: NDArray[Any],
) -> dict[str, NDArray[np.bool_]]:
    """Return which pictures each step may take, (N,) by name; each step's are among those of every wider one.

    Args:
        columns: of the dataset, (N,) each.
        groups: columns of each group.
        plans: the steps.
        share: of the levels of a held factor that remain.
        classes: of the pictures, (N,): assets are held class by class, since no asset is of all classes.
    """
    held = {}
    for group, names in groups.items():
        mask = np.ones(len(classes), bool)
        for name in names:
            if group == "assets":
                for one in np.unique(classes):
                    mine = np.flatnonzero(classes == one)
                    mask[mine] &= narrow_levels(columns[name][mine], name, share)
            else:
                mask &= narrow_levels(columns[name], name, share)
        held[group] = mask
    found = {}
    for plan in plans:
        mask = np.ones(len(classes), bool)
        for group in groups:
            if group not in plan.free:
                mask &= held[group]
        found[plan.name] = mask
    return found


def most_per_class(
    masks: Mapping[str, NDArray[np.bool_]], plans: Sequence[Plan], codes: NDArray[np.int64], classes: int
) -> tuple[int, str]:
    """Return the largest number of pictures of a class that every step can train on, and the step that bounds it.

    Args:
        masks: pictures that each step may take.
        plans: the steps; one of five times the budget needs five times as many.
        codes: class of each picture, −1 of one that is not trained on.
        classes: how many.
    """
    best: tuple[int, str] | None = None
    for plan in plans:
        mine = codes[masks[plan.name]]
        there = int(np.bincount(mine[mine >= 0], minlength=classes).min()) if classes else 0
        count = there // plan.times
        while count > 0 and count * plan.times + own_count(count * plan.times) > there:
            count -= 1
        if best is None or count < best[0]:
            best = count, plan.name
    assert best is not None
    return best


@dataclass(frozen=True)
class Pool:
    """The pictures of a dataset that steps are made of.

    Attributes:
        columns: (N,) each.
        groups: columns of each group.
        named: class of each picture, (N,).
        codes: of the classes that are trained on, −1 of others, (N,).
        classes: that are trained on.
    """

    columns: Mapping[str, NDArray[Any]]
    groups: Mapping[str, Sequence[str]]
    named: NDArray[Any]
    codes: NDArray[np.int64]
    classes: int

    def masks(self, plans: Sequence[Plan], share: float) -> dict[str, NDArray[np.bool_]]:
        """Return which pictures each step may take, see `supports`."""
        return supports(self.columns, self.groups, plans, share, self.named)

    def most(self, plans: Sequence[Plan], share: float) -> tuple[int, str]:
        """Return how many pictures of a class every step has, see `most_per_class`."""
        return most_per_class(self.masks(plans, share), plans, self.codes, self.classes)

    def affordable(self, plans: Sequence[Plan], share: float, wanted: int, notes: list[str]) -> list[Plan]:
        """Return the steps without one of a larger budget that would make all others smaller; it is told."""
        rest = [plan for plan in plans if plan.times == 1]
        if len(rest) < len(plans) and self.most(plans, share)[0] < min(wanted, self.most(rest, share)[0]):
            notes.append("step 'x5' is left out: the dataset has too few pictures for it")
            return rest
        return list(plans)

    def remedy(self, plans: Sequence[Plan], share: float, needed: int) -> str:
        """Return what would give every step so many pictures of a class."""
        for more in _SHARES:
            if more > share and self.most(plans, more)[0] >= needed:
                return f"With --narrow {more:g} held factors keep so much that it has enough"
        return "Choose fewer steps, or give a spec whose factors have ranges, so that pictures can be rendered"


_SHARES = (0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75)


def check_enough(
    per_class: int, most: tuple[int, str], wanted: int | None, classes: int, remedy: str = "Use a smaller --budget"
) -> None:
    """Check that the narrowest step has the pictures that a budget needs.

    Args:
        per_class: pictures of each class that are wanted.
        most: that every step has, and the step that bounds them, see `most_per_class`.
        wanted: budget that was asked for, if one was.
        classes: how many.
        remedy: what would help.

    Raises:
        DatasetError: it has not; names the step and what would help.
    """
    there, step = most
    if per_class > there or per_class < LEAST:
        asked = f"a budget of {wanted:,} pictures" if wanted else "a ladder"
        raise DatasetError(
            f"{asked} of {classes} classes needs {max(per_class, LEAST)} of each to train on, and step '{step}' has "
            f"{there} beside those that it is tested on. {remedy}"
        )


def draw(
    mask: NDArray[np.bool_], codes: NDArray[np.int64], classes: int, per_class: int, rng: np.random.Generator
) -> Drawn:
    """Draw as many pictures of each class of a step's.

    The order in which pictures are taken is one for all steps (of one ``rng``), so that steps share the pictures that
    they can, and five times the budget holds the budget.

    Args:
        mask: pictures that the step may take, (N,).
        codes: class of each, −1 of one that is not trained on, (N,).
        classes: how many.
        per_class: to train on.
        rng: makes the order; the same state for every step.
    """
    order = rng.permutation(len(codes))
    train, own = [], []
    for code in range(classes):
        mine = order[(codes == code)[order] & mask[order]]
        train.append(mine[:per_class])
        own.append(mine[per_class : per_class + own_count(per_class)])
    return Drawn(np.sort(np.concatenate(train)), np.sort(np.concatenate(own)))
