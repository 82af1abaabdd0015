"""Plug-ins whose import goes wrong.

What could silently be wrong: `sys.exit()` at the bottom of somebody's script ends a command with exit code 0, as if it
had done its work.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse.engines import find_engine
from torchmultiverse.errors import EngineError, ModelError, SpecError
from torchmultiverse.evaluation import load_protocol
from torchmultiverse.models import load_model


def install(folder: Path, code: str) -> None:
    """Put a package on the path that adds `leaves` to every group."""
    about = folder / "leaving-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leaving\nVersion: 1\n")
    groups = ("engines", "models", "protocols")
    (about / "entry_points.txt").write_text("".join(f"[torchmultiverse.{g}]\nleaves = leaving:x\n" for g in groups))
    (folder / "leaving.py").write_text(code)


@pytest.fixture(autouse=True)
def nothing_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("leaving", None)


@pytest.mark.parametrize("code", ["import sys; sys.exit(0)", "raise RuntimeError('no disk')", "def f(: pass"])
@pytest.mark.parametrize(
    ("load", "name", "error"),
    [
        (find_engine, "leaves", EngineError),
        (load_model, "leaves:x", ModelError),
        (load_model, "python:leaving:x", ModelError),
        (load_protocol, "leaves", SpecError),
    ],
)
def test_an_import_that_fails_is_an_error_of_ours(
    tmp_path: Path, load: Callable[[str], Any], name: str, error: Any, code: str
) -> None:
    install(tmp_path, code)
    with pytest.raises(error, match=r"leaving.* cannot be imported: (SystemExit|RuntimeError|SyntaxError)"):
        load(name)


@pytest.mark.parametrize("name", ["leaves:x", "python:leaving:made"])
@pytest.mark.parametrize("body", ["sys.exit(0)", "float('x')", "open('/nowhere')"])
def test_a_model_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path, name: str, body: str) -> None:
    install(tmp_path, f"import sys\n\ndef x(rest): {body}\n\ndef made(): {body}\n")
    with pytest.raises(ModelError, match=r"'\w*:.*' cannot be loaded: (SystemExit|ValueError|FileNotFoundError)"):
        load_model(name)
