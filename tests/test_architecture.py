"""The shape of the code: how long files and functions are, and that the contracts of `lint-imports` can fail.

Silently wrong would be a contract that keeps whatever is written, and a function that grows until nobody reads it.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES_OF_A_FILE, LINES_OF_A_FUNCTION, PARAMETERS = 600, 80, 10
COMPLEXITY = 20
COMPLEX = {
    "report/svg.py:curves": "one chart from its grid to its marks; parts would pass its scales to and fro",
    "cli/farm.py:_page": "one line for each thing that may be known of a run",
}
"""Functions that may be more complex than others, with the reason; at most five."""


def _files() -> list[Path]:
    return sorted((ROOT / "torchmultiverse").rglob("*.py"))


def test_no_file_is_longer_than_600_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in _files() if (n := len(p.read_text().splitlines())) > LINES_OF_A_FILE}
    assert not long


def test_no_two_modules_of_tests_share_a_name() -> None:
    # They are imported by their name alone: of two in one process, the second is an error, or silently the first.
    names = [path.name for path in sorted((ROOT / "tests").rglob("*.py")) if path.name != "conftest.py"]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_function_has_more_than_80_lines_or_10_parameters() -> None:
    large = {}
    for path in _files():
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            name = f"{path.relative_to(ROOT / 'torchmultiverse')}:{node.name}"
            named = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            count = len([n for n in named if n not in ("self", "cls")])
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > LINES_OF_A_FUNCTION or count > PARAMETERS:
                large[name] = (lines, count)
    assert not large


def test_no_function_is_more_complex_than_20_but_the_named() -> None:
    """Cyclomatic complexity as radon counts it; its grade D begins at 21."""
    complexity = pytest.importorskip("radon.complexity")
    found = {
        f"{path.relative_to(ROOT / 'torchmultiverse')}:{block.name}": block.complexity
        for path in _files()
        for block in complexity.cc_visit(path.read_text())
        if block.complexity > COMPLEXITY and block.letter != "C"
    }
    assert found.keys() == COMPLEX.keys()
    assert len(COMPLEX) <= 5


SMALL = {
    "torchmultiverse/__init__.py": "",
    "torchmultiverse/low/__init__.py": "",
    "torchmultiverse/low/__init__.pyi": "from . import words as words\nfrom .inner import one as one\n",
    "torchmultiverse/low/inner.py": "one = 1\n",
    "torchmultiverse/low/words.py": "two = 2\n",
    "torchmultiverse/high/__init__.py": "",
    "torchmultiverse/high/user.py": "from torchmultiverse.low import one, words\n",
}
CONTRACTS = """
[importlinter]
root_package = torchmultiverse
contract_types =
    interfaces: tools.contracts.Interfaces
    no_cycles: tools.contracts.NoCycles

[importlinter:contract:interfaces]
name = interfaces
type = interfaces

[importlinter:contract:cycles]
name = cycles
type = no_cycles
"""


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"torchmultiverse/high/user.py": "from torchmultiverse.low.inner import one\n"}, "low.inner is not in the"),
        (
            {"torchmultiverse/high/user.py": "def f():\n    from torchmultiverse.low.inner import one\n"},
            "low.inner is not in the",
        ),
        (
            {
                "torchmultiverse/low/inner.py": "from torchmultiverse.low.words import two\none = two\n",
                "torchmultiverse/low/words.py": "two = 2\ndef f():\n    from torchmultiverse.low.inner import one\n",
            },
            "a cycle: torchmultiverse.low.inner",
        ),
    ],
)
def test_contracts_find_what_they_are_for(changed: dict[str, str], said: str, tmp_path: Path) -> None:
    pytest.importorskip("importlinter")
    for name, text in {**SMALL, **changed, ".importlinter": CONTRACTS}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    output = " ".join(done.stdout.split())
    assert (done.returncode == 0) == (not said), done.stdout + done.stderr
    assert said in output
