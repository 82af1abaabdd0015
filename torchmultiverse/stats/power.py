"""How many pairs of images show an effect worth knowing: power of McNemar's test.

Two levels of a factor are compared on pictures that differ in nothing else, so each pair of pictures is right-right,
wrong-wrong, or discordant; only the discordant ones carry evidence (McNemar's test). With discordance ψ (their share)
and a drop of δ, the pairs needed at error rates α (two-sided) and β are

    n = (z(1 − α/2) √ψ + z(1 − β) √(ψ − δ²))² / δ²

(Connor, *Biometrics* 1987, eq. 1). An interaction, "the drop is larger by δ at this level of B than at that one", is a
difference of two such differences with twice the variance, so its n per level of B has 2ψ in place of ψ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from torchmultiverse.errors import SpecError


@dataclass(frozen=True)
class PowerQuestion:
    """What is to be found out.

    Attributes:
        factor: whose levels are compared, any name.
        drop: difference of accuracy worth knowing, 0 to 1.
        by: second factor, if the question is whether the drop depends on it.
        confidence: 1 − α, two-sided.
        power: 1 − β, the chance of finding a drop that is there.
        accuracy: expected at the better level.
        discordance: expected share of pairs of which one is right and one wrong; by default that of independent
            answers, which no model exceeds by much and most stay well below.
    """

    factor: str
    drop: float
    by: str | None = None
    confidence: float = 0.95
    power: float = 0.8
    accuracy: float = 0.75
    discordance: float | None = None

    def __post_init__(self) -> None:
        for name in ("drop", "confidence", "power", "accuracy"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise SpecError(f"{name} = {value:g}: a share between 0 and 1, both excluded")
        if self.drop > self.accuracy:
            raise SpecError(f"drop = {self.drop:g} is more than the accuracy, {self.accuracy:g}")
        if self.discordance is not None and not self.drop <= self.discordance <= 1:
            raise SpecError(f"discordance = {self.discordance:g}: between the drop, {self.drop:g}, and 1")

    @property
    def expected_discordance(self) -> float:
        """Share of discordant pairs."""
        if self.discordance is not None:
            return self.discordance
        better, worse = self.accuracy, self.accuracy - self.drop
        return better * (1 - worse) + worse * (1 - better)


def pairs_needed(question: PowerQuestion, comparisons: int = 1) -> int:
    """Return the number of pairs of pictures; for an interaction, at each level of the second factor.

    ``comparisons`` shares the error rate among several (Bonferroni).

    >>> pairs_needed(PowerQuestion("Character_Texture", drop=0.05, discordance=0.2))
    626
    >>> pairs_needed(PowerQuestion("Character_Texture", drop=0.05, discordance=0.2), comparisons=10)
    1062
    """
    return math.ceil(_pairs(question.drop, question, comparisons))


def _pairs(drop: float, question: PowerQuestion, comparisons: int) -> float:
    variance = question.expected_discordance * (2 if question.by else 1)
    alpha, beta = (1 - question.confidence) / comparisons, 1 - question.power
    a, b = norm.ppf(1 - alpha / 2), norm.ppf(1 - beta)
    return float((a * math.sqrt(variance) + b * math.sqrt(max(variance - drop**2, 0.0))) ** 2 / drop**2)


def detectable_drop(question: PowerQuestion, pairs: int, comparisons: int = 1) -> float:
    """Return the smallest drop that so many pairs show with the wanted power; 1 where none is.

    >>> round(detectable_drop(PowerQuestion("Camera_Yaw", drop=0.05, discordance=0.2), pairs=2000), 3)
    0.028
    """
    low, high = 1e-6, question.expected_discordance  # more than all discordant pairs cannot be lost
    if _pairs(high, question, comparisons) > pairs:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _pairs(middle, question, comparisons) <= pairs else (middle, high)
    return high
