"""Plug-ins whose import goes wrong.

What could silently be wrong: `sys.exit()` at the bottom of somebody's script ends a command with exit code 0, as if it
had done its work.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse.engines import find_engine
from torchmultiverse.errors import EngineError, ModelError, SpecError
from torchmultiverse.evaluate import load_protocol
from torchmultiverse.models import load_model


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: Callable[[str], Any], name: str, error: Any, code: str
) -> None:
    about = tmp_path / "leaving-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: leaving\nVersion: 1\n")
    groups = ("engines", "models", "protocols")
    (about / "entry_points.txt").write_text("".join(f"[torchmultiverse.{g}]\nleaves = leaving:x\n" for g in groups))
    (tmp_path / "leaving.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=r"leaving.* cannot be imported: (SystemExit|RuntimeError|SyntaxError)"):
        load(name)
