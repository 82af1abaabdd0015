"""What engines print when they cannot start, and what to do about it: the table ``failures.json``.

A headless engine fails in a few known ways, each with a line that only those understand who have met it. The table has
the line's pattern, what it means, and the remedy; new ones are added there, with an excerpt in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from torchmultiverse.documents import Record

_TABLE = Path(__file__).with_name("failures.json")
PROFILE = "{profile}"
"""Stands in an advice for the name of the launch profile."""
_LIST = "torchmultiverse engine list"
_LONGEST = 2000
"""Characters of a line that are looked at."""


class KnownFailure(Record):
    """One way to fail.

    Attributes:
        id: short name.
        patterns: regular expressions, any of which in a line of the output shows it; case does not matter.
        what: what it means, in a few words.
        advice: what to do; `PROFILE` in it is the name of the launch profile.
        permanent: whether a process that ended after it would end so again: then it is not started again.
        source: address of a public report of it.
    """

    id: str
    patterns: tuple[str, ...]
    what: str
    advice: str
    permanent: bool
    source: str = ""

    def said_of(self, profile: str = "") -> str:
        """Return what it means and what to do, in which commands name the launch profile that failed, if it is one."""
        return f"{self.what}: {self.advice_for(profile)}"

    def advice_for(self, profile: str = "") -> str:
        """Return what to do, in which commands name a launch profile; without one, where its name is found."""
        if profile or PROFILE not in self.advice:
            return self.advice.replace(PROFILE, profile)
        return self.advice.replace(PROFILE, "NAME") + f" (NAME is a launch profile's, see: {_LIST})"

    def __str__(self) -> str:
        return self.said_of()


@cache
def known_failures() -> tuple[KnownFailure, ...]:
    """Return the table; where several are shown by one line, the first of them counts."""
    return tuple(KnownFailure.model_validate(one) for one in json.loads(_TABLE.read_text("utf-8")))


@cache
def _any() -> re.Pattern[str]:
    groups = (f"(?P<_{number}>{'|'.join(one.patterns)})" for number, one in enumerate(known_failures()))
    return re.compile("|".join(groups), re.IGNORECASE)


@cache
def _each() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile("|".join(one.patterns), re.IGNORECASE) for one in known_failures())


def recognise(line: str) -> KnownFailure | None:
    """Return the failure that a line of an engine's output shows, if it is a known one."""
    short = line[:_LONGEST]
    if _any().search(short) is None:
        return None
    return next((one for one, pattern in zip(known_failures(), _each(), strict=True) if pattern.search(short)), None)


class FailureScan:
    """Looks for known failures in the output of one process, line by line.

    Attributes:
        found: what was seen, in the order in which it was first seen.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self.found: list[KnownFailure] = []
        for line in lines:
            self.feed(line)

    def feed(self, line: str) -> None:
        """Look at a line."""
        one = recognise(line)
        if one is not None and one not in self.found:
            self.found.append(one)

    @property
    def permanent(self) -> bool:
        """Whether something was seen that starting again does not mend."""
        return any(one.permanent for one in self.found)


def advice(found: Sequence[KnownFailure], profile: str = "") -> str:
    """Return what to do, a line for each failure, to stand below the output; empty where nothing was recognised.

    Args:
        found: the failures.
        profile: name of the launch profile that failed, where it is one.
    """
    return "".join(f"\n→ {one.said_of(profile)}" for one in found)
