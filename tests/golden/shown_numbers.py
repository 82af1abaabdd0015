"""The numbers in a file, whatever the words around them: what a golden test of a page or a record compares.

A number of a page is one that stands by itself: `12.5`, `−3`, `1,024`, `95 %`, `[0.1, 0.2]`. A digit in a name
(`layer4.0`, `resnet10t`), a version (`2.5.1`) or a path is none.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_BETWEEN = re.compile(r"[\s\[\](){}<>|&$\\±=×→–…~<>:;\"“”'·]+")
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?")
_SIGNED = r"([+-]?\d[\d,]*(?:\.\d+)?) ?%?"
_INTERVAL = re.compile(rf"\[{_SIGNED}, {_SIGNED}\]|(?<![\w.,-]){_SIGNED} (?:–|to) {_SIGNED}(?![\w.-])")
_PROSE = {"95"}
"""Of sentences that explain a page, as are years: they belong to its words."""
_VERSIONS = {"format", "schema", "schema_version", "version"}
_VOID = {"meta", "img", "br", "hr", "line", "circle", "rect", "path", "link", "input", "polyline", "polygon", "use"}


def of_text(text: str) -> Counter[str]:
    """Return the numbers of a text as they are printed, without their + and %; an interval is one: ``0.1..0.9``."""
    found: Counter[str] = Counter()
    text = text.replace("−", "-").replace("\u00a0", " ").replace("`", " ").replace("*", " ")
    for ends in _INTERVAL.finditer(text):
        low, high = (end.removeprefix("+").replace(",", "") for end in ends.groups() if end is not None)
        found[f"{low}..{high}"] += 1
    for token in _BETWEEN.split(_INTERVAL.sub(" ", text)):
        token = token.strip(".,!?").removesuffix("%").rstrip(".,")
        if _NUMBER.fullmatch(token):
            found[token.removeprefix("+").replace(",", "")] += 1
    return found


def _row(text: str) -> list[str]:
    """Return the numbers of a row of a table, which stay together whatever the order of its columns."""
    numbers = sorted(of_text(text).elements())
    return [" ".join(numbers)] if numbers else []


class _Page(HTMLParser):
    """Collects the text of each row of the tables, and all other text that is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[str] = []
        self.rest: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append("")
        self._add(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass
        self._add(" ")

    def handle_data(self, data: str) -> None:
        if not {"style", "script", "head"} & set(self.open):
            self._add(data)

    def _add(self, text: str) -> None:
        if "tr" in self.open:
            self.rows[-1] += text
        else:
            self.rest.append(text)


def of_page(page: str) -> dict[str, Counter[str]]:
    """Return the numbers of each row of the tables, and those in sentences, lists and charts."""
    read = _Page()
    read.feed(page)
    rest = of_text("".join(read.rest))
    words = {n for n in rest if n in _PROSE or (n.isdigit() and 1900 < int(n) < 2100)}
    return {
        "tables": Counter(row for text in read.rows for row in _row(text)),
        "text": Counter({n: k for n, k in rest.items() if n not in words}),
    }


def _leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for name, part in value.items():
            if name not in _VERSIONS:
                yield from _leaves(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def of_values(value: Any) -> list[float]:
    """Return all numbers in nested data, sorted; what is not a number is left out."""
    return sorted(v for v in _leaves(value) if math.isfinite(v))


def of_table(text: str) -> list[float]:
    """Return the numbers in the cells of a CSV, sorted, with those of cells that are JSON."""
    found: list[float] = []
    for row in csv.reader(io.StringIO(text)):
        for cell in row:
            try:
                found += _leaves(json.loads(cell))
            except ValueError:
                continue
    return sorted(v for v in found if math.isfinite(v))


def of_file(path: Path) -> Any:
    """Return the numbers of a file by its kind, as JSON can hold them."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        return {name: dict(sorted(counts.items())) for name, counts in of_page(text).items()}
    if path.suffix == ".json":
        return runs(of_values(json.loads(text)))
    if path.suffix == ".csv":
        return runs(of_table(text))
    if path.suffix in {".md", ".tex"}:
        lines = Counter(row for line in text.splitlines() for row in _row(line))
        return {"tables": dict(sorted(lines.items()))}
    return {"tables": dict(sorted(of_text(text).items()))}


def runs(values: Sequence[float]) -> list[list[float]]:
    """Return sorted numbers to six digits, each with how often it comes."""
    return [[value, count] for value, count in sorted(Counter(float(f"{v:.6g}") for v in values).items())]


def difference(golden: Any, found: Any) -> str:
    """Return what a file lacks or has too much, in words; "" where its numbers are the golden ones.

    Tables and printed text are compared as they are printed. Sentences and charts may gain numbers, and lose none.
    Numbers of records agree to four digits.
    """
    if isinstance(golden, list):
        old, new = ([v for v, count in of for _ in range(int(count))] for of in (golden, found))
        if len(old) != len(new):
            return f"{len(old)} numbers before, {len(new)} now: {_apart(old, new)}"
        off = [(a, b) for a, b in zip(old, new, strict=True) if not math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-9)]
        return f"{len(off)} of {len(old)} numbers differ (before, now): {off[:8]}" if off else ""
    before, now = Counter(golden["tables"]), Counter(found["tables"])
    lost, gained = before - now, now - before
    told = Counter(golden.get("text", {})) - Counter(found.get("text", {}))
    parts = [("tables lack", lost), ("tables have too much", gained), ("text lacks", told)]
    return "; ".join(f"{name} {dict(list(which.items())[:8])}" for name, which in parts if which)


def _apart(old: Sequence[float], new: Sequence[float]) -> str:
    before, now = (Counter(f"{v:.4g}" for v in of) for of in (old, new))
    return f"lost {dict(list((before - now).items())[:8])}, gained {dict(list((now - before).items())[:8])}"
