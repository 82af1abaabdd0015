"""The table of the Unreal API that the plugins use. Silently wrong would be a call that no one can look up: each header
that is included and each name of the stubs that a source uses is in the table, and nothing else is."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from unreal.unreal_bridge_check import BRIDGE, check

STUBS = BRIDGE / "stubs" / "include"
MODULES = ("TorchMultiverseBridge", "TorchMultiverseGltf")
CPP_TEXT = (
    "auto bool break case catch char class const constexpr continue decltype default define delete do double else elif "
    "endif enum error explicit extern false final float for friend if ifdef ifndef include inline int long mutable "
    "namespace new noexcept nullptr once operator override pragma private protected public return short sizeof static "
    "static_assert static_cast struct switch template this true typedef typename undef unsigned using virtual void "
    "while std size_t nullptr_t move forward initializer_list"
)
CPP = set(CPP_TEXT.split())
# Names of parameters of the stubs' own macros and templates, which sources happen to use for things of their own.
OWN = {"Name", "Class", "Category", "Format", "Size", "Default"}


def _plain(text: str) -> str:
    text = re.sub(r"#include <[^>]+>", "", text)
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', text)


def _names(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w+", _plain(text))) - CPP


def _sources() -> list[Path]:
    every = (path for module in MODULES for path in sorted((BRIDGE / module).rglob("*")))
    return [p for p in every if p.suffix in (".cpp", ".h") and "Pure" not in p.parts and "Core" not in p.parts]


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    with open(BRIDGE / "api.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _of(row: dict[str, str]) -> set[str]:
    return {row["owner"], *row["names"].split()} - {""}


def test_each_header_that_is_included_is_in_the_table(table: list[dict[str, str]]) -> None:
    own = {path.name for path in _sources()} | {f"{path.stem}.generated.h" for path in _sources()}
    included = {name for path in _sources() for name in re.findall(r'#include "([^"]+)"', path.read_text())}
    unreal = {n for n in included if n not in own and not n.startswith(("Pure/", "tmv/"))}
    assert unreal <= {row["header"] for row in table}
    assert "Engine/World.h" in unreal


def test_each_name_that_the_sources_use_is_in_the_table(table: list[dict[str, str]]) -> None:
    used = set().union(*(_names(path.read_text()) for path in _sources()))
    declared = set().union(*(_names(path.read_text()) for path in STUBS.rglob("*.h")))
    known = set().union(*map(_of, table))
    assert used & declared - known - OWN == set()
    assert len(used & declared) > 300


def test_nothing_else_is_in_the_table(table: list[dict[str, str]]) -> None:
    used = set().union(*(_names(path.read_text()) for path in _sources()))
    for row in table:
        text = (STUBS / row["header"]).read_text() + (STUBS / "TmvStub.h").read_text()
        assert _of(row) - _names(text) <= {"GetWorld"}, row["header"]  # inherited: what it is called on is in the row
        assert set(row["names"].split()) <= used, row["header"]


def test_rows_say_version_module_and_where_it_is_documented(table: list[dict[str, str]]) -> None:
    for row in table:
        assert re.fullmatch(r"5\.[0-7]", row["first"]), row
        assert re.fullmatch(r"5\.[0-7]", row["last"]), row
        assert row["module"], row
        assert row["page"].startswith("https://") == row["evidence"].startswith("seen"), row
        assert row["evidence"], row
        span = re.search(r"^TMV_STUB\((\d), (\d)\)", (STUBS / row["header"]).read_text(), re.M)
        if span:
            assert (int(row["first"][2:]), int(row["last"][2:])) >= (int(span[1]), 0), row
            assert row["last"] == f"5.{span[2]}", row
    assert len({(row["header"], row["owner"]) for row in table}) == len(table)


def test_the_readme_shows_the_table() -> None:
    text = (BRIDGE / check.README).read_text()
    assert check.with_api_table(text, check.api_table(BRIDGE)) == text, "python3 unreal_bridge/check.py --write-api"
    assert "never been compiled or run inside Unreal" in text
