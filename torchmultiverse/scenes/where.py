"""The filter language of ``--where``: ``World_Name in (Desert, Arena) and Camera_Yaw != 45``."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.conditions import OWN
from torchmultiverse.scenes.factors import FACTORS, Factor, FactorTable, Value
from torchmultiverse.scenes.object_list import listed

_TOKEN = re.compile(
    r"""\s*(?:(?P<op><=|>=|!=|==|=|<|>|\(|\))|(?P<comma>,)|"(?P<dq>[^"]*)"|'(?P<sq>[^']*)'|(?P<word>[^\s(),<>=!"']+))"""
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_ORDER = frozenset(("<", "<=", ">", ">="))


@dataclass(frozen=True, slots=True)
class Condition:
    """One factor, one comparison. A filter is a list of them that must all hold.

    Attributes:
        factor: wire name.
        op: ``=``, ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in`` or ``not in``.
        values: what is compared with, one but for the last two.
        counts: whether the length of a list is compared, not what is in it.

    >>> Condition("Camera_Yaw", "<", (180,)).holds(90)
    True
    """

    factor: str
    op: str
    values: tuple[Value, ...]
    counts: bool = False
    _among: frozenset[Value] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_among", frozenset(self.values))

    def holds(self, value: Value) -> bool:
        """Whether a value of the factor passes."""
        if self.counts and isinstance(value, str):
            value = len(listed(value))
        if self.op == "in":
            return value in self._among
        if self.op == "not in":
            return value not in self._among
        if self.op in _ORDER and isinstance(value, str) != isinstance(self.values[0], str):
            return False  # a world's own is neither above nor below a number
        return _COMPARE[self.op](value, self.values[0])


def parse_where(text: str, table: FactorTable = FACTORS) -> tuple[Condition, ...]:
    """Parse a filter.

    Grammar: ``NAME op VALUE`` or ``NAME [not] in (VALUE, …)``, joined by ``and``; ops are
    ``= == != < <= > >=``; a level with spaces or commas is quoted. A list is compared by the number of its objects,
    or for being the same as one in quotes.

    Raises:
        SpecError: text that is not of this grammar, an unknown factor, a value of the wrong type.

    >>> name, yaw = parse_where("Character_Name in (Zebra, Camel) and Camera_Yaw < 180")
    >>> name.factor, name.holds("Penguin"), yaw.holds(90)
    ('Character_Name', False, True)
    """
    tokens: deque[tuple[str, bool]] = deque()  # text, quoted
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise SpecError(f"--where: cannot read {text[position:]!r}")
        quoted = match["dq"] if match["dq"] is not None else match["sq"]
        tokens.append((quoted, True) if quoted is not None else (match.group().strip(), False))
        position = match.end()

    def take(expected: str | None = None) -> tuple[str, bool]:
        if not tokens:
            raise SpecError(f"--where: {text!r} ends too early" + (f", '{expected}' is missing" if expected else ""))
        token = tokens.popleft()
        if expected is not None and (token[1] or token[0].lower() != expected):
            raise SpecError(f"--where: found '{token[0]}' where '{expected}' should be, in {text!r}")
        return token

    def value(factor: Factor) -> Value:
        token, quoted = take()
        if not quoted and token in {"(", ")", ",", *_COMPARE}:
            raise SpecError(f"--where: found '{token}' where a value of {factor.wire} should be, in {text!r}")
        if factor.kind == "list" and not token.startswith("["):
            return _count(factor, token)
        if factor.kind != "number" or token == factor.default:
            return factor.canonical(token, "--where")
        try:
            return factor.canonical(float(token), "--where")
        except ValueError:
            own = f"; or write {OWN}" if factor.default == OWN else ""
            raise SpecError(f"--where: {factor.wire} is a number, '{token}' is none{own}") from None

    conditions: list[Condition] = []
    while True:
        factor = table[take()[0]]
        op = take()[0].lower()
        if op == "not":
            take("in")
            op = "not in"
        if op in {"in", "not in"}:
            take("(")
            values = [value(factor)]
            while (token := take()[0]) == ",":
                values.append(value(factor))
            if token != ")":
                raise SpecError(f"--where: found '{token}' where ',' or ')' should be, in {text!r}")
            conditions.append(_condition(factor, op, values))
        elif op in _COMPARE:
            if factor.kind not in {"number", "list"} and op not in {"=", "==", "!="}:
                raise SpecError(f"--where: {factor.wire} has no order, so '{op}' means nothing; use =, != or in")
            found = value(factor)
            if op in _ORDER and found == OWN:
                raise SpecError(f"--where: '{OWN}' of {factor.wire} is above and below no number; use =, != or in")
            conditions.append(_condition(factor, op, [found]))
        else:
            raise SpecError(f"--where: '{op}' is no comparison; use =, !=, <, <=, >, >= or in")
        if not tokens:
            return tuple(conditions)
        take("and")


def _count(factor: Factor, token: str) -> int:
    if not token.isascii() or not token.isdecimal() or len(token) > 9:
        raise SpecError(f"--where: {factor.wire} is compared by its number of objects, '{token}' is no whole number")
    return int(token)


def _condition(factor: Factor, op: str, values: list[Value]) -> Condition:
    """Return a condition.

    Raises:
        SpecError: numbers of objects and lists of them side by side, or lists that are to be ordered.
    """
    counts = factor.kind == "list" and isinstance(values[0], int)
    if factor.kind == "list" and any(isinstance(value, int) != counts for value in values):
        raise SpecError(f"--where: {factor.wire} is compared with numbers of objects or with lists, not with both")
    if factor.kind == "list" and not counts and op in _ORDER:
        raise SpecError(f"--where: lists have no order, so '{op}' means nothing; compare {factor.wire} with a number")
    return Condition(factor.wire, op, tuple(values), counts)
