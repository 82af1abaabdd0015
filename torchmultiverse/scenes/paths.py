"""Paths in time: the value of a factor at any moment of a clip, from a few keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.conditions import OWN
from torchmultiverse.scenes.factors import Factor, Value

Interpolation = Literal["linear", "smooth", "hold"]
_TURNS = 100
"""Full turns that a key of an angle may be away from 0."""


@dataclass(frozen=True)
class Path:
    """How a factor moves.

    Before the first key it has that key's value, after the last key the last one's.

    Args:
        factor: that moves.
        times: of the keys, seconds, ascending.
        keys: values at these times: numbers (K, 1), vectors (K, 3), or of a path that holds, levels.
        interpolation: ``linear``; ``smooth``: a monotone cubic through the keys (Fritsch & Butland, 1984), which never
            leaves the range between two keys, and at rest at both ends; ``hold``: each value until the next key.
        add: whether values are added to what the clip has by itself.
        place: what to name in an error.
    """

    factor: Factor
    times: tuple[float, ...]
    keys: tuple[Any, ...]
    interpolation: Interpolation
    add: bool
    place: str

    @classmethod
    def of(
        cls,
        factor: Factor,
        keys: Sequence[Sequence[Any]],
        interpolation: Interpolation | None = None,
        *,
        short_way: bool = False,
        add: bool = False,
        place: str = "path",
    ) -> Path:
        """Check keys, each of a time in seconds and a value.

        Args:
            factor: that moves.
            keys: at least one.
            interpolation: by default ``linear``, and ``hold`` for categories, which have nothing else.
            short_way: an angle turns by less than half a turn from each key to the next; by default it goes through all
                angles between the two numbers as they are written, so that 0 to 360 is a full turn.
            add: whether values are added to what the clip has by itself.
            place: what to name in an error.

        Raises:
            SpecError: names the key and the value that is wrong.

        >>> from torchmultiverse.scenes import FACTORS
        >>> path = Path.of(FACTORS["Camera_Yaw"], [[0, 350], [1, 10]], short_way=True)
        >>> path.at([0, 0.25, 0.5, 2])
        [350, 355, 0, 10]
        """
        if factor.label:
            raise SpecError(f"{place}: {factor.wire} is only said about a scene; what an engine draws can move")
        if not keys:
            raise SpecError(f"{place}.keys is empty; write [[0, value], [seconds, value]]")
        between = factor.kind in ("number", "vector")
        how = interpolation or ("linear" if between else "hold")
        if not between and (how != "hold" or add):
            wrong = "add" if add else f"interpolation = '{how}'"
            raise SpecError(f"{place}.{wrong}: between levels of {factor.wire} there is nothing; 'hold' is right")
        if short_way and factor.period is None:
            raise SpecError(f"{place}.short_way: {factor.wire} is no angle")
        times = [_time(key, f"{place}.keys[{k}]") for k, key in enumerate(keys)]
        for k in range(1, len(times)):
            if times[k] <= times[k - 1]:
                raise SpecError(
                    f"{place}.keys[{k}]: {times[k]:g} s does not come after {times[k - 1]:g} s; keys are in order"
                )
        values = [_value(factor, key[1], how, add, f"{place}.keys[{k}]") for k, key in enumerate(keys)]
        if short_way:
            assert factor.period is not None
            turns = np.unwrap(np.array(values), axis=0, period=factor.period)
            values = [tuple(row) for row in turns.tolist()]
        return cls(factor, tuple(times), tuple(values), how, add, place)

    def at(self, times: Sequence[float] | NDArray[np.float64], base: Value | None = None) -> list[Value]:
        """Return the values at some times, in canonical form.

        Args:
            times: seconds (N,).
            base: what the clip has by itself, of a path that adds.

        Raises:
            SpecError: a sum is out of range.
        """
        moments = np.asarray(times, float)
        if self.interpolation == "hold":
            which = np.clip(np.searchsorted(self.times, moments, side="right") - 1, 0, None)
            found = [self.keys[k] for k in which.tolist()]
            if not isinstance(found[0], tuple):
                return found
            rows = np.array(found)
        else:
            rows = _interpolated(np.array(self.times), np.array(self.keys), moments, self.interpolation == "smooth")
        if self.add:
            rows = rows + self._own(base)
        return [self._canonical(row) for row in rows.tolist()]

    def _own(self, base: Value | None) -> NDArray[np.float64]:
        value = self.factor.default if base is None else base
        if value is None or value == OWN:
            raise SpecError(f"{self.place}.add: the clips leave {self.factor.wire} to the world; give them a number")
        return np.array(self.factor.parts(value) if self.factor.kind == "vector" else (float(value),))

    def _canonical(self, row: list[float]) -> Value:
        """Return numbers as a level. Nine digits, so that the last bits of a processor's arithmetic are in no id."""
        if self.factor.kind == "vector":
            return self.factor.canonical(",".join(f"{part:.9g}" for part in row), self.place)
        (number,) = row
        if self.factor.period is not None:
            number %= self.factor.period
        return self.factor.canonical(float(f"{number:.9g}"), self.place)


def _time(key: Sequence[Any], at: str) -> float:
    if len(key) != 2 or isinstance(key[0], str | bool) or not isinstance(key[0], int | float):
        raise SpecError(f"{at} = {list(key)!r}: a key is [seconds, value]")
    if not 0 <= key[0] <= 1e6:
        raise SpecError(f"{at}: {key[0]:g} s; times are from 0, the clip's begin")
    return float(key[0])


def _value(factor: Factor, value: Any, how: Interpolation, add: bool, at: str) -> Any:
    """Return the value of a key: a level where it is held, else its numbers."""
    if how == "hold" and not add:
        return factor.canonical(value, at)
    if factor.kind == "vector":
        return factor.parts(value, at) if not add else _vector(factor, value, at)
    if value == OWN and factor.default == OWN:
        raise SpecError(
            f"{at}: there is nothing between a number and '{OWN}'; interpolation 'hold' is right, or a number"
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise SpecError(f"{at}: {factor.wire} = {value!r}; a number is needed")
    if factor.period is not None:
        if abs(value) > _TURNS * factor.period:
            raise SpecError(f"{at}: {factor.wire} = {value:g} is more than {_TURNS} turns")
        return (float(value),)
    return (float(value),) if add else (float(factor.canonical(value, at)),)


def _vector(factor: Factor, value: Any, at: str) -> tuple[float, ...]:
    """Return what is added to a vector, which may be twice as long as the range of it is."""
    try:
        parts = tuple(float(part) for part in value.split(","))
    except (AttributeError, ValueError):
        parts = ()
    most = factor.high - factor.low
    if len(parts) != 3 or not all(abs(part) <= most for part in parts):
        raise SpecError(f"{at}: {factor.wire} = {value!r}; three numbers up to {most:g} are needed, such as '0,-150,0'")
    return parts


def _interpolated(
    times: NDArray[np.float64], keys: NDArray[np.float64], moments: NDArray[np.float64], smooth: bool
) -> NDArray[np.float64]:
    """Return values (N, C) at moments (N,) of a path through keys (K, C) at times (K,)."""
    if len(times) == 1:
        return np.repeat(keys, len(moments), 0)
    moments = np.clip(moments, times[0], times[-1])
    k = np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 2)
    span = np.diff(times)[:, None]
    u = (moments[:, None] - times[k][:, None]) / span[k]
    low, high = keys[k], keys[k + 1]
    if not smooth:
        return np.asarray(low + (high - low) * u)
    slope = _slopes(np.diff(times), np.diff(keys, axis=0) / span)
    # The Hermite basis, so that a key itself comes out as it is.
    rise = u * u * (3 - 2 * u)
    leave, arrive = u * (1 - u) ** 2 * span[k] * slope[k], u * u * (u - 1) * span[k] * slope[k + 1]
    return np.asarray(low + (high - low) * rise + leave + arrive)


def _slopes(span: NDArray[np.float64], secant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slopes at the keys (K, C): weighted harmonic means of those on both sides, 0 where these differ in
    sign, and at both ends."""
    slope = np.zeros((len(secant) + 1, secant.shape[1]))
    before, after = secant[:-1], secant[1:]
    w1, w2 = (2 * span[1:] + span[:-1])[:, None], (span[1:] + 2 * span[:-1])[:, None]
    same = before * after > 0
    safe_before, safe_after = np.where(same, before, 1.0), np.where(same, after, 1.0)
    slope[1:-1] = np.where(same, (w1 + w2) / (w1 / safe_before + w2 / safe_after), 0.0)
    return slope
