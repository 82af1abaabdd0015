"""Writes what the core takes from the Python side: the table of factors, and Python's tables of Unicode.

python unreal_bridge/core/generate.py          # writes src/factors.inc and src/unicode.inc
python unreal_bridge/core/generate.py --check  # exit code 1 where they are not current
"""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from torchmultiverse.scenes import FACTORS, Factor

SRC = Path(__file__).parent / "src"
CODES = range(sys.maxunicode + 1)
KINDS = {"category": "Category", "number": "Number", "vector": "Vector", "list": "List"}


def text(value: str) -> str:
    """Return a C++ string literal, in ASCII: other bytes of UTF-8 as octal numbers."""
    plain = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isascii() else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in plain)


def number(value: float | None) -> str:
    """Return the JSON text of a limit; nothing where there is none."""
    return text("" if value is None or math.isinf(value) else json.dumps(value))


def row(factor: Factor) -> str:
    """Return one factor as a row of the table."""
    default = "null" if factor.default is None else json.dumps(factor.default)
    if factor.kind == "list":
        default = str(factor.default)
    names = json.dumps(dict(factor.names), separators=(",", ":"))
    fields = [
        text(factor.wire), text(factor.column), f"FactorKind::{KINDS[factor.kind]}", text(default), text(factor.unit),
        number(factor.low), number(factor.high), number(factor.period), "true" if factor.label else "false",
        text(names),
    ]  # fmt: skip
    return f"    {{{', '.join(fields)}}},"


def factors() -> str:
    """Return the table of factors: wire, column, kind, default, unit, low, high, period, label, names."""
    head = "// Made by generate.py from torchmultiverse/scenes/factors.py; do not edit."
    fields = [field for factor in FACTORS for field in factor.fields]
    own = ["// Of each object of a list.", "constexpr FactorRow kFields[] = {", *map(row, fields), "};"]
    return "\n".join([head, "constexpr FactorRow kRows[] = {", *map(row, FACTORS), "};", *own, ""])


def spans(holds: Callable[[str], bool]) -> list[tuple[int, int]]:
    """Return the ranges of code points that something holds of."""
    found: list[tuple[int, int]] = []
    for code in CODES:
        if holds(chr(code)):
            if found and found[-1][1] == code - 1:
                found[-1] = (found[-1][0], code)
            else:
                found.append((code, code))
    return found


def decimals() -> list[tuple[int, int]]:
    """Return the ranges of ten decimal digits, from zero."""
    zeros = [code for code in CODES if unicodedata.decimal(chr(code), -1) == 0]
    assert all(unicodedata.decimal(chr(zero + n)) == n for zero in zeros for n in range(10))
    return [(zero, zero + 9) for zero in zeros]


def shifts(change: Callable[[str], str]) -> tuple[list[tuple[int, int, int, int]], list[tuple[int, ...]]]:
    """Return the runs of code points that a change of case moves alike, and those that become several."""
    runs: list[tuple[int, int, int, int]] = []
    several: list[tuple[int, ...]] = []
    for code in CODES[128:]:
        to = [ord(c) for c in change(chr(code))]
        if len(to) > 1:
            several.append((code, *to, *[0] * (3 - len(to))))
        elif to != [code]:
            shift = to[0] - code
            if runs and runs[-1][3] == shift:
                first, last, step, _ = runs[-1]
                gap = code - last
                if gap in (1, 2) and (first == last or gap == step):
                    runs[-1] = (first, code, gap, shift)
                    continue
            runs.append((code, code, 1, shift))
    return runs, several


def table(kind: str, name: str, rows: Iterable[tuple[int, ...]]) -> list[str]:
    """Return the lines of a C++ table."""
    lines, line = [f"constexpr {kind} {name}[] = {{"], "   "
    for one in rows:
        if kind == "Several":
            cell = f" {{{one[0]:#x}, {{{', '.join(f'{n:#x}' for n in one[1:])}}}}},"
        else:
            cell = f" {{{', '.join(f'{n:#x}' if n > 9 else str(n) for n in one)}}},"
        if len(line) + len(cell) > 118:
            lines.append(line)
            line = "   "
        line += cell
    return [*lines, line, "};"]


def unicode() -> str:
    """Return Python's tables of the code points that can be printed, are spaces, digits, letters, and their case."""
    lines = [
        "// Made by generate.py from Python's own tables; do not edit.",
        f"// Unicode {unicodedata.unidata_version}",
        *table("Span", "kPrintable", spans(str.isprintable)),
        *table("Span", "kSpace", spans(str.isspace)),
        *table("Span", "kAlnum", spans(str.isalnum)),
        *table("Span", "kDecimal", decimals()),
    ]
    for name, change in (("Fold", str.casefold), ("Lower", str.lower)):
        runs, several = shifts(change)
        lines += [*table("Shift", f"k{name}", runs), *table("Several", f"k{name}Several", several)]
    return "\n".join([*lines, ""])


def outdated() -> list[str]:
    """Return which files are not what would be written; Unicode's is compared where its version is this Python's."""
    found = [] if (SRC / "factors.inc").read_text() == factors() else ["factors.inc"]
    held = (SRC / "unicode.inc").read_text()
    if f"// Unicode {unicodedata.unidata_version}\n" in held and held != unicode():
        found.append("unicode.inc")
    return found


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(", ".join(outdated()) + ": run generate.py" if outdated() else 0)
    (SRC / "factors.inc").write_text(factors())
    (SRC / "unicode.inc").write_text(unicode())
