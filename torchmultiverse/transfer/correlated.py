"""A probe that learns from pictures in which content and domain go together, exactly as much as is asked.

Each content has a home domain. With the correlation ρ, a share ρ of its pictures is at home and the rest is spread
evenly over all domains, home included; numbers are chosen so that they are whole, the same for every content at every
ρ. Then Cramér's V of the table of content and domain is ρ. What is told is tested on pictures of which each content has
as many in each domain, whatever the training was like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, Split
from torchmultiverse.documents import Record
from torchmultiverse.stats import Intervals
from torchmultiverse.transfer.domain_gap import Floats, predict

MOST_DOMAINS = 4
DRAWS = 3
"""Times that the pictures of each correlation are drawn."""


class CorrelatedAccuracy(Record):
    """What a probe tells that learned under one correlation.

    Attributes:
        rho: correlation of content and domain in training.
        v: Cramér's V of the table of the pictures that were drawn.
        score, low, high: accuracy on the balanced test pictures, with its interval.
        home, home_low, home_high: of those among them whose domain is the home of their content.
        away, away_low, away_high: of the others.
        chance: of always giving the most frequent answer; the test pictures are balanced, so it is one over the number
            of contents.
        train, test, contents, domains, draws: pictures of each training, test pictures, and how many of the others.
    """

    rho: float
    v: float
    score: float
    low: float
    high: float
    home: float
    home_low: float
    home_high: float
    away: float
    away_low: float
    away_high: float
    chance: float
    train: int
    test: int
    contents: int
    domains: int
    draws: int


@dataclass(frozen=True)
class Dial:
    """Pictures from which any of some correlations can be drawn, and balanced test pictures.

    Attributes:
        contents: codes of the contents that take part, (C,).
        home: domain of each, 0 to K − 1, (C,).
        domain: which of the K domains each picture is of, −1 for none, (N,).
        rhos: correlations, 0 to 1.
        pictures: of each content in each training.
        test: rows, as many of each content in each domain.
        merged: whether domains are halves of the levels, since single levels have too few pictures.
    """

    contents: NDArray[np.int64]
    home: NDArray[np.int64]
    domain: NDArray[np.int64]
    rhos: tuple[float, ...]
    pictures: int
    test: NDArray[np.int64]
    merged: bool

    def counts(self, rho: float) -> tuple[int, int]:
        """Return how many pictures of each content are at home, and how many in each other domain."""
        domains = int(self.domain.max()) + 1
        away = round(self.pictures * (1 - rho) / domains)
        return self.pictures - (domains - 1) * away, away

    def draw(
        self, rho: float, content: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return rows to train on, with this correlation.

        Args:
            rho: one of `rhos`.
            content: codes, (N,).
            rows: to draw from.
            rng: draws them.
        """
        at_home, away = self.counts(rho)
        found = []
        for one, home in zip(self.contents, self.home, strict=True):
            for place in range(int(self.domain.max()) + 1):
                mine = rows[(content[rows] == one) & (self.domain[rows] == place)]
                found.append(rng.permutation(mine)[: at_home if place == home else away])
        return np.sort(np.concatenate(found))


def cramers_v(one: NDArray[np.int64], two: NDArray[np.int64]) -> float:
    """Return Cramér's V of two columns of codes, (N,): 0 where they are independent, 1 where one says the other.

    Source: H. Cramér, *Mathematical methods of statistics*, 1946, chapter 21.

    >>> one = np.array([0, 0, 1, 1])
    >>> cramers_v(one, 1 - one), cramers_v(one, np.array([0, 1, 0, 1]))
    (1.0, 0.0)
    """
    a, b = (np.unique(codes, return_inverse=True)[1] for codes in (one, two))
    table = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(table, (a, b), 1)
    least = min(table.shape) - 1
    if least < 1:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / len(a)
    return float(np.sqrt(((table - expected) ** 2 / expected).sum() / len(a) / least))


def make_dial(
    content: NDArray[np.int64], domain: NDArray[np.int64], parts: Split, rng: np.random.Generator
) -> Dial | None:
    """Return how correlations can be drawn of some pictures; ``None`` where there are too few of them.

    As many domains as can be, four at most; steps of a quarter, else of a half, else only 0 and 1. Where no level of
    the domain has enough pictures, two halves of the levels are the domains.

    Args:
        content, domain: codes, (N,).
        parts: training pictures are drawn from its training part, test pictures from its test part.
        rng: draws contents, homes and halves.
    """
    levels = int(domain.max()) + 1
    sizes = np.bincount(domain, minlength=levels) + rng.random(levels) / 2
    largest = np.argsort(-sizes)
    halves = (rng.permutation(levels) * 2 // levels).astype(np.int64)[domain]
    contents = len(np.unique(content))
    for least in (contents // 2, 2):
        for steps in (4, 2, 1):
            for count in range(min(MOST_DOMAINS, levels), 1, -1):
                place = np.full(levels, -1, np.int64)
                place[largest[:count]] = np.arange(count)
                found = _dial(content, place[domain], count, steps, parts, rng, False)
                if found is not None and len(found.contents) >= least:
                    return found
            found = _dial(content, halves, 2, steps, parts, rng, True) if levels > 2 else None
            if found is not None and len(found.contents) >= least:
                return found
    return None


def _dial(
    content: NDArray[np.int64], domain: NDArray[np.int64], count: int, steps: int, parts: Split,
    rng: np.random.Generator, merged: bool,
) -> Dial | None:  # fmt: skip
    """Return the dial of these domains, if each content of at least as many has the pictures that are needed."""
    classes = int(content.max()) + 1
    trained, tested = (_table(content[rows], domain[rows], classes, count) for rows in (parts.train, parts.test))
    able = np.flatnonzero((trained.min(1) >= steps * count) & (tested.min(1) > 0))
    able = rng.permutation(able)[: len(able) // count * count]  # so that every domain is home to as many
    if len(able) < max(2, count):
        return None
    home = np.arange(len(able)) % count
    times = int(trained[able].min() // (steps * count))
    each = int(tested[able].min())
    test = [
        rng.permutation(parts.test[(content[parts.test] == one) & (domain[parts.test] == place)])[:each]
        for one in able
        for place in range(count)
    ]
    rhos = tuple(step / steps for step in range(steps + 1))
    return Dial(able, home, domain, rhos, steps * count * times, np.sort(np.concatenate(test)), merged)


def _table(content: NDArray[np.int64], domain: NDArray[np.int64], classes: int, count: int) -> NDArray[np.int64]:
    kept = domain >= 0
    return np.bincount(content[kept] * count + domain[kept], minlength=classes * count).reshape(classes, count)


def correlated_accuracy(
    vectors: Floats,
    target: FactorTarget,
    dial: Dial,
    rho: float,
    parts: Split,
    groups: NDArray[np.int64],
    intervals: Intervals | None = None,
    probe: str = "logistic",
    seed: int = 0,
) -> CorrelatedAccuracy:
    """Return what a probe tells that learned under one correlation.

    Args:
        vectors: (N, D).
        target: the content.
        dial: see `make_dial`.
        rho: one of its correlations.
        parts: that the dial was made of; validation pictures are those of its domains.
        groups: pictures of one are not independent, (N,).
        intervals: level and seed.
        probe, seed: of the probes and draws.
    """
    intervals = intervals or Intervals()
    codes = np.full(len(target.levels), -1, np.int64)
    codes[dial.contents] = np.arange(len(dial.contents))
    mine = codes[target.codes]
    right = np.zeros(len(dial.test))
    v, train = 0.0, 0
    for number in range(DRAWS):
        rng = np.random.default_rng((seed, 21, number, round(1000 * rho)))
        rows = dial.draw(rho, target.codes, parts.train, rng)
        order = rng.permutation(rows)
        chosen, learned = order[: len(order) // 5], order[len(order) // 5 :]
        known = np.unique(mine[rows], return_index=True)[1]
        learned = np.union1d(learned, rows[known])
        said = predict(vectors, mine, len(dial.contents), (learned, chosen, dial.test), probe, (seed, 22, number))
        right += (said == mine[dial.test]) / DRAWS
        v, train = v + cramers_v(mine[rows], dial.domain[rows]) / DRAWS, len(rows)
    at_home = dial.domain[dial.test] == dial.home[mine[dial.test]]
    of = [np.ones(len(right), bool), at_home, ~at_home]
    ends = intervals.of_means(
        [(right[some], np.unique(groups[dial.test[some]], return_inverse=True)[1]) for some in of]
    )
    (low, high, _), (home_low, home_high, _), (away_low, away_high, _) = ends
    score, home, away = (float(right[some].mean()) for some in of)
    return CorrelatedAccuracy(
        rho=rho, v=v, score=score, low=low, high=high, home=home, home_low=home_low, home_high=home_high, away=away,
        away_low=away_low, away_high=away_high, chance=1 / len(dial.contents), train=train, test=len(dial.test),
        contents=len(dial.contents), domains=int(dial.domain.max()) + 1, draws=DRAWS,
    )  # fmt: skip
