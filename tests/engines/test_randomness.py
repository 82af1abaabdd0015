"""What could be silently wrong: a world, an animal, an image or an imported asset that depends on a global generator, a
clock, an identifier made anew, or on the seed that Python gives its hashes: it would differ from machine to machine and
from run to run, and the pixels of a dataset could not be made again. Random numbers are a parameter, or come from a
generator with a seed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchmultiverse.assets
import torchmultiverse.engines.builtin

FOLDERS = [Path(str(module.__file__)).parent for module in (torchmultiverse.engines.builtin, torchmultiverse.assets)]
MODULES = {"random", "secrets", "uuid", "datetime", "time"}
CLOCKS = {("engine.py", "time")}
"""The engine says how long its steps take: that is of a run, not of its data."""
SEEDED = {"default_rng", "Generator"}
CALLS = {"os.urandom", "os.getrandom", "hash", "id"}
TORCH = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "normal", "bernoulli", "multinomial"}


def named(node: ast.expr) -> str:
    """Return a dotted name, or ''."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := named(node.value)):
        return f"{base}.{node.attr}"
    return ""


def offences(source: str, file: str = "") -> Iterator[str]:
    """Yield what in a source is not determined by its arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom) and node.module in ("numpy", "torch"):
                names = [alias.name for alias in node.names if alias.name == "random"]
            if isinstance(node, ast.ImportFrom) and node.module == "numpy.random":
                names = ["random" for alias in node.names if alias.name not in SEEDED]
            yield from (
                f"line {node.lineno}: import {name}"
                for name in names
                if name.split(".")[0] in MODULES and (file, name) not in CLOCKS
            )
        if isinstance(node, ast.Attribute):
            name = named(node)
            if name.startswith(("np.random.", "numpy.random.")) and name.split(".")[2] not in SEEDED:
                yield f"line {node.lineno}: {name}"
            if name.startswith("time.") and name != "time.perf_counter":
                yield f"line {node.lineno}: {name}"
        if isinstance(node, ast.Call):
            name = named(node.func)
            seeded = node.args or node.keywords
            without = name.endswith("default_rng") and not seeded
            torch = name.startswith("torch.") and name.split(".")[1] in TORCH
            drawn = torch and not any(keyword.arg == "generator" for keyword in node.keywords)
            if name in CALLS or name == "torch.manual_seed" or without or drawn:
                yield f"line {node.lineno}: {name}()"


FILES = sorted(path for folder in FOLDERS for path in folder.rglob("*.py"))


def test_no_global_randomness_clock_or_identifier() -> None:
    assert {"tracer", "plans", "blocks", "surfaces", "assets"} <= {path.parent.name for path in FILES}
    found = [f"{path}: {text}" for path in FILES for text in offences(path.read_text(), path.name)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from random import choice",
        "import time",
        "from uuid import uuid4",
        "from numpy import random",
        "from numpy.random import rand",
        "def f():\n    return np.random.rand(3)",
        "np.random.seed(0)",
        "np.random.default_rng()",
        "default_rng()",
        "hash('name')",
        "os.urandom(8)",
        "torch.rand(3)",
        "torch.manual_seed(3)",
        "time.time()",
    ],
)
def test_the_scan_finds(source: str) -> None:
    assert list(offences(source))


@pytest.mark.parametrize(
    "source",
    ["np.random.default_rng(7).random()", "def f(rng: np.random.Generator): ...", "torch.rand(3, generator=g)"],
)
def test_the_scan_leaves(source: str) -> None:
    assert not list(offences(source))
